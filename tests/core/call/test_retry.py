"""The decisions about retries: a table of causes, and what servers say about waiting."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async import ConfigurationError
from opeai_async._core.call.named_waits import limit_headers, named_wait, parse_should_retry
from opeai_async._core.call.retry import RETRYABLE_STATUSES, Cause, Failure, RetryBudget, RetryPolicy

POLICY = RetryPolicy(max_retries=10)
DATE = "Wed, 21 Oct 2026 07:28:00 GMT"
DATE_90_S_LATER = "Wed, 21 Oct 2026 07:29:30 GMT"


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (Failure(Cause.NOT_SENT), True),
        (Failure(Cause.AMBIGUOUS), True),
        (Failure(Cause.FINAL), False),
        (Failure(Cause.FINAL, should_retry=True), False),
        (Failure(Cause.STATUS), False),
        (Failure(Cause.STATUS, status=429, is_quota=True), False),
        (Failure(Cause.STATUS, status=429, is_quota=True, should_retry=True), False),
        (Failure(Cause.STATUS, status=400, should_retry=True), True),
        (Failure(Cause.STATUS, status=503, should_retry=False), False),
        (Failure(Cause.IN_STREAM, status=500), True),
        (Failure(Cause.IN_STREAM, status=400), False),
        (Failure(Cause.IN_STREAM, status=429, is_quota=True), False),
    ],
)
def test_whether_another_try_may_help(failure, expected):
    """Final failures and empty budgets are hopeless; else the server's word counts, then the status."""
    assert POLICY.is_retryable(failure) is expected


@pytest.mark.parametrize("status", range(400, 600))
def test_statuses_that_are_retried(status):
    """Only what may pass by itself is tried again."""
    expected = status in {408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529}
    assert POLICY.is_retryable(Failure(Cause.STATUS, status=status)) is expected
    assert (status in RETRYABLE_STATUSES) is expected


def test_an_ambiguous_break_is_retried_unless_forbidden():
    """`retry_ambiguous=False` is about broken connections only."""
    policy = RetryPolicy(retry_ambiguous=False)
    assert policy.next_delay(Failure(Cause.AMBIGUOUS), 1, 0.5) is None
    assert policy.next_delay(Failure(Cause.NOT_SENT), 1, 0.5) == 0.125


@pytest.mark.parametrize(
    ("attempt", "bound_s"), [(1, 0.25), (2, 0.5), (3, 1.0), (4, 2.0), (5, 4.0), (6, 8.0), (7, 8.0), (10, 8.0)]
)
def test_the_bound_doubles_up_to_the_maximum(attempt, bound_s):
    """Full jitter: anything from nothing to the bound."""
    delays = [POLICY.next_delay(Failure(Cause.NOT_SENT), attempt, jitter) for jitter in (0.0, 0.5, 1.0)]
    assert delays == [0.0, bound_s / 2, bound_s]


@pytest.mark.parametrize(("attempt", "bound_s"), [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 8.0)])
@pytest.mark.parametrize("status", [429, 503, 529])
def test_a_throttle_starts_higher(status, attempt, bound_s):
    """A server short of capacity is given more time."""
    assert POLICY.next_delay(Failure(Cause.STATUS, status=status), attempt, 1.0) == bound_s


def test_bounds_are_the_policys_own():
    """Every number of the policy counts."""
    policy = RetryPolicy(max_retries=3, base_delay_s=1, throttle_delay_s=3, max_delay_s=5)
    assert [policy.next_delay(Failure(Cause.NOT_SENT), n, 1) for n in (1, 2, 3, 4)] == [1, 2, 4, None]
    assert [policy.next_delay(Failure(Cause.STATUS, status=429), n, 1) for n in (1, 2)] == [3, 5]


@pytest.mark.parametrize("attempt", [64, 65, 2_000, 10**9])
def test_a_late_attempt_does_not_overflow(attempt):
    """The exponent is bounded, so a client that never gives up does not break."""
    assert RetryPolicy(max_retries=10**9).next_delay(Failure(Cause.NOT_SENT), attempt, 1.0) == 8.0


def test_the_last_try_is_the_last():
    """`max_retries` counts tries after the first one."""
    failure = Failure(Cause.NOT_SENT)
    policy = RetryPolicy(max_retries=2)
    assert [policy.next_delay(failure, attempt, 0.0) is None for attempt in (1, 2, 3)] == [False, False, True]
    assert RetryPolicy(max_retries=0).next_delay(failure, 1, 0.0) is None


@pytest.mark.parametrize(("jitter", "expected_s"), [(0.0, 20.0), (0.5, 21.0), (1.0, 22.0)])
def test_the_server_is_waited_for(jitter, expected_s):
    """Its wish is a floor; a tenth of it is jitter, so that not all come back at once."""
    failure = Failure(Cause.STATUS, status=429, retry_after_s=20.0)
    assert POLICY.next_delay(failure, 1, jitter) == pytest.approx(expected_s)


