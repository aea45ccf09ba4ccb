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

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from opeai_async._core.decode.strict_twins import DECODE_ERRORS
from opeai_async._core.decode.wide_twins import ALIAS, children_of, wide_decode
from opeai_async._core.json import is_array
from opeai_async.types.chunk import ChatCompletionChunk, ChoiceDelta, ChunkChoice, ToolCallDelta
from opeai_async.types.common import WireStruct

if TYPE_CHECKING:
    from opeai_async._core.decode.wide_twins import Decode, Vocabulary


_MAX_NAMES = 24  # per Struct
_MAX_LESSONS = 16  # per stream: refused chunks that are looked at, each of which may bring another vocabulary
_MAX_TWINS = 64  # per process, kept
_MAX_MADE = 256  # per process, ever
_MAX_MET = 256
_MAX_LATEST = 16


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


def _parts_of(part: WireStruct, above: tuple[type[WireStruct], ...] = ()) -> Iterator[WireStruct]:
    """*part* and the Structs in it, but those of a type that holds itself."""
    yield part
    above = (*above, type(part))
    for name, child in children_of(type(part)).items():
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
        if has_alias and isinstance(part, ChoiceDelta) and ALIAS not in known and _is_learnable(cls, ALIAS):
            known = (ALIAS, *known)
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

    Attributes:
        have_alias: Whether reasoning that comes as ``reasoning`` is decoded, too.
    """

    def __init__(self, chunk_type: type[WireStruct], library: Library) -> None:
        self._chunk_type = chunk_type
        self._library = library
        self._lessons_left = _MAX_LESSONS
        self._met: Vocabulary = frozenset()
        self._decoded: Vocabulary = frozenset()
        self.have_alias = False
        self._may_guess = True

    def _take(self, vocabulary: Vocabulary, decode: Decode) -> Decode:
        self._decoded, self.have_alias = vocabulary, _has_alias(vocabulary)
        return decode

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
        self._met = vocabulary
        return self._take(vocabulary, decode)

    def learn(self, chunk: WireStruct, *, has_alias: bool, has_deltas: bool) -> Decode | None:
        """What decodes more than before, after *chunk* was refused, and read by the tolerant tier."""
        if self._lessons_left == 0:
            return None
        self._lessons_left -= 1
        self._met = _extended(self._met, chunk, has_alias=has_alias, has_deltas=has_deltas)
        if self._met == self._decoded or (decode := self._library.decode_for(self._chunk_type, self._met)) is None:
            return None
        return self._take(self._met, decode)


def _has_alias(vocabulary: Vocabulary) -> bool:
    return any(issubclass(cls, ChoiceDelta) and ALIAS in names for cls, names in vocabulary)
