"""Faults of the body's framing: it breaks off, falls silent, is framed wrongly, or packed unasked.

The verdicts come in pairs: on a client that asked for a stream, and on one that asked for a body in one piece.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Literal

from opeai_async.testing.faults.fault import DELIVERED, Fault, Play, Verdict, begun_chunk, http_chunk

if TYPE_CHECKING:
    from opeai_async.testing.faults.fault import Wire

_BROKEN = (Verdict("StreamInterruptedError", "before_content"), Verdict("APIConnectionError", "always"))
_CUT = (Verdict("StreamTruncatedError", "before_content"), Verdict("InvalidResponseError"))
# aiohttp's C parser sees only one of the two, its Python parser only the other; a clock ends the rest.
_UNSEEN = (Verdict("StreamError", "either", "idle_bytes_s"), Verdict("APIConnectionError", "either", "idle_bytes_s"))
_ENDED = (
    Verdict("StreamTruncatedError", "before_content"),
    Verdict("InvalidResponseError"),
)
_SILENT = (Verdict("StreamTimeoutError", clock="idle_bytes_s"), Verdict("APITimeoutError", clock="idle_bytes_s"))
_KEPT = (Verdict(DELIVERED, connection="kept"), Verdict(DELIVERED, connection="kept"))
_TOO_LARGE = (Verdict("StreamTooLargeError"), Verdict("InvalidResponseError"))

# The window bits below are zlib's: 31 writes gzip, 15 the zlib format that HTTP calls deflate.
_GZIP = {"content-encoding": "gzip"}


# --- it breaks off ----------------------------------------------------------------------------------------------------


def _break(how: Literal["fin", "rst"], *, inside: bool) -> Play:
    """Break off inside an HTTP chunk, or behind one."""

    async def play(wire: Wire) -> object:
        await wire.begin()
        if inside:
            await wire.send(begun_chunk(wire.rest))
        return await wire.hang_up(how)

    return play


def _break_after_finish(how: Literal["fin", "rst", "hold"]) -> Play:
    """Send all but the proof of the end: ``[DONE]``, and the end of the body."""

    async def play(wire: Wire) -> object:
        await wire.send_head()
        await wire.send_parts(*(wire.parts[:-1] if wire.is_stream else wire.parts))
        return await (wire.hold() if how == "hold" else wire.hang_up(how))

    return play


async def _length_too_big(wire: Wire) -> object:
    await wire.send_head(200, {"content-length": str(sum(map(len, wire.parts)))})
    await wire.send(*wire.before)
    return await wire.hang_up("fin")


async def _length_too_small(wire: Wire) -> object:
    # The length ends inside the next event, so what arrives is well framed, and cut.
    data = b"".join(wire.before) + wire.rest
    await wire.send_head(200, {"content-length": str(len(data) - len(wire.rest) // 2)})
    # In a packet of its own: aiohttp drops a head that comes together with a malformed body.
    await wire.pause()
    await wire.send(data)
    wire.end("cut")
    return wire.release()


async def _end_chunks_early(wire: Wire) -> object:
    await wire.begin()
    await wire.send(b"0\r\n\r\n")
    wire.end("cut")
    return wire.release()


async def _end_without_framing(wire: Wire) -> object:
    await wire.send_head(200, {"connection": "close"})
    await wire.send(*wire.before)
    return await wire.hang_up("fin")


_AFTER_FINISH = (
    Verdict(DELIVERED),
    Verdict("APIConnectionError", "always"),
)

_BREAKS = (
    Fault(
        "fin_in_chunk",
        "The connection is closed inside an HTTP chunk.",
        "body",
        *_BROKEN,
        play=_break("fin", inside=True),
    ),
    Fault(
        "rst_in_chunk",
        "The connection is reset inside an HTTP chunk.",
        "body",
        *_BROKEN,
        play=_break("rst", inside=True),
    ),
    Fault(
        "fin_after_chunk",
        "The connection is closed behind a whole HTTP chunk, before the body has ended.",
        "body",
        *_BROKEN,
        play=_break("fin", inside=False),
    ),
    Fault(
        "rst_after_chunk",
        "The connection is reset behind a whole HTTP chunk.",
        "body",
        *_BROKEN,
        play=_break("rst", inside=False),
    ),
    Fault(
        "length_too_big",
        "The connection is closed before as much has come as Content-Length says.",
        "body",
        *_BROKEN,
        play=_length_too_big,
    ),
    Fault(
        "length_too_small",
        "More comes than Content-Length says, so that the answer is cut.",
        "body",
        *_CUT,
        play=_length_too_small,
    ),
    Fault(
        "end_early",
        "The body ends properly in the middle of the answer, as behind a proxy.",
        "body",
        *_ENDED,
        play=_end_chunks_early,
    ),
    Fault(
        "end_unframed",
        "A body without length or chunks ends with the connection, in the middle of the answer.",
        "body",
        *_CUT,
        play=_end_without_framing,
    ),
    Fault(
        "fin_after_finish",
        "The connection is closed behind the finish_reason, without [DONE].",
        "body",
        *_AFTER_FINISH,
        play=_break_after_finish("fin"),
    ),
    Fault(
        "rst_after_finish",
        "The connection is reset behind the finish_reason, without [DONE].",
        "body",
        *_AFTER_FINISH,
        play=_break_after_finish("rst"),
    ),
    Fault(
        "hold_after_finish",
        "The finish_reason comes, and then nothing: no [DONE], no end of the body.",
        "body",
        Verdict(DELIVERED, clock="finish_grace_s"),
        Verdict("APITimeoutError", clock="idle_bytes_s"),
        play=_break_after_finish("hold"),
    ),
)


# --- it falls silent --------------------------------------------------------------------------------------------------


def _stall(*, inside: bool) -> Play:
    async def play(wire: Wire) -> object:
        await wire.begin()
        if inside:
            await wire.send(begun_chunk(wire.rest))
        return await wire.hold()

    return play


_SILENCES = (
    Fault("stall", "The connection stays open, but nothing more comes.", "body", *_SILENT, play=_stall(inside=False)),
    Fault("stall_in_chunk", "Nothing more comes after half of an event.", "body", *_SILENT, play=_stall(inside=True)),
)


# --- it is framed wrongly ---------------------------------------------------------------------------------------------


def _misframe(data: bytes) -> Play:
    """Send *data* where an HTTP chunk should begin; the connection stays open, and silent."""

    async def play(wire: Wire) -> object:
        await wire.begin()
        # In a packet of its own: together with good chunks, it is another case for aiohttp.
        await wire.pause()
        await wire.send(data)
        return await wire.hold()

    return play


def _misframe_for_ever(start: bytes, more: bytes) -> Play:
    async def play(wire: Wire) -> object:
        await wire.begin()
        await wire.pause()
        await wire.send(start)
        while True:
            await wire.send(more)

    return play


async def _bad_size_at_once(wire: Wire) -> object:
    await wire.send_head()
    await wire.pause()
    await wire.send(b"".join(map(http_chunk, wire.before)) + b"zz\r\nabc\r\n")
    return await wire.hold()


async def _chunk_overrun(wire: Wire) -> object:
    await wire.begin()
    await wire.pause()
    await wire.send(b"%x\r\n" % (len(wire.rest) // 2) + wire.rest + b"\r\n")
    return await wire.hold()


def _framing(name: str, meaning: str, play: Play, verdicts: tuple[Verdict, Verdict] = _BROKEN) -> Fault:
    return Fault(name, meaning, "body", *verdicts, play=play)


_MISFRAMED = (
    _framing(
        "chunk_size_garbage", "A chunk size that is no number, in a packet of its own.", _misframe(b"zz\r\nabc\r\n")
    ),
    _framing(
        "chunk_size_garbage_at_once", "A chunk size that is no number, right behind good chunks.", _bad_size_at_once
    ),
    _framing("chunk_size_negative", "A chunk size below zero.", _misframe(b"-5\r\nabcde\r\n")),
    _framing("chunk_size_prefixed", "A chunk size written as 0x5.", _misframe(b"0x5\r\nabcde\r\n")),
    _framing(
        "chunk_size_overflow", "A chunk size of more than 64 bits.", _misframe(b"f" * 32 + b"\r\nabcde\r\n"), _UNSEEN
    ),
    _framing("chunk_overrun", "A chunk holds more than its size says.", _chunk_overrun),
    _framing(
        "chunk_extension_flood",
        "The extension of a chunk never ends.",
        _misframe_for_ever(b"5;x=", b"y" * 4096),
        _UNSEEN,
    ),
    _framing(
        "trailer_flood",
        "Trailers behind the last chunk come for ever.",
        _misframe_for_ever(b"0\r\n", b"X-A: b\r\n" * 500),
    ),
)


# --- it is packed -----------------------------------------------------------------------------------------------------


def _pack(encoding: str, window_bits: int) -> Play:
    """Send the whole answer, compressed although that was not asked for."""

    async def play(wire: Wire) -> object:
        # A sync flush behind each event, as a server does that compresses a stream without holding it up.
        compressor = zlib.compressobj(wbits=window_bits)
        await wire.send_head(200, {"content-encoding": encoding})
        for part in wire.parts:
            await wire.send_parts(compressor.compress(part) + compressor.flush(zlib.Z_SYNC_FLUSH))
        await wire.send(http_chunk(compressor.flush()) + b"0\r\n\r\n")
        return wire.release()

    return play


async def _pack_badly(wire: Wire) -> object:
    compressor = zlib.compressobj(wbits=31)
    await wire.send_head(200, _GZIP)
    await wire.send_parts(compressor.compress(b"".join(wire.before)) + compressor.flush(zlib.Z_SYNC_FLUSH))
    await wire.pause()
    await wire.send(http_chunk(b"\xff" * 200))
    return await wire.hold()


async def _bomb(wire: Wire) -> object:
    """Send a megabyte in a kilobyte, again and again."""
    # A full flush forgets all that was before, so one compressed block can be repeated.
    compressor = zlib.compressobj(wbits=31)
    start = b"".join(wire.before) + wire.item(b'{"id":"')
    start = compressor.compress(start.rstrip(b"\n")) + compressor.flush(zlib.Z_FULL_FLUSH)
    block = compressor.compress(b"x" * 2**20) + compressor.flush(zlib.Z_FULL_FLUSH)
    await wire.send_head(200, _GZIP)
    await wire.send_parts(start)
    while True:
        await wire.send_parts(block)


_PACKED = (
    Fault(
        "gzip_unrequested",
        "The answer is compressed by gzip, although nobody asked for it.",
        "body",
        *_KEPT,
        play=_pack("gzip", 31),
    ),
    Fault(
        "deflate_unrequested",
        "The answer is compressed by deflate, although nobody asked for it.",
        "body",
        *_KEPT,
        play=_pack("deflate", 15),
    ),
    Fault("gzip_corrupt", "Compressed bytes turn into garbage.", "body", *_BROKEN, play=_pack_badly),
    Fault("gzip_bomb", "A few kilobytes that unpack to gigabytes, in one event.", "body", *_TOO_LARGE, play=_bomb),
)

BODY = (*_BREAKS, *_SILENCES, *_MISFRAMED, *_PACKED)
