"""An answer as server-sent events: for browsers as frames, for clients of this API as its own chunks.

Both are async iterators of bytes, for whatever a framework takes as a streaming body. The head of the response is sent
before the first of them, so an answer that fails ends with an event that says so, and not with an exception.

A read is a task of its own, because a ping has to go out while it waits, and must not cancel it; that task does not
know the iterator, so an iterator that is dropped is collected at once, although a read is waiting. However the reader
goes (``aclose``, a cancelled wait, dropped), the upstream is closed by another task, which no one can cancel.
"""

from __future__ import annotations

import asyncio
import functools
import math
import re
import time
import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol, Self, cast

import msgspec

from opeai_async import draining
from opeai_async._core.chunk_events import ChunkEvents
from opeai_async._core.frame_codecs import FrameEncoder, Message, encode_json
from opeai_async._core.outcome import TRUNCATED, Outcome
from opeai_async._io.loop import running_loop
from opeai_async._io.reader import on_loop
from opeai_async._io.stream import ChunkStream
from opeai_async.errors import (
    ConcurrentReadError,
    ConfigurationError,
    OpeAIError,
    StreamError,
    StreamTruncatedError,
)
from opeai_async.frames import Framed, FrameSource, frames_of, is_last
from opeai_async.types.frames import Frame, PingFrame

SSE_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache",
        "x-accel-buffering": "no",  # nginx would collect events until its buffer is full
    }
)
"""The headers of a response of server-sent events."""

UI_MESSAGE_HEADERS: Mapping[str, str] = MappingProxyType({**SSE_HEADERS, "x-vercel-ai-ui-message-stream": "v1"})
"""The headers of a response that ``UIMessageEncoder`` encodes."""

_PING = b": ping\n\n"
_LINE_END = re.compile(rb"\r\n|\r|\n")

# A task that only the loop knows may be collected before it has run.
_closing: set[asyncio.Task[None]] = set()


def sse(
    source: FrameSource | ChunkStream[Any] | Framed,
    *,
    ping: float | None = 15.0,
    window: float = 0.0,
    encode: FrameEncoder = encode_json,
) -> EventStream:
    """The frames of an answer as server-sent events; an async iterator of bytes.

    Give it to Starlette's ``StreamingResponse`` or Quart's ``Response``, or write what it yields to aiohttp's
    ``StreamResponse``, with ``SSE_HEADERS``. Each item holds all events that were there. An event's id is the frame's
    offset, so a browser that reconnects says in ``Last-Event-ID`` where it stopped.

    When the reader goes, the upstream is closed: it calls ``aclose``, is cancelled while it waits, or drops this. That
    is in the hand of the framework: aiohttp notices that a client has gone while nothing is sent only if its runner
    was made with ``handler_cancellation=True``, and an ASGI server that says it speaks version 2.4 of HTTP may not;
    then it is noticed at the next event, which may be a ping. Quart ends a response after a minute, unless its
    ``timeout`` is None.

    Args:
        source: A stream, open or not, which nobody else may read from now on; a run; or another source of frames.
            Open a stream before, to answer with a status of your own if that fails.
        ping: Seconds without an event after which a comment is sent, which browsers ignore; None for none.
        window: Seconds after an event in which further ones are collected; 0 sends each when it is there.
        encode: Makes the data of a frame's events; an instance of ``UIMessageEncoder``, for one.

    Raises:
        ConfigurationError: If a number is out of range; from the iterator, if the stream was opened by another event
            loop.
        ConcurrentReadError: From the iterator, if another task is reading.
    """
    return EventStream(_FrameFeed(frames_of(source), encode), ping=ping, window=window)


