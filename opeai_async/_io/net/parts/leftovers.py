"""Bytes that have reached this machine on a connection, but that its event loop will not hand out any more.

When a connection ends, a loop drops what lies between the wire and the protocol:

    kernel's socket  ->  bytes not decrypted yet  ->  protocol
         (1)                     (2)

(1) A write that fails ends the connection at once; an answer that had come before, such as a refusal of a body that the
server did not want to read, stays in the socket. (2) While reading is paused, TLS holds up to half a MiB. uvloop
throws it away when the server hangs up (``SSLProtocol.eof_received`` goes to its end without a look at
``_app_reading_paused``; seen on 0.19 to 0.23), asyncio when it is paused again before it has gone on, and both when
the connection is reset. Both are bounded by what the loop itself and the kernel would hold, so reading on from there
needs no bound of its own, and nothing is read before somebody wants it.

Never to pause on such connections was tried: nothing is lost either, but then the server decides how much is held here.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import socket
import ssl
import sys
from contextlib import suppress
from typing import Any

PIECE_BYTES = 64 * 1024

_UVLOOP_THAT_WRITES_AT_ONCE = (0, 23)


def read_leftovers(transport: asyncio.BaseTransport, kept: socket.socket | None) -> bytes:
    """Take some of the bytes that *transport*, whose connection has ended, has not handed out.

    Args:
        transport: Of the connection.
        kept: From ``keep_socket``; None where nothing was kept.

    Returns:
        Up to about ``PIECE_BYTES`` bytes; ``b""`` if there are no more.
    """
    tls = transport.get_extra_info("ssl_object")
    if tls is None:
        return _received(kept)
    while not (data := _decrypted(tls)):
        encrypted = _received(kept)
        if not encrypted or not _can_decrypt(transport, encrypted):
            return b""
    return data


def keep_socket(transport: asyncio.BaseTransport) -> socket.socket | None:
    """Keep the bytes that the kernel has received for *transport* readable after the loop has closed the connection.

    Returns:
        A socket, which the caller must close; None if this process has no descriptor left for it.
    """
    of_loop = transport.get_extra_info("socket")
    try:
        # A second descriptor, as the number of the first one may be another connection's by then.
        kept = socket.fromfd(of_loop.fileno(), of_loop.family, of_loop.type)
    except OSError:
        return None
    kept.setblocking(False)
    return kept


def acknowledge_at_once(kept: socket.socket) -> None:
    """Make the kernel acknowledge at once what comes on *kept*, where the system can do that.

    A server's kernel may hold its answer until what it sent before is acknowledged (RFC 896; TLS 1.3 has just sent
    session tickets), and throws it away when the server then hangs up.
    """
    if (option := getattr(socket, "TCP_QUICKACK", None)) is not None:
        with suppress(OSError):
            kept.setsockopt(socket.IPPROTO_TCP, option, 1)


def _received(kept: socket.socket | None) -> bytes:
    if kept is None:
        return b""
    try:
        return kept.recv(PIECE_BYTES)
    except OSError:  # nothing, for now or for ever
        return b""


def _decrypted(tls: ssl.SSLObject) -> bytes:
    try:
        return tls.read(PIECE_BYTES)
    except (ssl.SSLError, ValueError):  # it wants more, or it is shut down
        return b""


def _can_decrypt(transport: Any, encrypted: bytes) -> bool:
    """Feed *encrypted* to the TLS of *transport*, as the connection below it did; return False if that is unknown."""
    protocol: Any = transport.get_extra_info("uvloop.sslproto") or getattr(transport, "_ssl_protocol", None)
    if not hasattr(protocol, "buffer_updated"):
        return False
    while encrypted:
        buffer = protocol.get_buffer(len(encrypted))
        size = min(len(buffer), len(encrypted))
        buffer[:size] = encrypted[:size]
        protocol.buffer_updated(size)
        encrypted = encrypted[size:]
    return True


def write_at_once(transport: asyncio.BaseTransport) -> None:
    """Make *transport* hand to the kernel what is written in the same step of the loop.

    uvloop up to 0.22.1 collects what is written in a turn of the loop. What the server says meanwhile, unasked, would
    be taken for the answer.
    """
    if not type(transport).__module__.startswith("uvloop") or _writes_at_once():
        return
    below: Any = transport
    if (tls := transport.get_extra_info("uvloop.sslproto")) is not None:
        # No other way leads from TLS to the connection that carries it.
        below = next((it for it in gc.get_referents(tls) if hasattr(it, "write_eof") and it is not transport), None)
    if below is not None:
        below.set_write_buffer_limits(high=0)  # it does not wait for the end of the turn when it holds more than that


@functools.cache
def _writes_at_once() -> bool:
    version: str = getattr(sys.modules.get("uvloop"), "__version__", "")
    numbers = version.split(".")[:2]
    return all(map(str.isdecimal, numbers)) and tuple(map(int, numbers)) >= _UVLOOP_THAT_WRITES_AT_ONCE
