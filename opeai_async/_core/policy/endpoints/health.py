"""How one endpoint fares: when it is left alone, for how long, and how it comes back.

::

    state     event                                  next       what happens
    --------  -------------------------------------  ---------  ------------------------------------------
    WELL      ok                                     WELL       the row of failures ends
    WELL      failure, and that is one too many      EJECTED    for eject_s, which doubles each time
    WELL      slow, beside its neighbours            EJECTED    the same
    EJECTED   its time is over, a call wants to go   PROBING    that call, and no other, goes there
    PROBING   ok                                     WELL       the time of an ejection shrinks by half
    PROBING   failure                                EJECTED    for twice as long
    PROBING   the call left without either           EJECTED    until the next call: a probe proves nothing then
    EJECTED   what calls that went before come to    EJECTED    is counted by nobody: it says nothing new

That is a circuit breaker whose open time grows, and an outlier ejection, in one machine: both leave an endpoint alone
and probe it, and they differ only in what they count. Two machines over one endpoint were tried on paper and rejected:
whose probe comes first is then a matter of chance. See Envoy's outlier detection, and Nygard, *Release It!*, 5.2.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from enum import Enum

from opeai_async._core.policy.endpoints.endpoint import EndpointPolicy

WINDOW = 20
LEAST_CALLS = 10
SMOOTHING = 0.3
"""Weight of the newest call in the moving average of the time to the first content."""


class State(Enum):
    """Whether calls go to an endpoint."""

    WELL = "well"
    EJECTED = "ejected"
    PROBING = "probing"


class Health:
    """What is known of one endpoint.

    Attributes:
        state: Whether calls go there.
        until: When an ejection ends, in the clock of the caller.
        in_flight: Calls that are there now.
        content_s: Moving average of the seconds to the first content; None before the first answer.
        calls, failures: How many there have been.
    """

    __slots__ = (
        "_contents",
        "_policy",
        "_recent",
        "_row",
        "_times",
        "calls",
        "content_s",
        "failures",
        "in_flight",
        "state",
        "until",
    )

    def __init__(self, policy: EndpointPolicy) -> None:
        self._policy = policy
        self._row = 0  # failures one after another
        self._recent: deque[bool] = deque(maxlen=WINDOW)  # whether each of the last calls failed
        self._contents: deque[float] = deque(maxlen=WINDOW)  # seconds to each of the last first contents
        self._times = 0  # ejections that count for the length of the next one
        self.state = State.WELL
        self.until = -math.inf
        self.in_flight = 0
        self.content_s: float | None = None
        self.calls = 0
        self.failures = 0

    def is_open(self, now: float) -> bool:
        """Tell whether a call may go there: not while it is ejected, nor beside the probe."""
        return self.state is State.WELL or (self.state is State.EJECTED and now >= self.until)

    def begin(self, now: float) -> bool:
        """Take note that a call goes there; return whether it is the probe.

        A call may also go where none should, because there is no other endpoint: then it is the probe.
        """
        self.in_flight += 1
        self.calls += 1
        if self.state is State.EJECTED:
            self.state = State.PROBING
            return True
        return False

    def leave(self, now: float, *, is_probe: bool) -> None:
        """Take note that a call is there no more; a probe that has neither succeeded nor failed proves nothing."""
        self.in_flight -= 1
        if is_probe and self.state is State.PROBING:
            self.state, self.until = State.EJECTED, now

    def succeed(self, content_s: float, *, is_probe: bool) -> None:
        """Take note that a call has its first content, *content_s* seconds after it was sent."""
        if self.state is not State.WELL and not is_probe:
            return
        if self.state is not State.WELL:
            self.state = State.WELL
            self._times = self._times // 2
            self._recent.clear()
            self._contents.clear()
            self.content_s = None  # what was slow before may be fast now, and the reverse
        self._row = 0
        self._recent.append(False)
        self._contents.append(content_s)
        old = self.content_s
        self.content_s = content_s if old is None else old + SMOOTHING * (content_s - old)

    def fail(self, now: float, *, is_probe: bool) -> bool:
        """Take note of a failure that is the endpoint's; return whether it is ejected by it."""
        self.failures += 1
        if self.state is not State.WELL and not is_probe:
            return False
        self._row += 1
        self._recent.append(True)
        policy, recent = self._policy, self._recent
        is_bad = len(recent) >= LEAST_CALLS and sum(recent) >= policy.failure_share * len(recent)
        if is_probe or is_bad or self._row >= policy.failures_in_row:
            self.eject(now)
            return True
        return False

    @property
    def typical_s(self) -> float | None:
        """The median of the last times to a first content; None where there were too few.

        Not the moving average, which a single slow answer lifts: an endpoint of which one in twenty is slow is well.
        """
        return statistics.median(self._contents) if len(self._contents) >= LEAST_CALLS else None

    def check_pace(self, now: float, fastest_s: float) -> bool:
        """Eject it where it is typically far slower than the fastest of its tier; return whether that was done."""
        typical_s = self.typical_s
        is_slow = (
            typical_s is not None and self.state is State.WELL and typical_s > self._policy.slow_factor * fastest_s
        )
        if is_slow:
            self.eject(now)
        return is_slow

    def eject(self, now: float) -> None:
        """Leave it alone for a time that doubles with each ejection."""
        seconds = min(self._policy.max_eject_s, self._policy.eject_s * 2.0 ** min(self._times, 64))
        self.state, self.until = State.EJECTED, now + seconds
        self._times += 1
        self._row = 0
        self._recent.clear()
        self._contents.clear()
