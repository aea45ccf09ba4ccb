"""The server of the soak, a process of its own: thousands of paced streams on one core, each as its plan says.

Raw asyncio protocols, one timer per stream, a formatted line per piece. ``GET /stats`` tells what was seen from this
side: connections that are open, requests that came while the connection was still busy with another, how often a
reader's backpressure made it wait.
"""

import asyncio
import re
import resource
import socket
import struct
import sys
from collections.abc import Callable

import msgspec

from benchmarks.lab.process import raise_file_limit
from benchmarks.soak.plan import PLAN_HEADER, Plan

BACKLOG = 4096
# Small, so that a reader that does not read is felt soon.
SEND_BUFFER_BYTES = 32 * 1024
# Half of what a client waits by default.
MAX_SILENCE_S = 30.0

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE).search
_ATTEMPT = re.compile(rb"\r\nx-opeai-attempt: *(\d+)", re.IGNORECASE).search
_PLAN = re.compile(rb"\r\n%b: *([^\r]+)" % PLAN_HEADER.encode(), re.IGNORECASE).search

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Request-Id: %b\r\nTransfer-Encoding: chunked\r\n\r\n"
_CHUNK = (
    '{"id":"chatcmpl-%d","object":"chat.completion.chunk","created":1790000000,"model":"soak",'
    '"choices":[{"index":0,"delta":%s,"logprobs":null,"finish_reason":%s}],"usage":null}'
)
_USAGE = (
    '{"id":"chatcmpl-%d","object":"chat.completion.chunk","created":1790000000,"model":"soak","choices":[],'
    '"usage":{"prompt_tokens":1,"completion_tokens":%d,"total_tokens":%d}}'
)
_ERROR = b'{"error":{"message":"injected","type":"%b","param":null,"code":"%b"}}'
_LAST_HTTP_CHUNK = b"0\r\n\r\n"
_ABORTS = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST


class Stats(msgspec.Struct):
    """What the server saw so far.

    Attributes:
        open: Connections now, without the one that asks.
        accepted: Connections ever.
        requests: Streams asked for, other attempts included.
        overlapped: Requests that came on a connection which was still busy: one answer might reach two readers.
        chunks: Events written.
        paused: How often a stream had to wait for its reader.
        cpu_s: Of this process.
    """

    open: int = 0
    accepted: int = 0
    requests: int = 0
    overlapped: int = 0
    chunks: int = 0
    paused: int = 0
    cpu_s: float = 0.0


