"""What every test gets: one kind of event loop, a time limit, and a package that is not the source tree by accident."""

import functools
import inspect
import os
import signal
import sys
from collections.abc import AsyncIterator, Generator
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, settings

from opeai_async import AsyncOpeAI
from opeai_async.testing import OpeAIServer

# Appended, not inserted: `tests.*` and `benchmarks.*` are found here, but an installed opeai_async goes first.
sys.path.append(str(Path(__file__).parents[1]))

from tests.support.leaks import no_leaks
from tests.support.loops import loops

DEFAULT_TIME_LIMIT_S = 30

# HYPOTHESIS_PROFILE=thorough looks much longer.
settings.register_profile("quick", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer ``--loop``."""
    default = os.environ.get(loops.VARIABLE, loops.DEFAULT)
    parser.addoption("--loop", choices=list(loops.LOOPS), default=default, help="the event loop that the tests run on")


def pytest_configure(config: pytest.Config) -> None:
    """Choose the event loop, here and in what tests run in a process of its own."""
    loops.choose(config.getoption("--loop"))
    os.environ[loops.VARIABLE] = loops.chosen()
    # A shell starts what it sends to the background with SIGINT ignored, and each child has that from it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    """Say which loop it is."""
    return f"event loop: {loops.chosen()}"


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """aiohttp knows asyncio only; without a name, it is the loop that was chosen (tests/support/loops/loops.py)."""
    return "asyncio", {"use_uvloop": False}


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Cancel an async test that hangs, so that it fails alone and shows where it waited."""
    if inspect.iscoroutinefunction(pyfuncitem.obj):
        marker = pyfuncitem.get_closest_marker("time_limit")
        pyfuncitem.obj = _limited(pyfuncitem.obj, marker.args[0] if marker else DEFAULT_TIME_LIMIT_S)
    return (yield)


def _limited(test, seconds):
    @functools.wraps(test)
    async def limited(**fixtures):
        with anyio.fail_after(seconds):
            await test(**fixtures)

    return limited


@pytest.fixture
async def server() -> AsyncIterator[OpeAIServer]:
    """A server for this test; after it, there is no task, timer or file more than before."""
    async with no_leaks(), OpeAIServer() as server:
        yield server


@pytest.fixture
async def client(server: OpeAIServer) -> AsyncIterator[AsyncOpeAI]:
    """A client of that server."""
    async with server.client() as client:
        yield client
