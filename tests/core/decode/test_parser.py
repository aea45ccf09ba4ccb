"""From a body's bytes to chunks: whatever a server sends, chunks come out, or one error, and nothing else."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async._core.answer.accumulator import Accumulator
from opeai_async._core.decode import parser as parser_module
from opeai_async._core.decode.body_kind import kind_of
from opeai_async._core.decode.decoder import decode_completion
from opeai_async._core.decode.parser import StreamParser
from opeai_async._core.dialect.dialect import Dialect
from opeai_async.errors import (
    InvalidResponseError,
    OpeAIError,
    StreamDecodeError,
    StreamServerError,
    StreamTooLargeError,
)
from opeai_async.types.chunk import ChatCompletionChunk
from opeai_async.types.common import CompletionUsage
from opeai_async.types.completion import ChatCompletion, ChatCompletionMessage
from tests.support.reading.streams import (
    DONE,
    body_of,
    byte_by_byte,
    cuts,
    delta_chunk,
    deltas_of,
    event,
    messages,
    parse,
)

HELLO = [
    delta_chunk({"role": "assistant", "content": "Hel"}),
    delta_chunk({"content": "lo"}),
    delta_chunk(finish="stop"),
]
BODY = body_of(HELLO)
COMPLETION: dict[str, Any] = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def message_of(chunks: list[ChatCompletionChunk]) -> ChatCompletion:
    accumulator = Accumulator()
    accumulator.extend(chunks)
    return accumulator.completion()


def both_ways(body: bytes, **options: Any) -> tuple[list[Any], StreamParser[Any], tuple[str, ...]]:
    """What *body* gives; asserts that it gives the same byte by byte."""
    chunks, parser, dialect = parse([body] if body else [], **options)
    again, parser_again, dialect_again = parse(byte_by_byte(body), **options)
    assert again == chunks
    assert (parser_again.done, type(parser_again.error)) == (parser.done, type(parser.error))
    assert dialect_again.quirks == dialect.quirks
    return chunks, parser, tuple(dialect.quirks)


# --- event streams ---------------------------------------------------------------------------------------------------


def test_an_ordinary_stream() -> None:
    """The chunks, the end, and no quirk."""
    chunks, parser, quirks = both_ways(BODY)
    assert text_of(chunks) == "Hello"
    assert (parser.done, parser.has_ended, parser.error, parser.bytes_fed, quirks) == (True, True, None, len(BODY), ())


@given(data=st.data(), item=messages())
def test_a_message_at_any_cuts(data: st.DataObject, item: dict[str, Any]) -> None:
    """A generated message, cut into deltas and the bytes cut into reads, is rebuilt."""
    body = body_of([delta_chunk(delta) for delta in data.draw(deltas_of(item))])
    chunks, parser, dialect = parse(data.draw(cuts(body)))
    assert (parser.done, parser.error, tuple(dialect.quirks)) == (True, None, ())
    assert message_of(chunks).choices[0].message == msgspec.convert(item, ChatCompletionMessage)


@pytest.mark.parametrize(
    "body",
    [
        BODY.replace(b"\n", b"\r\n"),
        BODY.replace(b"\n", b"\r"),
        BODY.replace(b"data: ", b"data:"),
        b"\xef\xbb\xbf" + BODY,
        b": keep-alive\n\n" + BODY.replace(b"data: ", b": OPENROUTER PROCESSING\n\ndata: "),
        b"\n\n\n" + BODY,
        b"id: 1\nevent: message\nretry: 5\n\n" + BODY,
        b"id: 1\n:HTTP_STATUS/200\n" + BODY,
        BODY.replace(b"[DONE]", b" [DONE] "),
        BODY + event(delta_chunk({"content": "after the end"})),
        BODY.replace(b"}\n\n", b"}\n\nid: 7\n\n"),
    ],
    ids=range(11),
)
def test_framings_that_the_standard_allows(body: bytes) -> None:
    """Line ends, comments, a BOM, other fields, spaces: the same text, and no quirk."""
    chunks, parser, quirks = both_ways(body)
    assert (text_of(chunks), parser.done, parser.error, quirks) == ("Hello", True, None, ())


@pytest.mark.parametrize(
    ("odd", "quirk"),
    [
        (b"data: : OPENROUTER PROCESSING\n\n", "comment_in_data"),
        (b"data:\n\n", "empty_data"),
        (b"data: null\n\n", "empty_data"),
        (b"data: {}\n\n", "empty_data"),
        (b"data: { }\n\n", "empty_data"),
        (b'event: ping\ndata: {"type":"ping"}\n\n', "foreign_event"),
        (b"event: ping\ndata: 1\n\n", "foreign_event"),
    ],
)
def test_events_that_say_nothing(odd: bytes, quirk: str) -> None:
    """Skipped and named; refused in strict mode, after what came before."""
    body = event(HELLO[0]) + odd + event(HELLO[1]) + DONE
    chunks, parser, quirks = both_ways(body)
    assert (text_of(chunks), parser.error, quirks) == ("Hello", None, (quirk,))
    chunks, parser, _ = both_ways(body, mode="strict")
    assert text_of(chunks) == "Hel"
    assert isinstance(parser.error, StreamDecodeError)
    assert parser.error.rule == quirk


def test_a_named_event_with_a_chunk() -> None:
    """A chunk is a chunk, whatever its event is called, loose JSON too."""
    body = (
        b"event: completion\n"
        + event(HELLO[0])
        + b'event: x\ndata: {"choices":[{"index":0,"delta":{"content":"lo\\ud800"}}]}\n\n'
    )
    chunks, _, quirks = both_ways(body)
    assert text_of(chunks) == "Hello\ufffd"
    assert quirks == ("named_event", "loose_json")


@pytest.mark.parametrize(
    "payload",
    [
        b"[1]",
        b"5",
        b"true",
        b'"text"',
        b"1.5",
        b"{",
        b"text",
        b'{"choices":[{"delta":"x"}]}',
        b'{"a":' + b"[" * 100_000,
    ],
)
def test_an_event_that_is_no_chunk(payload: bytes) -> None:
    """A decode error with an excerpt; the chunks before it are kept, and nothing after it is read."""
    body = event(HELLO[0]) + b"data: " + payload + b"\n\n" + event(HELLO[1]) + DONE
    chunks, parser, _ = parse([body])
    assert text_of(chunks) == "Hel"
    assert isinstance(parser.error, StreamDecodeError)
    assert parser.error.excerpt == payload[:200].decode()
    assert not parser.done
    assert parser.feed(event(HELLO[1])) == []
    assert parser.end() == []


@pytest.mark.parametrize(("size", "found"), [(60, ""), (4, "")])
def test_malformed_utf_8_goes_on(size: int, found: str) -> None:
    """A proxy that cuts characters costs a character, not the stream."""
    payload = event(delta_chunk({"content": "a…b"})).replace("…".encode(), b"\xe2\x80" + found.encode())
    chunks, parser, quirks = both_ways(event(HELLO[0]) * size + payload + DONE)
    assert text_of(chunks).endswith("a\ufffdb")
    assert (parser.error, quirks) == (None, ("loose_json",))


def test_line_separators_inside_json() -> None:
    """U+2028, U+2029 and U+0085 end no line."""
    chunks, _, quirks = both_ways(body_of([delta_chunk({"content": "a\u2028b\u2029c\x85d"})]))
    assert (text_of(chunks), quirks) == ("a\u2028b\u2029c\x85d", ())


# --- errors in a stream ----------------------------------------------------------------------------------------------

_FULL = {"message": "overloaded", "type": "server_error", "param": None, "code": 503}


@pytest.mark.parametrize(
    ("odd", "message", "status"),
    [
        (event({"error": _FULL}), "overloaded", 503),
        (event({"error": _FULL, "choices": []}), "overloaded", 503),
        (event({**HELLO[0], "error": _FULL}), "overloaded", 503),
        (event({"error": "overloaded"}), "overloaded", 500),
        (event({"error": {"message": "slow", "code": "429"}}), "slow", 429),
        (event({"code": 400, "message": "bad"}), "bad", 400),
        (event({"object": "error", "message": "bad", "type": "x", "code": 40301}), "bad", 500),
        (event({"error": True}), "true", 500),
        (event({"error": {"code": 500}}), '{"code":500}', 500),
        (b'error: {"code":500,"message":"slot"}\n\n', "slot", 500),
        (b'event: error\ndata: {"error":{"message":"no"}}\n\n', "no", 500),
        (b'event:error\n:HTTP_STATUS/400\ndata:{"code":"InvalidParameter","message":"no"}\n\n', "no", 500),
        (b"event: error\ndata: it broke\n\n", "it broke", 500),
        (b"event: error\ndata:\n\n", "an error event without data", 500),
        (b'event: failure\ndata: {"error":{"message":"no"}}\n\n', "no", 500),
        (b'event: error\ndata: {"x": NaN, "message":"no"}\n\n', "no", 500),
    ],
)
def test_an_error_inside_a_stream(odd: bytes, message: str, status: int) -> None:
    """The server's error, with the status it stands for; the chunks before it are kept."""
    for end in (DONE, b""):
        chunks, parser, _ = both_ways(event(HELLO[0]) + odd + end)
        assert text_of(chunks) == ("HelHel" if odd.startswith(event(HELLO[0])[:60]) else "Hel")
        assert isinstance(parser.error, StreamServerError)
        assert message in str(parser.error)
        assert parser.error.status_code == status


