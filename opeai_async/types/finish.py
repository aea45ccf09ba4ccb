"""Translate the reason for which an answer ended into the API's own words.

``finish_reason`` is an open vocabulary: gateways pass on the word of the model's own API. One table has the meaning of
each, in lower case, because the same word comes in upper case, too. A word that is not in the table has no meaning
here: a wrong guess could make a cut answer look whole.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

FinishKind: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "error"]

FINISH_KINDS: dict[str, FinishKind] = {
    # The model was done, or wrote a stop sequence.
    "stop": "stop",
    "end_turn": "stop",  # Anthropic
    "stop_sequence": "stop",  # Anthropic, text-generation-inference
    "eos": "stop",  # Together
    "eos_token": "stop",  # text-generation-inference
    "complete": "stop",  # Cohere
    "completed": "stop",  # the Responses API
    "finished": "stop",
    "stop_token": "stop",
    "pause_turn": "stop",  # Anthropic: send the message back as it is, and the model continues
    # The limit of tokens, or the end of the context.
    "length": "length",
    "max_tokens": "length",  # Anthropic, Gemini, Cohere
    "model_length": "length",  # Mistral
    "model_context_window_exceeded": "length",  # Anthropic, Zhipu
    "max_output_tokens": "length",  # the Responses API
    "max_completion_tokens": "length",
    "max_length": "length",
    "token_limit": "length",
    "incomplete": "length",  # the Responses API
    "error_limit": "length",  # Cohere: the end of the context
    "repetition": "length",  # vLLM: the model went round in circles, and was cut
    # The model waits for results of tools.
    "tool_calls": "tool_calls",
    "tool_call": "tool_calls",  # Cohere
    "tool_use": "tool_calls",  # Anthropic
    "tooluse": "tool_calls",
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
    "language": "content_filter",
    "image_prohibited_content": "content_filter",
    "image_recitation": "content_filter",
    "model_armor": "content_filter",  # Vertex
    "error_toxic": "content_filter",  # Cohere
    "content_policy_violation": "content_filter",
    # The answer broke on the server's side.
    "error": "error",  # OpenRouter, Mistral
    "abort": "error",  # vLLM, SGLang
    "network_error": "error",  # Zhipu
    "insufficient_system_resource": "error",  # DeepSeek
    "aborted": "error",
    "cancelled": "error",
    "canceled": "error",
    "user_cancel": "error",  # Cohere
    "timeout": "error",  # Cohere
    "server_error": "error",
    "internal_error": "error",
    "failed": "error",
    "malformed_function_call": "error",  # Gemini, with all that follow
    "malformed_response": "error",
    "unexpected_tool_call": "error",
    "too_many_tool_calls": "error",
    "missing_thought_signature": "error",
    "no_image": "error",
    "image_other": "error",
    "other": "error",
}
"""By finish_reason in lower case: its meaning."""


def finish_kind(finish_reason: str | None) -> FinishKind | None:
    """Return the meaning of *finish_reason*; None if it is None or an unknown word."""
    return FINISH_KINDS.get(finish_reason.lower()) if finish_reason is not None else None
