"""How a stream reads: what a client and a call have chosen, settled."""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

from msgspec import Struct

from opeai_async._core.dialect import DialectMode
from opeai_async._core.parser import MAX_STREAM_BYTES
from opeai_async._core.sse import DEFAULT_MAX_EVENT_BYTES
from opeai_async._core.think import ReasoningTags
from opeai_async.types.chunk import ChatCompletionChunk

ChunkT = TypeVar("ChunkT", bound=ChatCompletionChunk)


class ReadOptions(Struct, Generic[ChunkT], frozen=True, kw_only=True):
    """How a stream reads.

    Attributes:
        chunk_type: ``ChatCompletionChunk``, or a Struct that extends it.
        dialect: ``"repair"``, or ``"strict"`` to raise where a repair would be needed.
        on_truncated: ``"raise"``, or ``"return"`` to end quietly where a body ends without a finish_reason.
        reasoning_tags: How to find the thinking in the content: ``"none"``, ``"think"`` or ``"open"``.
        choices: How many answers were asked for (``n``).
    """

    chunk_type: type[ChunkT]
    dialect: DialectMode = "repair"
    on_truncated: Literal["raise", "return"] = "raise"
    reasoning_tags: ReasoningTags = "none"
    choices: int = 1
    max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES
    max_stream_bytes: int = MAX_STREAM_BYTES
