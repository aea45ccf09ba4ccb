"""Streams that are closed before their end, over a scripted transport: no socket, and a clock that jumps."""

import asyncio
import sys

import anyio
import pytest

from opeai_async import ClientClosedError, Outcome, StreamInterruptedError
from opeai_async.testing.transport import Break, Pause
from tests.support.clients import drain, rewire, scripted, stream_of
from tests.support.instant_time import instant_time
from tests.support.leaks import in_a_thread, no_leaks
from tests.support.reading.chunks import ANSWER, BODY, DONE, FINISH, event, events

pytestmark = pytest.mark.time_limit(1_000_000)  # of a clock that jumps


@pytest.fixture(autouse=True)
async def instant():
    """Time jumps, and every stream leaves nothing behind."""
    with instant_time():
        async with no_leaks():
            yield


# --- cancel() and aclose() -------------------------------------------------------------------------------------------


async def test_cancel_while_opening():
    """The loop over the stream ends quietly, without chunks."""
    client, transport, _ = scripted()
    transport.respond(delay_s=None)
    stream = client.chat.completions.stream(**BODY)
    reading = asyncio.create_task(drain(stream))
    await asyncio.sleep(0.01)
    stream.cancel()
    assert await reading == []
    assert stream.outcome is Outcome.CANCELLED


async def test_cancel_in_the_moment_in_which_the_head_arrives():
    """The response that nobody wants any more is closed."""
    client, transport, _ = scripted()
    transport.respond(ANSWER)
    arrived = asyncio.get_running_loop().create_future()
    send = transport.send

    async def send_late(request, **limits):
        await arrived
        return await send(request, **limits)

    transport.send = send_late
    stream = client.chat.completions.stream(**BODY)
    reading = asyncio.create_task(drain(stream))
    await asyncio.sleep(0.01)
    arrived.set_result(None)
    stream.cancel()
    assert await reading == []
    assert transport.open_responses == 0


async def test_cancel_while_waiting_for_a_retry():
    """No other attempt is made."""
    client, transport, _ = scripted()
    transport.fail()

    async def sleep(seconds):
        await asyncio.Event().wait()

    rewire(client, sleep=sleep)
    stream = client.chat.completions.stream(**BODY)
    reading = asyncio.create_task(drain(stream))
    await asyncio.sleep(0.01)
    stream.cancel()
    assert await reading == []
    assert len(transport.requests) == 1


async def test_cancel_while_waiting_for_a_second_opening():
    """The same, where a first response had brought nothing."""
    client, transport, _ = scripted()
    transport.respond(Break())
    transport.respond(delay_s=None)
    stream = client.chat.completions.stream(**BODY)
    reading = asyncio.create_task(drain(stream))
    await asyncio.sleep(0.01)
    assert len(transport.requests) == 2
    stream.cancel()
    assert await reading == []
    assert stream.outcome is Outcome.CANCELLED


async def test_cancel_while_reading():
    """The loop ends quietly, and the upstream is closed at once."""
    stream, transport = stream_of(events("a", "b"), Pause())
    reading = asyncio.create_task(drain(stream))
    await asyncio.sleep(0.01)
    stream.cancel()
    assert transport.responses[0].end == "aborted"
    assert await reading == ["a", "b"]
    assert stream.outcome is Outcome.CANCELLED
    assert (await stream.completion()).choices[0].message.content == "ab"


async def test_cancel_while_the_consumer_is_busy():
    """The snapshot is exactly what was handed out; the rest of the batch is never seen."""
    stream, transport = stream_of(events("a", "b", "c"), Pause())
    await anext(stream)
    stream.cancel()
    assert transport.responses[0].end == "aborted"
    assert await drain(stream) == []
    assert stream.snapshot.choices[0].message.content == "a"


async def test_cancel_in_the_last_batch():
    """The connection was released already; the answer was not seen whole, so it counts as cancelled."""
    stream, transport = stream_of(ANSWER)
    await anext(stream)
    stream.cancel()
    assert transport.responses[0].end == "released"
    assert stream.outcome is Outcome.CANCELLED


async def test_cancel_after_the_last_chunk():
    """Everything was seen: the stream is complete, though nobody asked for more."""
    stream, _ = stream_of(ANSWER)
    for _ in range(4):
        await anext(stream)
    stream.cancel()
    assert stream.outcome is Outcome.COMPLETE
    assert await drain(stream) == []


async def test_cancel_after_the_end():
    """Nothing changes."""
    stream, _ = stream_of(ANSWER)
    await stream.completion()
    stream.cancel()
    assert stream.outcome is Outcome.COMPLETE


async def test_cancel_before_the_beginning():
    """Nothing is sent."""
    stream, transport = stream_of(ANSWER)
    stream.cancel()
    assert await drain(stream) == []
    assert transport.requests == []


async def test_a_cancelled_stream_gives_its_message_after_aclose():
    """Leaving the block does not turn ``cancel`` into an error."""
    stream, _ = stream_of(events("a"), Pause())
    async with stream:
        await anext(stream)
        stream.cancel()
    assert (await stream.completion()).choices[0].message.content == "a"


