"""A websocket client that can also misbehave: close rudely, close halfway, or never read.

RFC 6455, as little of it as is needed; shared with the tests.
"""

import asyncio
import base64
import contextlib
import json
import os
import socket
import struct
from typing import Any, Self

TEXT, CLOSE = 0x1, 0x8
_RST_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 seconds


class Visitor:
    """A connected client; ``await Visitor.connect(host, port)``, and `abort` at the end.

    Attributes:
        frames: All JSON frames that were received, in order.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.frames: list[dict[str, Any]] = []
        self._sock = sock
        self._held = b""

    @classmethod
    async def connect(cls, host: str, port: int, *, path: str = "/chat", receive_buffer: int | None = None) -> Self:
        """A client whose handshake is done.

        Args:
            host, port: Of the service.
            path: Of its endpoint.
            receive_buffer: Bytes that the system may hold for a client that does not read.
        """
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client = cls(sock)
        await asyncio.get_running_loop().sock_connect(sock, (host, port))
        key = base64.b64encode(os.urandom(16)).decode()
        await client._write(
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head, _, client._held = (await client._read_until(b"\r\n\r\n")).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        return client

    @property
    def text(self) -> str:
        """The content of all frames so far."""
        return "".join(frame["text"] for frame in self.frames if frame["type"] == "content")

    async def say(self, text: str) -> None:
        """Send a text message."""
        await self._write(_masked(TEXT, text.encode()))

    async def receive(self) -> dict[str, Any] | None:
        """The next frame, also kept in `frames`; None when the service closes."""
        opcode, payload = await self._message()
        if opcode != TEXT:
            return None
        frame: dict[str, Any] = json.loads(payload)
        self.frames.append(frame)
        return frame

    async def receive_until(self, kind: str) -> dict[str, Any]:
        """The next frame of type *kind*."""
        while (frame := await self.receive()) is not None:
            if frame["type"] == kind:
                return frame
        raise AssertionError(f"the service closed before it sent {kind!r}; the last was {self.frames[-1:]}")

    async def close(self) -> None:
        """Send a close frame, wait for the service's, and for its FIN, as a browser does when its tab is closed."""
        await self._write(_masked(CLOSE, struct.pack("!H", 1001)))
        with contextlib.suppress(ConnectionError):
            while True:
                await self._message()
        self._sock.close()

    def half_close(self) -> None:
        """Send FIN without a close frame; go on listening."""
        self._sock.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        """Close the connection by RST; nothing happens the second time."""
        if self._sock.fileno() != -1:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
            self._sock.close()

    async def _message(self) -> tuple[int, bytes]:
        head = await self._exactly(2)
        size = head[1] & 0x7F
        if size == 126:
            size = int.from_bytes(await self._exactly(2), "big")
        elif size == 127:
            size = int.from_bytes(await self._exactly(8), "big")
        return head[0] & 0x0F, await self._exactly(size)

    async def _exactly(self, size: int) -> bytes:
        while len(self._held) < size:
            self._held += await self._read()
        data, self._held = self._held[:size], self._held[size:]
        return data

    async def _read_until(self, end: bytes) -> bytes:
        data = b""
        while end not in data:
            data += await self._read()
        return data

    async def _read(self) -> bytes:
        data = await asyncio.get_running_loop().sock_recv(self._sock, 65_536)
        if not data:
            raise ConnectionResetError("the service closed the connection")
        return data

    async def _write(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._sock, data)


def _masked(opcode: int, payload: bytes) -> bytes:
    """One whole frame as clients send it; the mask is zero, which leaves the payload as it is."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes([0x80 | opcode]) + length + bytes(4) + payload
