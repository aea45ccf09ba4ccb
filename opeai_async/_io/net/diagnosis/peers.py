"""A second look at a server with which no connection was made, so that the error can say what it is.

Two things cannot be learned from the connection that failed. The ssl module does not show the certificate that it did
not trust (``SSLObject.get_unverified_chain`` came with Python 3.13, and asyncio and uvloop keep that object to
themselves), and a server that waits for a line end does not answer a TLS handshake at all. So after such a failure,
and only then, there is one more connection to the same address:

- ``certificate_of`` shakes hands without verification, on a context that has no client certificate, reads who signed,
  and hangs up. Nothing but the handshake is sent there: no request, no key.
- ``speaks_plain_http`` asks for ``/``. Nothing else is sent there.

Both are bounded in time, and what they find is only shown, never trusted. The alternative, a context of our own class
for every connection (``SSLContext.sslobject_class``), would change an ``ssl_context`` that belongs to the caller.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import ssl
from collections.abc import AsyncGenerator, Callable
from socket import socket
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

from opeai_async._core.call.redact import HiddenStr
from opeai_async._io.net.diagnosis.certificate import Certificate, parse_certificate
from opeai_async._io.net.sending import Sending, host_and_port
from opeai_async._io.net.sockets import new_socket

LOOK_S = 2.0
SILENCE_S = 1.0
_READ_BYTES = 64 * 1024
# A server that expects TLS may say so with a 400 in plain HTTP.
_PLAIN_ANSWER = re.compile(rb"HTTP/1\.[01] (?!400)[1-5][0-9][0-9] ")


async def certificate_of(sending: Sending, proxy: str | None) -> Certificate | None:
    """Return the certificate that the server of *sending* shows; None if it cannot be read.

    Args:
        sending: A request whose connection was refused here, because that certificate is not trusted.
        proxy: URL of the proxy that it went through, if any.
    """
    if sending.address is None or (proxy is not None and not proxy.startswith("http://")):
        return None
    try:
        async with asyncio.timeout(LOOK_S), _connected(sending) as sock:
            if proxy is not None and not await _is_tunnel(sock, sending, proxy):
                return None
            return parse_certificate(await _shown_certificate(sock, sending.host))
    except (OSError, ValueError):  # TimeoutError is an OSError
        return None


async def speaks_plain_http(sending: Sending) -> bool:
    """Tell whether the server of *sending*, which is silent to a TLS handshake, answers to plain HTTP."""
    try:
        async with asyncio.timeout(LOOK_S), _connected(sending) as sock:
            loop = asyncio.get_running_loop()
            asked = f"GET / HTTP/1.1\r\nHost: {host_and_port(sending.url)}\r\nConnection: close\r\n\r\n"
            await loop.sock_sendall(sock, asked.encode())
            return _PLAIN_ANSWER.match(await loop.sock_recv(sock, _READ_BYTES)) is not None
    except OSError:
        return False


class Suspicion:
    """A watch on a block that makes a TLS connection: ``with Suspicion(sending, found):``.

    If the block takes longer than ``SILENCE_S``, and the server turns out to speak plain HTTP, it calls *found*.
    """

    def __init__(self, sending: Sending, found: Callable[[], None]) -> None:
        self._sending = sending
        self._found = found
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        self._timer = self._loop.call_later(SILENCE_S, self._begin)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _begin(self) -> None:
        if self._sending.address is not None:  # else it waits for a name
            self._task = self._loop.create_task(self._look(), name="opeai_async look at a silent server")

    async def _look(self) -> None:
        if await speaks_plain_http(self._sending):
            self._found()


@contextlib.asynccontextmanager
async def _connected(sending: Sending) -> AsyncGenerator[socket]:
    """Connect to the address that *sending* tried last."""
    address = sending.address
    assert address is not None
    with new_socket(address) as sock:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address[4])
        yield sock


async def _is_tunnel(sock: socket, sending: Sending, proxy: str) -> bool:
    """Ask the proxy for a tunnel, as the request did; tell whether there is one."""
    place, loop = host_and_port(sending.url), asyncio.get_running_loop()
    # It has no name here: traceback printers show locals.
    await loop.sock_sendall(sock, f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{_login(proxy)}\r\n".encode())
    return (await loop.sock_recv(sock, _READ_BYTES)).split(b" ", 2)[1:2] == [b"200"]


def _login(proxy: str) -> str:
    """Return the header with user and password of *proxy*; empty if it has none."""
    parts = urlsplit(proxy)
    if parts.username is None:
        return ""
    login = HiddenStr(f"{unquote(parts.username)}:{unquote(parts.password or '')}")
    return HiddenStr(f"Proxy-Authorization: Basic {base64.b64encode(login.encode()).decode()}\r\n")


async def _shown_certificate(sock: socket, host: str) -> bytes:
    """Shake hands without verification; return the certificate that was shown, in DER form."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=host)
    loop = asyncio.get_running_loop()
    while True:
        try:
            tls.do_handshake()
            return tls.getpeercert(binary_form=True) or b""
        except ssl.SSLWantReadError:
            await loop.sock_sendall(sock, outgoing.read())
        data = await loop.sock_recv(sock, _READ_BYTES)
        if not data:
            raise ConnectionResetError("the server hung up")
        incoming.write(data)
