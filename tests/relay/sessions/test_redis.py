"""Sessions in a real redis-server: other processes read them, stop them, and learn when they are lost."""

import asyncio
import contextlib
import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from opeai_async import APIConnectionError, ConfigurationError, Outcome, StreamSession
from opeai_async._relay.redis.wire import Keys, entries_of
from opeai_async.testing import OpeAIServer
from opeai_async.types.frames import ContentFrame, DoneFrame, ErrorFrame, Frame, ReasoningFrame, ToolCallFrame
from tests.support.leaks import eventually, no_leaks
from tests.support.reading.chunks import BODY
from tests.support.reading.relayed import log_of
from tests.support.servers.faucet import Faucet, all_of, said, text_of
from tests.support.servers.redis_server import RedisServer, needs_redis

redis = pytest.importorskip("redis.asyncio")
RedisStore = importlib.import_module("opeai_async.redis_store").RedisStore
keeper = importlib.import_module("opeai_async._relay.redis.keeper")

pytestmark = needs_redis

LEASE_S = 0.6
PREFIX = "test:"


@pytest.fixture(scope="module")
def shared_server():
    with RedisServer() as server:
        yield server


@pytest.fixture
def server():
    """One that the test may kill."""
    with RedisServer() as server:
        yield server


@pytest.fixture(autouse=True)
async def nothing_left():
    """Whatever happens, there is no task, timer or connection more than before."""
    async with no_leaks():
        yield


@contextlib.asynccontextmanager
async def connected(server, **options):
    """A store as another process would have it."""
    async with redis.Redis.from_url(server.url, **options) as client:
        store = RedisStore(client, prefix=PREFIX, lease=LEASE_S)
        try:
            yield store
        finally:
            await store.aclose()


@pytest.fixture
async def here(shared_server):
    async with connected(shared_server) as store:
        yield store


@pytest.fixture
async def there(shared_server):
    async with connected(shared_server) as store:
        yield store


@pytest.fixture
async def client(shared_server):
    async with redis.Redis.from_url(shared_server.url) as client:
        await client.flushall()
        yield client


def published(store):
    """What is not written to its end yet."""
    return store._place().keeper._published


def followers(store):
    """What fills the logs of sessions elsewhere."""
    return store._place().followers


def begin(store, **options):
    faucet = Faucet()
    return faucet, StreamSession.start(faucet, store=store, **options)


def view(session, store):
    return StreamSession.attach(session.id, store=store)


async def texts_of(reader, length):
    """Read content until there are *length* characters."""
    text = ""
    while len(text) < length:
        frames = await reader.read()
        assert not isinstance(frames[-1], ErrorFrame), frames
        text += text_of(frames)
    return text


# --- read elsewhere --------------------------------------------------------------------------------------------------


async def test_a_reader_elsewhere_gets_what_was_and_then_what_comes(here, there):
    faucet, session = begin(here)
    faucet.say("thought", kind=ReasoningFrame)
    faucet.say("one", " two")
    reader = view(session, there).subscribe()
    assert await texts_of(reader, 7) == "one two"
    for word in (" three", " four"):
        faucet.say(word)
        assert await texts_of(reader, len(word)) == word
    faucet.finish()
    assert await reader.read() == [faucet.frames[-1]]
    await session.aclose()


async def test_a_session_that_has_ended_reads_as_whole(here, there):
    """All kinds of frames come back as they were, from any offset."""
    faucet, session = begin(here)
    faucet.say("ü\U0001f600", kind=ReasoningFrame, choice=1)
    faucet.pour(ToolCallFrame(index=0, id="call_1", name="f", arguments='{"a":'))
    faucet.pour(ToolCallFrame(index=0, arguments=" 1}"))
    faucet.finish()
    await session.aclose()
    elsewhere = view(session, there)
    assert said(await all_of(elsewhere.subscribe())) == said(faucet.frames)
    assert elsewhere.outcome is Outcome.COMPLETE
    for after in range(faucet.offset + 1):
        assert await all_of(elsewhere.subscribe(after)) == log_of(session).peek(after)
    with pytest.raises(ConfigurationError, match="not known here"):
        await elsewhere.completion()


async def test_many_readers_elsewhere_are_one_for_redis(here, there, client):
    """They share a log, which one connection fills, and which goes when they go."""
    faucet, session = begin(here)
    readers = [view(session, there).subscribe() for _ in range(100)]
    faucet.say("x")
    assert [await texts_of(reader, 1) for reader in readers] == ["x"] * 100
    blocked = [c for c in await client.client_list() if c["cmd"] == "xread"]
    assert len(blocked) == 1
    for reader in readers:
        await reader.aclose()
    assert not followers(there)
    again = view(session, there).subscribe()
    assert await texts_of(again, 1) == "x"
    await session.stop()
    assert (await all_of(again))[-1].reason == "stopped"


