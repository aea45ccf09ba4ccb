"""A limit per minute, over made-up time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async._core.policy.gcra import GCRA


@pytest.mark.parametrize("per_minute", [6.0, 60.0, 1234.0])
def test_an_hour_keeps_to_the_limit(per_minute):
    """Who goes whenever it is allowed goes exactly as often as that is, and one burst more."""
    gcra, now, count = GCRA(per_minute, burst_s=1.0), 0.0, 0
    while now < 3600:
        due_s = gcra.due_in_s(now)
        if due_s > 0:
            now += due_s
            continue
        gcra.take(now)
        count += 1
    assert count == pytest.approx(per_minute * 60, rel=0.01, abs=2)


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(1, 50)), max_size=60))
def test_no_window_has_more_than_the_limit_and_a_burst(steps):
    """In any stretch of time, however the calls come."""
    gcra, now, taken = GCRA(600.0, burst_s=6.0), 0.0, []
    for wait_s, units in steps:
        now += wait_s
        now += gcra.due_in_s(now, units)
        assert gcra.due_in_s(now, units) <= 1e-6
        gcra.take(now, units)
        taken.append((now, units))
    for begin in range(len(taken)):
        total = 0.0
        for when, units in taken[begin:]:
            total += units
            assert total <= (when - taken[begin][0]) * 10 + 60 + 50 + 1e-6


def test_what_was_not_used_comes_back():
    """As if it had not been taken."""
    gcra = GCRA(60.0, burst_s=1.0)
    gcra.take(0)
    assert gcra.due_in_s(0) == pytest.approx(1.0)
    gcra.give_back(1)
    assert gcra.due_in_s(0) == 0
