"""Calls in line for a server that has asked to wait, over real sockets."""

import asyncio

import pytest

from opeai_async import ClientClosedError, RateLimitError, Timeouts
from opeai_async.testing import OpeAIServer
from tests.support.chunks import BODY
from tests.support.leaks import no_leaks


async def create(client, **options):
    return await client.chat.completions.create(**BODY, **options)


async def paused(server, client, wait="0.3"):
    """A call that was refused, and waits in line."""
    server.fail(429, headers={"retry-after": wait})
    first = asyncio.create_task(create(client))
    await server.wait_received(1)
    await asyncio.sleep(0.05)
    return first


async def test_a_pause_holds_the_calls_that_come_later():
    """Nothing reaches the server before its end; then all are answered, also behind one that was cancelled."""
    async with no_leaks(), OpeAIServer() as server, server.client() as client:
        first = await paused(server, client)
        others = [asyncio.create_task(create(client)) for _ in range(5)]
        await asyncio.sleep(0.05)
        others[0].cancel()
        assert len(server.requests) == 1
        await asyncio.gather(first, *others[1:])
        assert len(server.requests) == 6
        assert client._wiring.budget.tokens == client._wiring.budget.capacity


async def test_a_call_that_cannot_wait_is_not_sent():
    async with no_leaks(), OpeAIServer() as server, server.client() as client:
        first = await paused(server, client)
        with pytest.raises(RateLimitError, match=r"not sent to .* would pass total_s=0\.1") as caught:
            await create(client, timeouts=Timeouts(total_s=0.1))
        assert caught.value.retry_after_s > 0
        await first


async def test_closing_the_client_wakes_those_in_line():
    async with no_leaks(), OpeAIServer() as server:
        client = server.client()
        calls = [await paused(server, client, "30"), asyncio.create_task(create(client))]
        await asyncio.sleep(0.05)
        await client.aclose()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result) for result in results] == [ClientClosedError, ClientClosedError]
