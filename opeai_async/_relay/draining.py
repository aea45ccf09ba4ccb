"""The end of a service: open answers may finish for a while, and those that are not done then get a last frame.

A server that is asked to end (SIGTERM) closes its websockets at once, or waits for event streams until it loses its
patience, and cuts them. Only then does it end the application, so an application that closes its client there comes too
late: its clients have seen a broken connection. `drain_on_sigterm` therefore takes the signal first, and passes it on
to the server when nothing is open any more::

    SIGTERM -> wait for open answers -> close the client -> relays send `error`, and end -> the server's own handler
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import weakref
from collections.abc import AsyncGenerator, Callable
from types import FrameType
from typing import Protocol

from opeai_async.errors import ConfigurationError

WAIT_S = 10.0
LAST_FRAMES_S = 1.0
_POLL_S = 0.02


class Drainable(Protocol):
    """A client that can be drained."""

    @property
    def open_answers(self) -> int:
        """The number of answers that are being received."""
        ...

    async def aclose(self) -> None:
        """Close every stream and connection."""
        ...


class _Sender(Protocol):
    """A relay or an event stream, which sends an answer to a client of the service."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop in which it sends; None if it has not begun."""
        ...


# Weak, because a framework may drop an event stream without closing it.
_senders: weakref.WeakSet[_Sender] = weakref.WeakSet()


def began(sender: _Sender) -> None:
    """Count *sender* among those that send an answer, until `ended` or until it is dropped."""
    _senders.add(sender)


def ended(sender: _Sender) -> None:
    """Forget *sender*, whose last frame has been sent."""
    _senders.discard(sender)


async def drain(*clients: Drainable, wait: float = WAIT_S) -> None:
    """Wait up to *wait* seconds for open answers to end, then close *clients*; the rest end with an ``error`` frame.

    Calls that begin meanwhile are served. Afterwards the clients are closed, and the last frames have been handed to
    the server; a browser that does not read is waited for only a second.

    Args:
        clients: All clients of this event loop whose answers are to end.
        wait: Seconds that open answers have left; 0 ends them now.

    Raises:
        ConfigurationError: If *wait* is negative.
    """
    if not wait >= 0:
        raise ConfigurationError(f"wait is {wait}, expected 0 seconds or more")
    loop = asyncio.get_running_loop()

    def is_busy() -> bool:
        return _is_sending(loop) or any(client.open_answers for client in clients)

    await _until_not(is_busy, loop.time() + wait)
    for client in clients:
        await client.aclose()
    await _until_not(lambda: _is_sending(loop), loop.time() + LAST_FRAMES_S)


@contextlib.asynccontextmanager
async def drain_on_sigterm(*clients: Drainable, wait: float = WAIT_S) -> AsyncGenerator[None]:
    """Drain *clients* when this process gets a SIGTERM, and only then let the server have the signal.

    Use it in the application's lifespan, around its ``yield``. A second SIGTERM does not wait. It does nothing where
    the event loop is not in the main thread, which alone may handle signals, as with the test clients of frameworks.

    A server that handles the signal by ``loop.add_signal_handler`` (granian, hypercorn) begins to close at the same
    time, and one that does not pass it on to its workers (hypercorn with ``--workers`` other than 0) is not noticed.

    Args:
        clients: As for `drain`.
        wait: As for `drain`. The server, and what supervises it, must wait a little longer than that.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    on_signal = _OnSignal(clients, wait)
    on_signal.install()
    try:
        yield
    finally:
        await on_signal.remove()


class _OnSignal:
    """The handler of SIGTERM, in front of the one that was there.

    Attributes:
        previous: The handler before it, as ``signal.getsignal`` returns it.
    """

    def __init__(self, clients: tuple[Drainable, ...], wait: float) -> None:
        self.previous: Callable[[int, FrameType | None], object] | int | None = None
        self._clients = clients
        self._wait = wait
        self._loop = asyncio.get_running_loop()
        self._draining: asyncio.Task[None] | None = None

    def install(self) -> None:
        """Handle the signal from now on."""
        self.previous = signal.signal(signal.SIGTERM, self._handle)

    async def remove(self) -> None:
        """Restore the handler before, unless another one was installed meanwhile, and end the draining."""
        # Compared by ==: each access to a method makes another object.
        if signal.getsignal(signal.SIGTERM) == self._handle:
            signal.signal(signal.SIGTERM, self.previous)
        if self._draining is not None and not self._draining.done():
            self._draining.cancel()
            await asyncio.wait([self._draining])

    def _handle(self, number: int, frame: FrameType | None) -> None:
        # It runs between any two steps of the loop's thread, so it only asks the loop to begin.
        self._loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        if self._draining is None:
            self._draining = self._loop.create_task(self._drain(), name="opeai_async drain")
        else:
            self._pass_on()  # a second signal means: at once

    async def _drain(self) -> None:
        try:
            await drain(*self._clients, wait=self._wait)
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        previous = self.previous
        # Without a handler in Python, only the system's default ends the process, and only a real signal reaches it.
        if callable(previous):
            previous(signal.SIGTERM, None)
        elif previous == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)


def _is_sending(loop: asyncio.AbstractEventLoop) -> bool:
    return any(sender.loop is loop for sender in list(_senders))


async def _until_not(is_so: Callable[[], bool], due: float) -> None:
    loop = asyncio.get_running_loop()
    while is_so() and loop.time() < due:  # noqa: ASYNC110 - nothing tells when a response of a transport ends
        await asyncio.sleep(_POLL_S)
