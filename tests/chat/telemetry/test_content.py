"""Prompts and answers in the conventions' JSON."""

from typing import Any

import msgspec
import pytest

from opeai_async.telemetry import content
from opeai_async.types.completion import ChatCompletion, ChatCompletionMessage, Choice, FunctionCall, ToolCall
from opeai_async.types.request import ImagePart, ImageURL, TextPart

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"role": "user", "content": "hi"}, {"role": "user", "parts": [{"type": "text", "content": "hi"}]}),
        (
            {"role": "user", "name": "Ann", "content": [{"type": "text", "text": "hi"}]},
            {"role": "user", "parts": [{"type": "text", "content": "hi"}], "name": "Ann"},
        ),
        (
            {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "hm"},
            {
                "role": "assistant",
                "parts": [
                    {"type": "reasoning", "content": "hm"},
                    {"type": "tool_call", "id": "c1", "name": "f", "arguments": {"a": 1}},
                ],
            },
        ),
        (
            {"role": "tool", "tool_call_id": "c1", "content": "rainy"},
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "rainy"}]},
        ),
        (
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "a"}, TextPart(text="b")]},
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "ab"}]},
        ),
        (
            ChatCompletionMessage(role="assistant", content="no", refusal="never"),
            {
                "role": "assistant",
                "parts": [{"type": "text", "content": "no"}, {"type": "text", "content": "never"}],
            },
        ),
    ],
)
def test_a_message_that_was_sent(message: object, expected: dict[str, Any]) -> None:
    """Dicts and Structs alike."""
    assert content.input_messages([message]) == [expected]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (ImagePart(image_url=ImageURL(url="https://x/y.png")), {"type": "uri", "uri": "https://x/y.png"}),
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "blob", "mime_type": "image/png", "content": "AAAA"},
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "BBBB", "format": "wav"}},
            {"type": "blob", "mime_type": "audio/wav", "content": "BBBB"},
        ),
        ({"type": "file", "file": {"file_id": "f1"}}, {"type": "file", "file_id": "f1"}),
        ({"type": "file", "file": {"file_data": "CCCC"}}, {"type": "blob", "content": "CCCC"}),
        ({"type": "refusal", "refusal": "no"}, {"type": "text", "content": "no"}),
        ({"type": "hologram", "hologram": "secret"}, {"type": "hologram"}),
    ],
)
def test_a_part_that_is_no_text(part: object, expected: dict[str, Any]) -> None:
    """Data, addresses and files have types of their own; of what nobody knows, only the type is shown."""
    (message,) = content.input_messages([{"role": "user", "content": [part]}])
    (shown,) = message["parts"]
    assert {key: shown[key] for key in expected} == expected
    assert "secret" not in str(shown)


def test_an_answer_has_a_message_per_choice() -> None:
    """Reasoning, text and calls; a choice without a reason was cut."""
    call = ToolCall(id="c1", type="function", function=FunctionCall(name="f", arguments='{"broken'))
    custom = {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "free"}}
    message = ChatCompletionMessage(
        role="assistant",
        content="hi",
        reasoning_content="hm",
        tool_calls=[call, msgspec.convert(custom, ToolCall)],
    )
    cut = ChatCompletionMessage(role="", content="hal")
    completion = ChatCompletion(
        choices=[Choice(message=message, finish_reason="tool_calls"), Choice(message=cut, index=1)]
    )
    whole, half = content.output_messages(completion)
    assert whole == {
        "role": "assistant",
        "finish_reason": "tool_call",
        "parts": [
            {"type": "reasoning", "content": "hm"},
            {"type": "text", "content": "hi"},
            {"type": "tool_call", "id": "c1", "name": "f", "arguments": '{"broken'},
            {"type": "tool_call", "id": "c2", "name": "g", "arguments": "free"},
        ],
    }
    assert half == {
        "role": "assistant",
        "finish_reason": "error",
        "parts": [{"type": "text", "content": "hal"}],
    }
    assert content.output_messages(None) == []


def test_tools_are_told_with_their_parameters() -> None:
    """Functions and others."""
    function = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
    other = {"type": "custom", "custom": {"name": "g"}}
    assert content.tool_definitions([function, other]) == [
        {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}},
        {"type": "custom", "name": "g"},
    ]


def test_what_json_cannot_hold_is_shown_as_text() -> None:
    """A span must not fail because of what somebody put into a message."""
    assert content.as_json([{"a": {1, 2}, "b": 1j}]) == '[{"a":[1,2],"b":"1j"}]'
