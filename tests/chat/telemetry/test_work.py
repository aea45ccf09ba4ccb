"""Runs of tools, relays and sessions speak through the same place as calls."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from opeai_async import StreamSession, ToolError
from opeai_async.testing import OpeAIServer
from tests.support.telemetry.conventions import strays
from tests.support.telemetry.listener import Listener

pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")

from opentelemetry import trace
from opentelemetry.trace import StatusCode

from tests.support.telemetry.collected import Collected

BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "the question"}]}


@pytest.fixture
async def server() -> AsyncIterator[OpeAIServer]:
    """A server."""
    async with OpeAIServer() as running:
        yield running


@pytest.fixture
def collected() -> Iterator[Collected]:
    """An SDK that keeps all."""
    made = Collected()
    yield made
    made.close()


seen_by_tools: list[Any] = []


def weather(city: str) -> str:
    """Look at the sky."""
    seen_by_tools.append(trace.get_current_span().get_span_context().span_id)
    if city == "Atlantis":
        raise ToolError("it is under water")
    return f"rain in {city}"


async def endless() -> str:
    """Wait for ever."""
    await asyncio.Event().wait()
    return ""


async def test_a_run_is_one_tree(server: OpeAIServer, collected: Collected) -> None:
    """`invoke_agent`, below it the rounds and the tools; a tool's own span lies below its `execute_tool`."""
    seen_by_tools.clear()
    listener = Listener()
    server.reply(tool_calls=[("weather", {"city": "Paris"}), ("weather", {"city": "Atlantis"})])
    server.reply("It rains.")
    async with server.client(observers=[collected.observer, listener]) as client:
        result = await client.chat.completions.run(**BODY, tools=[weather], conversation_id="conv")
    assert listener.names[0] == "run_started"
    assert listener.names[-1] == "run_ended"
    (record,) = listener.of("run_ended")
    assert (record.reason, record.rounds, record.tool_calls, record.error) == ("completed", 2, 2, None)
    assert record.usage == result.usage
    assert {call.run_id for call in listener.of("call_started")} == {record.run.run_id}
    agent = next(span for span in collected.spans if span.name == "invoke_agent")
    assert not strays(dict(agent.attributes or {}))
    assert agent.context is not None
    below = [span for span in collected.spans if span is not agent]
    assert sorted(span.name for span in below) == ["chat m", "chat m", "execute_tool weather", "execute_tool weather"]
    assert {span.parent and span.parent.span_id for span in below} == {agent.context.span_id}
    tools = [span for span in below if span.name.startswith("execute_tool")]
    assert sorted(seen_by_tools) == sorted(span.context.span_id for span in tools if span.context)
    assert {span.status.status_code for span in tools} == {StatusCode.UNSET, StatusCode.ERROR}
    assert "Paris" not in str([span.attributes for span in collected.spans])
    assert collected.observer.open_spans == 0


async def test_a_run_that_is_left_cancels_its_tools(server: OpeAIServer, collected: Collected) -> None:
    """Every span ends, and none of them is an error."""
    listener = Listener()
    server.reply(tool_calls=[("endless", {})])
    async with server.client(observers=[collected.observer, listener]) as client:
        async with client.chat.completions.run(**BODY, tools=[endless]) as run:
            async for event in run:
                if event.type == "tool.started":
                    await asyncio.sleep(0)
                    break
    (tool,) = listener.of("tool_ended")
    (record,) = listener.of("run_ended")
    assert tool.is_cancelled
    assert record.reason == "cancelled"
    assert collected.observer.open_spans == 0
    assert {span.status.status_code for span in collected.spans} == {StatusCode.UNSET}


async def test_a_run_that_fails_tells_its_error(server: OpeAIServer, collected: Collected) -> None:
    """What ended it, by name."""
    server.fail(400)
    async with server.client(observers=[collected.observer]) as client:
        with pytest.raises(Exception, match="400"):
            await client.chat.completions.run(**BODY, tools=[weather])
    agent = next(span for span in collected.spans if span.name == "invoke_agent")
    assert agent.status.status_code is StatusCode.ERROR
    assert (agent.attributes or {})["error.type"] == "BadRequestError"


