"""A clock that jumps: where the event loop would sleep, the time goes on at once.

For tests without sockets. Timers fire in their order and at their time, only nobody waits for them; a test that would
hang reaches its time limit immediately.

asyncio's loop asks its selector how long to sleep, which is answered here. uvloop sleeps inside of libuv, where nobody
can answer; there the timers are kept here instead, and a callback in every turn of the loop sees whether anything else
was scheduled since the turn before.
"""

import asyncio
import heapq
import itertools
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from tests.support.loops.loops import TimersOfUvloop


def instant_time(turn_s: float = 0.0) -> AbstractContextManager[None]:
    """Let the running loop's time jump to the next timer whenever nothing else is to be done.

    Args:
        turn_s: How much time goes by with each turn of a busy loop.
    """
    loop = asyncio.get_running_loop()
    return _JumpingUvloop(loop, turn_s).jumping() if isinstance(loop, TimersOfUvloop) else _jumping(loop, turn_s)


@contextmanager
def _jumping(loop: asyncio.AbstractEventLoop, turn_s: float) -> Iterator[None]:
    now, select = loop.time(), loop._selector.select

    def jump(timeout: float | None) -> list:
        nonlocal now
        if timeout is None or timeout <= 0:
            now += turn_s
            return select(timeout)
        events = select(0)
        if not events:
            now += timeout
        return events

    loop.time, loop._selector.select = lambda: now, jump
    try:
        yield
    finally:
        del loop.time, loop._selector.select


class _JumpingUvloop:
    """The same for a loop of uvloop, whose methods it covers with its own."""

    def __init__(self, loop: TimersOfUvloop, turn_s: float) -> None:
        self._loop = loop
        self._turn_s = turn_s
        self._now = loop.time()
        self._due: list[tuple[float, int, asyncio.TimerHandle]] = []  # a heap
        self._count = itertools.count()  # of timers: those of one moment fire in their order
        self._call_soon = loop.call_soon
        self._is_busy = True
        self._is_over = False

    @contextmanager
    def jumping(self) -> Iterator[None]:
        """Let the time jump in the block; timers that were set before it take part, and those left go on after it."""
        loop = self._loop
        for handle in sorted(loop.timers):
            loop.forget(handle)
            self._add(handle)
        loop.time, loop.call_at, loop.call_later = lambda: self._now, self._at, self._later
        loop.call_soon = self._soon
        self._call_soon(self._turn)
        try:
            yield
        finally:
            self._is_over = True
            del loop.time, loop.call_at, loop.call_later, loop.call_soon
            for _, _, handle in self._due:
                if not handle.cancelled():
                    loop.arm(handle)

    def _soon(self, callback, *args, context=None) -> asyncio.Handle:
        self._is_busy = True
        return self._call_soon(callback, *args, context=context)

    def _later(self, delay: float, callback, *args, context=None) -> asyncio.TimerHandle:
        return self._at(self._now + delay, callback, *args, context=context)

    def _at(self, when: float, callback, *args, context=None) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self._loop, context)
        self._add(handle)
        return handle

    def _add(self, handle: asyncio.TimerHandle) -> None:
        self._loop.note(handle)
        heapq.heappush(self._due, (handle.when(), next(self._count), handle))

    def _turn(self) -> None:
        """Once in each turn of the loop: a turn in which nothing was scheduled is one in which the loop would sleep."""
        if self._is_over:
            return
        while self._due and self._due[0][2].cancelled():
            heapq.heappop(self._due)
        if self._is_busy:
            self._now += self._turn_s
        elif self._due:
            self._now = max(self._now, self._due[0][0])
        self._is_busy = False
        while self._due and self._due[0][0] <= self._now:
            self._run(heapq.heappop(self._due)[2])
        self._call_soon(self._turn)

    def _run(self, handle: asyncio.TimerHandle) -> None:
        if not handle.cancelled():
            self._loop.forget(handle)
            handle._run()