def test_a_server_that_wants_too_much_is_not_waited_for():
    """The caller can do something better in that time."""
    at_bound = Failure(Cause.STATUS, status=429, retry_after_s=60.0)
    beyond = Failure(Cause.STATUS, status=429, retry_after_s=60.001, should_retry=True)
    assert POLICY.next_delay(at_bound, 1, 0.0) == 60.0
    assert POLICY.next_delay(beyond, 1, 0.0) is None
    assert RetryPolicy(max_wait_s=90).next_delay(beyond, 1, 0.0) == 60.001


@given(
    attempt=st.integers(1, 50),
    jitter=st.floats(0, 1),
    status=st.sampled_from([408, 429, 500]),
    retry_after_s=st.none() | st.floats(0, 1e9),
)
def test_every_delay_is_a_bounded_number(attempt, jitter, status, retry_after_s):
    """Whatever the server says: never negative, never above the larger bound, never not a number."""
    delay_s = POLICY.next_delay(Failure(Cause.STATUS, status=status, retry_after_s=retry_after_s), attempt, jitter)
    assert delay_s is None or (math.isfinite(delay_s) and 0 <= delay_s <= 66.0)


class TestRetryBudget:
    """What all calls of a client share."""

    def test_costs(self):
        """A throttle is cheaper than a failure, because the server asked for it."""
        budget = RetryBudget()
        assert budget.spend(Failure(Cause.STATUS, status=429)) == 5
        assert budget.spend(Failure(Cause.STATUS, status=500)) == 14
        assert budget.spend(Failure(Cause.NOT_SENT)) == 14
        assert budget.tokens == 500 - 33

    def test_an_empty_budget_gives_nothing_and_takes_nothing(self):
        """What is left is not spent on a retry that it does not cover."""
        budget = RetryBudget(capacity=15)
        assert budget.spend(Failure(Cause.NOT_SENT)) == 14
        assert budget.spend(Failure(Cause.STATUS, status=429)) is None
        assert budget.tokens == 1

    def test_a_success_refunds_what_its_retries_cost(self):
        """A call that got through after retries leaves the budget as it was."""
        budget = RetryBudget(capacity=100)
        cost = budget.spend(Failure(Cause.NOT_SENT)) + budget.spend(Failure(Cause.STATUS, status=503))
        budget.refund(cost)
        assert budget.tokens == 100

    def test_a_plain_success_earns_one(self):
        """The budget recovers slowly from an outage, and never beyond its capacity."""
        budget = RetryBudget(capacity=20)
        budget.spend(Failure(Cause.NOT_SENT))
        for _ in range(5):
            budget.refund(0)
        assert budget.tokens == 11
        for _ in range(50):
            budget.refund(0)
        assert budget.tokens == 20

    def test_an_outage_ends_the_retries(self):
        """35 failures in a row use the budget up."""
        budget = RetryBudget()
        spent = [budget.spend(Failure(Cause.NOT_SENT)) for _ in range(100)]
        assert sum(1 for cost in spent if cost) == 500 // 14


@pytest.mark.parametrize(
    ("headers", "expected_s"),
    [
        ({}, None),
        ({"retry-after": "5"}, 5.0),
        ({"retry-after": "0"}, None),
        ({"retry-after": "7.66"}, 7.66),
        ({"retry-after": "0.38499999999999995"}, 0.38499999999999995),
        ({"retry-after": " \t5\t "}, 5.0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "0.5"}, 0.0005),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "99999999999999"}, 99999999999999.0),
        ({"retry-after": DATE_90_S_LATER, "date": DATE}, 90.0),
        ({"retry-after": DATE, "date": DATE_90_S_LATER}, None),
        ({"retry-after": "Wednesday, 21-Oct-26 07:29:30 GMT", "date": DATE}, 90.0),
        ({"retry-after": "Wed, 21 Oct 2026 09:29:30 +0200", "date": DATE}, 90.0),
        ({"retry-after": DATE}, None),
        ({"retry-after": DATE, "date": "yesterday"}, None),
        ({"retry-after": "Wed, 21 Oct 2026 07:29:30 -0000", "date": DATE}, 90.0),
        ({"retry-after": "Wed Oct 21 07:29:30 2026", "date": DATE}, 90.0),
        ({"retry-after": "9" * 30}, 1e30),
        ({"retry-after": "Wed, 99 Oct 2026 07:29:30 GMT", "date": DATE}, None),
        ({"retry-after": "Wed, 21 Oct 99999 07:29:30 GMT", "date": DATE}, None),
    ],
)
def test_what_a_server_asks_to_wait(headers, expected_s):
    """Milliseconds, then seconds, then a date as seen by the server's own clock."""
    assert named_wait(headers) == expected_s


@pytest.mark.parametrize(
    "garbage",
    ["", "inf", "-inf", "nan", "1_000", "-5", "+5", "1e3", "0x10", "٥", "５", "5 6", "5,", ".5", "5.", "9" * 400],
)
@pytest.mark.parametrize("name", ["retry-after", "retry-after-ms"])
def test_garbage_is_no_wish(name, garbage):
    """Much of it `float()` would take."""
    assert named_wait({name: garbage, "date": DATE}) is None


