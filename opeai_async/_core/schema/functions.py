"""Describe a function to a model, and decode the model's arguments to the types that the function declares.

The arguments are one JSON object with a property for each parameter:

    part of the property  comes from
    --------------------  ----------------------------------------------------------------------------
    type                  the annotation
    description           ``Annotated``, else the docstring
    default               the parameter's default; one with a default is not required
    required              all parameters without a default; in strict mode, all parameters

Arguments that the application has bound (``functools.partial``, by position or by name) are left out of the schema, so
that a model can neither see nor override them.
"""

from __future__ import annotations

import functools
import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

import msgspec
from msgspec import UNSET, UnsetType

from opeai_async._core.json import JSONObject
from opeai_async._core.schema.annotations import default_of, is_field_info
from opeai_async._core.schema.docstrings import parse_docstring
from opeai_async._core.schema.plain_json import with_escapes
from opeai_async._core.schema.schema import Described, Mismatch, Shape, decoded, described
from opeai_async._core.schema.schema_check import check
from opeai_async._core.schema.strict import absorbed
from opeai_async.errors import RequestValidationError

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_EMPTY: Any = inspect.Parameter.empty


class FunctionSchema(NamedTuple):
    """A function as a model sees it.

    Attributes:
        name: At most 64 letters, digits, ``_`` and ``-``.
        description: The docstring up to its first section; empty without one.
        parameters: JSON Schema of an object with one property per parameter.
        decode: Function that turns the text of a call's arguments into keyword arguments, checked and of the declared
            types; those that the model left out are missing. Blank text counts as ``{}``. It raises ``Mismatch`` with
            the path and the reason if the arguments do not fit.
    """

    name: str
    description: str
    parameters: JSONObject
    decode: Callable[[str], dict[str, Any]]


def function_schema(function: Callable[..., Any], *, name: str | None = None, strict: bool = False) -> FunctionSchema:
    """Describe *function* as a model needs it to make a call.

    Args:
        function: Any callable that takes its arguments by name: a function, a bound method, a partial, an object.
        name: Name to use in place of the function's own.
        strict: True for parameters in the form of strict mode.

    Raises:
        RequestValidationError: If a parameter cannot come from JSON, or the function has no name that an API takes.
    """
    plain, bound = _plain(function)
    if isinstance(plain, type):
        _refuse(plain.__name__, "it is a class", "give a function that makes one")
    name = _checked_name(name or getattr(plain, "__name__", None) or type(plain).__name__)
    text, said = parse_docstring(plain.__doc__)
    parameters = _parameters(function, plain, bound, name)
    arguments = _described_arguments(name, parameters)
    for parameter in parameters:
        _complete(arguments.schema["properties"][parameter.name], parameter, said.get(parameter.name, ""))
    shape: Shape[dict[str, Any]] = Shape(name, arguments)
    try:
        schema = shape.schema(strict=strict)
    except RequestValidationError as exc:
        where = str(exc.field or "$").removeprefix("$.")
        _refuse(name, f"the parameter {where!r} {str(exc).partition(' ')[2]}", exc.hint)
    # A parameter whose default is a ``Field(...)`` must get the default in it: the function would see the Field itself.
    defaults = {key: item.default for key, item in inspect.signature(function).parameters.items()}
    fields = {item.name: defaults[item.name] for item in parameters if is_field_info(defaults[item.name])}
    return FunctionSchema(name, text, schema, functools.partial(_decode, shape.decode, fields))


def schema_from_elsewhere(name: str, parameters: Mapping[str, Any], description: str) -> FunctionSchema:
    """Describe a function whose schema, *parameters*, is given; arguments are decoded as JSON and checked against it.

    Raises:
        RequestValidationError: If an API does not take the name, or the schema is not of an object.
    """
    schema = dict(parameters)
    if schema.setdefault("type", "object") != "object":
        _refuse(name, f"its parameters are of the type {schema['type']!r}, expected 'object'", "wrap them in an object")
    schema.setdefault("properties", {})
    try:
        msgspec.json.encode(schema)
    except (TypeError, ValueError, RecursionError) as exc:
        _refuse(name, f"its parameters are no JSON: {exc}", "give a JSON Schema as a dict")

    def arguments(text: str) -> dict[str, Any]:
        given = decoded(_ANY_OBJECT, text)
        check(given, schema)
        return given

    return FunctionSchema(_checked_name(name), description, schema, functools.partial(_decode, arguments, {}))


_ANY_OBJECT = msgspec.json.Decoder(dict[str, Any])


def _plain(function: Any) -> tuple[Any, set[str]]:
    """Return the function inside partials and decorators, which has the annotations; and the names that are bound."""
    bound: set[str] = set()
    while True:
        if isinstance(function, functools.partial):
            bound.update(function.keywords)
            function = function.func
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        else:
            return function, bound


