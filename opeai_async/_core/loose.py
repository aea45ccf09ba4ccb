"""JSON that is almost JSON, and fields that are not what they should be: read what can be read, lose nothing.

What no Struct names goes below ``_extra`` of the object it stood in: the name on the wire of the Structs' ``extra``.
"""

from __future__ import annotations

import functools
import json
from typing import Any

import msgspec
from msgspec import Raw, Struct, inspect

from opeai_async._core.json_types import JSONObject, is_array, is_object
from opeai_async.types.common import WireStruct


def loads_loosely(payload: bytes) -> Any:
    """What msgspec refuses for good reasons, but servers send: NaN, lone surrogates, malformed UTF-8.

    No text in the result has a lone surrogate, since no socket can carry one.

    Raises:
        ValueError: If it is no JSON all the same.
        RecursionError: If it is nested too deep.
    """
    return without_surrogates(json.loads(payload.decode("utf-8", "replace")))


def without_surrogates(value: Any) -> Any:
    """*value* with each lone surrogate as U+FFFD."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if is_array(value):
        return [without_surrogates(item) for item in value]
    if is_object(value):
        return {without_surrogates(name): without_surrogates(item) for name, item in value.items()}
    return value


# --- numbers where text should be ------------------------------------------------------------------------------------


class NumberText(str):
    """How a JSON number was written; a float forgets that (``1.50``, ``1e3``)."""

    __slots__ = ()


class _Content(Struct):
    content: Raw = Raw(b"null")


class _Part(Struct):
    delta: _Content | None = None
    message: _Content | None = None


class _Parts(Struct):
    choices: list[_Part]


_decode_parts = msgspec.json.Decoder(_Parts).decode


def keep_number_text(payload: bytes, body: JSONObject) -> None:
    """Replace each ``content`` of *body* that is a number by its ``NumberText``, as *payload* has it."""
    choices = body.get("choices")
    if not is_array(choices) or not any(map(_has_number_content, choices)):
        return
    try:
        parts = _decode_parts(payload).choices
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return  # odd elsewhere too; then the number's repr must do
    for choice, part in zip(choices, parts, strict=True):
        for name, raw in (("delta", part.delta), ("message", part.message)):
            if raw is not None and _is_number(choice[name].get("content")):
                choice[name]["content"] = NumberText(bytes(raw.content).decode())


def _has_number_content(choice: Any) -> bool:
    if not is_object(choice):
        return False
    parts = (choice.get("delta"), choice.get("message"))
    return any(is_object(part) and _is_number(part.get("content")) for part in parts)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


# --- what no Struct names --------------------------------------------------------------------------------------------


def put_extra(owner: JSONObject, fields: JSONObject) -> None:
    """Add *fields* to what *owner*'s ``extra`` will be."""
    if not fields:
        return
    present = owner.get("_extra", {})
    owner["_extra"] = {**(present if is_object(present) else {"_extra": present}), **fields}


def move_unknown_to_extra(value: Any, wire_type: Any) -> None:
    """Move what the Structs in *wire_type* do not name to where their ``extra`` is read from."""
    _move_unknown(value, _shape_of(wire_type))


@functools.lru_cache(maxsize=128)
def _shape_of(wire_type: Any) -> inspect.Type:
    return inspect.type_info(wire_type)


@functools.lru_cache(maxsize=1024)
def _known_fields(struct: type[Struct]) -> dict[str, inspect.Type]:
    info = _shape_of(struct)
    fields = info.fields if isinstance(info, inspect.StructType) else ()
    known: dict[str, inspect.Type] = {field.encode_name: field.type for field in fields}
    if struct.__struct_config__.tag_field is not None:
        known[struct.__struct_config__.tag_field] = inspect.AnyType()
    return known


def _move_unknown(value: Any, shape: inspect.Type) -> None:
    while isinstance(shape, inspect.Metadata):
        shape = shape.type
    members = shape.types if isinstance(shape, inspect.UnionType) else (shape,)
    if is_array(value):
        for member in members:
            if isinstance(member, inspect.CollectionType):
                for item in value:
                    _move_unknown(item, member.item_type)
    elif is_object(value):
        struct = _struct_for(value, members)
        if struct is not None:
            _move_unknown_fields(value, _known_fields(struct))
        for member in members:
            if isinstance(member, inspect.DictType):
                for item in value.values():
                    _move_unknown(item, member.value_type)


def _struct_for(value: JSONObject, members: tuple[inspect.Type, ...]) -> type[Struct] | None:
    """The wire type that *value* is to become: the only one, or the one of its tag."""
    structs = [item for item in members if isinstance(item, inspect.StructType) and issubclass(item.cls, WireStruct)]
    if len(structs) > 1:
        structs = [item for item in structs if value.get(str(item.tag_field)) == item.tag]
    return structs[0].cls if structs else None


def _move_unknown_fields(value: JSONObject, known: dict[str, inspect.Type]) -> None:
    put_extra(value, {name: value.pop(name) for name in list(value) if name not in known})
    for name, item in value.items():
        if isinstance(item, (dict, list)):
            _move_unknown(item, known[name])


def move_offender_to_extra(body: JSONObject, reason: str) -> bool:
    """Move the field msgspec complains of, as in ``... - at `$.choices[0].logprobs` ``, to its object's ``extra``.

    The field moved is the last one named on the path, unless an answer would be lost with it.
    """
    _, marker, path = reason.rpartition(" - at `$")
    steps = path.rstrip("`").replace("[", ".[").split(".")[1:]
    while steps and steps[-1].startswith("["):
        steps.pop()
    if not marker or not steps or "[...]" in path:  # inside a dict, of which msgspec does not name the key
        return False
    owner: Any = body
    for step in steps[:-1]:
        owner = owner[int(step[1:-1])] if step.startswith("[") else owner[step]
    name = steps[-1]
    if name in ("choices", "delta", "message"):
        return False
    put_extra(owner, {name: owner.pop(name)})
    return True
