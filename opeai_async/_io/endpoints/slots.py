"""A bound on the answers that are open at one endpoint: a number, or one that is learnt from how it answers."""

from __future__ import annotations

import asyncio
import math
from collections import deque

from opeai_async._core.policy.concurrency import AdaptiveConcurrency, Sample
from opeai_async._core.policy.endpoints.endpoint import MaxConcurrency


class Slots:
    """A bound on the answers that are open at one endpoint; calls wait in order.

    Args:
        bound: How many there may be; ``"auto"`` to learn it, by the rule of ``completions.map``; None for no bound.

    Attributes:
        taken: How many there are, with those that will be sent at once.
    """

    __slots__ = ("_bound", "_rule", "_waiting", "taken")

    def __init__(self, bound: MaxConcurrency | None) -> None:
        self._rule = AdaptiveConcurrency() if bound == "auto" else None
        self._bound = math.inf if bound is None or bound == "auto" else bound
        self.taken: int = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def bound(self) -> float:
        """How many there may be now."""
        return self._bound if self._rule is None else self._rule.limit

    @property
    def is_full(self) -> bool:
        """Whether a call would wait."""
        return self.taken >= self.bound or bool(self._waiting)

    async def take(self, limit_s: float) -> int:
        """Take a slot; return 0, or the place in line, from 1, that was reached when *limit_s* seconds were over."""
        if not self.is_full:
            self.taken += 1
            return 0
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await asyncio.wait_for(asyncio.shield(turn), None if limit_s == math.inf else limit_s)
        except TimeoutError:
            if turn.done():
                return 0
            place = self._waiting.index(turn) + 1
            self._waiting.remove(turn)
            return place
        except asyncio.CancelledError:
            if turn.done():
                self.give_back()
            else:
                self._waiting.remove(turn)
            raise
        return 0

    def began(self, now: float) -> None:
        """Take note that a request is sent, by whoever has taken a slot."""
        if self._rule is not None:
            self._rule.began(now)

    def ended(self, now: float, sample: Sample) -> None:
        """Give the slot back, with how the request went."""
        if self._rule is not None:
            self._rule.ended(now, sample)
        self.give_back()

    def give_back(self) -> None:
        """Give a slot back: it goes to the call that has waited longest, if there may be so many."""
        self.taken -= 1
        while self._waiting and self.taken < self.bound:
            self.taken += 1
            self._waiting.popleft().set_result(None)
