"""Whether to try again, and when: pure decisions, with the jitter and the budget as arguments.

A completion changes nothing on the server, so a request whose connection broke may be sent again. What makes retries
harmful is many clients doing it at once, hence full jitter, a floor from the server's Retry-After, and a budget
shared by all calls of a client, as in https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum

from msgspec import Struct

RETRYABLE_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})

# float() would take "inf", "nan", "1_000" and non-ASCII digits.
_NUMBER = r"[0-9]{1,300}(?:\.[0-9]{1,300})?"
_JITTER_SHARE = 0.1
_MAX_DOUBLINGS = 64  # beyond any sensible max_delay_s, and a float still holds it


class Cause(Enum):
    """Why an attempt failed, as far as a retry depends on it."""

    NOT_SENT = "not sent"
    """The connection could not be made: the server saw nothing."""
    AMBIGUOUS = "ambiguous"
    """The connection broke before any byte of the response."""
    STATUS = "status"
    """An error status."""
    IN_STREAM = "in stream"
    """An error was the first event of a stream."""
    FINAL = "final"
    """Another try would end the same way."""


class Failure(Struct, frozen=True):
    """How one attempt failed.

    Attributes:
        status: HTTP status, or the one that an error inside a stream stands for.
        is_quota: Whether the error's code says that the budget is used up.
        should_retry: What the server's ``x-should-retry`` says, or None.
        retry_after_s: Seconds the server asked to wait, or None.
    """

    cause: Cause
    status: int | None = None
    is_quota: bool = False
    should_retry: bool | None = None
    retry_after_s: float | None = None

    @property
    def is_throttle(self) -> bool:
        """Whether the server is short of capacity rather than broken."""
        return self.status in (429, 503, 529)


class RetryPolicy(Struct, frozen=True, kw_only=True):
    """When a failed attempt is repeated.

    Attributes:
        max_retries: Tries after the first one.
        base_delay_s: Upper bound of the first delay; it doubles with each retry.
        throttle_delay_s: The same, after 429, 503 and 529.
        max_delay_s: Upper bound of any delay of our own choosing.
        max_retry_after_s: A server that asks for more than this is not waited for.
        retry_ambiguous: Whether to repeat a request whose connection broke before any byte of a response.
    """

    max_retries: int = 2
    base_delay_s: float = 0.25
    throttle_delay_s: float = 1.0
    max_delay_s: float = 8.0
    max_retry_after_s: float = 60.0
    retry_ambiguous: bool = True

    def next_delay(self, failure: Failure, attempt: int, jitter: float) -> float | None:
        """Seconds to wait before the next try, or None to give up.

        Args:
            failure: How the try went.
            attempt: Its number, from 1.
            jitter: A random number from 0 to 1.
        """
        if attempt > self.max_retries or not self.is_retryable(failure):
            return None
        if failure.retry_after_s is not None:
            if failure.retry_after_s > self.max_retry_after_s:
                return None
            return failure.retry_after_s * (1 + _JITTER_SHARE * jitter)
        base = self.throttle_delay_s if failure.is_throttle else self.base_delay_s
        return float(jitter * min(self.max_delay_s, base * 2 ** min(attempt - 1, _MAX_DOUBLINGS)))

    def is_retryable(self, failure: Failure) -> bool:
        """Whether another try may help at all."""
        if failure.cause is Cause.FINAL or failure.is_quota:
            return False
        if failure.cause is Cause.AMBIGUOUS:
            return self.retry_ambiguous
        if failure.should_retry is not None:
            return failure.should_retry
        return failure.cause is Cause.NOT_SENT or failure.status in RETRYABLE_STATUSES


class RetryBudget:
    """Tokens that retries spend and successes refund, so that an outage does not double the load.

    Args:
        capacity: Tokens at the start, and at most.
    """

    THROTTLE_COST = 5
    OTHER_COST = 14

    def __init__(self, capacity: int = 500) -> None:
        self.capacity = capacity
        self.tokens = capacity

    def spend(self, failure: Failure) -> int:
        """Take the cost of one retry; returns it, or 0 if the tokens do not suffice."""
        cost = self.THROTTLE_COST if failure.is_throttle else self.OTHER_COST
        if cost > self.tokens:
            return 0
        self.tokens -= cost
        return cost

    def refund(self, cost: int) -> None:
        """Give back what the retries of a call that succeeded had cost, or 1 for a call that needed none."""
        self.tokens = min(self.capacity, self.tokens + max(cost, 1))


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds a server asks to wait, or None: ``retry-after-ms``, then ``retry-after`` in seconds, then as a date.

    A date counts from the response's own ``date``, so that clocks need not agree. See RFC 9110 10.2.3.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None or value is None:
        return seconds
    return _seconds_between(headers.get("date"), value)


def parse_should_retry(headers: Mapping[str, str]) -> bool | None:
    """What ``x-should-retry`` says, or None."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())


def _number(value: str | None) -> float | None:
    stripped = (value or "").strip(" \t")
    return float(stripped) if re.fullmatch(_NUMBER, stripped, re.ASCII) else None


def _seconds_between(earlier: str | None, later: str) -> float | None:
    if earlier is None:
        return None
    try:
        difference = _date(later) - _date(earlier)
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, difference.total_seconds())


def _date(text: str) -> datetime:
    """An HTTP date in any of its three forms (RFC 9110 5.6.7); one of them names no zone, and means UTC."""
    date = parsedate_to_datetime(text)
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
