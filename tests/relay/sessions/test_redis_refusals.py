"""A real redis-server that refuses, or is gone: the answer goes on, and somebody is told, once, and nothing waits."""

import asyncio
import contextlib
import gc
import importlib
import logging
import tempfile
from pathlib import Path

import pytest

from opeai_async import APIConnectionError, ConfigurationError, StreamSession
from opeai_async._relay.redis.wire import Keys
from tests.support.leaks import eventually, in_a_thread, no_leaks
from tests.support.servers.faucet import Faucet, all_of, text_of
from tests.support.servers.redis_server import RedisServer, needs_redis

redis = pytest.importorskip("redis.asyncio")
sync_redis = importlib.import_module("redis")
RedisStore = importlib.import_module("opeai_async.redis_store").RedisStore

pytestmark = needs_redis

LEASE_S = 0.6
PASSWORD = "canary-redis-password"
TEXT = "canary-answer"


@pytest.fixture
def lines(caplog):
    """What the logger ``opeai_async`` has said of the store."""
    caplog.set_level(logging.INFO, logger="opeai_async")
    return lambda: [record.getMessage() for record in caplog.records if record.getMessage().startswith("store:")]


@contextlib.asynccontextmanager
async def connected(server, *, prefix="test:", user="", **options):
    url = server.url.replace("redis://", f"redis://{user}")
    async with redis.Redis.from_url(url, **options) as client:
        store = RedisStore(client, prefix=prefix, lease=LEASE_S)
        try:
            yield store
        finally:
            await store.aclose()


