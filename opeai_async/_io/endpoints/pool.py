"""The endpoints of a client at work: what is known of each, and which one the next attempt goes to."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

from opeai_async._core.policy.endpoints.choice import Candidate, choose
from opeai_async._core.policy.endpoints.endpoint import Endpoint, Endpoints, OnBreak, RateLimit
from opeai_async._core.policy.endpoints.going_on import Way
from opeai_async._core.policy.endpoints.health import Health, State
from opeai_async._core.policy.endpoints.hedging import Hedging
from opeai_async._core.policy.endpoints.lacks import LEARNT_S
from opeai_async._core.policy.endpoints.routes import RoutedCall
from opeai_async._io.endpoints.limits import Limiter, LocalLimiter
from opeai_async._io.endpoints.slots import Slots


class Route:
    """One endpoint of a client.

    Attributes:
        health: How it fares.
        doubted: Ways to go on that it did not keep to.
        contexts: How many tokens it takes, by model, where it has said so.
        limiter: Holds its limit, if it has one.
        paused_until: When it may be asked again, as it said itself; others are asked meanwhile.
    """

    def __init__(self, index: int, endpoint: Endpoint, health: Health) -> None:
        self.index = index
        self.endpoint = endpoint
        self.label = endpoint.label
        self.health = health
        self.doubted: frozenset[Way] = frozenset()
        self.slots = Slots(endpoint.max_concurrency)
        self.paused_until = 0.0
        self.contexts: dict[str, int] = {}
        self._missing = endpoint.capabilities.missing
        self._lacks: dict[tuple[str, str], float] = {}  # by model and capability, until when that holds
        self._limiter: Limiter | None = None

    def missing(self, model: str, now: float) -> frozenset[str]:
        """Return what it is known to be incapable of with *model*."""
        if not self._lacks:
            return self._missing
        return self._missing.union(need for (of, need), until in self._lacks.items() if of == model and now < until)

    def learn_lack(self, model: str, need: str, now: float) -> None:
        """Take note that it cannot do *need* with *model*, as it says."""
        self._lacks[model, need] = now + LEARNT_S

    def context_tokens(self, model: str) -> int:
        """Return how many tokens it takes with *model*; 0 where that is not known."""
        return self.contexts.get(model) or self.endpoint.capabilities.context_tokens or 0

    def limiter(self, clock: Callable[[], float]) -> Limiter | None:
        """Return what holds its limit, if it has one."""
        if self._limiter is None and self.endpoint.limit is not None:
            self._limiter = limiter_of(self.endpoint.limit, self.label, clock)
        return self._limiter

    async def aclose(self) -> None:
        """Close the connection to Redis, if there is one."""
        if self._limiter is not None:
            await self._limiter.aclose()

    def candidate(self) -> Candidate:
        """Return what a choice knows of it."""
        endpoint, health = self.endpoint, self.health
        # What was slow before it was ejected is no reason to put off the probe.
        content_s = health.content_s if health.state is State.WELL else None
        return Candidate(self.index, self.label, endpoint.tier, endpoint.weight, health.in_flight, content_s)

    def __repr__(self) -> str:
        return f"<Route {self.label} {self.health.state.value}>"


class Leg:
    """A call's stay at an endpoint.

    Attributes:
        has_left: Whether it is over; a body that is closed may belong to an attempt that has failed already.
    """

    __slots__ = ("begun_at", "has_left", "is_probe", "route")

    def __init__(self, route: Route, begun_at: float, *, is_probe: bool) -> None:
        self.route = route
        self.begun_at = begun_at
        self.is_probe = is_probe
        self.has_left = False


class Pool:
    """All endpoints of a client, and of those that ``with_options`` makes of it: they see the same servers.

    Args:
        chance: Returns a number from 0 to 1, below 1.
    """

    def __init__(self, endpoints: Endpoints, chance: Callable[[], float] = random.random) -> None:
        self.on_break: OnBreak = endpoints.on_break
        self.hedging: Hedging | None = Hedging(endpoints.hedge) if endpoints.hedge is not None else None
        self._policy = endpoints.policy
        self._chance = chance
        self.routes: list[Route] = [
            Route(index, endpoint, Health(endpoints.policy)) for index, endpoint in enumerate(endpoints.endpoints)
        ]

    def choose(
        self,
        call: RoutedCall,
        now: float,
        *,
        tried: Iterable[int],
        least_context: int | None = None,
        prefer: Callable[[Route], bool] | None = None,
    ) -> Route | None:
        """Return the endpoint for the next attempt of *call*; None if none is left.

        Those that are well come first; then those that asked to wait or are full; then those that are ejected, since a
        poor chance is better than none.

        Args:
            tried: Indexes of those that have failed already.
            least_context: What the context must be larger than.
            prefer: Tells which of the best there are to take, if any of them.
        """
        gone = set(tried)
        model = call.model
        suiting = [route for route in self.routes if call.suits(route.missing(model, now))] or self.routes
        left = [
            route
            for route in suiting
            if route.index not in gone and (least_context is None or route.context_tokens(model) > least_context)
        ]
        well = [route for route in left if route.health.is_open(now)]
        free = [route for route in well if route.paused_until <= now and not route.slots.is_full]
        if not free and well and not any(route.slots.is_full for route in well):
            return min(well, key=lambda route: route.paused_until)
        usable = free or well or left
        if not usable:
            return None
        if prefer is not None:
            usable = [route for route in usable if prefer(route)] or usable
        key = call.key if self._policy.sticky else None
        return self.routes[choose([route.candidate() for route in usable], key=key, random=self._chance)]

    def check_paces(self, now: float, tier: int) -> None:
        """Eject what is far slower than the fastest of its tier, as long as another one is left."""
        equals = [route for route in self.routes if route.endpoint.tier == tier and route.health.is_open(now)]
        times = [seconds for route in equals if (seconds := route.health.typical_s) is not None]
        if len(equals) < 2 or not times:
            return
        fastest_s = min(times)
        for route in equals:
            route.health.check_pace(now, fastest_s)

    async def aclose(self) -> None:
        """Close what the limits hold."""
        for route in self.routes:
            await route.aclose()


def limiter_of(limit: RateLimit, name: str, clock: Callable[[], float]) -> Limiter:
    """Return what holds *limit* for the endpoint *name*."""
    if limit.redis_url is None:
        return LocalLimiter(limit)
    from opeai_async._io.endpoints.redis_limits import RedisLimiter

    return RedisLimiter(limit, name, clock)
