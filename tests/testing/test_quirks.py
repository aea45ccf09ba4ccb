"""Every quirk is spoken as its row says, and the client makes of it what it must, wherever the bytes are cut."""

import zlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import msgspec
import pytest

from opeai_async import AsyncOpeAI
from opeai_async._core.answer.outcome import Outcome
from opeai_async.errors import BadRequestError, OpeAIError, StreamDecodeError
from opeai_async.testing import QUIRKS, Expected, OpeAIServer, Reply, expected, speak
from opeai_async.testing.quirks import quirks_named
from opeai_async.testing.script.compose import Envelope
from tests.testing.reading import Reading, cuts_of, differences, read_stream, read_whole
from tests.testing.wire import BODY, STREAM, ask, exchange

REPLIES = {
    "everything": Reply(
        "Grüße, 世界 👋 and more words.\n\nThat is all.",
        reasoning="Let me think: naïve, 思考, 🤔.",
        tool_calls=[("get_weather", {"city": "Zürich", "days": 3}), ("get_population", {"city": "東京", "year": None})],
    ),
    "two choices": Reply(
        ["First one", "Second, longer one"], tool_calls=[("get_time", {}), ("get_date", {"zone": "UTC"})]
    ),
    "text": Reply("Hello there"),
}

BYTES_ARE_NOT_ENOUGH = {name for name, quirk in QUIRKS.items() if quirk.expect == "status_error"} | {"gzip"}
BY_BYTES = sorted(set(QUIRKS) - BYTES_ARE_NOT_ENOUGH)

# These show in the head, in the end of the connection, or only for some requests.
ONLY_IN_HEADERS = {
    "reasoning_required",
    "content_type_wrong",
    "content_type_text",
    "content_type_missing",
    "done_held_open",
}


# --- the client makes the right thing of it ---------------------------------------------------------------------------


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
@pytest.mark.parametrize("name", BY_BYTES)
def test_a_stream_with_a_quirk_is_read_right(name: str, reply: Reply) -> None:
    """Text, reasoning, tool calls, usage and end are those of the plain answer, or differ as the quirk says."""
    parts, wanted = speak(reply, [name]), expected(reply, [name])
    for cut in cuts_of(parts, seed=len(name)):
        assert differences(read_stream(cut), wanted) == []


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
@pytest.mark.parametrize("name", BY_BYTES)
def test_a_completion_with_a_quirk_is_read_right(name: str, reply: Reply) -> None:
    """The same without streaming."""
    body = b"".join(speak(reply, [name], stream=False))
    assert differences(read_whole(body), expected(reply, [name], stream=False)) == []


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
@pytest.mark.parametrize("name", BY_BYTES)
def test_what_needs_a_repair_is_noted_and_nothing_else(name: str, reply: Reply) -> None:
    """`rule` is exactly what `stream.quirks` holds; a row without one costs no repair."""
    assert set(read_stream(speak(reply, [name])).quirks) == expected(reply, [name]).rules


@pytest.mark.parametrize("name", BY_BYTES)
def test_a_strict_reading_stops_at_the_rule(name: str) -> None:
    """`dialect="strict"` names the rule that would have acted; what needs none, it reads as ever."""
    reply = REPLIES["everything"]
    wanted, reading = expected(reply, [name]), read_stream(speak(reply, [name]), "strict")
    if wanted.rules and wanted.ends != "server_error":
        assert isinstance(reading.error, StreamDecodeError)
        assert reading.error.rule in wanted.rules
    else:
        assert differences(reading, wanted) == []


@pytest.mark.parametrize(
    "names",
    [
        ["tool_index_missing", "tool_id_missing", "no_space", "done_missing"],
        ["role_null", "finish_empty", "tool_id_empty", "tool_name_repeated", "usage_on_every_chunk", "crlf"],
        ["reasoning_alias", "choices_null", "comments", "bom", "mixed_line_ends"],
        ["json_for_stream", "content_blocks", "leading_white_space"],
        ["tool_calls_interleaved", "tool_index_holes", "tool_id_repeated", "id_changes"],
        ["envelope_missing", "error_flat", "cr"],
        ["arguments_object", "tool_index_null", "call_id_number", "count_text"],
    ],
)
def test_a_stream_with_several_quirks_is_read_right(names: list[str]) -> None:
    """Real servers have more than one; they add up."""
    reply = REPLIES["everything"]
    for cut in cuts_of(speak(reply, names), seed=7):
        assert differences(read_stream(cut), expected(reply, names)) == []


