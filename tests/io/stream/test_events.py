"""`stream.events()` over a client: what comes, in which order, and how it ends."""

import pytest

from opeai_async import StreamTruncatedError
from tests.support.clients import stream_of
from tests.support.reading.chunks import ANSWER, DONE, FINISH, event, events


def types_of(seen):
    return [event.type for event in seen]


async def test_events_come_with_their_chunks_and_end_with_what_is_done():
    stream, _ = stream_of(ANSWER)
    seen = [item async for item in stream.events()]
    assert types_of(seen) == [*["chunk", "content.delta"] * 3, "chunk", "content.done", "finish"]
    assert [item.delta for item in seen if item.type == "content.delta"] == ["a", "b", "c"]
    assert (seen[-2].content, seen[-1].finish_reason, seen[-1].finish) == ("abc", "stop", "stop")
    assert seen[-1].value == (await stream.completion()).choices[0]


async def test_a_stream_that_was_cut_is_not_done():
    """Its deltas come, then the error, and no `done`."""
    stream, _ = stream_of(events("a", "b"))
    seen = []

    async def read():
        async for item in stream.events():
            seen.append(item.type)  # noqa: PERF401 - what came before the error is wanted

    with pytest.raises(StreamTruncatedError):
        await read()
    assert seen == ["chunk", "content.delta"] * 2


async def test_a_truncated_stream_that_is_allowed_is_not_done_either():
    stream, _ = stream_of(events("a"), on_truncated="return")
    assert [item.type async for item in stream.events()] == ["chunk", "content.delta"]


async def test_an_unlabelled_stream_is_done():
    """`[DONE]` came: the server says that it is whole."""
    stream, _ = stream_of(events("a") + DONE)
    seen = [item async for item in stream.events()]
    assert types_of(seen) == ["chunk", "content.delta", "content.done", "finish"]
    assert (seen[-1].finish_reason, seen[-1].finish) == (None, None)


async def test_events_mix_with_chunks():
    """Both advance the same stream: nothing comes twice, nothing is lost."""
    stream, _ = stream_of(ANSWER)
    first = await anext(stream)
    seen = stream.events()
    second = [await anext(seen), await anext(seen)]
    third = await anext(stream)
    assert [item.choices[0].delta.content for item in (first, third)] == ["a", "c"]
    assert second[1].delta == "b"
    assert [item.type async for item in seen] == ["chunk", "content.done", "finish"]
    assert [item async for item in seen] == []


async def test_a_stopped_stream_ends_its_events():
    """`cancel()` ends the loop quietly; what was not read is not done."""
    stream, _ = stream_of(ANSWER)
    seen = []
    async for item in stream.events():
        seen.append(item.type)
        stream.cancel()
    assert seen == ["chunk", "content.delta"]


async def test_what_was_said_after_the_finish_reason_is_in_the_end():
    stream, _ = stream_of(events("a") + FINISH + event("b") + DONE)
    seen = [item async for item in stream.events()]
    assert [item.content for item in seen if item.type == "content.done"] == ["ab"]
