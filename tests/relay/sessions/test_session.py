"""One answer, many readers: who comes late, goes, comes back, is slow, stops it; and how it ends."""

import asyncio
import gc

import msgspec
import pytest

from opeai_async import (
    ConfigurationError,
    MemoryStore,
    Outcome,
    RateLimitError,
    StreamInterruptedError,
    StreamSession,
    StreamTooLargeError,
)
from opeai_async.testing import OpeAIServer
from opeai_async.types.frames import ContentFrame, DoneFrame, ErrorFrame, ReasoningFrame
from tests.support.leaks import eventually, in_a_thread, no_collector, no_leaks
from tests.support.reading.chunks import BODY
from tests.support.reading.relayed import log_of
from tests.support.servers.faucet import Faucet, all_of, said, text_of


@pytest.fixture(autouse=True)
async def nothing_left():
    """Whatever happens to a session, it leaves no task and no timer."""
    async with no_leaks():
        yield


def begin(**options):
    faucet = Faucet()
    return faucet, StreamSession.start(faucet, **{"store": MemoryStore(), **options})


async def told(session):
    """Let all that was poured reach the log."""
    await eventually(lambda: session.offset == session._producer._source.offset)


# --- readers ---------------------------------------------------------------------------------------------------------


async def test_a_reader_gets_each_frame_as_it_comes():
    faucet, session = begin()
    reader = session.subscribe()
    for word in ("one", " two"):
        faucet.say(word)
        assert await reader.read() == [ContentFrame(text=word, offset=faucet.offset)]
    faucet.finish()
    assert await reader.read() == [DoneFrame(reason="completed", finish_reason="stop", offset=8)]
    assert await reader.read() == []
    assert reader.offset == 8


async def test_a_late_reader_gets_one_delta_per_run_and_then_each_frame():
    faucet, session = begin()
    for k in range(50):
        faucet.say("t" * (k % 3 + 1), kind=ReasoningFrame)
        await told(session)
    faucet.say("a")
    await told(session)
    faucet.say("b")
    await told(session)
    reader = session.subscribe()
    assert [type(frame) for frame in await reader.read()] == [ReasoningFrame, ContentFrame]
    faucet.say("c")
    assert await reader.read() == [ContentFrame(text="c", offset=faucet.offset)]
    await session.stop()


async def test_a_reader_goes_on_where_it_stopped():
    """An offset inside of what is one frame now is as good as any other."""
    faucet, session = begin()
    faucet.say("one", " two", " three")
    faucet.finish()
    assert text_of(await all_of(session.subscribe())) == "one two three"
    assert text_of(await all_of(session.subscribe(after=5))) == "wo three"
    assert text_of(await all_of(session.subscribe(after=-1))) == "one two three"


async def test_who_has_seen_the_end_is_told_again():
    """A reader that lost only the news of the end must not wait for ever, or guess."""
    faucet, session = begin()
    faucet.say("x")
    faucet.finish()
    (done,) = (await all_of(session.subscribe()))[-1:]
    for after in (done.offset, done.offset + 100):
        assert await all_of(session.subscribe(after)) == [done]


async def test_a_thousand_readers_are_woken_together():
    """A frame reaches all of them in the same turns of the event loop, and nobody polls."""
    faucet, session = begin()
    readers = [session.subscribe() for _ in range(1_000)]
    reading = [asyncio.ensure_future(reader.read()) for reader in readers]
    await asyncio.sleep(0)
    assert len(log_of(session)._waiters) == 1_000
    faucet.say("x")
    frames = [frame for (frame,) in await asyncio.gather(*reading)]
    assert all(frame is frames[0] for frame in frames)
    assert not log_of(session)._waiters
    faucet.finish()
    assert {type((await reader.read())[0]) for reader in readers} == {DoneFrame}


async def test_a_slow_reader_holds_up_nobody():
    faucet, session = begin()
    slow, fast = session.subscribe(), session.subscribe()
    for _ in range(100):
        faucet.say("x")
        await fast.read()
    assert slow.offset == 0
    (frame,) = await slow.read()
    assert frame.text == "x" * 100
    await session.stop()


async def test_a_cancelled_read_loses_nothing():
    faucet, session = begin()
    reader = session.subscribe()
    for _ in range(3):
        reading = asyncio.ensure_future(reader.read())
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
    faucet.say("x")
    assert text_of(await reader.read()) == "x"
    assert not log_of(session)._waiters
    await session.stop()


