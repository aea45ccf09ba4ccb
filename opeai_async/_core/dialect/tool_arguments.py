"""Join the arguments of one tool call from its pieces, although some servers send the whole text again and again.

A call's arguments are one JSON object. That decides what a piece is, and nothing is guessed from pieces that merely
overlap (``1`` and ``12`` are ``112``):

    text so far    next piece   it is                                         text afterwards
    -------------  -----------  --------------------------------------------  ---------------
    ``{"a":``      ``1}``       a piece: append it                            ``{"a":1}``
    ``{"a":1}``    ``{"a":1}``  more after a whole object: leave it out       ``{"a":1}``
    ``{}``         ``{"a":``    the beginning; a lone ``{}`` meant none yet   ``{"a":``
    ``{"a":``      ``{"a":1``   the whole text so far, or an object inside    in doubt

In doubt, that is if a piece begins with *all* of the text so far, it is held back until the next piece or the end shows
which of the two it was: an object inside is followed by a comma or a bracket. The end of an object is found by counting
brackets outside strings; only new text is searched, so that all pieces of a call together cost linear time.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

Note = Callable[[str], None]

NONE_YET = "{}"

_MARKS = re.compile(r'["\\{}\[\]]').finditer
_is_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class ArgumentParts:
    """Arguments of one call.

    Attributes:
        pieces: The pieces that count, in order. The list only grows, except that a lone ``{}`` is replaced.
        joint: The text of the pieces, joined as far as it was asked for.
    """

    __slots__ = ("_doubtful", "_end", "_note", "_so_far", "joint", "pieces")

    def __init__(self, note: Note) -> None:
        self._note = note
        self.pieces: list[str] = []
        self.joint = Joint()
        self._end = _ObjectEnd()
        # Pieces held back, and that one proved to be the text so far: this server sends the rest like that, too.
        self._doubtful: list[str] = []
        self._so_far = False

    def __bool__(self) -> bool:
        return bool(self.pieces)

    def add(self, piece: str) -> None:
        """Take *piece*, which is not empty."""
        if self._doubtful:
            self._resolve(piece)
        elif self.pieces == [NONE_YET] and not piece.isspace():
            if piece != NONE_YET:
                self._begin_again(piece)
        elif self.pieces and self.is_whole():
            self._add_after_end(piece)
        elif self.pieces and self._may_be_so_far(piece):
            self._doubtful.append(piece)
            if self._so_far:
                self.settle()
        else:
            self._append(piece)

    def is_whole(self) -> bool:
        """Tell whether the pieces are a whole JSON object already; an empty one may stand for "none yet"."""
        self._end.look(self.pieces)
        return self._end.is_found

    def flows(self) -> bool:
        """Tell whether a piece without braces can only be appended."""
        return bool(self.pieces) and not self._doubtful and self.pieces != [NONE_YET] and not self.is_whole()

    def text(self) -> str:
        """Return the arguments so far as one text."""
        text = self.joint.of(self.pieces)
        if not self._doubtful:
            return text
        return self._doubtful[-1] if self._is_so_far(text) else text + "".join(self._doubtful)

    def settle(self) -> None:
        """Decide what the doubtful pieces are, as if nothing followed them."""
        doubtful, self._doubtful = self._doubtful, []
        if not doubtful:
            return
        text = self.joint.of(self.pieces)
        if self._so_far or _is_so_far(text, doubtful):
            self._note("tool_arguments_so_far")
            self._so_far = True
            self._append(doubtful[-1][len(text) :])
        else:
            for piece in doubtful:
                self._append(piece)

    def _may_be_so_far(self, piece: str) -> bool:
        return piece[0] == "{" and len(piece) >= len(text := self.joint.of(self.pieces)) and piece.startswith(text)

    def _is_so_far(self, text: str) -> bool:
        return self._so_far or _is_so_far(text, self._doubtful)

    def _resolve(self, piece: str) -> None:
        """Decide what the doubtful piece was, now that *piece* follows it."""
        # Two in a row that begin with all that came before: a text so far is sent each time.
        if piece.startswith(self._doubtful[-1]):
            self._so_far = True
            self._doubtful.append(piece)
            self.settle()
            return
        # Behind an object inside, only these can follow.
        if piece.isspace() or (piece.lstrip()[0] not in ",}]" and is_json_object(self._doubtful[-1])):
            self.settle()
        else:
            doubtful, self._doubtful = self._doubtful, []
            for one in doubtful:
                self._append(one)
        self.add(piece)

    def _begin_again(self, piece: str) -> None:
        self.pieces.clear()
        self.joint = Joint()
        self._end = _ObjectEnd()
        self._append(piece)

    def _add_after_end(self, piece: str) -> None:
        if piece.isspace():
            self.pieces.append(piece)
        else:
            self._note("tool_arguments_repeated")

    def _append(self, piece: str) -> None:
        if not piece:
            return
        self.pieces.append(piece)
        if not self.is_whole():
            return
        # The object ended within this piece: what follows the end is cut, or begins anew after ``{}``.
        rest = piece[self._end.at :]
        if rest and not rest.isspace():
            self.pieces[-1] = piece[: self._end.at]
            if self.pieces == [NONE_YET]:
                self._begin_again(rest)
            else:
                self._note("tool_arguments_repeated")


def whole_arguments(text: str) -> tuple[str, str | None]:
    """Return *text*, the arguments of a whole call, without repetitions; and the name of the quirk if it had any."""
    quirks: list[str] = []
    parts = ArgumentParts(quirks.append)
    parts.add(text)
    return parts.text(), quirks[0] if quirks else None


def _is_so_far(text: str, doubtful: list[str]) -> bool:
    """Tell whether the last of *doubtful* is the whole text, if nothing follows *text* and them."""
    return is_json_object(doubtful[-1]) or not is_json_object(text + "".join(doubtful))


def is_json_object(text: str) -> bool:
    """Tell whether *text* is one whole JSON object, which may be empty."""
    try:
        _is_object(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
    return True


class _ObjectEnd:
    """Finder of the end of the object that pieces of text begin with.

    Attributes:
        is_found: True once the pieces hold the whole object.
        at: Index in the last piece that was searched, just after the object's end.
    """

    __slots__ = ("_depth", "_escaped_at", "_in_string", "_is_none", "_looked_at", "at", "is_found")

    def __init__(self) -> None:
        # Number of pieces that were searched.
        self._looked_at = 0
        # State of the search after them: open brackets, inside a string, and the index of an escaped character.
        self._depth = 0
        self._in_string = False
        self._escaped_at = -1
        # The text is not an object: nothing more is searched.
        self._is_none = False
        self.is_found = False
        self.at = 0

    def look(self, pieces: list[str]) -> None:
        """Search those of *pieces* that are new, all but the last of them in one."""
        begin, self._looked_at = self._looked_at, len(pieces)
        if begin == len(pieces) or self.is_found or self._is_none:
            return
        searched = pieces[:begin]
        for piece in pieces[begin:] if len(pieces) - begin < 3 else ["".join(pieces[begin:-1]), pieces[-1]]:
            if self._depth == 0 and not piece.isspace() and not piece.lstrip().startswith("{"):
                self._is_none = True
            elif self._ends_in(piece):
                # Brackets are counted, not matched, and a string may hold what JSON does not allow.
                self.is_found = is_json_object("".join([*searched, piece[: self.at]]))
                self._is_none = not self.is_found
            if self._is_none or self.is_found:
                return
            searched.append(piece)

    def _ends_in(self, piece: str) -> bool:
        for mark in _MARKS(piece):
            at, char = mark.start(), mark[0]
            if at == self._escaped_at:
                continue
            if self._in_string:
                if char == '"':
                    self._in_string = False
                elif char == "\\":
                    self._escaped_at = at + 1
            elif char == '"':
                self._in_string = True
            elif char in "{[":
                self._depth += 1
            else:
                self._depth -= 1
                if self._depth <= 0:
                    self.at = at + 1
                    return True
        # An escape at the end of this piece escapes the first character of the next.
        self._escaped_at = 0 if self._escaped_at == len(piece) else -1
        return False


class Joint:
    """Text of a growing list of pieces; each call joins only the pieces that are new."""

    __slots__ = ("_count", "_text")

    def __init__(self) -> None:
        self._text = ""
        self._count = 0

    def of(self, pieces: list[str]) -> str:
        """Return all of *pieces* as one text."""
        if len(pieces) > self._count:
            # CPython appends to a string in place if there is only one reference to it.
            text, self._text = self._text, ""
            text += "".join(pieces[self._count :])
            self._text, self._count = text, len(pieces)
        return self._text
