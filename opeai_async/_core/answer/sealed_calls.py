"""Find tool calls that are whole while the answer is still coming, so that their tools can start.

A call is *sealed* when another one has begun and its arguments are a whole JSON object. No true beginning of such an
object is an object itself, so nothing can follow it. A lone ``{}`` does not seal a call, because some servers send it
in place of arguments that follow. The next call is waited for, because the id of this one may still come.
"""

from __future__ import annotations

from collections.abc import Iterable

from opeai_async._core.answer.tool_calls import CallParts, ToolCallParts
from opeai_async._core.dialect.loose_json import is_whole_object
from opeai_async._core.limits import MAX_INDEX
from opeai_async.errors import StreamTooLargeError
from opeai_async.types.chunk import ChatCompletionChunk, ToolCallDelta
from opeai_async.types.completion import ToolCall


class SealedCalls:
    """Finder of sealed calls in the chunks of one answer, in its choice 0."""

    __slots__ = ("_calls", "_sealed")

    def __init__(self) -> None:
        # A second accumulation, beside the message's, which may read its chunks later.
        self._calls = ToolCallParts(MAX_INDEX, lambda _: None)
        self._sealed: set[int] = set()

    def add(self, chunks: Iterable[ChatCompletionChunk]) -> list[tuple[int, ToolCall]]:
        """Return the calls that *chunks* seal, with their positions in the message; each call comes once."""
        found: list[tuple[int, ToolCall]] = []
        for chunk in chunks:
            for choice in chunk.choices:
                if choice.index == 0:
                    for delta in choice.delta.tool_calls or ():
                        found += self._add(delta)
        return found

    def _add(self, delta: ToolCallDelta) -> list[tuple[int, ToolCall]]:
        calls, begun = self._calls.in_order, len(self._calls.in_order)
        try:
            self._calls.add(delta)
        except StreamTooLargeError:
            return []  # the stream itself ends with this error
        # Only the beginning of another call can seal one.
        if len(calls) == begun:
            return []
        found = [at for at, call in enumerate(calls[:begun]) if at not in self._sealed and _is_whole(call)]
        self._sealed.update(found)
        return [(position, calls[position].build()) for position in found]


def _is_whole(call: CallParts) -> bool:
    return bool(call.function.name.text) and call.custom is None and is_whole_object(call.function.arguments.text())
