"""How a stream ends is decided without a loop, from what stopped it and what its message holds."""

from typing import Any

import msgspec
import pytest

from opeai_async._core.answer.accumulator import Accumulator
from opeai_async._core.answer.outcome import End, Outcome
from opeai_async._core.decode.decoder import decode_chunk
from opeai_async._io.stream.ending import Ending, add_facts, ending_of
from opeai_async.errors import StreamDecodeError, StreamInterruptedError, StreamServerError, StreamTruncatedError
from opeai_async.types.meta import ResponseMeta
from tests.support.reading.streams import delta_chunk

CUT = StreamInterruptedError("the connection broke")


def answer_of(*reasons: str | None) -> Accumulator:
    """A message with a choice for each of *reasons*; None for a choice that has not ended."""
    answer = Accumulator()
    for index, reason in enumerate(reasons):
        wire: dict[str, Any] = delta_chunk({"content": "abc"}, index=index)
        wire["choices"][0]["finish_reason"] = reason
        answer.extend([decode_chunk(msgspec.json.encode(wire))])
    return answer


def decided(end: End, *reasons: str | None, error=None, quietly=False, note=None) -> Ending:
    return ending_of(
        end,
        error,
        answer_of(*reasons),
        on_truncated="return" if quietly else "raise",
        note=note or (lambda quirk: None),
    )


@pytest.mark.parametrize(
    ("end", "reason", "outcome", "is_whole"),
    [
        (End.DONE, "stop", Outcome.COMPLETE, True),
        (End.DONE, None, Outcome.UNLABELLED, True),
        (End.EOF, "stop", Outcome.COMPLETE, True),
        (End.EOF, None, Outcome.TRUNCATED, False),
        (End.GRACE, "stop", Outcome.COMPLETE, True),
        (End.BROKEN, "stop", Outcome.COMPLETE, True),
        (End.BROKEN, None, Outcome.FAILED, False),
        (End.ERROR, "stop", Outcome.FAILED, False),
        (End.CLOSED, "stop", Outcome.COMPLETE, True),
        (End.CLOSED, None, Outcome.CANCELLED, False),
    ],
)
def test_each_end_has_its_outcome(end: End, reason: str | None, outcome: Outcome, is_whole: bool) -> None:
    """And only a stream that failed or was truncated has an error to raise."""
    ending = decided(end, reason, error=CUT)
    assert (ending.end, ending.outcome, ending.is_whole) == (end, outcome, is_whole)
    assert ending.error is (CUT if outcome in (Outcome.FAILED, Outcome.TRUNCATED) else None)


def test_a_truncated_stream_may_end_quietly() -> None:
    """``on_truncated="return"`` takes the error, and leaves the outcome."""
    ending = decided(End.EOF, None, error=StreamTruncatedError("cut"), quietly=True)
    assert (ending.outcome, ending.error) == (Outcome.TRUNCATED, None)


def test_that_is_not_for_what_failed() -> None:
    assert decided(End.BROKEN, None, error=CUT, quietly=True).error is CUT


def test_done_without_any_choice() -> None:
    """The server has said that it is over, and has said nothing."""
    ending = ending_of(End.DONE, CUT, Accumulator(), on_truncated="raise", note=lambda quirk: None)
    assert (ending.outcome, ending.error, ending.is_whole) == (Outcome.TRUNCATED, CUT, False)


@pytest.mark.parametrize(
    ("end", "reason", "quirk"),
    [(End.EOF, "stop", "done_missing"), (End.DONE, None, "finish_missing"), (End.DONE, "stop", None)],
)
def test_what_a_server_left_out_is_noted(end: End, reason: str | None, quirk: str | None) -> None:
    noted: list[str] = []
    decided(end, reason, note=noted.append)
    assert noted == ([quirk] if quirk else [])


def test_a_strict_dialect_makes_it_an_error() -> None:
    """Then the stream failed, whatever it held."""
    refusal = StreamDecodeError("done_missing")

    def refuse(quirk: str) -> None:
        raise refusal

    ending = decided(End.EOF, "stop", note=refuse)
    assert ending == (End.ERROR, Outcome.FAILED, refusal, False)


def test_an_answer_that_says_it_failed() -> None:
    """The body is whole, and its connection good; the answer is not."""
    ending = decided(End.DONE, "error")
    assert (ending.outcome, ending.is_whole) == (Outcome.FAILED, True)
    assert isinstance(ending.error, StreamServerError)


def test_an_error_is_told_what_had_arrived() -> None:
    error = StreamInterruptedError("cut")
    add_facts(error, answer_of("stop"), ResponseMeta(request_id="r1"), 123)
    assert error.partial is not None
    assert error.partial.choices[0].message.content == "abc"
    assert (error.finish_reason, error.request_id, error.events, error.bytes) == ("stop", "r1", 1, 123)


def test_before_the_first_chunk_there_is_nothing_to_tell() -> None:
    error = StreamInterruptedError("cut")
    add_facts(error, Accumulator(), ResponseMeta(), 0)
    assert (error.partial, error.events) == (None, 0)
