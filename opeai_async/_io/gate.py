"""The way to a server that has said "not now": calls stand in line, and go when ``Throttle`` lets them.

There is a gate for each endpoint and key that has refused calls with a wait, and for no others: where no server does,
a call pays for one look at an empty dict. In line, the call that began first goes first, so that one which was refused
does not start again from the end. While anybody is in line, one task sleeps until the next may go. It depends on nobody
in the line: who is cancelled leaves, and those behind go when it is their time.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
import math
from collections.abc import Awaitable, Callable
from enum import Enum
from urllib.parse import urlsplit

from opeai_async._core.call.http import Request
from opeai_async._core.call.redact import HiddenStr
from opeai_async._core.call.retry import RetryPolicy
from opeai_async._core.call.timeouts import Limits
from opeai_async._core.policy.throttle import Throttle
from opeai_async._io.loops import running_loop
from opeai_async.errors import APITimeoutError, InternalServerError, OpeAIError, RateLimitError

Sleep = Callable[[float], Awaitable[None]]


_TOLERANCE = 1.11  # the jitter of a pause is ours, not the server's
_SWEEP_S = 0.25


class Leave(Enum):
    """How a call leaves the line."""

    GO = "its turn has come"
    TOO_LONG = "it would have to wait for longer than max_wait_s"
    TOO_LATE = "it would have to wait past total_s"


class NoTurn:
    """Why a call cannot stay in the line of a server that has asked to wait.

    Args:
        leave: How it left the line; not because its turn has come.
        left_s: Seconds of the pause that are left.
        policy: That of the call.
        limits: Those of the call.
        request: What it would have sent.
    """

    def __init__(self, leave: Leave, left_s: float, policy: RetryPolicy, limits: Limits, request: Request) -> None:
        is_too_long = leave is Leave.TOO_LONG
        self._left_s = left_s
        self._is_paused = is_too_long or left_s > 0
        self._limit_s = policy.max_wait_s if is_too_long else limits.total_s
        self._host = urlsplit(request.url).hostname
        bound = f"{'max_wait_s' if is_too_long else 'total_s'}={self._limit_s:g}"
        self._why = (
            f"the server has asked for a pause of all calls, {left_s:.1f} s more would pass {bound}"
            if self._is_paused
            else f"too many calls are in line for {self._host}, {bound} is over"
        )

    def note(self, waited_s: float) -> str:
        """Return the note for the refusal of a call that was sent before, and has waited for so many seconds."""
        return f"not retried: {self._why}; {waited_s:.1f} s were waited already"

    def error(self, status: int) -> OpeAIError:
        """Return the error of a call that was not sent, where others were refused with *status*."""
        if not self._is_paused:
            return APITimeoutError(f"not sent: {self._why}", phase="total", timeout_s=self._limit_s)
        error_type = RateLimitError if status == 429 else InternalServerError
        message = f"not sent to {self._host}: {self._why}"
        return error_type(message, status_code=status, retry_after_s=self._left_s or None)


class Place:
    """A call's place in the line.

    Attributes:
        began_at: When the call began; the order of the line.
        deadline: When it has to be over.
        max_wait_s: How long it sits through pauses at most, in seconds.
        waited_s: How long it has done so.
        epoch: The throttle's at the last time that it went; 0 if there was none.
        went_at: When that was.
    """

    __slots__ = ("_joined_at", "_joined_paused_s", "began_at", "deadline", "epoch", "max_wait_s", "waited_s", "went_at")

    def __init__(self, began_at: float, deadline: float, max_wait_s: float = math.inf) -> None:
        self.began_at: float = began_at
        self.deadline: float = deadline
        self.max_wait_s: float = max_wait_s
        self.waited_s: float = 0.0
        self.epoch: int = 0
        self.went_at: float = -math.inf
        self._joined_at = self._joined_paused_s = 0.0

    def join(self, now: float, throttle: Throttle) -> None:
        """Begin to wait."""
        self._joined_at, self._joined_paused_s = now, throttle.paused_s(now)

    def left(self, now: float, throttle: Throttle) -> float:
        """Stop waiting; return for how many seconds it did."""
        now = max(now, self.went_at)  # a timer may come a little early
        self.waited_s += throttle.paused_s(now) - self._joined_paused_s
        return now - self._joined_at

    def verdict(self, now: float, throttle: Throttle, *, is_in_line: bool) -> Leave:
        """Decide whether it may sit through what is left of the pause."""
        left_s = throttle.paused_for_s(now)
        waited_s = self.waited_s + (throttle.paused_s(now) - self._joined_paused_s if is_in_line else 0.0)
        if left_s and waited_s + left_s > self.max_wait_s * _TOLERANCE:
            return Leave.TOO_LONG
        return Leave.TOO_LATE if left_s and now + left_s >= self.deadline else Leave.GO


class Gate:
    """The way to one endpoint with one key.

    Attributes:
        loop: Where its line is.
        throttle: Decides when the next call goes.
        status: HTTP status of the last refusal.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, throttle: Throttle) -> None:
        self.loop = loop
        self.throttle = throttle
        self.status = 429
        self._line: list[tuple[float, int, Place, asyncio.Future[Leave]]] = []
        self._numbers = itertools.count()
        self._keeper: asyncio.Task[None] | None = None
        self._swept_at = 0.0

    @property
    def is_idle(self) -> bool:
        """Whether nobody is in line, and nobody has come for long."""
        return not self._line and self.throttle.is_forgotten(self.loop.time())

    def refuse(self, now: float, wait_s: float, *, epoch: int, reply_s: float, jitter: float) -> bool:
        """Take note of a refusal; return whether a pause begins by it. Those who cannot wait for its end leave."""
        begins = self.throttle.refuse(now, wait_s, epoch=epoch, reply_s=reply_s, jitter=jitter)
        ends_at = now + self.throttle.paused_for_s(now)
        if ends_at > self._swept_at + _SWEEP_S:
            self._swept_at = ends_at
            for _, _, place, leave in self._line:
                if not leave.done():
                    verdict = place.verdict(now, self.throttle, is_in_line=True)
                    if verdict is not Leave.GO:
                        leave.set_result(verdict)
        return begins

    async def wait(self, place: Place, now: float, sleep: Sleep) -> tuple[Leave, float]:
        """Wait until it is the turn of *place*; return how that ended, and after how many seconds."""
        verdict = place.verdict(now, self.throttle, is_in_line=False)
        if verdict is not Leave.GO:
            return verdict, 0.0
        if not self._line and not self.throttle.due_in_s(now):
            place.epoch = self.throttle.let_go(now, 1)
            return Leave.GO, 0.0
        place.join(now, self.throttle)
        leave: asyncio.Future[Leave] = self.loop.create_future()
        heapq.heappush(self._line, (place.began_at, next(self._numbers), place, leave))
        if self._keeper is None or self._keeper.done():  # an eager one may be done before it has a name
            # In a context of its own: that of this call may hold anything, for as long as there is a line. Not by
            # `context=`, which the task factories of some tools do not take.
            keeping = self._keep(self.throttle.due_in_s(now), sleep)
            self._keeper = contextvars.Context().run(self.loop.create_task, keeping, name="opeai_async gate")
        try:
            verdict = await leave
        finally:
            waited_s = place.left(self.loop.time(), self.throttle)
            self._forget_who_left()
        return verdict, waited_s

    async def _keep(self, due_in_s: float, sleep: Sleep) -> None:
        """Let those in line go, each at its time, until there is nobody."""
        try:
            while True:
                due_at = self.loop.time() + due_in_s
                await sleep(due_in_s)
                due_in_s = self._let_go(max(self.loop.time(), due_at))  # a timer may come a little early
                if not self._line:
                    return
        finally:
            if self._keeper is asyncio.current_task():
                self._keeper = None

    def _let_go(self, now: float) -> float:
        """Let those go whose time has come; return in how many seconds the next one may."""
        while self._line:
            due_in_s = self.throttle.due_in_s(now)
            if due_in_s > 0:
                return due_in_s
            waiting = len(self._line)
            _, _, place, leave = heapq.heappop(self._line)
            if not leave.done():
                place.epoch, place.went_at = self.throttle.let_go(now, waiting), now
                leave.set_result(Leave.GO)
        return 0.0

    def _forget_who_left(self) -> None:
        """Drop those at the head of the line who have left it; end the task where nobody is left."""
        while self._line and self._line[0][3].done():
            heapq.heappop(self._line)
        if not self._line and self._keeper is not None:
            self._keeper.cancel()
            self._keeper = None

    def open(self) -> None:
        """Let all go at once, because the client is closed: they find that out by themselves."""
        for _, _, _, leave in self._line:
            if not leave.done():
                leave.set_result(Leave.GO)


