"""A clock that jumps: where the event loop would sleep, the time goes on at once.

For tests without sockets. Timers fire in their order and at their time, only nobody waits for them; a test that would
hang reaches its time limit immediately.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def instant_time(turn_s: float = 0.0) -> Iterator[None]:
    """Let the running loop's time jump to the next timer whenever nothing else is to be done.

    Args:
        turn_s: How much time goes by with each turn of a busy loop.
    """
    loop = asyncio.get_running_loop()
    now, select = loop.time(), loop._selector.select

    def jump(timeout: float | None) -> list:
        nonlocal now
        if timeout is None or timeout <= 0:
            now += turn_s
            return select(timeout)
        events = select(0)
        if not events:
            now += timeout
        return events

    loop.time, loop._selector.select = lambda: now, jump
    try:
        yield
    finally:
        del loop.time, loop._selector.select
