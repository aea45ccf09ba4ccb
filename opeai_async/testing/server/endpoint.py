"""Addresses to which no request can be sent: they refuse, stay silent, or are not to be trusted.

An answering server cannot play these faults, because they strike before it has a request: `Endpoint` plays them on a
socket of its own, and counts what came in.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import tempfile
from collections.abc import Generator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from opeai_async._io.loops import running_loop
from opeai_async.testing import certificates
from opeai_async.testing.faults import fault_named
from opeai_async.testing.server.listening import stop_accepting

if TYPE_CHECKING:
    from opeai_async import AsyncOpeAI

_NEEDS_NO_TLS = ("refused", "connect_stall")
_CERTIFICATES = {
    "certificate_untrusted": certificates.LOCALHOST,
    "certificate_of_another": certificates.ELSEWHERE,
    "certificate_expired": certificates.EXPIRED,
}
_PLAIN = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
# So many unaccepted connections fill a queue of length 0, with some to spare.
_FILLERS = 4
_READ_BYTES = 64 * 1024


class Endpoint:
    """An address with a fault of the stage ``connect``; ``async with Endpoint("tls_stall") as endpoint`` opens it.

    Args:
        fault: The name of the fault, see `opeai_async.testing.FAULTS`.

    Raises:
        ValueError: If there is no such fault, or if it strikes later: then `OpeAIServer.fault` plays it.
    """

    def __init__(self, fault: str) -> None:
        if fault_named(fault).stage != "connect":
            raise ValueError(f"{fault!r} needs a request; queue it with server.fault({fault!r})")
        self._fault = fault
        self._port = 0
        self._stack = AsyncExitStack()
        self._seen = _Seen()

    @property
    def base_url(self) -> str:
        """The address: ``https://localhost:PORT/v1``, or ``http://127.0.0.1:PORT/v1`` if TLS does not matter."""
        origin = "http://127.0.0.1" if self._fault in _NEEDS_NO_TLS else "https://localhost"
        return f"{origin}:{self._port}/v1"

    @property
    def connections_open(self) -> int:
        """The number of TCP connections that are open now."""
        return len(self._seen.live)

    @property
    def connections_total(self) -> int:
        """The number of TCP connections that were accepted."""
        return self._seen.total

    @property
    def received(self) -> bytes:
        """The bytes that came after a handshake: a client must send none, and above all no key."""
        return bytes(self._seen.received)

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the trust that a client needs for the fault to be the only one; None for the system's."""
        if self._fault not in ("certificate_of_another", "certificate_expired"):
            return None
        return ssl.create_default_context(cadata=_CERTIFICATES[self._fault])

    def client(self, **options: Any) -> AsyncOpeAI:
        """Return a client of this address; *options* go to `AsyncOpeAI`. The caller closes it."""
        from opeai_async import AsyncOpeAI

        defaults: dict[str, Any] = {
            "api_key": "sk-test",
            "base_url": self.base_url,
            "ssl_context": self.ssl_context(),
        }
        return AsyncOpeAI(**(defaults | options))

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            if self._fault in _NEEDS_NO_TLS:
                sock = stack.enter_context(socket.socket())
                # Bound and not listening, so connections are refused, and no other program gets the port.
                sock.bind(("127.0.0.1", 0))
                self._port = sock.getsockname()[1]
                if self._fault == "connect_stall":
                    sock.listen(0)
                    stack.enter_context(_filled_queue_of(sock))
            else:
                await self._listen(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _listen(self, stack: AsyncExitStack) -> None:
        certificate = _CERTIFICATES.get(self._fault)
        context = None if certificate is None else _server_context(certificate)
        loop = running_loop()
        listener = await loop.create_server(lambda: _Connection(self._seen, self._fault, context), "127.0.0.1", 0)
        self._port = listener.sockets[0].getsockname()[1]
        stack.push_async_callback(self._end, listener)

    async def _end(self, listener: asyncio.Server) -> None:
        try:
            await stop_accepting(listener)
        finally:
            for connection in list(self._seen.live):
                connection.abort()


@dataclass
class _Seen:
    """The connections and bytes that came in.

    Attributes:
        total: The number of connections that were accepted.
        live: The connections that are open.
        received: The bytes that came after a handshake, of all connections.
    """

    total: int = 0
    live: set[_Connection] = field(default_factory=set["_Connection"])
    received: bytearray = field(default_factory=bytearray)


class _Connection(asyncio.Protocol):
    """One TCP connection; what it does with the handshake is the *fault*.

    TLS is spoken here, in memory, and not by the loop's ``start_tls``: a server that has accepted a connection begins
    to read at once on uvloop, paused or not, and the client's first words would be lost between here and there.
    """

    def __init__(self, seen: _Seen, fault: str, context: ssl.SSLContext | None) -> None:
        self._seen = seen
        self._fault = fault
        # Encrypted bytes from the client, and for it.
        self._heard = ssl.MemoryBIO()
        self._to_say = ssl.MemoryBIO()
        self._tls = None if context is None else context.wrap_bio(self._heard, self._to_say, server_side=True)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods only
        self._seen.total += 1
        self._seen.live.add(self)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        if self._tls is not None:
            self._speak_tls(data, self._tls, self._transport)
        elif self._fault == "tls_not_spoken":
            self._transport.write(_PLAIN)
            self._transport.close()
        elif self._fault == "tls_fin":
            self._transport.close()
        elif self._fault == "tls_rst":
            # A socket that lingers for zero seconds ends with RST in place of FIN.
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.close()

    def _speak_tls(self, data: bytes, tls: ssl.SSLObject, transport: asyncio.Transport) -> None:
        self._heard.write(data)
        try:
            tls.do_handshake()  # once it is done, this does nothing
            while True:
                self._seen.received += tls.read(_READ_BYTES)
        except ssl.SSLWantReadError:
            transport.write(self._to_say.read())
        except ssl.SSLError:  # the client refuses the certificate, as it should, or says good-bye
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._seen.live.discard(self)

    def abort(self) -> None:
        """Close the connection now."""
        if self._transport is not None:
            self._transport.abort()


def _server_context(certificate: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:  # it takes files only
        file = Path(folder, "server.pem")
        file.write_text(certificate + certificates.KEY, encoding="ascii")
        context.load_cert_chain(file)
    return context


@contextlib.contextmanager
def _filled_queue_of(listener: socket.socket) -> Generator[None, None, None]:
    """Fill the queue of *listener*, from which nothing is ever accepted, so that further connections wait."""
    with contextlib.ExitStack() as stack:
        for _ in range(_FILLERS):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield
