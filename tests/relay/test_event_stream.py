"""Server-sent events of an answer: when they come, how they end, and what becomes of the upstream."""

import asyncio
import re

import msgspec
import pytest

from opeai_async import ConcurrentReadError, ConfigurationError, OpeAIError, sse, sse_chunks
from opeai_async.testing.transport import Break, Pause
from opeai_async.types.frames import ContentFrame, PingFrame
from tests.support.clients import scripted, stream_of
from tests.support.instant_time import instant_time
from tests.support.leaks import eventually, in_a_thread, no_collector, no_leaks
from tests.support.loops.loops import chosen
from tests.support.reading.chunks import ANSWER, DONE, FINISH, event, events
from tests.support.reading.event_streams import PING, all_of, decoded, frames_in
from tests.support.servers.faucet import Faucet


@pytest.fixture(autouse=True)
async def nothing_left():
    """After each test there is no task or timer more than before."""
    async with no_leaks():
        yield


@pytest.fixture
async def instant():
    """Time jumps to the next timer."""
    with instant_time():
        yield


# --- errors -----------------------------------------------------------------------------------------------------------


async def test_a_stream_that_fails_ends_with_an_error_frame() -> None:
    """The head was sent long ago, so an exception would only cut the line."""
    stream, _ = stream_of(events("a"), Break())
    *_, last = frames_in(await all_of(stream))
    assert (last.code, last.message) == ("interrupted", "The answer was interrupted.")


async def test_a_stream_that_cannot_be_opened_ends_with_an_error_frame() -> None:
    """It is opened at the first read, and who wants a status of his own opens it before."""
    client, transport, _ = scripted(max_retries=0)
    transport.fail()
    stream = client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "Hi"}])
    assert [frame.code for frame in frames_in(await all_of(stream))] == ["unavailable"]


@pytest.mark.parametrize("events_of", [sse, sse_chunks])
async def test_a_stream_that_is_read_elsewhere_is_a_mistake(events_of) -> None:
    """That is raised, and not told to the client."""
    stream, _ = stream_of(events("a"), Pause(None))
    await anext(stream)
    elsewhere = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    with pytest.raises(ConcurrentReadError):
        await anext(events_of(stream))
    with pytest.raises(OpeAIError):
        await elsewhere


async def test_events_have_one_reader() -> None:
    """A second one is told so, and the first goes on."""
    faucet = Faucet()
    stream = sse(faucet)
    first = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    with pytest.raises(ConcurrentReadError):
        await anext(stream)
    faucet.finish()
    assert len(frames_in(await first)) == 1
    await stream.aclose()


@pytest.mark.parametrize("options", [{"ping": 0}, {"ping": -1}, {"window": -0.1}, {"window": float("nan")}])
async def test_numbers_out_of_range_are_refused(options) -> None:
    """Before anything is read."""
    with pytest.raises(ConfigurationError, match="expected seconds"):
        sse(Faucet(), **options)


async def test_an_encoder_that_fails_closes_the_upstream() -> None:
    """Its error is the application's."""
    faucet = Faucet()
    faucet.say("a")
    with pytest.raises(ZeroDivisionError):
        await all_of(faucet, encode=lambda _: [str(1 / 0)])
    await eventually(lambda: faucet.closed == 1)


# --- pings and windows ------------------------------------------------------------------------------------------------


async def test_a_ping_goes_out_when_nothing_else_does(instant) -> None:
    """After each span of silence; the read goes on, and loses nothing."""
    stream, transport = stream_of(events("a"), Pause(5), events("b"), FINISH + DONE)
    items = [data async for data in sse(stream, ping=1.5)]
    assert [data == PING for data in items] == [False, True, True, True, False, False]
    assert "".join(frame.text for data in items for frame in frames_in(data) if isinstance(frame, ContentFrame)) == "ab"
    assert transport.open_responses == 0


async def test_silence_is_counted_from_the_last_event(instant) -> None:
    """Not from the last read that had nothing to say."""
    stream, _ = stream_of(events("a"), *[Pause(1), event()] * 3, FINISH + DONE)
    items = [data async for data in sse(stream, ping=2.5)]
    assert [data == PING for data in items] == [False, True, False]


