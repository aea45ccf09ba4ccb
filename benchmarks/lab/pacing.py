"""The responses that are written over time: one event per write, each with the moment it was sent in its content.

Server and client run on one machine, so they share its monotonic clock, and what a client finds in a chunk tells how
long that was on its way. asyncio sets TCP_NODELAY, so a write is a segment; whoever reads faster than events come gets
each in a read of its own.
"""

import asyncio
import functools
import time

from benchmarks.lab.generators import DONE_EVENT, in_http_chunks, text_answer
from benchmarks.lab.responses import STREAM_HEAD

# Seconds between two events; what holds writes the first event and no other.
INTERVALS_S = {"segments": 0.001, "paced": 0.020, "slow": 1.0, "hold": None}
# The rest of a response whose first text comes alone follows after this pause.
FIRST_PAUSE_S = 0.001

_STAMP_DIGITS = 20
_MARK = b'"content":"'


def stamped_parts() -> tuple[bytes, bytes]:
    """What stands before and after the digits in an HTTP chunk of one event of about 300 bytes."""
    event = b"data: %b\n\n" % text_answer(4).payloads[1]
    before, _, after = event.partition(_MARK)
    event_before, event_after = before + _MARK, after[after.index(b'"') :]
    size = len(event_before) + _STAMP_DIGITS + len(event_after)
    return b"%x\r\n" % size + event_before, event_after + b"\r\n"


_BEFORE, _AFTER = stamped_parts()
_END = in_http_chunks([b"data: %b\n\n" % text_answer(4).payloads[2], DONE_EVENT])


def delay_s(content: str) -> float:
    """How long ago the chunk with that content was sent."""
    return (time.monotonic_ns() - int(content)) / 1e9


class Paced:
    """One response that is being written: *count* stamped events, and the end of the stream with the last of them."""

    def __init__(self, transport: asyncio.Transport, name: str, count: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._interval_s = INTERVALS_S[name]
        self._left = count
        self._due = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        transport.write(STREAM_HEAD)
        self._write()

    def stop(self) -> None:
        """Write no more: nobody listens."""
        if self._timer is not None:
            self._timer.cancel()

    def _write(self) -> None:
        self._left -= 1
        end = _END if self._left == 0 else b""
        self._transport.write(b"%b%020d%b%b" % (_BEFORE, time.monotonic_ns(), _AFTER, end))
        if self._left and self._interval_s is not None:
            # A late server keeps its rate, but never writes two events at once.
            self._due = max(self._due + self._interval_s, self._loop.time() + self._interval_s / 2)
            self._timer = self._loop.call_at(self._due, self._write)


class FirstAlone:
    """One response whose first text comes at once, after the role, and all others a moment later."""

    def __init__(self, transport: asyncio.Transport, count: int) -> None:
        first, others = _first_and_others(count)
        self._timer = asyncio.get_running_loop().call_later(FIRST_PAUSE_S, transport.write, others)
        transport.write(first)

    def stop(self) -> None:
        """Write no more."""
        self._timer.cancel()


@functools.cache
def _first_and_others(count: int) -> tuple[bytes, bytes]:
    role, text, *others = text_answer(count).events
    first = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in (role, text))
    return STREAM_HEAD + first, in_http_chunks(others)
