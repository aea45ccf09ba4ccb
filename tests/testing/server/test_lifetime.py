"""Starting and ending the server: on a loop, in a thread, and with everything still going on."""

import asyncio
import contextlib
import gc
import threading
import urllib.request

import aiohttp
import msgspec
import pytest

from opeai_async.testing import Answer, Drop, Failure, OpeAIServer, RecordedRequest, Reply
from tests.support.leaks import open_descriptors
from tests.testing.wire import BODY, STREAM, ask, chat_url, key_of, port_of, raw_request


async def test_start_and_close_are_idempotent() -> None:
    """Twice is once; a closed server may be started again; its address stays known, but refuses."""
    server = OpeAIServer()
    await server.aclose()
    with pytest.raises(RuntimeError, match="the server has no address yet"):
        _ = server.base_url
    assert repr(server) == "<OpeAIServer not started: 0 requests, 0 connections open>"
    assert (server.connections_open, server.connections_total) == (0, 0)
    await server.start()
    url = server.base_url
    await server.start()
    assert server.base_url == url
    await server.aclose()
    await server.aclose()
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(server.base_url)
    await server.start()
    async with aiohttp.ClientSession(headers=key_of(server)) as session:
        assert (await ask(session, server))[0].status == 200
    await server.aclose()


async def test_close_leaves_nothing() -> None:
    """Idle connections, a stall, a slow reply and a blocked writer end at once: no task, no socket is left."""
    before_tasks, before_fds = asyncio.all_tasks(), open_descriptors()
    async with OpeAIServer() as server, aiohttp.ClientSession(headers=key_of(server)) as session:
        server.stall("one")
        server.reply("one", delay_s=60)
        server.raw([b"x" * 1_000_000] * 40)
        asked = [asyncio.create_task(ask(session, server, STREAM)) for _ in range(2)]
        await server.wait_received(2)
        blocked_reader, blocked = await asyncio.open_connection("127.0.0.1", port_of(server), limit=1)
        blocked.write(raw_request(server, msgspec.json.encode(STREAM)))
        _, idle = await asyncio.open_connection("127.0.0.1", port_of(server))
        await server.wait_received(3)
        assert server.connections_open == 4
        async with asyncio.timeout(1):
            await server.aclose()
        assert server.connections_open == 0
        assert [record.outcome for record in server.requests] == ["server_closed"] * 3
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(result, aiohttp.ClientError) for result in results)
        for writer in (blocked, idle):
            writer.transport.abort()
        del blocked_reader
    await asyncio.sleep(0.02)
    gc.collect()
    assert asyncio.all_tasks() == before_tasks
    assert open_descriptors() == before_fds


@pytest.mark.parametrize("turns", range(6))
async def test_closing_while_connections_arrive(turns: int) -> None:
    """Each of them sees its end, however far it had come: none waits for a server that is gone."""
    server = OpeAIServer()
    await server.start()
    opening = [
        asyncio.ensure_future(asyncio.open_connection("127.0.0.1", int(server.base_url.split(":")[2].split("/")[0])))
        for _ in range(20)
    ]
    for _ in range(turns):
        await asyncio.sleep(0)
    await server.aclose()
    for opened in await asyncio.gather(*opening, return_exceptions=True):
        if isinstance(opened, BaseException):
            assert isinstance(opened, OSError)
            continue
        reader, writer = opened
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize("too_late", [Reply("x"), Reply("x", ending="fin"), Drop("rst"), Failure(500)])
async def test_close_is_not_held_up_by_a_stubborn_handler(monkeypatch: pytest.MonkeyPatch, too_late: Answer) -> None:
    """A handler that swallows its cancellation is left behind after a moment."""
    monkeypatch.setattr("opeai_async.testing.server.connections._SETTLE_S", 0.05)
    released = asyncio.Event()

    async def resist(request: RecordedRequest) -> Reply:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await released.wait()
        return too_late

    async with OpeAIServer() as server, aiohttp.ClientSession(headers=key_of(server)) as session:
        server.handle(resist)
        asked = asyncio.create_task(ask(session, server))
        await server.wait_received()
        async with asyncio.timeout(1):
            await server.aclose()
        with pytest.raises(aiohttp.ClientError):
            await asked
        released.set()
        assert (await server.wait_closed()).outcome == "server_closed"


