"""How an endpoint is left alone, and comes back; over made-up time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async import EndpointPolicy
from opeai_async._core.policy.endpoints.health import LEAST_CALLS, Health, State

POLICY = EndpointPolicy(failures_in_row=3, eject_s=5.0, max_eject_s=60.0)


def fail(health: Health, now: float) -> bool:
    is_probe = health.begin(now)
    ejected = health.fail(now, is_probe=is_probe)
    health.leave(now, is_probe=is_probe)
    return ejected


def succeed(health: Health, now: float, content_s: float = 0.1) -> None:
    is_probe = health.begin(now)
    health.succeed(content_s, is_probe=is_probe)
    health.leave(now, is_probe=is_probe)


def test_failures_one_after_another_eject_it():
    """The third in a row; a success in between begins a new row."""
    health = Health(POLICY)
    assert not fail(health, 0)
    succeed(health, 0)
    assert [fail(health, 1), fail(health, 1), fail(health, 1)] == [False, False, True]
    assert not health.is_open(5.9)
    assert health.is_open(6.0)


def test_a_share_of_failures_ejects_it():
    """Half of the last calls, once there were enough to speak of a share."""
    health = Health(EndpointPolicy(failures_in_row=100))
    for _ in range(LEAST_CALLS // 2):
        succeed(health, 0)
    ejected = [fail(health, 0) for _ in range(LEAST_CALLS // 2)]
    assert ejected == [False] * (LEAST_CALLS // 2 - 1) + [True]


def test_one_probe_goes_before_it_comes_back():
    """When its time is over, one call goes there; all others wait for what becomes of that one."""
    health = Health(POLICY)
    health.eject(0)
    assert health.begin(5)
    assert health.state is State.PROBING
    assert not health.is_open(100)
    health.succeed(0.1, is_probe=True)
    assert health.is_open(5)


def test_each_ejection_lasts_longer():
    """5, 10, 20, 40, then no more than 60 seconds."""
    health, now, times = Health(POLICY), 0.0, []
    health.eject(now)
    for _ in range(6):
        times.append(health.until - now)
        now = health.until
        assert fail(health, now)
    assert times == [5, 10, 20, 40, 60, 60]


def test_a_probe_that_comes_to_nothing_proves_nothing():
    """A call that its user cancelled: the next one is the probe."""
    health = Health(POLICY)
    health.eject(0)
    assert health.begin(5)
    health.leave(6, is_probe=True)
    assert health.is_open(6)
    assert health.begin(6)


def test_what_goes_where_nothing_should_is_counted_by_nobody():
    """Beside the probe, neither an old success nor an old failure changes anything."""
    health = Health(POLICY)
    assert not health.begin(0)
    health.eject(0)
    health.succeed(0.1, is_probe=False)
    assert not health.fail(0, is_probe=False)
    assert (health.state, health.until) == (State.EJECTED, 5)


def test_what_is_far_slower_than_its_neighbours_is_ejected():
    """Ten times slower, once there were enough calls."""
    health = Health(POLICY)
    for _ in range(LEAST_CALLS):
        assert not health.check_pace(0, 0.1)
        succeed(health, 0, content_s=1.1)
    assert not health.check_pace(0, 0.2)
    assert health.check_pace(0, 0.1)
    assert health.state is State.EJECTED


@given(st.lists(st.tuples(st.sampled_from(["ok", "fail", "leave"]), st.floats(0, 100))))
def test_whatever_happens_it_comes_back(events):
    """No order of events closes an endpoint for longer than the longest ejection, or loses count of its calls."""
    health, now = Health(POLICY), 0.0
    for event, seconds in events:
        now += seconds
        is_probe = health.begin(now)
        if event == "ok":
            health.succeed(0.1, is_probe=is_probe)
        elif event == "fail":
            health.fail(now, is_probe=is_probe)
        health.leave(now, is_probe=is_probe)
    assert health.in_flight == 0
    assert health.is_open(now + POLICY.max_eject_s)
    succeed(health, now + POLICY.max_eject_s)
    assert health.state is State.WELL


@pytest.mark.parametrize("row", [1, 3, 10])
def test_an_outage_is_asked_seldom(row):
    """Of an hour in which it is down, it sees its row of failures and a few dozen probes."""
    health = Health(EndpointPolicy(failures_in_row=row))
    calls = 0
    for second in range(3600):
        if health.is_open(second):
            calls += 1
            fail(health, second)
    assert calls <= row + 24
