"""Other ways to iterate over a stream: its text, and its batches.

Both advance the same iterator over the chunks that are ready as the stream itself does, so they may be mixed with it
and with each other: nothing comes twice, and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Generic, Protocol, Self, TypeVar

import msgspec

from opeai_async._core.answer.events import EventMaker
from opeai_async._core.answer.outcome import Outcome
from opeai_async.types.chunk import ChatCompletionChunk
from opeai_async.types.completion import ChatCompletion
from opeai_async.types.events import ContinuedEvent, StreamEvent
from opeai_async.types.meta import ContinuedRecord

ChunkT = TypeVar("ChunkT", bound=ChatCompletionChunk)


class Texts:
    """The content of one choice."""

    def __init__(
        self, ready: Callable[[], Iterator[ChatCompletionChunk]], more: Callable[[], Awaitable[bool]], choice: int
    ) -> None:
        self._ready = ready
        self._more = more
        self._choice = choice

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        index = self._choice
        while True:
            for chunk in self._ready():
                for choice in chunk.choices:
                    if choice.index == index and choice.delta.content:
                        return choice.delta.content
            if not await self._more():
                raise StopAsyncIteration


class Batches(Generic[ChunkT]):
    """The chunks of each read."""

    def __init__(self, next_batch: Callable[[], Awaitable[list[ChunkT]]]) -> None:
        self._next_batch = next_batch

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Awaitable[list[ChunkT]]:
        return self._next_batch()  # not awaited here: a coroutine more costs at each wake-up


class Known(Protocol):
    """What is known of a stream."""

    @property
    def outcome(self) -> Outcome:
        """How it ended."""
        ...

    @property
    def snapshot(self) -> ChatCompletion:
        """The message so far."""
        ...

    @property
    def continued(self) -> Sequence[ContinuedRecord]:
        """Where the answer broke off and was gone on with."""
        ...


class Events:
    """The events of a stream: those of each chunk, and at a good end what is done."""

    def __init__(
        self, stream: Known, ready: Callable[[], Iterator[ChatCompletionChunk]], more: Callable[[], Awaitable[bool]]
    ) -> None:
        self._stream = stream
        self._ready = ready
        self._more = more
        self._maker = EventMaker()
        self._pending: Iterator[StreamEvent] = iter(())
        self._is_ended = False
        self._told = 0  # of the places where the answer was gone on with

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamEvent:
        for event in self._pending:
            return event
        while not self._is_ended:
            for chunk in self._ready():
                self._pending = iter(self._maker.add(chunk))
                return next(self._pending)
            if not await self._more():
                self._end()
            elif len(self._stream.continued) > self._told:  # what is ready now comes from another endpoint
                self._told = len(self._stream.continued)
                record = self._stream.continued[-1]
                return ContinuedEvent(**msgspec.structs.asdict(record))
        for event in self._pending:
            return event
        raise StopAsyncIteration

    def _end(self) -> None:
        self._is_ended = True
        if self._stream.outcome in (Outcome.COMPLETE, Outcome.UNLABELLED):
            self._pending = iter(self._maker.end(self._stream.snapshot))
