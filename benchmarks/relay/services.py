"""Websocket services on real sockets, one per framework, around the same endpoint; shared with the tests.

An endpoint gets the plain callables that an application would give to ``relay``. What it returns is kept. Each service
is ``async with SERVICES[name](endpoint) as service``; `NEEDS` names the module that must be installed for it. With
``ping``, it gives up a client that does not answer its pings, after about so many seconds.
"""

import asyncio
import contextlib
import functools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from aiohttp import web

Send = Callable[[str], Awaitable[None]]
Receive = Callable[[], Awaitable[Any]]
Endpoint = Callable[[Send, Receive], Awaitable[Any]]


class Service:
    """A running service.

    Attributes:
        host, port: Where it listens.
        open: How many of its sockets are with the endpoint now.
        results: What the endpoint returned or raised, in the order in which the sockets were done.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.host = "127.0.0.1"
        self.port = 0
        self.open = 0
        self.results: list[Any] = []
        self._endpoint = endpoint
        self._change = asyncio.Condition()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/chat"

    async def run(self, send: Send, receive: Receive) -> None:
        """Run the endpoint for one socket."""
        self.open += 1
        try:
            result = await self._endpoint(send, receive)
        except BaseException as exc:
            result = exc
            if isinstance(exc, asyncio.CancelledError):
                raise
        finally:
            self.open -= 1
            self.results.append(result)
            async with self._change:
                self._change.notify_all()

    async def wait_result(self, count: int = 1) -> Any:
        """What the endpoint returned at the end of socket number *count*, from 1."""
        async with self._change:
            await self._change.wait_for(lambda: len(self.results) >= count)
        result = self.results[count - 1]
        if isinstance(result, BaseException):
            raise result
        return result


def listener() -> socket.socket:
    """A listening socket with room for many who come at once."""
    # With a protocol number: asyncio sets TCP_NODELAY only on sockets that have it, and without it every second small
    # message waits some 40 ms for an acknowledgement.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.bind(("127.0.0.1", 0))
    sock.listen(2_048)
    sock.setblocking(False)
    return sock


@asynccontextmanager
async def aiohttp_service(endpoint: Endpoint, *, ping: float | None = None) -> AsyncIterator[Service]:
    service = Service(endpoint)

    async def chat(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(heartbeat=ping)
        await ws.prepare(request)
        await service.run(ws.send_str, ws.receive)
        await ws.close()
        return ws

    app = web.Application()
    app.router.add_get("/chat", chat)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    with listener() as sock:
        service.port = sock.getsockname()[1]
        try:
            await web.SockSite(runner, sock).start()
            yield service
        finally:
            await runner.cleanup()


@asynccontextmanager
async def starlette_service(
    endpoint: Endpoint, *, is_raw: bool = False, ping: float | None = None
) -> AsyncIterator[Service]:
    from starlette.applications import Starlette
    from starlette.routing import WebSocketRoute
    from starlette.websockets import WebSocket, WebSocketDisconnect

    service = Service(endpoint)

    async def chat(ws: WebSocket) -> None:
        await ws.accept()
        await service.run(ws.send_text, ws.receive if is_raw else ws.receive_text)
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # the client has closed it
            await ws.close()

    app = Starlette(routes=[WebSocketRoute("/chat", chat)])
    async with uvicorn_running(app, ping=ping) as service.port:
        yield service


@asynccontextmanager
async def uvicorn_running(app: Any, *, ping: float | None = None) -> AsyncIterator[int]:
    """Run an ASGI application on uvicorn, on this event loop; the port that it listens on."""
    import uvicorn

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self):
            yield  # signals are not its business here

    config = uvicorn.Config(
        app,
        log_level="critical",
        lifespan="off",
        timeout_graceful_shutdown=1,
        ws_ping_interval=ping,
        ws_ping_timeout=ping,
    )
    server = Server(config)
    with listener() as sock:
        running = asyncio.create_task(server.serve(sockets=[sock]))
        try:
            yield sock.getsockname()[1]
        finally:
            server.should_exit = True
            await running


@asynccontextmanager
async def websockets_service(endpoint: Endpoint, *, ping: float | None = None) -> AsyncIterator[Service]:
    from websockets.asyncio.server import ServerConnection, serve

    service = Service(endpoint)

    async def chat(ws: ServerConnection) -> None:
        await service.run(ws.send, ws.recv)

    with listener() as sock:
        service.port = sock.getsockname()[1]
        async with serve(chat, sock=sock, ping_interval=ping, ping_timeout=ping, close_timeout=1, compression=None):
            yield service


SERVICES: dict[str, Callable[..., AbstractAsyncContextManager[Service]]] = {
    "aiohttp": aiohttp_service,
    "starlette": starlette_service,
    "starlette messages": functools.partial(starlette_service, is_raw=True),
    "websockets": websockets_service,
}
NEEDS = {"aiohttp": "aiohttp", "starlette": "uvicorn", "starlette messages": "uvicorn", "websockets": "websockets"}
