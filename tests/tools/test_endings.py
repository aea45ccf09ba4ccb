"""However a run ends, its upstream is closed, its tools have ended, and what was done is there."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import pytest

from opeai_async import (
    AsyncOpeAI,
    BadRequestError,
    ClientClosedError,
    RequestValidationError,
    Run,
    StreamInterruptedError,
    ToolFinishedEvent,
    ToolStartedEvent,
)
from opeai_async.testing import OpeAIServer, Pause
from opeai_async.testing.transport import ScriptedTransport
from tests.support.clients import rewire, scripted
from tests.support.instant_time import instant_time
from tests.support.leaks import eventually, in_a_thread, no_collector, no_leaks
from tests.support.reading.chunks import ANSWER, BODY, DONE
from tests.support.reading.streams import delta_chunk, event
from tests.support.sweeps import MOMENTS, Moment, cancelled_at, sweep


class Bed:
    """A tool that sleeps until it is woken, and notes whether it was cancelled."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.wake = asyncio.Event()
        self.ended: list[str] = []
        self.tasks: list[asyncio.Task[Any]] = []

    async def sleep(self) -> str:
        """Sleep."""
        task = asyncio.current_task()
        assert task is not None
        self.tasks.append(task)
        self.begun.set()
        try:
            await self.wake.wait()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        self.ended.append("woken")
        return "rested"


async def quick() -> str:
    """Be quick."""
    return "quick"


async def sleeping(server: OpeAIServer, client: AsyncOpeAI, **options: Any) -> tuple[Run, Bed, asyncio.Task[Any]]:
    """A run whose tool sleeps beside one that is through, and the task that reads it."""
    bed = Bed()
    server.reply("I rest.", tool_calls=[("quick", {}), ("sleep", {})])
    run = client.chat.completions.run(tools=[bed.sleep, quick], **options, **BODY)
    reading = asyncio.create_task(run.result())
    await bed.begun.wait()
    await eventually(lambda: len(run.result_so_far.open_calls) == 1)
    return run, bed, reading


# --- cancel ----------------------------------------------------------------------------------------------------------


