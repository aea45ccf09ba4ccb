"""Give an index to the pieces of tool calls that have none, so that later steps can rely on it.

The first rule that applies decides:

    the piece                                              its index
    -----------------------------------------------------  -------------------------------------------
    has the id of a call, and not another name             that call's
    is the first, or begins another call (see ``_is_new``) one more than the highest
    anything else                                          the latest call's
"""

from __future__ import annotations

from opeai_async._core.dialect.tool_arguments import NONE_YET, ArgumentParts
from opeai_async._core.json import JSONObject, is_object


class _Known:
    """One call, as far as it is known."""

    __slots__ = ("arguments", "name")

    def __init__(self) -> None:
        self.name = ""
        self.arguments = ArgumentParts(lambda _: None)

    def has_ended(self) -> bool:
        """Tell whether its arguments are whole; a lone ``{}`` counts, although it may mean "none yet"."""
        return self.arguments.pieces == [NONE_YET] or self.arguments.is_whole()


class ToolCallIndexes:
    """Indexes of one choice's calls.

    Each delta with an id passes through here (``_core/decode/decoder.py`` never takes one for ordinary), so calls that
    came with an index are known too. ``ToolCallParts`` makes the same decisions for pieces that have an index.
    """

    def __init__(self) -> None:
        self._by_id: dict[str, int] = {}
        self._latest = self._highest = -1
        self._calls: dict[int, _Known] = {}

    def index_of(self, call: JSONObject) -> int:
        """Return the index for a piece that came without one; see the table of this module."""
        call_id, name, arguments = _id_of(call), name_in(call), arguments_in(call)
        known = self._by_id.get(call_id) if call_id else None
        if known is not None and not self._is_another_of_id(known, name):
            index = known
        elif self._latest < 0 or self._is_new(call.get("id"), name, arguments):
            index = self._highest + 1
        else:
            index = self._latest
        self.note(index, call)
        return index

    def note(self, index: int, call: JSONObject) -> None:
        """Remember a call whose index is known."""
        self._latest, self._highest = index, max(index, self._highest)
        known = self._calls.get(index) or self._calls.setdefault(index, _Known())
        known.name = name_in(call) or known.name
        if arguments := arguments_in(call):
            known.arguments.add(arguments)
        if call_id := _id_of(call):
            self._by_id[call_id] = index

    def knows(self, index: object) -> bool:
        """Tell whether a piece with an id, or without an index, has come for the call of this index."""
        return isinstance(index, int) and index in self._calls  # it may be anything: a list cannot even be looked up

    def _is_another_of_id(self, index: int, name: str) -> bool:
        """Tell whether *name* begins another call than that of *index*, although both have one id.

        A name that comes before the arguments may be a piece of the call's name, and so begins nothing.
        """
        known = self._calls[index]
        return bool(name and known.name and known.arguments) and name != known.name

    def _is_new(self, call_id: object, name: str, arguments: str) -> bool:
        """Tell whether a piece begins another call than the latest one; its name may be repeated in each piece."""
        latest = self._calls[self._latest]
        if not call_id:
            return bool(name and latest.name) and (name != latest.name or latest.has_ended())
        # An id without a name, with more of unfinished arguments, is a new id for the same call.
        return bool(name) or not isinstance(call_id, str) or not arguments or latest.has_ended()


def name_in(call: JSONObject) -> str:
    """Return the name of the tool in a call or a piece of one; ``""`` if there is none."""
    names = [tool.get("name") for tool in (call.get("function"), call.get("custom")) if is_object(tool)]
    return next((name for name in names if isinstance(name, str) and name), "")


def arguments_in(call: JSONObject) -> str:
    """Return the arguments, or the input, in a call or a piece of one; ``""`` if there are none."""
    for tool, field in (("function", "arguments"), ("custom", "input")):
        inner = call.get(tool)
        text = inner.get(field) if is_object(inner) else None
        if isinstance(text, str) and text:
            return text
    return ""


def _id_of(call: JSONObject) -> str:
    call_id = call.get("id")
    return call_id if isinstance(call_id, str) else ""
