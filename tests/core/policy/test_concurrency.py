"""The level that is learnt, against models of servers in simulated time; see servers.py."""

import functools
from collections.abc import Callable

import pytest

from opeai_async import ConfigurationError
from opeai_async._core.policy.concurrency import AdaptiveConcurrency, Phase, Sample, headroom
from tests.core.policy import servers
from tests.core.policy.servers import Make, simulate

FIXED = (16, 32, 64, 128, 256)
SETTLED_S, END_S = 60, 500


@functools.cache
def best_rate(make: Make, names_waits: bool) -> float:
    """What the best fixed level brings."""
    return max(simulate(make, level, END_S, names_waits=names_waits).rate(SETTLED_S, END_S) for level in FIXED)


@pytest.mark.parametrize("names_waits", [False, True])
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    "make",
    [
        servers.knee,
        servers.thrash,
        servers.limited,
        servers.overloaded,
        servers.step,
        servers.step_down,
        servers.neighbour,
    ],
)
def test_it_finds_the_level(make: Make, seed: int, names_waits: bool) -> None:
    """From 60 s on, at least 90 % of what the best fixed level brings; fewer than 1 % of all calls fail."""
    if names_waits and make is not servers.limited:
        pytest.skip("this server names no waits")
    best = best_rate(make, names_waits)
    ours = simulate(make, AdaptiveConcurrency(), END_S, seed=seed, names_waits=names_waits)
    assert ours.rate(SETTLED_S, END_S) >= 0.9 * best
    assert len(ours.failed) < 0.01 * len(ours.answered)


def run(policy: AdaptiveConcurrency, seconds: float, sample: Callable[[float], Sample], call_s: float = 1.0) -> None:
    """Keep *policy* busy with calls of that length, each of which ends as *sample* says of its begin."""
    now, open_since = 0.0, []
    while now < seconds:
        while len(open_since) < policy.limit:
            open_since.append(now)
            policy.began(now)
        now += call_s / len(open_since)
        policy.ended(now, sample(open_since.pop(0)))
    for began_at in open_since:
        policy.ended(now, sample(began_at))


def test_it_doubles_while_that_helps() -> None:
    policy = AdaptiveConcurrency(start=2, most=64)
    run(policy, 40, Sample)
    assert policy.limit >= 48
    assert policy.phase is not Phase.CLIMB


def test_a_level_that_is_not_used_does_not_grow() -> None:
    """A slow input says nothing about the server."""
    policy, now = AdaptiveConcurrency(start=8), 0.0
    for _ in range(500):
        policy.began(now)
        now += 0.1
        policy.ended(now, Sample(now - 0.1))
    assert policy.limit == 8


def test_it_does_not_grow_where_the_servers_limit_is_near() -> None:
    """`x-ratelimit-remaining-*` near 0 keep it where it is."""
    policy = AdaptiveConcurrency(start=8)
    run(policy, 60, lambda began_at: Sample(began_at, headroom=0.01))
    assert policy.limit == 8


def test_it_does_not_grow_where_calls_stand_in_line() -> None:
    """The pace is learnt by the throttle; more calls would only wait there."""
    policy = AdaptiveConcurrency(start=8)
    run(policy, 60, lambda began_at: Sample(began_at, held_s=0.9))
    assert policy.limit <= 8


def test_refusals_cut_it_at_once() -> None:
    policy = AdaptiveConcurrency(start=64)
    for _ in range(64):
        policy.began(0.0)
    for _ in range(3):
        policy.ended(1.0, Sample(0.0, 0.0, is_refused=True))
    assert policy.limit < 64
    assert policy.limit >= 32


def test_it_never_leaves_its_bounds() -> None:
    policy = AdaptiveConcurrency(start=4, least=2, most=6)
    run(policy, 60, lambda began_at: Sample(began_at, 0.0, is_refused=True))
    assert policy.limit == 2
    run(policy, 400, Sample)
    assert 2 <= policy.limit <= 6


@pytest.mark.parametrize("bounds", [{"least": 0}, {"start": 2, "least": 3}, {"start": 8, "most": 4}])
def test_bounds_that_cannot_be(bounds: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="expected 1 <= least"):
        AdaptiveConcurrency(**bounds)


@pytest.mark.parametrize(
    ("headers", "share"),
    [
        ({}, None),
        ({"x-ratelimit-remaining-requests": "5", "x-ratelimit-limit-requests": "100"}, 0.05),
        (
            {
                "x-ratelimit-remaining-requests": "50",
                "x-ratelimit-limit-requests": "100",
                "x-ratelimit-remaining-tokens": "1",
                "x-ratelimit-limit-tokens": "10",
            },
            0.1,
        ),
        ({"x-ratelimit-remaining-requests": "5"}, None),
        ({"x-ratelimit-remaining-requests": "5", "x-ratelimit-limit-requests": "0"}, None),
        ({"x-ratelimit-remaining-requests": "many", "x-ratelimit-limit-requests": "9"}, None),
        ({"x-ratelimit-remaining-requests": "-1", "x-ratelimit-limit-requests": "9"}, 0.0),
    ],
)
def test_headroom(headers: dict[str, str], share: float | None) -> None:
    assert headroom(headers) == share


def test_a_few_refusals_end_the_climb_where_it_brings_nothing() -> None:
    """A server that is at its rate, and refuses now and then, is not asked for more and more at once."""
    policy, now, ended = AdaptiveConcurrency(start=32), 0.0, 0
    open_since: list[float] = []
    while ended < 1500:
        while len(open_since) < policy.limit:
            open_since.append(now)
            policy.began(now)
        now, ended = now + 0.05, ended + 1
        policy.ended(now, Sample(open_since.pop(0), is_refused=ended % 60 == 0))
    assert policy.phase is not Phase.CLIMB
    assert policy.limit <= 64


def test_a_level_that_is_held_but_not_used_stays() -> None:
    """Where the input becomes slow after the climb, nothing is concluded from that."""
    policy = AdaptiveConcurrency(start=2, most=16)
    run(policy, 60, Sample)
    assert policy.phase is not Phase.CLIMB
    now = 100.0
    for _ in range(300):
        policy.began(now)
        now += 0.1
        policy.ended(now, Sample(now - 0.1))
    level = policy.limit
    for _ in range(2000):
        policy.began(now)
        now += 0.1
        policy.ended(now, Sample(now - 0.1))
    assert policy.limit == level
