"""What kind of body came, and a whole answer out of it."""

from __future__ import annotations

import msgspec
import pytest

from opeai_async._core.answer.whole_body import read_completion
from opeai_async._core.call.http import ResponseHead
from opeai_async._core.decode.body_kind import BodyKind, as_one_chunk, invalid_response, kind_of
from opeai_async._core.decode.decoder import decode_chunk
from opeai_async._core.dialect.dialect import Dialect
from opeai_async.errors import (
    InvalidResponseError,
    OpeAIError,
    StreamDecodeError,
    StreamServerError,
    StreamTooLargeError,
    StreamTruncatedError,
)
from opeai_async.types.completion import ChatCompletion
from opeai_async.types.options import DialectMode
from tests.support.reading.streams import DONE, HEAD, body_of, delta_chunk, event

ANSWER = b'{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"hi"}}]}'
STREAM = [
    delta_chunk({"role": "assistant", "content": "Hel"}, provider="p"),
    delta_chunk({"content": "lo", "vendor": 1}),
    delta_chunk(finish="stop"),
    delta_chunk(usage={"prompt_tokens": 1, "completion_tokens": 0, "total_tokens": 1}),
]


def read(
    body: bytes, completion_type: type[ChatCompletion] = ChatCompletion, mode: DialectMode = "repair"
) -> tuple[ChatCompletion, tuple[str, ...]]:
    dialect = Dialect(mode)
    return read_completion(HEAD, body, completion_type, dialect), tuple(dialect.quirks)


@pytest.mark.parametrize(
    ("prefix", "kind"),
    [
        (b"", None),
        (b" \t\r\n", None),
        (b"\xef", None),
        (b"\xef\xbb", None),
        (b"\xef\xbb\xbf", None),
        (b"\xef\xbb\xbf\n", None),
        (b"{", BodyKind.JSON),
        (b"\n\n {", BodyKind.JSON),
        (b"\xef\xbb\xbf[", BodyKind.JSON),
        (b"<", BodyKind.MARKUP),
        (b"d", BodyKind.EVENTS),
        (b":", BodyKind.EVENTS),
        (b"\xff", BodyKind.EVENTS),
    ],
)
def test_kinds(prefix: bytes, kind: BodyKind | None) -> None:
    """By the first byte that is no white space; undecided until there is one."""
    assert kind_of(prefix) is kind