async def test_what_came_while_nobody_waited_is_there_at_once() -> None:
    """After a ping, the read goes on by itself."""
    faucet = Faucet()
    reader = sse(faucet, ping=0.001)
    assert await anext(reader) == PING
    faucet.finish()
    await eventually(reader._read.done)
    assert len(frames_in(await anext(reader))) == 1
    assert [data async for data in reader] == []


async def test_without_pings_there_are_none(instant) -> None:
    """The wait is as long as the silence."""
    stream, _ = stream_of(events("a"), Pause(25), FINISH + DONE)
    assert PING not in [data async for data in sse(stream, ping=None)]


async def test_a_ping_of_the_source_is_a_comment() -> None:
    """Browsers ignore it, and no encoder has to."""
    faucet = Faucet()
    faucet.pour(PingFrame())
    faucet.finish()
    assert (await all_of(faucet)).startswith(PING)


async def test_a_window_collects_what_comes_within_it(instant) -> None:
    """The first event goes out at once, and so does one after a silence."""
    loop, faucet, read = asyncio.get_running_loop(), Faucet(), []
    begin = loop.time()
    for after, text in [(0.1, "b"), (0.2, "c"), (0.45, "d"), (3.0, "e"), (3.1, "f")]:
        loop.call_later(after, faucet.say, text)
    loop.call_later(3.2, faucet.finish)
    faucet.say("a")
    async for data in sse(faucet, window=0.5):
        text = "".join(frame.text for frame in frames_in(data) if isinstance(frame, ContentFrame))
        read.append((round(loop.time() - begin, 3), text))
    assert read == [(0.0, "a"), (0.5, "bcd"), (3.0, "e"), (3.5, "f")]


# --- whoever reads goes -----------------------------------------------------------------------------------------------


@pytest.fixture(params=[sse, sse_chunks], ids=["sse", "sse_chunks"])
async def silent(request):
    """Events of an answer that begins and falls silent; and its upstream. The first events are read."""
    stream, transport = stream_of(events("a"), Pause(None))
    events_read = request.param(stream)
    del stream
    async with no_collector():
        assert b"a" in await anext(events_read)
        assert transport.open_responses == 1
        box = [events_read]
        del events_read
        yield box, transport


async def test_closing_closes_the_upstream(silent) -> None:
    """At once, and it may be closed again."""
    (reader,), transport = silent
    await reader.aclose()
    assert transport.open_responses == 0
    await reader.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(reader)


async def test_closing_ends_a_wait(silent) -> None:
    """Quietly: another task decided that."""
    (reader,), transport = silent
    waiting = asyncio.create_task(anext(reader, None))
    await asyncio.sleep(0)
    await reader.aclose()
    assert await waiting is None
    assert transport.open_responses == 0


async def test_a_cancelled_close_closes(silent) -> None:
    """A framework closes what it cancels, in the same scope."""
    (reader,), transport = silent
    closing = asyncio.create_task(reader.aclose())
    if chosen() == "eager":  # it has closed already
        assert closing.done()
    else:
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
    await eventually(lambda: transport.open_responses == 0)


async def test_a_cancelled_wait_closes_the_upstream(silent) -> None:
    """So does Starlette when its client goes."""
    (reader,), transport = silent
    waiting = asyncio.create_task(anext(reader))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await eventually(lambda: transport.open_responses == 0)
    with pytest.raises(StopAsyncIteration):
        await anext(reader)


async def test_dropping_closes_the_upstream(silent) -> None:
    """A framework that was cancelled in its own send calls nothing at all."""
    box, transport = silent
    box.clear()
    await eventually(lambda: transport.open_responses == 0)


async def test_dropping_while_a_read_waits_closes_the_upstream(silent) -> None:
    """A ping has gone out, and the read is still waiting."""
    box, transport = silent
    with instant_time():
        assert await anext(box[0]) == PING
    box.clear()
    await eventually(lambda: transport.open_responses == 0)


async def test_dropping_in_another_thread_closes_the_upstream(silent) -> None:
    """The collector runs wherever it likes."""
    box, transport = silent
    in_a_thread(box.clear)
    await eventually(lambda: transport.open_responses == 0)


