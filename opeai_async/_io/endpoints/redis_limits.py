"""A limit that several processes share in Redis, by one Lua script: GCRA, on the server's own clock.

While Redis cannot be reached, or does not answer in time, each process keeps to its share of the limit by itself, and
asks Redis again after a while. So an outage of Redis makes nobody fail, and nobody go faster than allowed.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

from opeai_async._core.policy.endpoints.endpoint import RateLimit
from opeai_async._core.policy.gcra import MINUTE_S
from opeai_async._io.endpoints.limits import LocalLimiter

TIMEOUT_S = 0.5
AGAIN_S = 1.0
"""How long Redis is left alone after it did not answer."""

# KEYS: one per limit. ARGV: for each of them seconds per unit, burst in seconds, units. Returns seconds as text, since
# Lua numbers are cut to integers on their way out. All limits are checked before any is taken. Times are kept as
# seconds with microseconds: doubles hold that until the year 2255.
SCRIPT = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
local due, tats = 0, {}
for i, key in ipairs(KEYS) do
  local unit, burst, units = tonumber(ARGV[i*3-2]), tonumber(ARGV[i*3-1]), tonumber(ARGV[i*3])
  local cost = unit * units
  local tat = math.max(tonumber(redis.call('GET', key) or '0'), now)
  local wait = (tat - now) + math.min(cost, burst) - burst
  if wait > due then due = wait end
  tats[i] = tat + cost
end
if due > 0.0000005 then return string.format('%.6f', due) end
for i, key in ipairs(KEYS) do
  redis.call('SET', key, string.format('%.6f', tats[i]), 'PX', math.ceil((tats[i] - now) * 1000) + 1000)
end
return '0'
"""


class RedisLimiter:
    """A limit that all processes share which give it the same *name* and Redis."""

    def __init__(self, limit: RateLimit, name: str, clock: Callable[[], float]) -> None:
        self._url = limit.redis_url or ""
        self._alone = LocalLimiter(limit, limit.share)
        self._clock = clock
        self._again_at = -math.inf
        self._client: Any = None
        self._script: Any = None
        self._parts = [
            (f"opeai_async:limit:{{{name}}}:{kind}", MINUTE_S / per_minute, is_tokens)
            for per_minute, is_tokens, kind in (
                (limit.requests_per_minute, False, "requests"),
                (limit.tokens_per_minute, True, "tokens"),
            )
            if per_minute is not None
        ]
        self._burst_s = limit.burst_s

    def __repr__(self) -> str:
        return "<RedisLimiter>"  # the URL may hold a password

    @property
    def is_alone(self) -> bool:
        """Whether this process keeps to its share by itself."""
        return self._clock() < self._again_at

    async def take(self, now: float, tokens: float) -> float:
        if not self._parts:
            return 0.0
        if now < self._again_at:
            return self._alone.take_nowait(now, tokens)
        script = self._script or self._prepare()  # its import takes longer than Redis does
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return float(await self._ask(script, tokens))
        except (OSError, TimeoutError, self._redis_error()):
            self._again_at = self._clock() + AGAIN_S
            return self._alone.take_nowait(self._clock(), tokens)

    def _prepare(self) -> Any:
        from redis.asyncio import Redis

        self._client = Redis.from_url(  # pyright: ignore[reportUnknownMemberType]
            self._url, decode_responses=True, socket_connect_timeout=TIMEOUT_S
        )
        self._script = self._client.register_script(SCRIPT)
        return self._script

    async def _ask(self, script: Any, tokens: float) -> str:
        arguments: list[float] = []
        for _, unit_s, is_tokens in self._parts:
            arguments += [unit_s, max(self._burst_s, unit_s), tokens if is_tokens else 1.0]
        answer: str = await script(keys=[key for key, _, _ in self._parts], args=arguments)
        return answer

    def _redis_error(self) -> type[Exception]:
        from redis.exceptions import RedisError

        return RedisError

    async def aclose(self) -> None:
        client, self._client, self._script = self._client, None, None
        if client is not None:
            await client.aclose()
