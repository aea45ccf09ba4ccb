"""Fixtures for pytest. A conftest.py opts in::

    pytest_plugins = ["opeai_async.testing.pytest"]

    async def test_my_service(opeai_server, opeai_client):
        opeai_server.reply("Hello there")
        assert await my_service.greet(opeai_client) == "Hello there"
        assert opeai_server.requests[0].json["messages"][-1]["content"] == "Greet me"

``opeai_server`` runs in a thread of its own. That makes it an ordinary, synchronous fixture, which serves async tests
under any plugin, plain tests, and services started in another thread or process; a test that blocks its loop does not
block the server. A handler given to `OpeAIServer.handle` runs in that thread too. A test that wants the server on its
own loop writes ``async with OpeAIServer() as server`` instead.

``opeai_client`` must be closed on the loop that used it, so it is an async fixture: of anyio's plugin for tests which
that runs (it comes with this package; the backend must be asyncio), else of pytest-asyncio, in either of its modes.

aiohttp is imported when a fixture is first used, not when this plugin is loaded.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from opeai_async import AsyncOpeAI
    from opeai_async.testing.server.server import OpeAIServer


@pytest.fixture
def opeai_server_options() -> dict[str, Any]:
    """The arguments of ``opeai_server``; override the fixture for a module, or a folder, to change them::

    @pytest.fixture
    def opeai_server_options():
        return {"validate": False, "token_delay_s": 0.01}
    """
    return {}


@pytest.fixture
def opeai_server(opeai_server_options: dict[str, Any]) -> Iterator[OpeAIServer]:
    """A running server, new for each test."""
    from opeai_async.testing.server.server import OpeAIServer

    with OpeAIServer(**opeai_server_options) as server:
        yield server


@pytest.fixture
def opeai_client(request: pytest.FixtureRequest) -> AsyncOpeAI:
    """A client of ``opeai_server``, closed after the test."""
    # Each plugin closes its own async fixtures on the loop of the test, so the client comes from the one that runs it.
    if "anyio_backend" in request.fixturenames:
        runner = "anyio"
    elif request.config.pluginmanager.has_plugin("asyncio"):
        runner = "pytest_asyncio"
    else:
        pytest.fail("opeai_client needs an async test: mark it with pytest.mark.anyio, or install pytest-asyncio")
    client: AsyncOpeAI = request.getfixturevalue(f"_opeai_client_under_{runner}")
    return client


@pytest.fixture
async def _opeai_client_under_anyio(opeai_server: OpeAIServer) -> AsyncIterator[AsyncOpeAI]:
    async with opeai_server.client() as client:
        yield client


def pytest_configure(config: pytest.Config) -> None:
    """Offer the client to pytest-asyncio too, if it is installed."""
    # In strict mode it runs only fixtures that its own decorator made, and this module must load without it.
    pytest_asyncio: Any = config.pluginmanager.get_plugin("asyncio")
    if pytest_asyncio is None:
        return

    async def open_client(opeai_server: OpeAIServer) -> AsyncIterator[AsyncOpeAI]:
        async with opeai_server.client() as client:
            yield client

    name = "_opeai_client_under_pytest_asyncio"
    fixtures = ModuleType("opeai_async.testing.pytest: fixtures of pytest-asyncio")
    setattr(fixtures, name, pytest_asyncio.fixture(open_client, name=name))
    config.pluginmanager.register(fixtures, fixtures.__name__)