@pytest.mark.parametrize("turns", range(10))
async def test_a_connection_that_arrives_while_closing_is_refused(server: OpeAIServer, turns: int) -> None:
    """What accept() had already taken when the server closed is closed too."""
    accepted = [asyncio.open_connection("127.0.0.1", port_of(server)) for _ in range(20)]
    opening = [asyncio.ensure_future(connection) for connection in accepted]
    for _ in range(turns):
        await asyncio.sleep(0)
    await server.aclose()
    opened = await asyncio.gather(*opening, return_exceptions=True)
    for result in opened:
        if not isinstance(result, BaseException):
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await result[0].readexactly(1)
            result[1].close()
    await asyncio.sleep(0.02)
    assert server.connections_open == 0


async def test_serve_forever() -> None:
    """It serves until cancelled, and until closed; both leave it closed."""
    for end_it in ("cancel", "aclose"):
        server = OpeAIServer(port=0, host="127.0.0.1")
        await server.start()
        serving = asyncio.create_task(server.serve_forever())
        async with aiohttp.ClientSession(headers=key_of(server)) as session:
            assert (await ask(session, server))[0].status == 200
        if end_it == "cancel":
            serving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await serving
        else:
            await server.aclose()
            await serving
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get(server.base_url)


async def test_ipv6() -> None:
    """An IPv6 address is bracketed in the URL."""
    server = OpeAIServer(host="::1")
    try:
        await server.start()
    except OSError:
        pytest.skip("no IPv6 here")
    async with server, aiohttp.ClientSession(headers=key_of(server)) as session:
        assert server.base_url.startswith("http://[::1]:")
        assert (await ask(session, server))[0].status == 200


# --- a thread of its own ---------------------------------------------------------------------------------------------


async def test_in_a_thread() -> None:
    """`with` runs it in a thread; it is scripted and waited for from here, and leaves neither thread nor socket."""
    before_threads, before_fds = threading.active_count(), open_descriptors()
    with OpeAIServer() as server:
        async with aiohttp.ClientSession(headers=key_of(server)) as session:
            server.stall("one")
            async with session.post(chat_url(server), json=STREAM) as response:
                await response.content.readany()
                with pytest.raises(TimeoutError, match="in vain for the end of request -1"):
                    await server.wait_closed(timeout_s=0.02)
                response.close()
            assert (await server.wait_closed()).outcome == "client_gone"
            assert (await ask(session, server))[0].status == 200
            assert await server.wait_received(2) is server.requests[1]
            await asyncio.gather(server.aclose(), server.aclose())
    await asyncio.sleep(0.02)
    assert threading.active_count() == before_threads
    assert open_descriptors() == before_fds
    assert await server.wait_closed() is server.requests[1]
    with pytest.raises(RuntimeError, match="the event loop that the server lived on has ended"):
        await server.wait_received(3)


def test_without_a_loop_of_ones_own() -> None:
    """A synchronous caller may use it, through a client that knows nothing of loops."""
    with OpeAIServer() as server:
        server.reply("Hello")
        request = urllib.request.Request(chat_url(server), msgspec.json.encode(BODY), key_of(server))
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request) as response:
            assert msgspec.json.decode(response.read())["choices"][0]["message"]["content"] == "Hello"


async def test_a_thread_ends_with_a_stream_open() -> None:
    """Leaving the `with` block ends live streams at once."""
    async with aiohttp.ClientSession() as session:
        with OpeAIServer() as server:
            server.stall("one")
            response = await session.post(chat_url(server), json=STREAM, headers=key_of(server))
        assert server.requests[0].outcome == "server_closed"
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


def test_a_thread_that_cannot_start_is_not_left() -> None:
    """If the port is taken, the error comes out and the thread ends."""
    before = threading.active_count()
    with OpeAIServer() as server:
        with pytest.raises(OSError, match="address already in use"):
            OpeAIServer(port=port_of(server)).__enter__()
    assert threading.active_count() == before
