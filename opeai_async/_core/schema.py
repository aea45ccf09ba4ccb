"""A Python type as JSON: its name, its JSON Schema, and the decoder that holds an answer to it.

msgspec knows both sides for Structs, dataclasses, TypedDicts, attrs classes, enums, unions and all that they are made
of; here its schema is only completed with what it leaves out: the form of dates, times, decimals and bytes, and what
docstrings say of attributes. Types of pydantic are asked themselves, through their own ``TypeAdapter``. Pydantic is
never imported here: where it was not, there are none of its types.

An answer is always one JSON object, for that is what servers compile. A type that is none (a list, a union, a number)
travels in an object with the one field ``value``, and is taken out of it again.

Decoding is strict, and from the text as it came: no number is made out of a string.
"""

from __future__ import annotations

import functools
import re
import sys
import types
import typing
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, NoReturn, TypeVar, cast

import msgspec
from msgspec import inspect

from opeai_async._core.docstrings import parse_docstring
from opeai_async._core.json_types import JSONObject
from opeai_async._core.strict_schema import REF, resolved, strict_schema, with_defs
from opeai_async.errors import RequestValidationError

T = TypeVar("T")
Decode = Callable[[str], Any]

_MAX_NAME = 64
# So that a server which holds a model to patterns lets nothing through that the decoder refuses.
_DECIMAL = r"^-?[0-9]+(\.[0-9]+)?$"
_BASE64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
_WHERE = re.compile(r"(.*) - at (.*)`\$(.*)`$", re.DOTALL)


class Mismatch(ValueError):
    """A text is not of the type: *reason* says what is wrong, *path* where, such as ``$.items[0].price``."""

    def __init__(self, reason: str, path: str = "$") -> None:
        super().__init__(reason if path == "$" else f"{reason}, at {path}")
        self.reason = reason
        self.path = path


class Described(NamedTuple):
    """A JSON Schema without its ``$defs``, those, and how a text of that form is decoded."""

    schema: JSONObject
    defs: JSONObject
    decode: Decode


class Shape(Generic[T]):
    """The JSON form of the type ``T``, always an object; see the top of this file.

    Attributes:
        name: Of the type, as an API takes it: at most 64 letters, digits, ``_`` and ``-``.
        description: What the type's docstring says; empty if it has none.
        is_wrapped: Whether the value is in the field ``value`` of the object.
    """

    def __init__(self, name: str, described: Described) -> None:
        root = resolved(described.schema, described.defs)
        self.name = name
        self.is_wrapped = root.get("type") != "object"
        self.description: str = root.get("description", "")
        if self.is_wrapped:
            root = {"type": "object", "properties": {"value": described.schema}, "required": ["value"]}
        self._schema = with_defs(root, described.defs)
        self._decode = described.decode

    def schema(self, *, strict: bool) -> JSONObject:
        """The JSON Schema; in the form of strict mode, or as the type gives it.

        Raises:
            RequestValidationError: If *strict*, and strict mode cannot express the type; names the path.
        """
        return self._strict_schema if strict else self._schema

    @functools.cached_property
    def _strict_schema(self) -> JSONObject:
        return strict_schema(self._schema)

    def decode(self, text: str) -> T:
        """The value that *text* holds.

        Raises:
            Mismatch: If it is no JSON, or not of this type.
        """
        if not self.is_wrapped:
            return cast("T", self._decode(text))
        value = _decoded(_WRAPPER, text).value
        try:
            return cast("T", self._decode(bytes(value).decode()))
        except Mismatch as exc:
            raise Mismatch(exc.reason, f"$.value{exc.path[1:]}") from None


class _Wrapper(msgspec.Struct):
    value: msgspec.Raw


_WRAPPER = msgspec.json.Decoder(_Wrapper)


def shape_of(annotation: Any) -> Shape[Any]:
    """The JSON form of *annotation*: a class, or what stands in an annotation, such as ``list[int]``.

    Raises:
        RequestValidationError: If it has none.
    """
    try:
        return _remembered(annotation)
    except TypeError:  # not hashable, such as an Annotated with a list in it
        return _made(annotation)


def _made(annotation: Any) -> Shape[Any]:
    return Shape(name_of(annotation), described(annotation))


_remembered = functools.lru_cache(maxsize=256)(_made)


def name_of(annotation: Any) -> str:
    """A name for *annotation* that an API takes, such as ``list_City``."""
    return re.sub(r"[^a-zA-Z0-9_-]+", "_", _spelled(annotation)).strip("_")[:_MAX_NAME] or "response"


def _spelled(annotation: Any) -> str:
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _spelled(parts[0])
    if origin in (typing.Union, types.UnionType):
        return "_or_".join(map(_spelled, parts))
    return "_".join([getattr(annotation, "__name__", str(annotation)), *map(_spelled, parts)])


# --- what msgspec knows ----------------------------------------------------------------------------------------------


def described(annotation: Any) -> Described:
    """The schema of *annotation* with its parts, and its decoder.

    Raises:
        RequestValidationError: If it has none.
    """
    if is_pydantic(annotation):
        return described_by_pydantic(annotation)
    try:
        info = inspect.type_info(annotation)
        (schema,), defs = msgspec.json.schema_components((annotation,), ref_template=f"{REF}{{name}}")
        decoder = msgspec.json.Decoder(annotation)
    except (TypeError, NameError, NotImplementedError) as exc:
        refuse(annotation, str(exc).splitlines()[-1])
    _complete(info, schema, defs, set())
    return Described(schema, defs, functools.partial(_decoded, decoder))


