"""Whether another request of a bulk run may begin: limits per minute, and bounds of the whole run."""

from __future__ import annotations

import asyncio
from typing import Protocol

from opeai_async._core.policy.pace import Pace, TokenEstimate
from opeai_async.bulk.options import BulkOptions
from opeai_async.bulk.request import Job
from opeai_async.bulk.result import BulkResult, Stop
from opeai_async.bulk.tally import Tally

ASK_AGAIN_S = 0.01
LONGEST_SLEEP_S = 0.25
"""While a worker waits for its turn, it looks so often whether the run has been stopped."""


class Stoppable(Protocol):
    """A run, as far as it concerns this file."""

    stopped: Stop | None
    tally: Tally

    def hit(self, why: Stop) -> None:
        """Begin nothing new."""
        ...


class Intake:
    """Keeps the limits of a run.

    Args:
        options: The limits.
        now: The time of the loop.

    Attributes:
        has_limits: Whether requests have to be admitted.
        counts: Whether it has to be told what they used.
    """

    def __init__(self, options: BulkOptions, now: float) -> None:
        rpm, tpm = options.requests_per_minute, options.tokens_per_minute
        self._requests = None if rpm is None else Pace(rpm, now)
        self._tokens = None if tpm is None else Pace(tpm, now)
        self._max_tokens, self._max_cost, self._price = options.max_total_tokens, options.max_cost, options.price
        self._estimate = TokenEstimate()
        self._reserved = 0.0  # tokens that requests in flight may use
        self._taken: dict[int, float] = {}  # by index: the estimate for those in flight
        self._costs, self._priced = 0.0, 0
        self.has_limits: bool = any(
            limit is not None for limit in (rpm, tpm, options.max_total_tokens, options.max_cost)
        )
        self.counts: bool = self.has_limits or options.price is not None

    async def admit(self, job: Job, loop: asyncio.AbstractEventLoop, run: Stoppable) -> bool:
        """Wait until *job* may begin; return False if it may not, because a bound is hit."""
        tokens = self._estimate.of(job.size or len(repr(job.params)))
        while (wait_s := self._wait_s(loop.time(), tokens, run)) > 0:  # noqa: ASYNC110  # what is awaited is the time
            await asyncio.sleep(min(wait_s, LONGEST_SLEEP_S))
        if run.stopped is not None:
            return False
        now = loop.time()
        if self._requests is not None:
            self._requests.take(now, 1)
        if self._tokens is not None:
            self._tokens.take(now, tokens)
        self._taken[job.index] = tokens
        self._reserved += tokens
        return True

    def _wait_s(self, now: float, tokens: float, run: Stoppable) -> float:
        """Return for how long to wait before asking again; 0 if the request may begin, or the run is stopped."""
        if run.stopped is None and (why := self._next_stop(tokens, run.tally)) is not None:
            if self._taken:
                return ASK_AGAIN_S  # those in flight may use less than was thought
            run.hit(why)
        if run.stopped is not None:
            return 0.0
        return max((pace.due_in_s(now) for pace in (self._requests, self._tokens) if pace is not None), default=0.0)

    def _next_stop(self, tokens: float, tally: Tally) -> Stop | None:
        """Return the bound that another request of so many tokens might break."""
        if self._max_tokens is not None and tally.tokens + self._reserved + tokens > self._max_tokens:
            return "max_total_tokens"
        if self._max_cost is not None and self._priced:
            each = self._costs / self._priced
            if tally.cost + each * (len(self._taken) + 1) > self._max_cost:
                return "max_cost"
        return None

    def is_used_up(self, tokens: int, cost: float) -> Stop | None:
        """Return the bound that is hit by what was used, if any."""
        if self._max_tokens is not None and tokens >= self._max_tokens:
            return "max_total_tokens"
        return "max_cost" if self._max_cost is not None and cost >= self._max_cost else None

    def ended(self, now: float, job: Job, result: BulkResult) -> float:
        """Correct the estimate by what *job* has used; return what it cost."""
        usage = result.usage
        if self.has_limits and (estimated := self._taken.pop(job.index, None)) is not None:
            prompt = 0 if usage is None else usage.prompt_tokens or 0
            answer = 0 if usage is None else usage.completion_tokens or 0
            self._reserved -= estimated
            if self._tokens is not None and (usage is not None or result.error is not None):
                self._tokens.correct(now, estimated - prompt - answer)
            if usage is not None:
                self._estimate.learn(job.size, prompt, answer)
        if self._price is None or usage is None:
            return 0.0
        cost = self._price(usage)
        self._costs += cost
        self._priced += 1
        return cost
