"""How do I put a chat on a web page: tokens as they come, a stop button, and nothing lost by a reload?

``python examples/websocket_chat`` serves one, with a made-up model; with OPEAI_API_KEY set, the real one answers.
`chat` is all that the server needs, and ``index.html`` is all of the page. With ``--check``, or without a terminal, a
client tries it and the program ends.

An answer is a session: it goes on while the browser is away for a moment. The browser chooses its id and keeps the
offset of the last frame that it has, so that it can ask for the rest on a new connection.
"""

import asyncio
import contextlib
import os
import sys
from collections import deque
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import ClientSession, ClientWebSocketResponse, WSMessage, WSMsgType, web

from opeai_async import AsyncOpeAI, StreamSession
from opeai_async.testing import OpeAIServer, RecordedRequest, Reply

PAGE = Path(__file__).with_name("index.html")
CLIENT = web.AppKey("client", AsyncOpeAI)
MODEL = "deepseek-v4-flash"
PORT = 8765


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


async def chat(request: web.Request) -> web.WebSocketResponse:
    """Answer what one browser asks, over one socket, until it goes."""
    if request.headers.get("Origin") not in (None, f"{request.scheme}://{request.host}"):
        raise web.HTTPForbidden(text="This is not for pages of other sites.")
    socket = web.WebSocketResponse(heartbeat=20)
    await socket.prepare(request)
    waiting: deque[WSMessage] = deque()
    while True:
        message = waiting.popleft() if waiting else await socket.receive()
        if message.type is not WSMsgType.TEXT:
            return socket
        said: Ask | Resume | Stop = msgspec.json.decode(message.data, type=Ask | Resume | Stop)
        if isinstance(said, Ask):
            stream = request.app[CLIENT].chat.completions.stream(model=MODEL, messages=said.messages)
            session, after = StreamSession.start(stream, id=said.id), 0
        elif isinstance(said, Resume):
            session, after = StreamSession.attach(said.id), said.after
        else:
            continue
        result = await session.relay(socket.send_str, socket.receive, after=after)
        if result.reason in ("disconnected", "slow"):
            return socket
        waiting.extend(result.inbox)  # what the browser said while it was being answered


async def page(request: web.Request) -> web.FileResponse:
    return web.FileResponse(PAGE)


@contextlib.asynccontextmanager
async def serving(client: AsyncOpeAI, port: int = 0) -> AsyncGenerator[str]:
    """Serve the page and its socket, at the address that this gives."""
    app = web.Application()
    app[CLIENT] = client
    app.router.add_get("/", page)
    app.router.add_get("/socket", chat)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield "http://{}:{}/".format(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()


# --- without a key: a model that is made up ---------------------------------------------------------------------------

THOUGHTS = """\
The question is: {question}
I have no idea, because I am not a model. But I can show what an answer looks like on its way: some thoughts, then \
text with headings, lists and code, a few tokens at a time."""

ANSWER = """\
You asked: *{question}*

I am **made up**: the testing server of `opeai_async` plays me, so no key is needed and nothing is spent. What you see \
is real all the same. Every token comes over HTTP as a server-sent event, and goes on to your browser by websocket.

### Try this while I write
1. Press the **stop** button, or `Esc`: the request to the model is closed at once.
2. Reload the page: I go on where I was, without a lost or doubled character.
3. Open the thoughts above. They are folded away, as they should be.

All of it is a few lines on the server:

```python
stream = client.chat.completions.stream(model=MODEL, messages=messages)
session = StreamSession.start(stream, id=id)
result = await session.relay(socket.send_str, socket.receive)
```

- The first token goes out at once, and those of a burst together.
- A browser that goes away costs no more tokens than you allow.
- <b>Markup of a model</b> stays text.
"""


async def made_up(request: RecordedRequest) -> Reply:
    question = request.json["messages"][-1]["content"]
    return Reply(ANSWER.format(question=question), reasoning=THOUGHTS.format(question=question), token_delay_s=0.03)


# --- without a terminal: a client that tries it -----------------------------------------------------------------------


async def read(socket: ClientWebSocketResponse, frames: list[dict[str, Any]], *, at_most: int | None = None) -> None:
    """Add frames to *frames*, to the end of the answer or so many."""
    while at_most is None or len(frames) < at_most:
        frames.append(await socket.receive_json())
        if frames[-1]["type"] in ("done", "error"):
            return


async def check(url: str, upstream: OpeAIServer) -> None:
    frames: list[dict[str, Any]] = []
    messages = [{"role": "user", "content": "Are you there?"}]
    async with ClientSession() as browser:
        async with browser.ws_connect(f"{url}socket") as socket:
            await socket.send_json({"type": "ask", "id": "first", "messages": messages})
            await read(socket, frames, at_most=20)
        print(f"lost the connection at offset {frames[-1]['offset']}")
        async with browser.ws_connect(f"{url}socket") as socket:
            await socket.send_json({"type": "resume", "id": "first", "after": frames[-1]["offset"]})
            await read(socket, frames)
            text = "".join(frame["text"] for frame in frames if frame["type"] == "content")
            assert text == ANSWER.format(question="Are you there?")
            print(f"went on, and has all {len(text)} characters: {frames[-1]}")

            await socket.send_json({"type": "ask", "id": "second", "messages": messages})
            await read(socket, frames, at_most=len(frames) + 20)
            await socket.send_json({"type": "stop"})
            await read(socket, frames)
    print(f"stopped the second answer: {frames[-1]}, for the model's server {(await upstream.wait_closed()).outcome}")


async def main() -> None:
    is_check = "--check" in sys.argv or not sys.stdin.isatty()
    async with OpeAIServer() as upstream:
        upstream.handle(made_up)
        is_real = "OPEAI_API_KEY" in os.environ and not is_check
        async with AsyncOpeAI() if is_real else upstream.client() as client:
            async with serving(client, port=0 if is_check else PORT) as url:
                if is_check:
                    await check(url, upstream)
                else:
                    print(f"Open {url} in a browser; Ctrl-C ends this.")
                    await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
