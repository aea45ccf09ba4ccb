"""Read the JSON in an answer that is still coming: the content of a choice, or the arguments of a tool call.

    state     fed by                         changes to
    --------  -----------------------------  -----------------------------------------------------------------------
    in step   ``add``, with each chunk       late, if other readers took chunks (``catch_up``) and the text is that
                                             of a call, or if the call had begun before its name was known
    late      ``catch_up``, after each       ended
              chunk, from the message so far
    ended     ``end``                        (final)

Content never becomes late: the rest of the message after a ``catch_up`` is exactly what the next chunks add to. For a
call that does not hold, since only a reader that saw all earlier deltas knows which call the next one belongs to; some
announce a call of which the message has nothing yet.
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
    """Partial value of one text of an answer.

    Args:
        choice: Index of the choice.
        tool: The call whose arguments are read: its position, or its function's name (the first call of that name);
            None for the content.

    Attributes:
        json: The value so far.
        error: Why the text is not the JSON it should be; None until that is known.
        chunks: Number of chunks of the stream that were read.
        is_late: True if the pieces no longer suffice (the call began before it was found); then call ``catch_up``
            after each chunk.
        is_ended: True once the stream has ended.
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
        # Characters of the text that were read.
        self._fed = 0
        self._calls = ToolPieces(MAX_INDEX)
        # Position of the call; None until a call of the name is found.
        self._position = tool if isinstance(tool, int) else None
        # By position: names so far, and the calls whose arguments have begun.
        self._names: dict[int, str] = {}
        self._begun: set[int] = set()

    def add(self, chunk: ChatCompletionChunk) -> None:
        """Read the next chunk of the stream."""
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
        """Read the rest of the text from *completion*, which the first *chunks* chunks of the stream make."""
        self.chunks = chunks
        choice = self._choice_in(completion)
        self._feed_rest(choice, is_whole=False)
        if self._tool is not None:
            self.is_late = True

    def end(self, completion: ChatCompletion, *, is_whole: bool) -> None:
        """Read the rest of the text from *completion*, the whole answer or what came of it; the stream has ended."""
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
        """Find the call by its name; the name may still grow until its arguments, or another call, begin."""
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
            # A lone ``{}`` may mean "none yet", and be replaced.
            if not is_whole and text == "{}":
                text = ""
            is_named = name == self._tool and (is_whole or text or position < len(calls) - 1)
            if position == self._position or (self._position is None and is_named):
                self._position = position
                return text
        return ""
