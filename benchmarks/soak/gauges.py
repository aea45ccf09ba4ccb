"""What the soak reads off its own process while it runs. Linux: memory and descriptors are read from ``/proc``.

The event loop's lag is how late a timer fires: a task asks to be woken every ``LAG_EVERY_S``, and notes by how much it
was not. On a machine that others use too, most of it may be their doing; so beside it stands how much of it this
process spent computing. The trend of the memory is a straight line through all samples after the warm-up, so one
sample more or less does not matter.
"""

import asyncio
import gc
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import msgspec

from benchmarks.lab.process import rss_mib

LAG_EVERY_S = 0.02
SAMPLE_EVERY_S = 1.0


class Sample(msgspec.Struct, frozen=True):
    """The process at one moment.

    Attributes:
        at_s: Since the gauges were started.
        cpu_s: Of this process, ever.
        timers: Handles in the event loop's heap, cancelled ones included.
        streams: That are open.
        chunks: Ever.
        rss_mib: Resident memory.
    """

    at_s: float
    rss_mib: float
    descriptors: int
    tasks: int
    timers: int
    streams: int
    chunks: int
    cpu_s: float


class Lag(msgspec.Struct, frozen=True):
    """How late the event loop was, in milliseconds; *own* is the CPU time of this process in it."""

    p50_ms: float
    p99_ms: float
    max_ms: float
    own_p50_ms: float
    own_p99_ms: float
    own_max_ms: float


class Gauges:
    """Samples until it is stopped; ``async with Gauges(...) as gauges``.

    Args:
        streams: Says how many are open.
        chunks: Says how many came ever.
        on_sample: Called with each sample.

    Attributes:
        gc_max_ms: The longest pause for the cyclic collector, which is part of the lag; CPU time.
        gc_s: All of them.
    """

    def __init__(
        self, streams: Callable[[], int], chunks: Callable[[], int], on_sample: Callable[[Sample], None]
    ) -> None:
        self.samples: list[Sample] = []
        self.gc_max_ms = 0.0
        self.gc_s = 0.0
        self._streams = streams
        self._chunks = chunks
        self._on_sample = on_sample
        self._lags_ms: list[float] = []
        self._own_lags_ms: list[float] = []
        self._gc_began = 0.0

    async def __aenter__(self) -> "Gauges":
        self._began = time.monotonic()
        gc.callbacks.append(self._on_gc)
        self._tasks = [asyncio.create_task(self._watch_lag()), asyncio.create_task(self._watch_process())]
        return self

    async def __aexit__(self, *exc: object) -> None:
        gc.callbacks.remove(self._on_gc)
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    def sample(self) -> Sample:
        """The process now."""
        return Sample(
            at_s=time.monotonic() - self._began,
            rss_mib=rss_mib(),
            descriptors=descriptors(),
            tasks=len(asyncio.all_tasks()),
            timers=len(timers()),
            streams=self._streams(),
            chunks=self._chunks(),
            cpu_s=time.process_time(),
        )

    def lag(self) -> Lag:
        """Over all the time."""
        return Lag(*_percentiles(self._lags_ms), *_percentiles(self._own_lags_ms))

    def since(self, at_s: float) -> list[Sample]:
        """The samples from that moment on."""
        return [sample for sample in self.samples if sample.at_s >= at_s]

    async def _watch_lag(self) -> None:
        while True:
            due, cpu_s = time.monotonic() + LAG_EVERY_S, time.process_time()
            await asyncio.sleep(LAG_EVERY_S)
            lag_s = max(0.0, time.monotonic() - due)
            self._lags_ms.append(lag_s * 1e3)
            self._own_lags_ms.append(min(lag_s, time.process_time() - cpu_s) * 1e3)

    async def _watch_process(self) -> None:
        while True:
            self.samples.append(self.sample())
            self._on_sample(self.samples[-1])
            await asyncio.sleep(SAMPLE_EVERY_S)

    def _on_gc(self, phase: str, info: dict[str, Any]) -> None:
        if phase == "start":
            self._gc_began = time.process_time()
        else:
            pause_s = time.process_time() - self._gc_began
            self.gc_s += pause_s
            self.gc_max_ms = max(self.gc_max_ms, pause_s * 1e3)


def _percentiles(values: list[float]) -> tuple[float, float, float]:
    ordered = sorted(values) or [0.0]
    return ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100], ordered[-1]


def slope_per_minute(samples: list[Sample]) -> float:
    """MiB of resident memory that come per minute; 0 where there are too few samples to say."""
    if len(samples) < 3:
        return 0.0
    return statistics.linear_regression([sample.at_s / 60 for sample in samples], [s.rss_mib for s in samples]).slope


def descriptors() -> int:
    """How many files this process has open."""
    return len(os.listdir("/proc/self/fd"))


def timers() -> list[asyncio.TimerHandle]:
    """What the running loop has scheduled."""
    scheduled: list[asyncio.TimerHandle] = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    return scheduled
