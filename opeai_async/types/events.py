"""The typed events of a stream: ``async for event in stream.events()``, then ``match event``.

Each event is a Struct with a ``type`` of its own. The deltas of a chunk follow its ``chunk`` event; the ``done`` events
come once each, when the stream has ended well: a server may go on with a choice after its finish_reason, and a stream
that was cut has no ``done`` at all.
"""

from typing import Any, ClassVar, Literal, TypeAlias

from msgspec import Struct

from opeai_async._public import claim
from opeai_async.types.chunk import ChatCompletionChunk
from opeai_async.types.common import CompletionUsage, TokenLogprob
from opeai_async.types.completion import ChatCompletion, Choice
from opeai_async.types.finish import FinishKind
from opeai_async.types.frames import ToolErrorCode


class BaseEvent(Struct, kw_only=True, gc=False, tag_field="type"):
    """What all events have in common: a ``type``, by which they can be told apart without their classes."""


class ChunkEvent(BaseEvent, tag="chunk"):
    """A chunk, as the server sent it; what follows, until the next one, is what it said."""

    type: ClassVar[Literal["chunk"]] = "chunk"
    chunk: ChatCompletionChunk


class ContentDeltaEvent(BaseEvent, tag="content.delta"):
    """A piece of a choice's content."""

    type: ClassVar[Literal["content.delta"]] = "content.delta"
    delta: str
    choice: int = 0


class ContentDoneEvent(BaseEvent, tag="content.done"):
    """The whole content of a choice."""

    type: ClassVar[Literal["content.done"]] = "content.done"
    content: str
    choice: int = 0


class ReasoningDeltaEvent(BaseEvent, tag="reasoning.delta"):
    """A piece of the model's reasoning."""

    type: ClassVar[Literal["reasoning.delta"]] = "reasoning.delta"
    delta: str
    choice: int = 0


class ReasoningDoneEvent(BaseEvent, tag="reasoning.done"):
    """The whole reasoning of a choice."""

    type: ClassVar[Literal["reasoning.done"]] = "reasoning.done"
    reasoning: str
    choice: int = 0


class RefusalDeltaEvent(BaseEvent, tag="refusal.delta"):
    """A piece of the text with which the model refuses."""

    type: ClassVar[Literal["refusal.delta"]] = "refusal.delta"
    delta: str
    choice: int = 0


class RefusalDoneEvent(BaseEvent, tag="refusal.done"):
    """The whole refusal of a choice."""

    type: ClassVar[Literal["refusal.done"]] = "refusal.done"
    refusal: str
    choice: int = 0


class FunctionArgumentsDeltaEvent(BaseEvent, tag="tool_calls.function.arguments.delta"):
    """A piece of the arguments of a function that the model calls.

    Attributes:
        delta: A piece of JSON text; empty where only ``id`` or ``name`` became known.
        index: Position of the call in the message's ``tool_calls``.
        id, name: Of the call, as far as they are known.
    """

    type: ClassVar[Literal["tool_calls.function.arguments.delta"]] = "tool_calls.function.arguments.delta"
    delta: str
    index: int
    id: str
    name: str
    choice: int = 0


class FunctionArgumentsDoneEvent(BaseEvent, tag="tool_calls.function.arguments.done"):
    """A whole call of a function; ``arguments`` is JSON text, ``"{}"`` when there are none."""

    type: ClassVar[Literal["tool_calls.function.arguments.done"]] = "tool_calls.function.arguments.done"
    arguments: str
    index: int
    id: str
    name: str
    choice: int = 0


class CustomInputDeltaEvent(BaseEvent, tag="tool_calls.custom.input.delta"):
    """A piece of the free text for a custom tool; the fields are those of a function's."""

    type: ClassVar[Literal["tool_calls.custom.input.delta"]] = "tool_calls.custom.input.delta"
    delta: str
    index: int
    id: str
    name: str
    choice: int = 0


class CustomInputDoneEvent(BaseEvent, tag="tool_calls.custom.input.done"):
    """A whole call of a custom tool."""

    type: ClassVar[Literal["tool_calls.custom.input.done"]] = "tool_calls.custom.input.done"
    input: str
    index: int
    id: str
    name: str
    choice: int = 0


class LogprobsContentDeltaEvent(BaseEvent, tag="logprobs.content.delta"):
    """Log probabilities of the tokens of a piece of content."""

    type: ClassVar[Literal["logprobs.content.delta"]] = "logprobs.content.delta"
    content: list[TokenLogprob]
    choice: int = 0


class LogprobsContentDoneEvent(BaseEvent, tag="logprobs.content.done"):
    """Log probabilities of all tokens of a choice's content."""

    type: ClassVar[Literal["logprobs.content.done"]] = "logprobs.content.done"
    content: list[TokenLogprob]
    choice: int = 0


class LogprobsRefusalDeltaEvent(BaseEvent, tag="logprobs.refusal.delta"):
    """Log probabilities of the tokens of a piece of refusal."""

    type: ClassVar[Literal["logprobs.refusal.delta"]] = "logprobs.refusal.delta"
    refusal: list[TokenLogprob]
    choice: int = 0


