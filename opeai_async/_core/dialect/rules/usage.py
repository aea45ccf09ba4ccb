"""The repairs of token counts: their names, where they stand, and what is not told.

A count that is not told is None, never a number that was made up; where a server tells its counts in parts, the
accumulator puts them together (``_core/answer/usage.py``).
"""

from __future__ import annotations

from opeai_async._core.dialect.rules.values import is_countable, make_integer
from opeai_async._core.dialect.unknown_fields import put_extra
from opeai_async._core.json import JSONObject, is_array, is_object

COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
_OTHER_NAMES = {
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
    "input_tokens_details": "prompt_tokens_details",
    "output_tokens_details": "completion_tokens_details",
}


def usage_elsewhere(body: JSONObject) -> bool:
    """Moonshot has the counts in the choice, Groq in ``x_groq``."""
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
    """The counts of several choices, which share one prompt."""
    told = [usage.get("completion_tokens") for usage in usages]
    completion = [count for count in told if isinstance(count, int)]
    return {
        "prompt_tokens": usages[0].get("prompt_tokens"),
        "completion_tokens": sum(completion) if completion else None,
    }


def usage_other_names(body: JSONObject) -> bool:
    """``input_tokens`` and ``output_tokens``, as other APIs call them."""
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
    if usage:
        put_extra(body, {"usage": usage})
    return True


def count_not_integer(usage: JSONObject) -> bool:
    made = [name for name in COUNTS if make_integer(usage, name)]
    return bool(made)


def usage_total_missing(usage: JSONObject) -> bool:
    counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    told = [count for count in counts if isinstance(count, int)]
    if usage.get("total_tokens") is not None or len(told) < len(counts):
        return False
    usage["total_tokens"] = sum(told)
    return True


def leave_untold(usage: JSONObject) -> bool:
    """Make each count that was not told None; tell whether that is one of the two that a sum is made of."""
    untold = [name for name in COUNTS if usage.get(name) is None]
    usage.update(dict.fromkeys(untold))
    return any(name != "total_tokens" for name in untold)
