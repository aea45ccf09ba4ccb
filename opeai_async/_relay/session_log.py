"""The log of a session: its frames, and the readers that wait for more.

A ``SessionLog`` is one session as one process knows it. In the process that reads the answer from the model, the
producer fills it; in another one, a store fills it, as long as somebody reads there::

    model -> Producer -> SessionLog -> readers          in the process that started the session
                             |
                           store -> SessionLog -> readers    in another process

All readers of a process read from its log, each at its own pace, so a slow one costs nothing, and new frames wake each
waiting one once. A ``SessionStore`` makes logs known under an id: ``MemoryStore`` in one process,
``opeai_async.redis_store.RedisStore`` in many.
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
    """The facts and the ways to end an answer that exist only in the process that reads it from the model."""

    def stop(self) -> None:
        """End the answer, with what there is."""
        ...

    def fail(self, error: OpeAIError) -> None:
        """End the answer, with what there is and *error*."""
        ...


class SessionLog:
    """One session as this process knows it: its frames, its readers, and what fills it.

    It is open until its last frame is appended, ``done`` or ``error``; then it never changes again.

    Args:
        max_bytes: The limit on the bytes of frames that it holds.

    Attributes:
        origin: The producer that reads the answer; None if that is in another process.
        readers: The number of readers in this process.
        unread_since: The loop time at which the last of them left; at first, when the log was made. A store that sees
            readers in other processes sets it to the present.
        store_error: The reason why other processes do not see what is filled here, or why what they fill does not
            come; None while the store works. Only a store sets it.
        on_append: Functions that are called after each append, when readers can have the frames.
        on_readers: Functions that are called when the first reader comes, and when the last one leaves.
    """

    def __init__(self, *, max_bytes: int = MAX_BYTES) -> None:
        self.origin: Origin | None = None
        self.readers: int = 0
        self.store_error: APIConnectionError | None = None
        self.on_append: list[Callable[[], None]] = []
        self.on_readers: list[Callable[[], None]] = []
        self._frames = FrameLog(max_bytes)
        self._loop = running_loop()
        # One future for each reader that waits for a frame.
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
        """Add the next frames, and wake the waiting readers; frames that are here already are left out.

        Raises:
            StreamTooLargeError: If a frame does not fit; those before it are here. The last frame always fits.
            ValueError: If a piece between the last frame and these is missing.
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
                # After the last frame, nothing is left to call, and what the callbacks hold may go.
                if self.last is not None:
                    self.on_append.clear()
                    self.on_readers.clear()

    def peek(self, after: int) -> list[Frame]:
        """Return the frames beyond the offset *after* that are here, merged into as few as possible."""
        return self._frames.read(after)

    async def read(self, after: int) -> list[Frame]:
        """Wait for frames beyond the offset *after*, and return them; the last frame is returned in any case.

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
        """Count one more reader."""
        self.readers += 1
        if self.readers == 1:
            self._readers_changed()

    def leave(self) -> None:
        """Count one reader less."""
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
