"""What a transport needs beside its HTTP library: what it learns of a request, its slots, its sockets, its end."""

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
        beginning: The first bytes that it brought to this request; or that it brought unasked, when it was made.
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
    """What a request without a connection waits for."""

    EXECUTOR = "executor"
    """A thread of the event loop's default executor, to look the name up."""
    LOOKUP = "lookup"
    """The answer to that."""
    SERVER = "server"
    """The server: TCP, the proxy or TLS."""


class Sending:
    """What is learned about one request while it is sent.

    Attributes:
        address: Where its connection was last tried: family, type, protocol, and the address itself; None before that.
        connect_s: Limit for a connection, in seconds.
        reused: Whether its connection had served a request before.
        fresh_only: Whether it shall not go out on such a connection again.
        is_plain: Whether the server was seen to speak plain HTTP where TLS was wanted.
        socket: The last one that was made for its connection, until there is a connection.
        spoiled: Whether the server has spoken, or hung up, on that connection before it was asked.
        transport: That connection; None while there is none.
        url: Where it goes.
        via_proxy: Whether there is a proxy before that.
        waits_for: What kept it from a connection until its limit.
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
        self._on_connected = on_connected
        self.connect_s = connect_s
        self.fresh_only = False
        self.start()

    @property
    def host(self) -> str:
        """The host of the URL."""
        return urlsplit(self.url).hostname or "the server"

    @property
    def via_proxy(self) -> bool:
        """Whether there is a proxy before the host."""
        return self._proxy is not None

    @property
    def where(self) -> str:
        """For messages: the host, and whether there is a proxy before it."""
        return f"{self.host} through the proxy" if self.via_proxy else self.host

    @property
    def place(self) -> str:
        """For messages about connections: the host and its port, and those of the proxy."""
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
        self._turn = self._bytes = 0

    def begin(self, connection: Connection, *, reused: bool) -> None:
        """The request will go out on *connection*; calls what was to be called then."""
        self.reused, self.transport, self.socket = reused, connection.transport, None
        self._connection, self._turn = connection, connection.served
        # What a new connection has brought before its first request is an answer to none; has_answer() counts it.
        self._bytes = connection.bytes_read if reused else 0
        # aiohttp's session looks for an answer before it lets us look what the server has said.
        self.spoiled = self.has_answer()
        self._on_connected()

    def settle(self) -> None:
        """The answer has come, and the request will not go out again: what it was is let go of."""
        self._on_connected = _nothing

    def beginning(self) -> bytes:
        """The first bytes that came back, if any."""
        return b"" if self._connection is None else self._connection.beginning

    def has_answer(self) -> bool:
        """Whether the server has sent anything since ``begin``."""
        return self._connection is not None and self._connection.bytes_read != self._bytes

    def abort(self) -> None:
        """Close the connection, unless it is another request's by now."""
        if self.transport is not None and self._connection is not None and self._connection.served == self._turn:
            self.transport.abort()


def host_and_port(url: str) -> str:
    """Return the host and the port of *url*, and nothing else of it: the rest may hold a password."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _nothing() -> None:
    """Is done where nothing more is to be done."""
