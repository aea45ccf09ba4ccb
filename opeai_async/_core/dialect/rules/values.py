"""Values of decoded JSON that are not of the kind they should be: numbers as text, text in objects."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from opeai_async._core.dialect.number_text import NumberText
from opeai_async._core.json import JSONObject

SYNTHETIC_ID_PREFIX = "call_synthetic_"


def number_as_text(delta: JSONObject, name: str) -> bool:
    """Make the number *name* of *delta* its text, as it was written where that is known; tell whether it was one."""
    number = delta.get(name)
    if not isinstance(number, NumberText):
        return stringify(delta, name)
    delta[name] = str(number)
    return True


def stringify(target: JSONObject, name: str) -> bool:
    """Make the number *name* of *target* its text; tell whether it was one."""
    value = target.get(name)
    if not isinstance(value, (int, float)):
        return False
    target[name] = repr(value).lower() if isinstance(value, bool) else repr(value)
    return True


def is_countable(value: Any) -> bool:
    """Tell whether *value* is a whole number, or can be made one."""
    return isinstance(value, int) or as_integer(value) is not None


def make_integer(target: JSONObject, name: str) -> bool:
    """Make a number of another kind, or in text, the integer below; what is no number is left as it is."""
    number = as_integer(target.get(name))
    if number is None:
        return False
    target[name] = number
    return True


def as_integer(value: Any) -> int | None:
    """Return the integer below a float, or a number in text; None for all else."""
    if not isinstance(value, (float, str)):
        return None
    try:
        return int(float(value))
    except (ValueError, OverflowError):  # no number, or no finite one
        return None


def distinct_id(call_id: str, taken: Container[str]) -> str:
    """Return *call_id*, or what is made of it where it is *taken*."""
    made, number = call_id, 2
    while made in taken:
        made, number = f"{call_id}_{number}", number + 1
    return made
