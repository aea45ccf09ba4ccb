"""Cut and join frames: how wide one is, what remains after an offset, which ones merge."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from opeai_async.types.frames import (
    ContentFrame,
    Frame,
    PingFrame,
    ReasoningFrame,
    RefusalFrame,
    ToolCallFrame,
)

MAX_FRAME_CHARS = 65_536
FrameT = TypeVar("FrameT", bound=Frame)


def width(frame: Frame) -> int:
    """How far *frame* moves the offset."""
    if isinstance(frame, (ContentFrame, ReasoningFrame, RefusalFrame)):
        return len(frame.text)
    if isinstance(frame, ToolCallFrame):
        return len(frame.arguments) + _has_head(frame)
    return 0 if isinstance(frame, PingFrame) else 1


def merged(first: Frame, second: Frame) -> Frame | None:
    """One frame that says what *first* and then *second* say, with the offset of *second*; None if they must be two."""
    if type(first) is not type(second):
        return None
    if isinstance(first, (ContentFrame, ReasoningFrame, RefusalFrame)):
        assert isinstance(second, (ContentFrame, ReasoningFrame, RefusalFrame))
        if first.choice != second.choice:
            return None
        return type(first)(text=first.text + second.text, choice=first.choice, offset=second.offset)
    if isinstance(first, ToolCallFrame):
        assert isinstance(second, ToolCallFrame)
        if _call(first) != _call(second) or _has_head(second):
            return None
        return msgspec.structs.replace(first, arguments=first.arguments + second.arguments, offset=second.offset)
    return None


def rest_after(frame: FrameT, offset: int) -> FrameT | None:
    """What *frame* says beyond *offset*; None if that is nothing."""
    missing = frame.offset - offset
    if missing >= width(frame):
        return frame
    if missing <= 0:
        return None
    # Text and arguments end the frame, so what is missing is their end, whatever came before.
    if isinstance(frame, (ContentFrame, ReasoningFrame, RefusalFrame)):
        return msgspec.structs.replace(frame, text=frame.text[-missing:])
    assert isinstance(frame, ToolCallFrame)
    return msgspec.structs.replace(frame, id=None, name=None, arguments=frame.arguments[-missing:])


def _has_head(frame: ToolCallFrame) -> bool:
    return frame.id is not None or frame.name is not None


def _call(frame: ToolCallFrame) -> tuple[int, int, str]:
    return frame.choice, frame.index, frame.kind
