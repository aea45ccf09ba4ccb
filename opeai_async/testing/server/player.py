"""The player: sends one answer on a connection, whole or broken.

aiohttp frames everything that is well-formed. Where the script asks for a broken response, the bytes go past aiohttp
through a `Wire`, and the handler then waits to be cancelled: a connection we closed and one the client closed end on
the same path.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Never

import msgspec
from aiohttp import web

from opeai_async.testing.faults import fault_named
from opeai_async.testing.faults.fault import begun_chunk
from opeai_async.testing.quirks.quirk import Speech
from opeai_async.testing.script import compose as script
from opeai_async.testing.script.reply import Answer, Failure, Faulty, Raw, Reply
from opeai_async.testing.script.speech import speech_of
from opeai_async.testing.server.record import Outcome, RecordedRequest
from opeai_async.testing.server.wire import Wire

_EVENT_STREAM = "text/event-stream; charset=utf-8"
_JSON = "application/json"


class Player:
    """The answering side of one request.

    Args:
        request: The request, whose body was read.
        record: The record in which status, chunks and outcome are noted.
        token_delay_s: Seconds between two chunks, for replies that do not say.
    """

    def __init__(self, request: web.BaseRequest, record: RecordedRequest, *, token_delay_s: float = 0.0) -> None:
        self._request = request
        self._record = record
        self._token_delay_s = token_delay_s
        self._wire = Wire(request, record)

    async def play(self, answer: Answer, envelope: script.Envelope) -> web.StreamResponse:
        """Send *answer*, whole or as broken as it asks for.

        Raises:
            asyncio.CancelledError: If either side closed the connection.
            ConnectionError: If it was found closed while writing.
        """
        await _sleep(answer.delay_s)
        if isinstance(answer, Reply):
            speech = speech_of(answer, self._record.json, envelope)
            # aiohttp adds a content-type to every response, so this one must be written past it.
            if speech.headers.get("content-type") is None:
                return await self._play_without_type(answer, speech)
            play = self._play_body if speech.is_whole else self._play_stream
            return await play(answer, speech)
        if isinstance(answer, Failure):
            return await self.send_json(answer.status, answer.body(), answer.headers)
        if isinstance(answer, Raw):
            return await self._play_raw(answer)
        if isinstance(answer, Faulty):
            return await self._play_faulty(answer, envelope)
        return await self._wire.hang_up(answer.how, "dropped")

    async def send_json(
        self, status: int, value: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> web.StreamResponse:
        """Send *value* as a JSON body."""
        body = msgspec.json.encode(value)
        response = await self._open(status, {"content-type": _JSON, "content-length": str(len(body))}, headers)
        await self._send(response, body)
        return await self._finish(response)

    async def _play_stream(self, reply: Reply, speech: Speech) -> web.StreamResponse:
        sent = len(speech.parts) if reply.after is None or reply.ending == "finish" else reply.after
        delay_s = self._token_delay_s if reply.token_delay_s is None else reply.token_delay_s
        response = await self._open(speech.status, {**speech.headers, "cache-control": "no-cache"}, reply.headers)
        # [DONE] does not count as a chunk, and comes at once.
        for k, part in enumerate(speech.parts[:sent]):
            if part == script.DONE:
                await response.write(part)
                continue
            if k:
                await _sleep(delay_s)
            await self._send(response, part)
        if speech.held_open:
            await self._wire.hold()
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
            await self._wire.hold()
        return await self._finish(response)

    async def _play_without_type(self, reply: Reply, speech: Speech) -> Never:
        """Send a response without content-type, which aiohttp would add; the body ends with the connection."""
        headers = {"x-request-id": self._record.request_id, "connection": "close", **speech.headers, **reply.headers}
        lines = [f"{name}: {value}\r\n" for name, value in headers.items() if value is not None]
        await self._wire.send(f"HTTP/1.1 {speech.status} Scripted\r\n{''.join(lines)}\r\n".encode())
        self._record.status = speech.status
        for part in speech.parts:
            await self._wire.send(part)
            self._record.chunks_sent += 1
        if speech.held_open or reply.ending == "stall":
            await self._wire.hold()
        await self._wire.hang_up(
            "rst" if reply.ending == "rst" else "fin", "completed" if reply.ending == "finish" else "cut"
        )

    async def _play_raw(self, raw: Raw) -> web.StreamResponse:
        kind = _EVENT_STREAM if self._record.json.get("stream") else _JSON
        response = await self._open(raw.status, {"content-type": kind}, raw.headers)
        await self._send_all(response, raw.chunks, raw.chunk_delay_s)
        # More was announced than there is: do not let the client wait for it.
        if (response.content_length or 0) > sum(map(len, raw.chunks)):
            await self._wire.hang_up("fin", "cut")
        return await self._finish(response)

    async def _play_faulty(self, faulty: Faulty, envelope: script.Envelope) -> web.StreamResponse:
        reply, request = faulty.reply, self._record.json
        speech = speech_of(reply, request, envelope)
        # As many parts as a reply has that breaks off, at most: what proves the end must not come before the fault.
        most = len(speech_of(replace(reply, ending="clean"), request, envelope).parts)
        sent = most if reply.after is None else min(most, reply.after)
        fault = fault_named(faulty.name)
        assert fault.play is not None  # Faulty has seen to it
        response = await fault.play(Wire(self._request, self._record, speech, sent, faulty.gap_s))
        assert isinstance(response, web.StreamResponse)  # made by the wire
        return response

    # --- the pieces of a response -----------------------------------------------------------------------------------

    async def _open(
        self, status: int, headers: Mapping[str, str | None], more: Mapping[str, str] | None
    ) -> web.StreamResponse:
        # None takes a header away that would be sent by itself.
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
        """End the response as *reply* says; a break comes after half of *next_event*."""
        if reply.ending == "finish":
            return await self._finish(response)
        if reply.ending == "clean":
            return await self._finish(response, "cut")
        if reply.ending == "stall":
            return await self._wire.hold()
        if next_event:
            await self._wire.send(begun_chunk(next_event))
        return await self._wire.hang_up(reply.ending, "cut")


async def _sleep(delay_s: float) -> None:
    if delay_s > 0:
        await asyncio.sleep(delay_s)
