"""Waiting for a response apart from whoever reads the stream.

A read that is cancelled while the request is under way, as by ``asyncio.wait_for``, would otherwise send the request
again, and again from the beginning, each time it is tried. So the request has a task of its own, which the next read
goes on waiting for; it ends with the stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from opeai_async._io.reader import BodyReader


class Opening:
    """A request under way.

    Args:
        work: Brings the response; it must not hold the stream, which is closed when nobody holds it any more.
    """

    __slots__ = ("_task",)

    def __init__(self, work: Coroutine[Any, Any, BodyReader]) -> None:
        self._task = asyncio.get_running_loop().create_task(work, name="opeai_async opening")

    async def response(self, on_end: Callable[[], None]) -> BodyReader | None:
        """The response; None if it was abandoned. Cancelling this leaves the request under way.

        Args:
            on_end: Called once it is not under way any more.

        Raises:
            OpeAIError: If no response came.
        """
        await asyncio.wait([self._task])
        on_end()
        return None if self._task.cancelled() else self._task.result()

    def abandon(self) -> None:
        """End the request, and a response that may have come meanwhile; on the loop it is on."""
        self._task.add_done_callback(_abort_response)
        self._task.cancel()


def _abort_response(task: asyncio.Task[BodyReader]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().abort()
