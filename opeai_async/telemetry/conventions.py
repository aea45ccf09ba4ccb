"""The GenAI conventions as this package follows them: names, buckets, and who the provider is.

They have a repository of their own, and are in development. Where they change, this file changes, its version, and
the table that the tests check against (tests/support/telemetry/conventions.py); nothing else knows a name of theirs.

See https://github.com/open-telemetry/semantic-conventions-genai
"""

from __future__ import annotations

# The commit of their main branch that is followed: it has `gen_ai.client.inference.*`, counters by modality, and
# cache_write in place of cache_creation.
GENAI_CONVENTIONS = "024a4f944a1291fcb627c9c47da69e79868dd15e"

STABILITY_VARIABLE = "OTEL_SEMCONV_STABILITY_OPT_IN"
CAPTURE_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

# --- attributes ------------------------------------------------------------------------------------------------------

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
CONVERSATION_ID = "gen_ai.conversation.id"
OUTPUT_TYPE = "gen_ai.output.type"
ERROR_TYPE = "error.type"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"

REQUEST_MODEL = "gen_ai.request.model"
REQUEST_STREAM = "gen_ai.request.stream"
REQUEST_CHOICES = "gen_ai.request.choice.count"

RESPONSE_ID = "gen_ai.response.id"
RESPONSE_MODEL = "gen_ai.response.model"
FINISH_REASONS = "gen_ai.response.finish_reasons"
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"

API_TYPE = "openai.api.type"
REQUEST_TIER = "openai.request.service_tier"
RESPONSE_TIER = "openai.response.service_tier"
FINGERPRINT = "openai.response.system_fingerprint"

USAGE = "gen_ai.usage."
INPUT_TOKENS = USAGE + "input_tokens"
OUTPUT_TOKENS = USAGE + "output_tokens"
CACHE_READ_TOKENS = USAGE + "cache_read.input_tokens"
CACHE_WRITE_TOKENS = USAGE + "cache_write.input_tokens"
REASONING_TOKENS = USAGE + "reasoning.output_tokens"
MODALITY = "gen_ai.token.modality"
TOKEN_TYPE = "gen_ai.token.type"  # of the former `gen_ai.client.token.usage`
UNKNOWN_MODALITY = "unknown"

INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
TOOL_DEFINITIONS = "gen_ai.tool.definitions"
TOOL_NAME = "gen_ai.tool.name"
TOOL_TYPE = "gen_ai.tool.type"
TOOL_CALL_ID = "gen_ai.tool.call.id"
TOOL_ARGUMENTS = "gen_ai.tool.call.arguments"
TOOL_RESULT = "gen_ai.tool.call.result"

DETAILS_EVENT = "gen_ai.client.inference.operation.details"
EXCEPTION_EVENT = "gen_ai.client.operation.exception"
EXCEPTION_TYPE = "exception.type"

# From a parameter of the request to its attribute, and what makes the attribute's value of the parameter's.
REQUEST_PARAMS: dict[str, str] = {
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",  # the name that it has today; it comes second, and wins
    "presence_penalty": "gen_ai.request.presence_penalty",
    "reasoning_effort": "gen_ai.request.reasoning.level",
    "seed": "gen_ai.request.seed",
    "stop": "gen_ai.request.stop_sequences",
    "temperature": "gen_ai.request.temperature",
    "top_k": "gen_ai.request.top_k",
    "top_p": "gen_ai.request.top_p",
}
DOUBLES = frozenset({"frequency_penalty", "presence_penalty", "temperature", "top_p"})
WHOLE_NUMBERS = frozenset({"max_tokens", "max_completion_tokens", "seed", "top_k"})

