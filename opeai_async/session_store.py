"""Where the frames of sessions are kept, and who waits for them.

A ``SessionLog`` is one session as one process knows it. Something fills it: the producer, where the answer is read
from the model; elsewhere a store, as long as somebody reads there. All readers of a process read from its log, each at
its own pace, so a slow one costs nothing, and what is new wakes each waiting one once. A ``SessionStore`` makes logs
known under an id: ``MemoryStore`` in one process, ``opeai_async.redis_store.RedisStore`` in many.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from opeai_async._core.frame_log import FrameLog
from opeai_async._io.loop import running_loop
from opeai_async.errors import APIConnectionError, ConfigurationError, LocalResourceError, OpeAIError
from opeai_async.frames import AnswerSoFar
from opeai_async.types.frames import DoneFrame, ErrorFrame, Frame

MAX_BYTES = 16 * 2**20
MAX_SESSIONS = 10_000


class Origin(AnswerSoFar, Protocol):
    """What is known, and can be done, only where the answer is read from the model."""

    def stop(self) -> None:
        """End the answer, with what there is."""
        ...

    def fail(self, error: OpeAIError) -> None:
        """End the answer, with what there is and *error*."""
        ...


class SessionLog:
    """One session as this process knows it: its frames, its readers, and what fills it.

    Args:
        max_bytes: How many bytes of frames it may hold.

    Attributes:
        origin: What reads the answer, if that is in this process.
        readers: How many there are in this process.
        unread_since: When the last of them left, in the event loop's time; when it was made, if there was none yet. A
            store that knows of readers in other processes moves it on.
        store_error: Why other processes do not see what is filled here, or why what they fill does not come; None
            where the store does what it is asked. A store sets it.
        on_append: Called after each append, when readers can have it.
        on_readers: Called when the first reader comes, and when the last one leaves.
    """

    def __init__(self, *, max_bytes: int = MAX_BYTES) -> None:
        self.origin: Origin | None = None
        self.readers: int = 0
        self.store_error: APIConnectionError | None = None
        self.on_append: list[Callable[[], None]] = []
        self.on_readers: list[Callable[[], None]] = []
        self._frames = FrameLog(max_bytes)
        self._loop = running_loop()
        self._waiters: set[asyncio.Future[None]] = set()
        self.unread_since: float = self._loop.time()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The only event loop in which it may be filled and waited for."""
        return self._loop

    @property
    def offset(self) -> int:
        """The position in the answer after the last frame."""
        return self._frames.offset

    @property
    def last(self) -> DoneFrame | ErrorFrame | None:
        """The frame that ended it; None until then."""
        return self._frames.last

    def append(self, frames: Iterable[Frame]) -> None:
        """Add what comes next, and wake who waits for it; what is here already is left out.

        Raises:
            StreamTooLargeError: If a frame does not fit; those before it are here. The end always fits.
            ValueError: If something between the last frame and these is missing.
        """
        offset = self.offset
        try:
            self._frames.append(frames)
        finally:
            if self.offset != offset:
                waiters, self._waiters = self._waiters, set()
                for waiter in waiters:
                    if not waiter.done():
                        waiter.set_result(None)
                for call in self.on_append:
                    call()
                if self.last is not None:  # nothing more is to be told, and nobody need be kept alive for it
                    self.on_append.clear()
                    self.on_readers.clear()

    def peek(self, after: int) -> list[Frame]:
        """The frames beyond the offset *after* that are here, in as few as can be."""
        return self._frames.read(after)

    async def read(self, after: int) -> list[Frame]:
        """The frames beyond the offset *after*, at least one: waits for one, and gives the last one in any case.

        Raises:
            ConfigurationError: If it is filled in another event loop.
        """
        while not (frames := self._frames.read(after)):
            await self._appended()
        return frames

    async def ended(self) -> DoneFrame | ErrorFrame:
        """Wait for the last frame.

        Raises:
            ConfigurationError: If it is filled in another event loop.
        """
        while self._frames.last is None:
            await self._appended()
        return self._frames.last

    def enter(self) -> None:
        """One more reader is here."""
        self.readers += 1
        if self.readers == 1:
            self._readers_changed()

    def leave(self) -> None:
        """One reader less is here."""
        self.readers -= 1
        if not self.readers:
            self.unread_since = self._loop.time()
            self._readers_changed()

    def _readers_changed(self) -> None:
        for call in self.on_readers:
            call()

    async def _appended(self) -> None:
        if running_loop() is not self._loop:
            raise ConfigurationError(
                "this session belongs to another event loop",
                hint="read it where it was started, or attach to it through a store that both can reach",
            )
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)


