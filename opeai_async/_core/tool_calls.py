"""Rebuilds tool calls from their pieces.

Calls are told apart by id first and index second, because some servers give index 0 to all of them; they are kept in a
dict by index and in the order of appearance, because others start at 1, leave holes, and interleave. What is read
right but sent otherwise than the API says is noted by name, as the repairs of ``dialect.py`` are.
"""

from __future__ import annotations

from collections.abc import Callable

from opeai_async._core.extras import ExtraParts, named_fields
from opeai_async._core.loose import is_whole_object
from opeai_async._core.rules import SYNTHETIC_ID_PREFIX
from opeai_async.errors import StreamTooLargeError
from opeai_async.types.chunk import CustomCallDelta, FunctionCallDelta, ToolCallDelta
from opeai_async.types.common import NO_EXTRA
from opeai_async.types.completion import CustomCall, FunctionCall, ToolCall

Note = Callable[[str], None]

# After two pieces of arguments, the name has ended, and what there is was no "{}" that stood for "none yet".
_PIECES_OF_A_SETTLED_CALL = 2


def checked_index(index: int, max_index: int, what: str) -> int:
    """*index* itself, if a server may use it."""
    if 0 <= index <= max_index:
        return index
    raise StreamTooLargeError(
        f"a {what} has the index {_shown(index)}, expected 0 to {max_index}", limit=f"max_index={max_index}"
    )


def _shown(index: int) -> str:
    return str(index) if abs(index) < 10**18 else "of more than 18 digits"


class ToolCallParts:
    """The tool calls of one choice, in order of appearance."""

    __slots__ = ("by_id", "by_index", "in_order", "max_index", "note")

    def __init__(self, max_index: int, note: Note) -> None:
        self.max_index = max_index
        self.note = note
        self.by_index: dict[int, CallParts] = {}
        self.by_id: dict[str, CallParts] = {}
        self.in_order: list[CallParts] = []

    def add(self, delta: ToolCallDelta) -> None:
        if not self._went_on(delta):
            self._add(delta)

    def _went_on(self, delta: ToolCallDelta) -> bool:
        """Take *delta* if it is what nearly all are: another piece of a call's arguments, and nothing else."""
        function, call = delta.function, self.by_index.get(delta.index)
        if (
            call is None
            or function is None
            or function.name
            or not function.arguments
            or delta.id is not None
            or delta.type
            or delta.custom is not None
            or delta.extra is not NO_EXTRA
            or function.extra is not NO_EXTRA
            or len(call.function.arguments) < _PIECES_OF_A_SETTLED_CALL
            or not call.function.name.text
        ):
            return False
        call.function.arguments.append(function.arguments)
        return True

    def _add(self, delta: ToolCallDelta) -> None:
        call = self._call_of(delta)
        if delta.id is not None:
            self._take_id(call, delta.id)
        if delta.type:
            call.type = delta.type
        if delta.function is not None:
            call.function.add(delta.function)
        if delta.custom is not None:
            call.custom = call.custom or _CustomParts(self.note)
            call.custom.add(delta.custom)
        call.extra.add(delta.extra)

    def finish(self) -> None:
        """Nothing more is expected: an id that has not come is made up."""
        if not all(call.id for call in self.in_order):
            self.note("tool_id_missing")

    def _take_id(self, call: CallParts, call_id: str) -> None:
        if not call_id:
            self.note("tool_id_empty")
        elif call.id:
            self.note("tool_id_repeated")
        else:
            call.id = call_id
            self.by_id[call_id] = call

    def add_named(self, delta: ToolCallDelta) -> None:
        """The vendor fields that a user's Structs name, of a *delta* that has been added just now."""
        call = self._call_of(delta)
        call.extra.add(named_fields(delta))
        if delta.function is not None:
            call.function.extra.add(named_fields(delta.function))
        if delta.custom is not None and call.custom is not None:
            call.custom.extra.add(named_fields(delta.custom))

    def _call_of(self, delta: ToolCallDelta) -> CallParts:
        call = self.by_id.get(delta.id) if delta.id else None
        if call is None:
            call = self.by_index.get(delta.index)
            if call is not None and not _begins_another(call, delta):
                return call
            position = checked_index(len(self.in_order), self.max_index, "tool call's position")
            checked_index(delta.index, self.max_index, "tool call")
            if call is not None:
                self.note("tool_index_shared")
            elif delta.index != position:
                self.note("tool_index_gap")
            call = CallParts(self.note)
            self.in_order.append(call)
        # With index 0 for all calls, the next delta without id belongs to this one.
        self.by_index[checked_index(delta.index, self.max_index, "tool call")] = call
        return call

    def build(self) -> list[ToolCall]:
        return [call.build(position) for position, call in enumerate(self.in_order)]