def refuse(annotation: Any, reason: str) -> NoReturn:
    """Raise that *annotation* has no JSON form."""
    shown = annotation.__qualname__ if isinstance(annotation, type) else str(annotation)
    raise RequestValidationError(
        f"{shown} has no JSON form: {reason}",
        field="response_format",
        hint="use Structs, dataclasses, TypedDicts, attrs classes, pydantic models, enums, lists, literals, unions of "
        "these, defined where their annotations can be resolved",
    ) from None


def _decoded(decoder: msgspec.json.Decoder[T], text: str) -> T:
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as exc:
        if found := _WHERE.match(str(exc)):
            raise Mismatch(f"{found[1]}{' (a key)' if found[2] else ''}", f"${found[3]}") from None
        raise Mismatch(str(exc)) from None
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as exc:
        raise Mismatch(f"no JSON: {exc}") from None


def _complete(info: inspect.Type, schema: JSONObject, defs: JSONObject, seen: set[str]) -> None:
    """Add to *schema*, made of *info*, what msgspec leaves out."""
    while isinstance(info, inspect.Metadata):
        info = info.type
    if (ref := schema.get("$ref")) is not None:
        name = ref.removeprefix(REF)
        if name in seen:
            return
        seen.add(name)
        schema = defs[name]
    match info:
        case inspect.DateTimeType(tz=None):
            schema.setdefault("format", "date-time")
        case inspect.TimeType(tz=None):
            schema.setdefault("format", "time")
        case inspect.DecimalType():
            schema.setdefault("pattern", _DECIMAL)
        case inspect.BytesType() | inspect.ByteArrayType():
            schema.setdefault("pattern", _BASE64)
        case inspect.UnionType():
            for part, option in zip(_choices(info), _options(schema), strict=False):
                _complete(part, option, defs, seen)
        case inspect.CollectionType() if "items" in schema:
            _complete(info.item_type, schema["items"], defs, seen)
        case inspect.TupleType():
            for part, item in zip(info.item_types, schema.get("prefixItems", ()), strict=False):
                _complete(part, item, defs, seen)
        case inspect.DictType() if "additionalProperties" in schema:
            _complete(info.value_type, schema["additionalProperties"], defs, seen)
        case inspect.StructType() | inspect.DataclassType() | inspect.TypedDictType():
            _complete_fields(info, schema, defs, seen)
        case _:
            pass


def _complete_fields(
    info: inspect.StructType | inspect.DataclassType | inspect.TypedDictType,
    schema: JSONObject,
    defs: JSONObject,
    seen: set[str],
) -> None:
    # msgspec leaves out docstrings that Python makes up.
    docstring = (typing.get_origin(info.cls) or info.cls).__doc__ if schema.pop("description", None) else None
    text, said = parse_docstring(docstring)
    if text:
        schema["description"] = text
    properties: JSONObject = schema.get("properties", {})
    for field in info.fields:
        if (part := properties.get(field.encode_name)) is None:
            return  # by position, not by name
        _complete(field.type, part, defs, seen)
        if field.name in said:
            part.setdefault("description", said[field.name])


def _choices(info: inspect.UnionType) -> list[inspect.Type]:
    """The members of a union, in the order in which their schemas stand: Structs after others, None last."""

    def rank(part: inspect.Type) -> int:
        while isinstance(part, inspect.Metadata):
            part = part.type
        if isinstance(part, inspect.NoneType):
            return 2
        return 1 if isinstance(part, inspect.StructType) and not part.array_like else 0

    return sorted(info.types, key=rank)


def _options(schema: JSONObject) -> list[JSONObject]:
    """The schemas of the members of a union; those of Structs are a union in it."""
    made: list[JSONObject] = []
    for option in schema["anyOf"]:
        made += option["anyOf"] if "discriminator" in option else [option]
    return made


# --- what pydantic knows ---------------------------------------------------------------------------------------------


def is_pydantic(annotation: Any) -> bool:
    """Whether *annotation* is, or is made of, a type of pydantic."""
    if "pydantic" not in sys.modules:
        return False
    return hasattr(annotation, "__pydantic_core_schema__") or any(map(is_pydantic, typing.get_args(annotation)))


def described_by_pydantic(annotation: Any) -> Described:
    """The same as ``described``, from pydantic."""
    pydantic: Any = sys.modules["pydantic"]
    try:
        adapter = pydantic.TypeAdapter(annotation)
        schema: JSONObject = adapter.json_schema()
    except pydantic.PydanticUserError as exc:
        refuse(annotation, str(exc).splitlines()[0])
    defs = schema.pop("$defs", {})

    def decode(text: str) -> Any:
        try:
            return adapter.validate_json(text)
        except pydantic.ValidationError as exc:
            raise _mismatch(exc) from None

    return Described(schema, defs, decode)


def _mismatch(exc: Any) -> Mismatch:
    """What pydantic says, in the form of msgspec's."""
    first = exc.errors(include_url=False, include_context=False, include_input=False)[0]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    return Mismatch(first["msg"], f"${path}")
