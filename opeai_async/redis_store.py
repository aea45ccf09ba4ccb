"""Sessions in Redis: a browser that comes back may reach another process, and go on where it was.

Each process keeps the logs it fills in memory, and serves its own readers from them: an answer needs no Redis to be
read where it is produced. One task, the *keeper*, writes behind: what was added to any log since its last round, in one
pipeline. Where Redis fails it tries again, and Redis gets all that it missed; readers there see nothing of it, others
wait, or are told the truth below.

A session has four keys, of which none outlives it by more than ``keep`` seconds and a lease:

``log``
    A stream. Each entry holds frames as JSON; the offsets in them say what they are, so an entry may come twice, and
    say again what was said. The last entry, and one now and then, says all from the start, and replaces those before.
``lease``
    The producer's word that it is there, which it renews. Without a lease, a log that has not ended never will: its
    readers get all that is there, and then the error ``lost``.
``stop``
    Somebody asked to stop. The producer looks twice a second.
``readers``
    Somebody reads in another process, and renews that as well, so that the producer does not take it for abandoned.
    That somebody has left is known a lease later.

Readers in other processes read from a log there, which one task per session, the *follower*, fills from Redis as long
as there are any. It holds one connection of the client's pool. Needs Redis 6.2 and the extra ``opeai_async[redis]``.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

import msgspec
from redis.exceptions import RedisError

from opeai_async._core.redis_wire import Keys, entries_of, ms, text_of
from opeai_async.errors import APIConnectionError, ConfigurationError
from opeai_async.session_store import MAX_SESSIONS, MemoryStore, SessionLog, hold
from opeai_async.types.frames import ErrorFrame, Frame

if TYPE_CHECKING:
    from redis.asyncio import Redis

POLL_S = 0.5
WINDOW_S = 0.03
ROUND_TIMEOUT_S = 5.0
SETTLE_S = 5.0
STOP_S = 60.0
UNKNOWN_S = 2.0  # who has just heard of a session may ask before its producer has written anything
RETRY_S = (0.1, 1.0)
COMPACT_BYTES = 32_768

ErrorCode = Literal["lost", "unknown", "unavailable"]
_MESSAGES: dict[ErrorCode, str] = {
    "lost": "The rest of this answer is lost.",
    "unknown": "This answer is not here, or not any more.",
    "unavailable": "This answer cannot be reached.",
}

FAILURES = (RedisError, OSError, TimeoutError)
_decoder = msgspec.json.Decoder(list[Frame])


class _Pipeline(Protocol):
    """What is used of a pipeline, whose own types say less."""

    def execute_command(self, *args: str | bytes | int) -> object: ...

    async def execute(self, raise_on_error: bool = True) -> list[Any]: ...


class _Client(Protocol):
    """What is used of a client, whose own types say less."""

    async def execute_command(self, *args: str | bytes | int) -> Any: ...

    def pipeline(self, transaction: bool = True) -> _Pipeline: ...


class RedisStore:
    """Sessions that all processes with the same Redis know; a ``SessionStore``.

    Args:
        client: Of ``redis.asyncio``, which stays yours to close; its ``socket_timeout``, if any, is to be longer than
            a second. One event loop uses it.
        prefix: Of all keys.
        lease: Seconds after which a producer that has died is known to have: a lower one is noticed sooner, but is
            lost sooner by a process that is only held up. A session's ``grace`` should not be shorter.
        max_sessions: How many sessions this process may produce.
    """

    def __init__(
        self,
        client: Redis,
        *,
        prefix: str = "opeai:session:",
        lease: float = 10.0,
        max_sessions: int = MAX_SESSIONS,
    ) -> None:
        if lease <= 0:
            raise ConfigurationError(f"lease is {lease}, expected more than 0 seconds")
        self._client = cast("_Client", client)
        self._prefix = prefix
        self._lease = lease
        self._local = MemoryStore(max_sessions=max_sessions)
        self._keeper = _Keeper(self._client, lease)
        self._followers: dict[str, _Follower] = {}

    def add(self, id: str, log: SessionLog, *, keep: float) -> None:
        """Make *log* known under *id* here at once, and in Redis soon, until *keep* seconds after its end.

        An *id* that is taken by a session in another process is found out later, and ends this one with an error.

        Raises:
            ConfigurationError: If *id* is taken by a session in this process.
            LocalResourceError: If ``max_sessions`` go on here.
        """
        self._local.add(id, log, keep=keep)
        self._keeper.add(_Published(id, log, keep, Keys(self._prefix, id)))

    def get(self, id: str) -> SessionLog:
        """The log of *id*: the one that is filled here, or one that follows another process as long as it is read."""
        log = self._local.get(id)
        if log is not None:
            return log
        follower = self._followers.get(id)
        if follower is None:
            follower = _Follower(self._client, id, Keys(self._prefix, id), self._lease, self._followers)
        return follower.log

    async def stop(self, id: str) -> None:
        """Ask the producer of *id*, wherever it is, to end the answer; it sees that within a second.

        Raises:
            APIConnectionError: If Redis cannot be reached.
        """
        try:
            async with asyncio.timeout(ROUND_TIMEOUT_S):
                await self._client.execute_command("SET", Keys(self._prefix, id).stop, 1, "PX", ms(STOP_S))
        except FAILURES as exc:
            raise APIConnectionError(f"the session could not be stopped: Redis failed with {exc!r}") from exc

    async def settle(self, id: str) -> None:
        """Return when the log of *id* is in Redis, or Redis has failed for 5 seconds."""
        await self._keeper.settle(id)

    async def aclose(self) -> None:
        """Stop reading and writing, once what was to be written is in Redis, or that has failed for 5 seconds.

        The sessions of this process must have ended before: what comes later is not written.
        """
        await self._keeper.aclose()
        await asyncio.gather(*(follower.aclose() for follower in list(self._followers.values())))


# --- the producer's side ---------------------------------------------------------------------------------------------


class _Published:
    """A session of this process, and how much of it is in Redis.

    Attributes:
        token: By which a lease is known as this producer's.
        stored: The offset up to which all is in Redis; 0 for nothing, as far as is known.
        whole_bytes: The size of the last entry that said all; 0 before there was one.
        added_bytes: The size of those that came after it.
        renew_at: When the lease is to be renewed, in the loop's time.
        settled: Set when nothing is to be written any more.
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
        self.settled = asyncio.Event()

    @property
    def is_written(self) -> bool:
        """Whether all that is here is in Redis."""
        return self.stored == self.log.offset

    def is_whole_due(self) -> bool:
        """Whether the next entry is to say all, in place of those before: as often as what came since is as large."""
        return not self.stored or self.log.last is not None or self.added_bytes > self.whole_bytes + COMPACT_BYTES

    def wrote(self, offset: int, size: int, *, is_whole: bool) -> None:
        """Remember that an entry of *size* bytes, up to *offset*, is in Redis."""
        self.stored = offset
        if is_whole:
            self.whole_bytes, self.added_bytes = size, 0
        else:
            self.added_bytes += size


