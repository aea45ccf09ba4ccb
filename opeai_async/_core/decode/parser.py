"""The body of a stream, from bytes to chunks: what kind it is, which events it holds, where it ends.

A read gives all chunks that it completes. What stops the reading (``[DONE]``, an error, a limit) is noted beside them
instead of being raised, so that the chunks before it are never lost; after that, nothing more is read.
"""

from __future__ import annotations

import re
from typing import Generic, TypeVar

from opeai_async._core.call.http import ResponseHead
from opeai_async._core.decode.body_kind import (
    BodyKind,
    as_one_chunk,
    content_length,
    decode_json,
    invalid_response,
    kind_of,
    too_large_body,
)
from opeai_async._core.decode.burst import Burst
from opeai_async._core.decode.decoder import DONE, ChunkDecoder
from opeai_async._core.decode.growth import MAX_LOOKED_AT, FirstTexts, GrowthFilter, grows
from opeai_async._core.decode.think import ThinkFilter
from opeai_async._core.dialect.api_errors import stream_error_from
from opeai_async._core.dialect.dialect import Dialect
from opeai_async._core.dialect.error_objects import MAX_EXCERPT_BYTES, error_inside
from opeai_async._core.dialect.loose_json import split_objects
from opeai_async._core.dialect.tool_arguments import is_json_object
from opeai_async._core.limits import DEFAULT_MAX_EVENT_BYTES, MAX_JSON_BYTES, MAX_STREAM_BYTES
from opeai_async._core.sse import BOM, ServerSentEvent, SSEDecoder
from opeai_async.errors import OpeAIError, StreamDecodeError, StreamTooLargeError
from opeai_async.types.chunk import ChatCompletionChunk
from opeai_async.types.completion import ChatCompletion
from opeai_async.types.options import ReasoningTags

ChunkT = TypeVar("ChunkT", bound=ChatCompletionChunk)


_ODD_DONE = rb"""["'\s]*(\[done\]|done["'\s]*$)"""
# Words, a time, or both.
_HEARTBEAT = re.compile(
    rb"""["'\s]*(?:ping|pong|heart[-_ ]?beat|keep[-_ ]?alive|alive)?[-:,\s]*"""
    rb"""(?:\d{10,13}(?:\.\d+)?|\d{4}-\d\d-\d\d(?:[T\s]\d\d:\d\d(?::\d\d(?:\.\d+)?)?\s*(?:Z|UTC|[-+]\d\d:?\d\d)?)?"""
    rb"""|\d\d:\d\d:\d\d(?:\.\d+)?)?["'\s]*""",
    re.IGNORECASE,
).fullmatch
_LINE_STARTS = (b"{", b"data:", b"event:", b"id:", b":")
_FIELDS = (b"data", b"event", b"id", b"retry", b"error")
# On CPython 3.11, a look into an Enum is a call.
_JSON, _EVENTS, _MARKUP = BodyKind.JSON, BodyKind.EVENTS, BodyKind.MARKUP


