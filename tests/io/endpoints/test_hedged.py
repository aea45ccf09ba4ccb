"""A second request where the first one is late, over real sockets: who answers, and what becomes of the other."""

import asyncio
import random

import pytest

from opeai_async import AsyncOpeAI, Endpoint, Endpoints, Hedge, InternalServerError
from opeai_async.testing import OpeAIServer, Reply
from tests.support.leaks import eventually, no_leaks

ASK = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def client_of(*servers, hedge, **options):
    endpoints = [
        Endpoint(base_url=server.base_url, api_key=server.api_key, name=f"s{number}", tier=number)
        for number, server in enumerate(servers)
    ]
    return AsyncOpeAI(endpoints=Endpoints(endpoints, hedge=hedge), **options)


ALWAYS = Hedge(after=0.05, budget=1.0)


@pytest.mark.parametrize("stream", [True, False])
async def test_the_second_answers_where_the_first_is_silent(stream):
    """The first one's connection is closed at once, and its attempt says so."""
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second:
        first.stall("no", after=1, times=None)
        second.reply("yes", times=None)
        async with client_of(first, second, hedge=ALWAYS) as client:
            if stream:
                async with client.chat.completions.stream(**ASK) as answer:
                    completion = await answer.completion()
            else:
                completion = await client.chat.completions.create(**ASK)
            assert completion.choices[0].message.content == "yes"
            tries = [(attempt.endpoint, attempt.error) for attempt in completion.meta.attempts]
            assert tries == [("s0", "CancelledError"), ("s1", None)]
            assert (await first.wait_closed()).outcome == "client_gone"
            await eventually(lambda: first.connections_open == 0)


async def test_a_head_is_no_answer():
    """The first one sends its head and its role at once, and then nothing."""
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second:
        first.stall("no", after=1)
        second.reply("yes", delay_s=0.1)
        async with (
            client_of(first, second, hedge=ALWAYS) as client,
            client.chat.completions.stream(**ASK) as stream,
        ):
            assert [text async for text in stream.text()] == ["yes"]


async def test_the_first_answers_where_it_speaks_first():
    """Though it was late; the second one is closed."""
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second:
        first.reply("first one", delay_s=0.15)
        second.stall("second", after=1)
        async with (
            client_of(first, second, hedge=ALWAYS) as client,
            client.chat.completions.stream(**ASK) as stream,
        ):
            assert (await stream.completion()).choices[0].message.content == "first one"
            assert [attempt.endpoint for attempt in stream.meta.attempts][-1] == "s0"
        assert (await second.wait_closed()).outcome == "client_gone"


@pytest.mark.parametrize("fault", ["drop_rst", "status_500", "error_event", "json_malformed"])
async def test_a_hedge_that_fails_harms_nobody(fault):
    """The first one is waited for."""
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second:
        first.reply("the answer", delay_s=0.2)
        second.fault(fault, "no", after=1)
        async with (
            client_of(first, second, hedge=ALWAYS) as client,
            client.chat.completions.stream(**ASK) as stream,
        ):
            assert (await stream.completion()).choices[0].message.content == "the answer"
            assert len(second.requests) == 1


async def test_where_both_fail_the_call_fails():
    """With all attempts, and nothing is left."""
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second:
        first.fail(500, delay_s=0.1, times=None)
        second.fail(500, times=None)
        async with client_of(first, second, hedge=ALWAYS, max_retries=0) as client:
            with pytest.raises(InternalServerError) as caught:
                await client.chat.completions.create(**ASK)
            assert sorted(attempt.endpoint for attempt in caught.value.attempts) == ["s0", "s1"]


async def test_cancelling_closes_both():
    """Whoever is asked."""
    async with no_leaks(), OpeAIServer() as first, OpeAIServer() as second:
        first.stall("no", after=1)
        second.stall("no", after=1)
        async with client_of(first, second, hedge=ALWAYS) as client:
            task = asyncio.create_task(client.chat.completions.create(**ASK, stream=True))
            await second.wait_received()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            for server in (first, second):
                assert (await server.wait_closed()).outcome == "client_gone"


async def test_a_server_with_two_modes():
    """One request in twenty is slow: fewer calls are, for at most 5 % more requests.

    How much faster it is, is measured where the time is made up: in tests/core/policy/endpoints/test_hedging.py.
    """
    usual_s, slow_s, calls = 0.03, 0.8, 300

    async def measure(hedge):
        chance, modes = random.Random(5), []
        sent = 0

        async def answer(_):
            nonlocal sent
            sent += 1
            if not modes:
                modes.extend([slow_s] * 5 + [usual_s] * 95)
                chance.shuffle(modes)
            delay_s = modes.pop()
            return Reply("slow" if delay_s == slow_s else "usual", delay_s=delay_s)

        async with OpeAIServer() as first, OpeAIServer() as second:
            for server in (first, second):
                server.handle(answer)
            endpoints = [Endpoint(base_url=server.base_url, api_key=server.api_key) for server in (first, second)]
            async with AsyncOpeAI(endpoints=Endpoints(endpoints, hedge=hedge)) as client:
                said = []

                async def some():
                    for _ in range(calls // 4):
                        async with client.chat.completions.stream(**ASK) as stream:
                            said.append(await anext(stream.text()))

                await asyncio.gather(*(some() for _ in range(4)))
        return said.count("slow"), sent

    slow_plain, _ = await measure(None)
    slow_hedged, sent = await measure(Hedge(after="p95", budget=0.05))
    assert slow_plain == 0.05 * calls
    assert slow_hedged < slow_plain  # under 1 % of the calls on a machine that is not busy
    assert sent <= 1.05 * calls + 1
