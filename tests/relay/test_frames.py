"""A stream as frames."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from opeai_async import ConcurrentReadError, StreamInterruptedError
from opeai_async._relay.frames import StreamFrames, is_last
from opeai_async.testing import QUIRKS, Break, Pause, Reply, speak
from opeai_async.types.frames import ContentFrame, DoneFrame, ErrorFrame, Frame, PingFrame, StartFrame, ToolCallFrame
from tests.support.clients import stream_of
from tests.support.reading.chunks import ANSWER, DONE, FINISH, event, events
from tests.support.reading.reassembled import assert_well_formed, by_completion, by_frames

REPLY = Reply("Grüße, 世界 👋", reasoning="Hm.", tool_calls=[("get_time", {}), ("get_weather", {"city": "Zürich"})])
WHOLE = sorted(name for name, quirk in QUIRKS.items() if quirk.expect in ("same", "changed") and name != "gzip")


async def frames_of(*steps: Any) -> tuple[list[Frame], StreamFrames]:
    source = StreamFrames(stream_of(*steps)[0])
    return [frame async for frame in source], source


async def test_frames_one_by_one() -> None:
    frames, source = await frames_of(events("a"), events("b") + FINISH + DONE)
    assert [type(frame) for frame in frames] == [StartFrame, ContentFrame, ContentFrame, DoneFrame]
    assert_well_formed(frames)
    assert (source.offset, source.chunks, source.error) == (4, 3, None)


async def test_each_read_brings_all_that_is_there() -> None:
    """Reads that bring no frame are passed over; after the last, there is nothing."""
    stream, _ = stream_of(events("a", "b"), event(""), FINISH + DONE)
    source = StreamFrames(stream)
    reads = [await source.read() for _ in range(4)]
    assert [len(frames) for frames in reads] == [2, 1, 0, 0]
    assert [is_last(frame) for frames in reads for frame in frames] == [False, False, True]


@pytest.mark.parametrize("name", WHOLE)
async def test_every_dialect_adds_up_to_the_completion(name: str) -> None:
    frames, source = await frames_of(*speak(REPLY, [name]))
    assert_well_formed(frames)
    assert source.completion is not None
    assert by_frames(frames) == by_completion(source.completion)


async def test_what_was_held_back_comes_before_the_end() -> None:
    """Empty arguments might have stood for "none yet"."""
    call = {"index": 0, "id": "t", "function": {"name": "f", "arguments": "{}"}}
    chunk = event(choices=[{"index": 0, "delta": {"tool_calls": [call]}}])
    frames, _ = await frames_of(chunk, FINISH + DONE)
    assert [frame.arguments for frame in frames if isinstance(frame, ToolCallFrame)] == ["", "{}"]
    assert is_last(frames[-1])


async def test_before_the_first_read() -> None:
    """Nothing is known, and nothing was sent."""
    stream, transport = stream_of(ANSWER)
    source = StreamFrames(stream)
    assert (source.completion, source.usage, source.error, source.chunks, source.offset) == (None, None, None, 0, 0)
    await source.aclose()
    assert transport.requests == []


async def test_a_usage_alone_is_something() -> None:
    _, source = await frames_of(event(choices=[], usage={"total_tokens": 3}), DONE)
    assert source.completion is not None
    assert source.usage is not None
    assert source.completion.usage == source.usage


async def test_an_error_is_a_frame() -> None:
    frames, source = await frames_of(events("a"), Break())
    assert isinstance(frames[-1], ErrorFrame)
    assert isinstance(source.error, StreamInterruptedError)
    assert source.timing.total_s is not None


async def test_a_second_reader_is_refused() -> None:
    """That is a mistake of the program, and not how the answer ended."""
    stream, _ = stream_of(events("a"), Pause())
    reading = asyncio.ensure_future(StreamFrames(stream).read())
    await asyncio.sleep(0)
    with pytest.raises(ConcurrentReadError):
        await StreamFrames(stream).read()
    reading.cancel()
    await asyncio.wait([reading])
    await stream.aclose()


async def test_a_cancelled_read_loses_nothing() -> None:
    stream, _ = stream_of(events("a"), Pause(0.01), events("b") + FINISH + DONE)
    source = StreamFrames(stream)
    frames = await source.read()
    reading = asyncio.ensure_future(source.read())
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])
    frames += [frame async for frame in source]
    assert_well_formed(frames)
    assert [frame.text for frame in frames if isinstance(frame, ContentFrame)] == ["a", "b"]


async def test_a_stop_while_it_waits() -> None:
    """What had come is there, and the end says that it was stopped."""
    stream, transport = stream_of(events("a"), Pause())
    source = StreamFrames(stream)
    asyncio.get_running_loop().call_soon(source.stop)
    frames = [frame async for frame in source]
    assert frames[-1] == DoneFrame(reason="stopped", offset=frames[-1].offset)
    assert [response.end for response in transport.responses] in ([], ["aborted"])


async def test_a_stop_after_the_end_comes_too_late() -> None:
    frames, source = await frames_of(ANSWER)
    source.stop()
    assert frames[-1].reason == "completed"  # type: ignore[union-attr]
    assert await source.read() == []


async def test_a_stop_with_the_end_in_hand() -> None:
    """All has been read: the answer is whole."""
    stream, _ = stream_of(ANSWER)
    source = StreamFrames(stream)
    frames = await source.read()
    source.stop()
    frames += await source.read()
    assert frames[-1].reason == "completed"  # type: ignore[union-attr]


async def test_a_stop_of_what_has_failed() -> None:
    """It was not completed: what the reader wanted is what it is told."""
    stream, _ = stream_of(events("a"), Break())
    source = StreamFrames(stream)
    await source.read()
    with pytest.raises(StreamInterruptedError):
        await stream.completion()
    source.stop()
    (last,) = await source.read()
    assert last == DoneFrame(reason="stopped", offset=3)
    assert isinstance(source.error, StreamInterruptedError)


async def test_closing_is_leaving() -> None:
    """May be done again, and ends the upstream."""
    stream, transport = stream_of(events("a"), Pause())
    source = StreamFrames(stream)
    await source.read()
    await source.aclose()
    await source.aclose()
    assert transport.responses[-1].end == "aborted"


def test_a_ping_is_not_the_last() -> None:
    assert not is_last(PingFrame())
