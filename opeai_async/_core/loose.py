"""JSON that is almost JSON, and fields that are not what they should be: read what can be read, lose nothing.

What no Struct names goes below ``_extra`` of the object it stood in: the name on the wire of the Structs' ``extra``.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import msgspec
from msgspec import Raw, Struct, inspect

from opeai_async._core.json_types import JSONObject, is_array, is_object
from opeai_async.types.common import WireStruct


def loads_loosely(payload: bytes) -> Any:
    """What msgspec refuses for good reasons, but servers send.

    That is NaN, lone surrogates, malformed UTF-8, control characters in strings, and numbers of any length.

    Lone surrogates stay in it: see ``without_surrogates``, and ``surrogates.py`` for those of a stream.

    Raises:
        ValueError: If it is no JSON all the same.
        RecursionError: If it is nested too deep.
    """
    return json.loads(payload.decode("utf-8", "replace"), strict=False, parse_int=_integer)


def _integer(digits: str) -> int | str:
    """Python refuses to read, and to print, more digits than this."""
    return int(digits) if len(digits) <= _MAX_DIGITS else digits


_decode_next = json.JSONDecoder(strict=False).raw_decode
_BETWEEN = re.compile(r"(?:\s|,|data:)*")
_THEN_DONE = re.compile(r"\[DONE\]\s*$")


def split_objects(payload: bytes) -> list[bytes] | None:
    """Return each of several objects that stand one after the other in *payload*; None if it is anything else.

    ``[DONE]`` may be the last of them.
    """
    text = payload.decode("utf-8", "replace")
    found: list[bytes] = []
    at = _end_of(_BETWEEN, text, 0)
    while at < len(text):
        if found and _THEN_DONE.match(text, at):
            found.append(b"[DONE]")
            break
        if text[at] != "{":
            return None
        try:
            _, end = _decode_next(text, at)
        except (ValueError, RecursionError):
            return None
        found.append(text[at:end].encode("utf-8", "replace"))
        at = _end_of(_BETWEEN, text, end)
    return found if len(found) > 1 else None


def _end_of(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return at if match is None else match.end()


def without_surrogates(value: Any) -> Any:
    """*value* with each lone surrogate as U+FFFD."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if is_array(value):
        return [without_surrogates(item) for item in value]
    if is_object(value):
        return {without_surrogates(name): without_surrogates(item) for name, item in value.items()}
    return value


def is_whole_object(text: str) -> bool:
    """Whether *text* is a JSON object from beginning to end, and has anything in it."""
    try:
        return bool(msgspec.json.decode(text, type=dict[str, Raw]))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False


# --- numbers where text should be ------------------------------------------------------------------------------------


_MAX_DIGITS = 4300


class NumberText(str):
    """How a JSON number was written; a float forgets that (``1.50``, ``1e3``)."""

    __slots__ = ()


_TEXTS = ("content", "reasoning_content", "reasoning", "reasoning_text")


class _Content(Struct):
    content: Raw = Raw(b"null")
    reasoning_content: Raw = Raw(b"null")
    reasoning: Raw = Raw(b"null")
    reasoning_text: Raw = Raw(b"null")


class _Part(Struct):
    delta: _Content | None = None
    message: _Content | None = None


class _Parts(Struct):
    choices: list[_Part]


_decode_parts = msgspec.json.Decoder(_Parts).decode


def keep_number_text(payload: bytes, body: JSONObject) -> None:
    """Replace each text of *body* that is a number by its ``NumberText``, as *payload* has it."""
    choices = body.get("choices")
    if not is_array(choices) or not any(map(_has_number, choices)):
        return
    try:
        parts = _decode_parts(payload).choices
    except (msgspec.MsgspecError, UnicodeDecodeError):
        _keep_number_text_loosely(payload, choices)
        return
    for choice, part in zip(choices, parts, strict=True):
        for name in _parts_of(choice):
            raw: _Content = getattr(part, name)
            _take_number_text(choice[name], {text: bytes(getattr(raw, text)).decode() for text in _TEXTS})


def _keep_number_text_loosely(payload: bytes, choices: list[Any]) -> None:
    """The same where something else in *payload* is odd too."""
    text = payload.decode("utf-8", "replace")
    again = json.loads(text, strict=False, parse_float=NumberText, parse_int=NumberText)["choices"]
    for choice, source in zip(choices, again, strict=True):
        for part in _parts_of(choice):
            _take_number_text(choice[part], source[part])


def _take_number_text(message: JSONObject, source: JSONObject) -> None:
    for name in _TEXTS:
        if _is_number(message.get(name)):
            message[name] = NumberText(source[name])


def _has_number(choice: Any) -> bool:
    return any(_is_number(choice[part].get(name)) for part in _parts_of(choice) for name in _TEXTS)


def _parts_of(choice: Any) -> list[str]:
    """Where a choice has its texts: what stands beside that is not read, and keeps its numbers."""
    return [name for name in ("delta", "message") if is_object(choice) and is_object(choice.get(name))][:1]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


# --- what no Struct names --------------------------------------------------------------------------------------------


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
