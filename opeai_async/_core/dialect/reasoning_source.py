"""Which of the names that reasoning comes under is read: the text under the others is a copy of it.

Servers send ``reasoning_content``, ``reasoning``, ``reasoning_details``, or several at once, in one chunk or in turn.
The first name with text is the stream's source. Text under another name that repeats what was read is a copy, and left
out; text that goes on instead is read, so that a server may change the name and nothing is lost. Only the beginnings
are compared, so that a chunk costs the same however long the reasoning is. Of a stream that the fast tier began, only
the first text is known: what begins with that, under another name, counts as a copy.
"""

from __future__ import annotations

import math
from collections import defaultdict

_START_CHARS = 1000


class _Text:
    """How a text begins, and how long it is."""

    __slots__ = ("length", "start")

    def __init__(self) -> None:
        self.start = ""
        self.length: float = 0

    def add(self, text: str) -> None:
        if len(self.start) < _START_CHARS:
            self.start = (self.start + text)[:_START_CHARS]
        self.length += len(text)


class ReasoningSource:
    """What is known of the reasoning of one stream.

    Attributes:
        name: The field it is read from; None as long as there was none.
    """

    __slots__ = ("_read", "_under", "name")

    def __init__(self) -> None:
        self.name: str | None = None
        self._read = _Text()
        self._under: defaultdict[str, _Text] = defaultdict(_Text)

    def saw_ordinary(self, text: str) -> None:
        """*text* was read from ``reasoning_content`` by the fast tier, and more may follow that is not told here."""
        self.name = self.name or "reasoning_content"
        self._read.add(text)
        self._read.length = math.inf

    def choose(self, found: dict[str, str]) -> str | None:
        """The name to read this chunk's reasoning from; None if it holds only copies.

        Args:
            found: The text by name, none of them empty.
        """
        for name, text in found.items():
            self._under[name].add(text)
        chosen = self.name if self.name in found else next((name for name in found if not self._is_copy(name)), None)
        if chosen is not None:
            self.name = chosen
            self._read.add(found[chosen])
        return chosen

    def _is_copy(self, name: str) -> bool:
        text, read = self._under[name], self._read
        known = min(len(text.start), len(read.start))
        return text.length <= read.length and text.start[:known] == read.start[:known]
