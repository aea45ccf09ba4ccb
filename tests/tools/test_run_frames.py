"""A run as frames: all rounds one answer, for a browser at a websocket, server-sent events, and sessions."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from opeai_async import (
    AsyncOpeAI,
    ConcurrentReadError,
    ConfigurationError,
    ContentFrame,
    DoneFrame,
    ErrorFrame,
    Frame,
    RoundFrame,
    StartFrame,
    StreamInterruptedError,
    StreamSession,
    TextPart,
    Tool,
    ToolCallFrame,
    ToolFinishedFrame,
    ToolStartedFrame,
    sse,
)
from opeai_async._core.frames.algebra import width
from opeai_async.testing import OpeAIServer
from tests.support.reading.chunks import BODY
from tests.support.reading.reassembled import by_frames
from tests.support.reading.relayed import Page


async def clock(zone: str) -> str:
    """What time it is."""
    return f"12:00 {zone}"


async def draw() -> list[TextPart]:
    """Draw a map."""
    return [TextPart(text="a map")]


async def fail() -> None:
    """Fail."""
    raise LookupError("hunter2")


TOOLS = [clock, draw, fail]


def two_rounds(server: OpeAIServer) -> None:
    server.reply("I look. ", reasoning="Hm.", tool_calls=[("clock", {"zone": "cet"}), ("draw", {})])
    server.reply("Once more. ", tool_calls=[("clock", {"zone": "utc"})])
    server.reply("Noon.")


def told(frames: list[Frame]) -> list[str]:
    return [str(type(frame).__struct_config__.tag) for frame in frames]


async def test_all_rounds_are_one_answer(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """One start, one end, offsets without a gap; calls are counted over all rounds, and their tools by the same."""
    two_rounds(server)
    frames = [frame async for frame in client.chat.completions.run(tools=TOOLS, **BODY).frames()]
    offset = 0
    for frame in frames:
        offset += width(frame)
        assert frame.offset == offset
    assert frames[0] == StartFrame(v=1, id="chatcmpl-00000001", model="m", offset=1)
    assert told(frames).count("start") == 1
    assert [(frame.round, frame.id) for frame in frames if isinstance(frame, RoundFrame)] == [
        (2, "chatcmpl-00000002"),
        (3, "chatcmpl-00000003"),
    ]
    said = by_frames(frames)[0]
    assert (said["reasoning"], said["content"]) == ("Hm.", "I look. Once more. Noon.")
    assert [(call["id"], call["name"], call["arguments"]) for call in said["calls"].values()] == [
        ("call_00000001_0", "clock", '{"zone":"cet"}'),
        ("call_00000001_1", "draw", "{}"),
        ("call_00000002_0", "clock", '{"zone":"utc"}'),
    ]
    started = [(frame.index, frame.id, frame.name) for frame in frames if isinstance(frame, ToolStartedFrame)]
    assert started == [(index, call["id"], call["name"]) for index, call in said["calls"].items()]
    finished = [frame for frame in frames if isinstance(frame, ToolFinishedFrame)]
    assert sorted(frame.index for frame in finished) == [0, 1, 2]
    assert {(frame.error, frame.result) for frame in finished} == {(None, None)}
    last = frames[-1]
    assert isinstance(last, DoneFrame)
    assert (last.reason, last.finish_reason) == ("completed", "stop")
    assert last.usage is not None
    assert last.usage.total_tokens > 0
    assert sum(isinstance(frame, (DoneFrame, ErrorFrame)) for frame in frames) == 1


async def test_results_are_shown_where_that_is_wished(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """Text and parts; they may be for the model only, so it has to be said."""
    two_rounds(server)
    run = client.chat.completions.run(tools=TOOLS, **BODY)
    frames = [frame async for frame in run.frames(results=True) if isinstance(frame, ToolFinishedFrame)]
    assert sorted((frame.index, msgspec.to_builtins(frame.result)) for frame in frames) == [
        (0, "12:00 cet"),
        (1, [{"type": "text", "text": "a map"}]),
        (2, "12:00 utc"),
    ]


async def test_a_result_that_is_json_is_marked(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """A text that a tool returned stays one, even if it looks like JSON."""

    def number() -> int:
        return 20

    def text() -> str:
        return "20"

    server.reply(tool_calls=[("number", {}), ("text", {}), ("fail", {}), ("draw", {})])
    server.reply("Done.")
    run = client.chat.completions.run(tools=[number, text, fail, draw], **BODY)
    finished = [frame async for frame in run.frames(results=True) if isinstance(frame, ToolFinishedFrame)]
    assert {frame.name: (frame.result, frame.is_json) for frame in finished if frame.name != "fail"} == {
        "number": ("20", True),
        "text": ("20", False),
        "draw": ([TextPart(text="a map")], False),
    }
    assert not any(frame.is_json for frame in finished if frame.error)


async def test_calls_of_an_earlier_run_are_counted_first(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """They are marked, because no frame announces them; those that are new come behind them, calls and tools alike."""
    server.reply(tool_calls=[("clock", {"zone": "cet"})])
    asked = await client.chat.completions.run(tools=[Tool.from_function(clock, needs_approval=True)], **BODY)
    server.reply(tool_calls=[("clock", {"zone": "utc"})])
    server.reply("Noon.")
    body = {**BODY, "messages": asked.messages}
    run = client.chat.completions.run(tools=TOOLS, approvals={asked.pending_calls[0].id: True}, **body)
    frames = [frame async for frame in run.frames()]
    assert [(frame.index, frame.resumed) for frame in frames if isinstance(frame, ToolFinishedFrame)] == [
        (0, True),
        (1, False),
    ]
    assert {frame.index for frame in frames if isinstance(frame, ToolCallFrame)} == {1}


async def test_the_json_of_tools(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """As the protocol has it."""
    server.reply(tool_calls=[("fail", {})])
    frames = [frame async for frame in client.chat.completions.run(tools=TOOLS, **BODY).frames()]
    rows = [msgspec.json.decode(msgspec.json.encode(frame)) for frame in frames]
    started, finished = [row for row in rows if row["type"].startswith("tool_")][-2:]
    assert started == {
        "type": "tool_started",
        "index": 0,
        "id": "call_00000001_0",
        "name": "fail",
        "offset": started["offset"],
    }
    assert finished.pop("duration_s") >= 0
    assert finished == {
        "type": "tool_finished",
        "index": 0,
        "id": "call_00000001_0",
        "name": "fail",
        "error": "failed",
        "offset": started["offset"] + 1,
    }


# --- to a client -----------------------------------------------------------------------------------------------------


async def test_a_run_is_relayed(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """The whole of it is one answer to the browser; the messages are in ``result_so_far``."""
    two_rounds(server)
    page = Page()
    run = client.chat.completions.run(tools=TOOLS, **BODY)
    result = await run.relay(page.send, page.receive, window=0.0)
    assert (result.reason, result.error) == ("completed", None)
    assert result.completion is not None
    assert result.completion.choices[0].message.content == "Noon."
    assert result.usage == run.result_so_far.usage
    assert result.chunks > 10
    assert told(page.frames)[-1] == "done"
    assert "tool_finished" in told(page.frames)
    assert len(run.result_so_far.new_messages) == 6


async def test_a_client_may_stop_a_run_while_a_tool_runs(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """The tool is cancelled, and the end tells of it."""
    ended: list[str] = []

    async def sleep() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cancelled")

    server.reply("I rest.", tool_calls=[("sleep", {})])
    page = Page()
    run = client.chat.completions.run(tools=[sleep], **BODY)
    relaying = asyncio.create_task(run.relay(page.send, page.receive))
    await page.until(ToolStartedFrame)
    page.say("stop")
    assert (await relaying).reason == "stopped"
    assert ended == ["cancelled"]
    last = page.frames[-1]
    assert isinstance(last, DoneFrame)
    assert last.reason == "stopped"


async def test_a_client_that_leaves_ends_the_run(server: OpeAIServer, client: AsyncOpeAI) -> None:
    ended: list[str] = []

    async def sleep() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cancelled")

    server.reply(tool_calls=[("sleep", {})])
    page = Page()
    run = client.chat.completions.run(tools=[sleep], **BODY)
    relaying = asyncio.create_task(run.relay(page.send, page.receive))
    await page.until(ToolStartedFrame)
    page.leave()
    assert (await relaying).reason == "disconnected"
    assert ended == ["cancelled"]


async def test_an_error_is_the_last_frame(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """What was held back of the broken answer comes before it."""
    server.reply("I look.", tool_calls=[("clock", {"zone": "cet"})])
    server.cut(tool_calls=[("clock", {}), ("draw", {})])
    source = client.chat.completions.run(tools=TOOLS, **BODY).frames()
    frames = [frame async for frame in source]
    last = frames[-1]
    assert isinstance(last, ErrorFrame)
    assert last.code == "interrupted"
    assert isinstance(source.error, StreamInterruptedError)
    assert [frame.index for frame in frames if isinstance(frame, ToolCallFrame) and frame.name] == [0, 1, 2]
    assert await source.read() == []


async def test_what_a_tool_raises_is_raised_when_the_client_was_told(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """Where that is wished; the client is told nothing of it."""
    server.reply(tool_calls=[("fail", {})])
    page = Page()
    run = client.chat.completions.run(tools=TOOLS, on_error="raise", **BODY)
    with pytest.raises(LookupError, match="hunter2"):
        await run.relay(page.send, page.receive)
    last = page.frames[-1]
    assert isinstance(last, ErrorFrame)
    assert (last.code, last.message) == ("failed", "The answer failed.")


async def test_a_run_as_server_sent_events(server: OpeAIServer, client: AsyncOpeAI) -> None:
    two_rounds(server)
    data = b"".join([part async for part in sse(client.chat.completions.run(tools=TOOLS, **BODY).frames())])
    types = [msgspec.json.decode(line[6:])["type"] for line in data.split(b"\n") if line.startswith(b"data: ")]
    assert types[0] == "start"
    assert types[-1] == "done"
    assert types.count("tool_finished") == 3
    assert types.count("round") == 2


async def test_a_run_as_a_session(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """Readers may come late, and go on anywhere."""
    two_rounds(server)
    run = client.chat.completions.run(tools=TOOLS, **BODY)
    async with StreamSession.start(run.frames()) as session:
        assert (await session.completion()).choices[0].message.content == "Noon."
        whole = [frame async for frame in session.subscribe()]
        for after in range(session.offset):
            rest = [frame async for frame in session.subscribe(after)]
            assert sum(map(width, rest)) == session.offset - after
    assert by_frames(whole)[0]["content"] == "I look. Once more. Noon."


# --- ends, and misuse ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cut", "reason"), [(False, "cancelled"), (True, "truncated")])
async def test_done_tells_how_it_ended(server: OpeAIServer, client: AsyncOpeAI, cut: bool, reason: str) -> None:
    if cut:
        server.cut("I look.", how="clean")
    else:
        server.stall("I look.", after=3)
    run = client.chat.completions.run(tools=TOOLS, on_truncated="return", **BODY)
    frames: list[Frame] = []
    async for frame in run.frames():
        frames.append(frame)
        if isinstance(frame, ContentFrame) and not cut:
            run.cancel()
    last = frames[-1]
    assert isinstance(last, DoneFrame)
    assert last.reason == reason


async def test_a_run_that_is_stopped_before_it_begins(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """There is an end all the same, and nothing is known."""
    source = client.chat.completions.run(tools=TOOLS, **BODY).frames()
    assert (source.completion, source.usage, source.error, source.chunks, source.offset) == (None, None, None, 0, 0)
    source.stop()
    assert await source.read() == [DoneFrame(reason="stopped", offset=1)]
    assert not server.requests


async def test_the_message_so_far_is_known(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """That of the round before, until the next one says something."""
    two_rounds(server)
    run = client.chat.completions.run(tools=TOOLS, **BODY)
    source = run.frames()
    contents: list[str | None] = []
    async for _ in source:
        completion = source.completion
        assert completion is not None
        contents.append(completion.choices[0].message.content)
    assert contents[-1] == "Noon."
    assert "I look. " in contents
    assert None not in contents[1:]
    assert source.usage == run.result_so_far.usage
    await source.aclose()


async def test_reading_a_run_twice_at_once_harms_nothing(server: OpeAIServer, client: AsyncOpeAI) -> None:
    server.stall("one two", after=1)
    run = client.chat.completions.run(tools=TOOLS, **BODY)
    source = run.frames()
    await source.read()
    reading = asyncio.create_task(source.read())
    await asyncio.sleep(0)
    with pytest.raises(ConcurrentReadError):
        await run.frames().read()
    source.stop()
    assert told(await reading)[-1] == "done"


async def test_another_event_loop_is_refused(server: OpeAIServer, client: AsyncOpeAI) -> None:
    server.stall("one two", after=1)
    source = client.chat.completions.run(tools=TOOLS, **BODY).frames()
    await source.read()

    def elsewhere() -> Any:
        return asyncio.run(source.read())

    with pytest.raises(ConfigurationError, match="another event loop"):
        await asyncio.to_thread(elsewhere)
    source.stop()
    assert told(await source.read()) == ["done"]
