"""Quirks of the fields of a delta or a message: role, text, reasoning, logprobs.

Those of reasoning are many because the API has no field for it: each server has chosen a name and a shape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opeai_async.testing.quirks.changes import (
    add_content,
    append_raw,
    choices_of,
    deltas_of,
    drop,
    in_choices,
    in_messages,
    insert_before_finish,
    is_finish,
    put,
    raw,
    text_in,
)
from opeai_async.testing.quirks.quirk import Change, Item, JSONObject, Quirk

_Items = list[Item]
_NUMBER = "1.50"
_OBJECT = '{"name":"Ann","type":"person","tags":[1]}'


def _with_role(change: Change) -> Change:
    """Make *change* apply only where there is a role."""
    return lambda delta: change(delta) if "role" in delta else None


def _null_content(delta: JSONObject) -> None:
    delta.setdefault("content", None)


def _to_blocks(delta: JSONObject) -> None:
    """Put text and reasoning as blocks into one list."""
    # The role and the tool calls of the delta stay where they are.
    text, thought = delta.get("content"), delta.pop("reasoning_content", None)
    blocks: list[Any] = []
    if isinstance(thought, str):
        blocks.append({"type": "thinking", "thinking": [{"type": "text", "text": thought}]})
    if isinstance(text, str) and text:
        blocks.append({"type": "text", "text": text})
    if blocks:
        delta["content"] = blocks


def _reasoning(make: Callable[[str], JSONObject]) -> Change:
    """Make a change that replaces ``reasoning_content`` by the fields that *make* returns."""

    def apply(delta: JSONObject) -> None:
        thought = delta.pop("reasoning_content", None)
        if isinstance(thought, str):
            delta.update(make(thought))
        # Another quirk has made it something else than text; it stays as that quirk left it.
        elif thought is not None:
            delta["reasoning_content"] = thought

    return apply


def _detail(text: str) -> JSONObject:
    return {"type": "reasoning.text", "text": text, "format": "anthropic-claude-v1", "index": 0}


# A signature belongs to the text of its index, and the encrypted one must not be joined to that.
_SIGNATURE = {"type": "reasoning.text", "signature": "c2lnbmVk", "format": "anthropic-claude-v1", "index": 0}
_ENCRYPTED = {"type": "reasoning.encrypted", "data": "c2VjcmV0", "format": "anthropic-claude-v1", "index": 0}


def _details(items: _Items) -> _Items:
    """Send reasoning twice, as text and as details; then a signature, and encrypted data with the same index."""
    thinking = any(delta.get("reasoning_content") for item in items for delta in deltas_of(item))
    for item in items:
        for delta in deltas_of(item):
            _reasoning(lambda text: {"reasoning": text, "reasoning_details": [_detail(text)]})(delta)
    return insert_before_finish({"reasoning_details": [_SIGNATURE, _ENCRYPTED]})(items) if thinking else items


def _whole_details(message: JSONObject) -> None:
    thought = message.get("reasoning_content")
    if thought:
        message["reasoning_details"] = [{**_detail(thought), **_SIGNATURE}, _ENCRYPTED]


def _with_detail(message: JSONObject) -> None:
    if thought := message.get("reasoning_content"):
        message["reasoning_details"] = [_detail(thought)]


def _message_with_details(message: JSONObject) -> None:
    _whole_details(message)
    _reasoning(lambda text: {"reasoning": text})(message)


def _think_tags(opener: str, *, beside: bool = False) -> Callable[[_Items], _Items]:
    """Send reasoning as content between tags, in as many pieces as it had; *beside* the field, or instead of it."""

    def apply(items: _Items) -> _Items:
        # Per choice: each opens and closes its own tag.
        thinking: dict[int, bool] = {}
        for item in items:
            for choice in choices_of(item):
                for delta in deltas_of({"choices": [choice]}):
                    _tag(delta, choice.get("index", 0), thinking)
        return items

    def _tag(delta: JSONObject, index: int, thinking: dict[int, bool]) -> None:
        thought = delta.get("reasoning_content") if beside else delta.pop("reasoning_content", None)
        if thought:
            delta["content"] = thought if thinking.get(index) else opener + thought
            thinking[index] = True
        elif thinking.get(index) and text_in(delta.get("content")):
            delta["content"] = "</think>" + delta["content"]
            thinking[index] = False

    return apply


def _think_number(message: JSONObject) -> None:
    message["reasoning_content"] = (message.get("reasoning_content") or "") + _NUMBER


def _whole_think(opener: str, *, beside: bool = False) -> Change:
    def apply(message: JSONObject) -> None:
        thought = message.get("reasoning_content") if beside else message.pop("reasoning_content", None)
        if thought:
            message["content"] = f"{opener}{thought}" + (f"</think>{message['content']}" if message["content"] else "")

    return in_messages(apply)


def _logprobs_late(items: _Items) -> _Items:
    for item in items:
        for choice in choices_of(item):
            choice["logprobs"] = _LOGPROBS if is_finish({"choices": [choice]}) else None
    return items


def _token(text: str, logprob: float) -> JSONObject:
    return {"token": text, "logprob": logprob, "bytes": None, "top_logprobs": []}


# Integers among the numbers, as encoders write them that drop an empty fraction.
_LOGPROBS = {
    "content": [_token("Hel", 0), _token("lo", -0.5)],
    "refusal": [_token("No", -1)],
    "reasoning_content": [_token("Hm", -2.25)],
}

_VENDOR_DELTA: JSONObject = {"vendor": {"safety": [1, 2]}}


# Rows are written in few lines, one below the other, so that the table can be read as one; hence the fmt: skip.
DELTA = (
    Quirk("role_null", "delta", _with_role(put(role=None)), "the role is null", "Mistral, SGLang"),
    Quirk("role_missing", "delta", drop("role"), "no role", "old Ollama"),
    Quirk("role_empty", "delta", put(role=""), 'the role is "" on every delta', "SGLang"),
    Quirk("role_repeated", "delta", put(role="assistant"), "the role on every delta", "Mistral, Ollama"),
    Quirk("content_null", "delta", _null_content, "`content: null` beside what else a delta has", "DeepSeek, vLLM"),
    Quirk("content_number", "chunks", insert_before_finish({"content": raw(_NUMBER.encode())}),
          "a piece of text as a JSON number", "Cloudflare", rule="content_number",
          expect="changed", right=add_content(_NUMBER)),
    Quirk("content_object", "chunks", insert_before_finish({"content": raw(_OBJECT.encode())}),
          "an answer in JSON mode as the object itself", "Cloudflare", rule="content_object",
          expect="changed", right=add_content(_OBJECT)),
    Quirk("content_blocks", "delta", _to_blocks, "text and thinking as a list of blocks", "Mistral magistral",
          rule="content_blocks"),
    Quirk("lone_surrogate", "chunks", insert_before_finish({"content": raw(b'"\\ud83d."')}),
          "half a surrogate pair in the text, which becomes U+FFFD", "several", rule="loose_json",
          expect="changed", right=add_content("\ufffd."), whole=append_raw(b"\\ud83d.")),
    Quirk("reasoning_number", "chunks", insert_before_finish({"reasoning_content": raw(_NUMBER.encode())}),
          "a piece of reasoning as a JSON number", "Cloudflare", rule="reasoning_number", expect="changed",
          right=in_messages(_think_number)),
    Quirk("reasoning_alias", "delta", _reasoning(lambda text: {"reasoning": text}), "`reasoning` for reasoning_content",
          "vLLM, Groq, Ollama", rule="reasoning_alias"),
    Quirk("reasoning_both", "delta", _reasoning(lambda text: {"reasoning": text, "reasoning_content": text}),
          "reasoning under two names at once", "gateways", rule="reasoning_alias"),
    Quirk("reasoning_object", "delta", _reasoning(lambda text: {"reasoning_content": {"text": text}}),
          "reasoning as an object", "OpenRouter", rule="reasoning_object"),
    Quirk("reasoning_array", "delta", _reasoning(lambda text: {"reasoning_content": [{"type": "text", "text": text}]}),
          "reasoning as a list of blocks", "OpenRouter", rule="reasoning_object"),
    Quirk("reasoning_details", "chunks", _details,
          "reasoning, and its details: text, signature and something encrypted, all of index 0", "OpenRouter",
          rule="reasoning_alias", expect="changed", right=in_messages(_whole_details),
          whole=in_messages(_message_with_details)),
    Quirk("reasoning_details_only", "delta", _reasoning(lambda text: {"reasoning_details": [_detail(text)]}),
          "reasoning only as details", "OpenRouter", rule="reasoning_details_only", expect="changed",
          right=in_messages(_with_detail)),
    Quirk("think_tags", "chunks", _think_tags("<think>"), "reasoning in the text, between tags", "llama.cpp, vLLM",
          expect="changed", right=_whole_think("<think>"), whole=_whole_think("<think>")),
    Quirk("think_tags_beside", "chunks", _think_tags("<think>", beside=True),
          "reasoning in the text, between tags, and in a field of its own, too", "gateways, SGLang",
          expect="changed", right=_whole_think("<think>", beside=True), whole=_whole_think("<think>", beside=True)),
    Quirk("think_opener_missing", "chunks", _think_tags(""), "reasoning in the text, with a closing tag only",
          "vLLM, DeepSeek R1 templates", expect="changed", right=_whole_think(""), whole=_whole_think("")),
    Quirk("logprobs_late", "chunks", _logprobs_late, "logprobs only in the last chunk, integers among them", "several",
          expect="changed", right=in_choices(put(logprobs=_LOGPROBS)), whole=in_choices(put(logprobs=_LOGPROBS))),
    Quirk("vendor_fields", "chunks", insert_before_finish(_VENDOR_DELTA), "fields of their own in a delta", "several",
          expect="changed", right=in_messages(put(**_VENDOR_DELTA)), whole=in_messages(put(**_VENDOR_DELTA))),
)  # fmt: skip
"""The quirks of deltas."""
