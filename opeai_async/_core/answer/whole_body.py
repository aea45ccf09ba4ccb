"""Read a body that was awaited whole: JSON as asked for, or the event stream that some gateways send instead."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from opeai_async._core.answer.accumulator import Accumulator
from opeai_async._core.answer.outcome import NO_CHOICE, TRUNCATED, End, Outcome, outcome_of
from opeai_async._core.call.http import ResponseHead
from opeai_async._core.decode.body_kind import BodyKind, decode_json, invalid_response, kind_of, on_the_wire
from opeai_async._core.decode.decoder import decode_completion
from opeai_async._core.decode.parser import StreamParser
from opeai_async._core.dialect.api_errors import failed_answer
from opeai_async._core.dialect.dialect import Dialect
from opeai_async._core.dialect.tool_arguments import is_json_object
from opeai_async.errors import InvalidResponseError, OpeAIError, StreamError, StreamTruncatedError
from opeai_async.types.chunk import ChatCompletionChunk
from opeai_async.types.completion import ChatCompletion

CompletionT = TypeVar("CompletionT", bound=ChatCompletion)


def read_completion(
    head: ResponseHead, body: bytes, completion_type: type[CompletionT], dialect: Dialect, *, choices: int = 1
) -> CompletionT:
    """Read the answer out of a whole body, JSON or an event stream.

    *choices* is the number of answers that were asked for.

    Raises:
        StreamServerError: If the body reports an error, or its finish_reason says that the answer broke.
        StreamTruncatedError: If it is an event stream that was cut; ``partial`` is of *completion_type*.
        InvalidResponseError: If it is neither JSON nor an event stream.
        StreamDecodeError: If an event of it is not a chunk, or if it is an event stream in strict mode.
        StreamTooLargeError: If an event of it has an index out of bounds.
    """
    body = _after_comments(body)
    if kind_of(body) is BodyKind.EVENTS or _has_lines(body):
        completion = _completion_of_events(head, body, completion_type, dialect, choices)
    else:
        completion = decode_json(head, body, completion_type, dialect)
    if (error := failed_answer(completion)) is not None:
        raise error
    return completion


def _after_comments(body: bytes) -> bytes:
    """Return *body* without the comments of SSE that kept the connection alive until a JSON answer was there."""
    at = 0
    while at < len(body) and body[at] in b":\r\n":
        at = body.find(b"\n", at) + 1 or len(body)
    return body[at:] if body[at : at + 1] == b"{" else body


def _has_lines(body: bytes) -> bool:
    """Tell whether *body* is chunks without ``data:``, each on its own line."""
    first, _, rest = body.strip().partition(b"\n")
    if not rest.lstrip().startswith((b"{", b"data:")) or not first.rstrip().endswith(b"}"):
        return False
    return rest.strip() != b"data: [DONE]" and is_json_object(first.decode("utf-8", "replace"))


def _completion_of_events(
    head: ResponseHead, body: bytes, completion_type: type[CompletionT], dialect: Dialect, choices: int
) -> CompletionT:
    parser = StreamParser(head, ChatCompletionChunk, dialect, max_event_bytes=len(body))
    accumulator = Accumulator(note=dialect.note, choices=choices)
    accumulator.extend(parser.feed(body) + parser.end())
    if not accumulator.chunks and (parser.error is None or isinstance(parser.error, InvalidResponseError)):
        raise invalid_response(head, body, "expected a JSON object, got text")
    # Only now, since this raises in strict mode: a body without any answer is an invalid response, and no quirk.
    dialect.note("events_for_json")
    end = End.DONE if parser.done else End.EOF
    if parser.done:
        accumulator.settle()
    if not accumulator.begun:
        raise parser.error or StreamTruncatedError(NO_CHOICE if parser.done else TRUNCATED)
    completion = decode_completion(msgspec.json.encode(on_the_wire(accumulator.completion())), completion_type, dialect)
    error: OpeAIError | None = parser.error
    if error is None and outcome_of(end, labelled=accumulator.is_labelled(end)) is Outcome.TRUNCATED:
        error = StreamTruncatedError(TRUNCATED)
    if isinstance(error, StreamError) and accumulator.chunks:
        error.partial, error.usage, error.events = completion, completion.usage, accumulator.chunks
    if error is not None:
        raise error
    return completion
