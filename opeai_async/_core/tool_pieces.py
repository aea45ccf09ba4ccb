"""What each delta adds to a tool call, told by the call's place in the final message.

Which call a delta belongs to is decided by ``ToolCallParts``, as it is for the message itself. A piece is held back
where it might yet be taken back: a lone ``{}`` that may stand for "no arguments yet", and a name that may come in
pieces until the arguments begin.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from opeai_async._core.rules import SYNTHETIC_ID_PREFIX
from opeai_async._core.tool_calls import CallParts, ToolCallParts
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
    begun: bool = field(default=False)


class ToolPieces:
    """The pieces of one choice's tool calls.

    Args:
        max_index: Bound on indexes and on the number of calls.
    """

    def __init__(self, max_index: int) -> None:
        self._calls = ToolCallParts(max_index, lambda _: None)
        self._told: dict[int, _Told] = {}

    def add(self, delta: ToolCallDelta) -> list[ToolPiece]:
        """What *delta* adds: usually one piece; none where it is held back.

        Raises:
            StreamTooLargeError: If an index is out of bounds.
        """
        calls = self._calls
        known = len(calls.in_order)
        calls.add(delta)
        pieces = self._rest_of(calls.in_order[:known]) if len(calls.in_order) > known else []
        piece = self._piece_of(calls.by_index[delta.index], is_whole=False)
        return [*pieces, piece] if piece is not None else pieces

    def rest(self) -> list[ToolPiece]:
        """What was held back: nothing more comes."""
        return self._rest_of(self._calls.in_order)

    def _rest_of(self, calls: list[CallParts]) -> list[ToolPiece]:
        return [piece for call in calls if (piece := self._piece_of(call, is_whole=True)) is not None]

    def _piece_of(self, call: CallParts, *, is_whole: bool) -> ToolPiece | None:
        told = self._told.get(id(call))
        if told is None:
            told = self._told[id(call)] = _Told(self._calls.in_order.index(call))
        custom = call.custom
        fragments = call.function.arguments if custom is None else custom.input
        name = (call.function if custom is None else custom).name.text
        if not is_whole and (fragments == ["{}"] or not (fragments or told.begun)):
            return None
        new = "".join(fragments[told.pieces :])
        told.pieces = len(fragments)
        if is_whole and custom is None and not fragments and not told.begun:
            new = "{}"  # as the message has it
        call_id = call.id or told.id or f"{SYNTHETIC_ID_PREFIX}{told.position}"
        new_id, new_name = (call_id if call_id != told.id else None), (name if name != told.name else None)
        told.id, told.name, told.begun = call_id, name, True
        if not (new or new_id or new_name):
            return None
        return ToolPiece(told.position, "function" if custom is None else "custom", new_id, new_name, new)
