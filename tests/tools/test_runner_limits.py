"""How far a run goes, the value it comes to, and what the application decides between its rounds."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from opeai_async import (
    AsyncOpeAI,
    ConfigurationError,
    InvalidOutputError,
    NextRound,
    OutputTruncatedError,
    RequestValidationError,
)
from opeai_async.testing import OpeAIServer
from tests.support.leaks import eventually

BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


@dataclasses.dataclass
class City:
    """A city."""

    name: str


def look(n: int = 0) -> int:
    """Look."""
    return n


async def sleep() -> None:
    """Sleep."""
    await asyncio.sleep(60)


def calls(count: int) -> list[tuple[str, Any]]:
    return [("look", {"n": n}) for n in range(count)]


# --- its value -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["json_schema", "json_object"])
async def test_a_value(server: OpeAIServer, client: AsyncOpeAI, mode: Any) -> None:
    """It is that of the last answer; what comes before calls is none."""
    server.reply("Let me look.", tool_calls=calls(1))
    server.reply('{"name":"Oulu"}')
    result = await client.chat.completions.run(**BODY, tools=[look], response_format=City, mode=mode)
    assert result.parsed == City("Oulu")
    assert result.reason == "completed"
    assert result.messages[0] == BODY["messages"][0]  # an instruction is in the request, and not in the conversation
    for request in server.requests:
        assert request.json["response_format"]["type"] == mode


async def test_an_invalid_value_is_asked_for_again(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """The model is told what is wrong, within the rounds; the conversation shows it."""
    server.reply(tool_calls=calls(1))
    server.reply('{"name":5}')
    server.reply('{"name":"Oulu"}')
    run = client.chat.completions.run(**BODY, tools=[look], response_format=City, retries_on_invalid=1)
    result = await run
    assert (result.parsed, len(result.completions)) == (City("Oulu"), 3)
    assert "Expected `str`" in server.requests[2].json["messages"][-1]["content"]
    assert server.requests[2].json["messages"][-2]["content"] == '{"name":5}'


@pytest.mark.parametrize(("retries", "rounds"), [(0, 10), (1, 2)])
async def test_a_value_that_stays_invalid(server: OpeAIServer, client: AsyncOpeAI, retries: int, rounds: int) -> None:
    """It is an error, when no try or no round is left; what was done is there."""
    server.reply(tool_calls=calls(1))
    for _ in range(3):
        server.reply('{"name":5}')
    run = client.chat.completions.run(
        **BODY, tools=[look], response_format=City, retries_on_invalid=retries, max_rounds=rounds
    )
    async with run:
        with pytest.raises(InvalidOutputError, match="the answer is no City"):
            await run.result()
    assert (run.result_so_far.reason, len(run.result_so_far.completions)) == ("failed", 2)
    assert run.result_so_far.parsed is None


async def test_a_value_that_was_cut(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """The run says so, and there is no value."""
    server.reply('{"na', finish_reason="length")
    result = await client.chat.completions.run(**BODY, tools=[look], response_format=City)
    assert (result.reason, result.parsed) == ("length", None)
    assert OutputTruncatedError  # which is what parse raises there


async def test_what_a_value_cannot_be_asked_for_by(client: AsyncOpeAI) -> None:
    """It is said before anything is sent."""
    run = client.chat.completions.run
    with pytest.raises(RequestValidationError, match="mode is 'tool'"):
        run(**BODY, tools=[look], response_format=City, mode="tool")
    with pytest.raises(RequestValidationError, match="retries_on_invalid is -1"):
        run(**BODY, tools=[look], response_format=City, retries_on_invalid=-1)


# --- its limits ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("eager", [False, True])
async def test_max_calls(server: OpeAIServer, client: AsyncOpeAI, eager: bool) -> None:
    """As many run, over all rounds; the others are told as not run."""
    server.reply(tool_calls=calls(2))
    server.reply(tool_calls=calls(3))
    result = await client.chat.completions.run(**BODY, tools=[look], max_calls=3, eager=eager)
    assert (result.reason, len(result.open_calls), len(server.requests)) == ("max_calls", 2, 2)
    contents = [str(getattr(message, "content", "")) for message in result.new_messages]
    assert sum("as many calls as were allowed" in content for content in contents) == 2


async def test_max_calls_that_suffice(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """The limit itself is allowed."""
    server.reply(tool_calls=calls(2))
    server.reply("done")
    assert (await client.chat.completions.run(**BODY, tools=[look], max_calls=2)).reason == "completed"


async def test_max_total_tokens(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """No other round is begun, and the tools of the last have run."""
    for _ in range(3):
        server.reply(tool_calls=calls(1), usage={"prompt_tokens": 40, "completion_tokens": 10, "total_tokens": 50})
    result = await client.chat.completions.run(**BODY, tools=[look], max_total_tokens=100)
    assert (result.reason, len(server.requests), result.open_calls) == ("max_total_tokens", 2, [])
    assert result.usage is not None
    assert result.usage.total_tokens == 100


@pytest.mark.parametrize("at", ["tool", "answer", "hook"])
async def test_a_deadline(server: OpeAIServer, client: AsyncOpeAI, at: str) -> None:
    """Whatever the run is doing is stopped; what it has brought is there."""
    hook = None
    if at == "tool":
        server.reply(tool_calls=[*calls(1), ("sleep", {})])
    elif at == "answer":
        server.reply("slow", delay_s=60)
    else:

        async def hook(*_: Any) -> None:
            await asyncio.sleep(60)

    run = client.chat.completions.run(**BODY, tools=[look, sleep], deadline_s=0.3, before_round=hook)
    async with run:
        result = await run.result()
    assert result.reason == "deadline"
    if at == "tool":
        assert [call.function.name for call in result.open_calls] == ["sleep"]
        assert "the time for it was over" in str(result.new_messages[-1])
    loop = asyncio.get_running_loop()
    await eventually(lambda: not [task for task in asyncio.all_tasks(loop) if "opeai_async tool" in task.get_name()])


async def test_a_deadline_that_is_kept(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """Nothing is left of its timer: the server fixture looks."""
    server.reply("done")
    assert (await client.chat.completions.run(**BODY, tools=[look], deadline_s=60)).reason == "completed"


@pytest.mark.parametrize(
    "options",
    [
        {"max_calls": 0},
        {"max_total_tokens": True},
        {"deadline_s": 0},
        {"before_round": "trim"},
        {"max_rounds": None},
        {"approvals": {"a": 1}},
    ],
)
async def test_limits_that_cannot_be_meant(client: AsyncOpeAI, options: Any) -> None:
    """They are named."""
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        client.chat.completions.run(**BODY, tools=[look], **options)


# --- between rounds --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [False, True])
async def test_what_is_sent_is_trimmed(server: OpeAIServer, client: AsyncOpeAI, is_async: bool) -> None:
    """The round gets what the hook returns; the conversation stays whole."""
    seen: list[tuple[int, int, int | None]] = []

    def trim(messages: list[Any], usage: Any, number: int) -> Any:
        seen.append((number, len(messages), usage and usage.total_tokens))
        return messages[-2:] if number > 1 else None

    async def trim_later(*args: Any) -> Any:
        await asyncio.sleep(0)
        return trim(*args)

    for _ in range(2):
        server.reply(tool_calls=calls(1), usage={"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2})
    server.reply("done")
    result = await client.chat.completions.run(**BODY, tools=[look], before_round=trim_later if is_async else trim)
    assert seen == [(1, 1, None), (2, 3, 2), (3, 5, 4)]
    assert [len(request.json["messages"]) for request in server.requests] == [1, 2, 2]
    assert len(result.messages) == 6


async def test_a_last_round_without_tools(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """So that the model says something at the end."""
    server.reply(tool_calls=calls(1))
    server.reply("That is all I know.")
    run = client.chat.completions.run(
        **BODY,
        tools=[look],
        max_rounds=2,
        before_round=lambda messages, usage, number: NextRound(tool_choice="none") if number == 2 else None,
    )
    assert (await run).reason == "completed"
    assert [request.json.get("tool_choice") for request in server.requests] == [None, "none"]


async def test_a_hook_that_raises(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """The run ends with what it raised."""

    def hook(*_: Any) -> None:
        raise LookupError("no budget")

    run = client.chat.completions.run(**BODY, tools=[look], before_round=hook)
    async with run:
        with pytest.raises(LookupError, match="no budget"):
            await run.result()
    assert run.result_so_far.reason == "failed"
    assert server.requests == []


async def test_a_hook_whose_messages_cannot_be_sent(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """The field is named, as for a request."""
    odd: Any = [{"content": "no role"}]
    run = client.chat.completions.run(**BODY, tools=[look], before_round=lambda *_: odd)
    async with run:
        with pytest.raises(RequestValidationError, match=r"messages\[0\]\.role"):
            await run.result()


async def test_a_run_that_is_cancelled_in_the_hook(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """It ends at once, and the hook with it."""
    is_in_hook = asyncio.Event()
    ended: list[str] = []

    async def hook(*_: Any) -> None:
        is_in_hook.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    run = client.chat.completions.run(**BODY, tools=[look], before_round=hook)
    reading = asyncio.create_task(run.result())
    await is_in_hook.wait()
    run.cancel()
    assert (await reading).reason == "cancelled"
    assert ended == ["cancelled"]
    assert server.requests == []
