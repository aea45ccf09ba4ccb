"""How do I answer with plain JSON, and not pay for answers whose client has left?

No framework ends a handler because its client has left. `race` does: it ends the request to the model within
milliseconds with ``request.receive``, and within 0.1 s with ``request.is_disconnected``. Without a key this asks a
testing server on this machine, and shows from its side what becomes of a request; with OPEAI_API_KEY set, the service
answers.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator

import uvicorn
from aiohttp import ClientSession, ClientTimeout
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

from opeai_async import AsyncOpeAI, race
from opeai_async.testing import OpeAIServer, Reply


class Question(BaseModel):
    """What a client of this route sends."""

    text: str


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[dict[str, AsyncOpeAI]]:
    """One client for the whole service."""
    async with AsyncOpeAI() as client:
        yield {"client": client}


app = FastAPI(lifespan=lifespan)


@app.post("/answer", response_model=None)
async def answer(question: Question, request: Request) -> dict[str, str | None] | Response:
    """Answer one question, as long as somebody waits for it."""
    client: AsyncOpeAI = request.state.client
    messages = [{"role": "user", "content": question.text}]
    call = client.chat.completions.create(model="deepseek-v4-flash", messages=messages)
    completion = await race(call, request.receive)  # FastAPI has read the body already
    if completion is None:
        return Response(status_code=499)  # nobody reads it; it is for the access log
    return {"answer": completion.choices[0].message.content}


async def check(url: str, upstream: OpeAIServer) -> None:
    """Wait for one answer, and leave before the second one is there."""
    async with ClientSession() as visitor:
        async with visitor.post(f"{url}/answer", json={"text": "Are you there?"}) as response:
            print((await response.json())["answer"])
    if not upstream.requests:
        return  # the service has answered, and does not tell what it sees of us
    upstream.answer(Reply("Nobody reads this", delay_s=60))
    with contextlib.suppress(TimeoutError):
        async with ClientSession(timeout=ClientTimeout(total=0.3)) as visitor:
            await visitor.post(f"{url}/answer", json={"text": "Will you wait?"})
    print(f"the visitor has left; for the model's server: {(await upstream.wait_closed()).outcome}")


async def main() -> None:
    async with OpeAIServer() as upstream:
        if "OPEAI_API_KEY" not in os.environ:
            os.environ.update(OPEAI_API_KEY=upstream.api_key, OPEAI_BASE_URL=upstream.base_url)
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        host, port = server.servers[0].sockets[0].getsockname()
        await check(f"http://{host}:{port}", upstream)
        server.should_exit = True
        await serving


if __name__ == "__main__":
    asyncio.run(main())
