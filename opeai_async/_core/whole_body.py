"""A body that was awaited whole: JSON as asked for, or the event stream that some gateways send all the same."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from opeai_async._core.accumulator import Accumulator
from opeai_async._core.api_errors import failed_answer
from opeai_async._core.body import BodyKind, decode_json, invalid_response, kind_of, on_the_wire
from opeai_async._core.decode import decode_completion
from opeai_async._core.dialect import Dialect
from opeai_async._core.http import ResponseHead
from opeai_async._core.outcome import TRUNCATED, End, Outcome, outcome_of
from opeai_async._core.parser import StreamParser
from opeai_async.errors import InvalidResponseError, OpeAIError, StreamError, StreamTruncatedError
from opeai_async.types.chunk import ChatCompletionChunk
from opeai_async.types.completion import ChatCompletion

CompletionT = TypeVar("CompletionT", bound=ChatCompletion)


def read_completion(
    head: ResponseHead, body: bytes, completion_type: type[CompletionT], dialect: Dialect
) -> CompletionT:
    """The answer in a whole body, be it JSON as asked for or an event stream.

    Raises:
        StreamServerError: If the body reports an error, or its finish_reason says that the answer broke.
        StreamTruncatedError: If it is an event stream that was cut; ``partial`` is of *completion_type*.
        InvalidResponseError: If it is neither.
        StreamDecodeError: If an event of it is no chunk, or in strict mode.
        StreamTooLargeError: If an event of it has an index out of bounds.
    """
    body = _after_comments(body)
    if kind_of(body) is BodyKind.EVENTS:
        completion = _completion_of_events(head, body, completion_type, dialect)
    else:
        completion = decode_json(head, body, completion_type, dialect)
    if (error := failed_answer(completion)) is not None:
        raise error
    return completion


def _after_comments(body: bytes) -> bytes:
    """*body* without comments that kept the connection alive until a JSON answer was there."""
    at = 0
    while at < len(body) and body[at] in b":\r\n":
        at = body.find(b"\n", at) + 1 or len(body)
    return body[at:] if body[at : at + 1] == b"{" else body


def _completion_of_events(
    head: ResponseHead, body: bytes, completion_type: type[CompletionT], dialect: Dialect
) -> CompletionT:
    parser = StreamParser(head, ChatCompletionChunk, dialect, max_event_bytes=len(body))
    accumulator = Accumulator(note=dialect.note)
    accumulator.extend(parser.feed(body) + parser.end())
    if not accumulator.chunks and (parser.error is None or isinstance(parser.error, InvalidResponseError)):
        raise invalid_response(head, body, "expected a JSON object, got text")
    dialect.note("events_for_json")
    completion = decode_completion(msgspec.json.encode(on_the_wire(accumulator.completion())), completion_type, dialect)
    error: OpeAIError | None = parser.error
    end = End.DONE if parser.done else End.EOF
    if error is None and outcome_of(end, labelled=accumulator.finished) is Outcome.TRUNCATED:
        error = StreamTruncatedError(TRUNCATED)
    if isinstance(error, StreamError) and accumulator.chunks:
        error.partial, error.usage, error.events = completion, completion.usage, accumulator.chunks
    if error is not None:
        raise error
    return completion
