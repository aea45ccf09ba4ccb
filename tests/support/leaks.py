"""Proof that nothing is left: no task, no timer, no file descriptor, no open response."""

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import NamedTuple

from tests.support.loops.loops import is_on_uvloop, timers_of

SETTLE_S = 2.0


class Footprint(NamedTuple):
    """What an event loop holds on to."""

    tasks: frozenset[asyncio.Task]
    timers: frozenset[asyncio.TimerHandle]
    descriptors: int


def footprint() -> Footprint:
    """What is alive now."""
    loop = asyncio.get_running_loop()
    timers = frozenset(timers_of(loop))
    tasks = frozenset(task for task in asyncio.all_tasks() if not _is_of_the_test_runner(task))
    return Footprint(tasks, timers, open_descriptors())


def open_descriptors() -> int:
    """How many files and sockets are open, without what a loop keeps for itself.

    libuv opens /dev/null with a loop's first socket, as a spare for when there are no more descriptors.
    """
    spares = (os.devnull,) if is_on_uvloop() else ()
    folder = "/proc/self/fd"
    return sum(_target(f"{folder}/{name}") not in spares for name in os.listdir(folder))


def _target(link: str) -> str | None:
    try:
        return os.readlink(link)
    except FileNotFoundError:  # that of the listing itself
        return None


def _is_of_the_test_runner(task: asyncio.Task) -> bool:
    """anyio's pytest plugin has a task of its own for each test and each turn of a fixture."""
    return "TestRunner" in task.get_coro().__qualname__


def leaked(before: Footprint) -> str:
    """What there is now that was not there before; empty if nothing."""
    now = footprint()
    found = [repr(task) for task in now.tasks - before.tasks]
    found += [repr(timer) for timer in now.timers - before.timers]
    if now.descriptors > before.descriptors:
        found.append(f"{now.descriptors - before.descriptors} file descriptors")
    return "; ".join(found)


@asynccontextmanager
async def no_leaks() -> AsyncIterator[None]:
    """Fail if the block leaves anything behind; the peers of closed connections get a moment to notice."""
    before = footprint()
    yield
    await eventually(lambda: not leaked(before), lambda: f"left behind: {leaked(before)}")


async def eventually(is_so: Callable[[], bool], what: Callable[[], str] = lambda: "it did not happen") -> None:
    """Wait until *is_so*, which is due within moments."""
    deadline = asyncio.get_running_loop().time() + SETTLE_S
    while not is_so():
        assert asyncio.get_running_loop().time() < deadline, what()
        await asyncio.sleep(0.002)


@asynccontextmanager
async def no_collector() -> AsyncIterator[None]:
    """Switch the cyclic collector off: what goes away here does so by reference counts."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def in_a_thread(act: Callable[[], None]) -> None:
    """Run *act* in another thread, and wait for it here."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(act).result()