# --- over HTTP --------------------------------------------------------------------------------------------------------


OVER_HTTP = Reply("Hello", reasoning="Hm", tool_calls=[("find", {"a": 1}), ("get", {"b": 2})])


@pytest.fixture
async def client(server: OpeAIServer) -> AsyncIterator[AsyncOpeAI]:
    async with server.client(max_retries=0) as client:
        yield client


@pytest.mark.parametrize("name", QUIRKS)
async def test_a_client_reads_a_stream_with_a_quirk_right(name: str, server: OpeAIServer, client: AsyncOpeAI) -> None:
    """Headers, status and the connection's end count here too."""
    server.answer(replace(OVER_HTTP, quirks=[name]))
    request: Any = {**BODY, "stream_options": {"include_usage": True}}
    reading = Reading(Outcome.OPEN, None, None, ())
    try:
        stream = await client.chat.completions.create(**request, stream=True)
    except OpeAIError as exc:
        reading.error = exc
    else:
        try:
            reading.completion = await stream.completion()
        except OpeAIError as exc:
            reading.error, reading.completion = exc, getattr(exc, "partial", None)
        reading.outcome, reading.quirks = stream.outcome, stream.quirks
    assert differences(reading, _as_served(reading, name, {**request, "stream": True})) == []


@pytest.mark.parametrize("name", QUIRKS)
async def test_a_client_reads_a_completion_with_a_quirk_right(
    name: str, server: OpeAIServer, client: AsyncOpeAI
) -> None:
    if name == "done_held_open":
        pytest.skip("a JSON body that is never ended is never read")
    server.answer(replace(OVER_HTTP, quirks=[name]))
    request: Any = BODY
    reading = Reading(Outcome.COMPLETE, None, None, ())
    try:
        reading.completion = await client.chat.completions.create(**request)
        reading.quirks = reading.completion.meta.quirks
    except OpeAIError as exc:
        reading.error, reading.completion = exc, getattr(exc, "partial", None)
    assert differences(reading, _as_served(reading, name, request)) == []


