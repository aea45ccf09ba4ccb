"""Tools that start while the model still writes: only when it is certain what they are asked."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from opeai_async import RunEvent, StreamInterruptedError, ToolFinishedEvent, ToolStartedEvent
from opeai_async.testing import Break, OpeAIServer, Pause
from opeai_async.testing.script.compose import stream_chunks
from opeai_async.testing.script.reply import Reply
from opeai_async.testing.transport import ScriptedTransport
from tests.support.clients import scripted
from tests.support.instant_time import instant_time
from tests.support.leaks import no_leaks
from tests.support.reading.chunks import ANSWER, BODY, DONE
from tests.support.reading.streams import delta_chunk, event

TWO = [("look", {"at": "one"}), ("look", {"at": "two"})]


class Eyes:
    """A tool that notes what it is asked, and how it ends."""

    def __init__(self, wait_s: float = 0.0) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.cancelled: list[str] = []
        self.news = asyncio.Event()
        self.wait_s = wait_s

    async def look(self, at: str) -> str:
        """Look."""
        self.begun.append(at)
        self.news.set()
        try:
            await asyncio.sleep(self.wait_s)
        except asyncio.CancelledError:
            self.cancelled.append(at)
            raise
        self.ended.append(at)
        return f"seen {at}"


def begin(index: int, arguments: str = "", *, call_id: str | None = "", name: str = "look") -> bytes:
    """The event in which a call begins."""
    call_id = f"call_{index}" if call_id == "" else call_id
    function = {"name": name, "arguments": arguments}
    return event(
        delta_chunk({"tool_calls": [{"index": index, "id": call_id, "type": "function", "function": function}]})
    )


def more(index: int, arguments: str) -> bytes:
    return event(delta_chunk({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}))


FINISH = event(delta_chunk(finish="tool_calls")) + DONE
ONE_SEALED = begin(0) + more(0, '{"at":"one"}') + begin(1)


# --- over sockets ----------------------------------------------------------------------------------------------------


async def test_a_call_runs_while_the_answer_still_comes() -> None:
    """The server falls silent as soon as the second call has begun: the first has its result all the same."""
    chunks = stream_chunks(Reply(tool_calls=TWO))
    calls = [choice["delta"].get("tool_calls") for chunk in chunks for choice in chunk["choices"]]
    sealing = next(position for position, call in enumerate(calls) if call and call[0]["index"] == 1)
    eyes = Eyes()
    async with no_leaks(), OpeAIServer() as server, server.client() as client:
        server.stall(tool_calls=TWO, after=sealing + 1)
        async with client.chat.completions.run(tools=[eyes.look], eager=True, **BODY) as run:
            events: list[RunEvent] = []
            async for event in run:
                events.append(event)
                if isinstance(event, ToolFinishedEvent):
                    break
            assert eyes.ended == ["one"]
            assert [event.index for event in events if isinstance(event, ToolStartedEvent)] == [0]
            assert not server.requests[0].is_over
        assert (await server.wait_closed()).outcome == "client_gone"
    assert len(server.requests) == 1


async def test_without_eager_nothing_runs_before_the_end() -> None:
    eyes = Eyes()
    async with OpeAIServer() as server, server.client() as client:
        server.cut(tool_calls=TWO)
        with pytest.raises(StreamInterruptedError):
            await client.chat.completions.run(tools=[eyes.look], **BODY)
    assert eyes.begun == []


@pytest.mark.parametrize("eager", [False, True])
async def test_eager_or_not_the_same_is_sent(eager: bool) -> None:
    """Each call runs once, and results are in the order of the calls."""
    eyes = Eyes()
    async with OpeAIServer() as server, server.client() as client:
        server.reply("I look.", tool_calls=[*TWO, ("look", {"at": "three"})])
        server.reply("Done.")
        result = await client.chat.completions.run(tools=[eyes.look], eager=eager, parallel=1, **BODY)
    contents = [message["content"] for message in server.requests[1].json["messages"][2:]]
    assert contents == ["seen one", "seen two", "seen three"]
    assert eyes.begun == ["one", "two", "three"]
    assert result.text == "Done."


# --- by the clock ----------------------------------------------------------------------------------------------------


def run_of(eyes: Eyes, *steps: Any, answer: bytes = ANSWER) -> tuple[Any, ScriptedTransport]:
    """An eager run whose first answer comes in *steps*."""
    client, transport, _ = scripted()
    transport.respond(*steps)
    transport.respond(answer)
    return client.chat.completions.run(tools=[eyes.look], eager=True, **BODY), transport


@pytest.mark.time_limit(1_000_000)
async def test_what_happens_first_is_told_first() -> None:
    """A tool that ends amid the answer is told before what comes later of it."""
    eyes = Eyes(wait_s=2)
    with instant_time():
        run, _ = run_of(eyes, ONE_SEALED, Pause(1), more(1, '{"at":'), Pause(2), more(1, '"two"}') + FINISH)
        kinds = [event.type async for event in run if event.type.startswith(("tool.", "tool_calls", "finish"))]
    delta, done = "tool_calls.function.arguments.delta", "tool_calls.function.arguments.done"
    assert kinds == [
        *[delta] * 3,
        "tool.started",
        delta,
        "tool.finished",
        delta,
        done,
        done,
        "finish",
        "tool.started",
        "tool.finished",
        "finish",
    ]


@pytest.mark.time_limit(1_000_000)
async def test_a_stream_that_fails_cancels_what_runs() -> None:
    """Nothing is sent, and what was done is told; the tools have ended when the error is raised."""
    eyes = Eyes(wait_s=60)
    with instant_time():
        async with no_leaks():
            run, transport = run_of(eyes, ONE_SEALED, Pause(1), Break())
            with pytest.raises(StreamInterruptedError) as caught:
                await run.result()
            assert (eyes.begun, eyes.cancelled) == (["one"], ["one"])
    assert caught.value.partial is not None
    assert caught.value.partial.choices[0].message.tool_calls[0].function.arguments == '{"at":"one"}'
    assert (run.result_so_far.reason, run.result_so_far.new_messages) == ("failed", [])
    assert len(transport.requests) == 1


@pytest.mark.time_limit(1_000_000)
async def test_an_answer_that_is_broken_off_cancels_what_runs() -> None:
    eyes = Eyes(wait_s=60)
    with instant_time():
        async with no_leaks():
            run, _ = run_of(eyes, ONE_SEALED + event(delta_chunk(finish="length")) + DONE)
            result = await run
    assert (result.reason, len(result.open_calls), eyes.cancelled) == ("length", 2, ["one"])


@pytest.mark.time_limit(1_000_000)
async def test_a_call_that_goes_on_after_it_was_whole_runs_anew() -> None:
    """What was begun is dropped, whether it still waits, runs, or has its result."""
    for wait_s, cancelled in ((60.0, ["one"]), (0.0, [])):
        eyes = Eyes(wait_s)
        with instant_time():
            run, _ = run_of(
                eyes,
                ONE_SEALED,
                Pause(1),
                more(0, " ") + more(1, '{"at":"two"}') + event(delta_chunk(finish="stop")) + DONE,
            )
            async with no_leaks():
                result = await run
        assert eyes.begun == ["one", "one", "two"]
        assert eyes.cancelled == cancelled
        assert [message.content for message in result.messages[2:4]] == ["seen one", "seen two"]


@pytest.mark.time_limit(1_000_000)
async def test_a_call_that_waits_for_its_turn_may_be_dropped() -> None:
    eyes = Eyes(wait_s=5)
    client, transport, _ = scripted()
    sealed = begin(0, '{"at":"one"}') + begin(1, '{"at":"two"}') + begin(2)
    transport.respond(sealed, Pause(1), more(1, " ") + more(2, '{"at":"three"}') + FINISH)
    transport.respond(ANSWER)
    with instant_time():
        await client.chat.completions.run(tools=[eyes.look], eager=True, parallel=1, **BODY)
    assert eyes.begun == ["one", "two", "three"]


@pytest.mark.time_limit(1_000_000)
async def test_a_read_that_is_cancelled_loses_nothing() -> None:
    """As that of ``wait_for``, while a tool runs: neither the tool nor the read begins anew."""
    eyes = Eyes(wait_s=10)
    with instant_time():
        run, transport = run_of(eyes, ONE_SEALED, Pause(25), more(1, '{"at":"two"}') + FINISH)
        async with no_leaks(), run:
            async for event in run:
                if isinstance(event, ToolStartedEvent):
                    break
            timeouts = 0
            while run.result_so_far.reason == "running":
                try:
                    await asyncio.wait_for(anext(run, None), 3)
                except TimeoutError:
                    timeouts += 1
    assert timeouts > 5
    assert eyes.ended == ["one", "two"]
    assert len(transport.requests) == 2


@pytest.mark.time_limit(1_000_000)
async def test_leaving_while_a_read_waits_closes_the_upstream() -> None:
    eyes = Eyes(wait_s=2)
    with instant_time():
        run, transport = run_of(eyes, ONE_SEALED, Pause(100))
        async with no_leaks():
            async with run:
                async for event in run:
                    if isinstance(event, ToolFinishedEvent):
                        break
            assert transport.open_responses == 0


async def test_a_call_of_the_callers_own_is_not_started() -> None:
    """A definition without a function is left alone, early and late."""
    client, transport, _ = scripted()
    transport.respond(ONE_SEALED + more(1, "{}") + FINISH)
    tools = [{"type": "function", "function": {"name": "look"}}]
    result = await client.chat.completions.run(tools=tools, eager=True, **BODY)
    assert (result.reason, len(result.open_calls)) == ("tool_calls", 2)
