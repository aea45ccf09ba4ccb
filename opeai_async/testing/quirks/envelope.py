"""Quirks of the envelope, of token counts and choices, and of how an answer ends.

The envelope of a chunk is all but its choices and counts: id, object, created, model and what vendors add.
"""

from __future__ import annotations

from collections.abc import Callable

from opeai_async.testing.quirks.changes import (
    before_finish,
    choices_of,
    cut_off,
    drop,
    first_chunk,
    flat,
    has_usage,
    in_choices,
    in_messages,
    insert_after_finish,
    is_finish,
    is_object,
    put,
    raw,
    text_in,
    with_choices,
    with_delta,
    with_finish,
)
from opeai_async.testing.quirks.quirk import Change, Item, JSONObject, Quirk

_Items = list[Item]
_FILTERS = [{"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}}]
_OFFSETS = {"check_offset": 44, "start_offset": 44, "end_offset": 198}
_HUGE = 10**30


# --- the envelope -----------------------------------------------------------------------------------------------------


def _first(**fields: object) -> Callable[[_Items], _Items]:
    """Put a chunk with these fields, and without a choice, before the others."""

    def apply(items: _Items) -> _Items:
        # The added chunk has the envelope of the others, or it would be odd in a second way.
        heads = [item for item in items if is_object(item)][:1]
        kept = {name: value for head in heads for name, value in head.items() if name not in ("choices", "usage")}
        return [{**kept, "choices": [], **fields}, *items]

    return apply


def _without_choices(change: Change) -> Callable[[_Items], _Items]:
    """Make *change* apply to the chunks without a choice; if there is none, one is added."""

    def apply(items: _Items) -> _Items:
        # The chunk of counts has no choice, so there is one unless counts were not asked for.
        out = items if any(has_usage(item) for item in items) else _first()(items)
        for item in out:
            if is_object(item) and not item.get("choices"):
                change(item)
        return out

    return apply


def _last(chunk: JSONObject) -> Callable[[_Items], _Items]:
    return lambda items: [*items, chunk]


def _id_changes(items: _Items) -> _Items:
    named = [item for item in items if is_object(item) and item.get("id")]
    # The first id stays, because that is the one that a client keeps.
    for k, item in enumerate(named[1:]):
        item["id"] = f"{item['id']}-{k}"
    return items


# A Struct has a value for each field, so what was missing reads as empty.
def _bare_completion(completion: JSONObject) -> None:
    completion.update(id="", created=0, model="", system_fingerprint=None)


def _created(make: Callable[[int], object]) -> Change:
    return lambda body: body.update(created=make(body["created"])) if isinstance(body.get("created"), int) else None


def _duplicate_keys(text: bytes) -> bytes:
    """Write wrong values before the right ones, in an object that has those."""
    # In JSON the last of two equal keys counts, so the wrong ones come first.
    start = b'{"id":'
    return text.replace(start, b'{"model":"wrong","id":"wrong",' + start[1:], 1) if text.startswith(start) else text


def _late_tier(items: _Items) -> _Items:
    finished = False
    for item in items:
        if is_object(item):
            # Only the first finish chunk has them; the chunk of counts after it has null again.
            is_late = not finished and is_finish(item)
            finished = finished or is_late
            item["service_tier"] = "priority" if is_late else None
            item["system_fingerprint"] = "fp_late" if is_late else None
    return items


def _index_as_text(choice: JSONObject) -> None:
    if isinstance(choice.get("index"), int):
        choice["index"] = str(choice["index"])


def _lone_choice(body: JSONObject) -> None:
    choices = choices_of(body)
    if len(choices) == 1:
        body["choices"] = choices[0]


# Rows are written in few lines, one below the other, so that the table can be read as one; hence the fmt: skip.
ENVELOPE = (
    Quirk("choices_missing", "chunks", _without_choices(drop("choices")), "a chunk without `choices`",
          "xAI, DeepInfra, OpenRouter", rule="choices_missing"),
    Quirk("choices_null", "chunks", _without_choices(put(choices=None)), "a chunk with `choices: null`",
          "OpenRouter, gateways", rule="choices_missing"),
    Quirk("choices_empty", "chunks", _first(), "a chunk with `choices: []` and no usage", "Azure, OpenAI"),
    Quirk("prompt_filter_first", "chunks",
          _first(id="", created=0, model="", object="", prompt_filter_results=_FILTERS),
          "a first chunk with filter results, an empty id and model, created 0", "Azure",
          expect="changed", right=put(prompt_filter_results=_FILTERS)),
    Quirk("model_late", "chunks", first_chunk(put(model="model-router")), "the model's real name only in later chunks",
          "Azure's model router"),
    Quirk("id_changes", "chunks", _id_changes, "another id in each chunk", "gateways"),
    Quirk("id_late", "chunks", first_chunk(put(id="", created=0)), "id and created are empty in the first chunk",
          "Azure"),
    Quirk("id_number", "envelope", put(id=1234), "a numeric id", "gateways", rule="id_number",
          expect="changed", right=put(id="1234")),
    Quirk("envelope_null", "envelope", put(id=None, object=None, created=None, model=None),
          "id, object, created and model are null", "gateways", rule="envelope_null",
          expect="changed", right=put(id="", created=0, model="")),
    Quirk("envelope_missing", "envelope", drop("id", "object", "created", "model", "system_fingerprint"),
          "nothing but `choices` and `usage`", "OpenCode Zen",
          expect="changed", right=_bare_completion),
    Quirk("cost_chunk", "chunks", _last({"choices": [], "cost": "0"}), "a last chunk of `choices` and `cost`",
          "OpenCode Zen", expect="changed", right=put(cost="0")),
    Quirk("created_float", "envelope", _created(lambda created: created + 0.75), "`created` with a fraction",
          "SambaNova", rule="created_not_integer"),
    Quirk("created_text", "envelope", _created(str), "`created` as text", "Llama API", rule="created_not_integer"),
    Quirk("object_wrong", "envelope", put(object="text_completion"), "another `object`", "SambaNova, Llama API"),
    Quirk("object_missing", "envelope", drop("object"), "no `object`", "SambaNova, Llama API"),
    Quirk("service_tier_late", "chunks", _late_tier, "service_tier and system_fingerprint on one late chunk, else null",
          "OpenAI", expect="changed", right=put(service_tier="priority", system_fingerprint="fp_late")),
    Quirk("nan", "envelope", put(score=raw(b"NaN"), limit=raw(b"-Infinity")), "NaN and Infinity as numbers", "several",
          rule="loose_json"),
    Quirk("huge_integer", "envelope", put(request_number=_HUGE), "an integer of more than 64 bits", "several",
          expect="changed", right=put(request_number=_HUGE)),
    Quirk("duplicate_keys", "json", _duplicate_keys,
          "keys that come twice; the last one counts", "several"),
    Quirk("padding_fields", "envelope", put(obfuscation="aUHfm2", p="abcdefgh"), "padding on every chunk",
          "OpenAI, Azure, Mistral"),
    Quirk("error_null", "envelope", put(error=None), "`error: null` beside the answer", "gateways"),
)  # fmt: skip
"""The quirks of the envelope."""


# --- token counts -----------------------------------------------------------------------------------------------------


def _usage_of(items: _Items) -> JSONObject | None:
    found = [item["usage"] for item in items if is_object(item) and is_object(item.get("usage"))]
    return found[-1] if found else None


def _usage_everywhere(items: _Items) -> _Items:
    """Send counts that grow with each chunk, up to those of the end."""
    usage = _usage_of(items)
    for k, item in enumerate(items):
        if usage is not None and is_object(item) and not item.get("usage"):
            # Counts of the answer grow, those of the prompt are known from the first chunk on.
            prompt = usage.get("prompt_tokens", 0)
            item["usage"] = {**usage, "completion_tokens": k, "total_tokens": prompt + k}
    return items


def _usage_on_finish(items: _Items) -> _Items:
    """Send the counts on the last chunk that has choices, and no chunk for them alone."""
    usage = _usage_of(items)
    kept = [item for item in items if not has_usage(item) or choices_of(item)]
    # On the last chunk that is kept, because the chunk for counts is gone.
    for item in kept[-1:]:
        if usage is not None and is_object(item):
            item["usage"] = usage
    return kept if usage is not None else items


def _usage_then(*chunks: JSONObject) -> Callable[[_Items], _Items]:
    return lambda items: [*items, *chunks] if _usage_of(items) is not None else items


def _repeat_usage(items: _Items) -> _Items:
    return flat([item] * (2 if has_usage(item) else 1) for item in items)


def _counts(change: Callable[[int], object]) -> Change:
    def apply(usage: JSONObject) -> None:
        for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
            if isinstance(usage.get(name), int):
                usage[name] = change(usage[name])

    return apply


def _in_usage(change: Change) -> Change:
    return lambda completion: change(completion["usage"]) if is_object(completion.get("usage")) else None


_NO_COMPLETION_TOKENS = _in_usage(put(completion_tokens=None))

USAGE = (
    Quirk("usage_on_every_chunk", "chunks", _usage_everywhere, "growing token counts on every chunk",
          "vLLM, Cloudflare, MiniMax"),
    Quirk("usage_with_choices", "chunks", _usage_on_finish, "the token counts on the last chunk with choices", "many"),
    Quirk("usage_null_after", "chunks", _usage_then({"choices": [], "usage": None}), "`usage: null` after the counts",
          "MiniMax"),
    Quirk("usage_empty", "chunks", _usage_then({"choices": [], "usage": {}}), "`usage: {}` after the counts",
          "Cloudflare", rule="usage_empty"),
    Quirk("usage_repeated", "chunks", _repeat_usage, "the usage chunk twice", "servers that send one per choice"),
    Quirk("usage_zero", "usage", _counts(lambda _: 0), "counts that are all 0, which is data", "several",
          expect="changed", right=_in_usage(put(prompt_tokens=0, completion_tokens=0, total_tokens=0))),
    Quirk("usage_null_count", "usage", put(completion_tokens=None), "a count that is null", "gateways",
          rule="usage_null_count", expect="changed", right=_NO_COMPLETION_TOKENS),
    Quirk("count_not_integer", "usage", _counts(float), "counts as floats", "gateways", rule="count_not_integer"),
    Quirk("count_text", "usage", _counts(str), "counts as text", "gateways", rule="count_not_integer"),
    Quirk("usage_total_missing", "usage", drop("total_tokens"), "no total_tokens", "gateways",
          rule="usage_total_missing"),
    Quirk("usage_cost", "usage", put(cost=0.00042, cost_details={"upstream": None}), "vendor fields in the counts",
          "OpenRouter, Perplexity", expect="changed", right=_in_usage(put(cost=0.00042))),
)  # fmt: skip
"""The quirks of token counts. They show only if there are counts: with ``include_usage``."""


# --- choices ----------------------------------------------------------------------------------------------------------


def _index_missing(choice: JSONObject) -> None:
    if choice.get("index") == 0:
        del choice["index"]


def _last_choice_first(items: _Items) -> _Items:
    """Send all chunks of the last choice, then those of the others; chunks without a choice stay at the end."""
    last = max((choice.get("index", 0) for item in items for choice in choices_of(item)), default=0)
    indexes = [[choice.get("index", 0) for choice in choices_of(item)] for item in items]
    # A stable sort by rank keeps the order inside of each choice.
    order = {True: 0, False: 1}
    ranks = [order[last in found] if found else 2 for found in indexes]
    return [items[k] for k in sorted(range(len(items)), key=ranks.__getitem__)]


def _choices_together(items: _Items) -> _Items:
    """Join neighbouring chunks of different choices into one."""
    out: _Items = []
    for item in items:
        before = out[-1] if out else b""
        seen = [choice.get("index") for choice in choices_of(before)]
        more = [choice.get("index") for choice in choices_of(item)]
        # Two deltas of one choice stay in two chunks: their order is all that keeps them apart.
        if is_object(before) and is_object(item) and seen and more and not set(seen) & set(more):
            before["choices"] = [*choices_of(before), *choices_of(item)]
        else:
            out.append(item)
    return out


def _message_beside(items: _Items) -> _Items:
    """Send the whole message so far beside each delta."""
    # Perplexity sends both, so a client that reads the message too doubles the text.
    texts: dict[int, str] = {}
    for item in items:
        for choice in choices_of(item):
            delta, index = choice.get("delta"), choice.get("index", 0)
            if is_object(delta):
                texts[index] = texts.get(index, "") + text_in(delta.get("content"))
                choice["message"] = {"role": "assistant", "content": texts[index]}
    return items


def _delta_for_message(choice: JSONObject) -> None:
    if "message" in choice:
        choice["delta"] = choice.pop("message")


CHOICES = (
    Quirk("choice_index_text", "choice", _index_as_text, "the index of a choice as text", "gateways",
          rule="index_not_integer"),
    Quirk("choices_object", "envelope", _lone_choice, "a lone choice without a list", "gateways", rule="choices_odd"),
    Quirk("choice_index_missing", "choice", _index_missing, "no `index` on choice 0", "several",
          rule="choice_index_missing"),
    Quirk("choice_1_first", "chunks", _last_choice_first, "the last choice comes before the others", "several"),
    Quirk("choices_together", "chunks", _choices_together, "several choices in one chunk", "vLLM"),
    Quirk("delta_missing", "chunks",
          insert_after_finish(lambda item: with_choices(item, content_filter_offsets=_OFFSETS)),
          "a later choice without `delta`", "Azure", rule="delta_missing",
          expect="changed", right=in_choices(put(content_filter_offsets=_OFFSETS))),
    Quirk("delta_null", "chunks", insert_after_finish(lambda item: with_choices(item, delta=None)),
          "a choice with `delta: null`", "gateways", rule="delta_missing"),
    Quirk("message_beside_delta", "chunks", _message_beside, "the message so far beside each delta", "Perplexity"),
    Quirk("message_missing", "chunks", lambda items: items, "a completion with `delta` in place of `message`",
          "gateways", whole=in_choices(_delta_for_message)),
)  # fmt: skip
"""The quirks of choices."""


# --- how it ends ------------------------------------------------------------------------------------------------------


def _finish(reason: str | None) -> Change:
    """Replace each finish_reason."""

    def apply(choice: JSONObject) -> None:
        if choice.get("finish_reason"):
            choice["finish_reason"] = reason

    return apply


def _unfinished(change: Change) -> Callable[[_Items], _Items]:
    def apply(items: _Items) -> _Items:
        for item in items:
            for choice in choices_of(item):
                if not choice.get("finish_reason"):
                    change(choice)
        return items

    return apply


def _finish_repeated(items: _Items) -> _Items:
    return [*items, *(with_finish(item) for item in items if is_finish(item))]


def _finish_with_content(items: _Items) -> _Items:
    """Send the finish_reason on the chunk with the last delta of its choice."""
    latest: dict[int, JSONObject] = {}
    out: _Items = []
    for item in items:
        choices = choices_of(item)
        if is_object(item) and len(choices) == 1 and is_finish(item) and choices[0].get("index", 0) in latest:
            latest[choices[0].get("index", 0)]["finish_reason"] = choices[0]["finish_reason"]
            continue
        latest.update({choice.get("index", 0): choice for choice in choices})
        out.append(item)
    return out


def _content_late(items: _Items) -> _Items:
    """Send the finish chunks before the last delta of their choice."""
    last = {choice.get("index", 0): k for k, item in enumerate(items) for choice in choices_of(item)
            if not choice.get("finish_reason")}  # fmt: skip
    # The last delta of each choice goes behind all finish chunks, and before the counts.
    late = [items[k] for k in sorted(last.values())]
    rest = [item for k, item in enumerate(items) if k not in last.values()]
    place = max((k for k, item in enumerate(rest) if is_finish(item)), default=-1) + 1
    return [*rest[:place], *late, *rest[place:]]


_NOTE = {"type": "url_citation", "url_citation": {"start_index": 0, "end_index": 1, "url": "https://example.com"}}


def _reason(name: str, reason: str, who: str, *, failed: bool = False) -> Quirk:
    change = in_choices(_finish(reason))
    return Quirk(name, "choice", _finish(reason), f"finish_reason {reason!r}", who,
                 expect="failed" if failed else "changed", right=change)  # fmt: skip


ENDS = (
    Quirk("truncated", "chunks", before_finish, "the body ends before a finish_reason, without [DONE]", "any proxy",
          expect="truncated", right=cut_off),
    Quirk("finish_missing", "choice", put(finish_reason=None), "finish_reason is always null", "Ollama, old Gemini",
          rule="finish_missing", expect="unlabelled", right=in_choices(put(finish_reason=None)),
          expect_whole="changed"),
    Quirk("finish_empty", "chunks", _unfinished(put(finish_reason="")), 'finish_reason "" until the end',
          "Ollama, SGLang, GLM routes", rule="finish_empty"),
    Quirk("finish_key_missing", "chunks", _unfinished(drop("finish_reason", "logprobs")),
          "no key finish_reason until the end", "many"),
    Quirk("finish_repeated", "chunks", _finish_repeated, "the finish chunk comes again at the end", "several"),
    Quirk("finish_with_content", "chunks", _finish_with_content, "finish_reason together with the last delta",
          "several"),
    Quirk("content_after_finish", "chunks", _content_late, "the last delta comes after the finish chunk", "OpenRouter"),
    Quirk("annotations_after_finish", "chunks",
          insert_after_finish(lambda item: with_delta(item, {"annotations": [_NOTE]})),
          "annotations after the finish chunk",
          "OpenRouter, Azure", expect="changed", right=in_messages(put(annotations=[_NOTE]))),
    _reason("finish_stop_with_tools", "stop", "Gemini, Ollama"),
    _reason("finish_upper", "STOP", "Gemini"),
    _reason("finish_max_tokens", "MAX_TOKENS", "Gemini"),
    _reason("finish_end_turn", "end_turn", "Anthropic behind gateways"),
    _reason("finish_eos", "eos", "HF"),
    _reason("finish_sensitive", "sensitive", "Zhipu"),
    _reason("finish_error", "error", "OpenRouter", failed=True),
    _reason("finish_abort", "abort", "SGLang, vLLM", failed=True),
    _reason("finish_network_error", "network_error", "Zhipu", failed=True),
)  # fmt: skip
"""The quirks of the end of an answer."""
