"""Why a call is not tried again, or not sent at all: what the errors of `exchange` say about it."""

from __future__ import annotations

from urllib.parse import urlsplit

from opeai_async._core.call.http import Request
from opeai_async._core.call.retry import Failure, RetryBudget, RetryPolicy
from opeai_async._core.call.timeouts import Limits
from opeai_async._io.gate import Leave
from opeai_async.errors import APITimeoutError, InternalServerError, OpeAIError, RateLimitError


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


class NoTurn:
    """Why a call cannot stay in the line of a server that has asked to wait.

    Args:
        leave: How it left the line; not because its turn has come.
        left_s: Seconds of the pause that are left.
        policy: That of the call.
        limits: Those of the call.
        request: What it would have sent.
    """

    def __init__(self, leave: Leave, left_s: float, policy: RetryPolicy, limits: Limits, request: Request) -> None:
        is_too_long = leave is Leave.TOO_LONG
        self._left_s = left_s
        self._is_paused = is_too_long or left_s > 0
        self._limit_s = policy.max_wait_s if is_too_long else limits.total_s
        self._host = urlsplit(request.url).hostname
        bound = f"{'max_wait_s' if is_too_long else 'total_s'}={self._limit_s:g}"
        self._why = (
            f"the server has asked for a pause of all calls, {left_s:.1f} s more would pass {bound}"
            if self._is_paused
            else f"too many calls are in line for {self._host}, {bound} is over"
        )

    def note(self, waited_s: float) -> str:
        """Return the note for the refusal of a call that was sent before, and has waited for so many seconds."""
        return f"not retried: {self._why}; {waited_s:.1f} s were waited already"

    def error(self, status: int) -> OpeAIError:
        """Return the error of a call that was not sent, where others were refused with *status*."""
        if not self._is_paused:
            return APITimeoutError(f"not sent: {self._why}", phase="total", timeout_s=self._limit_s)
        error_type = RateLimitError if status == 429 else InternalServerError
        message = f"not sent to {self._host}: {self._why}"
        return error_type(message, status_code=status, retry_after_s=self._left_s or None)
