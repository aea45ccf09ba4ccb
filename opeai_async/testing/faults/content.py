"""Faults of the content of a well-framed body: errors, other things than chunks, too much, and no end.

Each bound and each clock of a client meets the fault that it is for: without it, the client would hang, or fill the
memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opeai_async.testing.faults.fault import DELIVERED, Fault, Play, Verdict

if TYPE_CHECKING:
    from opeai_async.testing.faults.fault import Wire

# A stream is given up in the middle, and its connection with it; a body in one piece is well framed.
_UNREADABLE = (Verdict("StreamDecodeError"), Verdict("InvalidResponseError"))
_TOO_LARGE = (Verdict("StreamTooLargeError"), Verdict("InvalidResponseError"))
_OUT_OF_BOUNDS = (Verdict("StreamTooLargeError"), Verdict("StreamTooLargeError"))
_REPORTED = (
    Verdict("StreamServerError", "before_content"),
    Verdict("StreamServerError", "always"),
)

_ERROR = b'{"error":{"message":"The backend is gone.","type":"server_error","param":null,"code":"backend_gone"}}'
_QUOTA = b'{"error":{"message":"Paid no more.","type":"billing","param":null,"code":"insufficient_quota"}}'
_CHUNK = b'{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":%b,"delta":{%b}}]}'
_CALL = b'"tool_calls":[{"index":%b,"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]'
# Deeper than any recursion limit of a decoder.
_DEEP = b'{"id":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


def _then_hold(payload: bytes, prefix: bytes = b"") -> Play:
    """Send the answer so far, then *payload* in the place of the next chunk; the connection stays open.

    A body in one piece holds *payload* and nothing else, and ends properly.
    """

    async def play(wire: Wire) -> object:
        if not wire.is_stream:
            await wire.send_whole(200, payload)
            return wire.release()
        await wire.begin()
        await wire.send_parts(prefix + wire.item(payload))
        return await wire.hold()

    return play


def _index(chunk: bytes) -> Play:
    """Send *chunk* as an event, even for a completion: only in a stream does an index say where a piece goes."""

    async def play(wire: Wire) -> object:
        # The client reads an event stream even where it asked for JSON.
        event = b"data: " + chunk + b"\n\n"
        if not wire.is_stream:
            await wire.send_whole(200, event, {"content-type": "text/event-stream"})
            return wire.release()
        await wire.begin()
        await wire.send_parts(event)
        return await wire.hold()

    return play


def _for_ever(event: bytes, white: bytes, *, slowly: bool) -> Play:
    """Send *event* again and again; in a body that is not a stream, *white*."""

    async def play(wire: Wire) -> object:
        await wire.begin()
        while True:
            if slowly:
                await wire.pause()
            # White space before JSON is legal, so a body in one piece can go on for ever with it.
            await wire.send_parts(event if wire.is_stream else white)

    return play


async def _trickle(wire: Wire) -> object:
    body = b"".join(wire.parts)
    # Forty pieces cut events anywhere, also inside a character.
    size = max(1, len(body) // 40)
    await wire.send_head()
    for begin in range(0, len(body), size):
        await wire.send_parts(body[begin : begin + size])
        await wire.pause()
    await wire.send(b"0\r\n\r\n")
    return wire.release()


_WORD = b"data: " + _CHUNK % (b"0", b'"content":" word"') + b"\n\n"

_SLOW = (
    Fault(
        "comments",
        "Comments come for ever, and never another chunk.",
        "content",
        Verdict("StreamTimeoutError", clock="idle_content_s"),
        Verdict("APITimeoutError", clock="first_content_s"),
        play=_for_ever(b": keep-alive\n\n", b"\n", slowly=True),
    ),
    Fault(
        "trickle",
        "The answer comes in small pieces with gaps, which is legal.",
        "content",
        Verdict(DELIVERED, connection="kept"),
        Verdict(DELIVERED, connection="kept"),
        play=_trickle,
    ),
    Fault(
        "trickle_for_ever",
        "Valid chunks come slowly, for ever; only the deadline of the whole call ends it.",
        "content",
        Verdict("StreamTimeoutError", clock="total_s"),
        Verdict("APITimeoutError", clock="total_s"),
        play=_for_ever(_WORD, b"x", slowly=True),
    ),
)

_ODD = (
    Fault("error_event", "The server reports an error in the stream.", "content", *_REPORTED, play=_then_hold(_ERROR)),
    Fault(
        "error_event_named",
        "The server reports an error in an event named so.",
        "content",
        *_REPORTED,
        play=_then_hold(_ERROR, b"event: error\n"),
    ),
    Fault(
        "error_event_quota",
        "The server reports in the stream that the budget is used up.",
        "content",
        Verdict("StreamServerError"),
        Verdict("StreamServerError"),
        play=_then_hold(_QUOTA),
    ),
    Fault("json_malformed", "A chunk is no JSON.", "content", *_UNREADABLE, play=_then_hold(b'{"id": oops}')),
    Fault("json_too_deep", "A chunk is nested 100,000 deep.", "content", *_UNREADABLE, play=_then_hold(_DEEP)),
    Fault("json_of_another_kind", "A chunk is a list.", "content", *_UNREADABLE, play=_then_hold(b"[1, 2]")),
    Fault(
        "choice_index_huge",
        "A choice with the index 1,000,000,000.",
        "content",
        *_OUT_OF_BOUNDS,
        play=_index(_CHUNK % (b"1000000000", b'"content":"far"')),
    ),
    Fault(
        "tool_index_huge",
        "A tool call with the index 1,000,000,000.",
        "content",
        *_OUT_OF_BOUNDS,
        play=_index(_CHUNK % (b"0", _CALL % b"1000000000")),
    ),
)

_BIG = (
    Fault(
        "line_for_ever",
        "One line of an event never ends.",
        "content",
        *_TOO_LARGE,
        play=_for_ever(b"x" * 4096, b"x" * 2**16, slowly=False),
    ),
    Fault(
        "event_for_ever",
        "One event of many lines never ends.",
        "content",
        *_TOO_LARGE,
        play=_for_ever(b"data: word\n" * 500, b" " * 2**16, slowly=False),
    ),
    Fault(
        "flood",
        "Valid chunks come for ever, as fast as the client takes them.",
        "content",
        *_TOO_LARGE,
        play=_for_ever(_WORD * 50, b" " * 2**16, slowly=False),
    ),
)

CONTENT = (*_SLOW, *_ODD, *_BIG)
