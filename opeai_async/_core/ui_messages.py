"""Frames to the parts of Vercel's AI SDK: its UI message stream protocol, version 1, as versions 5 to 7 of it read it.

That protocol tells a message as a row of parts. A text or a piece of reasoning is opened, told in deltas, and closed; a
tool call is opened with its name, told in deltas, and told once more, whole and parsed, when nothing more comes of it.
Where a run of tools is told, what a tool returned is a part, too, and each round is a step.
The SDK refuses a delta of what was not opened, and its older releases refuse fields they do not know; so parts are
opened one at a time, and only fields that all these versions know are sent.

See https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from opeai_async._core.images import url_of
from opeai_async.types.finish import FinishKind, finish_kind
from opeai_async.types.frames import (
    AnnotationsFrame,
    AudioFrame,
    ContentFrame,
    DoneFrame,
    ErrorFrame,
    Frame,
    ImagesFrame,
    ReasoningFrame,
    RefusalFrame,
    RoundFrame,
    StartFrame,
    ToolCallFrame,
    ToolFinishedFrame,
    ToolStartedFrame,
)

Part = dict[str, Any]

_FINISH_REASONS: dict[FinishKind | None, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool-calls",
    "content_filter": "content-filter",
    "error": "error",
}
_CUT_OFF = "The answer was cut off."
_NO_JSON = "The tool's input is not JSON."
_TOOL_FAILED = "The tool failed."


class UIMessageEncoder:
    """Encodes the frames of one answer for ``useChat`` and its like: ``encode=`` of ``sse`` and of ``relay``.

    A frame becomes none, one or several messages, each the JSON of one part. ``sse`` adds the ``[DONE]`` that ends the
    protocol; its response needs ``UI_MESSAGE_HEADERS``. What has no place in a UI message is left out: other choices
    than *choice*, and spoken audio, of which the transcript is sent as text.

    Args:
        choice: The choice that is told.
        metadata: Makes of the last frame the message's metadata, such as its token counts; None for no metadata.
            What it returns is encoded as JSON.
    """

    sse_end = "[DONE]"

    def __init__(self, *, choice: int = 0, metadata: Callable[[DoneFrame], object] | None = None) -> None:
        self._choice = choice
        self._metadata = metadata
        self._open: tuple[Literal["text", "reasoning"], str] | None = None
        self._ids = 0
        self._sources = 0
        self._calls: dict[tuple[bool, int], _Call] = {}
        self._is_begun = False

    def __call__(self, frame: Frame) -> list[str] | None:
        """The messages that tell *frame*; None if there is nothing to tell."""
        parts = self._parts_of(frame)
        return [msgspec.json.encode(part).decode() for part in parts] or None

    def _parts_of(self, frame: Frame) -> list[Part]:
        if isinstance(frame, StartFrame):
            return self._begun(frame.id)
        if isinstance(frame, DoneFrame):
            return self._done(frame)
        if isinstance(frame, ErrorFrame):
            return [*self._closed(), {"type": "error", "errorText": frame.message}]
        if isinstance(frame, RoundFrame):
            return [*self._begun(""), *self._step_end(), {"type": "finish-step"}, {"type": "start-step"}]
        if isinstance(frame, (ToolStartedFrame, ToolFinishedFrame)):
            return [*self._begun(""), *self._closed(), *self._run(frame)]
        if getattr(frame, "choice", None) != self._choice:
            return []
        return self._told(frame)

    def _step_end(self) -> list[Part]:
        """What was open is closed, and the calls are whole: nothing more comes of this answer of the model."""
        parts = self._closed()
        for call in self._calls.values():
            parts += call.whole()
        self._calls.clear()
        return parts

    def _run(self, frame: ToolStartedFrame | ToolFinishedFrame) -> list[Part]:
        """A tool that runs has all of its input, and one that has run has an output."""
        call = self._calls.get((False, frame.index))
        parts = call.whole() if call is not None else []
        if isinstance(frame, ToolStartedFrame):
            return parts
        if frame.error is not None:
            return [*parts, {"type": "tool-output-error", "toolCallId": frame.id, "errorText": _TOOL_FAILED}]
        return [*parts, {"type": "tool-output-available", "toolCallId": frame.id, "output": frame.result}]

    def _told(self, frame: Frame) -> list[Part]:
        """What a frame of the choice says; a reader that comes in later has not seen the frame that began it."""
        begun = self._begun("")
        if isinstance(frame, ReasoningFrame):
            return [*begun, *self._text("reasoning", frame.text)]
        if isinstance(frame, (ContentFrame, RefusalFrame)):
            return [*begun, *self._text("text", frame.text)]
        if isinstance(frame, AudioFrame):
            return [*begun, *(self._text("text", frame.transcript) if frame.transcript else ())]
        if isinstance(frame, ToolCallFrame):
            return [*begun, *self._closed(), *self._call(frame)]
        if isinstance(frame, ImagesFrame):
            return [*begun, *_files(frame)]
        assert isinstance(frame, AnnotationsFrame)
        return [*begun, *self._citations(frame)]

    def _begun(self, message_id: str) -> list[Part]:
        if self._is_begun:
            return []
        self._is_begun = True
        start = {"type": "start", "messageId": message_id} if message_id else {"type": "start"}
        return [start, {"type": "start-step"}]

    def _text(self, kind: Literal["text", "reasoning"], text: str) -> list[Part]:
        parts: list[Part] = []
        if self._open is None or self._open[0] != kind:
            parts += self._closed()
            self._ids += 1
            self._open = (kind, f"{kind}-{self._ids}")
            parts.append({"type": f"{kind}-start", "id": self._open[1]})
        return [*parts, {"type": f"{kind}-delta", "id": self._open[1], "delta": text}]

    def _closed(self) -> list[Part]:
        """The end of the text that is open, if there is one."""
        if self._open is None:
            return []
        (kind, part_id), self._open = self._open, None
        return [{"type": f"{kind}-end", "id": part_id}]

    def _call(self, frame: ToolCallFrame) -> list[Part]:
        key = (frame.kind == "function_call", frame.index)
        return (self._calls.get(key) or self._calls.setdefault(key, _Call(frame))).add(frame)

    def _citations(self, frame: AnnotationsFrame) -> list[Part]:
        parts: list[Part] = []
        for note in frame.annotations:
            citation = note.url_citation
            if citation is not None and citation.url:
                self._sources += 1
                source = {"type": "source-url", "sourceId": f"source-{self._sources}", "url": citation.url}
                parts.append({**source, "title": citation.title} if citation.title else source)
        return parts

    def _done(self, frame: DoneFrame) -> list[Part]:
        parts = [*self._begun(""), *self._closed()]
        if frame.reason == "truncated":
            return [*parts, {"type": "error", "errorText": _CUT_OFF}]
        if frame.reason != "completed":
            return [*parts, {"type": "abort"}]
        finish: Part = {"type": "finish", "finishReason": self._finish_reason(frame)}
        parts += self._step_end()
        metadata = self._metadata(frame) if self._metadata is not None else None
        if metadata is not None:
            finish["messageMetadata"] = metadata
        return [*parts, {"type": "finish-step"}, finish]

    def _finish_reason(self, frame: DoneFrame) -> str:
        reasons = frame.finish_reasons
        kind = finish_kind(frame.finish_reason if reasons is None else reasons.get(self._choice))
        return _FINISH_REASONS.get("tool_calls" if kind == "stop" and self._calls else kind, "other")


class _Call:
    """What was told of one call. It is opened when its name is settled: where its arguments begin, or at the end."""

    __slots__ = ("_arguments", "_id", "_is_open", "_is_text", "_is_whole", "_name")

    def __init__(self, frame: ToolCallFrame) -> None:
        self._id = f"call_{frame.index}"  # the API's old form has none
        self._name = ""
        self._is_text = frame.kind == "custom"
        self._is_open = False
        self._is_whole = False
        self._arguments: list[str] = []

    def add(self, frame: ToolCallFrame) -> list[Part]:
        """What *frame* adds. An id or a name that changes after it was told cannot be told again."""
        if frame.arguments:
            self._arguments.append(frame.arguments)
        if self._is_open:
            return self._deltas(frame.arguments)
        self._id, self._name = frame.id or self._id, frame.name or self._name
        return self._opened() if self._name and self._arguments else []

    def whole(self) -> list[Part]:
        """The call as it is when nothing more comes of it; told once."""
        if self._is_whole:
            return []
        self._is_whole = True
        parts = [] if self._is_open else self._opened()
        text = "".join(self._arguments)
        told: Part = {"toolCallId": self._id, "toolName": self._name}
        if self._is_text:
            return [*parts, {"type": "tool-input-available", **told, "input": text}]
        try:
            tool_input = msgspec.json.decode(text)
        except ValueError:  # msgspec's own errors are such
            return [*parts, {"type": "tool-input-error", **told, "input": text, "errorText": _NO_JSON}]
        return [*parts, {"type": "tool-input-available", **told, "input": tool_input}]

    def _opened(self) -> list[Part]:
        self._is_open = True
        start: Part = {"type": "tool-input-start", "toolCallId": self._id, "toolName": self._name}
        return [start, *self._deltas("".join(self._arguments))]

    def _deltas(self, text: str) -> list[Part]:
        return [{"type": "tool-input-delta", "toolCallId": self._id, "inputTextDelta": text}] if text else []


def _files(frame: ImagesFrame) -> list[Part]:
    parts: list[Part] = []
    for url in filter(None, map(url_of, frame.images)):
        kind = url.removeprefix("data:").partition(";")[0] if url.startswith("data:") else ""
        parts.append({"type": "file", "url": url, "mediaType": kind if "/" in kind else "image/png"})
    return parts
