"""Frames to the parts of Vercel's AI SDK: its UI message stream protocol, version 1, as versions 5 to 7 of it read it.

That protocol tells a message as a row of parts. A text or a piece of reasoning is opened, told in deltas, and closed; a
tool call is opened with its name, told in deltas, and told once more, whole and parsed, when nothing more comes of it.
Where a run of tools is told, what a tool returned is a part, too, and each round is a step.

The SDK stops at a delta or a result of what was not opened, and its older releases refuse fields they do not know. So
parts are opened one at a time; what is told of a call is told under the id it was announced with, whatever becomes of
its id later; and of a call that the reader was never told, nothing is. What only some versions know depends on
``ai_version``.

See https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import msgspec

from opeai_async._core.frames.browser.told_calls import CUT_OFF, TOOL_ERRORS, CallIds
from opeai_async._core.frames.images import url_of
from opeai_async._core.json import is_object
from opeai_async._public import claim
from opeai_async.errors import ConfigurationError
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
    ToolApprovalFrame,
    ToolCallFrame,
    ToolFinishedFrame,
    ToolStartedFrame,
)

Part: TypeAlias = dict[str, Any]
ToolFrame: TypeAlias = ToolStartedFrame | ToolApprovalFrame | ToolFinishedFrame

_FINISH_REASONS: dict[FinishKind | None, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool-calls",
    "content_filter": "content-filter",
    "error": "error",
}
_NO_OBJECT = "The tool's input is no JSON object."
_VERSION = re.compile(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?")
_NEWEST = 10**9


class UIMessageEncoder:
    """Encodes the frames of one answer for ``useChat`` and its like: ``encode=`` of ``sse`` and of ``relay``.

    A frame becomes none, one or several messages, each the JSON of one part. ``sse`` adds the ``[DONE]`` that ends the
    protocol; its response needs ``UI_MESSAGE_HEADERS``. What has no place in a UI message is left out: other choices
    than *choice*, and spoken audio, of which the transcript is sent as text. Make one encoder for each response.

    Args:
        choice: The choice that is told.
        metadata: Makes of the last frame the message's metadata, such as its token counts; None for no metadata.
            What it returns is encoded as JSON.
        message_id: The id of the message that begins. None sends none: a new message gets an id of the browser's, and
            one that the browser goes on with (after an approval, or a tool that it ran itself) keeps its own.
        ai_version: The version of the npm package ``ai`` that reads, such as ``"7"`` or ``"5.0.91"``; a part that is
            left out stands for the newest. Releases up to 5.0.91 refuse a ``finishReason``, so they get none. Approvals
            are known since 6: version 5 gets a part ``data-tool-approval`` with the ``toolCallId`` and ``toolName``.

    Raises:
        ConfigurationError: If *ai_version* is none of 5 or later.
    """

    sse_end = "[DONE]"

    def __init__(
        self,
        *,
        choice: int = 0,
        metadata: Callable[[DoneFrame], object] | None = None,
        message_id: str | None = None,
        ai_version: str = "7",
    ) -> None:
        version = _version(ai_version)
        self._choice = choice
        self._metadata = metadata
        self._message_id = message_id
        self._has_finish_reason = version > (5, 0, 91)
        self._has_approvals = version >= (6,)
        self._open: tuple[Literal["text", "reasoning"], str] | None = None  # the text that is told in deltas
        self._ids = 0  # of texts, made up
        self._sources = 0
        self._calls = CallIds()
        self._told: dict[tuple[bool, int], _Call] = {}  # of all rounds: a result may come late
        self._step: list[_Call] = []  # those of this round
        self._is_begun = False

    def __call__(self, frame: Frame) -> list[str] | None:
        """The messages that tell *frame*; None if there is nothing to tell."""
        parts = self._parts_of(frame)
        return [msgspec.json.encode(part).decode() for part in parts] or None

    def _parts_of(self, frame: Frame) -> list[Part]:
        if isinstance(frame, StartFrame):
            self._calls.begin(frame.id)
            return self._begun()
        if isinstance(frame, DoneFrame):
            return self._done(frame)
        if isinstance(frame, ErrorFrame):
            return [*self._closed(), {"type": "error", "errorText": frame.message}]
        if isinstance(frame, RoundFrame):
            parts = [*self._begun(), *self._step_end(), {"type": "finish-step"}, {"type": "start-step"}]
            self._calls.begin(frame.id)
            self._step = []
            return parts
        if isinstance(frame, (ToolStartedFrame, ToolApprovalFrame, ToolFinishedFrame)):
            return [*self._begun(), *self._closed(), *self._run(frame)]
        if getattr(frame, "choice", None) != self._choice:
            return []
        return self._content(frame)

    def _step_end(self) -> list[Part]:
        """What was open is closed, and the calls are whole: nothing more comes of this answer of the model."""
        parts = self._closed()
        for call in self._step:
            parts += call.whole()
        return parts

    def _run(self, frame: ToolFrame) -> list[Part]:
        """A tool that runs has all of its input, and one that has run has an output."""
        call = self._told.get((False, frame.index))
        if frame.resumed:
            parts, call_id = [], frame.id  # it is in the message that the reader goes on with
        elif call is not None:
            parts, call_id = call.whole(), call.id
        else:
            return []  # the reader has come in after it was told
        if isinstance(frame, ToolApprovalFrame):
            return [*parts, self._approval(frame, call_id)]
        if isinstance(frame, ToolStartedFrame) or (call is not None and call.has_failed):
            return parts
        return [*parts, self._output(frame, call_id)]

    def _approval(self, frame: ToolApprovalFrame, call_id: str) -> Part:
        if self._has_approvals:
            return {"type": "tool-approval-request", "approvalId": frame.id, "toolCallId": call_id}
        data = {"approvalId": frame.id, "toolCallId": call_id, "toolName": frame.name}
        return {"type": "data-tool-approval", "id": frame.id, "data": data}

    def _output(self, frame: ToolFinishedFrame, call_id: str) -> Part:
        if frame.error == "not_approved" and self._has_approvals:
            return {"type": "tool-output-denied", "toolCallId": call_id}
        if frame.error is not None:
            return {"type": "tool-output-error", "toolCallId": call_id, "errorText": error_text(frame)}
        return {"type": "tool-output-available", "toolCallId": call_id, "output": output_value(frame)}

    def _content(self, frame: Frame) -> list[Part]:
        """What a frame of the choice says; a reader that comes in later has not seen the frame that began it."""
        begun = self._begun()
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

    def _begun(self) -> list[Part]:
        if self._is_begun:
            return []
        self._is_begun = True
        start = {"type": "start", "messageId": self._message_id} if self._message_id else {"type": "start"}
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
        call = self._told.get(key)
        if call is None:
            if self._calls.is_missed(frame):
                return []
            call = self._told[key] = _Call(frame, self._calls)
            self._step.append(call)
        return call.add(frame)

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
        parts = [*self._begun(), *self._closed()]
        if frame.reason == "truncated":
            return [*parts, {"type": "error", "errorText": CUT_OFF}]
        if frame.reason != "completed":
            return [*parts, {"type": "abort"}]
        parts += self._step_end()
        finish: Part = {"type": "finish"}
        if self._has_finish_reason:
            finish["finishReason"] = self._finish_reason(frame)
        metadata = self._metadata(frame) if self._metadata is not None else None
        if metadata is not None:
            finish["messageMetadata"] = metadata
        return [*parts, {"type": "finish-step"}, finish]

    def _finish_reason(self, frame: DoneFrame) -> str:
        reasons = frame.finish_reasons
        kind = finish_kind(frame.finish_reason if reasons is None else reasons.get(self._choice))
        return _FINISH_REASONS.get("tool_calls" if kind == "stop" and self._step else kind, "other")


class _Call:
    """What was told of one call. It is opened when its name is settled: where its arguments begin, or at the end.

    Attributes:
        id: Under which it is announced; empty until then.
        has_failed: Whether it was told that the input is none.
    """

    __slots__ = ("_arguments", "_ids", "_index", "_is_text", "_is_whole", "_name", "_server_id", "has_failed", "id")

    def __init__(self, frame: ToolCallFrame, ids: CallIds) -> None:
        self.id = ""
        self.has_failed = False
        self._ids = ids
        self._index = frame.index
        self._server_id: str | None = None
        self._name = ""
        self._is_text = frame.kind == "custom"
        self._is_whole = False
        self._arguments: list[str] = []

    def add(self, frame: ToolCallFrame) -> list[Part]:
        """What *frame* adds. An id or a name that changes after it was told cannot be told again."""
        if frame.arguments:
            self._arguments.append(frame.arguments)
            self._is_whole = False  # a call that was run early has gone on
        if self.id:
            return self._deltas(frame.arguments)
        self._server_id, self._name = frame.id or self._server_id, frame.name or self._name
        return self._opened() if self._name and self._arguments else []

    def whole(self) -> list[Part]:
        """The call as it is when nothing more comes of it; told once."""
        if self._is_whole:
            return []
        self._is_whole = True
        parts = [] if self.id else self._opened()
        text = "".join(self._arguments)
        told: Part = {"toolCallId": self.id, "toolName": self._name}
        if self._is_text:
            return [*parts, {"type": "tool-input-available", **told, "input": text}]
        tool_input = json_object(text)
        self.has_failed = tool_input is None
        if tool_input is None:
            return [*parts, {"type": "tool-input-error", **told, "input": text, "errorText": _NO_OBJECT}]
        return [*parts, {"type": "tool-input-available", **told, "input": tool_input}]

    def _opened(self) -> list[Part]:
        self.id = self._ids.new(self._server_id, self._index)
        start: Part = {"type": "tool-input-start", "toolCallId": self.id, "toolName": self._name}
        return [start, *self._deltas("".join(self._arguments))]

    def _deltas(self, text: str) -> list[Part]:
        return [{"type": "tool-input-delta", "toolCallId": self.id, "inputTextDelta": text}] if text else []


def json_object(text: str) -> dict[str, Any] | None:
    """Return the arguments that *text* is, none if it is blank; None if it is no JSON object."""
    if not text.strip():
        return {}
    try:
        value: object = msgspec.json.decode(text)
    except (ValueError, RecursionError):  # msgspec's own errors are such
        return None
    return value if is_object(value) else None


def output_value(frame: ToolFinishedFrame) -> Any:
    """Return what a tool returned as a JSON value; None where that is not told.

    A text stays one, unless it is a JSON object or array: many tools encode those themselves.
    """
    result = frame.result
    if not isinstance(result, str) or not (frame.is_json or result.lstrip()[:1] in ("{", "[")):
        return result
    try:
        return msgspec.json.decode(result)
    except (ValueError, RecursionError):
        return result


def error_text(frame: ToolFinishedFrame) -> str:
    """Return why a call has no result: what the model was told of it, where the reader may know that."""
    assert frame.error is not None
    told = json_object(frame.result) if isinstance(frame.result, str) else None
    text = (told or {}).get("error")
    return text if isinstance(text, str) and text else TOOL_ERRORS[frame.error]


def _version(text: str) -> tuple[int, int, int]:
    match = _VERSION.match(text)
    if match is None or int(match[1]) < 5:
        raise ConfigurationError(f"ai_version is {text!r}, expected a version of the npm package `ai`, from '5' on")
    major, minor, patch = (_NEWEST if part is None else int(part) for part in match.groups())
    return major, minor, patch


def _files(frame: ImagesFrame) -> list[Part]:
    parts: list[Part] = []
    for url in filter(None, map(url_of, frame.images)):
        kind = url.removeprefix("data:").partition(";")[0] if url.startswith("data:") else ""
        parts.append({"type": "file", "url": url, "mediaType": kind if "/" in kind else "image/png"})
    return parts


claim(__name__)