def test_an_error_without_its_blank_line() -> None:
    """A server that dies right after its error is heard."""
    _, parser, _ = both_ways(event(HELLO[0]) + event({"error": _FULL}).rstrip())
    assert isinstance(parser.error, StreamServerError)


@pytest.mark.parametrize("field", [None, {}, "", [], False])
def test_an_error_field_that_reports_none(field: object) -> None:
    """An ``error`` which is null or empty is no error."""
    chunks, parser, _ = both_ways(body_of([{**HELLO[0], "error": field}]))
    assert (text_of(chunks), parser.error) == ("Hel", None)


# --- how a stream ends -----------------------------------------------------------------------------------------------


def test_a_last_event_without_its_blank_line() -> None:
    """It is taken if it is whole, and named; strict mode refuses it, as the standard drops it."""
    body = b"".join(map(event, HELLO))
    for end in (body.rstrip(b"\n"), body + b"data: [DONE]", body + b"data: [DONE]\n"):
        chunks, parser, quirks = both_ways(end)
        assert (len(chunks), parser.done, parser.error) == (3, end != body.rstrip(b"\n"), None)
        assert quirks == ("unterminated_event",)
        _, parser, _ = both_ways(end, mode="strict")
        assert isinstance(parser.error, StreamDecodeError)
        assert parser.error.rule == "unterminated_event"


