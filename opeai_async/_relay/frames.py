"""An answer as frames, the form that the relay, server-sent events and sessions read.

A *frame source* gives one reader the frames of one answer, and ends it with exactly one ``done`` or ``error``:

==================  ======================================================================
`StreamFrames`      the frames of one stream
``RunFrames``       those of a run of tools, over all rounds (``_tools/run_frames.py``)
``Subscription``    those of a session, from the offset that a reader has seen on
==================  ======================================================================
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Protocol, Self, cast

import msgspec

from opeai_async._core.answer.outcome import Outcome
from opeai_async._core.frames.framer import Framer
from opeai_async._io.observe.observers import Observers
from opeai_async._io.stream.stream import ChunkStream
from opeai_async._public import claim
from opeai_async.errors import ConcurrentReadError, ConfigurationError, OpeAIError
from opeai_async.types.common import CompletionUsage
from opeai_async.types.completion import ChatCompletion
from opeai_async.types.frames import DoneFrame, DoneReason, ErrorFrame, Frame
from opeai_async.types.meta import StreamTiming

_REASONS: dict[Outcome, DoneReason] = {Outcome.TRUNCATED: "truncated", Outcome.CANCELLED: "cancelled"}


class AnswerSoFar(Protocol):
    """The facts about an answer that are known so far."""

    @property
    def completion(self) -> ChatCompletion | None:
        """The message so far; None if it is not known here."""
        ...

    @property
    def usage(self) -> CompletionUsage | None:
        """Token counts, once they are known."""
        ...

    @property
    def error(self) -> OpeAIError | None:
        """The error that ended the answer; None if there was none, or it is not known here."""
        ...

    @property
    def chunks(self) -> int:
        """The number of chunks that were read for it; 0 if it does not read a stream."""
        ...


class FrameSource(AnswerSoFar, Protocol):
    """The frames of one answer, for one reader."""

    @property
    def offset(self) -> int:
        """The position in the answer after what was read."""
        ...

    async def read(self) -> list[Frame]:
        """Wait for a frame, and return all that are there; empty after the last. May be cancelled."""
        ...

    def hold(self) -> None:
        """Let what arrives wait, without a wake-up, until the next ``read``; a hint, which may do nothing."""
        ...

    def stop(self) -> None:
        """End the answer soon, with what there is and ``done``, because the reader wants no more of it."""
        ...

    async def aclose(self) -> None:
        """Stop reading, because the reader has gone. May be called again."""
        ...


class Framed(Protocol):
    """An object that has frames, such as a run of tools."""

    def frames(self) -> FrameSource:
        """Return its frames, which are read in place of its events."""
        ...


def frames_of(source: FrameSource | ChunkStream[Any] | Framed) -> FrameSource:
    """Return the frames of *source*.

    Raises:
        ConfigurationError: If it has no frames: it was not awaited yet, is a complete answer, or something else.
    """
    if isinstance(source, ChunkStream):
        return StreamFrames(source)
    if callable(getattr(source, "read", None)):
        return cast("FrameSource", source)
    if callable(make := getattr(source, "frames", None)):
        return cast("FrameSource", make())
    expected = "expected a stream, a run, or another source of frames"
    given: object = source
    if inspect.iscoroutine(given):
        given.close()  # or Python warns later, far from here, that it was never awaited
        hint = "await it first: stream = await client.chat.completions.create(..., stream=True)"
        raise ConfigurationError(f"the source is a coroutine, {expected}", hint=hint)
    if isinstance(given, ChatCompletion):
        hint = "ask with chat.completions.stream(...), or with stream=True"
        raise ConfigurationError(f"the source is an answer that is complete, {expected}", hint=hint)
    raise ConfigurationError(f"the source is of the type {type(given).__name__}, {expected}")


class FrameReader(ABC):
    """A base class that adds ``async for frame in source`` to ``read``."""

    # The rest of the last read.
    _held: Iterator[Frame] = iter(())

    @property
    def observed(self) -> tuple[Observers, str] | None:
        """The observers of the call that brings the answer, and its name; None if they are not known."""
        return None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        for frame in self._held:
            return frame
        self._held = iter(await self.read())
        for frame in self._held:
            return frame
        raise StopAsyncIteration

    @abstractmethod
    async def read(self) -> list[Frame]:
        """Wait for a frame, and return all that are there; empty after the last."""

    def hold(self) -> None:  # noqa: B027 - most have nothing to do
        """Do nothing: most sources have no transport to hold."""


class StreamFrames(FrameReader):
    """The frames of a stream, which are read instead of its chunks; a ``FrameSource``.

    Args:
        stream: Open or not; nobody else may read it from now on.
    """

    def __init__(self, stream: ChunkStream[Any]) -> None:
        self._stream = stream
        self._batches = stream.batches()
        self._framer = Framer()
        # True after ``stop``: then the last frame says so, and not how the stream ended.
        self._is_stopped = False
        # True once the last frame was returned.
        self._is_ended = False
        self._chunks = 0
        self._error: OpeAIError | None = None

    async def read(self) -> list[Frame]:
        """Wait for a frame, and return all that are there; empty after the last.

        Raises:
            ConcurrentReadError: If another task is reading the stream.
            ConfigurationError: If it was opened by another event loop.
        """
        if self._is_ended:
            return []
        try:
            async for batch in self._batches:
                self._chunks += len(batch)
                if frames := self._framer.add(batch):
                    return frames
        except (ConcurrentReadError, ConfigurationError):
            raise
        except OpeAIError as exc:
            self._error = exc
            return self._end(exc)
        return self._end(None)

    def _end(self, error: OpeAIError | None) -> list[Frame]:
        self._is_ended = True
        frames, stream = self._framer.rest(), self._stream
        reason = ended_by(_REASONS.get(stream.outcome, "completed"), error, is_stopped=self._is_stopped)
        if isinstance(reason, Exception):
            return [*frames, self._framer.failed(reason)]
        finish_reasons = {c.index: c.finish_reason for c in stream.snapshot.choices if c.finish_reason}
        return [*frames, self._framer.done(reason, finish_reasons, stream.usage)]

    def hold(self) -> None:
        """Leave what arrives to the transport until the next ``read``, and wake nobody for it."""
        self._stream.hold()

    def stop(self) -> None:
        """Close the upstream; the frames end with what had come, and ``done`` says that it was stopped."""
        self._is_stopped = True
        self._stream.cancel()

    async def aclose(self) -> None:
        """Close the upstream, if the stream is not at its end. May be called again."""
        await self._stream.aclose()

    @property
    def completion(self) -> ChatCompletion | None:
        """The message so far; None if nothing has come."""
        return completion_so_far(self._stream)

    @property
    def timing(self) -> StreamTiming:
        """The times of the stream's steps, in seconds from the call."""
        return self._stream.timing

    @property
    def observed(self) -> tuple[Observers, str] | None:
        """The observers of the stream's call, and its name."""
        return self._stream.observed

    @property
    def usage(self) -> CompletionUsage | None:
        """Token counts, once they have come."""
        return self._stream.usage

    @property
    def error(self) -> OpeAIError | None:
        """The error that ended the answer; None if there was none."""
        return self._error

    @property
    def chunks(self) -> int:
        """The number of chunks that were read."""
        return self._chunks

    @property
    def offset(self) -> int:
        """The position in the answer after what was read."""
        return self._framer.offset


def completion_so_far(stream: ChunkStream[Any]) -> ChatCompletion | None:
    """Return the message so far, with its ``meta``; None if nothing has come."""
    snapshot = stream.snapshot
    if not snapshot.choices and snapshot.usage is None:
        return None
    return msgspec.structs.replace(snapshot, meta=stream.meta)


def ended_by(reason: DoneReason, error: Exception | None, *, is_stopped: bool) -> DoneReason | Exception:
    """Return what the last frame says: *error*, else *reason*; "stopped" if the reader asked for the end.

    An answer that ended by itself before the wish to stop reached it keeps its *reason*.
    """
    if is_stopped:
        return "stopped" if error is not None or reason == "cancelled" else reason
    return error if error is not None else reason


def is_last(frame: Frame) -> bool:
    """Tell whether *frame* ends its answer."""
    return isinstance(frame, (DoneFrame, ErrorFrame))


claim(__name__)
