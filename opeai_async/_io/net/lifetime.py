"""The end of a client that nobody closed: warn once, and close its connections.

===========================================  ==========================================================================
It never sent a request                      It owns nothing, and nothing happens.
Its event loop ended (``asyncio.run``)       The loop has closed its generators, ``closed_with_loop`` among them, and
                                             that has closed the connections: nothing is left, nothing is said.
Nothing holds it any more                    `Lifetime` warns once, and its connections are closed: by the loop, if it
                                             lives, from whatever thread; else here.
===========================================  ==========================================================================

A stream holds its client's connections: as long as one is read, its client may be forgotten.

``weakref.finalize`` and not ``__del__``: in a cycle, the collector calls it before any ``__del__``, and until then it
holds what is to be closed. With ``__del__``, aiohttp's own would come first as often as not, and print its internals.
"""

from __future__ import annotations

import asyncio
import warnings
import weakref
from collections.abc import Callable
from typing import Protocol

from opeai_async._io.net.socket_facts import Closable


class Pool(Closable, Protocol):
    """Connections, as far as their end matters."""

    @property
    def closed(self) -> bool:
        """True once they are closed."""
        ...

    def discard(self) -> None:
        """Close them without their event loop, which is closed."""
        ...


class Origin:
    """The place where a client was made: ``python -X tracemalloc`` shows it below the warning.

    Attributes:
        name: What the warning calls the client.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Lifetime:
    """A watch on the owner of a pool.

    Args:
        owner: The object that must close the pool.
        pool: The connections; it must not hold *owner*.
        release: Called before the pool is closed; it must not hold *owner* either.
    """

    def __init__(self, owner: object, pool: Pool, origin: Origin, release: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self._finalizer = weakref.finalize(owner, _dropped, pool, loop, origin, release)

    def end(self) -> None:
        """Stop watching, because the owner has closed the pool."""
        self._finalizer.detach()


def _dropped(pool: Pool, loop: asyncio.AbstractEventLoop, origin: Origin, release: Callable[[], None]) -> None:
    release()
    # Its own loop may have closed it a moment ago, with its generators.
    if pool.closed:
        return
    try:
        warnings.warn(
            f"unclosed {origin.name}: nothing holds it any more, so its connections are closed now; "
            'end a client with "async with" or "await client.aclose()"',
            ResourceWarning,
            stacklevel=2,
            source=origin,
        )
    finally:  # where warnings are errors, too
        _close(pool, loop)


def _close(pool: Pool, loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.call_soon_threadsafe(_close_soon, pool, loop)
    except RuntimeError:  # it is closed
        pool.discard()


def _close_soon(pool: Pool, loop: asyncio.AbstractEventLoop) -> None:
    closing = loop.create_task(_closed(pool), name="opeai_async closing a dropped client")
    _closing.add(closing)  # the loop itself would let it be collected
    closing.add_done_callback(_closing.discard)


async def _closed(pool: Pool) -> None:
    await pool.close()


_closing: set[asyncio.Task[None]] = set()
