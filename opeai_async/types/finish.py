"""Why an answer ended, in the API's own words.

``finish_reason`` is an open vocabulary: gateways pass on what the model's own API said. Everything else than the API's
words is looked up in one table, without regard to case, because the same word comes in both.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

FinishKind: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "error"]

FINISH_KINDS: dict[str, FinishKind] = {
    # The model was done, or met a stop sequence.
    "stop": "stop",
    "end_turn": "stop",  # Anthropic
    "stop_sequence": "stop",  # Anthropic, text-generation-inference
    "eos": "stop",  # Together
    "eos_token": "stop",  # text-generation-inference
    "complete": "stop",  # Cohere
    # The limit of tokens, or the end of the context.
    "length": "length",
    "max_tokens": "length",  # Anthropic, Gemini, Cohere
    "model_length": "length",  # Mistral
    "model_context_window_exceeded": "length",  # Anthropic, Zhipu
    # The model waits for results of tools.
    "tool_calls": "tool_calls",
    "tool_call": "tool_calls",  # Cohere
    "tool_use": "tool_calls",  # Anthropic
    "function_call": "tool_calls",  # this API, before it had tools
    # A filter held back the answer, or the rest of it.
    "content_filter": "content_filter",
    "content_filtered": "content_filter",  # Bedrock
    "guardrail_intervened": "content_filter",  # Bedrock
    "sensitive": "content_filter",  # Zhipu
    "refusal": "content_filter",  # Anthropic
    "safety": "content_filter",  # Gemini, with all that follow
    "image_safety": "content_filter",
    "recitation": "content_filter",
    "blocklist": "content_filter",
    "prohibited_content": "content_filter",
    "spii": "content_filter",
    # The answer broke on the server's side.
    "error": "error",  # OpenRouter, Mistral
    "abort": "error",  # vLLM, SGLang
    "network_error": "error",  # Zhipu
    "insufficient_system_resource": "error",  # DeepSeek
}
"""From a finish_reason in lower case to what it means."""


def finish_kind(finish_reason: str | None) -> FinishKind | None:
    """What *finish_reason* means; None if there is none, or it is a word that nobody knows."""
    return FINISH_KINDS.get(finish_reason.lower()) if finish_reason is not None else None
