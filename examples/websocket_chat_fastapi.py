"""How do I serve the chat page with FastAPI? This is the socket of ``websocket_chat/`` again, and the page is the same.

``python examples/websocket_chat_fastapi.py`` serves it with the testing server's answers; with OPEAI_API_KEY set, the
real model answers. Without a terminal, a client tries it and the program ends.
"""

import asyncio
import contextlib
import os
import sys
from collections import deque
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Annotated, Literal

import uvicorn
from aiohttp import ClientSession
from fastapi import FastAPI, WebSocket, WebSocketDisconnect, WebSocketException
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field, TypeAdapter

from opeai_async import AsyncOpeAI, StreamSession
from opeai_async.testing import OpeAIServer

PAGE = Path(__file__).parent / "websocket_chat" / "index.html"


class Ask(BaseModel):
    """Begin an answer."""

    type: Literal["ask"]
    id: str
    messages: list[dict[str, str]]


class Resume(BaseModel):
    """Go on with an answer that was begun, behind the offset *after*."""

    type: Literal["resume"]
    id: str
    after: int


class Stop(BaseModel):
    """End the answer. The relay takes care of it; one that comes here came too late."""

    type: Literal["stop"]


SAID: TypeAdapter[Ask | Resume | Stop] = TypeAdapter(Annotated[Ask | Resume | Stop, Field(discriminator="type")])


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[dict[str, AsyncOpeAI]]:
    """One client for the whole service."""
    async with AsyncOpeAI() as client:
        yield {"client": client}


app = FastAPI(lifespan=lifespan)


@app.get("/")
async def page() -> FileResponse:
    return FileResponse(PAGE)


@app.websocket("/socket")
async def chat(socket: WebSocket) -> None:
    """Answer what one browser asks, over one socket, until it goes."""
    if socket.headers.get("origin") not in (None, f"http://{socket.headers['host']}"):
        raise WebSocketException(1008, "This is not for pages of other sites.")
    await socket.accept()
    client: AsyncOpeAI = socket.state.client
    waiting: deque[str] = deque()
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            said = SAID.validate_json(waiting.popleft() if waiting else await socket.receive_text())
            if isinstance(said, Ask):
                stream = client.chat.completions.stream(model="deepseek-v4-flash", messages=said.messages)
                session, after = StreamSession.start(stream, id=said.id), 0
            elif isinstance(said, Resume):
                session, after = StreamSession.attach(said.id), said.after
            else:
                continue
            result = await session.relay(socket.send_text, socket.receive_text, after=after)
            if result.reason in ("disconnected", "slow"):
                return
            waiting.extend(result.inbox)  # what the browser said while it was being answered


async def check(url: str, upstream: OpeAIServer) -> None:
    """Ask, go away in the middle of the answer, come back for the rest; ask again, and stop."""
    messages = [{"role": "user", "content": "Are you there?"}]
    async with ClientSession() as browser:
        async with browser.ws_connect(f"{url}/socket") as socket:
            await socket.send_json({"type": "ask", "id": "first", "messages": messages})
            frames = [await socket.receive_json() for _ in range(10)]
        async with browser.ws_connect(f"{url}/socket") as socket:
            await socket.send_json({"type": "resume", "id": "first", "after": frames[-1]["offset"]})
            while frames[-1]["type"] != "done":
                frames.append(await socket.receive_json())
            print("".join(frame["text"] for frame in frames if frame["type"] == "content"))

            await socket.send_json({"type": "ask", "id": "second", "messages": messages})
            await socket.receive_json()
            await socket.send_json({"type": "stop"})
            while (frame := await socket.receive_json())["type"] != "done":
                pass
    print(f"{frame['reason']}; for the model's server: {(await upstream.wait_closed()).outcome}")


async def main() -> None:
    is_check = "--check" in sys.argv or not sys.stdin.isatty()
    async with OpeAIServer(token_delay_s=0.05) as upstream:
        if is_check or "OPEAI_API_KEY" not in os.environ:
            os.environ.update(OPEAI_API_KEY=upstream.api_key, OPEAI_BASE_URL=upstream.base_url)
        if not is_check:
            await uvicorn.Server(uvicorn.Config(app, port=8765)).serve()
            return
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        host, port = server.servers[0].sockets[0].getsockname()
        await check(f"http://{host}:{port}", upstream)
        server.should_exit = True
        await serving


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
