"""Turn parts of an answer into what a later request sends back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeGuard

import msgspec

from opeai_async._core.content_blocks import is_thought, text_of, text_of_blocks
from opeai_async._core.json import is_object, is_row
from opeai_async.types.common import WireStruct


def sent(value: Any) -> Any:
    """`flattened`, but in a list of messages what was repaired goes back in the form it came in."""
    if not is_row(value):
        return flattened(value)
    return [as_it_came(item) if isinstance(item, WireStruct) else flattened(item) for item in value]


def as_it_came(message: WireStruct) -> dict[str, Any]:
    """*message* as its server wrote it: a server that has another name or form for reasoning may refuse ours."""
    fields: dict[str, Any] = flattened(message)
    for name in _REASONING_NAMES:
        if name in message.extra:
            came, text = message.extra[name], fields.pop("reasoning_content", None)
            if text is not None:
                fields[name] = text if isinstance(came, str) else came  # an object may hold a signature
    if is_row(blocks := message.extra.get("content_blocks")):
        del fields["content_blocks"]
        fields["content"] = _content_blocks(fields, blocks)
    return fields


_REASONING_NAMES = ("reasoning", "reasoning_text", "reasoning_content")


def _content_blocks(fields: dict[str, Any], blocks: Sequence[Any]) -> list[Any]:
    """The ``content`` that came as a list of *blocks*, with what came as text besides; what the user changed counts."""
    text, told = fields.get("content") or "", text_of_blocks(blocks)
    thoughts = [block for block in blocks if is_object(block) and is_thought(block)]
    if thoughts and (thought := fields.pop("reasoning_content", None)) != (text_of(thoughts) or None):
        replaced = [{**thoughts[-1], "thinking": thought}] if thought else []
        blocks = [*replaced, *(block for block in blocks if block not in thoughts)]
    if text.startswith(told):
        rest = text[len(told) :]
        return [*blocks, {"type": "text", "text": rest}] if rest else list(blocks)
    before = [block for block in blocks if is_object(block) and is_thought(block)]
    others = [block for block in blocks if block not in before and not text_of_blocks([block])]
    return [*before, {"type": "text", "text": text}, *others]


def flattened(value: Any) -> Any:
    """*value* with the vendor fields of each Struct beside its own, where they came from.

    msgspec writes a Struct's ``extra`` as the field ``_extra``; this is for the few requests in which one is not empty.
    """
    if isinstance(value, WireStruct):
        config = type(value).__struct_config__
        fields: dict[str, Any] = {} if config.tag is None else {str(config.tag_field): config.tag}
        for field in msgspec.structs.fields(type(value)):
            item = getattr(value, field.name)
            if field.name != "extra" and item is not field.default:
                fields[field.encode_name] = flattened(item)
        return {**value.extra, **fields}  # what a Struct names is never replaced by what came beside it
    if is_mapping(value):
        return {name: flattened(item) for name, item in value.items()}
    if is_row(value):
        return [flattened(item) for item in value]
    return value


def is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, (dict, Mapping))  # dict first: an abstract class is slow to ask


def is_iterable(value: object) -> TypeGuard[Iterable[Any]]:
    return isinstance(value, Iterable)