async def test_a_closed_subscription_is_at_its_end():
    faucet, session = begin()
    faucet.say("x")
    async with session.subscribe() as reader:
        await reader.read()
    await reader.aclose()
    assert await all_of(reader) == []
    assert log_of(session).readers == 0
    await session.stop()


async def test_a_dropped_subscription_counts_no_more():
    """Nobody has to close a subscription: what is forgotten is gone, from whatever thread."""
    async with no_collector():
        faucet, session = begin()
        faucet.say("x")
        async for _ in session.subscribe():
            break
        assert log_of(session).readers == 0
        readers = [session.subscribe()]
        in_a_thread(readers.clear)
        await eventually(lambda: log_of(session).readers == 0)
        await session.stop()


async def test_another_event_loop_may_read_only_what_is_there():
    faucet, session = begin()
    faucet.say("x")
    await told(session)

    async def read():
        async with session.subscribe() as reader:
            assert text_of(await reader.read()) == "x"
            with pytest.raises(ConfigurationError, match="another event loop"):
                await reader.read()
        with pytest.raises(ConfigurationError, match="another event loop"):
            await session.completion()

    await asyncio.to_thread(asyncio.run, read())
    await session.stop()


# --- stop, grace, close ----------------------------------------------------------------------------------------------


async def test_stop_ends_the_answer_for_all():
    faucet, session = begin()
    faucet.say("x")
    readers = [session.subscribe(), session.subscribe()]
    await session.stop()
    for reader in readers:
        assert (await all_of(reader))[-1] == DoneFrame(reason="stopped", finish_reason="stop", offset=2)
    assert session.outcome is Outcome.CANCELLED
    assert faucet.closed == 1
    await session.stop()


async def test_a_reader_can_stop():
    _, session = begin()
    reader = session.subscribe()
    reader.stop()
    (last,) = await reader.read()
    assert last.reason == "stopped"
    reader.stop()


async def test_who_leaves_does_not_stop():
    faucet, session = begin()
    reader = session.subscribe()
    faucet.say("x")
    await reader.read()
    await reader.aclose()
    assert session.outcome is Outcome.OPEN
    faucet.say("y")
    faucet.finish()
    assert text_of(await all_of(session.subscribe(1))) == "y"
    assert session.outcome is Outcome.COMPLETE


async def test_the_upstream_is_closed_when_nobody_reads_for_the_grace_period():
    faucet, session = begin(grace=0.02)
    assert (await session.completion()).id == "c1"
    assert session.last == DoneFrame(reason="cancelled", finish_reason="stop", offset=1)
    assert faucet.closed == 1


async def test_the_grace_period_begins_when_the_last_reader_leaves():
    _, session = begin(grace=0.05)
    first, second = session.subscribe(), session.subscribe()
    await first.aclose()
    await asyncio.sleep(0.1)
    assert session.outcome is Outcome.OPEN
    await second.aclose()
    left_at = asyncio.get_running_loop().time()
    await session.completion()
    assert asyncio.get_running_loop().time() - left_at >= 0.049


async def test_a_reader_that_comes_back_begins_the_grace_period_anew():
    _, session = begin(grace=0.5)
    await asyncio.sleep(0.03)
    reader = session.subscribe()
    await reader.aclose()
    left_at = asyncio.get_running_loop().time()
    await session.completion()
    assert asyncio.get_running_loop().time() - left_at >= 0.499


async def test_without_grace_it_goes_on_alone():
    faucet, session = begin(grace=None)
    session.subscribe()
    assert session._producer._timer is None
    faucet.finish()
    await session.completion()


async def test_aclose_ends_the_answer():
    faucet, session = begin()
    faucet.say("x")
    async with session:
        reader = session.subscribe()
        await reader.read()
    assert (await reader.read())[-1].reason == "cancelled"
    assert faucet.closed == 1
    await session.aclose()


async def test_a_source_that_will_not_stop_is_left():
    """Closing waits for no source longer than a moment, and the log ends all the same."""
    faucet = Faucet(is_obedient=False)
    session = StreamSession.start(faucet, store=MemoryStore())
    reader = session.subscribe()
    await session.aclose()
    assert await all_of(reader) == [DoneFrame(reason="cancelled", offset=1)]
    assert faucet.closed == 1


