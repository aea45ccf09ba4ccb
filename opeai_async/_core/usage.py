"""Token counts of several answers, added up: those that are documented, and a vendor's own, such as a price."""

from __future__ import annotations

from typing import Any

import msgspec

from opeai_async._core.json_types import is_object
from opeai_async.types.common import CompletionUsage, WireStruct


def added(first: CompletionUsage | None, second: CompletionUsage | None) -> CompletionUsage | None:
    """The sum of two counts; one alone where the other is not known."""
    total: CompletionUsage | None = _added(first, second)
    return total


def _added(first: Any, second: Any) -> Any:
    if first is None or second is None:
        return second if first is None else first
    if isinstance(first, WireStruct):
        names = set(first.__struct_fields__) & set(second.__struct_fields__)
        return msgspec.structs.replace(
            first, **{name: _added(getattr(first, name), getattr(second, name)) for name in names}
        )
    if is_object(first) and is_object(second):
        if not (first and second):
            return first or second  # the one empty `extra` that all share stays it
        return {name: _added(first.get(name), second.get(name)) for name in first | second}
    if _is_number(first) and _is_number(second):
        return first + second
    return second


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
