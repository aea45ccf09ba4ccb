"""A test, once per kind of event loop, that a connection on it does what the hand-written request and body need.

The self-tests beside those two feed bytes to objects, and cannot see what differs between loops: when a write goes out,
what is unsent after a handshake, what becomes of bytes that come while reading is paused, and of the end after them.
So here two requests are sent over a real socket pair, without TLS or with it. The first has a body of a known length,
read in spite of a hold; the second, on the same connection, a body that the end of the connection ends, during a hold.

The other end of the pair works in steps between the turns of the loop, so that the loop is not tested with itself. It
takes about 1 ms, with TLS about 3, before the first request of a process over http and over https.
"""

from __future__ import annotations

import asyncio
import functools
import os
import socket
import ssl
import tempfile
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from opeai_async._io.net import connections as aiohttp_connections
from opeai_async._io.net.connections import Handler, has_spoken
from opeai_async._io.net.parts import body as aiohttp_body
from opeai_async._io.net.parts import post as aiohttp_post
from opeai_async._io.net.parts.certificate import KEY, LOCALHOST
from opeai_async._io.net.parts.post import READ_BUFFER_BYTES
from opeai_async._io.net.sending import Sending

T = TypeVar("T")

_MAX_TURNS = 20_000
_NAME = "localhost"
_REQUEST = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi"
# More than any buffer between the two ends.
_BODY = b"".join(b"%07d " % number for number in range(3 * READ_BUFFER_BYTES // 8))

_known: set[tuple[type[asyncio.AbstractEventLoop], bool]] = set()


async def learn(*, tls: bool) -> None:
    """Test the running loop, unless its kind was tested; if it fails, use aiohttp's own requests and bodies.

    A failure counts for all loops of this process: few programs run two kinds, and it costs them only time.
    """
    kind = (type(asyncio.get_running_loop()), tls)
    if kind in _known:
        return
    try:
        is_good = await _behaves(tls=tls)
    except OSError:  # no descriptor left, or no room for the certificate: that says nothing of the loop
        return
    except Exception:  # noqa: BLE001 - whatever another version, or another loop, may do
        is_good = False
    _known.add(kind)
    if not is_good:
        aiohttp_post.is_known = aiohttp_body.is_known = aiohttp_connections.is_known = False


async def _behaves(*, tls: bool) -> bool:
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    protocol = Handler(loop)
    try:
        peer = _Peer(theirs, _contexts()[0] if tls else None)
        ours.setblocking(False)
        options: dict[str, Any] = {"ssl": _contexts()[1], "server_hostname": _NAME} if tls else {}
        await _while_turning(peer, loop.create_connection(lambda: protocol, sock=ours, **options))
        return await _is_answered(protocol, peer, is_last=False) and await _is_answered(protocol, peer, is_last=True)
    finally:
        protocol.abort()
        for _ in range(4):  # the loop closes what it was given
            await asyncio.sleep(0)
        ours.close()
        theirs.close()


async def _is_answered(protocol: Handler, peer: _Peer, *, is_last: bool) -> bool:
    """Tell whether a request goes out and all of its answer comes in, ended by a hang-up if it *is_last*."""
    sending = Sending("http://localhost/", 1, _nothing, proxy=None)
    protocol.begin()
    sending.begin(protocol, reused=is_last)
    transport = protocol.transport
    if transport is None or has_spoken(protocol, sending):
        return False
    protocol.set_response_params(read_until_eof=True, read_bufsize=READ_BUFFER_BYTES)
    transport.write(_REQUEST)
    await _while_turning(peer, _received(peer, len(_REQUEST)))
    if bytes(peer.received) != _REQUEST:
        return False
    peer.received.clear()
    peer.send(b"HTTP/1.1 200 OK\r\n" + (b"" if is_last else b"Content-Length: %d\r\n" % len(_BODY)) + b"\r\n")
    message, content = await _while_turning(peer, protocol.read())
    if message.code != 200 or (aiohttp_body.is_known and not isinstance(content, aiohttp_body.Body)):
        return False
    transport.pause_reading()
    peer.send(_BODY)
    if is_last:
        peer.hang_up_after_all()
    for _ in range(8):
        peer.work()
        await asyncio.sleep(0)
    transport.resume_reading()
    return await _while_turning(peer, _read(content)) == _BODY and content.is_eof()


async def _read(content: Any) -> bytes:
    parts: list[bytes] = []
    while not content.at_eof():
        parts.append(content.read_nowait())
        await asyncio.sleep(0)
    return b"".join(parts)


async def _received(peer: _Peer, size: int) -> None:
    while len(peer.received) < size:  # noqa: ASYNC110 - the other end works in between
        await asyncio.sleep(0)


async def _while_turning(peer: _Peer, doing: Coroutine[Any, Any, T]) -> T:
    """Return what *doing* returns, while the other end works in each turn of the loop.

    Raises:
        _TooManyTurns: If it takes more turns than any healthy loop needs.
    """
    task = asyncio.get_running_loop().create_task(doing)
    try:
        for _ in range(_MAX_TURNS):
            if task.done():
                return task.result()
            peer.work()
            await asyncio.sleep(0)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await task
    raise _TooManyTurns


class _TooManyTurns(Exception):
    """The loop took too many turns."""


class _Peer:
    """The other end of the socket pair: each ``work`` does what can be done without waiting.

    Attributes:
        received: The bytes that have come, decrypted.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext | None) -> None:
        sock.setblocking(False)
        self.received = bytearray()
        self._sock = sock
        # Bytes for the wire, encrypted if there is TLS.
        self._unsent = bytearray()
        # True from ``hang_up_after_all`` until the connection is shut down.
        self._is_leaving = False
        # TLS in memory: encrypted bytes from the wire and for it; _tls is None without TLS.
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = None if context is None else context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        # True once the handshake is done.
        self._is_secure = False

    def send(self, data: bytes) -> None:
        """Queue *data* for the wire."""
        if self._tls is None:
            self._unsent += data
        else:
            self._tls.write(data)

    def hang_up_after_all(self) -> None:
        """End the connection when all is sent, without the farewell of TLS."""
        self._is_leaving = True

    def work(self) -> None:
        """Receive and send as much as is possible without waiting."""
        with suppress(BlockingIOError):
            data = self._sock.recv(READ_BUFFER_BYTES)
            if self._tls is None:
                self.received += data
            else:
                self._incoming.write(data)
        if self._tls is not None:
            with suppress(ssl.SSLWantReadError):
                if not self._is_secure:
                    self._tls.do_handshake()
                    self._is_secure = True
                self.received += self._tls.read(READ_BUFFER_BYTES)
            self._unsent += self._outgoing.read()
        with suppress(BlockingIOError):
            while self._unsent:
                del self._unsent[: self._sock.send(self._unsent)]
        if self._is_leaving and not self._unsent:
            self._is_leaving = False
            self._sock.shutdown(socket.SHUT_WR)


@functools.cache
def _contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a context for the server and one for a client that trusts only it: the system's trust is slow to load."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    descriptor, path = tempfile.mkstemp()
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(KEY + LOCALHOST)
        server.load_cert_chain(path)
    finally:
        os.unlink(path)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(cadata=LOCALHOST)
    return server, client


def _nothing() -> None:
    """Stand in for the callback of a connection."""
