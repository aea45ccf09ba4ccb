"""What kind of body a 200 brought, decided by its first bytes: gateways lie in both content-type and ``stream``."""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

import msgspec

from opeai_async._core.accumulator import Accumulator
from opeai_async._core.api_errors import excerpt, failed_answer
from opeai_async._core.decode import DONE, ChunkDecoder, decode_completion
from opeai_async._core.dialect import Dialect
from opeai_async._core.encode import flattened
from opeai_async._core.http import ResponseHead
from opeai_async._core.json_types import JSONObject, is_array, is_object
from opeai_async._core.outcome import End, Outcome, outcome_of
from opeai_async._core.sse import ServerSentEvent, SSEDecoder
from opeai_async.errors import InvalidResponseError, StreamDecodeError
from opeai_async.types.chunk import ChatCompletionChunk
from opeai_async.types.completion import ChatCompletion

CompletionT = TypeVar("CompletionT", bound=ChatCompletion)

_WHITE = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"


class BodyKind(Enum):
    """What the first bytes say."""

    JSON = "JSON"
    EVENTS = "an event stream"
    MARKUP = "HTML"


def kind_of(prefix: bytes) -> BodyKind | None:
    """The kind of the body that begins with *prefix*; None while there is only white space, or half a BOM."""
    if len(prefix) < len(_BOM) and _BOM.startswith(prefix):
        return None
    start = prefix.removeprefix(_BOM).lstrip(_WHITE)[:1]
    if not start:
        return None
    if start in b"{[":
        return BodyKind.JSON
    return BodyKind.MARKUP if start == b"<" else BodyKind.EVENTS


def invalid_response(head: ResponseHead, body: bytes, why: str) -> InvalidResponseError:
    """The error for a response that is not this API's."""
    return InvalidResponseError(
        f"HTTP {head.status} from {head.host} with content-type {head.content_type or 'missing'}: {why}",
        status_code=head.status,
        content_type=head.content_type,
        excerpt=excerpt(body),
        request_id=head.request_id,
    )


def read_completion(
    head: ResponseHead, body: bytes, completion_type: type[CompletionT], dialect: Dialect
) -> CompletionT:
    """The answer in a whole body, be it JSON as asked for or an event stream.

    Raises:
        StreamServerError: If the body reports an error, or its finish_reason says that the answer broke.
        InvalidResponseError: If it is neither.
        StreamDecodeError: If an event of it is no chunk, or in strict mode.
        StreamTooLargeError: If an event of it has an index out of bounds.
    """
    kind = kind_of(body)
    if kind is BodyKind.JSON:
        completion = decode_completion(body.removeprefix(_BOM), completion_type, dialect)
    elif kind is BodyKind.EVENTS:
        completion = _completion_of_events(head, body, completion_type, dialect)
    else:
        found = "an empty body" if kind is None else kind.value
        raise invalid_response(head, body, f"expected a JSON object, got {found}")
    if (error := failed_answer(completion)) is not None:
        raise error
    return completion


def _completion_of_events(
    head: ResponseHead, body: bytes, completion_type: type[CompletionT], dialect: Dialect
) -> CompletionT:
    sse = SSEDecoder(max_event_bytes=len(body), event_fields=("error",))
    accumulator = Accumulator(note=dialect.note)
    end = _accumulate(sse.feed(body), accumulator, dialect)
    if end is End.EOF:
        try:
            end = _accumulate(sse.take_unterminated(), accumulator, dialect)
        except StreamDecodeError:
            pass  # it was cut in the middle
    if not accumulator.chunks:
        raise invalid_response(head, body, "expected a JSON object, got text")
    if outcome_of(end, labelled=accumulator.finished) is Outcome.TRUNCATED:
        raise invalid_response(head, body, "expected a JSON object, got an event stream that was cut")
    dialect.note("events_for_json")
    return decode_completion(msgspec.json.encode(_on_the_wire(accumulator.completion())), completion_type, dialect)


def _accumulate(events: list[ServerSentEvent], accumulator: Accumulator, dialect: Dialect) -> End:
    chunks = ChunkDecoder(ChatCompletionChunk, dialect)
    for event in events:
        if event.data.strip() == DONE:
            return End.DONE
        chunk = chunks.decode_event(event)
        if chunk is not None:
            accumulator.add(chunk)
    return End.EOF


def as_one_chunk(completion: ChatCompletion) -> bytes:
    """*completion* as the only event of a stream, for servers which ignore ``stream``."""
    body: JSONObject = {**_on_the_wire(completion), "object": "chat.completion.chunk"}
    for choice in body["choices"]:
        delta = choice["delta"] = choice.pop("message")
        calls = delta.get("tool_calls")
        for position, call in enumerate(calls if is_array(calls) else ()):
            if is_object(call):  # else it is what could not be read as a call
                call["index"] = position
    return msgspec.json.encode(body)


def _on_the_wire(completion: ChatCompletion) -> JSONObject:
    """*completion* as a server would send it, with the zeros that Structs leave out.

    Reasoning has the name it came under, so that the second reading notes that name too.
    """
    body: JSONObject = {"choices": [], **flattened(completion)}
    for choice in body["choices"]:
        choice.setdefault("index", 0)
        message = choice["message"]
        if "reasoning" in message and "reasoning_content" in message:
            message["reasoning"] = message.pop("reasoning_content")
    if completion.usage is not None:
        body["usage"] = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, **body["usage"]}
    return body
