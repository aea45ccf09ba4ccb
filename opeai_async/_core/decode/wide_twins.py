"""Wide twins: strict twins that have a slot for each field of a vendor."""

from __future__ import annotations

import functools
import itertools
import keyword
import types
import typing
from collections.abc import Callable, Iterable
from typing import Annotated, Any, NamedTuple, TypeAlias, cast

import msgspec
from msgspec import UNSET, Struct

from opeai_async._core.decode.strict_twins import NEEDED_WHEN_ORDINARY, redefined, strict_twin
from opeai_async._core.json import is_wire_type
from opeai_async.types.chunk import ChoiceDelta
from opeai_async.types.common import NO_EXTRA, WireStruct

Vocabulary: TypeAlias = frozenset[tuple[type[WireStruct], tuple[str, ...]]]
Decode: TypeAlias = Callable[[bytes], Any]
_Move: TypeAlias = Callable[[Any, bytes], Any]
ALIAS, _DETAILS = "reasoning", "reasoning_details"
_BACKSLASH = ord("\\")


class _Child(NamedTuple):
    """A field that holds a wire type, or a list of it."""

    cls: type[WireStruct]
    is_listed: bool


@functools.lru_cache(maxsize=256)
def children_of(cls: type[WireStruct]) -> dict[str, _Child]:
    """The fields of *cls* that vendor fields are learned in: ``T`` or ``list[T]``, or None; no other shapes."""
    found = ((field.name, _child(field.type)) for field in msgspec.structs.fields(cls))
    return {name: child for name, child in found if child is not None}


def _child(annotation: Any) -> _Child | None:
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        members = [member for member in typing.get_args(annotation) if member is not types.NoneType]
        annotation = members[0] if len(members) == 1 else None
    is_listed = typing.get_origin(annotation) is list
    item = typing.get_args(annotation)[0] if is_listed else annotation
    return _Child(item, is_listed) if is_wire_type(item) else None


class NotPlainError(msgspec.ValidationError):
    """Fields that need a look: their order is another or unclear, or reasoning comes in more than one of them."""


def wide_decode(chunk_type: type[WireStruct], vocabulary: Vocabulary) -> Decode:
    """A function that decodes JSON into *chunk_type* with the fields of *vocabulary* in ``extra``; strict otherwise."""
    wide = _WideTwins(dict(vocabulary)).of(chunk_type)
    if wide is None:
        return msgspec.json.Decoder(strict_twin(chunk_type)).decode
    decode, move = msgspec.json.Decoder(wide.twin).decode, wide.move
    return lambda payload: move(decode(payload), payload)


class _Wide(NamedTuple):
    """A type with room for vendor fields, and what makes the public type of one decoded from a payload."""

    twin: type[Struct]
    move: _Move


class _WideTwins:
    """Builds the wide twins of one vocabulary.

    Where there is nothing to learn, the strict twin is enough, if it is also encoded as the public type would be: a
    field without a default is never left out.
    """

    def __init__(self, names: dict[type[WireStruct], tuple[str, ...]]) -> None:
        self._names = names
        self._begun: dict[type[WireStruct], _Wide | None] = {}

    def of(self, cls: type[WireStruct]) -> _Wide | None:
        if cls not in self._begun:
            self._begun[cls] = None  # what a type that contains itself gets there
            self._begun[cls] = self._build(cls)
        return self._begun[cls]

    def _build(self, cls: type[WireStruct]) -> _Wide | None:
        names = self._names.get(cls, ())
        wides = {name: wide for name, child in children_of(cls).items() if (wide := self.of(child.cls)) is not None}
        is_encoded_alike = not any(base in NEEDED_WHEN_ORDINARY for base in cls.__mro__)
        if not _can_be_wide(cls) or (is_encoded_alike and not names and not wides):
            return None
        slots = _slots_for(cls, names)
        # No room for `_extra` on the wire, which would have to be put together with the vendor fields.
        fields = [
            redefined(cls, field, self._twin_of if field.name in wides else strict_twin)
            for field in msgspec.structs.fields(cls)
            if field.name != "extra"
        ]
        fields += [(slot, _type_of(cls, name), msgspec.field(default=UNSET, name=name)) for slot, name in slots.items()]
        twin = msgspec.defstruct(cls.__name__, fields, kw_only=True, gc=False, forbid_unknown_fields=True)
        return _Wide(twin, _mover(cls, wides, slots))

    def _twin_of(self, cls: type[WireStruct]) -> type[Struct]:
        wide = self.of(cls)
        return strict_twin(cls) if wide is None else wide.twin


def _can_be_wide(cls: type[WireStruct]) -> bool:
    return cls.__struct_config__.tag_field is None and not any(map(keyword.iskeyword, cls.__struct_fields__))


