"""One upstream, one client of it, and a service on each framework."""

import importlib.util
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from benchmarks.relay.services import NEEDS, SERVICES, Endpoint, Service
from benchmarks.relay.visitor import Visitor
from opeai_async import AsyncOpeAI
from opeai_async.testing import OpeAIServer
from tests.support.leaks import no_leaks

Serve = Callable[..., Awaitable[Service]]
Visit = Callable[..., Awaitable[Visitor]]


@pytest.fixture(autouse=True)
async def nothing_left() -> AsyncIterator[None]:
    """After each test, with all servers down, there is no task, timer or file more than before."""
    async with no_leaks():
        yield


@pytest.fixture
async def upstream() -> AsyncIterator[OpeAIServer]:
    async with OpeAIServer() as server:
        yield server


@pytest.fixture
async def client(upstream: OpeAIServer) -> AsyncIterator[AsyncOpeAI]:
    async with upstream.client() as client:
        yield client


@pytest.fixture(params=SERVICES)
def framework(request: pytest.FixtureRequest) -> str:
    """Each framework in turn, as far as it is installed."""
    module = NEEDS[request.param]
    if not importlib.util.find_spec(module):
        pytest.skip(f"{module} is not installed")
    return request.param


@pytest.fixture
async def serve(framework: str) -> AsyncIterator[Serve]:
    """Starts a service around an endpoint; options go to the service."""
    async with AsyncExitStack() as stack:

        async def start(endpoint: Endpoint, **options: float) -> Service:
            return await stack.enter_async_context(SERVICES[framework](endpoint, **options))

        yield start


@pytest.fixture
async def visit() -> AsyncIterator[Visit]:
    """Connects a visitor to a service; options go to `Visitor.connect`."""
    visitors: list[Visitor] = []

    async def connect(service: Service, **options: int) -> Visitor:
        visitors.append(await Visitor.connect(service.host, service.port, **options))
        return visitors[-1]

    yield connect
    for visitor in visitors:
        visitor.abort()