async def test_a_reader_may_come_back_to_the_same_view(here, there):
    faucet, session = begin(here)
    elsewhere = view(session, there)
    faucet.say("one")
    async with elsewhere.subscribe() as reader:
        await texts_of(reader, 3)
    faucet.say(" two")
    async with elsewhere.subscribe(after=reader.offset) as reader:
        assert await texts_of(reader, 4) == " two"
        faucet.finish()
        await all_of(reader)
    assert elsewhere.last == session.last
    await session.aclose()


@pytest.mark.parametrize("options", [{"protocol": 3}, {"protocol": 2}, {"decode_responses": True}])
async def test_whatever_client_a_user_has(shared_server, here, options):
    faucet, session = begin(here)
    async with connected(shared_server, **options) as store:
        reader = view(session, store).subscribe()
        faucet.say("one")
        assert await texts_of(reader, 3) == "one"
        mirror, own = begin(store)
        mirror.say("two")
        mirror.finish()
        await own.aclose()
        assert text_of(await all_of(view(own, here).subscribe())) == "two"
        await reader.aclose()
    await session.aclose()


async def test_an_unknown_session_says_so(there):
    (last,) = await all_of(StreamSession.attach("nowhere", store=there).subscribe())
    assert last.code == "unknown"


async def test_a_session_that_is_not_written_yet_is_waited_for(here, there):
    """Who hears of a session may ask another process for it before this one has written anything."""
    reader = StreamSession.attach("soon", store=there).subscribe()
    reading = asyncio.ensure_future(reader.read())
    await asyncio.sleep(LEASE_S)
    faucet, session = begin(here, id="soon")
    faucet.say("x")
    faucet.finish()
    assert text_of(await reading) == "x"
    await session.aclose()


# --- stop, grace -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["view", "reader"])
async def test_stop_reaches_the_producer_within_a_second(here, there, by):
    faucet, session = begin(here)
    elsewhere = view(session, there)
    faucet.say("x")
    async with elsewhere.subscribe() as reader:
        await texts_of(reader, 1)
        began = asyncio.get_running_loop().time()
        if by == "view":
            await elsewhere.stop()
        else:
            reader.stop()
        assert (await all_of(reader))[-1] == DoneFrame(reason="stopped", finish_reason="stop", offset=2)
    assert asyncio.get_running_loop().time() - began < 5
    assert session.last.reason == "stopped"
    await elsewhere.stop()


async def test_a_reader_elsewhere_counts_as_a_reader(here, there):
    """Without one here, the upstream stays open as long as there is one anywhere; then the grace period begins."""
    _, session = begin(here, grace=1.0)
    reader = view(session, there).subscribe()
    await asyncio.sleep(2.0)
    assert session.outcome is Outcome.OPEN
    await reader.aclose()
    await session.completion()
    assert session.last.reason == "cancelled"


# --- what is in Redis ------------------------------------------------------------------------------------------------


async def test_what_has_ended_leaves_one_entry_for_a_while(here, client):
    """The log alone stays, put together, and goes by itself; nothing is in it but frames."""
    faucet, session = begin(here, keep=100.0)
    for _ in range(5):
        faucet.say("x")
        await eventually(lambda: published(here)[session.id].stored == faucet.offset)
    keys = Keys(PREFIX, session.id)
    assert await client.xlen(keys.log) == 5
    assert 0 < await client.pttl(keys.log) <= (100 + LEASE_S) * 1000
    assert 0 < await client.pttl(keys.lease) <= LEASE_S * 1000
    faucet.finish()
    await session.aclose()
    assert await client.keys("*") == [keys.log.encode()]
    assert 90_000 < await client.pttl(keys.log) <= 100_000
    ((_, fields),) = await client.xrange(keys.log)
    assert msgspec.json.decode(fields[b"frames"], type=list[Frame]) == said(faucet.frames)


async def test_a_long_log_is_put_together_now_and_then(here, there, client):
    """Redis never holds much more than the answer, and readers notice nothing of it."""
    faucet, session = begin(here)
    reader = view(session, there).subscribe()
    text, word = "", "word " * 2_000
    for _ in range(12):
        faucet.say(word)
        text += await texts_of(reader, len(word))
    keys = Keys(PREFIX, session.id)
    assert await client.xlen(keys.log) < 12
    assert text == word * 12
    faucet.finish()
    assert [type(frame) for frame in await all_of(reader)] == [DoneFrame]
    await session.aclose()