class LogprobsRefusalDoneEvent(BaseEvent, tag="logprobs.refusal.done"):
    """Log probabilities of all tokens of a choice's refusal."""

    type: ClassVar[Literal["logprobs.refusal.done"]] = "logprobs.refusal.done"
    refusal: list[TokenLogprob]
    choice: int = 0


class UsageEvent(BaseEvent, tag="usage"):
    """Token counts. A server may send them more than once; the last ones count."""

    type: ClassVar[Literal["usage"]] = "usage"
    usage: CompletionUsage


class ContinuedEvent(BaseEvent, tag="stream.continued"):
    """The answer had broken off, and another endpoint goes on with it from here; see ``Endpoints``.

    Attributes:
        after_chars: How many characters of content had been handed out.
        endpoint: Name of the endpoint that goes on.
        way: How it was asked; see ``ContinuedRecord``.
    """

    type: ClassVar[Literal["stream.continued"]] = "stream.continued"
    after_chars: int
    endpoint: str
    way: str


class FinishEvent(BaseEvent, tag="finish"):
    """A choice is whole; the last of its events.

    Attributes:
        finish_reason: As the server sent it; None where it sent none.
        finish: What that means, in the API's own words.
        value: The whole choice.
    """

    type: ClassVar[Literal["finish"]] = "finish"
    finish_reason: str | None
    finish: FinishKind | None
    value: Choice
    choice: int = 0


StreamEvent = (
    ChunkEvent
    | ContentDeltaEvent
    | ContentDoneEvent
    | ReasoningDeltaEvent
    | ReasoningDoneEvent
    | RefusalDeltaEvent
    | RefusalDoneEvent
    | FunctionArgumentsDeltaEvent
    | FunctionArgumentsDoneEvent
    | CustomInputDeltaEvent
    | CustomInputDoneEvent
    | LogprobsContentDeltaEvent
    | LogprobsContentDoneEvent
    | LogprobsRefusalDeltaEvent
    | LogprobsRefusalDoneEvent
    | UsageEvent
    | ContinuedEvent
    | FinishEvent
)


RunReason: TypeAlias = Literal[
    "completed",
    "max_rounds",
    "max_calls",
    "max_total_tokens",
    "deadline",
    "tool_calls",
    "approval",
    "length",
    "content_filter",
    "truncated",
    "cancelled",
    "failed",
    "running",
]
"""Why a run ended.

- ``completed``: the model has said its last word.
- ``max_rounds``: the last round that was allowed asked for tools; they ran, and the model was not told any more.
- ``max_calls``: it asked for more calls than were allowed; those beyond the limit did not run.
- ``max_total_tokens``: as many tokens were used as were allowed; the tools ran, and the model was not told any more.
- ``deadline``: the time was over; what still ran was stopped.
- ``approval``: it asked for calls that somebody has to approve first: ``pending_calls``.
- ``tool_calls``: it asked for tools that the run has no function for, or by a ``function_call``, the API's older form.
- ``length``, ``content_filter``: the last answer was broken off; tools that it asks for did not run.
- ``truncated``: the last answer was cut, where that is no error (``on_truncated="return"``).
- ``cancelled``, ``failed``: from this side, or by an error.
- ``running``: it has not ended.
"""


class RoundStartedEvent(BaseEvent, tag="round.started"):
    """The model is asked; *round* is counted from 1."""

    type: ClassVar[Literal["round.started"]] = "round.started"
    round: int


class RoundFinishedEvent(BaseEvent, tag="round.finished"):
    """The model has answered with *completion*, and all tools that it asked for have run."""

    type: ClassVar[Literal["round.finished"]] = "round.finished"
    round: int
    completion: ChatCompletion


class ToolStartedEvent(BaseEvent, tag="tool.started"):
    """A tool runs.

    Attributes:
        round: In which it was asked for; 0 if an earlier run has left it open.
        index: Position of the call in the message's ``tool_calls``.
        id, name: Of the call.
        arguments: As the model wrote them.
    """

    type: ClassVar[Literal["tool.started"]] = "tool.started"
    round: int
    index: int
    id: str
    name: str
    arguments: str


class ToolApprovalEvent(BaseEvent, tag="tool.approval"):
    """A call waits for approval: the run ends when the others have run; the fields are those of ``tool.started``."""

    type: ClassVar[Literal["tool.approval"]] = "tool.approval"
    round: int
    index: int
    id: str
    name: str
    arguments: str


# An exception may hold what holds this event: only the cyclic collector finds that.
class ToolFinishedEvent(BaseEvent, tag="tool.finished", gc=True):
    """A tool call has its result; the first fields are those of ``tool.started``.

    Attributes:
        content: What the model is told: text, or content parts.
        duration_s: How long it ran.
        error: Why there is no result; None if there is one.
        result: What the function returned.
        exception: What it raised.
    """

    type: ClassVar[Literal["tool.finished"]] = "tool.finished"
    round: int
    index: int
    id: str
    name: str
    content: str | list[Any]
    duration_s: float
    error: ToolErrorCode | None = None
    result: Any = None
    exception: BaseException | None = None


RunEvent: TypeAlias = (
    StreamEvent | RoundStartedEvent | RoundFinishedEvent | ToolApprovalEvent | ToolStartedEvent | ToolFinishedEvent
)


claim(__name__)
