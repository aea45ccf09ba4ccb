"""Type guards for decoded JSON and for wire Structs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, TypeGuard

from opeai_async.types.common import WireStruct

JSONObject: TypeAlias = dict[str, Any]


def is_object(value: object) -> TypeGuard[JSONObject]:
    """Tell whether *value* is a JSON object: decoded from JSON, a dict has only strings for keys."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[Any]]:
    """Tell whether *value* is a decoded JSON array."""
    return isinstance(value, list)


def is_row(value: object) -> TypeGuard[Sequence[Any]]:
    """Tell whether *value* is a list or tuple, either of which encodes to a JSON array."""
    return isinstance(value, (list, tuple))


def is_number(value: object) -> TypeGuard[int | float]:
    """Tell whether *value* is a JSON number; Python's booleans are ints, but JSON's are not numbers."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_wire_type(annotation: object) -> TypeGuard[type[WireStruct]]:
    """Tell whether *annotation* is one of the wire Structs, or a user's subclass of one."""
    return isinstance(annotation, type) and issubclass(annotation, WireStruct)
