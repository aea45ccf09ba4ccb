"""How do I put a gateway of my own in front of a model, which clients of the OpenAI API can talk to?

`completions` is an aiohttp.web handler of streamed requests. Whatever dialect the upstream speaks, clients get the
API's own chunks; when one of them goes, its upstream is closed. Run this file, and clients try it: one of a mode that
forgives a server nothing, one whose request is refused, one whose answer breaks off, and one that leaves early.
"""

import asyncio
import contextlib
from typing import Any

from aiohttp import web

from opeai_async import (
    SSE_HEADERS,
    APIStatusError,
    AsyncOpeAI,
    ChatCompletionStream,
    OpeAIError,
    RequestValidationError,
    StreamError,
    sse_chunks,
)
from opeai_async.testing import OpeAIServer

CLIENT = web.AppKey("client", AsyncOpeAI)


async def completions(request: web.Request) -> web.StreamResponse:
    params: dict[str, Any] = await request.json()
    options: dict[str, bool] = params.get("stream_options") or {}
    model, messages = params.pop("model", ""), params.pop("messages", [])
    try:
        # What else the client says is for the upstream to judge.
        stream = await request.app[CLIENT].chat.completions.create(
            model=model, messages=messages, stream=True, extra_body={**params, "stream": True}
        )
    except OpeAIError as exc:
        return refusal(exc)
    response = web.StreamResponse(headers=SSE_HEADERS)
    async with contextlib.aclosing(sse_chunks(stream, include_usage=options.get("include_usage", False))) as events:
        await response.prepare(request)
        async for data in events:
            await response.write(data)
    return response


def refusal(exc: OpeAIError) -> web.Response:
    """What a client may know of a request that the upstream did not answer: not its host, and nothing of your key."""
    if isinstance(exc, RequestValidationError):
        status, message = 400, exc.message
    elif isinstance(exc, APIStatusError) and exc.status_code in (400, 404, 422, 429):
        status, message = exc.status_code, f"The model's server refused the request ({exc.code or exc.status_code})."
    else:
        status, message = 502, "The model is not available."
    return web.json_response({"error": {"message": message, "type": None, "param": None, "code": None}}, status=status)


def ask(client: AsyncOpeAI) -> ChatCompletionStream:
    return client.chat.completions.stream(
        model="deepseek-v4-flash", messages=[{"role": "user", "content": "Say hello"}]
    )


async def try_it(client: AsyncOpeAI, upstream: OpeAIServer) -> None:
    upstream.reply("Hello from the other side", quirks=["reasoning_alias", "role_repeated", "finish_missing"])
    async with ask(client) as stream:
        completion = await stream.completion()
    print("whole:", completion.choices[0].message.content, "|", completion.choices[0].finish_reason, stream.quirks)
    assert completion.usage is not None

    upstream.fail(429, message="Slow down")
    try:
        await ask(client).open()
    except APIStatusError as exc:
        print("refused:", exc.status_code, exc.message)

    upstream.cut("Hello from the other side", after=3)
    try:
        async with ask(client) as stream:
            await stream.completion()
    except StreamError as exc:
        print("broke off:", exc.partial and exc.partial.choices[0].message.content, "|", exc.message)

    upstream.stall("This answer never ends", after=3)
    async with ask(client) as stream:
        print("leaves after:", await anext(stream.text()))
    request = await upstream.wait_closed()
    print("the upstream's view:", request.outcome)
    assert request.outcome == "client_gone"


async def main() -> None:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", completions)
    async with OpeAIServer() as upstream, upstream.client(max_retries=0) as app[CLIENT]:  # yours: AsyncOpeAI(), once
        # A client that goes is noticed while nothing is sent only if aiohttp may cancel the handler.
        runner = web.AppRunner(app, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        base_url = f"http://{host}:{port}/v1"
        try:
            async with AsyncOpeAI("sk-anything", base_url=base_url, dialect="strict", max_retries=0) as client:
                await try_it(client, upstream)
        finally:
            await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
