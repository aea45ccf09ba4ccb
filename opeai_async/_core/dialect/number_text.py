"""Keep the text of numbers that stand where a string is expected."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from msgspec import Raw, Struct

from opeai_async._core.json import JSONObject, is_array, is_number, is_object


class NumberText(str):
    """Text of a JSON number as it was written; a float forgets that (``1.50``, ``1e3``)."""

    __slots__ = ()


_TEXTS = ("content", "reasoning_content", "reasoning", "reasoning_text")


# A second, narrow decode: as Raw, msgspec hands over the bytes of a number. Its cost falls on odd chunks only.
class _Content(Struct):
    content: Raw = Raw(b"null")
    reasoning_content: Raw = Raw(b"null")
    reasoning: Raw = Raw(b"null")
    reasoning_text: Raw = Raw(b"null")


class _Part(Struct):
    delta: _Content | None = None
    message: _Content | None = None


class _Parts(Struct):
    choices: list[_Part]


_decode_parts = msgspec.json.Decoder(_Parts).decode


def keep_number_text(payload: bytes, body: JSONObject) -> None:
    """Replace each text of *body* that is a number by its ``NumberText``, as written in *payload*."""
    choices = body.get("choices")
    if not is_array(choices) or not any(map(_has_number, choices)):
        return
    try:
        parts = _decode_parts(payload).choices
    except (msgspec.MsgspecError, UnicodeDecodeError):
        _keep_number_text_loosely(payload, choices)
        return
    for choice, part in zip(choices, parts, strict=True):
        for name in _parts_of(choice):
            raw: _Content = getattr(part, name)
            _take_number_text(choice[name], {text: bytes(getattr(raw, text)).decode() for text in _TEXTS})


def _keep_number_text_loosely(payload: bytes, choices: list[Any]) -> None:
    """Do the same for a *payload* that msgspec refuses, because something else in it is odd too."""
    text = payload.decode("utf-8", "replace")
    again = json.loads(text, strict=False, parse_float=NumberText, parse_int=NumberText)["choices"]
    for choice, source in zip(choices, again, strict=True):
        for part in _parts_of(choice):
            _take_number_text(choice[part], source[part])


def _take_number_text(message: JSONObject, source: JSONObject) -> None:
    for name in _TEXTS:
        if is_number(message.get(name)):
            message[name] = NumberText(source[name])


def _has_number(choice: Any) -> bool:
    return any(is_number(choice[part].get(name)) for part in _parts_of(choice) for name in _TEXTS)


def _parts_of(choice: Any) -> list[str]:
    """Return the name of the field of a choice that holds its texts, as a list of at most one."""
    return [name for name in ("delta", "message") if is_object(choice) and is_object(choice.get(name))][:1]
