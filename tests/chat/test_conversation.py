"""A conversation that was saved and loaded is the same to a server."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async import AsyncOpeAI, ChatCompletion, Conversation, RequestValidationError, tool
from opeai_async._core.call.encode import encode_request
from opeai_async.testing import OpeAIServer
from opeai_async.types.completion import ChatCompletionMessage, FunctionCall, ToolCall
from opeai_async.types.request import SystemMessage, TextPart, ToolMessage, UserMessage
from tests.support.reading.streams import json_values, messages


def sent(conversation: Conversation) -> Any:
    """The messages as a request holds them."""
    body = encode_request({"model": "m", "messages": conversation.messages}, stream=False)
    return msgspec.json.decode(body)["messages"]


MESSAGES: list[Any] = [
    SystemMessage(content="Be brief."),
    {"role": "user", "content": [TextPart(text="Look:"), {"type": "video", "url": "data:"}]},
    ChatCompletionMessage(
        role="assistant",
        reasoning_content="Hm.",
        tool_calls=[
            ToolCall(
                id="call_1",
                type="function",
                function=FunctionCall(name="f", arguments='{"a":"ü"}'),
                extra={"extra_content": {"signature": "abc"}},
            )
        ],
        extra={"mood": [1, None], "reasoning": {"text": "Hm.", "signature": "xyz"}},
    ),
    ToolMessage(content="3", tool_call_id="call_1"),
    {"role": "assistant", "content": None, "vendor": {"x": 1.5}},
]


def test_what_is_loaded_is_sent_as_what_was_saved() -> None:
    """Reasoning in the form it came in, vendor fields at every level, parts, nulls."""
    conversation = Conversation(MESSAGES)
    loaded = Conversation.from_json(conversation.to_json())
    assert loaded.messages == sent(conversation) == sent(loaded)
    assert loaded.messages[2] == {
        "role": "assistant",
        "content": None,
        "reasoning": {"text": "Hm.", "signature": "xyz"},
        "mood": [1, None],
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "f", "arguments": '{"a":"ü"}'},
                "extra_content": {"signature": "abc"},
            }
        ],
    }
    assert Conversation.from_json(loaded.to_json().decode()).messages == loaded.messages


@given(st.lists(messages(), max_size=3), st.dictionaries(st.text("abc", min_size=1), json_values, max_size=3))
def test_any_message_survives(generated: list[dict[str, Any]], extra: dict[str, Any]) -> None:
    """As a dict, and as the Struct that it is decoded to."""
    decoded = [msgspec.convert({**message, "_extra": extra}, ChatCompletionMessage) for message in generated]
    conversation = Conversation([*generated, *decoded, UserMessage(content="Hi", extra=extra)])
    loaded = Conversation.from_json(conversation.to_json())
    assert sent(loaded) == sent(conversation)


async def test_a_conversation_goes_on_after_it_was_saved() -> None:
    """With reasoning and tool calls, as some servers want them back."""

    @tool
    async def clock(zone: str) -> str:
        return f"12:00 {zone}"

    async with OpeAIServer() as server, server.client() as client:
        server.reply(reasoning="Hm.", tool_calls=[("clock", {"zone": "cet"})])
        server.reply("Noon.", quirks=["reasoning_details"], reasoning="Easy.")
        conversation = Conversation([{"role": "user", "content": "?"}])
        result = await ask(client, conversation, clock)
        conversation.messages.extend(result)
        before = sent(conversation)
        loaded = Conversation.from_json(conversation.to_json())
        loaded.append({"role": "user", "content": "Sure?"})
        loaded.append(await client.chat.completions.create(model="m", messages=loaded.messages))
    assert server.requests[-1].json["messages"] == [*before, {"role": "user", "content": "Sure?"}]
    assert len(loaded.messages) == 6
    assert isinstance(loaded.messages[-1], ChatCompletionMessage)
    assert repr(loaded) == "<Conversation of 6 messages>"


async def ask(client: AsyncOpeAI, conversation: Conversation, function: Any) -> list[Any]:
    run = await client.chat.completions.run(model="m", messages=conversation.messages, tools=[function])
    return run.new_messages


def test_an_empty_conversation_can_be_saved() -> None:
    assert Conversation().to_json() == b"[]"
    assert Conversation.from_json("[]").messages == []


def test_two_conversations_share_nothing() -> None:
    first = Conversation(MESSAGES)
    second = Conversation(first.messages)
    second.append({"role": "user", "content": "?"})
    assert len(first.messages) == len(MESSAGES)


def test_a_completion_without_choices_has_no_message() -> None:
    with pytest.raises(RequestValidationError, match="no choices"):
        Conversation().append(ChatCompletion())


def test_what_cannot_be_sent_cannot_be_saved() -> None:
    with pytest.raises(RequestValidationError, match=r"messages\[0\]"):
        Conversation([{"role": "user", "content": {1j}}]).to_json()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no JSON"),
        (b"[{]", "no JSON"),
        (b'["\xff"]', "no JSON"),
        ("[" * 100_000, "no JSON"),
        (b"{}", "no JSON array"),
        (b'[{"role":"user"}, "hi"]', r"messages\[1\] is no message"),
        (b'[{"role":1}]', r"messages\[0\] is no message"),
    ],
)
def test_what_is_no_conversation_is_refused(data: bytes | str, reason: str) -> None:
    with pytest.raises(RequestValidationError, match=reason):
        Conversation.from_json(data)


def test_what_was_not_run() -> None:
    """Calls that are left open are told as not run, when something else follows; and a copy is closed at any time."""
    asked = ToolCall(id="a", type="function", function=FunctionCall(name="f", arguments="{"))
    conversation = Conversation([ChatCompletionMessage(role="assistant", tool_calls=[asked])])
    assert len(conversation.closed()) == 2
    assert len(conversation.messages) == 1
    conversation.append(ToolMessage(content="ok", tool_call_id="a"))
    assert len(conversation.messages) == 2
    conversation.append(ChatCompletionMessage(role="assistant", tool_calls=[asked]))
    conversation.append({"role": "user", "content": "Never mind."})
    assert [getattr(message, "role", "user") for message in conversation.messages] == [
        "assistant", "tool", "assistant", "tool", "user",
    ]  # fmt: skip
    assert "invalid_json" in str(conversation.closed()[0])
