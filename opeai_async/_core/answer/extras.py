"""How vendor fields of many chunks become those of one message.

A field adds up as what it is. First its name decides, where it is known:

===========================================  ==========================================================
``type``, ``id``, ``status``, ``phase``, ..  a state: the latest value
``token_ids``, ...                           pieces of a list, one after the other
``images``                                   a list of whole items, all of which stay
``citations``, ``annotations``, ...          the same, but what comes again counts once
``reasoning_details``, ``thinking_blocks``,  blocks, see ``_core/dialect/blocks.py``; so is each list of objects in a
delta ``content_blocks``, ...                      whose name is not known
``signature``, ``*_opaque``, ...             a token, which counts once however often it comes
===========================================  ==========================================================

Then what the stream shows. In a delta, text adds up, unless it is the same word again and again, which is a state;
lists grow. Beside the deltas the latest value counts, but a list of numbers or texts in a choice grows, unless the next
one repeats it or begins with it, which is a state too. A null or an empty value never erases anything.

A vendor field is one too if a user's own Struct names it: then it is no part of ``extra`` in the chunk, but it becomes
one in the message, under its name on the wire.
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

_PIECES = frozenset({"token_ids", "output_token_ids", "completion_token_ids", "output_ids", "tokens"})
_WHOLE_ITEMS = frozenset({"images", "image_urls"})
_ONCE_EACH = frozenset({"citations", "annotations", "search_results", "web_search", "references", "sources"})
_BLOCKS = frozenset({"reasoning_details", "thinking_blocks", "content_blocks", "reasoning_content", "reasoning"})
_WORD = re.compile(r"[A-Za-z][\w.-]{2,63}").fullmatch


class ExtraParts:
    """Collects the ``extra`` of successive Structs; each ``add`` costs what it brings.

    Args:
        latest_wins: Whether the Structs are no deltas, so that what is not known to add up is a state.
        lists_grow: Whether lists of numbers or texts grow all the same, as they do right beside a delta.
    """

    __slots__ = ("_latest_wins", "_lists_grow", "_values")

    def __init__(self, *, latest_wins: bool = False, lists_grow: bool = False) -> None:
        self._latest_wins = latest_wins
        self._lists_grow = lists_grow
        self._values: dict[str, list[Any]] = {}

    def __bool__(self) -> bool:
        return bool(self._values)

    def add(self, extra: dict[str, Any]) -> None:
        for name, value in extra.items():
            before = self._values.get(name)
            if before is None:
                self._values[name] = [value]
            elif not (is_empty(value) or _is_repeated(name, value, before)):
                if (self._latest_wins and not isinstance(value, list)) or name in NAMES or name in STATES:
                    before[:] = (value,)
                else:
                    before.append(value)

    def build(self) -> dict[str, Any]:
        """What the message's ``extra`` is."""
        if not self._values:
            return NO_EXTRA
        built = {
            name: values[0] if len(values) == 1 else self._merged(name, values) for name, values in self._values.items()
        }
        if is_array(blocks := built.get("content_blocks")):
            count = len(blocks)
            while count and is_plain_text(blocks[count - 1]):
                count -= 1  # it goes back as the text that follows them
            built["content_blocks"] = blocks[:count]
        return built

    def _merged(self, name: str, values: list[Any]) -> Any:
        if not self._latest_wins:
            return _merged(name, values)
        return _merged_states(name, values, lists_grow=self._lists_grow)


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
    """Whether a token comes again, or whole arguments: Groq sends a tool it runs when it begins, and at its end."""
    if not isinstance(value, str) or before[-1] != value:
        return False
    return is_token(name) or (name == "arguments" and len(before) == 1 and value[:1] + value[-1:] == "{}")


def _merged(name: str, values: list[Any]) -> Any:
    """What the values of a delta's field *name* add up to."""
    present = [value for value in values if not is_empty(value)]
    if len(present) <= 1:
        return present[0] if present else next((value for value in values if value is not None), None)
    if all(isinstance(value, str) for value in present):
        return present[-1] if name not in PROSE and _is_state(present) else "".join(present)
    if all(map(is_array, present)):
        return _merged_lists(name, present)
    return _merged_blocks(present) if name in _BLOCKS else present[-1]


def _merged_states(name: str, values: list[Any], *, lists_grow: bool) -> Any:
    """What the values of a field beside the deltas add up to."""
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
    """Whether what comes again and again is a word that tells of a state, and no text."""
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
    """Blocks that come in lists, or one at a time; what is one at the end, and always came alone, stays alone."""
    parts = BlockParts()
    for value in values:
        for item in value if is_array(value) else [{"text": value} if isinstance(value, str) else value]:
            parts.add(item)
    blocks = parts.build()
    return blocks[0] if len(blocks) == 1 and not any(map(is_array, values)) else blocks
