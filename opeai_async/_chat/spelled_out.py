"""Signatures and docstrings that name each keyword of ``**params: Unpack[...]``, for `help`, ``?`` and tab completion.

Python shows such a function as ``create(self, **params)``. What it takes is in TypedDicts, with a line for each key; so
both are put together from there. Nothing is made until somebody looks: a client has some hundred keywords in all, and
programs call them without reading about them.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from functools import cached_property
from types import FunctionType
from typing import Any, ForwardRef, TypeVar

from opeai_async._core.call.params import CallOptions, ClientOptions, ListOptions, RunOptionParams
from opeai_async.types import request

T = TypeVar("T")

_Keys = type  # a TypedDict, which has no type of its own

_UNPACK = re.compile(r"Unpack\[(\w+)\]")
# Those that a module with such a function imports for type checkers only.
_ELSEWHERE = {"BulkParams": "opeai_async.bulk.options", "RelayOptions": "opeai_async._relay.websocket"}
# These have the lines for keys which others repeat or extend.
_DESCRIBED: tuple[_Keys, ...] = (request.CompletionParams, CallOptions, RunOptionParams)
# Of these None is the same as leaving it out; elsewhere None is a choice, such as "no limit".
_NONE_IS_DEFAULT = {
    name
    for keys in (request.CompletionParams, CallOptions, ClientOptions, ListOptions)
    for name in keys.__annotations__
}

_ENTRY = re.compile(r"^    (\w+(?:, \w+)*): (.*(?:\n {8}.*)*)", re.MULTILINE)
_MODULES = re.compile(r"\b[a-z_]+(?:\.[a-z_]+)*\.(?=[A-Za-z])")
_ALIASES = {repr(value): name for name, value in vars(request).items() if name.endswith("Param")}


def spelled_out(cls: type[T]) -> type[T]:
    """Let the methods of *cls* that take ``**params: Unpack[...]`` show what these are."""
    for method in vars(cls).values():
        if isinstance(method, FunctionType) and _has_keywords(method):
            method.__signature__ = _LaterSignature(method)  # type: ignore[attr-defined]
            if method.__doc__:  # it has none with python -OO
                method.__doc__ = _LaterDoc(method)
    return cls


def _has_keywords(method: FunctionType) -> bool:
    return any(isinstance(text, str) and _UNPACK.match(text) for text in method.__annotations__.values())


class _LaterSignature(inspect.Signature):
    """The signature of *function*, made when it is looked at; Python 3.11 takes no function that makes it."""

    def __init__(self, function: FunctionType) -> None:
        self._function = function

    @cached_property
    def _made(self) -> inspect.Signature:
        return _signature(self._function)

    @property
    def parameters(self) -> Any:
        """The parameters by name."""
        return self._made.parameters

    @property
    def return_annotation(self) -> Any:
        """The annotation of what it returns."""
        return self._made.return_annotation

    def replace(self, **changes: Any) -> Any:
        """Return an ordinary signature with *changes*."""
        return self._made.replace(**changes)


class _Text(str):
    """An annotation, which `help` shows without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class _LaterDoc(str):
    """The docstring of a function with a line for each keyword, which is added when it is shown.

    A docstring must be a str. Whatever shows one prints it, or asks for ``expandtabs`` first, as `inspect.cleandoc`
    does for `help`, for pydoc and for IPython; all else sees the text as it was written.
    """

    _function: Any  # a FunctionType, which type checkers would bind

    def __new__(cls, function: FunctionType) -> _LaterDoc:
        self = super().__new__(cls, function.__doc__)
        self._function = function
        return self

    def __str__(self) -> str:
        return f"{inspect.cleandoc(str.__str__(self))}\n\n{_described(self._function)}"

    def expandtabs(self, tabsize: Any = 8) -> str:
        """Return the whole text without tabs."""
        return str(self).expandtabs(tabsize)


