"""The JSON in an answer that is still coming: the content of a choice, or the arguments of one of its tool calls.

Whoever reads a stream adds each chunk here. Chunks that somebody else took are made up for from the message so far,
which has all of them. A tool call is then read from the message to its end: which call a delta belongs to is known
only to who saw those before it.
"""

from __future__ import annotations

import copy

from opeai_async._core.accumulator import MAX_INDEX
from opeai_async._core.partial_json import PartialJSON
from opeai_async._core.tool_pieces import ToolPieces
from opeai_async.errors import InvalidJSONError, StreamTooLargeError
from opeai_async.types.chunk import ChatCompletionChunk, ToolCallDelta
from opeai_async.types.completion import ChatCompletion, ChatCompletionMessage, Choice, ToolCall

_HINTS = {
    "length": "the answer reached its greatest length: raise max_completion_tokens",
    "content_filter": "the server's content filter cut the answer",
}


class PartialAnswer:
    """The value that one text of an answer makes.

    Args:
        choice: Index of the choice.
        tool: Whose arguments: a call's position, or its function's name, the first that bears it; None for the content.

    Attributes:
        json: What has come of it.
        error: Why the text is not the JSON it should be, once that is known.
        chunks: How many chunks of the stream are in it.
        is_late: Whether chunks do not tell enough, so that ``catch_up`` has to follow each.
        is_ended: Whether the stream has ended.
    """

    __slots__ = (
        "_begun",
        "_calls",
        "_choice",
        "_fed",
        "_names",
        "_position",
        "_tool",
        "chunks",
        "error",
        "is_ended",
        "is_late",
        "json",
    )

    def __init__(self, choice: int, tool: int | str | None) -> None:
        self.json = PartialJSON(fences=tool is None)
        self.error: InvalidJSONError | None = None
        self.chunks: int = 0
        self.is_late: bool = False
        self.is_ended: bool = False
        self._choice = choice
        self._tool = tool
        self._fed = 0
        self._calls = ToolPieces(MAX_INDEX)
        self._position = tool if isinstance(tool, int) else None
        self._names: dict[int, str] = {}
        self._begun: set[int] = set()

    def add(self, chunk: ChatCompletionChunk) -> None:
        """Take the next chunk of the stream."""
        self.chunks += 1
        for choice in chunk.choices:
            if choice.index != self._choice:
                continue
            if self._tool is None:
                self._feed(choice.delta.content or "")
            elif choice.delta.tool_calls:
                for delta in choice.delta.tool_calls:
                    self._add_call(delta)

    def catch_up(self, completion: ChatCompletion, chunks: int) -> None:
        """Take what *completion* has beyond what is here; it is what the first *chunks* of the stream made."""
        self.chunks = chunks
        self.is_late = self._tool is not None
        self._feed_rest(self._choice_in(completion), is_whole=False)

    def end(self, completion: ChatCompletion, *, is_whole: bool) -> None:
        """The stream has ended, and made *completion*: the whole answer, or what came of it."""
        self.is_ended = True
        choice = self._choice_in(completion)
        self._feed_rest(choice, is_whole=is_whole)
        if choice is None or not is_whole or self.error is not None or not self.json.has_begun:
            return
        try:
            self.json.end()
        except InvalidJSONError as exc:
            self.error = copy.copy(exc)
            self.error.hint = _HINTS.get(choice.finish or "", exc.hint)

    def _choice_in(self, completion: ChatCompletion) -> Choice | None:
        return next((choice for choice in completion.choices if choice.index == self._choice), None)

    def _add_call(self, delta: ToolCallDelta) -> None:
        try:
            pieces = self._calls.add(delta)
        except StreamTooLargeError:
            return  # the stream itself ends with this error
        for piece in pieces:
            position = piece.position
            if piece.name is not None:
                self._names[position] = piece.name
            has_begun = position in self._begun
            is_named = self._names.get(position) == self._tool and (has_begun or piece.arguments)  # else it may go on
            if self._position is None and is_named:
                self._position, self.is_late = position, has_begun
            if piece.arguments:
                self._begun.add(position)
            if position == self._position and not self.is_late:
                self._feed(piece.arguments)

    def _feed(self, text: str) -> None:
        self._fed += len(text)
        if self.error is not None:
            return
        try:
            self.json.feed(text)
        except InvalidJSONError as exc:
            self.error = copy.copy(exc)

    def _feed_rest(self, choice: Choice | None, *, is_whole: bool) -> None:
        if choice is not None:
            self._feed(self._text_in(choice.message, is_whole=is_whole)[self._fed :])

    def _text_in(self, message: ChatCompletionMessage, *, is_whole: bool) -> str:
        if self._tool is None:
            return message.content or ""
        call = self._call_in(message.tool_calls or [])
        if call is None:
            return ""
        text = call.function.arguments if call.custom is None else call.custom.input
        return text if is_whole or text != "{}" else ""  # which may stand for "none yet"

    def _call_in(self, calls: list[ToolCall]) -> ToolCall | None:
        if self._position is not None:
            return calls[self._position] if 0 <= self._position < len(calls) else None
        named = ((call.function if call.custom is None else call.custom).name for call in calls)
        return next((call for call, name in zip(calls, named, strict=True) if name == self._tool), None)
