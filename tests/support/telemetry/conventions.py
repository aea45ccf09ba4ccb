"""The GenAI conventions' names and types, written down from their registry, to check what is sent against.

From the main branch of open-telemetry/semantic-conventions-genai, at the commit that
`opeai_async.telemetry.conventions.GENAI_CONVENTIONS` names, and for `server.*`, `error.*`, `exception.*` and `http.*`
from the stable conventions. An attribute of ours begins with `opeai.`, which no registry has.
"""

from typing import Any

ATTRIBUTES: dict[str, type[Any]] = {
    "error.type": str,
    "exception.type": str,
    "gen_ai.conversation.id": str,
    "gen_ai.operation.name": str,
    "gen_ai.output.type": str,
    "gen_ai.provider.name": str,
    "gen_ai.request.choice.count": int,
    "gen_ai.request.frequency_penalty": float,
    "gen_ai.request.max_tokens": int,
    "gen_ai.request.model": str,
    "gen_ai.request.presence_penalty": float,
    "gen_ai.request.reasoning.level": str,
    "gen_ai.request.seed": int,
    "gen_ai.request.stop_sequences": tuple,
    "gen_ai.request.stream": bool,
    "gen_ai.request.temperature": float,
    "gen_ai.request.top_k": int,
    "gen_ai.request.top_p": float,
    "gen_ai.response.finish_reasons": tuple,
    "gen_ai.response.id": str,
    "gen_ai.response.model": str,
    "gen_ai.response.time_to_first_chunk": float,
    "gen_ai.token.modality": str,
    "gen_ai.token.type": str,
    "gen_ai.tool.call.id": str,
    "gen_ai.tool.name": str,
    "gen_ai.tool.type": str,
    "gen_ai.usage.audio.input_tokens": int,
    "gen_ai.usage.audio.output_tokens": int,
    "gen_ai.usage.cache_read.input_tokens": int,
    "gen_ai.usage.cache_write.input_tokens": int,
    "gen_ai.usage.image.input_tokens": int,
    "gen_ai.usage.image.output_tokens": int,
    "gen_ai.usage.input_tokens": int,
    "gen_ai.usage.output_tokens": int,
    "gen_ai.usage.reasoning.output_tokens": int,
    "gen_ai.usage.text.input_tokens": int,
    "gen_ai.usage.text.output_tokens": int,
    "http.response.status_code": int,
    "openai.api.type": str,
    "openai.request.service_tier": str,
    "openai.response.service_tier": str,
    "openai.response.system_fingerprint": str,
    "server.address": str,
    "server.port": int,
}
# Only where capturing content was asked for. JSON text on a span.
CONTENT = {
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.tool.definitions",
}
# What every span of a call must have, and what a sampler must see when it begins.
REQUIRED = {"gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "server.address", "server.port"}
# Instrument and unit.
METRICS: dict[str, tuple[str, str]] = {
    "gen_ai.client.inference.duration": ("histogram", "s"),
    "gen_ai.client.inference.time_to_first_chunk": ("histogram", "s"),
    "gen_ai.client.inference.time_per_output_chunk": ("histogram", "s"),
    "gen_ai.client.inference.usage.input_tokens": ("counter", "{token}"),
    "gen_ai.client.inference.usage.output_tokens": ("counter", "{token}"),
    "gen_ai.client.inference.usage.cache_read.input_tokens": ("counter", "{token}"),
    "gen_ai.client.inference.usage.cache_write.input_tokens": ("counter", "{token}"),
    "gen_ai.client.inference.usage.reasoning.output_tokens": ("counter", "{token}"),
    "gen_ai.client.inference.operation.input_tokens": ("histogram", "{token}"),
    "gen_ai.client.inference.operation.output_tokens": ("histogram", "{token}"),
    "gen_ai.invoke_agent.duration": ("histogram", "s"),
    "gen_ai.execute_tool.duration": ("histogram", "s"),
}
FORMER_METRICS: dict[str, tuple[str, str]] = {
    "gen_ai.client.operation.duration": ("histogram", "s"),
    "gen_ai.client.operation.time_to_first_chunk": ("histogram", "s"),
    "gen_ai.client.operation.time_per_output_chunk": ("histogram", "s"),
    "gen_ai.client.token.usage": ("histogram", "{token}"),
}


def strays(attributes: dict[str, Any]) -> list[str]:
    """Return the attributes that the conventions do not have, or have with another type; none should be."""
    found: list[str] = []
    for name, value in attributes.items():
        kind = ATTRIBUTES.get(name)
        if name.startswith("opeai."):
            continue
        if kind is None or not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            found.append(f"{name}={value!r}")
    return found
