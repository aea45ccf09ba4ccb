"""Quirks from public reports of 2026.

Ends that are not the end, calls that are hard to keep apart, objects without content, structured reasoning in pieces,
token counts in other places, and vendor data that adds up in its own way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from opeai_async.testing.quirks.changes import (
    add_content,
    append_raw,
    before_finish,
    calls_of,
    choices_of,
    cut_off,
    deltas_of,
    dumps,
    each_call,
    has_usage,
    in_choices,
    in_messages,
    insert_after_finish,
    insert_before_finish,
    is_finish,
    is_object,
    put,
    raw,
    text_in,
    with_choices,
    with_delta,
)
from opeai_async.testing.quirks.quirk import Change, Item, JSONObject, Quirk, Speech

_Items = list[Item]
_Events = list[bytes]
_DONE = b"data: [DONE]\n\n"


# --- ends -------------------------------------------------------------------------------------------------------------


def _unfinished(reason: str) -> Callable[[_Items], _Items]:
    """Put *reason* on each chunk that has no finish_reason."""

    def apply(items: _Items) -> _Items:
        for item in items:
            for choice in choices_of(item):
                if not choice.get("finish_reason"):
                    choice["finish_reason"] = reason
        return items

    return apply


def _in_turn(items: _Items) -> _Items:
    """Send all of one choice before the next one; what has no choice keeps its place at the end."""
    indexes = sorted({choice.get("index", 0) for item in items for choice in choices_of(item)}, key=str)
    out = [
        {**item, "choices": [choice for choice in choices_of(item) if choice.get("index", 0) == index]}
        for index in indexes
        for item in items
        if is_object(item) and any(choice.get("index", 0) == index for choice in choices_of(item))
    ]
    return [*out, *(item for item in items if not choices_of(item))]


# The client keeps an unknown reason as it was sent, so the completion is another one than the plain.
def _reason(name: str, reason: str, who: str, *, failed: bool = False) -> Quirk:
    def change(choice: JSONObject) -> None:
        if choice.get("finish_reason"):
            choice["finish_reason"] = reason

    return Quirk(name, "choice", change, f"finish_reason {reason!r}", who,
                 expect="failed" if failed else "changed", right=in_choices(change))  # fmt: skip


# Rows are written in few lines, one below the other, so that the table can be read as one; hence the fmt: skip.
_ENDS = (
    Quirk("finish_on_every_chunk", "chunks", _unfinished("stop"), "`stop` on each chunk, long before the end",
          "one-api, open-webui, CLIProxyAPI"),
    Quirk("finish_null_text", "chunks", _unfinished("null"), '"null" as text until the end', "gateways",
          rule="finish_null"),
    Quirk("finish_then_stop", "chunks",
          insert_after_finish(lambda item: with_choices(item, delta={}, finish_reason="stop")),
          "`stop` after the real finish_reason, of which the graver stays", "routers"),
    _reason("finish_malformed_call", "MALFORMED_FUNCTION_CALL", "Gemini", failed=True),
    _reason("finish_server_error", "server_error", "gateways", failed=True),
    _reason("finish_max_output_tokens", "max_output_tokens", "gateways to the Responses API"),
    _reason("finish_model_armor", "MODEL_ARMOR", "Vertex"),
    _reason("finish_unexpected_call", "UNEXPECTED_TOOL_CALL", "Gemini", failed=True),
    _reason("finish_other", "OTHER", "Gemini", failed=True),
    _reason("finish_timeout", "TIMEOUT", "Cohere", failed=True),
    _reason("finish_cancelled", "cancelled", "gateways", failed=True),
    _reason("finish_language", "LANGUAGE", "Gemini"),
    _reason("finish_image_safety", "IMAGE_SAFETY", "Gemini"),
    _reason("finish_error_limit", "ERROR_LIMIT", "Cohere"),
    _reason("finish_error_toxic", "ERROR_TOXIC", "Cohere"),
    _reason("finish_repetition", "repetition", "vLLM"),
    _reason("finish_pause_turn", "pause_turn", "Anthropic, by gateways"),
    Quirk("choices_in_turn", "chunks", _in_turn, "each choice begins when the one before has ended", "gateways"),
    Quirk("choices_none", "events", lambda events: [event for event in events if event == _DONE],
          "[DONE], and no choice at all", "gateways whose backend died",
          expect="truncated", right=lambda completion: completion.clear()),
)  # fmt: skip


# --- tool calls -------------------------------------------------------------------------------------------------------


def _pieces(items: _Items) -> list[tuple[tuple[int, Any], JSONObject]]:
    """Yield the pieces of calls, each with the indexes of its choice and its call."""
    return [
        ((choice.get("index", 0), call.get("index")), call)
        for item in items
        for choice in choices_of(item)
        for delta in deltas_of({"choices": [choice]})
        for call in calls_of(delta)
    ]


def _function(call: JSONObject) -> JSONObject:
    function = call.get("function")
    return function if is_object(function) else {}


def _share_id(items: _Items) -> _Items:
    for _, call in _pieces(items):
        if call.get("id"):
            call["id"] = "call_same"
    return items


# The client makes shared ids distinct, so that each result finds its call.
def _shared_ids(message: JSONObject) -> None:
    for position, call in enumerate(calls_of(message)):
        call["id"] = f"call_same_{position + 1}" if position else "call_same"


def _change_id(call: JSONObject) -> None:
    # The first piece keeps its id, for that is the one that counts.
    if "type" not in call and "name" not in _function(call):
        call["id"] = f"chunk_{len(text_in(_function(call).get('arguments')))}"


def _arguments_so_far(items: _Items) -> _Items:
    texts: dict[tuple[int, Any], str] = {}
    for key, call in _pieces(items):
        function = _function(call)
        texts[key] = texts.get(key, "") + text_in(function.get("arguments"))
        if function.get("arguments"):
            function["arguments"] = texts[key]
    return items


def _arguments_again(items: _Items) -> _Items:
    """Send all arguments once more, where the choice ends."""
    texts: dict[tuple[int, Any], str] = {}
    for key, call in _pieces(items):
        texts[key] = texts.get(key, "") + text_in(_function(call).get("arguments"))
    out: _Items = []
    for item in items:
        if is_object(item) and is_finish(item):
            # Only the calls of the choices that end here; the others come with their own end.
            ends = {choice.get("index", 0) for choice in choices_of(item)}
            for (choice, index), text in texts.items():
                if choice in ends:
                    again = with_delta(item, {"tool_calls": [{"index": index, "function": {"arguments": text}}]})
                    out.append({**again, "choices": [one for one in again["choices"] if one.get("index", 0) == choice]})
        out.append(item)
    return out


# A completion has no pieces, so the repeated arguments stand in one text.
def _double_arguments(call: JSONObject) -> None:
    function = _function(call)
    function["arguments"] = text_in(function.get("arguments")) * 2


# As Go's encoder writes a struct that was never filled in.
def _blank_call(index: int | None) -> JSONObject:
    place = {} if index is None else {"index": index}
    return {**place, "id": "", "type": "function", "function": {"name": "", "arguments": ""}}


def _add_blank_call(message: JSONObject) -> None:
    message["tool_calls"] = [*calls_of(message), _blank_call(None)]


def _add_empty_custom(call: JSONObject) -> None:
    if is_object(call.get("function")):
        call.setdefault("custom", {"name": "", "input": ""})


_CALLS = (
    Quirk("tool_id_shared", "chunks", _share_id, "one id for all calls", "nanobot", rule="tool_id_shared",
          expect="changed", right=in_messages(_shared_ids), whole=each_call(put(id="call_same"))),
    Quirk("tool_id_changes", "tool_call", _change_id, "another id in each piece of a call", "Poolside",
          rule="tool_id_changed"),
    Quirk("tool_arguments_so_far", "chunks", _arguments_so_far, "the arguments so far in each piece", "Hermes",
          rule="tool_arguments_so_far"),
    Quirk("tool_arguments_repeated", "chunks", _arguments_again, "the whole arguments again at the end",
          "OpenCode, eliza", rule="tool_arguments_repeated", whole=each_call(_double_arguments)),
    Quirk("tool_call_empty", "chunks", insert_before_finish({"tool_calls": [_blank_call(9)]}),
          "a call without id, name and arguments", "servers in Go", rule="tool_call_empty",
          whole=in_messages(_add_blank_call)),
    Quirk("function_call_empty", "delta",
          lambda delta: delta.setdefault("function_call", {"name": "", "arguments": ""}),
          "a `function_call` of nothing", "servers in Go", rule="function_call_empty"),
    Quirk("custom_empty", "tool_call", _add_empty_custom, "`custom` of nothing beside `function`", "servers in Go",
          rule="custom_empty"),
    Quirk("audio_empty", "delta", put(audio={"id": "", "data": "", "transcript": "", "expires_at": 0}),
          "`audio` of nothing", "servers in Go", rule="audio_empty"),
    Quirk("tool_index_negative", "tool_call", put(index=-1), "`index: -1`", "gateways", rule="tool_index_missing"),
    Quirk("choice_index_negative", "choice",
          lambda choice: choice.update(index=-1) if choice.get("index") == 0 else None,
          "`index: -1` on choice 0", "gateways", rule="choice_index_missing"),
)  # fmt: skip


# --- texts ------------------------------------------------------------------------------------------------------------


def _thinking_blocks(items: _Items) -> _Items:
    """Send the reasoning also in blocks, one piece each time, and its signature at the end."""
    has_thought = False
    for item in items:
        for delta in deltas_of(item):
            if thought := text_in(delta.get("reasoning_content")):
                delta["thinking_blocks"] = [{"type": "thinking", "thinking": thought, "signature": ""}]
                has_thought = True
    # Twice on purpose: a signature that comes again must not be joined to itself.
    signed = {"type": "thinking", "thinking": "", "signature": "c2lnbmVk"}
    return (
        insert_before_finish({"thinking_blocks": [signed]}, {"thinking_blocks": [signed]})(items)
        if has_thought
        else items
    )


def _whole_thinking_block(message: JSONObject) -> None:
    if thought := message.get("reasoning_content"):
        message["thinking_blocks"] = [{"type": "thinking", "thinking": thought, "signature": "c2lnbmVk"}]


def _reasoning_text(delta: JSONObject) -> None:
    if isinstance(delta.get("reasoning_content"), str):
        delta["reasoning_text"] = delta.pop("reasoning_content")


def _reasoning_blocks(delta: JSONObject) -> None:
    """Send reasoning as a summary among the blocks of the content."""
    thought, text = delta.get("reasoning_content"), delta.get("content")
    if isinstance(thought, str) and thought:
        del delta["reasoning_content"]
        summary = {"type": "reasoning", "summary": [{"type": "summary_text", "text": thought}]}
        delta["content"] = [summary, *([{"type": "text", "text": text}] if text_in(text) else [])]


def _text_so_far(items: _Items) -> _Items:
    """Send the text so far in each delta, if there is enough of it to be recognized."""
    for field in ("reasoning_content", "content"):
        counts: dict[int, int] = {}
        for _, index in _texts(items, field):
            counts[index] = counts.get(index, 0) + 1
        if not counts or min(counts.values()) < _SEEN_AFTER:
            continue
        told: dict[int, str] = {}
        for delta, index in _texts(items, field):
            told[index] = delta[field] = told.get(index, "") + delta[field]
    return items


_SEEN_AFTER = 4


def _texts(items: _Items, field: str = "content") -> list[tuple[JSONObject, int]]:
    return [
        (delta, choice.get("index", 0))
        for item in items
        for choice in choices_of(item)
        for delta in deltas_of({"choices": [choice]})
        if text_in(delta.get(field))
    ]


def _message_for_delta(items: _Items) -> _Items:
    """Send all content in ``message``, beside an empty delta, if there is nothing but content."""
    if any(delta.keys() - {"role", "content"} for item in items for delta in deltas_of(item)):
        return items
    texts: dict[int, str] = {}
    for delta, index in _texts(items):
        texts[index] = texts.get(index, "") + delta["content"]
    out: _Items = []
    for item in items:
        # Only the last chunk has the text, so the others would be empty.
        if is_object(item) and choices_of(item) and not is_finish(item):
            continue
        for choice in choices_of(item):
            choice["message"] = {"role": "assistant", "content": texts.get(choice.get("index", 0), "")}
        out.append(item)
    return out


_IMAGES = [
    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}, "index": 0}
    for data in ("AAAA", "BBBB")
]
_NOTE = {"type": "url_citation", "url_citation": {"start_index": 0, "end_index": 1, "url": "https://example.com"}}
_AUDIO = "UklGRg=="


def _audio_in_content(items: _Items) -> _Items:
    out: _Items = []
    for item in items:
        if is_object(item) and is_finish(item):
            out.append({**with_delta(item, {"content": _AUDIO}), "modality": "audio"})
        out.append(item)
    return out


_TEXTS = (
    Quirk("thinking_blocks", "chunks", _thinking_blocks, "reasoning, and the same in blocks, in pieces", "LiteLLM",
          expect="changed", right=in_messages(_whole_thinking_block), whole=in_messages(_whole_thinking_block)),
    Quirk("reasoning_text", "delta", _reasoning_text, "`reasoning_text` for reasoning_content", "GitHub Copilot",
          rule="reasoning_alias"),
    Quirk("content_reasoning_blocks", "delta", _reasoning_blocks, "reasoning as a summary in a block of the content",
          "Databricks", rule="content_blocks"),
    Quirk("text_so_far", "chunks", _text_so_far, "the whole text so far in each delta", "DashScope, OpenJarvis",
          rule="text_so_far"),
    Quirk("message_for_delta", "chunks", _message_for_delta, "the answer in `message`, beside an empty delta",
          "gateways", rule="message_for_delta"),
    Quirk("surrogate_split", "chunks",
          insert_before_finish({"content": raw(b'"\\ud83d"')}, {"content": raw(b'"\\ude00!"')}),
          "the two halves of a character in two deltas", "eliza", rule="surrogate_split", more_rules=("loose_json",),
          expect="changed", right=add_content("\U0001f600!"), whole=append_raw(b"\\ud83d\\ude00!")),
    Quirk("content_is_audio", "chunks", _audio_in_content, "base64 as content, in a chunk whose modality is audio",
          "vLLM-Omni", rule="content_is_audio", expect="changed",
          right=in_messages(lambda message: message.update(audio={"id": "", "data": _AUDIO, "transcript": ""}))),
    Quirk("images", "chunks", insert_before_finish({"images": _IMAGES[:1]}, {"images": _IMAGES[1:]}),
          "images beside the content, all of index 0", "OpenRouter", expect="changed",
          right=in_messages(put(images=_IMAGES)), whole=in_messages(put(images=_IMAGES))),
    Quirk("annotations_repeated", "chunks", insert_before_finish({"annotations": [_NOTE]}, {"annotations": [_NOTE]}),
          "all annotations again", "OpenRouter", rule="annotations_repeated", expect="changed",
          right=in_messages(put(annotations=[_NOTE])), whole=in_messages(put(annotations=[_NOTE]))),
    Quirk("state_fields", "delta", put(phase="answer", status="typing"), "states that are told in each delta", "Qwen",
          expect="changed", right=in_messages(put(phase="answer", status="typing"))),
)  # fmt: skip


# --- beside the answer ------------------------------------------------------------------------------------------------


def _token_ids(items: _Items) -> _Items:
    for number, item in enumerate(items):
        for choice in choices_of(item):
            choice["token_ids"] = [number, number]
    return items


# A completion has the list in one piece.
def _all_token_ids(completion: JSONObject) -> None:
    for choice in choices_of(completion):
        choice["token_ids"] = [1, 1]


# Of another shape than the API has, the rivals are an object: it must go to `extra`.
_ODD_LOGPROBS = {"content": [{"token": "a", "logprob": -1.0, "top_logprobs": {"a": -1.0}}] * 100}


def _logprobs_odd(items: _Items) -> _Items:
    for item in items:
        for choice in choices_of(item):
            if is_finish({"choices": [choice]}):
                choice["logprobs"] = _ODD_LOGPROBS
    return items


def _usage_into_choice(body: JSONObject) -> None:
    choices = choices_of(body)
    if choices and body.get("usage"):
        choices[0]["usage"] = body.pop("usage")


def _move_usage(put_into: Change) -> Callable[[_Items], _Items]:
    """Send the counts in the last chunk with choices, where *put_into* puts them, and no chunk for them alone."""

    def apply(items: _Items) -> _Items:
        # The chunk that has only counts goes, or the client would find them there.
        found = [item for item in items if is_object(item) and has_usage(item)]
        kept = [item for item in items if not has_usage(item) or choices_of(item)]
        last = next((item for item in reversed(kept) if is_object(item)), None)
        if found and last is not None:
            last["usage"] = found[-1]["usage"]
            put_into(last)
        return kept if found else items

    return apply


def _usage_into_groq(body: JSONObject) -> None:
    if body.get("usage"):
        body["x_groq"] = {"id": "req_1", "usage": body.pop("usage")}


def _rename_counts(usage: JSONObject) -> None:
    for name, other in (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens")):
        if name in usage:
            usage[other] = usage.pop(name)


def _usage_in_parts(items: _Items) -> _Items:
    out: _Items = []
    for item in items:
        usage = item.get("usage") if is_object(item) else None
        if is_object(item) and is_object(usage) and "prompt_tokens" in usage:
            # No count stands in both chunks: a client that keeps the last one loses the first.
            rest = {name: value for name, value in usage.items() if name != "prompt_tokens"}
            out.append({**item, "usage": {"prompt_tokens": usage["prompt_tokens"]}})
            item["usage"] = rest
        out.append(item)
    return out


_BESIDE = (
    Quirk("token_ids", "chunks", _token_ids, "pieces of a list beside each delta", "vLLM, SGLang", expect="changed",
          right=in_choices(lambda choice: None), whole=_all_token_ids),
    Quirk("logprobs_odd", "chunks", _logprobs_odd, "100 log probabilities whose rivals are an object", "gateways",
          rule="field_of_other_type", whole=in_choices(put(logprobs=_ODD_LOGPROBS))),
    Quirk("usage_in_choice", "chunks", _move_usage(_usage_into_choice), "token counts inside the choice", "Moonshot",
          rule="usage_elsewhere", whole=_usage_into_choice),
    Quirk("usage_in_x_groq", "chunks", _move_usage(_usage_into_groq), "token counts in `x_groq`", "Groq",
          rule="usage_elsewhere", whole=_usage_into_groq),
    Quirk("usage_input_tokens", "usage", _rename_counts, "`input_tokens` and `output_tokens`", "mlx-vlm",
          rule="usage_other_names"),
    Quirk("usage_in_parts", "chunks", _usage_in_parts, "the counts of the prompt and of the answer in two chunks",
          "gateways to Anthropic", rule="usage_null_count"),
)  # fmt: skip


# --- framing ----------------------------------------------------------------------------------------------------------


def _without_data(events: _Events) -> _Events:
    return [event if event == _DONE else event.removeprefix(b"data: ") for event in events]


def _two_in_one(events: _Events) -> _Events:
    """Send two objects in each data line."""
    objects = [event for event in events if event.startswith(b"data: {")]
    others = [event for event in events if event not in objects]
    # The objects follow one another without a separator, as two flushes into one line.
    lines = [event.removeprefix(b"data: ").rstrip(b"\n") for event in objects]
    return [b"data: " + b"".join(lines[at : at + 2]) + b"\n\n" for at in range(0, len(lines), 2)] + others


def _heartbeats(events: _Events) -> _Events:
    beats = (b"data: ping\n\n", b"data: heartbeat\n\n", b"data: 2026-03-01T12:00:00Z\n\n")
    return [part for at, event in enumerate(events) for part in ((beats[at % 3], event) if at else (event,))]


def _done_after_json(speech: Speech) -> Speech:
    return replace(speech, parts=(*speech.parts, b"\n\n" + _DONE)) if speech.is_whole else speech


_FRAMING = (
    Quirk("data_twice", "events", lambda events: [b"data: " + event for event in events], "`data: data: {...}`",
          "aprender, gateways", rule="data_twice"),
    Quirk("line_without_data", "events", _without_data, "chunks on lines without `data:`", "GPUStack",
          rule="line_without_data"),
    Quirk("objects_in_one_line", "events", _two_in_one, "two chunks in one data line", "gateways", rule="events_glued"),
    Quirk("heartbeat_in_data", "events", _heartbeats, "a heartbeat in words, or a time, as data", "gateways",
          rule="heartbeat_in_data"),
    Quirk("done_lower", "events", lambda events: [event.replace(_DONE, b"data: [done]\n\n") for event in events],
          "`[done]` in lower case", "gateways", rule="done_odd"),
    Quirk("done_after_json", "response", _done_after_json, "[DONE] after a JSON body", "9router"),
)  # fmt: skip


# --- errors inside a 200 ----------------------------------------------------------------------------------------------


def _fail(name: str, ending: Item, what: str, who: str, **error: Any) -> Quirk:
    def whole(completion: JSONObject) -> None:
        if is_object(ending):
            completion.clear()
            completion.update(ending)

    return Quirk(name, "chunks", lambda items: [*before_finish(items), ending], what, who, expect="server_error",
                 right=cut_off, whole=whole if is_object(ending) else None, error=error)  # fmt: skip


_QUOTA = {"error": {"message": "quota exceeded", "code": 429}}
_RAW = {"message": "Provider returned error", "code": 429, "metadata": {"raw": "rate-limited upstream"}}
# The backend died inside a string, and the gateway began a new event without a blank line.
_CUT = b'data: {"id":"c1","choices":[{"index":0,"delta":{"content":"lo\n'

_ERRORS = (
    _fail("error_base_resp", {"id": "x", "choices": None, "base_resp": {"status_code": 1008, "status_msg": "no money"}},
          "an error in `base_resp`", "MiniMax", code="1008"),
    _fail("error_success_false", {"success": False, "code": 503, "msg": "busy", "data": None}, "`success: false`",
          "one-api", code="503", status_code=503),
    _fail("error_detail", {"detail": "Model not loaded"}, "`detail` in a 200", "FastAPI", status_code=500),
    _fail("error_msg", {"error_code": 336003, "error_msg": "the message is too long"}, "`error_code` and `error_msg`",
          "Baidu", code="336003"),
    _fail("error_in_choice",
          {"choices": [{"index": 0, "delta": {}, "message": {}, "error": {"message": "died", "code": 502}}]},
          "an error inside a choice", "OpenRouter", code="502", status_code=502),
    _fail("error_status_word", {"error": {"message": "bad", "status": "INVALID_ARGUMENT"}}, "a status as a word",
          "Gemini", status_code=400),
    _fail("error_upstream", {"error": _RAW}, "an error with the words of the server behind", "OpenRouter",
          status_code=429, body={"error": _RAW}),
    _fail("error_in_list", b"data: [" + dumps(_QUOTA) + b"]\n\n", "a list of one error", "Gemini", status_code=429),
    _fail("error_without_data", dumps(_QUOTA) + b"\n\n", "an error on a line without `data:`", "OpenRouter, coder",
          status_code=429),
    _fail("error_in_unfinished", _CUT + b"data: " + dumps(_QUOTA) + b"\n\n", "an error inside an unfinished event",
          "sub2api", status_code=429),
    Quirk("fine_code", "chunks", lambda items: [{"code": 0, "message": "Success", "choices": []}, *items],
          "a code that says that all is well", "Spark"),
)  # fmt: skip

REPORTED = (*_ENDS, *_CALLS, *_TEXTS, *_BESIDE, *_FRAMING, *_ERRORS)
"""The quirks that were reported in 2026."""
