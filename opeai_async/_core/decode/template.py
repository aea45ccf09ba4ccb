"""Events that differ in one text only, made into chunks without decoding the rest of them again and again.

The chunks of a fast stream repeat 300 bytes for each token: id, time, model, and the same braces. A *template* is what
the latest event has before and after its text. Where a read holds nothing but such events, a regular expression that
jumps over what is known takes out the texts, one comparison proves that there was nothing else, and one decode of all
the texts proves that each is one JSON string. The rest of each chunk is taken from the template's, and shared.

Why that is exact. Let an event be ``head body tail``, the *body* a JSON string without its quotes.

* Where the text is, nobody guesses: the body decodes to the chunk's whole text, and with one more character at its end
  the whole event decodes to the same chunk with one more character at the end of that text. So the body is the text's
  token, neither more nor less, and no later member overrides it. Any other JSON string in its place is that text.
* Bytes that equal ``head body tail head body tail ...`` have been proven to consist of that. Each body is decoded in a
  list, ``["body"\\n,"body"]``. A JSON string holds no line feed, so no string reaches from one body into the next; and
  as there are as many strings as bodies, each body is one string, and holds no end of a line and no quote by itself.
  Therefore the line-wise rules for events, which look at ends of lines only, find the same events.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from opeai_async._core.decode.strict_twins import DECODE_ERRORS
from opeai_async.types.chunk import ChatCompletionChunk

ChunkT = TypeVar("ChunkT", bound=ChatCompletionChunk)

MIN_EVENTS = 8
_MAX_KNOWN_BYTES = 8 * 1024
_START, _STOP = b"data: ", b"\n\n"

_texts = msgspec.json.Decoder(list[str]).decode
_text = msgspec.json.Decoder(str).decode
# Never given back: what a body ends with is not looked for. What this finds is proven afterwards, anyway.
_BODY = rb'([^"\\]*+(?:\\.[^"\\]*+)*+)'

# Compiled by the first stream that is fast.
_MEMBERS = {name: rb'"%b"\s*:\s*"%b(?=")' % (name.encode(), _BODY) for name in ("content", "reasoning_content")}


class Template(Generic[ChunkT]):
    """What the events of a stream have in common.

    Args:
        head: What an event begins with, up to and with the quote before its text.
        tail: What it ends with, from the quote after its text on.
        build: Makes chunks of texts.

    Attributes:
        least_bytes: What fewer bytes hold is not worth it.
    """

    __slots__ = ("_bodies", "_build", "_head", "_joint", "_tail", "least_bytes")

    def __init__(self, head: bytes, tail: bytes, build: Callable[[list[str]], list[ChunkT]]) -> None:
        self._head = _START + head
        self._tail = tail + _STOP
        self._joint = self._tail + self._head
        self.least_bytes = MIN_EVENTS * len(self._joint)
        self._bodies = _finder(len(self._head), len(self._tail))
        self._build = build

    def chunks(self, events: bytes) -> list[ChunkT] | None:
        """The chunks of *events*, which are whole; None unless all of them are like the template."""
        head, tail = self._head, self._tail
        if not (events.startswith(head) and events.endswith(tail)):
            return None
        bodies = self._bodies(events)
        if b"".join((head, self._joint.join(bodies), tail)) != events:
            return None
        try:
            texts = _texts(b'["%b"]' % b'"\n,"'.join(bodies))
        except DECODE_ERRORS:
            return None
        return self._build(texts) if len(texts) == len(bodies) else None


def template_of(
    payloads: list[bytes], chunks: list[ChunkT], decode: Callable[[bytes], ChunkT]
) -> Template[ChunkT] | None:
    """What *payloads* seem to have in common, which *decode* made *chunks* of, one of each; None if that is little."""
    payload, chunk = payloads[-1], chunks[-1]
    # A user's type may make more of a text, or look at it.
    if chunk.public_type is not ChatCompletionChunk or len(chunk.choices) != 1 or len(payload) > _MAX_KNOWN_BYTES:
        return None
    delta = chunk.choices[0].delta
    is_content = not delta.reasoning_content
    found = re.search(_MEMBERS["content" if is_content else "reasoning_content"], payload)
    if found is None:
        return None
    begin, end = found.span(1)
    head, tail = payload[:begin], payload[end:]
    if not all(
        other.startswith(head) and other.endswith(tail) for other in (payloads[0], payloads[len(payloads) // 2])
    ):
        return None
    build = _content_builder(chunk) if is_content else _reasoning_builder(chunk)
    text = _text(b'"%b"' % payload[begin:end])
    is_exact = build([text, text + "~"]) == [chunk, decode(payload[:end] + b"~" + tail)]
    return Template(head, tail, build) if is_exact else None


# With keywords that are written out, three Structs cost 0.3 us; with the same ones in a dict, twice that.


def _content_builder(like: ChunkT) -> Callable[[list[str]], list[ChunkT]]:
    """A function that makes chunks *like* that one, but with other content; of rare fields it knows nothing."""
    chunk_id, kind, created, model, fingerprint = _envelope(like)
    (choice,) = like.choices
    chunk_type, choice_type, delta_type = type(like), type(choice), type(choice.delta)
    index, role, reasoning = choice.index, choice.delta.role, choice.delta.reasoning_content
    return lambda texts: [
        chunk_type(
            id=chunk_id,
            object=kind,
            created=created,
            model=model,
            system_fingerprint=fingerprint,
            choices=[choice_type(index=index, delta=delta_type(role=role, content=text, reasoning_content=reasoning))],
        )
        for text in texts
    ]


def _reasoning_builder(like: ChunkT) -> Callable[[list[str]], list[ChunkT]]:
    """As ``_content_builder``, but with other reasoning."""
    chunk_id, kind, created, model, fingerprint = _envelope(like)
    (choice,) = like.choices
    chunk_type, choice_type, delta_type = type(like), type(choice), type(choice.delta)
    index, role, content = choice.index, choice.delta.role, choice.delta.content
    return lambda texts: [
        chunk_type(
            id=chunk_id,
            object=kind,
            created=created,
            model=model,
            system_fingerprint=fingerprint,
            choices=[choice_type(index=index, delta=delta_type(role=role, content=content, reasoning_content=text))],
        )
        for text in texts
    ]


def _envelope(chunk: ChatCompletionChunk) -> tuple[str, str, int, str, str | None]:
    return chunk.id, chunk.object, chunk.created, chunk.model, chunk.system_fingerprint


@functools.lru_cache(maxsize=64)
def _finder(before: int, after: int) -> Callable[[bytes], list[bytes]]:
    """A function that takes what may be a body out of each event, with so many bytes *before* and *after* it."""
    return re.compile(rb"(?s:.{%d})%b(?s:.{%d})" % (before, _BODY, after)).findall
