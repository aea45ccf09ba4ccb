"""Errors inside a 200, odd framing, pages and announcements: each at every cut where a stream can be cut."""

import json
from typing import Any

import pytest

from opeai_async import ImagesFrame, InvalidResponseError, StreamDecodeError, StreamServerError, UIMessageEncoder
from opeai_async._core.answer.accumulator import Accumulator
from opeai_async._core.answer.extras import ExtraParts
from opeai_async._core.call.encode import encode_request
from opeai_async._core.call.http import ResponseHead
from opeai_async._core.decode.parser import StreamParser
from opeai_async._core.decode.think import ThinkFilter, split_completion
from opeai_async._core.decode.think_twice import TwoTexts
from opeai_async._core.dialect.api_errors import page_title, status_error
from opeai_async._core.dialect.dialect import Dialect
from opeai_async._core.dialect.error_objects import MAX_BODY_BYTES, APIError, error_inside, find_error
from opeai_async._core.dialect.tool_arguments import whole_arguments
from opeai_async._core.frames.resend_chunks import ChunkEvents
from opeai_async._core.limits import MAX_JSON_BYTES
from opeai_async.types.chunk import ChatCompletionChunk, ChoiceDelta, ChunkChoice
from opeai_async.types.common import CompletionUsage
from opeai_async.types.completion import ChatCompletion, ChatCompletionMessage, Choice
from tests.promises.wire.play import DONE, data, event, message_of, read, read_json, whole
from tests.support.reading.streams import parse
from tests.testing.reading import read_stream

A, STOP = event({"content": "Hi"}), event({}, "stop")


def error_of(body: Any) -> StreamServerError | None:
    """The error that an event of *body* ends a stream with, or None if it is none."""
    reading = read(A, data(body), STOP, DONE)
    assert reading.error is None or isinstance(reading.error, StreamServerError)
    return reading.error


@pytest.mark.parametrize(
    ("body", "words", "status"),
    [
        ({"success": False, "errors": [{"code": 10000, "message": "no key"}], "result": None}, "no key", 500),
        ({"success": False, "errors": ["no model"]}, "no model", 500),
        ({"errors": [{"message": "bad", "code": 503}]}, "bad", 503),
        ({"status": "error", "message": "bad"}, "bad", 500),
        ({"statusCode": 429, "message": "slow"}, "slow", 429),
        ({"header": {"code": 10013, "message": "bad", "sid": "s"}}, "bad", 500),
        ({"errcode": 40001, "errmsg": "bad"}, "bad", 500),
        ({"ret": 1, "msg": "bad"}, "bad", 500),
        ({"error_message": "bad"}, "bad", 500),
        ({"error": {"error": {"message": "bad", "code": 429}}}, "bad", 429),
        ({"Error": {"Code": "Throttling", "Message": "bad"}}, "bad", 429),
        ({"__type": "ThrottlingException", "Message": "bad"}, "bad", 429),
        ({"status": 503, "error": "Service Unavailable", "message": "bad"}, "Service Unavailable: bad", 503),
        ({"type": "about:blank", "title": "bad", "status": 429}, "bad", 429),
        ({"error": [{"message": "bad", "code": 429}]}, "bad", 429),
        ({"error": [{"what": "bad"}]}, "bad", 500),
        ({"error": True, "message": "broke"}, "broke", 500),
        ({"error": 5}, "5", 500),
        ({"error": {"message": "no", "type": "authentication_error", "http_code": "401"}}, "no", 401),
        ({"error": {"message": "no", "type": "invalid_request_error"}}, "no", 400),
        ({"error": {"message": "no", "status": "RESOURCE_EXHAUSTED"}}, "no", 429),
        ({"error": {"message": "no", "status": "UNHEARD_OF"}}, "no", 500),
        ({"status": 429, "message": "slow"}, "slow", 429),
        ({"detail": {"error": "bad key", "code": 401}}, "bad key", 401),
        ({"detail": [{"msg": "field required"}]}, "field required", 500),
        ({"error_code": 1, "error_msg": "too long"}, "too long", 500),
        ({"choices": [{"index": 0, "delta": {}, "error": "boom"}]}, "boom", 500),
        ({"code": "InvalidApiKey", "message": "bad key"}, "bad key", 401),
        ({"type": "InternalServerError", "message": "x"}, "x", 500),
        ({"error": {"code": 1, "message": {"message": "inner"}}}, "inner", 500),
        ({"error": {"message": "P", "code": 400, "metadata": {"raw": '{"error":{"message":"long"}}'}}}, "long", 400),
        ({"error": {"message": "P", "metadata": {"raw": {"error": {"message": "too long"}}}}}, "too long", 500),
        ({"error": {"message": "P", "metadata": {"raw": {"why": "too long"}}}}, "too long", 500),
        ({"error": {"message": "P", "metadata": {"raw": None}}}, "P", 500),
        ({"error": {"message": "insufficient balance", "code": 429}}, "insufficient balance", 429),
    ],
)  # fmt: skip
def test_the_words_of_an_error_are_found(body: Any, words: str, status: int) -> None:
    """And what it stands for, and all that was said of it."""
    error = error_of(body)
    assert error is not None
    assert words in str(error)
    assert (error.status_code, error.body) == (status, body)


