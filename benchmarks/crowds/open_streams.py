"""What do thousands of slow streams cost? 5,000 opened at once, each with a chunk a second, 5 chunks in all.

Each round has a client of its own, so that opening 5,000 connections is part of it. Every chunk must arrive. Both
processes need a file per stream: where the machine allows fewer, there are fewer streams and a note.

Found (two busy cores; ratios to the limit, which takes 0.7 ms for opening a stream and reading its 5 chunks): chunks
0.96 to 1.01, batches() 1.06 to 1.09; with 1,000 streams a loop over lines and json.loads 0.7, openai 8.9 (4.0 over
aiohttp), litellm 15, mistralai 21; groq opens 100 connections, and 101 of its streams time out. With 5,000 streams the
peers took two minutes each, or failed. All of ours arrives. It was 1.56 to 1.71 before requests were written by hand:
most of that were the objects that aiohttp keeps per request, in the cache and in the eyes of the cyclic collector.
"""

import resource
import time
from collections.abc import Sequence
from functools import partial

from benchmarks.crowds.many import check_delivered, read_all
from benchmarks.lab.lab import CPU, Contender, Lab, Question, Target
from benchmarks.lab.peers import PEERS
from benchmarks.lab.process import raise_file_limit
from benchmarks.lab.ways import fresh_way, names

STREAMS = 5_000
CHUNKS = 5
# What a process keeps open beside its streams.
OTHER_FILES = 200
# With 5,000 the slowest peers take minutes before they send anything.
PEERS_SHARE = 5
PEERS_ROUNDS = 1


def affordable(streams: int, lab: Lab) -> int:
    """How many of so many streams the limit on open files allows in this process, and so in the server's."""
    files = raise_file_limit()
    if files == resource.RLIM_INFINITY or files >= streams + OTHER_FILES:
        return streams
    lab.note(f"{files - OTHER_FILES:,} streams and not {streams:,}: a process may have {files:,} files here")
    return files - OTHER_FILES


async def _contenders(lab: Lab) -> Sequence[Contender]:
    streams, chunks = affordable(lab.scaled(STREAMS), lab), lab.scaled(CHUNKS)

    def contender(name: str) -> Contender:
        is_peer = name in PEERS
        count, rounds = (max(1, streams // PEERS_SHARE), PEERS_ROUNDS) if is_peer else (streams, None)
        run = partial(_run, lab, name, count, chunks)
        return Contender(name=name, run=run, units=count, is_peer=is_peer, rounds=rounds)

    return [contender(name) for name in names(lab)]


async def _run(lab: Lab, name: str, streams: int, chunks: int) -> dict[str, float]:
    texts: list[str] = []
    async with fresh_way(lab, lab.base_url("slow", chunks), name) as way:
        began = time.process_time()
        await read_all(way, [texts.append] * streams)
        cpu = time.process_time() - began
    check_delivered(way, len(texts), streams * chunks)
    return {CPU: cpu / streams * 1e6}


QUESTION = Question(
    name="open_streams",
    title=f"{STREAMS:,} streams opened at once, a chunk a second, {CHUNKS} chunks each",
    unit="stream",
    bases=("limit", "floor"),
    contenders=_contenders,
    targets=(Target(of="opeai_async, chunks", at_most=1.10), Target(of="opeai_async, batches()", at_most=1.10)),
)
