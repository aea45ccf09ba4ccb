"""Checks of options, each with an error that names the option, what it is, and what was expected.

An object of a wrong type is named by its type alone: it may be long, or hold a key.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeVar, cast

from opeai_async.errors import ConfigurationError

T = TypeVar("T")


def checked_kind(name: str, value: object, kind: type[T], expected: str, hint: str | None = None) -> T:
    """Return *value*, the option *name*, which must be a *kind*.

    Raises:
        ConfigurationError: If it is not; says what was *expected*.
    """
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ConfigurationError(f"{name} is of type {type(value).__name__}, expected {expected}", hint=hint)
    return value


def checked_text(name: str, value: object) -> str:
    """Return *value*, which must be text; objects that stand for a URL or a secret are told how to become it.

    Raises:
        ConfigurationError: If it is not.
    """
    hint = None
    if callable(getattr(value, "get_secret_value", None)):
        hint = "give its get_secret_value()"
    elif not isinstance(value, (bytes, int, float)):
        hint = "str(value) makes it text"
    return checked_kind(name, value, str, "text", hint)


def checked_count(name: str, value: object, least: int) -> int:
    """Return *value*, which must be a whole number of at least *least*.

    Raises:
        ConfigurationError: If it is not.
    """
    number = checked_kind(name, value, int, "a whole number")
    if number < least:
        raise ConfigurationError(f"{name} is {number}, expected {'0 or more' if least == 0 else f'at least {least}'}")
    return number


def checked_number(name: str, value: object, *, unit: str = "", or_zero: bool = False, or_none: bool = False) -> None:
    """Check that *value* is a finite number above 0.

    Args:
        unit: What is counted, such as "seconds"; for the message.
        or_zero, or_none: Whether 0, or None, will do as well.

    Raises:
        ConfigurationError: If it is not.
    """
    if value is None and or_none:
        return
    number = value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
    if number is not None and (0 < number < math.inf or (or_zero and number == 0)):
        return
    expected = f"a number{f' of {unit}' if unit else ''}, {'0 or more' if or_zero else 'above 0'}"
    shown = repr(value) if number is not None or value is None else f"of type {type(value).__name__}"
    raise ConfigurationError(f"{name} is {shown}, expected {expected}{', or None' if or_none else ''}")


def checked_flag(name: str, value: object) -> bool:
    """Return *value*, which must be True or False: a text such as "no" would count as true.

    Raises:
        ConfigurationError: If it is not.
    """
    return checked_kind(name, value, bool, "True or False")


def checked_function(name: str, value: object) -> None:
    """Check that *value* can be called.

    Raises:
        ConfigurationError: If it cannot.
    """
    if not callable(value):
        raise ConfigurationError(f"{name} is of type {type(value).__name__}, expected a function")


def checked_class(name: str, value: object, base: type) -> None:
    """Check that *value* is a class that extends *base*.

    Raises:
        ConfigurationError: If it is not.
    """
    if not (isinstance(value, type) and issubclass(value, base)):
        found = value.__name__ if isinstance(value, type) else f"of type {type(value).__name__}"
        raise ConfigurationError(f"{name} is {found}, expected a class that extends {base.__name__}")


def checked_mapping(name: str, value: object) -> Mapping[str, object]:
    """Return *value*, which must be a mapping.

    Raises:
        ConfigurationError: If it is not.
    """
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{name} is of type {type(value).__name__}, expected a mapping such as a dict")
    return cast("Mapping[str, object]", value)


def checked_texts(name: str, value: object) -> Mapping[str, str]:
    """Return *value*, which must be a mapping of text to text.

    Raises:
        ConfigurationError: If it is not; never quotes a value.
    """
    for key, item in cast("Mapping[object, object]", checked_mapping(name, value)).items():
        if not isinstance(key, str):
            raise ConfigurationError(f"{name} has the name {key!r}, expected text")
        if not isinstance(item, str):
            raise ConfigurationError(
                f"the value of {key} in {name} is of type {type(item).__name__}, expected text",
                hint="str(value) makes it text",
            )
    return cast("Mapping[str, str]", value)