async def test_closing_may_be_cancelled():
    faucet = Faucet(is_obedient=False)
    session = StreamSession.start(faucet, store=MemoryStore())
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(session.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await eventually(lambda: session.last == DoneFrame(reason="cancelled", offset=1))


async def test_a_task_that_is_cancelled_before_it_began_ends_the_answer():
    _, session = begin()
    session._producer._task.cancel()
    assert (await all_of(session.subscribe()))[-1].reason == "cancelled"


async def test_nobody_has_to_hold_a_session():
    """An event loop holds its tasks weakly; an answer goes on even if everybody has forgotten it."""
    store = MemoryStore()
    faucet = Faucet()
    id = StreamSession.start(faucet, store=store).id
    gc.collect()
    faucet.say("x")
    faucet.finish()
    assert text_of(await all_of(StreamSession.attach(id, store=store).subscribe())) == "x"


# --- errors ----------------------------------------------------------------------------------------------------------


async def test_an_error_of_the_stream_ends_the_log():
    faucet, session = begin()
    faucet.fail(StreamInterruptedError("the connection to 10.0.0.1 broke"))
    reader = session.subscribe()
    assert await all_of(reader) == [ErrorFrame(code="interrupted", message="The answer was interrupted.", offset=1)]
    assert session.outcome is Outcome.FAILED
    assert reader.error is faucet.error
    for _ in range(2):
        with pytest.raises(StreamInterruptedError, match=r"10\.0\.0\.1"):
            await session.completion()


@pytest.mark.parametrize(
    ("act", "code", "error"),
    [
        (lambda faucet: faucet.throw(ConfigurationError("in use")), "failed", ConfigurationError),
        (lambda faucet: faucet.throw(ZeroDivisionError()), "interrupted", StreamInterruptedError),
        (lambda faucet: faucet.dry_up(), "interrupted", StreamInterruptedError),
    ],
)
async def test_whatever_a_source_does_no_reader_waits_for_ever(act, code, error):
    faucet, session = begin()
    reader = session.subscribe()
    act(faucet)
    (last,) = await all_of(reader)
    assert last.code == code
    with pytest.raises(error):
        await session.completion()
    assert faucet.closed == 1


async def test_a_source_that_cannot_be_closed_changes_nothing():
    """The answer is whole, and no task is left with an exception that nobody has seen."""
    faucet, session = begin()
    faucet.closing_raises = OSError("no")
    faucet.finish()
    assert (await session.completion()).id == "c1"
    await eventually(lambda: log_of(session).origin is not session._producer)
    assert session.outcome is Outcome.COMPLETE


async def test_an_answer_that_does_not_fit_is_closed():
    faucet, session = begin(max_bytes=300)
    faucet.say("x" * 100, "y" * 200)
    reader = session.subscribe()
    frames = await all_of(reader)
    assert text_of(frames) == "x" * 100
    assert frames[-1].code == "too_large"
    assert faucet.closed == 1
    with pytest.raises(StreamTooLargeError) as caught:
        await session.completion()
    assert caught.value.partial.id == "c1"


async def test_an_error_tells_strangers_nothing():
    faucet, session = begin()
    faucet.fail(RateLimitError("quota of org-secret", status_code=429, attempts=()))
    (last,) = await all_of(session.subscribe())
    assert (last.code, "secret" in last.message) == ("rate_limited", False)


# --- what is known ---------------------------------------------------------------------------------------------------


async def test_a_view_knows_what_the_producer_knows_in_the_same_process():
    store = MemoryStore()
    faucet, session = begin(store=store, id="answer-1")
    view = StreamSession.attach("answer-1", store=store)
    faucet.say("x")
    async with view.subscribe() as reader:
        await reader.read()
        assert (reader.completion.id, reader.chunks, reader.usage, reader.error) == ("c1", 1, None, None)
        await view.aclose()  # the view, not the answer
        assert view.outcome is Outcome.OPEN
    faucet.usage = "usage"
    await view.stop()
    assert (await view.completion()).id == "c1"
    assert (view.id, view.offset, view.last) == (session.id, session.offset, session.last)
    assert (reader.completion.id, reader.chunks, reader.error) == ("c1", 2, None)
    assert reader.usage is view.last.usage is None
    assert repr(view) == "<StreamSession cancelled, offset 2>"


async def test_a_session_of_this_process_is_found_without_a_store():
    faucet = Faucet()
    session = StreamSession.start(faucet)
    other = StreamSession.start(Faucet())
    assert len(session.id) > 16
    assert session.id != other.id
    faucet.finish()
    assert await all_of(StreamSession.attach(session.id).subscribe()) == faucet.frames
    await other.aclose()


async def test_an_unknown_session_is_an_answer_that_says_so():
    session = StreamSession.attach("nowhere", store=MemoryStore())
    reader = session.subscribe(after=10)
    (last,) = await all_of(reader)
    assert last.code == "unknown"
    assert (reader.completion, reader.usage, reader.error, reader.chunks) == (None, None, None, 0)
    assert session.outcome is Outcome.FAILED
    await session.stop()
    reader.stop()
    with pytest.raises(ConfigurationError, match="not known here"):
        await session.completion()


async def test_a_source_may_know_no_message(monkeypatch):
    faucet, session = begin()
    monkeypatch.setattr(Faucet, "completion", None)
    faucet.finish()
    with pytest.raises(ConfigurationError, match="knows no message"):
        await session.completion()


async def test_stopping_what_has_ended_changes_nothing():
    faucet, session = begin()
    reader = session.subscribe()
    faucet.finish()
    await session.aclose()
    reader.stop()
    await session.stop()
    assert (await all_of(reader))[-1].reason == "completed"


async def test_an_empty_id_is_refused():
    with pytest.raises(ConfigurationError, match="empty"):
        StreamSession.start(Faucet(), id="")


# --- real streams ----------------------------------------------------------------------------------------------------


async def test_a_real_stream_has_many_readers():
    """Each gets the whole answer, however late it comes, and the upstream is asked once."""
    async with OpeAIServer(token_delay_s=0.005) as server, server.client() as client:
        server.reply("one two three four five", reasoning="let me count")
        session = StreamSession.start(client.chat.completions.stream(**BODY), store=MemoryStore())

        async def read(late_s):
            await asyncio.sleep(late_s)
            return said(await all_of(session.subscribe()))

        first, *others = await asyncio.gather(*(read(0.005 * k) for k in range(12)))
        assert text_of(first) == "one two three four five"
        assert all(other == first for other in others)
        assert (await session.completion()).choices[0].message.content == "one two three four five"
        assert first[-1].usage == (await session.completion()).usage
        assert len(server.requests) == 1


@pytest.mark.parametrize("end", ["stop", "grace", "aclose"])
async def test_the_upstream_sees_the_end_at_once(end):
    """Proven from the server's side, while the model is silent."""
    async with OpeAIServer() as server, server.client() as client:
        server.stall("one two three", after=3)
        stream = client.chat.completions.stream(**BODY)
        session = StreamSession.start(stream, store=MemoryStore(), grace=0.01 if end == "grace" else 30)
        async with session.subscribe() as reader:
            while not isinstance((await reader.read())[-1], ContentFrame):
                pass
        if end != "grace":
            await getattr(session, end)()
        await server.wait_closed()
        await session.completion()
        assert session.last.reason == ("stopped" if end == "stop" else "cancelled")


async def test_an_error_before_the_answer_is_an_error_frame():
    async with OpeAIServer() as server, server.client(max_retries=0) as client:
        server.fail(400)
        session = StreamSession.start(client.chat.completions.stream(**BODY), store=MemoryStore())
        (last,) = await all_of(session.subscribe())
        assert last.code == "refused"


# --- relayed ---------------------------------------------------------------------------------------------------------


async def test_a_client_that_leaves_and_comes_back():
    """Its leaving ends its relay only; it goes on from the offset that it saw last."""
    faucet, session = begin()
    sent, inbox = [], asyncio.Queue()

    async def send(message):
        sent.append(msgspec.json.decode(message))

    faucet.say("one")
    relaying = asyncio.ensure_future(session.relay(send, inbox.get, window=0))
    await eventually(lambda: len(sent) == 1)
    inbox.put_nowait(None)
    assert (await relaying).reason == "disconnected"
    assert session.outcome is Outcome.OPEN
    assert log_of(session).readers == 0
    faucet.say(" two")
    await told(session)
    relaying = asyncio.ensure_future(session.relay(send, inbox.get, after=sent[-1]["offset"], window=0))
    await eventually(lambda: len(sent) == 2)
    inbox.put_nowait("stop")
    result = await relaying
    assert result.reason == "stopped"
    assert "".join(frame.get("text", "") for frame in sent) == "one two"
    assert result.completion.id == "c1"
    assert session.outcome is Outcome.CANCELLED
