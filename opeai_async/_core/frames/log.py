"""Keep all frames of one answer, so that readers may come late, leave, and come back.

The newest frames are kept as they came, since most readers want exactly these. Older frames are merged in the way a
binary counter carries: a frame is merged with its neighbour of the same kind if that is at most twice as long.

    widths kept               20 9 4 1
    a frame of width 1 comes  20 9 4 (1+1)  ->  20 9 (4+2)  ->  20 (9+6)  ->  35

So n characters of one kind are kept in about log n frames, and a character is copied about log n times at most. A
reader gets the missing part in as few frames as there are changes of kind. Appending to one long string was rejected:
Python copies the whole text at each frame, which is quadratic in the length of the answer.
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

# About the memory that a frame takes beside its text.
FRAME_BYTES = 128

_offset_of = attrgetter("offset")


class FrameLog:
    """Log of the frames of one answer, from its start on.

    Args:
        max_bytes: Bound on its size: UTF-8 bytes of text, or of JSON for frames without text, and 128 for each frame
            that is kept separately.

    Attributes:
        bytes: Its size, counted in the same way.
        offset: Position in the answer after the last frame.
        last: The ``done`` or ``error`` frame that ended the answer; None until then.
    """

    __slots__ = ("_max_bytes", "_new", "_new_begin", "_old", "bytes", "last", "offset")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        # Older frames, merged; then the frames of the latest ``append``, as they came, and the offset they begin at.
        self._old: list[Frame] = []
        self._new: list[Frame] = []
        self._new_begin = 0
        self.bytes = 0
        self.offset = 0
        self.last: DoneFrame | ErrorFrame | None = None

    def append(self, frames: Iterable[Frame]) -> bool:
        """Add the part of *frames* that is new; return False if nothing of them was new.

        Raises:
            StreamTooLargeError: If a frame does not fit; the frames before it are kept. The last frame always fits.
            ValueError: If frames between the last one and these are missing.
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
        """Return what lies beyond the offset *after*, in as few frames as possible; at the end, at least ``last``."""
        if after == self._new_begin and self._new:
            return list(self._new)
        old = self._old
        found = old[bisect_right(old, after, key=_offset_of) :] + self._new
        # From the end backwards, since frames get shorter towards it: each character is copied about once.
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
        """Count the new part of *frame* and return it; None if all of it is known already."""
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
        """Append *frame* to the old ones, merged with those before it that are at most twice as wide."""
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
    """Return one frame for two; None if they do not merge or would be too large for a websocket message."""
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
