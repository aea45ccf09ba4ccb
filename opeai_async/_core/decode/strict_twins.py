"""Strict twins: wire types that refuse what is out of the ordinary.

A twin has the same fields as its type, but no room for a field that nobody named, a missing ``choices``, a tool call
without ``index``, an empty ``usage``. So one typed decode does the work and all the checking, and costs the same as a
decode without checks. Twins are private subclasses; they compare, print and pickle as the class that users know.

A twin may refuse more than it must: that costs time, and nothing else. A *plain* twin of a chunk uses that: it refuses
what few streams carry at all, such as logprobs, and whoever gets such a chunk need not look for it.
"""

from __future__ import annotations

import functools
import inspect
import operator
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Struct

from opeai_async._core.json import is_wire_type
from opeai_async.types.chunk import (
    ChatCompletionChunk,
    ChoiceDelta,
    ChunkChoice,
    CustomCallDelta,
    FunctionCallDelta,
    ToolCallDelta,
)
from opeai_async.types.common import CompletionUsage, WireStruct
from opeai_async.types.completion import (
    ChatCompletion,
    ChatCompletionMessage,
    Choice,
    CustomCall,
    FunctionCall,
    ToolCall,
)
from opeai_async.types.finish import FINISH_KINDS

# msgspec raises the last two as they are (seen on 0.22): malformed UTF-8 in a string, and nesting too deep.
DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

# Fields that have a default for users, but whose absence on the wire means that something needs repair.
NEEDED_WHEN_ORDINARY: dict[type, frozenset[str]] = {
    ChatCompletionChunk: frozenset({"choices"}),
    ChatCompletion: frozenset({"choices"}),
    ChunkChoice: frozenset({"index", "delta"}),
    Choice: frozenset({"index"}),
    ToolCallDelta: frozenset({"index"}),
    ToolCall: frozenset({"function"}),
    CompletionUsage: frozenset({"prompt_tokens", "completion_tokens", "total_tokens"}),
}

_NOT_EMPTY: Any = Annotated[str, msgspec.Meta(min_length=1)]
_NO_BLANK: Any = _NOT_EMPTY | None
_INDEX: Any = Annotated[int, msgspec.Meta(ge=0)]
# Known words: another may stand for none ("null"). A pattern that refuses only those costs 3,800 instructions.
_WORDS = (*FINISH_KINDS, *map(str.upper, FINISH_KINDS))
_REASON: Any = Literal[(*_WORDS, "", None)]
_WHOLE_REASON: Any = Literal[(*_WORDS, None)]
_SOME_CALLS: Any = Annotated[list[ToolCall], msgspec.Meta(min_length=1)]

# Fields whose type is wider for users than what needs no repair, unless a user's Struct gives them another.
_NARROWED: dict[type, dict[str, Any]] = {
    ChunkChoice: {"index": _INDEX, "finish_reason": _REASON},
    Choice: {"index": _INDEX, "finish_reason": _WHOLE_REASON},
    CompletionUsage: {"prompt_tokens": int, "completion_tokens": int, "total_tokens": int},
    FunctionCallDelta: {"name": _NO_BLANK},
    CustomCallDelta: {"name": _NO_BLANK},
    CustomCall: {"name": _NOT_EMPTY},
    ToolCallDelta: {
        "index": _INDEX,
        "id": None,
    },  # the tolerant tier wants to know each tool call, to tell apart those without index
    ToolCall: {"id": _NOT_EMPTY, "type": _NOT_EMPTY},
    FunctionCall: {"name": _NOT_EMPTY, "arguments": _NOT_EMPTY},
    ChatCompletionMessage: {"role": _NOT_EMPTY, "tool_calls": _SOME_CALLS | None},
}


# What a plain twin has no room for.
_RARE: dict[type, frozenset[str]] = {
    ChatCompletionChunk: frozenset({"moderation", "service_tier"}),
    ChunkChoice: frozenset({"logprobs"}),
    ChoiceDelta: frozenset({"refusal", "annotations", "audio", "function_call"}),
}


