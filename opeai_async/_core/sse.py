"""Decode Server-Sent Events: bytes in, events out, wherever the network cuts the bytes.

The rules are WHATWG HTML 9.2.6, "Interpreting an event stream". Each ``feed`` returns the events that are complete
(an empty list means *need more*), or raises if an event exceeds its bound. Payloads stay bytes: JSON and ``[DONE]``
belong to the caller.

There are two ways to read. Most reads of most streams hold whole one-line events only (``data: ...`` and a blank
line). One regular expression splits such a read, and the sum of the lengths proves that it held nothing else. All other
reads (comments, CR, other fields, several data lines, a byte order mark) are parsed line by line. A decoder changes
from one way to the other at event boundaries only, so between two reads it is in one of two states:

    state        _ordinary  what is kept                              leaves the state when
    -----------  ---------  ----------------------------------------  ------------------------------------------
    ordinary     True       _tail: the next event's unread beginning  a read holds more than one-line data events
    within event False      _data_lines, _event_type; _line: the      a read ends at a boundary: the event is
                            beginning of an unfinished line           dispatched and nothing of the next is known

A third, final state is a bound exceeded: ``_refused`` holds the error, and every further ``feed`` raises it.

Kept bytes stay in lists of parts, and only new bytes are searched. So a byte is copied a fixed number of times, and an
event of many MB in small reads costs linear time. One buffer to which reads are appended was rejected: it searches or
copies the beginning of a large event again at each read.
"""

import functools
import re
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from opeai_async._core.limits import DEFAULT_MAX_EVENT_BYTES
from opeai_async._public import claim
from opeai_async.errors import StreamTooLargeError

# Anchored at the line's start: otherwise a line full of "data: " would be searched to its end from each of them.
_find_ordinary = re.compile(rb"^data: (.*)\n\n", re.MULTILINE).findall
_ORDINARY_START = b"data: "
_ORDINARY_OVERHEAD = len(b"data: \n\n")
# Ints, not bytes: for ``bytes in bytes``, CPython 3.11 first raises and catches an error.
CR, _LF = b"\r\n"
BOM = b"\xef\xbb\xbf"
# A longer number of milliseconds is more than any clock holds, and int() raises if there are thousands of digits.
_MAX_RETRY_DIGITS = 18
# Shared by all decoders that keep no bytes; never appended to.
_EMPTY: list[bytes] = []


class ServerSentEvent(Struct, frozen=True, gc=False):
    """One dispatched event.

    Attributes:
        data: The data lines joined by LF, as valid UTF-8 bytes: JSON decoders want bytes, so a str would be built
            only to be encoded again. Malformed sequences have become U+FFFD.
        event: The event's type, ``"message"`` if the stream named none.
        id: The last event id in force, ``""`` if there was none.
        was_malformed: True if anything in the data became U+FFFD.
        was_bare: True if some of the data stood on a line without ``data:``.
        status: What a field ``status`` said, which a standard parser ignores: the HTTP status of this event; else 0.
    """

    data: bytes
    event: str = "message"
    id: str = ""
    was_malformed: bool = False
    was_bare: bool = False
    status: int = 0