async def test_reasoning_goes_back_with_the_tool_results(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """The message that came is accepted as it is, where one without its reasoning is refused."""
    server.answer(replace(OVER_HTTP, quirks=["reasoning_required"]), times=3)
    first = await client.chat.completions.create(**BODY)
    said = first.choices[0].message
    results: list[Any] = [
        {"role": "tool", "tool_call_id": call.id, "content": "1"} for call in said.tool_calls or ()
    ]  # fmt: skip
    messages: list[Any] = [*BODY["messages"], said, *results]
    second = await client.chat.completions.create(model="m", messages=messages)
    assert second.choices[0].message.content == "Hello"
    messages[1] = {"role": "assistant", "tool_calls": said.tool_calls}
    with pytest.raises(BadRequestError, match="reasoning_content"):
        await client.chat.completions.create(model="m", messages=messages)


def _as_served(reading: Reading, name: str, request: dict[str, Any]) -> Expected:
    """What is expected of the first answer of a server; its time is taken for granted."""
    created = reading.completion.created if reading.completion is not None else 0
    envelope = Envelope("chatcmpl-00000001", created, "m")
    return expected(OVER_HTTP, [name], stream="stream" in request, request=request, envelope=envelope)


# --- what is spoken ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(QUIRKS) - ONLY_IN_HEADERS))
def test_a_quirk_shows_in_the_bytes(name: str) -> None:
    """No row of the table is without effect: some answer differs from the plain one."""
    ways = [(reply, stream) for reply in REPLIES.values() for stream in (True, False)]
    assert any(speak(reply, [name], stream=stream) != speak(reply, stream=stream) for reply, stream in ways)


@pytest.mark.parametrize("name", QUIRKS)
def test_a_quirk_leaves_the_reply_alone(name: str) -> None:
    """A reply can be used again: its own objects are not changed, and the same bytes come out."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    reply = Reply("Hi", tool_calls=[call], usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3})
    plain = speak(reply), speak(reply, stream=False)
    assert speak(reply, [name]) == speak(reply, [name])
    assert speak(reply, [name], stream=False) == speak(reply, [name], stream=False)
    assert (speak(reply), speak(reply, stream=False)) == plain


@pytest.mark.parametrize("name", QUIRKS)
def test_a_quirk_leaves_the_table_alone(name: str) -> None:
    """What one answer adds to the objects of a row is not in the next answer."""
    reply = REPLIES["everything"]
    before = speak(reply, [name]), speak(reply, [name], stream=False)
    others = ["usage_with_choices", "envelope_null", "finish_missing", "role_empty", "tool_index_null"]
    speak(reply, [name, *others])
    speak(reply, [name, *others], stream=False)
    assert (speak(reply, [name]), speak(reply, [name], stream=False)) == before


@pytest.mark.parametrize("name", QUIRKS)
def test_a_quirk_is_documented(name: str) -> None:
    """It says what is odd and who does so, and an expectation that is not the plain answer is a stated one."""
    quirk = QUIRKS[name]
    assert quirk.name == name
    assert quirk.what
    assert quirk.who
    assert (quirk.right is None) == (quirk.expect in ("same", "too_large", "invalid_response", "status_error"))


def calls_in(parts: list[bytes]) -> list[dict[str, Any]]:
    """The pieces of tool calls in a stream."""
    events = [msgspec.json.decode(part.removeprefix(b"data: ")) for part in parts if part != b"data: [DONE]\n\n"]
    return [
        call
        for event in events
        for choice in event["choices"]
        for call in choice["delta"].get("tool_calls") or ()
    ]  # fmt: skip


WITH_CALLS = Reply(tool_calls=[("get_time", {"a": 1}), ("get_date", {"b": 2})])


def test_tool_index_missing_by_value() -> None:
    """No piece of a tool call has an index."""
    pieces = calls_in(speak(WITH_CALLS, ["tool_index_missing"]))
    assert [sorted(piece) for piece in pieces] == [["function", "id", "type"], ["function"]] * 2


def test_tool_calls_interleaved_by_value() -> None:
    """The pieces alternate; their order within a call stays."""
    pieces = calls_in(speak(WITH_CALLS, ["tool_calls_interleaved"]))
    assert [piece["index"] for piece in pieces] == [0, 1, 0, 1]
    assert [piece["function"]["arguments"] for piece in pieces] == ["", "", '{"a":1}', '{"b":2}']


def test_tool_calls_together_by_value() -> None:
    """One delta holds both calls, whole."""
    parts = speak(WITH_CALLS, ["tool_calls_together"])
    assert sum(b'tool_calls":[' in part for part in parts) == 1
    assert [call["function"] for call in calls_in(parts)] == [
        {"name": "get_time", "arguments": '{"a":1}'},
        {"name": "get_date", "arguments": '{"b":2}'},
    ]


def test_arguments_object_by_value() -> None:
    """Arguments are an object in streams and in completions."""
    assert [c["function"]["arguments"] for c in calls_in(speak(WITH_CALLS, ["arguments_object"]))] == [
        {"a": 1},
        {"b": 2},
    ]
    assert b'"arguments":{"b":2}' in speak(WITH_CALLS, ["arguments_object"], stream=False)[0]


def test_framing_by_value() -> None:
    """The same events, in other lines."""
    plain = b"".join(speak(Reply("Hi")))
    assert b"".join(speak(Reply("Hi"), ["crlf"])) == plain.replace(b"\n", b"\r\n")
    assert b"".join(speak(Reply("Hi"), ["cr"])) == plain.replace(b"\n", b"\r")
    assert b"".join(speak(Reply("Hi"), ["no_space"])) == plain.replace(b"data: ", b"data:")
    assert b"".join(speak(Reply("Hi"), ["bom"])) == b"\xef\xbb\xbf" + plain
    assert b"".join(speak(Reply("Hi"), ["done_missing"])) == plain.removesuffix(b"data: [DONE]\n\n")
    assert b"".join(speak(Reply("Hi"), ["unterminated_event"])) == plain.removesuffix(b"\n\ndata: [DONE]\n\n")


def test_gzip_unpacks_to_the_plain_body() -> None:
    """Each part can be unpacked as soon as it has arrived."""
    unpack = zlib.decompressobj(wbits=31)
    assert [unpack.decompress(part) for part in speak(Reply("Hi"), ["gzip"])][:-1] == speak(Reply("Hi"))
    assert unpack.eof


def test_quirks_apply_in_order() -> None:
    """Those of one level apply one after the other, so the order shows."""
    late_then_zero = calls_in(speak(WITH_CALLS, ["tool_index_from_1", "tool_index_zero"]))
    zero_then_late = calls_in(speak(WITH_CALLS, ["tool_index_zero", "tool_index_from_1"]))
    assert {piece["index"] for piece in late_then_zero} == {0}
    assert {piece["index"] for piece in zero_then_late} == {1}


# --- the server -------------------------------------------------------------------------------------------------------


async def test_the_server_speaks_what_speak_says(server: OpeAIServer, session: aiohttp.ClientSession) -> None:
    """`reply(..., quirks=...)` puts the quirk on the wire, for streams and for completions."""
    server.reply("Hi", quirks=["crlf"], times=2)
    _, stream = await ask(session, server, STREAM)
    _, whole = await ask(session, server)
    assert stream.count(b"\r\n\r\n") == stream.count(b"data: ") > 2
    assert msgspec.json.decode(whole)["choices"][0]["message"]["content"] == "Hi"
    assert [record.outcome for record in server.requests] == ["completed", "completed"]
    assert server.requests[0].chunks_sent == 4


async def test_a_cut_reply_has_its_quirks_too(server: OpeAIServer, session: aiohttp.ClientSession) -> None:
    """Quirks and broken endings go together."""
    server.cut("one two three", after=2, how="clean", quirks=["no_space"])
    _, body = await ask(session, server, STREAM)
    assert body.count(b"data:{") == 2
    assert b"[DONE]" not in body
    assert server.requests[0].outcome == "cut"


@pytest.mark.parametrize("stream", [True, False])
async def test_a_response_without_content_type(server: OpeAIServer, stream: bool) -> None:
    """Not even the one that HTTP libraries add; the body ends with the connection."""
    server.reply("Hi", quirks=["content_type_missing"])
    received, error = await exchange(server, {**BODY, "stream": stream})
    head, _, body = received.partition(b"\r\n\r\n")
    assert error is None
    assert b"content-type" not in head.lower()
    assert b"Hi" in body
    assert server.requests[0].outcome == "completed"


# --- names ------------------------------------------------------------------------------------------------------------


def test_an_unknown_quirk_is_refused_with_a_near_name() -> None:
    """A misspelt name is found where it is written, not when the answer is sent."""
    with pytest.raises(ValueError, match="no quirk named 'tool_index_mising'; did you mean 'tool_index_missing'"):
        Reply("Hi", quirks=["tool_index_mising"])
    with pytest.raises(ValueError, match=r"no quirk named 'zzzz'; see opeai_async\.testing\.QUIRKS"):
        speak(Reply("Hi"), ["zzzz"])


def test_a_text_is_no_list_of_names() -> None:
    """`quirks="crlf"` would be four names."""
    with pytest.raises(ValueError, match="quirks is the text 'crlf', expected a list of names"):
        quirks_named("crlf")


def test_the_table_cannot_be_changed() -> None:
    """It is shared by all tests of a process."""
    with pytest.raises(TypeError):
        QUIRKS["mine"] = QUIRKS["crlf"]  # type: ignore[index]
