"""Rebuild tool calls from their pieces.

Servers get each of index, id and name wrong. So the first of these rules that applies decides which call a piece
belongs to:

1. another index with a name is another call, whatever its id;
2. the same index with another name is another call;
3. another id with a name is another call; without a name it is the same call at that index;
4. a piece that has neither name nor id belongs to the latest call of its index; where its index is new, arguments
   belong to the latest call of all, and a piece without any begins a call.

Calls are kept in the order in which their first name or arguments came; a call that has neither is left out. Ids that
two calls share are made distinct, because a result finds its call by the id. Each deviation from the API is noted by a
name, as the repairs of ``_core/dialect/dialect.py`` are. To go by the index alone was rejected: it merges the calls of
servers that send index 0 for each.
"""

from __future__ import annotations

from collections.abc import Callable

from opeai_async._core.answer.extras import ExtraParts, named_fields
from opeai_async._core.dialect.rules.values import SYNTHETIC_ID_PREFIX, distinct_id
from opeai_async._core.dialect.tool_arguments import NONE_YET, ArgumentParts, Joint
from opeai_async.errors import StreamTooLargeError
from opeai_async.types.chunk import CustomCallDelta, FunctionCallDelta, ToolCallDelta
from opeai_async.types.common import NO_EXTRA
from opeai_async.types.completion import CustomCall, FunctionCall, ToolCall

Note = Callable[[str], None]


def checked_index(index: int, max_index: int, what: str) -> int:
    """Return *index* if it is within bounds.

    Raises:
        StreamTooLargeError: If it is not.
    """
    if 0 <= index <= max_index:
        return index
    raise StreamTooLargeError(
        f"a {what} has the index {_shown(index)}, expected 0 to {max_index}", limit=f"max_index={max_index}"
    )


# str() of an int raises if there are thousands of digits.
def _shown(index: int) -> str:
    return str(index) if abs(index) < 10**18 else "of more than 18 digits"


