"""Join pieces of blocks: structured reasoning, content and the like.

A server that streams a list of blocks sends pieces of them. A piece with an index continues the latest block of that
index; a piece without one continues the latest block of all. It begins a new block instead if one of these is true:

* its type or its id differs from the block's;
* it has prose, but the block has a token already (a signature closes what it signs), or it has another token;
* another field differs, such as an address: images stay separate even if all have the same index;
* it has no index, and neither prose nor a token: such an item is always a whole block.

In a block, prose is joined. A token (``signature``, ``data``, ``*_opaque``, ``encrypted*``) counts once, however often
it comes. To go by the index alone was rejected: several servers send every block with index 0.
"""

from __future__ import annotations

import functools
from typing import Any

from opeai_async._core.json import JSONObject, is_array, is_object

NAMES = frozenset({"type", "id", "format", "index", "name", "role", "tool_call_id", "channel"})
"""Fields that tell which block a piece belongs to; they are kept and not joined."""
STATES = frozenset({"phase", "status", "state", "stage", "step", "modality", "provider", "finish_reason"})
"""Fields whose latest value counts."""
PROSE = frozenset(
    {"text", "thinking", "thought", "summary", "content", "reasoning", "reasoning_text", "reasoning_content"}
    | {"transcript", "arguments", "input", "output", "partial_json", "delta", "code"}
)
"""Fields whose pieces are joined."""
# Opaque strings: a server accepts them back only if not a character has changed.
_TOKENS = frozenset({"signature", "thought_signature", "thoughtSignature", "data"})
_EMPTY: tuple[Any, ...] = (None, "", [], {})


@functools.lru_cache(maxsize=512)
def is_token(name: str) -> bool:
    """Tell whether a field holds an opaque string, which comes whole and must be sent back unchanged."""
    return name in _TOKENS or name.endswith(("_opaque", "_signature")) or name.startswith("encrypted")


def is_empty(value: Any) -> bool:
    """Tell whether *value* is null or empty."""
    return value is None or value in _EMPTY


class BlockParts:
    """The blocks of one list, or of one object that comes in pieces."""

    __slots__ = ("_blocks", "_by_index", "_by_kind", "_latest")

    def __init__(self) -> None:
        # All blocks in order; what is not an object stays as it came.
        self._blocks: list[Any] = []
        # The latest block of an index and type, of an index, and of all.
        self._by_kind: dict[tuple[int, str], _Block] = {}
        self._by_index: dict[int, _Block] = {}
        self._latest: _Block | None = None

    def add(self, item: Any) -> None:
        """Take one item of the list, or a piece of one."""
        if not is_object(item):
            self._blocks.append(item)
            self._latest = None
            return
        index = item.get("index")
        index = index if isinstance(index, int) else None
        block = self._latest if index is None else self._by_index.get(index)
        if block is None or not block.goes_on(item, has_index=index is not None):
            block = None if index is None else self._signed_by(item, index)
            if block is None:
                block = _Block()
                self._blocks.append(block)
        block.add(item)
        self._latest = block
        if index is not None:
            self._by_index[index] = self._by_kind[index, str(item.get("type"))] = block

    def _signed_by(self, item: JSONObject, index: int) -> _Block | None:
        """Return the earlier block that *item* only adds a token to; None if there is none.

        It has the index and the type of *item*, but a block of another type with the same index has come in between.
        """
        block = self._by_kind.get((index, str(item.get("type"))))
        is_token_only = not any(name in PROSE and value for name, value in item.items())
        return block if block is not None and is_token_only and block.lacks_token(item) else None

    def build(self) -> list[Any]:
        """Return the blocks so far."""
        return [block.build() if isinstance(block, _Block) else block for block in self._blocks]


class _Block:
    """One block: prose as lists of pieces, lists as blocks of their own, all else as it came."""

    __slots__ = ("_fields", "_tokens")

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}
        self._tokens: dict[str, Any] = {}

    def goes_on(self, item: JSONObject, *, has_index: bool) -> bool:
        """Tell whether *item* is a piece of this block."""
        # Empty fields decide nothing: many servers send all fields of a block in each piece.
        says = {name: value for name, value in item.items() if not is_empty(value)}
        tokens = {name: value for name, value in says.items() if _is_text_token(name, value)}
        if any(self._names_another(name, says.get(name)) for name in ("type", "id")):
            return False
        if any(self._tokens.get(name, value) != value for name, value in tokens.items()):
            return False
        has_prose = any(name in PROSE for name in says)
        if has_prose and self._tokens and not tokens:
            return False
        if not has_index and not any(name in PROSE or name in STATES or is_token(name) for name in item):
            return False
        return not any(self._differs(name, value) for name, value in says.items())

    def lacks_token(self, item: JSONObject) -> bool:
        """Tell whether this block has no token yet, and *item* may be a piece of it."""
        return not self._tokens and self.goes_on(item, has_index=True)

    def _names_another(self, name: str, value: Any) -> bool:
        known = self._fields.get(name)
        return not is_empty(value) and not is_empty(known) and value != known

    def _differs(self, name: str, value: Any) -> bool:
        """Tell whether the block has another value for a field that is not joined or replaced."""
        if name in NAMES or name in STATES or name in PROSE or is_token(name) or name not in self._fields:
            return False
        known = self._fields[name]
        if is_empty(known):
            return False
        return not is_array(value) if isinstance(known, BlockParts) else bool(known != value)

    def add(self, item: JSONObject) -> None:
        """Add the fields of *item*."""
        for name, value in item.items():
            if name in self._fields and is_empty(value):
                continue
            if _is_text_token(name, value):
                self._tokens[name] = self._fields[name] = value
            elif isinstance(value, str) and name in PROSE:
                self._add_prose(name, value)
            elif is_array(value):
                parts = self._fields.get(name)
                if not isinstance(parts, BlockParts):
                    parts = self._fields[name] = BlockParts()
                for inner in value:
                    parts.add(inner)
            else:
                self._fields[name] = value

    def _add_prose(self, name: str, value: str) -> None:
        pieces = self._fields.get(name)
        if not isinstance(pieces, _Pieces):
            pieces = self._fields[name] = _Pieces()
        # The output of a tool that ran at the server comes with its whole arguments again.
        if not (name == "arguments" and pieces == [value] and value[:1] + value[-1:] == "{}"):
            pieces.append(value)

    def build(self) -> JSONObject:
        """Return the block so far."""
        return {name: _built(value) for name, value in self._fields.items()}


class _Pieces(list[str]):
    """Pieces of one text; a type of its own, to tell them from a list that came as a field."""

    __slots__ = ()


def _built(value: Any) -> Any:
    if isinstance(value, _Pieces):
        return "".join(value)
    return value.build() if isinstance(value, BlockParts) else value


def _is_text_token(name: str, value: Any) -> bool:
    return isinstance(value, str) and bool(value) and is_token(name)
