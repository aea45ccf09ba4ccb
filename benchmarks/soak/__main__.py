"""``python -m benchmarks.soak [--streams 5000] [--minutes 3] [--pace 2] [--ramp 5] [--seed 1] [--json]``.

Does it last? One client keeps thousands of paced streams open, a new one for each that ends, against a server in
another process which stalls, resets, truncates and refuses, and with readers that cancel, break, time out, poll and
sleep. When the time is over no stream is begun any more, and the last ones come to their ends. Then the promises are
counted:

- each stream is delivered, cut with its partial, cancelled or refused, as its plan says (``soak_plan``);
- nothing is left: no open response, no connection, no task, no timer, no descriptor, here or at the server, and no
  object of a stream's own that the cyclic collector could not free;
- no request was sent on a connection that still had an answer to give;
- memory is flat, and the event loop never far behind; judged in runs that go on for a minute once they are
  warm.

The exit code is 1 where one of them is broken. CPU and lag are those of the client's process, in which the readers and
the judge of this script run too. Each stream takes a file descriptor here and one at the server: the limit is raised to
what the system allows, and where that is too low, ``ulimit -Hn`` or ``/etc/security/limits.conf`` has to.
"""

import argparse
import asyncio
import gc
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from benchmarks.lab.lab import KEY, ROOT
from benchmarks.lab.process import raise_file_limit, rss_mib
from benchmarks.soak.gauges import Gauges, Lag, Sample, descriptors, slope_per_minute, timers
from benchmarks.soak.plan import Plan, plans
from benchmarks.soak.reader import Verdict, read
from benchmarks.soak.server import Stats
from opeai_async import AsyncOpeAI

