"""How an answer is sent: slowly, cut off, dropped, or stalled; seen byte by byte from the client's side."""

import asyncio
from typing import Any

import aiohttp
import msgspec
import pytest

from opeai_async.testing import OpeAIServer
from tests.testing.wire import BODY, STREAM, ask, chat_url, events_of, exchange, key_of, port_of, raw_request


def body_of(received: bytes) -> bytes:
    return received.partition(b"\r\n\r\n")[2]


async def test_cut_by_fin(server: OpeAIServer) -> None:
    """Three whole chunks, half an HTTP chunk, FIN."""
    server.cut("one two three four", after=3)
    received, error = await exchange(server, STREAM)
    assert error is None
    assert received.count(b"data: ") == 4
    assert b'" two"' in received
    head, _, rest = received.rpartition(b"\r\n")
    announced = int(head.rpartition(b"\r\n")[2], 16)
    assert rest.startswith(b"data: ")
    assert len(rest) == announced // 2
    record = server.requests[0]
    assert (record.outcome, record.chunks_sent) == ("cut", 3)
    assert b'finish_reason":"' not in received


async def test_cut_by_rst(server: OpeAIServer) -> None:
    """The same, but the connection is reset, and what was sent before arrives."""
    server.cut("one two three four", after=3, how="rst")
    received, error = await exchange(server, STREAM)
    assert error is ConnectionResetError
    assert b'" two"' in received
    assert server.requests[0].outcome == "cut"


async def test_cut_cleanly(server: OpeAIServer, session: aiohttp.ClientSession) -> None:
    """The body ends as if it were whole, without finish_reason, usage or [DONE], and the connection lives on."""
    server.cut("one two", how="clean")
    _, body = await ask(session, server, {**STREAM, "stream_options": {"include_usage": True}})
    chunks = events_of(body)
    assert [c["choices"][0]["delta"].get("content") for c in chunks] == ["", "one", " two"]
    assert {c["choices"][0]["finish_reason"] for c in chunks} == {None}
    await ask(session, server)
    assert server.connections_total == 1
    assert server.requests[0].outcome == "cut"


@pytest.mark.parametrize("how", ["fin", "rst", "clean"])
async def test_cut_before_the_first_chunk(server: OpeAIServer, how: Any) -> None:
    """after=0: the head, and not one whole chunk."""
    server.cut("one", after=0, how=how)
    received, _ = await asyncio.wait_for(exchange_until_cut(server, STREAM), 5)
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert server.requests[0].chunks_sent == 0


async def exchange_until_cut(server: OpeAIServer, body: dict) -> tuple[bytes, type[Exception] | None]:
    """Like `exchange`, but a clean end does not close the connection, so the server is closed for it."""
    asked = asyncio.create_task(exchange(server, body))
    await server.wait_received()
    await server.wait_closed()
    await asyncio.sleep(0.02)
    await server.aclose()
    return await asked


