"""The contenders that read streams; shared by the questions about streams."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import aiohttp
import msgspec

from benchmarks.generators import MODEL
from benchmarks.lab import KEY, Contender, Lab, check
from opeai_async import AsyncOpeAI, ChatCompletionChunk

MESSAGES = [{"role": "user", "content": "hello"}]
_BODY = msgspec.json.encode({"model": MODEL, "messages": MESSAGES, "stream": True})
_HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", "Accept": "text/event-stream"}

decode = msgspec.json.Decoder(ChatCompletionChunk).decode


async def floor(session: aiohttp.ClientSession, base_url: str) -> None:
    """Read the body and throw it away."""
    async with session.post(f"{base_url}/chat/completions", data=_BODY, headers=_HEADERS) as response:
        async for _ in response.content.iter_any():
            pass


async def limit(session: aiohttp.ClientSession, base_url: str) -> int:
    """The bare loop; returns how many chunks there were."""
    count = 0
    rest = b""
    async with session.post(f"{base_url}/chat/completions", data=_BODY, headers=_HEADERS) as response:
        async for data in response.content.iter_any():
            *events, rest = (rest + data).split(b"\n\n")
            for event in events:
                payload = event[6:]
                if payload != b"[DONE]":
                    decode(payload)
                    count += 1
    return count


async def iterate(client: AsyncOpeAI) -> int:
    """``async for chunk in stream``."""
    count = 0
    async with client.chat.completions.stream(model=MODEL, messages=MESSAGES) as stream:
        async for _ in stream:
            count += 1
    return count


async def batches(client: AsyncOpeAI) -> int:
    """``async for batch in stream.batches()``, then a plain loop."""
    count = 0
    async with client.chat.completions.stream(model=MODEL, messages=MESSAGES) as stream:
        async for batch in stream.batches():
            for _ in batch:
                count += 1
    return count


async def completion(client: AsyncOpeAI) -> int:
    """``await stream.completion()``; returns the length of all texts and arguments."""
    async with client.chat.completions.stream(model=MODEL, messages=MESSAGES) as stream:
        message = (await stream.completion()).choices[0].message
    arguments = sum(len(call.function.arguments) for call in message.tool_calls or ())
    return len(message.content or "") + len(message.reasoning_content or "") + arguments


async def openai_iterate(client: Any) -> int:
    """The same as ``iterate`` with the ``openai`` package."""
    count = 0
    async for _ in await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True):
        count += 1
    return count


async def openai_completion(client: Any) -> int:
    """The same as ``completion`` with the ``openai`` package; it has no name for reasoning_content."""
    async with client.chat.completions.stream(model=MODEL, messages=MESSAGES) as stream:
        message = (await stream.get_final_completion()).choices[0].message
    arguments = sum(len(call.function.arguments) for call in message.tool_calls or ())
    return len(message.content or "") + len(getattr(message, "reasoning_content", None) or "") + arguments


async def reading(lab: Lab, response: str, chunks: int, *, times: int = 1) -> Sequence[Contender]:
    """Floor, limit and the ways to iterate, over a *response* of *chunks* chunks read *times* times."""
    session, client = await lab.session(), await lab.client(response)
    base_url = lab.base_url(response)

    def contender(name: str, read: Callable[[], Awaitable[int]]) -> Contender:
        return _contender(name, read, chunks, times, chunks)

    contenders = [
        Contender(name="floor", run=_repeated(partial(floor, session, base_url), times), units=chunks * times),
        contender("limit", partial(limit, session, base_url)),
        contender("opeai_async, chunks", partial(iterate, client)),
        contender("opeai_async, batches()", partial(batches, client)),
    ]
    if peer := await lab.openai_client(response):
        contenders.append(contender("openai, chunks", partial(openai_iterate, peer)))
    return contenders


async def accumulating(lab: Lab, response: str, chunks: int, characters: int) -> Sequence[Contender]:
    """Floor, limit (which accumulates nothing) and the whole message, over a *response* that says *characters*."""
    session, client = await lab.session(), await lab.client(response)
    base_url = lab.base_url(response)
    contenders = [
        Contender(name="floor", run=_repeated(partial(floor, session, base_url), 1), units=chunks),
        _contender("limit", partial(limit, session, base_url), chunks, 1, chunks),
        _contender("opeai_async, completion()", partial(completion, client), characters, 1, chunks),
    ]
    if peer := await lab.openai_client(response):
        read = partial(openai_completion, peer)
        contenders.append(_contender("openai, get_final_completion()", read, characters, 1, chunks))
    return contenders


def _contender(name: str, read: Callable[[], Awaitable[int]], expected: int, times: int, chunks: int) -> Contender:
    async def run() -> None:
        for _ in range(times):
            check(await read(), expected, f"what {name} brought")

    return Contender(name=name, run=run, units=chunks * times)


def _repeated(read: Callable[[], Awaitable[None]], times: int) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        for _ in range(times):
            await read()

    return run
