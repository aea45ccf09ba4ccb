"""Calls in line for a server that has asked to wait, over real sockets, on asyncio and on uvloop."""

import asyncio
import sys

import pytest

from opeai_async import (
    ClientClosedError,
    ConfigurationError,
    InternalServerError,
    RateLimitError,
    RetryPolicy,
    Timeouts,
)
from opeai_async.testing import Failure, OpeAIServer, Reply
from tests.support.clients import wiring_of
from tests.support.leaks import in_a_thread, no_leaks
from tests.support.loops.both_loops import anyio_backend, no_descriptor_left  # noqa: F401 - fixtures
from tests.support.loops.loops import is_on_uvloop
from tests.support.reading.chunks import BODY

PAUSE_S = 0.3


@pytest.fixture(autouse=True)
async def nothing_left():
    """The task of the line ends with it, and so does its timer."""
    async with no_leaks():
        yield


def body(content):
    return BODY | {"messages": [{"role": "user", "content": content}]}


async def create(client, content="Hi", **options):
    return await client.chat.completions.create(**body(content), **options)


async def stream(client, content="Hi", **options):
    async with client.chat.completions.stream(**body(content), **options) as chunks:
        return await chunks.completion()


def asked(server):
    """What the requests asked, in the order in which they came."""
    return [request.json["messages"][0]["content"] for request in server.requests]


async def paused(server, client, wait=str(PAUSE_S), status=429, ask=create):
    """A call that was refused, and waits in line."""
    server.fail(status, headers={"retry-after": wait})
    first = asyncio.create_task(ask(client, "first"))
    await server.wait_received(1)
    await asyncio.sleep(0.05)
    return first


@pytest.mark.parametrize("status", [429, 503, 529])
@pytest.mark.parametrize("ask", [create, stream])
async def test_a_pause_holds_the_calls_that_come_later(ask, status):
    """Nothing reaches the server before its end; then all go, past one that left (test_gate_line has their order)."""
    async with OpeAIServer() as server, server.client() as client:
        first = await paused(server, client, status=status, ask=ask)
        others = [asyncio.create_task(ask(client, str(number))) for number in range(5)]
        await asyncio.sleep(0.05)
        others[0].cancel()
        assert len(server.requests) == 1
        first, *others = await asyncio.gather(first, *others[1:])
        assert asked(server)[:2] == ["first", "first"]
        assert sorted(asked(server)[2:]) == ["1", "2", "3", "4"]
        assert wiring_of(client).budget.tokens == wiring_of(client).budget.capacity
        assert [attempt.delay_s >= PAUSE_S for attempt in first.meta.attempts] == [False, True]
        delays = [attempt.delay_s for completion in others for attempt in completion.meta.attempts]
        assert len(delays) == 4
        assert min(delays) > PAUSE_S / 2


async def test_open_streams_go_on():
    """A pause is for calls that have not begun."""
    async with OpeAIServer(token_delay_s=0.01) as server, server.client() as client:
        server.reply("one two three four five")
        async with client.chat.completions.stream(**BODY) as chunks:
            await anext(chunks)
            server.fail(429, headers={"retry-after": "30"})
            refused = asyncio.create_task(create(client))
            await server.wait_received(2)
            completion = await chunks.completion()
        assert completion.choices[0].message.content == "one two three four five"
        assert len(server.requests) == 2
        refused.cancel()
        await asyncio.gather(refused, return_exceptions=True)


async def test_another_key_has_a_way_of_its_own():
    async with OpeAIServer(api_key=None) as server, server.client(api_key="sk-one") as client:
        first = await paused(server, client, "30")
        await create(client, "another", extra_headers={"Authorization": "Bearer sk-another"})
        assert asked(server) == ["first", "another"]
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_call_that_cannot_wait_is_not_sent(status):
    """Its error says so at once, and is that of the refusal."""
    error_type = {429: RateLimitError, 503: InternalServerError}[status]
    async with OpeAIServer() as server, server.client() as client:
        first = await paused(server, client, status=status)
        with pytest.raises(error_type, match=r"not sent to .* would pass total_s=0\.1") as caught:
            await create(client, timeouts=Timeouts(total_s=0.1))
        assert caught.value.retry_after_s > 0
        assert caught.value.attempts == ()
        await first


async def test_those_who_cannot_wait_for_a_longer_pause_leave():
    """The probe is refused with more than the others may wait for: they hear it at once, from their place in line."""
    async with OpeAIServer() as server, server.client(retry=RetryPolicy(max_wait_s=5)) as client:
        first = await paused(server, client)
        short = asyncio.create_task(create(client, timeouts=Timeouts(total_s=3)))
        server.fail(429, headers={"retry-after": "4"})
        with pytest.raises(RateLimitError, match=r"not sent to .* would pass total_s=3"):
            await short
        assert asked(server) == ["first", "first"]
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


