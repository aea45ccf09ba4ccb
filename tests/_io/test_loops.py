"""A client that outlives event loops."""

import asyncio
import os

import pytest

from opeai_async import AsyncOpeAI
from opeai_async.testing import OpeAIServer
from tests.support.chunks import BODY


def test_one_client_over_several_runs():
    """Each ``asyncio.run`` gets fresh connections, and leaves none behind, closed or not."""
    client = AsyncOpeAI("sk-test", base_url="http://127.0.0.1:1/v1")
    before = len(os.listdir("/proc/self/fd"))

    async def use(leave_open):
        async with OpeAIServer() as server:
            server.stall("one two", after=2)
            client._url = f"{server.base_url}/chat/completions"
            stream = client.chat.completions.stream(**BODY)
            await anext(stream)
            if not leave_open:
                await stream.aclose()
            assert await client.chat.completions.create(**BODY)
            left.append(stream)

    left = []
    for leave_open in (False, True, False):
        asyncio.run(use(leave_open))
    assert len(os.listdir("/proc/self/fd")) == before
    asyncio.run(client.aclose())
    with pytest.warns(ResourceWarning, match="unclosed <ChatCompletionStream"):
        left.clear()
