"""A transport that remembers every response as it came, for the probes of the doctor.

The client repairs what it reads and shows it repaired. How a stream was framed, whether ``[DONE]`` came, or under which
name the reasoning was sent can only be seen below it, so the probes look there too.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile

import msgspec

from opeai_async._core.call.http import Request, ResponseHead
from opeai_async._core.decode.body_kind import BodyKind, kind_of
from opeai_async._core.decode.decoder import DONE
from opeai_async._core.json import JSONObject, is_array, is_object
from opeai_async._core.sse import SSEDecoder
from opeai_async._io.transport import Response, Transport
from opeai_async.errors import StreamTooLargeError

_MAX_KEPT_BYTES = 4 * 1024 * 1024
_DONE_LINE = re.compile(rb"^data:[ \t]*\[DONE\][ \t]*$", re.MULTILINE)


@dataclass
class Seen:
    """One response, as it came.

    Attributes:
        head: Status and headers.
        wants_stream: True if a stream was asked for.
        parts: The body, up to about 4 MiB.
        size: The number of bytes of the body that were read.
        has_ended: True once the end of the body was reached.
        longest_silence_s: The longest wait for bytes of the body, in seconds.
    """

    head: ResponseHead
    wants_stream: bool
    parts: list[bytes] = field(default_factory=list[bytes])
    size: int = 0
    has_ended: bool = False
    longest_silence_s: float = 0.0

    def add(self, data: bytes, waited_s: float) -> None:
        """Add bytes that were read after *waited_s* seconds of waiting."""
        self.longest_silence_s = max(self.longest_silence_s, waited_s)
        if self.size < _MAX_KEPT_BYTES:
            self.parts.append(data)
        self.size += len(data)

    # What follows is computed from the body once, so it must not be used before the exchange is over.

    @cached_property
    def body(self) -> bytes:
        """The body, as far as it was kept."""
        return b"".join(self.parts)

    @cached_property
    def kind(self) -> BodyKind | None:
        """The kind of body that came, whatever was asked for."""
        return kind_of(self.body)

    @cached_property
    def lines(self) -> list[bytes]:
        """The lines of an event stream; empty for another body."""
        return self.body.splitlines() if self.kind is BodyKind.EVENTS else []

    @cached_property
    def has_done(self) -> bool:
        """True if ``[DONE]`` came."""
        return _DONE_LINE.search(self.body.replace(b"\r", b"\n")) is not None

    @cached_property
    def objects(self) -> list[JSONObject]:
        """The JSON objects of the body: the chunks of a stream, or one completion; other payloads are left out."""
        decoded = (_maybe_json(payload) for payload in self._payloads())
        return [item for item in decoded if is_object(item)]

    @cached_property
    def choices(self) -> list[JSONObject]:
        """The choices of all objects, in order."""
        lists = (item.get("choices") for item in self.objects)
        return [choice for choices in lists if is_array(choices) for choice in choices if is_object(choice)]

    @cached_property
    def deltas(self) -> list[JSONObject]:
        """The deltas or messages of all choices, in order."""
        found = (choice.get("delta", choice.get("message")) for choice in self.choices)
        return [delta for delta in found if is_object(delta)]

    @cached_property
    def tool_calls(self) -> list[JSONObject]:
        """The tool calls, or pieces of them, of all deltas, in order."""
        lists = (delta.get("tool_calls") for delta in self.deltas)
        return [call for calls in lists if is_array(calls) for call in calls if is_object(call)]

    def usages(self, *, with_choices: bool) -> list[JSONObject]:
        """Return the token counts in the chunks of a stream that have choices, or in those that have none."""
        if self.kind is not BodyKind.EVENTS:
            return []
        found = (item.get("usage") for item in self.objects if bool(item.get("choices")) is with_choices)
        return [usage for usage in found if is_object(usage) and usage]

    def _payloads(self) -> list[bytes]:
        if self.kind is BodyKind.JSON:
            return [self.body]
        if self.kind is not BodyKind.EVENTS:
            return []
        try:
            decoder = SSEDecoder(max_event_bytes=_MAX_KEPT_BYTES)
            payloads = [event.data for event in [*decoder.feed(self.body), *decoder.take_unterminated()]]
        except StreamTooLargeError as exc:
            # The events before the one that was too large.
            payloads = [event.data for event in exc.pending]
        return list(takewhile(lambda payload: payload.strip() != DONE, payloads))


class WatchedResponse:
    """A response that remembers what is read of it."""

    def __init__(self, response: Response, seen: Seen) -> None:
        self._response = response
        self._seen = seen
        # Seconds that were waited since the last read that returned something.
        self._waited_s = 0.0

    @property
    def head(self) -> ResponseHead:
        """Status and headers."""
        return self._response.head

    def read_nowait(self) -> bytes | None:
        """Return all that has arrived since the last read, and remember it."""
        data = self._response.read_nowait()
        if data is not None:
            self._seen.add(data, self._waited_s)
            self._seen.has_ended = self._seen.has_ended or not data
            self._waited_s = 0.0
        return data

    def wait(self) -> Awaitable[object] | None:
        """Return what to await until there is something to read, and measure that wait."""
        waiting = self._response.wait()
        return None if waiting is None else self._wait(waiting)

    async def _wait(self, waiting: Awaitable[object]) -> None:
        began_s = time.monotonic()
        await waiting
        self._waited_s += time.monotonic() - began_s

    def hold(self) -> None:
        """Hold the response."""
        self._response.hold()

    def release(self) -> None:
        """Release the response."""
        self._response.release()

    def abort(self) -> None:
        """Abort the response."""
        self._response.abort()


class WatchingTransport:
    """A transport that sends by *transport*, and remembers every response.

    Attributes:
        seen: All responses, in order.
        last: The response to the last request; None while there is none.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.seen: list[Seen] = []
        self.last: Seen | None = None

    @property
    def keeps_limits(self) -> bool:
        """True if the transport below keeps its limits."""
        return self._transport.keeps_limits

    async def send(self, request: Request, *, connect_s: float, pool_s: float) -> Response:
        """Send *request* by the transport below; return its response, watched."""
        # Until the head comes: a probe that gets no head in time must not see the response before.
        self.last = None
        response = await self._transport.send(request, connect_s=connect_s, pool_s=pool_s)
        seen = self.last = Seen(response.head, request.wants_stream)
        self.seen.append(seen)
        return WatchedResponse(response, seen)

    async def aclose(self) -> None:
        """Close the transport below."""
        await self._transport.aclose()


def _maybe_json(payload: bytes) -> object:
    try:
        return msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
