"""What must never be left: connections, slots, tasks and timers."""

import asyncio

import pytest

from opeai_async import OpeAIError, Timeouts
from opeai_async.testing import OpeAIServer
from tests.support.clients import open_responses
from tests.support.leaks import no_collector, no_leaks
from tests.support.reading.chunks import BODY

ENDINGS = {
    "reply": lambda server: server.reply("one two three"),
    "json": lambda server: server.raw(b'{"object": "chat.completion", "choices": []}'),
    "failure": lambda server: server.fail(500),
    "drop": lambda server: server.drop(),
    "cut": lambda server: server.cut("one two", after=2),
    "clean cut": lambda server: server.cut("one two", after=2, how="clean"),
    "stall": lambda server: server.stall("one", after=1),
    "html": lambda server: server.raw(b"<html>login</html>"),
    "nonsense": lambda server: server.raw(b"data: {nonsense\n\n"),
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("stream", [False, True])
async def test_nothing_is_left_after_any_end(ending, stream):
    """However an answer ends, its slot is free at once, and without the cyclic collector nothing else is left."""
    async with no_leaks(), OpeAIServer() as server, no_collector():
        async with server.client(max_retries=0, max_connections=1, timeouts=Timeouts(idle_bytes_s=0.05)) as client:
            for _ in range(3):
                ENDINGS[ending](server)
                try:
                    if stream:
                        await client.chat.completions.stream(**BODY).completion()
                    else:
                        await client.chat.completions.create(**BODY)
                except OpeAIError:
                    pass
            assert (await client.chat.completions.create(**BODY)).choices
            assert open_responses(client) == 0


async def test_three_hundred_streams_leave_nothing():
    """Fifty at a time, some read to the end, some left, some cancelled."""
    async with no_leaks(), OpeAIServer() as server, server.client(max_connections=50) as client:

        async def use(k):
            async with client.chat.completions.stream(**BODY) as stream:
                if k % 3 == 0:
                    await stream.completion()
                elif k % 3 == 1:
                    await anext(stream)
                else:
                    asyncio.get_running_loop().call_soon(stream.cancel)
                    async for _ in stream:
                        pass

        await asyncio.gather(*(use(k) for k in range(300)))
        assert (await client.chat.completions.create(**BODY)).choices
