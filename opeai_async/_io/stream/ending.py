"""Decide how a stream ends: from what stopped its reading and from what its message holds to an outcome and an error.

Nothing here reads, closes or waits; the stream acts on what is decided. An end means different things to different
messages: a body that just stops is complete where each choice had its finish_reason, and truncated where not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from opeai_async._core.answer.accumulator import Accumulator
from opeai_async._core.answer.outcome import End, Outcome, outcome_of, quirk_of
from opeai_async._core.call.params import ReadOptions
from opeai_async._core.dialect.api_errors import failed_answer
from opeai_async.errors import OpeAIError, StreamError
from opeai_async.types.finish import finish_kind
from opeai_async.types.meta import ResponseMeta
from opeai_async.types.options import OnTruncated


class Ending(NamedTuple):
    """How a stream ends.

    Attributes:
        end: What stopped the reading.
        outcome: What users are told.
        error: What each further read raises; None where the stream ends quietly.
        is_whole: Whether the body was read to a good end, so that its connection may serve again.
    """

    end: End
    outcome: Outcome
    error: OpeAIError | None
    is_whole: bool


def ending_of(
    end: End,
    error: OpeAIError | None,
    answer: Accumulator,
    *,
    on_truncated: OnTruncated,
    note: Callable[[str], None],
) -> Ending:
    """Decide what *end* makes of the message in *answer*, which is settled where the server has said that it is over.

    Args:
        end: What stopped the reading.
        error: The error that came with it, if any.
        answer: The message as far as it was handed out.
        on_truncated: Whether a truncated stream raises.
        note: Takes the name of a quirk of the end; raises a StreamError where the dialect is strict.
    """
    if end is End.DONE:
        answer.settle()
    outcome = outcome_of(end, labelled=answer.is_labelled(end))
    if end is End.DONE and not answer.begun:
        outcome = Outcome.TRUNCATED  # no choice at all is no answer
    if quirk := quirk_of(end, outcome):
        try:
            note(quirk)
        except StreamError as exc:
            end, error, outcome = End.ERROR, exc, Outcome.FAILED
    is_whole = outcome in (Outcome.COMPLETE, Outcome.UNLABELLED)
    if outcome is Outcome.COMPLETE and "error" in map(finish_kind, answer.finish_reasons):
        outcome, error = Outcome.FAILED, failed_answer(answer.snapshot)
    elif outcome is Outcome.TRUNCATED and on_truncated == "return":
        error = None
    # What came with an end that is no failure, such as a broken connection after [DONE], concerns nobody.
    return Ending(end, outcome, error if outcome in (Outcome.FAILED, Outcome.TRUNCATED) else None, is_whole)


def graces_after(answer: Accumulator, options: ReadOptions) -> int:
    """Tell how long the server may be silent now, before the message in *answer* is taken for all there is.

    What comes after a pause is lost if the pause is longer; what a server holds open after its end costs that time.

    Returns:
        A number of times ``finish_grace_s``: 0, which is no such limit, where the end is not credible, or the sound
        that was asked for has not come; 3 where the end came with the first words; 2 where the token counts that were
        asked for have not come, as they come last; else 1.
    """
    if not answer.has_credible_end or (options.wants_audio and not answer.has_audio):
        return 0
    if not answer.has_sure_end:
        return 3
    return 2 if options.wants_usage and answer.usage is None else 1


def add_facts(error: StreamError, answer: Accumulator, meta: ResponseMeta, bytes_read: int) -> None:
    """Tell *error* what had arrived before it."""
    error.partial = answer.completion(meta) if answer.chunks else None
    error.usage = answer.usage
    error.finish_reason = answer.finish_reason
    error.request_id = meta.request_id
    error.events = answer.chunks
    error.bytes = bytes_read