class _Keeper:
    """Writes the sessions of this process to Redis, and looks there for what others want of them."""

    def __init__(self, client: _Client, lease: float) -> None:
        self._client = client
        self._lease = lease
        self._published: dict[str, _Published] = {}
        self._changed = asyncio.Event()
        self._look_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def add(self, published: _Published) -> None:
        """Write *published* from now on, to its end."""
        before = self._published.get(published.id)
        if before is not None:  # it has ended, and leaves its lease to this one
            published.token = before.token
            self._drop(before)
        self._published[published.id] = published
        published.log.on_append.append(self._changed.set)
        self._changed.set()
        if self._task is None or self._task.done():
            self._task = hold(published.log.loop.create_task(self._run()))

    async def settle(self, id: str) -> None:
        """Return when *id* has ended and is written, or after 5 seconds."""
        published = self._published.get(id)
        if published is not None:
            try:
                async with asyncio.timeout(SETTLE_S):
                    await published.settled.wait()
            except TimeoutError:
                pass

    async def aclose(self) -> None:
        """Write what has ended, for 5 seconds at most, and stop."""
        await asyncio.gather(*(self.settle(p.id) for p in self._published.values() if p.log.last is not None))
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        for published in list(self._published.values()):
            self._drop(published)

    # --- rounds ----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        pause, longest = RETRY_S
        while self._published and not _is_cancelled():
            self._changed.clear()
            try:
                async with asyncio.timeout(ROUND_TIMEOUT_S):
                    await self._round(loop.time())
            except FAILURES:
                # Whether Redis has anything any more is unknown; first of all it is to know that somebody is here.
                for published in self._published.values():
                    published.renew_at = 0.0
                await asyncio.sleep(pause)
                pause = min(2 * pause, longest)
            else:
                pause = RETRY_S[0]
                if self._published:
                    await self._wait()
            self._give_up(loop.time())

    async def _wait(self) -> None:
        """Until something is to be written, but not sooner than a moment; or until it is time to look."""
        await asyncio.sleep(WINDOW_S)
        try:
            async with asyncio.timeout_at(self._look_at):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _round(self, now: float) -> None:
        """Do what is due.

        Raises:
            RedisError, OSError: If something of it failed; it is due again.
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

    async def _renew(self, due: Sequence[_Published], now: float) -> None:
        """Say that the producer is here; the first time, that it is the only one."""
        pipeline = self._client.pipeline()
        for p in due:
            pipeline.execute_command("SET", p.keys.lease, p.token, "NX", "PX", ms(self._lease))
            pipeline.execute_command("GET", p.keys.lease)
            pipeline.execute_command("PEXPIRE", p.keys.lease, ms(self._lease))
            pipeline.execute_command("PEXPIRE", p.keys.log, ms(p.keep + self._lease))
        # Errors among the results are those of a key of another type; all others fail the whole transaction.
        results = await pipeline.execute(raise_on_error=False)
        new = list[_Published]()
        for p, token, has_log in zip(due, results[1::4], results[3::4], strict=True):
            p.renew_at = now + self._lease / 3
            if not has_log:
                p.stored = 0
            if isinstance(token, Exception) or text_of(token) != p.token:
                self._refuse(p)
            elif not p.is_claimed:
                new.append(p)
        if new:
            await self._client.execute_command("DEL", *(key for p in new for key in (p.keys.log, p.keys.stop)))
            for p in new:
                p.is_claimed = True

    async def _write(self, due: Sequence[_Published]) -> None:
        """Add what is new of each log."""
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
        results = await pipeline.execute(raise_on_error=False)
        for p, (offset, size, is_whole), result in zip(due, entries, results[::2], strict=True):
            if isinstance(result, Exception):
                self._drop(p)  # its key is of another type: it cannot be known elsewhere
            elif result is None:
                p.stored = 0
                self._changed.set()
            else:
                p.wrote(offset, size, is_whole=is_whole)

    async def _release(self, due: Sequence[_Published]) -> None:
        """Leave what has ended to Redis."""
        pipeline = self._client.pipeline()
        for p in due:
            pipeline.execute_command("PEXPIRE", p.keys.log, ms(p.keep))
            pipeline.execute_command("DEL", p.keys.lease, p.keys.stop, p.keys.readers)
        await pipeline.execute()
        for p in due:
            self._drop(p)

    async def _look(self, due: Sequence[_Published], now: float) -> None:
        """See whether somebody asks to stop, and whether somebody reads elsewhere."""
        found = await self._client.execute_command("MGET", *(key for p in due for key in (p.keys.stop, p.keys.readers)))
        for p, stop, readers in zip(due, found[::2], found[1::2], strict=True):
            if readers is not None:
                p.log.unread_since = now
            if stop is not None and p.log.origin is not None:
                p.log.origin.stop()

    # --- endings ---------------------------------------------------------------------------------------------------

    def _refuse(self, p: _Published) -> None:
        """Another process produces a session of this id."""
        self._drop(p)
        if p.log.origin is not None:
            hint = "give each answer an id of its own"
            p.log.origin.fail(ConfigurationError(f"session {p.id!r} goes on in another process", hint=hint))

    def _give_up(self, now: float) -> None:
        """Forget what could not be written for as long as it would have been kept."""
        for p in list(self._published.values()):
            if p.log.last is not None:
                p.ended_at = now if p.ended_at is None else p.ended_at
                if now - p.ended_at > p.keep:
                    self._drop(p)

    def _drop(self, p: _Published) -> None:
        if self._published.get(p.id) is p:
            del self._published[p.id]
        p.settled.set()


def _is_cancelled() -> bool:
    """Whether this task is to end: before Python 3.12, ``asyncio.wait_for``, which redis uses, may swallow that."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


