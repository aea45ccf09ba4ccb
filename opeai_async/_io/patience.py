"""Blocks of code that another part of the program ends: at once, or when a time is over.

========================  ================================================================================
``with Cut() as cut``     ``cut.now()`` ends the block quietly
``with Patience(s)``      the block raises TimeoutError after *s* seconds, or at ``patience.now()``
`Pauses`                  the waits between attempts of a client, each in a `Cut`, which its end cuts short
========================  ================================================================================

``asyncio.timeout`` and ``anyio.CancelScope`` do the same; these cost a half and a third, which counts where every
request passes through three of them, and ``Patience`` measures what they do not: where something holds the loop up,
the answer and the timer are due in the same turn, and ``asyncio.timeout`` cancels the reader although its answer has
come. This one gives back the time by which its timer came late, up to the limit itself, so that it ends even where the
loop is always late. And before it ends, the loop looks at its sockets once more (``TURNS``).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable
from types import TracebackType
from typing import Self

from opeai_async._io.loops import running_loop

LATE_S = 0.05

# How many turns of its loop a clock waits when it is over. A process that was frozen (SIGSTOP, a laptop's lid) finds
# the clock over before its loop has looked at a socket: bytes that have come are read in the first turn, TLS may take
# one, and the task is woken in the next.
TURNS = 4


class _Block:
    """A block of code that ``now()`` ends; it lets a cancellation by others pass.

    Attributes:
        was_cut: True once ``now`` has ended it.
    """

    __slots__ = ("_cancelling", "_task", "was_cut")

    def __init__(self) -> None:
        self._task: asyncio.Task[object] | None = None
        self.was_cut = False

    def __enter__(self) -> Self:
        self._task = task = asyncio.current_task()
        self._cancelling = 0 if task is None else task.cancelling()
        return self

    def now(self) -> None:
        """End the block, if it has begun and not ended; from a callback, or another task, of its loop."""
        if self._task is not None and not self.was_cut:
            self.was_cut = True
            self._task.cancel()

    def _left_by_cut(self, exc: BaseException | None) -> bool:
        task, self._task = self._task, None
        # As asyncio.timeout does: with a cancellation from outside on top of ours, the count stays higher.
        if not self.was_cut or task is None:
            return False
        return task.uncancel() <= self._cancelling and isinstance(exc, asyncio.CancelledError)


class Cut(_Block):
    """A block that ``now()`` ends quietly: ``with Cut() as cut:``."""

    __slots__ = ()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        return self._left_by_cut(exc)


class Patience(_Block):
    """A block that raises ``TimeoutError`` when *limit_s* seconds are over, or ``now()`` is called.

    ``math.inf`` stands for no limit, until ``begin`` sets one.

    Attributes:
        is_over: True if the limit ended it, and not ``now()``.
    """

    __slots__ = ("_given_s", "_limit_s", "_timer", "is_over")

    def __init__(self, limit_s: float = math.inf) -> None:
        super().__init__()
        self._limit_s = limit_s
        # How many seconds were given back because the timer came late; together no more than the limit.
        self._given_s = 0.0
        self.is_over = False
        self._timer: asyncio.Handle | None = None

    def __enter__(self) -> Self:
        super().__enter__()
        if self._limit_s < math.inf:
            self.begin(self._limit_s)
        return self

    def begin(self, limit_s: float) -> None:
        """Set a new limit, counted from now."""
        self._limit_s = limit_s
        self._stop()
        if limit_s < math.inf:
            loop = asyncio.get_running_loop()
            self._set(loop, loop.time() + limit_s)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()
        if self._left_by_cut(exc):
            raise TimeoutError from exc

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._timer = loop.call_at(due, self._on_timer, loop, due)

    def _on_timer(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        now = loop.time()
        late_s = min(now - due, self._limit_s - self._given_s)
        if late_s > LATE_S:
            self._given_s += late_s
            self._set(loop, now + late_s)
        else:
            self._look_again(loop, TURNS)

    def _look_again(self, loop: asyncio.AbstractEventLoop, turns: int) -> None:
        if turns:
            self._timer = loop.call_soon(self._look_again, loop, turns - 1)
        else:
            self._timer = None
            self.is_over = not self.was_cut
            self.now()


class Pauses:
    """The waits between the attempts of a client's calls; the end of the client cuts them short."""

    def __init__(self) -> None:
        self._cuts: dict[Cut, asyncio.AbstractEventLoop] = {}

    async def make(self, waiting: Awaitable[None]) -> None:
        """Await *waiting*, unless ``end`` comes first."""
        with Cut() as cut:
            self._cuts[cut] = asyncio.get_running_loop()
            try:
                await waiting
            finally:
                del self._cuts[cut]

    def end(self) -> None:
        """Cut short the waits of the running loop."""
        if not self._cuts:
            return
        here = running_loop()
        for cut in [cut for cut, loop in self._cuts.items() if loop is here]:
            cut.now()
