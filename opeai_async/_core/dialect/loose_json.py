"""JSON that is almost JSON, and fields that are not what they should be: read what can be read, lose nothing.

What no Struct names goes below ``_extra`` of the object it stood in: the name on the wire of the Structs' ``extra``.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
from msgspec import Raw

from opeai_async._core.json import is_array, is_object


def loads_loosely(payload: bytes) -> Any:
    """What msgspec refuses for good reasons, but servers send.

    That is NaN, lone surrogates, malformed UTF-8, control characters in strings, and numbers of any length.

    Lone surrogates stay in it: see ``without_surrogates``, and ``surrogates.py`` for those of a stream.

    Raises:
        ValueError: If it is no JSON all the same.
        RecursionError: If it is nested too deep.
    """
    return json.loads(payload.decode("utf-8", "replace"), strict=False, parse_int=_integer)


def _integer(digits: str) -> int | str:
    """Python refuses to read, and to print, more digits than this."""
    return int(digits) if len(digits) <= _MAX_DIGITS else digits


_decode_next = json.JSONDecoder(strict=False).raw_decode
_BETWEEN = re.compile(r"(?:\s|,|data:)*")
_THEN_DONE = re.compile(r"\[DONE\]\s*$")


def split_objects(payload: bytes) -> list[bytes] | None:
    """Return each of several objects that stand one after the other in *payload*; None if it is anything else.

    ``[DONE]`` may be the last of them.
    """
    text = payload.decode("utf-8", "replace")
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
    return found if len(found) > 1 else None


def _end_of(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return at if match is None else match.end()


def without_surrogates(value: Any) -> Any:
    """*value* with each lone surrogate as U+FFFD."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if is_array(value):
        return [without_surrogates(item) for item in value]
    if is_object(value):
        return {without_surrogates(name): without_surrogates(item) for name, item in value.items()}
    return value


def is_whole_object(text: str) -> bool:
    """Whether *text* is a JSON object from beginning to end, and has anything in it."""
    try:
        return bool(msgspec.json.decode(text, type=dict[str, Raw]))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False


# --- numbers where text should be ------------------------------------------------------------------------------------


_MAX_DIGITS = 4300


# --- what no Struct names --------------------------------------------------------------------------------------------
