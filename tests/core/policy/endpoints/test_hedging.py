"""When a second request is sent, over made-up times."""

import random

import pytest

from opeai_async import ConfigurationError, Hedge
from opeai_async._core.policy.endpoints.hedging import LEAST_CALLS, WINDOW, Hedging


def run(share_slow, *, calls=20000, seed=1):
    """The times of the calls, with and without hedging, of a server of which a share of the answers takes 20 s."""
    chance = random.Random(seed)

    def answer():
        return (20.0 if chance.random() < share_slow else 1.0) * chance.uniform(0.9, 1.1)

    hedging, plain, hedged = Hedging(Hedge(after="p95", budget=0.05)), [], []
    for _ in range(calls):
        first, wait_s = answer(), hedging.begin()
        plain.append(first)
        if wait_s is not None and first > wait_s and hedging.spend():
            first = min(first, wait_s + answer())
        hedged.append(first)
        hedging.saw(first)
    return sorted(plain), sorted(hedged), hedging


@pytest.mark.parametrize("seed", range(5))
def test_one_call_in_twenty_is_slow(seed):
    """The 99th percentile falls by at least 80 %, for at most 5 % more requests."""
    plain, hedged, hedging = run(0.05, seed=seed)
    at = int(0.99 * len(plain))
    assert hedged[at] <= 0.2 * plain[at]
    assert hedging.hedges <= 0.05 * hedging.calls


def test_where_all_are_slow_the_load_stays():
    """An outage costs no more than the budget."""
    _, _, hedging = run(0.5)
    assert hedging.hedges <= 0.05 * hedging.calls + 10


def test_nothing_is_hedged_before_anything_is_known():
    """Unless the seconds are given."""
    hedging = Hedging(Hedge())
    for _ in range(LEAST_CALLS):
        assert hedging.begin() is None
        hedging.saw(1.0)
    assert hedging.begin() == 3.0  # as long as little is saved up
    for _ in range(200):
        hedging.begin()
    assert hedging.begin() == 1.0
    assert Hedging(Hedge(after=0.5)).begin() == 0.5


def test_only_the_last_times_count():
    """A server that has become faster is hedged sooner."""
    hedging = Hedging(Hedge())
    for _ in range(WINDOW):
        hedging.saw(5.0)
    for _ in range(WINDOW):
        hedging.saw(1.0)
    assert hedging.wait_s() == 3.0


@pytest.mark.parametrize("after", ["p100", "p49", "95", "px", 0, -1, True, float("inf")])
def test_a_wait_that_is_none_is_refused(after):
    """With what was expected."""
    with pytest.raises(ConfigurationError, match="after is"):
        Hedge(after=after)
    with pytest.raises(ConfigurationError, match="budget is"):
        Hedge(budget=0)
