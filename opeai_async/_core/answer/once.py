"""Count items once, although a server sends them again and again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

import msgspec

ItemT = TypeVar("ItemT")

_encode = msgspec.json.Encoder(order="deterministic").encode


class Once(Generic[ItemT]):
    """Different items, in the order in which they first came; each takes constant time.

    Attributes:
        items: All items so far.
    """

    __slots__ = ("_seen", "items")

    def __init__(self) -> None:
        # As JSON with sorted keys, since items such as dicts are not hashable.
        self._seen: set[bytes] = set()
        self.items: list[ItemT] = []

    def new(self, items: Iterable[ItemT]) -> list[ItemT]:
        """Add *items*; return those that are new."""
        added: list[ItemT] = []
        for item in items:
            key = _encode(item)
            if key not in self._seen:
                self._seen.add(key)
                added.append(item)
        self.items += added
        return added
