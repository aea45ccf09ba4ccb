"""Limits per minute: never more than that in any 60 seconds, and corrected by what was really used."""

import pytest

from opeai_async import ConfigurationError
from opeai_async._core.policy.pace import Pace, TokenEstimate


@pytest.mark.parametrize("per_minute", [1, 2, 10, 60, 3000])
def test_no_minute_has_more(per_minute: float) -> None:
    """Who goes as soon as possible never goes more often than allowed, from the first second on."""
    pace, now, went = Pace(per_minute, 0.0), 0.0, []
    while now < 240:
        due = pace.due_in_s(now)
        if due > 0:
            now += due
            continue
        pace.take(now, 1)
        went.append(now)
    most = max(sum(begin <= moment < begin + 60 for moment in went) for begin in went)
    assert most <= max(per_minute, 2)
    assert len(went) >= 0.85 * per_minute * 4 - 2


def test_an_estimate_is_corrected() -> None:
    """What was taken too much comes back; what was too little is paid for later."""
    pace = Pace(600, 0.0)
    pace.take(0.0, 30)
    assert pace.due_in_s(0.0) == pytest.approx(0, abs=0.01)
    pace.take(0.0, 100)
    late = pace.due_in_s(0.0)
    pace.correct(0.0, 60)
    assert pace.due_in_s(0.0) < late
    pace.correct(0.0, -60)
    assert pace.due_in_s(0.0) == pytest.approx(late)


def test_a_clock_that_stands_still_gives_nothing() -> None:
    pace = Pace(60, 5.0)
    pace.take(5.0, 3)
    pace.take(4.0, 1)
    assert pace.due_in_s(5.0) > 0


@pytest.mark.parametrize("limit", [0, -1, float("nan")])
def test_a_limit_is_above_zero(limit: float) -> None:
    with pytest.raises(ConfigurationError, match="above 0"):
        Pace(limit, 0.0)


def test_the_estimate_learns() -> None:
    estimate = TokenEstimate()
    first = estimate.of(400)
    for _ in range(200):
        estimate.learn(400, 50, 10)
    estimate.learn(0, 0, 10)
    assert first == pytest.approx(100 + 256)
    assert estimate.of(400) == pytest.approx(60, rel=0.05)
