"""Cut and join frames: the width of a frame, its rest after an offset, and one frame for two neighbours.

A frame's ``offset`` is the position in the answer *after* it, so it covers ``offset - width(frame)`` to ``offset``. The
unit is a character of text or of arguments; any other frame, and the head of a tool call, has width 1; a ping has 0.
"""

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

# As JSON, a character takes up to six bytes (an escape), and many frameworks refuse messages of more than 1 MiB.
MAX_FRAME_CHARS = 65_536
FrameT = TypeVar("FrameT", bound=Frame)


def width(frame: Frame) -> int:
    """Return how far *frame* moves the offset."""
    if isinstance(frame, (ContentFrame, ReasoningFrame, RefusalFrame)):
        return len(frame.text)
    if isinstance(frame, ToolCallFrame):
        return len(frame.arguments) + _has_head(frame)
    return 0 if isinstance(frame, PingFrame) else 1


def merged(first: Frame, second: Frame) -> Frame | None:
    """Return one frame that says what *first* and then *second* say; None if they must stay two.

    It has the offset of *second*, since that is the position after both.
    """
    if type(first) is not type(second):
        return None
    if isinstance(first, (ContentFrame, ReasoningFrame, RefusalFrame)):
        assert isinstance(second, (ContentFrame, ReasoningFrame, RefusalFrame))
        if first.choice != second.choice:
            return None
        return type(first)(text=first.text + second.text, choice=first.choice, offset=second.offset)
    if isinstance(first, ToolCallFrame):
        assert isinstance(second, ToolCallFrame)
        # A head in the middle would be lost: it may tell a new id or name of the same call.
        if _call(first) != _call(second) or _has_head(second):
            return None
        return msgspec.structs.replace(first, arguments=first.arguments + second.arguments, offset=second.offset)
    return None


def rest_after(frame: FrameT, offset: int) -> FrameT | None:
    """Return the part of *frame* beyond *offset*; None if the frame ends before it."""
    missing = frame.offset - offset
    if missing >= width(frame):
        return frame
    if missing <= 0:
        return None
    # A frame ends with its text or arguments, so the missing part is their end, wherever the frame began.
    if isinstance(frame, (ContentFrame, ReasoningFrame, RefusalFrame)):
        return msgspec.structs.replace(frame, text=frame.text[-missing:])
    assert isinstance(frame, ToolCallFrame)
    return msgspec.structs.replace(frame, id=None, name=None, arguments=frame.arguments[-missing:])


def _has_head(frame: ToolCallFrame) -> bool:
    return frame.id is not None or frame.name is not None


def _call(frame: ToolCallFrame) -> tuple[int, int, str]:
    return frame.choice, frame.index, frame.kind
