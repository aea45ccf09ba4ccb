"""Waits until a limit per minute allows a request; in this process, or together with others in Redis."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from opeai_async._core.policy.endpoint import RateLimit
from opeai_async._core.policy.gcra import GCRA


class Limiter(Protocol):
    """Says when a request of so many tokens may go."""

    async def take(self, now: float, tokens: float) -> float:
        """Take what a request costs, if it may go now; return in how many seconds it may, 0 if it may go now."""
        ...

    async def aclose(self) -> None:
        """Close what it holds."""
        ...


class LocalLimiter:
    """A limit that this process holds alone.

    Args:
        share: How much of the limit it may use.
    """

    def __init__(self, limit: RateLimit, share: float = 1.0) -> None:
        self._parts: list[tuple[GCRA, bool]] = [
            (GCRA(per_minute * share, limit.burst_s), is_tokens)
            for per_minute, is_tokens in ((limit.requests_per_minute, False), (limit.tokens_per_minute, True))
            if per_minute is not None
        ]

    async def take(self, now: float, tokens: float) -> float:
        return self.take_nowait(now, tokens)

    def take_nowait(self, now: float, tokens: float) -> float:
        """Do the same without awaiting anything."""
        due_s = max((gcra.due_in_s(now, tokens if is_tokens else 1.0) for gcra, is_tokens in self._parts), default=0.0)
        if due_s <= 0:
            for gcra, is_tokens in self._parts:
                gcra.take(now, tokens if is_tokens else 1.0)
        return due_s

    async def aclose(self) -> None:
        pass


def limiter_of(limit: RateLimit, name: str, clock: Callable[[], float]) -> Limiter:
    """Return what holds *limit* for the endpoint *name*."""
    if limit.redis_url is None:
        return LocalLimiter(limit)
    from opeai_async._io.policies.redis_limits import RedisLimiter

    return RedisLimiter(limit, name, clock)


async def wait_for(
    limiter: Limiter,
    tokens: float,
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
    until: float,
) -> float | None:
    """Wait until a request may go; return how long that took, or None, at once, if it would last past *until*."""
    begun = clock()
    while (due_s := await limiter.take(clock(), tokens)) > 0:
        if clock() + due_s >= until:
            return None
        await sleep(due_s)
    return clock() - begun
