"""What is refused before anything is sent, and in which words: the field, its value, and what was expected."""

import math

import msgspec
import pytest

from opeai_async._core.call.encode import encode_request
from opeai_async.errors import RequestValidationError
from opeai_async.types.common import WireStruct
from opeai_async.types.completion import ChatCompletion, ChatCompletionMessage, Choice
from opeai_async.types.request import (
    AudioOptions,
    FunctionName,
    ModerationOptions,
    PredictedContent,
    PromptCacheOptions,
    StreamOptions,
    TextPart,
    UserMessage,
    WebSearchOptions,
)

HELLO = [{"role": "user", "content": "hello"}]


def refusal_of(*, extra_body=None, **params) -> RequestValidationError:
    """What is said of an otherwise valid request with *params*."""
    with pytest.raises(RequestValidationError) as caught:
        encode_request({"model": "m", "messages": HELLO, **params}, stream=False, extra_body=extra_body)
    return caught.value


# --- what is refused -------------------------------------------------------------------------------------------------

RANGES = {
    "temperature": (0, 2, "a number from 0 to 2"),
    "top_p": (0, 1, "a number from 0 to 1"),
    "frequency_penalty": (-2, 2, "a number from -2 to 2"),
    "presence_penalty": (-2, 2, "a number from -2 to 2"),
    "n": (1, None, "a whole number of at least 1"),
}
WHOLE = {name for name, (_, _, expected) in RANGES.items() if "whole" in expected}


@pytest.mark.parametrize("name", RANGES)
def test_the_edges_of_a_range_are_inside(name):
    """Both of them."""
    low, high, _ = RANGES[name]
    for edge in (low, 2**40 if high is None else high):
        assert f'"{name}":{edge}'.encode() in encode_request(
            {"model": "m", "messages": HELLO, name: edge}, stream=False
        )


@pytest.mark.parametrize("name", RANGES)
def test_beyond_the_edges_is_outside(name):
    """The error names field, value and range."""
    low, high, expected = RANGES[name]
    step = 1 if name in WHOLE else 1e-9
    for value in [low - step] + ([] if high is None else [high + step]):
        error = refusal_of(**{name: value})
        assert str(error) == f"{name} is {value!r}, expected {expected}"
        assert error.field == name


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, True, "1", [1], {}])
def test_what_is_no_number_is_refused(name, value):
    """JSON has no NaN and no infinity; a bool is not meant as 0 or 1."""
    error = refusal_of(**{name: value})
    assert str(error).startswith(f"{name} is ")
    assert str(error).endswith(f", expected {RANGES[name][2]}")


# Of which each server has its own.
UNCHECKED_RANGES = ("max_completion_tokens", "max_tokens", "seed", "top_logprobs")


@pytest.mark.parametrize("name", UNCHECKED_RANGES)
def test_a_range_that_servers_disagree_on_is_not_checked(name):
    """vLLM takes -1 for all log probabilities, llama.cpp for as many tokens as there is room for."""
    assert f'"{name}":-1'.encode() in encode_request({"model": "m", "messages": HELLO, name: -1}, stream=False)
    assert str(refusal_of(**{name: "1"})) == f"{name} is '1', expected a whole number"


@pytest.mark.parametrize("value", [0, 0.5, 100, "low"])
def test_an_effort_may_be_a_number(value):
    """Some servers take one."""
    body = msgspec.json.decode(
        encode_request({"model": "m", "messages": HELLO, "reasoning_effort": value}, stream=False)
    )
    assert body["reasoning_effort"] == value


@pytest.mark.parametrize("value", [-1, math.nan, math.inf, [1]])
def test_an_effort_is_a_word_or_a_proper_number(value):
    error = refusal_of(reasoning_effort=value)
    assert str(error).endswith(", expected a word such as 'low', or a number of at least 0")


@pytest.mark.parametrize(
    ("name", "given", "sent"),
    [
        ("audio", AudioOptions(format="wav", voice="alloy"), {"format": "wav", "voice": "alloy"}),
        ("function_call", FunctionName(name="f"), {"name": "f"}),
        ("moderation", ModerationOptions(model="m"), {"model": "m"}),
        ("prediction", PredictedContent(content="x"), {"type": "content", "content": "x"}),
        ("prompt_cache_options", PromptCacheOptions(mode="explicit"), {"mode": "explicit"}),
        ("stream_options", StreamOptions(include_usage=True), {"include_usage": True}),
        ("web_search_options", WebSearchOptions(search_context_size="low"), {"search_context_size": "low"}),
    ],
)
def test_a_struct_stands_for_a_dict(name, given, sent):
    """Each object among the parameters has a Struct."""
    body = msgspec.json.decode(encode_request({"model": "m", "messages": HELLO, name: given}, stream=False))
    assert body[name] == sent


