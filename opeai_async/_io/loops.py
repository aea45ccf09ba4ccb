"""The event loop: find the running one, call into another one, and keep its tasks alive.

An object that is dropped is finalized in any thread, also after its loop was closed, so its cleaning up cannot simply
be called: it goes through `on_loop`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from threading import Thread
from typing import TYPE_CHECKING

from opeai_async.errors import ConfigurationError

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal


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


class LoopThread(AbstractContextManager["BlockingPortal"]):
    """An event loop in a thread, from ``__enter__`` to ``__exit__``, and anyio's portal to it.

    The thread is a daemon. That of anyio's `start_blocking_portal` is not, and Python waits for it before it ends: a
    script that does not close its client would never end. A generator in place of this class would be closed by the
    garbage collector, which then waits for a loop that stands still while Python ends.
    """

    def __init__(self, name: str) -> None:
        self._begun: Future[BlockingPortal] = Future()
        self._thread = Thread(target=self._live, name=name, daemon=True)

    def __enter__(self) -> BlockingPortal:
        self._thread.start()
        return self._begun.result()

    def __exit__(self, exc_type: type[BaseException] | None, *_: object) -> None:
        portal = self._begun.result()
        portal.call(portal.stop, exc_type is not None)
        self._thread.join()

    def _live(self) -> None:
        import anyio
        from anyio.from_thread import BlockingPortal

        async def serve() -> None:
            async with BlockingPortal() as portal:
                self._begun.set_result(portal)
                await portal.sleep_until_stopped()

        try:
            anyio.run(serve)
        except BaseException as exc:
            if self._begun.done():
                raise
            self._begun.set_exception(exc)  # such as that of a process which is out of file descriptors