class StreamParser(Generic[ChunkT]):
    """Reads one body.

    Args:
        head: Of the response, for messages.
        chunk_type: ``ChatCompletionChunk``, or a Struct that extends it.
        dialect: What the tolerant tier remembers of this body.
        reasoning_tags: How to find the thinking in the content, if at all.

    Attributes:
        done: ``[DONE]`` was read, or a whole answer that came as JSON.
        error: What stopped the reading, or None.
        bytes_fed: Bytes of the body so far.
        head: Of the response.
    """

    __slots__ = (
        "_begun",
        "_burst",
        "_chunk_type",
        "_decoder",
        "_dialect",
        "_first",
        "_growth",
        "_is_plain",
        "_kept",
        "_kept_bytes",
        "_kept_first",
        "_kind",
        "_looked_at",
        "_max_stream_bytes",
        "_may_be_lines",
        "_sse",
        "_thinking",
        "bytes_fed",
        "done",
        "error",
        "head",
    )

    def __init__(
        self,
        head: ResponseHead,
        chunk_type: type[ChunkT],
        dialect: Dialect,
        *,
        max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES,
        max_stream_bytes: int = MAX_STREAM_BYTES,
        reasoning_tags: ReasoningTags = "none",
    ) -> None:
        self.head = head
        self._chunk_type = chunk_type
        self._dialect = dialect
        self._sse = SSEDecoder(
            max_event_bytes=max_event_bytes, event_fields=("error",), bare_events=("error",), bare_objects=True
        )
        self._decoder = ChunkDecoder(chunk_type, dialect)
        self._burst = Burst(self._sse, self._decoder, max_event_bytes)
        self._max_stream_bytes = max_stream_bytes
        self._thinking: ThinkFilter[ChunkT] | None = ThinkFilter(reasoning_tags) if reasoning_tags != "none" else None
        # The first texts, and how many chunks were looked at for others that grow out of them; None if nobody looks.
        self._first: FirstTexts | None = {}
        self._looked_at = 0
        self._growth: GrowthFilter[ChunkT] | None = None
        self._is_plain = False  # whether chunks are handed out as they are decoded
        self._kind: BodyKind | None = None
        self._may_be_lines = True
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._kept_first: bytes | None = None
        self._begun = False
        self.bytes_fed = 0
        self.done = False
        self.error: OpeAIError | None = None

    @property
    def has_ended(self) -> bool:
        """Whether there is nothing more to read."""
        return self.done or self.error is not None

    def feed(self, data: bytes) -> list[ChunkT]:
        """The chunks that *data* completes."""
        if self.done or self.error is not None:
            return []
        self.bytes_fed += len(data)
        if self.bytes_fed > self._max_stream_bytes:
            chunks = self._refuse("max_stream_bytes", self._max_stream_bytes)
        elif self._begun:
            alike = self._burst.read(data)
            chunks = self._feed_events(data) if alike is None else alike
        else:
            chunks = self._feed_beginning(data)
        return chunks if self._is_plain else self._refined(chunks)

    def end(self) -> list[ChunkT]:
        """The chunks that the end of the body completes."""
        chunks = self._refined(self._end())
        return chunks + self.rest()

    def rest(self) -> list[ChunkT]:
        """What was held back because more might have come, where the reading stops before the end."""
        chunks = self._with_halves([] if self._growth is None else self._growth.rest())
        if self._thinking is None:
            return chunks
        return self._thinking.split(chunks) + self._thinking.rest()

    def _refined(self, chunks: list[ChunkT]) -> list[ChunkT]:
        """*chunks* as they are handed out: where each has the text so far, or where the thinking is in the content."""
        if self._first is not None and chunks:
            self._looked_at += len(chunks)
            verdict = grows(chunks, self._first)
            if verdict:
                self._growth, self._first = GrowthFilter(self._first), None
            elif verdict is None or self._looked_at >= MAX_LOOKED_AT:
                self._first, self._is_plain = None, self._thinking is None
        if self._growth is not None:
            chunks = self._grown(chunks, self._growth)
        if self._thinking is not None:
            chunks = self._thinking.split(chunks)
        if self._is_plain or not (self.done or self.error is not None):
            return chunks
        return chunks + self.rest()

    def _grown(self, chunks: list[ChunkT], growth: GrowthFilter[ChunkT]) -> list[ChunkT]:
        was_sure = growth.is_sure
        chunks = growth.read(chunks)
        if growth.is_sure and not was_sure:
            self._note("text_so_far")
            return chunks[: growth.sure_from] if self.error is not None else chunks
        if growth.is_over:
            self._growth = None
            self._is_plain = self._thinking is None
        return chunks

    def _with_halves(self, chunks: list[ChunkT]) -> list[ChunkT]:
        """*chunks*, and what stands for characters that will not come whole."""
        rest = self._dialect.rest(self._chunk_type) if self._dialect.wants_next else None
        return chunks if rest is None else [*chunks, rest]

    def _end(self) -> list[ChunkT]:
        if self.has_ended:
            return []
        if self._kind is _EVENTS:
            return self._end_of_events()
        return self._whole_body()

    def _feed_beginning(self, data: bytes) -> list[ChunkT]:
        """Reads before the first chunk: they tell the kind, and are kept for an error's excerpt."""
        if self._kind is not _EVENTS:
            self._kept.append(data)
            if self.bytes_fed > MAX_JSON_BYTES:
                return self._refuse("max_json_bytes", MAX_JSON_BYTES)
            data = self._feed_other_body(data)
        elif self._kept_bytes < MAX_EXCERPT_BYTES:
            self._kept.append(data)
            self._kept_bytes += len(data)
        if self._kind is not _EVENTS:
            return []
        chunks = self._feed_events(data)
        if chunks:
            self._begun = True
            self._kept.clear()
        return chunks

    def _decide_kind(self, data: bytes) -> bytes:
        """Look what kind the body is; returns all of it so far."""
        # Past a BOM, what was kept without a decision is white space, and need not be looked at again.
        self._kind = kind_of(data if self.bytes_fed - len(data) >= len(BOM) else b"".join(self._kept))
        if self._kind is None:
            return b""
        data = b"".join(self._kept)
        self._kept = [data]
        self._kept_bytes = len(data)
        return data

    def _feed_other_body(self, data: bytes) -> bytes:
        """Read on in what is no event stream so far; returns all of it if it turns out to be one."""
        if self._kind is None:
            data = self._decide_kind(data)
        if self._kind is _JSON and self._may_be_lines:
            data = self._look_for_lines(data)
        if self._kind is _MARKUP and (b"</title" in data.lower() or self.bytes_fed >= MAX_EXCERPT_BYTES):
            self._refuse_markup()
        if self._kind is _JSON and (length := content_length(self.head)) > MAX_JSON_BYTES:
            self.error = too_large_body(self.head, length, MAX_JSON_BYTES)
        return data

    def _look_for_lines(self, data: bytes) -> bytes:
        """Look whether what began like one JSON object is lines of objects; returns all of it so far if it is."""
        if self._kept_first is None:
            end = data.find(b"\n")
            if end < 0:
                return data
            whole = b"".join(self._kept)
            self._kept = [whole]
            end = len(whole) - len(data) + end
            self._kept_first = first = whole[:end].strip()
            self._may_be_lines = is_json_object(first.removeprefix(BOM).decode("utf-8", "replace"))
            data = whole[end:]
        rest = data.lstrip()
        if rest and self._may_be_lines:
            self._may_be_lines = False
            if rest.startswith(_LINE_STARTS) or any(start.startswith(rest) for start in _LINE_STARTS):
                self._kind = _EVENTS
                return b"".join(self._kept)
        return data

    def _refuse_markup(self) -> None:
        self.error = invalid_response(self.head, b"".join(self._kept), "expected an event stream, got HTML")

    # --- an event stream -------------------------------------------------------------------------------------------

    def _feed_events(self, data: bytes) -> list[ChunkT]:
        """Read what is no burst: most reads still hold nothing but one-line events."""
        payloads = self._sse.feed_ordinary(data)
        if payloads is None:
            return self._feed_odd_events(data)
        # One that comes alone has been refused by the burst just now, unless it is the first.
        if len(payloads) > 1 or not self._begun:
            ends_here = payloads[-1:] == [DONE]
            chunks = self._burst.decode(payloads[:-1] if ends_here else payloads)
            if chunks is not None:
                self.done = ends_here
                return chunks
        return self._decoded([ServerSentEvent(payload) for payload in payloads])

    def _feed_odd_events(self, data: bytes) -> list[ChunkT]:
        try:
            events = self._sse.feed(data)
        except StreamTooLargeError as exc:
            chunks = self._decoded(list(exc.pending))
            if not self.has_ended:
                self.error = exc
                exc.pending = ()
            return chunks
        return self._decoded(events)

    def _decoded(self, events: list[ServerSentEvent]) -> list[ChunkT]:
        chunks: list[ChunkT] = []
        for event in events:
            if event.data.strip() == DONE:
                self.done = True
                break
            if event.was_malformed:
                self._note("loose_json")
            if not self.has_ended:
                self._decode(event, chunks)
            if event.was_bare and self.error is None:
                self._note("line_without_data")
            if self.has_ended:
                break
        return chunks

    def _decode(self, event: ServerSentEvent, chunks: list[ChunkT]) -> None:
        """Add to *chunks* what *event* holds, or note what stops the reading."""
        try:
            chunk = self._decoder.decode_event(event)
            self._is_plain = self._is_plain and not self._dialect.wants_next
        except StreamDecodeError as exc:
            if exc.rule is not None or not self._decode_odd(event, chunks):
                self.error = exc
        except OpeAIError as exc:
            self.error = exc
            if isinstance(beside := self._dialect.beside_error, self._chunk_type):
                chunks.append(beside)
        else:
            if chunk is not None:
                chunks.append(chunk)

    def _decode_odd(self, event: ServerSentEvent, chunks: list[ChunkT]) -> bool:
        """Whether what is no chunk is something else that servers send: see each line."""
        data = event.data.strip()
        if re.match(_ODD_DONE, data, re.IGNORECASE):
            self.done = True
            self._note("done_odd")
            return True
        if data.startswith(b"data:"):
            self._note("data_twice")
            self._add_each([re.sub(rb"^(?:data:\s*)+", b"", data)], chunks)
            return True
        if (self._begun or chunks) and _HEARTBEAT(data):
            self._note("heartbeat_in_data")
            return True
        if (objects := split_objects(data)) is not None:
            self._note("events_glued")
            self._add_each(objects, chunks)
            return True
        if (error := error_inside(data)) is not None:
            self.error = stream_error_from(error)
            return True
        lines = [line for line in data.split(b"\n") if line.strip()]
        if len(lines) < 2 or any(not line.lstrip().startswith((b"{", b"[DONE]")) for line in lines):
            return False
        self._note("events_glued")
        self._add_each(lines, chunks)
        return True

    def _add_each(self, payloads: list[bytes], chunks: list[ChunkT]) -> None:
        if not self.has_ended:
            chunks += self._decoded([ServerSentEvent(payload) for payload in payloads])

    def _end_of_events(self) -> list[ChunkT]:
        """What an event that lacks its blank line holds, if it was not cut itself."""
        chunks = self._decoded(self._sse.take_unterminated())
        if isinstance(self.error, StreamDecodeError) and self.error.rule is None:
            self.error = None
        if chunks or self.done:
            self._note("unterminated_event")
        elif not self._begun and self.error is None:
            self._check_is_event_stream()
        return chunks

    def _note(self, quirk: str) -> None:
        try:
            self._dialect.note(quirk)
        except StreamDecodeError as exc:
            self.error = exc

    # --- another body ----------------------------------------------------------------------------------------------

    def _whole_body(self) -> list[ChunkT]:
        """A body that is one JSON object, replayed as a stream of one chunk; or nothing at all."""
        if self._kind is None:
            return []
        if self._kind is _MARKUP:
            self._refuse_markup()
            return []
        try:
            completion = decode_json(self.head, b"".join(self._kept), ChatCompletion, self._dialect)
            self._dialect.note("json_for_stream")
        except OpeAIError as exc:
            self.error = exc
            return []
        chunks = self._decoded([ServerSentEvent(as_one_chunk(completion))])
        self.done = self.error is None
        return chunks

    def _check_is_event_stream(self) -> None:
        body = b"".join(self._kept)
        first_line = body.removeprefix(BOM).strip().partition(b"\n")[0].rstrip()
        name = first_line.partition(b":")[0]
        if not any(field.startswith(name) for field in _FIELDS):  # the line may have been cut
            self.error = invalid_response(self.head, body, "expected an event stream, got text")

    def _refuse(self, limit: str, value: int) -> list[ChunkT]:
        self.error = StreamTooLargeError(
            f"the body has {self.bytes_fed} bytes so far, expected no more than {value}", limit=f"{limit}={value}"
        )
        return []
