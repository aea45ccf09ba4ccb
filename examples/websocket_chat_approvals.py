"""How do I ask the user before a tool runs? The run ends for it, and goes on with what the browser answers.

``python examples/websocket_chat_approvals.py`` serves a page with a made-up model; with OPEAI_API_KEY set, the real one
answers. With ``--check``, or without a terminal, a client tries it and the program ends.

The conversation stays here: what the browser sends is a text, or yes and no to calls. A user who writes on instead has
not approved, and the model is told so.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncGenerator

import msgspec
from aiohttp import ClientSession, WSMsgType, web

from opeai_async import AsyncOpeAI, MessageParam, Tool
from opeai_async.testing import OpeAIServer

CLIENT = web.AppKey("client", AsyncOpeAI)
PORT = 8766
PAGE = """<!doctype html><meta charset="utf-8"><title>Approvals</title>
<main id="said" style="white-space: pre-wrap"></main>
<form><input id="text" size="60" autofocus placeholder="Send 5 euros to Ada"><button>Say</button></form>
<script>
  const socket = new WebSocket(location.href.replace(/^http/, "ws") + "socket");
  const calls = new Map(), approvals = {};
  const show = text => document.getElementById("said").append(text);
  document.querySelector("form").onsubmit = event => {
    event.preventDefault();
    const text = document.getElementById("text").value;
    show(`\\n> ${text}\\n`);
    socket.send(JSON.stringify({ type: "ask", text }));
  };
  socket.onmessage = ({ data }) => {
    const frame = JSON.parse(data);
    if (frame.type === "content") show(frame.text);
    if (frame.type === "tool_call") calls.set(frame.index, (calls.get(frame.index) ?? "") + (frame.arguments ?? ""));
    if (frame.type === "tool_approval") approvals[frame.id] = confirm(`${frame.name} ${calls.get(frame.index)}?`);
    if (frame.type !== "done" || !Object.keys(approvals).length) return;
    socket.send(JSON.stringify({ type: "decide", approvals }));
    for (const id in approvals) delete approvals[id];
  };
</script>"""


class Ask(msgspec.Struct, tag="ask"):
    """Say something."""

    text: str


class Decide(msgspec.Struct, tag="decide"):
    """Answer what the run has asked: by the call's id, yes, no, or why not."""

    approvals: dict[str, bool | str]


def send_money(euros: int, to: str) -> str:
    """Send money to somebody."""
    return f"{to} has {euros} euros more."


TOOLS = [Tool.from_function(send_money, needs_approval=True)]


async def chat(request: web.Request) -> web.WebSocketResponse:
    """Hold one conversation over one socket."""
    if request.headers.get("Origin") not in (None, f"{request.scheme}://{request.host}"):
        raise web.HTTPForbidden(text="This is not for pages of other sites.")
    socket = web.WebSocketResponse(heartbeat=20)
    await socket.prepare(request)
    messages: list[MessageParam] = []
    pending: set[str] = set()
    async for message in socket:
        said: Ask | Decide = msgspec.json.decode(message.data, type=Ask | Decide)
        approvals = None
        if isinstance(said, Ask):
            messages.append({"role": "user", "content": said.text})
        else:  # only what is pending here, whatever the browser says
            approvals = {call_id: answer for call_id, answer in said.approvals.items() if call_id in pending}
        completions = request.app[CLIENT].chat.completions
        run = completions.run(model="deepseek-v4-flash", messages=messages, tools=TOOLS, approvals=approvals)
        async with run:
            await run.relay(socket.send_str)
        result = run.result_so_far
        messages, pending = result.messages, {call.id for call in result.pending_calls}
    return socket


async def page(request: web.Request) -> web.Response:
    return web.Response(text=PAGE, content_type="text/html")


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


async def check(url: str) -> None:
    """Ask for two payments; approve the first, and say why not the second."""
    answers: list[bool | str] = [True, "That is too much."]
    async with ClientSession() as browser, browser.ws_connect(f"{url}socket") as socket:
        await socket.send_json({"type": "ask", "text": "Send Ada 5 euros, and Bob 500."})
        approvals: dict[str, bool | str] = {}
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            frame = message.json()
            if frame["type"] == "tool_approval":
                approvals[frame["id"]] = answers.pop(0)
            elif frame["type"] == "content":
                print(frame["text"], end="")
            elif frame["type"] == "tool_finished":
                print(frame["name"], frame.get("error", "has run"))
            elif frame["type"] == "done":
                if not approvals:
                    break
                print("to be decided:", len(approvals))
                await socket.send_json({"type": "decide", "approvals": approvals})
                approvals = {}
    print()


async def main() -> None:
    is_check = "--check" in sys.argv or not sys.stdin.isatty()
    is_real = "OPEAI_API_KEY" in os.environ and not is_check
    async with OpeAIServer() as upstream:
        upstream.reply(
            tool_calls=[("send_money", {"euros": 5, "to": "Ada"}), ("send_money", {"euros": 500, "to": "Bob"})]
        )
        upstream.reply("Ada has her 5 euros. Bob got nothing: that was too much.")
        async with AsyncOpeAI() if is_real else upstream.client() as client:
            async with serving(client, port=0 if is_check else PORT) as url:
                if is_check:
                    await check(url)
                else:
                    print(f"Open {url} in a browser; Ctrl-C ends this.")
                    await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
