"""What may be sent: the list of fields, and messages that came back and go out again."""

import typing

import msgspec
import pytest

from opeai_async._core.answer.accumulator import Accumulator
from opeai_async._core.call.encode import encode_request
from opeai_async._core.decode.decoder import decode_chunk, decode_completion
from opeai_async._core.dialect.dialect import Dialect
from opeai_async.types.completion import ChatCompletion, ChatCompletionMessage
from opeai_async.types.request import ChatCompletionRequest, CompletionParams

# What the API documents today.
DOCUMENTED = {
    *("model", "messages", "temperature", "top_p", "n", "stream", "stream_options", "stop", "max_tokens"),
    *("max_completion_tokens", "presence_penalty", "frequency_penalty", "logit_bias", "user", "tools", "tool_choice"),
    *("response_format", "seed", "reasoning_effort", "modalities", "audio", "logprobs", "top_logprobs"),
    *("parallel_tool_calls", "metadata", "store", "service_tier", "prediction", "verbosity", "prompt_cache_key"),
    *("safety_identifier", "web_search_options", "moderation", "prompt_cache_options"),
}
STILL_TAKEN = {"function_call", "functions", "prompt_cache_retention"}


class TestFields:
    """The two lists of parameters."""

    def test_every_documented_field_is_there(self):
        """And nothing that the API does not know."""
        assert set(ChatCompletionRequest.__struct_fields__) == DOCUMENTED | STILL_TAKEN

    def test_both_lists_are_the_same(self):
        """What a type checker lets through is what is checked before sending; `stream` picks the overload."""
        assert set(CompletionParams.__annotations__) | {"stream"} == set(ChatCompletionRequest.__struct_fields__)

    def test_the_same_fields_are_required(self):
        """A model and messages; all others may be left out or None."""
        required = {field.name for field in msgspec.structs.fields(ChatCompletionRequest) if field.required}
        assert required == {"model", "messages"}
        hints = typing.get_type_hints(CompletionParams, include_extras=True)
        assert {name for name, hint in hints.items() if typing.get_origin(hint) is typing.Required} == required
        assert {name for name, hint in hints.items() if type(None) not in typing.get_args(hint)} == required

    def test_scalars_have_the_same_type(self):
        """A number is a number, a text a text, in both lists."""
        params, request = (typing.get_type_hints(cls) for cls in (CompletionParams, ChatCompletionRequest))
        scalars = {bool | None, int | None, float | None, str | None, str}
        assert {name: hint for name, hint in params.items() if hint in scalars} == {
            name: hint for name, hint in request.items() if hint in scalars and name != "stream"
        }


MESSAGES = {
    "plain": {"role": "assistant", "content": "Hello"},
    "empty": {"role": "assistant", "content": ""},
    "null content": {"role": "assistant", "content": None},
    "reasoning": {"role": "assistant", "content": "4", "reasoning_content": "2 + 2 …\n\u2028"},
    "refusal": {"role": "assistant", "content": None, "refusal": "No."},
    "tool calls": {
        "role": "assistant",
        "content": None,
        "reasoning_content": "look it up",
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": "\\u00fc"}'}},
            {"id": "call_2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ],
    },
    "custom tool call": {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_1", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}],
    },
    "older function call": {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
    "audio": {
        "role": "assistant",
        "content": None,
        "audio": {"id": "audio_1", "data": "UklGRg==", "transcript": "hi", "expires_at": 1729018505},
    },
    "annotations": {
        "role": "assistant",
        "content": "see",
        "annotations": [
            {
                "type": "url_citation",
                "url_citation": {"start_index": 0, "end_index": 3, "url": "https://a.example", "title": "A"},
            },
            {"type": "file", "file": {"name": "x.pdf", "hash": 5}},
            {"type": "url_citation", "url_citation": {"url": "https://b.example", "content": "quoted"}},
        ],
    },
    "no annotations": {"role": "assistant", "content": "see", "annotations": []},
    "vendor fields everywhere": {
        "role": "assistant",
        "content": "x",
        "reasoning_details": [{"type": "reasoning.encrypted", "data": "AAA", "signature": None, "index": 0}],
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "f", "arguments": "{}", "parsed": {"a": [1, 2.5, None]}},
                "extra_content": {"google": {"thought_signature": "c2ln"}},
            },
            {"id": "call_2", "type": "custom", "custom": {"name": "n", "input": "", "grammar": 1}, "y": {}},
        ],
        "audio": {"id": "a", "data": "b", "transcript": "c", "format": "wav"},
        "annotations": [
            {"type": "url_citation", "url_citation": {"url": "u", "icon": "i"}, "score": 0.5},
        ],
        "logo": {"deep": [{"deeper": {"_extra": 1}}]},
    },
}


def completion_json(message):
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


def sent_back(message):
    body = msgspec.json.decode(encode_request({"model": "m", "messages": [message]}, stream=False))
    return body["messages"][0]


@pytest.mark.parametrize("original", MESSAGES.values(), ids=MESSAGES)
def test_a_message_that_came_back_goes_out_again(original):
    """Without a loss, at any level, alone and among dicts."""
    completion = decode_completion(msgspec.json.encode(completion_json(original)), ChatCompletion, Dialect())
    message = completion.choices[0].message
    assert isinstance(message, ChatCompletionMessage)
    assert sent_back(message) == original
    question = {"role": "user", "content": "?"}
    body = encode_request({"model": "m", "messages": [question, message, question]}, stream=True)
    assert msgspec.json.decode(body)["messages"] == [question, original, question]


@pytest.mark.parametrize("name", [name for name in MESSAGES if name not in ("no annotations", "empty")])
def test_a_message_that_was_streamed_goes_out_again(name):
    """Rebuilt from one chunk it is the same."""
    original = MESSAGES[name]
    calls = [{"index": index, **call} for index, call in enumerate(original.get("tool_calls", []))]
    delta = {**original, **({"tool_calls": calls} if calls else {})}
    data = msgspec.json.encode({"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": "stop"}]})
    accumulator = Accumulator()
    accumulator.add(decode_chunk(data))
    assert sent_back(accumulator.completion().choices[0].message) == original


def test_nulls_of_no_meaning_are_left_out():
    """A field that the server sent as null is not sent back; only null content is."""
    message = {"role": "assistant", "content": "a", "refusal": None, "audio": None, "tool_calls": None, "name": None}
    completion = decode_completion(msgspec.json.encode(completion_json(message)), ChatCompletion, Dialect())
    assert sent_back(completion.choices[0].message) == {"role": "assistant", "content": "a"}
