"""A limit per minute, held by the generic cell rate algorithm: one number of state, exact, and no window.

Each unit has a theoretical arrival time ``tat``: when the one after it would be on time. A call of *n* units may go
when ``tat`` is at most the burst ahead of now; it moves ``tat`` by ``n / rate``. The same arithmetic runs in Redis, in
the Lua script of ``_io/endpoints/redis_limits.py``. See ITU-T I.371, annex A.
"""

from __future__ import annotations

from typing import Final

MINUTE_S: Final = 60.0
INSTANT_S: Final = 1e-6
"""Less than this is no time: a sum of floats may not move the clock at all."""


class GCRA:
    """A limit of so many units a minute.

    Args:
        per_minute: Units.
        burst_s: So many seconds' worth may go at once after a rest.

    Attributes:
        unit_s: Seconds that one unit takes.
        burst_s: At least one unit's worth.
    """

    __slots__ = ("_tat", "burst_s", "unit_s")

    def __init__(self, per_minute: float, burst_s: float) -> None:
        self.unit_s = MINUTE_S / per_minute
        self.burst_s = max(burst_s, self.unit_s)
        self._tat = float("-inf")

    def due_in_s(self, now: float, units: float = 1.0) -> float:
        """Return in how many seconds *units* may go; 0 if now. More than a burst holds waits for a full one."""
        cost = units * self.unit_s
        ahead = max(self._tat, now) - now
        due_s = ahead + min(cost, self.burst_s) - self.burst_s
        return due_s if due_s > INSTANT_S else 0.0

    def take(self, now: float, units: float = 1.0) -> None:
        """Take *units*, whether they are due or not: those that come after them wait longer then."""
        self._tat = max(self._tat, now) + units * self.unit_s

    def give_back(self, units: float) -> None:
        """Return *units* that were taken and not used."""
        self._tat -= units * self.unit_s
