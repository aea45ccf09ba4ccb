"""Merge the vendor fields of many chunks into those of one message.

How the values of a field are merged depends on what it is. If its name is known, the name decides:

===========================================  ==========================================================
``type``, ``id``, ``status``, ``phase``, ..  a state: the latest value
``token_ids``, ...                           pieces of a list: joined in order
``images``                                   a list of whole items: all are kept
``citations``, ``annotations``, ...          a list of items, of which each counts once
``reasoning_details``, ``thinking_blocks``,  blocks, see ``_core/dialect/blocks.py``; a list of objects
``content_blocks``, ...                      of another name in a delta, too
``signature``, ``*_opaque``, ...             a token, which counts once however often it comes
===========================================  ==========================================================

Otherwise the values decide:

===========================================  ==========================================================
text in a delta                              joined; the same word again and again is a state
list in a delta                              grows
list of numbers or texts in a choice         grows; if the next one repeats it or begins with it, a state
anything else beside the deltas              a state
null or empty                                never erases anything
===========================================  ==========================================================

A field that a user's own Struct declares is a vendor field, too: it is not in the ``extra`` of the chunk, but in that
of the message, under its name on the wire. To keep only the latest value of each field was rejected: it loses text.
"""

from __future__ import annotations

import functools
import itertools
import operator
import re
import typing
from collections.abc import Iterator
from typing import Any

import msgspec

from opeai_async._core.call.send_back import flattened
from opeai_async._core.content_blocks import is_plain_text
from opeai_async._core.dialect.blocks import NAMES, PROSE, STATES, BlockParts, is_empty, is_token
from opeai_async._core.json import is_array, is_object, is_wire_type
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

# Structs that users may subclass, and whose fields the accumulator merges; others go into the message as they are.
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

_PIECES = frozenset({"token_ids", "output_token_ids", "completion_token_ids", "output_ids", "tokens"})
_WHOLE_ITEMS = frozenset({"images", "image_urls"})
_ONCE_EACH = frozenset({"citations", "annotations", "search_results", "web_search", "references", "sources"})
_BLOCKS = frozenset({"reasoning_details", "thinking_blocks", "content_blocks", "reasoning_content", "reasoning"})
# A state is a single word, such as "in_progress".
_WORD = re.compile(r"[A-Za-z][\w.-]{2,63}").fullmatch


class ExtraParts:
    """Collector of the ``extra`` of successive Structs; ``add`` costs no more than the size of what it adds.

    Args:
        latest_wins: True for Structs other than deltas: fields of unknown names are states.
        lists_grow: True if lists of numbers or texts still grow, as they do in a choice.
    """

    __slots__ = ("_latest_wins", "_lists_grow", "_values")

    def __init__(self, *, latest_wins: bool = False, lists_grow: bool = False) -> None:
        self._latest_wins = latest_wins
        self._lists_grow = lists_grow
        # By name, in the order in which they came; a single one if only the latest counts.
        self._values: dict[str, list[Any]] = {}

    def __bool__(self) -> bool:
        return bool(self._values)

    def add(self, extra: dict[str, Any]) -> None:
        for name, value in extra.items():
            before = self._values.get(name)
            if before is None:
                self._values[name] = [value]
            elif self._latest_wins and not isinstance(value, list):
                if value or not is_empty(value):
                    before[:] = (value,)
            elif not ((not value and is_empty(value)) or _is_repeated(name, value, before)):
                if name in NAMES or name in STATES:
                    before[:] = (value,)
                else:
                    before.append(value)

    def build(self) -> dict[str, Any]:
        """Return the ``extra`` of the message."""
        if not self._values:
            return NO_EXTRA
        built = {
            name: values[0] if len(values) == 1 else self._merged(name, values) for name, values in self._values.items()
        }
        if is_array(blocks := built.get("content_blocks")):
            count = len(blocks)
            while count and is_plain_text(blocks[count - 1]):
                count -= 1  # this text is sent back as the content, after the blocks
            built["content_blocks"] = blocks[:count]
        return built

    def _merged(self, name: str, values: list[Any]) -> Any:
        if not self._latest_wins:
            return _merged(name, values)
        return _merged_states(name, values, lists_grow=self._lists_grow)


