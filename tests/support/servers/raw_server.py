"""A server of bytes, for what no decent HTTP server can be told to do."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Call:
    """One request, and what was seen of its connection.

    Attributes:
        head: Request line and headers, as sent.
        body: As sent.
        connection: Number of the TCP connection, from 1.
    """

    def __init__(self, head: bytes, body: bytes, connection: int, peer: "Peer") -> None:
        self.head = head
        self.body = body
        self.connection = connection
        self._peer = peer

    async def send(self, *parts: bytes) -> None:
        """Send bytes as they are, each part by itself.

        Raises:
            ConnectionError: If the connection is gone. uvloop has another error for that, asyncio none at once.
        """
        for part in parts:
            if self._peer.writer.is_closing():
                raise ConnectionResetError("the client has closed the connection")
            self._peer.writer.write(part)
            await self._peer.writer.drain()

    def hang_up(self) -> None:
        """Close the connection."""
        self._peer.writer.close()

    async def gone(self) -> bool:
        """Wait until the client has closed the connection; True."""
        await self._peer.gone.wait()
        return True


class Peer:
    """One connection."""

    def __init__(self, number: int, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.writer = writer
        self.gone = asyncio.Event()


Answer = Callable[[Call], Awaitable[None]]


class RawServer:
    """Calls *answer* for each request; ``async with RawServer(answer) as server``.

    Attributes:
        calls: All requests, in order.
        connections: How many connections were accepted.
    """

    def __init__(self, answer: Answer, *, tls: ssl.SSLContext | None = None) -> None:
        self.calls: list[Call] = []
        self.connections = 0
        self._answer = answer
        self._tls = tls
        self._tasks: set[asyncio.Task] = set()

    @property
    def base_url(self) -> str:
        port = self._server.sockets[0].getsockname()[1]
        return f"https://localhost:{port}/v1" if self._tls else f"http://127.0.0.1:{port}/v1"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())
        self.connections += 1
        peer = Peer(self.connections, writer)
        requests: asyncio.Queue[Call | None] = asyncio.Queue()
        watcher = asyncio.create_task(self._read_requests(reader, peer, requests))
        self._tasks.add(watcher)
        try:
            while (call := await requests.get()) is not None:
                await self._answer(call)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            watcher.cancel()
            writer.transport.abort()

    async def _read_requests(self, reader: asyncio.StreamReader, peer: Peer, requests: asyncio.Queue) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (
                        int(line.split(b":")[1])
                        for line in head.lower().split(b"\r\n")
                        if line[:15] == b"content-length:"
                    ),
                    0,
                )
                call = Call(head, await reader.readexactly(length), peer.number, peer)
                self.calls.append(call)
                requests.put_nowait(call)
        except (asyncio.IncompleteReadError, ConnectionError):
            peer.gone.set()
            requests.put_nowait(None)


def chunked(*parts: bytes) -> bytes:
    """*parts* as HTTP chunks, without the terminating one."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


def plain(body: bytes, *, status: bytes = b"200 OK", kind: bytes = b"text/event-stream", more: bytes = b"") -> bytes:
    """A whole response with a Content-Length; *more* is further header lines."""
    return b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b\r\n%b" % (status, kind, len(body), more, body)
