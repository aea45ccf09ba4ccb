"""How do I serve the chat page with the websockets library alone? The page is that of ``websocket_chat/``.

``python examples/websocket_chat_websockets.py`` serves it with the testing server's answers; with OPEAI_API_KEY set,
the real model answers. Without a terminal, a client tries it and the program ends.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections import deque
from pathlib import Path

import msgspec
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from opeai_async import AsyncOpeAI, StreamSession
from opeai_async.testing import OpeAIServer

PAGE = Path(__file__).parent / "websocket_chat" / "index.html"


class Ask(msgspec.Struct, tag="ask"):
    """Begin an answer."""

    id: str
    messages: list[dict[str, str]]


class Resume(msgspec.Struct, tag="resume"):
    """Go on with an answer that was begun, behind the offset *after*."""

    id: str
    after: int


class Stop(msgspec.Struct, tag="stop"):
    """End the answer. The relay takes care of it; one that comes here came too late."""


def page(connection: ServerConnection, request: Request) -> Response | None:
    """The page, to whoever asks for no socket; None goes on with the handshake."""
    if request.path != "/socket":
        return Response(200, "OK", Headers({"Content-Type": "text/html; charset=utf-8"}), PAGE.read_bytes())
    if request.headers.get("Origin") not in (None, f"http://{request.headers['Host']}"):
        return connection.respond(403, "This is not for pages of other sites.\n")
    return None


class Chat:
    """Answers what browsers ask."""

    def __init__(self, client: AsyncOpeAI) -> None:
        self._client = client

    async def __call__(self, socket: ServerConnection) -> None:
        """Serve one browser, over one socket, until it goes."""
        waiting: deque[str | bytes] = deque()
        with contextlib.suppress(ConnectionClosed):
            while True:
                message = waiting.popleft() if waiting else await socket.recv()
                said: Ask | Resume | Stop = msgspec.json.decode(message, type=Ask | Resume | Stop)
                if isinstance(said, Ask):
                    stream = self._client.chat.completions.stream(model="deepseek-v4-flash", messages=said.messages)
                    session, after = StreamSession.start(stream, id=said.id), 0
                elif isinstance(said, Resume):
                    session, after = StreamSession.attach(said.id), said.after
                else:
                    continue
                result = await session.relay(socket.send, socket.recv, after=after)
                if result.reason in ("disconnected", "slow"):
                    return
                waiting.extend(result.inbox)  # what the browser said while it was being answered


async def check(url: str, upstream: OpeAIServer) -> None:
    """Ask, go away in the middle of the answer, come back for the rest; ask again, and stop."""
    messages = [{"role": "user", "content": "Are you there?"}]
    async with connect(url) as socket:
        await socket.send(json.dumps({"type": "ask", "id": "first", "messages": messages}))
        frames = [json.loads(await socket.recv()) for _ in range(10)]
    async with connect(url) as socket:
        await socket.send(json.dumps({"type": "resume", "id": "first", "after": frames[-1]["offset"]}))
        while frames[-1]["type"] != "done":
            frames.append(json.loads(await socket.recv()))
        print("".join(frame["text"] for frame in frames if frame["type"] == "content"))

        await socket.send(json.dumps({"type": "ask", "id": "second", "messages": messages}))
        await socket.recv()
        await socket.send("stop")
        while (frame := json.loads(await socket.recv()))["type"] != "done":
            pass
    print(f"{frame['reason']}; for the model's server: {(await upstream.wait_closed()).outcome}")


async def main() -> None:
    is_check = "--check" in sys.argv or not sys.stdin.isatty()
    async with OpeAIServer(token_delay_s=0.05) as upstream:
        is_real = "OPEAI_API_KEY" in os.environ and not is_check
        async with AsyncOpeAI() if is_real else upstream.client() as client:
            port = 0 if is_check else 8765
            async with serve(Chat(client), "127.0.0.1", port, process_request=page, compression=None) as server:
                host, port = next(iter(server.sockets)).getsockname()
                if is_check:
                    await check(f"ws://{host}:{port}/socket", upstream)
                else:
                    print(f"Open http://{host}:{port}/ in a browser; Ctrl-C ends this.")
                    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
