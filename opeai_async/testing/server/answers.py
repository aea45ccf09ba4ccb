"""The default answers, for requests that find no script: deterministic, and useful in a demonstration. No I/O.

The answer repeats the last message. A model whose name speaks of reasoning (``deepseek-...``, ``...reason...``) thinks
first. A ``tool_choice`` that is ``"required"`` or names a tool calls it, with made-up arguments that fit its schema;
after the tool's result the text repeats the result. A JSON response format gives JSON that fits the schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from opeai_async.testing.script.compose import text_of
from opeai_async.testing.script.reply import Reply

MODELS = ("deepseek-v4-flash", "deepseek-v4-pro", "opeai-test")

_SIGNATURE = "This is the testing server of opeai_async. It has no model, so it repeats what it hears."
_MAX_ECHO_CHARS = 400
_MAX_SCHEMA_DEPTH = 16


def default_reply(request: Mapping[str, Any]) -> Reply:
    """Return the answer to *request*."""
    # If the server does not validate, any field may be missing.
    reasoning = _reasoning(request)
    tool = _forced_tool(request)
    if tool is not None:
        return Reply(tool_calls=[_call(tool)], reasoning=reasoning)
    return Reply(_json_text(request) or _echo(request), reasoning=reasoning)


def models_body() -> dict[str, Any]:
    """Return the body of ``GET /v1/models``."""
    return {
        "object": "list",
        "data": [{"id": name, "object": "model", "created": 0, "owned_by": "opeai_async"} for name in MODELS],
    }


def _echo(request: Mapping[str, Any]) -> str:
    last = _last_message(request)
    text = text_of(last.get("content"))
    said = text if len(text) <= _MAX_ECHO_CHARS else text[:_MAX_ECHO_CHARS] + "..."
    if last.get("role") == "tool":
        return f"The tool answered: {said}"
    return f"You said: {said}\n\n{_SIGNATURE}"


def _last_message(request: Mapping[str, Any]) -> Mapping[str, Any]:
    messages: list[Mapping[str, Any]] = request.get("messages") or [{}]
    return messages[-1]


def _reasoning(request: Mapping[str, Any]) -> str | None:
    model = str(request.get("model")).lower()
    if not model.startswith("deepseek") and "reason" not in model:
        return None
    count = len(request.get("messages") or ())
    return f"The conversation has {count} message{'' if count == 1 else 's'}. I will answer the last one."


# --- tools ------------------------------------------------------------------------------------------------------------


def _forced_tool(request: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the tool that the request insists on; None if there is none, or its result is the last message."""
    # Otherwise an agent that always insists would never come to an end.
    choice = request.get("tool_choice")
    tools: list[Mapping[str, Any]] = request.get("tools") or []
    if not tools or _last_message(request).get("role") == "tool":
        return None
    if choice == "required":
        return tools[0]
    if not isinstance(choice, Mapping):
        return None
    named = cast("Mapping[str, Any]", choice)
    kind = named["type"]
    matches = [tool for tool in tools if tool["type"] == kind and tool[kind]["name"] == named[kind]["name"]]
    return matches[0] if matches else None


def _call(tool: Mapping[str, Any]) -> tuple[str, object] | Mapping[str, Any]:
    if tool["type"] == "custom":
        return {"type": "custom", "custom": {"name": tool["custom"]["name"], "input": "example"}}
    function = tool["function"]
    return function["name"], example(function.get("parameters") or {"type": "object"})


# --- JSON that fits a schema ------------------------------------------------------------------------------------------


def _json_text(request: Mapping[str, Any]) -> str | None:
    wanted: Mapping[str, Any] = request.get("response_format") or {}
    if wanted.get("type") == "json_object":
        return msgspec.json.encode({"answer": _echo(request)}).decode()
    if wanted.get("type") == "json_schema":
        return msgspec.json.encode(example(wanted["json_schema"].get("schema") or {"type": "object"})).decode()
    return None


def example(schema: Mapping[str, Any]) -> Any:
    """Return a value that fits a JSON *schema* of types, enum, const, default, $ref, unions and properties."""
    return _example(schema, schema, 0)


def _example(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Any:
    # A schema may refer to itself.
    if depth > _MAX_SCHEMA_DEPTH:
        return None
    for name, pick in (("const", schema.get("const")), ("default", schema.get("default"))):
        if name in schema:
            return pick
    if schema.get("enum"):
        return schema["enum"][0]
    if "$ref" in schema:
        return _example(_resolve(schema["$ref"], root), root, depth + 1)
    for union in ("anyOf", "oneOf", "allOf"):
        if schema.get(union):
            return _example(schema[union][0], root, depth + 1)
    return _example_of_type(schema, root, depth)


def _example_of_type(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = cast("list[str]", kind)[0]
    if kind == "object":
        properties: Mapping[str, Any] = schema.get("properties") or {}
        return {name: _example(value, root, depth + 1) for name, value in properties.items()}
    if kind == "array":
        count = max(1, schema.get("minItems", 1))
        return [_example(schema.get("items") or {}, root, depth + 1) for _ in range(count)]
    if kind in ("integer", "number"):
        return schema.get("minimum", 1)
    return {"boolean": True, "null": None}.get(kind, "example")


def _resolve(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema that a local reference such as ``#/$defs/City`` points at."""
    target: Any = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        target = target[step] if step else target
    return cast("Mapping[str, Any]", target)
