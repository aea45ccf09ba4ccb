"""The writing side of sessions over Redis: one task per event loop writes all sessions that are produced there.

A session passes through these states; each round moves all of them on, in one pipeline per step::

    added --lease taken--> claimed --new frames--> written --last frame written--> released
      |                       ^                       |
      |                       +---- new frames -------+
      +-- another process has the lease: refused, its answer ends with an error

While Redis refuses, rounds are tried again after a pause, and nothing is lost here: an entry that says all replaces
what Redis may have forgotten. Entries hold only what is new, until together they are as large as the last whole one;
the alternative, to write only new frames, would let a stream of tokens grow without end in Redis.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence

import msgspec

from opeai_async._io.loops import hold
from opeai_async._relay.redis.link import RETRY_S, ROUND_TIMEOUT_S, Health, Link, checked, is_cancelled
from opeai_async._relay.redis.refusals import is_of_another_type
from opeai_async._relay.redis.wire import Keys, ms, text_of
from opeai_async._relay.session_log import SessionLog
from opeai_async.errors import APIConnectionError, ConfigurationError

POLL_S = 0.5
WINDOW_S = 0.03
SETTLE_S = 5.0
LAST_TRY_S = 0.5  # where Redis refuses already: it may have come back since the last round
COMPACT_BYTES = 32_768


class Published:
    """A session of this process, and how much of it is in Redis.

    Attributes:
        id: The session's id.
        log: Its frames.
        keep: Seconds for which Redis keeps them after the end.
        keys: Its keys in Redis.
        token: The value of the lease that marks it as this producer's.
        is_claimed: True once the lease is ours, and the keys of an older session of this id are gone.
        stored: The offset up to which all is in Redis; 0 if nothing is, as far as is known.
        whole_bytes: The size of the last entry that held all frames; 0 before there was one.
        added_bytes: The size of the entries that came after it.
        renew_at: The loop time at which the lease is to be renewed.
        ended_at: The loop time at which the end was first seen; None while it is open.
        waiters: Futures that are done when all is written, or Redis has refused.
    """

    def __init__(self, id: str, log: SessionLog, keep: float, keys: Keys) -> None:
        self.id = id
        self.log = log
        self.keep = keep
        self.keys = keys
        self.token = secrets.token_hex(8)
        self.is_claimed = False
        self.stored = 0
        self.whole_bytes = 0
        self.added_bytes = 0
        self.renew_at = 0.0
        self.ended_at: float | None = None
        self.waiters: list[asyncio.Future[None]] = []

    @property
    def is_written(self) -> bool:
        """True if all frames that are here are in Redis."""
        return self.stored == self.log.offset

    def is_whole_due(self) -> bool:
        """Tell whether the next entry shall hold all frames, in place of the entries before."""
        # Only when the rest has grown as large as the whole: so the bytes written stay in proportion to the answer.
        return not self.stored or self.log.last is not None or self.added_bytes > self.whole_bytes + COMPACT_BYTES

    def wake(self) -> None:
        """Wake all that wait for it."""
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def wrote(self, offset: int, size: int, *, is_whole: bool) -> None:
        """Remember that an entry of *size* bytes, up to *offset*, is in Redis."""
        self.stored = offset
        if is_whole:
            self.whole_bytes, self.added_bytes = size, 0
        else:
            self.added_bytes += size


class Keeper:
    """The writer of this event loop's sessions, which also looks for readers and wishes to stop elsewhere."""

    def __init__(self, link: Link, lease: float) -> None:
        # The store's client, what is known of Redis as this task sees it, and seconds of a lease.
        self._client = link.client
        self._health = Health(link)
        self._lease = lease
        # The sessions that are not released yet, by id.
        self._published: dict[str, Published] = {}
        # Set when there is something to write; the other one ends the pause after a failure.
        self._changed = asyncio.Event()
        self._hurry = asyncio.Event()
        # The loop time of the next look for readers and wishes to stop.
        self._look_at = 0.0
        # None before the first session.
        self._task: asyncio.Task[None] | None = None

    def add(self, published: Published) -> None:
        """Begin to write *published*, until its end."""
        before = self._published.get(published.id)
        if before is not None:  # it has ended, and leaves its lease to this one
            published.token = before.token
            self._drop(before)
        self._published[published.id] = published
        published.log.store_error = self._health.error
        published.log.on_append.append(self._changed.set)
        self._changed.set()
        if self._task is None or self._task.done():
            self._task = hold(published.log.loop.create_task(self._run()))

    async def settle(self, id: str) -> None:
        """Wait until *id* has ended and is written, or Redis refuses, but 5 seconds at most."""
        published = self._published.get(id)
        if published is None:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        published.waiters.append(waiter)
        self._hurry.set()
        await asyncio.wait([waiter], timeout=SETTLE_S if self._health.error is None else LAST_TRY_S)

    async def aclose(self) -> None:
        """Write what has ended, for 5 seconds at most or one more try where Redis refuses, and stop."""
        await asyncio.gather(*(self.settle(p.id) for p in self._published.values() if p.log.last is not None))
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        for published in list(self._published.values()):
            self._drop(published)
        self._health.close()

    # --- rounds ----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        pause, longest = RETRY_S
        while self._published and not is_cancelled():
            self._changed.clear()
            self._hurry.clear()
            try:
                async with asyncio.timeout(ROUND_TIMEOUT_S):
                    await self._round(loop.time())
            except Exception as exc:  # noqa: BLE001 - not all exceptions of drivers are RedisErrors
                self._failed(exc)
                await _first_of(self._hurry, loop.time() + pause)
                pause = min(2 * pause, longest)
            else:
                pause = RETRY_S[0]
                self._answered()
                if self._published:
                    await self._wait()
            self._give_up(loop.time())

    def _failed(self, exc: Exception) -> None:
        """Note that a round failed with *exc*, and make each session renew its lease first."""
        self._health.failed(exc)
        for p in self._published.values():
            # Redis may have lost anything, so the next round first renews the leases.
            p.renew_at = 0.0
            p.log.store_error = self._health.error
            if self._health.error is not None:
                p.wake()

    def _answered(self) -> None:
        """Note that a round succeeded: all that was due is done, also what Redis had refused before."""
        self._health.answered()
        for p in self._published.values():
            p.log.store_error = None

    async def _wait(self) -> None:
        """Wait until something is to be written, or it is time to look."""
        # A moment at least, so that the tokens of many sessions share a round.
        await asyncio.sleep(WINDOW_S)
        await _first_of(self._changed, self._look_at)

    async def _round(self, now: float) -> None:
        """Do what is due: leases, frames, ends, and looks.

        Raises:
            Exception: Any error of the driver; what failed is due again.
        """
        if due := [p for p in self._published.values() if now >= p.renew_at]:
            await self._renew(due, now)
        if due := [p for p in self._published.values() if p.is_claimed and not p.is_written]:
            await self._write(due)
        if due := [p for p in self._published.values() if p.is_written and p.log.last is not None]:
            await self._release(due)
        if now >= self._look_at:
            self._look_at = now + POLL_S
            if due := [p for p in self._published.values() if p.log.last is None]:
                await self._look(due, now)

    async def _renew(self, due: Sequence[Published], now: float) -> None:
        """Renew the leases; the first time, take them, and clear what an older session of that id has left."""
        pipeline = self._client.pipeline()
        for p in due:
            pipeline.execute_command("SET", p.keys.lease, p.token, "NX", "PX", ms(self._lease))
            pipeline.execute_command("GET", p.keys.lease)
            pipeline.execute_command("PEXPIRE", p.keys.lease, ms(self._lease))
            pipeline.execute_command("PEXPIRE", p.keys.log, ms(p.keep + self._lease))
        results = checked(await pipeline.execute(raise_on_error=False))
        new = list[Published]()
        for p, token, has_log in zip(due, results[1::4], results[3::4], strict=True):
            p.renew_at = now + self._lease / 3
            if not has_log:
                p.stored = 0
            if is_of_another_type(token) or text_of(token) != p.token:
                self._refuse(p)
            elif not p.is_claimed:
                new.append(p)
        if new:
            await self._client.execute_command("DEL", *(key for p in new for key in (p.keys.log, p.keys.stop)))
            for p in new:
                p.is_claimed = True

    async def _write(self, due: Sequence[Published]) -> None:
        """Write one entry for each session: its new frames, or all."""
        pipeline = self._client.pipeline()
        entries = list[tuple[int, int, bool]]()
        for p in due:
            is_whole = p.is_whole_due()
            frames = p.log.peek(0 if is_whole else p.stored)
            data = msgspec.json.encode(frames)
            # If the stream is not there any more, a new one must not begin in the middle.
            how = ("MAXLEN", 1) if is_whole else ("NOMKSTREAM",)
            pipeline.execute_command("XADD", p.keys.log, *how, "*", "frames", data)
            pipeline.execute_command("PEXPIRE", p.keys.log, ms(p.keep + self._lease))
            entries.append((frames[-1].offset, len(data), is_whole))
        results = checked(await pipeline.execute(raise_on_error=False))
        for p, (offset, size, is_whole), result in zip(due, entries, results[::2], strict=True):
            if is_of_another_type(result):
                hint = "give RedisStore a prefix of its own"
                p.log.store_error = APIConnectionError("a key of this session holds something else", hint=hint)
                self._drop(p)
            elif result is None:
                p.stored = 0
                self._changed.set()
            else:
                p.wrote(offset, size, is_whole=is_whole)

    async def _release(self, due: Sequence[Published]) -> None:
        """Drop sessions that have ended and are written; Redis keeps their frames for *keep* seconds."""
        pipeline = self._client.pipeline()
        for p in due:
            pipeline.execute_command("PEXPIRE", p.keys.log, ms(p.keep))
            pipeline.execute_command("DEL", p.keys.lease, p.keys.stop, p.keys.readers)
        await pipeline.execute()
        for p in due:
            p.log.store_error = None
            self._drop(p)

    async def _look(self, due: Sequence[Published], now: float) -> None:
        """Look whether other processes ask to stop a session, or read it."""
        found = await self._client.execute_command("MGET", *(key for p in due for key in (p.keys.stop, p.keys.readers)))
        for p, stop, readers in zip(due, found[::2], found[1::2], strict=True):
            # Readers elsewhere are not counted in the log, so its time without readers begins anew.
            if readers is not None:
                p.log.unread_since = now
            if stop is not None and p.log.origin is not None:
                p.log.origin.stop()

    # --- endings ---------------------------------------------------------------------------------------------------

    def _refuse(self, p: Published) -> None:
        """End *p* with an error, because another process produces a session of this id."""
        self._drop(p)
        if p.log.origin is not None:
            hint = "give each answer an id of its own"
            p.log.origin.fail(ConfigurationError(f"session {p.id!r} goes on in another process", hint=hint))

    def _give_up(self, now: float) -> None:
        """Drop sessions whose frames could not be written within their ``keep`` seconds."""
        for p in list(self._published.values()):
            if p.log.last is not None:
                p.ended_at = now if p.ended_at is None else p.ended_at
                if now - p.ended_at > p.keep:
                    self._drop(p)

    def _drop(self, p: Published) -> None:
        if self._published.get(p.id) is p:
            del self._published[p.id]
        p.wake()


async def _first_of(event: asyncio.Event, due: float) -> None:
    """Wait until *event* is set, or until loop time *due*."""
    try:
        async with asyncio.timeout_at(due):
            await event.wait()
    except TimeoutError:
        pass