def _begins_another(call: CallParts, delta: ToolCallDelta) -> bool:
    """Whether *delta* is no part of *call*, although it has the same index."""
    if delta.id:
        return bool(call.id) and delta.id != call.id
    if delta.custom is not None:
        return call.custom is not None and call.custom.name.is_followed_by_another(delta.custom.name)
    if delta.function is None:
        return False
    return call.function.name.is_followed_by_another(delta.function.name) or call.function.is_repeated(delta.function)


class _NameParts:
    """A name: whole, repeated, in pieces, or late. It ends where the arguments begin, if it had begun before them."""

    __slots__ = ("is_late", "note", "text", "was_ended")

    def __init__(self, note: Note) -> None:
        self.note = note
        self.text = ""
        self.is_late = False
        self.was_ended = False

    def is_followed_by_another(self, name: str | None) -> bool:
        """Whether *name* is that of another call."""
        return bool(name) and self.was_ended and bool(self.text) and name != self.text

    def add(self, name: str | None, *, arguments_begin: bool) -> None:
        """Take what one delta says."""
        if not name:
            self.is_late = not self.text
        elif not self.text:
            self.text = name
            if self.is_late:
                self.note("tool_name_late")
        elif name == self.text:
            self.note("tool_name_repeated")
        elif not self.was_ended:
            self.text += name
            self.note("tool_name_pieces")
        self.was_ended = self.was_ended or arguments_begin


class _Joint:
    """The text of a list of pieces to which some are appended, joined as far as somebody has asked for it."""

    __slots__ = ("_count", "_text")

    def __init__(self) -> None:
        self._text = ""
        self._count = 0

    def of(self, pieces: list[str]) -> str:
        """All of *pieces* as one text. CPython grows it in place where no earlier snapshot holds it."""
        if len(pieces) > self._count:
            text, self._text = self._text, ""  # the only reference
            text += "".join(pieces[self._count :])
            self._text, self._count = text, len(pieces)
        return self._text


class FunctionParts:
    """A function's name and arguments."""

    __slots__ = ("_joint", "arguments", "extra", "name")

    def __init__(self, note: Note) -> None:
        self.name = _NameParts(note)
        self.arguments: list[str] = []
        self.extra = ExtraParts()
        self._joint = _Joint()

    def add(self, delta: FunctionCallDelta) -> None:
        self.name.add(delta.name, arguments_begin=bool(delta.arguments))
        if delta.arguments:
            if self.arguments == ["{}"]:  # stood for "none yet": no JSON goes on after it
                self.arguments.clear()
                self._joint = _Joint()
            self.arguments.append(delta.arguments)
        self.extra.add(delta.extra)

    def is_repeated(self, delta: FunctionCallDelta) -> bool:
        """Whether *delta* is a whole call of the same function: its name, and arguments after those that are whole."""
        if not delta.name or delta.name != self.name.text or not (delta.arguments or "").startswith("{"):
            return False
        return is_whole_object(self._joint.of(self.arguments))

    def build(self) -> FunctionCall:
        arguments = self._joint.of(self.arguments) or "{}"
        return FunctionCall(name=self.name.text, arguments=arguments, extra=self.extra.build())


class CallParts:
    """What has arrived of one tool call."""

    __slots__ = ("custom", "extra", "function", "id", "type")

    def __init__(self, note: Note) -> None:
        self.id = ""
        self.type = ""
        self.function = FunctionParts(note)
        self.custom: _CustomParts | None = None
        self.extra = ExtraParts()

    def build(self, position: int) -> ToolCall:
        call_id = self.id or f"{SYNTHETIC_ID_PREFIX}{position}"
        extra = self.extra.build()
        if self.custom is not None:
            return ToolCall(id=call_id, type=self.type or "custom", custom=self.custom.build(), extra=extra)
        return ToolCall(id=call_id, type=self.type or "function", function=self.function.build(), extra=extra)


class _CustomParts:
    """A custom tool's name and input."""

    __slots__ = ("_joint", "extra", "input", "name")

    def __init__(self, note: Note) -> None:
        self.name = _NameParts(note)
        self.input: list[str] = []
        self.extra = ExtraParts()
        self._joint = _Joint()

    def add(self, delta: CustomCallDelta) -> None:
        self.name.add(delta.name, arguments_begin=bool(delta.input))
        self.input.append(delta.input or "")
        self.extra.add(delta.extra)

    def build(self) -> CustomCall:
        return CustomCall(name=self.name.text, input=self._joint.of(self.input), extra=self.extra.build())
