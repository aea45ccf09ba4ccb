"""An application that relays answers, for the servers of `test_sigterm`; it is imported in their processes."""

import asyncio
import contextlib
import os
import ssl
import sys

from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

from opeai_async import SSE_HEADERS, AsyncOpeAI, drain_on_sigterm, sse
from opeai_async.testing import certificates

BODY = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
TRUST = ssl.create_default_context(cadata=certificates.LOCALHOST)
# Made before a server forks its workers, with --preload.
CLIENT = AsyncOpeAI("sk-test", base_url=os.environ["UPSTREAM"], ssl_context=TRUST)


def tell(*words):
    """Write a line to where the test reads it."""
    sys.stderr.write(" ".join(map(str, words)) + "\n")
    sys.stderr.flush()


def own_tasks():
    """The tasks of the package that have not ended."""
    return [task for task in asyncio.all_tasks() if task.get_name().startswith("opeai_async")]


@contextlib.asynccontextmanager
async def lifespan(app):
    async with CLIENT as client, drain_on_sigterm(client, wait=float(os.environ["WAIT_S"])):
        yield {"client": client}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2):
            while own_tasks():  # noqa: ASYNC110 - tasks of others
                await asyncio.sleep(0.01)
    tell("LIFESPAN ENDED", type(asyncio.get_running_loop()).__module__.partition(".")[0], len(own_tasks()))


async def chat(ws):
    await ws.accept()
    result = await ws.state.client.chat.completions.stream(**BODY).relay(ws.send_text, ws.receive_text)
    tell("RELAY", result.reason)
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await ws.close()


async def events(request):
    stream = request.state.client.chat.completions.stream(**BODY)
    return StreamingResponse(sse(stream), headers=SSE_HEADERS)


app = Starlette(lifespan=lifespan, routes=[WebSocketRoute("/chat", chat), Route("/events", events)])
