"""What a run tells beside the events of its streams: where a round begins and ends, and which tools run.

A round is one answer of the model and the calls of tools that it asks for. Its events come in this order:
``round.started``; those of the stream (see ``events.py``), the ``done`` ones included; ``tool.started`` and
``tool.finished``, as it happens, which may be amid those of the stream where calls are started early;
``round.finished``. A round that failed or was cancelled has no ``round.finished``.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, TypeAlias

from opeai_async.types.completion import ChatCompletion
from opeai_async.types.events import BaseEvent, StreamEvent
from opeai_async.types.frames import ToolErrorCode

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
