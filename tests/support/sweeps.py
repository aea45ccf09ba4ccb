"""Cancellation at the k-th await of a call, for every k there is.

An await counts when the call really gives up control. At each of them there are two moments: while what is awaited is
under way, and when it has just happened but the task has not been told yet. In the second, a result exists that the
caller never gets to see, and somebody has to clean it up.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import partial
from typing import Any, Generic, Literal, TypeVar

import pytest

T = TypeVar("T")
Moment = Literal["under way", "just done"]
MOMENTS: tuple[Moment, ...] = ("under way", "just done")
MAX_AWAITS = 200


class CancelAt(Generic[T]):
    """Awaits *call*, whose task is cancelled at await number *k*, from 1.

    Attributes:
        awaits: How many awaits there have been.
    """

    def __init__(self, call: Coroutine[Any, Any, T], k: int, moment: Moment) -> None:
        self.awaits = 0
        self._call = call
        self._k = k
        self._moment = moment

    def __await__(self) -> Generator[Any, None, T]:
        call, task = self._call, asyncio.current_task()
        resume: Callable[[], Any] = partial(call.send, None)
        while True:
            try:
                awaited = resume()
            except StopIteration as exc:
                return exc.value
            self.awaits += 1
            if self.awaits == self._k:
                self._cancel(task, awaited)
            try:
                yield awaited
            except asyncio.CancelledError as exc:
                resume = partial(call.throw, exc)
            else:
                resume = partial(call.send, None)

    def _cancel(self, task: asyncio.Task, awaited: asyncio.Future | None) -> None:
        if awaited is None or self._moment == "under way":
            asyncio.get_running_loop().call_soon(task.cancel)
        else:
            # Before the task's own callback, which is added when this future reaches it.
            awaited.add_done_callback(lambda _: task.cancel())


async def sweep(run: Callable[[int], Awaitable[bool]]) -> int:
    """Call ``run(k)`` for k = 1, 2, ... until it returns False, for a call that was through before it was cancelled.

    Returns:
        How many awaits the call has.
    """
    for k in range(1, MAX_AWAITS):
        if not await run(k):
            assert k > 1, "there was no await"
            return k - 1
    pytest.fail(f"not through after {MAX_AWAITS} awaits")


async def cancelled_at(k: int, call: Coroutine[Any, Any, object], moment: Moment) -> asyncio.CancelledError | None:
    """Run *call* in a task of its own and cancel it at await number *k*; None if it had fewer."""
    task = asyncio.ensure_future(CancelAt(call, k, moment))
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
        return None
    try:
        await task
    except asyncio.CancelledError as exc:
        return exc