async def closed_at_once(session):
    """Close *session* where the store is known to refuse, which has nothing to wait for."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await session.aclose()
    assert loop.time() - began < 4  # it waits for 5 s where the store may still take it


async def refused(store, why):
    """Start a session, and see that its reader here misses nothing, and that it says *why* others do not see it."""
    faucet = Faucet()
    session = StreamSession.start(faucet, store=store)
    assert session.store_error is None
    await eventually(lambda: session.store_error is not None)
    error = session.store_error
    assert isinstance(error, APIConnectionError)
    assert why in error.message
    faucet.say(TEXT)
    faucet.finish()
    assert text_of(await all_of(session.subscribe())) == TEXT
    await closed_at_once(session)
    assert PASSWORD not in f"{error!r} {error} {error.hint}"
    assert TEXT not in f"{error!r} {error} {error.hint}"
    return session


async def works(store):
    """A session reaches Redis, and is read from there by another store."""
    faucet = Faucet()
    session = StreamSession.start(faucet, store=store)
    faucet.say(TEXT)
    faucet.finish()
    await session.aclose()
    assert session.store_error is None
    other = RedisStore(store._client, prefix=store._prefix, lease=LEASE_S)
    assert text_of(await all_of(StreamSession.attach(session.id, store=other).subscribe())) == TEXT
    await other.aclose()


# --- Redis says no ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["", ":canary-wrong@", "somebody:canary-wrong@"])
async def test_a_wrong_password(user, lines):
    with RedisServer("--requirepass", PASSWORD) as server:
        async with no_leaks(), connected(server, user=user) as store:
            await refused(store, "refuses the password")
            (line,) = lines()
            assert "state=lost" in line
            assert "canary" not in line
            with pytest.raises(APIConnectionError, match="could not be stopped: Redis refuses the password") as caught:
                await StreamSession.attach("elsewhere", store=store).stop()
            assert caught.value.__cause__ is None


async def test_the_right_password():
    with RedisServer("--requirepass", PASSWORD) as server:
        async with no_leaks(), connected(server, user=f":{PASSWORD}@") as store:
            await works(store)


async def test_readers_elsewhere_learn_why(lines):
    """Their error frame is what it was; the view says more."""
    with RedisServer("--requirepass", PASSWORD) as server:
        async with no_leaks(), connected(server) as store:
            elsewhere = StreamSession.attach("other", store=store)
            assert (await all_of(elsewhere.subscribe()))[-1].code == "unavailable"
            assert "refuses the password" in elsewhere.store_error.message
            assert len(lines()) == 1


async def test_a_read_only_replica(lines):
    """One that has lost its primary says so itself; it is not what a store may be given."""
    with RedisServer("--replicaof", "127.0.0.1", "1") as server:
        async with no_leaks(), connected(server) as store:
            session = await refused(store, "")
            assert session.store_error.message in ("Redis is a read-only replica", "Redis has lost its primary")
            assert len(lines()) == 1


async def test_no_memory_and_then_some(lines):
    """One line when it begins, one when it is over, and Redis has got all that it missed."""
    with RedisServer("--maxmemory", "1", "--maxmemory-policy", "noeviction") as server:
        async with no_leaks(), connected(server) as store, redis.Redis.from_url(server.url) as client:
            faucet = Faucet()
            session = StreamSession.start(faucet, store=store)
            faucet.say(TEXT)
            await eventually(lambda: session.store_error is not None)
            assert session.store_error.message == "Redis is out of memory"
            await client.config_set("maxmemory", "0")
            await eventually(lambda: session.store_error is None)
            await eventually(lambda: len(lines()) == 2)
            assert [("state=lost" in line, "state=back" in line) for line in lines()] == [(True, False), (False, True)]
            faucet.finish()
            await session.aclose()
            async with connected(server) as there:
                assert text_of(await all_of(StreamSession.attach(session.id, store=there).subscribe())) == TEXT


async def test_a_user_who_may_not(lines):
    with RedisServer() as server:
        async with no_leaks(), redis.Redis.from_url(server.url) as admin:
            await admin.execute_command("ACL", "SETUSER", "limited", "on", f">{PASSWORD}", "~*", "+@read")
            async with connected(server, user=f"limited:{PASSWORD}@") as store:
                await refused(store, "denies a command or a key")
            assert len(lines()) == 1


async def test_a_key_that_holds_something_else(lines):
    """It concerns one session, and not the store."""
    with RedisServer() as server:
        async with no_leaks(), connected(server) as store, redis.Redis.from_url(server.url) as client:
            faucet = Faucet()
            session = StreamSession.start(faucet, store=store)
            await eventually(lambda: store._place().keeper._published[session.id].is_claimed)
            await client.set(Keys("test:", session.id).log, "a string")
            faucet.say(TEXT)
            await eventually(lambda: session.store_error is not None)
            assert "holds something else" in session.store_error.message
            assert not lines()
            faucet.finish()
            await session.aclose()


# --- a cluster -------------------------------------------------------------------------------------------------------


@pytest.fixture
async def cluster():
    """One node with all slots."""
    with tempfile.TemporaryDirectory() as where:
        nodes = str(Path(where) / "nodes.conf")
        with RedisServer("--cluster-enabled", "yes", "--cluster-config-file", nodes) as server:
            async with redis.Redis.from_url(server.url) as client:
                await client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
                while "cluster_state:ok" not in str(await client.execute_command("CLUSTER", "INFO")):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            yield server


@pytest.fixture(params=["Redis", "RedisCluster"])
async def cluster_client(request, cluster):
    """A plain client of that node, and a client of clusters."""
    async with getattr(redis, request.param).from_url(cluster.url) as client:
        yield client


async def test_a_cluster_wants_a_hash_tag(cluster_client, lines):
    """Also where the driver refuses before it has sent anything, with an exception that is not a RedisError."""
    store = RedisStore(cluster_client, prefix="test:", lease=LEASE_S)
    # A session of its own may have all its keys in one slot; two do not.
    sessions = [StreamSession.start(Faucet(), store=store, id=id) for id in "abc"]
    await eventually(lambda: all(session.store_error is not None for session in sessions))
    for session in sessions:
        assert "different slots" in session.store_error.message
        assert "hash tag" in session.store_error.hint
        await closed_at_once(session)
    assert len(lines()) == 1
    await store.aclose()


async def test_a_cluster_with_a_hash_tag(cluster_client, lines):
    store = RedisStore(cluster_client, prefix="{test}:", lease=LEASE_S)
    await asyncio.gather(*(works(store) for _ in range(3)))
    await store.aclose()
    assert not lines()


# --- Redis is gone ---------------------------------------------------------------------------------------------------


async def test_a_server_that_goes_and_comes_back(lines):
    """Told once each, however many sessions there are; a session that is closed meanwhile does not wait."""
    with RedisServer() as server:
        async with no_leaks(), connected(server) as store:
            faucets = [Faucet() for _ in range(5)]
            sessions = [StreamSession.start(faucet, store=store) for faucet in faucets]
            for faucet in faucets:
                faucet.say(TEXT)
            await eventually(lambda: all(p.is_written for p in store._place().keeper._published.values()))
            server.kill()
            await eventually(lambda: all(session.store_error is not None for session in sessions))
            assert {session.store_error.message for session in sessions} == {"Redis cannot be reached"}
            await closed_at_once(sessions[0])
            late = StreamSession.start(Faucet(), store=store)
            assert late.store_error is not None
            server.start()
            await eventually(lambda: all(session.store_error is None for session in [*sessions[1:], late]))
            for session in [*sessions[1:], late]:
                await session.aclose()
            assert ["lost" in line for line in lines()] == [True, False]


async def test_closing_the_store_without_redis():
    with RedisServer() as server:
        async with no_leaks(), connected(server) as store:
            server.kill()
            faucet = Faucet()
            session = StreamSession.start(faucet, store=store)
            faucet.finish()
            await session.completion()
            await eventually(lambda: session.store_error is not None)
            began = asyncio.get_running_loop().time()
            await store.aclose()
            assert asyncio.get_running_loop().time() - began < 4


async def test_a_redis_that_is_back_when_a_session_is_closed(monkeypatch):
    """Where it was refusing, closing tries once more, and does not wait for the next turn."""
    monkeypatch.setattr("opeai_async._relay.redis.keeper.RETRY_S", (60.0, 60.0))
    with RedisServer("--maxmemory", "1", "--maxmemory-policy", "noeviction") as server:
        async with no_leaks(), connected(server) as store, redis.Redis.from_url(server.url) as client:
            faucet = Faucet()
            session = StreamSession.start(faucet, store=store)
            faucet.say(TEXT)
            await eventually(lambda: session.store_error is not None)
            await client.config_set("maxmemory", "0")
            faucet.finish()
            await session.aclose()
            assert session.store_error is None
            assert await client.xlen(Keys("test:", session.id).log) == 1


async def test_a_driver_that_raises_anything(lines, monkeypatch):
    """The keeper does not die of it: what was not written then is written later."""
    with RedisServer() as server:
        async with no_leaks(), connected(server) as store:

            class Odd(Exception):
                pass

            def pipeline(*args, **kwargs):
                raise Odd(PASSWORD)

            with monkeypatch.context() as patched:
                patched.setattr(store._client, "pipeline", pipeline)
                faucet = Faucet()
                session = StreamSession.start(faucet, store=store)
                faucet.say(TEXT)
                await eventually(lambda: session.store_error is not None)
                assert session.store_error.message == "Redis failed with Odd"
            await eventually(lambda: session.store_error is None)
            faucet.finish()
            await session.aclose()
            assert len(lines()) == 2
            assert PASSWORD not in "".join(lines())


# --- the client ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", ["Redis", "RedisCluster"])
def test_a_synchronous_client_is_refused(client):
    """It would stop the event loop whenever a reader waits."""
    synchronous = object.__new__(getattr(sync_redis, client))  # that of clusters would connect
    synchronous.__class__.__del__ = lambda self: None
    with pytest.raises(ConfigurationError, match=f"synchronous redis.{client}, expected a client of redis.asyncio"):
        RedisStore(synchronous)


@pytest.mark.parametrize("client", [None, "redis://localhost", object()])
def test_what_is_no_client_is_refused(client):
    with pytest.raises(ConfigurationError, match=r"expected a client of redis\.asyncio"):
        RedisStore(client)


async def test_a_function_that_makes_a_synchronous_client():
    """It is asked when the first session starts; the stream stays its owner's then."""
    store = RedisStore(sync_redis.Redis)
    faucet = Faucet()
    with pytest.raises(ConfigurationError, match="synchronous"):
        StreamSession.start(faucet, store=store)
    assert not faucet.closed