SPARE_DESCRIPTORS = 200
PROBLEMS_KEPT = 20
SETTLE_S = 5.0
LOOK_EVERY_S = 0.02
SHOW_EVERY_S = 10
# What there should be none of when all streams have ended and the client is closed.
OF_A_STREAM = frozenset({"ChatCompletionStream", "Exchange", "BodyReader", "AiohttpResponse", "ClientResponse"})
# What is judged, in runs that go on for so long once they are warm.
JUDGED_S = 60.0
MAX_GROWTH_PER_MINUTE = 0.02
MAX_OWN_LAG_P99_MS = 100.0


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """One run.

    Attributes:
        streams: Open at once.
        pace_s: Mean time between two chunks of a stream.
        ramp_s: Over which the first streams begin.
    """

    streams: int = 5000
    minutes: float = 3.0
    pace_s: float = 2.0
    seed: int = 1
    ramp_s: float = 5.0

    @property
    def warm_s(self) -> float:
        """From when on figures count: the first streams have made way for others, or half of the time is over."""
        return min(self.ripe_s, self.minutes * 60 / 2)

    @property
    def ripe_s(self) -> float:
        """When most streams of the beginning have ended, so that there are no longer more of them in their youth."""
        return self.ramp_s + 45 * self.pace_s

    @property
    def is_judged(self) -> bool:
        """Whether the run is long enough to say anything of memory and lag."""
        return self.minutes * 60 >= self.ripe_s + JUDGED_S


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a run.

    Attributes:
        endings: How many streams ended how.
        ways: The same for each way.
        problems: What was not injected, the first ones.
        leaks: What was left.
        strains: Memory and lag beyond their bounds, where they are judged.
        chunks_per_s, cpu_us_per_chunk, cpu_share: After the warm-up.
        rss_start_mib, rss_warm_mib, rss_last_mib, rss_end_mib: Before the first stream, after the warm-up, in the last
            sample with streams, after the client was closed.
        steady: A sample from the middle of the run.
        accepted, paused: Connections the server saw, and how often it waited for a reader.
    """

    options: Options
    endings: dict[str, int]
    ways: dict[str, dict[str, int]]
    problem_count: int
    problems: list[str]
    leaks: list[str]
    strains: list[str]
    chunks: int
    chunks_per_s: float
    cpu_us_per_chunk: float
    cpu_share: float
    server_cpu_s: float
    rss_start_mib: float
    rss_warm_mib: float
    rss_last_mib: float
    rss_end_mib: float
    rss_slope_mib_per_minute: float
    lag: Lag
    gc_max_ms: float
    gc_s: float
    steady: Sample
    accepted: int
    requests: int
    paused: int
    drain_s: float

    @property
    def is_broken(self) -> bool:
        """Whether a promise is."""
        return bool(self.problem_count or self.leaks or self.strains)


class Tally:
    """Every stream that was begun."""

    def __init__(self) -> None:
        self.begun = 0
        self.chunks = 0
        self.ways: dict[str, Counter[str]] = {}
        self.problem_count = 0
        self.problems: list[str] = []

    @property
    def ended(self) -> int:
        """How many have."""
        return sum(sum(endings.values()) for endings in self.ways.values())

    @property
    def open(self) -> int:
        """How many have not."""
        return self.begun - self.ended

    def saw_chunks(self, count: int) -> None:
        """So many more."""
        self.chunks += count

    def add(self, verdict: Verdict) -> None:
        """One more has ended."""
        self.ways.setdefault(verdict.plan.way, Counter())[verdict.ending] += 1
        for problem in verdict.problems:
            self.note(f"stream {verdict.plan.number}, {verdict.plan.way}: {problem}")

    def note(self, problem: str) -> None:
        """Something that was not injected."""
        self.problem_count += 1
        if len(self.problems) < PROBLEMS_KEPT:
            self.problems.append(problem)

    def endings(self) -> dict[str, int]:
        """How many streams ended how."""
        return dict(sum(self.ways.values(), Counter()))


class Footprint(msgspec.Struct, frozen=True):
    """What the process holds."""

    tasks: int
    timers: int
    descriptors: int

    @classmethod
    def now(cls) -> "Footprint":
        """At this moment."""
        live = [timer for timer in timers() if not timer.cancelled()]
        return cls(len(asyncio.all_tasks()), len(live), descriptors())


async def soak(options: Options, on_sample: Callable[[Sample], None] = lambda sample: None) -> Report:
    """Run the streams, and count."""
    async with _server() as port:
        before, objects, rss_start = Footprint.now(), _objects_of_streams(), rss_mib()
        tally, client = Tally(), AsyncOpeAI(KEY, base_url=f"http://127.0.0.1:{port}/v1")
        async with Gauges(lambda: tally.open, lambda: tally.chunks, on_sample) as gauges:
            await _keep_open(options, client, tally)
        last = gauges.samples[-1]
        drain_s = await _waited(lambda: not _open_responses(client))
        leaks = _leaks_of(client)
        await client.aclose()
        leaks += await _leaks_since(before, port) + _kept_since(objects)
        stats = await _stats(port)
        if stats.overlapped:
            leaks.append(f"{stats.overlapped} requests on connections that were busy")
        return _report(options, tally, gauges, stats, leaks, (rss_start, last.rss_mib, rss_mib()), drain_s)


# --- running ---------------------------------------------------------------------------------------------------------


async def _keep_open(options: Options, client: AsyncOpeAI, tally: Tally) -> None:
    """Streams, one after the other in each place, until the time is over and all have ended."""
    waiting = plans(options.seed, options.pace_s)
    end = time.monotonic() + options.minutes * 60
    delays = (options.ramp_s * place / options.streams for place in range(options.streams))
    await asyncio.gather(*(_place(delay_s, end, client, waiting, tally) for delay_s in delays))


async def _place(delay_s: float, end: float, client: AsyncOpeAI, waiting: Iterator[Plan], tally: Tally) -> None:
    await asyncio.sleep(delay_s)
    while time.monotonic() < end:
        plan = next(waiting)
        tally.begun += 1
        try:
            tally.add(await read(client, plan, tally.saw_chunks))
        except Exception as exc:  # noqa: BLE001 - whatever the SDK lets through is what is looked for
            tally.ways.setdefault(plan.way, Counter())["unforeseen"] += 1
            tally.note(f"stream {plan.number}, {plan.way}: {exc!r}")


# --- what is left ----------------------------------------------------------------------------------------------------


def _transport(client: AsyncOpeAI) -> Any:
    return client._wiring.transport._made  # type: ignore[attr-defined]


def _open_responses(client: AsyncOpeAI) -> int:
    transport = _transport(client)
    return transport.open_responses if transport is not None else 0


def _leaks_of(client: AsyncOpeAI) -> list[str]:
    """What an idle client still holds, beside its pool."""
    transport = _transport(client)
    if transport is None:
        return []
    held = {
        "responses": transport.open_responses,
        "connections": len(transport._poster._connector._acquired),
        "requests": len(transport._sends),
        "drains": len(transport._drains),
    }
    return [f"{count} {name} of the idle client" for name, count in held.items() if count]


async def _leaks_since(before: Footprint, port: int) -> list[str]:
    """What there is now that was not there before, here and at the server, after a moment to notice."""
    await _waited(lambda: Footprint.now() == before)
    now = Footprint.now()
    leaks = [
        f"{getattr(now, name) - getattr(before, name)} {name}"
        for name in Footprint.__struct_fields__
        if getattr(now, name) > getattr(before, name)
    ]
    left = 0
    for _ in range(int(SETTLE_S / LOOK_EVERY_S)):
        left = (await _stats(port)).open
        if not left:
            return leaks
        await asyncio.sleep(LOOK_EVERY_S)
    return [*leaks, f"{left} connections at the server"]


def _objects_of_streams() -> Counter[str]:
    """How many there are, by the names of their classes."""
    gc.collect()
    return Counter(type(thing).__name__ for thing in gc.get_objects() if type(thing).__name__ in OF_A_STREAM)


def _kept_since(before: Counter[str]) -> list[str]:
    """What of streams is still referred to, and was not there before."""
    return [f"{count} objects {name}" for name, count in sorted((_objects_of_streams() - before).items())]


async def _waited(is_so: Callable[[], bool]) -> float:
    """Seconds until it was so, at most ``SETTLE_S``."""
    began = time.monotonic()
    for _ in range(int(SETTLE_S / LOOK_EVERY_S)):
        if is_so():
            break
        await asyncio.sleep(LOOK_EVERY_S)
    return time.monotonic() - began


# --- the server ------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _server() -> AsyncIterator[int]:
    code = f"import sys; sys.path.append({str(ROOT)!r}); from benchmarks.soak.server import main; main()"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(await process.stdout.readline())
    finally:
        process.stdin.close()
        await process.wait()


async def _stats(port: int) -> Stats:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /stats HTTP/1.1\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return msgspec.json.decode(answer.partition(b"\r\n\r\n")[2], type=Stats)


# --- telling ---------------------------------------------------------------------------------------------------------


def _report(
    options: Options,
    tally: Tally,
    gauges: Gauges,
    stats: Stats,
    leaks: list[str],
    rss: tuple[float, float, float],
    drain_s: float,
) -> Report:
    warm = [s for s in gauges.since(options.warm_s) if s.at_s <= options.minutes * 60] or gauges.samples
    first, last = warm[0], warm[-1]
    chunks, seconds, cpu_s = last.chunks - first.chunks, last.at_s - first.at_s, last.cpu_s - first.cpu_s
    slope, lag = slope_per_minute(warm), gauges.lag()
    if tally.open:
        leaks.append(f"{tally.open} streams without an end")
    return Report(
        options=options,
        endings=tally.endings(),
        ways={way: dict(endings) for way, endings in sorted(tally.ways.items())},
        problem_count=tally.problem_count,
        problems=tally.problems,
        leaks=leaks,
        strains=_strains(slope, first.rss_mib, lag) if options.is_judged else [],
        chunks=tally.chunks,
        chunks_per_s=chunks / seconds if seconds else 0.0,
        cpu_us_per_chunk=cpu_s / chunks * 1e6 if chunks else 0.0,
        cpu_share=cpu_s / seconds if seconds else 0.0,
        server_cpu_s=stats.cpu_s,
        rss_start_mib=rss[0],
        rss_warm_mib=first.rss_mib,
        rss_last_mib=last.rss_mib,
        rss_end_mib=rss[2],
        rss_slope_mib_per_minute=slope,
        lag=lag,
        gc_max_ms=gauges.gc_max_ms,
        gc_s=gauges.gc_s,
        steady=warm[len(warm) // 2],
        accepted=stats.accepted,
        requests=stats.requests,
        paused=stats.paused,
        drain_s=drain_s,
    )


def _strains(slope: float, rss_mib: float, lag: Lag) -> list[str]:
    strains = []
    if slope > MAX_GROWTH_PER_MINUTE * rss_mib:
        strains.append(f"memory grows by {slope:.1f} MiB a minute, from {rss_mib:.0f} MiB")
    if lag.own_p99_ms > MAX_OWN_LAG_P99_MS:
        strains.append(
            f"the loop is {lag.own_p99_ms:.0f} ms late by its own work, at most {MAX_OWN_LAG_P99_MS:.0f} (p99)"
        )
    return strains


def as_text(report: Report) -> str:
    """The figures for people."""
    lag = report.lag
    lines = [
        f"streams: {_counts(report.endings)}",
        *(f"  {way:<14}{_counts(endings)}" for way, endings in report.ways.items()),
        f"chunks:  {report.chunks:,}; {report.chunks_per_s:,.0f}/s, {report.cpu_us_per_chunk:.1f} us of CPU each",
        f"CPU:     {report.cpu_share:.0%} of a core; {report.server_cpu_s:.1f} s at the server",
        f"memory:  {report.rss_start_mib:.1f} MiB at the start, {report.rss_warm_mib:.1f} warm, "  # noqa: ISC004
        f"{report.rss_last_mib:.1f} at last, {report.rss_end_mib:.1f} after the end",
        f"trend:   {report.rss_slope_mib_per_minute:+.2f} MiB a minute, {_verdict_on_trend(report.options)}",
        f"lag:     {lag.p50_ms:.1f} ms p50, {lag.p99_ms:.1f} p99, {lag.max_ms:.1f} max",
        f"  own:   {lag.own_p50_ms:.1f} ms p50, {lag.own_p99_ms:.1f} p99, {lag.own_max_ms:.1f} max",
        f"gc:      {report.gc_max_ms:.1f} ms of CPU the longest pause, {report.gc_s:.1f} s all",
        f"midway:  {_moment(report.steady)}",
        f"server:  {report.requests:,} requests, {report.accepted:,} connections, {report.paused:,} waits for readers",
        f"settled: {report.drain_s:.2f} s after the last end no response was open",
        f"leaks:   {'; '.join(report.leaks) or 'none'}",
        f"not injected: {report.problem_count or 'nothing'}",
        *(f"  {problem}" for problem in report.problems),
        *(f"strain:  {strain}" for strain in report.strains),
    ]
    return "\n".join(lines)


def _counts(endings: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {ending}" for ending, number in sorted(endings.items()))


def _verdict_on_trend(options: Options) -> str:
    return "once warm" if options.is_judged else f"too early to judge, before {options.ripe_s + JUDGED_S:.0f} s"


def _moment(sample: Sample) -> str:
    return (
        f"{sample.streams:,} streams, {sample.descriptors:,} descriptors, {sample.tasks:,} tasks, "
        f"{sample.timers:,} timers, {sample.rss_mib:,.1f} MiB"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description="Does it last?")
    defaults = Options()
    parser.add_argument("--streams", type=int, default=defaults.streams, help="open at once")
    parser.add_argument("--minutes", type=float, default=defaults.minutes)
    parser.add_argument("--pace", type=float, default=defaults.pace_s, help="mean seconds between two chunks")
    parser.add_argument("--ramp", type=float, default=defaults.ramp_s, help="seconds until the last one has begun")
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args(arguments)
    if given.streams < 1 or given.minutes <= 0 or given.pace <= 0 or given.ramp < 0:
        parser.error("--streams, --minutes and --pace have to be above 0, and --ramp not below")
    if (limit := raise_file_limit()) < given.streams + SPARE_DESCRIPTORS:
        parser.error(
            f"{given.streams} streams need {given.streams + SPARE_DESCRIPTORS} files, the limit is {limit}: "
            "raise it (ulimit -Hn), or ask for fewer streams"
        )
    options = Options(
        streams=given.streams, minutes=given.minutes, pace_s=given.pace, ramp_s=given.ramp, seed=given.seed
    )
    report = asyncio.run(soak(options, _show if not given.json else lambda sample: None))
    print(msgspec.json.format(msgspec.json.encode(report)).decode() if given.json else as_text(report))
    return int(report.is_broken)


def _show(sample: Sample) -> None:
    if int(sample.at_s) % SHOW_EVERY_S == 0:
        print(f"{sample.at_s:4.0f} s: {_moment(sample)}, {sample.chunks:,} chunks", flush=True)


if __name__ == "__main__":
    sys.exit(main())
