"""Choose the field to read reasoning from; the others are copies.

Servers send ``reasoning_content``, ``reasoning``, ``reasoning_details``, or several at once, in one chunk or in turn.
The first field with text is the stream's source. In a chunk that has it, the others are not read. In a chunk without
it, text in another field is compared with the reasoning that was read:

    text in another field                          it is
    ---------------------------------------------  ------------------------------------------------------------
    repeats it                                     a copy: left out
    differs from it, or is longer                  read: the server has changed the name of the field

Only the first 1000 characters and the lengths are compared, so a chunk costs the same however long the reasoning is. If
the fast tier began the stream, only the first text is known: text in another field that begins with it is a copy.
Reading every field was rejected, because the user would see each thought twice.
"""

from __future__ import annotations

import math
from collections import defaultdict

_START_CHARS = 1000


class _Text:
    """Beginning and length of one text."""

    __slots__ = ("length", "start")

    def __init__(self) -> None:
        self.start = ""
        self.length: float = 0

    def add(self, text: str) -> None:
        if len(self.start) < _START_CHARS:
            self.start = (self.start + text)[:_START_CHARS]
        self.length += len(text)


class ReasoningSource:
    """Chooser of the field of reasoning in one stream.

    Attributes:
        name: Field that reasoning is read from; None until there is some.
    """

    __slots__ = ("_read", "_under", "name")

    def __init__(self) -> None:
        self.name: str | None = None
        self._read = _Text()
        self._under: defaultdict[str, _Text] = defaultdict(_Text)

    def saw_ordinary(self, text: str) -> None:
        """Take note of *text*, which the fast tier read from ``reasoning_content``; it does not report what follows."""
        self.name = self.name or "reasoning_content"
        self._read.add(text)
        # The true length is not known from here on: no other field can be proven to have more.
        self._read.length = math.inf

    def choose(self, found: dict[str, str]) -> str | None:
        """Return the field to read this chunk's reasoning from; None if the chunk has only copies.

        Args:
            found: The texts by the names of their fields, none of them empty.
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
