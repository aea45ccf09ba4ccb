"""Encode frames as events of AG-UI, the protocol between agents and user interfaces, version 1.0.

An answer is a run: ``RUN_STARTED`` ... ``RUN_FINISHED`` or ``RUN_ERROR``. Each round is a step, and one message of the
assistant, to which its calls belong. Readers find messages and calls by their ids, so an id stands for one thing in the
whole thread: the ids of messages begin with the run's, and those of calls come from ``CallIds``.

======================== ===================================================================================
frame                    events
======================== ===================================================================================
start, round             RUN_STARTED, STEP_STARTED; STEP_FINISHED of the round before
content, refusal, audio  TEXT_MESSAGE_START, _CONTENT, _END (of audio, the transcript)
reasoning                REASONING_START, REASONING_MESSAGE_START, _CONTENT, _END, REASONING_END
tool_call                TOOL_CALL_START, _ARGS; _END once it is whole
tool_finished            TOOL_CALL_RESULT
tool_approval            an interrupt in the outcome of RUN_FINISHED; a later run answers it by its id
annotations, images      CUSTOM, with that name
done, error              RUN_FINISHED, or RUN_ERROR if the answer was cut or failed
======================== ===================================================================================

See https://docs.ag-ui.com/concepts/events
"""

from __future__ import annotations

import uuid
from typing import Any, TypeAlias

import msgspec

from opeai_async._core.frames.browser.told_calls import CUT_OFF, TOOL_ERRORS, CallIds
from opeai_async._core.frames.encoders import with_extra
from opeai_async._public import claim
from opeai_async.types.common import CompletionUsage
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

Event: TypeAlias = dict[str, Any]


