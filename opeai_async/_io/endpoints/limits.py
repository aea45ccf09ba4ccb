"""Waits until a limit per minute allows a request; in this process, or together with others in Redis."""

from __future__ import annotations

from typing import Protocol

from opeai_async._core.policy.endpoints.endpoint import RateLimit
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