# --- event loops -----------------------------------------------------------------------------------------------------


def test_one_store_over_several_runs(lines):
    """A function makes a client for each loop; the store closes it."""
    with RedisServer() as server:
        store = RedisStore(lambda: redis.Redis.from_url(server.url), prefix="test:", lease=LEASE_S)

        async def run(number):
            async with no_leaks():
                faucet = Faucet()
                session = StreamSession.start(faucet, store=store, id=f"run {number}")
                faucet.say(TEXT)
                faucet.finish()
                await session.aclose()
                assert session.store_error is None
                before = StreamSession.attach("run 0", store=store)
                assert text_of(await all_of(before.subscribe())) == TEXT
                await store.aclose()

        for number in range(3):
            asyncio.run(run(number))
        assert not lines()


def test_one_client_over_several_runs(lines):
    """It works if the client is closed at the end of each; otherwise the store says what to do."""
    with RedisServer() as server:
        client = redis.Redis.from_url(server.url)
        store = RedisStore(client, prefix="test:", lease=LEASE_S)

        async def run(*, close):
            await works(store)
            if close:
                await client.aclose()

        asyncio.run(run(close=True))
        asyncio.run(run(close=True))
        assert not lines()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_client_of_a_loop_that_is_closed():
    """It was not closed there: some drivers make new connections, and for others the error says what to do."""
    with RedisServer() as server:
        await _use_a_client_of_a_closed_loop(server)
        gc.collect()  # redis and asyncio say here, and in no later test, what was forgotten


