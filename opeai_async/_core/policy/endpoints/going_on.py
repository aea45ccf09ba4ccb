"""How an answer that broke off is gone on with: what is asked, and of whom.

===============  =====================================================  ==================================
way              what is asked                                          what must come
===============  =====================================================  ==================================
PREFIX           the conversation and what was handed out, as an        what follows it
                 assistant's message with ``"prefix": true`` (DeepSeek)
FINAL_MESSAGE    the same with ``continue_final_message`` (vLLM)        what follows it
ASSISTANT_LAST   the same with neither; white space at the end goes     what follows it, white space too
ANEW             the same question once more                            an answer that begins with it
===============  =====================================================  ==================================

A way is taken only where the endpoint is known to know it; asking anew is possible everywhere, and certain where the
new answer begins with all that was handed out. What was not certain is never joined; see ``joint.py``.

What cannot be gone on with: an answer whose finish_reason was handed out (all of it is there), one with log
probabilities, audio, a refusal or a call in the API's older form. With several choices, with a JSON format (whose
grammar some servers begin anew) and where only thinking was handed out, asking anew is the only way.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, cast

from opeai_async._core.policy.endpoints.endpoint import Capabilities
from opeai_async.types.completion import ChatCompletion, Choice
from opeai_async.types.request import TextFormat


class Way(Enum):
    """How an endpoint is asked to go on."""

    PREFIX = "prefix"
    FINAL_MESSAGE = "continue_final_message"
    ASSISTANT_LAST = "assistant_last"
    ANEW = "anew"


def can_go_on(answer: ChatCompletion) -> bool:
    """Tell whether *answer*, as far as it was handed out, is one that can be gone on with."""
    return bool(answer.choices) and all(map(_is_simple, answer.choices))


def _is_simple(choice: Choice) -> bool:
    message = choice.message
    return not (
        choice.finish_reason
        or choice.logprobs is not None
        or message.refusal
        or message.audio is not None
        or message.function_call is not None
        or message.tool_calls
    )


def way_of(answer: ChatCompletion, params: Mapping[str, Any], known: Capabilities, doubted: frozenset[Way]) -> Way:
    """Return how to go on with *answer*.

    Args:
        answer: What was handed out; ``can_go_on`` holds.
        params: What was asked.
        known: What the endpoint can do.
        doubted: Ways that it did not keep to.
    """
    lone = answer.choices[0] if len(answer.choices) == 1 and (params.get("n") or 1) == 1 else None
    is_raw = "messages" not in params or "messages" in (params.get("extra_body") or {})
    if lone is None or not lone.message.content or _wants_json(params) or is_raw:
        return Way.ANEW
    ways = (
        (known.prefix, Way.PREFIX),
        (known.continue_final_message, Way.FINAL_MESSAGE),
        (known.assistant_last, Way.ASSISTANT_LAST),
    )
    return next((way for knows, way in ways if knows and way not in doubted), Way.ANEW)


def _wants_json(params: Mapping[str, Any]) -> bool:
    wanted: object = params.get("response_format")
    if isinstance(wanted, Mapping):
        return cast("Mapping[str, object]", wanted).get("type") != "text"
    return wanted is not None and not isinstance(wanted, TextFormat)


def params_of(way: Way, params: Mapping[str, Any], answer: ChatCompletion) -> dict[str, Any]:
    """Return what to ask so that *answer* is gone on with by *way*."""
    if way is Way.ANEW:
        return dict(params)
    said = answer.choices[0].message
    content = said.content or ""
    message: dict[str, Any] = {"role": "assistant", "content": content}
    extra: dict[str, Any] = {}
    if way is Way.PREFIX:
        message["prefix"] = True
        if said.reasoning_content:
            message["reasoning_content"] = said.reasoning_content
    elif way is Way.FINAL_MESSAGE:
        extra = {"continue_final_message": True, "add_generation_prompt": False}
    else:  # Anthropic refuses white space at the end of such a message
        message["content"] = content.rstrip()
    asked = {**params, "messages": [*params["messages"], message]}
    if extra:
        asked["extra_body"] = {**(params.get("extra_body") or {}), **extra}
    return asked
