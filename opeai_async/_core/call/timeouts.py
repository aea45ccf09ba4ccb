"""Limits on waiting, and the arithmetic of deadlines. The time is always an argument.

The idle clocks measure the server, not the reader: they run only while a read waits, go on where they were when a
cancelled read is tried again, and stand still while the consumer is busy. Two of them, because comments prove that
the connection lives (bytes) but not that the model does (content).
"""

import functools
import math
from typing import Any, NamedTuple, TypeAlias

import msgspec
from msgspec import UNSET, Struct, UnsetType

from opeai_async._core.policy.checks import checked_number
from opeai_async._public import claim
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
        finish_grace_s: For ``[DONE]`` after the last finish_reason (2); passing it is no error. Twice as long where
            token counts that were asked for are missing, three times where the reason came with the first words, and
            without this limit where sound that was asked for is missing.
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

    def __or__(self, other: "Timeouts | None") -> "Timeouts":
        """These limits, with those that *other* sets in their place."""
        if other is None:
            return self
        given = {name: getattr(other, name) for name in self.__struct_fields__}
        return msgspec.structs.replace(self, **{name: value for name, value in given.items() if value is not UNSET})


TimeoutsLike: TypeAlias = Timeouts | float
"""Limits; or a number of seconds, which is that of the whole call."""


def as_timeouts(value: object, name: str) -> Timeouts | None:
    """Return *value*, the option *name*, as limits; a number is ``total_s``. None stays None.

    A timeout of httpx, which the clients of other SDKs take, is known by what it has.

    Raises:
        ConfigurationError: If it is anything else.
    """
    if value is None or isinstance(value, Timeouts):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        checked_number(name, value, unit="seconds")
        return Timeouts(total_s=value)
    if all(hasattr(value, phase) for phase in ("connect", "read", "write", "pool")):
        phases: Any = value
        return Timeouts(
            connect_s=phases.connect,
            pool_s=phases.pool,
            response_headers_s=phases.read,
            first_content_s=phases.read,
            idle_bytes_s=phases.read,
        )
    raise ConfigurationError(
        f"{name} is of type {type(value).__name__}, expected Timeouts, or a number of seconds for the whole call",
        hint="write timeouts=Timeouts(total_s=30, connect_s=5), or timeout=30",
    )


def chosen_timeouts(timeouts: object, timeout: object) -> Timeouts | None:
    """Return what ``timeouts=`` and ``timeout=`` say, of which one may be given.

    Raises:
        ConfigurationError: If both are, or one is of another type.
    """
    if timeout is None:
        return as_timeouts(timeouts, "timeouts")
    if timeouts is not None:
        raise ConfigurationError("timeouts and timeout are both given, expected one of them", hint="they are the same")
    return as_timeouts(timeout, "timeout")


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


claim(__name__)
