"""Models of servers, and a client with so many calls at once, in simulated time: events on a heap, no waiting."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from opeai_async._core.policy.concurrency import AdaptiveConcurrency, Sample
from opeai_async._core.policy.throttle import Throttle

MAX_RETRIES = 6


class Clock:
    """What is to happen, in order of time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def at(self, moment: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._numbers), do))

    def run(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            self.now, _, do = heapq.heappop(self._events)
            do()
        self.now = until


class Shared:
    """A server whose *rate* of work depends on how many calls are open, each of which gets the same share of it."""

    def __init__(self, clock: Clock, rate: Callable[[int, float], float], *, most: float = math.inf) -> None:
        self.clock, self.rate, self.most = clock, rate, most
        self._done = 0.0  # work per call since the start
        self._at = 0.0
        self._open: list[tuple[float, int, Callable[[bool], None]]] = []
        self._numbers = itertools.count()
        self._ticket = 0
        clock.at(1.0, self._tick)

    def _tick(self) -> None:  # the rate may change with time
        self._advance()
        self._plan()
        self.clock.at(self.clock.now + 1.0, self._tick)

    def _advance(self) -> None:
        if n := len(self._open):
            self._done += self.rate(n, self._at) / n * (self.clock.now - self._at)
        self._at = self.clock.now

    def ask(self, size: float, reply: Callable[[bool], None]) -> None:
        self._advance()
        if len(self._open) >= self.most:
            self.clock.at(self.clock.now + 0.05, lambda: reply(False))
            return
        heapq.heappush(self._open, (self._done + size, next(self._numbers), reply))
        self._plan()

    def _plan(self) -> None:
        self._ticket += 1
        ticket = self._ticket
        if self._open:
            n = len(self._open)
            left = max(0.0, self._open[0][0] - self._done)
            due = self.clock.now + left * n / self.rate(n, self.clock.now)
            self.clock.at(due, lambda: self._finish(ticket))

    def _finish(self, ticket: int) -> None:
        if ticket != self._ticket:
            return
        self._advance()
        _, _, reply = heapq.heappop(self._open)
        self._plan()
        reply(True)


class Bucket:
    """A server that answers after *seconds*, and refuses what is beyond *rate* a second."""

    def __init__(self, clock: Clock, rate: float, burst: float, seconds: float) -> None:
        self.clock, self.rate, self.burst, self.seconds = clock, rate, burst, seconds
        self._level, self._at = burst, 0.0

    def ask(self, size: float, reply: Callable[[bool], None]) -> None:
        now = self.clock.now
        self._level = min(self.burst, self._level + (now - self._at) * self.rate)
        self._at = now
        if self._level < 1:
            self.clock.at(now + 0.05, lambda: reply(False))
            return
        self._level -= 1
        self.clock.at(now + self.seconds * size, lambda: reply(True))


@dataclass
class Tally:
    """What the client has counted."""

    answered: list[float] = field(default_factory=list)
    failed: list[float] = field(default_factory=list)
    levels: list[tuple[float, int]] = field(default_factory=list)

    def rate(self, begin: float, end: float) -> float:
        return sum(begin <= moment < end for moment in self.answered) / (end - begin)


class Client:
    """Has as many calls open as *limit* says, with the retries of the real client.

    Args:
        names_waits: Whether the server says ``Retry-After: 1`` with a refusal; then calls go by the real throttle.
    """

    def __init__(
        self,
        clock: Clock,
        server: Shared | Bucket,
        policy: AdaptiveConcurrency | int,
        chance: random.Random,
        *,
        names_waits: bool = False,
        spread: float = 0.3,
    ) -> None:
        self.clock, self.server, self.policy, self.chance = clock, server, policy, chance
        self.throttle = Throttle() if names_waits else None
        self.spread = spread
        self.tally = Tally()
        self._open = 0
        self._line: list[Callable[[], None]] = []
        self._keeps = False

    def fill(self) -> None:
        limit = self.policy if isinstance(self.policy, int) else self.policy.limit
        while self._open < limit:
            self._open += 1
            if isinstance(self.policy, AdaptiveConcurrency):
                self.policy.began(self.clock.now)
            self._begin()

    def _begin(self) -> None:
        Call(self).go()

    def stand_in_line(self, go: Callable[[], None]) -> None:
        self._line.append(go)
        if not self._keeps:
            self._keeps = True
            self._keep()

    def _keep(self) -> None:
        assert self.throttle is not None
        while self._line:
            due = self.throttle.due_in_s(self.clock.now)
            if due > 0:
                self.clock.at(self.clock.now + due, self._keep)
                return
            self._line.pop(0)()
        self._keeps = False

    def end(self, sample: Sample) -> None:
        now = self.clock.now
        (self.tally.answered if sample.work else self.tally.failed).append(now)
        self._open -= 1
        if isinstance(self.policy, AdaptiveConcurrency):
            self.policy.ended(now, sample)
            self.tally.levels.append((now, self.policy.limit))
        self.fill()


class Call:
    """One call, with its retries."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.began_at = client.clock.now
        self.size = max(0.1, client.chance.gauss(1.0, client.spread))
        self.tries = 0
        self.held_s = 0.0
        self.is_refused = False
        self.epoch = 0

    def go(self) -> None:
        client = self.client
        if client.throttle is not None and client.throttle.epoch:
            client.stand_in_line(self._my_turn)
        else:
            self._send()

    def _my_turn(self) -> None:
        client = self.client
        assert client.throttle is not None
        self.epoch = client.throttle.let_go(client.clock.now, len(client._line) + 1)
        if not self.tries:
            self.held_s = client.clock.now - self.began_at
        self._send()

    def _send(self) -> None:
        self.tries += 1
        self.client.server.ask(self.size, self._reply)

    def _reply(self, is_answer: bool) -> None:
        client = self.client
        if is_answer:
            client.end(Sample(self.began_at, 1.0, self.is_refused, self.held_s))
            return
        self.is_refused = True
        if client.throttle is not None:
            client.throttle.refuse(client.clock.now, 1.0, epoch=self.epoch, reply_s=0.05, jitter=client.chance.random())
            client.stand_in_line(self._my_turn)
        elif self.tries > MAX_RETRIES:
            client.end(Sample(self.began_at, 0.0, True))
        else:
            delay_s = client.chance.random() * min(8.0, 2.0 ** (self.tries - 1))
            client.clock.at(client.clock.now + delay_s, self.go)


Make = Callable[[Clock], Shared | Bucket]


def simulate(
    make: Make, policy: AdaptiveConcurrency | int, seconds: float, *, seed: int = 1, names_waits: bool = False
) -> Tally:
    """Run a client against a server for so many simulated seconds."""
    clock = Clock()
    client = Client(clock, make(clock), policy, random.Random(seed), names_waits=names_waits)
    client.fill()
    clock.run(seconds)
    return client.tally


# --- the servers -----------------------------------------------------------------------------------------------------

VLLM = {32: 1020.0, 64: 1487.0, 128: 737.0, 256: 1064.0}
"""Seconds that a job took with so many calls at once: the cache of a GPU thrashes."""


def knee(clock: Clock) -> Shared:
    """48 places, 2 s for a call; all others queue."""
    return Shared(clock, lambda n, _: min(n, 48) / 2.0)


def thrash(clock: Clock) -> Shared:
    """Work as in the figures above, by straight lines in the logarithm of the level; above 256 calls queue."""

    def rate(n: int, _: float) -> float:
        points = sorted((math.log2(level), 20_000 / seconds) for level, seconds in VLLM.items())
        x = math.log2(n)
        if x <= points[0][0]:
            return points[0][1] * n / 32
        if x >= points[-1][0]:
            return points[-1][1]
        for (x0, y0), (x1, y1) in itertools.pairwise(points):
            if x <= x1:
                return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
        raise AssertionError(n)

    return Shared(clock, rate)


def limited(clock: Clock) -> Bucket:
    """30 a second, 1 s for a call."""
    return Bucket(clock, 30, 30, 1.0)


def overloaded(clock: Clock) -> Shared:
    """Refuses what is above 60 at once (529)."""
    return Shared(clock, lambda n, _: n / 2.0, most=60)


def step(clock: Clock) -> Shared:
    """A knee at 32, at 96 from 200 s on."""
    return Shared(clock, lambda n, now: min(n, 32 if now < 200 else 96) / 2.0)


def step_down(clock: Clock) -> Shared:
    """A knee at 96, at 32 from 200 s on."""
    return Shared(clock, lambda n, now: min(n, 96 if now < 200 else 32) / 2.0)


def neighbour(clock: Clock) -> Shared:
    """A knee at 64, of which somebody else takes up to two thirds now and then."""

    def rate(n: int, now: float) -> float:
        busy = 1 / 3 if (now % 37) < 11 else 1.0
        return min(n, 64 * busy) / 2.0

    return Shared(clock, rate)
