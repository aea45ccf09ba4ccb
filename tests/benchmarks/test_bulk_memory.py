"""The question of a bulk run's memory measures what it says."""

import asyncio

from benchmarks.crowds import bulk_memory


def test_a_small_run(tmp_path):
    """All requests are answered and looked at; the journal has them."""
    journal = tmp_path / "run.jsonl"
    grown = asyncio.run(bulk_memory.measure(2 * bulk_memory.EACH, journal))
    assert grown.first > 0
    assert grown.more >= 0
    assert len(journal.read_bytes().splitlines()) == 2 * bulk_memory.EACH