async def test_dropping_before_the_first_event_closes_the_upstream() -> None:
    """The client was gone before the response began."""
    stream, transport = stream_of(events("a"), Pause(None))
    await stream.open()
    reader = sse(stream)
    del stream
    assert transport.open_responses == 1
    async with no_collector():
        del reader
        await eventually(lambda: transport.open_responses == 0)


async def test_closing_before_the_first_event_closes_the_upstream() -> None:
    """As ``aclosing`` does, if writing the head fails."""
    stream, transport = stream_of(events("a"), Pause(None))
    await stream.open()
    await sse(stream).aclose()
    assert transport.open_responses == 0


async def test_events_may_be_made_in_a_thread() -> None:
    """Where FastAPI runs functions that are not async."""
    stream, transport = stream_of(ANSWER)
    made = []
    in_a_thread(lambda: made.append(sse(stream)))
    assert len([data async for data in made[0]]) > 0
    assert transport.open_responses == 0


async def test_an_error_that_nobody_reads_is_not_complained_of() -> None:
    """It came after the reader had gone."""
    faucet = Faucet()
    reader = sse(faucet, ping=0.001)
    assert await anext(reader) == PING
    faucet.throw(ZeroDivisionError())
    await eventually(reader._read.done)
    await reader.aclose()
    assert faucet.closed == 1


async def test_the_source_is_closed_at_the_end() -> None:
    """A session counts its readers."""
    faucet = Faucet()
    faucet.finish()
    await all_of(faucet)
    assert faucet.closed == 1


# --- chunks -----------------------------------------------------------------------------------------------------------


async def chunks_of(*steps, **options) -> bytes:
    stream, transport = stream_of(*steps, **options)
    data = b"".join([item async for item in sse_chunks(stream)])
    assert transport.open_responses == 0
    return data


async def test_a_whole_answer_is_told_as_chunks() -> None:
    """With one end per choice, and DONE."""
    *chunks, done = decoded(await chunks_of(ANSWER))
    assert done.data == b"[DONE]"
    bodies = [msgspec.json.decode(chunk.data) for chunk in chunks]
    assert [body["choices"][0]["delta"].get("content") for body in bodies] == ["a", "b", "c", None]
    assert {(body["id"], body["created"], body["model"]) for body in bodies} == {("c1", 1, "m")}
    assert bodies[-1]["choices"][0]["finish_reason"] == "stop"


async def test_an_answer_without_an_envelope_gets_one() -> None:
    """An id of its own, and the time."""
    data = await chunks_of(b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n', DONE)
    body = msgspec.json.decode(decoded(data)[0].data)
    assert re.fullmatch("chatcmpl-[0-9a-f]{32}", body["id"])
    assert body["created"] > 1_700_000_000


async def test_a_stream_that_breaks_is_told_without_done() -> None:
    """As an error in the API's form."""
    data = await chunks_of(events("a"), Break())
    assert msgspec.json.decode(decoded(data)[-1].data)["error"]["code"] == "interrupted"
    assert DONE not in data


@pytest.mark.parametrize("on_truncated", ["raise", "return"])
async def test_a_stream_that_was_cut_is_told_without_done(on_truncated) -> None:
    """Also where reading it raises nothing."""
    client, transport, _ = scripted()
    transport.respond(events("a"))
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "on_truncated": on_truncated}
    data = b"".join([item async for item in sse_chunks(client.chat.completions.stream(**body))])
    assert msgspec.json.decode(decoded(data)[-1].data)["error"]["code"] == "truncated"
    assert DONE not in data


async def test_a_stream_that_was_cancelled_is_told_without_done() -> None:
    """By ``stream.cancel()``, in the middle."""
    stream, _ = stream_of(events("a"), Pause(None))
    reader = sse_chunks(stream)
    data = await anext(reader)
    waiting = asyncio.create_task(anext(reader))
    await asyncio.sleep(0)
    stream.cancel()
    data += await waiting
    assert msgspec.json.decode(decoded(data)[-1].data)["error"]["message"] == "The answer failed."
    assert [item async for item in reader] == []
    assert DONE not in data
