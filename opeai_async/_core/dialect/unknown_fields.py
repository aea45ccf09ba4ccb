"""Move fields that a wire type does not declare into the ``_extra`` of their object."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from msgspec import Struct, inspect

from opeai_async._core.json import JSONObject, is_array, is_object
from opeai_async.types.common import WireStruct


def put_extra(owner: JSONObject, fields: JSONObject) -> None:
    """Add *fields* to the ``_extra`` of *owner*, which is decoded as the Struct's ``extra``."""
    if not fields:
        return
    # A server's own field named ``_extra`` becomes one of the vendor fields, unless it is an object.
    present = owner.get("_extra", {})
    owner["_extra"] = {**(present if is_object(present) else {"_extra": present}), **fields}


def move_unknown_to_extra(value: JSONObject, wire_type: type[Struct]) -> None:
    """Move fields that *wire_type*, or a Struct in it, does not declare into the ``_extra`` of their object."""
    known, movers = _fields_of(wire_type)
    if not value.keys() <= known:
        put_extra(value, {name: value.pop(name) for name in list(value) if name not in known})
    for name, move in movers:
        if item := value.get(name):
            move(item)


# Gateways add a field to every chunk, so the work for a type is planned once, and skips fields that no Struct is in.
# The plan of an inner Struct is looked up only when a value of it comes, since a Struct may contain itself.
_Mover: TypeAlias = Callable[[Any], None]


@functools.lru_cache(maxsize=1024)
def _fields_of(struct: type[Struct]) -> tuple[frozenset[str], list[tuple[str, _Mover]]]:
    """Return the wire names of a Struct's fields, and the function for each field that Structs can be in."""
    info = inspect.type_info(struct)
    fields = info.fields if isinstance(info, inspect.StructType) else ()
    names = {field.encode_name for field in fields}
    if struct.__struct_config__.tag_field is not None:
        names.add(struct.__struct_config__.tag_field)
    movers = [(field.encode_name, move) for field in fields if (move := _mover_of(field.type)) is not None]
    return frozenset(names), movers


def _mover_of(shape: inspect.Type) -> _Mover | None:
    """Build the function that moves unknown fields inside a value of *shape*; None if no Struct can be there."""
    while isinstance(shape, inspect.Metadata):
        shape = shape.type
    members = shape.types if isinstance(shape, inspect.UnionType) else (shape,)
    structs = [item for item in members if isinstance(item, inspect.StructType) and issubclass(item.cls, WireStruct)]
    values = _movers_of(item.value_type for item in members if isinstance(item, inspect.DictType))
    items = _movers_of(item.item_type for item in members if isinstance(item, inspect.CollectionType))
    if not (structs or values or items):
        return None

    def move(value: Any) -> None:
        if is_object(value):
            struct = _struct_for(value, structs)
            if struct is not None:
                move_unknown_to_extra(value, struct)
            _move_in_each(value.values(), values)
        elif is_array(value):
            _move_in_each(value, items)

    return move


def _movers_of(shapes: Iterable[inspect.Type]) -> list[_Mover]:
    return [move for shape in shapes if (move := _mover_of(shape)) is not None]


def _move_in_each(values: Iterable[Any], movers: list[_Mover]) -> None:
    for move in movers:
        for value in values:
            move(value)


def _struct_for(value: JSONObject, structs: list[inspect.StructType]) -> type[Struct] | None:
    """Return the wire type that *value* will be decoded as: the only one, or the one of its tag."""
    if len(structs) == 1:
        return structs[0].cls
    return next((item.cls for item in structs if value.get(str(item.tag_field)) == item.tag), None)


def move_offender_to_extra(body: JSONObject, reason: str, *, coarsely: bool = False) -> bool:
    """Move the field that msgspec refuses, as in ``... - at `$.choices[0].logprobs` ``, into its object's ``_extra``.

    That is the last field on the path, unless an answer would be lost with it. A fault in one item of a list is mostly
    in all of them, so the same field of the other items is moved too if its value has the same type.

    Args:
        coarsely: True to move the whole field of the choice, or of the message, in which the fault is.

    Returns:
        False, with nothing moved, if the path names no field that may be moved.
    """
    _, marker, path = reason.rpartition(" - at `$")
    steps = path.rstrip("`").replace("[", ".[").split(".")[1:]
    # An item of a list has no name in ``_extra``: the whole list moves.
    while steps and steps[-1].startswith("["):
        steps.pop()
    if coarsely:
        steps = steps[: 4 if steps[2:3] in (["delta"], ["message"]) else 3 if steps[:1] == ["choices"] else 1]
        path = ""
    if not marker or not steps or "[...]" in path:  # inside a dict, of which msgspec does not name the key
        return False
    name = steps.pop()
    if name in ("choices", "delta", "message"):
        return False
    [owner] = _at(body, steps)
    offender: object = _as_sent(owner.pop(name)) if coarsely else owner.pop(name)
    put_extra(owner, {name: offender})
    if not isinstance(offender, (dict, list)):
        for other in _at(body, ["[*]" if step.startswith("[") else step for step in steps]):
            if is_object(other) and name in other and type(other[name]) is type(offender):
                put_extra(other, {name: other.pop(name)})
    return True


def _as_sent(value: Any) -> Any:
    """Return *value* with the fields that were moved into an ``_extra`` back in their places."""
    if is_object(value):
        moved = value.pop("_extra", None)
        fields = {name: _as_sent(item) for name, item in value.items()}
        return {**fields, **moved} if is_object(moved) else fields
    return [_as_sent(item) for item in value] if is_array(value) else value


def _at(value: Any, steps: list[str]) -> list[Any]:
    """Return the values at the path *steps*; ``[*]`` stands for each item of a list."""
    found: list[Any] = [value]
    for step in steps:
        if step == "[*]":
            found = [item for items in found if is_array(items) for item in items if is_object(item)]
        elif step.startswith("["):
            found = [items[int(step[1:-1])] for items in found]
        else:
            found = [item[step] for item in found if is_object(item) and step in item]
    return found
