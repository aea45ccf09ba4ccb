"""Split tool calls into pieces to send on: what each delta adds, by the call's position in the final message.

``ToolCallParts`` decides which call a delta belongs to, as it does for the message itself. The first piece of a call
comes when it has a name or arguments; id and name are in it, and again in a later piece if they change. A reader only
ever appends to arguments, so two things are held back: a lone ``{}``, which may mean "none yet", and pieces that
``ArgumentParts`` is in doubt about.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from opeai_async._core.answer.tool_calls import CallParts, ToolCallParts
from opeai_async._core.dialect.rules.values import SYNTHETIC_ID_PREFIX
from opeai_async._core.dialect.tool_arguments import NONE_YET
from opeai_async._core.limits import MAX_INDEX
from opeai_async.types.chunk import ToolCallDelta


class ToolPiece(NamedTuple):
    """New part of one call.

    Attributes:
        position: Position of the call in the message's ``tool_calls``.
        kind: ``"function"`` if ``arguments`` is JSON, ``"custom"`` if it is free text for a custom tool.
        id: Its id if that became known or changed with this piece; else None.
        name: Its name, likewise.
        arguments: Text to append to its arguments.
    """

    position: int
    kind: Literal["function", "custom"]
    id: str | None
    name: str | None
    arguments: str


@dataclass(slots=True)
class _Sent:
    """Part of one call that is in earlier pieces; *pieces* is the number of its fragments of arguments."""

    position: int
    id: str = ""
    name: str = ""
    pieces: int = 0


class ToolPieces:
    """Pieces of one choice's tool calls.

    Args:
        max_index: Bound on indexes and on the number of calls.
        is_single: As for ``ToolCallParts``.
    """

    def __init__(self, max_index: int, *, is_single: bool = False) -> None:
        self._calls = ToolCallParts(max_index, lambda _: None, is_single=is_single)
        self._sent: dict[int, _Sent] = {}

    def add(self, delta: ToolCallDelta) -> list[ToolPiece]:
        """Return what *delta* adds: usually one piece; none if it is held back.

        Raises:
            StreamTooLargeError: If an index is out of bounds.
        """
        piece = self._piece_of(self._calls.add(delta), is_whole=False)
        return [piece] if piece is not None else []

    def rest(self) -> list[ToolPiece]:
        """Return the pieces that were held back; call it once, after the last delta."""
        pieces = [self._piece_of(call, is_whole=True) for call in self._calls.in_order]
        return [piece for piece in pieces if piece is not None]

    def _piece_of(self, call: CallParts, *, is_whole: bool) -> ToolPiece | None:
        if call.position < 0:
            return None
        sent = self._sent.get(call.position)
        if sent is None:
            sent = self._sent[call.position] = _Sent(call.position)
        function, custom = call.function, call.custom
        if is_whole:
            function.arguments.settle()
        fragments = function.arguments.pieces if custom is None else custom.input
        name = (function if custom is None else custom).name.text
        new = ""
        if is_whole or fragments != [NONE_YET]:
            new = "".join(fragments[sent.pieces :])
            sent.pieces = len(fragments)
        if is_whole and custom is None and not fragments:
            # The message has ``{}`` for a call without arguments.
            new = NONE_YET
        call_id = call.id
        # With the arguments, a reader wants to know the id: the one that the message will have if none comes.
        if not call_id and (fragments or is_whole):
            call_id = f"{SYNTHETIC_ID_PREFIX}{sent.position}"
        new_id, new_name = (call_id if call_id != sent.id else None), (name if name != sent.name else None)
        sent.id, sent.name = call_id, name
        if not (new or new_id or new_name):
            return None
        return ToolPiece(sent.position, "function" if custom is None else "custom", new_id, new_name, new)


class AppendedPieces:
    """The same pieces for readers that append ids and names too: of these, each piece has only what was not told."""

    def __init__(self) -> None:
        self._pieces = ToolPieces(MAX_INDEX)
        # By position: how much of the id and of the name was told.
        self._told: dict[int, tuple[int, int]] = {}

    def add(self, delta: ToolCallDelta) -> list[ToolPiece]:
        """Return what *delta* adds, see ``ToolPieces.add``."""
        return list(map(self._news, self._pieces.add(delta)))

    def rest(self) -> list[ToolPiece]:
        """Return the pieces that were held back, see ``ToolPieces.rest``."""
        return list(map(self._news, self._pieces.rest()))

    def _news(self, piece: ToolPiece) -> ToolPiece:
        call_id, name = piece.id or "", piece.name or ""
        ids, names = self._told.get(piece.position, (0, 0))
        self._told[piece.position] = max(ids, len(call_id)), max(names, len(name))
        return piece._replace(id=call_id[ids:] or None, name=name[names:] or None)
