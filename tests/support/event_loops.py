"""The event loops that users run, and a coroutine on each of them."""

import asyncio
import gc
import os
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

try:
    import uvloop
except ImportError:  # on Windows
    uvloop = None

T = TypeVar("T")

LOOPS = [
    pytest.param("asyncio", id="asyncio"),
    pytest.param("uvloop", id="uvloop", marks=pytest.mark.skipif(uvloop is None, reason="uvloop is not installed")),
]


def new_loop(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes a loop of that name."""
    return asyncio.new_event_loop if name == "asyncio" else uvloop.new_event_loop


def run_on(name: str, coroutine: Coroutine[Any, Any, T]) -> T:
    """Run *coroutine* on a new loop of that name; fail if it leaves a task, a timer or a descriptor behind."""
    with asyncio.Runner(loop_factory=new_loop(name)) as runner:
        return runner.run(_without_leaks(coroutine))


async def _without_leaks(coroutine: Coroutine[Any, Any, T]) -> T:
    before = _descriptors()
    result = await coroutine
    for _ in range(200):
        left = _left_behind(before)
        if not left:
            return result
        await asyncio.sleep(0.01)
    raise AssertionError(f"left behind: {left}")


def _left_behind(descriptors: int) -> list[str]:
    found = [repr(task) for task in asyncio.all_tasks() - {asyncio.current_task()}]
    found += [repr(it) for it in _pending_timers() if "Runner" not in repr(it) and "_without_leaks" not in repr(it)]
    now = _descriptors()
    return [*found, f"{now - descriptors} descriptors"] if now > descriptors else found


def _descriptors() -> int:
    """How many are open, without the one on /dev/null that libuv keeps once a loop has had a stream."""
    with os.scandir("/proc/self/fd") as entries:
        links = [os.readlink(entry.path) for entry in entries if os.path.lexists(entry.path)]
    return sum(link != os.devnull for link in links)


def _pending_timers() -> list[object]:
    loop = asyncio.get_running_loop()
    if hasattr(loop, "_scheduled"):
        return [timer for timer in loop._scheduled if not timer.cancelled()]
    # uvloop has no list of its timers, but they are objects of Python's.
    ours = ("opeai_async", "aiohttp")
    return [
        it
        for it in gc.get_objects()
        if type(it).__module__ == "uvloop.loop"
        and type(it).__name__ == "TimerHandle"
        and not it.cancelled()
        and any(name in repr(it) for name in ours)
    ]
