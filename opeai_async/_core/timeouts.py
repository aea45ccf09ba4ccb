"""Limits on waiting, and the arithmetic of deadlines. The time is always an argument.

The idle clocks measure the server, not the reader: they run only while a read waits, go on where they were when a
cancelled read is tried again, and stand still while the consumer is busy. Two of them, because comments prove that
the connection lives (bytes) but not that the model does (content).
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple, TypeAlias

import msgspec
from msgspec import UNSET, Struct, UnsetType

from opeai_async.errors import ConfigurationError

Limit: TypeAlias = float | UnsetType | None
"""Seconds; None for no limit; UNSET for the default."""


class Timeouts(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """How long to wait for what, in seconds. None is no limit; what is not given keeps the client's value, or the
    default.

    Attributes:
        connect_s: For TCP and TLS together (5).
        pool_s: For a free slot of ``max_connections`` (60).
        response_headers_s: From sending to the response's head (300 for a stream, 600 otherwise).
        first_content_s: For the first chunk with content (300).
        idle_bytes_s: Without any byte, while waiting (60).
        idle_content_s: Without any chunk, while waiting (300).
        total_s: For the whole call, retries included (none for a stream, 600 otherwise).
        finish_grace_s: For ``[DONE]`` after the last finish_reason (2); passing it is no error.
    """

    connect_s: Limit = UNSET
    pool_s: Limit = UNSET
    response_headers_s: Limit = UNSET
    first_content_s: Limit = UNSET
    idle_bytes_s: Limit = UNSET
    idle_content_s: Limit = UNSET
    total_s: Limit = UNSET
    finish_grace_s: Limit = UNSET

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value: Any = getattr(self, name)
            if value is UNSET or value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
                raise ConfigurationError(
                    f"{name} is {value!r}, expected a number of seconds above 0, or None for no limit",
                    hint="units are seconds",
                )

    def __or__(self, other: Timeouts | None) -> Timeouts:
        """These limits, with those that *other* sets in their place."""
        if other is None:
            return self
        given = {name: getattr(other, name) for name in self.__struct_fields__}
        return msgspec.structs.replace(self, **{name: value for name, value in given.items() if value is not UNSET})


class Limits(NamedTuple):
    """``Timeouts`` with every default filled in; ``math.inf`` for no limit."""

    connect_s: float
    pool_s: float
    response_headers_s: float
    first_content_s: float
    idle_bytes_s: float
    idle_content_s: float
    total_s: float
    finish_grace_s: float


_STREAM_DEFAULTS = Limits(5.0, 60.0, 300.0, 300.0, 60.0, 300.0, math.inf, 2.0)
_REQUEST_DEFAULTS = Limits(5.0, 60.0, 600.0, 300.0, 60.0, 300.0, 600.0, 2.0)


@functools.lru_cache(maxsize=256)
def resolve(timeouts: Timeouts, *, stream: bool) -> Limits:
    """Every limit as a number; remembered, because a service has few of them and asks with each call."""
    defaults = _STREAM_DEFAULTS if stream else _REQUEST_DEFAULTS
    return Limits(*(_seconds(getattr(timeouts, name), getattr(defaults, name)) for name in Limits._fields))


def _seconds(value: Limit, default: float) -> float:
    if isinstance(value, UnsetType):
        return default
    return math.inf if value is None else float(value)


_GRACES_UNLESS_SURE = 3


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
    )

    def __init__(self, limits: Limits, started_at: float) -> None:
        self._limits = limits
        self._started_at = started_at
        self._wait_at: float | None = None
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
            self._silent_bytes_s += waited
            self._silent_content_s += waited
            self._wait_at = None

    def end_wait_with_bytes(self, now: float) -> None:
        """No read waits any more, because something arrived: ``end_wait`` and ``saw_bytes`` in one."""
        if self._wait_at is not None:
            self._silent_content_s += now - self._wait_at
            self._wait_at = None
        self._silent_bytes_s = 0.0

    def saw_bytes(self) -> None:
        """Something arrived."""
        self._silent_bytes_s = 0.0

    def saw_content(self) -> None:
        """Chunks arrived, and there has been content; before that, a role alone is no sign of a working model."""
        self._seen_content = True
        self._silent_content_s = 0.0
        self._finished = False

    def saw_finish(self, *, is_sure: bool = True) -> None:
        """Every choice has ended; where that is not sure, because the first words said so, the grace is longer."""
        self._seen_content = True
        self._silent_content_s = 0.0
        self._finished = True
        self._graces = 1 if is_sure else _GRACES_UNLESS_SURE

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
