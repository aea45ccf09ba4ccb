"""The events of one response, each in turn: frames, chunks, pings, and the end."""

from __future__ import annotations

import asyncio
import math
import re
from typing import Any, Protocol

import msgspec

from opeai_async._core.answer.outcome import TRUNCATED, Outcome
from opeai_async._core.frames.encoders import FrameEncoder, Message
from opeai_async._core.frames.resend_chunks import ChunkEvents
from opeai_async._io.stream.stream import ChunkStream
from opeai_async._relay.frames import FrameSource, is_last
from opeai_async.errors import ConcurrentReadError, ConfigurationError, OpeAIError, StreamError, StreamTruncatedError
from opeai_async.types.frames import Frame, PingFrame

PING = b": ping\n\n"
_LINE_END = re.compile(rb"\r\n|\r|\n")


class Bell:
    """Wakes the one who waits for a read, when that is done or when it is time.

    ``asyncio.wait`` would do, for twice what everything else here costs per event. There is one timer, which is set
    again only when it rings too early, and not for each wait.
    """

    def __init__(self) -> None:
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf

    async def wait(self, read: asyncio.Task[bytes], due: float | None) -> None:
        """Until *read* is done, or loop time *due* has come."""
        if read.done():
            return
        loop = asyncio.get_running_loop()
        self._waiter, self._due = loop.create_future(), math.inf if due is None else due
        if self._timer is None and due is not None:
            self._timer = loop.call_at(due, self._on_timer, loop, due)
        try:
            await self._waiter
        finally:
            self._waiter = None

    def ring(self, _: object = None) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _on_timer(self, loop: asyncio.AbstractEventLoop, set_for: float) -> None:
        self._timer = None
        if self._waiter is None:
            return
        if self._due <= set_for:
            self.ring()
        else:
            self._timer = loop.call_at(self._due, self._on_timer, loop, self._due)


class Feed(Protocol):
    """Where the bytes come from."""

    @property
    def is_over(self) -> bool:
        """Whether the last bytes were read."""
        ...

    async def read(self) -> bytes:
        """All events that are there; empty if what came is none."""
        ...

    async def aclose(self) -> None:
        """Nobody wants to read any more. May be called again."""
        ...


class FrameFeed:
    """Frames as events."""

    def __init__(self, source: FrameSource, encode: FrameEncoder) -> None:
        self.is_over = False
        self._source = source
        self._encode = encode

    async def read(self) -> bytes:
        frames = await self._source.read()
        self.is_over = not frames or is_last(frames[-1])
        events = [event for frame in frames for event in self._events_of(frame)]
        end: str | None = getattr(self._encode, "sse_end", None)
        if self.is_over and end is not None:
            events.append(_event(end))
        return b"".join(events)

    def _events_of(self, frame: Frame) -> list[bytes]:
        if isinstance(frame, PingFrame):
            return [PING]
        encoded = self._encode(frame)
        if encoded is None:
            return []
        messages = encoded if isinstance(encoded, list) else [encoded]
        events = [_event(message) for message in messages]
        if events:  # whoever has the last of them has the whole frame
            events[-1] = b"id: %d\n%b" % (frame.offset, events[-1])
        return events

    async def aclose(self) -> None:
        await self._source.aclose()


class ChunkFeed:
    """Chunks as the API's own events."""

    def __init__(self, stream: ChunkStream[Any], events: ChunkEvents) -> None:
        self.is_over = False
        self._stream = stream
        self._batches = stream.batches()
        self._events = events

    async def read(self) -> bytes:
        try:
            async for batch in self._batches:
                return self._events.add(batch)
        except (ConcurrentReadError, ConfigurationError):
            raise
        except OpeAIError as exc:
            return self._end(exc)
        return self._end(_END_ERRORS.get(self._stream.outcome))

    def _end(self, error: OpeAIError | None) -> bytes:
        self.is_over = True
        return self._events.done() if error is None else self._events.failed(error)

    async def aclose(self) -> None:
        await self._stream.aclose()


# What the client is told of an answer that is not whole, although reading it has raised nothing.
_END_ERRORS: dict[Outcome, OpeAIError] = {
    Outcome.TRUNCATED: StreamTruncatedError(TRUNCATED),
    Outcome.CANCELLED: StreamError("the stream was cancelled"),
}


def _event(message: Message) -> bytes:
    """An event whose data is *message*."""
    if isinstance(message, str):
        data = message.encode("utf-8", "replace")
    else:
        data = message if isinstance(message, bytes) else msgspec.json.encode(message)
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(_LINE_END.split(data))
    return b"data: %b\n\n" % data
