"""A conversation is one that a server takes, whatever it was cut by."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async._core.call.encode import encode_request
from opeai_async._core.schema.sendable import NOT_RUN, sendable
from opeai_async.types.completion import ChatCompletionMessage, CustomCall, FunctionCall, ToolCall
from opeai_async.types.request import AssistantMessage, ToolMessage, UserMessage

USER: Any = {"role": "user", "content": "hi"}


def call(call_id: str, arguments: str = "{}") -> ToolCall:
    return ToolCall(id=call_id, type="function", function=FunctionCall(name="f", arguments=arguments))


def row(call_id: str, arguments: str = "{}") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "f", "arguments": arguments}}


def calling(*calls: Any) -> ChatCompletionMessage:
    return ChatCompletionMessage(role="assistant", tool_calls=list(calls))


def result(call_id: str) -> ToolMessage:
    return ToolMessage(content="ok", tool_call_id=call_id)


def sent(messages: Any) -> Any:
    return msgspec.json.decode(encode_request({"model": "m", "messages": messages}, stream=False))["messages"]


def missing(call_id: str) -> Any:
    return {"role": "tool", "content": f'{{"error":"{NOT_RUN}"}}', "tool_call_id": call_id}


@pytest.mark.parametrize(
    ("messages", "added"),
    [
        ([USER, calling(call("a"), call("b")), result("a")], {3: "b"}),
        ([calling(call("a"), call("b")), result("b"), USER], {2: "a"}),
        ([calling(call("a")), USER, calling(call("c"))], {1: "a", 4: "c"}),
        ([{"role": "assistant", "content": None, "tool_calls": [row("a"), row("b")]}, result("a")], {2: "b"}),
        ([AssistantMessage(tool_calls=[call("a")])], {1: "a"}),
        ([calling(ToolCall(id="a", type="custom", custom=CustomCall(name="c", input="not {json")))], {1: "a"}),
        ([calling(call("a")), result("a"), USER], {}),
    ],
)
def test_calls_without_a_result(messages: list[Any], added: dict[int, str]) -> None:
    """They get one, after those that there are."""
    made = sent(sendable(messages))
    for position in reversed(added):
        assert made.pop(position) == missing(added[position])
    assert made == sent(messages)


@pytest.mark.parametrize("text", ["", "  ", "abc", "[1]", "3", '{"a": 1', "null", '"x"', "[" * 5000])
@pytest.mark.parametrize("made_by", [call, row])
def test_arguments_that_are_no_object(made_by: Any, text: str) -> None:
    """They go back in one, and the model sees what it wrote; what came stays as it came."""
    calls = [made_by("a", text), made_by("b", '{"q": 1}')]
    message: Any = calling(*calls) if made_by is call else {"role": "assistant", "content": "", "tool_calls": calls}
    before = copy.deepcopy(message)
    [back, *_] = sent(sendable([message, result("a"), result("b")]))
    arguments = msgspec.json.decode(back["tool_calls"][0]["function"]["arguments"])
    assert arguments == ({"invalid_json": text} if text.strip() else {})
    assert back["tool_calls"][1]["function"]["arguments"] == '{"q": 1}'
    assert message == before


@pytest.mark.parametrize(
    ("message", "content"),
    [
        (ChatCompletionMessage(role="assistant", reasoning_content="Hm."), ""),
        ({"role": "assistant", "content": None}, ""),
        (AssistantMessage(content=None), ""),
        (ChatCompletionMessage(role="assistant", refusal="No."), None),
        (ChatCompletionMessage(role="assistant", extra={"content_blocks": []}, content="x"), "x"),
        (UserMessage(content="hi"), "hi"),
    ],
)
def test_an_answer_without_anything_in_it(message: Any, content: str | None) -> None:
    """Servers refuse it; an empty text they take."""
    [made] = sendable([message])
    assert (made.get("content") if isinstance(made, dict) else made.content) == content


@pytest.mark.parametrize("is_struct", [True, False])
def test_an_answer_of_blocks_alone(is_struct: bool) -> None:
    """The blocks are what was said: nothing is put in their place."""
    blocks = [{"type": "image", "url": "https://x.test/1.png"}]
    message: Any = {"role": "assistant", "content": None, "content_blocks": blocks}
    if is_struct:
        message = ChatCompletionMessage(role="assistant", extra={"content_blocks": blocks})
    [made] = sent(sendable([message]))
    assert blocks in (made.get("content"), made.get("content_blocks"))


def test_what_is_no_call_at_all() -> None:
    """Is left for the check of the request to refuse."""
    odd: Any = {"role": "assistant", "content": "", "tool_calls": [{"id": "a", "function": "f"}, 3]}
    assert sendable([odd])[0] is odd


@given(st.lists(st.one_of(st.just(USER), st.integers(0, 3).map(lambda n: calling(*map(call, "abc"[:n]))),
                          st.sampled_from("abc").map(result))))  # fmt: skip
def test_every_call_has_a_result_before_what_follows(messages: list[Any]) -> None:
    """Whatever order they were put into; and what is closed stays as it is."""
    made = sendable(messages)
    open_ids: set[str] = set()
    for message in made:
        if isinstance(message, ToolMessage):
            open_ids.discard(message.tool_call_id)
        else:
            assert not open_ids
            calls = message.tool_calls if isinstance(message, ChatCompletionMessage) else None
            open_ids = {call.id for call in calls or ()}
    assert not open_ids
    assert sendable(made) == made
    kept = iter(made)
    assert all(one in kept for one in (sendable([message])[0] for message in messages))