async def test_the_lease_is_renewed(here, there):
    faucet, session = begin(here)
    reader = view(session, there).subscribe()
    await asyncio.sleep(2 * LEASE_S)
    faucet.say("x")
    assert await texts_of(reader, 1) == "x"
    await session.aclose()


async def test_an_id_that_is_taken_elsewhere_is_refused(here, there):
    """Two answers under one id would be mixed up; the second one ends, the first does not notice."""
    faucet, session = begin(here, id="same")
    faucet.say("first")
    await eventually(lambda: published(here)["same"].stored == 5)
    other, second = begin(there, id="same")
    other.say("second")
    assert (await all_of(second.subscribe()))[-1].code == "failed"
    with pytest.raises(ConfigurationError, match="goes on in another process"):
        await second.completion()
    with pytest.raises(ConfigurationError, match="goes on already"):
        begin(here, id="same")
    faucet.finish()
    await session.aclose()
    assert text_of(log_of(session).peek(0)) == "first"


async def test_a_short_answer_to_an_id_that_is_taken_is_whole_here(shared_server, here, there):
    """It had ended before the other was found out: its readers have it all, and nothing of it is written."""
    faucet, session = begin(here, id="taken")
    faucet.say("first")
    await eventually(lambda: published(here)["taken"].stored == 5)
    other, second = begin(there, id="taken")
    other.say("second")
    other.finish()
    assert text_of(await all_of(second.subscribe())) == "second"
    await second.aclose()
    await session.aclose()
    assert second.outcome is Outcome.COMPLETE
    async with connected(shared_server) as third:
        assert text_of(await all_of(view(session, third).subscribe())) == "first"


async def test_an_id_may_be_used_again(here, there):
    for word in ("first", "second"):
        faucet, session = begin(here, id="again")
        faucet.say(word)
        faucet.finish()
        await session.aclose()
        assert text_of(await all_of(StreamSession.attach("again", store=there).subscribe())) == word


async def test_an_id_that_is_used_again_before_it_is_written(here, there):
    first, _ = begin(here, id="at once")
    first.say("first")
    first.finish()
    await eventually(lambda: here.get("at once").last is not None)
    faucet, session = begin(here, id="at once")
    faucet.say("second")
    faucet.finish()
    await session.aclose()
    assert text_of(await all_of(StreamSession.attach("at once", store=there).subscribe())) == "second"


async def test_what_is_no_log_is_lost(there, client):
    """A key that holds what no producer of this version writes ends the answer, and nothing hangs."""
    keys = Keys(PREFIX, "odd")
    await client.set(keys.lease, "somebody")
    await client.xadd(keys.log, {"frames": '[{"type": "content", "text": "x", "offset": 1}]'})
    await client.xadd(keys.log, {"frames": "nonsense"})
    frames = await all_of(StreamSession.attach("odd", store=there).subscribe())
    assert (text_of(frames), frames[-1].code) == ("x", "lost")
    gap = Keys(PREFIX, "gap")
    await client.set(gap.lease, "somebody")
    await client.xadd(gap.log, {"frames": '[{"type": "content", "text": "x", "offset": 9}]'})
    (last,) = await all_of(StreamSession.attach("gap", store=there).subscribe())
    assert last == ErrorFrame(code="lost", message="The rest of this answer is lost.", offset=1)


async def test_a_key_of_another_type_stops_only_its_own_session(here, there, client):
    """One session that cannot be written does not keep the others from Redis, and is whole for its readers here."""
    bad, blocked = begin(here, id="blocked")
    await eventually(lambda: published(here)["blocked"].is_claimed)
    await client.set(Keys(PREFIX, "blocked").log, "a string")
    bad.say("x")
    good, session = begin(here)
    good.say("y")
    reader = view(session, there).subscribe()
    assert await texts_of(reader, 1) == "y"
    await eventually(lambda: "blocked" not in published(here))
    bad.finish()
    await blocked.aclose()
    assert text_of(await all_of(blocked.subscribe())) == "x"
    await session.aclose()
    await all_of(reader)


async def test_a_lease_of_another_type_is_a_lease_of_somebody_else(here, client):
    await client.lpush(Keys(PREFIX, "odd lease").lease, "x")
    _, session = begin(here, id="odd lease")
    assert (await all_of(session.subscribe()))[-1].code == "failed"
    await client.flushall()


