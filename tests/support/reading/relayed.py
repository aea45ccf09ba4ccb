"""The two sides of a relay without sockets: a client in memory, and an answer by the clock."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from opeai_async import SessionLog, StreamSession
from opeai_async._core.frames.algebra import merged
from opeai_async._relay.frames import FrameReader
from opeai_async.types.frames import Frame
from tests.support.reading.reassembled import decode_frame


def log_of(session: StreamSession) -> SessionLog:
    """The log of *session*: the one place where tests look into a session."""
    return session._log


class Left(Exception):
    """What this client's library raises once it has gone."""


class Page:
    """A client: give ``page.send`` and ``page.receive`` to a relay.

    Attributes:
        messages: What was sent to it, and the loop's time at which.
        open: Cleared, it takes nothing: a send waits.
    """

    def __init__(self) -> None:
        self.messages: list[tuple[float, Any]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.sending = 0
        self.has_left = False
        self._said: asyncio.Queue[Any] = asyncio.Queue()
        self._arrived = asyncio.Event()

    async def send(self, message: Any) -> None:
        assert self.sending == 0, "two sends at once"
        self.sending += 1
        try:
            await self.open.wait()
            if self.has_left:
                raise Left
            self.messages.append((asyncio.get_running_loop().time(), message))
            self._arrived.set()
        finally:
            self.sending -= 1

    async def receive(self) -> Any:
        message = await self._said.get()
        if isinstance(message, BaseException):
            raise message
        return message

    def say(self, *messages: Any) -> None:
        """What the client says; an exception is raised by ``receive``."""
        for message in messages:
            self._said.put_nowait(message)

    def leave(self) -> None:
        """``receive`` and ``send`` raise from now on."""
        self.has_left = True
        self.say(Left())

    @property
    def unread(self) -> list[Any]:
        """What it said and nobody has received."""
        return [self._said.get_nowait() for _ in range(self._said.qsize())]

    @property
    def frames(self) -> list[Frame]:
        """All frames that were sent to it."""
        return [decode_frame(message) for _, message in self.messages]

    async def until(self, kind: type[Frame], count: int = 1) -> None:
        """Return when *count* frames of *kind* have been sent."""
        while sum(isinstance(frame, kind) for frame in self.frames) < count:
            self._arrived.clear()
            await self._arrived.wait()


class TimedSource(FrameReader):
    """A frame source whose frames come at their time, in seconds from now; None: there is silence for ever.

    Attributes:
        taken: How many frames were read.
        ended: ``"closed"`` or ``"stopped"``, if it was.
    """

    completion = usage = error = None
    chunks = offset = 0

    def __init__(self, frames: Iterable[tuple[float, Frame] | None]) -> None:
        self._begin = asyncio.get_running_loop().time()
        self._coming = deque(frames)
        self._wake = asyncio.Event()
        self.taken = 0
        self.ended: str | None = None

    async def read(self) -> list[Frame]:
        while not (frames := self._due()) and self._coming and self.ended is None:
            item = self._coming[0]
            seconds = None if item is None else self._begin + item[0] - asyncio.get_running_loop().time()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), seconds)
        return frames

    def _due(self) -> list[Frame]:
        now = asyncio.get_running_loop().time() - self._begin
        frames: list[Frame] = []
        while self._coming and (item := self._coming[0]) is not None and item[0] <= now + 1e-9:
            self._coming.popleft()
            self.taken += 1
            whole = merged(frames[-1], item[1]) if frames else None
            frames[-1:] = [*frames[-1:], item[1]] if whole is None else [whole]
        return frames

    def stop(self) -> None:
        self.ended = "stopped"
        self._wake.set()

    async def aclose(self) -> None:
        self.ended = self.ended or "closed"
        self._wake.set()