async def test_a_pause_begins_while_a_call_waits_for_a_slot():
    """It gets the slot of the refused call, and does not use it: the server has asked for a pause."""
    async with OpeAIServer() as server, server.client(max_connections=2) as client:
        server.fail(429, headers={"retry-after": "0.3"}, delay_s=0.1)
        first = asyncio.create_task(create(client, "first"))
        await server.wait_received(1)
        server.reply("slow", delay_s=0.2)
        calls = [first, asyncio.create_task(create(client, "second")), asyncio.create_task(create(client, "third"))]
        await server.wait_received(2)
        await calls[1]
        assert asked(server) == ["first", "second"]
        *_, third = await asyncio.gather(*calls)
        assert asked(server)[2:] == ["first", "third"]
        [attempt] = third.meta.attempts
        assert attempt.delay_s > 0.1
        await asyncio.gather(*(create(client) for _ in range(5)))  # no slot is lost


async def test_a_wait_in_line_that_was_cancelled():
    """A stream may be read again: it joins the line again, and is sent once."""
    async with OpeAIServer() as server, server.client() as client:
        first = await paused(server, client)
        chunks = client.chat.completions.stream(**body("later"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await chunks.open()
        assert (await chunks.completion()).choices
        await first
        assert asked(server) == ["first", "first", "later"]


async def test_closing_the_client_wakes_those_in_line():
    async with OpeAIServer() as server:
        client = server.client()
        calls = [await paused(server, client, "30"), asyncio.create_task(create(client))]
        await asyncio.sleep(0.05)
        await client.aclose()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result) for result in results] == [ClientClosedError, ClientClosedError]


async def test_another_loop_while_calls_are_in_line():
    """It is told that the client is in use; those in line notice nothing."""
    async with OpeAIServer() as server, server.client() as client:
        first = await paused(server, client)

        def elsewhere():
            with pytest.raises(ConfigurationError, match="in use by another event loop"):
                asyncio.run(create(client))

        in_a_thread(elsewhere)
        await first
        assert asked(server) == ["first", "first"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in Python 3.12")
async def test_eager_tasks():
    """The task of the line may run before ``create_task`` returns."""
    loop = asyncio.get_running_loop()
    if is_on_uvloop():
        pytest.skip("uvloop 0.23 gives eager_start to factories, and those of Python 3.12 and 3.13 do not take it")
    loop.set_task_factory(asyncio.eager_task_factory)
    try:
        async with OpeAIServer() as server, server.client() as client:
            first = await paused(server, client)
            await asyncio.gather(first, *(create(client) for _ in range(5)))
            assert len(server.requests) == 7
    finally:
        loop.set_task_factory(None)


async def test_an_outage_stops_the_retries():
    """All 503, and no wait is named: the budget lets some retries through, and then each call is one request."""
    async with OpeAIServer() as server:
        server.fail(503, times=None)
        policy = RetryPolicy(throttle_delay_s=0.001, budget=50)
        async with server.client(retry=policy) as client:
            errors = await asyncio.gather(*(create(client) for _ in range(100)), return_exceptions=True)
            assert {type(error) for error in errors} == {InternalServerError}
            assert len(server.requests) == 110
            notes = [note for error in errors for note in error.__notes__ if "retry budget" in note]
            assert len(notes) >= 90
            assert any("0 of 50 tokens are left and a retry takes 5" in note for note in notes)
            assert all("RetryPolicy(budget=...)" in note for note in notes)


async def test_a_job_beyond_the_limit_is_answered_whole():
    """300 calls, 50 at once, where 20 at once and 200 a second are let through: none fails, few are asked twice."""
    level, at, refused = 20.0, asyncio.get_running_loop().time(), 0

    async def answer(_):
        nonlocal level, at, refused
        now = asyncio.get_running_loop().time()
        level, at = min(20.0, level + 200 * (now - at)), now
        if level < 1:
            refused += 1
            return Failure(429, headers={"retry-after-ms": "100"})
        level -= 1
        return Reply("fine")

    async with OpeAIServer() as server, server.client(max_retries=1) as client:
        server.handle(answer)
        slots = asyncio.Semaphore(50)

        async def ask():
            async with slots:
                return await create(client)

        done = await asyncio.gather(*(ask() for _ in range(300)))
        assert len(done) == 300
        assert refused < 150
