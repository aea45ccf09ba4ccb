"""The contenders that read whole streams as fast as they come; shared by the questions about them."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial

import aiohttp
import msgspec

from benchmarks.lab.generators import KEY, MESSAGES, MODEL
from benchmarks.lab.lab import Contender, Lab, check, repeated
from benchmarks.lab.peers import COMPLETION, characters_of
from opeai_async import AsyncOpeAI, ChatCompletionChunk

# A peer takes up to 500 times as long for a chunk, and what a chunk costs does not depend on how many there are.
PEERS_SHARE = 10

_BODY = msgspec.json.encode({"model": MODEL, "messages": MESSAGES, "stream": True})
_HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", "Accept": "text/event-stream"}

decode = msgspec.json.Decoder(ChatCompletionChunk).decode


def post(session: aiohttp.ClientSession, base_url: str) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
    """The request of floor and limit."""
    return session.post(f"{base_url}/chat/completions", data=_BODY, headers=_HEADERS)


async def floor(session: aiohttp.ClientSession, base_url: str) -> None:
    """Read the body and throw it away."""
    async with post(session, base_url) as response:
        async for _ in response.content.iter_any():
            pass


async def limit(session: aiohttp.ClientSession, base_url: str) -> int:
    """The bare loop; returns how many chunks there were."""
    count = 0
    rest = b""
    async with post(session, base_url) as response:
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
        return characters_of((await stream.completion()).choices[0].message)


async def reading(
    lab: Lab, response: str, chunks: int, *, characters: Callable[[int], int], times: int = 1, share: int = PEERS_SHARE
) -> Sequence[Contender]:
    """Floor, limit and the ways to iterate, over a *response* of *chunks* chunks read *times* times.

    Args:
        characters: How much text a response of so many chunks has.
        share: Peers read one in so many of the chunks, or of the times.
    """
    base_url = lab.base_url(response, chunks)
    session, client = await lab.session(), await lab.client(base_url)
    few = max(10, chunks // share)

    return [
        repeated("floor", partial(floor, session, base_url), times, units=chunks),
        checked("limit", partial(limit, session, base_url), chunks, chunks, times=times),
        checked("opeai_async, chunks", partial(iterate, client), chunks, chunks, times=times),
        checked("opeai_async, batches()", partial(batches, client), chunks, chunks, times=times),
        *(
            checked(peer.name, peer.count, characters(few), few, times=max(1, times // share), is_peer=True)
            for peer in await lab.open_peers(lab.base_url(response, few))
        ),
    ]


async def accumulating(
    lab: Lab, response: str, chunks: int, *, characters: Callable[[int], int], share: int = PEERS_SHARE
) -> Sequence[Contender]:
    """Floor, limit (which accumulates nothing) and the whole message, over a *response* of *chunks* chunks.

    Args:
        characters: How much text, reasoning and arguments a response of so many chunks has.
        share: Peers read one in so many of the chunks.
    """
    base_url = lab.base_url(response, chunks)
    session, client = await lab.session(), await lab.client(base_url)
    few = max(100, chunks // share)
    return [
        repeated("floor", partial(floor, session, base_url), 1, units=chunks),
        checked("limit", partial(limit, session, base_url), chunks, chunks),
        checked("opeai_async, completion()", partial(completion, client), characters(chunks), chunks),
        *(
            checked(peer.name, peer.completion, characters(few), few, is_peer=True)
            for peer in await lab.open_peers(lab.base_url(response, few), COMPLETION)
        ),
    ]


def checked(
    name: str,
    read: Callable[[], Awaitable[int]],
    expected: int,
    chunks: int,
    *,
    times: int = 1,
    group: str = "",
    is_peer: bool = False,
    rounds: int | None = None,
) -> Contender:
    """A contender that reads a stream of *chunks* chunks *times* times, and must bring *expected* each time."""

    async def once() -> None:
        check(await read(), expected, f"what {name} brought")

    return repeated(name, once, times, units=chunks, group=group, is_peer=is_peer, rounds=rounds)
