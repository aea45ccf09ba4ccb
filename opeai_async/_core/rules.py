"""The repairs of odd answers: one table of small named rules.

Each rule sees one object of the decoded JSON, changes it in place, and says whether it did. ``dialect.py`` walks the
levels and calls them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from opeai_async._core.json_types import JSONObject, is_array, is_object
from opeai_async._core.loose import NumberText, put_extra

SYNTHETIC_ID_PREFIX = "call_synthetic_"
_MAX_INDEX_DIGITS = 18


class Rule(NamedTuple):
    """One repair: *repair* changes the object in place and says whether it did."""

    level: str
    name: str
    repair: Callable[[JSONObject], bool]
    what: str
    who: str


def _choices_missing(body: JSONObject) -> bool:
    if body.get("choices") is not None:
        return False
    body["choices"] = []
    return True


def _envelope_null(body: JSONObject) -> bool:
    names = [name for name in ("id", "object", "created", "model") if name in body and body[name] is None]
    for name in names:
        del body[name]
    return bool(names)


def _id_number(body: JSONObject) -> bool:
    return _stringify(body, "id")


def _created_not_integer(body: JSONObject) -> bool:
    return _make_integer(body, "created")


_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


def _usage_empty(body: JSONObject) -> bool:
    usage = body.get("usage")
    if not is_object(usage) or any(_is_countable(usage.get(name)) for name in _COUNTS):
        return False
    del body["usage"]
    if usage:
        put_extra(body, {"usage": usage})
    return True


def _count_not_integer(usage: JSONObject) -> bool:
    made = [name for name in _COUNTS if _make_integer(usage, name)]
    return bool(made)


def _usage_null_count(usage: JSONObject) -> bool:
    names = [name for name in ("prompt_tokens", "completion_tokens") if usage.get(name) is None]
    for name in names:
        usage[name] = 0
    return bool(names)


def _usage_total_missing(usage: JSONObject) -> bool:
    if usage.get("total_tokens") is not None:
        return False
    counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    usage["total_tokens"] = sum(count for count in counts if isinstance(count, int))
    return True


def _choices_odd(body: JSONObject) -> bool:
    """One choice that is in no list, and items of the list that are none."""
    choices = body.get("choices")
    listed = choices if is_array(choices) else [choices] if is_object(choices) else []
    body["choices"] = [choice for choice in listed if is_object(choice)]
    return not is_array(choices) or len(body["choices"]) < len(choices)


def _choice_index_missing(body: JSONObject) -> bool:
    """The lowest that is free: nearly always 0, for the only choice."""
    choices: list[JSONObject] = body["choices"]
    taken = {str(choice["index"]) for choice in choices if choice.get("index") is not None}
    free = (index for index in itertools.count() if str(index) not in taken)
    nameless = [choice for choice in choices if choice.get("index") is None]
    for choice in nameless:
        choice["index"] = next(free)
    return bool(nameless)


def _index_not_integer(owner: JSONObject) -> bool:
    index = owner.get("index")
    if isinstance(index, str) and index.isdecimal() and len(index) > _MAX_INDEX_DIGITS:
        owner["index"] = 10**_MAX_INDEX_DIGITS  # out of every bound, as it was meant
        return True
    return _make_integer(owner, "index")


def _delta_missing(choice: JSONObject) -> bool:
    if choice.get("delta") not in (None, []):  # [] is how PHP writes an empty object
        return False
    if is_object(choice.get("message")):
        choice["delta"] = choice.pop("message")
    else:
        choice["delta"] = {"content": choice.pop("text")} if isinstance(choice.get("text"), str) else {}
    return True


def _message_missing(choice: JSONObject) -> bool:
    if is_object(choice.get("message")):
        return False
    if is_object(choice.get("delta")):
        choice["message"] = choice.pop("delta")
    else:
        texts = (choice.get(name) for name in ("message", "text"))
        choice["message"] = {"content": next((text for text in texts if isinstance(text, str)), None)}
    return True


def _role_missing(message: JSONObject) -> bool:
    if isinstance(message.get("role"), str) and message["role"]:
        return False
    message["role"] = "assistant"
    return True


def _content_number(delta: JSONObject) -> bool:
    return _number_as_text(delta, "content")


def _number_as_text(delta: JSONObject, name: str) -> bool:
    number = delta.get(name)
    if not isinstance(number, NumberText):
        return _stringify(delta, name)
    delta[name] = str(number)
    return True


def _content_object(delta: JSONObject) -> bool:
    """An answer in JSON mode that some gateway has decoded is text again."""
    content = delta.get("content")
    if is_object(content):
        is_answer = not _is_block(content)
    else:
        is_answer = is_array(content) and bool(content) and not any(map(_may_be_block, content))
    if is_answer:
        delta["content"] = msgspec.json.encode(content).decode()
    return is_answer


_BLOCK_TEXTS = frozenset({"text", "thinking"})


def _is_block(content: JSONObject) -> bool:
    """Whether an object that stands alone is a block: an answer may have a field ``type`` or ``text`` too."""
    kind = content.get("type")
    if isinstance(kind, str):
        return not content.keys().isdisjoint({kind, *_BLOCK_TEXTS})
    return content.keys() <= _BLOCK_TEXTS


def _may_be_block(item: Any) -> bool:
    return not is_object(item) or not item.keys().isdisjoint({"type", *_BLOCK_TEXTS})


def _content_blocks(delta: JSONObject) -> bool:
    """Blocks of text go to content, blocks of thinking to reasoning.

    All but plain text stays in ``extra`` too: from there the blocks are sent back.
    """
    blocks = delta.get("content")
    if is_object(blocks):
        blocks = [blocks]
    if not is_array(blocks):
        return False
    texts: list[str] = []
    thoughts: list[str] = []
    kept: list[Any] = []
    for block in blocks:
        _sort_block(block, texts, thoughts, kept)
    delta["content"] = "".join(texts) if texts else None
    if thoughts:
        delta["reasoning_content"] = "".join(thoughts)
    if kept:
        delta["content_blocks"] = kept
    return True


_PLAIN_TEXT = frozenset({"type", "text"})


def _sort_block(block: Any, texts: list[str], thoughts: list[str], kept: list[Any]) -> None:
    if isinstance(block, str):
        texts.append(block)
        return
    fields = block if is_object(block) else {}
    is_text = isinstance(fields.get("text"), str)
    if is_text:
        texts.append(fields["text"])
    elif "thinking" in fields:
        thoughts.append(text_of(fields["thinking"]))
    if not is_text or fields.keys() - _PLAIN_TEXT:
        kept.append(block)


def _reasoning_alias(delta: JSONObject) -> bool:
    """``reasoning`` is read as ``reasoning_content``.

    It also stays where it was: its name says under which one it is to be sent back.
    """
    if "reasoning" not in delta:
        return False
    if delta["reasoning"] is not None and not delta.get("reasoning_content"):
        delta["reasoning_content"] = delta["reasoning"]
    if not delta["reasoning"]:
        del delta["reasoning"]
    return True


def _reasoning_number(delta: JSONObject) -> bool:
    made = [_number_as_text(delta, name) for name in ("reasoning_content", "reasoning")]
    return any(made)


def _reasoning_object(delta: JSONObject) -> bool:
    """An object or a list, which may hold a signature, stays in ``extra`` under the name it came with."""
    reasoning = delta.get("reasoning_content")
    if reasoning is None or isinstance(reasoning, str):
        return False
    delta["reasoning_content"] = text_of(reasoning)
    if "reasoning" not in delta:
        put_extra(delta, {"reasoning_content": reasoning})
    return True


def text_of_details(delta: JSONObject) -> str:
    """The reasoning in ``reasoning_details``: their texts and summaries, but nothing encrypted."""
    details = delta.get("reasoning_details")
    if not is_array(details):
        return ""
    return "".join([text_of(item.get("text") or item.get("summary")) for item in details if is_object(item)])


def _tool_calls_object(delta: JSONObject) -> bool:
    calls = delta.get("tool_calls")
    if is_object(calls):
        delta["tool_calls"] = [calls]
    elif is_array(calls) and not all(map(is_object, calls)):
        delta["tool_calls"] = [call for call in calls if is_object(call)]
        if others := [call for call in calls if not (is_object(call) or call is None)]:
            put_extra(delta, {"tool_calls": others})
    else:
        return False
    return True


def _function_missing(call: JSONObject) -> bool:
    function = call.get("function")
    is_name = isinstance(function, str) and bool(function)
    if is_object(function) or not (is_name or "name" in call or "arguments" in call):
        return False
    parts = {name: call.pop(name) for name in ("name", "arguments") if name in call}
    call["function"] = {"name": function, **parts} if is_name else parts
    return True


def _call_id_number(call: JSONObject) -> bool:
    return _stringify(call, "id")


def _tool_calls_empty(message: JSONObject) -> bool:
    """An empty list is no tool call; sent back as it is, some servers refuse it."""
    if message.get("tool_calls") != []:
        return False
    del message["tool_calls"]
    return True


def _call_incomplete(message: JSONObject) -> bool:
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


def _function_call_incomplete(message: JSONObject) -> bool:
    function = message.get("function_call")
    return is_object(function) and _complete(function, _FUNCTION_DEFAULTS)


_FUNCTION_DEFAULTS = {"name": "", "arguments": "{}"}


def _complete(target: JSONObject, defaults: dict[str, str]) -> bool:
    """Make each field that is no text, or empty, its default."""
    absent = [name for name in defaults if not isinstance(target.get(name), str) or not target[name]]
    missing = [name for name in absent if target.get(name) != defaults[name]]
    put_extra(target, {name: target[name] for name in missing if target.get(name)})
    for name in missing:
        target[name] = defaults[name]
    return bool(missing)


def _arguments_object(function: JSONObject) -> bool:
    arguments = function.get("arguments")
    if arguments is None or isinstance(arguments, str):
        return False
    function["arguments"] = msgspec.json.encode(arguments).decode()
    return True


RULES: tuple[Rule, ...] = (
    Rule("envelope", "choices_missing", _choices_missing, "`choices` is absent or null: []", "xAI, OpenRouter, Azure"),
    Rule("envelope", "choices_odd", _choices_odd, "a list of objects, and nothing else", "gateways"),
    Rule("envelope", "choice_index_missing", _choice_index_missing, "the lowest that is free", "several"),
    Rule("envelope", "envelope_null", _envelope_null, "id, object, created or model is null: left out", "gateways"),
    Rule("envelope", "id_number", _id_number, "a numeric id becomes its text", "gateways"),
    Rule("envelope", "created_not_integer", _created_not_integer, "a float or text is rounded down", "SambaNova"),
    Rule("envelope", "usage_empty", _usage_empty, "an object without counts is no usage", "Cloudflare, MiniMax"),
    Rule("usage", "count_not_integer", _count_not_integer, "a float or text is rounded down", "gateways"),
    Rule("usage", "usage_null_count", _usage_null_count, "an absent count is 0", "gateways"),
    Rule("usage", "usage_total_missing", _usage_total_missing, "the sum of the other two", "gateways"),
    Rule("choice", "index_not_integer", _index_not_integer, "a float or text becomes an integer", "gateways"),
    Rule("choice", "delta_missing", _delta_missing, "`message` in its place, or nothing", "Azure, Perplexity"),
    Rule("whole_choice", "index_not_integer", _index_not_integer, "a float or text becomes an integer", "gateways"),
    Rule("whole_choice", "message_missing", _message_missing, "`delta` or `text` in its place", "gateways"),
    Rule("delta", "content_number", _content_number, "the number as it was written", "Cloudflare"),
    Rule("delta", "content_object", _content_object, "an answer in JSON mode becomes its text", "Cloudflare"),
    Rule("delta", "content_blocks", _content_blocks, "text to content, thinking to reasoning", "Mistral magistral"),
    Rule("delta", "reasoning_number", _reasoning_number, "the number as it was written", "Cloudflare"),
    Rule("delta", "reasoning_alias", _reasoning_alias, "`reasoning` is reasoning_content", "vLLM, Groq, OpenRouter"),
    Rule("delta", "reasoning_object", _reasoning_object, "the text inside an object or list", "OpenRouter"),
    Rule("delta", "tool_calls_object", _tool_calls_object, "a list of calls, and nothing else", "gateways"),
    Rule("tool_call", "index_not_integer", _index_not_integer, "a float or text becomes an integer", "gateways"),
    Rule("tool_call", "function_missing", _function_missing, "name and arguments beside the id, or a name", "gateways"),
    Rule("tool_call", "call_id_number", _call_id_number, "a numeric id becomes its text", "gateways"),
    Rule("function", "arguments_object", _arguments_object, "encoded as JSON text", "llama.cpp, Gemini, Ollama"),
    Rule("message", "role_missing", _role_missing, "assistant", "Mistral, old Ollama"),
    Rule("message", "tool_calls_empty", _tool_calls_empty, "no tool calls are None", "vLLM"),
    Rule("message", "call_incomplete", _call_incomplete, "id, type, name or arguments made up", "GLM, Ollama"),
    Rule("message", "call_incomplete", _function_call_incomplete, "name or arguments made up", "gateways"),
)

_LEVELS = ("envelope", "usage", "choice", "whole_choice", "delta", "tool_call", "function", "message")
RULES_BY_LEVEL = {level: tuple(rule for rule in RULES if rule.level == level) for level in _LEVELS}


def _stringify(target: JSONObject, name: str) -> bool:
    value = target.get(name)
    if not isinstance(value, (int, float)):
        return False
    target[name] = repr(value).lower() if isinstance(value, bool) else repr(value)
    return True


def _is_countable(value: Any) -> bool:
    return isinstance(value, int) or _as_integer(value) is not None


def _make_integer(target: JSONObject, name: str) -> bool:
    """Make a number of another kind, or in text, the integer below; what is no number is left as it is."""
    number = _as_integer(target.get(name))
    if number is None:
        return False
    target[name] = number
    return True


def _as_integer(value: Any) -> int | None:
    if not isinstance(value, (float, str)):
        return None
    try:
        return int(float(value))
    except (ValueError, OverflowError):  # no number, or no finite one
        return None


def text_of(value: Any) -> str:
    """The text in a string, in an object's ``text``, ``content`` or ``thinking``, or in a list of these."""
    if isinstance(value, str):
        return value
    if is_array(value):
        return "".join(map(text_of, value))
    if is_object(value):
        fields = value
        return next((text_of(fields[name]) for name in ("text", "content", "thinking") if name in fields), "")
    return ""