def test_a_stream_that_was_cut() -> None:
    """At each byte: the chunks that were whole, no error, and no end."""
    for length in range(len(BODY) - len(DONE)):
        chunks, parser, _ = parse([BODY[:length]] if length else [])
        assert (parser.done, parser.error) == (False, None)
        assert "Hello".startswith(text_of(chunks))


def test_nothing_is_read_after_the_end() -> None:
    """What follows ``[DONE]`` is neither decoded nor counted."""
    chunks, parser, _ = parse([BODY, event({"error": _FULL}), b"junk"])
    assert (text_of(chunks), parser.error, parser.bytes_fed) == ("Hello", None, len(BODY))


# --- bounds ----------------------------------------------------------------------------------------------------------


def test_an_event_over_the_bound() -> None:
    """The events before it are given, and the error says which limit."""
    body = event(HELLO[0]) + event(delta_chunk({"content": "x" * 500}))
    for reads in ([body], byte_by_byte(body)):
        chunks, parser, _ = parse(reads, max_event_bytes=400)
        assert text_of(chunks) == "Hel"
        assert isinstance(parser.error, StreamTooLargeError)
        assert (parser.error.limit, parser.error.pending) == ("max_event_bytes=400", ())


def test_the_end_before_an_event_over_the_bound() -> None:
    """If the answer was over before it, the limit does not matter."""
    chunks, parser, _ = parse([BODY + b"data: " + b"x" * 500], max_event_bytes=400)
    assert (text_of(chunks), parser.done, parser.error) == ("Hello", True, None)


def test_a_stream_over_the_bound() -> None:
    """An endless stream ends at the cap."""
    _, parser, _ = parse([event(HELLO[0])] * 10, max_stream_bytes=600)
    assert isinstance(parser.error, StreamTooLargeError)
    assert parser.error.limit == "max_stream_bytes=600"


