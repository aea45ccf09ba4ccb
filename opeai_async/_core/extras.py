"""How vendor fields of many chunks become those of one message.

In a delta, text adds up (but not a name or a type), and lists grow: items with an ``index`` are pieces of the item
with the same (type, index), as in OpenRouter's ``reasoning_details``. Everything else, and everything beside the
deltas, is a state: the latest value counts, and a null never erases one.
"""

from __future__ import annotations

from typing import Any

from opeai_async._core.json_types import is_array, is_object
from opeai_async.types.common import NO_EXTRA

# These fields name what a piece belongs to, and do not add up.
_NAMING_FIELDS = frozenset({"type", "id", "format", "index", "name", "role", "tool_call_id"})


class ExtraParts:
    """Collects the ``extra`` of successive Structs; each ``add`` costs what it brings."""

    __slots__ = ("_latest_wins", "_values")

    def __init__(self, *, latest_wins: bool = False) -> None:
        self._latest_wins = latest_wins
        self._values: dict[str, list[Any]] = {}

    def add(self, extra: dict[str, Any]) -> None:
        for name, value in extra.items():
            if value is None and name in self._values:
                continue
            if self._latest_wins or name in _NAMING_FIELDS:
                self._values[name] = [value]
            else:
                self._values.setdefault(name, []).append(value)

    def build(self) -> dict[str, Any]:
        """What the message's ``extra`` is."""
        if not self._values:
            return NO_EXTRA
        return {name: _merged(values) for name, values in self._values.items()}


def _merged(values: list[Any]) -> Any:
    present = [value for value in values if value is not None]
    if len(present) <= 1:
        return present[0] if present else None
    if all(isinstance(value, str) for value in present):
        return "".join(present)
    if all(is_array(value) for value in present):
        return _merged_items([item for value in present for item in value])
    return present[-1]


def _merged_items(items: list[Any]) -> list[Any]:
    whole: list[Any] = []
    pieces: dict[tuple[Any, Any], ExtraParts] = {}
    for item in items:
        if not is_object(item) or not isinstance(item.get("index"), int):
            whole.append(item)
            continue
        key = (str(item.get("type")), item["index"])
        if key not in pieces:
            pieces[key] = ExtraParts()
            whole.append(pieces[key])
        pieces[key].add(item)
    return [item.build() if isinstance(item, ExtraParts) else item for item in whole]
