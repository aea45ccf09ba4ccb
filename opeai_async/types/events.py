"""Typed events of a stream: ``async for event in stream.events()``, then ``match event``.

Each event is a Struct with its own ``type``. A stream of one choice has them in this order:

    chunk, then its deltas              for each chunk
    ... .done                           once for each text or call, when the stream has ended well
    finish                              last

The ``done`` events wait for the end of the stream, because a server may send more of a choice after its finish_reason.
A stream that was cut has none of them.
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
    """Base of all events: each has a ``type``, which tells them apart without their classes."""


class ChunkEvent(BaseEvent, tag="chunk"):
    """A chunk, as the server sent it; the events up to the next one are what this one contains."""

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
        delta: A piece of JSON text; empty if only ``id`` or ``name`` became known.
        index: Position of the call in the message's ``tool_calls``.
        id, name: Id and name of the call, as far as they are known.
    """

    type: ClassVar[Literal["tool_calls.function.arguments.delta"]] = "tool_calls.function.arguments.delta"
    delta: str
    index: int
    id: str
    name: str
    choice: int = 0


class FunctionArgumentsDoneEvent(BaseEvent, tag="tool_calls.function.arguments.done"):
    """A whole call of a function; ``arguments`` is JSON text, ``"{}"`` if there are none."""

    type: ClassVar[Literal["tool_calls.function.arguments.done"]] = "tool_calls.function.arguments.done"
    arguments: str
    index: int
    id: str
    name: str
    choice: int = 0


class CustomInputDeltaEvent(BaseEvent, tag="tool_calls.custom.input.delta"):
    """A piece of the free text for a custom tool; the fields are those of ``FunctionArgumentsDeltaEvent``."""

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
        calls_anew: Names of the tools whose calls were cut, in order: nothing of them was handed out, and they are
            begun anew.
    """

    type: ClassVar[Literal["stream.continued"]] = "stream.continued"
    after_chars: int
    endpoint: str
    way: str
    calls_anew: tuple[str, ...] = ()


class FinishEvent(BaseEvent, tag="finish"):
    """End of a choice, which is whole; the last of its events.

    Attributes:
        finish_reason: The reason as the server sent it; None if it sent none.
        finish: Its meaning, as a word of the API.
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
"""Reason for which a run ended.

- ``completed``: the model answered without asking for tools.
- ``max_rounds``: the last allowed round asked for tools; they ran, and their results were not sent to the model.
- ``max_calls``: the model asked for more calls than were allowed; those beyond the limit did not run.
- ``max_total_tokens``: the allowed tokens were used up; the tools ran, and their results were not sent to the model.
- ``deadline``: the time was over; tools that still ran were stopped.
- ``approval``: the model asked for calls that must be approved first: ``pending_calls``.
- ``tool_calls``: the model asked for tools that the run has no function for, or by a ``function_call``, the API's older
  form.
- ``length``, ``content_filter``: the last answer was cut short; tools that it asks for did not run.
- ``truncated``: the last answer was cut, and ``on_truncated="return"`` allows that.
- ``cancelled``, ``failed``: the run was stopped from this side, or by an error.
- ``running``: the run has not ended.
"""


class RoundStartedEvent(BaseEvent, tag="round.started"):
    """Start of a round, in which the model is asked; ``round`` counts from 1."""

    type: ClassVar[Literal["round.started"]] = "round.started"
    round: int


class RoundFinishedEvent(BaseEvent, tag="round.finished"):
    """End of a round: the model has answered with ``completion``, and all tools that it asked for have run."""

    type: ClassVar[Literal["round.finished"]] = "round.finished"
    round: int
    completion: ChatCompletion


class ToolStartedEvent(BaseEvent, tag="tool.started"):
    """Start of a tool.

    Attributes:
        round: Round in which the model asked for it; 0 if an earlier run left the call open.
        index: Position of the call in the message's ``tool_calls``.
        id, name: Id and name of the call.
        arguments: The arguments as the model wrote them.
    """

    type: ClassVar[Literal["tool.started"]] = "tool.started"
    round: int
    index: int
    id: str
    name: str
    arguments: str


class ToolApprovalEvent(BaseEvent, tag="tool.approval"):
    """A call that waits for approval: the run ends when the other calls have run.

    The fields are those of ``ToolStartedEvent``.
    """

    type: ClassVar[Literal["tool.approval"]] = "tool.approval"
    round: int
    index: int
    id: str
    name: str
    arguments: str


# Unlike the others, tracked by the cyclic collector: its exception may refer to an object that refers to this event.
class ToolFinishedEvent(BaseEvent, tag="tool.finished", gc=True):
    """Result of a tool call; the first fields are those of ``ToolStartedEvent``.

    Attributes:
        content: Content of the message to the model: text, or content parts.
        duration_s: Seconds that the tool ran.
        error: Why there is no result; None if there is one.
        result: Value that the function returned.
        exception: Exception that it raised.
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