@pytest.mark.parametrize("before", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_json(before: bytes) -> None:
    """White space sent to keep the connection alive, and a BOM, do no harm."""
    completion, quirks = read(before + ANSWER)
    assert (completion.id, completion.choices[0].message.content, quirks) == ("c", "hi", ())


class Typed(ChatCompletion, kw_only=True):
    provider: str


@pytest.mark.parametrize("done", [DONE, b"", b"data: [DONE]"])
def test_an_event_stream_for_json(done: bytes) -> None:
    """A server that streams although it was not asked to: the same answer, in the type that was asked for."""
    completion, quirks = read(body_of(STREAM, done), Typed)
    assert isinstance(completion, Typed)
    assert completion.provider == "p"
    message = completion.choices[0].message
    assert (message.content, message.extra, completion.choices[0].finish_reason) == ("Hello", {"vendor": 1}, "stop")
    assert completion.usage is not None
    assert completion.usage.total_tokens == 1
    assert quirks == (("unterminated_event",) if done == b"data: [DONE]" else ()) + ("events_for_json",)


def test_events_that_say_nothing() -> None:
    """They are skipped in a whole body too."""
    completion, quirks = read(b"data:\n\n" + body_of(STREAM))
    assert completion.choices[0].message.content == "Hello"
    assert quirks == ("empty_data", "events_for_json")


def test_events_without_their_last_blank_line() -> None:
    """The last event counts if it is whole, and is dropped if it was cut after the finish."""
    whole = body_of(STREAM[:3], b"")
    assert read(whole.rstrip())[0].choices[0].finish_reason == "stop"
    assert read(whole + b'data: {"cho')[0].choices[0].message.content == "Hello"


@pytest.mark.parametrize(
    ("body", "error", "why"),
    [
        (b"", InvalidResponseError, "got an empty body"),
        (b"\n ", InvalidResponseError, "got an empty body"),
        (b"<html>", InvalidResponseError, "got HTML"),
        (b"sorry", InvalidResponseError, "got text"),
        (b": ping\n\n", InvalidResponseError, "got text"),
        (body_of(STREAM[:2], b""), StreamTruncatedError, "the answer was cut"),
        (event({"error": {"message": "no"}}), StreamServerError, "no"),
        (event(STREAM[0]) + b"data: {\n\n", StreamDecodeError, "not JSON"),
        (event(delta_chunk({}, index=1000)), StreamTooLargeError, "index 1000"),
        (b'{"error":{"message":"no"}}', StreamServerError, "no"),
        (b'{"detail":"x"}', StreamServerError, "x"),
        (b'{"detail":""}', InvalidResponseError, "expected an object with `choices`"),
        (b'{"choices":[{"message":{"role":"a"}}],"x":' + b"[" * 100_000, InvalidResponseError, "nested too deep"),
        (b"[1]", InvalidResponseError, "expected a JSON object, got an array"),
        (b"{", InvalidResponseError, "not JSON"),
    ],
)
def test_a_body_that_is_no_answer(body: bytes, error: type[OpeAIError], why: str) -> None:
    """Documented errors, which say what was found."""
    with pytest.raises(error, match=why):
        read(body)


@pytest.mark.parametrize(
    ("body", "rule"), [(body_of(STREAM), "events_for_json"), (b'{"choices":[{"message":{}}],"x":NaN}', "loose_json")]
)
def test_strict(body: bytes, rule: str) -> None:
    """Strict mode names what it would have repaired."""
    with pytest.raises(StreamDecodeError) as caught:
        read(body, mode="strict")
    assert caught.value.rule == rule


def test_one_chunk_needs_no_repair() -> None:
    """The replay of an answer as a chunk has all that an ordinary chunk has, zeros too."""
    body = b'{"choices":[{"message":{"role":"assistant","content":"hi"}}],"usage":{"prompt_tokens":1}}'
    completion, _ = read(body)
    chunk = msgspec.json.decode(as_one_chunk(completion))
    assert chunk["usage"] == {"prompt_tokens": 1, "completion_tokens": None, "total_tokens": None}
    assert chunk["choices"] == [{"index": 0, "delta": {"role": "assistant", "content": "hi"}}]
    assert decode_chunk(as_one_chunk(ChatCompletion())).choices == []


def test_reasoning_keeps_the_name_it_came_under() -> None:
    """In a stream for an awaited call, and in an answer replayed as a chunk: under that name it is sent back."""
    stream = [{"choices": [{"index": 0, "delta": {"reasoning": text}}]} for text in ("h", "m")]
    stream += [{"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]}]
    streamed, _ = read(b"".join(b"data: %s\n\n" % msgspec.json.encode(chunk) for chunk in stream))
    whole, _ = read(b'{"choices":[{"message":{"role":"assistant","content":"a","reasoning":"hm"}}]}')
    replayed = decode_chunk(as_one_chunk(whole)).choices[0].delta
    for message in (streamed.choices[0].message, whole.choices[0].message, replayed):
        assert (message.content, message.reasoning_content, message.extra) == ("a", "hm", {"reasoning": "hm"})


def test_a_tool_call_that_is_none() -> None:
    """What could not be read as a call is kept beside the message, and does not break the replay."""
    for calls, kept in (([None], {}), ([5], {"tool_calls": [5]}), (5, {"tool_calls": 5})):
        body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi", "tool_calls": calls}}]}
        chunk = decode_chunk(as_one_chunk(read(msgspec.json.encode(body))[0]))
        assert chunk.choices[0].delta.content == "hi"
        assert chunk.choices[0].delta.extra == kept


def test_the_facts_of_a_body_that_is_no_answer() -> None:
    """Status, content-type, request id and excerpt are there for JSON too."""
    head = ResponseHead(200, "h", {"content-type": "application/json", "x-request-id": "r-1"})
    with pytest.raises(InvalidResponseError) as raised:
        read_completion(head, b'{"foo":1}', ChatCompletion, Dialect())
    error = raised.value
    assert (error.status_code, error.content_type, error.request_id) == (200, "application/json", "r-1")
    assert error.excerpt == '{"foo":1}'


def test_an_event_stream_that_was_cut() -> None:
    """What had arrived is there."""
    with pytest.raises(StreamTruncatedError) as raised:
        read(body_of(STREAM[:2], b""))
    assert raised.value.partial is not None
    assert raised.value.partial.choices[0].message.content == "Hello"
    assert raised.value.events == 2


def test_comments_before_an_answer() -> None:
    """They kept the connection alive, and say nothing."""
    body = b': WAIT\n\n: WAIT\r\n\r\n{"choices":[{"index":0,"message":{"role":"assistant","content":"a"}}]}'
    assert read(body)[0].choices[0].message.content == "a"


@pytest.mark.parametrize("done", [b"\n\ndata: [DONE]\n\n", b"data:[DONE]", b" data:\t [DONE] \r\n"])
def test_done_after_an_answer(done: bytes) -> None:
    """Some servers end every answer as if it were a stream."""
    completion, quirks = read(ANSWER + done)
    assert completion.choices[0].message.content == "hi"
    assert quirks == ("done_after_json",)


@pytest.mark.parametrize("rest", [b"[DONE]", b" [DONE] ", b"data: DONE", b"data: [DONE] x"])
def test_what_is_no_done_after_an_answer(rest: bytes) -> None:
    with pytest.raises(OpeAIError):
        read(ANSWER + rest)


def test_the_error_says_where_and_what() -> None:
    """Status, host, content-type, excerpt and request id; no key that the server echoed."""
    error = invalid_response(ResponseHead(502, "h"), b" key sk-abcdefghijkl ", "expected more")
    assert str(error).startswith("HTTP 502 from h with content-type missing: expected more")
    assert (error.status_code, error.content_type, error.excerpt) == (502, None, "key [redacted]")