def _slots_for(cls: type[WireStruct], names: tuple[str, ...]) -> dict[str, str]:
    """What to call the field of each vendor field in the twin: like no field of *cls*."""
    prefix = "vendor"
    while any(field.startswith(prefix) for field in cls.__struct_fields__):
        prefix += "_"
    return {f"{prefix}{number}": name for number, name in enumerate(names)}


def _type_of(cls: type[WireStruct], name: str) -> Any:
    if name == "x_groq":  # which may hold the token counts
        return dict[Annotated[str, msgspec.Meta(pattern="^(?!usage$)")], Any]
    return str | None if name == ALIAS and issubclass(cls, ChoiceDelta) else Any


def _mover(cls: type[WireStruct], wides: dict[str, _Wide], slots: dict[str, str]) -> _Move:
    """A function that makes a *cls* of its wide twin, which was decoded from the payload that is given too.

    It is made from source, as ``dataclasses`` do: a call with names that are written out is by far the fastest. The
    source holds names of fields of *cls*, which are Python's, and never a name from the wire.
    """
    known: dict[str, Any] = {"cls": cls, "UNSET": UNSET, "NO_EXTRA": NO_EXTRA, "reasoning": _reasoning}
    values = {name: f"wide.{name}" for name in cls.__struct_fields__ if name != "extra"}
    for name, wide in wides.items():
        known[f"twin_{name}"], known[f"move_{name}"] = wide
        # A default made by a user's factory is no twin.
        one = f"move_{name}({{0}}, payload) if type({{0}}) is twin_{name} else {{0}}"
        is_listed = children_of(cls)[name].is_listed
        values[name] = f"{{0}} and [{one.format('item')} for item in {{0}}]" if is_listed else one
        values[name] = values[name].format(f"wide.{name}")
    vendor = {name: f"wide.{slot}" for slot, name in slots.items()}
    if issubclass(cls, ChoiceDelta) and (ALIAS in vendor or _DETAILS in vendor):
        texts = ("wide.reasoning_content", vendor.get(ALIAS, "UNSET"), vendor.get(_DETAILS, "UNSET"))
        values["reasoning_content"] = f"reasoning({', '.join(texts)})"
    if len(vendor) == 1 and ALIAS not in vendor:
        ((known["only"], value),) = vendor.items()
        values["extra"] = f"NO_EXTRA if {value} is UNSET else {{only: {value}}}"
    elif vendor:
        known["checked"] = _checker(list(vendor), may_have_alias=issubclass(cls, ChoiceDelta))
        known.update({f"name_of_{slot}": name for slot, name in slots.items()})
        values["extra"] = f"checked(payload, {{{', '.join(f'name_of_{slot}: wide.{slot}' for slot in slots)}}})"
    call = ", ".join(f"{name}={value}" for name, value in values.items())
    return cast("_Move", eval(f"lambda wide, payload: cls({call})", known))


def _reasoning(usual: str | None, alias: Any, details: Any) -> str | None:
    """What is ``reasoning_content`` where the stream's reasoning comes as ``reasoning``, or there is none.

    Raises:
        NotPlainError: If it comes under two names, or in details alone.
    """
    if not alias:
        if details:
            raise NotPlainError
        return alias if alias == "" and not usual else usual
    if usual:
        raise NotPlainError
    return cast("str", alias)


def _checker(names: list[str], *, may_have_alias: bool) -> Callable[[bytes, dict[str, Any]], dict[str, Any]]:
    """A function that makes ``extra`` of the values of *names*, where those that came did so in that order."""
    key_of = {name: b'"%b":' % name.encode() for name in names}
    pairs = list(itertools.pairwise(key_of.values()))
    has_alias = may_have_alias and ALIAS in names

    def checked(payload: bytes, extra: dict[str, Any]) -> dict[str, Any]:
        if has_alias and not extra[ALIAS]:
            del extra[ALIAS]  # it says nothing
        if UNSET in extra.values():
            extra = {name: value for name, value in extra.items() if value is not UNSET}
        if len(extra) > 1:
            came_all = len(extra) == len(key_of)
            _check_order(payload, pairs if came_all else itertools.pairwise([key_of[name] for name in extra]))
        return extra or NO_EXTRA

    return checked


def _check_order(payload: bytes, pairs: Iterable[tuple[bytes, bytes]]) -> None:
    """See that the keys of an object of *payload* stand in the order of *pairs*, wherever else they may be.

    Raises:
        NotPlainError: If they do not, or if that cannot be told, as where a key may be written with escapes.
    """
    for key, following in pairs:
        last = payload.rfind(key)
        if last < 0 or payload.find(following, 0, last) >= 0:
            raise NotPlainError
    if _BACKSLASH in payload and b"\\u00" in payload:
        raise NotPlainError
