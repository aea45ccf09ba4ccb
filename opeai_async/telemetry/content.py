"""Prompts and answers in the JSON of the conventions. It is used only where capturing them was asked for.

A message is ``{"role": ..., "parts": [...]}``, and a part has a ``type``: ``text``, ``reasoning``, ``tool_call``,
``tool_call_response``, ``uri``, ``blob`` or ``file``. What is of another kind is named, and not shown.

See gen-ai-input-messages.json, gen-ai-output-messages.json and gen-ai-tool-definitions.json of the conventions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from opeai_async.types.completion import ChatCompletion, ChatCompletionMessage, Choice

Part: TypeAlias = dict[str, Any]
Capture = Literal["no_content", "span_only", "event_only", "span_and_event"]
CAPTURES: tuple[Capture, ...] = ("no_content", "span_only", "event_only", "span_and_event")
_FINISH_WORDS = {"tool_calls": "tool_call"}  # what the conventions' messages say; all others are the same


def input_messages(messages: Sequence[Any]) -> list[dict[str, Any]]:
    """Return what was asked, message by message."""
    return [_input_message(as_dict(message)) for message in messages]


def output_messages(completion: ChatCompletion | None) -> list[dict[str, Any]]:
    """Return what was answered, one message per choice; ``finish_reason`` is ``error`` for one that was cut."""
    return [] if completion is None else [_output_message(choice) for choice in completion.choices]


def tool_definitions(tools: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the tools that the model may call, with their parameters."""
    return [_definition(as_dict(tool)) for tool in tools]


def as_json(value: object) -> str:
    """Return *value* as JSON text, which is what a span can hold."""
    return msgspec.json.encode(value, enc_hook=repr).decode()


def as_dict(value: object) -> dict[str, Any]:
    """Return a message, part or tool as plain values: it may have been given as a dict or as a Struct."""
    if isinstance(value, Mapping):
        return dict(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    plain = msgspec.to_builtins(value, str_keys=True, enc_hook=repr)
    return plain if isinstance(plain, dict) else {"type": type(value).__name__}  # pyright: ignore[reportUnknownVariableType]


def _input_message(message: dict[str, Any]) -> dict[str, Any]:
    role = str(message.get("role", ""))
    parts = list(_reasoning(message.get("reasoning_content")))
    if role in ("tool", "function"):
        answer = {"type": "tool_call_response", "id": message.get("tool_call_id")}
        parts.append({**answer, "response": _text_of(message.get("content"))})
    else:
        parts.extend(_content_parts(message.get("content")))
        parts.extend(_refusal(message.get("refusal")))
    parts.extend(_call_part(as_dict(call)) for call in message.get("tool_calls") or ())
    found: dict[str, Any] = {"role": role, "parts": parts}
    if name := message.get("name"):
        found["name"] = name
    return found


def _content_parts(content: object) -> Iterator[Part]:
    if isinstance(content, str):
        yield {"type": "text", "content": content}
    elif isinstance(content, Sequence):
        for part in content:  # pyright: ignore[reportUnknownVariableType]
            yield _content_part(as_dict(part))  # pyright: ignore[reportUnknownArgumentType]


def _content_part(part: dict[str, Any]) -> Part:
    kind = part.get("type")
    if kind == "text":
        return {"type": "text", "content": part.get("text", "")}
    if kind == "refusal":
        return {"type": "text", "content": part.get("refusal", "")}
    if kind == "image_url":
        return _located(as_dict(part.get("image_url") or {}).get("url", ""), "image")
    if kind == "input_audio":
        audio = as_dict(part.get("input_audio") or {})
        return {
            "type": "blob",
            "modality": "audio",
            "mime_type": f"audio/{audio.get('format')}",
            "content": audio.get("data"),
        }
    if kind == "file":
        file = as_dict(part.get("file") or {})
        if file.get("file_id"):
            return {"type": "file", "modality": "document", "mime_type": None, "file_id": file["file_id"]}
        return {"type": "blob", "modality": "document", "mime_type": None, "content": file.get("file_data")}
    return {"type": str(kind)}


def _located(url: str, modality: str) -> Part:
    """Return the part of a web address, or of the data in a ``data:`` URL."""
    if url.startswith("data:"):
        kind, _, data = url.removeprefix("data:").partition(",")
        return {"type": "blob", "modality": modality, "mime_type": kind.partition(";")[0] or None, "content": data}
    return {"type": "uri", "modality": modality, "mime_type": None, "uri": url}


def _output_message(choice: Choice) -> dict[str, Any]:
    reason = choice.finish_reason or "error"
    return {
        "role": choice.message.role or "assistant",
        "parts": list(_answer_parts(choice.message)),
        "finish_reason": _FINISH_WORDS.get(reason, reason),
    }


def _answer_parts(message: ChatCompletionMessage) -> Iterator[Part]:
    yield from _reasoning(message.reasoning_content)
    if message.content:
        yield {"type": "text", "content": message.content}
    yield from _refusal(message.refusal)
    if message.audio is not None:
        yield {"type": "text", "content": message.audio.transcript}
    for call in message.tool_calls or ():
        yield _call_part(as_dict(call))


def _reasoning(text: object) -> Iterator[Part]:
    if isinstance(text, str) and text:
        yield {"type": "reasoning", "content": text}


def _refusal(text: object) -> Iterator[Part]:
    if isinstance(text, str) and text:
        yield {"type": "text", "content": text}


def _call_part(call: dict[str, Any]) -> Part:
    if custom := call.get("custom"):
        asked = as_dict(custom)
        return {"type": "tool_call", "id": call.get("id"), "name": asked.get("name"), "arguments": asked.get("input")}
    asked = as_dict(call.get("function") or {})
    return {
        "type": "tool_call",
        "id": call.get("id"),
        "name": asked.get("name"),
        "arguments": _decoded(asked.get("arguments")),
    }


def _decoded(arguments: object) -> object:
    """Return the arguments as values; as text where the model broke off, or wrote no JSON."""
    if not isinstance(arguments, str):
        return arguments
    try:
        return msgspec.json.decode(arguments)
    except msgspec.DecodeError:
        return arguments


def _text_of(content: object) -> object:
    """Return the text of a tool's answer, which may have been given in parts."""
    if not isinstance(content, Sequence) or isinstance(content, str):
        return content
    return "".join(part.get("content", "") for part in _content_parts(content) if part["type"] == "text")  # pyright: ignore[reportUnknownArgumentType]


def _definition(tool: dict[str, Any]) -> dict[str, Any]:
    kind = str(tool.get("type", "function"))
    asked = as_dict(tool.get(kind) or {})
    found = {"type": kind, "name": asked.get("name", tool.get("name", kind))}
    for key in ("description", "parameters"):
        if key in asked:
            found[key] = asked[key]
    return found
