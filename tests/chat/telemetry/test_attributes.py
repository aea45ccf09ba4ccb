"""What the records say as attributes, against the conventions' own list of names and types."""

from typing import Any

import pytest

from opeai_async.telemetry import attributes, conventions
from opeai_async.types.common import CompletionUsage, PromptTokensDetails
from opeai_async.types.meta import StreamTiming
from tests.support.telemetry.conventions import ATTRIBUTES, FORMER_METRICS, METRICS, REQUIRED, strays
from tests.support.telemetry.made import USAGE, call, record

PARAMS: dict[str, Any] = {
    "frequency_penalty": 1,
    "max_tokens": 5,
    "presence_penalty": 0.5,
    "reasoning_effort": "low",
    "seed": 7,
    "service_tier": "flex",
    "stop": "END",
    "temperature": 0,
    "top_k": 40,
    "top_p": 1,
}


def test_the_attributes_that_a_sampler_needs_are_there_at_the_start() -> None:
    """Exactly what the conventions require, with their types."""
    found = attributes.at_start(call())
    assert set(found) == REQUIRED
    assert not strays(found)
    assert found["gen_ai.provider.name"] == "deepseek"


def test_each_parameter_has_the_type_of_the_conventions() -> None:
    """1 is a double where they say so; one stop sequence is a list of one."""
    found = attributes.of_request(call(params=PARAMS, choices=3, output_type="json", conversation_id="conv"))
    assert not strays(found)
    assert found["gen_ai.request.frequency_penalty"] == 1.0
    assert found["gen_ai.request.stop_sequences"] == ("END",)
    assert found["gen_ai.request.choice.count"] == 3
    assert found["openai.request.service_tier"] == "flex"
    assert len(found) == 2 + 1 + 3 + len(PARAMS)  # with stream; call id and API


@pytest.mark.parametrize("value", [True, "many", object(), [1], {}])
def test_a_parameter_of_a_wrong_type_is_left_out(value: object) -> None:
    """`extra_body` takes anything; a span does not."""
    found = attributes.of_request(call(params={"seed": value, "temperature": value, "stop": {1: 2}}))
    assert not strays(found)
    assert "gen_ai.request.seed" not in found


def test_defaults_are_not_told() -> None:
    """One choice, no stream and the tier `auto` are what a reader of spans assumes."""
    found = attributes.of_request(call(stream=False, params={"service_tier": "auto"}))
    assert set(found) == {"opeai.call.id", "openai.api.type"}


def test_an_answer_is_told_with_its_usage() -> None:
    """Totals and all parts that the server told."""
    found = attributes.of_answer(record(service_tier="default", system_fingerprint="fp", quirks=("done_missing",)))
    assert not strays(found)
    assert found["gen_ai.response.time_to_first_chunk"] == 0.2
    assert found["gen_ai.response.finish_reasons"] == ("stop",)
    assert found["gen_ai.usage.input_tokens"] == 30
    assert found["gen_ai.usage.cache_read.input_tokens"] == 8
    assert found["gen_ai.usage.reasoning.output_tokens"] == 5
    assert found["gen_ai.usage.audio.input_tokens"] == 2
    assert "error.type" not in found
    assert found["opeai.wait.server"] == 0.7
    assert "opeai.wait.slot" not in found


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (CompletionUsage(extra={"prompt_cache_hit_tokens": 4}), (4, None)),
        (CompletionUsage(extra={"cache_read_input_tokens": 4, "cache_creation_input_tokens": 6}), (4, 6)),
        (CompletionUsage(prompt_tokens_details=PromptTokensDetails(extra={"cache_write_tokens": 3})), (None, 3)),
        (CompletionUsage(extra={"prompt_cache_hit_tokens": "4"}), (None, None)),
        (CompletionUsage(), (None, None)),
    ],
)
def test_vendors_tell_their_caches_in_their_own_ways(usage: CompletionUsage, expected: tuple[Any, Any]) -> None:
    """The names of DeepSeek, of Anthropic behind a gateway, and of OpenRouter."""
    assert attributes.cached(usage) == expected


def test_the_modalities_add_up_to_the_total() -> None:
    """What no modality was told for is `unknown`, so that a sum over modalities is the total."""
    found = list(attributes.by_modality(USAGE))
    assert sum(count for name, _, count in found if name == "input_tokens") == 30
    assert ("input_tokens", "unknown", 10) in found
    assert [entry for entry in found if entry[0] == "output_tokens"] == [("output_tokens", "text", 20)]


def test_parts_that_exceed_their_total_do_not_count_more_than_it() -> None:
    """A server that counts the cache apart from the prompt does not make a counter too large."""
    usage = CompletionUsage(prompt_tokens=5, prompt_tokens_details=PromptTokensDetails(text_tokens=9, audio_tokens=1))
    assert [entry for entry in attributes.by_modality(usage) if entry[0] == "input_tokens"] == [
        ("input_tokens", "text", 5)
    ]


def test_a_call_without_usage_counts_nothing_of_unknown_modality() -> None:
    """As the conventions want it: the series exists from the first call on."""
    assert list(attributes.by_modality(None)) == [("input_tokens", "unknown", 0), ("output_tokens", "unknown", 0)]


def test_time_per_chunk_is_a_mean() -> None:
    """Eight gaps in 0.8 seconds."""
    assert attributes.time_per_chunk(record()) == pytest.approx(0.1)
    assert attributes.time_per_chunk(record(chunks=1)) is None
    assert attributes.time_per_chunk(record(first_chunk_s=None)) is None
    assert attributes.time_per_chunk(record(timing=StreamTiming())) is None


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("api.openai.com", "openai"),
        ("OPENAI.COM.", "openai"),
        ("notopenai.com", "openai"),  # it speaks this API, and no more is known
        ("my.openai.azure.com", "azure.ai.openai"),
        ("us-central1-aiplatform.googleapis.com", "gcp.vertex_ai"),
        ("generativelanguage.googleapis.com", "gcp.gemini"),
        ("api.x.ai", "x_ai"),
        ("max.ai", "openai"),
        ("127.0.0.1", "openai"),
        ("api-platform.ope.ai", "opeai"),
    ],
)
def test_the_host_tells_the_provider(host: str, provider: str) -> None:
    """By the end of its name, from a dot on."""
    assert conventions.provider_of(host) == provider


def test_every_name_that_is_used_is_in_the_table() -> None:
    """No name of the conventions is spelled in this package that they do not have."""
    known = {*ATTRIBUTES, *METRICS, *FORMER_METRICS}
    prefixes = (conventions.USAGE, conventions.USAGE_COUNTER)
    events = {conventions.DETAILS_EVENT, conventions.EXCEPTION_EVENT}
    content = {"gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.tool.definitions"}
    content |= {"gen_ai.tool.call.arguments", "gen_ai.tool.call.result"}
    spelled = {value for value in vars(conventions).values() if isinstance(value, str) and value.startswith("gen_ai.")}
    assert spelled - known - set(prefixes) - events - content == set()
    assert set(conventions.REQUEST_PARAMS.values()) <= known
