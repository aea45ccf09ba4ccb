"""What each stream of the soak goes through, and what must come of it.

A plan travels to the server in a header, so both sides know the same: which pieces of text to expect, where the server
misbehaves, when the reader walks away. A piece is made of the stream's number and its own position, ``<17.3>``, so text
that is lost, doubled or another stream's is seen wherever it happens. What arrived of a stream is compared as one text,
thinking first.

A way is a named fate. Every stream goes exactly one, and each way says how a stream may end by it: anything else was
not injected, and is somebody's mistake.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import count

import msgspec

from opeai_async import (
    APIConnectionError,
    APITimeoutError,
    InternalServerError,
    OpeAIError,
    QuotaExceededError,
    StreamInterruptedError,
    StreamServerError,
    StreamTimeoutError,
    StreamTruncatedError,
    Timeouts,
)

PLAN_HEADER = "X-Soak"
REASONING_PIECES = (0, 12)
CONTENT_PIECES = (4, 32)
# More than the socket buffers of both sides and the client's own hold, so that the server has to wait for the reader.
HOSE_PIECES, HOSE_REPEAT = 160, 1024


class Ending(StrEnum):
    """What became of a stream."""

    DELIVERED = "delivered"
    """All of it arrived."""
    CUT = "cut"
    """An error of the stream, with what had arrived."""
    CANCELLED = "cancelled"
    """Its reader left."""
    REFUSED = "refused"
    """An error status, and no other attempt."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """A fate.

    Attributes:
        weight: How many streams go this way, against the others.
        endings: How it may end.
        error: What a cut or refused stream raises.
        phase: Which clock such an error names.
        is_exact: Whether a cut stream must have all that was sent before the fault; a reset may overtake data.
        attempts: How many requests a delivered stream takes.
        limits: Names of the clocks that are set to the plan's patience; the others keep their defaults.
    """

    weight: int
    endings: tuple[Ending, ...]
    error: type[OpeAIError] | None = None
    phase: str | None = None
    is_exact: bool = False
    attempts: int = 1
    limits: tuple[str, ...] = ()


def _delivered(weight: int, *, attempts: int = 1, limits: tuple[str, ...] = ()) -> Way:
    return Way(weight=weight, endings=(Ending.DELIVERED,), attempts=attempts, limits=limits)


def _cut(error: type[OpeAIError], *, is_exact: bool = True, clock: str | None = None) -> Way:
    limits = () if clock is None else (f"{clock}_s",)
    return Way(weight=3, endings=(Ending.CUT,), error=error, phase=clock, is_exact=is_exact, limits=limits)


def _retried(error: type[OpeAIError], at_worst: Ending) -> Way:
    """Delivered by the second attempt; or, where the client's budget of retries is empty, what the first one got."""
    return Way(weight=1, endings=(Ending.DELIVERED, at_worst), error=error, attempts=2)


def _left(weight: int) -> Way:
    return Way(weight=weight, endings=(Ending.CANCELLED, Ending.DELIVERED))


WAYS: dict[str, Way] = {
    # the ways to read
    "chunks": _delivered(20),
    "text": _delivered(8),
    "batches": _delivered(8),
    "completion": _delivered(8),
    "polling": _delivered(2),  # wait_for(anext(stream)), time and again
    "slow_reader": _delivered(2, limits=("idle_bytes_s", "idle_content_s")),  # sleeps for longer than its clocks
    # the server takes its time
    "slow_head": _delivered(3),
    "silence": _delivered(3),
    "keep_alive": _delivered(3, limits=("idle_bytes_s",)),  # comments while it thinks
    "held_open": _delivered(3),  # no end of the body after [DONE]
    "no_done": _delivered(2, limits=("finish_grace_s",)),
    # worth another attempt
    "unavailable": _retried(InternalServerError, Ending.REFUSED),
    "dropped": _retried(APIConnectionError, Ending.REFUSED),
    "error_first": _retried(StreamServerError, Ending.CUT),
    "quota": Way(weight=2, endings=(Ending.REFUSED,), error=QuotaExceededError),
    # cut
    "stall": _cut(StreamTimeoutError, clock="idle_bytes"),
    "comments_only": _cut(StreamTimeoutError, clock="idle_content"),
    "reset": _cut(StreamInterruptedError, is_exact=False),
    "cut_in_chunk": _cut(StreamInterruptedError),
    "truncated": _cut(StreamTruncatedError),
    "server_error": _cut(StreamServerError),
    # Perhaps before the response began; and delivered, where the loop came so late that all was there.
    "deadline": Way(
        weight=3,
        endings=(Ending.CUT, Ending.DELIVERED),
        error=APITimeoutError,
        phase="total",
        limits=("total_s",),
    ),
    # the reader leaves
    "task_cancel": _left(5),
    "stream_cancel": _left(5),
    "timeout": _left(5),
    "break": _left(5),
}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One stream.

    Attributes:
        number: Of the stream, unique in a run.
        way: A key of ``WAYS``.
        reasoning, content: How many pieces of each the server would send.
        at: At which piece the way's fault happens, or after how many the reader leaves.
        repeat: How often a piece repeats itself.
        pace_s: Seconds between two pieces.
        patience_s: Seconds for the clocks that the way sets; well above the pace.
        leave_s: When a reader leaves that does so by the clock.
    """

    number: int
    way: str
    reasoning: int
    content: int
    at: int
    repeat: int
    pace_s: float
    patience_s: float
    leave_s: float

    @property
    def pieces(self) -> int:
        """How many there would be in all."""
        return self.reasoning + self.content

    @property
    def request_id(self) -> str:
        """What the server calls the request."""
        return f"req_soak_{self.number}"

    def piece(self, position: int) -> str:
        """The text of one piece."""
        return f"<{self.number}.{position}>" * self.repeat

    def text(self, begin: int = 0, end: int | None = None) -> str:
        """The pieces from *begin* to *end*, or to the last."""
        return "".join(map(self.piece, range(begin, self.pieces if end is None else end)))

    def timeouts(self) -> Timeouts:
        """The clocks its way sets."""
        # The total runs from the request on, so that one ends somewhere in the middle.
        return Timeouts(
            **{name: self.leave_s if name == "total_s" else self.patience_s for name in WAYS[self.way].limits}
        )


def plans(seed: int, pace_s: float) -> Iterator[Plan]:
    """Plans without end, the same for the same *seed*; *pace_s* is the mean of their paces.

    The ways are dealt from a shuffled deck, then from the next: a short run goes them all.
    """
    rng = random.Random(seed)
    deck = [name for name, way in WAYS.items() for _ in range(way.weight)]
    for number in count(1):
        if number % len(deck) == 1:
            rng.shuffle(deck)
        yield _plan(rng, number, deck[number % len(deck)], pace_s)


def _plan(rng: random.Random, number: int, way: str, mean_pace_s: float) -> Plan:
    is_hose = way == "slow_reader"
    reasoning = 0 if is_hose else rng.randint(*REASONING_PIECES)
    content = HOSE_PIECES if is_hose else rng.randint(*CONTENT_PIECES)
    pace_s = mean_pace_s * rng.uniform(0.5, 1.5)
    return Plan(
        number=number,
        way=way,
        reasoning=reasoning,
        content=content,
        at=rng.randint(1, reasoning + content - 1),
        repeat=HOSE_REPEAT if is_hose else 1,
        pace_s=pace_s,
        patience_s=2 + 4 * mean_pace_s,
        leave_s=rng.uniform(0.001, 0.9 * (reasoning + content) * pace_s),
    )
