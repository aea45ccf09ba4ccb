"""A run as frames for a browser: all its rounds in the form of one answer.

The items of ``Rounds`` become frames, with one ``start`` and one last frame; offsets and the indexes of tool calls
continue from round to round, because a browser shows one answer and resumes it by one offset.
"""

from __future__ import annotations

from typing import Protocol

from opeai_async._core.frames.framer import Framer
from opeai_async._io.observe.observers import Observers
from opeai_async._public import claim
from opeai_async._relay.frames import FrameReader, completion_so_far, ended_by
from opeai_async._tools.rounds import Rounds, RunItem
from opeai_async.errors import ConcurrentReadError, ConfigurationError, OpeAIError
from opeai_async.types.common import CompletionUsage
from opeai_async.types.completion import ChatCompletion
from opeai_async.types.events import (
    RoundFinishedEvent,
    RoundStartedEvent,
    RunReason,
    ToolApprovalEvent,
    ToolFinishedEvent,
    ToolStartedEvent,
)
from opeai_async.types.frames import DoneReason, Frame, ToolApprovalFrame, ToolFinishedFrame, ToolStartedFrame

_DONE_REASONS: dict[RunReason, DoneReason] = {
    "truncated": "truncated",
    "cancelled": "cancelled",
    "deadline": "cancelled",
}


class Ending(Protocol):
    """A run that its frames can end."""

    def cancel(self) -> object:
        """End it now, quietly."""
        ...

    async def aclose(self) -> object:
        """End it, and wait for all that it has begun."""
        ...


class RunFrames(FrameReader):
    """The frames of a run, which are read instead of its events; a ``FrameSource``. Made by ``Run.frames``.

    Attributes:
        failure: The error of a tool, if it ended the run; None otherwise.
    """

    def __init__(self, run: Ending, rounds: Rounds, *, results: bool) -> None:
        self._run = run
        self._rounds = rounds
        # Makes frames of chunks, and numbers all of them.
        self._framer = Framer(earlier_calls=rounds.resumed)
        # False keeps the tools' results out of the frames.
        self._with_results = results
        # The calls of the rounds before: the first call of this round has that index.
        self._earlier_calls = rounds.resumed
        # True from the first chunks of a round to its whole message.
        self._is_amid_answer = False
        # True after ``stop``: then the last frame says so, and not how the run ended.
        self._is_stopped = False
        # True once the last frame was returned.
        self._is_ended = False
        # The error of this package that ended the run.
        self._error: OpeAIError | None = None
        self.failure: Exception | None = None

    async def read(self) -> list[Frame]:
        """Wait for a frame, and return all that are there; empty after the last.

        Raises:
            ConcurrentReadError: If another task is reading the run.
            ConfigurationError: If it was opened by another event loop.
        """
        if self._is_ended:
            return []
        try:
            while items := await self._rounds.read():
                if frames := [frame for item in items for frame in self._frames_of(item)]:
                    return frames
        except (ConcurrentReadError, ConfigurationError):
            raise
        except OpeAIError as exc:
            self._error = exc
            return self._end(exc)
        except Exception as exc:  # noqa: BLE001 - a tool may raise anything, and it is raised again
            self.failure = exc
            return self._end(exc)
        return self._end(None)

    def _frames_of(self, item: RunItem) -> list[Frame]:
        if isinstance(item, list):
            self._is_amid_answer = True
            return self._framer.add(item)
        if isinstance(item, ChatCompletion):
            self._is_amid_answer = False
            return self._framer.rest()
        if isinstance(item, RoundStartedEvent):
            if item.round > 1:
                self._framer.next_round()
            return []
        if isinstance(item, RoundFinishedEvent):
            for choice in item.completion.choices[:1]:
                self._earlier_calls += len(choice.message.tool_calls or ())
            return []
        return self._framer.tell(self._tool_frame(item))

    def _tool_frame(self, event: ToolApprovalEvent | ToolStartedEvent | ToolFinishedEvent) -> Frame:
        resumed = not event.round
        index = event.index + (0 if resumed else self._earlier_calls)
        if isinstance(event, ToolApprovalEvent):
            return ToolApprovalFrame(index=index, id=event.id, name=event.name, resumed=resumed)
        if isinstance(event, ToolStartedEvent):
            return ToolStartedFrame(index=index, id=event.id, name=event.name, resumed=resumed)
        told = event.content if self._with_results else None
        return ToolFinishedFrame(
            index=index,
            id=event.id,
            name=event.name,
            resumed=resumed,
            duration_s=event.duration_s,
            error=event.error,
            result=told,
            is_json=isinstance(told, str) and event.error is None and not isinstance(event.result, str),
        )

    def _end(self, error: Exception | None) -> list[Frame]:
        self._is_ended = True
        framer, rounds = self._framer, self._rounds
        frames = framer.rest() if self._is_amid_answer else []
        reason = ended_by(_DONE_REASONS.get(rounds.reason, "completed"), error, is_stopped=self._is_stopped)
        if isinstance(reason, Exception):
            return [*frames, framer.failed(reason)]
        choices = rounds.completions[-1].choices if rounds.completions else []
        finish_reason = choices[0].finish_reason if choices else None
        return [*frames, framer.done(reason, {0: finish_reason} if finish_reason else {}, rounds.usage)]

    def hold(self) -> None:
        """Leave what arrives to the transport until the next ``read``, and wake nobody for it."""
        self._rounds.stream.hold()

    def stop(self) -> None:
        """End the run; the frames end with what had come, and ``done`` says that it was stopped."""
        self._is_stopped = True
        self._run.cancel()

    async def aclose(self) -> None:
        """Close the run, if it is not at its end. May be called again."""
        await self._run.aclose()

    @property
    def completion(self) -> ChatCompletion | None:
        """The last message so far; None if nothing has come."""
        last = self._rounds.completions[-1] if self._rounds.completions else None
        return completion_so_far(self._rounds.stream) or last

    @property
    def usage(self) -> CompletionUsage | None:
        """Token counts of all rounds together, as far as they came."""
        return self._rounds.usage

    @property
    def observed(self) -> tuple[Observers, str] | None:
        """The observers of the call of this round, or of the last one, and its name."""
        return self._rounds.stream.observed

    @property
    def error(self) -> OpeAIError | None:
        """The error of this package that ended the run; None if there was none."""
        return self._error

    @property
    def chunks(self) -> int:
        """The number of chunks that were read in all rounds."""
        return self._rounds.chunks

    @property
    def offset(self) -> int:
        """The position in the answer after what was read."""
        return self._framer.offset


claim(__name__)