def test_a_body_of_json_over_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON is kept until its end, so it has a bound of its own; so has white space before it."""
    monkeypatch.setattr(parser_module, "MAX_JSON_BYTES", 100)
    for body in (b'{"a":"' + b"x" * 200, b" " * 200):
        _, parser, _ = parse(byte_by_byte(body))
        assert isinstance(parser.error, StreamTooLargeError)
        assert parser.error.limit == "max_json_bytes=100"


def test_white_space_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that keeps the connection alive with blanks for minutes costs what it sends."""
    looked_at = 0

    def counting(prefix: bytes) -> object:
        nonlocal looked_at
        looked_at += len(prefix)
        return kind_of(prefix)

    monkeypatch.setattr(parser_module, "kind_of", counting)
    reads = [b"\n"] * 5000 + [msgspec.json.encode(COMPLETION)]
    chunks, _, _ = parse(reads)
    assert text_of(chunks) == "Hello"
    assert looked_at < 2 * sum(map(len, reads))


# --- another body ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [b"", b"\n \t\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_json_for_a_stream(before: bytes) -> None:
    """A gateway that ignores ``stream``: its answer is replayed as one chunk."""
    chunks, parser, quirks = both_ways(before + msgspec.json.encode(COMPLETION))
    assert message_of(chunks) == msgspec.convert(COMPLETION, ChatCompletion)
    assert chunks[0].object == "chat.completion.chunk"
    assert (parser.done, parser.error, quirks) == (True, None, ("json_for_stream",))
    chunks, parser, _ = both_ways(before + msgspec.json.encode(COMPLETION), mode="strict")
    assert isinstance(parser.error, StreamDecodeError)
    assert (chunks, parser.done, parser.error.rule) == ([], False, "json_for_stream")


class TypedChunk(ChatCompletionChunk, kw_only=True):
    provider: str


def test_json_for_a_stream_with_everything_in_it() -> None:
    """Tool calls, audio, vendor fields and several choices survive the replay; a user's type gets its fields."""
    message = {
        "role": "assistant",
        "content": None,
        "reasoning_content": "hm",
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}, "x": 1},
            {"id": "b", "type": "custom", "custom": {"name": "g", "input": "i"}},
        ],
        "function_call": {"name": "old", "arguments": "{}"},
        "audio": {"id": "au", "data": "QQ==", "transcript": "t", "expires_at": 1},
        "annotations": [{"type": "n"}],
        "vendor": {"a": [1]},
    }
    body = {
        **COMPLETION,
        "provider": "p",
        "system_fingerprint": "fp",
        "choices": [
            {**COMPLETION["choices"][0], "index": 1},
            {"message": message, "finish_reason": "tool_calls", "y": 2},
        ],
    }
    chunks, _, _ = both_ways(msgspec.json.encode(body), chunk_type=TypedChunk)
    assert isinstance(chunks[0], TypedChunk)
    assert chunks[0].provider == "p"
    expected = decode_completion(msgspec.json.encode(body), ChatCompletion, Dialect())
    expected.choices.reverse()
    assert message_of(chunks) == msgspec.structs.replace(expected, usage=chunks[0].usage)
    assert message_of(chunks).choices[0].message.extra == {"vendor": {"a": [1]}}
    assert message_of(chunks).extra == {"provider": "p"}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"error":{"message":"no","code":429}}', StreamServerError),
        (b'{"choices":[{"message":{"role":"assistant","content":"cut', InvalidResponseError),
        (b"[]", InvalidResponseError),
        (b'{"detail":"Not Found"}', StreamServerError),
        (b"<!DOCTYPE html><html>Bad gateway</html>", InvalidResponseError),
        (b"\n<html>", InvalidResponseError),
        (b"upstream connect error: reset", InvalidResponseError),
        (b"database error\n", InvalidResponseError),
        (b"\xef\xbb\xbfsorry", InvalidResponseError),
        (b"null", InvalidResponseError),
    ],
)
def test_a_body_that_is_no_answer(body: bytes, kind: type[OpeAIError]) -> None:
    """A typed error that shows what came."""
    chunks, parser, _ = both_ways(body)
    assert chunks == []
    assert type(parser.error) is kind
    if isinstance(parser.error, InvalidResponseError) and body[:1] not in b"{[":
        whole = parse([body])[1].error
        assert isinstance(whole, InvalidResponseError)
        assert (whole.status_code, whole.content_type, whole.request_id) == (200, "text/event-stream", "req-1")
        assert whole.excerpt in body.decode()


@pytest.mark.parametrize("body", [b"", b"\n\n", b": ping\n\n", b"id: 5\n\n", b"data: {}\n\n", b"\xef\xbb\xbf"])
def test_a_body_that_says_nothing(body: bytes) -> None:
    """No chunk, no error, no end: the caller sees a cut stream."""
    chunks, parser, _ = both_ways(body)
    assert (chunks, parser.done, parser.error) == ([], False, None)


