"""How long does it take to the first chunk? From the call to its text, the connection being warm.

The server sends the role and the first text at once, and the others a millisecond later. The first figure is the
median of the wall times, in which the server's part is the same for all; CPU is that of the client up to that moment.

Found (two busy cores; wall time, ratios to the limit): chunks and batches() 1.05 to 1.11, a loop over lines 1.12 to
1.2, openai 6.7 (5.6 over aiohttp), groq 6.0, litellm 18, mistralai 31. It was 1.40 before requests were written by
hand: see ``short``. That also saves a turn of the event loop, for on CPython 3.11 aiohttp writes in a task of its own.
"""

import statistics
import time
from collections.abc import Sequence
from functools import partial

from benchmarks.lab.lab import CPU, Contender, Lab, Question, Target, check, times
from benchmarks.lab.report import Figure
from benchmarks.lab.ways import Way, ways

CHUNKS = 10
TIMES = 100
FIRST = Figure(name="first chunk", unit="us, p50", compared=True)


class Stopwatch:
    """Takes the time of the first text it is given."""

    def __init__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()
        self.texts = 0

    def __call__(self, text: str) -> None:
        if not self.texts:
            self.wall_us = (time.perf_counter() - self._wall) * 1e6
            self.cpu_us = (time.process_time() - self._cpu) * 1e6
        self.texts += 1


async def _contenders(lab: Lab) -> Sequence[Contender]:
    streams = lab.scaled(TIMES)
    return [
        Contender(name=way.name, run=partial(_run, way, streams), units=streams, is_peer=way.is_peer)
        for way in await ways(lab, lab.base_url("first", CHUNKS))
        if way.tells
    ]


async def _run(way: Way, streams: int) -> dict[str, float]:
    watches: list[Stopwatch] = []
    for _ in range(streams):
        watch = Stopwatch()
        await way.read(watch)
        check(watch.texts, CHUNKS - 3, f"the number of texts of {way.name}")
        watches.append(watch)
    return {
        FIRST.name: statistics.median(watch.wall_us for watch in watches),
        CPU: statistics.median(watch.cpu_us for watch in watches),
    }


QUESTION = Question(
    name="first_chunk",
    title=f"time to the first chunk on a warm connection; {TIMES} streams in a row",
    unit="stream",
    bases=("limit",),
    figures=(FIRST, *times("stream")),
    turns=2,
    contenders=_contenders,
    targets=(Target(of="opeai_async, chunks", at_most=1.10), Target(of="opeai_async, batches()", at_most=1.10)),
)
