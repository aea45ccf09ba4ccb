"""Convert a JSON Schema to strict mode: the form that servers can enforce token by token.

Schemas of Python types are richer than those that servers of "structured outputs" compile. Each difference is settled:

    in the schema                             in strict mode
    ----------------------------------------  ---------------------------------------------------------------------
    an object                                 all properties ``required``, ``additionalProperties: false``; the
                                              default of a property that may be left out is in its description
    ``oneOf``                                 ``anyOf``
    one value; several values                 ``const``; ``enum``; each with its ``type``
    ``$defs`` and ``$ref``                    kept, so that types may contain themselves; a ``$ref`` with a
                                              description is wrapped in an ``anyOf``
    ``minLength``, ``uniqueItems``,           moved into the description, for the model to read; the answer is
    ``default`` ...                           checked for them here
    free keys (``dict``), ``Any``, tuples     refused, with the path
    of mixed types

Limits on size (properties, depth, enum values) are left to the server: they differ, they grow, and its refusal names
them.

See https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NoReturn

import msgspec

from opeai_async._core.json import JSONObject, is_array, is_object
from opeai_async.errors import RequestValidationError

REF = "#/$defs/"
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})
# By type: the keywords that strict mode has.
_KEPT = {
    "string": ("pattern", "format"),
    "number": ("multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    "integer": ("multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    "boolean": (),
    "null": (),
    "array": ("minItems", "maxItems"),
    "object": (),
}
# Keywords that are moved into the description, unless ``_is_kept`` keeps them.
_IN_WORDS = ("format", "pattern", "minLength", "maxLength", "uniqueItems", "contentEncoding", "examples", "default")
# No server compiles a pattern with look-ahead or look-behind.
_LOOKS_AROUND = re.compile(r"\(\?<?[=!]")
_ANY = "anything at all, which strict mode cannot express"
_SAY_TYPE = "say of what type it is"


def strict_schema(schema: JSONObject) -> JSONObject:
    """Convert *schema*, an object with its ``$defs``, to strict mode; returns a new one.

    Raises:
        RequestValidationError: If a part of it has no form in strict mode; names its path.
    """
    return _Strict(schema.get("$defs", {})).root(schema)


def resolved(schema: JSONObject, defs: JSONObject) -> JSONObject:
    """Return *schema* with a ``$ref`` at its root replaced by the definition."""
    while (ref := schema.get("$ref")) is not None:
        own = {name: value for name, value in schema.items() if name != "$ref"}
        schema = {**defs[ref.removeprefix(REF)], **own}
    return schema


def with_defs(root: JSONObject, defs: JSONObject) -> JSONObject:
    """Return *root* with those of *defs* that it refers to, directly or through others."""
    needed: dict[str, None] = {}
    names = list(_refs_in(root))
    while names:
        name = names.pop()
        if name not in needed:
            needed[name] = None
            names += _refs_in(defs[name])
    return {**root, "$defs": {name: defs[name] for name in defs if name in needed}} if needed else root


def absorbed(defs: JSONObject, schema: JSONObject, more: JSONObject) -> JSONObject:
    """Add the definitions *more*, which *schema* refers to, to *defs*; return *schema* with their new names.

    If a different definition has the name already, a number is appended to it.
    """
    names: dict[str, str] = {}
    for name, definition in more.items():
        new, number = name, 2
        while new in defs and defs[new] != definition:
            new, number = f"{name}_{number}", number + 1
        names[name] = new
    if any(name != new for name, new in names.items()):
        schema = _renamed(schema, names)
        more = {name: _renamed(definition, names) for name, definition in more.items()}
    defs.update({names[name]: definition for name, definition in more.items()})
    return schema


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if is_object(value):
        made = {name: _renamed(item, names) for name, item in value.items()}
        if isinstance(ref := value.get("$ref"), str):
            made["$ref"] = REF + names.get(name := ref.removeprefix(REF), name)
        return made
    return [_renamed(item, names) for item in value] if is_array(value) else value


def _refs_in(value: Any) -> Iterable[str]:
    if is_object(value):
        if isinstance(ref := value.get("$ref"), str):
            yield ref.removeprefix(REF)
        for item in value.values():
            yield from _refs_in(item)
    elif is_array(value):
        for item in value:
            yield from _refs_in(item)


class _Strict:
    """One conversion; a *path* is a place in the answer, such as ``$.items[].price``."""

    def __init__(self, defs: JSONObject) -> None:
        self._defs = defs
        self._done: JSONObject = {}

    def root(self, schema: JSONObject) -> JSONObject:
        own = {name: value for name, value in schema.items() if name != "$defs"}
        return with_defs(self._schema(own, "$"), self._done)

    def _schema(self, schema: Any, path: str) -> JSONObject:
        if not is_object(schema):
            _refuse(path, _ANY, _SAY_TYPE)
        if "$ref" in schema:
            return self._ref(schema, path)
        if "allOf" in schema:
            return self._all_of(schema, path)
        if options := schema.get("anyOf") or schema.get("oneOf"):
            return self._any_of(schema, options, path)
        if "const" in schema or "enum" in schema:
            return self._values(schema, path)
        kind = schema.get("type")
        if is_array(kind):
            return self._any_of(schema, [{**_undescribed(schema), "type": one} for one in kind], path)
        if kind not in _KEPT:
            _refuse(path, _ANY, _SAY_TYPE)
        if kind == "object":
            return self._object(schema, path)
        made = {"type": kind, **{name: schema[name] for name in _KEPT[kind] if _is_kept(name, schema)}}
        if kind == "array":
            self._add_items(schema, made, path)
        return _described(made, schema)

    def _ref(self, schema: JSONObject, path: str) -> JSONObject:
        ref = schema["$ref"]
        name = ref.removeprefix(REF)
        if name not in self._done:
            # Entered before its parts are converted, which may refer to it again.
            self._done[name] = {}
            self._done[name] = self._schema(self._defs[name], path)
        return _described({"$ref": ref}, schema)

    def _all_of(self, schema: JSONObject, path: str) -> JSONObject:
        parts = schema["allOf"]
        if len(parts) != 1:
            _refuse(path, "all of several schemas at once, which strict mode cannot express", "write out what they say")
        return self._schema({**parts[0], **{name: value for name, value in schema.items() if name != "allOf"}}, path)

    def _any_of(self, schema: JSONObject, options: list[Any], path: str) -> JSONObject:
        made: list[JSONObject] = []
        for option in options:
            one = self._schema(option, path)
            # An inner choice without words of its own is a part of the outer one.
            made += one["anyOf"] if set(one) == {"anyOf"} else [one]
        return _described(made[0] if len(made) == 1 else {"anyOf": made}, schema)

    def _values(self, schema: JSONObject, path: str) -> JSONObject:
        by_kind: dict[str, list[Any]] = {}
        for value in [schema["const"]] if "const" in schema else schema["enum"]:
            by_kind.setdefault(_kind_of(value, path), []).append(value)
        made = [_one_of(kind, values) for kind, values in by_kind.items()]
        return _described(made[0] if len(made) == 1 else {"anyOf": made}, schema)

    def _object(self, schema: JSONObject, path: str) -> JSONObject:
        properties = schema.get("properties")
        if properties is None or "patternProperties" in schema or is_object(schema.get("additionalProperties")):
            hint = "use a list of objects that have the key as a field, or strict=False"
            _refuse(path, "an object with free keys, such as a dict, which strict mode cannot express", hint)
        made = {name: self._schema(value, f"{path}.{name}") for name, value in properties.items()}
        whole = {"type": "object", "properties": made, "required": list(made), "additionalProperties": False}
        return _described(whole, schema)

    def _add_items(self, schema: JSONObject, made: JSONObject, path: str) -> None:
        items = schema.get("items")
        if parts := schema.get("prefixItems"):
            parts = [_undescribed(part) for part in parts]
            if any(part != parts[0] for part in parts):
                hint = "use an object with a field for each, or strict=False"
                _refuse(path, "an array whose items have types by position, which strict mode cannot express", hint)
            made.setdefault("minItems", len(parts))
            made.setdefault("maxItems", len(parts))
            items = parts[0]
        elif items is None and made.get("maxItems") == 0:
            # The array is always empty, but strict mode wants ``items``.
            items = {"type": "null"}
        made["items"] = self._schema(items, f"{path}[]")


def _described(made: JSONObject, schema: JSONObject) -> JSONObject:
    """Return *made* with the title and description of *schema*, and with keywords that strict mode lacks in words."""
    in_words = [f"{name}: {_as_json(schema[name])}" for name in _IN_WORDS if _is_in_words(name, schema)]
    description = schema.get("description") or made.get("description", "")
    if in_words:
        description = f"{description} ({'; '.join(in_words)})".strip()
    words = {"title": schema.get("title"), "description": description}
    words = {name: value for name, value in words.items() if value}
    # In strict mode, nothing may stand beside a ``$ref``.
    if words and "$ref" in made:
        made = {"anyOf": [made]}
    return {**made, **words}


def _is_in_words(name: str, schema: JSONObject) -> bool:
    return schema.get(name) is not None and not _is_kept(name, schema)


def _is_kept(name: str, schema: JSONObject) -> bool:
    match name:
        case "format":
            return schema.get(name) in _FORMATS
        case "pattern":
            return name in schema and not _LOOKS_AROUND.search(schema[name])
        case _:
            return name in schema and name not in _IN_WORDS


def _undescribed(schema: JSONObject) -> JSONObject:
    return {name: value for name, value in schema.items() if name not in ("title", "description", *_IN_WORDS[-2:])}


def _one_of(kind: str, values: list[Any]) -> JSONObject:
    if kind == "null":
        return {"type": kind}
    return {"type": kind, "const": values[0]} if len(values) == 1 else {"type": kind, "enum": values}


def _kind_of(value: object, path: str) -> str:
    kinds: dict[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
    kind = kinds.get(type(value))
    if kind is None:
        _refuse(path, "one of several values, of which some are no scalars", "use strings or numbers")
    return kind


def _as_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _refuse(path: str, what: str, hint: str) -> NoReturn:
    raise RequestValidationError(f"{path} is {what}", field=path, hint=hint)
