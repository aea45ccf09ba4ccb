"""A limit on waiting for a server, which a busy event loop does not use up.

Where something holds the loop up, the answer and the timer are due in the same turn, and ``asyncio.timeout`` cancels
the reader although its answer has come. This one gives back the time by which its timer came late, up to the limit
itself, so that it ends even where the loop is always late.
"""

from __future__ import annotations

import asyncio
import math
from types import TracebackType

LATE_S = 0.05


class Patience:
    """``async with Patience(seconds):`` raises ``TimeoutError`` as ``asyncio.timeout`` does; ``math.inf`` for none.

    Attributes:
        is_over: Whether the limit was reached.
    """

    __slots__ = ("_given_s", "_limit_s", "_loop", "_scope", "_timer", "is_over")

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._given_s = 0.0
        self.is_over = False
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Patience:
        self._loop = asyncio.get_running_loop()
        self._scope = await asyncio.timeout(None).__aenter__()
        self.begin(self._limit_s)
        return self

    def begin(self, limit_s: float) -> None:
        """Count from now, in place of what was counted so far."""
        self._limit_s = limit_s
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if limit_s < math.inf:
            self._set(self._loop.time() + limit_s)

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._scope.__aexit__(exc_type, exc, traceback)

    def _set(self, due: float) -> None:
        self._timer = self._loop.call_at(due, self._on_timer, due)

    def _on_timer(self, due: float) -> None:
        now = self._loop.time()
        late_s = min(now - due, self._limit_s - self._given_s)
        if late_s > LATE_S:
            self._given_s += late_s
            self._set(now + late_s)
        else:
            self.is_over = True
            self._scope.reschedule(now)
