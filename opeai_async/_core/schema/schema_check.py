"""Check a JSON value against a JSON Schema, with the keywords that schemas of tools use.

Tools whose schema is given (OpenAPI, MCP) have no type to decode to, but a model must still learn what is wrong with
its arguments. Checked are ``type``, ``enum``, ``const``, ``properties``, ``required``, ``additionalProperties``,
``items``, ``anyOf``, ``oneOf``, ``allOf``, and ``$ref`` to ``$defs`` or ``definitions``; other keywords are left to the
tool itself. The package jsonschema, which knows all keywords, was rejected: one more dependency for one message.

See https://json-schema.org/draft/2020-12/json-schema-validation
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeGuard

from opeai_async._core.json import JSONObject, is_array, is_object
from opeai_async._core.schema.schema import Mismatch

# Beyond it, values are accepted unchecked: a ``$ref`` may lead to itself without end.
_MAX_DEPTH = 64


def check(value: object, schema: JSONObject) -> None:
    """Check *value* against *schema*.

    Raises:
        Mismatch: If it is not valid; names the place and what was expected there.
    """
    _Check(schema).run(value, schema, "$", 0)


class _Check:
    def __init__(self, root: JSONObject) -> None:
        self._root = root

    def run(self, value: object, schema: object, path: str, depth: int) -> None:
        if schema is False:
            raise Mismatch("Expected nothing", path)
        if not is_object(schema) or depth > _MAX_DEPTH:
            return
        if isinstance(ref := schema.get("$ref"), str):
            self.run(value, self._target(ref), path, depth + 1)
        self._run_choices(value, schema, path, depth)
        _check_kind(value, schema, path)
        if is_object(value):
            self._run_object(value, schema, path, depth)
        elif is_array(value) and "items" in schema:
            for position, item in enumerate(value):
                self.run(item, schema["items"], f"{path}[{position}]", depth + 1)

    def _target(self, ref: str) -> object:
        target: object = self._root
        for step in ref.removeprefix("#").split("/")[1:]:
            target = target.get(step.replace("~1", "/").replace("~0", "~")) if is_object(target) else None
        return target

    def _run_choices(self, value: object, schema: JSONObject, path: str, depth: int) -> None:
        for part in schema.get("allOf") or ():
            self.run(value, part, path, depth + 1)
        for name in ("anyOf", "oneOf"):
            options: list[object] = schema.get(name) or []
            found = [self._mismatch(value, option, path, depth) for option in options]
            # The option that fits deepest is most likely the one the model meant.
            if options and all(found):
                deepest = max((mismatch for mismatch in found if mismatch), key=lambda mismatch: len(mismatch.path))
                raise deepest

    def _mismatch(self, value: object, schema: object, path: str, depth: int) -> Mismatch | None:
        try:
            self.run(value, schema, path, depth + 1)
        except Mismatch as exc:
            return exc
        return None

    def _run_object(self, value: JSONObject, schema: JSONObject, path: str, depth: int) -> None:
        for name in schema.get("required") or ():
            if name not in value:
                raise Mismatch(f"Object missing required field `{name}`", path)
        properties: JSONObject = schema.get("properties") or {}
        others = schema.get("additionalProperties", True)
        for name, item in value.items():
            if name in properties:
                self.run(item, properties[name], f"{path}.{name}", depth + 1)
            elif schema.get("patternProperties"):
                continue
            elif others is False:
                raise Mismatch(f"Object contains unknown field `{name}`", path)
            else:
                self.run(item, others, f"{path}.{name}", depth + 1)


def _check_kind(value: object, schema: JSONObject, path: str) -> None:
    for name in ("const", "enum"):
        if name in schema:
            allowed = [schema[name]] if name == "const" else schema[name]
            # To Python, 1 equals True; to JSON Schema it does not.
            if not any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in allowed):
                raise Mismatch(f"Expected one of {allowed!r}", path)
    kinds = schema.get("type")
    kinds = [kinds] if isinstance(kinds, str) else kinds or []
    if kinds and not any(_IS_KIND[kind](value) for kind in kinds if kind in _IS_KIND):
        raise Mismatch(f"Expected {' or '.join(f'`{kind}`' for kind in kinds)}, got `{_kind_of(value)}`", path)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_IS_KIND: dict[str, Callable[[Any], bool]] = {
    "object": is_object,
    "array": is_array,
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: _is_number(value) and value == int(value),
    "number": _is_number,
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}


def _kind_of(value: object) -> str:
    return next(kind for kind, is_kind in reversed(_IS_KIND.items()) if is_kind(value))
