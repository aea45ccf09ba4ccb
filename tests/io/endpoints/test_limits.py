"""Limits per minute that processes share, on a real Redis server that may be gone, asleep or restarted."""

import asyncio
import contextlib
import subprocess
import sys
import time

import pytest

from opeai_async import AsyncOpeAI, ConfigurationError, Endpoint, Endpoints, RateLimit
from opeai_async._io.endpoints.limits import LocalLimiter
from opeai_async.testing import OpeAIServer
from tests.support.leaks import no_leaks
from tests.support.servers.redis_server import RedisServer, needs_redis

pytest.importorskip("redis.asyncio")
redis_limits = pytest.importorskip("opeai_async._io.endpoints.redis_limits")
RedisLimiter = redis_limits.RedisLimiter

pytestmark = [needs_redis, pytest.mark.time_limit(40)]

ASK = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
WORKER = """
import asyncio, sys, time
from opeai_async import RateLimit
from opeai_async._io.endpoints.redis_limits import RedisLimiter

async def main(url, begin, seconds):
    limit = RateLimit(requests_per_minute=6000, redis_url=url)
    limiter, count = RedisLimiter(limit, "shared", time.monotonic), 0
    warm = RedisLimiter(limit, "warm", time.monotonic)  # for its imports, which take half a second
    await warm.take(time.monotonic(), 1.0)
    await warm.aclose()
    await asyncio.sleep(begin - time.time())
    while time.time() < begin + seconds:
        due_s = await limiter.take(time.monotonic(), 1.0)
        if due_s > 0:
            await asyncio.sleep(due_s)
        else:
            count += 1
    await limiter.aclose()
    assert not limiter.is_alone
    print(count)

asyncio.run(main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3])))
"""


async def taken(limiter, seconds):
    """How many requests it lets go in that time."""
    count, end = 0, time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        due_s = await limiter.take(now, 1.0)
        if due_s > 0:
            await asyncio.sleep(min(due_s, end - now))
        else:
            count += 1
    return count


@pytest.fixture
def server():
    with RedisServer() as running:
        yield running


def test_four_processes_keep_to_one_limit(server):
    """At most 2 % more than the limit allows, together; how near they come to it depends on the machine."""
    seconds, begin = 5.0, time.time() + 3.0
    command = [sys.executable, "-c", WORKER, server.url, str(begin), str(seconds)]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(4)]
    counts = [int(worker.communicate()[0]) for worker in workers]
    allowed = 6000 / 60 * seconds + 100  # the limit, and one burst, which is a second's worth
    assert 100 <= sum(counts) <= 1.02 * allowed
    assert min(counts) > 0


async def test_tokens_and_requests_are_both_counted(server):
    """What does not fit is not taken from either."""
    limit = RateLimit(requests_per_minute=600, tokens_per_minute=6000, burst_s=1, redis_url=server.url)
    limiter = RedisLimiter(limit, "both", time.monotonic)
    assert await limiter.take(time.monotonic(), 60) == 0
    assert 0 < await limiter.take(time.monotonic(), 60) <= 0.21
    assert await limiter.take(time.monotonic(), 30) == 0
    await limiter.aclose()


async def test_without_redis_each_process_keeps_to_its_share(server, monkeypatch):
    """While it is gone, hangs, or has been restarted; nobody fails, and nobody goes faster than allowed."""
    monkeypatch.setattr(redis_limits, "TIMEOUT_S", 0.1)
    monkeypatch.setattr(redis_limits, "AGAIN_S", 0.3)
    limit = RateLimit(requests_per_minute=6000, burst_s=0.05, redis_url=server.url, share=0.25)
    shared, alone = range(40, 111), range(1, 36)  # of 100 and of 25, on a machine that may be busy
    async with contextlib.aclosing(RedisLimiter(limit, "alone", time.monotonic)) as limiter:
        assert await taken(limiter, 1.0) in shared
        server.pause()
        assert await taken(limiter, 1.0) <= max(alone)
        assert limiter.is_alone
        server.resume()
        await asyncio.sleep(0.35)
        assert await taken(limiter, 1.0) in shared
        server.kill()
        assert await taken(limiter, 1.0) in alone
        server.start()
        await asyncio.sleep(0.35)
        assert await taken(limiter, 1.0) in shared


async def test_a_client_whose_endpoint_has_a_limit_in_redis(server):
    """Calls wait for it; the URL, which may hold a password, is in no repr."""
    async with no_leaks(), OpeAIServer() as answers:
        limit = RateLimit(requests_per_minute=1200, burst_s=0.05, redis_url=f"{server.url}/0")
        endpoint = Endpoint(base_url=answers.base_url, api_key="sk-test", limit=limit)
        async with AsyncOpeAI(endpoints=Endpoints([endpoint])) as client:
            begun = time.monotonic()
            await asyncio.gather(*(client.chat.completions.create(**ASK) for _ in range(10)))
            assert time.monotonic() - begun >= 0.4
            assert server.url not in repr((limit, client, client._wiring.pool.routes[0]._limiter))


async def test_a_limit_in_this_process():
    """Without Redis; two limits at once."""
    limiter = LocalLimiter(RateLimit(requests_per_minute=60, tokens_per_minute=600, burst_s=2))
    assert await limiter.take(0, 10) == 0
    assert await limiter.take(0, 20) == pytest.approx(1.0)
    assert await limiter.take(1, 20) == 0
    await limiter.aclose()


@pytest.mark.parametrize(
    "options", [{"requests_per_minute": 0}, {"tokens_per_minute": -1}, {"share": 0}, {"burst_s": 0}, {"share": 1.1}]
)
def test_what_is_no_limit_is_refused(options):
    """With what was expected."""
    with pytest.raises(ConfigurationError, match=f"{next(iter(options))} is"):
        RateLimit(**options)
