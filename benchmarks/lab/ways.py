"""The contenders that hand over each text as it comes; shared by the questions about waiting and many streams."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

import aiohttp

from benchmarks.lab import streaming
from benchmarks.lab.generators import MESSAGES, MODEL
from benchmarks.lab.lab import Lab
from benchmarks.lab.peers import PEERS, installed
from benchmarks.lab.streaming import decode, post
from opeai_async import AsyncOpeAI, ChatCompletionChunk

Each = Callable[[str], object]
FLOOR = "floor"


@dataclass(frozen=True)
class Way:
    """One way to read a stream: ``read(each)`` calls *each* with every text there is, and returns at the end.

    The floor sees no texts, and calls nothing.
    """

    name: str
    read: Callable[[Each], Awaitable[None]]

    @property
    def is_peer(self) -> bool:
        """Whether it is not ours."""
        return self.name in PEERS

    @property
    def tells(self) -> bool:
        """Whether it sees texts."""
        return self.name != FLOOR


def names(lab: Lab) -> list[str]:
    """Of floor, limit, ours, and the peers that are here."""
    return [*OWN, *(peer.name for peer in installed(lab.peers, lab.note))]


async def ways(lab: Lab, base_url: str) -> list[Way]:
    """All of them, open as long as the laboratory."""
    found: list[Way] = []
    for name in names(lab):
        try:
            found.append(await open_way(lab, base_url, name))
        except ImportError as error:
            lab.note(f"{name}: not complete: {error}")
    return found


async def open_way(lab: Lab, base_url: str, name: str) -> Way:
    """The way of that name.

    Raises:
        ImportError: If it is not installed.
    """
    if name in OWN:
        return Way(name, await OWN[name](lab, base_url))
    peer = PEERS[name](base_url)
    lab.closing.push_async_callback(peer.aclose)
    return Way(name, peer.read)


@asynccontextmanager
async def fresh_way(lab: Lab, base_url: str, name: str) -> AsyncIterator[Way]:
    """The way of that name, with a client that is closed at the end."""
    async with AsyncExitStack() as closing:
        yield await open_way(replace(lab, closing=closing), base_url, name)


async def _floor(lab: Lab, base_url: str) -> Callable[[Each], Awaitable[None]]:
    session = await _unbounded_session(lab)

    async def read(_: Each) -> None:
        await streaming.floor(session, base_url)

    return read


async def _limit(lab: Lab, base_url: str) -> Callable[[Each], Awaitable[None]]:
    return partial(limit, await _unbounded_session(lab), base_url)


async def _chunks(lab: Lab, base_url: str) -> Callable[[Each], Awaitable[None]]:
    return partial(chunks, await lab.client(base_url))


async def _batches(lab: Lab, base_url: str) -> Callable[[Each], Awaitable[None]]:
    return partial(batches, await lab.client(base_url))


OWN = {FLOOR: _floor, "limit": _limit, "opeai_async, chunks": _chunks, "opeai_async, batches()": _batches}


async def _unbounded_session(lab: Lab) -> aiohttp.ClientSession:
    """A plain session with as many connections as are asked for; aiohttp's default is 100."""
    return await lab.session(connector=aiohttp.TCPConnector(limit=0))


async def limit(session: aiohttp.ClientSession, base_url: str, each: Each) -> None:
    """The bare loop."""
    rest = b""
    async with post(session, base_url) as response:
        async for data in response.content.iter_any():
            *events, rest = (rest + data).split(b"\n\n")
            for event in events:
                payload = event[6:]
                if payload != b"[DONE]" and (text := text_of(decode(payload))):
                    each(text)


async def chunks(client: AsyncOpeAI, each: Each) -> None:
    """``async for chunk in stream``."""
    async with client.chat.completions.stream(model=MODEL, messages=MESSAGES) as stream:
        async for chunk in stream:
            if text := text_of(chunk):
                each(text)


async def batches(client: AsyncOpeAI, each: Each) -> None:
    """``async for batch in stream.batches()``, then a plain loop."""
    async with client.chat.completions.stream(model=MODEL, messages=MESSAGES) as stream:
        async for batch in stream.batches():
            for chunk in batch:
                if text := text_of(chunk):
                    each(text)


def text_of(chunk: ChatCompletionChunk) -> str | None:
    """The text that a chunk adds."""
    return chunk.choices[0].delta.content if chunk.choices else None