@pytest.mark.parametrize(
    "body",
    [
        {"code": 0, "message": "Success", "choices": []},
        {"code": "200", "msg": "success", "data": None},
        {"code": 20000, "message": "fine"},
        {"code": "Success", "message": "fine"},
        {"type": "status", "message": "Processing"},
        {"type": "message_start", "message": {"role": "assistant"}},
        {"type": "response.created", "response": {}},
        {"error": {"code": 0, "message": ""}, "choices": []},
        {"base_resp": {"status_code": 0, "status_msg": "success"}, "choices": []},
        {"choices": [{"index": 0, "delta": {}, "error": {"code": 0}}]},
        {"choices": [{"index": 0, "delta": {}, "error": {"code": ""}}]},
        {"detail": "high", "id": "c", "choices": []},
        {"message": "hello"},
    ],
)
def test_what_only_looks_like_an_error_is_none(body: Any) -> None:
    assert error_of(body) is None


def test_a_balance_that_is_used_up_is_not_waited_for() -> None:
    assert APIError("Insufficient balance").is_quota()
    assert not APIError("busy").is_quota()


def test_a_large_error_is_kept_in_part() -> None:
    error = find_error({"error": {"message": "x", "more": "y" * MAX_BODY_BYTES}})
    assert error is not None
    assert isinstance(error.body, str)
    assert len(error.body) < MAX_BODY_BYTES
    lone = find_error({"error": {"message": "x", "more": "\ud800"}})
    assert lone is not None
    deep: Any = {"message": "x"}
    for _ in range(900):
        deep = {"error": deep}
    assert find_error(deep) is not None


@pytest.mark.parametrize(
    "cut",
    [
        b'data: {"choices":[{"index":0,"delta":{"content":"lo\ndata: %b\n\n',
        b'data: {"choices":[{"index":0,"delta":{"content":"lo\n%b\n\n',
        b'data: {"choices":[{"index":0,"delta":{"content":"lodata: %b\n\n',
        b'data: {"cho\nevent: error\ndata: %b\n\n',
        b": ping\n\n%b",
        b": ping\n\n%b\n\n",
    ],
)
def test_an_error_behind_what_was_cut(cut: bytes) -> None:
    """Compact or in lines."""
    error = {"error": {"message": "upstream", "code": 502}}
    reading = read(A, cut % json.dumps(error).encode(), DONE)
    assert isinstance(reading.error, StreamServerError)
    assert reading.error.status_code == 502
    assert message_of_partial(reading) == "Hi"
    assert error_inside(b"data: {cut\n" + b"{x}\n" * 20) is None
    lines = read_stream([b": ping\n\n" + json.dumps(error, indent=1).encode()])
    assert isinstance(lines.error, StreamServerError)


def message_of_partial(reading: Any) -> str | None:
    """The content that had arrived before the error."""
    return reading.completion.choices[0].message.content


def test_a_list_of_one_error() -> None:
    body = [{"error": {"message": "x", "code": 503}}]
    assert isinstance(read(data(body)).error, StreamServerError)
    assert isinstance(read_json(json.dumps(body).encode()).error, StreamServerError)
    assert isinstance(read(data([{"a": 1}])).error, StreamDecodeError)
    head = ResponseHead(400, "h", {})
    assert "first" in str(status_error(head, b'[{"error":{"message":"first"}},{}]'))
    assert "{}" in str(status_error(head, b"[{},{}]"))


@pytest.mark.parametrize(
    "word", [b"ping", b'"PONG"', b"heartbeat", b"keep-alive", b"12:00:01", b"2026-03-01T12:00:00.5Z", b"1767225600"]
)
def test_a_heartbeat_after_the_first_chunk(word: bytes) -> None:
    reading = read(A, b"data: " + word + b"\n\n", STOP, DONE)
    assert (message_of(reading).content, reading.quirks) == ("Hi", ("heartbeat_in_data",))
    assert read(b"data: " + word + b"\n\n", A).error is not None


