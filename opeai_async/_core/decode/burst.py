"""The fast path of an event stream: the reads that most streams consist of, each with as few steps as it can be.

It is asked first, and refuses by None, with nothing consumed; then the events are taken apart as for any stream. It
knows two kinds of reads, both of which begin where an event does:

    one event alone      ``data: {...}`` and a blank line: two partitions, one typed decode
    a burst of the same  the template of the read before it takes all its events at once

A template is made of a read that came the general way, and given up at the first read that is unlike it. To let the
decoder of events, that of payloads and the parser each have a shortcut of its own was rejected: a change then had to be
made in four places.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from opeai_async._core.decode.decoder import DONE, ChunkDecoder
from opeai_async._core.decode.strict_twins import DECODE_ERRORS
from opeai_async._core.decode.template import MIN_EVENTS, Template, template_of
from opeai_async._core.sse import CR, SSEDecoder, begins_ordinary
from opeai_async.types.chunk import ChatCompletionChunk

ChunkT = TypeVar("ChunkT", bound=ChatCompletionChunk)

# Parts are copied: a large read, which may hold many events, would be copied in vain.
_MAX_ALONE_BYTES = 4 * 1024
_MAX_TEMPLATES = 64  # per stream; some servers change what chunks have in common once a second


class Burst(Generic[ChunkT]):
    """Reads ordinary reads of one stream, after its first chunk.

    Args:
        sse: Where the stream stands; it is told what was consumed.
        decoder: Decodes the stream's payloads, and knows their tier.
        max_event_bytes: Bound on one event.
    """

    __slots__ = ("_decoder", "_max_alone_bytes", "_sse", "_template", "_templates_left")

    def __init__(self, sse: SSEDecoder, decoder: ChunkDecoder[ChunkT], max_event_bytes: int) -> None:
        self._sse = sse
        self._decoder = decoder
        self._max_alone_bytes = min(max_event_bytes, _MAX_ALONE_BYTES)
        # What the events of the latest read have in common, or None.
        self._template: Template[ChunkT] | None = None
        self._templates_left = _MAX_TEMPLATES

    def read(self, data: bytes) -> list[ChunkT] | None:
        """Return the chunks of *data*; None, with nothing consumed, unless it is one of the reads of the header."""
        if len(data) <= self._max_alone_bytes and self._sse.at_boundary:
            # On CPython 3.11, two calls of ``partition`` cost half of ``find``, ``startswith`` and ``endswith``.
            line, _, rest = data.partition(b"\n")
            if rest == b"\n":
                name, _, payload = line.partition(b": ")
                if name == b"data" and payload != DONE and CR not in payload:
                    try:
                        chunk = self._decoder.decode(payload)
                    except DECODE_ERRORS:
                        return None
                    return [chunk] if self._decoder.needs_no_care else self._decoder.with_care([chunk])
                return None
        template = self._template
        if template is None or len(data) < template.least_bytes:
            return None
        return self._read_alike(data, template)

    def decode(self, payloads: list[bytes]) -> list[ChunkT] | None:
        """Return the chunks of *payloads*, which came in one read; None if any of them is out of the ordinary.

        What they have in common becomes the template, as the next read may have it too.
        """
        decoder = self._decoder
        # Not of the first texts: a short answer in one read would pay for it in vain.
        is_usual = decoder.is_plain and decoder.needs_no_care and len(payloads) >= MIN_EVENTS
        chunks = decoder.decode_all(payloads)
        if is_usual and chunks is not None and decoder.is_plain and self._templates_left:
            self._templates_left -= 1
            self._template = template_of(payloads, chunks, decoder.decode)
        return chunks

    def _read_alike(self, data: bytes, template: Template[ChunkT]) -> list[ChunkT] | None:
        events = self._sse.unread(data)
        if events is not None and self._decoder.is_plain:
            # Without a blank line, ``end`` is 1, and the template refuses that one byte.
            end = events.rfind(b"\n\n") + 2
            rest = events[end:]
            if CR not in rest and begins_ordinary(rest):
                chunks = template.chunks(events[:end])
                if chunks is not None:
                    self._sse.keep(rest)
                    return chunks
        self._template = None
        return None
