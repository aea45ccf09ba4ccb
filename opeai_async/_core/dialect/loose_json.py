"""Read JSON that is not quite JSON: NaN, lone surrogates, endless numbers, several objects in a row."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
from msgspec import Raw

from opeai_async._core.json import is_array, is_object


def loads_loosely(payload: bytes) -> Any:
    """Decode JSON with the faults that servers send and msgspec rightly refuses.

    These are NaN, lone surrogates, malformed UTF-8, control characters in strings, and numbers of any length.

    Lone surrogates stay in the result: see ``without_surrogates``, and ``surrogates.py`` for those of a stream.

    Raises:
        ValueError: If it is not JSON even so.
        RecursionError: If it is nested too deeply.
    """
    return json.loads(payload.decode("utf-8", "replace"), strict=False, parse_int=_integer)


def _integer(digits: str) -> int | str:
    """Convert *digits* to an int, or leave them as text if Python refuses to convert so many."""
    return int(digits) if len(digits) <= _MAX_DIGITS else digits


_decode_next = json.JSONDecoder(strict=False).raw_decode
# What may stand between two objects.
_BETWEEN = re.compile(r"(?:\s|,|data:)*")
_THEN_DONE = re.compile(r"\[DONE\]\s*$")


def split_objects(payload: bytes) -> list[bytes] | None:
    """Split *payload* into the objects that stand in it one after the other, or in a list; None if it is anything else.

    ``[DONE]`` may be the last of them. A lone object is none of several. Of a list, each must look like a chunk.
    """
    text = payload.decode("utf-8", "replace")
    is_list = text[:1] + text[-1:] == "[]"
    if is_list:
        text = text[1:-1]
    found: list[bytes] = []
    at = _end_of(_BETWEEN, text, 0)
    while at < len(text):
        if found and _THEN_DONE.match(text, at):
            found.append(b"[DONE]")
            break
        if text[at] != "{":
            return None
        try:
            _, end = _decode_next(text, at)
        except (ValueError, RecursionError):
            return None
        found.append(text[at:end].encode("utf-8", "replace"))
        at = _end_of(_BETWEEN, text, end)
    if is_list:
        return found if found and all(b'"choices"' in item for item in found) else None
    return found if len(found) > 1 else None


def json_in_text(payload: bytes) -> bytes | None:
    """Return the object that is the text of a JSON string, as of a server which encodes twice; None if it is none."""
    if not payload.startswith(b'"{'):
        return None
    try:
        return msgspec.json.decode(payload, type=str).strip().encode()
    except (msgspec.MsgspecError, UnicodeError):
        return None


def _end_of(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return at if match is None else match.end()


def without_surrogates(value: Any) -> Any:
    """Return *value* with U+FFFD in place of each lone surrogate."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if is_array(value):
        return [without_surrogates(item) for item in value]
    if is_object(value):
        return {without_surrogates(name): without_surrogates(item) for name, item in value.items()}
    return value


def is_whole_object(text: str) -> bool:
    """Tell whether *text* is a whole JSON object with at least one field."""
    try:
        return bool(msgspec.json.decode(text, type=dict[str, Raw]))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False


# CPython's default for ``sys.set_int_max_str_digits``: int() and str() raise beyond it.
_MAX_DIGITS = 4300