class Streaming(asyncio.Protocol):
    """One connection: one stream after the other."""

    def __init__(self, stats: Stats) -> None:
        self._stats = stats
        self._received = b""
        self._plan: Plan | None = None
        self._next = 0
        self._timer: asyncio.TimerHandle | None = None
        self._can_write = True

    # --- the connection ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._stats.open += 1
        self._stats.accepted += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self._stats.open -= 1
        if self._timer is not None:
            self._timer.cancel()

    def pause_writing(self) -> None:
        self._can_write = False
        self._stats.paused += 1

    def resume_writing(self) -> None:
        self._can_write = True
        if self._plan is not None and self._plan.way == "slow_reader":
            self._hose()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = self._received[: head_end + 2]
        length = _CONTENT_LENGTH(head)
        end = head_end + 4 + (int(length[1]) if length else 0)
        if len(self._received) >= end:
            self._received = self._received[end:]
            self._answer(head)

    # --- answers ----------------------------------------------------------------------------------------------------

    def _answer(self, head: bytes) -> None:
        if head.startswith(b"GET /stats "):
            self._tell()
            return
        self._stats.requests += 1
        self._stats.overlapped += self._plan is not None
        plan, attempt = _PLAN(head), _ATTEMPT(head)
        assert plan is not None
        assert attempt is not None
        self._plan, self._next = msgspec.json.decode(plan[1], type=Plan), 0
        refuse = _REFUSALS.get(self._plan.way) if attempt[1] == b"1" else None
        if refuse is not None:
            refuse(self, self._plan)
        elif self._plan.way == "slow_head":
            self._after(self._plan.patience_s, self._begin)
        else:
            self._begin()

    def _tell(self) -> None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self._stats.cpu_s = usage.ru_utime + usage.ru_stime
        body = msgspec.json.encode(msgspec.structs.replace(self._stats, open=self._stats.open - 1))
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        self._transport.close()

    def _begin(self) -> None:
        assert self._plan is not None
        self._transport.write(_HEAD % self._plan.request_id.encode())
        if self._plan.way == "slow_reader":
            self._hose()
        else:
            self._step()

    def _step(self) -> None:
        """Write one piece, or do what the plan has for this place; then wait for the pace."""
        plan = self._plan
        assert plan is not None
        fault = _FAULTS.get(plan.way)
        if fault is not None and self._next == plan.at:
            fault(self, plan)
        elif self._next < plan.pieces:
            self._piece(plan)
            self._after(plan.pace_s, self._step)
        else:
            _ENDS.get(plan.way, Streaming.end)(self, plan)

    def _hose(self) -> None:
        """Write as long as the reader takes it."""
        plan = self._plan
        assert plan is not None
        while self._can_write and self._next < plan.pieces:
            self._piece(plan)
        if self._can_write:
            self.end(plan)

    def _piece(self, plan: Plan) -> None:
        self.event(self._piece_payload(plan))
        self._next += 1

    def _piece_payload(self, plan: Plan) -> bytes:
        name = "reasoning_content" if self._next < plan.reasoning else "content"
        delta = f'{{"{name}":"{plan.piece(self._next)}"}}'
        return (_CHUNK % (plan.number, delta, "null")).encode()

    # --- what faults are made of -------------------------------------------------------------------------------------

    def event(self, payload: bytes) -> None:
        """One event in one HTTP chunk."""
        self._stats.chunks += 1
        self._transport.write(_http_chunk(b"data: %b\n\n" % payload))

    def finish(self, plan: Plan) -> None:
        """The finish_reason, and nothing after it."""
        self.event((_CHUNK % (plan.number, "{}", '"stop"')).encode())

    def done(self, plan: Plan) -> None:
        """All that belongs to an answer; the body stays open."""
        self.finish(plan)
        self.event((_USAGE % (plan.number, plan.pieces, plan.pieces + 1)).encode())
        self.event(b"[DONE]")

    def end(self, plan: Plan) -> None:
        """An answer as it should be."""
        self.done(plan)
        self._transport.write(_LAST_HTTP_CHUNK)
        self._plan = None

    def truncate(self, plan: Plan) -> None:
        """A clean end of the body, too early."""
        self._transport.write(_LAST_HTTP_CHUNK)
        self._plan = None

    def report_error(self, plan: Plan) -> None:
        """An error as an event."""
        self.event(_ERROR % (b"server_error", b"injected"))
        self._transport.write(_LAST_HTTP_CHUNK)
        self._plan = None

    def begin_with_error(self, plan: Plan) -> None:
        """A 200 whose first event is an error."""
        self._transport.write(_HEAD % plan.request_id.encode())
        self.report_error(plan)

    def refuse(self, status: bytes, kind: bytes, code: bytes) -> None:
        """An error status."""
        body = _ERROR % (kind, code)
        self._transport.write(
            b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)
        )
        self._plan = None

    def reset(self) -> None:
        """RST."""
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORTS)
        self._transport.abort()

    def half(self, plan: Plan) -> None:
        """The first half of the next piece's HTTP chunk."""
        chunk = _http_chunk(b"data: %b\n\n" % self._piece_payload(plan))
        self._transport.write(chunk[: len(chunk) // 2])

    def reset_in_chunk(self, plan: Plan) -> None:
        """Half a chunk, then RST."""
        self.half(plan)
        self._after(plan.pace_s / 2, self.reset)

    def cut_in_chunk(self, plan: Plan) -> None:
        """Half a chunk, then FIN."""
        self.half(plan)
        self._transport.close()

    def stall(self, plan: Plan) -> None:
        """Nothing more, until the client hangs up."""

    def comment(self, plan: Plan) -> None:
        """Comments for ever."""
        self._transport.write(_http_chunk(b": keep-alive\n\n"))
        self._after(plan.patience_s / 3, lambda: self.comment(plan))

    def keep_silent(self, plan: Plan) -> None:
        """Nothing for long, then the rest."""
        self._after(min(2 * plan.patience_s, MAX_SILENCE_S), self._go_on)

    def keep_alive(self, plan: Plan, comments: int = 6) -> None:
        """Comments for long, then the rest."""
        self._transport.write(_http_chunk(b": keep-alive\n\n"))
        left = comments - 1
        self._after(plan.patience_s / 3, (lambda: self.keep_alive(plan, left)) if left else self._go_on)

    def _go_on(self) -> None:
        assert self._plan is not None
        self._piece(self._plan)
        self._after(self._plan.pace_s, self._step)

    def _after(self, delay_s: float, act: Callable[[], None]) -> None:
        if not self._transport.is_closing():
            self._timer = self._loop.call_later(delay_s, act)


_Act = Callable[[Streaming, Plan], None]

# Instead of a response, at the first attempt.
_REFUSALS: dict[str, _Act] = {
    "unavailable": lambda stream, plan: stream.refuse(b"503 Service Unavailable", b"server_error", b"overloaded"),
    "dropped": lambda stream, plan: stream.reset(),
    "error_first": Streaming.begin_with_error,
    "quota": lambda stream, plan: stream.refuse(b"429 Too Many Requests", b"rate_limit", b"insufficient_quota"),
}

# Instead of the piece at ``plan.at``.
_FAULTS: dict[str, _Act] = {
    "stall": Streaming.stall,
    "comments_only": Streaming.comment,
    "reset": Streaming.reset_in_chunk,
    "cut_in_chunk": Streaming.cut_in_chunk,
    "truncated": Streaming.truncate,
    "server_error": Streaming.report_error,
    "silence": Streaming.keep_silent,
    "keep_alive": Streaming.keep_alive,
}

# Instead of a decent end.
_ENDS: dict[str, _Act] = {"held_open": Streaming.done, "no_done": Streaming.finish}


def _http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def serve() -> None:
    """Print the port; run until standard input closes."""
    loop = asyncio.get_running_loop()
    stats = Stats()
    # asyncio sets TCP_NODELAY where it made the listener itself; not where it is given one of socket.create_server.
    server = await loop.create_server(lambda: Streaming(stats), "127.0.0.1", 0, backlog=BACKLOG)
    (listener,) = server.sockets
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)  # inherited by what it accepts
    print(listener.getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)
    server.close()


def main() -> None:
    """Serve until the standard input closes."""
    raise_file_limit()
    asyncio.run(serve())


if __name__ == "__main__":
    main()
