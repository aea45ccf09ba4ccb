"""Frames: the messages in which an answer is sent on, to a browser at a websocket or a reader of server-sent events.

They are JSON objects with a ``type``. There are fewer of them than of chunks, since a frame holds all the text of one
kind that came in one read. Version 1 of the protocol is::

    {"type": "start", "v": 1, "id": "chatcmpl-1", "model": "deepseek-v4-flash", "offset": 1}
    {"type": "reasoning", "text": "They said ", "offset": 11}
    {"type": "content", "text": "Hello", "offset": 16}
    {"type": "tool_call", "index": 0, "id": "call_1", "name": "get_weather", "arguments": "{\\"city\\":", "offset": 25}
    {"type": "done", "reason": "completed", "finish_reason": "stop", "usage": {...}, "offset": 26}
    {"type": "error", "code": "interrupted", "message": "The answer was interrupted.", "offset": 26}
    {"type": "ping", "offset": 26}

A run of tools has several rounds, and more frames; indexes of calls count through all rounds::

    {"type": "tool_started", "index": 0, "id": "call_1", "name": "get_weather", "offset": 27}
    {"type": "tool_finished", "index": 0, "id": "call_1", "name": "get_weather", "duration_s": 0.2, "offset": 28}
    {"type": "round", "round": 2, "id": "chatcmpl-2", "offset": 29}

A field that has its default is left out: ``choice`` is 0 unless it is there. The last frame is ``done`` or ``error``,
and exactly one of them comes. Clients shall ignore types and fields that they do not know; ``v`` is raised for a change
that they would misread.

``offset`` is the position in the answer after the frame. Text is counted in characters (Unicode code points), anything
else as 1. So two frames of a kind can be merged, or one cut in two, and offsets do not change: a reader that lost its
connection continues where it stopped, however its frames were cut.
"""

from typing import Any, Literal, TypeAlias

from msgspec import Struct

from opeai_async._public import claim
from opeai_async.types.common import Annotation, CompletionUsage

FRAMES_VERSION = 1

DoneReason = Literal["completed", "truncated", "stopped", "cancelled"]
ToolErrorCode: TypeAlias = Literal["unknown_tool", "invalid_arguments", "failed", "timeout", "not_approved"]
"""Why a tool call has no result: its name or its arguments are wrong, the tool failed, it took too long, or the call
was not approved."""


class BaseFrame(Struct, kw_only=True, omit_defaults=True, repr_omit_defaults=True, gc=False, tag_field="type"):
    """Base of all frames, with ``offset``, the position in the answer after the frame."""

    offset: int = 0


class StartFrame(BaseFrame, tag="start"):
    """Beginning of the answer: the protocol's version, and the completion's id and model."""

    v: int
    id: str = ""
    model: str = ""


class TextFrame(BaseFrame):
    """A piece of one choice's text, never empty."""

    text: str
    choice: int = 0


class ContentFrame(TextFrame, tag="content"):
    """A piece of the answer itself."""


class ReasoningFrame(TextFrame, tag="reasoning"):
    """A piece of the model's reasoning."""


class RefusalFrame(TextFrame, tag="refusal"):
    """A piece of the text with which the model refuses."""


class ToolCallFrame(BaseFrame, tag="tool_call"):
    """A piece of one tool call: append ``arguments``; ``id`` and ``name`` are there if they became known or changed.

    Attributes:
        index: Position of the call in the choice's ``tool_calls``; in a run of tools, counted through all rounds.
        kind: ``"function"``, ``"custom"`` (``arguments`` is free text), or ``"function_call"`` for the API's old form.
    """

    index: int
    arguments: str = ""
    id: str | None = None
    name: str | None = None
    kind: Literal["function", "custom", "function_call"] = "function"
    choice: int = 0


class AudioFrame(BaseFrame, tag="audio"):
    """A piece of a spoken answer: base64 ``data`` and its ``transcript``."""

    data: str = ""
    transcript: str = ""
    id: str | None = None
    choice: int = 0


class AnnotationsFrame(BaseFrame, tag="annotations"):
    """Notes on the text, such as citations."""

    annotations: list[Annotation]
    choice: int = 0


class ImagesFrame(BaseFrame, tag="images"):
    """Images that the model made, each as its server sent it, such as ``{"type": "image_url", "image_url": {...}}``."""

    images: list[dict[str, Any]]
    choice: int = 0


class RoundFrame(BaseFrame, tag="round"):
    """Beginning of another message: the model has the results of its calls.

    Attributes:
        round: Number of the round, from 1 on; the first one begins with ``start`` instead.
        id: Id of the completion.
    """

    round: int
    id: str = ""


class ToolStartedFrame(BaseFrame, tag="tool_started"):
    """Start of a tool; ``index`` is that of its ``tool_call``.

    Attributes:
        resumed: True if an earlier run left the call open, so that this answer has no ``tool_call`` for it.
    """

    index: int
    id: str
    name: str
    resumed: bool = False


class ToolApprovalFrame(BaseFrame, tag="tool_approval"):
    """A tool call that waits for approval; the fields are those of ``tool_started``."""

    index: int
    id: str
    name: str
    resumed: bool = False


class ToolFinishedFrame(BaseFrame, tag="tool_finished"):
    """Result of a tool call; the first fields are those of ``tool_started``.

    Attributes:
        duration_s: Seconds that the tool ran.
        error: Why it failed; None if it did not.
        result: The tool's result, as text or parts for the model; None unless the frames were made with
            ``results=True``.
        is_json: True if ``result`` is the JSON of a value that the tool returned, False if the tool returned the text.
    """

    index: int
    id: str
    name: str
    resumed: bool = False
    duration_s: float = 0.0
    error: ToolErrorCode | None = None
    result: str | list[Any] | None = None
    is_json: bool = False


class DoneFrame(BaseFrame, tag="done"):
    """End of an answer without an error.

    Attributes:
        reason: ``"completed"``; ``"truncated"``, if ``on_truncated="return"`` allows that; ``"stopped"`` by the client;
            or ``"cancelled"`` by the service.
        finish_reason: Reason of choice 0, as the server sent it.
        finish_reasons: Reasons of all choices by index, if there are several.
        usage: Token counts, if they had come.
    """

    reason: DoneReason
    finish_reason: str | None = None
    finish_reasons: dict[int, str] | None = None
    usage: CompletionUsage | None = None


class ErrorFrame(BaseFrame, tag="error"):
    """End of an answer by an error; the message is safe to show to anybody.

    Attributes:
        code: A short word for programs: ``interrupted``, ``truncated``, ``timeout``, ``rate_limited``, ``refused``, ...
        message: A sentence for people, without keys, hosts or prompts.
        request_id: The server's id of the request, for a report.
    """

    code: str
    message: str
    request_id: str | None = None


class PingFrame(BaseFrame, tag="ping"):
    """Sign of life: nothing new, and the connection is open."""


Frame = (
    StartFrame
    | ContentFrame
    | ReasoningFrame
    | RefusalFrame
    | ToolCallFrame
    | AudioFrame
    | AnnotationsFrame
    | ImagesFrame
    | RoundFrame
    | ToolApprovalFrame
    | ToolStartedFrame
    | ToolFinishedFrame
    | DoneFrame
    | ErrorFrame
    | PingFrame
)


claim(__name__)
