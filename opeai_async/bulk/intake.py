"""Whether another request of a bulk run may begin: limits per minute, and bounds of the whole run."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from typing import Protocol

from opeai_async._core.policy.endpoints.endpoint import RateLimit
from opeai_async._core.policy.pace import BURST_SHARE, Pace, TokenEstimate
from opeai_async._io.endpoints.limits import Limiter
from opeai_async.bulk.options import BulkOptions
from opeai_async.bulk.request import Job
from opeai_async.bulk.result import BulkResult, Stop
from opeai_async.bulk.tally import Tally
from opeai_async.errors import ConfigurationError

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

    Limits that are shared in Redis are kept there, see ``redis_limits``. What was estimated wrong for a
    request is settled with the next one that asks: nothing is sent to Redis but what asks for leave.

    Args:
        options: The limits.
        loop: Its time is that of the limits.

    Attributes:
        has_limits: Whether requests have to be admitted.
        counts: Whether it has to be told what they used.
    """

    def __init__(self, options: BulkOptions, loop: asyncio.AbstractEventLoop) -> None:
        rpm, tpm = options.requests_per_minute, options.tokens_per_minute
        self._shared = _shared(options, loop) if options.redis_url is not None else None
        is_alone = self._shared is None
        self._requests = Pace(rpm, loop.time()) if rpm is not None and is_alone else None
        self._tokens = Pace(tpm, loop.time()) if tpm is not None and is_alone else None
        self._loop = loop
        self._owed = 0.0  # tokens that were estimated too low, less those too high; to be settled in Redis
        self._max_tokens, self._max_cost, self._price = options.max_total_tokens, options.max_cost, options.price
        self._estimate = TokenEstimate()
        self._reserved = 0.0  # tokens that requests in flight may use
        self._taken: dict[int, float] = {}  # by index: the estimate for those in flight
        self._costs, self._priced = 0.0, 0
        self.has_limits: bool = any(
            limit is not None for limit in (rpm, tpm, options.max_total_tokens, options.max_cost)
        )
        self.counts: bool = self.has_limits or options.price is not None

    async def admit(self, job: Job, run: Stoppable) -> bool:
        """Wait until *job* may begin; return False if it may not, because a bound is hit."""
        tokens = self._estimate.of(job.size or len(repr(job.params)))
        while True:
            wait_s = self._wait_s(self._loop.time(), tokens, run)
            if wait_s <= 0 and self._shared is not None and run.stopped is None:
                wait_s = await self._take_shared(self._shared, tokens)
            if wait_s <= 0:
                break
            await asyncio.sleep(min(wait_s, LONGEST_SLEEP_S))
        if run.stopped is not None:
            return False
        now = self._loop.time()
        if self._requests is not None:
            self._requests.take(now, 1)
        if self._tokens is not None:
            self._tokens.take(now, tokens)
        self._taken[job.index] = tokens
        self._reserved += tokens
        return True

    async def _take_shared(self, shared: Limiter, tokens: float) -> float:
        """Take what a request costs from the limits in Redis; return in how many seconds to ask again."""
        owed = self._owed
        wait_s = await shared.take(self._loop.time(), max(0.0, tokens + owed))
        if wait_s <= 0:
            self._owed -= owed if tokens + owed > 0 else -tokens
        return wait_s

    async def aclose(self) -> None:
        """Close the connection to Redis, if there is one."""
        if self._shared is not None:
            await self._shared.aclose()

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
            if usage is not None or result.error is not None:
                self._owed += prompt + answer - estimated
                if self._tokens is not None:
                    self._tokens.correct(now, estimated - prompt - answer)
            if usage is not None:
                self._estimate.learn(job.size, prompt, answer)
        if self._price is None or usage is None:
            return 0.0
        cost = self._price(usage)
        self._costs += cost
        self._priced += 1
        return cost


def _shared(options: BulkOptions, loop: asyncio.AbstractEventLoop) -> Limiter:
    """Return who keeps the limits per minute in Redis.

    In any 60 seconds no more may go than the limit, as with a ``Pace``: so a share of it may go at once, and the rest
    follows steadily.
    """
    if find_spec("redis") is None:
        raise ConfigurationError("redis_url needs the package redis", hint="pip install 'opeai_async[redis]'")
    from opeai_async._io.endpoints.redis_limits import RedisLimiter

    steady = 1 - BURST_SHARE
    rpm, tpm = (
        None if limit is None else limit * steady for limit in (options.requests_per_minute, options.tokens_per_minute)
    )
    limit = RateLimit(
        requests_per_minute=rpm,
        tokens_per_minute=tpm,
        burst_s=60 * BURST_SHARE / steady,
        redis_url=options.redis_url,
        share=options.limits_share,
    )
    return RedisLimiter(limit, options.limits_name, loop.time)
