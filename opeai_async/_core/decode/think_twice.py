"""Thinking that a server sends twice: between tags in the content, and in a field of its own.

The two texts are compared as they come, each new piece with what the other has brought beyond it, so the thinking is
told once, as far as either has come. White space around it belongs to the tags.
"""

from __future__ import annotations

from collections import deque
from typing import Literal, TypeAlias

Side: TypeAlias = Literal["tags", "field"]


class TwoTexts:
    """What two sides bring of what should be one text.

    Attributes:
        has: The sides that have brought anything.
        told: The sides of which anything was told.
        differ: Whether they turned out to be two texts; then each is told for itself.
    """

    __slots__ = ("_ahead", "_excess", "_white", "differ", "has", "told")

    def __init__(self) -> None:
        self.has: set[Side] = set()
        self.told: set[Side] = set()
        self.differ = False
        self._ahead: Side | None = None
        self._excess: deque[str] = deque()
        self._white = ""

    def add(self, side: Side, text: str) -> str | None:
        """Take what *side* brings; returns what is new of it, or None if the texts differ from here on."""
        if not text:
            return ""
        is_first = side not in self.has
        self.has.add(side)
        if self.differ:
            return text
        if self._ahead in (None, side):
            self._ahead = side
            self._excess.append(text)
            self.told.add(side)
            return text
        if is_first:
            text = text.lstrip()
            self._strip_excess()
        return self._add_behind(side, self._white + text)

    def _strip_excess(self) -> None:
        while self._excess and not (first := self._excess.popleft()).isspace():
            self._excess.appendleft(first.lstrip())
            break

    def _add_behind(self, side: Side, text: str) -> str | None:
        self._white = ""
        while text and self._excess:
            first = self._excess.popleft()
            size = min(len(first), len(text))
            if first[:size] != text[:size]:
                self.differ = True
                return None
            text = text[size:]
            if size < len(first):
                self._excess.appendleft(first[size:])
        if not text:
            return ""
        if text.isspace():
            self._white = text
            return ""
        self._ahead = side
        self._excess.append(text)
        self.told.add(side)
        return text
