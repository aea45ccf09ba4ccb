"""Lookups of names, as aiohttp does them (with aiodns where it is installed, else in threads), and how far they are.

A lookup in threads waits for a thread of the event loop's default executor, which blocking calls of the application
may have filled (``asyncio.to_thread``). Such a wait looks like a server that does not answer. So an empty job is queued
before each lookup: until that job is done, the lookup has not begun.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

# A lookup needs some: for a list of hosts, for a socket or two.
_NEEDED_DESCRIPTORS = 4


class Lookups(AbstractResolver):
    """A resolver of names for a connector; it makes aiohttp's own when the first name is asked for."""

    def __init__(self) -> None:
        self._resolver: AbstractResolver | None = None
        self._queued: set[asyncio.Future[None]] = set()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of *host*; called by aiohttp.

        Raises:
            OSError: If it has no address; with ``errno.EMFILE`` if this process has no descriptor left to ask.
        """
        try:
            if self._resolver is None:
                self._resolver = _new_resolver()
            if not isinstance(self._resolver, aiohttp.ThreadedResolver) or not _looks_up_in_executor():
                return await self._resolver.resolve(host, port, family)
            return await self._resolve_in_a_thread(self._resolver, host, port, family)
        except (OSError, LookupError) as exc:  # a LookupError where the codec for names cannot be loaded
            if not has_descriptors():
                # getaddrinfo calls the name unknown then, or the server, where it could not open a file or a socket.
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE)) from exc
            raise

    async def _resolve_in_a_thread(
        self, resolver: AbstractResolver, host: str, port: int, family: socket.AddressFamily
    ) -> list[ResolveResult]:
        queued = asyncio.get_running_loop().run_in_executor(None, _nothing)
        self._queued.add(queued)
        try:
            return await resolver.resolve(host, port, family)
        finally:
            queued.cancel()
            self._queued.discard(queued)

    def has_begun(self) -> bool:
        """Tell whether each lookup has got its thread."""
        return all(queued.done() for queued in self._queued)

    async def close(self) -> None:
        """End the lookups that are running."""
        resolver, self._resolver = self._resolver, None
        if resolver is not None:
            await resolver.close()


def has_descriptors() -> bool:
    """Tell whether this process can open the descriptors that a lookup needs."""
    opened: list[socket.socket] = []
    try:
        for _ in range(_NEEDED_DESCRIPTORS):
            opened.append(socket.socket())  # noqa: PERF401 - those before the failure are to be closed
    except OSError:
        return False
    else:
        return True
    finally:
        for sock in opened:
            sock.close()


def _new_resolver() -> AbstractResolver:
    make: Callable[[], AbstractResolver] = aiohttp.DefaultResolver
    try:
        return make()
    except Exception as exc:
        if not has_descriptors():
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE)) from exc
        return aiohttp.ThreadedResolver()


def _looks_up_in_executor() -> bool:
    """Tell whether the event loop looks names up in its executor; uvloop has threads of its own for that."""
    getaddrinfo = getattr(type(asyncio.get_running_loop()), "getaddrinfo", None)
    return getaddrinfo is asyncio.BaseEventLoop.getaddrinfo


def _nothing() -> None:
    """Do nothing, in a thread: that it was done shows that a thread was free."""
