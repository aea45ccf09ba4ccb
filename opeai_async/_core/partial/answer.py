"""The JSON in an answer that is still coming: the content of a choice, or the arguments of one of its tool calls.

Whoever reads a stream adds each chunk here. Chunks that somebody else took are made up for from the message so far,
which has all of them. A tool call is then read from the message to its end: which call a delta belongs to is known
only to who saw those before it.
"""

from __future__ import annotations

import copy

from opeai_async._core.answer.tool_pieces import ToolPiece, ToolPieces
from opeai_async._core.limits import MAX_INDEX
from opeai_async._core.partial.reader import PartialJSON
from opeai_async.errors import InvalidJSONError, StreamTooLargeError
from opeai_async.types.chunk import ChatCompletionChunk, ToolCallDelta
from opeai_async.types.completion import ChatCompletion, ChatCompletionMessage, Choice

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
        self.json: PartialJSON = PartialJSON(fences=tool is None)
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
            for delta in choice.delta.tool_calls or () if self._tool is not None else ():
                if not self.is_late:
                    self._add_call(delta)

    def catch_up(self, completion: ChatCompletion, chunks: int) -> None:
        """Take what *completion* has beyond what is here; it is what the first *chunks* of the stream made."""
        self.chunks = chunks
        choice = self._choice_in(completion)
        self._feed_rest(choice, is_whole=False)
        if self._tool is not None and choice is not None and choice.message.tool_calls:
            self.is_late = True

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
            if piece.name is not None:
                self._names[piece.position] = piece.name
            if self._position is None:
                self._find(piece)
            if piece.arguments:
                self._begun.add(piece.position)
            if piece.position == self._position and not self.is_late:
                self._feed(piece.arguments)

    def _find(self, piece: ToolPiece) -> None:
        """Find the call by its name, which may go on until its arguments begin, or another call does."""
        begun = self._begun | {piece.position} if piece.arguments else self._begun
        last = max(self._names, default=0)
        named = [at for at, name in self._names.items() if name == self._tool and (at in begun or at < last)]
        if named:
            self._position = min(named)
            self.is_late = self._position in self._begun

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
        calls = message.tool_calls or ()
        for position, call in enumerate(calls):
            if call.custom is None:
                name, text = call.function.name, call.function.arguments
            else:
                name, text = call.custom.name, call.custom.input
            if not is_whole and text == "{}":  # which may stand for "none yet"
                text = ""
            is_named = name == self._tool and (is_whole or text or position < len(calls) - 1)
            if position == self._position or (self._position is None and is_named):
                self._position = position
                return text
        return ""
