"""What each delta adds to a tool call, told by the call's place in the final message.

Which call a delta belongs to is decided by ``ToolCallParts``, as it is for the message itself. A call is told of once
it has a name or arguments; its id and name then, and again if more of them comes. Arguments are only ever appended to,
so a lone ``{}`` is held back, which may stand for "none yet", and so is what ``ArgumentParts`` doubts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from opeai_async._core.answer.tool_calls import CallParts, ToolCallParts
from opeai_async._core.dialect.rules.values import SYNTHETIC_ID_PREFIX
from opeai_async._core.dialect.tool_arguments import NONE_YET
from opeai_async.types.chunk import ToolCallDelta


class ToolPiece(NamedTuple):
    """What is new of one call.

    Attributes:
        position: The call's position in the message's ``tool_calls``.
        kind: Whether ``arguments`` is JSON of a function, or free text of a custom tool.
        id: Its id, where that became known or changed with this piece.
        name: Its name, likewise.
        arguments: What is appended to its arguments.
    """

    position: int
    kind: Literal["function", "custom"]
    id: str | None
    name: str | None
    arguments: str


@dataclass(slots=True)
class _Told:
    """What has been told of one call."""

    position: int
    id: str = ""
    name: str = ""
    pieces: int = 0


class ToolPieces:
    """The pieces of one choice's tool calls.

    Args:
        max_index: Bound on indexes and on the number of calls.
        is_single: As for ``ToolCallParts``.
    """

    def __init__(self, max_index: int, *, is_single: bool = False) -> None:
        self._calls = ToolCallParts(max_index, lambda _: None, is_single=is_single)
        self._told: dict[int, _Told] = {}

    def add(self, delta: ToolCallDelta) -> list[ToolPiece]:
        """What *delta* adds: usually one piece; none where it is held back.

        Raises:
            StreamTooLargeError: If an index is out of bounds.
        """
        piece = self._piece_of(self._calls.add(delta), is_whole=False)
        return [piece] if piece is not None else []

    def rest(self) -> list[ToolPiece]:
        """What was held back, once nothing more comes. To be called once."""
        pieces = [self._piece_of(call, is_whole=True) for call in self._calls.in_order]
        return [piece for piece in pieces if piece is not None]

    def _piece_of(self, call: CallParts, *, is_whole: bool) -> ToolPiece | None:
        if call.position < 0:
            return None
        told = self._told.get(call.position)
        if told is None:
            told = self._told[call.position] = _Told(call.position)
        function, custom = call.function, call.custom
        if is_whole:
            function.arguments.settle()
        fragments = function.arguments.pieces if custom is None else custom.input
        name = (function if custom is None else custom).name.text
        new = ""
        if is_whole or fragments != [NONE_YET]:
            new = "".join(fragments[told.pieces :])
            told.pieces = len(fragments)
        if is_whole and custom is None and not fragments:
            new = NONE_YET  # as the message has it
        call_id = call.id
        if not call_id and (fragments or is_whole):  # it will not come any more, or late
            call_id = f"{SYNTHETIC_ID_PREFIX}{told.position}"
        new_id, new_name = (call_id if call_id != told.id else None), (name if name != told.name else None)
        told.id, told.name = call_id, name
        if not (new or new_id or new_name):
            return None
        return ToolPiece(told.position, "function" if custom is None else "custom", new_id, new_name, new)