class ToolCallParts:
    """Tool calls of one choice.

    Args:
        max_index: Bound on indexes and on the number of calls.
        note: Called with the name of each deviation from the API.
        is_single: True if all pieces are of one call: a ``function_call``, from before the API had tools.

    Attributes:
        in_order: Calls that have a name or arguments, in the order in which these first came.
    """

    __slots__ = (
        "_begun",
        "_by_id",
        "_by_index",
        "_flowing",
        "_ids",
        "_is_single",
        "_latest",
        "_max_index",
        "_new_ids",
        "_note",
        "in_order",
    )

    def __init__(self, max_index: int, note: Note, *, is_single: bool = False) -> None:
        self._max_index = max_index
        self._is_single = is_single
        self._note = note
        # The latest call of an index; and calls by their ids, as the server sent them.
        self._by_index: dict[int, CallParts] = {}
        self._by_id: dict[str, CallParts] = {}
        # Ids of all calls, made distinct.
        self._ids: set[str] = set()
        # By index: calls in the middle of their arguments, so that a piece without braces can only be more of these.
        self._flowing: dict[int, CallParts] = {}
        # By index: an id that came without a name or arguments, and may be that of the next call there.
        self._new_ids: dict[int, str] = {}
        # The call that the last piece belonged to.
        self._latest: CallParts | None = None
        # Number of calls that have begun, with or without a name.
        self._begun = 0
        self.in_order: list[CallParts] = []

    def add(self, delta: ToolCallDelta) -> CallParts:
        """Add a piece, and return the call that it belongs to.

        Raises:
            StreamTooLargeError: If an index is out of bounds.
        """
        call, function = self._flowing.get(delta.index), delta.function
        if (
            call is None
            or function is None
            or function.name
            or not (arguments := function.arguments)
            or "}" in arguments
            or "{" in arguments
            or delta.id is not None
            or delta.type
            or delta.custom is not None
            or delta.extra is not NO_EXTRA
            or function.extra is not NO_EXTRA
        ):
            return self._add(delta)
        # Nearly all pieces are such: nothing has to be decided for them.
        call.function.arguments.pieces.append(arguments)
        return call

    def _add(self, delta: ToolCallDelta) -> CallParts:
        call = self._call_of(delta)
        if delta.id is not None:
            self._take_id(call, delta.id)
        call.add(delta)
        self._latest = call
        if call.position < 0 and call.says_something():
            call.position = len(self.in_order)
            self.in_order.append(call)
        if call.flows():
            self._flowing[delta.index] = call
        else:
            self._flowing.pop(delta.index, None)
        return call

    def finish(self) -> None:
        """End the calls: settle their arguments, and note what never came."""
        for call in self.in_order:
            call.function.arguments.settle()
        if not all(call.id for call in self.in_order):
            self._note("tool_id_missing")
        if len(self.in_order) < self._begun:
            self._note("tool_call_empty")

    def _take_id(self, call: CallParts, call_id: str) -> None:
        if not call_id:
            self._note("tool_id_empty")
        elif not call.id:
            call.sent_id, call.id = call_id, distinct_id(call_id, self._ids)
            if call.id != call_id:
                self._note("tool_id_shared")
            self._ids.add(call.id)
            self._by_id[call_id] = call
        else:
            self._note("tool_id_repeated" if call_id == call.sent_id else "tool_id_changed")

    def add_named(self, delta: ToolCallDelta) -> None:
        """Add the vendor fields that a user's Structs declare, of *delta*, which was added just before."""
        call = self._by_index[delta.index]
        call.extra.add(named_fields(delta))
        if delta.function is not None:
            call.function.extra.add(named_fields(delta.function))
        if delta.custom is not None and call.custom is not None:
            call.custom.extra.add(named_fields(delta.custom))

    def _call_of(self, delta: ToolCallDelta) -> CallParts:
        index, name = checked_index(delta.index, self._max_index, "tool call"), name_of(delta)
        there, known = self._by_index.get(index), self._by_id.get(delta.id) if delta.id else None
        call = there
        if self._is_single:
            call = self._latest
        elif there is None:
            if not name:
                # One without arguments, too, announces a call of its own; or is nothing, if no more of it comes.
                call = known or (None if delta.id or not _has_text(delta) else self._latest)
                if call is not None:
                    self._note("tool_index_changed")
        elif known is not None and known.index == index and name in ("", known.name):
            call = None if _begins_another(known, delta, name) else known
        elif self._is_another(there, delta, name):
            call = None
        if call is None:
            call = self._begin(delta, there)
        self._by_index[index] = call
        return call

    def _is_another(self, there: CallParts, delta: ToolCallDelta, name: str) -> bool:
        """Tell whether *delta* begins another call than *there*, although both have the same index."""
        if _begins_another(there, delta, name) or (name and delta.index in self._new_ids):
            return True
        if delta.id and there.id and delta.id != there.sent_id and not _has_text(delta):
            self._new_ids[delta.index] = delta.id
        return False

    def _begin(self, delta: ToolCallDelta, there: CallParts | None) -> CallParts:
        checked_index(self._begun, self._max_index, "tool call's position")
        if there is not None:
            self._note("tool_index_shared")
        elif delta.index != self._begun:
            self._note("tool_index_gap")
        self._begun += 1
        call = CallParts(self._note, delta.index)
        new_id = self._new_ids.pop(delta.index, None)
        if new_id and not delta.id:
            self._take_id(call, new_id)
        if there is not None and not name_of(delta):
            # A second call of the same function: its name came alone, before these arguments.
            call.function.name.text = there.function.name.text
        return call

    def build(self) -> list[ToolCall]:
        return [call.build() for call in self.in_order]


def name_of(delta: ToolCallDelta) -> str:
    """Return the name in *delta*; ``""`` if it has none."""
    return (delta.function and delta.function.name) or (delta.custom and delta.custom.name) or ""


def _has_text(delta: ToolCallDelta) -> bool:
    return bool((delta.function and delta.function.arguments) or (delta.custom and delta.custom.input))


def _begins_another(call: CallParts, delta: ToolCallDelta, name: str) -> bool:
    """Tell whether *delta*, with *name*, begins another call than *call*."""
    function = delta.function
    if not name:
        return call.is_named_again and function is not None and call.function.is_followed_by_another(function.arguments)
    if (call.function.name if call.custom is None else call.custom.name).is_followed_by_another(name):
        return True
    if delta.id and call.id:
        return delta.id != call.sent_id
    return function is not None and name == call.name and call.function.is_followed_by_another(function.arguments)


class _NameParts:
    """A name, which may come whole, repeated, in pieces, or late.

    It ends where the arguments begin, unless it is late, that is if it begins after them.

    Attributes:
        text: The name so far.
        is_late: True if a piece of the call came before its name.
        was_ended: True once the arguments have begun: another name is then that of another call.
    """

    __slots__ = ("is_late", "note", "text", "was_ended")

    def __init__(self, note: Note) -> None:
        self.note = note
        self.text = ""
        self.is_late = False
        self.was_ended = False

    def is_followed_by_another(self, name: str | None) -> bool:
        """Tell whether *name* is that of another call."""
        return bool(name) and self.was_ended and bool(self.text) and name != self.text

    def add(self, name: str | None, *, arguments_begin: bool) -> None:
        """Add the name in one delta, if there is one."""
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