class _Refused(Struct, forbid_unknown_fields=True):
    """Stands where a twin wants no value at all: no object on the wire becomes one."""

    impossible: int = msgspec.field(name="(impossible)")


@functools.lru_cache(maxsize=256)
def strict_twin(wire_type: type[WireStruct]) -> type[Struct]:
    """The twin of *wire_type*, with twins of all wire types its fields mention."""
    return _Twins().of(wire_type)


@functools.lru_cache(maxsize=256)
def plain_twin(wire_type: type[WireStruct]) -> type[Struct]:
    """The twin of *wire_type*, a chunk, without the fields that few streams carry; ``is_plain`` is true of it."""
    return _Twins(plain=True).of(wire_type)


class _Twins:
    """Builds strict twins of a type and of all wire types its fields mention.

    Args:
        plain: Whether to build plain ones, where they differ.
    """

    def __init__(self, *, plain: bool = False) -> None:
        self._begun: dict[type[WireStruct], type[Struct]] = {}
        self._plain = plain

    def of(self, cls: type[WireStruct]) -> type[Struct]:
        if self._plain and not issubclass(cls, tuple(_RARE)):
            return strict_twin(cls)
        if cls not in self._begun:
            self._begun[cls] = _Refused  # what a type that contains itself gets there
            self._begun[cls] = self._build(cls)
        return self._begun[cls]

    def _build(self, cls: type[WireStruct]) -> type[Struct]:
        # All of them, in their order: a decoder looks for each key where the one before was, so order is speed.
        fields = [redefined(cls, field, self.of, plain=self._plain) for field in msgspec.structs.fields(cls)]
        return msgspec.defstruct(
            cls.__name__,
            fields,
            bases=(cls,),
            module=cls.__module__,
            namespace={
                "public_type": cls,
                "is_plain": self._plain,
                "__doc__": cls.__doc__,
                "__qualname__": cls.__qualname__,
                "__repr__": _repr_as_public,
            },
            kw_only=True,
            eq=False,
            forbid_unknown_fields=True,
        )


def redefined(
    cls: type[WireStruct],
    field: msgspec.structs.FieldInfo,
    twin_of: Callable[[type[WireStruct]], type[Struct]],
    *,
    plain: bool = False,
) -> tuple[str, Any, Any]:
    """*field* of *cls* as a twin has it: for ``msgspec.defstruct``."""
    options: dict[str, Any] = {"name": field.encode_name}
    needed = any(field.name in NEEDED_WHEN_ORDINARY.get(base, ()) for base in cls.__mro__)
    refused = plain and any(field.name in _RARE.get(base, ()) for base in cls.__mro__)
    if not needed and field.default is not msgspec.NODEFAULT:
        options["default"] = field.default
    elif not needed and field.default_factory is not msgspec.NODEFAULT:
        options["default_factory"] = field.default_factory
    annotation = None if refused else _narrowed(cls, field.name, field.type)
    return field.name, _in_annotation(annotation, twin_of), msgspec.field(**options)


def _in_annotation(annotation: Any, twin_of: Callable[[type[WireStruct]], type[Struct]]) -> Any:
    """*annotation* with a twin in place of each wire type."""
    if is_wire_type(annotation):
        return twin_of(annotation)
    annotation = getattr(annotation, "__value__", annotation)  # the statement `type Name = ...`
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return Annotated[(_in_annotation(args[0], twin_of), *args[1:])]
    twins = tuple(_in_annotation(arg, twin_of) for arg in args)
    if all(map(operator.is_, args, twins)):
        return annotation
    if origin in (types.UnionType, typing.Union):
        return typing.Union[twins]  # noqa: UP007
    return origin[twins]


def _repr_as_public(twin: WireStruct) -> str:
    # A twin has fewer defaults, so its own repr would leave out less.
    public = cast("type[WireStruct]", twin.public_type)
    return repr(public(**{name: getattr(twin, name) for name in twin.__struct_fields__}))


def _narrowed(cls: type[WireStruct], name: str, annotation: Any) -> Any:
    declares = next(base for base in cls.__mro__ if name in inspect.get_annotations(base))
    return _NARROWED.get(declares, {}).get(name, annotation)
