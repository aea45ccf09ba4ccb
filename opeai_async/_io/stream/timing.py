"""What came when, and what did not come in time."""

from __future__ import annotations

import time

from opeai_async._core.call.clocks import Expiry
from opeai_async.errors import StreamTimeoutError
from opeai_async.types.chunk import ChatCompletionChunk
from opeai_async.types.meta import StreamTiming


def timing(
    started_at: float,
    first_byte_at: float | None,
    first_content_at: float | None = None,
    finished_at: float | None = None,
    *,
    tokens: int | None = None,
) -> StreamTiming:
    """Times of the loop's clock, counted from *started_at*; *tokens* are those from the first content to the end."""
    seconds = finished_at - first_content_at if finished_at is not None and first_content_at is not None else 0.0
    return StreamTiming(
        first_byte_s=_since(started_at, first_byte_at),
        first_content_s=_since(started_at, first_content_at),
        total_s=_since(started_at, finished_at),
        tokens_per_s=tokens / seconds if tokens is not None and seconds > 0 else None,
    )


def _since(start: float, moment: float | None) -> float | None:
    return None if moment is None else moment - start


def stream_timeout(expiry: Expiry) -> StreamTimeoutError:
    """The error for the clock that ran out."""
    what = {"total": "did not end", "first_content": "brought no content"}.get(expiry.phase, "was silent")
    return StreamTimeoutError(
        f"the stream {what} for {expiry.limit_s:g} s ({expiry.phase}_s={expiry.limit_s:g})",
        phase=expiry.phase,
        timeout_s=expiry.limit_s,
    )


def has_content(chunk: ChatCompletionChunk) -> bool:
    """Whether *chunk* brings anything that a model has said."""
    for choice in chunk.choices:
        delta = choice.delta
        if delta.content or delta.reasoning_content or delta.tool_calls:
            return True
    return False


def wall_time() -> float:
    """Return the seconds since 1970, against which the dates of servers count."""
    return time.time()
