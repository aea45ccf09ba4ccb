"""The question of departures measures what it says."""

import pytest

from benchmarks.relay import departure


@pytest.mark.parametrize("way", departure.WAYS)
def test_the_delay_of_each_client(way):
    """One figure per client: from its leaving to its upstream's close, which the other process sees later."""
    delays = departure.measure("aiohttp", way, 5)
    assert len(delays) == 5
    assert min(delays) > 0