@functools.lru_cache(maxsize=128)
def names_vendor_fields(chunk_type: type[WireStruct]) -> bool:
    """Tell whether *chunk_type*, or a Struct within it, declares fields that this API does not have."""
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
    """Return the vendor fields that a user's Struct declares, as decoded JSON, without those at their default."""
    fields: dict[str, Any] = {}
    for field, default in _own_fields(type(part)):
        value = getattr(part, field.name)
        if value is not msgspec.UNSET and value != default:
            fields[field.encode_name] = msgspec.to_builtins(flattened(value))
    return fields


@functools.lru_cache(maxsize=128)
def _own_fields(cls: type[WireStruct]) -> list[tuple[msgspec.structs.FieldInfo, Any]]:
    """Return the fields that a user added to one of our Structs, with their defaults."""
    ours = next(base for base in _TAKEN_APART if issubclass(cls, base))
    known = frozenset(field.name for field in msgspec.structs.fields(ours))
    return [(field, _default(field)) for field in msgspec.structs.fields(cls) if field.name not in known]


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def _is_repeated(name: str, value: Any, before: list[Any]) -> bool:
    """Tell whether *value* is a token again, or whole arguments again.

    Groq sends the arguments of a tool that it runs itself twice: at its beginning, and with its output.
    """
    if not isinstance(value, str) or before[-1] != value:
        return False
    return is_token(name) or (name == "arguments" and len(before) == 1 and value[:1] + value[-1:] == "{}")


def _merged(name: str, values: list[Any]) -> Any:
    """Merge the values of a delta's field *name*."""
    present = [value for value in values if not is_empty(value)]
    if len(present) <= 1:
        return present[0] if present else next((value for value in values if value is not None), None)
    if all(isinstance(value, str) for value in present):
        return present[-1] if name not in PROSE and _is_state(present) else "".join(present)
    if all(map(is_array, present)):
        return _merged_lists(name, present)
    return _merged_blocks(present) if name in _BLOCKS else present[-1]


def _merged_states(name: str, values: list[Any], *, lists_grow: bool) -> Any:
    """Merge the values of a field beside the deltas."""
    present = [value for value in values if is_array(value) and value]
    if len(present) < len(values):
        return values[-1]
    if name in _PIECES or name in _ONCE_EACH or name in _WHOLE_ITEMS:
        return _merged_lists(name, present)
    is_state = (
        not lists_grow
        or any(map(is_object, present[-1]))
        or any(after[: len(before)] == before for before, after in itertools.pairwise(present))
    )
    return present[-1] if is_state else list(itertools.chain.from_iterable(present))


def _is_state(texts: list[str]) -> bool:
    """Tell whether *texts* are words for a state, of which at least half repeat the one before; else they are text."""
    repeats = sum(map(operator.eq, texts, texts[1:]))
    return len(texts) > 2 and repeats * 2 >= len(texts) - 1 and all(map(_WORD, set(texts)))


def _merged_lists(name: str, lists: list[list[Any]]) -> list[Any]:
    items = list(itertools.chain.from_iterable(lists))
    if name in _ONCE_EACH:
        return list({_key_of(item): item for item in items}.values())
    return items if name in _PIECES or name in _WHOLE_ITEMS else _merged_blocks([items])


def _key_of(item: Any) -> bytes:
    return msgspec.json.encode(item, order="deterministic")


def _merged_blocks(values: list[Any]) -> Any:
    """Merge blocks that came in lists, or one at a time; if they never came in a list and make one, return it alone."""
    parts = BlockParts()
    for value in values:
        for item in value if is_array(value) else [{"text": value} if isinstance(value, str) else value]:
            parts.add(item)
    blocks = parts.build()
    return blocks[0] if len(blocks) == 1 and not any(map(is_array, values)) else blocks