def _checked_name(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise RequestValidationError(
            f"a function is named {name!r}, expected at most 64 letters, digits, '_' and '-'",
            field="name",
            hint="give it a name with name=",
        )
    return name


def _parameters(function: Callable[..., Any], plain: Any, bound: set[str], name: str) -> list[inspect.Parameter]:
    """Return the parameters that the model gives, with their annotations resolved."""
    try:
        # ``signature`` of a partial leaves out arguments bound by position, but keeps those bound by name.
        given = [parameter for key, parameter in inspect.signature(function).parameters.items() if key not in bound]
        hints = _hints(plain if inspect.isroutine(plain) else type(plain).__call__, {item.name for item in given})
    except (TypeError, ValueError, NameError, AttributeError, SyntaxError) as exc:
        _refuse(name, f"its parameters cannot be known: {exc}", "annotate it with types that its module knows")
    for parameter in given:
        _check_kind(name, parameter)
    return [_settled(parameter, hints.get(parameter.name, Any)) for parameter in given]


def _hints(function: Any, names: set[str]) -> dict[str, Any]:
    """Return the annotations of the parameters that the model gives.

    Other annotations are not resolved: their names may exist for type checkers only.
    """
    given = {name: hint for name, hint in function.__annotations__.items() if name in names}
    known = getattr(function, "__globals__", {})
    return typing.get_type_hints(types.SimpleNamespace(__annotations__=given), globalns=known, include_extras=True)


def _settled(parameter: inspect.Parameter, hint: Any) -> inspect.Parameter:
    """Return *parameter* with its resolved annotation, and with the default of a ``Field(...)`` in place of that."""
    default = parameter.default
    if is_field_info(default):  # n: int = Field(3, ...)
        hint, default = typing.Annotated[hint, default], default_of(default)
        default = _EMPTY if default is msgspec.NODEFAULT else default
    if default is None and not _takes_none(hint):  # limit: int = None
        hint = typing.Optional[hint]  # noqa: UP045 - `|` does not take every annotation
    return parameter.replace(annotation=hint, default=default)


def _takes_none(hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return _takes_none(typing.get_args(hint)[0])
    if origin in (typing.Union, types.UnionType, typing.Literal):
        return any(part is None or _takes_none(part) for part in typing.get_args(hint))
    return hint in (None, type(None), Any, object)


def _check_kind(name: str, parameter: inspect.Parameter) -> None:
    match parameter.kind:
        case inspect.Parameter.VAR_POSITIONAL | inspect.Parameter.VAR_KEYWORD:
            hint = "name each parameter, or take one list or object"
            _refuse(name, f"{parameter} takes any number of arguments, which a model cannot be told", hint)
        case inspect.Parameter.POSITIONAL_ONLY:
            hint = "a model names arguments: remove the `/`, or give it by functools.partial"
            _refuse(name, f"the parameter {parameter.name!r} cannot be given by name", hint)
        case _:
            pass


def _check_alias(name: str, parameter: inspect.Parameter) -> None:
    """Refuse an alias: pydantic reads it in its models, but a function is called by the names of its parameters."""
    items = getattr(parameter.annotation, "__metadata__", ())
    if any(is_field_info(item) and (item.alias or item.validation_alias) for item in items):
        hint = "give the parameter that name, or put it into a model"
        _refuse(name, f"the parameter {parameter.name!r} has an alias, which a function does not know", hint)


def _refuse(name: str, reason: str, hint: str | None) -> NoReturn:
    raise RequestValidationError(f"{name} cannot be a tool: {reason}", field=name, hint=hint) from None


def _described_arguments(name: str, parameters: list[inspect.Parameter]) -> Described:
    """Describe the object of all arguments; each is decoded separately, by msgspec or by pydantic."""
    defs: JSONObject = {}
    properties: JSONObject = {}
    decoders: dict[str, Callable[[str], Any]] = {}
    for parameter in parameters:
        _check_alias(name, parameter)
        try:
            schema, more, decoders[parameter.name] = described(parameter.annotation)
        except RequestValidationError as exc:
            _refuse(name, f"the parameter {parameter.name!r}: {exc}", exc.hint)
        properties[parameter.name] = absorbed(defs, schema, more)
    required = [parameter.name for parameter in parameters if parameter.default is _EMPTY]
    fields = [(key, msgspec.Raw) if key in required else (key, msgspec.Raw | UnsetType, UNSET) for key in properties]
    whole = msgspec.json.Decoder(msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True))

    def arguments(text: str) -> dict[str, Any]:
        given = decoded(whole, text)
        return {
            key: _argument(key, decode, raw)
            for key, decode in decoders.items()
            if not isinstance(raw := getattr(given, key), UnsetType)
        }

    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return Described(schema, defs, arguments)


def _argument(name: str, decode: Callable[[str], Any], raw: msgspec.Raw) -> Any:
    try:
        return decode(bytes(raw).decode())
    except Mismatch as exc:
        raise Mismatch(exc.reason, f"$.{name}{exc.path[1:]}") from None


def _complete(part: JSONObject, parameter: inspect.Parameter, said: str) -> None:
    """Add the default of *parameter* and its description *said* to its schema *part*."""
    if said:
        part.setdefault("description", said)
    if parameter.default is not _EMPTY and parameter.default is not None:
        try:
            part["default"] = msgspec.to_builtins(parameter.default, str_keys=True)
        except (TypeError, ValueError):  # JSON cannot express it; the function still uses it
            part.pop("default", None)


def _decode(decode: Callable[[str], dict[str, Any]], fields: dict[str, Any], text: str) -> dict[str, Any]:
    given = _given(decode, text)
    return {**{name: default_of(field) for name, field in fields.items() if name not in given}, **given}


def _given(decode: Callable[[str], dict[str, Any]], text: str) -> dict[str, Any]:
    if not text.strip():
        return decode("{}")
    try:
        return decode(text)
    except Mismatch as exc:
        # Many models write line breaks into strings; nothing else is repaired.
        if exc.is_json or (escaped := with_escapes(text)) == text:
            raise
    return decode(escaped)
