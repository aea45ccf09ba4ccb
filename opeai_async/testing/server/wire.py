"""The server's end of one connection, in bytes, for answers that an HTTP library would not send.

aiohttp has read the request and waits for the handler; what is written here goes past its writer to the transport. A
handler that has closed the connection, or waits for the client to do it, ends by being cancelled, which aiohttp does
once the connection is gone (``handler_cancellation=True``).
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from array import array
from collections.abc import Mapping
from typing import Literal, Never

from aiohttp import web

from opeai_async.testing.faults.fault import http_chunk
from opeai_async.testing.quirks.quirk import Speech
from opeai_async.testing.server.record import Outcome, RecordedRequest

_REASONS = {200: b"OK", 429: b"Too Many Requests", 502: b"Bad Gateway"}


class Wire:
    """The writing end of one connection, which also closes it.

    Args:
        request: The request whose connection it is.
        record: The record in which status, chunks and outcome are noted.
        speech: The whole answer.
        sent: The number of its parts that arrive whole before anything breaks. Of a body in one part, half arrives,
            unless *sent* is 0.
        gap_s: Seconds between two repetitions of what a fault repeats.

    Attributes:
        is_stream: True if the answer is a stream of events.
        parts: The whole answer; each item is an event of a stream.
        before: The items that arrive before anything breaks.
        rest: The item that comes next, or what is left of it.
        gap_s: Seconds between two repetitions.
    """

    def __init__(
        self,
        request: web.BaseRequest,
        record: RecordedRequest,
        speech: Speech | None = None,
        sent: int = 0,
        gap_s: float = 0.0,
    ) -> None:
        self._request = request
        self._record = record
        self._speech = speech or Speech((), {})
        self.gap_s = gap_s
        self.parts: tuple[bytes, ...] = self._speech.parts
        self.is_stream: bool = not self._speech.is_whole
        self.before: tuple[bytes, ...]
        self.rest: bytes
        if self.is_stream:
            self.before, self.rest = self.parts[:sent], b"".join(self.parts[sent : sent + 1])
        else:
            body = b"".join(self.parts)
            size = len(body) // 2 if sent else 0
            self.before, self.rest = ((body[:size],) if size else ()), body[size:]

    # --- bytes ------------------------------------------------------------------------------------------------------

    async def send(self, *data: bytes) -> None:
        """Write *data* as it is, and wait while the client takes nothing.

        Raises:
            ConnectionError: If the connection is gone.
        """
        transport = self._transport()
        for item in data:
            transport.write(item)
        await self._request.writer.drain()

    async def send_head(self, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Write a whole head. The body is chunked, unless *headers* have another framing."""
        given = {"x-request-id": self._record.request_id, "content-type": self.content_type, **(headers or {})}
        if not given.keys() & {"content-length", "connection", "transfer-encoding"}:
            given["transfer-encoding"] = "chunked"
        self._record.status = status
        lines = b"".join(b"%b: %b\r\n" % (name.encode(), value.encode()) for name, value in given.items())
        await self.send(b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, _REASONS.get(status, b"Scripted"), lines))

    async def send_parts(self, *parts: bytes) -> None:
        """Write each of *parts* as an HTTP chunk of its own, and count it."""
        for part in parts:
            await self.send(http_chunk(part))
            self._record.chunks_sent += 1

    async def begin(self, headers: Mapping[str, str] | None = None) -> None:
        """Write a good head, and the part of a good body that shall arrive."""
        await self.send_head(200, headers)
        await self.send_parts(*self.before)

    async def send_whole(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Write a good response that holds *body*, and note that it is complete."""
        await self.send_head(status, {"content-length": str(len(body)), **(headers or {})})
        await self.send(body)
        self._record.chunks_sent += 1
        self.end("completed")

    # --- what the answer is -----------------------------------------------------------------------------------------

    @property
    def content_type(self) -> str:
        """The media type of the good answer."""
        return self._speech.headers.get("content-type") or "application/octet-stream"

    @property
    def port(self) -> int:
        """The server's own port."""
        port: int = self._transport().get_extra_info("sockname")[1]
        return port

    def item(self, payload: bytes) -> bytes:
        """Return *payload* as an event of a stream, or as a body by itself."""
        return b"data: " + payload + b"\n\n" if self.is_stream else payload

    # --- the end ----------------------------------------------------------------------------------------------------

    def end(self, outcome: Outcome) -> None:
        """Note how the exchange ended; the first call counts."""
        self._record.end(outcome)

    def release(self) -> web.StreamResponse:
        """Note that the answer is whole; return what the handler must return to get the next request."""
        self.end("completed")
        return _AlreadySent()

    async def pause(self) -> None:
        """Wait for one gap."""
        await asyncio.sleep(self.gap_s)

    async def hold(self) -> Never:
        """Keep the connection open, in silence, until the client closes it."""
        while True:
            await asyncio.Event().wait()

    async def hang_up(self, how: Literal["fin", "rst"], outcome: Outcome = "cut") -> Never:
        """Close the connection once all that was written has left this process; it does not return."""
        transport = self._transport()
        # With a limit of 0, drain() waits until nothing is buffered, and not only little.
        transport.set_write_buffer_limits(high=0)
        await self._request.writer.drain()
        if how == "rst":
            await _prepare_reset(transport.get_extra_info("socket"))
        self.end(outcome)
        transport.close()
        await self.hold()

    def _transport(self) -> asyncio.Transport:
        transport = self._request.transport
        if transport is None or transport.is_closing():
            # A closing transport takes every byte and blocks nobody: a loop that writes would never end.
            raise ConnectionResetError("the client has closed the connection")
        return transport


class _AlreadySent(web.StreamResponse):
    """A response whose bytes went past aiohttp, so that nothing is left to prepare, to write or to end."""

    async def prepare(self, request: web.BaseRequest) -> None:
        self._keep_alive = True

    async def write_eof(self, data: bytes = b"") -> None:
        pass


async def _prepare_reset(sock: socket.socket) -> None:
    """Make the socket end with RST, as one that lingers for zero seconds does.

    A reset throws away what the peer's system has not taken yet, so that must be awaited, or a script would send now
    more and now less than it says.
    """
    while _untaken_bytes(sock):  # noqa: ASYNC110 - nothing tells when the queue is empty
        await asyncio.sleep(0.001)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _untaken_bytes(sock: socket.socket) -> int:
    """Return the number of bytes in the system's send queue; 0 if the system does not say."""
    if sys.platform != "linux":  # pragma: no cover
        return 0
    import fcntl
    import termios

    count = array("i", [0])
    fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, count)
    return count[0]
