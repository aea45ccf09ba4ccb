"""What a transport needs beside its HTTP library: what it learns of a request, its slots, its sockets, its end."""

from __future__ import annotations

import asyncio
import math
import re
import select
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Protocol
from urllib.parse import urlsplit

from opeai_async._core.redact import redact
from opeai_async._core.retry import Cause
from opeai_async._io.transport import SendError
from opeai_async.errors import PoolTimeoutError

_CERTIFICATE_ALERT = "ALERT_(.*CERTIFICATE.*|UNKNOWN_CA|ACCESS_DENIED)"  # RFC 8446 6.2


class Connection(Protocol):
    """A connection, as far as a request cares.

    Attributes:
        bytes_read: How many bytes it has brought, to this request and others.
        served: How many requests it was given to.
    """

    bytes_read: int
    served: int

    @property
    def transport(self) -> asyncio.Transport | None:
        """None where it is lost."""
        ...


class Sending:
    """What is learned about one request while it is sent.

    Attributes:
        connect_s: Limit for a connection, in seconds.
        reused: Whether its connection had served a request before.
        fresh_only: Whether it shall not go out on such a connection again.
        spoiled: Whether the server has spoken, or hung up, on that connection before it was asked.
        transport: That connection; None while there is none.
    """

    __slots__ = (
        "_bytes",
        "_connection",
        "_on_connected",
        "_turn",
        "_url",
        "_via_proxy",
        "connect_s",
        "fresh_only",
        "reused",
        "spoiled",
        "transport",
    )

    def __init__(self, url: str, connect_s: float, on_connected: Callable[[], None], *, via_proxy: bool) -> None:
        self._url = url
        self._via_proxy = via_proxy
        self._on_connected = on_connected
        self.connect_s = connect_s
        self.fresh_only = False
        self.start()

    @property
    def host(self) -> str:
        """The host of the URL."""
        return urlsplit(self._url).hostname or "the server"

    @property
    def where(self) -> str:
        """For messages: the host, and whether there is a proxy before it."""
        return f"{self.host} through the proxy" if self._via_proxy else self.host

    def start(self) -> None:
        """Forget the connection of the try before."""
        self.reused = self.spoiled = False
        self.transport: asyncio.Transport | None = None
        self._connection: Connection | None = None
        self._turn = self._bytes = 0

    def begin(self, connection: Connection, *, reused: bool) -> None:
        """The request will go out on *connection*; calls what was to be called then."""
        self.reused, self.transport = reused, connection.transport
        self._connection, self._turn, self._bytes = connection, connection.served, connection.bytes_read
        self._on_connected()

    def settle(self) -> None:
        """The answer has come, and the request will not go out again: what it was is let go of."""
        self._on_connected = _nothing

    def has_answer(self) -> bool:
        """Whether the server has sent anything since ``begin``."""
        return self._connection is not None and self._connection.bytes_read != self._bytes

    def abort(self) -> None:
        """Close the connection, unless it is another request's by now."""
        if self.transport is not None and self._connection is not None and self._connection.served == self._turn:
            self.transport.abort()


def _nothing() -> None:
    """Is done where nothing more is to be done."""


class Slots:
    """At most *size* answers open at once."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free = asyncio.Semaphore(size)

    async def take(self, pool_s: float, count_open: Callable[[], int]) -> None:
        """Wait for a slot, at most *pool_s* seconds.

        Raises:
            SendError: If none became free; the message says how many answers *count_open* found.
        """
        try:
            async with asyncio.timeout(None if math.isinf(pool_s) else pool_s):
                await self._free.acquire()
        except TimeoutError:
            message = (
                f"no connection became free within {pool_s:g} s: {count_open()} responses are open, "
                f"max_connections={self._size}"
            )
            raise SendError(PoolTimeoutError(message, phase="pool", timeout_s=pool_s), Cause.FINAL) from None

    def free(self) -> None:
        """Give a slot back."""
        self._free.release()


def has_input(sock: socket.socket) -> bool:
    """Whether *sock* has bytes, or its end, that nobody has read yet."""
    if not hasattr(select, "poll"):  # pragma: no cover - Windows, where select() takes any socket
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def is_refused_certificate(cause: BaseException | None) -> bool:
    """Whether the server did not like ours, or missed one: in TLS 1.3 it says so after the handshake."""
    reason = cause.reason if isinstance(cause, ssl.SSLError) else None
    return bool(reason and re.search(_CERTIFICATE_ALERT, reason))


def first_line(text: str) -> str:
    """The beginning of *text*, without what looks like a key."""
    return redact(text.partition("\n")[0][:300])


class Closable(Protocol):
    """A session."""

    def close(self) -> Awaitable[None]:
        """Close every connection."""
        ...


class Abortable(Protocol):
    """A response."""

    def abort(self) -> None:
        """Close its connection now."""
        ...


async def closed_with_loop(session: Closable, responses: Iterable[Abortable]) -> AsyncGenerator[None, None]:
    """Closes *session* when it is closed itself, or else when the event loop ends, which closes its generators.

    So nothing is left behind by a client that outlives its ``asyncio.run``.
    """
    try:
        yield
    finally:
        for response in list(responses):
            response.abort()
        await session.close()
