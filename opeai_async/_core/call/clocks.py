"""Tell which limit of a call expires next. Time is a number that is passed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from opeai_async._core.call.timeouts import Limits


class Expiry(NamedTuple):
    """When which clock runs out: *at* in loop time, *phase* its name, *limit_s* the limit."""

    at: float
    phase: str
    limit_s: float


class StreamClocks:
    """The clocks of one stream.

    Args:
        limits: Every limit as a number.
        started_at: When the call began, retries included.
    """

    __slots__ = (
        "_finished",
        "_graces",
        "_limits",
        "_seen_content",
        "_silent_bytes_s",
        "_silent_content_s",
        "_started_at",
        "_wait_at",
        "_waited_s",
    )

    def __init__(self, limits: Limits, started_at: float) -> None:
        self._limits = limits
        self._started_at = started_at
        self._wait_at: float | None = None
        self._waited_s = 0.0
        self._silent_bytes_s = 0.0
        self._silent_content_s = 0.0
        self._seen_content = False
        self._finished = False
        self._graces = 1

    def begin_wait(self, now: float) -> None:
        """A read waits from now on."""
        self._wait_at = now

    def end_wait(self, now: float) -> None:
        """No read waits any more, because it was cancelled, or failed."""
        if self._wait_at is not None:
            waited = now - self._wait_at
            self._waited_s += waited
            self._silent_bytes_s += waited
            self._silent_content_s += waited
            self._wait_at = None

    def end_wait_with_bytes(self, now: float) -> None:
        """No read waits any more, because something arrived: ``end_wait`` and ``saw_bytes`` in one."""
        if self._wait_at is not None:
            waited = now - self._wait_at
            self._waited_s += waited
            self._silent_content_s += waited
            self._wait_at = None
        self._silent_bytes_s = 0.0

    def waited_s(self, now: float) -> float:
        """Return how many seconds reads have waited in all, with the one that waits now."""
        return self._waited_s if self._wait_at is None else self._waited_s + now - self._wait_at

    def saw_bytes(self) -> None:
        """Something arrived."""
        self._silent_bytes_s = 0.0

    def saw_content(self) -> None:
        """Chunks arrived, and there has been content; before that, a role alone is no sign of a working model."""
        self._seen_content = True
        self._silent_content_s = 0.0
        self._finished = False

    def saw_finish(self, graces: int = 1) -> None:
        """Every choice has ended; the server may be silent for so many times ``finish_grace_s``."""
        self._seen_content = True
        self._silent_content_s = 0.0
        self._finished = True
        self._graces = graces

    def expiry(self) -> Expiry | None:
        """Which clock runs out first if nothing happens; None while no read waits."""
        if self._wait_at is None:
            return None
        limits, wait_at = self._limits, self._wait_at
        content = (
            ("idle_content", limits.idle_content_s) if self._seen_content else ("first_content", limits.first_content_s)
        )
        candidates = [
            Expiry(wait_at + limits.idle_bytes_s - self._silent_bytes_s, "idle_bytes", limits.idle_bytes_s),
            Expiry(wait_at + content[1] - self._silent_content_s, *content),
            Expiry(self._started_at + limits.total_s, "total", limits.total_s),
        ]
        if self._finished:
            grace_s = limits.finish_grace_s * self._graces
            candidates.append(Expiry(wait_at + grace_s - self._silent_content_s, "finish_grace", grace_s))
        return min(candidates)
