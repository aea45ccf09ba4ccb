"""Where the frames of sessions are kept, and who waits for them.

A ``SessionLog`` is one session as one process knows it. Something fills it: the producer, where the answer is read
from the model; elsewhere a store, as long as somebody reads there. All readers of a process read from its log, each at
its own pace, so a slow one costs nothing, and what is new wakes each waiting one once. A ``SessionStore`` makes logs
known under an id: ``MemoryStore`` in one process, ``opeai_async.redis_store.RedisStore`` in many.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from opeai_async._core.frames.log import FrameLog
from opeai_async._io.loops import running_loop
from opeai_async._public import claim
from opeai_async._relay.frames import AnswerSoFar
from opeai_async.errors import APIConnectionError, ConfigurationError, OpeAIError
from opeai_async.types.frames import DoneFrame, ErrorFrame, Frame

MAX_BYTES = 16 * 2**20


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


claim(__name__)
