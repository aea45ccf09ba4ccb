"""Repair odd answers: one table, ``RULES``, of small named repairs.

Each repair gets one object of the decoded JSON, changes it in place, and returns whether it did.
``_core/dialect/dialect.py`` walks the levels and calls them in the order of the table. Repairs of tool calls, texts and
token counts are in ``calls.py``, ``text.py`` and ``usage.py``; those of the envelope and of choices are here.

    envelope
      usage
      choice, or whole_choice of an awaited answer
        delta, or message of an awaited answer
          tool_call
            function
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

from opeai_async._core.dialect.rules import calls as rules_calls
from opeai_async._core.dialect.rules import text as rules_text
from opeai_async._core.dialect.rules import usage as rules_usage
from opeai_async._core.dialect.rules.values import as_integer, has_repeats, make_integer, once_each, stringify
from opeai_async._core.json import JSONObject, is_array, is_object

# A longer index is not converted, as int() raises if there are thousands of digits; it is out of bounds anyway.
_MAX_INDEX_DIGITS = 18


class Rule(NamedTuple):
    """One repair, for objects of one level: *repair* changes the object in place and returns whether it did.

    *name* is what a stream's quirks call it, *what* describes it in a few words, and *who* names servers that need it.
    *field* is the one that the repair looks at, so that an object without it is left alone; None if it looks at more.
    """

    level: str
    name: str
    repair: Callable[[JSONObject], bool]
    what: str
    who: str
    field: str | None = None


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
    return stringify(body, "id")


def _created_not_integer(body: JSONObject) -> bool:
    return make_integer(body, "created")


def _choices_odd(body: JSONObject) -> bool:
    """Put a lone choice into a list, and drop items of the list that are not objects."""
    choices = body.get("choices")
    listed = choices if is_array(choices) else [choices] if is_object(choices) else []
    body["choices"] = [choice for choice in listed if is_object(choice)]
    return not is_array(choices) or len(body["choices"]) < len(choices)


def _choice_index_missing(body: JSONObject) -> bool:
    """Give a choice without a valid index the lowest free one: nearly always 0, for the only choice."""
    choices: list[JSONObject] = body["choices"]
    nameless = [choice for choice in choices if is_no_index(choice.get("index"))]
    # Compared as text: an index that came as text is converted only later, at the level of the choice.
    taken = {str(choice["index"]) for choice in choices if choice not in nameless}
    free = (index for index in itertools.count() if str(index) not in taken)
    for choice in nameless:
        choice["index"] = next(free)
    return bool(nameless)


def is_no_index(index: Any) -> bool:
    """Tell whether *index* is absent, null or negative, as a number or as text."""
    number = as_integer(index) if not isinstance(index, int) else index
    return index is None or (number is not None and number < 0)


def _index_not_integer(owner: JSONObject) -> bool:
    index = owner.get("index")
    if isinstance(index, str) and index.isdecimal() and len(index) > _MAX_INDEX_DIGITS:
        owner["index"] = 10**_MAX_INDEX_DIGITS  # beyond every bound, as the server's number is
        return True
    return make_integer(owner, "index")


def _delta_missing(choice: JSONObject) -> bool:
    # PHP writes an empty object as [].
    if choice.get("delta") not in (None, []):
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


_NO_REASONS = frozenset({"null", "none", "undefined", "nil"})


def _finish_null(choice: JSONObject) -> bool:
    reason = choice.get("finish_reason")
    if not isinstance(reason, str) or reason.strip().lower() not in _NO_REASONS:
        return False
    choice["finish_reason"] = None
    return True


def _finish_empty(choice: JSONObject) -> bool:
    if choice.get("finish_reason") != "":
        return False
    choice["finish_reason"] = None
    return True


def _audio_empty(delta: JSONObject) -> bool:
    """Delete an ``audio`` whose fields are all empty: servers in Go send every field of an empty struct."""
    audio = delta.get("audio")
    if not is_object(audio) or any(audio.values()):
        return False
    del delta["audio"]
    return True


def _content_is_audio(body: JSONObject) -> bool:
    """Move content to ``audio`` if the chunk's ``modality`` is audio: it is base64 and not text."""
    if body.get("modality") != "audio":
        return False
    found = False
    for choice in body["choices"]:
        for name in ("delta", "message"):
            part = choice.get(name)
            if is_object(part) and isinstance(part.get("content"), str) and part["content"] and not part.get("audio"):
                part["audio"] = {"data": part.pop("content")}
                found = True
    return found


def _annotations_repeated(message: JSONObject) -> bool:
    """Leave out annotations that are there already."""
    annotations = message.get("annotations")
    if not is_array(annotations) or not has_repeats(annotations):
        return False
    message["annotations"] = once_each(annotations)
    return True