@given(value=st.text(), date=st.text() | st.just(DATE))
def test_any_header_is_a_number_or_nothing(value, date):
    """No text that a server can send raises."""
    seconds = named_wait({"retry-after": value, "date": date})
    assert seconds is None or (math.isfinite(seconds) and seconds > 0)


NOW = 1_792_567_680.0  # DATE, by the local clock


@pytest.mark.parametrize(
    ("headers", "status", "expected_s"),
    [
        ({"retry-after": "1s"}, 429, 1.0),
        ({"retry-after": "1m30s"}, 429, 90.0),
        ({"retry-after": DATE_90_S_LATER}, 429, 90.0),
        ({"retry-after": "2026-10-21T07:29:30Z"}, 429, 90.0),
        ({"retry-after": "2026-10-21T07:29:30Z", "date": DATE_90_S_LATER}, 429, None),
        ({"retry-after": "-5", "x-ratelimit-reset-requests": "7"}, 429, None),
        ({"x-ratelimit-reset-requests": "250ms"}, 429, 0.25),
        ({"x-ratelimit-reset-requests": "2"}, 429, 2.0),
        ({"x-ratelimit-reset": str(int(NOW) + 9)}, 429, 9.0),
        ({"x-ratelimit-reset": str((int(NOW) + 9) * 1000)}, 429, 9.0),
        ({"x-ratelimit-reset": str(int(NOW) - 9)}, 429, None),
        ({"x-ratelimit-reset-requests": "2s", "x-ratelimit-reset-tokens": "1m30s"}, 429, 90.0),
        ({"x-ratelimit-reset-requests": "2s", "x-ratelimit-reset-tokens": "7h"}, 429, 2.0),
        (
            {
                "x-ratelimit-reset-requests": "2s",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-tokens": "9s",
                "x-ratelimit-remaining-tokens": "12",
            },
            503,
            2.0,
        ),
        ({"x-ratelimit-reset-requests": "2s"}, 503, None),
        ({"ratelimit-reset": "5"}, 429, 5.0),
        ({"ratelimit": "limit=100, remaining=0, reset=5"}, 503, 5.0),
        ({"ratelimit": '"burst";r=3;t=60, "default";r=0;t=5'}, 503, 5.0),
    ],
)
def test_waits_as_seen(headers, status, expected_s):
    """Durations, dates of two kinds, epochs, and the limit that is exhausted."""
    assert named_wait(headers, status, NOW) == expected_s


@given(st.dictionaries(st.sampled_from(["x-ratelimit-reset", "ratelimit", "ratelimit-reset"]), st.text()))
def test_any_limit_is_a_number_or_nothing(headers):
    seconds = named_wait(headers, 429, NOW)
    assert seconds is None or (math.isfinite(seconds) and seconds > 0)


def test_which_headers_tell_about_limits():
    kept = {"retry-after": "1", "x-ratelimit-limit-requests": "9", "ratelimit": "r=1"}
    assert limit_headers(kept | {"set-cookie": "secret"}) == kept


def test_a_named_wait_is_free_and_does_not_count():
    """For a limit; a broken server's wait is free, but counts."""
    limit = Failure(Cause.STATUS, status=429, retry_after_s=20.0)
    broken = Failure(Cause.STATUS, status=500, retry_after_s=20.0)
    budget = RetryBudget(0)
    assert (budget.spend(limit), budget.spend(broken)) == (0, 0)
    policy = RetryPolicy(max_retries=1)
    assert policy.next_delay(limit, 5, 0.0) == 20.0
    assert policy.next_delay(broken, 5, 0.0) is None
    assert policy.next_delay(limit, 5, 0.0, waited_s=41.0) is None
    assert RetryPolicy(max_retries=0).next_delay(limit, 1, 0.0) is None


def test_no_budget_is_no_bound():
    budget = RetryBudget(None)
    assert [budget.spend(Failure(Cause.NOT_SENT)) for _ in range(100)] == [0] * 100
    budget.refund(0)
    assert budget.tokens == 0


@pytest.mark.parametrize("wrong", [{"budget": -1}, {"max_wait_s": -0.5}])
def test_a_policy_that_cannot_be(wrong):
    with pytest.raises(ConfigurationError, match=r"expected a number.*, 0 or more"):
        RetryPolicy(**wrong)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"x-should-retry": "true"}, True),
        ({"x-should-retry": " TRUE "}, True),
        ({"x-should-retry": "false"}, False),
        ({"x-should-retry": "False"}, False),
        ({"x-should-retry": "1"}, None),
        ({"x-should-retry": ""}, None),
    ],
)
def test_what_a_server_says_about_retrying(headers, expected):
    """Only the two words count."""
    assert parse_should_retry(headers) is expected
