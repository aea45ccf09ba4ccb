"""Other ways to iterate over a stream: its text, and its batches.

Both advance the same iterator over the chunks that are ready as the stream itself does, so they may be mixed with it
and with each other: nothing comes twice, and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Generic, Self, TypeVar

from opeai_async.types.chunk import ChatCompletionChunk

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
