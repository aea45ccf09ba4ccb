"""Plays an answer on a connection: the only file here that writes to a socket.

aiohttp frames everything that is well-formed. Where the script asks for a broken response, the bytes go past aiohttp to
the transport, and the handler then waits to be cancelled, which aiohttp does once the connection is gone
(``handler_cancellation=True``): a connection we closed and one the client closed end on the same path.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from array import array
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Never

import msgspec
from aiohttp import web

from opeai_async.testing import script
from opeai_async.testing.quirk import Speech
from opeai_async.testing.record import Outcome, RecordedRequest
from opeai_async.testing.reply import Answer, Failure, Raw, Reply
from opeai_async.testing.speech import speech_of

_EVENT_STREAM = "text/event-stream; charset=utf-8"
_JSON = "application/json"


class Player:
    """The answering side of one request.

    Args:
        request: The request, its body read.
        record: Where status, chunks and outcome are noted.
        token_delay_s: Seconds between two chunks where a reply does not say.
    """

    def __init__(self, request: web.BaseRequest, record: RecordedRequest, *, token_delay_s: float = 0.0) -> None:
        self._request = request
        self._record = record
        self._token_delay_s = token_delay_s

    async def play(self, answer: Answer, envelope: script.Envelope) -> web.StreamResponse:
        """Send *answer*, whole or as broken as it asks for.

        Raises:
            asyncio.CancelledError: When the connection was closed, from whichever side; nothing was left to send.
            ConnectionError: The same, noticed while writing.
        """
        await _sleep(answer.delay_s)
        if isinstance(answer, Reply):
            speech = speech_of(answer, self._record.json, envelope)
            if speech.headers.get("content-type") is None:
                return await self._play_without_type(answer, speech)
            play = self._play_body if speech.is_whole else self._play_stream
            return await play(answer, speech)
        if isinstance(answer, Failure):
            return await self.send_json(answer.status, answer.body(), answer.headers)
        if isinstance(answer, Raw):
            return await self._play_raw(answer)
        return await self._hang_up(answer.how, "dropped")

    async def send_json(
        self, status: int, value: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> web.StreamResponse:
        """Send one JSON body."""
        body = msgspec.json.encode(value)
        response = await self._open(status, {"content-type": _JSON, "content-length": str(len(body))}, headers)
        await self._send(response, body)
        return await self._finish(response)

    async def _play_stream(self, reply: Reply, speech: Speech) -> web.StreamResponse:
        sent = len(speech.parts) if reply.after is None or reply.ending == "finish" else reply.after
        delay_s = self._token_delay_s if reply.token_delay_s is None else reply.token_delay_s
        response = await self._open(speech.status, {**speech.headers, "cache-control": "no-cache"}, reply.headers)
        for k, part in enumerate(speech.parts[:sent]):
            if part == script.DONE:
                await response.write(part)
                continue
            if k:
                await _sleep(delay_s)
            await self._send(response, part)
        if speech.held_open:
            await _until_cancelled()
        return await self._end(reply, response, (speech.parts[sent:] or (script.DONE,))[0])

    async def _play_body(self, reply: Reply, speech: Speech) -> web.StreamResponse:
        # A clean end of half a body needs chunked framing: a Content-Length would give it away.
        size = sum(map(len, speech.parts))
        framing = {} if reply.ending == "clean" or speech.held_open else {"content-length": str(size)}
        response = await self._open(speech.status, {**speech.headers, **framing}, reply.headers)
        if reply.ending != "finish":
            await response.write(b"".join(speech.parts)[: size // 2] if reply.after != 0 else b"")
            return await self._end(reply, response, b"")
        await self._send_all(response, speech.parts, 0)
        if speech.held_open:
            await _until_cancelled()
        return await self._finish(response)

    async def _play_without_type(self, reply: Reply, speech: Speech) -> Never:
        """Send a response without content-type, which aiohttp would add; the body ends with the connection."""
        headers = {"x-request-id": self._record.request_id, "connection": "close", **speech.headers, **reply.headers}
        lines = [f"{name}: {value}\r\n" for name, value in headers.items() if value is not None]
        transport = self._transport()
        transport.write(f"HTTP/1.1 {speech.status} Scripted\r\n{''.join(lines)}\r\n".encode())
        self._record.status = speech.status
        for part in speech.parts:
            transport.write(part)
            self._record.chunks_sent += 1
        if speech.held_open or reply.ending == "stall":
            await _until_cancelled()
        await self._hang_up(
            "rst" if reply.ending == "rst" else "fin", "completed" if reply.ending == "finish" else "cut"
        )

    async def _play_raw(self, raw: Raw) -> web.StreamResponse:
        kind = _EVENT_STREAM if self._record.json.get("stream") else _JSON
        response = await self._open(raw.status, {"content-type": kind}, raw.headers)
        await self._send_all(response, raw.chunks, raw.chunk_delay_s)
        if (response.content_length or 0) > sum(map(len, raw.chunks)):
            await self._hang_up("fin", "cut")  # more was announced: do not let the client wait for it
        return await self._finish(response)

    # --- the pieces of a response -----------------------------------------------------------------------------------

    async def _open(
        self, status: int, headers: Mapping[str, str | None], more: Mapping[str, str] | None
    ) -> web.StreamResponse:
        given = {name: value for name, value in headers.items() if value is not None}
        own = {"x-request-id": self._record.request_id, **given}
        response = web.StreamResponse(status=status, headers=own | {k.lower(): v for k, v in (more or {}).items()})
        await response.prepare(self._request)
        self._record.status = status
        return response

    async def _send(self, response: web.StreamResponse, chunk: bytes) -> None:
        await response.write(chunk)
        self._record.chunks_sent += 1

    async def _send_all(self, response: web.StreamResponse, chunks: Iterable[bytes], delay_s: float) -> None:
        for k, chunk in enumerate(chunks):
            if k:
                await _sleep(delay_s)
            await self._send(response, chunk)

    async def _finish(self, response: web.StreamResponse, outcome: Outcome = "completed") -> web.StreamResponse:
        await response.write_eof()
        self._record.end(outcome)
        return response

    async def _end(self, reply: Reply, response: web.StreamResponse, next_event: bytes) -> web.StreamResponse:
        """End the response as *reply* says; *next_event* is what half is sent of before a break."""
        if reply.ending == "finish":
            return await self._finish(response)
        if reply.ending == "clean":
            return await self._finish(response, "cut")
        if reply.ending == "stall":
            return await _until_cancelled()
        if next_event:
            self._send_half(next_event)
        return await self._hang_up(reply.ending, "cut")

    def _send_half(self, event: bytes) -> None:
        """Announce *event* as an HTTP chunk, and send only half of it."""
        self._transport().write(b"%x\r\n" % len(event) + event[: len(event) // 2])

    async def _hang_up(self, how: Literal["fin", "rst"], outcome: Outcome) -> Never:
        """Close the connection once all that was written has left this process; does not return."""
        transport = self._transport()
        transport.set_write_buffer_limits(high=0)
        await self._request.writer.drain()
        if how == "rst":
            await _prepare_reset(transport.get_extra_info("socket"))
        self._record.end(outcome)
        transport.close()
        await _until_cancelled()

    def _transport(self) -> asyncio.Transport:
        transport = self._request.transport
        if transport is None:
            raise ConnectionResetError("the client has closed the connection")
        return transport


async def _prepare_reset(sock: socket.socket) -> None:
    """Make the socket end with RST: one that lingers for zero seconds does not say FIN.

    A reset throws away what the peer's system has not taken yet, so that must be awaited, or a script would send now
    more and now less than it says.
    """
    while _untaken_bytes(sock):  # noqa: ASYNC110 - nothing tells when the queue is empty
        await asyncio.sleep(0.001)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _untaken_bytes(sock: socket.socket) -> int:
    """How many bytes wait in the system's send queue; 0 where the system does not tell."""
    if sys.platform != "linux":  # pragma: no cover
        return 0
    import fcntl
    import termios

    count = array("i", [0])
    fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, count)
    return count[0]


async def _until_cancelled() -> Never:
    while True:
        await asyncio.Event().wait()


async def _sleep(delay_s: float) -> None:
    if delay_s > 0:
        await asyncio.sleep(delay_s)
