"""The one place where parameters become the bytes of a request, checked before anything is sent.

Checking and encoding are one msgspec call each, so a conversation of a thousand messages costs well under a
millisecond. Parameters that are None are not sent. ``extra_body`` is merged over the checked body and is not checked
itself. What was wrong, and where, is worked out only after msgspec has refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn, cast

import msgspec
from msgspec import Struct

from opeai_async._core.call.params import CallOptions
from opeai_async._core.call.send_back import is_iterable, is_mapping, sent
from opeai_async._core.json import is_row
from opeai_async._core.policy.unknown_params import check_unknown
from opeai_async.errors import RequestValidationError
from opeai_async.types.completion import ChatCompletionMessage
from opeai_async.types.parsed import ParsedChatCompletionMessage
from opeai_async.types.request import ChatCompletionRequest

_KNOWN = {field.name: field for field in msgspec.structs.fields(ChatCompletionRequest)}
# What a slip may have meant: the API's parameters, and the options of a call.
_NAMES = (*_KNOWN, *CallOptions.__annotations__)
_SEQUENCES = frozenset({"messages", "tools", "functions", "modalities"})
# msgspec raises them as they are: an unknown type, a lone surrogate (a ValueError), a cycle.
_ENCODE_ERRORS = (TypeError, ValueError, RecursionError)
_MAX_PATH_PARTS = 16
# Of which a value goes to the encoder as it is.
_PLAIN_TYPES = frozenset({str, int, float, bool, list, dict})
_EXTRA_FIELD = b'"_extra":'


def encode_request(
    params: Mapping[str, Any],
    *,
    stream: bool,
    include_usage: bool = False,
    extra_body: Mapping[str, Any] | None = None,
    strict: bool = False,
) -> bytes:
    """The JSON body for *params*.

    Args:
        params: Fields of the API by name; None is left out.
        stream: Whether to ask for a stream.
        include_usage: Ask for usage in the stream, unless *params* has ``stream_options``.
        extra_body: Fields that are added, or replace others, unchecked.
        strict: Whether to refuse every field that is not the API's own.

    Raises:
        RequestValidationError: If a field is missing, of another type, out of range, or unknown and not to be sent;
            names field, value and what was expected.
        ConfigurationError: If *extra_body* is no mapping of text to values.
    """
    if not params.keys() <= _KNOWN.keys():
        check_unknown((name for name in params if name not in _KNOWN), _NAMES, strict=strict)
    given = {name: value for name, value in params.items() if value is not None}
    for name, value in given.items():
        if type(value) not in _PLAIN_TYPES:
            given[name] = _plain(value, is_sequence=name in _SEQUENCES)
    _check(given, extra_body)
    messages = given.get("messages", ())
    if ParsedChatCompletionMessage in set(map(type, messages)):
        given["messages"] = [
            _unparsed(message) if type(message) is ParsedChatCompletionMessage else message for message in messages
        ]
    if stream:
        given["stream"] = True
        if include_usage:
            given.setdefault("stream_options", {"include_usage": True})
    if extra_body:
        given.update(extra_body)
    body = _encode(given)
    # Inside a string the quotes would be escaped, so this is the name of a field and nothing else.
    return body if body.find(_EXTRA_FIELD) < 0 else _encode({name: sent(value) for name, value in given.items()})


def _unparsed(message: Any) -> Any:
    """*message* without the value it was parsed to, which is not of the API and may have no JSON form."""
    return ChatCompletionMessage(**{name: getattr(message, name) for name in ChatCompletionMessage.__struct_fields__})


# --- checking --------------------------------------------------------------------------------------------------------


def _plain(value: Any, *, is_sequence: bool) -> Any:
    """*value*, but a subclass of float, such as numpy's, as the float it is, and as a list what any iterable brings.

    What cannot be meant as a list is left for the check to refuse.
    """
    if isinstance(value, float):
        return float(value)
    is_no_list = isinstance(cast("object", value), (list, str, bytes, Mapping))
    return list(value) if is_sequence and not is_no_list and is_iterable(value) else value


def _check(given: dict[str, Any], extra_body: Mapping[str, Any] | None) -> None:
    for name in ("model", "messages"):
        if name not in given and name not in (extra_body or {}):
            raise RequestValidationError(
                f"{name} is missing, expected it in every request", field=name, hint=f"add {name}="
            )
    if reason := _objection(given):
        _refuse(given, reason)
    if _is_type(given.get("response_format")):
        raise RequestValidationError(
            "response_format is a type, expected a dict, or JSONSchemaFormat(...)",
            field="response_format",
            hint="use chat.completions.parse(response_format=...) or .stream(response_format=...)",
        )
    messages: list[dict[str, Any]] = given.get("messages", [])
    for position, message in enumerate(messages):
        # What nearly every message is, asked for without a call: a conversation may have a thousand of them.
        if type(message) is dict and type(message.get("role")) is str and type(message.get("content")) is str:
            continue
        _check_message(message, f"messages[{position}]")


def _is_type(value: object) -> bool:
    return isinstance(value, type) or hasattr(value, "__origin__")


def _objection(given: dict[str, Any]) -> str | None:
    """What msgspec has against *given*, in its words."""
    # msgspec has no union of Struct and dict; what a Struct of ours holds was checked by its type.
    plain: dict[str, Any] = {
        name: {} if isinstance(value, Struct) else value for name, value in given.items() if name in _KNOWN
    }
    checked: dict[str, Any] = {"model": "-", "messages": [{}], **plain}
    try:
        msgspec.convert(checked, ChatCompletionRequest)
    except msgspec.ValidationError as exc:
        return str(exc)
    return None


def _check_message(message: object, where: str) -> None:
    if isinstance(message, Struct):
        role = getattr(message, "role", message.__struct_config__.tag)
        content = getattr(message, "content", None)
    elif is_mapping(message):
        role, content = message.get("role"), message.get("content")
    else:
        raise RequestValidationError(
            f"{where} is {_kind(message)}, expected a dict with a role, or a message of this package", field=where
        )
    if not isinstance(role, str):
        shown = "missing" if role is None else _shown(role)
        raise RequestValidationError(
            f"{where}.role is {shown}, expected 'system', 'developer', 'user', 'assistant' or 'tool'",
            field=f"{where}.role",
        )
    if isinstance(content, (bytes, bytearray)):  # msgspec would send base64
        raise RequestValidationError(
            f"{where}.content is of the type {type(content).__name__}, expected text or a list of parts",
            field=f"{where}.content",
            hint="decode it",
        )


# --- saying what is wrong --------------------------------------------------------------------------------------------

_RANGES = {
    "temperature": "a number from 0 to 2",
    "top_p": "a number from 0 to 1",
    "frequency_penalty": "a number from -2 to 2",
    "presence_penalty": "a number from -2 to 2",
    "n": "a whole number of at least 1",
    "max_tokens": "a whole number",
    "max_completion_tokens": "a whole number",
    "top_logprobs": "a whole number",
    "reasoning_effort": "a word such as 'low', or a number of at least 0",
    "messages": "a list of at least one message",
    "model": "the name of a model",
    "stop": "a string or a list of strings",
    "modalities": "a list of strings",
    "metadata": "a dict of strings",
    "logit_bias": "a dict from token ids to numbers from -100 to 100",
}
_KINDS = {"str": "a string", "int": "a whole number", "bool": "True or False", "array": "a list", "object": "a dict"}


def _refuse(given: dict[str, Any], reason: str) -> NoReturn:
    """Turn msgspec's ``Expected `float` <= 2.0 - at `$.temperature` `` into field, value, and what was expected."""
    what, _, place = reason.partition(" - at ")
    path = place.rpartition("`$.")[2].rstrip("`")
    name = path.partition("[")[0]
    expected = _RANGES.get(name) or _in_words(what)
    where, value = _offender(name, given[name], path, is_key=place.startswith("`key`"))
    shown = _kind(value) if name == "messages" else _shown(value)
    raise RequestValidationError(f"{where} is {shown}, expected {expected}", field=where)


