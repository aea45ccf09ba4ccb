"""A run: rounds of a model and its tools against a real server, and what it brings."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import msgspec
import pytest

from opeai_async import (
    AsyncOpeAI,
    ConcurrentReadError,
    ConfigurationError,
    RequestValidationError,
    Run,
    RunEvent,
    RunResult,
    StreamTruncatedError,
    ToolCall,
    ToolError,
    ToolFinishedEvent,
    ToolStartedEvent,
    tool,
)
from opeai_async._tools.run import later_tool_choice
from opeai_async.testing import OpeAIServer
from opeai_async.types.request import FunctionName, NamedToolChoice, TextPart
from tests.support.reading.chunks import BODY
from tests.support.reading.streams import DONE, delta_chunk, event

user: contextvars.ContextVar[str] = contextvars.ContextVar("user")


@tool
def weather(city: str) -> dict[str, Any]:
    """The weather of a city."""
    return {"city": city, "degrees": 21}


@tool
async def clock(zone: str) -> str:
    """What time it is."""
    return f"12:00 {zone}"


@tool
async def fail(how: str) -> str:
    """Fail."""
    raise ToolError(how) if how != "badly" else LookupError("hunter2")


LOOKUP = {"type": "function", "function": {"name": "lookup", "parameters": {"type": "object"}}}
TOOLS = [weather, clock, fail]


async def types_of(run: Run) -> list[str]:
    """The types of all events but those of the stream itself."""
    return [event.type async for event in run if event.type.startswith(("round", "tool."))]


def results_of(server: OpeAIServer, request: int = -1) -> list[Any]:
    """The contents of the tools' messages in a request, in order."""
    return [message["content"] for message in server.requests[request].json["messages"] if message["role"] == "tool"]


# --- the loop --------------------------------------------------------------------------------------------------------


