"""A limit that a busy event loop does not use up."""

from __future__ import annotations

import asyncio
import math
import time

import pytest

from opeai_async._io.patience import Patience


async def test_what_is_in_time() -> None:
    """Nothing happens, and no timer is left."""
    for limit_s in (60, math.inf):
        with Patience(limit_s):
            await asyncio.sleep(0)
    with pytest.raises(KeyError):
        with Patience(60):
            raise KeyError


async def test_what_is_not() -> None:
    """It ends as `asyncio.timeout` does."""
    with pytest.raises(TimeoutError):
        with Patience(0.01):
            await asyncio.Event().wait()


async def test_an_answer_that_waits_for_a_busy_loop() -> None:
    """What held the loop up is not the server's fault."""
    loop, answer = asyncio.get_running_loop(), asyncio.Event()
    with Patience(0.1):
        loop.call_later(0.15, answer.set)
        await asyncio.sleep(0)
        time.sleep(0.3)  # noqa: ASYNC251 - the busy loop
        await answer.wait()


async def test_a_loop_that_is_always_busy() -> None:
    """The limit is given back once, so that there is an end."""

    def hold_up() -> None:
        time.sleep(0.12)
        nonlocal handle
        handle = loop.call_soon(hold_up)

    loop = asyncio.get_running_loop()
    handle = loop.call_soon(hold_up)
    with pytest.raises(TimeoutError):
        with Patience(0.2):
            await asyncio.Event().wait()
    handle.cancel()