@pytest.mark.parametrize(
    "body",
    [
        A[6:] + STOP[6:] + DONE,
        A[6:-1] + STOP[6:-1],
        b": hi\n\n" + whole({"content": "Hi"}),
        b": hi\n\n" + json.dumps(json.loads(whole({"content": "Hi"})), indent=1).encode() + b"\ndata: [DONE]\n\n",
        whole({"content": "Hi"}) + b"\n\n" + DONE,
        whole({"content": "Hi"}),
        b'data: {"a"\n' + A + STOP + DONE,
    ],
)
def test_objects_without_data(body: bytes) -> None:
    """Lines of chunks, and completions, also where a stream was asked for, and the other way round."""
    if b'{"a"\n' in body:
        assert isinstance(read(body).error, StreamDecodeError)
        return
    assert message_of(read(body)).content == "Hi"
    assert message_of(read_json(body)).content == "Hi"


def test_json_in_lines_is_no_stream() -> None:
    """Only an object that is whole on its first line may be a chunk."""
    body = json.dumps({"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}, indent=1)
    assert message_of(read(body.encode())).content == "Hi"
    assert read(b'{"a":1}\nnonsense').error is not None
    assert read(b'{"a":1}\n').error is not None


@pytest.mark.parametrize("glue", [b"", b" ", b",", b"data: "])
def test_two_objects_in_one_line(glue: bytes) -> None:
    line = A[6:].strip() + glue + STOP[6:].strip()
    assert message_of(read(b"data: " + line + b" [DONE]\n\n")).content == "Hi"
    assert read(b"data: " + line + b" nonsense\n\n").error is not None
    assert isinstance(read(b"data: " + A[6:].strip() + b'\ndata: {"cut\n\n').error, StreamDecodeError)


def test_a_whole_answer_without_a_choice_is_none() -> None:
    reading = read_json(b'{"id":"a","object":"chat.completion","created":1,"model":"m","choices":[]}')
    assert isinstance(reading.error, InvalidResponseError)
    assert read_json(whole({"content": "a"}, "")).completion.choices[0].finish_reason is None  # type: ignore[union-attr]
    odd = whole({"content": "a", "function_call": {"name": "f", "arguments": '{"a":1}{"a":1}'}})
    assert message_of(read_json(odd)).function_call.arguments == '{"a":1}'


# --- pages, encodings, announcements ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (
            b"<!DOCTYPE html><html><head><script>x<1</script><title> Just a\n moment... </title></head>",
            "Just a moment...",
        ),
        (
            b"\xef\xbb\xbf\n<html><style>b{}</style><!-- no --><body><h1>Sign in</h1> to <b>go&amp;on</b>",
            "Sign in to go&on",
        ),
        (b"<html><title>" + b"x" * 5000, "x" * 120),
    ],
)
def test_a_page_is_quoted(page: bytes, words: str) -> None:
    assert page_title(page) == f"an HTML page, {words!r}"
    for error in (read_stream([page]).error, read_json(page).error):
        assert isinstance(error, InvalidResponseError)
        assert words in str(error)
    assert page_title(b"<html></html>") == page_title(b'{"a":1}') == ""


def test_an_encoding_that_was_not_asked_for_is_named() -> None:
    parser = StreamParser(ResponseHead(200, "h", {"content-encoding": "zstd"}), ChatCompletionChunk, Dialect())
    parser.feed(b"(\xb5/\xfd")
    parser.end()
    assert "encoding 'zstd'" in str(parser.error)


def test_a_body_that_is_announced_too_large_is_not_read() -> None:
    head = ResponseHead(200, "h", {"content-length": str(MAX_JSON_BYTES + 1)})
    parser = StreamParser(head, ChatCompletionChunk, Dialect())
    parser.feed(b'{"choices"')
    assert "announced" in str(parser.error)


# --- the rest ---------------------------------------------------------------------------------------------------------


