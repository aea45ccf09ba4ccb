"""The facts about one request while it is sent: which connection it has, and what the server has said on it.

The connector, the poster and the messages of errors all need them, and aiohttp passes none of them through, so a
`Sending` travels beside each request (in the context variable ``connections.SENDING``).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from enum import Enum
from typing import Any, Protocol
from urllib.parse import urlsplit

# As the socket module has it: family, type, protocol, canonical name, address.
Address = tuple[int, int, int, str, tuple[Any, ...]]


class Connection(Protocol):
    """A connection, as far as a request cares.

    Attributes:
        beginning: The first bytes that came for the present request; those that come unasked when it is made count
            for its first one.
        bytes_read: How many bytes it has brought, to this request and others.
        served: How many requests it was given to.
    """

    beginning: bytes
    bytes_read: int
    served: int

    @property
    def transport(self) -> asyncio.Transport | None:
        """None where it is lost."""
        ...


class Wait(Enum):
    """The step at which a request without a connection waits."""

    EXECUTOR = "executor"
    """A thread of the event loop's default executor, to look the name up."""
    LOOKUP = "lookup"
    """The answer to that."""
    SERVER = "server"
    """The server: TCP, the proxy or TLS."""


class Sending:
    """The facts that are learned about one request while it is sent.

    It passes through these states, and starts again when it goes out a second time, on a fresh connection:

        start() -> waiting for a connection -> begin(connection) -> written -> settle() or abort()

    Attributes:
        address: The last address that was tried for its connection (family, type, protocol, name, address); None
            before that.
        connect_s: The limit for a connection, in seconds.
        reused: True if its connection had served a request before.
        fresh_only: True if it must not go out on a used connection again.
        is_plain: True if the server was seen to speak plain HTTP where TLS was wanted.
        socket: The last socket that was made for its connection; None before that, and once there is a connection.
        spoiled: True if the server had spoken, or hung up, on its connection before it was asked.
        transport: Its connection's transport; None while there is no connection.
        url: The URL that it goes to.
        waits_for: The step at which it waited when the limit for a connection ran out.
    """

    __slots__ = (
        "_bytes",
        "_connection",
        "_on_connected",
        "_proxy",
        "_turn",
        "address",
        "connect_s",
        "fresh_only",
        "is_plain",
        "reused",
        "socket",
        "spoiled",
        "transport",
        "url",
        "waits_for",
    )

    def __init__(self, url: str, connect_s: float, on_connected: Callable[[], None], *, proxy: str | None) -> None:
        self.url = url
        self._proxy = proxy
        # Called when there is a connection: the time for the head begins then.
        self._on_connected = on_connected
        self.connect_s = connect_s
        self.fresh_only = False
        self.start()

    @property
    def host(self) -> str:
        """The host of the URL, or "the server" if it names none."""
        return urlsplit(self.url).hostname or "the server"

    @property
    def via_proxy(self) -> bool:
        """True if there is a proxy before the host."""
        return self._proxy is not None

    @property
    def where(self) -> str:
        """The host, and the words "through the proxy" if there is one; for messages."""
        return f"{self.host} through the proxy" if self.via_proxy else self.host

    @property
    def place(self) -> str:
        """The host and its port, and those of the proxy; for messages about connections."""
        place = host_and_port(self.url)
        return place if self._proxy is None else f"{place} through the proxy {host_and_port(self._proxy)}"

    def start(self) -> None:
        """Forget the connection of the try before."""
        self.reused = self.spoiled = False
        self.address: Address | None = None
        self.socket: socket.socket | None = None
        self.is_plain = False
        self.waits_for = Wait.SERVER
        self.transport: asyncio.Transport | None = None
        self._connection: Connection | None = None
        # Of the connection when it was taken: its count of requests, and of bytes. They tell ours from another's.
        self._turn = self._bytes = 0

    def begin(self, connection: Connection, *, reused: bool) -> None:
        """Note that the request will go out on *connection*, and call ``on_connected``."""
        self.reused, self.transport, self.socket = reused, connection.transport, None
        self._connection, self._turn = connection, connection.served
        # What a new connection has brought before its first request answers nothing; has_answer() counts it.
        self._bytes = connection.bytes_read if reused else 0
        # aiohttp's session looks for an answer before it lets us look what the server has said.
        self.spoiled = self.has_answer()
        self._on_connected()

    def settle(self) -> None:
        """Finish the request, and drop what it held for another try."""
        self._on_connected = _nothing

    def beginning(self) -> bytes:
        """Return the first bytes that came back; empty if none did."""
        return b"" if self._connection is None else self._connection.beginning

    def has_answer(self) -> bool:
        """Tell whether the server has sent anything since ``begin``."""
        return self._connection is not None and self._connection.bytes_read != self._bytes

    def abort(self) -> None:
        """Close the connection, unless another request has it by now."""
        if self.transport is not None and self._connection is not None and self._connection.served == self._turn:
            self.transport.abort()


def host_and_port(url: str) -> str:
    """Return the host and the port of *url*, and nothing else of it: the rest may hold a password."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _nothing() -> None:
    """Stand in for the callback of a request that is settled."""
