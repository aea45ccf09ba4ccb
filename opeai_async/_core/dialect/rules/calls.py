"""Repair tool calls: names and ids, empty structs, and the calls of a whole message."""

from __future__ import annotations

from typing import Any

import msgspec

from opeai_async._core.dialect.rules.values import SYNTHETIC_ID_PREFIX, distinct_id, stringify
from opeai_async._core.dialect.tool_arguments import whole_arguments
from opeai_async._core.dialect.tool_indexes import arguments_in, name_in
from opeai_async._core.dialect.unknown_fields import put_extra
from opeai_async._core.json import JSONObject, is_array, is_object

_OWN = frozenset({"index", "id", "type", "function", "custom"})


def tool_calls_object(delta: JSONObject) -> bool:
    calls = delta.get("tool_calls")
    if is_object(calls):
        delta["tool_calls"] = [calls]
    elif is_array(calls) and not all(map(is_object, calls)):
        # Nulls are dropped; anything else stays visible in ``extra``.
        delta["tool_calls"] = [call for call in calls if is_object(call)]
        if others := [call for call in calls if not (is_object(call) or call is None)]:
            put_extra(delta, {"tool_calls": others})
    else:
        return False
    return True


def function_call_empty(delta: JSONObject) -> bool:
    """Delete an empty ``function_call``: servers in Go send every field of an empty struct."""
    call = delta.get("function_call")
    if not is_object(call) or call.get("name") or call.get("arguments") or call.keys() - {"name", "arguments"}:
        return False
    if call and "name" not in call:
        return False  # a piece of a call that has its name
    del delta["function_call"]
    return True


def function_missing(call: JSONObject) -> bool:
    function = call.get("function")
    is_name = isinstance(function, str) and bool(function)
    if is_object(function) or not (is_name or "name" in call or "arguments" in call):
        return False
    parts = {name: call.pop(name) for name in ("name", "arguments") if name in call}
    call["function"] = {"name": function, **parts} if is_name else parts
    return True


def custom_empty(call: JSONObject) -> bool:
    """Delete the empty one of ``function`` and ``custom`` if a call has both."""
    tools = {name: tool for name in ("custom", "function") if is_object(tool := call.get(name))}
    empty = next((name for name, tool in tools.items() if not any(tool.values())), None)
    if len(tools) < 2 or empty is None:
        return False
    del call[empty]
    return True


def call_id_number(call: JSONObject) -> bool:
    return stringify(call, "id")


def arguments_object(function: JSONObject) -> bool:
    arguments = function.get("arguments")
    if arguments is None or isinstance(arguments, str):
        return False
    function["arguments"] = msgspec.json.encode(arguments).decode()
    return True


def is_blank(call: JSONObject) -> bool:
    """Tell whether a call, or a piece of one, has neither name nor arguments nor anything of its own."""
    return not (name_in(call) or arguments_in(call) or call.keys() - _OWN)


def is_piece(call: JSONObject) -> bool:
    """Tell whether a piece without name and arguments is ordinary: some servers end each call with such a piece."""
    function = call.get("function")
    return bool(call.get("id")) or ("id" not in call and is_object(function) and "name" not in function)


# --- a whole message --------------------------------------------------------------------------------------------------


def tool_calls_empty(message: JSONObject) -> bool:
    """Delete an empty list of calls: sent back in a request, some servers refuse it."""
    if message.get("tool_calls") != []:
        return False
    del message["tool_calls"]
    return True


def tool_call_empty(message: JSONObject) -> bool:
    """Delete calls that have neither a name nor arguments."""
    calls = message.get("tool_calls")
    if not is_array(calls) or not any(is_object(call) and is_blank(call) for call in calls):
        return False
    kept = [call for call in calls if not (is_object(call) and is_blank(call))]
    message["tool_calls"] = kept or None
    return True


def tool_call_split(message: JSONObject) -> bool:
    """Append the arguments of an item without name and id to the call before it."""
    calls = message.get("tool_calls")
    if not is_array(calls):
        return False
    whole: list[Any] = []
    for call in calls:
        before = whole[-1] if whole else None
        function = before.get("function") if is_object(before) else None
        if is_object(call) and is_object(function) and not call.get("id") and not name_in(call):
            function["arguments"] = (function.get("arguments") or "") + arguments_in(call)
        else:
            whole.append(call)
    is_split = len(whole) < len(calls)
    message["tool_calls"] = whole
    return is_split


def tool_arguments_repeated(message: JSONObject) -> bool:
    """Cut what follows a whole JSON object in the arguments: mostly the same object again."""
    return _said_once(message, "tool_arguments_repeated")


def _said_once(message: JSONObject, quirk: str) -> bool:
    calls = message.get("tool_calls")
    tools = [call.get("function") for call in calls if is_object(call)] if is_array(calls) else []
    found = False
    for function in (*tools, message.get("function_call")):
        if is_object(function) and isinstance(arguments := function.get("arguments"), str) and arguments:
            function["arguments"], repeated = whole_arguments(arguments)
            found = found or repeated == quirk
    return found


def tool_id_shared(message: JSONObject) -> bool:
    """Make ids that two calls share distinct: a result finds its call by the id."""
    calls = message.get("tool_calls")
    taken: set[str] = set()
    found = False
    for call in calls if is_array(calls) else ():
        if is_object(call) and isinstance(call_id := call.get("id"), str) and call_id:
            call["id"] = distinct_id(call_id, taken)
            found = found or call["id"] != call_id
            taken.add(call["id"])
    return found


def call_incomplete(message: JSONObject) -> bool:
    calls = message.get("tool_calls")
    if not is_array(calls):
        return False
    completed = [_complete_call(call, position) for position, call in enumerate(calls) if is_object(call)]
    return any(completed)


def _complete_call(call: JSONObject, position: int) -> bool:
    kind = "custom" if is_object(call.get("custom")) else "function"
    made_up = _complete(call, {"id": f"{SYNTHETIC_ID_PREFIX}{position}", "type": kind})
    if not is_object(call.get(kind)):
        call[kind] = {}
    return _complete(call[kind], {"name": "", "input": ""} if kind == "custom" else _FUNCTION_DEFAULTS) or made_up


def function_call_incomplete(message: JSONObject) -> bool:
    function = message.get("function_call")
    return is_object(function) and _complete(function, _FUNCTION_DEFAULTS)


# What the API promises to send; ``{}`` are arguments that a tool without parameters accepts.
_FUNCTION_DEFAULTS = {"name": "", "arguments": "{}"}


def _complete(target: JSONObject, defaults: dict[str, str]) -> bool:
    """Set each field that is empty, or is not text, to its default; other values stay in the ``_extra``."""
    absent = [name for name in defaults if not isinstance(target.get(name), str) or not target[name]]
    missing = [name for name in absent if target.get(name) != defaults[name]]
    put_extra(target, {name: target[name] for name in missing if target.get(name)})
    for name in missing:
        target[name] = defaults[name]
    return bool(missing)