class AGUIEncoder:
    """Encoder of the frames of one answer for a client of AG-UI 1.0: ``encode=`` of ``sse`` and of ``relay``.

    A frame becomes none, one or several messages, each the JSON of one event; the response needs ``SSE_HEADERS``.
    Choices other than *choice* are left out, and so is audio, whose transcript is sent as text. A run that waits for
    approval finishes with interrupts whose ids are those of the calls: the client's next run answers them in
    ``resume``. Make one encoder for each response.

    Args:
        thread_id: Id of the conversation, as the client sent it (``threadId``); None to make one up.
        run_id: Id of the run, likewise (``runId``).
        choice: Index of the choice to send.
    """

    def __init__(self, *, thread_id: str | None = None, run_id: str | None = None, choice: int = 0) -> None:
        # Made up here and not taken from the answer: some servers send no ids, or the same one in each answer.
        self._run_id = run_id or f"run-{uuid.uuid4().hex}"
        self._thread_id = thread_id or f"thread-{uuid.uuid4().hex}"
        self._choice = choice
        # Name of the model, for the token counts; empty until the answer begins.
        self._model = ""
        # Number of the round; 0 until RUN_STARTED is sent.
        self._round = 0
        # Ids of the open message and of the open reasoning; at most one is open, and the other is empty.
        self._text = ""
        self._reasoning = ""
        # Number of pieces of reasoning so far, out of which their ids are made.
        self._reasonings = 0
        self._ids = CallIds()
        # By (is it the old ``function_call``, index): calls of all rounds, since a result may come late.
        self._calls: dict[tuple[bool, int], _Call] = {}
        # Approvals that the run waits for, in the form of RUN_FINISHED.
        self._interrupts: list[Event] = []

    def __call__(self, frame: Frame) -> list[str] | None:
        """Return the messages for *frame*; None if there are none."""
        return [msgspec.json.encode(event).decode() for event in self._events_of(frame)] or None

    def _events_of(self, frame: Frame) -> list[Event]:
        if isinstance(frame, StartFrame):
            self._ids.begin(frame.id)
            self._model = frame.model
            return self._begun()
        if isinstance(frame, RoundFrame):
            self._ids.begin(frame.id)
            return [*self._begun(), *self._step_end(), *self._step_begun(frame.round)]
        if isinstance(frame, DoneFrame):
            return [*self._begun(), *self._done(frame)]
        if isinstance(frame, ErrorFrame):
            return [*self._begun(), *self._text_end(), _error(frame.code, frame.message)]
        if isinstance(frame, (ToolStartedFrame, ToolApprovalFrame, ToolFinishedFrame)):
            return [*self._begun(), *self._run(frame)]
        if getattr(frame, "choice", None) != self._choice:
            return []
        return [*self._begun(), *self._content(frame)]

    # --- runs and steps ----------------------------------------------------------------------------------------------

    def _begun(self) -> list[Event]:
        """Begin the run, once, at whatever frame comes first: a late reader has missed the start frame."""
        if self._round:
            return []
        return [{"type": "RUN_STARTED", **self._names(), "protocolVersion": "1.0"}, *self._step_begun(1)]

    def _names(self) -> Event:
        return {"threadId": self._thread_id, "runId": self._run_id}

    def _step_begun(self, number: int) -> list[Event]:
        self._round = number
        return [{"type": "STEP_STARTED", "stepName": f"round {number}"}]

    def _step_end(self) -> list[Event]:
        """Close the open text and the calls, and finish the step: this answer of the model has ended."""
        events = self._text_end()
        for call in self._calls.values():
            events += call.end()
        return [*events, {"type": "STEP_FINISHED", "stepName": f"round {self._round}"}]

    def _done(self, frame: DoneFrame) -> list[Event]:
        if frame.reason == "truncated":
            return [*self._text_end(), _error("truncated", CUT_OFF)]
        events = self._step_end()
        finished: Event = {"type": "RUN_FINISHED", **self._names(), "outcome": self._outcome(frame)}
        if frame.usage is not None:
            finished["usage"] = [_usage(frame.usage, self._model)]
        return [*events, finished]

    def _outcome(self, frame: DoneFrame) -> Event:
        if frame.reason != "completed":
            return {"type": "cancelled"}
        if self._interrupts:
            return {"type": "interrupt", "interrupts": self._interrupts}
        pending = [call.id for call in self._calls.values() if not call.has_result]
        return {"type": "success", "pendingToolCallIds": pending} if pending else {"type": "success"}

    # --- texts -------------------------------------------------------------------------------------------------------

    @property
    def _message_id(self) -> str:
        return f"{self._run_id}-{self._round}"

    def _content(self, frame: Frame) -> list[Event]:
        if isinstance(frame, ReasoningFrame):
            return self._reasoned(frame.text)
        if isinstance(frame, (ContentFrame, RefusalFrame)):
            return self._said(frame.text)
        if isinstance(frame, AudioFrame):
            return self._said(frame.transcript) if frame.transcript else []
        if isinstance(frame, ToolCallFrame):
            return [*self._text_end(), *self._called(frame)]
        if isinstance(frame, ImagesFrame):
            return [{"type": "CUSTOM", "name": "images", "value": with_extra(msgspec.to_builtins(frame.images))}]
        assert isinstance(frame, AnnotationsFrame)
        notes = with_extra(msgspec.to_builtins(frame.annotations))
        return [{"type": "CUSTOM", "name": "annotations", "value": notes}]

    def _said(self, text: str) -> list[Event]:
        events: list[Event] = []
        if not self._text:
            events += self._text_end()
            self._text = self._message_id
            events.append({"type": "TEXT_MESSAGE_START", "messageId": self._text, "role": "assistant"})
        return [*events, {"type": "TEXT_MESSAGE_CONTENT", "messageId": self._text, "delta": text}]

    def _reasoned(self, text: str) -> list[Event]:
        events: list[Event] = []
        if not self._reasoning:
            events += self._text_end()
            self._reasonings += 1
            self._reasoning = f"{self._run_id}-reasoning-{self._reasonings}"
            named = {"messageId": self._reasoning}
            events.append({"type": "REASONING_START", **named})
            events.append({"type": "REASONING_MESSAGE_START", **named, "role": "reasoning"})
        return [*events, {"type": "REASONING_MESSAGE_CONTENT", "messageId": self._reasoning, "delta": text}]

    def _text_end(self) -> list[Event]:
        """Close the open text or reasoning, if there is one."""
        events: list[Event] = []
        if self._text:
            events.append({"type": "TEXT_MESSAGE_END", "messageId": self._text})
        if self._reasoning:
            events.append({"type": "REASONING_MESSAGE_END", "messageId": self._reasoning})
            events.append({"type": "REASONING_END", "messageId": self._reasoning})
        self._text = self._reasoning = ""
        return events

    # --- calls -------------------------------------------------------------------------------------------------------

    def _called(self, frame: ToolCallFrame) -> list[Event]:
        key = (frame.kind == "function_call", frame.index)
        call = self._calls.get(key)
        if call is None:
            if self._ids.is_missed(frame):
                return []
            call = self._calls[key] = _Call(frame.index, self._message_id, self._ids)
        return call.add(frame)

    def _run(self, frame: ToolStartedFrame | ToolApprovalFrame | ToolFinishedFrame) -> list[Event]:
        """Return the events for a tool: the end of its arguments when it runs, and its result when it has run."""
        call = self._calls.get((False, frame.index))
        if frame.resumed:
            events, call_id = [], frame.id  # the call is in the messages that the client has
        elif call is not None:
            events, call_id = [*self._text_end(), *call.end()], call.id
        else:
            return []  # the reader joined after the call began
        if isinstance(frame, ToolApprovalFrame):
            self._interrupts.append({"id": frame.id, "reason": "tool_approval", "toolCallId": call_id})
        if not isinstance(frame, ToolFinishedFrame):
            return events
        if call is not None:
            call.has_result = True
        named = {"messageId": f"{self._run_id}-result-{call_id}", "toolCallId": call_id, "role": "tool"}
        return [*events, {"type": "TOOL_CALL_RESULT", **named, "content": _result(frame)}]


