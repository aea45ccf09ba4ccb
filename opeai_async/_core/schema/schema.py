"""A Python type as JSON: its name, its JSON Schema, and the decoder that holds an answer to it.

msgspec knows both sides for Structs, dataclasses, TypedDicts, attrs classes, enums, unions and all that they are made
of; here its schema is only completed with what it leaves out: the form of dates, times, decimals and bytes, and what
docstrings say of attributes. Types of pydantic are asked themselves, through their own ``TypeAdapter``. Pydantic is
never imported here: where it was not, there are none of its types.

An answer is always one JSON object, for that is what servers compile. A type that is none (a list, a union, a number)
travels in an object with the one field ``value``, and is taken out of it again.

Decoding is strict, whoever decodes: no number is made out of a string. But a number without a fraction is an integer,
however it is written (JSON Schema 2020-12, 6.1.1): ``5.0`` and ``1e3`` are.
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

from opeai_async._core.json import JSONObject
from opeai_async._core.schema.annotations import Translation, is_pydantic, translated, words_of
from opeai_async._core.schema.docstrings import parse_docstring
from opeai_async._core.schema.plain_json import with_plain_integers
from opeai_async._core.schema.strict import REF, absorbed, resolved, strict_schema, with_defs
from opeai_async.errors import RequestValidationError

T = TypeVar("T")
Decode = Callable[[str], Any]

WRAPPER_FIELD = "value"
_MAX_NAME = 64
# So that a server which holds a model to patterns lets nothing through that the decoder refuses.
_DECIMAL = r"^-?[0-9]+(\.[0-9]+)?$"
_BASE64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
# Between a reason and the path below the place that msgspec names.
_BELOW = "\0"
_WHERE = re.compile(r"(.*) - at (.*)`\$(.*)`$", re.DOTALL)


class Mismatch(ValueError):
    """A text is not of the type.

    Attributes:
        reason: What is wrong.
        path: Where, such as ``$.items[0].price``.
        is_json: Whether the text is JSON at all.
    """

    def __init__(self, reason: str, path: str = "$", *, is_json: bool = True) -> None:
        super().__init__(reason if path == "$" else f"{reason}, at {path}")
        self.reason = reason
        self.path = path
        self.is_json = is_json


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
            root = {
                "type": "object",
                "properties": {WRAPPER_FIELD: described.schema},
                "required": [WRAPPER_FIELD],
            }
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
        """Return the value that *text* holds.

        Raises:
            Mismatch: If it is no JSON, or not of this type.
        """
        try:
            return self._value(text)
        except Mismatch as exc:
            plainer = with_plain_integers(text) if exc.is_json else text
            if plainer == text:
                raise
        return self._value(plainer)

    def _value(self, text: str) -> T:
        if not self.is_wrapped:
            return cast("T", self._decode(text))
        value = decoded(_WRAPPER, text).value
        try:
            return cast("T", self._decode(bytes(value).decode()))
        except Mismatch as exc:
            raise Mismatch(exc.reason, f"$.{WRAPPER_FIELD}{exc.path[1:]}") from None


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
    """Describe *annotation*: its schema with its parts, and its decoder.

    Raises:
        RequestValidationError: If it has none.
    """
    if is_pydantic(annotation):
        return _described_by_pydantic(annotation)
    said = translated(annotation)
    if not (said.has_pydantic or said.needs_pydantic):
        return _described_by_msgspec(annotation, said)
    if said.is_beyond_pydantic and not said.needs_pydantic:
        return _described_by_msgspec(annotation, said)
    try:
        return _described_by_pydantic(annotation)
    except RequestValidationError:
        if said.needs_pydantic or not said.has_fields:
            raise
    return _described_by_msgspec(annotation, said)  # such as a TypedDict of typing, before Python 3.12


def _described_by_msgspec(annotation: Any, said: Translation) -> Described:
    defs: JSONObject = {}

    def schema_of(kind: type) -> JSONObject:
        if not is_pydantic(kind):
            raise NotImplementedError
        schema, more, _ = _described_by_pydantic(kind)
        return absorbed(defs, schema, more)

    try:
        info = inspect.type_info(said.annotation)
        (schema,), own = msgspec.json.schema_components(
            (said.annotation,), schema_hook=schema_of, ref_template=f"{REF}{{name}}"
        )
        decoder = msgspec.json.Decoder(annotation, dec_hook=_decoded_by_pydantic)
        checker = msgspec.json.Decoder(said.annotation, dec_hook=_decoded_by_pydantic) if said.is_bounded else None
    except (TypeError, ValueError, NameError, NotImplementedError) as exc:
        refuse(annotation, str(exc).splitlines()[-1] if str(exc) else "it has a part that JSON cannot express")
    schema = absorbed(defs, schema, own)
    _complete(info, schema, defs, set())

    def decode(text: str) -> Any:
        if checker is not None:
            decoded(checker, text)
        return decoded(decoder, text)

    return Described(schema, defs, decode)


def refuse(annotation: Any, reason: str) -> NoReturn:
    """Raise that *annotation* has no JSON form."""
    shown = annotation.__qualname__ if isinstance(annotation, type) else str(annotation)
    raise RequestValidationError(
        f"{shown} has no JSON form: {reason}",
        field="response_format",
        hint="use Structs, dataclasses, TypedDicts, attrs classes, pydantic models, enums, lists, literals, unions of "
        "these, defined where their annotations can be resolved",
    ) from None


def decoded(decoder: msgspec.json.Decoder[T], text: str) -> T:
    """Return what *decoder* makes of *text*.

    Raises:
        Mismatch: If it is no JSON, or not of the decoder's type.
    """
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as exc:
        said, inner = str(exc), ""
        if found := _WHERE.match(said):
            said, inner = f"{found[1]}{' (a key)' if found[2] else ''}", found[3]
        reason, _, below = said.partition(_BELOW)
        raise Mismatch(reason, f"${inner}{below}") from None
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as exc:
        raise Mismatch(f"no JSON: {exc}", is_json=False) from None


def _complete(info: inspect.Type, schema: JSONObject, defs: JSONObject, seen: set[str]) -> None:
    """Add to *schema*, made of *info*, what msgspec leaves out."""
    while isinstance(info, inspect.Metadata):
        if isinstance(info.type, inspect.LiteralType):
            schema.update(getattr(info, "extra_json_schema", None) or {})  # which holds its values in their order
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
        case inspect.EnumType() if "enum" in schema:  # which msgspec sorts
            schema["enum"] = [member.value for member in info.cls]
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


def _described_by_pydantic(annotation: Any) -> Described:
    pydantic: Any = sys.modules["pydantic"]
    try:
        adapter = pydantic.TypeAdapter(annotation)
        schema: JSONObject = adapter.json_schema()
    except (pydantic.PydanticUserError, NameError, TypeError, ValueError) as exc:
        refuse(annotation, str(exc).splitlines()[0])
    defs = schema.pop("$defs", {})
    if (
        isinstance(annotation, type) and schema.get("type") == "object"
    ):  # named, as msgspec's are: used twice, told once
        defs[name := name_of(annotation)] = schema
        schema = {"$ref": f"{REF}{name}"}
    return Described({**schema, **words_of(annotation)}, defs, functools.partial(_validated, adapter))


def _validated(adapter: Any, text: str | bytes) -> Any:
    """Decode *text* by pydantic, as strictly as all else is decoded here."""
    try:
        return adapter.validate_json(text, strict=True)
    except sys.modules["pydantic"].ValidationError as exc:
        raise _mismatch(exc) from None


@functools.lru_cache(maxsize=256)
def _adapter_of(kind: type) -> Any:
    pydantic: Any = sys.modules["pydantic"]
    return pydantic.TypeAdapter(kind)


def _decoded_by_pydantic(kind: type, value: Any) -> Any:
    """Make a *kind*, one of pydantic's, of *value*, which is inside a type of msgspec's; its ``dec_hook``."""
    try:
        return _validated(_adapter_of(kind), msgspec.json.encode(value))
    except Mismatch as exc:
        raise ValueError(f"{exc.reason}{_BELOW}{exc.path[1:]}") from None  # msgspec adds where it was


def _mismatch(exc: Any) -> Mismatch:
    """Return what pydantic says, in the form of msgspec's."""
    first = exc.errors(include_url=False, include_context=False, include_input=False)[0]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    return Mismatch(first["msg"], f"${path}", is_json=first["type"] != "json_invalid")
