"""What type checkers make of tools and runs. Checked by mypy and pyright in strict mode, never run."""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from dataclasses import dataclass
from typing import Any, assert_type

from opeai_async import (
    AsyncOpeAI,
    ChatCompletion,
    CompletionUsage,
    Conversation,
    RelayResult,
    Run,
    RunEvent,
    RunResult,
    Tool,
    ToolCall,
    ToolFinishedEvent,
    ToolStartedEvent,
    sse,
    tool,
)


@dataclass
class City:
    """What a run may come to."""

    name: str


@tool
def forecast(city: str, *, days: int = 3) -> list[str]:
    """A sync function."""
    return [city] * days


@tool(name="now", timeout=2.0)
async def clock(zone: str) -> str:
    """An async one, with options."""
    return zone


def plain(x: int) -> int:
    """No tool yet."""
    return x


def signatures() -> None:
    """A tool keeps its function's signature."""
    assert_type(forecast("Oslo", days=1), list[str])
    forecast(1)  # type: ignore[arg-type]
    forecast("Oslo", 3)  # type: ignore[call-arg]
    forecast()  # type: ignore[call-arg]
    assert_type(Tool.from_function(plain)(1), int)
    assert_type(Tool(plain).name, str)
    Tool.from_function(plain)("1")  # type: ignore[arg-type]


async def async_signatures() -> None:
    """An async one is awaited as before."""
    assert_type(await clock(zone="cet"), str)
    await clock(1)  # type: ignore[arg-type]


async def runs(client: AsyncOpeAI) -> None:
    """Tools, functions and definitions may be mixed; a run is awaited, or iterated, or relayed."""
    own = {"type": "function", "function": {"name": "lookup"}}
    run = client.chat.completions.run(
        model="m", messages=[], tools=[forecast, clock, plain, own], max_rounds=3, eager=True, temperature=0.5
    )
    assert_type(run, Run[None])
    result = await run
    assert_type(result, RunResult[None])
    assert_type(result.pending_calls, list[ToolCall])
    assert_type(await run.relay(print_it), RelayResult)
    async for data in sse(run.frames()):
        assert_type(data, bytes)
    client.chat.completions.run(model="m", messages=[], tools=[1])  # type: ignore[list-item]
    client.chat.completions.run(model="m", tools=[plain])  # type: ignore[call-overload]
    client.chat.completions.run(model="m", messages=[], tools=[plain], max_round=3)  # type: ignore[call-overload]


async def values(client: AsyncOpeAI) -> None:
    """A run with a type has a value of it."""
    run = client.chat.completions.run(model="m", messages=[], tools=[plain], response_format=City, deadline_s=3)
    assert_type(run, Run[City])
    assert_type((await run).parsed, City | None)
    other = client.chat.completions.run(model="m", messages=[], tools=[plain], response_format=int | str)
    assert_type(other, Run[Any])
    form = {"type": "json_object"}
    assert_type(client.chat.completions.run(model="m", messages=[], tools=[], response_format=form), Run[None])


async def print_it(text: str) -> None:
    """Send *text*."""


async def events(run: Run) -> None:
    """`match` narrows events by their class, and `type` does as well."""
    async with run:
        async for event in run:
            assert_type(event, RunEvent)
            match event:
                case ToolStartedEvent(name=name, arguments=arguments):
                    assert_type((name, arguments), tuple[str, str])
                case ToolFinishedEvent(exception=exception):
                    assert_type(exception, BaseException | None)
                case _:
                    pass
            if event.type == "round.finished":
                assert_type(event.completion, ChatCompletion)
            elif event.type == "content.delta":
                assert_type(event.delta, str)


def results(result: RunResult) -> None:
    """What a run has brought."""
    assert_type(result.text, str | None)
    assert_type(result.usage, CompletionUsage | None)
    assert_type(result.open_calls, list[ToolCall])
    conversation = Conversation(result.messages)
    conversation.append(result.completions[-1])
    assert_type(Conversation.from_json(conversation.to_json()), Conversation)


def decide(exc: Exception, call: ToolCall) -> str:
    """A hook may return anything."""
    return f"{call.id}: {exc}"


def hooks(client: AsyncOpeAI) -> None:
    """What becomes of exceptions."""
    client.chat.completions.run(model="m", messages=[], tools=[plain], on_error=decide)
    client.chat.completions.run(model="m", messages=[], tools=[plain], on_error=lambda exc, call: None)
    client.chat.completions.run(model="m", messages=[], tools=[plain], on_error="raise")
    client.chat.completions.run(model="m", messages=[], tools=[plain], on_error="ignore")  # type: ignore[call-overload]


async def requests(client: AsyncOpeAI) -> None:
    """A tool goes into any request."""
    await client.chat.completions.create(model="m", messages=[], tools=[forecast, clock])
