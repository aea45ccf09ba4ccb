"""How a stream ended, as a table.

Only ``[DONE]`` or a finish_reason proves that an answer is whole, and a finish_reason only where it is credible: some
servers put one on early, and go on (``accumulator.py``). Over HTTP a cut body looks like a finished one
wherever neither Content-Length nor chunked framing was used (RFC 9112 6.3), and many a proxy ends a broken body
cleanly.
"""

from __future__ import annotations

from enum import Enum, StrEnum

from opeai_async._public import claim

TRUNCATED = "the stream ended without [DONE] and without a finish_reason: the answer was cut"
NO_CHOICE = "the stream ended with [DONE], but without a choice: there is no answer in it"


class End(Enum):
    """What ended the reading."""

    DONE = "done"
    """The ``[DONE]`` event."""
    EOF = "eof"
    """A clean end of the body."""
    GRACE = "grace"
    """Silence after the last finish_reason, for as long as ``Timeouts.finish_grace_s``."""
    BROKEN = "broken"
    """The connection broke, or the body ended before its announced length."""
    ERROR = "error"
    """An error: reported by the server, of a clock, of a limit, of the decoder."""
    CLOSED = "closed"
    """The user's side closed it."""


class Outcome(StrEnum):
    """How a stream ended; ``OPEN`` until then."""

    OPEN = "open"
    """It goes on."""
    COMPLETE = "complete"
    """The answer is whole."""
    UNLABELLED = "unlabelled"
    """``[DONE]`` came, but no finish_reason: whole, as far as the server says."""
    TRUNCATED = "truncated"
    """The body ended cleanly before the answer did."""
    FAILED = "failed"
    """An error ended it."""
    CANCELLED = "cancelled"
    """It was closed from this side before its end."""


_TABLE: dict[tuple[End, bool], Outcome] = {
    # (what ended it, every choice has a finish_reason: a credible one, unless [DONE] came)
    (End.DONE, True): Outcome.COMPLETE,
    (End.DONE, False): Outcome.UNLABELLED,
    (End.EOF, True): Outcome.COMPLETE,
    (End.EOF, False): Outcome.TRUNCATED,
    (End.GRACE, True): Outcome.COMPLETE,
    (End.BROKEN, True): Outcome.COMPLETE,
    (End.BROKEN, False): Outcome.FAILED,
    (End.ERROR, True): Outcome.FAILED,
    (End.ERROR, False): Outcome.FAILED,
    (End.CLOSED, True): Outcome.COMPLETE,
    (End.CLOSED, False): Outcome.CANCELLED,
}


def outcome_of(end: End, *, labelled: bool) -> Outcome:
    """The outcome of a stream that ended by *end*; *labelled* if every choice has a finish_reason."""
    return _TABLE[end, labelled]


def quirk_of(end: End, outcome: Outcome) -> str | None:
    """What a server left out although the answer is whole: ``[DONE]``, or the finish_reason."""
    if outcome is Outcome.UNLABELLED:
        return "finish_missing"
    is_whole = outcome is Outcome.COMPLETE
    return "done_missing" if is_whole and end in (End.EOF, End.GRACE, End.BROKEN) else None


claim(__name__)
