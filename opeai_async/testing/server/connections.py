"""A count of connections, by the hooks of aiohttp's web.Server: how many are open, and how many there ever were."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

_KEEP_ALIVE_S = 75.0

_SETTLE_S = 1.0


class ConnectionLedger(web.Server):
    """An aiohttp server that numbers its connections, and can end them all at once.

    Args:
        handler: A coroutine function that answers one request.
        on_change: A function that is called after a connection was opened or lost.

    Attributes:
        total: The number of connections that were ever accepted.
    """

    def __init__(
        self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], on_change: Callable[[], None]
    ) -> None:
        super().__init__(handler, handler_cancellation=True, access_log=None, keepalive_timeout=_KEEP_ALIVE_S)
        self.total: int = 0
        self._on_change = on_change
        # Number and transport of each open connection.
        self._live: dict[web.RequestHandler, tuple[int, asyncio.Transport]] = {}

    @property
    def open_count(self) -> int:
        """The number of connections that are open now."""
        return len(self._live)

    def number_of(self, protocol: web.RequestHandler) -> int:
        """Return the connection's number, from 1; 0 if it is lost."""
        return self._live[protocol][0] if protocol in self._live else 0

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Number the connection; called by aiohttp."""
        super().connection_made(handler, transport)
        self.total += 1
        self._live[handler] = (self.total, transport)
        self._on_change()

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Forget the connection; called by aiohttp."""
        super().connection_lost(handler, exc)
        self._live.pop(handler, None)
        self._on_change()

    async def abort_all(self) -> None:
        """Close every connection without waiting for its client, and return once the handlers have ended.

        A handler that resists its cancellation is left behind after a second.
        """
        for _, transport in self._live.values():
            transport.abort()
        try:
            async with asyncio.timeout(_SETTLE_S):
                # aiohttp forgets a connection when its task is done, some turns of the loop after its socket closed.
                while self.connections:  # noqa: ASYNC110 - there is no public event for it
                    await asyncio.sleep(0)
        except TimeoutError:
            pass
