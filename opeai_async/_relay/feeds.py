"""The two sources of an `EventStream`, and the bell that wakes it.

A *feed* reads frames or chunks, and returns them as the bytes of whole events; the last ones say how the answer ended.
"""

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
    """An alarm for one waiting task: it rings when a read is done, or when its time has come.

    The alternative, ``asyncio.wait``, costs twice as much per event as everything else here. There is one timer for all
    waits, which is set again only when it rings too early.
    """

    def __init__(self) -> None:
        # None while nobody waits.
        self._waiter: asyncio.Future[None] | None = None
        # Set for the due time of an earlier wait, perhaps; ``_due`` is that of the present one.
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf

    async def wait(self, read: asyncio.Task[bytes], due: float | None) -> None:
        """Return when *read* is done, or at loop time *due*."""
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
        """Wake the waiting task; called when the read is done."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def stop(self) -> None:
        """Cancel the timer, because nobody will wait again."""
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
    """A source of bytes for an `EventStream`."""

    @property
    def is_over(self) -> bool:
        """True once the last bytes were read."""
        ...

    async def read(self) -> bytes:
        """Wait for events, and return all that are there; empty if what came makes no event."""
        ...

    async def aclose(self) -> None:
        """Close the upstream, because nobody will read again. May be called again."""
        ...


class FrameFeed:
    """A feed of frames: each frame is one event, with its offset as the event's id."""

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
        # The id stands on the last event of the frame: a browser that has seen the id has seen the whole frame.
        if events:
            events[-1] = b"id: %d\n%b" % (frame.offset, events[-1])
        return events

    async def aclose(self) -> None:
        await self._source.aclose()


class ChunkFeed:
    """A feed of chunks, as the API's own events."""

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


# Errors for the client about an answer that is not whole, although reading it raised nothing.
_END_ERRORS: dict[Outcome, OpeAIError] = {
    Outcome.TRUNCATED: StreamTruncatedError(TRUNCATED),
    Outcome.CANCELLED: StreamError("the stream was cancelled"),
}


def _event(message: Message) -> bytes:
    """Return an event whose data is *message*."""
    # A lone surrogate, which JSON from a model may hold, has no UTF-8 form.
    if isinstance(message, str):
        data = message.encode("utf-8", "replace")
    else:
        data = message if isinstance(message, bytes) else msgspec.json.encode(message)
    # WHATWG SSE 9.2.6: a line end in the data ends the field, so each line is a field of its own.
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(_LINE_END.split(data))
    return b"data: %b\n\n" % data
