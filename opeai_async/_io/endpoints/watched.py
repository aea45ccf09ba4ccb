"""Reads one body as its parser does, but hands nothing out that could not be taken back.

With another endpoint at hand, less is final: until the first content the call may still go elsewhere, so chunks that
only name the role are held back until then. Where answers are gone on with, a tool call is held back until its choice
has ended: arguments are never joined, and a call of which nothing was handed out is simply begun anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar, cast

import msgspec

from opeai_async._core.answer.accumulator import says_something as is_said
from opeai_async._core.call.http import ResponseHead
from opeai_async._core.decode.parser import StreamParser
from opeai_async._core.dialect.api_errors import stream_error_from
from opeai_async._core.dialect.error_objects import APIError, find_error
from opeai_async._core.policy.endpoints.joint import Joint, Uncertain
from opeai_async.errors import InvalidResponseError, OpeAIError, StreamDecodeError
from opeai_async.types.chunk import ChatCompletionChunk, ChunkChoice, ToolCallDelta
from opeai_async.types.finish import finish_kind

ChunkT = TypeVar("ChunkT", bound=ChatCompletionChunk)

UNCERTAIN = "the answer that was to go on cannot be joined with certainty to what was handed out"
EMPTY = "the answer is empty"


class WatchedParser(Generic[ChunkT]):
    """A ``StreamParser`` to those who read it.

    Args:
        parser: What is watched.
        joint: Of an answer that is gone on with; None for a first one.
        holds_calls: Whether tool calls are held back until their choice has ended.
        may_leave: Tells whether another endpoint could be asked; an empty answer is an error then.
        on_progress: Called when something came that is held back.

    Attributes:
        head: Of the response.
        error: What stopped the reading, or None.
        done: ``[DONE]`` was read.
    """

    __slots__ = (
        "_begun", "_calls", "_holds_calls", "_joint", "_kept", "_last", "_may_leave", "_on_progress", "_parser", "done",
        "error", "head",
    )  # fmt: skip

    def __init__(
        self,
        parser: StreamParser[ChunkT],
        *,
        joint: Joint | None,
        holds_calls: bool,
        may_leave: Callable[[], bool],
        on_progress: Callable[[], None],
    ) -> None:
        self._parser = parser
        self._joint = joint
        self._holds_calls = holds_calls
        self._may_leave = may_leave
        self._on_progress = on_progress
        self._begun = joint is not None
        self._kept: list[ChunkT] = []  # before the first content
        self._calls: dict[int, list[ToolCallDelta]] = {}  # that are held back, by choice
        self._last: dict[int, tuple[ChunkT, ChunkChoice]] = {}  # where the last of them was
        self.head: ResponseHead = parser.head
        self.error: OpeAIError | None = None
        self.done = False

    def held_calls(self) -> tuple[str, ...]:
        """Return the names of the tools whose calls are held back, in the order in which they were begun."""
        names: dict[tuple[int, int], str] = {}
        for choice, calls in self._calls.items():
            for call in calls:
                part = call.function or call.custom
                names[choice, call.index] = names.get((choice, call.index), "") or (part and part.name) or ""
        return tuple(names.values())

    def feed(self, data: bytes) -> list[ChunkT]:
        """Return the chunks that *data* completes."""
        return self._watched(self._parser.feed(data))

    def end(self) -> list[ChunkT]:
        """Return the chunks that the end of the body completes."""
        out = self._watched(self._parser.end())
        return out if self._begun or self.error is not None else self._kept_if_whole()

    def rest(self) -> list[ChunkT]:
        """Return what was held back, where the reading stops before the end."""
        out = self._watched(self._parser.rest())
        return out if self._begun or self.error is not None else self._kept_if_whole()

    def _watched(self, chunks: list[ChunkT]) -> list[ChunkT]:
        if self.error is not None:
            return []
        if self._begun and self._joint is None and not self._calls and self._is_plain(chunks):
            return chunks
        out: list[ChunkT] = []
        try:
            for chunk in chunks:
                if not self._take(chunk, out):
                    return out
            if self._parser.done:
                self._flush_calls(out)
                if self._joint is not None:
                    self._joint.check_end()
        except Uncertain:
            self.error = StreamDecodeError(UNCERTAIN)
            return out
        self.error = self._parser.error
        if self.error is None and self._parser.done and not self._begun:
            if self._may_leave():
                self.error = InvalidResponseError(EMPTY, status_code=self.head.status, request_id=self.head.request_id)
            out += self._kept
            self._kept = []
        self.done = self._parser.done and self.error is None
        if chunks and not out:
            self._on_progress()
        return out

    def _is_plain(self, chunks: list[ChunkT]) -> bool:
        """Tell whether nothing in *chunks* is to be looked at, as of nearly all that a stream brings."""
        if self._parser.done or self._parser.error is not None:
            return False
        for chunk in chunks:
            for choice in chunk.choices:
                if choice.finish_reason or choice.delta.tool_calls:
                    return False
        return True

    def _take(self, chunk: ChunkT, out: list[ChunkT]) -> bool:
        """Add to *out* what of *chunk* may be handed out now, and what was held back before it; False at an error."""
        if broken := next((c for c in chunk.choices if finish_kind(c.finish_reason) == "error"), None):
            said = find_error(broken.extra) or APIError("it gave no reason")
            what = f"the server ended the answer with finish_reason {broken.finish_reason!r}"
            self.error = stream_error_from(said, what)
            return False
        if self._holds_calls:
            chunk = self._without_calls(chunk)
        self._pass_on(chunk, out)
        return True

    def _pass_on(self, chunk: ChunkT, out: list[ChunkT]) -> None:
        if self._joint is not None:
            joined = self._joint.join(chunk)
            if joined is None:
                return
            chunk = cast("ChunkT", joined)
        if self._begun:
            out.append(chunk)
            return
        self._kept.append(chunk)
        if any(map(says_something, chunk.choices)):
            self._begun = True
            out += self._kept
            self._kept = []

    def _without_calls(self, chunk: ChunkT) -> ChunkT:
        """*chunk* without calls whose choice goes on, and with all calls of one that has ended."""
        if not any(choice.delta.tool_calls or choice.index in self._calls for choice in chunk.choices):
            return chunk
        choices = [self._choice_without_calls(chunk, choice) for choice in chunk.choices]
        return msgspec.structs.replace(chunk, choices=choices)

    def _choice_without_calls(self, chunk: ChunkT, choice: ChunkChoice) -> ChunkChoice:
        calls = self._calls.setdefault(choice.index, [])
        calls += choice.delta.tool_calls or ()
        ready = None
        if choice.finish_reason:
            ready = self._calls.pop(choice.index) or None
        elif choice.delta.tool_calls:
            self._last[choice.index] = chunk, choice
        return msgspec.structs.replace(choice, delta=msgspec.structs.replace(choice.delta, tool_calls=ready))

    def _flush_calls(self, out: list[ChunkT]) -> None:
        """Pass on the calls of choices without a finish_reason, where ``[DONE]`` says that the answer is whole."""
        held, self._calls = self._calls, {}
        for index, calls in held.items():
            if calls:
                chunk, choice = self._last[index]
                delta = msgspec.structs.replace(
                    choice.delta, role=None, content=None, reasoning_content=None, tool_calls=calls
                )
                choices = [msgspec.structs.replace(choice, delta=delta)]
                self._pass_on(msgspec.structs.replace(chunk, choices=choices, usage=None), out)

    def _kept_if_whole(self) -> list[ChunkT]:
        """What was held back, if it is a whole answer, though an empty one: it has its finish_reason."""
        kept, self._kept = self._kept, []
        return kept if any(choice.finish_reason for chunk in kept for choice in chunk.choices) else []


def says_something(choice: ChunkChoice) -> bool:
    """Tell whether *choice* brings what a model has said, or an end other than a plain one."""
    return is_said(choice.delta) or finish_kind(choice.finish_reason) not in (None, "stop")