async def _use_a_client_of_a_closed_loop(server):
    client = redis.Redis.from_url(server.url)

    async def use():
        await client.ping()

    in_a_thread(lambda: asyncio.run(use()))
    store = RedisStore(client, prefix="test:", lease=LEASE_S)
    faucet = Faucet()
    session = StreamSession.start(faucet, store=store)
    faucet.say(TEXT)
    (written,) = store._place().keeper._published.values()
    await eventually(lambda: session.store_error is not None or written.stored)
    if session.store_error is not None:
        assert "connections of another event loop" in session.store_error.message
        assert "a function that makes a client" in session.store_error.hint
    await closed_at_once(session)
    await store.aclose()
    with contextlib.suppress(RuntimeError):  # of the closed loop
        await client.aclose()


async def test_two_loops_at_once():
    """One client is refused at the door; a function serves both, and they read each other's sessions."""
    with RedisServer() as server:

        def other_loop(store):
            async def attach():
                return StreamSession.attach("here", store=store)

            with pytest.raises(ConfigurationError, match="in use by another event loop"):
                asyncio.run(attach())

        async with connected(server) as store:
            StreamSession.attach("here", store=store)
            in_a_thread(lambda: other_loop(store))

        store = RedisStore(lambda: redis.Redis.from_url(server.url), prefix="test:", lease=LEASE_S)
        faucet = Faucet()
        session = StreamSession.start(faucet, store=store, id="here")
        faucet.say(TEXT)

        async def read():
            frames = []
            async for frame in StreamSession.attach("here", store=store).subscribe():
                frames.append(frame)
                faucet_loop.call_soon_threadsafe(faucet.finish)
            await store.aclose()
            return text_of(frames)

        faucet_loop = asyncio.get_running_loop()
        assert await asyncio.to_thread(lambda: asyncio.run(read())) == TEXT
        await session.aclose()
        await store.aclose()
