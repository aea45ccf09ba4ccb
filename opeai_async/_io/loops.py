"""The event loop: find the running one, call into another one, and keep its tasks alive.

An object that is dropped is finalized in any thread, also after its loop was closed, so its cleaning up cannot simply
be called: it goes through `on_loop`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

from opeai_async.errors import ConfigurationError


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running event loop of asyncio, uvloop or another implementation of it.

    Raises:
        ConfigurationError: If no such loop is running here, as under trio.
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
    # A program that runs trio has imported it.
    trio = sys.modules.get("trio")
    return trio is not None and trio.lowlevel.in_trio_run()


def on_loop(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    """Call *act* on *loop*: at once if it runs here or is closed, else through ``call_soon_threadsafe``."""
    if not loop.is_closed() and not is_running_here(loop):
        try:
            loop.call_soon_threadsafe(act)
        except RuntimeError:  # closed this very moment, by its own thread
            pass
        else:
            return
    act()


def is_running_here(loop: asyncio.AbstractEventLoop) -> bool:
    """Tell whether the caller is a task or a callback of *loop*."""
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


# Shared by all loops of the process; a task leaves it by its own callback.
_tasks: set[asyncio.Task[None]] = set()


def hold(task: asyncio.Task[None]) -> asyncio.Task[None]:
    """Keep a strong reference to *task* until it is done, and return it; a loop holds only weak ones."""
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task
