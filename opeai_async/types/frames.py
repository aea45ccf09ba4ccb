"""The frames in which an answer goes on to somebody else: a browser at a websocket, a reader of server-sent events.

They are JSON objects with a ``type``, and fewer than the chunks they come from: a frame holds all that one wake-up
brought of one kind of text. Version 1 of the protocol is::

    {"type": "start", "v": 1, "id": "chatcmpl-1", "model": "deepseek-v4-flash", "offset": 1}
    {"type": "reasoning", "text": "They said ", "offset": 11}
    {"type": "content", "text": "Hello", "offset": 16}
    {"type": "tool_call", "index": 0, "id": "call_1", "name": "get_weather", "arguments": "{\\"city\\":", "offset": 25}
    {"type": "done", "reason": "completed", "finish_reason": "stop", "usage": {...}, "offset": 26}
    {"type": "error", "code": "interrupted", "message": "The answer was interrupted.", "offset": 26}
    {"type": "ping", "offset": 26}

A run of tools goes over several rounds, and tells more; what it says of calls is one sequence over all rounds::

    {"type": "tool_started", "index": 0, "id": "call_1", "name": "get_weather", "offset": 27}
    {"type": "tool_finished", "index": 0, "id": "call_1", "name": "get_weather", "duration_s": 0.2, "offset": 28}
    {"type": "round", "round": 2, "id": "chatcmpl-2", "offset": 29}

A field that has its default is left out: ``choice`` is 0 unless it is there. The last frame is ``done`` or ``error``,
and exactly one of them comes. A client ignores types and fields it does not know; what it would misread raises ``v``.

``offset`` is the position in the answer after the frame. Text is counted by the character (Unicode code point), and
everything else as 1, so any two frames of a kind can be put together, or one cut in two, and an offset stays what it
was: a reader that was cut off goes on where it stopped, however its frames were cut.
"""

from typing import Any, Literal, TypeAlias

from msgspec import Struct

from opeai_async._public import claim
from opeai_async.types.common import Annotation, CompletionUsage

FRAMES_VERSION = 1

DoneReason = Literal["completed", "truncated", "stopped", "cancelled"]
ToolErrorCode: TypeAlias = Literal["unknown_tool", "invalid_arguments", "failed", "timeout", "not_approved"]
"""Why a tool call has no result: its name or its arguments are wrong, the tool failed, it took too long, or nobody
approved the call."""


class BaseFrame(Struct, kw_only=True, omit_defaults=True, repr_omit_defaults=True, gc=False, tag_field="type"):
    """What all frames have: ``offset``, the position in the answer after it."""

    offset: int = 0


class StartFrame(BaseFrame, tag="start"):
    """The answer has begun: the protocol's version, and the completion's id and model."""

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
    """A piece of one tool call: append ``arguments``; ``id`` and ``name`` are there when they became known or changed.

    Attributes:
        index: Position of the call in the choice's ``tool_calls``; in a run of tools, after those of earlier rounds.
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
    """The model goes on, with the results of its calls: another message begins.

    Attributes:
        round: Counted from 1; of the first, ``start`` tells.
        id: The completion's id.
    """

    round: int
    id: str = ""


class ToolStartedFrame(BaseFrame, tag="tool_started"):
    """A tool runs; ``index`` is that of its ``tool_call``.

    Attributes:
        resumed: Whether an earlier run has left the call open, so that no ``tool_call`` tells of it.
    """

    index: int
    id: str
    name: str
    resumed: bool = False


class ToolApprovalFrame(BaseFrame, tag="tool_approval"):
    """A tool call of a run waits for somebody's approval; the fields are those of ``tool_started``."""

    index: int
    id: str
    name: str
    resumed: bool = False


class ToolFinishedFrame(BaseFrame, tag="tool_finished"):
    """A tool call has its result; the fields are those of ``tool_started``.

    Attributes:
        duration_s: How long it ran.
        error: Why it failed; None if it did not.
        result: What the model is told, text or parts; None where that is not for everybody's eyes.
        is_json: Whether that text is the JSON of what the tool returned, and not a text that it returned.
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
    """The end, and nothing went wrong.

    Attributes:
        reason: ``"completed"``; ``"truncated"`` where that is allowed; ``"stopped"`` by who reads it, ``"cancelled"``
            by who serves it.
        finish_reason: That of choice 0, as the server sent it.
        finish_reasons: Those of all choices by index, where there are several.
        usage: Token counts, if they had come.
    """

    reason: DoneReason
    finish_reason: str | None = None
    finish_reasons: dict[int, str] | None = None
    usage: CompletionUsage | None = None


class ErrorFrame(BaseFrame, tag="error"):
    """The end, because something went wrong; the message is safe to show to anybody.

    Attributes:
        code: A short word for programs: ``interrupted``, ``truncated``, ``timeout``, ``rate_limited``, ``refused``, ...
        message: A sentence for people. It says nothing of keys, hosts or prompts.
        request_id: The server's id of the request, for a report.
    """

    code: str
    message: str
    request_id: str | None = None


class PingFrame(BaseFrame, tag="ping"):
    """Nothing new; the line is open."""


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
