"""When a second request is sent because the first is late, and how many there may be.

The budget is a bucket: each call adds its share (0.05), each hedge takes one, and it holds at most a few, so that a
time in which everything is slow costs no more than the share. See Dean and Barroso, *The Tail at Scale* (2013).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque

from opeai_async._core.policy.endpoints.endpoint import Hedge

WINDOW = 1000
LEAST_CALLS = 20
"""Before so many times are known, a quantile is no better than a guess, and nothing is hedged."""
MAX_SAVED = 10.0
LATE_FACTOR = 3.0
"""Nobody waits for longer than so many times the median: where some calls take far longer than most, and they are more
than the quantile leaves out, the quantile itself is one of them, and would come too late for all. And where the budget
is nearly used up, nobody waits for less: what is left is for those whose wait would be the longest."""


class Hedging:
    """The times that first contents took, and the budget.

    Attributes:
        calls, hedges: How many there have been.
    """

    __slots__ = ("_latest", "_saved", "_sorted", "calls", "hedge", "hedges")

    def __init__(self, hedge: Hedge) -> None:
        self.hedge = hedge
        self.calls = 0
        self.hedges = 0
        self._saved = 0.0
        self._latest: deque[float] = deque()  # in order of time; the same in order of size:
        self._sorted: list[float] = []

    def begin(self) -> float | None:
        """Take note of a call; return after how many seconds it may be hedged, or None."""
        self.calls += 1
        self._saved = min(MAX_SAVED, self._saved + self.hedge.budget)
        return self.wait_s()

    def wait_s(self) -> float | None:
        """Return after how many seconds a call without content is late; None where that is not known yet."""
        if (quantile := self.hedge.quantile) is None:
            return self.hedge.seconds
        if len(self._sorted) < LEAST_CALLS:
            return None
        late_s = LATE_FACTOR * self._sorted[len(self._sorted) // 2]
        if self._saved < MAX_SAVED / 2:
            return late_s
        return min(self._sorted[int(quantile * len(self._sorted))], late_s)

    def spend(self) -> bool:
        """Take one hedge from the budget; False if there is none left."""
        if self._saved < 1 - 1e-9:
            return False
        self._saved -= 1
        self.hedges += 1
        return True

    def saw(self, content_s: float) -> None:
        """Take note of how long the first content took: of the first request, where that is known."""
        self._latest.append(content_s)
        insort(self._sorted, content_s)
        if len(self._latest) > WINDOW:
            oldest = self._latest.popleft()
            del self._sorted[bisect_left(self._sorted, oldest)]