def sse_chunks(
    stream: ChunkStream[Any],
    *,
    ping: float | None = 15.0,
    window: float = 0.0,
    model: str | None = None,
    include_usage: bool = False,
    extra: bool = True,
) -> EventStream:
    """The chunks of a stream as the API's own server-sent events, for clients of your gateway; as ``sse`` in all else.

    Whatever dialect the upstream speaks, the client gets ``chat.completion.chunk`` objects as the API documents them:
    with id, object, created and model, roles and finish_reasons once per choice, tool calls by position with id and
    name in their first piece, reasoning as ``reasoning_content``; then ``[DONE]``, if the answer is whole. One that
    failed or was cut ends with ``{"error": {...}}`` and without ``[DONE]``.

    On one core, an event costs 0.8 us, where decoding its chunk costs 1.6 us; each wake-up costs 40 us beside that, for
    a task that pings do not cancel.

    Args:
        stream: Open or not; nobody else may read it from now on.
        ping: Seconds without an event after which a comment is sent, which clients ignore; None for none.
        window: Seconds after an event in which further ones are collected; 0 sends each when it is there.
        model: The name of the model to tell; None for what the upstream says.
        include_usage: Whether to tell the token counts: what the client's ``stream_options`` asked for.
        extra: Whether vendor fields go on to the client.

    Raises:
        ConfigurationError: If *stream* is no stream, or a number is out of range.
    """
    given: object = stream
    if not isinstance(given, ChunkStream):  # pyright: ignore[reportUnnecessaryIsInstance]
        frames_of(cast("FrameSource", given))  # says what it is, if it has no frames either
        raise ConfigurationError("the source has frames, but no chunks, expected a stream", hint="use sse(...)")
    events = ChunkEvents(
        completion_id=f"chatcmpl-{uuid.uuid4().hex}",
        created=int(time.time()),
        model=model,
        include_usage=include_usage,
        keep_extra=extra,
    )
    return EventStream(_ChunkFeed(stream, events), ping=ping, window=window)


class EventStream:
    """Server-sent events as bytes, each item one or more whole events; made by ``sse`` and ``sse_chunks``."""

    def __init__(self, feed: _Feed, *, ping: float | None, window: float) -> None:
        if not (window >= 0 and (ping is None or ping > 0)):
            raise ConfigurationError(f"ping={ping}, window={window}: expected seconds, 0 only for window")
        self._feed = feed
        self._ping = ping
        self._window = window
        self._loop = _running_loop()
        self._read: asyncio.Task[bytes] | None = None
        self._bell = _Bell()
        self._sent_at: float | None = None
        self._is_waiting = False
        self._is_closed = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop in which it is read; None before."""
        return self._loop

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The events that are there, or a ping; waits for one of them."""
        if self._is_waiting:
            raise ConcurrentReadError("another task is reading these events already")
        self._loop = running_loop()
        self._is_waiting = True
        if self._sent_at is None:
            draining.began(self)
        try:
            data = await self._next()
        except BaseException:  # cancelled, most of all
            self._close()
            raise
        finally:
            self._is_waiting = False
        if not data:
            await self.aclose()
            raise StopAsyncIteration
        self._sent_at = self._loop.time()
        return data

    async def _next(self) -> bytes:
        """What to send; empty at the end."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._sent_at is None:
            self._sent_at = now
        elif self._window:
            await asyncio.sleep(self._sent_at + self._window - now)
        # The last read may have come to its end while nobody waited for it.
        while not self._is_closed and (self._read is not None or not self._feed.is_over):
            if self._read is None:
                self._read = loop.create_task(self._feed.read())
                self._read.add_done_callback(self._bell.ring)
            await self._bell.wait(self._read, None if self._ping is None else self._sent_at + self._ping)
            if not self._read.done():
                return _PING
            read, self._read = self._read, None
            if read.cancelled():  # by aclose
                break
            if data := read.result():
                return data
        return b""

    async def aclose(self) -> None:
        """Close the upstream, if the answer is not at its end. May be called again."""
        if (closing := self._close()) is not None:
            await asyncio.shield(closing)

    def _close(self) -> asyncio.Task[None] | None:
        if self._is_closed:
            return None
        self._is_closed = True
        draining.ended(self)
        return _begin_closing(self._feed, self._read, self._bell)

    def __del__(self) -> None:
        loop = getattr(self, "_loop", None)  # there is none if it was never made
        if loop is not None and not self._is_closed:
            on_loop(loop, functools.partial(_close_dropped, loop, self._feed, self._read, self._bell))


class _Bell:
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


class _Feed(Protocol):
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


class _FrameFeed:
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
            return [_PING]
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


class _ChunkFeed:
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


def _close_dropped(loop: asyncio.AbstractEventLoop, feed: _Feed, read: asyncio.Task[bytes] | None, bell: _Bell) -> None:
    if not loop.is_closed():
        _begin_closing(feed, read, bell)


def _begin_closing(feed: _Feed, read: asyncio.Task[bytes] | None, bell: _Bell) -> asyncio.Task[None]:
    bell.stop()
    task = asyncio.get_running_loop().create_task(_closed(feed, read))
    _closing.add(task)
    task.add_done_callback(_closing.discard)
    return task


async def _closed(feed: _Feed, read: asyncio.Task[bytes] | None) -> None:
    try:
        if read is not None:
            read.cancel()
            await asyncio.wait((read,))
            if not read.cancelled():
                read.exception()  # nobody is left to hear of it
    finally:
        await feed.aclose()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
