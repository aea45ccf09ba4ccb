"""JSON that is nearly right, written as it should be: the text is changed, never guessed at."""

from __future__ import annotations

import re
from decimal import Decimal

# A string, or a number; whatever else stands in JSON holds neither.
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?', re.DOTALL)
# What is escaped already, even wrongly, is left as it is.
_CONTROL = re.compile(r"\\.|[\x00-\x1f]", re.DOTALL)
_MAX_DIGITS = 40


def with_plain_integers(text: str) -> str:
    """Write each number of the JSON *text* that has no fraction without point and exponent: ``5.0`` and ``1e3``."""
    return _TOKEN.sub(_as_integer, text)


def with_escapes(text: str) -> str:
    """Escape the control characters, such as line breaks, that stand inside the strings of *text*; RFC 8259 7."""
    return _TOKEN.sub(lambda token: _CONTROL.sub(_escape, token[0]), text)


def _as_integer(token: re.Match[str]) -> str:
    text = token[0]
    if text[0] == '"' or len(text) > _MAX_DIGITS or not ("." in text or "e" in text or "E" in text):
        return text
    number = Decimal(text)
    if number.adjusted() > _MAX_DIGITS or number != number.to_integral_value():
        return text
    return str(int(number))


def _escape(character: re.Match[str]) -> str:
    return character[0] if character[0][0] == "\\" else f"\\u{ord(character[0]):04x}"
