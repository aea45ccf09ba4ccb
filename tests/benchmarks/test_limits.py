"""The question of limits measures what it says."""

import pytest

from benchmarks.crowds import limits


def test_the_bucket():
    """It is full at first, then tokens come at its rate; it says when the next one will be there."""
    bucket = limits.Bucket(10, 2, now=100.0)
    assert [bucket.take(100.0), bucket.take(100.0)] == [0, 0]
    assert bucket.take(100.0) == pytest.approx(0.1)
    assert bucket.take(100.11) == 0
    assert [bucket.take(109.0), bucket.take(109.0)] == [0, 0]
    assert bucket.take(109.0) > 0


def test_what_a_limit_allows():
    """Where it changes after five seconds, each part counts by its own rate."""
    assert limits._allowed_s(limits.LIMITS["200/s"], 4000) == 20
    assert limits._allowed_s(limits.LIMITS["falls"], 4000) == 35
    assert limits._allowed_s(limits.LIMITS["falls"], 500) == 2.5


@pytest.mark.parametrize("way", ["create", "stream", "map"])
def test_a_job_that_is_refused(way):
    """The bucket holds 10: most of the 25 calls are refused, are asked again after a second, and all are answered."""
    done = limits.measure("10/s", 25, 25, way=way)
    assert (done.answered, done.errors) == (25, {})
    assert 0 < done.refused < 25
    assert done.seconds > 1


def test_a_job_within_the_limit():
    """Nothing is refused."""
    done = limits.measure("none", 50, 10)
    assert (done.answered, done.refused, done.errors) == (50, 0, {})
