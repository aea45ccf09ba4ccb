"""A stream as typed events; the view beside those of ``views.py`` that has to know how the stream ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Protocol, Self

from opeai_async._core.events import EventMaker
from opeai_async._core.outcome import Outcome
from opeai_async.types.chunk import ChatCompletionChunk
from opeai_async.types.completion import ChatCompletion
from opeai_async.types.events import StreamEvent


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
        for event in self._pending:
            return event
        raise StopAsyncIteration

    def _end(self) -> None:
        self._is_ended = True
        if self._stream.outcome in (Outcome.COMPLETE, Outcome.UNLABELLED):
            self._pending = iter(self._maker.end(self._stream.snapshot))
