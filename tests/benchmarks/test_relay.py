"""The question about relays measures what it says."""

from __future__ import annotations

from benchmarks.relay import relay


async def test_every_token_of_every_visitor_is_timed() -> None:
    """By both ways; the relay needs fewer frames."""
    frames = {}
    async with relay.model() as model, relay.service() as service:
        upstream = f"http://127.0.0.1:{model}/tokens/40/v1"
        for path in ("frames", "relay?window=0.1"):
            figures = await relay._run(f"http://127.0.0.1:{service}/{path}", upstream, 3, 40)
            assert 0 < figures[relay.P50.name] <= figures[relay.P99.name]
            frames[path] = figures[relay.FRAMES.name]
    assert frames["frames"] == 1.0
    assert 0 < frames["relay?window=0.1"] < 0.9