# Our own, for what the conventions have no name for.
CALL_ID = "opeai.call.id"
CUSTOM_ID = "opeai.bulk.custom_id"
BULK_RUN_ID = "opeai.bulk.run_id"
OUTCOME = "opeai.outcome"
QUIRKS = "opeai.quirks"
ATTEMPTS = "opeai.attempts"
REQUEST_ID = "opeai.response.request_id"
STATUS = "http.response.status_code"
ENDPOINT = "opeai.endpoint"
CONTINUED = "opeai.continued"
ATTEMPT_EVENT = "opeai.attempt"
ATTEMPT_NUMBER = "opeai.attempt.number"
ATTEMPT_DELAY = "opeai.attempt.delay"
ATTEMPT_ELAPSED = "opeai.attempt.elapsed"
WAIT = "opeai.wait."  # and one of WAIT_NAMES
WAIT_NAMES = ("slot", "retry", "head", "first_content", "server", "consumer")
RUN_REASON = "opeai.run.reason"
RUN_ROUNDS = "opeai.run.rounds"
RUN_TOOL_CALLS = "opeai.run.tool_calls"
RELAY_REASON = "opeai.relay.reason"
SESSION_OUTCOME = "opeai.session.outcome"

# --- metrics ---------------------------------------------------------------------------------------------------------

DURATION = "gen_ai.client.inference.duration"
TIME_TO_FIRST_CHUNK = "gen_ai.client.inference.time_to_first_chunk"
TIME_PER_CHUNK = "gen_ai.client.inference.time_per_output_chunk"
USAGE_COUNTER = "gen_ai.client.inference.usage."  # and `input_tokens`, `cache_read.input_tokens`, ...
INVOKE_AGENT_DURATION = "gen_ai.invoke_agent.duration"
EXECUTE_TOOL_DURATION = "gen_ai.execute_tool.duration"

FORMER_DURATION = "gen_ai.client.operation.duration"
FORMER_FIRST_CHUNK = "gen_ai.client.operation.time_to_first_chunk"
FORMER_PER_CHUNK = "gen_ai.client.operation.time_per_output_chunk"
FORMER_TOKENS = "gen_ai.client.token.usage"

OWN_WAIT = "opeai.client.wait"  # by `opeai.wait.for`
OWN_WAIT_FOR = "opeai.wait.for"
OWN_ATTEMPTS = "opeai.client.attempts"
OWN_RELAY = "opeai.relay.duration"
OWN_RELAY_SENDING = "opeai.relay.sending"
OWN_SESSION = "opeai.session.duration"

SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
AGENT_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6)
TOKENS = tuple(4**power for power in range(14))

# --- providers -------------------------------------------------------------------------------------------------------

# By the end of the host's name, as if a dot stood before it. The conventions' own word, or the vendor's name.
PROVIDERS: tuple[tuple[str, str], ...] = (
    (".openai.azure.com", "azure.ai.openai"),
    (".services.ai.azure.com", "azure.ai.inference"),
    (".models.ai.azure.com", "azure.ai.inference"),
    (".openai.com", "openai"),
    (".anthropic.com", "anthropic"),
    (".deepseek.com", "deepseek"),
    (".groq.com", "groq"),
    (".mistral.ai", "mistral_ai"),
    (".moonshot.ai", "moonshot_ai"),
    (".moonshot.cn", "moonshot_ai"),
    (".perplexity.ai", "perplexity"),
    (".x.ai", "x_ai"),
    (".cohere.com", "cohere"),
    (".cohere.ai", "cohere"),
    (".generativelanguage.googleapis.com", "gcp.gemini"),
    (".aiplatform.googleapis.com", "gcp.vertex_ai"),
    ("-aiplatform.googleapis.com", "gcp.vertex_ai"),  # of a region
    (".googleapis.com", "gcp.gen_ai"),
    (".ml.cloud.ibm.com", "ibm.watsonx.ai"),
    (".amazonaws.com", "aws.bedrock"),
    (".openrouter.ai", "openrouter"),
    (".together.xyz", "together_ai"),
    (".together.ai", "together_ai"),
    (".fireworks.ai", "fireworks_ai"),
    (".ope.ai", "opeai"),
)
# Any other host speaks this API all the same; the conventions count it as its telemetry's flavour.
OTHER_PROVIDER = "openai"


def provider_of(host: str) -> str:
    """Return who answers at *host*: the end of its name decides, from a dot on."""
    name = "." + host.lower().rstrip(".")
    for suffix, provider in PROVIDERS:
        if name.endswith(suffix):
            return provider
    return OTHER_PROVIDER
