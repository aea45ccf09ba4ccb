"""Call into other event loops, and keep tasks alive."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

from opeai_async.errors import ConfigurationError


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running event loop of asyncio, of whichever make.

    Raises:
        ConfigurationError: If there is none here, as under trio.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise _no_loop() from None


def _no_loop() -> ConfigurationError:
    if _is_trio_running():
        return ConfigurationError(
            "this needs an event loop of asyncio, and trio is running here",
            hint='run it by asyncio.run() or anyio.run(..., backend="asyncio"), or in a thread of its own beside trio',
        )
    return ConfigurationError(
        "this needs an event loop of asyncio, and none is running here", hint="await it in what asyncio.run() runs"
    )


def _is_trio_running() -> bool:
    """Tell whether this is called in a task of trio, which is never imported here."""
    trio = sys.modules.get("trio")
    return trio is not None and trio.lowlevel.in_trio_run()


def on_loop(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    """Call *act* on *loop*: now, if that is running here or closed for good; else as soon as it gets round to it."""
    if not loop.is_closed() and not is_running_here(loop):
        try:
            loop.call_soon_threadsafe(act)
        except RuntimeError:  # closed this very moment, by its own thread
            pass
        else:
            return
    act()


def is_running_here(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether the caller is a task or a callback of *loop*."""
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


_tasks: set[asyncio.Task[None]] = set()


def hold(task: asyncio.Task[None]) -> asyncio.Task[None]:
    """*task*, which goes on however few hold it: an event loop holds its tasks weakly."""
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task
