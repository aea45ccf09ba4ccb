"""The service of the questions about relays, a process of its own: websockets of aiohttp.web before a client of ours.

It prints its port and runs until its standard input closes. A socket at ``/frames`` or ``/relay`` gets one answer of
the ``upstream`` in the query, by the loop that everybody writes first, or by ``relay``; ``/cpu`` tells how many seconds
of CPU time the process has used.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from benchmarks.lab import loops
from benchmarks.lab.generators import KEY
from benchmarks.lab.process import raise_file_limit
from benchmarks.lab.server import BACKLOG
from opeai_async import AsyncOpeAI, ChatCompletionStream

REQUEST = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
Answer = Callable[[ChatCompletionStream, web.WebSocketResponse, web.Request], Awaitable[object]]

_CLIENTS = web.AppKey("clients", dict[str, AsyncOpeAI])


async def one_frame_per_token(stream: ChatCompletionStream, ws: web.WebSocketResponse, _: web.Request) -> None:
    """The loop that everybody writes first."""
    async with stream:
        async for chunk in stream:
            for choice in chunk.choices:
                if choice.delta.content:
                    await ws.send_str(json.dumps({"type": "content", "text": choice.delta.content}))
    await ws.send_str(json.dumps({"type": "done"}))


async def relay(stream: ChatCompletionStream, ws: web.WebSocketResponse, request: web.Request) -> None:
    """What is measured; ``window`` in the query is in seconds."""
    options = {name: float(value) for name, value in request.query.items() if name == "window"}
    await stream.relay(ws.send_str, ws.receive, **options)


def socket_of(answer: Answer) -> Callable[[web.Request], Awaitable[web.WebSocketResponse]]:
    async def handle(request: web.Request) -> web.WebSocketResponse:
        clients, url = request.app[_CLIENTS], request.query["upstream"]
        if url not in clients:
            clients[url] = AsyncOpeAI(KEY, base_url=url, max_connections=10_000)
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        await answer(clients[url].chat.completions.stream(**REQUEST), ws, request)
        await ws.close()
        return ws

    return handle


async def cpu(_: web.Request) -> web.Response:
    return web.json_response(time.process_time())


async def close_clients(app: web.Application) -> None:
    for client in app[_CLIENTS].values():
        await client.aclose()


async def serve() -> None:
    """Print the port; run until standard input closes."""
    app = web.Application()
    app[_CLIENTS] = {}
    app.router.add_get("/frames", socket_of(one_frame_per_token))
    app.router.add_get("/relay", socket_of(relay))
    app.router.add_get("/cpu", cpu)
    app.on_cleanup.append(close_clients)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=BACKLOG)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
    await runner.cleanup()


def main(loop: str = loops.ASYNCIO) -> None:
    """Serve until the standard input closes, on an event loop of that name."""
    raise_file_limit()
    loops.run(loop, serve())
