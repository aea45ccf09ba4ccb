"""Limits that several runs share in Redis, on a real server."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from opeai_async import AsyncOpeAI, ConfigurationError
from opeai_async.bulk.intake import Intake
from opeai_async.bulk.options import BulkOptions
from opeai_async.bulk.request import Job
from opeai_async.bulk.result import BulkResult, Stop
from opeai_async.bulk.tally import Tally
from opeai_async.ray import ChatBatches
from opeai_async.testing import OpeAIServer
from opeai_async.types.common import CompletionUsage
from tests.support.servers.redis_server import RedisServer, needs_redis

pytest.importorskip("redis.asyncio")

pytestmark = [needs_redis, pytest.mark.time_limit(60)]

DEFAULTS = {"model": "m"}
PER_MINUTE = 1200
BURST = PER_MINUTE // 20
RATE = (PER_MINUTE - BURST) / 60


class Bounded:
    """A run, as far as an intake asks for it."""

    def __init__(self) -> None:
        self.stopped: Stop | None = None
        self.tally = Tally(None)

    def hit(self, why: Stop) -> None:
        self.stopped = why


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture
async def server() -> AsyncIterator[OpeAIServer]:
    async with OpeAIServer() as running:
        yield running


def questions(count: int) -> list[dict[str, Any]]:
    return [{"messages": [{"role": "user", "content": str(number)}]} for number in range(count)]


async def test_runs_share_a_limit(server: OpeAIServer, redis: RedisServer) -> None:
    """Together they send the burst and what comes in the time, and hardly more."""
    async with server.client() as one, server.client() as other:

        async def run(client: AsyncOpeAI) -> int:
            results = client.chat.completions.map(
                questions(BURST), defaults=DEFAULTS, requests_per_minute=PER_MINUTE, redis_url=redis.url
            )
            return len([result async for result in results if result.error is None])

        began = time.monotonic()
        counts = await asyncio.gather(run(one), run(other))
        took_s = time.monotonic() - began
    assert counts == [BURST, BURST]
    assert took_s >= 0.9 * BURST / RATE  # alone, each would have had a burst of its own


async def test_names_tell_limits_apart(server: OpeAIServer, redis: RedisServer) -> None:
    from redis.asyncio import Redis

    async with server.client() as client, Redis.from_url(redis.url, decode_responses=True) as keys:
        for name in ("a", "b"):
            results = client.chat.completions.map(
                questions(1), defaults=DEFAULTS, requests_per_minute=60, redis_url=redis.url, limits_name=name
            )
            assert len([result async for result in results]) == 1
            assert await keys.get(f"opeai_async:limit:{{{name}}}:requests")


async def test_tokens_are_corrected(redis: RedisServer) -> None:
    """What was estimated too high is given back with the next request that asks, and what was too low is taken."""
    options = BulkOptions(tokens_per_minute=60_000, redis_url=redis.url, limits_name="tokens")
    intake, run = Intake(options, asyncio.get_running_loop()), Bounded()
    began = time.monotonic()
    used = CompletionUsage(prompt_tokens=1, completion_tokens=0, total_tokens=1)
    for index in range(40):  # by the estimates, of 300 tokens each, they would take 9 seconds after the burst
        job = Job(index, str(index), {}, size=200)
        assert await intake.admit(job, run)
        intake.ended(time.monotonic(), job, BulkResult(custom_id="", index=index, usage=used))
    assert time.monotonic() - began < 8
    job = Job(99, "99", {}, size=200)
    assert await intake.admit(job, run)
    much = CompletionUsage(prompt_tokens=4500, completion_tokens=0, total_tokens=4500)
    intake.ended(time.monotonic(), job, BulkResult(custom_id="", index=99, usage=much))
    began = time.monotonic()
    for index in (100, 101):  # the first settles the debt, the second waits for it
        assert await intake.admit(Job(index, str(index), {}, size=200), run)
    assert time.monotonic() - began > 1.0
    await intake.aclose()


def test_actors_share_a_limit(redis: RedisServer) -> None:
    """Two objects in two threads, as two actors have them in two processes; without Redis, each has its share."""
    with OpeAIServer() as server:
        make_client = functools.partial(AsyncOpeAI, str(server.api_key), base_url=server.base_url)

        def run(url: str) -> float:
            actors = [
                ChatBatches(
                    prompt="{text}",
                    defaults=DEFAULTS,
                    make_client=make_client,
                    actors=2,
                    requests_per_minute=PER_MINUTE,
                    redis_url=url,
                    limits_name="actors",
                )
                for _ in range(2)
            ]
            began = time.monotonic()
            batch = {"text": ["hi"] * BURST}
            threads = [threading.Thread(target=lambda actor=actor: list(actor.batches([batch]))) for actor in actors]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return time.monotonic() - began

        least_s = 0.9 * BURST / RATE
        assert run(redis.url) >= least_s
        with RedisServer() as gone:
            url = gone.url
        server.requests.clear()
        assert run(url) >= least_s  # both had half a burst, and half of the rate
        assert len(server.requests) == 2 * BURST


@pytest.mark.parametrize(
    "options", [{"redis_url": "redis://h"}, {"limits_share": 0.0}, {"requests_per_minute": 1, "limits_share": 2}]
)
def test_what_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        BulkOptions(**options)


def test_no_password_is_shown() -> None:
    options = BulkOptions(requests_per_minute=1, redis_url="redis://:secret@h", defaults={"messages": "prompt"})
    assert "secret" not in repr(options)
    assert "prompt" not in repr(options)
