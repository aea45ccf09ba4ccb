"""Pauses and paces, against simulated servers: no test waits."""

import heapq
import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async._core.policy.throttle import FORGET_S, MAX_BACKOFF_S, Throttle


def refused(throttle, now, wait_s=1.0, epoch=0, reply_s=0.01):
    return throttle.refuse(now, wait_s, epoch=epoch, reply_s=reply_s, jitter=0.0)


class TestPauses:
    def test_nothing_is_held_before_a_refusal(self):
        throttle = Throttle()
        assert (throttle.due_in_s(100.0), throttle.paused_for_s(100.0), throttle.paused_s(100.0)) == (0, 0, 0)
        assert throttle.is_forgotten(100.0)

    def test_a_refusal_begins_a_pause_of_the_named_length(self):
        throttle = Throttle()
        assert refused(throttle, 100.0, 2.0)
        assert throttle.due_in_s(100.0) == 2.0
        assert throttle.paused_for_s(101.5) == 0.5
        assert throttle.due_in_s(102.0) == 0

    def test_the_jitter_makes_it_longer_by_a_tenth_at_most(self):
        throttle = Throttle()
        throttle.refuse(0.0, 2.0, epoch=0, reply_s=0.01, jitter=1.0)
        assert throttle.due_in_s(0.0) == pytest.approx(2.2)

    def test_refusals_of_calls_that_were_under_way_prolong_it(self):
        """They are no new pause, and never make it shorter."""
        throttle = Throttle()
        refused(throttle, 0.0, 2.0)
        assert not refused(throttle, 1.0, 2.0)
        assert throttle.due_in_s(1.0) == 2.0
        assert not refused(throttle, 1.5, 0.1)
        assert throttle.due_in_s(1.5) == 1.5
        assert throttle.epoch == 1

    def test_the_time_of_pauses_adds_up(self):
        throttle = Throttle()
        refused(throttle, 0.0, 2.0)
        refused(throttle, 1.0, 2.0)
        assert throttle.paused_s(1.0) == pytest.approx(1.0)
        assert throttle.paused_s(9.0) == pytest.approx(3.0)
        refused(throttle, 10.0, 4.0, epoch=throttle.let_go(9.0, 1))
        assert throttle.paused_s(11.0) == pytest.approx(4.0)

    def test_one_probe_goes_first(self):
        """The next one goes when a refusal of the probe would have come."""
        throttle = Throttle()
        refused(throttle, 0.0, 1.0, reply_s=0.05)
        throttle.let_go(1.0, 10)
        assert throttle.due_in_s(1.0) == pytest.approx(0.1)

    def test_a_probe_that_is_refused_doubles_the_wait(self):
        """A server that always names a millisecond is asked a dozen times, not a thousand."""
        throttle, now, epoch, waits = Throttle(), 0.0, 0, []
        for _ in range(16):
            refused(throttle, now, 0.001, epoch=epoch)
            waits.append(throttle.due_in_s(now))
            now += waits[-1]
            epoch = throttle.let_go(now, 5)
        assert waits[:4] == pytest.approx([0.001, 0.002, 0.004, 0.008])
        assert waits[-1] == MAX_BACKOFF_S

    def test_failed_probes_halve_a_rate_that_was_known(self):
        throttle = run(Bucket(200, 200, 1.0), calls=2000, at_once=50)[2]
        rate, now = throttle.rate, 1000.0
        epoch = throttle.epoch
        for _ in range(3):
            refused(throttle, now, 1.0, epoch=epoch)
            now += throttle.due_in_s(now)
            epoch = throttle.let_go(now, 5)
        assert throttle.rate < rate
        assert throttle.rate >= 0.125

    def test_it_is_forgotten_when_nobody_comes(self):
        throttle = Throttle()
        refused(throttle, 0.0, 1.0)
        assert not throttle.is_forgotten(FORGET_S)
        assert throttle.is_forgotten(FORGET_S + 1.1)

    def test_late_refusals_do_not_count_as_accepted(self):
        """What was under way when a pause began, and is refused in it, is taken off again."""
        throttle = Throttle()
        refused(throttle, 0.0)
        epochs = [throttle.let_go(1.0 + number, 9) for number in range(9)]
        refused(throttle, 10.0, epoch=epochs[0])
        assert not refused(throttle, 10.1, epoch=epochs[1])
        assert throttle._interval.accepted == 7

    @given(
        st.lists(st.tuples(st.floats(0, 5), st.floats(0.0001, 60), st.integers(0, 3), st.floats(0, 30)), max_size=30)
    )
    def test_every_wait_is_a_bounded_number(self, story):
        """Whatever comes, and whenever: a time is due, and the pace is above nothing."""
        throttle, now = Throttle(), 0.0
        for pause_s, wait_s, back, reply_s in story:
            now += pause_s
            throttle.refuse(now, wait_s, epoch=max(0, throttle.epoch - back), reply_s=reply_s, jitter=0.5)
            assert 0 < throttle.due_in_s(now) <= 70
            if pause_s > 2:
                now += throttle.due_in_s(now)
                throttle.let_go(now, 3)
                assert throttle.pace(now) > 0
            assert throttle.paused_s(now) >= -1e-6


