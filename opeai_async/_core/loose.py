"""JSON that is almost JSON, and fields that are not what they should be: read what can be read, lose nothing."""

from __future__ import annotations

import json
import typing
from typing import Any

import msgspec

from opeai_async._core.json_types import JSONObject, is_array, is_object
from opeai_async._core.rules import SourceFloat
from opeai_async.types.common import WireStruct


def loads_loosely(payload: bytes) -> Any:
    """What msgspec refuses for good reasons, but servers send: NaN, lone surrogates, malformed UTF-8.

    Numbers with a fraction remember how they were written. No text has a lone surrogate, since no socket can carry one.

    Raises:
        ValueError: If it is no JSON all the same.
        RecursionError: If it is nested too deep.
    """
    return without_surrogates(json.loads(payload.decode("utf-8", "replace"), parse_float=_source_float))


def _source_float(source: str) -> SourceFloat:
    number = SourceFloat(source)
    number.source = source
    return number


def without_surrogates(value: Any) -> Any:
    """*value* with each lone surrogate as U+FFFD."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if is_array(value):
        return [without_surrogates(item) for item in value]
    if is_object(value):
        return {without_surrogates(name): without_surrogates(item) for name, item in value.items()}
    return value


def move_unknown_to_extra(value: Any, annotation: Any) -> None:
    """Move what the Structs in *annotation* do not name below ``_extra``, where their ``extra`` is read from."""
    struct = _wire_type_in(annotation)
    if struct is None:
        return
    if is_array(value):
        for item in value:
            move_unknown_to_extra(item, struct)
    elif is_object(value):
        known = {field.encode_name: field.type for field in msgspec.structs.fields(struct)}
        if unknown := {name: value.pop(name) for name in list(value) if name not in known}:
            value["_extra"] = {**value.get("_extra", {}), **unknown}
        for name, item in value.items():
            move_unknown_to_extra(item, known[name])


def _wire_type_in(annotation: Any) -> type[WireStruct] | None:
    if isinstance(annotation, type) and issubclass(annotation, WireStruct):
        return annotation
    found = (_wire_type_in(arg) for arg in typing.get_args(annotation))
    return next((wire_type for wire_type in found if wire_type is not None), None)


def move_offender_to_extra(body: JSONObject, reason: str) -> bool:
    """Move the field msgspec complains of, as in ``... - at `$.choices[0].logprobs` ``, to its object's ``extra``.

    The field moved is the last one named on the path, unless an answer would be lost with it.
    """
    _, marker, path = reason.rpartition(" - at `$")
    steps = path.rstrip("`").replace("[", ".[").split(".")[1:]
    while steps and steps[-1].startswith("["):
        steps.pop()
    if not marker or not steps or "[...]" in steps:
        return False
    owner: Any = body
    for step in steps[:-1]:
        owner = owner[int(step[1:-1])] if step.startswith("[") else owner[step]
    name = steps[-1]
    if name in ("choices", "delta", "message", "_extra"):
        return False
    owner["_extra"] = {**owner.get("_extra", {}), name: owner.pop(name)}
    return True
