"""How do I relay a stream to a browser's websocket, and stop paying for tokens when the browser goes?

`chat` is an aiohttp.web handler: a question comes in as a text message, the answer goes out as one message per token.
Run this file, and a client tries it: one that stays to the end, and one that leaves in the middle.
"""

import asyncio
import contextlib

from aiohttp import ClientSession, WSMsgType, web

from opeai_async import AsyncOpeAI, ChatCompletionStream, OpeAIError
from opeai_async.testing import OpeAIServer

CLIENT = web.AppKey("client", AsyncOpeAI)


async def chat(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(heartbeat=20)
    await socket.prepare(request)
    question = await socket.receive()
    if question.type is not WSMsgType.TEXT:
        return socket  # it left without a word
    stream = request.app[CLIENT].chat.completions.stream(
        model="deepseek-v4-flash", messages=[{"role": "user", "content": question.data}]
    )
    watcher = asyncio.create_task(cancel_when_gone(socket, stream))
    try:
        async with stream:
            async for text in stream.text():
                await socket.send_json({"text": text})
        await socket.send_json({"done": str(stream.outcome)})
    except OpeAIError as exc:
        await socket.send_json({"error": str(exc)})
    except ConnectionResetError:
        pass  # the browser went while a message was on its way; the stream is closed
    finally:
        watcher.cancel()
    await socket.close()
    return socket


async def cancel_when_gone(socket: web.WebSocketResponse, stream: ChatCompletionStream) -> None:
    """Notice that the browser leaves even while the model is silent; ends the loop over *stream*, and the upstream."""
    async for _ in socket:
        pass  # whatever else it says; the loop ends when it goes
    stream.cancel()


async def try_it(url: str, upstream: OpeAIServer) -> None:
    async with ClientSession() as session:
        upstream.reply("Hello from the other side")
        async with session.ws_connect(url) as socket:
            await socket.send_str("Say hello")
            print("stays:", [message.json() async for message in socket])

        upstream.stall("This answer never ends", after=3)
        async with session.ws_connect(url) as socket:
            await socket.send_str("Talk for ever")
            print("leaves:", await socket.receive_json())
        request = await upstream.wait_closed()
        print("the upstream's view:", request.outcome)
        assert request.outcome == "client_gone"


async def main() -> None:
    app = web.Application()
    app.router.add_get("/chat", chat)
    async with OpeAIServer() as upstream, upstream.client() as client, contextlib.AsyncExitStack() as stack:
        app[CLIENT] = client  # in a service of your own: AsyncOpeAI(), made once
        runner = web.AppRunner(app)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        await try_it(f"http://{host}:{port}/chat", upstream)


if __name__ == "__main__":
    asyncio.run(main())
