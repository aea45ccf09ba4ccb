"""Work for a client that may leave before it is done, such as ``create`` in a handler that answers with plain JSON.

Frameworks do not end a handler when its client has left: the handler runs to its end, and the model is paid for an
answer that nobody reads. `race` ends the work then. It cancels its own task, as ``asyncio.timeout`` does, and not a
task made for the work: so a cancellation from outside, and a deadline of asyncio or anyio, reach the work by the usual
way.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

from opeai_async._core.frames.inbound import is_gone
from opeai_async.errors import ConfigurationError

T = TypeVar("T")

Gone: TypeAlias = Callable[[], Awaitable[Any] | bool] | Awaitable[Any]
"""A function or an awaitable that says when the client has gone; see `race`."""

POLL_S = 0.1


async def race(work: Awaitable[T], gone: Gone, *, poll: float = POLL_S) -> T | None:
    """Await *work*, and end it when the client has gone.

    The work is ended by cancelling it, so ``create`` closes its connection to the model's server, which stops the bill.
    If the work is done at the same moment, its result counts.

    Args:
        work: Such as ``client.chat.completions.create(...)``, or any other awaitable.
        gone: A function or an awaitable. A function is called, and what it returns is awaited if it can be, until the
            result says that the client has gone: True, None, the ``http.disconnect`` or ``websocket.disconnect`` of
            ASGI, a closing message of aiohttp. After False it is called again *poll* seconds later, after any other
            message at once. An awaitable, such as a future, says it by its end.

            - Starlette and FastAPI: ``request.is_disconnected`` knows within *poll*, ``request.receive`` within
              milliseconds. Either takes what is left of the request's body, so read that before.
            - aiohttp.web: ``lambda: request.transport is None``, within *poll*. An ``AppRunner`` that was made with
              ``handler_cancellation=True`` cancels the handler within milliseconds, and needs no race.
            - websockets: ``ws.wait_closed``, within milliseconds.
        poll: Seconds between two calls of *gone*, more than 0.

    Returns:
        The result of *work*; None if the client has gone, when nobody reads what the handler answers.

    Raises:
        ConfigurationError: If an argument cannot be used; *work* did not begin then, if it is a coroutine.
        Exception: What *work* raises; or what *gone* raises, after the work has been ended.
    """
    try:
        _check(work, gone, poll)
    except ConfigurationError:
        for given in (work, gone):
            if inspect.iscoroutine(given):
                given.close()
        raise
    return await _Race(gone, poll).run(work)


def _check(work: object, gone: object, poll: float) -> None:
    if not inspect.isawaitable(work):
        hint = "give the call itself, without await: race(client.chat.completions.create(...), ...)"
        raise ConfigurationError(f"work is a {type(work).__name__}, expected something to await", hint=hint)
    if not callable(gone) and not inspect.isawaitable(gone):
        hint = "give the function itself, such as request.is_disconnected"
        raise ConfigurationError(f"gone is a {type(gone).__name__}, expected a function or an awaitable", hint=hint)
    if not poll > 0:
        raise ConfigurationError(f"poll is {poll}, expected more than 0 seconds")


class _Race:
    """One piece of work in its caller's task, and a watcher beside it.

    Attributes:
        is_lost: Whether the watcher has cancelled the task and that is not undone yet.
    """

    def __init__(self, gone: Gone, poll: float) -> None:
        task = asyncio.current_task()
        assert task is not None  # a coroutine of asyncio runs in one
        self._task = task
        self._gone = gone
        self._poll = poll
        self._is_over = False
        self.is_lost = False

    async def run(self, work: Awaitable[T]) -> T | None:
        """Await *work*, unless the watcher cancels this task meanwhile."""
        cancels_before = self._task.cancelling()
        watcher = asyncio.get_running_loop().create_task(self._watch(), name="opeai_async race watcher")
        watcher.add_done_callback(self._watched)
        try:
            return await work
        except asyncio.CancelledError:
            if not self.is_lost:
                raise
            self.is_lost = False
            if self._task.uncancel() > cancels_before:
                raise  # somebody else has cancelled this task, too
        finally:
            self._is_over = True
            if self.is_lost:  # the work ended in another way than by our cancellation
                self._task.uncancel()
            await self._stop(watcher)
        if not watcher.cancelled() and (error := watcher.exception()) is not None:
            raise error
        return None

    async def _watch(self) -> None:
        """Wait until the client has gone."""
        gone = self._gone
        if not callable(gone):
            # A future may be somebody else's, who still needs it when the work is done.
            if await (asyncio.shield(gone) if asyncio.isfuture(gone) else gone) is False:
                hint = "give the function itself, without calling it, such as request.is_disconnected"
                raise ConfigurationError("gone was an awaitable that gave False", hint=hint)
            return
        while True:
            said = gone()
            if inspect.isawaitable(said):
                said = await said
            if isinstance(said, int):  # a bool, most of all
                if said:
                    return
                await asyncio.sleep(self._poll)
            elif is_gone(said):
                return
            else:
                await asyncio.sleep(0)  # where many messages have come, the work has its turn too

    def _watched(self, watcher: asyncio.Task[None]) -> None:
        """End the work, because the client has gone or the watcher has failed."""
        if not watcher.cancelled():
            watcher.exception()  # or asyncio would say that nobody has looked at it
        if not self._is_over:
            self.is_lost = True
            self._task.cancel()

    async def _stop(self, watcher: asyncio.Task[None]) -> None:
        """Cancel *watcher*, and return when it has ended, also if this task is cancelled meanwhile.

        Raises:
            asyncio.CancelledError: If this task was cancelled; the watcher has ended even then.
        """
        # anyio cancels again and again until its scope is left, so one wait would not do.
        cancelled: asyncio.CancelledError | None = None
        watcher.cancel()
        while not watcher.done():
            try:
                await asyncio.wait([watcher])
            except asyncio.CancelledError as exc:
                cancelled = exc
        if inspect.iscoroutine(self._gone):
            self._gone.close()  # it may never have begun
        if cancelled is not None:
            raise cancelled
