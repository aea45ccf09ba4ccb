"""Rebuilds tool calls from their pieces.

Calls are told apart by id first and index second, because some servers give index 0 to all of them; they are kept in a
dict by index and in the order of appearance, because others start at 1, leave holes, and interleave.
"""

from __future__ import annotations

from opeai_async._core.extras import ExtraParts, named_fields
from opeai_async._core.rules import SYNTHETIC_ID_PREFIX
from opeai_async.errors import StreamTooLargeError
from opeai_async.types.chunk import CustomCallDelta, FunctionCallDelta, ToolCallDelta
from opeai_async.types.completion import CustomCall, FunctionCall, ToolCall


def checked_index(index: int, max_index: int, what: str) -> int:
    """*index* itself, if a server may use it."""
    if 0 <= index <= max_index:
        return index
    raise StreamTooLargeError(
        f"a {what} has the index {index}, expected 0 to {max_index}", limit=f"max_index={max_index}"
    )


class ToolCallParts:
    """The tool calls of one choice, in order of appearance."""

    __slots__ = ("by_id", "by_index", "in_order", "max_index")

    def __init__(self, max_index: int) -> None:
        self.max_index = max_index
        self.by_index: dict[int, _CallParts] = {}
        self.by_id: dict[str, _CallParts] = {}
        self.in_order: list[_CallParts] = []

    def add(self, delta: ToolCallDelta) -> None:
        call = self._call_of(delta)
        if delta.id and not call.id:
            call.id = delta.id
            self.by_id[delta.id] = call
        if delta.type:
            call.type = delta.type
        if delta.function is not None:
            call.function.add(delta.function)
        if delta.custom is not None:
            call.custom = call.custom or _CustomParts()
            call.custom.add(delta.custom)
        call.extra.add(delta.extra)

    def add_named(self, delta: ToolCallDelta) -> None:
        """The vendor fields that a user's Structs name, of a *delta* that has been added just now."""
        call = self._call_of(delta)
        call.extra.add(named_fields(delta))
        if delta.function is not None:
            call.function.extra.add(named_fields(delta.function))
        if delta.custom is not None and call.custom is not None:
            call.custom.extra.add(named_fields(delta.custom))

    def _call_of(self, delta: ToolCallDelta) -> _CallParts:
        call = self.by_id.get(delta.id) if delta.id else None
        if call is None:
            call = self.by_index.get(delta.index)
            if call is not None and not _begins_another(call, delta):
                return call
            checked_index(len(self.in_order), self.max_index, "tool call's position")
            call = _CallParts()
            self.in_order.append(call)
        # With index 0 for all calls, the next delta without id belongs to this one.
        self.by_index[checked_index(delta.index, self.max_index, "tool call")] = call
        return call

    def build(self) -> list[ToolCall]:
        return [call.build(position) for position, call in enumerate(self.in_order)]


def _begins_another(call: _CallParts, delta: ToolCallDelta) -> bool:
    """Whether *delta* is no part of *call*, although it has the same index."""
    if delta.id:
        return bool(call.id) and delta.id != call.id
    name = delta.function.name if delta.function is not None else None
    return bool(name) and bool(call.function.arguments) and name != "".join(call.function.name)


class FunctionParts:
    """A function's name and arguments. The name is whole, repeated or in pieces, and ends where the arguments begin."""

    __slots__ = ("arguments", "extra", "name")

    def __init__(self) -> None:
        self.name: list[str] = []
        self.arguments: list[str] = []
        self.extra = ExtraParts()

    def add(self, delta: FunctionCallDelta) -> None:
        if delta.name and not self.arguments and delta.name != "".join(self.name):
            self.name.append(delta.name)
        if delta.arguments:
            self.arguments.append(delta.arguments)
        self.extra.add(delta.extra)

    def build(self) -> FunctionCall:
        return FunctionCall(
            name="".join(self.name), arguments="".join(self.arguments) or "{}", extra=self.extra.build()
        )


class _CallParts:
    """What has arrived of one tool call."""

    __slots__ = ("custom", "extra", "function", "id", "type")

    def __init__(self) -> None:
        self.id = ""
        self.type = ""
        self.function = FunctionParts()
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

    __slots__ = ("extra", "input", "name")

    def __init__(self) -> None:
        self.name = ""
        self.input: list[str] = []
        self.extra = ExtraParts()

    def add(self, delta: CustomCallDelta) -> None:
        self.name = self.name or delta.name or ""
        self.input.append(delta.input or "")
        self.extra.add(delta.extra)

    def build(self) -> CustomCall:
        return CustomCall(name=self.name, input="".join(self.input), extra=self.extra.build())