def _in_words(what: str) -> str:
    """``Expected `str | object | null`, got `int` `` as "a string or a dict"."""
    names = what.split("`")[1].split(" | ")
    return " or ".join(_KINDS[name] for name in names if name != "null")


def _offender(name: str, value: Any, path: str, *, is_key: bool) -> tuple[str, Any]:
    """The path and the value of what was refused inside the field *name*."""
    if is_key or path.endswith("[...]"):
        entries: Mapping[Any, Any] = value
        key = next(key for key, item in entries.items() if _objection({name: {key: item}}))
        return (f"a key of {name}", key) if is_key else (f"{name}[{_shown(key)}]", entries[key])
    if index := re.search(r"\[([0-9]+)\]$", path):
        return path, value[int(index[1])]
    return path, value


def _shown(value: Any) -> str:
    """*value* in short: only None and small scalars are shown."""
    if isinstance(value, int) and value.bit_length() > 128:  # Python refuses to print really big ones
        return f"a number of {value.bit_length()} bits"
    if value is None or isinstance(value, (int, float)) or (isinstance(value, str) and len(value) <= 60):
        return repr(value)
    return _kind(value)


def _kind(value: object) -> str:
    """What *value* is, without showing it: it may be a prompt."""
    if value is None:
        return "None"
    kind = type(value).__name__
    is_empty = isinstance(value, (str, bytes, list, dict)) and not value
    return f"an empty {kind}" if is_empty else f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