class SessionStore(Protocol):
    """Makes sessions known under an id."""

    def add(self, id: str, log: SessionLog, *, keep: float) -> None:
        """Make *log*, which is filled in this process, known under *id*, until *keep* seconds after its end.

        Raises:
            ConfigurationError: If *id* is taken by a session that goes on.
            LocalResourceError: If there are too many sessions.
        """
        ...

    def get(self, id: str) -> SessionLog | None:
        """The log of *id*; None if there is none, and that is certain."""
        ...

    async def stop(self, id: str) -> None:
        """Ask who fills the log of *id*, wherever that is, to end the answer."""
        ...

    async def settle(self, id: str) -> None:
        """Return when all that is in the log of *id* is known to other processes, or cannot be made known soon.

        It does not wait for a store that is known to refuse.
        """
        ...


class _Ended(NamedTuple):
    goes_at: float
    number: int  # who ended first goes first, at the same time
    id: str


class MemoryStore:
    """Sessions of one process and one event loop; ``StreamSession`` takes one for the whole process by default.

    Those that have ended are let go when their time is over, or when room is needed: at the next ``add`` or ``get``.

    Args:
        max_sessions: How many sessions it may hold.
        clock: Gives the time in seconds.
    """

    def __init__(self, *, max_sessions: int = MAX_SESSIONS, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_sessions = max_sessions
        self._clock = clock
        self._logs: dict[str, SessionLog] = {}
        self._ended: list[_Ended] = []  # a heap: first who goes first
        self._count = 0

    def __len__(self) -> int:
        return len(self._logs)

    def add(self, id: str, log: SessionLog, *, keep: float) -> None:
        """Make *log* known under *id*, until *keep* seconds after its end.

        Raises:
            ConfigurationError: If *id* is taken by a session that goes on.
            LocalResourceError: If ``max_sessions`` go on.
        """
        self._sweep()
        other = self._logs.get(id)
        if other is not None and other.last is None:
            raise ConfigurationError(f"session {id!r} goes on already", hint="give each answer an id of its own")
        if other is None and len(self._logs) >= self._max_sessions and not self._drop_one():
            raise LocalResourceError(
                f"{self._max_sessions} sessions go on already", hint="raise max_sessions, or turn requests away sooner"
            )
        if other is not None:
            self._ended = [ended for ended in self._ended if ended.id != id]
            heapq.heapify(self._ended)
        self._logs[id] = log
        log.on_append.append(lambda: self._appended(id, log, keep))

    def get(self, id: str) -> SessionLog | None:
        """The log of *id*; None if there is none, or not any more."""
        self._sweep()
        return self._logs.get(id)

    async def stop(self, id: str) -> None:
        """End the answer of *id*, if it is there and goes on."""
        log = self.get(id)
        if log is not None and log.origin is not None:
            log.origin.stop()

    async def settle(self, id: str) -> None:
        """Nothing is to be waited for: nobody else can see it."""

    def _appended(self, id: str, log: SessionLog, keep: float) -> None:
        if log.last is not None:
            self._count += 1
            heapq.heappush(self._ended, _Ended(self._clock() + keep, self._count, id))

    def _sweep(self) -> None:
        now = self._clock()
        while self._ended and self._ended[0].goes_at <= now:
            self._drop_one()

    def _drop_one(self) -> bool:
        """Let go of the session that would be the first to go; False if none has ended."""
        if not self._ended:
            return False
        del self._logs[heapq.heappop(self._ended).id]
        return True


_tasks: set[asyncio.Task[None]] = set()


def hold(task: asyncio.Task[None]) -> asyncio.Task[None]:
    """*task*, which goes on however few hold it: an event loop holds its tasks weakly."""
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task
