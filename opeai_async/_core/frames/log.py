"""All frames of one answer, so that a reader may come late, go, and come back.

The newest frames are kept as they came, since most readers want just these. What is older is put together as a binary
counter carries: a frame takes in its neighbour of the same kind once that is not much longer than itself. So a run of
n characters is kept in about log n frames, and no character is copied more than about log n times. A reader gets what
is missing in as few frames as there are kinds of text, however it was cut before.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from operator import attrgetter

import msgspec

from opeai_async._core.frames.algebra import MAX_FRAME_CHARS, merged, rest_after, width
from opeai_async.errors import StreamTooLargeError
from opeai_async.types.frames import (
    ContentFrame,
    DoneFrame,
    ErrorFrame,
    Frame,
    ReasoningFrame,
    RefusalFrame,
    ToolCallFrame,
)

FRAME_BYTES = 128  # about what a frame takes beside its text

_offset_of = attrgetter("offset")


class FrameLog:
    """The frames of one answer, from its start on.

    Args:
        max_bytes: How much it may hold: UTF-8 bytes of text, or of JSON where a frame is no text, and 128 for each
            frame that is kept apart.

    Attributes:
        bytes: What it holds, counted like that.
        offset: The position in the answer after the last frame.
        last: The ``done`` or ``error`` that ended it; None until then.
    """

    __slots__ = ("_max_bytes", "_new", "_new_begin", "_old", "bytes", "last", "offset")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._old: list[Frame] = []
        self._new: list[Frame] = []
        self._new_begin = 0
        self.bytes = 0
        self.offset = 0
        self.last: DoneFrame | ErrorFrame | None = None

    def append(self, frames: Iterable[Frame]) -> bool:
        """Add what comes next; what is here already is left out. False if that was all of it.

        Raises:
            StreamTooLargeError: If a frame does not fit; those before it are here. The end always fits.
            ValueError: If something between the last frame and these is missing.
        """
        begin, came = self.offset, list[Frame]()
        try:
            for frame in frames:
                if self.last is None and (rest := self._next(frame)) is not None:
                    came.append(rest)
        finally:
            if came:
                for frame in self._new:
                    self._carry(frame)
                self._new, self._new_begin = came, begin
        return bool(came)

    def read(self, after: int) -> list[Frame]:
        """The frames beyond the offset *after*, in as few as can be; the last one comes in any case."""
        if after == self._new_begin and self._new:
            return list(self._new)
        old = self._old
        found = old[bisect_right(old, after, key=_offset_of) :] + self._new
        # From the end on, since the frames get shorter towards it: each character is copied about once.
        frames: list[Frame] = []
        for frame in reversed(found):
            rest = rest_after(frame, after)
            if rest is None:
                continue
            together = _together(rest, frames[-1]) if frames else None
            if together is None:
                frames.append(rest)
            else:
                frames[-1] = together
        frames.reverse()
        return frames or ([] if self.last is None else [self.last])

    def _next(self, frame: Frame) -> Frame | None:
        """What is new in *frame*, which counts from now on."""
        if frame.offset - width(frame) > self.offset:
            raise ValueError(f"frames are missing: {frame!r} begins beyond offset {self.offset}")
        rest = rest_after(frame, self.offset)
        if rest is None or width(rest) == 0:
            return None
        if isinstance(rest, (DoneFrame, ErrorFrame)):
            self.last = rest
        else:
            size = _size(rest)
            if self.bytes + size > self._max_bytes:
                limit = f"max_bytes={self._max_bytes}"
                raise StreamTooLargeError(f"the answer does not fit into {self._max_bytes} bytes", limit=limit)
            self.bytes += size
        self.offset = rest.offset
        return rest

    def _carry(self, frame: Frame) -> None:
        """Put *frame* after the old ones, together with what is not much longer than itself."""
        old = self._old
        while old and width(old[-1]) <= 2 * width(frame):
            together = _together(old[-1], frame)
            if together is None:
                break
            frame = together
            old.pop()
            self.bytes -= FRAME_BYTES
        old.append(frame)


def _together(first: Frame, second: Frame) -> Frame | None:
    """One frame for two, if that is not too large for a websocket."""
    return merged(first, second) if width(first) + width(second) <= MAX_FRAME_CHARS else None


def _size(frame: Frame) -> int:
    if isinstance(frame, (ContentFrame, ReasoningFrame, RefusalFrame)):
        return FRAME_BYTES + _utf8_bytes(frame.text)
    if isinstance(frame, ToolCallFrame):
        return FRAME_BYTES + _utf8_bytes(frame.arguments) + _utf8_bytes(frame.id) + _utf8_bytes(frame.name)
    return FRAME_BYTES + len(msgspec.json.encode(frame))


def _utf8_bytes(text: str | None) -> int:
    if text is None or text.isascii():
        return len(text or "")
    return len(text.encode("utf-8", "surrogatepass"))
