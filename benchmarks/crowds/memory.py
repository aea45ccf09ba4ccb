"""What does an open stream hold? 1,000 streams on plain TCP that wait after their first chunk.

Each contender has a process of its own. The first figure is what the process grew by in the eyes of the system (RSS),
the second what Python objects take of it, by tracemalloc, which does not see what aiohttp's parser, asyncio's sockets
and malloc itself hold; it is told by a second process, for watching costs memory too.

Found (RSS, and it hardly varies): chunks are 0.81 of the limit, batches() 0.84, a loop over lines 0.91, openai 2.8 (2.6
over aiohttp), groq and litellm 2.8, mistralai 2.4; the limit holds 16.6 KB. It was 1.13 as long as aiohttp's request,
writer and response were kept with each stream, and 1.84 before a stream let go of its request, its last batch,
closures and empty containers. groq and mistralai open 100 connections and no more, so they have 80 streams here, and
in a service the others wait; the other peers have 250.
"""

import asyncio
import gc
import os
import sys
import tracemalloc
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial

import msgspec

from benchmarks.crowds.open_streams import affordable
from benchmarks.lab import loops
from benchmarks.lab.lab import Contender, Lab, Question, Target, python
from benchmarks.lab.peers import PEERS
from benchmarks.lab.process import raise_file_limit, rss_mib
from benchmarks.lab.report import Figure
from benchmarks.lab.ways import FLOOR, Way, names, open_way

STREAMS = 1_000
WARM_STREAMS = 20
RSS = Figure(name="RSS", unit="KB/stream", compared=True)
OBJECTS = Figure(name="objects", unit="KB/stream", compared=True)
PEERS_ROUNDS = 1
# They are slow to open many; and fewer than this are lost in what an import left free.
PEERS_SHARE = 4
OPEN_LIMIT_S = 60


class Growth(msgspec.Struct):
    """What a process grew by while it opened its streams, in bytes."""

    rss: float
    objects: float


def grow(name: str, base_url: str, streams: int, watched: bool, loop: str) -> None:
    """Open so many streams that wait after their first chunk, print the growth, and end this process.

    Args:
        watched: Whether tracemalloc looks on; the other number means little then.
        loop: The name of the event loop.
    """
    raise_file_limit()
    if watched:
        tracemalloc.start()
    loops.run(loop, _grow(name, base_url, streams))


async def _grow(name: str, base_url: str, streams: int) -> None:
    way = await open_way(Lab(0, AsyncExitStack()), base_url, name)
    tasks = await _open(way, WARM_STREAMS)
    rss, objects = _held()
    tasks += await _open(way, streams)
    rss_now, objects_now = _held()
    growth = Growth(rss=rss_now - rss, objects=objects_now - objects)
    print(msgspec.json.encode(growth).decode(), flush=True)
    # Not cancelled and closed: there are packages that read a cancelled stream to its end, and this one has none.
    os._exit(0)


async def _open(way: Way, streams: int) -> list[asyncio.Task[None]]:
    """So many streams that have brought their first chunk and wait for the next."""
    first_chunks = asyncio.Semaphore(0)
    tasks = [asyncio.ensure_future(way.read(lambda _: first_chunks.release())) for _ in range(streams)]
    opened = 0
    try:
        async with asyncio.timeout(OPEN_LIMIT_S):
            for opened in range(streams):  # noqa: B007 - told below
                await first_chunks.acquire()
    except TimeoutError:
        print(f"only {opened} of {streams} streams are open after {OPEN_LIMIT_S} s", file=sys.stderr, flush=True)
        os._exit(1)
    return tasks


def _held() -> tuple[float, int]:
    gc.collect()
    return rss_mib() * 1024 * 1024, tracemalloc.get_traced_memory()[0]


async def _run(name: str, base_url: str, streams: int, loop: str) -> dict[str, float]:
    alone, watched = await asyncio.gather(
        *(_grown(name, base_url, streams, watched=watched, loop=loop) for watched in (False, True))
    )
    return {RSS.name: alone.rss / 1000 / streams, OBJECTS.name: watched.objects / 1000 / streams}


async def _grown(name: str, base_url: str, streams: int, *, watched: bool, loop: str) -> Growth:
    code = f"from benchmarks.crowds.memory import grow; grow({name!r}, {base_url!r}, {streams}, {watched}, {loop!r})"
    process = await asyncio.create_subprocess_exec(
        *python(code), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        told, error = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise RuntimeError(f"the process of {name} ended with {process.returncode}: {error.decode()[-100:].strip()}")
    # Some packages print lines of their own.
    return msgspec.json.decode(told.splitlines()[-1], type=Growth)


async def _contenders(lab: Lab) -> Sequence[Contender]:
    streams = affordable(lab.scaled(STREAMS, least=10), lab)
    base_url = lab.base_url("hold", 2)

    def contender(name: str) -> Contender:
        is_peer = name in PEERS
        count = streams
        if is_peer:
            count = min(max(1, streams // PEERS_SHARE), PEERS[name].connections - WARM_STREAMS)
        run = partial(_run, name, base_url, count, lab.loop)
        return Contender(name=name, run=run, units=count, is_peer=is_peer, rounds=PEERS_ROUNDS if is_peer else None)

    return [contender(name) for name in names(lab) if name != FLOOR]


QUESTION = Question(
    name="memory",
    title=f"{STREAMS:,} streams that wait after their first chunk, each contender in a fresh process",
    unit="stream",
    bases=("limit",),
    figures=(RSS, OBJECTS),
    contenders=_contenders,
    targets=(Target(of="opeai_async, chunks", at_most=1.3), Target(of="opeai_async, batches()", at_most=1.3)),
)
