"""Tell by a table how a stream ended: from what ended the reading, and whether each choice has a finish_reason.

Only ``[DONE]`` or a finish_reason proves that an answer is whole, and a finish_reason only if it is credible: some
servers send one early, and text after it (``accumulator.py``). The end of the body proves nothing. Without
Content-Length or chunked framing, a cut body looks like a finished one (RFC 9112, 6.3), and many proxies end a broken
body cleanly.
"""

from __future__ import annotations

from enum import Enum, StrEnum

from opeai_async._public import claim
from opeai_async.types.finish import finish_kind

TRUNCATED = "the stream ended without [DONE] and without a finish_reason: the answer was cut"
NO_CHOICE = "the stream ended with [DONE], but without a choice: there is no answer in it"


class End(Enum):
    """Event that ended the reading."""

    DONE = "done"
    """The ``[DONE]`` event."""
    EOF = "eof"
    """A clean end of the body."""
    GRACE = "grace"
    """Silence after the last finish_reason, for as long as ``Timeouts.finish_grace_s``."""
    BROKEN = "broken"
    """The connection broke, or the body ended before its announced length."""
    ERROR = "error"
    """An error: from the server, of a time limit, of another limit, or of the decoder."""
    CLOSED = "closed"
    """The user closed the stream."""


class Outcome(StrEnum):
    """End of a stream; ``OPEN`` until then."""

    OPEN = "open"
    """The stream has not ended."""
    COMPLETE = "complete"
    """The answer is whole."""
    UNLABELLED = "unlabelled"
    """``[DONE]`` came without a finish_reason: the answer is whole, as far as the server says."""
    TRUNCATED = "truncated"
    """The body ended cleanly before the answer did."""
    FAILED = "failed"
    """An error ended the stream."""
    CANCELLED = "cancelled"
    """The user closed the stream before its end."""


_TABLE: dict[tuple[End, bool], Outcome] = {
    # (what ended the reading, whether every choice has a finish_reason: a credible one, unless [DONE] came).
    # After GRACE, every choice has one: without it, silence is a timeout.
    (End.DONE, True): Outcome.COMPLETE,
    (End.DONE, False): Outcome.UNLABELLED,
    (End.EOF, True): Outcome.COMPLETE,
    (End.EOF, False): Outcome.TRUNCATED,
    (End.GRACE, True): Outcome.COMPLETE,
    (End.BROKEN, True): Outcome.COMPLETE,
    (End.BROKEN, False): Outcome.FAILED,
    # An error counts even if every choice has a finish_reason: the server, or a limit, says what is wrong.
    (End.ERROR, True): Outcome.FAILED,
    (End.ERROR, False): Outcome.FAILED,
    (End.CLOSED, True): Outcome.COMPLETE,
    (End.CLOSED, False): Outcome.CANCELLED,
}


def outcome_of(end: End, *, labelled: bool) -> Outcome:
    """Return the outcome of a stream that ended by *end*; *labelled* if every choice has a finish_reason."""
    return _TABLE[end, labelled]


def quirk_of(end: End, outcome: Outcome) -> str | None:
    """Return the quirk of a server that left out ``[DONE]`` or the finish_reason of a whole answer; else None."""
    if outcome is Outcome.UNLABELLED:
        return "finish_missing"
    is_whole = outcome is Outcome.COMPLETE
    return "done_missing" if is_whole and end in (End.EOF, End.GRACE, End.BROKEN) else None


_GRAVITIES: dict[str | None, int] = {"stop": 0, None: 1, "tool_calls": 2, "length": 3, "content_filter": 4, "error": 5}


def gravity(finish_reason: str) -> int:
    """Return how grave *finish_reason* is: how much it would cost to take another for it."""
    return _GRAVITIES[finish_kind(finish_reason)]


claim(__name__)
