"""How vendor fields of many chunks become those of one message.

In a delta, text adds up (but not a name or a type), and lists grow: items with an ``index`` are pieces of the item
with the same (type, index), as in OpenRouter's ``reasoning_details``. Everything else, and everything beside the
deltas, is a state: the latest value counts, and a null or an empty one never erases it.

A vendor field is one too if a user's own Struct names it: then it is no part of ``extra`` in the chunk, but it becomes
one in the message, under its name on the wire.
"""

from __future__ import annotations

import functools
import typing
from collections.abc import Iterator
from typing import Any

import msgspec

from opeai_async._core.encode import flattened
from opeai_async._core.json_types import is_array, is_object, is_wire_type
from opeai_async.types.chunk import (
    AudioDelta,
    ChatCompletionChunk,
    ChoiceDelta,
    ChunkChoice,
    CustomCallDelta,
    FunctionCallDelta,
    ToolCallDelta,
)
from opeai_async.types.common import NO_EXTRA, ChoiceLogprobs, WireStruct

# What users may extend, and the accumulator takes apart. Other Structs go into the message as they are.
_TAKEN_APART: tuple[type[WireStruct], ...] = (
    AudioDelta,
    ChatCompletionChunk,
    ChoiceDelta,
    ChoiceLogprobs,
    ChunkChoice,
    CustomCallDelta,
    FunctionCallDelta,
    ToolCallDelta,
)

# These fields name what a piece belongs to, and do not add up.
_NAMING_FIELDS = frozenset({"type", "id", "format", "index", "name", "role", "tool_call_id", "channel"})


class ExtraParts:
    """Collects the ``extra`` of successive Structs; each ``add`` costs what it brings."""

    __slots__ = ("_latest_wins", "_values")

    def __init__(self, *, latest_wins: bool = False) -> None:
        self._latest_wins = latest_wins
        self._values: dict[str, list[Any]] = {}

    def add(self, extra: dict[str, Any]) -> None:
        for name, value in extra.items():
            before = self._values.get(name)
            if before is not None and (value is None or value in ({}, [], "") or _is_repeated(name, value, before)):
                continue
            if self._latest_wins or name in _NAMING_FIELDS:
                self._values[name] = [value]
            else:
                self._values.setdefault(name, []).append(value)

    def build(self) -> dict[str, Any]:
        """What the message's ``extra`` is."""
        if not self._values:
            return NO_EXTRA
        return {name: _merged(values) for name, values in self._values.items()}


@functools.lru_cache(maxsize=128)
def names_vendor_fields(chunk_type: type[WireStruct]) -> bool:
    """Whether *chunk_type*, or a Struct within it, names fields that this API does not have."""
    if not issubclass(chunk_type, _TAKEN_APART):
        return False
    types_within = (part for field in msgspec.structs.fields(chunk_type) for part in _wire_types(field.type))
    return bool(_own_fields(chunk_type)) or any(map(names_vendor_fields, types_within))


def _wire_types(annotation: Any) -> Iterator[type[WireStruct]]:
    annotation = getattr(annotation, "__value__", annotation)  # the statement `type Name = ...`
    if is_wire_type(annotation):
        yield annotation
    for arg in typing.get_args(annotation):
        yield from _wire_types(arg)


def named_fields(part: WireStruct) -> dict[str, Any]:
    """The vendor fields that a user's Struct names, as decoded JSON, but those at their default."""
    fields: dict[str, Any] = {}
    for field, default in _own_fields(type(part)):
        value = getattr(part, field.name)
        if value is not msgspec.UNSET and value != default:
            fields[field.encode_name] = msgspec.to_builtins(flattened(value))
    return fields


@functools.lru_cache(maxsize=128)
def _own_fields(cls: type[WireStruct]) -> list[tuple[msgspec.structs.FieldInfo, Any]]:
    """The fields that a user added to one of our Structs, and their defaults."""
    ours = next(base for base in _TAKEN_APART if issubclass(cls, base))
    known = frozenset(field.name for field in msgspec.structs.fields(ours))
    return [(field, _default(field)) for field in msgspec.structs.fields(cls) if field.name not in known]


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def _is_repeated(name: str, value: Any, before: list[Any]) -> bool:
    """Whether whole arguments come again: Groq sends a tool it runs when it begins, and again with the output."""
    return name == "arguments" and before == [value] and isinstance(value, str) and value[:1] + value[-1:] == "{}"


def _merged(values: list[Any]) -> Any:
    present = [value for value in values if value is not None]
    if len(present) <= 1:
        return present[0] if present else None
    if all(isinstance(value, str) for value in present):
        return "".join(present)
    if all(is_array(value) for value in present):
        return _merged_items([item for value in present for item in value])
    return present[-1]


def _merged_items(items: list[Any]) -> list[Any]:
    whole: list[Any] = []
    pieces: dict[tuple[Any, Any], ExtraParts] = {}
    for item in items:
        if not is_object(item) or not isinstance(item.get("index"), int):
            whole.append(item)
            continue
        key = (str(item.get("type")), item["index"])
        if key not in pieces:
            pieces[key] = ExtraParts()
            whole.append(pieces[key])
        pieces[key].add(item)
    return [item.build() if isinstance(item, ExtraParts) else item for item in whole]