def test_blocks_and_tags_at_their_edges() -> None:
    """What the user changed, what ends in text, and what was held back at the end."""
    image: Any = {"type": "image_url", "image_url": {"url": "u"}}
    message = ChatCompletionMessage(
        role="assistant", content="other", extra={"content_blocks": [{"type": "text", "text": "a"}, image]}
    )
    body = json.loads(encode_request({"model": "m", "messages": [message]}, stream=False))
    assert body["messages"][0]["content"] == [{"type": "text", "text": "other"}, image]
    parts = ExtraParts()
    parts.add({"content_blocks": [image]})
    parts.add({"content_blocks": [{"type": "text", "text": "a"}]})
    assert parts.build() == {"content_blocks": [image]}
    mixed = ExtraParts(latest_wins=True)
    for value in ({"a": 1}, [1]):
        mixed.add({"x": value})
    assert mixed.build() == {"x": [1]}
    blank = ExtraParts()
    blank.add({"x": [{"type": "a", "index": 0, "url": "", "text": "b"}]})
    blank.add({"x": [{"type": "a", "index": 0, "url": "u", "text": "c"}]})
    assert blank.build() == {"x": [{"type": "a", "index": 0, "url": "u", "text": "bc"}]}
    assert whole_arguments('{"a":') == ('{"a":', None)
    assert whole_arguments('{"a":[{}]}') == ('{"a":[{}]}', None)
    two = TwoTexts()
    assert [two.add("tags", " "), two.add("field", "a"), two.add("tags", "a")] == [" ", "a", ""]


@pytest.mark.parametrize(
    ("tags", "deltas", "expected"),
    [
        ("open", [("The user", "The "), ("", "")], (None, "The user")),
        ("open", [("The", "The user"), ("", "")], ("The", "The user")),
        ("open", [("a", "b"), ("c</think>d", "")], ("bac</think>d"[1:], "b")),
        ("think", [("", "abc"), ("<think>ab<", "")], ("<think>ab<", "abc")),
        ("think", [("", "abc"), ("<think>ab", "")], (None, "abc")),
    ],
)
def test_tags_beside_reasoning_at_the_end(
    tags: Any, deltas: list[tuple[str, str]], expected: tuple[str | None, str]
) -> None:
    """Nothing is lost, and the content of a server that splits is left alone."""
    filtered: ThinkFilter[ChatCompletionChunk] = ThinkFilter(tags)
    accumulator = Accumulator()
    for content, reasoning in deltas:
        delta = ChoiceDelta(content=content or None, reasoning_content=reasoning or None)
        accumulator.extend(filtered.split([ChatCompletionChunk(choices=[ChunkChoice(delta=delta)])]))
    accumulator.extend(filtered.rest())
    message = accumulator.snapshot.choices[0].message
    assert (message.content, message.reasoning_content) == expected


def test_a_whole_answer_that_thinks_twice() -> None:
    message = ChatCompletionMessage(role="assistant", content="<think>\na</think>b", reasoning_content="a")
    split_completion(ChatCompletion(choices=[Choice(message=message)]), "think")
    assert (message.content, message.reasoning_content) == ("b", "a")


def test_an_error_of_a_choice_that_broke_is_told_at_its_end() -> None:
    """With all that the choice said, and its finish_reason."""
    reading = read(A, event({}, "error", error={"message": "died", "code": 502}), DONE)
    assert isinstance(reading.error, StreamServerError)
    assert (reading.error.status_code, reading.error.finish_reason) == (502, "error")


def test_images_for_a_page() -> None:
    """Each with its type where its address tells it; one without an address is left out."""
    images: list[Any] = [
        {"type": "image_url", "image_url": {"url": "data:image/webp;base64,AA"}},
        {"type": "image", "url": "https://x.test/a"},
        {"type": "image_url", "image_url": "data:,x"},
        {"type": "image"},
    ]
    parts = "".join(UIMessageEncoder()(ImagesFrame(images=images)) or ())
    assert [part in parts for part in ("image/webp", "https://x.test/a", "image/png", "data:,x")] == [True] * 4


def test_a_call_that_says_something_else_stays() -> None:
    """It has no name, so nobody runs it; what its vendor says is not lost."""
    (call,) = message_of(read_json(whole({"tool_calls": [{"id": "a", "vendor": 1}]}))).tool_calls
    assert (call.id, call.function.name, call.extra) == ("a", "", {"vendor": 1})


def test_a_gateway_makes_no_count_up() -> None:
    events = ChunkEvents(completion_id="c", created=1, include_usage=True)
    events.add([ChatCompletionChunk(choices=[ChunkChoice()], usage=CompletionUsage(completion_tokens=None))])
    assert b"usage" not in events.done()