async def test_replies_of_both_protocols():
    entries = [("1-0", {"frames": "[1]"}), ("1-1", {"frames": "[2]"})]
    expected = [("1-0", "[1]"), ("1-1", "[2]")]
    assert entries_of([["key", entries]]) == expected
    assert entries_of({"key": [entries]}) == expected
    assert entries_of([]) == entries_of({}) == entries_of(None) == []


async def test_a_lease_takes_time():
    with pytest.raises(ConfigurationError, match="lease is 0"):
        RedisStore(redis.Redis(), lease=0)


# --- Redis fails -----------------------------------------------------------------------------------------------------


async def test_without_redis_readers_here_miss_nothing(server):
    """It may be killed in mid-stream: who reads where the answer is produced does not notice, and nothing hangs."""
    async with connected(server) as store:
        faucet, session = begin(store, keep=0.5)
        reader = session.subscribe()
        faucet.say("one")
        await eventually(lambda: published(store)[session.id].stored == 3)
        server.kill()
        faucet.say(" two")
        assert await texts_of(reader, 7) == "one two"
        faucet.finish()
        await all_of(reader)
        assert text_of(await all_of(StreamSession.attach(session.id, store=store).subscribe())) == "one two"
        await session.aclose()


async def test_a_redis_that_comes_back_empty_gets_all(server):
    """What it had before is written again: a log never begins in the middle."""
    async with connected(server) as here, connected(server) as there:
        faucet, session = begin(here)
        faucet.say("one")
        await eventually(lambda: published(here)[session.id].stored == 3)
        server.kill()
        faucet.say(" two")
        server.start()
        faucet.say(" three")
        reader = view(session, there).subscribe()
        assert await texts_of(reader, 13) == "one two three"
        faucet.finish()
        await all_of(reader)
        await session.aclose()


@pytest.mark.parametrize("more", ["", " two"])
async def test_a_log_that_was_deleted_is_written_again(here, there, client, more):
    """Redis may evict a key at any time, also when nothing new comes for long."""
    faucet, session = begin(here)
    faucet.say("one")
    await eventually(lambda: published(here)[session.id].stored == 3)
    await client.delete(Keys(PREFIX, session.id).log)
    if more:
        faucet.say(more)
    text = "one" + more
    assert await texts_of(view(session, there).subscribe(), len(text)) == text
    await session.aclose()


async def test_readers_elsewhere_survive_a_short_failure(server):
    async with connected(server) as here, connected(server) as there:
        faucet, session = begin(here)
        faucet.say("one")
        reader = view(session, there).subscribe()
        assert await texts_of(reader, 3) == "one"
        server.kill()
        server.start()
        faucet.say(" two")
        assert await texts_of(reader, 4) == " two"
        await session.aclose()
        assert (await all_of(reader))[-1].reason == "cancelled"


async def test_readers_elsewhere_are_told_that_redis_is_gone(server):
    async with connected(server) as here, connected(server) as there:
        faucet, session = begin(here, keep=0.1)
        faucet.say("one")
        elsewhere = view(session, there)
        reader = elsewhere.subscribe()
        await texts_of(reader, 3)
        server.kill()
        assert (await all_of(reader))[-1].code == "unavailable"
        with pytest.raises(APIConnectionError, match="could not be stopped"):
            await StreamSession.attach("other", store=there).stop()
        reader = StreamSession.attach("third", store=there).subscribe()
        reader.stop()
        await reader.aclose()
        await session.aclose()


async def test_a_redis_that_hangs_hangs_nobody(server, monkeypatch):
    """Connections are open and nothing is answered: readers here go on, and closing takes a limited time."""
    monkeypatch.setattr(keeper, "ROUND_TIMEOUT_S", 0.2)
    monkeypatch.setattr(keeper, "SETTLE_S", 0.5)
    async with connected(server, socket_timeout=None) as store:
        faucet, session = begin(store)
        faucet.say("one")
        await eventually(lambda: published(store)[session.id].stored == 3)
        server.pause()
        try:
            faucet.say(" two")
            faucet.finish()
            assert text_of(await all_of(session.subscribe())) == "one two"
            await session.aclose()
        finally:
            server.resume()
        await store.settle(session.id)
        async with connected(server) as there:
            assert text_of(await all_of(view(session, there).subscribe())) == "one two"