# The order counts within a level: a later rule relies on what the earlier ones have repaired. Rows are written in few
# lines, one below the other, so that the table can be read as one; hence the fmt: skip.
RULES: tuple[Rule, ...] = (
    Rule("envelope", "choices_missing", _choices_missing, "`choices` is absent or null: []", "xAI, OpenRouter, Azure"),
    Rule("envelope", "choices_odd", _choices_odd, "a list of objects, and nothing else", "gateways"),
    Rule("envelope", "choice_index_missing", _choice_index_missing, "the lowest that is free", "several"),
    Rule("envelope", "envelope_null", _envelope_null, "id, object, created or model is null: left out", "gateways"),
    Rule("envelope", "id_number", _id_number, "a numeric id becomes its text", "gateways", field="id"),
    Rule("envelope", "created_not_integer", _created_not_integer, "a float or text is rounded down", "SambaNova",
         field="created"),
    Rule("envelope", "content_is_audio", _content_is_audio, "base64 of an audio chunk goes to audio", "vLLM-Omni",
         field="modality"),
    Rule("envelope", "usage_elsewhere", rules_usage.usage_elsewhere, "counts in a choice or `x_groq`",
         "Moonshot, Groq"),
    Rule("envelope", "usage_other_names", rules_usage.usage_other_names, "input_tokens, output_tokens", "mlx-vlm",
         field="usage"),
    Rule("envelope", "usage_empty", rules_usage.usage_empty, "an object without counts is no usage",
         "Cloudflare, MiniMax", field="usage"),
    Rule("usage", "count_not_integer", rules_usage.count_not_integer, "a float or text is rounded down", "gateways"),
    Rule("usage", "usage_total_missing", rules_usage.usage_total_missing, "the sum of the other two", "gateways"),
    Rule("choice", "index_not_integer", _index_not_integer, "a float or text becomes an integer", "gateways",
         field="index"),
    Rule("choice", "finish_null", _finish_null, '"null", "none" or "undefined" is null', "one-api, gateways",
         field="finish_reason"),
    Rule("choice", "delta_missing", _delta_missing, "`message` in its place, or nothing", "Azure, Perplexity"),
    Rule("whole_choice", "index_not_integer", _index_not_integer, "a float or text becomes an integer", "gateways",
         field="index"),
    Rule("whole_choice", "finish_null", _finish_null, '"null", "none" or "undefined" is null', "one-api, gateways",
         field="finish_reason"),
    Rule("whole_choice", "finish_empty", _finish_empty, 'finish_reason "" is null', "Ollama, SGLang, GLM routes",
         field="finish_reason"),
    Rule("whole_choice", "message_missing", _message_missing, "`delta` or `text` in its place", "gateways"),
    Rule("delta", "content_number", rules_text.content_number, "the number as it was written", "Cloudflare",
         field="content"),
    Rule("delta", "content_object", rules_text.content_object, "an answer in JSON mode becomes its text", "Cloudflare",
         field="content"),
    Rule("delta", "content_blocks", rules_text.content_blocks, "text to content, thinking to reasoning",
         "Mistral magistral", field="content"),
    Rule("delta", "reasoning_number", rules_text.reasoning_number, "the number as it was written", "Cloudflare"),
    Rule("delta", "reasoning_alias", rules_text.reasoning_alias, "`reasoning` is reasoning_content",
         "vLLM, Groq, OpenRouter"),
    Rule("delta", "reasoning_object", rules_text.reasoning_object, "the text inside an object or list", "OpenRouter",
         field="reasoning_content"),
    Rule("delta", "audio_empty", _audio_empty, "audio without anything in it is absent", "servers in Go",
         field="audio"),
    Rule("delta", "function_call_empty", rules_calls.function_call_empty, "one of nothing is absent", "servers in Go",
         field="function_call"),
    Rule("delta", "tool_calls_object", rules_calls.tool_calls_object, "a list of calls, and nothing else", "gateways",
         field="tool_calls"),
    Rule("tool_call", "index_not_integer", _index_not_integer, "a float or text becomes an integer", "gateways",
         field="index"),
    Rule("tool_call", "function_missing", rules_calls.function_missing, "name and arguments beside the id, or a name",
         "gateways"),
    Rule("tool_call", "custom_empty", rules_calls.custom_empty, "an empty one beside the other is absent",
         "servers in Go", field="custom"),
    Rule("tool_call", "call_id_number", rules_calls.call_id_number, "a numeric id becomes its text", "gateways",
         field="id"),
    Rule("function", "arguments_object", rules_calls.arguments_object, "encoded as JSON text",
         "llama.cpp, Gemini, Ollama", field="arguments"),
    Rule("message", "annotations_repeated", _annotations_repeated, "counted once", "OpenRouter", field="annotations"),
    Rule("message", "role_missing", _role_missing, "assistant", "Mistral, old Ollama"),
    Rule("message", "tool_calls_empty", rules_calls.tool_calls_empty, "no tool calls are None", "vLLM",
         field="tool_calls"),
    Rule("message", "tool_call_empty", rules_calls.tool_call_empty, "a call of nothing is absent", "servers in Go",
         field="tool_calls"),
    Rule("message", "tool_call_split", rules_calls.tool_call_split, "pieces of one call are put together", "gateways",
         field="tool_calls"),
    Rule("message", "tool_arguments_repeated", rules_calls.tool_arguments_repeated, "once is enough",
         "OpenCode, eliza"),
    Rule("message", "tool_id_shared", rules_calls.tool_id_shared, "ids of two calls are made distinct", "nanobot",
         field="tool_calls"),
    Rule("message", "call_incomplete", rules_calls.call_incomplete, "id, type, name or arguments made up",
         "GLM, Ollama", field="tool_calls"),
    Rule("message", "call_incomplete", rules_calls.function_call_incomplete, "name or arguments made up", "gateways",
         field="function_call"),
)  # fmt: skip

_LEVELS = ("envelope", "usage", "choice", "whole_choice", "delta", "tool_call", "function", "message")
RULES_BY_LEVEL = {level: tuple(rule for rule in RULES if rule.level == level) for level in _LEVELS}