def test_halves_of_other_texts() -> None:
    """A custom tool's input, a choice without delta, and text that is empty in between."""
    piece = b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,%b"custom":{%b"input":"%b"}}]}},5]}\n\n'
    first = piece % (b'"id":"a","type":"custom",', b'"name":"sh",', b"x\\ud83d")
    assert (
        message_of(read(first, piece % (b"", b"", b"\\ude00"), STOP, DONE)).tool_calls[0].custom.input == "x\U0001f600"
    )
    assert message_of(read(first, DONE)).tool_calls[0].custom.input == "x\ufffd"
    text = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n'
    assert message_of(read(text % b"a\\ud83d", text % b"", text % b"\\ude00", STOP, DONE)).content == "a\U0001f600"


def test_a_function_call_in_pieces_is_none_of_nothing() -> None:
    deltas: list[Any] = [{"name": "f", "arguments": ""}, {"arguments": ""}, {"arguments": "{}"}]
    parts = [event({"function_call": one, "content": None}) for one in deltas]
    call = message_of(read(*parts, event({}, "function_call"), DONE)).function_call
    assert (call.name, call.arguments) == ("f", "{}")
    chunks, _, _ = parse([event({"function_call": {"arguments": ""}, "vendor": 1})])
    assert chunks[0].choices[0].delta.function_call is not None


def test_a_call_of_nothing_that_only_has_an_id() -> None:
    call: Any = {"tool_calls": [{"index": 0, "id": "x", "type": "function", "function": {"name": "", "arguments": ""}}]}
    reading = read(A, event(call), STOP, DONE)
    assert (message_of(reading).tool_calls, "tool_call_empty" in reading.quirks) == (None, True)


@pytest.mark.parametrize(
    ("named", "field", "status"),
    [
        (b"", b"status:429", 429),
        (b"event:error\n", b"status: 429", 429),
        (b"event:error\n", b"status:ok", 500),
        (b"event:error\n", b"status:200", 500),
    ],
)
def test_the_status_that_a_field_of_an_event_names(named: bytes, field: bytes, status: int) -> None:
    """DashScope sends it before the data, and no other event has it."""
    body = b'{"code":"Odd","message":"bad"}'
    reading = read(event({"content": "Hel"}), b"id:1\n" + named + field + b"\ndata:" + body + b"\n\n")
    assert isinstance(reading.error, StreamServerError)
    assert (reading.error.status_code, message_of_partial(reading)) == (status, "Hel")
    assert read(b"status:200\n" + event({"content": "a"}), event({}, "stop"), DONE).error is None


@pytest.mark.parametrize("field", [b"Data: ", b" data:", b"data : ", b"DATA:"])
def test_a_field_that_is_spelled_otherwise(field: bytes) -> None:
    """It is read, and named as what a standard parser would not have seen."""
    good = event({"content": "a"})
    reading = read(good, field + event({"content": "b"}).removeprefix(b"data: "), event({}, "stop"), DONE)
    assert message_of(reading).content == "ab"
    assert reading.quirks == ("line_without_data",)
    assert getattr(read(field + good.removeprefix(b"data: "), DONE, mode="strict").error, "rule", "") == (
        "line_without_data"
    )


@pytest.mark.parametrize("text", ['"{', '"{}"x', '"{\\ud83d}"'])
def test_text_that_holds_no_object(text: str) -> None:
    """It is no chunk."""
    assert isinstance(read(event({"content": "a"}), b"data: " + text.encode() + b"\n\n").error, StreamDecodeError)


def test_a_list_of_chunks() -> None:
    """As some send what came at once."""
    chunks = [event({"content": text}).removeprefix(b"data: ").strip() for text in "abc"]
    reading = read(b"data: [" + b",".join(chunks) + b"]\n\n", event({}, "stop"), DONE)
    assert (message_of(reading).content, reading.quirks) == ("abc", ("events_glued",))


def test_counts_of_an_empty_struct_erase_nothing() -> None:
    """A server in Go sends zeros where it has no counts."""
    counts = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    none = dict.fromkeys(counts, 0)
    chunks = [data({"id": "c1", "choices": [], "usage": usage}) for usage in (none, counts, none)]
    reading = read(event({"content": "a"}), event({}, "stop"), *chunks, DONE)
    assert reading.completion is not None
    assert reading.completion.usage is not None
    assert reading.completion.usage.total_tokens == 7


def test_counts_in_camel_case() -> None:
    """They are the same counts."""
    usage = {"promptTokens": 3, "completionTokens": 4, "totalTokens": 7}
    reading = read(event({"content": "a"}), event({}, "stop"), data({"id": "c1", "choices": [], "usage": usage}), DONE)
    assert reading.completion is not None
    assert reading.completion.usage is not None
    assert (reading.completion.usage.prompt_tokens, reading.completion.usage.total_tokens) == (3, 7)
    assert reading.quirks == ("usage_other_names",)