class FunctionParts:
    """Name and arguments of a function."""

    __slots__ = ("arguments", "extra", "name")

    def __init__(self, note: Note) -> None:
        self.name = _NameParts(note)
        self.arguments = ArgumentParts(note)
        self.extra = ExtraParts()

    def add(self, delta: FunctionCallDelta) -> None:
        self.name.add(delta.name, arguments_begin=bool(delta.arguments))
        if delta.arguments:
            self.arguments.add(delta.arguments)
        self.extra.add(delta.extra)

    def __bool__(self) -> bool:
        return bool(self.name.text or self.arguments)

    def is_followed_by_another(self, arguments: str | None) -> bool:
        """Tell whether *arguments* are another call's: those here are a whole object, and these are a different one."""
        if not (arguments or "").startswith("{") or not self.arguments.is_whole():
            return False
        text = self.arguments.text()
        return text != NONE_YET and text.strip() != (arguments or "").strip()

    def build(self) -> FunctionCall:
        arguments = self.arguments.text() or NONE_YET
        return FunctionCall(name=self.name.text, arguments=arguments, extra=self.extra.build())


class CallParts:
    """One tool call, as far as it has arrived.

    Attributes:
        index: Index that it began with.
        position: Its place among the calls of the message; -1 until it has a name or arguments.
        id: Its id, which no other call of the message has; empty until it is known.
        sent_id: That id as the server sent it.
        type: The latest type that the server sent; empty if it sent none.
        is_named_again: True if its name came again after its arguments were whole: more arguments are another call's.
        function: Name and arguments.
        custom: Name and input of a custom tool; None unless it is one.
        extra: Vendor fields of the call itself.
    """

    __slots__ = ("_note", "custom", "extra", "function", "id", "index", "is_named_again", "position", "sent_id", "type")

    def __init__(self, note: Note, index: int = 0) -> None:
        self._note = note
        self.index = index
        self.position = -1
        self.id = self.sent_id = ""
        self.type = ""
        self.is_named_again = False
        self.function = FunctionParts(note)
        self.custom: _CustomParts | None = None
        self.extra = ExtraParts()

    @property
    def name(self) -> str:
        """Name of the tool, as far as it is known."""
        return (self.function if self.custom is None else self.custom).name.text

    def add(self, delta: ToolCallDelta) -> None:
        """Add *delta*, a piece of this call."""
        if delta.type:
            self.type = delta.type
        if delta.function is not None:
            if delta.function.name and not delta.function.arguments and self.function.arguments.is_whole():
                self.is_named_again = True
            self.function.add(delta.function)
        if delta.custom is not None and (delta.custom.name or delta.custom.input):
            self.custom = self.custom or _CustomParts(self._note)
            self.custom.add(delta.custom)
        self.extra.add(delta.extra)

    def says_something(self) -> bool:
        """Tell whether it has a name, arguments or an input."""
        return bool(self.function) or self.custom is not None

    def flows(self) -> bool:
        """Tell whether a piece with nothing but arguments, and without braces, can only be more of its arguments."""
        return self.custom is None and bool(self.function.name.text) and self.function.arguments.flows()

    def build(self) -> ToolCall:
        call_id = self.id or f"{SYNTHETIC_ID_PREFIX}{self.position}"
        extra = self.extra.build()
        if self.custom is not None:
            return ToolCall(id=call_id, type=self.type or "custom", custom=self.custom.build(), extra=extra)
        return ToolCall(id=call_id, type=self.type or "function", function=self.function.build(), extra=extra)


class _CustomParts:
    """Name and input of a custom tool."""

    __slots__ = ("_joint", "extra", "input", "name")

    def __init__(self, note: Note) -> None:
        self.name = _NameParts(note)
        self.input: list[str] = []
        self.extra = ExtraParts()
        self._joint = Joint()

    def add(self, delta: CustomCallDelta) -> None:
        self.name.add(delta.name, arguments_begin=bool(delta.input))
        self.input.append(delta.input or "")
        self.extra.add(delta.extra)

    def build(self) -> CustomCall:
        return CustomCall(name=self.name.text, input=self._joint.of(self.input), extra=self.extra.build())
