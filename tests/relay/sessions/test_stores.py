"""Where sessions are kept in one process: known by id, for a while, and not too many."""

import asyncio
import weakref

import pytest

from opeai_async import ConfigurationError, LocalResourceError, MemoryStore, SessionLog, StreamSession
from opeai_async.types.frames import ContentFrame, DoneFrame
from tests.support.leaks import eventually, no_collector, no_leaks
from tests.support.reading.relayed import log_of
from tests.support.servers.faucet import Faucet

DONE = DoneFrame(reason="completed", offset=1)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


async def added(store, id, *, keep=10.0, is_ended=False):
    log = SessionLog()
    store.add(id, log, keep=keep)
    if is_ended:
        log.append([DONE])
    return log


# --- the log ---------------------------------------------------------------------------------------------------------


async def test_an_append_of_nothing_new_wakes_nobody():
    log, calls = SessionLog(), []
    log.on_append.append(lambda: calls.append(log.offset))
    log.append([ContentFrame(text="x", offset=1)])
    log.append([ContentFrame(text="x", offset=1)])
    log.append([])
    assert calls == [1]


async def test_what_fits_is_told_before_what_does_not():
    """Readers are woken for the frames before the one that is refused."""
    log = SessionLog(max_bytes=300)
    reading = asyncio.ensure_future(log.read(0))
    await asyncio.sleep(0)
    with pytest.raises(ValueError, match="missing"):
        log.append([ContentFrame(text="x", offset=1), ContentFrame(text="z", offset=3)])
    assert [frame.text for frame in await reading] == ["x"]


async def test_a_reader_that_is_cancelled_just_then_disturbs_nobody():
    log = SessionLog()
    first, second = (asyncio.ensure_future(log.read(0)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    log.append([ContentFrame(text="x", offset=1)])
    assert [frame.text for frame in await second] == ["x"]
    assert first.cancelled()


async def test_first_and_last_reader_are_told():
    log, calls = SessionLog(), []
    log.on_readers.append(lambda: calls.append(log.readers))
    since = log.unread_since
    await asyncio.sleep(0.001)
    for change in (log.enter, log.enter, log.leave, log.leave, log.enter, log.leave):
        change()
    assert calls == [1, 0, 1, 0]
    assert log.unread_since > since


async def test_a_log_that_has_ended_tells_nobody_anything_more():
    """What listened is let go, so that a kept answer keeps nothing else alive."""
    log, calls = SessionLog(), []
    log.on_readers.append(lambda: calls.append("reader"))
    log.append([DONE])
    log.enter()
    log.leave()
    assert calls == []
    assert await log.ended() is DONE


# --- the store -------------------------------------------------------------------------------------------------------


async def test_an_ended_session_is_kept_for_a_while(clock):
    store = MemoryStore(clock=clock)
    ended, going_on = await added(store, "a", keep=10.0), await added(store, "b", keep=1.0)
    clock.now = 100.0
    assert (store.get("a"), store.get("b")) == (ended, going_on)
    ended.append([DONE])
    clock.now = 109.9
    assert store.get("a") is ended
    clock.now = 110.0
    assert store.get("a") is None
    assert store.get("b") is going_on
    assert len(store) == 1


async def test_sessions_go_in_the_order_of_their_time(clock):
    store = MemoryStore(clock=clock)
    for id, keep in (("long", 30.0), ("short", 10.0), ("middle", 20.0)):
        await added(store, id, keep=keep, is_ended=True)
    for now, left in ((15.0, 2), (25.0, 1), (35.0, 0)):
        clock.now = now
        store.get("anything")
        assert len(store) == left


async def test_where_room_is_needed_the_first_to_go_goes_now(clock):
    store = MemoryStore(max_sessions=3, clock=clock)
    await added(store, "long", keep=30.0, is_ended=True)
    await added(store, "short", keep=10.0, is_ended=True)
    await added(store, "live")
    await added(store, "new")
    assert [store.get(id) is not None for id in ("long", "short", "live", "new")] == [True, False, True, True]


async def test_an_empty_store_is_a_store():
    """It has a length, so it is false; it is to be used all the same."""
    store = MemoryStore()
    session = StreamSession.start(Faucet(), store=store, id="a")
    assert len(store) == 1
    assert StreamSession.attach("a", store=MemoryStore()).last.code == "unknown"
    await session.aclose()


async def test_more_than_can_go_on_are_refused():
    store = MemoryStore(max_sessions=2)
    await added(store, "a")
    await added(store, "b")
    with pytest.raises(LocalResourceError, match="2 sessions go on already") as caught:
        await added(store, "c")
    assert "max_sessions" in caught.value.hint
    assert store.get("c") is None


async def test_an_id_is_one_session_at_a_time(clock):
    """A second answer under the same id would be mixed up with the first; a later one takes its place."""
    store = MemoryStore(max_sessions=1, clock=clock)
    first = await added(store, "a")
    with pytest.raises(ConfigurationError, match="session 'a' goes on already"):
        await added(store, "a")
    first.append([DONE])
    clock.now = 5.0
    second = await added(store, "a")
    clock.now = 15.0
    assert store.get("a") is second, "the time of the first was over, not that of the second"
    second.append([DONE])
    clock.now = 25.0
    assert store.get("a") is None


async def test_a_session_that_is_refused_reads_nothing():
    store = MemoryStore(max_sessions=1)
    async with no_leaks():
        session = StreamSession.start(Faucet(), store=store)
        faucet = Faucet()
        with pytest.raises(LocalResourceError):
            StreamSession.start(faucet, store=store)
        await session.aclose()
    assert faucet.closed == 0


async def test_stop_reaches_the_producer():
    store = MemoryStore()
    session = StreamSession.start(Faucet(), store=store, id="a")
    await store.stop("a")
    await store.stop("a")
    await store.stop("nobody")
    assert (await log_of(session).ended()).reason == "stopped"
    await session.aclose()
    await store.stop("a")


async def test_what_is_over_is_freed(clock):
    """Without the cyclic collector: sessions that have ended hold neither their stream nor each other."""
    async with no_collector():
        store = MemoryStore(clock=clock)
        faucet = Faucet()
        session = StreamSession.start(faucet, store=store, keep=10.0)
        faucet.say("x" * 1000)
        faucet.finish()
        await session.completion()
        source, log = weakref.ref(faucet), weakref.ref(log_of(session))
        await session.aclose()
        del faucet, session
        await eventually(lambda: source() is None)
        assert log() is not None
        clock.now = 10.0
        store.get("anything")
        assert log() is None