@pytest.mark.parametrize("name", sorted(WHOLE | set(UNCHECKED_RANGES)))
@pytest.mark.parametrize("value", [1.0, 1.5])
def test_a_fraction_is_no_whole_number(name, value):
    """Nor is a float that happens to be whole."""
    assert str(refusal_of(**{name: value})).startswith(f"{name} is {value}, expected a whole number")


@pytest.mark.parametrize(
    ("params", "message", "field"),
    [
        ({"model": ""}, "model is '', expected the name of a model", "model"),
        ({"model": 3}, "model is 3, expected the name of a model", "model"),
        ({"messages": []}, "messages is an empty list, expected a list of at least one message", "messages"),
        ({"messages": "canary"}, "messages is a str, expected a list of at least one message", "messages"),
        ({"messages": 5}, "messages is an int, expected a list of at least one message", "messages"),
        ({"messages": HELLO[0]}, "messages is a dict, expected a list of at least one message", "messages"),
        (
            {"messages": ["canary"]},
            "messages[0] is a str, expected a dict with a role, or a message of this package",
            "messages[0]",
        ),
        (
            {"messages": [*HELLO, None]},
            "messages[1] is None, expected a dict with a role, or a message of this package",
            "messages[1]",
        ),
        (
            {"messages": [*HELLO, {"content": "x"}]},
            "messages[1].role is missing, expected 'system', 'developer', 'user', 'assistant' or 'tool'",
            "messages[1].role",
        ),
        (
            {"messages": [{"role": 1}]},
            "messages[0].role is 1, expected 'system', 'developer', 'user', 'assistant' or 'tool'",
            "messages[0].role",
        ),
        (
            {"messages": [ChatCompletion(choices=[Choice(message=ChatCompletionMessage(role="assistant"))])]},
            "messages[0].role is missing, expected 'system', 'developer', 'user', 'assistant' or 'tool'",
            "messages[0].role",
        ),
        (
            {"messages": [{"role": "user", "content": b"canary"}]},
            "messages[0].content is of the type bytes, expected text or a list of parts",
            "messages[0].content",
        ),
        (
            {"messages": [UserMessage(content=bytearray(b"canary"))]},
            "messages[0].content is of the type bytearray, expected text or a list of parts",
            "messages[0].content",
        ),
        ({"stop": 7}, "stop is 7, expected a string or a list of strings", "stop"),
        ({"stop": ["a", 3]}, "stop[1] is 3, expected a string or a list of strings", "stop[1]"),
        ({"modalities": "text"}, "modalities is 'text', expected a list of strings", "modalities"),
        ({"modalities": ("text", 1)}, "modalities[1] is 1, expected a list of strings", "modalities[1]"),
        ({"metadata": {"a": "b", "c": 1}}, "metadata['c'] is 1, expected a dict of strings", "metadata['c']"),
        ({"metadata": {1: "a"}}, "a key of metadata is 1, expected a dict of strings", "a key of metadata"),
        (
            {"logit_bias": {"1": 1, "2": 101}},
            "logit_bias['2'] is 101, expected a dict from token ids to numbers from -100 to 100",
            "logit_bias['2']",
        ),
        (
            {"logit_bias": {7: math.nan}},
            "logit_bias[7] is nan, expected a dict from token ids to numbers from -100 to 100",
            "logit_bias[7]",
        ),
        ({"user": 5}, "user is 5, expected a string", "user"),
        ({"user": object()}, "user is an object, expected a string", "user"),
        ({"store": 1}, "store is 1, expected True or False", "store"),
        ({"seed": "x" * 61}, "seed is a str, expected a whole number", "seed"),
        ({"seed": ""}, "seed is '', expected a whole number", "seed"),
        ({"audio": []}, "audio is an empty list, expected a dict", "audio"),
        ({"tools": {"a": 1}}, "tools is a dict, expected a list", "tools"),
        ({"function_call": 1}, "function_call is 1, expected a string or a dict", "function_call"),
        (
            {"n": -(10**5000)},
            "n is a number of 16610 bits, expected a whole number of at least 1",
            "n",
        ),
    ],
)
def test_refusals_name_field_value_and_what_was_expected(params, message, field):
    """In one line, without a word of a prompt."""
    error = refusal_of(**params)
    assert (str(error), error.field) == (message, field)
    assert "extra_body" in error.hint or field.endswith(".content")


