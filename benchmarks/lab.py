"""How every question is measured.

Server and client are two processes, and what counts is the CPU time (user and system) of the client process; wall time
stands beside it. The contenders of a question take turns, each round in another order, so that a machine that slows
down or warms up does so for all of them. A ratio is taken within each round, and the median of the rounds is shown:
on a noisy machine ratios hold where microseconds do not.

*floor* is aiohttp reading the body and throwing it away. *limit* is a bare loop over aiohttp's ``iter_any()``, split
at blank lines and decoded into the same public Structs by one msgspec decoder: no errors, retries, timeouts or CRLF.
"""

import asyncio
import gc
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from opeai_async import AsyncOpeAI

ROOT = Path(__file__).parents[1]
KEY = "sk-benchmark"
MIN_REPEATS = 5


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One way to do the work of a question.

    Attributes:
        run: Does it once. What is awaited may be a number, which is then taken as the CPU seconds it cost.
        units: How many units (chunks, requests) that is; costs are given per unit.
        group: Contenders are compared within their group, where a question has several (such as sizes).
    """

    name: str
    run: Callable[[], Awaitable[float | None]]
    units: int
    group: str = ""

    @property
    def label(self) -> str:
        """Its name in the whole table."""
        return f"{self.group}, {self.name}" if self.group else self.name


@dataclass(frozen=True, kw_only=True)
class Question:
    """What one file asks.

    Attributes:
        unit: What costs are given per.
        bases: Names of the contenders that ratios are taken to.
        turns: Rounds per repeat: where a round is short, many of them even out the noise of a machine.
        contenders: Makes them, in a laboratory that stays open as long as they run.
        notes: Lines to print beneath the table.
    """

    name: str
    title: str
    unit: str
    bases: tuple[str, ...]
    contenders: Callable[["Lab"], Awaitable[Sequence[Contender]]]
    turns: int = 1
    notes: Callable[[], list[str]] = list


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one contender cost, in microseconds per unit; medians over the rounds."""

    name: str
    cpu_us: float
    cpu_min_us: float
    wall_us: float
    ratios: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A question with its figures."""

    question: Question
    rounds: int
    rows: list[Row]
    notes: list[str]


@dataclass
class Lab:
    """A running server, and clients of it that are closed at the end.

    Attributes:
        skipped: Why a contender is missing, to be printed.
    """

    port: int
    closing: AsyncExitStack
    skipped: list[str] = field(default_factory=list)

    def base_url(self, response: str) -> str:
        """Where a client is sent to get that response."""
        return f"http://127.0.0.1:{self.port}/{response}/v1"

    async def session(self, **options: Any) -> aiohttp.ClientSession:
        """A plain aiohttp session."""
        return await self.closing.enter_async_context(aiohttp.ClientSession(**options))

    async def client(self, response: str) -> AsyncOpeAI:
        """Our client, with all defaults, limits and clocks on."""
        client = AsyncOpeAI(KEY, base_url=self.base_url(response))
        return await self.closing.enter_async_context(client)

    async def openai_client(self, response: str) -> Any:
        """The client of the ``openai`` package, or None where that is not installed."""
        try:
            from openai import AsyncOpenAI
        except ImportError:
            self.skip("openai: not installed (dependency group bench-peers)")
            return None
        client = AsyncOpenAI(api_key=KEY, base_url=self.base_url(response), max_retries=0)
        return await self.closing.enter_async_context(client)

    def skip(self, why: str) -> None:
        """Note once that a contender is missing."""
        if why not in self.skipped:
            self.skipped.append(why)


@asynccontextmanager
async def open_lab() -> AsyncIterator[Lab]:
    """A laboratory; its server ends with it."""
    # Not "-m benchmarks.server": in a safe-path environment the current directory is not searched.
    code = f"import sys; sys.path.append({str(ROOT)!r}); from benchmarks.server import main; main()"
    command = (sys.executable, "-c", code)
    process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = int(await process.stdout.readline())
        async with AsyncExitStack() as closing:
            yield Lab(port, closing)
    finally:
        process.stdin.close()
        await process.wait()


async def ask(question: Question, repeats: int) -> Answered:
    """Measure all contenders of *question*, in *repeats* times its turns, after one round that does not count."""
    rounds = repeats * question.turns
    async with open_lab() as lab:
        contenders = list(await question.contenders(lab))
        costs = [Costs(contender) for contender in contenders]
        for number in range(rounds + 1):
            turn = number % len(costs)
            for cost in costs[turn:] + costs[:turn]:
                cpu_s, wall_s = await _measured(cost.contender)
                if number:
                    cost.note(cpu_s, wall_s)
        rows = [_row(cost, costs, question.bases) for cost in costs]
        return Answered(question=question, rounds=rounds, rows=rows, notes=lab.skipped + question.notes())


class Costs:
    """What one contender cost in each round, in microseconds per unit."""

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        self.cpu_us: list[float] = []
        self.wall_us: list[float] = []

    def note(self, cpu_s: float, wall_s: float) -> None:
        """Remember one round."""
        self.cpu_us.append(cpu_s / self.contender.units * 1e6)
        self.wall_us.append(wall_s / self.contender.units * 1e6)


async def _measured(contender: Contender) -> tuple[float, float]:
    """CPU and wall seconds of one run, begun with an empty collector and an idle loop."""
    await asyncio.sleep(0)
    gc.collect()
    gc.freeze()  # what others left alive is nobody's burden
    cpu, wall = time.process_time(), time.perf_counter()
    told = await contender.run()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    gc.unfreeze()
    return (cpu if told is None else told), wall


def _row(cost: Costs, costs: Sequence[Costs], bases: Sequence[str]) -> Row:
    rivals = {other.contender.name: other for other in costs if other.contender.group == cost.contender.group}
    return Row(
        name=cost.contender.label,
        cpu_us=statistics.median(cost.cpu_us),
        cpu_min_us=min(cost.cpu_us),
        wall_us=statistics.median(cost.wall_us),
        ratios={
            base: statistics.median(map(_ratio, cost.cpu_us, rivals[base].cpu_us)) for base in bases if base in rivals
        },
    )


def _ratio(cost: float, base: float) -> float:
    return cost / base if base > 0 else float("nan")


def computation(name: str, compute: Callable[[], object], *, times: int, units: int = 1, group: str = "") -> Contender:
    """A contender that needs no I/O: *compute* called *times* times, each for *units* units."""

    async def run() -> None:
        for _ in range(times):
            compute()

    return Contender(name=name, run=run, units=times * units, group=group)


def check(got: object, expected: object, what: str) -> None:
    """Fail the whole run where a contender did not do its work: a figure for less work would be worth nothing."""
    if got != expected:
        raise AssertionError(f"{what} is {got!r}, expected {expected!r}")
