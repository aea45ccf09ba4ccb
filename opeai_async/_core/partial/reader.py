"""Parse JSON that is still coming: text in, the value so far out, wherever the text is cut.

The grammar is RFC 8259, and the reader accepts exactly what ``msgspec.json.decode`` accepts; so it refuses a lone
surrogate, and a number out of the range of a float. ``values.py`` builds the value.

Each state has one step, a function that reads from a position of the piece and returns the next position:

    START --"`"--> FENCE ---> FENCE_WORD ---> VALUE
    START, VALUE, FIRST_ITEM --'"'--> TEXT --'"'--> NEXT      (DONE in place of NEXT, if nothing is open)
                             --digit--> NUMBER --other--> NEXT
                             --literal, or the end of a container--> NEXT
                             --"["--> FIRST_ITEM
                             --"{"--> FIRST_NAME
    FIRST_NAME, NAME --'"'--> NAME_TEXT --'"'--> COLON --":"--> VALUE
    NEXT --","--> NAME in an object, VALUE in an array

A step that needs more text keeps what it saw in one of two ways. A short beginning, of an escape or of ``true``, is put
before the next piece (``_tail``). The inside of a string or a number, which has no bound, stays in a list of parts. So
no character is looked at more than a dozen times, and a string or number within one piece is matched by one regular
expression.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from enum import IntEnum, auto
from typing import Any, ClassVar, cast

import msgspec

from opeai_async._core.partial.values import ABSENT, PartialValues, Path
from opeai_async._public import claim
from opeai_async.errors import InvalidJSONError

DEFAULT_MAX_DEPTH = 256


def _anywhere(pattern: str) -> Callable[[str, int], re.Match[str]]:
    """Return the ``match`` of *pattern*, which can match the empty string, so that the result is never None."""
    return cast("Callable[[str, int], re.Match[str]]", re.compile(pattern).match)


# Quantifiers with a "+" at the end never give back: without that, a long string would be tried again and again.
_PLAIN = r'[^"\\\x00-\x1f\ud800-\udfff]'
_HEX = "[0-9a-fA-F]"
_HIGH = rf"\\u[dD][89abAB]{_HEX}{{2}}"
_body = _anywhere(
    rf"(?:{_PLAIN}++|\\[\"\\/bfnrt]|\\u(?![dD][89a-fA-F]){_HEX}{{4}}|{_HIGH}\\u[dD][c-fC-F]{_HEX}{{2}})*+"
)
# An escape, or the first of a pair of surrogates, that the piece ends within.
_begun_escape = re.compile(rf"\\(?:u{_HEX}{{0,3}})?\Z|{_HIGH}(?:\\(?:u(?:[dD](?:[c-fC-F]{_HEX}?)?)?)?)?\Z").match
_whole_text = re.compile(rf'"({_PLAIN}*+)"').match
_whole_name = re.compile(rf'"({_PLAIN}*+)"[ \t\n\r]*+:').match
_number = _anywhere(r"[-+.0-9eE]*+")
# The longest beginning of *_number*'s match that may become a number of JSON.
_right_number = _anywhere(r"-?(?:(?:0|[1-9][0-9]*+)(?:\.[0-9]*+)?(?:(?<=[0-9])[eE][-+]?[0-9]*+)?)?")
_space = _anywhere(r"[ \t\n\r]*+")
_fence_word = _anywhere(r"[A-Za-z0-9_+.-]*+")

_SPACE = frozenset(" \t\n\r")
_DIGITS = frozenset("-0123456789")
_LITERALS: dict[str, tuple[str, object]] = {"t": ("true", True), "f": ("false", False), "n": ("null", None)}
_BOM = "\ufeff"
_FENCE = "```"
_ESCAPE_CHARS = len(r"\u0000")
_EXCERPT_CHARS = 20
_CODES = r"\", \\, \/, \b, \f, \n, \r, \t or \uXXXX, surrogates in pairs"


class _State(IntEnum):
    """State of the reader: what may come next. Its number is that of its step in ``_steps``."""

    START = 0
    FENCE = auto()
    FENCE_WORD = auto()
    VALUE = auto()
    FIRST_ITEM = auto()
    TEXT = auto()
    NUMBER = auto()
    FIRST_NAME = auto()
    NAME = auto()
    NAME_TEXT = auto()
    COLON = auto()
    NEXT = auto()
    DONE = auto()


_EXPECTED = {
    _State.START: "a value",
    _State.FENCE: "a value after ```",
    _State.FENCE_WORD: "a value",
    _State.VALUE: "a value",
    _State.FIRST_ITEM: "a value or ']'",
    _State.TEXT: "a character of a string or '\"'",
    _State.NUMBER: "the end of the number",
    _State.FIRST_NAME: "a name in quotes or '}'",
    _State.NAME: "a name in quotes",
    _State.NAME_TEXT: "a character of a name or '\"'",
    _State.COLON: "':'",
    _State.DONE: "the end of the text",
}


class PartialJSON:
    """Reader of a JSON text that is still coming, with the value so far.

    Work is linear in the text, however it is cut. Everything visible is true of the whole text, too: an object or array
    is visible as soon as it opens, a string as soon as its first quote has come, a number or literal when it has ended.
    The value only grows, with one exception: if an object repeats a name, the later value replaces the earlier one when
    it is complete. After ``end()`` the value is the one that ``msgspec.json.decode`` returns, and a text that it
    refuses is refused.

    Args:
        fences: True to skip a Markdown code fence around the JSON, which many models write.
        max_depth: Bound on objects and arrays inside each other.
    """

    __slots__ = (
        "_fences",
        "_line",
        "_line_start",
        "_max_depth",
        "_offset",
        "_parts",
        "_refused",
        "_state",
        "_tail",
        "_ticks",
        "_values",
    )

    def __init__(self, *, fences: bool = False, max_depth: int = DEFAULT_MAX_DEPTH) -> None:
        if max_depth < 1:
            raise ValueError(f"max_depth must be at least 1, not {max_depth}")
        self._fences = fences
        self._max_depth = max_depth
        self._state = _State.START
        self._values = PartialValues()
        # End of the last piece that is read again with the next one.
        self._tail = ""
        # Parts of the number or the name that the state is in.
        self._parts: list[str] = []
        # Backticks of the fence that opened, and have not been closed again.
        self._ticks = 0
        # Characters before the tail; number of the line there, and the offset at which that line starts.
        self._offset = 0
        self._line = 1
        self._line_start = 0
        # The error by which the text was refused; a copy of it is raised at every further call.
        self._refused: InvalidJSONError | None = None

    # --- what is known ---------------------------------------------------------------------------------------------

    @property
    def value(self) -> Any:
        """The value so far; None before it begins, see ``has_value``.

        Objects and arrays are the same ones each time, and they grow: read them, copy what you want to keep as it is
        now, and change nothing.
        """
        value = self._values.value
        return None if value is ABSENT else value

    @property
    def has_value(self) -> bool:
        """True if there is a value, or at least the beginning of one."""
        return self._values.value is not ABSENT

    @property
    def has_begun(self) -> bool:
        """True if anything but whitespace has come."""
        return self._state is not _State.START

    @property
    def changes(self) -> int:
        """Number of times that ``value`` changed: as long as it is the same, there is nothing new to read."""
        return self._values.changes

    @property
    def error(self) -> InvalidJSONError | None:
        """Error by which the text was refused; None while the text is valid."""
        return self._refused

    def find(self, path: Path, default: Any = None) -> Any:
        """Return the value at *path*, such as ``"steps.0.title"`` or ``("steps", 0, "title")``; else *default*."""
        value = self._values.find(path)
        return default if value is ABSENT else value

    def is_complete(self, path: Path = ()) -> bool:
        """Tell whether the field at *path* is there and has ended; without a path, whether the whole value has.

        A field may change even then, if its object repeats the name.
        """
        return self._values.is_complete(path)

    def was_replaced(self, path: Path) -> bool:
        """Tell whether the value at *path* was replaced by a later one, because an object repeats a name."""
        return self._values.was_replaced(path)

    # --- reading ---------------------------------------------------------------------------------------------------

    def feed(self, text: str) -> bool:
        """Read the next piece of the text; return True if ``value`` changed.

        Raises:
            InvalidJSONError: If the text is not JSON; again at each further call. ``value`` holds what came before.
                A malformed number is refused when it ends.
        """
        if self._refused is not None:
            raise copy.copy(self._refused)
        if self._tail:
            text, self._tail = self._tail + text, ""
        before, position, end = self._values.changes, 0, len(text)
        while position < end:
            position = self._steps[self._state](self, text, position)
        self._move(text)
        return self._values.changes != before

    def end(self) -> Any:
        """End the text, and return the whole value.

        Raises:
            InvalidJSONError: If the text ended too early.
        """
        if self._refused is not None:
            raise copy.copy(self._refused)
        # A number alone has no character that ends it; inside a container, the text was cut.
        if self._state is _State.NUMBER and not self._values.depth:
            self._end_number("", 0)
        if self._state is not _State.DONE:
            expected = f"the rest of {self._tail}" if self._tail else self._expected()
            raise self._wrong(self._tail, len(self._tail), expected)
        return self.value

    def _move(self, text: str) -> None:
        """Count the lines and characters of *text* that were read: all but the tail."""
        if "\n" in text:
            self._line += text.count("\n")
            self._line_start = self._offset + text.rindex("\n") + 1
        self._offset += len(text) - len(self._tail)

    def _wrong(self, text: str, position: int, expected: str, found: str = "") -> InvalidJSONError:
        """Refuse the text because of *found*, or of the character, at *position* of *text*; return the error to raise.

        *position* may be negative: the fault is then in an earlier piece.
        """
        before = text[: max(position, 0)]
        line, line_start = self._line + before.count("\n"), self._line_start
        if "\n" in before:
            line_start = self._offset + before.rindex("\n") + 1
        offset = self._offset + position
        column = offset - line_start + 1
        found = found or (repr(text[position]) if position < len(text) else "the end of the text")
        message = f"invalid JSON in line {line}, column {column}: expected {expected}, found {found}"
        error = InvalidJSONError(message, offset=offset, line=line, column=column, expected=expected)
        # A copy is kept: the one that is raised gets a traceback, which holds on to the caller's objects.
        self._refused = copy.copy(error)
        return error

    def _expected(self) -> str:
        if self._state is _State.NEXT:
            return "',' or '}'" if self._values.is_in_object else "',' or ']'"
        return _EXPECTED[self._state]

    # --- steps: before and after the value -------------------------------------------------------------------------

    def _start(self, text: str, position: int) -> int:
        char = text[position]
        if char == _BOM and self._offset + position == 0:
            return position + 1
        if char in _SPACE:
            return _space(text, position).end()
        self._state = _State.FENCE if self._fences and char == "`" else _State.VALUE
        return position

    def _fence(self, text: str, position: int) -> int:
        if text[position] != "`":
            raise self._wrong(text, position, _FENCE)
        self._ticks += 1
        if self._ticks == len(_FENCE):
            self._state = _State.FENCE_WORD
        return position + 1

    def _fence_word(self, text: str, position: int) -> int:
        end = _fence_word(text, position).end()
        if end < len(text):
            self._state = _State.VALUE
        return end

    def _done(self, text: str, position: int) -> int:
        char = text[position]
        if char in _SPACE:
            return _space(text, position).end()
        if char == "`" and self._ticks:  # closes the fence
            self._ticks -= 1
            return position + 1
        raise self._wrong(text, position, self._expected())

    # --- steps: values ---------------------------------------------------------------------------------------------

    def _value(self, text: str, position: int) -> int:
        char = text[position]
        if char == '"':
            return self._begin_text(text, position)
        if char in _DIGITS:
            self._state = _State.NUMBER
            return position
        if char == "{":
            return self._open({}, _State.FIRST_NAME, text, position)
        if char == "[":
            return self._open([], _State.FIRST_ITEM, text, position)
        if char in _SPACE:
            return _space(text, position).end()
        if char == "]" and self._state is _State.FIRST_ITEM:
            return self._close(position)
        return self._literal(text, position)

    def _begin_text(self, text: str, position: int) -> int:
        whole = _whole_text(text, position)
        if whole is not None:
            self._add(whole[1])
            return whole.end()
        self._values.begin_text()
        self._state = _State.TEXT
        return position + 1

    def _text(self, text: str, position: int) -> int:
        piece, end = _piece(text, position)
        if piece:
            self._values.grow(piece)
        if not self._closes(text, end):
            return len(text)
        self._values.end_text()
        self._after_value()
        return end + 1

    def _closes(self, text: str, end: int) -> bool:
        """Tell whether a string closes at *end*, where its characters end; keep an escape that *text* ends within."""
        if end == len(text):
            return False
        if text[end] == '"':
            return True
        if _begun_escape(text, end):
            self._tail = text[end:]
            return False
        if text[end] == "\\":
            raise self._wrong(text, end, f"one of {_CODES}", text[end : end + _ESCAPE_CHARS])
        raise self._wrong(text, end, self._expected())

    def _in_number(self, text: str, position: int) -> int:
        end = _number(text, position).end()
        self._parts.append(text[position:end])
        if end < len(text):
            self._end_number(text, end)
        return end

    def _end_number(self, text: str, end: int) -> None:
        number = "".join(self._parts)
        self._parts.clear()
        try:
            value = msgspec.json.decode(number)
        except msgspec.DecodeError:
            raise self._wrong_number(text, end, number) from None
        self._add(value)

    def _wrong_number(self, text: str, end: int, number: str) -> InvalidJSONError:
        right, start = _right_number(number, 0).end(), end - len(number)
        is_digit = number[right - 1 : right].isdigit()
        if right < len(number):
            expected = "the end of the number" if is_digit else "a digit"
            return self._wrong(text, start + right, expected, repr(number[right]))
        if is_digit:
            excerpt = number if len(number) <= _EXCERPT_CHARS else f"{number[:_EXCERPT_CHARS]}..."
            return self._wrong(text, start, "a number in range", excerpt)
        return self._wrong(text, end, "a digit")

    def _literal(self, text: str, position: int) -> int:
        word, value = _LITERALS.get(text[position], ("", None))
        if word and text.startswith(word, position):
            self._add(value)
            return position + len(word)
        if word and word.startswith(text[position:]):
            self._tail = text[position:]
            return len(text)
        raise self._wrong(text, position, self._expected())

    def _add(self, value: object) -> None:
        self._values.add(value)
        self._after_value()

    def _after_value(self) -> None:
        self._state = _State.NEXT if self._values.depth else _State.DONE

    # --- steps: objects and arrays ---------------------------------------------------------------------------------

    def _open(self, container: dict[str, Any] | list[Any], state: _State, text: str, position: int) -> int:
        if self._values.depth == self._max_depth:
            raise self._wrong(text, position, f"no more than max_depth={self._max_depth} levels")
        self._values.open(container)
        self._state = state
        return position + 1

    def _close(self, position: int) -> int:
        self._values.close()
        self._after_value()
        return position + 1

    def _name(self, text: str, position: int) -> int:
        whole = _whole_name(text, position)
        if whole is not None:
            self._values.name = whole[1]
            self._state = _State.VALUE
            return whole.end()
        char = text[position]
        if char == '"':
            self._state = _State.NAME_TEXT
            return position + 1
        if char in _SPACE:
            return _space(text, position).end()
        if char == "}" and self._state is _State.FIRST_NAME:
            return self._close(position)
        raise self._wrong(text, position, self._expected())

    def _name_text(self, text: str, position: int) -> int:
        piece, end = _piece(text, position)
        self._parts.append(piece)
        if not self._closes(text, end):
            return len(text)
        self._values.name = "".join(self._parts)
        self._parts.clear()
        self._state = _State.COLON
        return end + 1

    def _colon(self, text: str, position: int) -> int:
        char = text[position]
        if char in _SPACE:
            return _space(text, position).end()
        if char != ":":
            raise self._wrong(text, position, self._expected())
        self._state = _State.VALUE
        return position + 1

    def _next(self, text: str, position: int) -> int:
        char, is_in_object = text[position], self._values.is_in_object
        if char == ",":
            self._state = _State.NAME if is_in_object else _State.VALUE
            return position + 1
        if char == ("}" if is_in_object else "]"):
            return self._close(position)
        if char in _SPACE:
            return _space(text, position).end()
        raise self._wrong(text, position, self._expected())

    # In the order of ``_State``. Plain functions: an object that holds its own bound methods is in a circle, and is
    # freed by the garbage collector only.
    _steps: ClassVar[tuple[Callable[..., int], ...]] = (
        _start,
        _fence,
        _fence_word,
        _value,
        _value,
        _text,
        _in_number,
        _name,
        _name,
        _name_text,
        _colon,
        _next,
        _done,
    )


def _piece(text: str, position: int) -> tuple[str, int]:
    """Return the characters of a string that *text* has from *position* on, unescaped; and where they end."""
    end = _body(text, position).end()
    piece = text[position:end]
    return (msgspec.json.decode(f'"{piece}"', type=str) if "\\" in piece else piece), end


claim(__name__)
