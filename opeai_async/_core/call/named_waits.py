"""How long a server asks to wait, in the ways that are seen: ``Retry-After``, and when a limit is renewed.

A wait is None where none is named, and also where it lies in the past: both are plain retries. Numbers are strict ASCII
digits, since ``float()`` would take ``inf``, ``nan``, ``1_000`` and digits of other scripts.

=========================================  ===========================================================================
``retry-after-ms``                         milliseconds; goes before all others
``retry-after``                            seconds (RFC 9110 10.2.3), ``1m30s``, an HTTP date, an ISO date, an epoch
``x-ratelimit-reset-requests``, ...        where the limit is what refused: the same, and ``250ms``
``ratelimit-reset``                        the same (draft-ietf-httpapi-ratelimit-headers-03)
``ratelimit: limit=9, remaining=0, reset=5``   the same draft's later forms ...
``ratelimit: "default";r=0;t=5``               ... and -08 and up
=========================================  ===========================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

# A longer number is none: a float could not hold it.
_DIGITS = r"[0-9]{1,300}(?:\.[0-9]{1,300})?"
_NUMBER = re.compile(_DIGITS, re.ASCII)
_DURATION = re.compile(
    "".join(rf"(?:(?P<{unit}>{_DIGITS}){unit})?" for unit in ("d", "h", "m", "s", "ms", "us")), re.ASCII
)
_UNIT_S = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6}
_NEGATIVE = re.compile(rf"-{_DIGITS}(?:d|h|m|s|ms|us)?", re.ASCII)
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9].*", re.ASCII)
# Between 2001 and 2096: nobody asks to wait for so long.
_EPOCH_S, _EPOCH_MS = (1e9, 4e9), (1e12, 4e12)
_RESET = re.compile(r"(?P<before>.*rate-?limit-(?:.*-)?)reset(?P<after>(?:-.*)?)", re.ASCII)
_FIELD = re.compile(r"\b(remaining|reset|r|t)\s*=\s*([0-9]{1,18})(?![0-9.])", re.ASCII)
_SENSIBLE_S = 3600.0
_LIMIT_NAME = re.compile(r"retry-after.*|.*rate-?limit.*|x-should-retry", re.ASCII)


class _Limit(NamedTuple):
    """One of a server's limits: what is left of it, None where that is not said, and when it is renewed."""

    remaining: float | None
    reset_s: float


def named_wait(headers: Mapping[str, str], status: int | None = None, now: float | None = None) -> float | None:
    """Return the seconds that a server asks to wait; None if it names no wait, or one that is over.

    Args:
        headers: Names in lower case.
        status: HTTP status. With 429 each limit counts, otherwise only one of which nothing remains; None for neither.
        now: Seconds since 1970 by the local clock, for dates where the response has no ``date`` of its own.
    """
    now = _seconds_of_date(headers.get("date", ""), now)
    asked = _number(headers.get("retry-after-ms"))
    if asked is not None:
        return asked / 1000 or None
    value = headers.get("retry-after", "").strip(" \t")
    if _NEGATIVE.fullmatch(value):
        return None
    asked = _seconds(value, now)
    if asked is not None:
        return asked if asked > 0 else None
    return _reset_of([*_limits(headers, now)], refused_by_limit=status == 429)


def limit_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return those of *headers* that tell about limits and waiting."""
    return {name: value for name, value in headers.items() if _LIMIT_NAME.fullmatch(name)}


def _reset_of(limits: list[_Limit], *, refused_by_limit: bool) -> float | None:
    """Return when all exhausted limits are renewed; if none says that it is, the last one that is worth waiting for."""
    exhausted = [limit.reset_s for limit in limits if limit.remaining == 0]
    if exhausted:
        return max(exhausted)
    if not refused_by_limit or not limits:
        return None
    resets = [limit.reset_s for limit in limits]
    return max((reset_s for reset_s in resets if reset_s <= _SENSIBLE_S), default=min(resets))


def _limits(headers: Mapping[str, str], now: float | None) -> Iterator[_Limit]:
    """Yield the limits of which it is known when they are renewed, in the future."""
    for name, value in headers.items():
        found = _RESET.fullmatch(name)
        if found:
            reset_s = _seconds(value.strip(" \t"), now)
            remaining = _number(headers.get(f"{found['before']}remaining{found['after']}"))
            if reset_s is not None and reset_s > 0:
                yield _Limit(remaining, reset_s)
    yield from _limits_of_draft(headers.get("ratelimit", ""))


def _limits_of_draft(value: str) -> Iterator[_Limit]:
    # One limit is either the whole field (a dictionary) or one item of a list (with parameters).
    for item in [value] if "reset" in value else value.split(","):
        fields = {name[:1] if name in "rt" else name: float(digits) for name, digits in _FIELD.findall(item)}
        reset_s = fields.get("reset", fields.get("t", 0.0))
        if reset_s > 0:
            yield _Limit(fields.get("remaining", fields.get("r")), reset_s)


def _seconds(value: str, now: float | None) -> float | None:
    """Return the seconds from *now* that *value* means, below 0 for the past; None if it means none."""
    number = _number(value)
    if number is None:
        found = _DURATION.fullmatch(value)
        if found and value:
            return sum(float(digits) * _UNIT_S[unit] for unit, digits in found.groupdict().items() if digits)
        at = _seconds_of_date(value, None)
    elif _EPOCH_S[0] <= number <= _EPOCH_S[1]:
        at = number
    elif _EPOCH_MS[0] <= number <= _EPOCH_MS[1]:
        at = number / 1000
    else:
        return number
    return None if at is None or now is None else at - now


def _number(value: str | None) -> float | None:
    stripped = (value or "").strip(" \t")
    return float(stripped) if _NUMBER.fullmatch(stripped) else None


def _seconds_of_date(text: str, default: float | None) -> float | None:
    """Return the seconds since 1970 of an HTTP date (RFC 9110 5.6.7) or an ISO date; *default* if it is neither."""
    try:
        date = (
            datetime.fromisoformat(text.strip()) if _ISO_DATE.fullmatch(text.strip()) else parsedate_to_datetime(text)
        )
        # One of the forms of HTTP names no zone, and means UTC.
        return (date if date.tzinfo is not None else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return default


def parse_should_retry(headers: Mapping[str, str]) -> bool | None:
    """What ``x-should-retry`` says, or None."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())
