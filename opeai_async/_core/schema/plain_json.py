"""Rewrite JSON that is nearly right: integers with a fraction of zero, and strings with raw control characters."""

from __future__ import annotations

import re
from decimal import Decimal

# A string, or a number; nothing else in JSON contains either.
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?', re.DOTALL)
# Escapes match first, right or wrong, so that they are left as they are.
_CONTROL = re.compile(r"\\.|[\x00-\x1f]", re.DOTALL)
# ``1e999999999`` would be written with a thousand million digits.
_MAX_DIGITS = 40


def with_plain_integers(text: str) -> str:
    """Write numbers of the JSON *text* that are integers as such: ``5`` for ``5.0``, ``1000`` for ``1e3``."""
    return _TOKEN.sub(_as_integer, text)


def with_escapes(text: str) -> str:
    """Escape the control characters, such as line breaks, inside the strings of *text* (RFC 8259, 7)."""
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
