"""A server on the test's own loop, and an aiohttp session that has its key."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from opeai_async.testing import OpeAIServer
from tests.testing.wire import key_of


@pytest.fixture
async def server() -> AsyncIterator[OpeAIServer]:
    async with OpeAIServer() as server:
        yield server


@pytest.fixture
async def session(server: OpeAIServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers=key_of(server)) as session:
        yield session
