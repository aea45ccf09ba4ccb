"""Faults that strike before a response has begun, or behind one that is whole.

The two belong together because of the connection: what comes behind one answer is what the next request on that
connection finds before its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from opeai_async.testing.faults.fault import DELIVERED, Fault, Play, Verdict

if TYPE_CHECKING:
    from opeai_async.testing.faults.fault import Wire

_REFUSED = Verdict("InvalidResponseError")
_TIMED_OUT = Verdict("APITimeoutError", clock="response_headers_s")
_LOST = Verdict("APIConnectionError", "always")
_FINE = Verdict(DELIVERED)
_KEPT = Verdict(DELIVERED, connection="kept")

_OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
# A valid answer, which a client must never take for that of its next request.
_ANSWER_OF_ANOTHER = b'{"id":"poison","choices":[{"index":0,"message":{"role":"assistant","content":"poison"}}]}'


# --- no response at all -----------------------------------------------------------------------------------------------


def _drop(how: Literal["fin", "rst"]) -> Play:
    async def play(wire: Wire) -> object:
        return await wire.hang_up(how, "dropped")

    return play


def _drop_after(data: bytes) -> Play:
    async def play(wire: Wire) -> object:
        await wire.send(data)
        return await wire.hang_up("fin")

    return play


def _hold_after(data: bytes) -> Play:
    async def play(wire: Wire) -> object:
        await wire.send(data)
        return await wire.hold()

    return play


def _repeat(start: bytes, more: bytes, *, slowly: bool) -> Play:
    async def play(wire: Wire) -> object:
        await wire.send(start)
        while True:
            if slowly:
                await wire.pause()
            await wire.send(more)

    return play


_ABSENT = (
    Fault("drop_fin", "The connection is closed instead of a response.", "head", _LOST, _LOST, play=_drop("fin")),
    Fault("drop_rst", "The connection is reset instead of a response.", "head", _LOST, _LOST, play=_drop("rst")),
    Fault(
        "head_cut",
        "The connection is closed inside the response's head.",
        "head",
        _LOST,
        _LOST,
        play=_drop_after(_OK),
    ),
    Fault(
        "head_stall",
        "The request is taken, and nothing ever comes.",
        "head",
        _TIMED_OUT,
        _TIMED_OUT,
        play=_hold_after(b""),
    ),
    Fault(
        "head_half",
        "Half of the response's head comes, and then nothing.",
        "head",
        _TIMED_OUT,
        _TIMED_OUT,
        play=_hold_after(_OK),
    ),
    Fault(
        "head_trickle",
        "The response's head comes byte by byte, for ever.",
        "head",
        _TIMED_OUT,
        _TIMED_OUT,
        play=_repeat(_OK + b"X-Slow: ", b"z", slowly=True),
    ),
    Fault(
        "interim_flood",
        "Interim responses (100 Continue) come for ever, and never a final one.",
        "head",
        _TIMED_OUT,
        _TIMED_OUT,
        play=_repeat(b"", b"HTTP/1.1 100 Continue\r\n\r\n", slowly=True),
    ),
)


# --- no head that may be read -----------------------------------------------------------------------------------------


def _malformed(name: str, meaning: str, data: bytes) -> Fault:
    return Fault(name, meaning, "head", _REFUSED, _REFUSED, play=_hold_after(data))


_MALFORMED = (
    _malformed("head_garbage", "Bytes that are no HTTP at all.", b"\x16\x03\x01\x00\xee\x01\x00garbage\r\n\r\n"),
    _malformed("head_of_ssh", "Something else listens: the greeting of SSH.", b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    _malformed("status_of_letters", "The status line has no number.", b"HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n"),
    _malformed("header_without_colon", "A header line without a colon.", _OK + b"Content-Length\r\n\r\n"),
    _malformed("header_with_nul", "A header value holds a NUL.", _OK + b"X-A: a\x00b\r\nContent-Length: 0\r\n\r\n"),
    _malformed("header_too_long", "One header of a megabyte.", _OK + b"X-Long: " + b"y" * 2**20 + b"\r\n\r\n"),
    Fault(
        "header_flood",
        "Header lines come as fast as the client takes them, for ever.",
        "head",
        _REFUSED,
        _REFUSED,
        play=_repeat(_OK, b"X-More: and more\r\n" * 100, slowly=False),
    ),
    _malformed(
        "length_and_chunks",
        "Content-Length and chunked framing at once, as in a smuggled response.",
        _OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ),
    _malformed(
        "length_twice",
        "Two Content-Length headers that disagree.",
        _OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    ),
    _malformed("length_of_letters", "A Content-Length that is no number.", _OK + b"Content-Length: five\r\n\r\nhello"),
    _malformed("length_negative", "A Content-Length below zero.", _OK + b"Content-Length: -5\r\n\r\nhello"),
)


# --- behind a whole answer --------------------------------------------------------------------------------------------


def _then(data: bytes, *, at_once: bool = False) -> Play:
    """Send the whole answer, and *data* on the idle connection, as if it belonged to another request."""

    async def play(wire: Wire) -> object:
        if at_once:
            await wire.send_whole(200, b"".join(wire.parts) + data, _length_of(wire))
            return wire.release()
        await wire.send_whole(200, b"".join(wire.parts))
        await wire.pause()
        await wire.send(data)
        return await wire.hold()

    return play


def _length_of(wire: Wire) -> dict[str, str]:
    return {"content-length": str(sum(map(len, wire.parts)))}


def _then_close(how: Literal["fin", "rst"]) -> Play:
    async def play(wire: Wire) -> object:
        await wire.send_whole(200, b"".join(wire.parts))
        await wire.pause()
        return await wire.hang_up(how)

    return play


def _then_hold(*, whole: bool) -> Play:
    """Send all of the answer, but not the end of its body, or only after a gap."""

    async def play(wire: Wire) -> object:
        await wire.send_head()
        await wire.send_parts(*wire.parts)
        if not whole:
            return await wire.hold()
        await wire.pause()
        await wire.send(b"0\r\n\r\n")
        return wire.release()

    return play


_RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(_ANSWER_OF_ANOTHER),
    _ANSWER_OF_ANOTHER,
)
# Some servers say so on an idle connection before they close it.
_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def _behind(name: str, meaning: str, play: Play) -> Fault:
    return Fault(name, meaning, "after", _FINE, _FINE, play=play)


_BEHIND = (
    _behind("unsolicited_response", "An answer that nobody asked for comes on the idle connection.", _then(_RESPONSE)),
    _behind(
        "unsolicited_at_once",
        "An answer that nobody asked for comes in the same packet as the one that was.",
        _then(_RESPONSE, at_once=True),
    ),
    _behind(
        "unsolicited_half",
        "The beginning of another answer comes in the same packet as the one that was asked for.",
        _then(_RESPONSE[:40], at_once=True),
    ),
    _behind("unsolicited_timeout", "A 408 comes on the idle connection, as from a proxy's timer.", _then(_TIMEOUT)),
    _behind("unsolicited_garbage", "Bytes that are no HTTP come on the idle connection.", _then(b"garbage\r\n\r\n")),
    _behind("idle_fin", "The idle connection is closed, although it was to be kept.", _then_close("fin")),
    _behind("idle_rst", "The idle connection is reset, although it was to be kept.", _then_close("rst")),
    Fault(
        "body_held_open",
        "The answer is whole, but its body never ends.",
        "after",
        _FINE,
        Verdict("APITimeoutError", clock="idle_bytes_s"),
        play=_then_hold(whole=False),
    ),
    Fault(
        "body_ends_late",
        "The body ends some milliseconds after the answer does.",
        "after",
        _KEPT,
        _KEPT,
        play=_then_hold(whole=True),
    ),
)

HEAD = (*_ABSENT, *_MALFORMED)
AFTER = _BEHIND
