"""A coroutine on each of the event loops that users run."""

import asyncio
import importlib.util
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from tests.support.leaks import no_leaks
from tests.support.loops import loops

T = TypeVar("T")

_HAS_UVLOOP = importlib.util.find_spec("uvloop") is not None  # there is none on Windows
LOOPS = [
    pytest.param("asyncio", id="asyncio"),
    pytest.param("uvloop", id="uvloop", marks=pytest.mark.skipif(not _HAS_UVLOOP, reason="uvloop is not installed")),
]


def run_on(name: str, coroutine: Coroutine[Any, Any, T]) -> T:
    """Run *coroutine* on a new loop of that name; fail if it leaves a task, a timer or a descriptor behind."""
    with asyncio.Runner(loop_factory=loops.LOOPS[name]) as runner:
        return runner.run(_without_leaks(coroutine))


async def _without_leaks(coroutine: Coroutine[Any, Any, T]) -> T:
    async with no_leaks():
        return await coroutine
