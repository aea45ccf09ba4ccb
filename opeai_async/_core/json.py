"""What decoded JSON, and the types it becomes, may be: told apart in a way that type checkers follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, TypeGuard

from opeai_async.types.common import WireStruct

JSONObject: TypeAlias = dict[str, Any]


def is_object(value: object) -> TypeGuard[JSONObject]:
    """Whether *value* is a JSON object; JSON has no other names than strings."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[Any]]:
    """Whether *value* is a JSON array."""
    return isinstance(value, list)


def is_row(value: object) -> TypeGuard[Sequence[Any]]:
    """Tell whether *value* is a sequence that becomes a JSON array as it stands."""
    return isinstance(value, (list, tuple))


def is_number(value: object) -> TypeGuard[int | float]:
    """Tell whether *value* is a JSON number; to Python, a boolean is an int too."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_wire_type(annotation: object) -> TypeGuard[type[WireStruct]]:
    """Whether *annotation* is one of the Structs, or a user's extension of one."""
    return isinstance(annotation, type) and issubclass(annotation, WireStruct)
