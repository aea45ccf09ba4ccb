"""What kind of body a 200 brought, decided by its first bytes: gateways lie in both content-type and ``stream``."""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

from opeai_async._core.accumulator import Accumulator
from opeai_async._core.api_errors import excerpt
from opeai_async._core.decode import DONE, ChunkDecoder, decode_completion
from opeai_async._core.dialect import Dialect
from opeai_async._core.http import ResponseHead
from opeai_async._core.outcome import End, Outcome, outcome_of
from opeai_async._core.sse import SSEDecoder
from opeai_async.errors import InvalidResponseError
from opeai_async.types.chunk import (
    AudioDelta,
    ChatCompletionChunk,
    ChoiceDelta,
    ChunkChoice,
    CustomCallDelta,
    FunctionCallDelta,
    ToolCallDelta,
)
from opeai_async.types.completion import ChatCompletion, ToolCall

CompletionT = TypeVar("CompletionT", bound=ChatCompletion)

_WHITE = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"


class BodyKind(Enum):
    """What the first bytes say."""

    JSON = "JSON"
    EVENTS = "an event stream"
    MARKUP = "HTML"


def kind_of(prefix: bytes) -> BodyKind | None:
    """The kind of the body that begins with *prefix*; None while there is only white space."""
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
        StreamServerError: If the body reports an error.
        InvalidResponseError: If it is neither.
        StreamDecodeError: If an event of it is no chunk.
    """
    kind = kind_of(body)
    if kind is BodyKind.JSON:
        return decode_completion(body.removeprefix(_BOM), completion_type, dialect)
    if kind is BodyKind.EVENTS:
        return _completion_of_events(head, body, completion_type, dialect)
    found = "an empty body" if kind is None else kind.value
    raise invalid_response(head, body, f"expected a JSON object, got {found}")


def _completion_of_events(
    head: ResponseHead, body: bytes, completion_type: type[CompletionT], dialect: Dialect
) -> CompletionT:
    sse = SSEDecoder(max_event_bytes=max(len(body), 1), event_fields=("error",))
    chunks = ChunkDecoder(ChatCompletionChunk, dialect)
    accumulator = Accumulator()
    end = End.EOF
    for event in [*sse.feed(body), *sse.take_unterminated()]:
        if event.data.strip() == DONE:
            end = End.DONE
            break
        chunk = chunks.decode_event(event)
        if chunk is not None:
            accumulator.add(chunk)
    if not accumulator.chunks:
        raise invalid_response(head, body, "expected a JSON object, got text")
    if outcome_of(end, labelled=accumulator.finished) is Outcome.TRUNCATED:
        raise invalid_response(head, body, "expected a JSON object, got an event stream that was cut")
    dialect.note("events_for_json")
    built = accumulator.completion()
    return completion_type(**{name: getattr(built, name) for name in built.__struct_fields__})


def chunk_of(completion: ChatCompletion) -> ChatCompletionChunk:
    """*completion* as the one chunk of a stream, for servers which ignore ``stream``."""
    return ChatCompletionChunk(
        id=completion.id,
        object="chat.completion.chunk",
        created=completion.created,
        model=completion.model,
        system_fingerprint=completion.system_fingerprint,
        service_tier=completion.service_tier,
        usage=completion.usage,
        extra=completion.extra,
        choices=[
            ChunkChoice(
                index=choice.index,
                finish_reason=choice.finish_reason,
                logprobs=choice.logprobs,
                extra=choice.extra,
                delta=_delta_of(choice.message),
            )
            for choice in completion.choices
        ],
    )


def _delta_of(message: object) -> ChoiceDelta:
    fields = {name: getattr(message, name) for name in ChoiceDelta.__struct_fields__}
    calls: list[ToolCall] = fields["tool_calls"] or []
    fields["tool_calls"] = [_call_delta(index, call) for index, call in enumerate(calls)] or None
    if (call := fields["function_call"]) is not None:
        fields["function_call"] = FunctionCallDelta(name=call.name, arguments=call.arguments)
    if (audio := fields["audio"]) is not None:
        fields["audio"] = AudioDelta(
            id=audio.id, data=audio.data, transcript=audio.transcript, expires_at=audio.expires_at
        )
    return ChoiceDelta(**fields)


def _call_delta(index: int, call: ToolCall) -> ToolCallDelta:
    function = custom = None
    if call.custom is not None:
        custom = CustomCallDelta(name=call.custom.name, input=call.custom.input)
    else:
        function = FunctionCallDelta(name=call.function.name, arguments=call.function.arguments)
    return ToolCallDelta(index=index, id=call.id, type=call.type, function=function, custom=custom, extra=call.extra)
