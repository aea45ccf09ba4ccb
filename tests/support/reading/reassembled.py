"""What a client makes of frames, written after the documentation of the protocol; and the same of a completion."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from opeai_async._core.frames.algebra import width
from opeai_async.types.completion import ChatCompletion, ChatCompletionMessage
from opeai_async.types.frames import (
    AnnotationsFrame,
    AudioFrame,
    ContentFrame,
    DoneFrame,
    ErrorFrame,
    Frame,
    ReasoningFrame,
    RefusalFrame,
    ToolCallFrame,
)

decode_frame = msgspec.json.Decoder(Frame).decode


def by_frames(frames: Iterable[Frame]) -> dict[int, dict[str, Any]]:
    """Per choice what *frames* add up to: texts, tool calls by position, and so on; nothing that is empty."""
    choices: dict[int, dict[str, Any]] = {}
    for frame in frames:
        if isinstance(frame, (ContentFrame, ReasoningFrame, RefusalFrame)):
            said = choices.setdefault(frame.choice, {})
            name = str(type(frame).__struct_config__.tag)
            said[name] = said.get(name, "") + frame.text
        elif isinstance(frame, ToolCallFrame):
            _append_call(choices.setdefault(frame.choice, {}), frame)
        elif isinstance(frame, AudioFrame):
            audio = choices.setdefault(frame.choice, {}).setdefault("audio", ["", "", ""])
            audio[:] = [frame.id or audio[0], audio[1] + frame.data, audio[2] + frame.transcript]
        elif isinstance(frame, AnnotationsFrame):
            choices.setdefault(frame.choice, {}).setdefault("annotations", []).extend(frame.annotations)
    return choices


def _append_call(said: dict[str, Any], frame: ToolCallFrame) -> None:
    calls = said.setdefault("function_call" if frame.kind == "function_call" else "calls", {})
    call = calls.setdefault(frame.index, {"kind": frame.kind, "id": "", "name": "", "arguments": ""})
    call["id"] = call["id"] if frame.id is None else frame.id
    call["name"] = call["name"] if frame.name is None else frame.name
    call["arguments"] += frame.arguments


def by_completion(completion: ChatCompletion) -> dict[int, dict[str, Any]]:
    """The same of *completion*."""
    said = {choice.index: _by_message(choice.message) for choice in completion.choices}
    return {index: items for index, items in said.items() if items}


def _by_message(message: ChatCompletionMessage) -> dict[str, Any]:
    audio, old = message.audio, message.function_call
    calls = {
        position: {"kind": "function", "id": call.id, "name": call.function.name, "arguments": call.function.arguments}
        if call.custom is None
        else {"kind": "custom", "id": call.id, "name": call.custom.name, "arguments": call.custom.input}
        for position, call in enumerate(message.tool_calls or ())
    }
    said = {
        "content": message.content,
        "reasoning": message.reasoning_content,
        "refusal": message.refusal,
        "calls": calls,
        "function_call": old and {0: {"kind": "function_call", "id": "", "name": old.name, "arguments": old.arguments}},
        "audio": audio and [audio.id, audio.data, audio.transcript],
        "annotations": message.annotations,
    }
    return {name: value for name, value in said.items() if value}


def assert_well_formed(frames: list[Frame], *, begin: int = 0) -> None:
    """Offsets add up from *begin*, and exactly the last frame is a ``done`` or ``error``."""
    for frame in frames:
        begin += width(frame)
        assert frame.offset == begin, frame
    assert [isinstance(frame, (DoneFrame, ErrorFrame)) for frame in frames] == [False] * (len(frames) - 1) + [True]