# --- encoding --------------------------------------------------------------------------------------------------------


def as_builtin(value: Any) -> Any:
    """Convert what msgspec does not know to what it does; the ``enc_hook`` for requests and for results of tools.

    Any mapping is a dict; subclasses of str, int and float are those; a model of pydantic is what it dumps; an array
    or a number of numpy, and whatever else has ``tolist()`` or ``item()``, is that; a path is its text.

    Raises:
        TypeError: If there is no such thing.
    """
    if is_mapping(value):
        return dict(value)
    if isinstance(value, str):
        return str.__str__(value)  # not str(value): the subclass may have a __str__ of its own
    for kind in (int, float):
        if isinstance(value, kind):
            return kind(value)
    if not isinstance(value, type):
        for name, convert in _CONVERSIONS.items():
            if callable(getattr(value, name, None)):
                return convert(value)
    raise TypeError(f"{_kind(value)} has no JSON form")


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "model_dump": lambda value: value.model_dump(mode="json"),
    "tolist": lambda value: value.tolist(),
    "item": lambda value: value.item(),
    "__fspath__": os.fspath,
}
_encode_json = msgspec.json.Encoder(enc_hook=as_builtin).encode
_JSON_HINT = "JSON takes str, numbers, bool, None, lists, dicts with str keys; no lone surrogates, no cycles"
_TOOLS_HINT = "make a function a tool with @tool or Tool.from_function(f); chat.completions.run(tools=[f]) calls it too"


def _encode(body: dict[str, Any]) -> bytes:
    try:
        return _encode_json(body)
    except _ENCODE_ERRORS as exc:
        # A cycle has no innermost place.
        path = _unsendable(body, parts=1 if isinstance(exc, RecursionError) else _MAX_PATH_PARTS).removeprefix(".")
        raise RequestValidationError(
            f"{path or 'the body'} cannot be sent as JSON: {exc}",
            field=path or None,
            hint=_TOOLS_HINT if path.startswith("tools[") and "function" in str(exc) else _JSON_HINT,
        ) from None


def _unsendable(value: Any, parts: int) -> str:
    """The path of the innermost part of *value* that cannot be encoded, such as ``messages[3].content``."""
    if parts == 0:
        return ""
    for label, item in _children(value):
        if not _is_encodable(item):
            return label + _unsendable(item, parts - 1)
    return ""


def _children(value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, Struct):
        return [(f".{name}", getattr(value, name)) for name in value.__struct_fields__]
    if is_mapping(value):
        return [(f".{name}", item) for name, item in value.items()]
    if is_row(value):
        return [(f"[{position}]", item) for position, item in enumerate(value)]
    return []


def _is_encodable(value: Any) -> bool:
    try:
        _encode_json(value)
    except _ENCODE_ERRORS:
        return False
    return True
