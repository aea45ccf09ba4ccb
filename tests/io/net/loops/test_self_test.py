"""The look at a loop before the first request: it sees what was wrong once, costs little, and leaves nothing."""

import asyncio

import pytest
from aiohttp.client_proto import ResponseHandler

from opeai_async import AsyncOpeAI, ClientClosedError
from opeai_async._io.net import connections as aiohttp_connections
from opeai_async._io.net.connections import Handler
from opeai_async._io.net.parts import body as aiohttp_body
from opeai_async._io.net.parts import post as aiohttp_post
from opeai_async._io.net.parts import self_test
from opeai_async._io.net.parts.post import Poster
from opeai_async.testing import OpeAIServer
from tests.support.clients import KEY
from tests.support.leaks import no_leaks
from tests.support.loops.event_loops import LOOPS, run_on
from tests.support.reading.chunks import BODY, COMPLETION
from tests.support.servers.raw_server import plain
from tests.support.servers.thread_server import ThreadServer, tls_contexts

MODULES = (aiohttp_post, aiohttp_body, aiohttp_connections)

TLS = pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])


@pytest.fixture(autouse=True)
def nothing_is_known_of_loops(monkeypatch):
    """And what is learned here is forgotten afterwards."""
    monkeypatch.setattr(self_test, "_known", set())
    for module in MODULES:
        monkeypatch.setattr(module, "is_known", True)


def is_passed(loop, *, tls):
    run_on(loop, self_test.learn(tls=tls))
    known = {module.is_known for module in MODULES}
    assert len(known) == 1
    return known.pop()


@pytest.mark.parametrize("loop", LOOPS)
@TLS
def test_this_loop_is_good(loop, tls):
    assert is_passed(loop, tls=tls)


def also_unsent_bytes(monkeypatch):
    """Every https request on uvloop failed: the last bytes of the TLS handshake were taken for an end."""
    unsent = lambda self: self.transport is not None and self.transport.get_write_buffer_size() > 0  # noqa: E731
    monkeypatch.setattr(Handler, "is_at_end", property(unsent))


def end_at_once(monkeypatch):
    """The tail was lost where the server closed while reading was paused."""
    monkeypatch.setattr(Handler, "connection_lost", ResponseHandler.connection_lost)


def nothing_left_over(monkeypatch):
    """So it was on uvloop where only aiohttp's parser was emptied."""
    monkeypatch.setattr(aiohttp_connections, "read_leftovers", lambda transport, kept: b"")


@pytest.mark.parametrize("fault", [also_unsent_bytes, end_at_once, nothing_left_over])
@pytest.mark.parametrize("loop", LOOPS[1:])
def test_faults_of_the_past_are_seen(monkeypatch, fault, loop):
    """With TLS on uvloop, where they were."""
    fault(monkeypatch)
    assert not is_passed(loop, tls=True)


def hear_nothing(monkeypatch):
    """No data ever comes to the protocol."""
    monkeypatch.setattr(Handler, "data_received", lambda self, data: None)
    monkeypatch.setattr(self_test, "_MAX_TURNS", 200)


def raise_at_once(monkeypatch):
    def begin(self):
        raise AttributeError("another aiohttp")

    monkeypatch.setattr(Handler, "begin", begin)


def hear_another_answer(monkeypatch):
    original = Handler.data_received
    monkeypatch.setattr(Handler, "data_received", lambda self, data: original(self, data.replace(b"0", b"1")))


def answer_500(monkeypatch):
    original = Handler.data_received
    monkeypatch.setattr(Handler, "data_received", lambda self, data: original(self, data.replace(b" 200 ", b" 500 ")))


def say_something_else(monkeypatch):
    monkeypatch.setattr(self_test, "_REQUEST", self_test._REQUEST, raising=True)
    original = self_test._Peer.work

    def work(self):
        original(self)
        if self.received:
            self.received[0] = 0

    monkeypatch.setattr(self_test._Peer, "work", work)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("fault", [hear_nothing, raise_at_once, hear_another_answer, answer_500, say_something_else])
def test_another_fault_is_seen(monkeypatch, fault, loop):
    fault(monkeypatch)
    assert not is_passed(loop, tls=False)


@TLS
@pytest.mark.parametrize("loop", LOOPS)
def test_where_it_fails_aiohttps_own_way_is_taken(monkeypatch, loop, tls, tmp_path):
    """And that works, though what failed the test is still so."""
    also_unsent_bytes(monkeypatch)
    monkeypatch.setattr(Poster, "post", None)
    monkeypatch.setattr(self_test, "_is_answered", refuse)
    accepts, trusts = tls_contexts(tmp_path)

    def answer(line):
        line.send(plain(COMPLETION, kind=b"application/json"))

    async def ask(server):
        options = {"ssl_context": trusts} if tls else {}
        async with AsyncOpeAI(KEY, base_url=server.base_url, max_retries=0, **options) as client:
            return (await client.chat.completions.create(**BODY)).choices[0].message.content

    with ThreadServer(answer, tls=accepts if tls else None) as server:
        assert run_on(loop, ask(server)) == "abc"


async def refuse(*args, **options):
    return False


async def test_what_says_nothing_of_the_loop_is_not_held_against_it(monkeypatch):
    """Such as a lack of descriptors; the next client looks again."""

    async def behaves(*, tls):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(self_test, "_behaves", behaves)
    await self_test.learn(tls=False)
    assert aiohttp_post.is_known
    assert not self_test._known


async def test_it_is_run_once_per_loop_and_kind(monkeypatch):
    """By one of the requests that wait for it, and by none of another client."""
    runs = []
    original = self_test._behaves

    async def behaves(*, tls):
        runs.append(tls)
        return await original(tls=tls)

    monkeypatch.setattr(self_test, "_behaves", behaves)
    async with no_leaks(), OpeAIServer() as server:
        for _ in range(2):
            async with server.client() as client:
                await asyncio.gather(*(client.chat.completions.create(**BODY) for _ in range(10)))
    assert runs == [False]


async def test_a_client_that_is_closed_meanwhile(monkeypatch):
    """Those that wait are told, and the test ends."""
    begun = asyncio.Event()

    async def behaves(*, tls):
        begun.set()
        await asyncio.sleep(60)

    monkeypatch.setattr(self_test, "_behaves", behaves)
    async with no_leaks():
        client = AsyncOpeAI(KEY, base_url="http://127.0.0.1:1/v1", max_retries=0)
        asking = asyncio.create_task(client.chat.completions.create(**BODY))
        await begun.wait()
        await client.aclose()
        with pytest.raises(ClientClosedError):
            await asking


async def test_a_request_that_is_cancelled_meanwhile_does_not_end_it_for_others(monkeypatch):
    go_on = asyncio.Event()

    async def behaves(*, tls):
        await go_on.wait()
        return True

    monkeypatch.setattr(self_test, "_behaves", behaves)
    async with no_leaks(), OpeAIServer() as server, server.client() as client:
        first, second = (asyncio.create_task(client.chat.completions.create(**BODY)) for _ in range(2))
        await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.wait([first])
        go_on.set()
        assert await second
        assert first.cancelled()
