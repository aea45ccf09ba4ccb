"""What ``sse``, ``relay`` and sessions take, and what they say of everything else."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from opeai_async import AsyncOpeAI, ConfigurationError, RequestValidationError, StreamSession, sse, sse_chunks
from opeai_async._relay.websocket import relay
from opeai_async.testing import OpeAIServer

BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def look() -> str:
    """Look."""
    return "seen"


async def send(message: str) -> None: ...


async def _opened(opened: Any) -> None:
    if inspect.isawaitable(opened):
        await opened


@pytest.mark.parametrize("way", [sse, lambda source: relay(source, send), StreamSession.start, sse_chunks])
async def test_what_has_no_frames(server: OpeAIServer, client: AsyncOpeAI, way: Any) -> None:
    """It is said at the door, and with what to do."""
    create = client.chat.completions.create
    server.reply("hello")
    for source, message in (
        (create(**BODY, stream=True), "the source is a coroutine, expected a stream"),
        (await create(**BODY), "the source is an answer that is complete"),
        ("text", "the source is of the type str"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            await _opened(way(source))


async def test_a_run_as_server_sent_events(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """As a stream: with its tools, and one last frame."""
    server.reply(tool_calls=[("look", {})])
    server.reply("It is seen.")
    data = b"".join([data async for data in sse(client.chat.completions.run(**BODY, tools=[look]))])
    assert data.count(b'"type":"tool_finished"') == 1
    assert data.count(b'"type":"done"') == 1


async def test_a_run_in_a_session(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """For readers who come and go."""
    server.reply(tool_calls=[("look", {})])
    server.reply("It is seen.")
    session = StreamSession.start(client.chat.completions.run(**BODY, tools=[look]))
    frames = [frame async for frame in session.subscribe()]
    assert [type(frame).__name__ for frame in frames].count("ToolFinishedFrame") == 1
    assert type(frames[-1]).__name__ == "DoneFrame"


async def test_a_run_has_no_chunks(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """Its rounds are several answers."""
    async with client.chat.completions.run(**BODY, tools=[look]) as run:
        with pytest.raises(ConfigurationError, match="has frames, but no chunks"):
            sse_chunks(run)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tools", "message"),
    [
        (look, "tools is one tool"),
        (None, "tools is None"),
        ("look", "tools is 'look'"),
        ({"type": "function"}, "one tool"),
    ],
)
async def test_tools_that_are_no_list(server: OpeAIServer, client: AsyncOpeAI, tools: Any, message: str) -> None:
    """It is said what they are."""
    with pytest.raises(RequestValidationError, match=message):
        client.chat.completions.run(**BODY, tools=tools)


async def test_a_function_among_the_tools_of_create(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """The hint says how it becomes a tool."""
    tools: Any = [look]
    with pytest.raises(RequestValidationError, match=r"tools\[0\] cannot be sent as JSON") as caught:
        await client.chat.completions.create(**BODY, tools=tools)
    assert "Tool.from_function" in str(caught.value.hint)
