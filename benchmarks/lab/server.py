"""The server of the benchmarks, a process of its own that thinks as little as possible.

It prints its port and runs until its standard input closes. A URL names what it answers, whatever was asked:
``/burst/20000/v1/chat/completions`` gets the response of that name and size, in one write or paced.
"""

import asyncio
import re
import sys

from benchmarks.lab.pacing import INTERVALS_S, FirstAlone, Paced
from benchmarks.lab.process import raise_file_limit
from benchmarks.lab.responses import response_to

BACKLOG = 8192

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE).search


class Answering(asyncio.Protocol):
    """Answers the requests of one connection, one after the other."""

    def __init__(self) -> None:
        self._received = b""
        self._writing: Paced | FirstAlone | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._writing is not None:
            self._writing.stop()

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._end_of_request()) is not None:
            request, self._received = self._received[:end], self._received[end:]
            _, name, size, _ = request.split(b"/", 3)
            self._answer(name.decode(), int(size))

    def _answer(self, name: str, size: int) -> None:
        if name in INTERVALS_S:
            self._writing = Paced(self._transport, name, size)
        elif name == "first":
            self._writing = FirstAlone(self._transport, size)
        else:
            self._transport.write(response_to(name, size))

    def _end_of_request(self) -> int | None:
        """Where the first request ends in what was received; None if it is not complete."""
        head = self._received.find(b"\r\n\r\n")
        if head < 0:
            return None
        length = _CONTENT_LENGTH(self._received, 0, head)
        end = head + 4 + (int(length[1]) if length else 0)
        return end if len(self._received) >= end else None


async def serve() -> None:
    """Print the port; run until standard input closes."""
    loop = asyncio.get_running_loop()
    # asyncio sets TCP_NODELAY where it made the listener itself; not where it is given one of socket.create_server.
    server = await loop.create_server(Answering, "127.0.0.1", 0, backlog=BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)
    server.close()


def main() -> None:
    """Serve until the standard input closes."""
    raise_file_limit()
    asyncio.run(serve())


if __name__ == "__main__":
    main()
