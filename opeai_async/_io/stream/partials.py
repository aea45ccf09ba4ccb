"""Two more ways to iterate over a stream: the JSON value of its answer so far, and the text of one field of it.

They advance the same iterator over the chunks as the stream itself does, so nothing comes twice. Views of one text
share what has been read of it, and what others took from the stream is made up for: so one field may be read after the
other, and a view may be made at any time.
"""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple, Self

from opeai_async._core.answer.outcome import Outcome
from opeai_async._core.partial.answer import PartialAnswer
from opeai_async._core.partial.values import ABSENT, Keys, Path, keys_of
from opeai_async._io.stream.views import Known
from opeai_async.errors import InvalidJSONError
from opeai_async.types.chunk import ChatCompletionChunk

_WHOLE = (Outcome.COMPLETE, Outcome.UNLABELLED)
_KINDS = {bool: "a boolean", int: "a number", float: "a number", dict: "an object", list: "an array"}


class StreamReader(NamedTuple):
    """How a stream is read.

    Attributes:
        stream: The stream, for what is known of it.
        ready: The chunks that have come and were not taken.
        more: Waits for the next; False at the end.
        taken: How many chunks somebody has taken.
    """

    stream: Known
    ready: Callable[[], Iterator[ChatCompletionChunk]]
    more: Callable[[], Awaitable[bool]]
    taken: Callable[[], int]


class _View:
    """Reads a stream for the sake of one JSON text in it."""

    def __init__(self, answer: PartialAnswer, reader: StreamReader) -> None:
        self._answer = answer
        self._reader = reader

    def __aiter__(self) -> Self:
        return self

    def _catch_up(self) -> None:
        """Make up for what others took from the stream."""
        taken = self._reader.taken()
        if taken != self._answer.chunks:
            self._answer.catch_up(self._reader.stream.snapshot, taken)

    def _take(self) -> bool:
        """Take a chunk that is ready; False if there is none, or no sense in it."""
        answer = self._answer
        if answer.error is not None:
            return False
        for chunk in self._reader.ready():
            answer.add(chunk)
            if answer.is_late:
                answer.catch_up(self._reader.stream.snapshot, answer.chunks)
            return True
        return False

    async def _more(self) -> bool:
        """Wait for chunks, or for the end, which may be news too; False after it.

        Raises:
            InvalidJSONError: If the text is not the JSON it should be.
        """
        answer, stream = self._answer, self._reader.stream
        if answer.error is not None:
            raise copy.copy(answer.error)
        if answer.is_ended:
            return False
        if not await self._reader.more():
            answer.end(stream.snapshot, is_whole=stream.outcome in _WHOLE)
        return True


class Partials(_View):
    """The value of a text so far, once per read that changed it."""

    def __init__(self, answer: PartialAnswer, reader: StreamReader) -> None:
        super().__init__(answer, reader)
        self._seen = 0

    async def __anext__(self) -> Any:
        json = self._answer.json
        self._catch_up()
        while True:
            while self._take():
                pass
            if json.changes != self._seen:
                self._seen = json.changes
                return json.value
            if not await self._more():
                raise StopAsyncIteration


class FieldText(_View):
    """The text of one field as it grows; it ends with the field."""

    def __init__(self, answer: PartialAnswer, reader: StreamReader, path: Path) -> None:
        super().__init__(answer, reader)
        self._path = keys_of(path)
        self._told = 0
        self._is_over = False

    async def __anext__(self) -> str:
        self._catch_up()
        while True:
            if news := self._news():
                return news
            if news is None or not (self._take() or await self._more()):
                raise StopAsyncIteration

    def _news(self) -> str | None:
        """What is new of the text, which may be nothing; None when there will be no more.

        Raises:
            InvalidJSONError: If there is something else at its place than what was there before, or than a string.
        """
        json, path = self._answer.json, self._path
        value = None if self._is_over else json.find(path, ABSENT)
        if value is None:
            return None
        if value is ABSENT:
            return ""
        if self._told and json.was_replaced(path):
            raise InvalidJSONError(f"the JSON gives {_shown(path)} twice, after some of its text was handed out")
        if not isinstance(value, str):
            kind = _KINDS[type(value)]
            raise InvalidJSONError(f"the field {_shown(path)} is {kind}, expected a string", expected="a string")
        told, self._told, self._is_over = self._told, len(value), json.is_complete(path)
        return value[told:] or (None if self._is_over else "")


def _shown(path: Keys) -> str:
    return ".".join(map(str, path)) or "at the top"
