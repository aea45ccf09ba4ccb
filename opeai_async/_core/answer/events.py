"""Make typed events out of chunks.

Deltas are made chunk by chunk and are not kept. The ``done`` events are made from the whole completion, which the
accumulator has built already; collecting the texts here as well was rejected, since it would keep them twice.
"""

from __future__ import annotations

from opeai_async._core.answer.tool_pieces import ToolPiece, ToolPieces
from opeai_async._core.limits import MAX_INDEX
from opeai_async.errors import StreamTooLargeError
from opeai_async.types.chunk import ChatCompletionChunk, ToolCallDelta
from opeai_async.types.common import ChoiceLogprobs
from opeai_async.types.completion import ChatCompletion, Choice, ToolCall
from opeai_async.types.events import (
    ChunkEvent,
    ContentDeltaEvent,
    ContentDoneEvent,
    CustomInputDeltaEvent,
    CustomInputDoneEvent,
    FinishEvent,
    FunctionArgumentsDeltaEvent,
    FunctionArgumentsDoneEvent,
    LogprobsContentDeltaEvent,
    LogprobsContentDoneEvent,
    LogprobsRefusalDeltaEvent,
    LogprobsRefusalDoneEvent,
    ReasoningDeltaEvent,
    ReasoningDoneEvent,
    RefusalDeltaEvent,
    RefusalDoneEvent,
    StreamEvent,
    UsageEvent,
)


class EventMaker:
    """Maker of the events of one stream."""

    __slots__ = ("_calls",)

    def __init__(self) -> None:
        self._calls: dict[int, _Calls] = {}

    def add(self, chunk: ChatCompletionChunk) -> list[StreamEvent]:
        """Return the events of *chunk*, the chunk itself first."""
        events: list[StreamEvent] = [ChunkEvent(chunk=chunk)]
        for choice in chunk.choices:
            delta = choice.delta
            if delta.reasoning_content:
                events.append(ReasoningDeltaEvent(delta=delta.reasoning_content, choice=choice.index))
            if delta.content:
                events.append(ContentDeltaEvent(delta=delta.content, choice=choice.index))
            if delta.refusal:
                events.append(RefusalDeltaEvent(delta=delta.refusal, choice=choice.index))
            if delta.tool_calls:
                self._add_calls(choice.index, delta.tool_calls, events)
            if choice.logprobs is not None:
                _add_logprobs(choice.logprobs, choice.index, events)
        if chunk.usage is not None:
            events.append(UsageEvent(usage=chunk.usage))
        return events

    def end(self, completion: ChatCompletion) -> list[StreamEvent]:
        """Return the pieces that were held back, and the ``done`` events of *completion*, which is whole."""
        events: list[StreamEvent] = []
        for choice, calls in self._calls.items():
            events.extend(calls.event(piece, choice) for piece in calls.pieces.rest())
        for whole in completion.choices:
            _add_done(whole, events)
        return events

    def _add_calls(self, choice: int, deltas: list[ToolCallDelta], events: list[StreamEvent]) -> None:
        calls = self._calls.get(choice) or self._calls.setdefault(choice, _Calls())
        try:
            for delta in deltas:
                events.extend(calls.event(piece, choice) for piece in calls.pieces.add(delta))
        except StreamTooLargeError:
            pass  # the stream itself ends with this error, at its next read


class _Calls:
    """Calls of one choice, with the latest id and name of each."""

    __slots__ = ("heads", "pieces")

    def __init__(self) -> None:
        self.pieces = ToolPieces(MAX_INDEX)
        self.heads: dict[int, tuple[str, str]] = {}

    def event(self, piece: ToolPiece, choice: int) -> StreamEvent:
        """Build the event for *piece*, with the call's id and name as far as they are known."""
        head = self.heads.get(piece.position, ("", ""))
        if piece.id is not None or piece.name is not None:
            head = self.heads[piece.position] = (piece.id or head[0], piece.name or head[1])
        event = FunctionArgumentsDeltaEvent if piece.kind == "function" else CustomInputDeltaEvent
        return event(delta=piece.arguments, index=piece.position, id=head[0], name=head[1], choice=choice)


def _add_logprobs(logprobs: ChoiceLogprobs, choice: int, events: list[StreamEvent]) -> None:
    if logprobs.content:
        events.append(LogprobsContentDeltaEvent(content=logprobs.content, choice=choice))
    if logprobs.refusal:
        events.append(LogprobsRefusalDeltaEvent(refusal=logprobs.refusal, choice=choice))


def _add_done(whole: Choice, events: list[StreamEvent]) -> None:
    """Append the ``done`` events of the choice *whole*, the finish last."""
    message, choice, logprobs = whole.message, whole.index, whole.logprobs
    if message.reasoning_content:
        events.append(ReasoningDoneEvent(reasoning=message.reasoning_content, choice=choice))
    if message.content:
        events.append(ContentDoneEvent(content=message.content, choice=choice))
    if message.refusal:
        events.append(RefusalDoneEvent(refusal=message.refusal, choice=choice))
    for position, call in enumerate(message.tool_calls or ()):
        events.append(_call_done(call, position, choice))
    if logprobs is not None and logprobs.content:
        events.append(LogprobsContentDoneEvent(content=logprobs.content, choice=choice))
    if logprobs is not None and logprobs.refusal:
        events.append(LogprobsRefusalDoneEvent(refusal=logprobs.refusal, choice=choice))
    events.append(FinishEvent(finish_reason=whole.finish_reason, finish=whole.finish, value=whole, choice=choice))


def _call_done(call: ToolCall, position: int, choice: int) -> StreamEvent:
    if call.custom is not None:
        custom = call.custom
        return CustomInputDoneEvent(input=custom.input, index=position, id=call.id, name=custom.name, choice=choice)
    function = call.function
    return FunctionArgumentsDoneEvent(
        arguments=function.arguments, index=position, id=call.id, name=function.name, choice=choice
    )
