"""What a question is, who contends, and the laboratory they do it in."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.lab.generators import KEY
from benchmarks.lab.loops import ASYNCIO
from benchmarks.lab.peers import Peer, open_peers
from benchmarks.lab.report import Figure, label
from opeai_async import AsyncOpeAI

ROOT = Path(__file__).parents[2]
# What is ten times away from everything else needs no fine measuring.
PEERS_ROUNDS = 3

CPU = "CPU"
WALL = "wall"


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One way to do the work of a question.

    Attributes:
        run: Does it once. What is awaited may be figures by name, which count instead of those measured from outside.
        units: How many units (chunks, requests) that is; CPU and wall time are given per unit.
        group: Contenders are compared within their group, where a question has several (such as sizes).
        is_peer: Whether it is not ours: its failure is a note and does not end the run, and ``PEERS_ROUNDS`` suffice.
        rounds: Where given, it takes part in so many rounds only, without one that does not count: for the slowest.
    """

    name: str
    run: Callable[[], Awaitable[Mapping[str, float] | None]]
    units: float
    group: str = ""
    is_peer: bool = False
    rounds: int | None = None

    @property
    def label(self) -> str:
        """Its name in the whole table."""
        return label(self.group, self.name)

    def takes_part_in(self, number: int) -> bool:
        """Whether it runs in that round; number 0 does not count."""
        if self.rounds is not None:
            return 1 <= number <= self.rounds
        return not self.is_peer or number <= PEERS_ROUNDS


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a contender promises.

    Attributes:
        of: The label of the contender.
        to: The label of the contender it is compared to; empty for a promise in the figure's own unit.
        at_most: The largest ratio, or number, that keeps the promise.
        figure: The name of the figure; empty for the question's first.
    """

    of: str
    at_most: float
    to: str = "limit"
    figure: str = ""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What one file asks.

    Attributes:
        unit: What CPU and wall time are given per.
        bases: Names of the contenders that ratios are taken to.
        turns: Rounds per repeat: where a round is short, many of them even out the noise of a machine.
        contenders: Makes them, in a laboratory that stays open as long as they run.
        targets: What is promised.
        figures: What is known of a contender, what counts first: ``times`` and what contenders tell of themselves;
            ``times`` alone if none are named.
        notes: Lines to print beneath the table.
        needs_loop: Whether the event loop matters; where nothing waits, it is asked on one of them only.
    """

    name: str
    title: str
    unit: str
    bases: tuple[str, ...]
    contenders: Callable[["Lab"], Awaitable[Sequence[Contender]]]
    turns: int = 1
    targets: Sequence[Target] = ()
    figures: tuple[Figure, ...] = ()
    notes: Callable[[], list[str]] = list
    needs_loop: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "figures", self.figures or times(self.unit))


def times(unit: str) -> tuple[Figure, ...]:
    """What is measured from outside: CPU and wall time per unit."""
    return Figure(name=CPU, unit=f"us/{unit}", compared=True), Figure(name=WALL, unit=f"us/{unit}")


@dataclass
class Lab:
    """A running server, and clients of it that are closed at the end.

    Attributes:
        loop: The name of the event loop that clients run on, for those that have a process of their own.
        share: Of the work that is done: 1 is all of it.
        peers: Names of those that take part; None for all that are installed.
        notes: Why a contender is missing, and what else is worth printing.
    """

    port: int
    closing: AsyncExitStack
    loop: str = ASYNCIO
    share: float = 1.0
    peers: frozenset[str] | None = None
    notes: list[str] = field(default_factory=list)

    def scaled(self, count: int, least: int = 1) -> int:
        """This lab's share of *count* units of work, and at least *least*."""
        return max(least, round(count * self.share))

    def base_url(self, response: str, size: int) -> str:
        """Where a client is sent to get the response of that name and size."""
        return f"http://127.0.0.1:{self.port}/{response}/{size}/v1"

    async def session(self, **options: Any) -> aiohttp.ClientSession:
        """A plain aiohttp session."""
        return await self.closing.enter_async_context(aiohttp.ClientSession(**options))

    async def client(self, base_url: str, **options: Any) -> AsyncOpeAI:
        """Our client, with all defaults, limits and clocks on."""
        return await self.closing.enter_async_context(AsyncOpeAI(KEY, base_url=base_url, **options))

    async def open_peers(self, base_url: str, doing: str = "") -> list[Peer]:
        """The peers that can do that; the others are noted."""
        return await open_peers(base_url, self.closing, self.peers, self.note, doing)

    def note(self, what: str) -> None:
        """Print *what* beneath the table, once."""
        if what not in self.notes:
            self.notes.append(what)


@asynccontextmanager
async def open_lab(share: float = 1.0, peers: frozenset[str] | None = None, loop: str = ASYNCIO) -> AsyncIterator[Lab]:
    """A laboratory on the running loop, whose name is *loop*; its server, always on asyncio's, ends with it."""
    process = await asyncio.create_subprocess_exec(
        *python("from benchmarks.lab.server import main; main()"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = int(await process.stdout.readline())
        async with AsyncExitStack() as closing:
            yield Lab(port, closing, loop, share, peers)
    finally:
        process.stdin.close()
        await process.wait()


def python(code: str) -> tuple[str, ...]:
    """The command that runs *code* in a fresh interpreter that finds these files."""
    # Not "-m benchmarks...": in a safe-path environment the current directory is not searched.
    return (sys.executable, "-c", f"import sys; sys.path.append({str(ROOT)!r}); {code}")


def computation(
    name: str, compute: Callable[[], object], *, times: int, units: int = 1, group: str = "", is_peer: bool = False
) -> Contender:
    """A contender that needs no I/O: *compute* called *times* times, each for *units* units."""

    async def run() -> None:
        for _ in range(times):
            compute()

    return Contender(name=name, run=run, units=times * units, group=group, is_peer=is_peer)


def repeated(
    name: str,
    work: Callable[[], Awaitable[object]],
    times: int,
    *,
    units: float = 1,
    group: str = "",
    is_peer: bool = False,
    rounds: int | None = None,
) -> Contender:
    """A contender that does *work* *times* times in a row, each for *units* units."""

    async def run() -> None:
        for _ in range(times):
            await work()

    return Contender(name=name, run=run, units=times * units, group=group, is_peer=is_peer, rounds=rounds)


def check(got: object, expected: object, what: str) -> None:
    """Fail the whole run where a contender did not do its work: a figure for less work would be worth nothing."""
    if got != expected:
        raise AssertionError(f"{what} is {got!r}, expected {expected!r}")
