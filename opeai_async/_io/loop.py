"""The event loop that runs here, or an error that says what to do where there is none."""

from __future__ import annotations

import asyncio
import sys

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
