"""Describe a Python type as JSON: its name, its JSON Schema, and the decoder that checks an answer.

    type                                                schema and decoder from
    --------------------------------------------------  -----------------------------------------------------------
    Structs, dataclasses, TypedDicts, attrs classes,    msgspec; added here are the form of dates, times, decimals
    enums, unions, and what they are made of            and bytes, and descriptions of attributes from docstrings
    types of pydantic, and classes with its validators  pydantic's ``TypeAdapter``; pydantic is never imported here

An answer is always one JSON object, because that is what servers compile. A type of another form (a list, a union, a
number) is sent as an object with the one field ``value``, and is taken out of it again.

Decoding is strict, by msgspec as by pydantic: a string never becomes a number. But a number without a fraction is an
integer, however it is written (JSON Schema 2020-12, 6.1.1): ``5.0`` and ``1e3`` are integers.
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
# Bound of the API on names of schemas and of functions.
_MAX_NAME = 64
# With these, a server that enforces patterns lets nothing through that the decoder refuses.
_DECIMAL = r"^-?[0-9]+(\.[0-9]+)?$"
_BASE64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
# Separates, in the message of an error inside ``dec_hook``, the reason from the path below the place msgspec names.
_BELOW = "\0"
_WHERE = re.compile(r"(.*) - at (.*)`\$(.*)`$", re.DOTALL)


class Mismatch(ValueError):
    """Raised if a text is not of the type.

    Attributes:
        reason: What is wrong.
        path: Place of the fault, such as ``$.items[0].price``.
        is_json: False if the text is not JSON at all.
    """

    def __init__(self, reason: str, path: str = "$", *, is_json: bool = True) -> None:
        super().__init__(reason if path == "$" else f"{reason}, at {path}")
        self.reason = reason
        self.path = path
        self.is_json = is_json


class Described(NamedTuple):
    """A JSON Schema without its ``$defs``, the ``$defs``, and the function that decodes a text of that form."""

    schema: JSONObject
    defs: JSONObject
    decode: Decode


class Shape(Generic[T]):
    """The JSON form of the type ``T``, always an object; see the top of this file.

    Attributes:
        name: Name of the type, as an API takes it: at most 64 letters, digits, ``_`` and ``-``.
        description: Text of the type's docstring; empty if it has none.
        is_wrapped: True if the value is in the field ``value`` of the object.
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
        """Return the JSON Schema, in the form of strict mode or as the type gives it.

        Raises:
            RequestValidationError: If *strict*, and strict mode cannot express the type; names the path.
        """
        return self._strict_schema if strict else self._schema

    @functools.cached_property
    def _strict_schema(self) -> JSONObject:
        return strict_schema(self._schema)

    def decode(self, text: str) -> T:
        """Decode *text* to a value of the type.

        Raises:
            Mismatch: If it is not JSON, or not of this type.
        """
        # Only after a failure is ``5.0`` for an integer looked for: it is rare, and costs a pass over the text.
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
    """Return the JSON form of *annotation*: a class, or any annotation, such as ``list[int]``.

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
    """Return a name for *annotation* that an API takes, such as ``list_City``."""
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
    # Pydantic would ignore a part of it; msgspec asks pydantic for the types that are pydantic's.
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
    """Raise a RequestValidationError: *annotation* has no JSON form."""
    if _is_value(annotation):  # which may hold anything, so it is not shown
        kind = type(annotation).__qualname__
        raise RequestValidationError(
            f"an instance of {kind} was given, expected a type",
            field="response_format",
            hint=f"give {kind} itself, if that is what you want of the model",
        ) from None
    shown = annotation.__qualname__ if isinstance(annotation, type) else str(annotation)
    raise RequestValidationError(
        f"{shown} has no JSON form: {reason}",
        field="response_format",
        hint="use Structs, dataclasses, TypedDicts, attrs classes, pydantic models, enums, lists, literals, unions of "
        "these, defined where their annotations can be resolved",
    ) from None


def _is_value(annotation: Any) -> bool:
    """Tell whether *annotation* is neither a class, nor the name of one, nor what typing makes of them."""
    is_of_typing = type(annotation).__module__ in ("typing", "types", "typing_extensions")
    return not isinstance(annotation, (type, str)) and not is_of_typing


def decoded(decoder: msgspec.json.Decoder[T], text: str) -> T:
    """Decode *text* by *decoder*.

    Raises:
        Mismatch: If it is not JSON, or not of the decoder's type.
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
    """Add to *schema*, which msgspec made of *info*, what msgspec leaves out; *seen* has the ``$defs`` done so far."""
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
        case inspect.EnumType() if "enum" in schema:  # msgspec sorts the values
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
    # msgspec gives no description if the docstring was generated by ``dataclass`` or ``NamedTuple``.
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
    """Return the members of a union in the order of their schemas in ``anyOf``: Structs after others, None last."""

    def rank(part: inspect.Type) -> int:
        while isinstance(part, inspect.Metadata):
            part = part.type
        if isinstance(part, inspect.NoneType):
            return 2
        return 1 if isinstance(part, inspect.StructType) and not part.array_like else 0

    return sorted(info.types, key=rank)


def _options(schema: JSONObject) -> list[JSONObject]:
    """Return the schemas of the members of a union; msgspec puts those of tagged Structs into an inner union."""
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
    # Named, as msgspec names its own: a class that is used twice is described once.
    if isinstance(annotation, type) and schema.get("type") == "object":
        defs[name := name_of(annotation)] = schema
        schema = {"$ref": f"{REF}{name}"}
    return Described({**schema, **words_of(annotation)}, defs, functools.partial(_validated, adapter))


def _validated(adapter: Any, text: str | bytes) -> Any:
    """Decode *text* by pydantic, in its strict mode, as msgspec decodes."""
    try:
        return adapter.validate_json(text, strict=True)
    except sys.modules["pydantic"].ValidationError as exc:
        raise _mismatch(exc) from None


@functools.lru_cache(maxsize=256)
def _adapter_of(kind: type) -> Any:
    pydantic: Any = sys.modules["pydantic"]
    return pydantic.TypeAdapter(kind)


def _decoded_by_pydantic(kind: type, value: Any) -> Any:
    """Convert *value* to *kind*, a type of pydantic inside one of msgspec: the ``dec_hook`` of the decoder."""
    try:
        return _validated(_adapter_of(kind), msgspec.json.encode(value))
    except Mismatch as exc:
        # msgspec appends the path of *value* to this message; ``decoded`` joins the two paths.
        raise ValueError(f"{exc.reason}{_BELOW}{exc.path[1:]}") from None


def _mismatch(exc: Any) -> Mismatch:
    """Convert pydantic's error to a ``Mismatch``, about the first fault."""
    first = exc.errors(include_url=False, include_context=False, include_input=False)[0]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    return Mismatch(first["msg"], f"${path}", is_json=first["type"] != "json_invalid")
