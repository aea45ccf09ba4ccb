"""Cancellation at every await there is: whatever is interrupted, nothing is left and nothing is harmed."""

import asyncio
import traceback

import pytest

from opeai_async import AsyncOpeAI, Outcome, Timeouts
from opeai_async.testing import Break, OpeAIServer, Pause
from tests.support.clients import KEY, open_responses, rewire, scripted, texts, transport_of, wiring_of
from tests.support.instant_time import instant_time
from tests.support.leaks import eventually, no_leaks
from tests.support.reading.chunks import BODY, COMPLETION, DONE, FINISH, events

BUSY = b'{"error": {"message": "busy"}}'
JSON = {"content-type": "application/json"}
MAX_AWAITS = 400


async def cancelled_at(k, call):
    """Run *call*, and cancel it before its step number *k*; whether it was still running."""
    task = asyncio.ensure_future(call)
    for _ in range(k):
        await asyncio.sleep(0)
        if task.done():
            break
    was_running = task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
    return was_running


async def sweep(make_call, check):
    """Cancel at the first step, at the second, and so on, until the call is through before it is cancelled."""
    for k in range(MAX_AWAITS):
        if not await cancelled_at(k, make_call()):
            assert k > 1
            return
        await check()
    pytest.fail(f"not through after {MAX_AWAITS} steps")


def script(transport):
    """A refused connection, a 503 whose body comes in pieces, a cut stream, and then the answer."""
    transport.fail()
    transport.respond(BUSY[:9], Pause(0.01), BUSY[9:], status=503, headers=JSON)
    transport.respond(Pause(0.01), Break())


@pytest.fixture
async def instant():
    """Time jumps, and goes on by a moment with every step."""
    with instant_time(turn_s=0.001):
        yield


@pytest.mark.time_limit(1_000_000)
@pytest.mark.parametrize("kind", ["create", "open", "iterate", "completion", "text"])
async def test_a_scripted_call_cancelled_at_every_step(instant, kind):
    """In the send, the error's body, the sleep before a retry, the reads: no response stays open, no timer, no task."""
    client, transport, _ = scripted(max_retries=5)
    rewire(client, sleep=lambda _: asyncio.sleep(0.01))

    async def call():
        transport._script.clear()
        script(transport)
        if kind == "create":
            transport.respond(COMPLETION, headers=JSON)
            await client.chat.completions.create(**BODY)
            return
        transport.respond(events("a", "b"), Pause(0.01), events("c"), Pause(0.01), FINISH, Pause(0.01), DONE)
        async with client.chat.completions.stream(**BODY) as stream:
            if kind == "iterate":
                assert texts([chunk async for chunk in stream]) == ["a", "b", "c"]
            elif kind == "completion":
                assert (await stream.completion()).choices[0].message.content == "abc"
            elif kind == "text":
                assert [text async for text in stream.text()] == ["a", "b", "c"]

    async def check():
        assert transport.open_responses == 0
        wiring_of(client).budget.tokens = wiring_of(client).budget.capacity

    async with no_leaks():
        await sweep(call, check)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_over_sockets_cancelled_at_every_step(stream):
    """While connecting, sending, waiting for the head, reading: the connection is closed, its slot is free."""
    async with no_leaks(), OpeAIServer() as server:
        server.handle(None)
        async with server.client(max_connections=1) as client:

            async def call():
                if stream:
                    async with client.chat.completions.stream(**BODY) as opened:
                        assert (await opened.completion()).choices
                else:
                    assert (await client.chat.completions.create(**BODY)).choices

            async def check():
                await eventually(lambda: transport_of(client) is None or _is_idle(client))

            await sweep(call, check)
            assert (await client.chat.completions.create(**BODY)).choices


def _is_idle(client):
    return open_responses(client) == 0


@pytest.mark.time_limit(1_000_000)
async def test_cancel_at_every_step(instant):
    """``stream.cancel()`` from another task at any moment: the loop ends quietly, the snapshot is what was seen."""
    client, transport, _ = scripted(max_retries=5)
    rewire(client, sleep=lambda _: asyncio.sleep(0.01))
    outcomes = set()
    async with no_leaks():
        for k in range(MAX_AWAITS):
            transport._script.clear()
            script(transport)
            transport.respond(events("a", "b"), Pause(0.01), events("c", "d"), Pause(0.01), FINISH + DONE)
            stream = client.chat.completions.stream(**BODY)
            seen = []

            async def consume(stream=stream, seen=seen):
                async for text in stream.text():
                    seen.append(text)
                    await asyncio.sleep(0)

            task = asyncio.create_task(consume())
            for _ in range(k):
                await asyncio.sleep(0)
            stream.cancel()
            await task
            assert transport.open_responses == 0
            content = "".join(choice.message.content or "" for choice in stream.snapshot.choices)
            assert content == "".join(seen)
            outcomes.add(stream.outcome)
            wiring_of(client).budget.tokens = wiring_of(client).budget.capacity
            if stream.outcome is Outcome.COMPLETE:
                break
    assert outcomes == {Outcome.CANCELLED, Outcome.COMPLETE}


async def test_the_cancelled_error_is_left_alone_and_holds_no_key():
    """It arrives as it was raised, and its traceback with locals shows no key."""
    async with OpeAIServer(api_key=KEY) as server, server.client() as client:
        server.reply("late", delay_s=60)
        server.stall("one two", after=2)
        calls = [client.chat.completions.create(**BODY), client.chat.completions.stream(**BODY).completion()]
        for number, call in enumerate(calls, 1):
            task = asyncio.create_task(call)
            await server.wait_received(number)
            await asyncio.sleep(0.01)
            task.cancel("why")
            with pytest.raises(asyncio.CancelledError, match="why") as caught:
                await task
            shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
            assert "aiohttp" in shown
            assert KEY not in shown


async def test_a_deadline_of_the_callers_own():
    """``asyncio.timeout`` around a call is the caller's TimeoutError, not one of ours."""
    async with OpeAIServer() as server, server.client(timeouts=Timeouts(total_s=50)) as client:
        server.reply("late", delay_s=60)
        with pytest.raises(TimeoutError) as caught:
            await asyncio.wait_for(client.chat.completions.create(**BODY), 0.05)
        assert type(caught.value) is TimeoutError
        assert (await server.wait_closed()).outcome == "client_gone"


async def test_a_task_group_that_fails_closes_the_other_streams():
    """The siblings of a failing task are cancelled, and with them their upstreams."""
    async with no_leaks(), OpeAIServer() as server, server.client() as client:
        server.stall("one two", after=2, times=3)

        async def consume():
            async with client.chat.completions.stream(**BODY) as stream:
                async for _ in stream:
                    pass

        async def fail():
            await server.wait_received(3)
            raise LookupError

        async def together():
            async with asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(consume())
                group.create_task(fail())

        with pytest.raises(ExceptionGroup) as caught:
            await together()
        assert caught.group_contains(LookupError)
        for request in server.requests:
            assert (await server.wait_closed(request)).outcome == "client_gone"


def test_the_end_of_the_loop_does_not_hang():
    """A program that ends in the middle of a stream, without closing anything, ends."""
    with OpeAIServer() as server:
        server.stall("one two", after=2)

        async def main():
            client = AsyncOpeAI(server.api_key, base_url=server.base_url)
            reading = asyncio.create_task(client.chat.completions.stream(**BODY).completion())
            await server.wait_received()
            return reading

        assert asyncio.run(main()).cancelled()
