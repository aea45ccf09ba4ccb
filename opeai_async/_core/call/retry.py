"""Whether to try again, and when: pure decisions, with the jitter and the budget as arguments.

A completion changes nothing on the server, so a request whose connection broke may be sent again. What makes retries
harmful is many clients doing it at once, hence full jitter, a floor from the server's Retry-After, and a budget
shared by all calls of a client, as in https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/

A retry at the time that the server has named cannot double a load, so it costs the budget nothing. Where the server is
short of capacity (``Failure.pauses``), such a wait is no retry in the sense of ``max_retries`` either: it is the way in
which a limited server does its work, and `throttle` sees to it that few are needed.
"""

from enum import Enum

from msgspec import Struct

from opeai_async._core.policy.checks import checked_count, checked_flag, checked_number
from opeai_async._core.policy.throttle import SPREAD
from opeai_async._public import claim

RETRYABLE_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})

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
        retry_after_s: Seconds the server asked to wait, above 0; None if it named no wait.
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

    @property
    def pauses(self) -> bool:
        """Whether the server has said until when it is short of capacity."""
        return self.is_throttle and self.retry_after_s is not None


class RetryPolicy(Struct, frozen=True, kw_only=True):
    """When a failed attempt is repeated.

    Attributes:
        max_retries: Tries after the first one. Waits that a 429, 503 or 529 names do not count, unless this is 0: then
            there is one try, whatever it brings.
        base_delay_s: Upper bound of the first delay; it doubles with each retry.
        throttle_delay_s: The same, after 429, 503 and 529.
        max_delay_s: Upper bound of any delay of our own choosing.
        max_wait_s: Upper bound on the waits that a server names, all those of one call taken together; 0 for none. A
            call that would have to wait for longer is not tried again.
        retry_ambiguous: Whether to repeat a request whose connection broke before any byte of a response.
        budget: Tokens that all calls of a client share: a retry after 429, 503 or 529 takes 5, any other one 14; a call
            that succeeds gives back what its retries took, or 1. Without enough of them nothing is tried again, so that
            an outage is not made worse. Waits that the server names take none. None for no such bound.

    Raises:
        ConfigurationError: If one of them is of another type, or below 0.
    """

    max_retries: int = 2
    base_delay_s: float = 0.25
    throttle_delay_s: float = 1.0
    max_delay_s: float = 8.0
    max_wait_s: float = 60.0
    retry_ambiguous: bool = True
    budget: int | None = 500

    def __post_init__(self) -> None:
        checked_count("max_retries", self.max_retries, 0)
        for name in ("base_delay_s", "throttle_delay_s", "max_delay_s", "max_wait_s"):
            checked_number(name, getattr(self, name), unit="seconds", or_zero=True)
        checked_flag("retry_ambiguous", self.retry_ambiguous)
        checked_number("budget", self.budget, or_zero=True, or_none=True)

    def next_delay(self, failure: Failure, attempt: int, jitter: float, waited_s: float = 0.0) -> float | None:
        """Seconds to wait before the next try, or None to give up.

        Args:
            failure: How the try went.
            attempt: Its number, from 1, without those whose waits do not count.
            jitter: A random number from 0 to 1.
            waited_s: How long the call has waited already because servers asked for it.
        """
        if not self.max_retries or not self.is_retryable(failure):
            return None
        if attempt > self.max_retries and not failure.pauses:
            return None
        if failure.retry_after_s is not None:
            if waited_s + failure.retry_after_s > self.max_wait_s:
                return None
            return failure.retry_after_s * (1 + SPREAD * jitter)
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
        capacity: Tokens at the start, and at most; None for no bound.
    """

    THROTTLE_COST = 5
    OTHER_COST = 14

    def __init__(self, capacity: int | None = 500) -> None:
        self.capacity: int | None = capacity
        self.tokens: int = capacity or 0

    def cost(self, failure: Failure) -> int:
        """Return what a retry after *failure* costs; nothing where the server has named the wait."""
        if self.capacity is None or failure.retry_after_s is not None:
            return 0
        return self.THROTTLE_COST if failure.is_throttle else self.OTHER_COST

    def spend(self, failure: Failure) -> int | None:
        """Take the cost of one retry; returns it, or None if the tokens do not suffice."""
        cost = self.cost(failure)
        if cost > self.tokens:
            return None
        self.tokens -= cost
        return cost

    def refund(self, cost: int) -> None:
        """Give back what the retries of a call that succeeded had cost, or 1 for a call that needed none."""
        if self.capacity is not None:
            self.tokens = min(self.capacity, self.tokens + max(cost, 1))


def too_long_a_wait(failure: Failure, policy: RetryPolicy, waited_s: float) -> str:
    """Return the note of a call that is asked to wait for longer than it may, and has waited *waited_s* before."""
    return (
        f"not retried: the server asks to wait {failure.retry_after_s:.1f} s, {waited_s:.1f} s were waited "
        f"already, and max_wait_s={policy.max_wait_s:g}"
    )


def no_budget(failure: Failure, budget: RetryBudget, attempts: int) -> str:
    """Return the note of a call that was tried so often, and for which *budget* has no further retry."""
    return (
        f"not retried after {attempts} {'attempt' if attempts == 1 else 'attempts'}: the client's retry budget is "
        f"used up by recent failures, {budget.tokens} of {budget.capacity} tokens are left and a retry takes "
        f"{budget.cost(failure)}; RetryPolicy(budget=...) sets another one, None for none"
    )


claim(__name__)
