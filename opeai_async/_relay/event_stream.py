"""An answer as server-sent events: for browsers as frames (`sse`), for clients of this API as chunks (`sse_chunks`).

Both are async iterators of bytes, for whatever a framework takes as a streaming body. The head of the response is sent
before the first of them, so an answer that fails ends with an event that says so, and not with an exception::

    feed (frames or chunks) -> read, a task -> EventStream.__anext__ -> framework
                                  bell: wakes it when the read is done, or a ping is due

A read is a task of its own, because a ping has to go out while it waits, and must not cancel it; that task does not
know the iterator, so an iterator that is dropped is collected at once, although a read is waiting. However the reader
leaves (``aclose``, a cancelled wait, dropped), the upstream is closed by another task, which nobody can cancel.
"""

from __future__ import annotations

import asyncio
import functools
import time
import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, cast

from opeai_async._core.frames.encoders import FrameEncoder, encode_json
from opeai_async._core.frames.resend_chunks import ChunkEvents
from opeai_async._io.loops import on_loop, running_loop
from opeai_async._io.stream.stream import ChunkStream
from opeai_async._relay import draining
from opeai_async._relay.feeds import PING, Bell, ChunkFeed, FrameFeed
from opeai_async._relay.frames import Framed, FrameSource, frames_of
from opeai_async.errors import ConcurrentReadError, ConfigurationError

if TYPE_CHECKING:
    from opeai_async._relay.feeds import Feed


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


# A task that only the loop knows may be collected before it has run.
_closing: set[asyncio.Task[None]] = set()


def sse(
    source: FrameSource | ChunkStream[Any] | Framed,
    *,
    ping: float | None = 15.0,
    window: float = 0.0,
    encode: FrameEncoder = encode_json,
) -> EventStream:
    """Return the frames of an answer as server-sent events: an async iterator of bytes.

    Give it to Starlette's ``StreamingResponse`` or Quart's ``Response``, or write what it yields to aiohttp's
    ``StreamResponse``, with ``SSE_HEADERS``. Each item holds all events that were there. An event's id is the frame's
    offset, so a browser that reconnects says in ``Last-Event-ID`` where it stopped.

    The upstream is closed when the framework stops reading: it calls ``aclose``, cancels a wait, or drops the iterator.
    The framework decides when: aiohttp sees that a client has gone while nothing is sent only if its runner was made
    with ``handler_cancellation=True``, and an ASGI server that says it speaks version 2.4 of HTTP may not; then it is
    seen at the next event, which may be a ping. Quart ends a response after a minute, unless its ``timeout`` is None.

    Args:
        source: A stream, open or not, which nobody else may read from now on; a run; or another source of frames.
            Open a stream before, to answer with a status of your own if that fails.
        ping: Seconds without an event after which a comment is sent, which browsers ignore; None sends none.
        window: Seconds after an event in which further ones are collected; 0 sends each when it is there.
        encode: Makes the data of a frame's events; an instance of ``UIMessageEncoder``, for one.

    Raises:
        ConfigurationError: If a number is out of range; from the iterator, if the stream was opened by another event
            loop.
        ConcurrentReadError: From the iterator, if another task is reading.
    """
    return EventStream(FrameFeed(frames_of(source), encode), ping=ping, window=window)


def sse_chunks(
    stream: ChunkStream[Any],
    *,
    ping: float | None = 15.0,
    window: float = 0.0,
    model: str | None = None,
    include_usage: bool = False,
    extra: bool = True,
) -> EventStream:
    """Return the chunks of a stream as the API's own server-sent events, for clients of a gateway; else like ``sse``.

    Whatever dialect the upstream speaks, the client gets ``chat.completion.chunk`` objects as the API documents them:
    with id, object, created and model, roles and finish_reasons once per choice, tool calls by position with id and
    name in their first piece, reasoning as ``reasoning_content``; then ``[DONE]``, if the answer is whole. An answer
    that failed or was cut ends with ``{"error": {...}}`` and without ``[DONE]``.

    On one core, an event costs 0.8 us, where decoding its chunk costs 1.6 us; each wake-up costs 40 us beside that, for
    a task that pings do not cancel.

    Args:
        stream: Open or not; nobody else may read it from now on.
        ping: Seconds without an event after which a comment is sent, which clients ignore; None sends none.
        window: Seconds after an event in which further ones are collected; 0 sends each when it is there.
        model: The name of the model to send; None for the name that the upstream sends.
        include_usage: True to send the token counts, as the client's ``stream_options`` asked for.
        extra: False to keep vendor fields from the client.

    Raises:
        ConfigurationError: If *stream* is not a stream, or a number is out of range.
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
    return EventStream(ChunkFeed(stream, events), ping=ping, window=window)


class EventStream:
    """Server-sent events as bytes, each item one or more whole events; made by ``sse`` and ``sse_chunks``.

    Once it has begun, one read at a time is under way; a ping leaves it waiting, and the next item is its result.
    """

    def __init__(self, feed: Feed, *, ping: float | None, window: float) -> None:
        if not (window >= 0 and (ping is None or ping > 0)):
            raise ConfigurationError(f"ping={ping}, window={window}: expected seconds, 0 only for window")
        # The source of the bytes; seconds to a ping (None for never); seconds in which events are collected.
        self._feed = feed
        self._ping = ping
        self._window = window
        # None if it was made outside of a loop, as in a worker thread; ``__anext__`` sets it.
        self._loop = _running_loop()
        # The read that is under way, or done and not returned; None between two reads.
        self._read: asyncio.Task[bytes] | None = None
        # Wakes ``_next`` when the read is done or a ping is due.
        self._bell = Bell()
        # The loop time of the last item; None before the first ``__anext__``.
        self._sent_at: float | None = None
        # True while a task is in ``__anext__``: a second one is refused.
        self._is_waiting = False
        # True once the upstream is closed, or is being closed by a task.
        self._is_closed = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop in which it is read; None if that is not known yet."""
        return self._loop

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """Wait for events or for the time of a ping, and return them."""
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
        """Wait for what to send next, and return it; empty at the end."""
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
                return PING
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


# An unread task keeps its feed alive, so a dropped iterator has to close both; if its loop is closed, nothing runs.
def _close_dropped(loop: asyncio.AbstractEventLoop, feed: Feed, read: asyncio.Task[bytes] | None, bell: Bell) -> None:
    if not loop.is_closed():
        _begin_closing(feed, read, bell)


def _begin_closing(feed: Feed, read: asyncio.Task[bytes] | None, bell: Bell) -> asyncio.Task[None]:
    bell.stop()
    task = asyncio.get_running_loop().create_task(_closed(feed, read))
    _closing.add(task)
    task.add_done_callback(_closing.discard)
    return task


async def _closed(feed: Feed, read: asyncio.Task[bytes] | None) -> None:
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