async def test_three_rounds_with_two_tools_at_once(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """What is sent: the tools, what the model said with its reasoning, and the results in the order of the calls."""
    server.reply(
        "Let me see.",
        reasoning="Both.",
        tool_calls=[("weather", {"city": "Oslo"}), ("clock", {"zone": "cet"})],
    )
    server.reply(tool_calls=[("clock", {"zone": "utc"})])
    server.reply("It is warm at noon.")
    result = await client.chat.completions.run(tools=TOOLS, temperature=0, **BODY)

    first, second, third = (request.json for request in server.requests)
    assert first["tools"] == second["tools"] == third["tools"] == [dict(item) for item in TOOLS]
    assert [request["temperature"] for request in (first, second, third)] == [0, 0, 0]
    assert first["stream"] is True
    ids = ["call_00000001_0", "call_00000001_1"]
    assert second["messages"] == [
        *BODY["messages"],
        {
            "role": "assistant",
            "content": "Let me see.",
            "reasoning_content": "Both.",
            "tool_calls": [
                {"id": ids[0], "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}},
                {"id": ids[1], "type": "function", "function": {"name": "clock", "arguments": '{"zone":"cet"}'}},
            ],
        },
        {"role": "tool", "content": '{"city":"Oslo","degrees":21}', "tool_call_id": ids[0]},
        {"role": "tool", "content": "12:00 cet", "tool_call_id": ids[1]},
    ]
    assert third["messages"][:4] == second["messages"]
    assert third["messages"][5]["content"] == "12:00 utc"

    assert (result.reason, result.text, result.open_calls) == ("completed", "It is warm at noon.", [])
    assert len(result.completions) == 3
    assert result.messages[0] == BODY["messages"][0]
    assert result.messages[1:] == result.new_messages
    assert result.new_messages[-1] is result.completions[-1].choices[0].message
    assert repr(result) == "<RunResult completed: 3 rounds, 6 new messages, 0 open calls>"


async def test_its_messages_go_into_the_next_request(server: OpeAIServer, client: AsyncOpeAI) -> None:
    server.reply(tool_calls=[("clock", {"zone": "cet"})])
    server.reply("Noon.")
    result = await client.chat.completions.run(tools=TOOLS, **BODY)
    await client.chat.completions.create(model="m", messages=[*result.messages, {"role": "user", "content": "Sure?"}])
    assert [message["role"] for message in server.requests[-1].json["messages"]] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
    ]


async def test_events_tell_rounds_streams_and_tools_in_one_stream(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """Each stream's own events are there, with its ``done`` events, between the beginning and the end of the round."""
    server.reply("I look.", tool_calls=[("clock", {"zone": "cet"})])
    server.reply("Noon.")
    async with client.chat.completions.run(tools=TOOLS, **BODY) as run:
        events: list[RunEvent] = [event async for event in run]
    said = [event.type for event in events if not event.type.endswith(("chunk", ".delta", "usage"))]
    assert said == [
        "round.started",
        "content.done",
        "tool_calls.function.arguments.done",
        "finish",
        "tool.started",
        "tool.finished",
        "round.finished",
        "round.started",
        "content.done",
        "finish",
        "round.finished",
    ]
    started, finished = [event for event in events if isinstance(event, (ToolStartedEvent, ToolFinishedEvent))]
    assert started == ToolStartedEvent(round=1, index=0, id="call_00000001_0", name="clock", arguments='{"zone":"cet"}')
    assert isinstance(finished, ToolFinishedEvent)
    assert (finished.round, finished.index, finished.id, finished.name) == (1, 0, "call_00000001_0", "clock")
    assert (finished.content, finished.result, finished.error, finished.exception) == (
        "12:00 cet",
        "12:00 cet",
        None,
        None,
    )
    assert finished.duration_s >= 0
    rounds = [
        (event.round, event.completion.choices[0].finish_reason) for event in events if event.type == "round.finished"
    ]
    assert rounds == [(1, "tool_calls"), (2, "stop")]
    assert (await run.result()).text == "Noon."


async def test_usage_is_summed_over_the_rounds(server: OpeAIServer, client: AsyncOpeAI) -> None:
    server.reply(
        tool_calls=[("clock", {"zone": "cet"})],
        usage={
            "prompt_tokens": 10,
            "completion_tokens": 2,
            "total_tokens": 12,
            "prompt_tokens_details": {"cached_tokens": 4},
            "cost": 0.5,
        },
    )
    server.reply(
        "Noon.",
        usage={
            "prompt_tokens": 20,
            "completion_tokens": 3,
            "total_tokens": 23,
            "prompt_tokens_details": {"cached_tokens": 8},
            "completion_tokens_details": {"reasoning_tokens": 1},
            "cost": 0.25,
        },
    )
    usage = (await client.chat.completions.run(tools=TOOLS, **BODY)).usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (30, 5, 35)
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens == 12
    assert usage.completion_tokens_details is not None
    assert usage.completion_tokens_details.reasoning_tokens == 1
    assert usage.extra == {"cost": 0.75}


async def test_a_result_may_be_content_parts(server: OpeAIServer, client: AsyncOpeAI) -> None:
    async def draw() -> list[TextPart]:
        return [TextPart(text="a map")]

    server.reply(tool_calls=[("draw", {})])
    await client.chat.completions.run(tools=[draw], **BODY)
    assert results_of(server) == [[{"type": "text", "text": "a map"}]]


async def test_without_calls_there_is_one_round(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """Also without tools, which no server takes as an empty list."""
    server.reply("Hi.")
    async with client.chat.completions.run(tools=[], **BODY) as run:
        assert await types_of(run) == ["round.started", "round.finished"]
        assert (await run.result()).reason == "completed"
    assert "tools" not in server.requests[0].json


async def test_an_answer_without_choices_is_none(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """As that of a gateway whose backend has died: it is asked again, as long as there are tries left."""
    server.raw(b"data: [DONE]\n\n")
    server.reply("Here again.")
    result = await client.chat.completions.run(tools=TOOLS, max_retries=1, **BODY)
    assert (result.reason, result.text) == ("completed", "Here again.")
    server.raw(b"data: [DONE]\n\n")
    with pytest.raises(StreamTruncatedError, match="without a choice"):
        await client.chat.completions.run(tools=TOOLS, max_retries=0, **BODY)


async def test_a_call_without_a_name_is_nobodys(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """No tool runs, and the model is told nothing of it; its neighbour runs as ever."""
    nameless: Any = {"id": "call_x", "type": "function", "function": {"name": "", "arguments": '{"a":1}'}}
    named: Any = {"id": "call_y", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}
    server.reply(tool_calls=[nameless, named])
    server.reply("Three.")
    result = await client.chat.completions.run(tools=TOOLS, **BODY)
    _, said, *results = server.requests[-1].json["messages"]
    assert [call["id"] for call in said["tool_calls"]] == ["call_y"]
    assert [message["tool_call_id"] for message in results] == ["call_y"]
    assert result.text == "Three."
    server.reply("Hm.", tool_calls=[nameless])
    result = await client.chat.completions.run(tools=TOOLS, **BODY)
    assert (result.reason, len(result.new_messages)) == ("completed", 1)
    assert result.new_messages[0].tool_calls is None


# --- many at once ----------------------------------------------------------------------------------------------------


class Gate:
    """A tool that waits until it is let through, and counts how many do."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.running = self.most = 0
        self.news = asyncio.Event()
        self.open = asyncio.Event()

    async def wait(self, n: int) -> int:
        """Wait."""
        self.begun.append(n)
        self.running += 1
        self.most = max(self.most, self.running)
        self.news.set()
        try:
            await self.open.wait()
        finally:
            self.running -= 1
        return n


@pytest.mark.parametrize("parallel", [1, 2, 8])
async def test_so_many_tools_run_at_once(server: OpeAIServer, client: AsyncOpeAI, parallel: int) -> None:
    """The others wait for their turn, in order; results are in the order of the calls."""
    gate = Gate()
    server.reply(tool_calls=[("wait", {"n": n}) for n in range(5)])
    async with client.chat.completions.run(tools=[gate.wait], parallel=parallel, **BODY) as run:
        reading = asyncio.create_task(types_of(run))
        while len(gate.begun) < min(parallel, 5):
            gate.news.clear()
            await gate.news.wait()
        gate.open.set()
        types = await reading
    assert gate.most == min(parallel, 5)
    assert gate.begun == [0, 1, 2, 3, 4]
    assert results_of(server) == ["0", "1", "2", "3", "4"]
    assert types.count("tool.started") == types.count("tool.finished") == 5
    assert types[1 : 1 + min(parallel, 5)] == ["tool.started"] * min(parallel, 5)


async def test_a_reader_that_is_slow_does_not_hold_up_the_tools(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """The next call is started by the end of the one before."""
    gate = Gate()
    gate.open.set()
    server.reply(tool_calls=[("wait", {"n": n}) for n in range(3)])
    async with client.chat.completions.run(tools=[gate.wait], parallel=1, **BODY) as run:
        async for event in run:
            if isinstance(event, ToolStartedEvent):
                break
        while len(gate.begun) < 3:
            gate.news.clear()
            await gate.news.wait()


async def test_tools_see_the_context_of_the_reader(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """In a thread and on the loop, also the one that had to wait for its turn."""
    seen: list[tuple[str, bool]] = []

    def see(n: int) -> None:
        seen.append((user.get(), threading.current_thread() is threading.main_thread()))

    async def look(n: int) -> None:
        see(n)

    server.reply(tool_calls=[("see", {"n": 1}), ("look", {"n": 1}), ("look", {"n": 2})])
    user.set("Ada")
    await client.chat.completions.run(tools=[see, look], parallel=1, **BODY)
    assert seen == [("Ada", False), ("Ada", True), ("Ada", True)]


# --- what goes wrong -------------------------------------------------------------------------------------------------


async def test_errors_go_back_to_the_model(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """A wrong name or arguments, no JSON, a tool that fails, one that says why, a slow one: the rest goes on."""

    async def sleep() -> None:
        await asyncio.sleep(60)

    server.reply(
        tool_calls=[
            ("forecast", {}),
            ("clock", {"zone": 1}),
            ("clock", '{"zone": "c'),
            ("fail", {"how": "badly"}),
            ("fail", {"how": "no such city"}),
            ("sleep", {}),
            ("clock", {"zone": "cet"}),
        ]
    )
    server.reply("Sorry.")
    async with client.chat.completions.run(tools=[*TOOLS, sleep], call_timeout=0.05, **BODY) as run:
        finished = [event async for event in run if isinstance(event, ToolFinishedEvent)]
    results = results_of(server)
    assert [msgspec.json.decode(result)["error"] for result in results[:6]] == [
        "There is no tool named 'forecast'. The tools are: weather, clock, fail, sleep.",
        "The arguments do not fit: Expected `str`, got `int` - at $.zone",
        "The arguments do not fit: no JSON: Input data was truncated - at $",
        "The tool failed with LookupError.",
        "no such city",
        "The tool was stopped, because it took longer than 0.05 s.",
    ]
    assert results[6] == "12:00 cet"
    errors = {event.index: event.error for event in finished}
    assert [errors[index] for index in range(7)] == [
        "unknown_tool",
        "invalid_arguments",
        "invalid_arguments",
        "failed",
        "failed",
        "timeout",
        None,
    ]
    assert "hunter2" in str(next(event.exception for event in finished if event.index == 3))
    assert "hunter2" not in server.requests[-1].body.decode()


async def test_an_agent_goes_on_whatever_becomes_of_its_tools(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """Three rounds, two calls at once: one fails, one is too slow, one is cancelled; the model hears of each."""
    begun: asyncio.Future[asyncio.Task[Any] | None] = asyncio.get_running_loop().create_future()

    @tool(timeout=0.02)
    async def crawl() -> None:
        await asyncio.sleep(60)

    async def linger() -> None:
        begun.set_result(asyncio.current_task())
        await asyncio.sleep(60)

    server.reply(reasoning="First.", tool_calls=[("fail", {"how": "badly"}), ("crawl", {})])
    server.reply(reasoning="Then.", tool_calls=[("linger", {}), ("weather", {"city": "Oslo"})])
    server.reply("21 degrees, at least.")
    async with client.chat.completions.run(tools=[*TOOLS, crawl, linger], **BODY) as run:
        reading = asyncio.create_task(run.result())
        lingering = await begun
        assert lingering is not None
        lingering.cancel()
        result = await reading
    assert result.text == "21 degrees, at least."
    assert results_of(server) == [
        '{"error":"The tool failed with LookupError."}',
        '{"error":"The tool was stopped, because it took longer than 0.02 s."}',
        '{"error":"The tool was cancelled."}',
        '{"city":"Oslo","degrees":21}',
    ]
    said = [message.get("reasoning_content") for message in server.requests[-1].json["messages"]]
    assert said == [None, "First.", None, None, "Then.", None, None]


async def test_a_function_may_say_what_is_told(server: OpeAIServer, client: AsyncOpeAI) -> None:
    server.reply(tool_calls=[("fail", {"how": "badly"})])

    def on_error(exc: Exception, call: ToolCall) -> str:
        return f"{call.function.name}: {type(exc).__name__}"

    await client.chat.completions.run(tools=TOOLS, on_error=on_error, **BODY)
    assert results_of(server) == ["fail: LookupError"]


# --- how it ends -----------------------------------------------------------------------------------------------------


async def test_max_rounds_are_never_exceeded(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """The tools of the last round run, so that the conversation can go on as it is."""
    server.reply(tool_calls=[("clock", {"zone": "cet"})], times=None)
    result = await client.chat.completions.run(tools=TOOLS, max_rounds=3, **BODY)
    assert len(server.requests) == 3
    assert (result.reason, result.open_calls, result.text) == ("max_rounds", [], None)
    assert [getattr(message, "role", None) for message in result.new_messages] == ["assistant", "tool"] * 3


async def test_a_call_without_a_function_is_left_to_the_caller(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """After all others have run. With its result, the run can go on."""
    server.reply(tool_calls=[("lookup", {"q": 1}), ("clock", {"zone": "cet"}), ("lookup", {"q": 2})])
    result = await client.chat.completions.run(tools=[*TOOLS, LOOKUP], **BODY)
    assert result.reason == "tool_calls"
    assert [call.function.arguments for call in result.open_calls] == ['{"q":1}', '{"q":2}']
    assert len(server.requests) == 1
    assert [getattr(message, "role", None) for message in result.new_messages] == ["assistant", "tool"]
    answers = [{"role": "tool", "content": "found", "tool_call_id": call.id} for call in result.open_calls]
    server.reply("There.")
    again = await client.chat.completions.run(tools=[*TOOLS, LOOKUP], model="m", messages=[*result.messages, *answers])
    assert results_of(server) == ["12:00 cet", "found", "found"]
    assert again.text == "There."


@pytest.mark.parametrize("finish_reason", ["length", "content_filter", "MAX_TOKENS", "sensitive"])
async def test_calls_of_a_broken_answer_do_not_run(server: OpeAIServer, client: AsyncOpeAI, finish_reason: str) -> None:
    """The last of them may have lost its end."""
    server.reply("I", tool_calls=[("clock", {"zone": "cet"})], finish_reason=finish_reason)
    async with client.chat.completions.run(tools=TOOLS, **BODY) as run:
        assert await types_of(run) == ["round.started", "round.finished"]
        result = await run.result()
    assert result.reason == ("length" if finish_reason in ("length", "MAX_TOKENS") else "content_filter")
    assert [call.function.name for call in result.open_calls] == ["clock"]
    assert result.text == "I"


async def test_calls_of_a_cut_answer_do_not_run(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """Where that is no error."""
    server.cut("I look.", how="clean", tool_calls=[("clock", {"zone": "cet"})])
    result = await client.chat.completions.run(tools=TOOLS, on_truncated="return", **BODY)
    assert (result.reason, result.text) == ("truncated", "I look.")
    assert len(server.requests) == 1


async def test_a_server_that_says_stop_has_called_all_the_same(server: OpeAIServer, client: AsyncOpeAI) -> None:
    server.reply(tool_calls=[("clock", {"zone": "cet"})], finish_reason="stop")
    server.reply("Noon.")
    assert (await client.chat.completions.run(tools=TOOLS, **BODY)).text == "Noon."


async def test_a_call_in_the_old_form_is_left_to_the_caller(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """It has no id, and its result another role."""
    delta = {"role": "assistant", "function_call": {"name": "clock", "arguments": "{}"}}
    server.raw(event(delta_chunk(delta)) + event(delta_chunk(finish="function_call")) + DONE)
    result = await client.chat.completions.run(tools=TOOLS, **BODY)
    assert (result.reason, result.open_calls, len(result.new_messages)) == ("tool_calls", [], 1)


# --- tool_choice -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "later"),
    [
        (None, None),
        ("auto", "auto"),
        ("none", "none"),
        ("required", None),
        ("any", None),
        ({"type": "function", "function": {"name": "clock"}}, None),
        (NamedToolChoice(function=FunctionName(name="clock")), None),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [LOOKUP]}},
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [LOOKUP]}},
        ),
    ],
)
def test_force_holds_in_the_first_round_only(choice: Any, later: Any) -> None:
    """The model could never answer else; what is not force stays."""
    assert later_tool_choice(choice) == later


async def test_a_forced_call_is_asked_for_once(server: OpeAIServer, client: AsyncOpeAI) -> None:
    server.reply(tool_calls=[("clock", {"zone": "cet"})])
    server.reply("Noon.")
    result = await client.chat.completions.run(tools=TOOLS, tool_choice="required", **BODY)
    assert [request.json.get("tool_choice") for request in server.requests] == ["required", None]
    assert result.reason == "completed"


# --- misuse ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_rounds": 0}, "max_rounds is 0"),
        ({"max_rounds": 1.5}, "max_rounds is 1.5"),
        ({"parallel": 0}, "parallel is 0"),
        ({"call_timeout": 0}, "call_timeout is 0"),
        ({"on_error": "ignore"}, "on_error is 'ignore'"),
        ({"dialect": "loose"}, "dialect is 'loose'"),
    ],
)
async def test_options_that_cannot_be_meant_are_refused(
    server: OpeAIServer, client: AsyncOpeAI, options: Any, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        client.chat.completions.run(tools=TOOLS, **options, **BODY)
    assert not server.requests


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n": 2}, "n is 2, expected 1"),
        ({"functions": [{"name": "f"}]}, "functions is the API's older form"),
        ({"function_call": "auto"}, "function_call is the API's older form"),
        ({"temperature": 3}, "temperature is 3"),
        ({"messages": []}, "messages is"),
        ({"tools": [lambda *things: None]}, "cannot be a tool|is named"),
    ],
)
async def test_parameters_that_are_wrong_are_refused_at_once(
    server: OpeAIServer, client: AsyncOpeAI, params: Any, message: str
) -> None:
    """When the run is made: nothing is sent."""
    with pytest.raises(RequestValidationError, match=message):
        client.chat.completions.run(**{"tools": TOOLS, **BODY, **params})
    assert not server.requests


async def test_messages_are_required(client: AsyncOpeAI) -> None:
    with pytest.raises(RequestValidationError, match="messages is"):
        client.chat.completions.run(tools=TOOLS, model="m")  # type: ignore[call-arg]


async def test_two_readers_are_refused(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """The run is unharmed."""
    server.stall("one two", after=2)
    async with client.chat.completions.run(tools=TOOLS, **BODY) as run:
        first = asyncio.create_task(run.result())
        await server.wait_received()
        with pytest.raises(ConcurrentReadError, match="this run"):
            await anext(run)
        run.cancel()
        assert (await first).reason == "cancelled"


async def test_what_can_be_read_later_is_there(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """``result`` may be asked for after the events, and again; the stream of the last round is known."""
    server.reply("Hi.")
    run = client.chat.completions.run(tools=TOOLS, **BODY)
    assert repr(run) == "<Run running, 0 rounds>"
    results: list[RunResult] = [await run.result(), await run.result(), run.result_so_far]
    assert {result.text for result in results} == {"Hi."}
    assert [event async for event in run] == []
    assert run.stream.meta.request_id == server.requests[0].request_id
    assert repr(run) == "<Run completed, 1 rounds>"