async def test_a_closed_stream_says_so():
    """Every read after ``aclose`` before the end raises; ``aclose`` may be called again."""
    stream, transport = stream_of(events("a", "b"), Pause())
    async with stream:
        await anext(stream)
    await stream.aclose()
    assert transport.responses[0].end == "aborted"
    for _ in range(2):
        with pytest.raises(ClientClosedError, match="after 1 chunks"):
            await anext(stream)


async def test_aclose_wakes_a_reader():
    """A read in another task ends with the same error."""
    stream, _ = stream_of(events("a"), Pause())
    reading = asyncio.create_task(drain(stream))
    await asyncio.sleep(0.01)
    await stream.aclose()
    with pytest.raises(ClientClosedError):
        await reading


async def test_aclose_in_a_cancelled_scope():
    """The upstream is closed though nothing may be awaited any more."""
    stream, transport = stream_of(events("a"), Pause())
    await anext(stream)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await stream.aclose()
    assert transport.responses[0].end == "aborted"


async def test_aclose_after_the_end():
    """A complete stream stays complete, and its loop ends quietly."""
    stream, _ = stream_of(ANSWER)
    await stream.completion()
    await stream.aclose()
    assert stream.outcome is Outcome.COMPLETE
    assert await drain(stream) == []


async def test_closing_the_client_wakes_its_readers():
    """Each gets an error that says so, with what it had; nothing is tried again."""
    client, transport, slept = scripted()
    transport.respond(events("a"), Pause())
    transport.respond(Pause())
    transport.respond(delay_s=None)
    streams = [client.chat.completions.stream(**BODY) for _ in range(3)]
    readings = [asyncio.create_task(drain(stream)) for stream in streams]
    await asyncio.sleep(0.01)
    await client.aclose()
    reading, waiting, opening = await asyncio.gather(*readings, return_exceptions=True)
    assert isinstance(reading, StreamInterruptedError)
    assert "the client was closed" in str(reading)
    assert reading.partial.choices[0].message.content == "a"
    assert isinstance(waiting, StreamInterruptedError)
    assert isinstance(opening, ClientClosedError)
    assert slept == []
    with pytest.raises(ClientClosedError):
        await client.chat.completions.create(**BODY)


# --- dropped streams -------------------------------------------------------------------------------------------------


async def test_a_dropped_stream_is_closed_with_a_warning():
    """The last reference goes: the upstream is closed, and a warning names the cure."""
    stream, transport = stream_of(events("a", "b"), Pause())
    await anext(stream)
    with pytest.warns(ResourceWarning, match="unclosed <ChatCompletionStream open"):
        del stream
    assert transport.responses[0].end == "aborted"


@pytest.mark.filterwarnings("error::ResourceWarning")
async def test_a_stream_dropped_by_a_cancelled_read_does_not_warn():
    """A task that was cancelled in ``async for`` did nothing wrong."""
    stream, transport = stream_of(events("a"), Pause())
    reading = asyncio.create_task(drain(stream))
    del stream
    await asyncio.sleep(0.01)
    reading.cancel()
    await asyncio.wait([reading])  # not awaited: its traceback would hold on to the stream
    del reading
    assert transport.responses[0].end == "aborted"


@pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="CPython since 3.12 keeps the frames of the timeout by which the script pauses"
)
async def test_a_dropped_stream_warns_after_a_later_read():
    """A read that was cancelled long ago is no excuse."""
    stream, _ = stream_of(Pause(1), events("a"), Pause())
    reading = asyncio.create_task(drain(stream))
    await asyncio.sleep(0.5)
    reading.cancel()
    await asyncio.wait([reading])  # not awaited: its traceback would hold on to the stream
    del reading
    await anext(stream)
    with pytest.warns(ResourceWarning):
        del stream


async def test_a_stream_dropped_in_another_thread():
    """It is closed by its own loop."""
    stream, transport = stream_of(events("a"), Pause())
    await anext(stream)
    holder = [stream]
    del stream

    def drop():
        with pytest.warns(ResourceWarning):
            holder.clear()

    in_a_thread(drop)
    await asyncio.sleep(0)
    assert transport.responses[0].end == "aborted"


async def test_leaving_after_the_last_finish_reason_is_no_cancellation():
    """The answer is whole, so the outcome says so, and the connection may be reused."""
    stream, transport = stream_of(events("a") + FINISH, Pause(1), DONE)
    async with stream:
        async for chunk in stream:
            if chunk.choices[0].finish_reason:
                break
    assert stream.outcome is Outcome.COMPLETE
    assert transport.responses[0].end == "released"


async def test_leaving_after_one_of_two_choices_is_a_cancellation():
    """The second choice may not have begun."""
    client, transport, _ = scripted()
    transport.respond(events("a") + FINISH, Pause(1), event("b", index=1), event(finish="stop", index=1), DONE)
    async with client.chat.completions.stream(**BODY, n=2) as stream:
        async for chunk in stream:
            if chunk.choices[0].finish_reason:
                break
    assert stream.outcome is Outcome.CANCELLED
    assert transport.responses[0].end == "aborted"
