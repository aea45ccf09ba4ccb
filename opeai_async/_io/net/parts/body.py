"""The body of a response, read all at once in place of chunk by chunk.

aiohttp keeps a body as a queue of HTTP chunks, notes where each of them ends, and on the way out takes each by itself,
looks whether to read on, and enters its parser: 1.1 us per HTTP chunk (seen on 3.14.5), where a server that flushes
each token sends one chunk per token. All that is for readers who want single lines, chunks or bytes. This one wants all
that is there, so a chunk is noted by one ``append``, and what is there is taken by one ``join``.

What is overridden here is not public. So a self-test looks once whether this aiohttp works as supposed; if it does not,
and for a compressed body, its own reader stays in place, and all is the same but slower.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from aiohttp.http_parser import RawResponseMessage


class Body(aiohttp.StreamReader):
    """aiohttp's reader of a body, reduced to ``arrival()`` and ``read_nowait()``.

    It holds about ``_low_water`` bytes at most, so that what is read at once is still in the processor's cache when it
    is decoded.
    """

    __slots__ = ()  # an object of aiohttp's becomes one of these, so nothing can be added
    _cursor: int
    total_bytes: int

    def begin_http_chunk_receiving(self) -> None:
        """Ignore where an HTTP chunk begins; called by aiohttp's parser."""

    def end_http_chunk_receiving(self) -> None:
        """Ignore where an HTTP chunk ends; called by aiohttp's parser."""

    def arrival(self) -> asyncio.Future[None] | None:
        """Return a future that is done when there is something to read or to raise; None if there is now.

        One task waits for it.
        """
        if self._buffer or self._eof or self._exception is not None:
            return None
        self._waiter = waiter = self._loop.create_future()
        return waiter

    def set_exception(self, exc: BaseException, *cause: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Note why the body broke off; called by aiohttp."""
        # ``read_nowait`` raises it: a waiter that raised too would have to be caught by each caller.
        waiter, self._waiter = self._waiter, None
        super().set_exception(exc, *cause)
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def feed_data(self, data: bytes, size: int = 0) -> bool:
        """Take bytes from aiohttp's parser; return False: nothing is held back.

        The parser decompresses on only if it is told True, and a compressed body never becomes a `Body`.
        """
        size = len(data)
        self._buffer.append(data)
        self.total_bytes += size
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)
            if size <= self._low_water:
                return False  # where somebody has waited, this is all there is
        if self.total_bytes - self._cursor > self._low_water or len(self._buffer) > self._high_water_chunks:
            self._protocol.pause_reading()
        return False

    def read_nowait(self, n: int = -1) -> bytes:
        """Return all there is, whatever *n* says; empty if there is nothing."""
        if self._exception is not None:
            raise self._exception
        buffer = self._buffer
        if not buffer:
            return b""
        data = buffer[0] if len(buffer) == 1 else b"".join(buffer)
        buffer.clear()
        self._cursor = self.total_bytes
        if self._protocol._reading_paused and not self._eof:  # pyright: ignore[reportPrivateUsage]
            self._protocol.resume_reading()  # which may bring more
        return data


def take_over(message: RawResponseMessage, payload: Any) -> None:
    """Make *payload* a `Body`, if this aiohttp is known and nothing has come of it yet."""
    # Exactly its own class: aiohttp has a shared empty reader for bodiless answers, which must stay what it is.
    if (
        is_known
        and type(payload) is aiohttp.StreamReader
        and message.compression is None
        and not payload.total_bytes
        and not payload.is_eof()
    ):
        payload.__class__ = Body
        payload._buffer = []  # type: ignore[assignment]  # an empty deque takes 600 bytes more


class _Waiter:
    """A stand-in for a future, in the self-test."""

    is_done = False

    def done(self) -> bool:
        return self.is_done

    def set_result(self, _: object) -> None:
        self.is_done = True


class _Protocol:
    """A stand-in for a connection and its loop, in the self-test."""

    _reading_paused = False

    def create_future(self) -> _Waiter:
        return _Waiter()

    def pause_reading(self) -> None:
        self._reading_paused = True

    def resume_reading(self, **_: object) -> None:
        self._reading_paused = False


def _works() -> bool:
    """Tell whether this aiohttp's reader, made a `Body`, hands out all that it was fed, pauses, and shows its end."""
    stand_in: Any = _Protocol()
    try:
        reader: Any = aiohttp.StreamReader(stand_in, 3, loop=stand_in)
        reader.__class__ = Body
        reader.begin_http_chunk_receiving()
        fed = [reader.feed_data(part, len(part)) for part in (b"ab", b"cd")]
        paused, data = stand_in._reading_paused, reader.read_nowait()
        resumed, waiter = not stand_in._reading_paused, reader.arrival()
        reader.feed_eof()
        is_heard = waiter.done() and reader.arrival() is None
        return (fed, paused, data, resumed, is_heard) == ([False, False], True, b"abcd", True, True)
    except Exception:  # noqa: BLE001 - whatever another version may do
        return False


is_known = _works()
