"""Acting on ``_core/policy``: which endpoint gets an attempt, waiting for its limits, hedging, going on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opeai_async._core.call.prepare import PreparedCall
from opeai_async._io.exchange import Exchange, Wiring

if TYPE_CHECKING:
    from opeai_async._core.policy.endpoints.endpoint import Endpoints


def exchange_for(wiring: Wiring, call: PreparedCall) -> Exchange:
    """Return the exchange of *call*. What many endpoints need is loaded when there are some."""
    if type(call) is PreparedCall:
        return Exchange(wiring, call)
    from opeai_async._core.policy.endpoints.routes import RoutedCall
    from opeai_async._io.endpoints.pool import Pool

    assert isinstance(call, RoutedCall) and isinstance(wiring.pool, Pool)  # noqa: PT018
    if wiring.pool.hedging is not None:
        from opeai_async._io.endpoints.hedged import HedgedExchange

        return HedgedExchange(wiring, call, wiring.pool, wiring.pool.hedging)
    from opeai_async._io.endpoints.routed import RoutedExchange

    return RoutedExchange(wiring, call, wiring.pool)


def pool_of(endpoints: Endpoints) -> object:
    """Return the pool of *endpoints*; None for a lone one that is like any base URL, and costs what that costs."""
    is_lone = len(endpoints.endpoints) == 1 and endpoints.endpoints[0].is_plain
    if is_lone and endpoints.hedge is None and endpoints.on_break == "raise":
        return None
    from opeai_async._io.endpoints.pool import Pool

    return Pool(endpoints)


async def close_pool(wiring: Wiring) -> None:
    """Close what the pool of a client holds, if it has one."""
    if wiring.pool is not None:
        from opeai_async._io.endpoints.pool import Pool

        assert isinstance(wiring.pool, Pool)
        await wiring.pool.aclose()
