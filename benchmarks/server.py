"""The server of the benchmarks, a process of its own: it writes prebuilt bytes and thinks as little as possible.

``python -m benchmarks.server`` prints its port and runs until its standard input closes. A URL names what it answers:
``/burst/v1/chat/completions`` gets ``RESPONSES["burst"]``, whatever was asked. A response is one write, so the server
is idle while the client works.
"""

import asyncio
import functools
import re
import sys
from collections.abc import Callable

from benchmarks.generators import Answer, cut, in_http_chunks, text_answer, tools_answer, whole_answer

STREAM_CHUNKS = 20_000
TOOL_CHUNKS = 20_000
FRAME_BYTES = 16 * 1024
WHOLE_BYTES = 1024
SHORT_CHUNKS = 10

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE).search


def one_http_chunk_per_event(answer: Answer) -> bytes:
    """A response in which each event is one HTTP chunk, as servers that flush each token write it."""
    return _head("text/event-stream", b"Transfer-Encoding: chunked") + in_http_chunks(answer.events)


def in_frames(answer: Answer) -> bytes:
    """A response in frames of 16 KiB that do not care where events end, as proxies write it."""
    frames = cut(b"".join(answer.events), FRAME_BYTES)
    return _head("text/event-stream", b"Transfer-Encoding: chunked") + in_http_chunks(frames)


def whole(body: bytes) -> bytes:
    """A response that is one JSON body."""
    return _head("application/json", b"Content-Length: %d" % len(body)) + body


RESPONSES: dict[str, Callable[[], bytes]] = {
    "burst": lambda: one_http_chunk_per_event(text_answer(STREAM_CHUNKS)),
    "frames": lambda: in_frames(text_answer(STREAM_CHUNKS)),
    "tools": lambda: one_http_chunk_per_event(tools_answer(TOOL_CHUNKS)),
    "short": lambda: one_http_chunk_per_event(text_answer(SHORT_CHUNKS)),
    "whole": lambda: whole(whole_answer(WHOLE_BYTES)[0]),
}


@functools.cache
def response_to(name: str) -> bytes:
    """The prebuilt response of that name."""
    return RESPONSES[name]()


class Answering(asyncio.Protocol):
    """Answers the requests of one connection, one after the other."""

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._end_of_request()) is not None:
            request, self._received = self._received[:end], self._received[end:]
            name = request.split(b"/", 2)[1].decode()
            self._transport.write(response_to(name))

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
    server = await loop.create_server(Answering, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)
    server.close()


def _head(content_type: str, framing: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nX-Request-Id: req_bench\r\n%b\r\n\r\n" % (
        content_type.encode(),
        framing,
    )


def main() -> None:
    """Serve until the standard input closes."""
    asyncio.run(serve())


if __name__ == "__main__":
    main()