async def test_cancel_while_tools_run(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """The reader ends quietly, when the tools have; what has none is told as not run."""
    run, bed, reading = await sleeping(server, client)
    run.cancel()
    result = await reading
    assert bed.ended == ["cancelled"]
    assert all(task.done() for task in bed.tasks)
    assert (result.reason, [call.function.name for call in result.open_calls]) == ("cancelled", ["sleep"])
    contents = [getattr(message, "content", None) for message in result.new_messages]
    assert contents == ["I rest.", "quick", '{"error":"not run: the run was cancelled"}']
    raw = await run.result(closed=False)
    assert [getattr(message, "content", None) for message in raw.new_messages] == ["I rest.", "quick"]
    assert len(server.requests) == 1
    run.cancel()
    await run.aclose()
    assert (await run.result()).reason == "cancelled"
    assert [event async for event in run] == []


async def test_cancel_while_the_answer_comes(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """What was not read yet does not come any more."""
    server.stall("one two three", after=3)
    run = client.chat.completions.run(tools=[quick], **BODY)
    seen = []
    async for one in run:
        seen.append(one.type)
        if one.type == "content.delta":
            run.cancel()
    assert seen.count("content.delta") == 1
    assert (await server.wait_closed()).outcome == "client_gone"
    assert run.result_so_far.usage is None


async def test_cancel_from_another_thread(server: OpeAIServer, client: AsyncOpeAI) -> None:
    run, bed, reading = await sleeping(server, client)
    in_a_thread(run.cancel)
    assert (await reading).reason == "cancelled"
    assert bed.ended == ["cancelled"]


async def test_cancel_before_the_beginning(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """Nothing is sent."""
    run = client.chat.completions.run(tools=[quick], **BODY)
    run.cancel()
    assert (await run).reason == "cancelled"
    assert not server.requests


async def test_cancelling_the_stream_of_a_round_cancels_the_run(server: OpeAIServer, client: AsyncOpeAI) -> None:
    server.stall("one two three", after=3)
    run = client.chat.completions.run(tools=[quick], **BODY)
    await anext(run)
    await anext(run)
    run.stream.cancel()
    assert (await run.result()).reason == "cancelled"


async def test_a_tool_may_end_its_own_run(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """It does not wait for itself."""
    ended: list[str] = []

    async def stop() -> None:
        await run.aclose()
        ended.append("closed")
        await asyncio.sleep(60)

    server.reply(tool_calls=[("stop", {})])
    run = client.chat.completions.run(tools=[stop], **BODY)
    with pytest.raises(ClientClosedError, match="closed in round 1"):
        await run.result()
    assert ended == ["closed"]


# --- leaving ---------------------------------------------------------------------------------------------------------


async def test_leaving_the_block_ends_the_tools(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """They have ended when the block has; a later read says what was wrong."""
    bed = Bed()
    server.reply(tool_calls=[("sleep", {})])
    async with client.chat.completions.run(tools=[bed.sleep], **BODY) as run:
        async for one in run:
            if isinstance(one, ToolStartedEvent):
                await bed.begun.wait()
                break
    assert bed.ended == ["cancelled"]
    for read in (run.result, lambda: anext(run)):
        with pytest.raises(ClientClosedError):
            await read()
    assert run.result_so_far.reason == "cancelled"


async def test_a_call_that_waits_for_its_turn_never_begins(server: OpeAIServer, client: AsyncOpeAI) -> None:
    bed = Bed()
    server.reply(tool_calls=[("sleep", {}), ("sleep", {})])
    async with client.chat.completions.run(tools=[bed.sleep], parallel=1, **BODY) as run:
        async for one in run:
            if isinstance(one, ToolStartedEvent):
                await bed.begun.wait()
                break
    assert len(bed.tasks) == 1


async def test_leaving_waits_for_a_tool_that_takes_its_time_to_end(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """As a task group does."""
    bed, ended = Bed(), []

    async def tidy_up() -> None:
        try:
            await bed.sleep()
        finally:
            await asyncio.sleep(0.01)
            ended.append("tidy")

    server.reply(tool_calls=[("tidy_up", {})])
    async with client.chat.completions.run(tools=[tidy_up], **BODY) as run:
        reading = asyncio.create_task(run.result())
        await bed.begun.wait()
    assert ended == ["tidy"]
    with pytest.raises(ClientClosedError):
        await reading


async def test_leaving_does_not_wait_for_a_thread(server: OpeAIServer, client: AsyncOpeAI) -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        go_on.wait(30)
        ended.set()

    server.reply(tool_calls=[("wait", {})])
    async with client.chat.completions.run(tools=[wait], **BODY) as run:
        async for one in run:
            if isinstance(one, ToolStartedEvent):
                assert await asyncio.to_thread(begun.wait, 30)
                break
    assert not ended.is_set()
    go_on.set()
    assert await asyncio.to_thread(ended.wait, 30)


async def test_a_task_that_is_cancelled_cancels_its_run(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """``await run`` closes by itself, and the cancellation goes on as it was."""
    bed = Bed()
    server.reply(tool_calls=[("sleep", {})])

    async def ask() -> None:
        await client.chat.completions.run(tools=[bed.sleep], **BODY)

    task = asyncio.create_task(ask())
    await bed.begun.wait()
    task.cancel("why")
    with pytest.raises(asyncio.CancelledError, match="why"):
        await task
    assert bed.ended == ["cancelled"]


async def test_a_deadline_of_the_callers_own_leaves_the_run_as_it_is(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """The read can be tried again: the tool goes on meanwhile."""
    bed = Bed()
    server.reply(tool_calls=[("sleep", {})])
    server.reply("Good morning.")
    async with client.chat.completions.run(tools=[bed.sleep], **BODY) as run:
        reading = asyncio.create_task(run.result())
        await bed.begun.wait()
        reading.cancel()
        await asyncio.wait([reading])
        bed.wake.set()
        assert (await run.result()).text == "Good morning."
    assert bed.ended == ["woken"]


async def test_a_run_that_is_dropped_warns_and_ends(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """Without waiting for the cyclic collector."""
    bed = Bed()
    server.reply(tool_calls=[("sleep", {})])
    run = client.chat.completions.run(tools=[bed.sleep], **BODY)
    async for one in run:
        if isinstance(one, ToolStartedEvent):
            break
    await bed.begun.wait()
    async with no_collector():
        with pytest.warns(ResourceWarning, match="unclosed <Run running"):
            del run
        await eventually(lambda: bed.ended == ["cancelled"])
    gc.collect()


async def test_a_run_that_was_never_read_needs_no_closing(client: AsyncOpeAI) -> None:
    client.chat.completions.run(tools=[quick], **BODY)
    with pytest.raises(RequestValidationError):
        client.chat.completions.run(tools=[quick], n=2, **BODY)
    gc.collect()


# --- errors ----------------------------------------------------------------------------------------------------------


async def test_a_stream_that_breaks_in_a_later_round(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """Its error comes as it is, with what had arrived; what had been done is there, and can go on."""
    server.reply("I look.", tool_calls=[("quick", {})], usage={"total_tokens": 7})
    server.cut("It is", after=2)
    async with client.chat.completions.run(tools=[quick], **BODY) as run:
        with pytest.raises(StreamInterruptedError) as caught:
            await run.result()
        with pytest.raises(StreamInterruptedError) as again:
            await anext(run)
    assert caught.value.partial is not None
    assert caught.value.partial.choices[0].message.content == "It"
    assert again.value is not caught.value
    so_far = run.result_so_far
    assert (so_far.reason, len(so_far.completions), len(so_far.messages)) == ("failed", 1, 3)
    assert so_far.usage is not None
    assert so_far.usage.total_tokens == 7
    assert so_far.open_calls == []
    server.reply("It is warm.")
    again_run = await client.chat.completions.run(tools=[quick], model="m", messages=so_far.messages)
    assert again_run.text == "It is warm."


async def test_a_request_that_is_refused_ends_the_run(server: OpeAIServer, client: AsyncOpeAI) -> None:
    server.reply(tool_calls=[("quick", {})])
    server.fail(400)
    with pytest.raises(BadRequestError):
        await client.chat.completions.run(tools=[quick], **BODY)


async def test_a_request_that_cannot_be_made_ends_the_run(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """Here, a message that somebody has spoilt meanwhile."""
    messages: list[Any] = [{"role": "user", "content": "?"}]

    async def spoil() -> None:
        messages[0]["content"] = {1j}

    server.reply(tool_calls=[("spoil", {})])
    run = client.chat.completions.run(tools=[spoil], model="m", messages=messages)
    with pytest.raises(RequestValidationError):
        await run
    assert run.result_so_far.reason == "failed"


async def test_an_exception_of_a_tool_may_end_the_run(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """It is raised as it is, when all other tools have ended."""
    bed = Bed()

    async def fail() -> None:
        await bed.begun.wait()
        raise LookupError("as it is")

    server.reply(tool_calls=[("sleep", {}), ("fail", {})])
    run = client.chat.completions.run(tools=[bed.sleep, fail], on_error="raise", **BODY)
    with pytest.raises(LookupError, match="as it is"):
        await run
    assert bed.ended == ["cancelled"]
    assert run.result_so_far.reason == "failed"
    assert len(run.result_so_far.open_calls) == 2


async def test_after_an_exception_nothing_begins(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """No call that waits for its turn."""

    async def fail() -> None:
        raise LookupError

    server.reply(tool_calls=[("fail", {}), ("quick", {})])
    run = client.chat.completions.run(tools=[quick, fail], on_error="raise", parallel=1, **BODY)
    started: list[str] = []

    async def read() -> None:
        async for one in run:
            if isinstance(one, ToolStartedEvent):
                started.append(one.name)  # noqa: PERF401 - what came before the error is wanted

    with pytest.raises(LookupError):
        await read()
    assert started == ["fail"]


async def test_a_tool_that_was_cancelled_has_failed(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """By itself, or by somebody who knows its task: the model is told, and the run goes on."""

    async def give_up() -> None:
        raise asyncio.CancelledError

    bed = Bed()
    server.reply(tool_calls=[("sleep", {}), ("give_up", {})])
    server.reply("Never mind.")
    async with client.chat.completions.run(tools=[bed.sleep, give_up], **BODY) as run:
        finished = []
        async for one in run:
            if isinstance(one, ToolFinishedEvent):
                finished.append((one.index, one.error, one.content))
                bed.tasks[0].cancel()
    told = '{"error":"The tool was cancelled."}'
    assert finished == [(1, "failed", told), (0, "failed", told)]
    assert (await run.result()).text == "Never mind."


async def test_a_client_that_is_closed_ends_its_runs(server: OpeAIServer) -> None:
    async with server.client() as client:
        run, bed, reading = await sleeping(server, client)
        await client.aclose()
        bed.wake.set()
        with pytest.raises(ClientClosedError):
            await reading
    assert run.result_so_far.reason == "failed"


# --- at every await --------------------------------------------------------------------------------------------------


def calls(*tools: str) -> bytes:
    """The deltas of calls without arguments that matter, each whole."""
    return b"".join(
        event(
            delta_chunk(
                {"tool_calls": [{"index": i, "id": f"c{i}", "function": {"name": name, "arguments": '{"n":1}'}}]}
            )
        )
        for i, name in enumerate(tools)
    )


def script(transport: ScriptedTransport) -> None:
    """Two rounds with tools, whose bodies come in pieces, and the answer."""
    transport._script.clear()
    for _ in range(2):
        transport.respond(calls("nap", "rest"), Pause(0.02), event(delta_chunk(finish="tool_calls")) + DONE)
    transport.respond(ANSWER)


async def nap(n: int) -> None:
    """Take a nap."""
    await asyncio.sleep(0.01)


async def rest(n: int) -> None:
    """Rest."""
    await asyncio.sleep(0.03)


@pytest.mark.time_limit(1_000_000)
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("eager", [False, True])
async def test_a_run_cancelled_at_every_await(eager: bool, moment: Moment) -> None:
    """No response stays open, no timer, no task; and who is cancelled learns of it."""
    client, transport, _ = scripted()
    rewire(client, sleep=lambda _: asyncio.sleep(0.01))

    async def ask() -> None:
        async with client.chat.completions.run(tools=[nap, rest], eager=eager, **BODY) as run:
            assert (await run.result()).text == "abc"

    async def at(k: int) -> bool:
        script(transport)
        error = await cancelled_at(k, ask(), moment)
        assert transport.open_responses == 0
        return error is not None

    with instant_time(turn_s=0.001):
        async with no_leaks():
            assert await sweep(at) > 5


@pytest.mark.time_limit(1_000_000)
@pytest.mark.parametrize("eager", [False, True])
async def test_cancel_at_every_step(eager: bool) -> None:
    """From another task: the reader ends quietly, with what was done until then."""
    client, transport, _ = scripted()
    reasons: set[str] = set()
    with instant_time(turn_s=0.001):
        async with no_leaks():
            for k in range(400):
                script(transport)
                run = client.chat.completions.run(tools=[nap, rest], eager=eager, **BODY)
                reading = asyncio.create_task(run.result())
                for _ in range(k):
                    await asyncio.sleep(0)
                run.cancel()
                result = await reading
                assert transport.open_responses == 0
                assert len(result.new_messages) + len(result.open_calls) >= len(result.completions)
                reasons.add(result.reason)
                if result.reason == "completed":
                    break
    assert reasons == {"cancelled", "completed"}


def test_a_loop_that_ends_amid_a_run_ends_it() -> None:
    """Nothing is left to complain: neither a task nor an object."""
    bed_ended: list[str] = []

    async def main() -> None:
        async with OpeAIServer() as server, server.client() as client:
            bed = Bed()
            bed.ended = bed_ended
            server.reply(tool_calls=[("sleep", {}), ("sleep", {})])
            run = client.chat.completions.run(tools=[bed.sleep], parallel=1, **BODY)
            reading = asyncio.create_task(run.result())
            keep.append((run, reading))
            await bed.begun.wait()

    keep: list[Any] = []
    asyncio.run(main())
    assert bed_ended[0] == "cancelled"
    assert isinstance(keep[0][0], Run)
    keep.clear()
    gc.collect()


@pytest.mark.parametrize("eager", [False, True])
def test_a_loop_that_is_closed_strands_its_runs(eager: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Without a word from here: only asyncio itself says what was left. Later reads elsewhere do not wait for ever."""
    pause = (Pause(60),) if eager else ()
    runs = []

    async def begin() -> None:
        client, transport, _ = scripted()
        transport.respond(calls("sleep", "sleep"), *pause, event(delta_chunk(finish="tool_calls")) + DONE)
        bed = Bed()
        run = client.chat.completions.run(tools=[tool_of(bed)], eager=eager, **BODY)
        runs.append(run)
        asyncio.get_running_loop().create_task(run.result())
        await bed.begun.wait()

    def drop() -> None:
        runs.clear()
        gc.collect()

    for act in ("drop", "cancel", "read"):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(begin())
        loop.close()
        if act == "drop":
            with pytest.warns(ResourceWarning, match="unclosed <Run running"):
                drop()
        elif act == "cancel":
            runs[0].cancel()
            assert asyncio.run(runs[0].result()).reason == "cancelled"
        else:
            with pytest.raises(ClientClosedError):
                asyncio.run(runs[0].result())
            asyncio.run(runs[0].aclose())
        drop()
    assert {record.name for record in caplog.records} <= {"asyncio"}


def tool_of(bed: Bed) -> Any:
    async def sleep(n: int) -> str:
        return await bed.sleep()

    return sleep