def test_the_excerpt_is_bounded() -> None:
    """However much text comes, an error shows its beginning."""
    _, parser, _ = parse([b"sorry\n" * 100] * 100)
    assert isinstance(parser.error, InvalidResponseError)
    assert len(parser.error.excerpt) <= 4096


# --- almost an event stream ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("done", ['"[DONE]"', "[done]", "[DONE] bye", "DONE", "'[DONE]'"])
def test_the_end_in_other_letters(done: str) -> None:
    """It is the end, and what follows is no part of the answer."""
    body = body_of(HELLO, b"data: %s\n\n" % done.encode()) + event(HELLO[0])
    chunks, parser, quirks = both_ways(body)
    assert (text_of(chunks), parser.done, quirks) == ("Hello", True, ("done_odd",))


def test_events_without_a_blank_line_between_them() -> None:
    """Each line is an event; [DONE] may be among them."""
    glued = b"".join(event(chunk)[:-1] for chunk in HELLO)
    for end in (b"data: [DONE]\n\n", b"\n"):
        chunks, parser, quirks = both_ways(glued + end)
        assert (text_of(chunks), quirks) == ("Hello", ("events_glued",))
        assert parser.error is None
    chunks, parser, _ = both_ways(glued + b"\n", mode="strict")
    assert (chunks, type(parser.error)) == ([], StreamDecodeError)
    chunks, parser, _ = both_ways(glued + event({"error": _FULL}) + event(HELLO[0]))
    assert text_of(chunks) == "Hello"
    assert isinstance(parser.error, StreamServerError)


def test_lines_that_are_no_events() -> None:
    """Where not each of them could be one, it is one event that is no chunk."""
    _, parser, _ = both_ways(event(HELLO[0]) + b'data: {"a":\ndata: x\n\n')
    assert isinstance(parser.error, StreamDecodeError)


@pytest.mark.parametrize("before", [b"", b": ping\n\n"])
def test_malformed_text_is_noted_whatever_the_cuts(before: bytes) -> None:
    """Beside a comment too, where the lines are read one by one."""
    body = before + event(HELLO[0]).replace(b"Hel", b"H\xffl") + body_of(HELLO[1:])
    chunks, _, quirks = both_ways(body)
    assert text_of(chunks) == "H\ufffdllo"
    assert quirks == ("loose_json",)


@pytest.mark.parametrize("event_line", [b"event: error\n\n", b"event: Error\ndata: it broke\n\n"])
def test_an_error_event_in_any_form(event_line: bytes) -> None:
    """Its name is enough, in any case, and with or without data."""
    chunks, parser, _ = both_ways(event(HELLO[0]) + event_line)
    assert text_of(chunks) == "Hel"
    assert isinstance(parser.error, StreamServerError)


def test_what_comes_beside_an_error() -> None:
    """The last text and the usage are read, unless they are broken too."""
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    chunks, parser, _ = both_ways(event(HELLO[0]) + event({"choices": [], "usage": usage, "error": _FULL}))
    assert isinstance(parser.error, StreamServerError)
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 3
    broken = {"choices": [{"delta": {"content": "x"}, "message": {"content": {}}, "index": []}], "error": _FULL}
    _, parser, _ = both_ways(event(broken), mode="strict")
    assert isinstance(parser.error, StreamServerError)


def test_usage_with_a_word_of_success() -> None:
    """A code and a message beside usage are no error."""
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    body = body_of([*HELLO, {"choices": [], "usage": usage, "code": 0, "message": "success"}])
    chunks, parser, _ = both_ways(body)
    assert parser.error is None
    assert chunks[-1].usage == CompletionUsage(**usage)


def test_an_excerpt_holds_no_key() -> None:
    """What a server echoes is masked there as well."""
    _, parser, _ = both_ways(event(HELLO[0]) + b"data: oops sk-otherkey-0123456789\n\n")
    assert isinstance(parser.error, StreamDecodeError)
    assert parser.error.excerpt == "oops [redacted]"


def test_a_broken_answer_in_json_keeps_its_text() -> None:
    """The chunk is there; that its finish_reason is a failure is for the end of the stream to say."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "half"}, "finish_reason": "error"}
    chunks, parser, _ = both_ways(msgspec.json.encode({"choices": [choice]}))
    assert (text_of(chunks), parser.error) == ("half", None)
