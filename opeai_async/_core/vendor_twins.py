"""Wide twins: strict twins that also know the vendor fields a server was seen to send.

Most servers add fields to every chunk (OpenRouter ``provider``, Azure ``content_filter_results``, Mistral ``p``), and a
strict twin refuses them. So the fields that the tolerant tier found are learned: per Struct their names in the order of
the wire, together a *vocabulary*. A wide twin of a vocabulary decodes them in the same typed decode as all others, and
what it decoded is then built again as the public Struct, with the vendor fields in ``extra``. It refuses what a strict
twin refuses, and what it cannot build exactly as the tolerant tier would: fields that a rule or the search for errors
looks at are never learned, and where several vendor fields of one object did not come in the order that was learned,
or that order is not plain from the payload, the chunk goes to the tolerant tier.

Reasoning that comes as ``reasoning`` is decoded as such only after the tolerant tier has met and noted it; copies under
other names, and what comes in ``reasoning_details`` alone, stay with that tier.

What it costs, in us per chunk where an ordinary one takes 0.55, and the tolerant tier 24 to 33: one vendor field in a
chunk 1.7 (Mistral), in chunk and choice 2.0 (OpenRouter), several in one object 2.8 to 3.3 (vLLM, Perplexity, usage of
DeepSeek), ``reasoning`` 3.1 (Groq), with details 5.4 (OpenRouter). Tried to put the vendor fields in their place, in
instructions by callgrind for a delta of two known and two vendor fields, of which the wide decode takes 4,000: a
constructor call made from source 2,800, one by position 5,100, one with a dict of names, or ``msgspec.convert`` from
attributes, more. Changing ``__class__`` takes 2,500, but has room for one vendor field. To decode without types, move
what is unknown, and convert to a strict twin, takes about twice the time of all that, but no learning.

Twins cost milliseconds, so a vocabulary gets them when it is met for the second time, and how many a stream may ask for
and a process may make is bounded. Without a wide twin all goes through the tolerant tier, as ever.
"""

from __future__ import annotations

import functools
import itertools
import keyword
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, NamedTuple, TypeAlias, cast

import msgspec
from msgspec import UNSET, Struct

from opeai_async._core.json_types import is_array, is_wire_type
from opeai_async._core.twins import DECODE_ERRORS, NEEDED_WHEN_ORDINARY, redefined, strict_twin
from opeai_async.types.chunk import ChatCompletionChunk, ChoiceDelta, ChunkChoice, ToolCallDelta
from opeai_async.types.common import NO_EXTRA, WireStruct

Vocabulary: TypeAlias = frozenset[tuple[type[WireStruct], tuple[str, ...]]]
Decode: TypeAlias = Callable[[bytes], Any]
_Move: TypeAlias = Callable[[Any, bytes], Any]

_MAX_NAMES = 24  # per Struct
_MAX_LESSONS = 16  # per stream: refused chunks that are looked at, each of which may bring another vocabulary
_MAX_TWINS = 64  # per process, kept
_MAX_MADE = 256  # per process, ever
_MAX_MET = 256
_MAX_LATEST = 16

_ALIAS, _DETAILS = "reasoning", "reasoning_details"
_BACKSLASH = ord("\\")

# Any other character might be written in several ways, or make a name look like what lies between two names.
_LEARNABLE = r"[A-Za-z0-9_.\-]{1,64}"

# What the dialect looks at although no Struct names it: errors, and calls without a function.
_LOOKED_AT: dict[type[WireStruct], frozenset[str]] = {
    ChatCompletionChunk: frozenset(
        {
            "error",
            "message",
            "code",
            "type",
            "base_resp",
            "success",
            "errors",
            "msg",
            "detail",
            "error_msg",
            "error_code",
        }
        | {"modality"}
    ),
    ChunkChoice: frozenset({"error", "usage"}),
    ChoiceDelta: frozenset({"reasoning_text"}),
    ToolCallDelta: frozenset({"name", "arguments"}),
}
_MESSAGE = "message"  # beside a delta: looked at until a delta has said something


# --- what a chunk teaches --------------------------------------------------------------------------------------------


class _Child(NamedTuple):
    """A field that holds a wire type, or a list of it."""

    cls: type[WireStruct]
    is_listed: bool


@functools.lru_cache(maxsize=256)
def _children_of(cls: type[WireStruct]) -> dict[str, _Child]:
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


def _parts_of(part: WireStruct, above: tuple[type[WireStruct], ...] = ()) -> Iterator[WireStruct]:
    """*part* and the Structs in it, but those of a type that holds itself."""
    yield part
    above = (*above, type(part))
    for name, child in _children_of(type(part)).items():
        if child.cls not in above:
            value = getattr(part, name)
            for item in value if is_array(value) else [value]:
                if type(item) is child.cls:
                    yield from _parts_of(item, above)


def _extended(vocabulary: Vocabulary, chunk: WireStruct, *, has_alias: bool, has_deltas: bool) -> Vocabulary:
    """*vocabulary*, and what *chunk* has in each ``extra``; with ``reasoning`` too, of which that keeps only text."""
    names = dict(vocabulary)
    for part in _parts_of(chunk):
        cls = type(part)
        learnable = [name for name in part.extra if _is_learnable(cls, name)]
        if not has_deltas and issubclass(cls, ChunkChoice):
            learnable = [name for name in learnable if name != _MESSAGE]
        known = _in_order(names.get(cls, ()), learnable)
        if has_alias and isinstance(part, ChoiceDelta) and _ALIAS not in known and _is_learnable(cls, _ALIAS):
            known = (_ALIAS, *known)
        names[cls] = known
    return frozenset((cls, found[:_MAX_NAMES]) for cls, found in names.items() if found)