async def test_a_run_that_was_never_read_is_not_told(server: OpeAIServer) -> None:
    """It has not begun."""
    listener = Listener()
    async with server.client(observers=[listener]) as client:
        async with client.chat.completions.run(**BODY, tools=[weather]):
            pass
    assert listener.heard == []


async def test_what_tools_are_given_is_content(server: OpeAIServer) -> None:
    """Only for observers that ask for it; on spans only where capturing was asked for."""
    made = Collected(capture="span_only")
    curious, discreet = Listener(wants_content=True), Listener()
    server.reply(tool_calls=[("weather", {"city": "Paris"})])
    server.reply("It rains.")
    async with server.client(observers=[curious, discreet, made.observer]) as client:
        await client.chat.completions.run(**BODY, tools=[weather])
    assert (curious.of("tool_started")[0].arguments, curious.of("tool_ended")[0].result) == (
        '{"city":"Paris"}',
        "rain in Paris",
    )
    assert (discreet.of("tool_started")[0].arguments, discreet.of("tool_ended")[0].result) == (None, None)
    tool = next(span for span in made.spans if span.name == "execute_tool weather")
    assert (tool.attributes or {})["gen_ai.tool.call.result"] == "rain in Paris"
    made.close()


async def test_a_relay_tells_how_long_its_client_took(server: OpeAIServer) -> None:
    """Apart from the server's time: a browser that reads slowly is not the model's fault."""
    listener = Listener()
    server.reply("one two three")

    async def send(message: str) -> None:
        await asyncio.sleep(0.02)

    async with server.client(observers=[listener]) as client:
        stream = client.chat.completions.stream(**BODY)
        result = await stream.relay(send)
    (record,) = listener.of("relay_ended")
    assert (record.reason, record.frames, record.bytes) == (result.reason, result.frames, result.bytes)
    assert record.sending_s == result.timing.sending_s >= 0.02
    assert record.call_id == listener.record.call_id


async def test_a_relay_that_raises_is_told(server: OpeAIServer) -> None:
    """A mistake of the handler's."""
    listener = Listener()

    async def send(message: str) -> None:
        raise TypeError("a mistake")

    async with server.client(observers=[listener]) as client:
        with pytest.raises(TypeError):
            await client.chat.completions.stream(**BODY).relay(send)
    assert listener.of("relay_ended")[0].reason == "failed"


async def test_a_session_tells_its_end_and_its_relays(server: OpeAIServer) -> None:
    """Once for the answer, once for each client."""
    listener = Listener()
    server.reply("one two three")

    async def send(message: str) -> None: ...

    async with server.client(observers=[listener]) as client:
        session = StreamSession.start(client.chat.completions.stream(**BODY))
        await asyncio.gather(session.relay(send), session.relay(send))
        await session.completion()
        await session.relay(send)
    (ended,) = listener.of("session_ended")
    assert (ended.outcome, ended.reason) == ("done", "completed")
    assert ended.call_id == listener.record.call_id
    assert [record.reason for record in listener.of("relay_ended")] == ["completed"] * 3


async def test_nobody_is_told_of_what_nobody_listens_to(server: OpeAIServer) -> None:
    """Relays and sessions of a client without observers work as before."""

    async def send(message: str) -> None: ...

    async with server.client() as client:
        session = StreamSession.start(client.chat.completions.stream(**BODY))
        assert (await session.relay(send)).reason == "completed"
        assert (await client.chat.completions.stream(**BODY).relay(send)).reason == "completed"


async def test_a_tool_that_breaks_the_run_is_told(server: OpeAIServer) -> None:
    """Where `on_error` lets its exception out."""

    def broken() -> str:
        """Fail."""
        raise LookupError("secret")

    listener = Listener()
    server.reply(tool_calls=[("broken", {})])
    async with server.client(observers=[listener]) as client:
        with pytest.raises(LookupError):
            await client.chat.completions.run(**BODY, tools=[broken], on_error="raise")
    assert listener.of("tool_ended")[0].error == "LookupError"
    assert listener.of("run_ended")[0].error == "LookupError"
    assert "secret" not in repr(listener.heard)
