"""Encode frames for Vercel's AI SDK: its UI message stream protocol, version 1, as its versions 5 to 7 read it.

In that protocol a message is a sequence of parts:

    part                opened by         continued by      ended by
    ------------------  ----------------  ----------------  -------------------------------------------------------
    text                text-start        text-delta        text-end
    reasoning           reasoning-start   reasoning-delta   reasoning-end
    tool call           tool-input-start  tool-input-delta  tool-input-available, with the whole input; or -error
    result of a tool                                        tool-output-available, -error or -denied
    round of a run      start-step                          finish-step

The SDK stops at a delta or a result of a part that was not opened, and its older releases refuse unknown fields. So one
text is open at a time; a call keeps the id it was announced with, even if its id changes later; and a call whose
beginning the reader missed is left out. What only some versions accept depends on ``ai_version``.

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
    """Encoder of the frames of one answer for ``useChat`` and its like: ``encode=`` of ``sse`` and of ``relay``.

    A frame becomes none, one or several messages, each the JSON of one part. ``sse`` adds the ``[DONE]`` that ends the
    protocol; its response needs ``UI_MESSAGE_HEADERS``. A UI message has no place for choices other than *choice*,
    which are left out, nor for spoken audio, whose transcript is sent as text. Make one encoder for each response.

    Args:
        choice: Index of the choice to send.
        metadata: Function of the last frame that returns the message's metadata, such as its token counts, to be
            encoded as JSON; None for no metadata.
        message_id: Id of the message that begins. With None, none is sent: the browser gives a new message an id, and
            a message that it continues (after an approval, or a tool that it ran itself) keeps its own.
        ai_version: Version of the npm package ``ai`` in the browser, such as ``"7"`` or ``"5.0.91"``; a part that is
            left out stands for the newest. Releases up to 5.0.91 refuse a ``finishReason``, so they get none. Approvals
            exist since 6: version 5 gets a part ``data-tool-approval`` with the ``toolCallId`` and ``toolName``.

    Raises:
        ConfigurationError: If *ai_version* is not a version from 5 on.
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
        # Kind and id of the text that is open; None if none is.
        self._open: tuple[Literal["text", "reasoning"], str] | None = None
        # Numbers of texts and of sources so far, out of which their ids are made.
        self._ids = 0
        self._sources = 0
        self._calls = CallIds()
        # Calls of all rounds, since a result may come late, by (is it the old ``function_call``, index).
        self._known: dict[tuple[bool, int], _Call] = {}
        # Calls of this round, in order.
        self._step: list[_Call] = []
        # The parts ``start`` and ``start-step`` were sent.
        self._is_begun = False

    def __call__(self, frame: Frame) -> list[str] | None:
        """Return the messages for *frame*; None if there are none."""
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
        """Close the open text and complete the calls: this answer of the model has ended."""
        parts = self._closed()
        for call in self._step:
            parts += call.whole()
        return parts

    def _run(self, frame: ToolFrame) -> list[Part]:
        """Return the parts for a tool: its whole input when it runs, and its output when it has run."""
        call = self._known.get((False, frame.index))
        if frame.resumed:
            parts, call_id = [], frame.id  # the call is in the message that the reader continues
        elif call is not None:
            parts, call_id = call.whole(), call.id
        else:
            return []  # the reader joined after the call began
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
        """Return the parts for a frame of the choice, after ``start``: a late reader has missed the first frame."""
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
        """Close the open text, if there is one."""
        if self._open is None:
            return []
        (kind, part_id), self._open = self._open, None
        return [{"type": f"{kind}-end", "id": part_id}]

    def _call(self, frame: ToolCallFrame) -> list[Part]:
        key = (frame.kind == "function_call", frame.index)
        call = self._known.get(key)
        if call is None:
            if self._calls.is_missed(frame):
                return []
            call = self._known[key] = _Call(frame, self._calls)
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
    """One call, opened when its name is settled: where its arguments begin, or at the end.

    Attributes:
        id: Id that the reader knows it by; empty until it is opened.
        has_failed: True if a ``tool-input-error`` was sent: the input is not a JSON object.
    """

    __slots__ = ("_arguments", "_ids", "_index", "_is_text", "_is_whole", "_name", "_server_id", "has_failed", "id")

    def __init__(self, frame: ToolCallFrame, ids: CallIds) -> None:
        self.id = ""
        self.has_failed = False
        self._ids = ids
        self._index = frame.index
        # The latest id and name from the server, until the call is opened.
        self._server_id: str | None = None
        self._name = ""
        # A custom tool takes free text in place of JSON.
        self._is_text = frame.kind == "custom"
        # The whole input was sent, and no arguments came since.
        self._is_whole = False
        self._arguments: list[str] = []

    def add(self, frame: ToolCallFrame) -> list[Part]:
        """Return the parts for what *frame* adds; an id or a name cannot change once it was sent."""
        if frame.arguments:
            self._arguments.append(frame.arguments)
            self._is_whole = False  # the call was run early, and its arguments continue
        if self.id:
            return self._deltas(frame.arguments)
        self._server_id, self._name = frame.id or self._server_id, frame.name or self._name
        return self._opened() if self._name and self._arguments else []

    def whole(self) -> list[Part]:
        """Return the part with the whole input, once: an empty list if it was sent."""
        if self._is_whole:
            return []
        self._is_whole = True
        parts = [] if self.id else self._opened()
        text = "".join(self._arguments)
        named: Part = {"toolCallId": self.id, "toolName": self._name}
        if self._is_text:
            return [*parts, {"type": "tool-input-available", **named, "input": text}]
        tool_input = json_object(text)
        self.has_failed = tool_input is None
        if tool_input is None:
            return [*parts, {"type": "tool-input-error", **named, "input": text, "errorText": _NO_OBJECT}]
        return [*parts, {"type": "tool-input-available", **named, "input": tool_input}]

    def _opened(self) -> list[Part]:
        self.id = self._ids.new(self._server_id, self._index)
        start: Part = {"type": "tool-input-start", "toolCallId": self.id, "toolName": self._name}
        return [start, *self._deltas("".join(self._arguments))]

    def _deltas(self, text: str) -> list[Part]:
        return [{"type": "tool-input-delta", "toolCallId": self.id, "inputTextDelta": text}] if text else []


def json_object(text: str) -> dict[str, Any] | None:
    """Parse *text* as the arguments of a call: ``{}`` if it is blank, None if it is not a JSON object."""
    if not text.strip():
        return {}
    try:
        value: object = msgspec.json.decode(text)
    except (ValueError, RecursionError):  # msgspec's own errors are such
        return None
    return value if is_object(value) else None


def output_value(frame: ToolFinishedFrame) -> Any:
    """Return a tool's result as a JSON value; None if the frame has no result.

    Text stays text, unless it is a JSON object or array: many tools encode those themselves.
    """
    result = frame.result
    if not isinstance(result, str) or not (frame.is_json or result.lstrip()[:1] in ("{", "[")):
        return result
    try:
        return msgspec.json.decode(result)
    except (ValueError, RecursionError):
        return result


def error_text(frame: ToolFinishedFrame) -> str:
    """Return why a call has no result: the message for the model if the frame has it, else a general text."""
    assert frame.error is not None
    sent = json_object(frame.result) if isinstance(frame.result, str) else None
    text = (sent or {}).get("error")
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
