"""Complete a conversation so that servers accept it, even if a cancel, a limit, an error or the model cut it.

    servers refuse                      it is sent as
    ----------------------------------  ---------------------------------------------------------------------------
    a tool call without a result        the call, and a result that says that it was not run
    arguments that are not an object    ``{"invalid_json": "..."}`` with their text
    an assistant's message that is      the message with an empty text
    empty

Servers parse arguments, to write them in the model's own format. To send ``{}`` for invalid ones was rejected: the
model would read that it had given none. The caller's messages are not changed, only copies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard, cast

import msgspec

from opeai_async._core.json import is_array, is_object, is_row
from opeai_async.errors import RequestValidationError
from opeai_async.types.completion import ChatCompletionMessage, FunctionCall, ToolCall
from opeai_async.types.request import AssistantMessage, MessageParam, ToolMessage

NOT_RUN = "not run: the conversation went on before this call was made"


def sendable(messages: Iterable[MessageParam], *, why: str = NOT_RUN) -> list[MessageParam]:
    """Return *messages* in a form that servers accept; *why* is the result of each call that has none."""
    made: list[MessageParam] = []
    open_ids: list[str] = []
    for message in messages:
        if _answered_id(message) is None:
            made += _not_run(open_ids, why)
        open_ids = _open_after(open_ids, message)
        made.append(_mended(message))
    return [*made, *_not_run(open_ids, why)]


def open_calls(messages: Iterable[MessageParam]) -> list[ToolCall]:
    """Return the calls of the last answer in *messages* that have no result.

    Raises:
        RequestValidationError: If one of them is not in the API's shape.
    """
    calls: list[Any] = []
    open_ids: list[str] = []
    for message in messages:
        calls = _calls(message) if _answered_id(message) is None else calls
        open_ids = _open_after(open_ids, message)
    try:
        return [
            msgspec.convert(call, ToolCall, from_attributes=True) for call in calls if _field(call, "id") in open_ids
        ]
    except msgspec.ValidationError as exc:
        raise RequestValidationError(f"a call in messages is not in the API's shape: {exc}", field="messages") from None


def missing_results(messages: Iterable[MessageParam], following: MessageParam) -> list[MessageParam]:
    """Return the results that *messages* lack for *following* to be sent after them."""
    if _answered_id(following) is not None:
        return []
    open_ids: list[str] = []
    for message in messages:
        open_ids = _open_after(open_ids, message)
    return _not_run(open_ids, NOT_RUN)


def _open_after(open_ids: list[str], message: MessageParam) -> list[str]:
    """Return the ids of the calls that are without a result after *message*; *open_ids* are those before it."""
    answered = _answered_id(message)
    if answered is None:
        return [str(_field(call, "id")) for call in _calls(message)]
    return [call_id for call_id in open_ids if call_id != answered]


def _not_run(call_ids: Iterable[str], why: str) -> list[MessageParam]:
    content = msgspec.json.encode({"error": why}).decode()
    return [ToolMessage(content=content, tool_call_id=call_id) for call_id in call_ids]


def _is_mapping(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)


def _field(message: object, name: str) -> Any:
    return message.get(name) if _is_mapping(message) else getattr(message, name, None)


def _answered_id(message: MessageParam) -> str | None:
    """Return the id of the call that *message* is the result of; None if it is not a result."""
    if isinstance(message, ToolMessage) or _field(message, "role") == "tool":
        return str(_field(message, "tool_call_id"))
    return None


def _calls(message: MessageParam) -> list[Any]:
    calls = _field(message, "tool_calls")
    return list(calls) if is_row(calls) else []


def _mended(message: MessageParam) -> MessageParam:
    calls = _calls(message)
    if not calls:
        return _with_content(message)
    mended = [_mended_call(call) for call in calls]
    if all(new is old for new, old in zip(mended, calls, strict=True)):
        return message
    if isinstance(message, Mapping):
        return cast("MessageParam", {**message, "tool_calls": mended})
    return msgspec.structs.replace(message, tool_calls=mended)


def _mended_call(call: Any) -> Any:
    function = _field(call, "function")
    text = _field(function, "arguments")
    if _field(call, "custom") is not None or not isinstance(text, str) or _is_object(text):
        return call
    arguments = msgspec.json.encode({"invalid_json": text}).decode() if text.strip() else "{}"
    if isinstance(call, ToolCall) and isinstance(function, FunctionCall):
        return msgspec.structs.replace(call, function=msgspec.structs.replace(function, arguments=arguments))
    return {**call, "function": {**function, "arguments": arguments}} if is_object(call) else call


def _is_object(text: str) -> bool:
    try:
        return is_object(msgspec.json.decode(text))
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False


def _with_content(message: MessageParam) -> MessageParam:
    is_answer = isinstance(message, (ChatCompletionMessage, AssistantMessage)) or _field(message, "role") == "assistant"
    if not is_answer or any(_field(message, name) for name in ("content", "refusal", "audio", "function_call")):
        return message
    # The blocks are sent as the content.
    if is_array(_field(message, "content_blocks")):
        return message
    if isinstance(message, Mapping):
        return cast("MessageParam", {**message, "content": ""})
    return msgspec.structs.replace(message, content="")
