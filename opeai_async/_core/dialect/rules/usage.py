"""Repair token counts: their names, their place, and counts that are missing.

A missing count is None and never a made-up number. If a server sends its counts in parts, the accumulator joins them
(``_core/answer/usage.py``).
"""

from __future__ import annotations

from opeai_async._core.dialect.rules.values import is_countable, make_integer
from opeai_async._core.dialect.unknown_fields import put_extra
from opeai_async._core.json import JSONObject, is_array, is_object

COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
_OTHER_NAMES = {
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
    "promptTokens": "prompt_tokens",
    "inputTokens": "prompt_tokens",
    "completionTokens": "completion_tokens",
    "outputTokens": "completion_tokens",
    "totalTokens": "total_tokens",
    "input_tokens_details": "prompt_tokens_details",
    "output_tokens_details": "completion_tokens_details",
}


def usage_elsewhere(body: JSONObject) -> bool:
    """Move counts to ``usage``: Moonshot sends them in the choice, Groq in ``x_groq``."""
    if is_object(body.get("usage")) and body["usage"]:
        return False
    groq, choices = body.get("x_groq"), body.get("choices")
    owners = [groq, *(choices if is_array(choices) else ())]
    found = [owner for owner in owners if is_object(owner) and is_object(owner.get("usage")) and owner["usage"]]
    if not found:
        return False
    body["usage"] = found[0].pop("usage") if len(found) == 1 else _sum([owner.pop("usage") for owner in found])
    return True


def _sum(usages: list[JSONObject]) -> JSONObject:
    """Add up the counts of several choices, which share one prompt."""
    completion = [count for usage in usages if isinstance(count := usage.get("completion_tokens"), int)]
    return {
        "prompt_tokens": usages[0].get("prompt_tokens"),
        "completion_tokens": sum(completion) if completion else None,
    }


def usage_other_names(body: JSONObject) -> bool:
    """Rename ``input_tokens``, ``outputTokens`` and the like, which other APIs call the counts."""
    usage = body.get("usage")
    if not is_object(usage):
        return False
    found = [name for name, ours in _OTHER_NAMES.items() if name in usage and usage.get(ours) is None]
    for name in found:
        usage[_OTHER_NAMES[name]] = usage.pop(name)
    return bool(found)


def usage_empty(body: JSONObject) -> bool:
    usage = body.get("usage")
    if not is_object(usage) or any(is_countable(usage.get(name)) for name in COUNTS):
        return False
    del body["usage"]
    # Without counts it is not a usage, but what it says stays visible in ``extra``.
    if usage:
        put_extra(body, {"usage": usage})
    return True


def count_not_integer(usage: JSONObject) -> bool:
    made = [name for name in COUNTS if make_integer(usage, name)]
    return bool(made)


def usage_total_missing(usage: JSONObject) -> bool:
    counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    known = [count for count in counts if isinstance(count, int)]
    if usage.get("total_tokens") is not None or len(known) < len(counts):
        return False
    usage["total_tokens"] = sum(known)
    return True


def leave_untold(usage: JSONObject) -> bool:
    """Set each missing count to None; tell whether one of the two that make the total is missing."""
    missing = [name for name in COUNTS if usage.get(name) is None]
    usage.update(dict.fromkeys(missing))
    return any(name != "total_tokens" for name in missing)
