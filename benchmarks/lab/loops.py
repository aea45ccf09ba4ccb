"""The event loops that are measured: asyncio's own, and uvloop, which most services run on."""

import asyncio
import importlib.util
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")

ASYNCIO = "asyncio"
UVLOOP = "uvloop"
LOOPS = (ASYNCIO, UVLOOP)


def installed() -> tuple[str, ...]:
    """Return the names of those that are here."""
    return LOOPS if importlib.util.find_spec(UVLOOP) is not None else (ASYNCIO,)


def runner(loop: str) -> asyncio.Runner:
    """Return a runner whose coroutines run on a loop of that name."""
    if loop == ASYNCIO:
        return asyncio.Runner(loop_factory=asyncio.new_event_loop)
    import uvloop

    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def run(loop: str, main: Coroutine[object, object, T]) -> T:
    """Run *main* on a fresh loop of that name, as ``asyncio.run`` does; for processes that are told which to use."""
    with runner(loop) as running:
        return running.run(main)
