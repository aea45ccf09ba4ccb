"""Event streams on real servers: whoever reads goes, and the upstream is closed; seen from the upstream's side."""

import asyncio
import importlib.util
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from aiohttp import ClientSession, web

from benchmarks.relay.services import listener, uvicorn_running
from opeai_async import SSE_HEADERS, AsyncOpeAI, sse, sse_chunks
from opeai_async.testing import OpeAIServer, Raw
from tests.support.reading.chunks import BODY
from tests.support.reading.streams import delta_chunk, event

Answer = Callable[[], AsyncIterator[bytes]]
Serve = Callable[[Answer], Awaitable[str]]

PIECE = event(delta_chunk({"content": "w" * 100_000}))


@asynccontextmanager
async def on_aiohttp(answer: Answer) -> AsyncIterator[int]:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=SSE_HEADERS)
        await response.prepare(request)
        async for data in answer():
            await response.write(data)
        return response

    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app, shutdown_timeout=1, handler_cancellation=True)
    await runner.setup()
    with listener() as sock:
        await web.SockSite(runner, sock).start()
        try:
            yield sock.getsockname()[1]
        finally:
            await runner.cleanup()


@asynccontextmanager
async def on_starlette(answer: Answer) -> AsyncIterator[int]:
    from starlette.applications import Starlette
    from starlette.responses import StreamingResponse
    from starlette.routing import Route

    async def handle(request) -> StreamingResponse:
        return StreamingResponse(answer(), headers=SSE_HEADERS)

    async with uvicorn_running(Starlette(routes=[Route("/", handle)])) as port:
        yield port


@asynccontextmanager
async def on_quart(answer: Answer) -> AsyncIterator[int]:
    from quart import Quart, Response

    app = Quart(__name__)

    @app.get("/")
    async def handle():
        return Response(answer(), headers=SSE_HEADERS)

    async with uvicorn_running(app) as port:
        yield port


SERVICES = {"aiohttp": on_aiohttp, "starlette": on_starlette, "quart": on_quart}
NEEDS = {"aiohttp": ["aiohttp"], "starlette": ["starlette", "uvicorn"], "quart": ["quart", "uvicorn"]}


@pytest.fixture(params=SERVICES)
async def serve(request: pytest.FixtureRequest) -> AsyncIterator[Serve]:
    """Starts a service that answers each request with an event stream; gives its port."""
    for module in NEEDS[request.param]:
        if not importlib.util.find_spec(module):
            pytest.skip(f"{module} is not installed")
    async with AsyncExitStack() as stack:

        async def start(answer: Answer) -> int:
            return await stack.enter_async_context(SERVICES[request.param](answer))

        yield start


class Visitor:
    """A client at a plain socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    @classmethod
    async def ask(cls, port: int) -> "Visitor":
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n")
        return cls(reader, writer)

    def leave(self, how: str) -> None:
        """Close the connection, or reset it."""
        if how == "abort":
            linger = struct.pack("ii", 1, 0)
            self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._writer.transport.abort()


STREAMS = {"sse": sse, "sse_chunks": sse_chunks}


def asking(client: AsyncOpeAI, kind: str) -> Answer:
    """What an application would do: a stream per request, made into events."""
    return lambda: STREAMS[kind](client.chat.completions.stream(**BODY))


@pytest.mark.parametrize("kind", STREAMS)
async def test_the_whole_answer_arrives(serve: Serve, upstream: OpeAIServer, client: AsyncOpeAI, kind: str) -> None:
    """All events, with the headers that proxies and browsers need."""
    upstream.reply("Hello there")
    port = await serve(asking(client, kind))
    async with ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as response:
        body = await response.text()
    assert {name: response.headers[name] for name in SSE_HEADERS} == dict(SSE_HEADERS)
    assert "Hello" in body
    assert body.endswith("data: [DONE]\n\n" if kind == "sse_chunks" else "}\n\n")
    assert (await upstream.wait_closed()).outcome == "completed"


@pytest.mark.parametrize("how", ["close", "abort"])
@pytest.mark.parametrize("kind", STREAMS)
async def test_a_reader_that_leaves_in_a_silence_closes_the_upstream(
    serve: Serve, upstream: OpeAIServer, client: AsyncOpeAI, kind: str, how: str
) -> None:
    """The model thinks, nothing is sent, and the wait is cancelled when the client has gone."""
    upstream.stall("Hello there", after=2)
    visitor = await Visitor.ask(await serve(asking(client, kind)))
    await visitor.reader.readuntil(b"Hello")
    visitor.leave(how)
    assert (await upstream.wait_closed()).outcome == "client_gone"


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_a_reader_that_leaves_before_the_first_event_closes_the_upstream(
    serve: Serve, upstream: OpeAIServer, client: AsyncOpeAI, how: str
) -> None:
    """While the request waits for its answer."""
    upstream.reply("Hello", delay_s=60)
    visitor = await Visitor.ask(await serve(asking(client, "sse")))
    await upstream.wait_received()
    visitor.leave(how)
    assert (await upstream.wait_closed()).outcome == "client_gone"


@pytest.mark.parametrize("how", ["close", "abort"])
@pytest.mark.parametrize("kind", STREAMS)
async def test_a_reader_that_leaves_while_it_is_sent_to_closes_the_upstream(
    serve: Serve, upstream: OpeAIServer, client: AsyncOpeAI, kind: str, how: str
) -> None:
    """The client does not read, so the framework waits in its own send: it is cancelled there, and drops the events."""
    upstream.answer(Raw((PIECE,) * 200))
    visitor = await Visitor.ask(await serve(asking(client, kind)))
    await visitor.reader.readuntil(b"wwww")
    await asyncio.sleep(0.2)  # nothing tells from outside that a send waits
    visitor.leave(how)
    assert (await upstream.wait_closed()).outcome == "client_gone"