class SSEDecoder:
    """Decoder that turns reads of an event stream into events.

    Args:
        max_event_bytes: Bound on one event's data and on one line, field names included.
        event_fields: Names of fields outside the standard. A line with such a field is the data of an event whose type
            is that name; a standard parser ignores the line.
        bare_events: Types of events that are dispatched even without a data line; a standard parser drops them.
        bare_objects: True to take a line that begins with a brace as data; if it also ends with one, it is a whole
            event. ``Data:`` and `` data:`` are taken for ``data:``, too. A standard parser ignores such lines.

    Attributes:
        at_boundary: Whether nothing is kept: the next byte is the first of an event.

    See https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
    """

    __slots__ = (
        "_bare_events",
        "_bare_objects",
        "_bom_checked",
        "_data_bytes",
        "_data_lines",
        "_event_fields",
        "_event_type",
        "_id_buffer",
        "_is_bare",
        "_last_event_id",
        "_line",
        "_line_bytes",
        "_max_event_bytes",
        "_ordinary",
        "_refused",
        "_retry_ms",
        "_skip_lf",
        "_status",
        "_tail",
        "_tail_bytes",
        "at_boundary",
    )

    def __init__(
        self,
        *,
        max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES,
        event_fields: Iterable[str] = (),
        bare_events: Iterable[str] = (),
        bare_objects: bool = False,
    ) -> None:
        if max_event_bytes < 1:
            raise ValueError(f"max_event_bytes must be at least 1, not {max_event_bytes}")
        # Settings, fixed for the life of the decoder.
        self._max_event_bytes = max_event_bytes
        self._event_fields = _encoded(tuple(event_fields))
        self._bare_events = _encoded(tuple(bare_events))
        self._bare_objects = bare_objects
        # The event being built took a line without ``data:``.
        self._is_bare = False
        # Which of the two states of the header; ``_tail`` is empty unless this is True.
        self._ordinary = True
        # Beginning of the next event, unread, as parts; and the sum of their lengths.
        self._tail = _EMPTY
        self._tail_bytes = 0
        self.at_boundary: bool = True
        # The stream's first three bytes are known, so that no byte order mark can follow.
        self._bom_checked = False
        # Beginning of an unfinished line, as parts; and the sum of their lengths. Empty while ordinary.
        self._line = _EMPTY
        self._line_bytes = 0
        # The last read ended with CR: an LF at the start of the next belongs to the same line end.
        self._skip_lf = False
        # The "data buffer" and "event type buffer" of the standard; the bytes include field names, for the bound.
        self._data_lines = _EMPTY
        self._data_bytes = 0
        self._event_type = b""
        # What the event's ``status`` field said; 0 if there was none.
        self._status = 0
        # The standard's two ids: what the last ``id`` field said, and what held when the last event ended.
        self._id_buffer = ""
        self._last_event_id = ""
        # The last valid ``retry`` field; None if there was none.
        self._retry_ms: int | None = None
        # The error of the bound that was exceeded; every later read raises it again.
        self._refused: StreamTooLargeError | None = None

    @property
    def last_event_id(self) -> str:
        """The id of the last event that ended, for a ``Last-Event-ID`` header; ``""`` if there was none."""
        return self._last_event_id

    @property
    def retry_ms(self) -> int | None:
        """The reconnection time the stream asked for, in milliseconds, or None."""
        return self._retry_ms

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Decode as many events as *data* completes.

        Args:
            data: Bytes as read from the network; any split is fine, even inside a UTF-8 sequence.

        Raises:
            StreamTooLargeError: If one event or line exceeds ``max_event_bytes``; its ``pending`` holds the events
                that the same read had completed. The decoder is then unusable.
        """
        payloads = self.feed_ordinary(data)
        if payloads is None:
            return self._feed_lines(data)
        return [_event(payload, "message", self._last_event_id) for payload in payloads]

    def feed_ordinary(self, data: bytes) -> list[bytes] | None:
        """Return the payload of each event that *data* completes if all are one-line events; else None.

        None means that nothing was consumed: call ``feed`` with the same data. This is ``feed`` without event objects
        and without the check for malformed UTF-8, for callers whose own decoder checks it.
        """
        size = self._tail_bytes + len(data)
        if not self._ordinary or CR in data or size > self._max_event_bytes:
            return None
        if self._tail:
            if _LF not in data and self._tail[-1][-1:] != b"\n":
                self._tail.append(data)
                self._tail_bytes = size
                return []
            data = b"".join((*self._tail, data))
        payloads = _find_ordinary(data)
        end = sum(map(len, payloads)) + _ORDINARY_OVERHEAD * len(payloads)
        if end != size:
            rest = data[end:]
            if not begins_ordinary(rest):
                return None
            self.keep(rest)
        elif self._tail:
            self.keep(b"")
        if payloads:
            self._bom_checked = True
        return payloads

    def unread(self, data: bytes) -> bytes | None:
        """Return all that is unread if *data* is added to it, beginning at an event boundary; nothing is consumed.

        None if the last read ended within an event that is not ordinary, or if all of it is beyond the bound. If the
        caller has decoded it up to another boundary, ``keep`` takes what is left.
        """
        if not self._ordinary or self._tail_bytes + len(data) > self._max_event_bytes:
            return None
        return b"".join((*self._tail, data)) if self._tail else data

    def keep(self, rest: bytes) -> None:
        """Go on after a boundary that the caller has found: *rest* is what ``unread`` returned behind it."""
        self._tail, self._tail_bytes = ([rest], len(rest)) if rest else (_EMPTY, 0)
        self.at_boundary = not rest

    def take_unterminated(self) -> list[ServerSentEvent]:
        """Return the event that still lacked its blank line when the stream ended; feed nothing afterwards.

        The standard drops this event; use it only if its data is whole.
        """
        if self._refused is not None or not (self._tail or self._line or self._data_lines):
            return []
        return self._feed_lines(b"\n\n")

    # --- line by line ----------------------------------------------------------------------------------------------

    def _feed_lines(self, data: bytes) -> list[ServerSentEvent]:
        if self._refused is not None:
            raise self._refused.with_traceback(None)
        if self._tail:
            data = b"".join((*self._tail, data))
            self._tail, self._tail_bytes = _EMPTY, 0
        self._ordinary = self.at_boundary = False
        maybe_data = self._without_bom(data)
        if maybe_data is None:
            return []
        events: list[ServerSentEvent] = []
        for line in self._complete_lines(maybe_data, events):
            self._take_line(line, events)
        self._become_ordinary_at_boundary()
        return events

    def _without_bom(self, data: bytes) -> bytes | None:
        """Return *data* without the byte order mark a stream may begin with; None while too few bytes are there."""
        if self._bom_checked:
            return data
        if len(data) < len(BOM) and BOM.startswith(data):
            self._ordinary = True
            self.keep(data)
            return None
        self._bom_checked = True
        return data.removeprefix(BOM)

    def _complete_lines(self, data: bytes, events: list[ServerSentEvent]) -> Iterable[bytes]:
        """Yield each line that *data* completes, without its line end (CR, LF or CRLF); keep the unfinished rest."""
        if self._skip_lf and data:
            self._skip_lf = False
            data = data.removeprefix(b"\n")
        if not data:
            return
        # On bytes, ``splitlines`` splits at CR, LF and CRLF only, which is what the standard asks for.
        lines = data.splitlines()
        last = data[-1:]
        rest = b"" if last in b"\r\n" else lines.pop()
        self._skip_lf = last == b"\r"
        if lines and self._line:
            lines[0] = b"".join((*self._line, lines[0]))
            self._line, self._line_bytes = _EMPTY, 0
        for line in lines:
            self._check_bound(len(line), events)
            yield line
        if rest:
            self._line = self._line or []
            self._line.append(rest)
            self._line_bytes += len(rest)
            self._check_bound(self._line_bytes, events)

    def _take_line(self, line: bytes, events: list[ServerSentEvent]) -> None:
        if not line:
            self._dispatch(events)
            return
        if (self._is_bare or line.startswith(b"{")) and self._bare_objects and self._take_bare(line, events):
            return
        name, _, value = line.partition(b":")
        if not name:  # a comment
            return
        if value[:1] == b" ":
            value = value[1:]
        if name == b"data":
            self._add_data(value, len(line))
        elif name == b"event":
            self._event_type = value
        elif name == b"id":
            if b"\0" not in value:
                self._id_buffer = value.decode("utf-8", "replace")
        elif name == b"retry":
            self._take_retry(value)
        elif name == b"status":
            self._status = int(value) if _is_status(value) else 0
        elif name in self._event_fields:
            self._event_type = name
            self._add_data(value, len(line))
        elif self._bare_objects and name.strip().lower() == b"data":
            self._is_bare = True
            self._add_data(value, len(line))

    def _take_bare(self, line: bytes, events: list[ServerSentEvent]) -> bool:
        """Take *line* as data, or end the object of several lines if it is a field; tell whether it was taken."""
        if self._is_bare and line.partition(b":")[0] in (b"data", b"event", b"id"):
            self._dispatch(events)
            return False
        is_first = not self._data_lines
        self._is_bare = True
        self._add_data(line, len(line))
        if is_first and line.rstrip().endswith(b"}"):
            self._dispatch(events)
        return True

    def _add_data(self, value: bytes, line_bytes: int) -> None:
        self._data_lines = self._data_lines or []
        self._data_lines.append(value)
        self._data_bytes += line_bytes

    def _take_retry(self, value: bytes) -> None:
        # bytes.isdigit() accepts ASCII digits only, as the standard asks.
        if value.isdigit() and len(value) <= _MAX_RETRY_DIGITS:
            self._retry_ms = int(value)

    def _dispatch(self, events: list[ServerSentEvent]) -> None:
        # The id counts even if the event has no data: the standard sets it first (9.2.6, dispatch, step 1).
        self._last_event_id = self._id_buffer
        if self._data_lines or self._event_type.lower() in self._bare_events:
            event_type = self._event_type.decode("utf-8", "replace") or "message"
            event = _event(b"\n".join(self._data_lines), event_type, self._last_event_id)
            if self._is_bare or self._status:
                event = msgspec.structs.replace(event, was_bare=self._is_bare, status=self._status)
            events.append(event)
            self._is_bare = False
            self._data_lines, self._data_bytes = _EMPTY, 0
        self._event_type = b""
        self._status = 0

    def _check_bound(self, line_bytes: int, events: list[ServerSentEvent]) -> None:
        size = self._data_bytes + line_bytes
        if size <= self._max_event_bytes:
            return
        self._line = self._data_lines = _EMPTY
        # Two errors: the kept one is raised again and again, and must not hold the events of this read for ever.
        message = f"an event of at least {size} bytes arrived, expected no more than {self._max_event_bytes} bytes"
        limit = f"max_event_bytes={self._max_event_bytes}"
        self._refused = StreamTooLargeError(message, limit=limit)
        raise StreamTooLargeError(message, limit=limit, pending=tuple(events))

    def _become_ordinary_at_boundary(self) -> None:
        if (
            self._data_lines
            or self._event_type
            or self._status
            or self._skip_lf
            or self._id_buffer != self._last_event_id
        ):
            return
        # The unfinished line is the beginning of the next event, which the fast way may turn out to be able to read.
        self._ordinary = True
        self._tail, self._tail_bytes = self._line, self._line_bytes
        self.at_boundary = not self._tail
        self._line, self._line_bytes = _EMPTY, 0


@functools.lru_cache(maxsize=64)
def _encoded(names: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(name.encode() for name in names)


_is_status = re.compile(rb"[1-5]\d\d").fullmatch


def begins_ordinary(rest: bytes) -> bool:
    """Tell whether *rest* is the beginning of a one-line ``data: `` event, so that reading it can wait."""
    return _ORDINARY_START.startswith(rest) or (rest.startswith(_ORDINARY_START) and b"\n" not in rest[:-1])


def _event(raw: bytes, event_type: str, event_id: str) -> ServerSentEvent:
    data = as_utf8(raw)
    return ServerSentEvent(data, event_type, event_id, was_malformed=data is not raw)


def as_utf8(data: bytes) -> bytes:
    """Return *data* itself if it is valid UTF-8, else a copy in which each malformed sequence is U+FFFD."""
    if data.isascii():
        return data
    try:
        data.decode()
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace").encode()
    return data


claim(__name__)
