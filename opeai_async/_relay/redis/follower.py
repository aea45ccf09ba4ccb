"""The reading side of a session over Redis: fills a log here with what another process produces.

A follower runs only while somebody reads its log here::

    idle --first reader--> following --last reader leaves--> idle
                               |
                               +-- the last frame came, or the rest is lost: the log has ended

Each round says that somebody reads (a key that expires, so that the producer does not give up for want of readers),
looks whether the producer is alive (its lease), and waits in XREAD for new entries.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Literal

import msgspec

from opeai_async._io.loops import hold
from opeai_async._relay.redis.link import RETRY_S, ROUND_TIMEOUT_S, Health, Link, is_cancelled
from opeai_async._relay.redis.wire import Keys, entries_of, ms
from opeai_async._relay.session_log import SessionLog
from opeai_async.types.frames import ErrorFrame, Frame

# A reader that has just got a session's id may ask before the producer has written anything.
UNKNOWN_S = 2.0

ErrorCode = Literal["lost", "unknown", "unavailable"]
_MESSAGES: dict[ErrorCode, str] = {
    "lost": "The rest of this answer is lost.",
    "unknown": "This answer is not here, or not any more.",
    "unavailable": "This answer cannot be reached.",
}

_decoder = msgspec.json.Decoder(list[Frame])


class Follower:
    """A task that fills a log from Redis, as long as somebody reads it.

    Attributes:
        log: The log that it fills.
    """

    def __init__(self, link: Link, id: str, keys: Keys, lease: float, followers: dict[str, Follower]) -> None:
        self.log = SessionLog(max_bytes=sys.maxsize)  # its producer has a limit
        self.log.on_readers.append(self._readers_changed)
        # The store's client, and what is known of Redis as this follower sees it.
        self._client = link.client
        self._health = Health(link)
        self._id = id
        self._keys = keys
        # Seconds after which a silent producer counts as dead, and between two looks at its lease.
        self._lease = lease
        self._beat = min(1.0, lease / 4)
        # The store's followers by id; this one is among them while it runs.
        self._followers = followers
        # The id of the last entry that was read.
        self._cursor = "0"
        # The loop time of the next look.
        self._beat_at = 0.0
        # How many looks in a row found no lease.
        self._misses = 0
        # The loop time at which it began to follow.
        self._began_at = 0.0
        # None while idle.
        self._task: asyncio.Task[None] | None = None

    async def aclose(self) -> None:
        """Stop; readers get an error."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            self._end("unavailable")
            self._forget()

    def _readers_changed(self) -> None:
        if self.log.readers and self._task is None:
            self._followers.setdefault(self._id, self)
            self._task = hold(self.log.loop.create_task(self._run()))
        elif not self.log.readers and self._task is not None:
            self._task.cancel()
            self._task = None
            self._forget()

    def _forget(self) -> None:
        self._health.close()
        if self._followers.get(self._id) is self:
            del self._followers[self._id]

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        self._began_at = loop.time()
        failing_since: float | None = None
        while self.log.last is None and not is_cancelled():
            code: ErrorCode | None = None
            try:
                async with asyncio.timeout(ROUND_TIMEOUT_S):
                    entries = await self._ask(loop.time())
            except Exception as exc:  # noqa: BLE001 - not all exceptions of drivers are RedisErrors
                self._health.failed(exc)
                failing_since = failing_since or loop.time()
                code = "unavailable" if loop.time() - failing_since > self._lease else None
                await asyncio.sleep(RETRY_S[0])
            else:
                self._health.answered()
                failing_since = None
                code = self._take(entries, loop.time())
            self.log.store_error = self._health.error
            if code is not None:
                self._end(code)
        if self.log.last is not None:
            self._forget()

    async def _ask(self, now: float) -> list[tuple[str, str | bytes]]:
        """Say that somebody reads and look for the producer, if that is due; wait for new entries and return them.

        Raises:
            Exception: Any error of the driver.
        """
        if now >= self._beat_at:
            pipeline = self._client.pipeline()
            pipeline.execute_command("SET", self._keys.readers, 1, "PX", ms(self._lease))
            pipeline.execute_command("EXISTS", self._keys.lease)
            _, is_produced = await pipeline.execute()
            self._misses = 0 if is_produced else self._misses + 1
            self._beat_at = now + self._beat
        command = ("XREAD", "BLOCK", ms(self._beat), "STREAMS", self._keys.log, self._cursor)
        return entries_of(await self._client.execute_command(*command))

    def _take(self, entries: list[tuple[str, str | bytes]], now: float) -> ErrorCode | None:
        """Append *entries* to the log; return the reason if nothing more will come, else None."""
        try:
            for cursor, data in entries:
                self.log.append(_decoder.decode(data))
                self._cursor = cursor
        except (msgspec.MsgspecError, ValueError):  # not what a producer of this version writes
            return "lost"
        if entries:
            self._misses = 0
        # A producer writes the end before it drops its lease, so the read after the first miss has seen it.
        if self._misses < 2:
            return None
        if self.log.offset:
            return "lost"
        return "unknown" if now - self._began_at > UNKNOWN_S else None

    def _end(self, code: ErrorCode) -> None:
        self.log.append([ErrorFrame(code=code, message=_MESSAGES[code], offset=self.log.offset + 1)])