@pytest.mark.parametrize(("how", "error"), [("fin", None), ("rst", ConnectionResetError)])
@pytest.mark.parametrize("after", [0, None])
async def test_cut_one_body(server: OpeAIServer, how: Any, error: type | None, after: int | None) -> None:
    """A body that is not streamed breaks off before its announced length."""
    server.cut("one two three", how=how, after=after)
    received, seen = await exchange(server, BODY)
    assert seen is error
    head = received.partition(b"\r\n\r\n")[0].lower()
    announced = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    assert len(body_of(received)) == (0 if after == 0 else announced // 2)
    assert server.requests[0].outcome == "cut"


async def test_cut_one_body_cleanly(server: OpeAIServer, session: aiohttp.ClientSession) -> None:
    """Half a body with chunked framing looks whole to HTTP."""
    server.cut("one two three", how="clean")
    response, body = await ask(session, server)
    assert response.headers["transfer-encoding"] == "chunked"
    assert body.startswith(b'{"id":')
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(body)


@pytest.mark.parametrize(("how", "error"), [("fin", None), ("rst", ConnectionResetError)])
async def test_drop(server: OpeAIServer, how: Any, error: type | None) -> None:
    """The request was read, and not one byte came back."""
    server.drop(how=how)
    assert await exchange(server, BODY) == (b"", error)
    record = server.requests[0]
    assert (record.json, record.outcome, record.status) == (BODY, "dropped", None)


async def test_a_cut_waits_until_all_is_sent(server: OpeAIServer) -> None:
    """More than the buffers of the system hold still arrives, if the client reads it."""
    server.cut("x " * 10_000, how="rst", model="m" * 1000)
    received, error = await exchange(server, STREAM)
    assert error is ConnectionResetError
    assert received.count(b'"content":" x"') == 9_999


async def test_stall(server: OpeAIServer, session: aiohttp.ClientSession) -> None:
    """Silence with the connection open; the record says when the client went."""
    server.stall("one two three", after=2)
    async with session.post(chat_url(server), json=STREAM) as response:
        received = await response.content.readuntil(b'"one"}')
        while not received.endswith(b"\n\n\r\n") and b'"one"' not in received:
            received += await response.content.readany()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(response.content.readuntil(b" two"), 0.05)
        assert server.requests[0].outcome == "live"
        assert server.requests[0].ended_s is None
        response.close()
    record = await server.wait_closed()
    assert record is server.requests[0]
    assert (record.outcome, record.chunks_sent) == ("client_gone", 2)
    assert record.ended_s is not None
    assert 0.04 < record.ended_s - record.started_s < 5


async def test_stall_of_one_body(server: OpeAIServer, session: aiohttp.ClientSession) -> None:
    """Half a body, then silence."""
    server.stall("one")
    async with session.post(chat_url(server), json=BODY) as response:
        assert (await response.content.readany()).startswith(b'{"id"')
        response.close()
    assert (await server.wait_closed()).outcome == "client_gone"


async def test_a_client_that_leaves_while_chunks_are_sent(server: OpeAIServer, session: aiohttp.ClientSession) -> None:
    """The server notices between two chunks and stops."""
    server.reply("word " * 1000, token_delay_s=0.001)
    async with session.post(chat_url(server), json=STREAM) as response:
        await response.content.readany()
        response.close()
    record = await server.wait_closed()
    assert record.outcome == "client_gone"
    assert record.chunks_sent < 1000


async def test_a_client_that_leaves_without_reading(server: OpeAIServer) -> None:
    """Blocked by a full socket, the server still notices that the client went."""
    server.raw([b"x" * 1_000_000] * 40)
    _, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
    writer.write(raw_request(server, msgspec.json.encode(STREAM)))
    await server.wait_received()
    writer.transport.abort()
    assert (await server.wait_closed()).outcome == "client_gone"


async def test_delays(session: aiohttp.ClientSession, server: OpeAIServer) -> None:
    """delay_s before the head, token_delay_s between chunks, chunk_delay_s between raw items; nothing else waits."""
    server.reply("a b", delay_s=0.05)
    server.reply("a b", token_delay_s=0.02)
    server.raw([b"a", b"b"], chunk_delay_s=0.05)
    server.fail(500, delay_s=0.05)
    server.reply("a b")
    for _ in range(5):
        await ask(session, server, STREAM)
    taken = [record.ended_s - record.started_s for record in server.requests if record.ended_s]
    assert all(seconds >= 0.049 for seconds in taken[:4])
    assert taken[4] < 0.049


async def test_the_servers_token_delay() -> None:
    """A server may be slow by itself, and a reply may be faster than it."""
    async with OpeAIServer(token_delay_s=0.02) as server, aiohttp.ClientSession(headers=key_of(server)) as session:
        server.reply("a b")
        server.reply("a b", token_delay_s=0)
        await ask(session, server, STREAM)
        await ask(session, server, STREAM)
        slow, fast = ((r.ended_s or 0) - r.started_s for r in server.requests)
        assert slow >= 0.058
        assert fast < 0.058