class Gates:
    """The gates of a client, of which most have none."""

    def __init__(self) -> None:
        self._gates: dict[tuple[str, frozenset[str]], Gate] = {}

    def find(self, request: Request) -> Gate | None:
        """Return the gate on the way of *request*; None if the way is free."""
        if not self._gates:
            return None
        name = _name(request)
        gate = self._gates.get(name)
        if gate is None:
            return None
        if gate.loop is not running_loop():
            if not gate.loop.is_closed():
                return None  # the transport says what is wrong
            # The pause holds on; those who were in line are gone with their loop.
            gate = self._gates[name] = Gate(running_loop(), gate.throttle)
        if gate.is_idle:
            del self._gates[name]
            return None
        return gate

    def make(self, request: Request) -> Gate:
        """Return the gate on the way of *request*, a new one if the way was free."""
        found = self.find(request)
        if found is None:
            for name in [name for name, gate in self._gates.items() if gate.is_idle]:
                del self._gates[name]
            found = self._gates[_name(request)] = Gate(running_loop(), Throttle())
        return found

    def open_all(self) -> None:
        """Let all go who are in line on the running loop."""
        here = running_loop()
        for gate in self._gates.values():
            if gate.loop is here:
                gate.open()
        self._gates.clear()


def _name(request: Request) -> tuple[str, frozenset[str]]:
    """The endpoint and the key, which some servers take in the query."""
    url, _, query = request.url.partition("?")
    return url, request.secrets | {HiddenStr(query)}
