"""What a model has to know of a function to call it, and its arguments decoded to the types it declares.

The parameters are one JSON object, whose fields are the function's parameters: their types from the annotations, what
they mean from ``Annotated[..., Meta(description=...)]``, else from the docstring. A parameter with a default is not
required, and its default is told. In strict mode the model must give every argument, so all are required.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Collection
from typing import Any, NamedTuple, NoReturn

import msgspec

from opeai_async._core.docstrings import parse_docstring
from opeai_async._core.json_types import JSONObject
from opeai_async._core.schema import Described, Shape, described, is_pydantic
from opeai_async._core.strict_schema import resolved
from opeai_async.errors import RequestValidationError

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_EMPTY: Any = inspect.Parameter.empty


class FunctionSchema(NamedTuple):
    """A function as a model sees it.

    Attributes:
        name: At most 64 letters, digits, ``_`` and ``-``.
        description: What the docstring says before its sections; empty without one.
        parameters: JSON Schema of an object with one property per parameter.
        decode: Turns the text of a call's arguments into keyword arguments, checked and of the declared types; those
            that the model left out are not in it. No text at all counts as ``{}``. Raises ``Mismatch`` with the path
            and the reason if they do not fit.
    """

    name: str
    description: str
    parameters: JSONObject
    decode: Callable[[str], dict[str, Any]]


def function_schema(
    function: Callable[..., Any], *, name: str | None = None, strict: bool = False, skip: Collection[str] = ()
) -> FunctionSchema:
    """What a model has to know to call *function*.

    Args:
        function: Any callable that takes its arguments by name: a function, a bound method, a partial, an object.
        name: In place of the function's own.
        strict: Give the parameters in the form of strict mode.
        skip: Parameters that the model is not to know, because the caller gives them, such as a context.

    Raises:
        RequestValidationError: If a parameter cannot come from JSON, or the function has no name that an API takes.
    """
    plain = _plain(function)
    if isinstance(plain, type):
        _refuse(plain.__name__, "it is a class", "give a function that makes one")
    name = _checked_name(name or getattr(plain, "__name__", None) or type(plain).__name__)
    text, said = parse_docstring(plain.__doc__)
    parameters = _parameters(function, plain, skip, name)
    made, defs, decode = _described_arguments(name, parameters)
    # The words of the object that holds the arguments are made up, or pydantic's.
    root = {key: value for key, value in resolved(made, defs).items() if key not in ("title", "description")}
    for parameter in parameters:
        _complete(root["properties"][parameter.name], parameter, said.get(parameter.name, ""))
    shape: Shape[dict[str, Any]] = Shape(name, Described(root, defs, decode))
    return FunctionSchema(name, text, shape.schema(strict=strict), functools.partial(_decode, shape))


def _plain(function: Any) -> Any:
    """The function whose name, docstring and annotations are those of *function*."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.unwrap(function)


def _checked_name(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise RequestValidationError(
            f"a function is named {name!r}, expected at most 64 letters, digits, '_' and '-'",
            field="name",
            hint="give it a name with name=",
        )
    return name


def _parameters(function: Callable[..., Any], plain: Any, skip: Collection[str], name: str) -> list[inspect.Parameter]:
    """The parameters that the model gives, with their annotations resolved."""
    try:
        signature = inspect.signature(function)
        hints = _hints(plain if inspect.isroutine(plain) else type(plain).__call__, skip)
    except (TypeError, ValueError, NameError, AttributeError) as exc:
        _refuse(name, f"its parameters cannot be known: {exc}", "annotate it with types that its module knows")
    made: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        if parameter.name in skip:
            continue
        _check_kind(name, parameter)
        made.append(parameter.replace(annotation=hints.get(parameter.name, Any)))
    return made


def _hints(function: Any, skip: Collection[str]) -> dict[str, Any]:
    """The annotations of the parameters that the model gives.

    Those of others, and of the result, are left alone: their names may be known to type checkers only.
    """
    given = {name: hint for name, hint in function.__annotations__.items() if name != "return" and name not in skip}
    names = getattr(function, "__globals__", {})
    return typing.get_type_hints(types.SimpleNamespace(__annotations__=given), globalns=names, include_extras=True)


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


def _refuse(name: str, reason: str, hint: str) -> NoReturn:
    raise RequestValidationError(f"{name} cannot be a tool: {reason}", field=name, hint=hint) from None


class _Absent:
    """Stands for an argument that was not given, whatever the parameter's default is."""


_ABSENT = _Absent()


def _described_arguments(name: str, parameters: list[inspect.Parameter]) -> Described:
    if any(is_pydantic(parameter.annotation) for parameter in parameters):
        return _described_by_pydantic(name, parameters)
    for parameter in parameters:
        try:
            described(parameter.annotation)
        except RequestValidationError as exc:
            _refuse(name, f"the parameter {parameter.name!r}: {exc}", exc.hint)
    fields = [
        (parameter.name, parameter.annotation)
        if parameter.default is _EMPTY
        else (parameter.name, parameter.annotation, msgspec.field(default_factory=lambda: _ABSENT))
        for parameter in parameters
    ]
    struct = msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True)
    schema, defs, decode = described(struct)

    def arguments(text: str) -> dict[str, Any]:
        given = msgspec.structs.asdict(decode(text))
        return {name: value for name, value in given.items() if value is not _ABSENT}

    return Described(schema, defs, arguments)


def _described_by_pydantic(name: str, parameters: list[inspect.Parameter]) -> Described:
    pydantic: Any = sys.modules["pydantic"]
    fields = {
        parameter.name: (parameter.annotation, ... if parameter.default is _EMPTY else parameter.default)
        for parameter in parameters
    }
    try:
        model = pydantic.create_model(name, __config__={"extra": "forbid"}, **fields)
    except pydantic.PydanticUserError as exc:
        _refuse(name, str(exc), "use types that pydantic knows")
    schema, defs, decode = described(model)

    def arguments(text: str) -> dict[str, Any]:
        given = decode(text)
        return {name: getattr(given, name) for name in given.model_fields_set}

    return Described(schema, defs, arguments)


def _complete(part: JSONObject, parameter: inspect.Parameter, said: str) -> None:
    """Tell the default of *parameter*, and what is said of it."""
    if said:
        part.setdefault("description", said)
    if parameter.default is not _EMPTY and parameter.default is not None:
        try:
            part["default"] = msgspec.to_builtins(parameter.default, str_keys=True)
        except (TypeError, ValueError):  # a default that JSON cannot express is the function's own business
            part.pop("default", None)


def _decode(shape: Shape[dict[str, Any]], text: str) -> dict[str, Any]:
    return shape.decode(text if text.strip() else "{}")
