"""The tiers of ``decode/__init__.py`` but the first: one payload of a stream, or one whole body, becomes a Struct.

A stream begins with the *plain* twin, which refuses what few streams carry, and keeps it until that happens; then the
*strict* twin (``strict_twins.py``) reads it. Where a server sends unnamed fields all the time, a wider twin that knows
them (``vendor_fields.py``) takes the strict one's place for the rest of the stream. What is refused goes to the
tolerant tier (``_core/dialect/dialect.py``), which repairs it, keeps unnamed fields in ``extra`` and finds errors.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from opeai_async._core.decode.strict_twins import DECODE_ERRORS, plain_twin, strict_twin
from opeai_async._core.decode.vendor_fields import LIBRARY, VendorFields
from opeai_async._core.dialect.dialect import Dialect
from opeai_async._core.dialect.rules.values import has_repeats
from opeai_async._core.dialect.tool_arguments import is_json_object
from opeai_async._core.sse import ServerSentEvent
from opeai_async.types.chunk import ChatCompletionChunk, ChoiceDelta
from opeai_async.types.completion import ChatCompletion

ChunkT = TypeVar("ChunkT", bound=ChatCompletionChunk)
CompletionT = TypeVar("CompletionT", bound=ChatCompletion)
StructT = TypeVar("StructT", bound=Struct)

DONE = b"[DONE]"


class Tier(Enum):
    """How payloads are decoded now; drawn in ``decode/__init__.py``."""

    PLAIN = "plain"
    STRICT = "strict"
    WIDE = "wide"
    TOLERANT = "tolerant"
    """The next payload, too, belongs to the dialect."""


# On CPython 3.11, a look into an Enum is a call.
_PLAIN, _STRICT, _WIDE, _TOLERANT = Tier.PLAIN, Tier.STRICT, Tier.WIDE, Tier.TOLERANT


class ChunkDecoder(Generic[ChunkT]):
    """Decodes the payloads of one stream.

    Args:
        chunk_type: ``ChatCompletionChunk``, or a Struct that extends it.
        dialect: What the tolerant tier remembers of this stream.

    Attributes:
        decode: The typed decode of the present tier; it raises one of ``DECODE_ERRORS`` for what it refuses.
        is_plain: Whether the tier is PLAIN.
        needs_no_care: Whether what ``decode`` returns is right whatever came before; else ask ``with_care``.
    """

    __slots__ = (
        "_chunk_type",
        "_dialect",
        "_tier",
        "_usual",
        "_vendor_fields",
        "decode",
        "is_plain",
        "needs_no_care",
    )

    def __init__(self, chunk_type: type[ChunkT], dialect: Dialect) -> None:
        self._chunk_type = chunk_type
        self._dialect = dialect
        self._vendor_fields: VendorFields | None = None
        self.needs_no_care = False
        self._tier, self.is_plain = _PLAIN, True
        self.decode: Callable[[bytes], ChunkT] = plain_decode(chunk_type)
        # What TOLERANT goes back to: a tier and its decode.
        self._usual = (_PLAIN, self.decode)

    def _enter(self, tier: Tier, decode: Callable[[bytes], ChunkT]) -> None:
        self._tier, self.is_plain, self.decode = tier, tier is _PLAIN, decode

    def decode_all(self, payloads: list[bytes]) -> list[ChunkT] | None:
        """All of *payloads* as chunks, or None if any of them is out of the ordinary."""
        try:
            chunks = list(map(self.decode, payloads))
        except DECODE_ERRORS:
            if not self.is_plain:
                return None
            self._enter(_STRICT, strict_decode(self._chunk_type))
            return self.decode_all(payloads)
        return chunks if self.needs_no_care else self.with_care(chunks)

    def read(self, payload: bytes) -> ChunkT | None:
        """One payload as a chunk, by whichever tier takes it; None if it is nothing a user would want to see.

        Raises:
            StreamServerError: If the payload reports an error.
            StreamDecodeError: If it is no chunk and cannot be made one.
        """
        try:
            chunk = self.decode(payload)
        except DECODE_ERRORS:
            if self._tier is _TOLERANT:
                return self._read_tolerantly(payload)
            if not self.is_plain:
                return self._read_refused(payload)
            self._enter(_STRICT, strict_decode(self._chunk_type))
            return self.read(payload)
        if self.needs_no_care or self.with_care([chunk]) is not None:
            return chunk
        return self._read_tolerantly(payload)

    def _read_refused(self, payload: bytes) -> ChunkT | None:
        """A payload that the strict twin, or the wide one, does not take; its vendor fields are learned from."""
        vendor_fields = self._vendor_fields = self._vendor_fields or VendorFields(self._chunk_type, LIBRARY)
        dialect = self._dialect
        wider = vendor_fields.guess(payload, has_alias=dialect.has_reasoning_alias, has_deltas=dialect.has_deltas)
        if wider is not None:
            self._widen(wider, vendor_fields)
            return self.read(payload)
        chunk = self._read_tolerantly(payload)
        if chunk is not None:
            wider = vendor_fields.learn(chunk, has_alias=dialect.has_reasoning_alias, has_deltas=dialect.has_deltas)
            if wider is not None:
                self._widen(wider, vendor_fields)
        return chunk

    def _widen(self, decode: Callable[[bytes], ChunkT], vendor_fields: VendorFields) -> None:
        if self._tier is _TOLERANT:
            self._usual = (_WIDE, decode)
        else:
            self._enter(_WIDE, decode)
        self.needs_no_care = self.needs_no_care and not vendor_fields.have_alias

    def _read_tolerantly(self, payload: bytes) -> ChunkT | None:
        chunk = self._dialect.read_chunk(payload, self._chunk_type)
        self._after_dialect()
        return chunk

    def _after_dialect(self) -> None:
        """Let the dialect read the next payload, too, if half a character is missing; else go back."""
        if self._dialect.wants_next and self._tier is not _TOLERANT:
            self._usual = (self._tier, self.decode)
            self._enter(_TOLERANT, _refuse)
        elif self._tier is _TOLERANT and not self._dialect.wants_next:
            self._enter(*self._usual)

    def with_care(self, chunks: list[ChunkT]) -> list[ChunkT] | None:
        """*chunks*, once the dialect knows of them; None if it wants to read them itself.

        It needs to know where a stream's reasoning comes from. That is told by its first text, as long as all is
        ordinary; where it comes under another name, the dialect also looks for copies under the usual one.
        """
        if self._vendor_fields is not None and self._vendor_fields.have_alias:
            return chunks if self._dialect.saw_aliased(_deltas(chunks)) else None
        if self._dialect.reasons_elsewhere:
            return None if any(delta.reasoning_content for delta in _deltas(chunks)) else chunks
        for chunk in chunks:
            for choice in chunk.choices:
                delta = choice.delta
                if delta.reasoning_content or delta.content:
                    self.needs_no_care = True
                    self._dialect.saw_ordinary(delta.reasoning_content)
                    return chunks
        return chunks

    def decode_event(self, event: ServerSentEvent) -> ChunkT | None:
        """One event as a chunk; None if it is nothing a user would want to see.

        Raises:
            StreamServerError: If the event reports an error, by its name or by its data.
            StreamDecodeError: If it is no chunk and cannot be made one.
        """
        if event.event.lower() == "error" or event.status >= 400:
            raise self._dialect.read_error_event(event.data, event.status)
        if event.event == "message":
            return self.read(event.data)
        chunk = self._dialect.read_named_event(event.event, event.data, self._chunk_type)
        self._after_dialect()
        return chunk


def _deltas(chunks: Iterable[ChatCompletionChunk]) -> list[ChoiceDelta]:
    return [choice.delta for chunk in chunks for choice in chunk.choices]


def decode_completion(body: bytes, completion_type: type[CompletionT], dialect: Dialect) -> CompletionT:
    """A whole, non-streamed answer.

    Raises:
        StreamServerError: If the body reports an error.
        InvalidResponseError: If the body is no completion.
    """
    try:
        completion = strict_decode(completion_type)(body)
    except DECODE_ERRORS:
        return dialect.read_completion(body, completion_type)
    return dialect.read_completion(body, completion_type) if is_odd(completion) else completion


def is_odd(completion: ChatCompletion) -> bool:
    """Tell whether *completion*, which the strict decode took, has oddities that no type can refuse."""
    if not completion.choices:
        return True
    for message in (choice.message for choice in completion.choices):
        calls = message.tool_calls or []
        functions = [call.function for call in calls if call.custom is None]
        if message.function_call is not None:
            functions.append(message.function_call)
        audio = message.audio
        if (
            len({call.id for call in calls}) < len(calls)
            or not all(is_json_object(function.arguments) for function in functions)
            or (audio is not None and not (audio.id or audio.data or audio.transcript or audio.extra))
            or has_repeats(message.annotations or ())
        ):
            return True
    return False


def decode_chunk(data: bytes | str) -> ChatCompletionChunk:
    """One recorded event's data as a chunk: vendor fields in ``extra``, oddities repaired as in a stream.

    Raises:
        StreamServerError: If the data reports an error.
        StreamDecodeError: If it is no chunk.
    """
    payload = data.encode("utf-8", "replace") if isinstance(data, str) else data
    chunk = ChunkDecoder(ChatCompletionChunk, Dialect()).read(payload)
    return ChatCompletionChunk() if chunk is None else chunk


def strict_decode(wire_type: type[StructT]) -> Callable[[bytes], StructT]:
    """A function that decodes JSON into *wire_type*, and refuses what is out of the ordinary."""
    return strict_decoder(wire_type).decode


def strict_decoder(wire_type: type[StructT]) -> msgspec.json.Decoder[StructT]:
    """A decoder of *wire_type* that refuses what is out of the ordinary."""
    return _decoder(wire_type, strict_twin)


def plain_decode(chunk_type: type[StructT]) -> Callable[[bytes], StructT]:
    """As ``strict_decode``, but it refuses what few streams carry, too."""
    return _decoder(chunk_type, plain_twin).decode


def _refuse(_: bytes) -> Any:
    raise msgspec.ValidationError("half a character is missing")


@functools.lru_cache(maxsize=128)
def _decoder(wire_type: type[Any], twin_of: Callable[[type[Any]], type[Struct]]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(twin_of(wire_type))
