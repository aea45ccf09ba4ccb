"""Cuts of bytes into reads, and streams of chunks generated from whole messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import strategies as st

from opeai_async._core.call.http import ResponseHead
from opeai_async._core.decode.parser import StreamParser
from opeai_async._core.dialect.dialect import Dialect
from opeai_async.types.chunk import ChatCompletionChunk
from opeai_async.types.options import DialectMode

DONE = b"data: [DONE]\n\n"
HEAD = ResponseHead(status=200, host="api.test", headers={"content-type": "text/event-stream", "x-request-id": "req-1"})


# --- cuts ------------------------------------------------------------------------------------------------------------


def cut(data: bytes, positions: Iterable[int]) -> list[bytes]:
    """*data* in reads that end at *positions*; none of them is empty."""
    bounds = [0, *sorted({position for position in positions if 0 < position < len(data)}), len(data)]
    return [data[begin:end] for begin, end in pairwise(bounds) if begin < end]


def byte_by_byte(data: bytes) -> list[bytes]:
    return cut(data, range(len(data)))


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """*data* in one, a few or very many reads."""
    if draw(st.booleans()):
        return cut(data, draw(st.sets(st.integers(0, max(len(data), 1)), max_size=6)))
    return cut(data, range(0, len(data), draw(st.integers(1, 8))))


# --- bodies ----------------------------------------------------------------------------------------------------------


def event(chunk: object, end: bytes = b"\n") -> bytes:
    """*chunk* as one event whose lines end in *end*."""
    return b"data: " + msgspec.json.encode(chunk) + end + end


def delta_chunk(delta: object = None, *, index: int = 0, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    """One chunk as decoded JSON, in the documented shape; *fields* go beside ``choices``."""
    choice = {"index": index, "delta": {} if delta is None else delta, "finish_reason": finish}
    envelope = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "m"}
    return {**envelope, "choices": [choice], **fields}


def body_of(chunks: Iterable[object], done: bytes = DONE) -> bytes:
    """A whole event stream."""
    return b"".join(map(event, chunks)) + done


def parse(
    reads: Sequence[bytes], *, mode: DialectMode = "repair", chunk_type: type[Any] = ChatCompletionChunk, **limits: int
) -> tuple[list[Any], StreamParser[Any], Dialect]:
    """All chunks of a body, with the parser and the dialect as they are afterwards."""
    dialect = Dialect(mode)
    parser = StreamParser(HEAD, chunk_type, dialect, **limits)
    chunks = [chunk for read in reads for chunk in parser.feed(read)]
    return chunks + parser.end(), parser, dialect


# --- messages, and the deltas they may have come in -----------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
names = st.text("abcdefgh_", min_size=1, max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=8), values, max_size=3),
    max_leaves=8,
)


@st.composite
def pieces(draw: st.DrawFn, text: str) -> list[str]:
    """*text* in one piece or more, some of them empty."""
    if not text:
        return [""]
    positions = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    bounds = [0, *positions, len(text)]
    return [text[begin:end] for begin, end in pairwise(bounds)]


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    """A message as decoded JSON: some texts, some tool calls."""
    message: dict[str, Any] = {"role": "assistant"}
    for name in draw(st.sets(st.sampled_from(["content", "reasoning_content", "refusal"]))):
        message[name] = draw(texts)
    calls = draw(st.lists(st.tuples(names, texts), max_size=3))
    if calls:
        message["tool_calls"] = [
            {"id": f"call_{position}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for position, (name, arguments) in enumerate(calls)
        ]
    return message


@st.composite
def deltas_of(draw: st.DrawFn, message: dict[str, Any]) -> list[dict[str, Any]]:
    """Deltas that add up to *message*: texts and tool calls in pieces, which interleave."""
    sent = [name for name in ("content", "reasoning_content", "refusal") if name in message]
    lanes: list[list[dict[str, Any]]] = [[{name: piece} for piece in draw(pieces(message[name]))] for name in sent]
    for index, call in enumerate(message.get("tool_calls", ())):
        begin = {**call, "index": index, "function": {"name": call["function"]["name"], "arguments": ""}}
        rest = [{"index": index, "function": {"arguments": p}} for p in draw(pieces(call["function"]["arguments"]))]
        lanes.append([{"tool_calls": [piece]} for piece in (begin, *rest)])
    order = draw(st.permutations([lane for lane, items in enumerate(lanes) for _ in items]))
    # Calls begin in the order of their index, as every server has them.
    begins = [deltas.pop(0) for deltas in lanes if "tool_calls" in deltas[0]]
    body = [lanes[lane].pop(0) for lane in order if lanes[lane]]
    return [{"role": message["role"]}, *begins, *body]
