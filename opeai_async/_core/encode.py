"""The one place where parameters become the bytes of a request, checked before anything is sent.

Checking and encoding are one msgspec call each, so a conversation of a thousand messages costs well under a
millisecond. Parameters that are None are not sent. ``extra_body`` is merged over the checked body and is not checked
itself.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, cast

import msgspec
from msgspec import Struct

from opeai_async._core.json_types import is_array, is_object
from opeai_async.errors import RequestValidationError
from opeai_async.types.common import WireStruct
from opeai_async.types.request import ChatCompletionRequest

_encode_json = msgspec.json.Encoder().encode
_KNOWN = {field.name: field for field in msgspec.structs.fields(ChatCompletionRequest)}
_SEQUENCES = frozenset({"messages", "tools", "functions", "modalities"})


def encode_request(
    params: Mapping[str, Any], *, stream: bool, include_usage: bool = False, extra_body: Mapping[str, Any] | None = None
) -> bytes:
    """The JSON body for *params*.

    Args:
        params: Fields of the API by name; None is left out.
        stream: Whether to ask for a stream.
        include_usage: Ask for usage in the stream, unless *params* has ``stream_options``.
        extra_body: Fields that are added, or replace others, unchecked.

    Raises:
        RequestValidationError: If a field is unknown, missing, of another type, or out of range; names field, value and
            what was expected.
    """
    given = {name: value for name, value in params.items() if value is not None}
    for name in given.keys() - _KNOWN.keys():
        _refuse_unknown(name)
    for name in _SEQUENCES & given.keys():
        given[name] = _sequence(name, given[name])
    _check(given, extra_body)
    if stream:
        given["stream"] = True
        if include_usage:
            given.setdefault("stream_options", {"include_usage": True})
    if extra_body:
        given.update(extra_body)
    body = _encode(given)
    # Inside a string the quotes would be escaped, so this is the name of a field and nothing else.
    return _encode(flattened(given)) if b'"_extra":' in body else body


def flattened(value: Any) -> Any:
    """*value* with the vendor fields of each Struct beside its own, where they came from.

    msgspec writes a Struct's ``extra`` as the field ``_extra``; this is for the few requests in which one is not empty.
    """
    if isinstance(value, WireStruct):
        config = type(value).__struct_config__
        fields: dict[str, Any] = {} if config.tag is None else {str(config.tag_field): config.tag}
        for field in msgspec.structs.fields(type(value)):
            item = getattr(value, field.name)
            if field.name != "extra" and item is not field.default:
                fields[field.encode_name] = flattened(item)
        return {**fields, **value.extra}
    if is_object(value):
        return {name: flattened(item) for name, item in value.items()}
    if is_array(value) or isinstance(value, tuple):
        items: Iterable[Any] = value
        return [flattened(item) for item in items]
    return value


def _check(given: dict[str, Any], extra_body: Mapping[str, Any] | None) -> None:
    for name in ("model", "messages"):
        if name not in given and name not in (extra_body or {}):
            raise RequestValidationError(
                f"{name} is missing, expected it in every request", field=name, hint=f"add {name}="
            )
    checked: dict[str, Any] = {"model": "-", "messages": [{}], **given}
    try:
        msgspec.convert(checked, ChatCompletionRequest)
    except msgspec.ValidationError as exc:
        _refuse(given, str(exc))
    for position, message in enumerate(cast("list[Any]", given.get("messages", ()))):
        if not isinstance(message, Struct):
            _check_message(message, position)


def _check_message(message: Any, position: int) -> None:
    if not isinstance(message, (dict, Mapping)):  # dict first: an abstract class is slow to ask
        where = f"messages[{position}]"
        raise RequestValidationError(
            f"{where} is {_shown(message)}, expected a dict with a role, or a message of this package", field=where
        )
    fields = cast("Mapping[str, Any]", message)
    if not isinstance(fields.get("role"), str):
        where = f"messages[{position}].role"
        raise RequestValidationError(
            f"{where} is {_shown(fields.get('role'))}, expected 'system', 'developer', 'user', 'assistant' or 'tool'",
            field=where,
        )
    if isinstance(fields.get("content"), (bytes, bytearray)):
        where = f"messages[{position}].content"
        raise RequestValidationError(
            f"{where} is bytes, expected text or a list of parts", field=where, hint="decode it"
        )


def _sequence(name: str, value: Any) -> Any:
    if isinstance(value, (list, str, bytes, Mapping)) or not isinstance(value, Iterable):
        return cast("Any", value)
    items: Iterable[Any] = value
    return list(items)


def _encode(body: dict[str, Any]) -> bytes:
    try:
        return _encode_json(body)
    except (TypeError, ValueError, UnicodeEncodeError, RecursionError, OverflowError) as exc:
        field = next((name for name, value in body.items() if not _is_encodable(value)), None)
        raise RequestValidationError(
            f"{field} cannot be sent as JSON: {exc}",
            field=field,
            hint="JSON takes str, numbers, bool, None, lists, dicts with str keys; no lone surrogates, no cycles",
        ) from None


def _is_encodable(value: Any) -> bool:
    try:
        _encode_json(value)
    except (TypeError, ValueError, UnicodeEncodeError, RecursionError, OverflowError):
        return False
    return True


def _refuse_unknown(name: str) -> NoReturn:
    near = difflib.get_close_matches(name, _KNOWN, n=1)
    known = f"did you mean {near[0]!r}? " if near else ""
    raise RequestValidationError(
        f"{name} is no field of the API; {known}extra_body={{{name!r}: ...}} sends it unchecked", field=name, hint=""
    )


def _refuse(given: dict[str, Any], reason: str) -> NoReturn:
    """Turn msgspec's ``Expected `float` <= 2.0 - at `$.temperature` `` into field, value, and what was expected."""
    expected, _, path = reason.partition(" - at `$")
    path = path.strip("`.")
    expected = expected.replace("`", "").removeprefix("Expected ").replace("float", "number").replace(" | null", "")
    expected = expected.partition(", got ")[0]
    name = path.partition("[")[0].partition(".")[0]
    expected = _RANGES.get(name, expected)
    if path != name:
        raise RequestValidationError(f"{path} is not what the API takes, expected {expected}", field=path or None)
    raise RequestValidationError(f"{name} is {_shown(given.get(name))}, expected {expected}", field=name)


_RANGES = {
    "temperature": "a number from 0 to 2",
    "top_p": "a number from 0 to 1",
    "frequency_penalty": "a number from -2 to 2",
    "presence_penalty": "a number from -2 to 2",
    "n": "a whole number of at least 1",
    "max_tokens": "a whole number of at least 1",
    "max_completion_tokens": "a whole number of at least 1",
    "top_logprobs": "a whole number from 0 to 20",
    "messages": "a list of at least one message",
    "model": "the name of a model",
    "stop": "a string or a list of strings",
    "logit_bias": "a dict from token ids to numbers from -100 to 100",
}


def _shown(value: Any) -> str:
    """*value* in short. Prompts are not quoted: only scalars are shown."""
    if value is None:
        return "missing"
    if isinstance(value, (int, float)) or (isinstance(value, str) and len(value) <= 60):
        return repr(value)
    kind = type(cast("object", value)).__name__
    return f"an empty {kind}" if hasattr(value, "__len__") and not len(value) else f"a {kind}"