class _Call:
    """One call, begun when its name is settled: where its arguments begin, or at the end.

    Attributes:
        id: Id that the client knows it by; empty until it begins.
        has_result: True once its result was sent.
    """

    __slots__ = ("_ids", "_index", "_is_ended", "_message_id", "_name", "_server_id", "_waiting", "has_result", "id")

    def __init__(self, index: int, message_id: str, ids: CallIds) -> None:
        self.id = ""
        self.has_result = False
        self._ids = ids
        self._index = index
        # The assistant's message that the call belongs to.
        self._message_id = message_id
        # The latest id and name from the server, until the call begins.
        self._server_id: str | None = None
        self._name = ""
        # Arguments that came before the name.
        self._waiting = ""
        # TOOL_CALL_END was sent, and no arguments came since.
        self._is_ended = False

    def add(self, frame: ToolCallFrame) -> list[Event]:
        """Return the events for what *frame* adds."""
        # The call was run early, and its arguments continue: it is begun again under the same id.
        if self._is_ended:
            self._is_ended = False
            return [self._start(), *self._arguments(frame.arguments)]
        if self.id:
            return self._arguments(frame.arguments)
        self._server_id, self._name = frame.id or self._server_id, frame.name or self._name
        self._waiting += frame.arguments
        return self._begun() if self._name and self._waiting else []

    def end(self) -> list[Event]:
        """Return the event that ends the call, once: an empty list if it was sent."""
        if self._is_ended:
            return []
        self._is_ended = True
        begun = [] if self.id else self._begun()
        return [*begun, {"type": "TOOL_CALL_END", "toolCallId": self.id}]

    def _begun(self) -> list[Event]:
        self.id = self._ids.new(self._server_id, self._index)
        return [self._start(), *self._arguments(self._waiting)]

    def _start(self) -> Event:
        named = {"toolCallId": self.id, "toolCallName": self._name}
        return {"type": "TOOL_CALL_START", **named, "parentMessageId": self._message_id}

    def _arguments(self, text: str) -> list[Event]:
        return [{"type": "TOOL_CALL_ARGS", "toolCallId": self.id, "delta": text}] if text else []


def _result(frame: ToolFinishedFrame) -> str:
    """Return a result as text; if the frame has none, an empty text still says that the tool has run."""
    if isinstance(frame.result, str):
        return frame.result
    if frame.result is not None:
        return msgspec.json.encode(frame.result).decode()
    return msgspec.json.encode({"error": TOOL_ERRORS[frame.error]}).decode() if frame.error is not None else ""


def _error(code: str, message: str) -> Event:
    return {"type": "RUN_ERROR", "message": message, "code": code}


def _usage(usage: CompletionUsage, model: str) -> Event:
    """Return token counts in the protocol's words, without those that are not known."""
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    counts = {
        "model": model or None,
        "inputTokens": usage.prompt_tokens,
        "outputTokens": usage.completion_tokens,
        "totalTokens": usage.total_tokens,
        "reasoningTokens": completion.reasoning_tokens if completion is not None else None,
        "cachedInputTokens": prompt.cached_tokens if prompt is not None else None,
    }
    return {name: count for name, count in counts.items() if count is not None}


claim(__name__)
