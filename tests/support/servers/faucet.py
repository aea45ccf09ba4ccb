"""A frame source in the test's hand, and what its frames say."""

import asyncio
from collections.abc import Callable
from typing import Any

from opeai_async._core.frames.algebra import merged, width
from opeai_async._core.frames.error_frames import error_frame
from opeai_async._relay.frames import FrameReader
from opeai_async.errors import OpeAIError
from opeai_async.types.completion import ChatCompletion
from opeai_async.types.frames import ContentFrame, DoneFrame, Frame


class Faucet(FrameReader):
    """Gives what the test pours; numbers it, as a framer does.

    Attributes:
        frames: All that was poured.
        closed: How often it was closed.
        closing_raises: What it raises then, against the contract.
        is_obedient: Whether it ends when it is asked to stop.
    """

    def __init__(self, *, is_obedient: bool = True) -> None:
        self.is_obedient = is_obedient
        self.frames: list[Frame] = []
        self.closed = 0
        self.closing_raises: Exception | None = None
        self.chunks = 0
        self.offset = 0
        self.usage: Any = None
        self.error: OpeAIError | None = None
        self._taken = 0
        self._raises: BaseException | None = None
        self._is_dry = False
        self._poured = asyncio.Event()

    @property
    def completion(self) -> ChatCompletion:
        return ChatCompletion(id="c1", model="m")

    def pour(self, *frames: Frame) -> None:
        """Let *frames* flow; their offsets are set here."""
        for frame in frames:
            self.offset += width(frame)
            frame.offset = self.offset
            self.frames.append(frame)
        self._poured.set()

    def say(self, *texts: str, kind: Callable[..., Frame] = ContentFrame, **fields: Any) -> None:
        for text in texts:
            self.pour(kind(text=text, **fields))

    def finish(self, reason: str = "completed") -> None:
        self.pour(DoneFrame(reason=reason, finish_reason="stop"))

    def fail(self, error: OpeAIError) -> None:
        """End with an error, as a stream does."""
        self.error = error
        self.pour(error_frame(error))

    def throw(self, error: BaseException) -> None:
        """Break the contract: the next read raises."""
        self._raises = error
        self._poured.set()

    def dry_up(self) -> None:
        """Break the contract: no frame is the last one."""
        self._is_dry = True
        self._poured.set()

    async def read(self) -> list[Frame]:
        while self._taken == len(self.frames) and self._raises is None and not self._is_dry:
            self._poured.clear()
            await self._poured.wait()
        if self._raises is not None:
            raise self._raises
        frames, self._taken = self.frames[self._taken :], len(self.frames)
        self.chunks += len(frames)
        return frames

    def stop(self) -> None:
        if self.is_obedient and not (self.frames and isinstance(self.frames[-1], DoneFrame)):
            self.finish("stopped")

    async def aclose(self) -> None:
        self.closed += 1
        if self.closing_raises is not None:
            raise self.closing_raises


async def all_of(source):
    """All frames of a source, to its end."""
    return [frame async for frame in source]


def text_of(frames):
    """The content, of whatever choice."""
    return "".join(frame.text for frame in frames if isinstance(frame, ContentFrame))


def said(frames):
    """What the frames say, with neighbours put together as far as they can be."""
    result = []
    for frame in frames:
        together = merged(result[-1], frame) if result else None
        if together is None:
            result.append(frame)
        else:
            result[-1] = together
    return result