# --- the readers' side -----------------------------------------------------------------------------------------------


class _Follower:
    """Fills a log from Redis, as long as somebody reads it.

    Attributes:
        log: What it fills.
    """

    def __init__(self, client: _Client, id: str, keys: Keys, lease: float, followers: dict[str, _Follower]) -> None:
        self.log = SessionLog(max_bytes=sys.maxsize)  # its producer has a limit
        self.log.on_readers.append(self._readers_changed)
        self._client = client
        self._id = id
        self._keys = keys
        self._lease = lease
        self._beat = min(1.0, lease / 4)
        self._followers = followers
        self._cursor = "0"
        self._beat_at = 0.0
        self._misses = 0
        self._began_at = 0.0
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
        if self._followers.get(self._id) is self:
            del self._followers[self._id]

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        self._began_at = loop.time()
        failing_since: float | None = None
        while self.log.last is None and not _is_cancelled():
            try:
                async with asyncio.timeout(ROUND_TIMEOUT_S):
                    code = await self._turn(loop.time())
                failing_since = None
            except FAILURES:
                failing_since = failing_since or loop.time()
                code = "unavailable" if loop.time() - failing_since > self._lease else None
                await asyncio.sleep(RETRY_S[0])
            except (msgspec.MsgspecError, ValueError):  # not what a producer of this version writes
                code = "lost"
            if code is not None:
                self._end(code)
        if self.log.last is not None:
            self._forget()

    async def _turn(self, now: float) -> ErrorCode | None:
        """Take what is new, or wait for it; returns why nothing more will come."""
        if now >= self._beat_at:
            pipeline = self._client.pipeline()
            pipeline.execute_command("SET", self._keys.readers, 1, "PX", ms(self._lease))
            pipeline.execute_command("EXISTS", self._keys.lease)
            _, is_produced = await pipeline.execute()
            self._misses = 0 if is_produced else self._misses + 1
            self._beat_at = now + self._beat
        command = ("XREAD", "BLOCK", ms(self._beat), "STREAMS", self._keys.log, self._cursor)
        entries = entries_of(await self._client.execute_command(*command))
        for cursor, data in entries:
            self.log.append(_decoder.decode(data))
            self._cursor = cursor
        if entries:
            self._misses = 0
        # A producer writes the end before it lets go of its lease, so the read after the first miss has seen it.
        if self._misses < 2:
            return None
        if self.log.offset:
            return "lost"
        return "unknown" if now - self._began_at > UNKNOWN_S else None

    def _end(self, code: ErrorCode) -> None:
        self.log.append([ErrorFrame(code=code, message=_MESSAGES[code], offset=self.log.offset + 1)])
