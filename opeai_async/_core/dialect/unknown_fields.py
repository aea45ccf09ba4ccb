"""Move fields that a wire type does not declare into the ``_extra`` of their object."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from msgspec import Struct, inspect

from opeai_async._core.json import JSONObject, is_array, is_object
from opeai_async.types.common import WireStruct


def put_extra(owner: JSONObject, fields: JSONObject) -> None:
    """Add *fields* to what *owner*'s ``extra`` will be."""
    if not fields:
        return
    present = owner.get("_extra", {})
    owner["_extra"] = {**(present if is_object(present) else {"_extra": present}), **fields}


def move_unknown_to_extra(value: JSONObject, wire_type: type[Struct]) -> None:
    """Move what *wire_type* and the Structs in it do not name to where their ``extra`` is read from."""
    known, movers = _fields_of(wire_type)
    if not value.keys() <= known:
        put_extra(value, {name: value.pop(name) for name in list(value) if name not in known})
    for name, move in movers:
        if item := value.get(name):
            move(item)


# Gateways add a field to every chunk, so what is to be done for a type is worked out once, and leaves out all that no
# Struct is in. What a Struct holds is looked up when one is met, since it may hold itself.
_Mover: TypeAlias = Callable[[Any], None]


@functools.lru_cache(maxsize=1024)
def _fields_of(struct: type[Struct]) -> tuple[frozenset[str], list[tuple[str, _Mover]]]:
    """The names of a Struct's fields on the wire, and what moves unknown fields inside them."""
    info = inspect.type_info(struct)
    fields = info.fields if isinstance(info, inspect.StructType) else ()
    names = {field.encode_name for field in fields}
    if struct.__struct_config__.tag_field is not None:
        names.add(struct.__struct_config__.tag_field)
    movers = [(field.encode_name, move) for field in fields if (move := _mover_of(field.type)) is not None]
    return frozenset(names), movers


def _mover_of(shape: inspect.Type) -> _Mover | None:
    """What moves unknown fields inside a value of *shape*; None if no Struct can be there."""
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
    """The wire type that *value* is to become: the only one, or the one of its tag."""
    if len(structs) == 1:
        return structs[0].cls
    return next((item.cls for item in structs if value.get(str(item.tag_field)) == item.tag), None)


def move_offender_to_extra(body: JSONObject, reason: str, *, coarsely: bool = False) -> bool:
    """Move the field msgspec complains of, as in ``... - at `$.choices[0].logprobs` ``, to its object's ``extra``.

    The field moved is the last one named on the path, unless an answer would be lost with it. What is wrong in one
    item of a list is wrong in many, so the same field of the other items moves too where it is of the same kind.

    Args:
        coarsely: Whether to move all of the choice's or the message's field that has anything wrong in it.
    """
    _, marker, path = reason.rpartition(" - at `$")
    steps = path.rstrip("`").replace("[", ".[").split(".")[1:]
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
    """*value* with what was moved to ``extra`` in it where it came from."""
    if is_object(value):
        moved = value.pop("_extra", None)
        fields = {name: _as_sent(item) for name, item in value.items()}
        return {**fields, **moved} if is_object(moved) else fields
    return [_as_sent(item) for item in value] if is_array(value) else value


def _at(value: Any, steps: list[str]) -> list[Any]:
    """What is at the path *steps*; ``[*]`` stands for each item."""
    found: list[Any] = [value]
    for step in steps:
        if step == "[*]":
            found = [item for items in found if is_array(items) for item in items if is_object(item)]
        elif step.startswith("["):
            found = [items[int(step[1:-1])] for items in found]
        else:
            found = [item[step] for item in found if is_object(item) and step in item]
    return found