def _is_learnable(cls: type[WireStruct], name: str) -> bool:
    looked_at = any(name in _LOOKED_AT.get(cast("Any", base), ()) for base in cls.__mro__)
    return not looked_at and name not in cls.__struct_encode_fields__ and re.fullmatch(_LEARNABLE, name) is not None


def _in_order(known: tuple[str, ...], found: list[str]) -> tuple[str, ...]:
    """*known* and *found* in one order, that of *found* where they disagree."""
    names, at = list(known), 0
    for name in found:
        if name in names[at:]:
            at = names.index(name) + 1
        elif name in names:  # it stood before the last one
            names.remove(name)
            names.insert(at - 1, name)
        else:
            names.insert(at, name)
            at += 1
    return tuple(names)


# --- twins -----------------------------------------------------------------------------------------------------------


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
        wides = {name: wide for name, child in _children_of(cls).items() if (wide := self.of(child.cls)) is not None}
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
    return str | None if name == _ALIAS and issubclass(cls, ChoiceDelta) else Any


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
        is_listed = _children_of(cls)[name].is_listed
        values[name] = f"{{0}} and [{one.format('item')} for item in {{0}}]" if is_listed else one
        values[name] = values[name].format(f"wide.{name}")
    vendor = {name: f"wide.{slot}" for slot, name in slots.items()}
    if issubclass(cls, ChoiceDelta) and (_ALIAS in vendor or _DETAILS in vendor):
        texts = ("wide.reasoning_content", vendor.get(_ALIAS, "UNSET"), vendor.get(_DETAILS, "UNSET"))
        values["reasoning_content"] = f"reasoning({', '.join(texts)})"
    if len(vendor) == 1 and _ALIAS not in vendor:
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
    has_alias = may_have_alias and _ALIAS in names

    def checked(payload: bytes, extra: dict[str, Any]) -> dict[str, Any]:
        if has_alias and not extra[_ALIAS]:
            del extra[_ALIAS]  # it says nothing
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


# --- what a stream, and what the process knows -----------------------------------------------------------------------


class Library:
    """The wide twins of a process, and which vocabularies may get some."""

    def __init__(self, *, max_made: int = _MAX_MADE) -> None:
        self._may_make = max_made
        self._met: dict[Any, None] = {}
        self._made: dict[Any, Decode] = {}
        self._latest: dict[type[WireStruct], tuple[Vocabulary, Decode]] = {}

    def decode_for(self, chunk_type: type[WireStruct], vocabulary: Vocabulary) -> Decode | None:
        """What decodes *vocabulary*; None where it is met for the first time, or too many were made."""
        key = (chunk_type, vocabulary)
        decode = self._made.get(key)
        if decode is None:
            if key not in self._met:
                _remember(self._met, key, None, _MAX_MET)
                return None
            if self._may_make == 0:
                return None
            self._may_make -= 1
            decode = wide_decode(chunk_type, vocabulary)
            _remember(self._made, key, decode, _MAX_TWINS)
        _remember(self._latest, chunk_type, (vocabulary, decode), _MAX_LATEST)
        return decode

    def latest(self, chunk_type: type[WireStruct]) -> tuple[Vocabulary, Decode] | None:
        """What the latest stream that learned something came to."""
        return self._latest.get(chunk_type)


def _remember(memory: dict[Any, Any], key: Any, value: Any, limit: int) -> None:
    if key not in memory and len(memory) >= limit:
        del memory[next(iter(memory))]
    memory[key] = value


LIBRARY = Library()


class VendorFields:
    """What is known of the vendor fields of one stream.

    Args:
        chunk_type: What its chunks are to be.
        library: Where twins come from.
    """

    def __init__(self, chunk_type: type[WireStruct], library: Library) -> None:
        self._chunk_type = chunk_type
        self._library = library
        self._lessons_left = _MAX_LESSONS
        self._met: Vocabulary = frozenset()
        self._decoded: Vocabulary = frozenset()
        self._may_guess = True

    @property
    def have_alias(self) -> bool:
        """Whether reasoning that comes as ``reasoning`` is decoded, too."""
        return _has_alias(self._decoded)

    def guess(self, payload: bytes, *, has_alias: bool, has_deltas: bool) -> Decode | None:
        """What decoded the latest stream with vendor fields, if it decodes *payload*, which was refused, too.

        Args:
            payload: A chunk.
            has_alias: Whether the tolerant tier has met the reasoning's other name, and noted it.
            has_deltas: Whether a delta has said something, so that no answer is looked for beside it.
        """
        latest = self._library.latest(self._chunk_type) if self._may_guess else None
        if latest is None or (_has_alias(latest[0]) and not has_alias):
            return None
        if not has_deltas and any(issubclass(cls, ChunkChoice) and _MESSAGE in names for cls, names in latest[0]):
            return None
        self._may_guess = False
        vocabulary, decode = latest
        try:
            decode(payload)
        except DECODE_ERRORS:
            return None
        self._met = self._decoded = vocabulary
        return decode

    def learn(self, chunk: WireStruct, *, has_alias: bool, has_deltas: bool) -> Decode | None:
        """What decodes more than before, after *chunk* was refused, and read by the tolerant tier."""
        if self._lessons_left == 0:
            return None
        self._lessons_left -= 1
        self._met = _extended(self._met, chunk, has_alias=has_alias, has_deltas=has_deltas)
        if self._met == self._decoded or (decode := self._library.decode_for(self._chunk_type, self._met)) is None:
            return None
        self._decoded = self._met
        return decode


def _has_alias(vocabulary: Vocabulary) -> bool:
    return any(issubclass(cls, ChoiceDelta) and _ALIAS in names for cls, names in vocabulary)