async def test_a_closed_store_writes_no_more(shared_server, there):
    """An answer that goes on when its store is closed is whole here, and lost elsewhere."""
    async with connected(shared_server) as store:
        faucet, session = begin(store)
        reader = view(session, there).subscribe()
        faucet.say("one")
        await texts_of(reader, 3)
        await store.aclose()
        faucet.say(" two")
        faucet.finish()
        assert text_of(await all_of(session.subscribe())) == "one two"
        assert (await all_of(reader))[-1].code == "lost"
        await session.aclose()


async def test_closing_the_store_ends_what_it_follows(here, shared_server):
    faucet, session = begin(here)
    faucet.say("x")
    async with connected(shared_server) as store:
        reader = view(session, store).subscribe()
        await texts_of(reader, 1)
        await store.aclose()
        assert (await all_of(reader))[-1].code == "unavailable"
    await session.aclose()


# --- two processes ---------------------------------------------------------------------------------------------------

PRODUCER = """
import asyncio, sys
from redis.asyncio import Redis
from opeai_async import StreamSession
from opeai_async.redis_store import RedisStore
from opeai_async.testing import OpeAIServer

async def main(url, prefix, lease, words):
    async with Redis.from_url(url) as redis, OpeAIServer(token_delay_s=0.02) as server, server.client() as client:
        server.reply("word " * int(words))
        stream = client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "Hi"}])
        session = StreamSession.start(stream, store=RedisStore(redis, prefix=prefix, lease=float(lease)), keep=60.0)
        while not await redis.exists(f"{prefix}{session.id}:log"):
            await asyncio.sleep(0.01)
        print(session.id, flush=True)
        await session.completion()
        await session.aclose()

asyncio.run(main(*sys.argv[1:]))
"""


@contextlib.contextmanager
def producer(server, words):
    """A process that serves a session; gives it and the session's id."""
    command = [sys.executable, "-c", PRODUCER, server.url, PREFIX, str(LEASE_S), str(words)]
    path = os.pathsep.join([str(Path(__file__).parents[3]), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


async def test_another_process_reads_a_whole_answer(shared_server, there):
    """It replays what was, goes on live, and reads it again when the producer has gone, to the producer's end."""
    with producer(shared_server, words=20) as (process, id):
        first = await all_of(StreamSession.attach(id, store=there).subscribe())
        assert await asyncio.to_thread(process.wait, 10) == 0
    again = await all_of(StreamSession.attach(id, store=there).subscribe())
    assert text_of(first) == text_of(again) == "word " * 20
    assert first[-1] == again[-1]
    assert (first[-1].reason, first[-1].usage.completion_tokens) == ("completed", 21)


async def test_another_process_learns_that_the_producer_was_killed(shared_server, there, client):
    """All that had been written is read, then the truth; who asks later is told the same."""
    with producer(shared_server, words=2_000) as (process, id):
        reader = StreamSession.attach(id, store=there).subscribe()
        text = await texts_of(reader, 20)
        process.send_signal(signal.SIGKILL)
        killed_at = asyncio.get_running_loop().time()
        rest = await all_of(reader)
    assert asyncio.get_running_loop().time() - killed_at < LEASE_S + 5
    assert rest[-1].code == "lost"
    text += text_of(rest)
    assert ("word " * 2_000).startswith(text)
    entries = await client.xrange(Keys(PREFIX, id).log)
    stored = [msgspec.json.decode(fields[b"frames"], type=list[Frame]) for _, fields in entries]
    assert text == text_of(frame for frames in stored for frame in frames)
    again = await all_of(StreamSession.attach(id, store=there).subscribe(after=0))
    assert (text_of(again), again[-1].code) == (text, "lost")


async def test_a_browser_that_reaches_another_process_goes_on(here, there):
    """A relay in one process, then in the other, from the offset that was seen last: no character lost or doubled."""
    async with OpeAIServer(token_delay_s=0.005) as server, server.client() as client:
        server.reply("word " * 60)
        session = StreamSession.start(client.chat.completions.stream(**BODY), store=here)
        sent = []
        for turn in range(6):
            left, elsewhere = asyncio.Event(), view(session, (here, there)[turn % 2])

            async def send(message, left=left):
                sent.append(msgspec.json.decode(message))
                if len(sent) % 3 == 0:
                    left.set()

            async def receive(left=left):
                await left.wait()

            await elsewhere.relay(send, receive, after=sent[-1]["offset"] if sent else 0, window=0)
        await view(session, there).relay(send, after=sent[-1]["offset"], window=0)
        assert "".join(frame["text"] for frame in sent if frame["type"] == "content") == "word " * 60
        assert sent[-1]["reason"] == "completed"
        assert isinstance(log_of(session).peek(0)[1], ContentFrame)
        await session.aclose()
