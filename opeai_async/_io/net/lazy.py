"""The transport of a client before its first request.

To import aiohttp takes long, so the first request does it, and not ``import opeai_async`` or the making of a client.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable

from opeai_async._core.call.http import Request
from opeai_async._core.call.retry import Cause
from opeai_async._io.net.lifetime import Origin
from opeai_async._io.transport import Response, SendError, Transport
from opeai_async.errors import ClientClosedError, LocalResourceError


class LazyTransport:
    """A transport that makes an `AiohttpTransport` for its first request, and passes all requests on to it."""

    keeps_limits: bool = True

    def __init__(
        self, max_connections: int | None, ssl_context: ssl.SSLContext | None, proxy: str | None, origin: Origin
    ) -> None:
        self._make: Callable[[], Transport] = lambda: _aiohttp_transport(max_connections, ssl_context, proxy, origin)
        # None until the first request; ``open_responses`` must not import aiohttp to say 0.
        self._made: Transport | None = None
        self._closed = False

    @property
    def open_responses(self) -> int:
        """The number of responses that are neither released nor aborted."""
        return getattr(self._made, "open_responses", 0)

    async def send(self, request: Request, *, connect_s: float, pool_s: float) -> Response:
        if self._made is None:
            if self._closed:
                raise SendError(ClientClosedError("the client is closed"), Cause.FINAL)
            try:
                self._made = self._make()
            except OSError as exc:  # of the import, in a process that is out of file descriptors
                raise SendError(LocalResourceError(f"aiohttp cannot be loaded: {exc}"), Cause.FINAL) from None
        return await self._made.send(request, connect_s=connect_s, pool_s=pool_s)

    async def aclose(self) -> None:
        self._closed = True
        if self._made is not None:
            await self._made.aclose()


def _aiohttp_transport(
    max_connections: int | None, ssl_context: ssl.SSLContext | None, proxy: str | None, origin: Origin
) -> Transport:
    from opeai_async._io.net.transport import AiohttpTransport

    return AiohttpTransport(max_connections=max_connections, ssl_context=ssl_context, proxy=proxy, origin=origin)
