"""Calls that somebody has to approve: the run ends before them, and goes on from its messages, in any process."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from opeai_async import (
    AsyncOpeAI,
    ConfigurationError,
    Conversation,
    RequestValidationError,
    Tool,
    ToolApprovalFrame,
    ToolCall,
    ToolFinishedFrame,
)
from opeai_async.testing import OpeAIServer

BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


class Till:
    """What was paid, which nobody takes back."""

    def __init__(self) -> None:
        self.paid: list[int] = []

    def pay(self, euros: int) -> str:
        """Pay."""
        self.paid.append(euros)
        return f"paid {euros}"


def look() -> str:
    """Look."""
    return "seen"


@pytest.fixture
def till() -> Till:
    return Till()


@pytest.fixture
def tools(till: Till) -> list[Any]:
    return [Tool.from_function(till.pay, needs_approval=True), look]


async def asked(server: OpeAIServer, client: AsyncOpeAI, tools: list[Any], **options: Any) -> Any:
    server.reply(tool_calls=[("pay", {"euros": 5}), ("look", {}), ("pay", {"euros": 7})])
    return await client.chat.completions.run(**BODY, tools=tools, **options)


@pytest.mark.parametrize("eager", [False, True])
async def test_a_run_ends_for_approval(
    server: OpeAIServer, client: AsyncOpeAI, till: Till, tools: list[Any], eager: bool
) -> None:
    """What needs none has run; nothing that needs one has."""
    result = await asked(server, client, tools, eager=eager)
    assert (result.reason, till.paid) == ("approval", [])
    assert [json.loads(call.function.arguments) for call in result.pending_calls] == [{"euros": 5}, {"euros": 7}]
    assert result.open_calls == result.pending_calls
    assert [getattr(message, "content", None) for message in result.new_messages] == [None, "seen"]


async def test_it_goes_on_elsewhere(server: OpeAIServer, client: AsyncOpeAI, till: Till, tools: list[Any]) -> None:
    """From its messages, saved and loaded; what is approved is run once, what is not is told with the reason."""
    result = await asked(server, client, tools)
    saved = Conversation(result.messages).to_json()
    first, second = (call.id for call in result.pending_calls)

    server.reply("Paid the first.")
    again = await client.chat.completions.run(
        model="m",
        messages=Conversation.from_json(saved).messages,
        tools=tools,
        approvals={first: True, second: "Too dear."},
    )
    assert (again.reason, again.text, till.paid) == ("completed", "Paid the first.", [5])
    sent = server.requests[1].json["messages"]
    assert [row["role"] for row in sent] == ["user", "assistant", "tool", "tool", "tool"]
    assert [row["content"] for row in sent[2:]] == [
        "seen", "paid 5", '{"error":"The user did not approve this call. Too dear."}',
    ]  # fmt: skip
    assert {row["tool_call_id"] for row in sent[2:]} == {call["id"] for call in sent[1]["tool_calls"]}
    assert server.requests[1].json.get("tool_choice") is None


async def test_one_that_is_left_out_stays_pending(
    server: OpeAIServer, client: AsyncOpeAI, till: Till, tools: list[Any]
) -> None:
    """The model is not asked before all are decided."""
    result = await asked(server, client, tools)
    first, second = (call.id for call in result.pending_calls)
    again = await client.chat.completions.run(model="m", messages=result.messages, tools=tools, approvals={first: True})
    assert (again.reason, till.paid, len(server.requests)) == ("approval", [5], 1)
    assert [call.id for call in again.pending_calls] == [second]

    server.reply("Done.")
    last = await client.chat.completions.run(model="m", messages=again.messages, tools=tools, approvals={second: False})
    assert (last.reason, till.paid) == ("completed", [5])
    assert "did not approve this call." in server.requests[1].json["messages"][-1]["content"]


async def test_a_function_of_the_call(server: OpeAIServer, client: AsyncOpeAI, till: Till) -> None:
    """Only what is dear needs somebody."""

    def is_dear(call: ToolCall) -> bool:
        return bool(json.loads(call.function.arguments)["euros"] > 6)

    result = await asked(server, client, [Tool.from_function(till.pay, needs_approval=is_dear), look])
    assert (result.reason, till.paid, len(result.pending_calls)) == ("approval", [5], 1)


@pytest.mark.parametrize("arguments", ['{"euros":', "[5]", '{"euros": "five"}', "{}"])
async def test_arguments_that_do_not_fit(server: OpeAIServer, client: AsyncOpeAI, till: Till, arguments: str) -> None:
    """Nobody is asked about a call that cannot run: the model is told, and the function of the call does not see it."""

    def is_dear(call: ToolCall) -> bool:
        return bool(json.loads(call.function.arguments)["euros"] > 6)

    for needs_approval in (True, is_dear):
        server.reply(tool_calls=[("pay", arguments)])
        server.reply("Sorry.")
        tools = [Tool.from_function(till.pay, needs_approval=needs_approval)]
        result = await client.chat.completions.run(**BODY, tools=tools)
        assert (result.reason, till.paid, result.pending_calls) == ("completed", [], [])
        assert "do not fit" in server.requests[-1].json["messages"][-1]["content"]


@pytest.mark.parametrize("approvals", [["call_1"], "call_1", True])
async def test_approvals_that_are_no_dict(client: AsyncOpeAI, tools: list[Any], approvals: Any) -> None:
    """A list of ids does not say what was decided."""
    with pytest.raises(ConfigurationError, match="expected a dict of call ids"):
        client.chat.completions.run(**BODY, tools=tools, approvals=approvals)


async def test_a_function_of_the_call_that_raises(server: OpeAIServer, client: AsyncOpeAI, till: Till) -> None:
    """The run ends with that, and nothing has run."""

    def is_dear(call: ToolCall) -> bool:
        raise LookupError("no price list")

    tools = [Tool.from_function(till.pay, needs_approval=is_dear)]
    server.reply(tool_calls=[("pay", {"euros": 5})])
    run = client.chat.completions.run(**BODY, tools=tools)
    async with run:
        with pytest.raises(LookupError, match="no price list"):
            await run.result()
    assert (run.result_so_far.reason, till.paid) == ("failed", [])


async def test_what_is_approved_but_not_open(server: OpeAIServer, client: AsyncOpeAI, tools: list[Any]) -> None:
    """A wrong id, or a conversation that has gone on, is named."""
    result = await asked(server, client, tools)
    with pytest.raises(RequestValidationError, match="approvals names 'call_x', expected calls without a result"):
        client.chat.completions.run(model="m", messages=result.messages, tools=tools, approvals={"call_x": True})
    with pytest.raises(RequestValidationError, match="there is none"):
        client.chat.completions.run(**BODY, tools=tools, approvals={"call_x": True})
    odd: Any = [{"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": 3}]}]
    with pytest.raises(RequestValidationError, match="not in the API's shape"):
        client.chat.completions.run(model="m", messages=odd, tools=tools, approvals={"a": True})


async def test_without_decisions_the_conversation_goes_on(
    server: OpeAIServer, client: AsyncOpeAI, till: Till, tools: list[Any]
) -> None:
    """Whoever writes on instead of deciding has not approved: the server gets a conversation that it takes."""
    result = await asked(server, client, tools)
    server.reply("As you like.")
    messages = [*result.messages, {"role": "user", "content": "Never mind."}]
    assert (await client.chat.completions.run(model="m", messages=messages, tools=tools)).reason == "completed"
    assert [row["role"] for row in server.requests[1].json["messages"]] == [
        "user", "assistant", "tool", "tool", "tool", "user",
    ]  # fmt: skip
    assert till.paid == []


async def test_events_and_frames(server: OpeAIServer, client: AsyncOpeAI, till: Till, tools: list[Any]) -> None:
    """A browser is told what waits; positions go on after what was resumed."""
    server.reply(tool_calls=[("pay", {"euros": 5}), ("look", {}), ("pay", {"euros": 7})])
    run = client.chat.completions.run(**BODY, tools=tools)
    frames = [frame async for frame in run.frames()]
    waiting = [frame for frame in frames if isinstance(frame, ToolApprovalFrame)]
    assert [(frame.index, frame.name) for frame in waiting] == [(0, "pay"), (2, "pay")]
    assert msgspec.json.decode(msgspec.json.encode(waiting[0]))["type"] == "tool_approval"

    result = run.result_so_far
    server.reply(tool_calls=[("look", {})])
    server.reply("Done.")
    ids = [call.id for call in result.pending_calls]
    again = client.chat.completions.run(
        model="m", messages=result.messages, tools=tools, approvals=dict.fromkeys(ids, True)
    )
    done = [frame async for frame in again.frames() if isinstance(frame, ToolFinishedFrame)]
    # Those that run side by side end in any order.
    assert sorted((frame.index, frame.name) for frame in done) == [(0, "pay"), (1, "pay"), (2, "look")]

    server.reply("Nothing to do.")
    run = client.chat.completions.run(**BODY, tools=tools)
    kinds = [event.type async for event in run]
    assert "tool.approval" not in kinds