class Bucket:
    """A server with tokens; it names *wait_s*, or the exact time where that is None."""

    def __init__(self, rate, burst, wait_s=None):
        self.rate, self.burst, self.wait_s = rate, burst, wait_s
        self.level, self.at = burst, 0.0

    def ask(self, now):
        self.level = min(self.burst, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level >= 1:
            self.level -= 1
            return None
        return self.wait_s or max(0.001, (1 - self.level) / self.rate)


class Window:
    """A server that allows so many per window."""

    def __init__(self, size, window_s):
        self.size, self.window_s, self.number, self.left = size, window_s, -1, 0

    def ask(self, now):
        number = int(now / self.window_s)
        if number != self.number:
            self.number, self.left = number, self.size
        self.left -= 1
        return None if self.left >= 0 else (number + 1) * self.window_s - now


class Changing:
    """A server that is another one after *at_s* seconds."""

    def __init__(self, before, after, at_s):
        self.before, self.after, self.at_s = before, after, at_s

    def ask(self, now):
        return (self.before if now < self.at_s else self.after).ask(now)


def run(server, *, calls, at_once, reply_s=0.01, answer_s=0.02):
    """Run a job of *calls*, *at_once* at a time; return its seconds, refusals, and the throttle."""
    chance, throttle, line, events, numbers = random.Random(7), Throttle(), [], [], itertools.count()
    now = busy_until = 0.0
    fresh, done, refusals, is_awake = iter(range(calls)), 0, 0, False

    def plan(at, what, *facts):
        heapq.heappush(events, (at, next(numbers), what, *facts))

    def send(call, epoch):
        nonlocal busy_until
        busy_until = max(now + reply_s * chance.uniform(0.3, 0.7), busy_until + 0.0003)
        plan(busy_until, "arrived", call, epoch, now)

    def begin(call):
        if call is None:
            return
        if throttle.epoch:
            heapq.heappush(line, call)
        else:
            send(call, 0)

    for _ in range(at_once):
        begin(next(fresh, None))
    while done < calls:
        if line and not is_awake:
            is_awake = True
            plan(now + throttle.due_in_s(now), "due")
        now, _, what, *facts = heapq.heappop(events)
        if what == "due":
            is_awake = False
            while line and not throttle.due_in_s(now):
                waiting = len(line)
                send(heapq.heappop(line), throttle.let_go(now, waiting))
            continue
        call, epoch, sent_at, *_ = facts
        if what == "arrived":
            wait_s = server.ask(now)
            after_s = reply_s / 2 + (answer_s if wait_s is None else 0)
            plan(now + after_s, "answered" if wait_s is None else "refused", call, epoch, sent_at, wait_s)
        elif what == "answered":
            done += 1
            begin(next(fresh, None))
        else:
            refusals += 1
            throttle.refuse(now, facts[3], epoch=epoch, reply_s=now - sent_at, jitter=chance.random())
            heapq.heappush(line, call)
    return now, refusals, throttle


@pytest.mark.parametrize("at_once", [50, 100, 200])
@pytest.mark.parametrize(
    ("server", "calls", "allowed_s", "factor"),
    [
        (lambda: Bucket(200, 200, 1.0), 4000, 20, 1.15),
        (lambda: Bucket(200, 200), 4000, 20, 1.15),
        (lambda: Bucket(10, 10, 1.0), 400, 40, 1.15),
        (lambda: Bucket(1000, 1000, 1.0), 20_000, 20, 1.15),
        (lambda: Window(200, 1.0), 4000, 20, 1.15),
        (lambda: Window(1200, 60.0), 4000, 200, 1.15),
        (lambda: Changing(Bucket(200, 200, 1.0), Bucket(100, 100, 1.0), 5), 4000, 35, 1.15),
        (lambda: Changing(Bucket(100, 100, 1.0), Bucket(200, 200, 1.0), 5), 4000, 22.5, 1.15),
    ],
    ids=["bucket", "exact waits", "slow", "fast", "window", "minute", "falls", "rises"],
)
def test_a_job_gets_through_at_the_limits_rate(server, calls, allowed_s, factor, at_once):
    """In little more time than the limit allows; beyond the first crowd, 3 % of the calls are refused at most."""
    seconds, refusals, _ = run(server(), calls=calls, at_once=at_once)
    assert seconds < factor * allowed_s
    assert refusals < at_once + 0.03 * calls


@pytest.mark.parametrize("at_once", [50, 200])
def test_a_server_that_is_far_away(at_once):
    """Its refusals take 200 ms, so the ramp is slower; but not by far."""
    seconds, refusals, _ = run(Bucket(200, 200, 1.0), calls=4000, at_once=at_once, reply_s=0.2)
    assert seconds < 1.2 * max(20, 4000 / at_once * 0.22)
    assert refusals < at_once + 0.03 * 4000


@pytest.mark.parametrize(("burst", "factor"), [(1, 2.5), (5, 1.5), (20, 1.5)])
def test_a_server_that_saves_little_is_learnt_too(burst, factor):
    """Each call too early costs a second, in which the server saves nothing up; the pace stays just below."""
    seconds, refusals, _ = run(Bucket(200, burst, 1.0), calls=4000, at_once=100)
    assert seconds < factor * 20
    assert refusals < 100 + 0.03 * 4000


def test_a_slow_server_without_a_burst():
    """The call after the probe waits its time too: no pause lets but one call through."""
    seconds, refusals, _ = run(Bucket(10, 1, 1.0), calls=400, at_once=100)
    assert seconds < 1.75 * 40
    assert refusals < 100 + 0.05 * 400


def test_a_pace_comes_near_to_the_one_that_was_refused():
    """Within the time between the last two refusals: fast at first, and never above nine tenths of it."""
    throttle = Throttle()
    refused(throttle, 0.0)
    epoch = 0
    for number in range(100):
        epoch = throttle.let_go(1.0 + number / 100, 100)
    refused_pace = throttle.pace(2.0)
    refused(throttle, 2.0, epoch=epoch)
    throttle.let_go(3.0, 100)
    paces = [throttle.pace(3.0 + seconds) for seconds in (0.0, 0.5, 1.0, 1.5, 2.0)]
    assert paces[0] == pytest.approx(0.97 * throttle.rate)
    assert paces == sorted(paces)
    assert paces[1] - paces[0] > paces[2] - paces[1] > paces[3] - paces[2]
    assert paces[4] == pytest.approx(0.9 * refused_pace)


def test_a_call_of_before_all_was_forgotten_begins_a_pause():
    """It bears a number that the new object has not had yet."""
    throttle = Throttle()
    assert refused(throttle, 100.0, epoch=7)
    assert throttle.epoch == 1
    assert throttle.due_in_s(100.0) == 1.0


def test_a_turn_that_was_not_used_is_taken_back():
    """A pause had begun before the call got a slot: it does not count as accepted."""
    throttle = Throttle()
    refused(throttle, 0.0)
    epochs = [throttle.let_go(1.0 + number, 9) for number in range(9)]
    epoch = epochs[0]
    refused(throttle, 10.0, epoch=epoch)
    throttle.take_back(epoch)
    throttle.take_back(0)
    assert throttle._interval.accepted == 7


def test_idle_time_says_nothing_about_the_rate():
    """Calls that come once in a while are not taken for a slow server."""
    throttle = Throttle()
    refused(throttle, 0.0)
    epoch = 0
    for second in range(2, 10):
        epoch = throttle.let_go(float(second), 1)
    refused(throttle, 9.01, epoch=epoch)
    throttle.let_go(11.0, 1)
    assert throttle.rate > 2