def _signature(function: FunctionType) -> inspect.Signature:
    """Return the signature of *function* with its keywords in place of ``**params``."""
    own = _own_signature(function)
    named = {p.name: p for p in own.parameters.values()}
    for name, keys in _keywords(own).items():
        required: frozenset[str] = keys.__required_keys__  # type: ignore[attr-defined]
        for key, annotation in keys.__annotations__.items():
            named.setdefault(key, _keyword(key, annotation, is_required=key in required))
        rest = named.pop(name)
        if "messages" in keys.__annotations__:  # a call takes more than the API names
            named[name] = rest.replace(annotation=_Text("object"))
    return own.replace(parameters=sorted(named.values(), key=_place), return_annotation=_Text(own.return_annotation))


def _own_signature(function: FunctionType) -> inspect.Signature:
    """Return what Python would show of *function*."""
    # Of a copy, as the function itself has a signature, which asks for this one.
    bare = FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__)
    bare.__kwdefaults__, bare.__annotations__ = function.__kwdefaults__, function.__annotations__
    found = inspect.signature(bare)
    return found.replace(parameters=[_with_text(parameter) for parameter in found.parameters.values()])


def _with_text(parameter: inspect.Parameter) -> inspect.Parameter:
    is_annotated = parameter.annotation is not inspect.Parameter.empty
    return parameter.replace(annotation=_Text(parameter.annotation)) if is_annotated else parameter


def _keywords(own: inspect.Signature) -> dict[str, _Keys]:
    """Return the TypedDict of ``**params``, by the name that stands for "params"."""
    found: dict[str, _Keys] = {}
    for parameter in own.parameters.values():
        name = _UNPACK.fullmatch(str(parameter.annotation))
        if parameter.kind is inspect.Parameter.VAR_KEYWORD and name is not None:
            found[parameter.name] = _keys_named(name[1])
    return found


def _keys_named(name: str) -> _Keys:
    home = _ELSEWHERE.get(name, "opeai_async._core.call.params")
    keys: _Keys = getattr(importlib.import_module(home), name)
    return keys


def _keyword(name: str, annotation: object, *, is_required: bool) -> inspect.Parameter:
    text = _Text(_shown(annotation))
    # Ellipsis says that there is a default, which stands elsewhere: that of the client, or of a run.
    default: object = None if name in _NONE_IS_DEFAULT and text.endswith("| None") else ...
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if is_required else default,
        annotation=text,
    )


def _place(parameter: inspect.Parameter) -> tuple[int, bool]:
    """Return where a parameter stands: by its kind, and of the keywords those first that must be given."""
    return parameter.kind, parameter.default is not inspect.Parameter.empty


def _shown(annotation: Any) -> str:
    """Return an annotation as one would write it."""
    if isinstance(annotation, ForwardRef):
        return annotation.__forward_arg__
    text = annotation.__name__ if type(annotation) is type else repr(annotation)
    if text.startswith("typing.Required["):
        text = text.removeprefix("typing.Required[").removesuffix("]")
    for written, name in _ALIASES.items():
        text = text.replace(written, name)
    return _MODULES.sub("", text)


def _described(function: FunctionType) -> str:
    """Return a line for each keyword of *function*, from the docstrings of the TypedDicts."""
    sections: list[str] = []
    for keys in _keywords(_own_signature(function)).values():
        told = {name: text for source in (*_DESCRIBED, keys) for name, text in _entries(source)}
        lines = [f"    {name}: {told[name]}" for name in keys.__annotations__ if name in told]
        sections.append("\n".join(["Keywords:", *lines]))
    return "\n\n".join(sections)


def _entries(keys: _Keys) -> Iterator[tuple[str, str]]:
    """Return the lines below "Attributes" in the docstring of a TypedDict, by key."""
    text = inspect.cleandoc(keys.__doc__ or "").partition("Attributes:\n")[2]
    for entry in _ENTRY.finditer(text):
        for name in entry[1].split(", "):
            yield name, entry[2]
