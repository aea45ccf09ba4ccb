"""Convert values of decoded JSON that have the wrong type, such as numbers as text."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import msgspec

from opeai_async._core.dialect.number_text import NumberText
from opeai_async._core.json import JSONObject

SYNTHETIC_ID_PREFIX = "call_synthetic_"


def number_as_text(delta: JSONObject, name: str) -> bool:
    """Convert the number *name* of *delta* to its text, as the server wrote it if that is known.

    Returns:
        True if it was a number.
    """
    number = delta.get(name)
    if not isinstance(number, NumberText):
        return stringify(delta, name)
    delta[name] = str(number)
    return True


def stringify(target: JSONObject, name: str) -> bool:
    """Convert the number *name* of *target* to its text; tell whether it was a number."""
    value = target.get(name)
    if not isinstance(value, (int, float)):
        return False
    # JSON writes booleans in lower case.
    target[name] = repr(value).lower() if isinstance(value, bool) else repr(value)
    return True


def is_countable(value: Any) -> bool:
    """Tell whether *value* is an integer, or can be converted to one."""
    return isinstance(value, int) or as_integer(value) is not None


def make_integer(target: JSONObject, name: str) -> bool:
    """Convert a float, or a number in text, to an integer, without its fraction; leave anything else as it is."""
    number = as_integer(target.get(name))
    if number is None:
        return False
    target[name] = number
    return True


def as_integer(value: Any) -> int | None:
    """Return *value*, a float or a number in text, without its fraction; None for anything else."""
    if not isinstance(value, (float, str)):
        return None
    try:
        return int(float(value))
    except (ValueError, OverflowError):  # text that is not a number, NaN or infinity
        return None


def distinct_id(call_id: str, taken: Container[str]) -> str:
    """Return *call_id*, with a number appended if it is *taken*."""
    made, number = call_id, 2
    while made in taken:
        made, number = f"{call_id}_{number}", number + 1
    return made


_encode = msgspec.json.Encoder(order="deterministic").encode


def has_repeats(items: Sequence[Any]) -> bool:
    """Tell whether two of *items*, Structs or decoded JSON, are equal."""
    return len(items) > 1 and len(set(map(_encode, items))) < len(items)


def once_each(items: Sequence[Any]) -> list[Any]:
    """Return *items*, decoded JSON, without those that are there already."""
    return list({_encode(item): item for item in items}.values())