@pytest.mark.parametrize("name", ["model", "messages"])
def test_what_every_request_needs(name):
    """Left out or None is the same."""
    whole = {"model": "m", "messages": HELLO}
    for params in ({**whole, name: None}, {other: value for other, value in whole.items() if other != name}):
        with pytest.raises(RequestValidationError) as caught:
            encode_request(params, stream=False)
        assert str(caught.value) == f"{name} is missing, expected it in every request"
        assert (caught.value.field, caught.value.hint) == (name, f"add {name}=")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("temprature", "temprature is no field of the API; did you mean 'temperature'?"),
        ("max_token", "max_token is no field of the API; did you mean 'max_tokens'?"),
        ("topP", "topP is no field of the API; did you mean 'top_p'?"),
        ("max_retry", "max_retry is no field of the API; did you mean 'max_retries'?"),
    ],
)
@pytest.mark.parametrize("value", [1, None])
def test_an_unknown_field_is_refused(name, value, message):
    """With the nearest that is known; also when it is None, for the name is wrong all the same."""
    error = refusal_of(**{name: value})
    assert str(error) == message
    assert error.field == name
    assert "extra_body" in error.hint


# --- what cannot be JSON ---------------------------------------------------------------------------------------------


def cycle():
    whole: dict[str, object] = {}
    whole["again"] = [whole]
    return whole


def deep():
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    return value


class Point(WireStruct):
    x: object = None


@pytest.mark.parametrize(
    ("params", "field", "reason"),
    [
        ({"messages": [{"role": "user", "content": "a\ud800"}]}, "messages[0].content", "surrogates not allowed"),
        (
            {"messages": [*HELLO, UserMessage(content=[TextPart(text="\udfff")])]},
            "messages[1].content[0].text",
            "surrogates not allowed",
        ),
        ({"messages": [{"role": "user", "content": "a", "\ud800": 1}]}, "messages[0]", "surrogates not allowed"),
        ({"user": "\ud800"}, "user", "surrogates not allowed"),
        ({"tools": [object()]}, "tools[0]", "an object has no JSON form"),
        ({"tools": ({"function": {"parameters": int}},)}, "tools[0].function.parameters", "a type has no JSON form"),
        ({"response_format": Point(x={"y": (1, 2j)})}, "response_format.x.y[1]", "a complex has no JSON form"),
        ({"audio": {"a": {None: 1}}}, "audio.a", ""),
        ({"extra_body": {"top_k": {"a": 1j}}}, "top_k.a", "a complex has no JSON form"),
        ({"n": 10**5000}, "n", "digits"),
        ({"tools": [{"function": cycle()}]}, "tools", "recursion"),
        ({"tools": deep()}, "tools", "recursion"),
    ],
)
def test_what_cannot_be_json(params, field, reason):
    """The error names the innermost place, where there is one, and says what can be sent."""
    error = refusal_of(**params)
    assert error.field == field
    assert str(error).startswith(f"{field} cannot be sent as JSON: ")
    assert reason in str(error)
    assert error.hint.startswith("JSON takes ")


@pytest.mark.parametrize("format", [Point, list[Point]])
def test_a_type_is_no_response_format(format):
    """What takes one is named."""
    error = refusal_of(response_format=format)
    assert error.field == "response_format"
    assert str(error).startswith("response_format is a type, expected a dict")
    assert "parse(response_format=...)" in error.hint


def test_the_fault_may_be_the_body_itself():
    """A name that is no text, or one more level than fits, belongs to no field."""
    error = refusal_of(extra_body={None: 1})
    assert str(error).startswith("the body cannot be sent as JSON: ")
    assert error.field is None


def test_the_search_for_the_fault_ends():
    """However deep it lies, the path shows its beginning."""
    value: object = 1j
    for _ in range(40):
        value = [value]
    assert refusal_of(audio={"a": value}).field == "audio.a" + "[0]" * 14
