"""The event stream decoder, against the standard's own cases and against a decoder that is as plain as can be."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async._core import sse
from opeai_async._core.sse import ServerSentEvent, SSEDecoder
from opeai_async.errors import StreamTooLargeError
from tests.support.reading.streams import byte_by_byte, cut, cuts

Fired = list[tuple[str, bytes, str]]  # (type, data, last event id)


def message(*data: bytes, event_id: str = "") -> Fired:
    return [("message", item, event_id) for item in data]


# The cases of web-platform-tests/eventsource/format-*: body, events, reconnection time.
WPT: dict[str, tuple[bytes, Fired, int | None]] = {
    "bom": (b"\xef\xbb\xbfdata:1\n\n\xef\xbb\xbfdata:2\n\ndata:3\n\n", message(b"1", b"3"), None),
    "bom-2": (b"\xef\xbb\xbf\xef\xbb\xbfdata:1\n\ndata:2\n\ndata:3\n\n", message(b"2", b"3"), None),
    "comments": (
        b"data:1\r:\0\n:\r\ndata:2\n:" + b"x" * 2048 + b"\rdata:3\n:data:fail\r:" + b"x" * 2048 + b"\ndata:4\n\n",
        message(b"1\n2\n3\n4"),
        None,
    ),
    "data-before-final-empty-line": (b"retry:1000\ndata:test1\n\nid:test\ndata:test2", message(b"test1"), 1000),
    "field-data": (b"data:\n\ndata\ndata\n\ndata:test\n\n", message(b"", b"\n", b"test"), None),
    "field-event": (
        b"event:test\ndata:x\n\ndata:x\n\n",
        [("test", b"x", ""), ("message", b"x", "")],
        None,
    ),
    "field-event-empty": (b"event: \ndata:data\n\n", message(b"data"), None),
    "field-id": (
        b"id: 1\ndata: x\n\ndata: y\n\nid\ndata: z\n\n",
        [*message(b"x", b"y", event_id="1"), *message(b"z")],
        None,
    ),
    "field-id-2": (
        b"id: 1\n\ndata: a\n\nid: 2\n\nid: 3\ndata: b\n\n",
        [*message(b"a", event_id="1"), *message(b"b", event_id="3")],
        None,
    ),
    "field-id-null": (
        b"id: 7\ndata: a\n\nid: \0 8\ndata: b\n\nid: 8\0\ndata: c\n\n",
        message(b"a", b"b", b"c", event_id="7"),
        None,
    ),
    "field-parsing": (
        (
            b"data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\n"
            b"data:3\rdata:\r\n data:32\ndata:4\n\n"
        ),
        message(b"\0\n 2\n1\n3\n\n4"),
        None,
    ),
    "field-retry": (b"retry:03000\ndata:x\n\n", message(b"x"), 3000),
    "field-retry-bogus": (b"retry:3000\nretry:1000x\nretry:-1\nretry:\xc2\xb2\ndata:x\n\n", message(b"x"), 3000),
    "field-retry-empty": (b"retry\nretry:\ndata:test\n\n", message(b"test"), None),
    "field-unknown": (
        b"data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\n\n",
        message(b"test\n"),
        None,
    ),
    "leading-space": (b"data:\ttest\rdata: \ndata:test\n\n", message(b"\ttest\n\ntest"), None),
    "mime-newlines": (b"data:test\r\n\ndata:test\n\r\ndata:test\r\rdata:test\n\n", message(*[b"test"] * 4), None),
    "newlines": (b"data:test\n\ndata:test\r\n\r\ndata:te\rdata:st\r\n\n", message(b"test", b"test", b"te\nst"), None),
    "null-character": (b"data:\0\n\n\n\n", message(b"\0"), None),
    "utf-8": ("data:ok…\n\n".encode(), message("ok…".encode()), None),
    "utf-8-malformed": (
        b"data: a\xff\xe2\x80b\n\ndata:\xe2\n\nevent:\xff\nid:\xfe\ndata:c\n\n",
        [
            *message("a\ufffd\ufffdb".encode(), "\ufffd".encode()),
            ("\ufffd", b"c", "\ufffd"),
        ],
        None,
    ),
    "other-line-separators": (
        "data:a\u2028b\u2029c\x85d\x0be\x0cf\n\n".encode(),
        message("a\u2028b\u2029c\x85d\x0be\x0cf".encode()),
        None,
    ),
}


def fired(events: list[ServerSentEvent]) -> Fired:
    return [(event.event, event.data, event.id) for event in events]


def feed_all(decoder: SSEDecoder, reads: list[bytes]) -> Fired:
    return fired([event for read in reads for event in decoder.feed(read)])


def ways_to_cut(data: bytes) -> list[list[bytes]]:
    chance = random.Random(0)
    at_random = [cut(data, chance.sample(range(len(data)), k=min(len(data), chance.randint(1, 9)))) for _ in range(200)]
    return [[data], byte_by_byte(data), *at_random]


@pytest.mark.parametrize("name", WPT)
def test_case_of_the_standard(name: str) -> None:
    """Whole, byte by byte, and cut at random, a body gives the events that browsers give."""
    body, events, retry_ms = WPT[name]
    for reads in ways_to_cut(body):
        decoder = SSEDecoder()
        assert feed_all(decoder, reads) == events, reads
        assert decoder.retry_ms == retry_ms


# --- generated -------------------------------------------------------------------------------------------------------

_TOKENS = [b"\n", b"\n", b"\r", b"\r\n", b"\n\n", b"data: ", b"data:", b"data", b"event: ", b"id: ", b"retry: ", b": "]
_TOKENS += [b"error: ", b"\xef\xbb\xbf", b"\xef", b"\xbb", b"\xff", b"\xe2\x80\xa8", "é".encode(), b"\0", b" ", b":"]
_TOKENS += [b"1", b"23", b"x", b'{"a": 1}', b"data: x\n\n", b"data: y\n\n", b": ping\n\n", b"id: 5\ndata: z\r\n\r\n"]
soup = st.lists(st.sampled_from(_TOKENS), max_size=24).map(b"".join)


def by_the_letter(data: bytes) -> tuple[Fired, str, int | None]:
    """WHATWG HTML 9.2.6 word by word, on the whole text; also the last event id and the reconnection time."""
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    events: Fired = []
    buffer, event_type, id_buffer, last_id, retry = "", "", "", "", None
    for line in re.split("\r\n|\n|\r", text)[:-1]:
        name, colon, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            last_id = id_buffer
            if buffer:
                events.append((event_type or "message", buffer.removesuffix("\n").encode(), last_id))
            buffer = event_type = ""
        elif colon and not name:
            continue
        elif name == "data":
            buffer += value + "\n"
        elif name == "event":
            event_type = value
        elif name == "id" and "\0" not in value:
            id_buffer = value
        elif name == "retry" and re.fullmatch("[0-9]+", value):
            retry = int(value)
    return events, last_id, retry


@given(data=st.data(), body=soup)
def test_any_input_at_any_cuts(data: st.DataObject, body: bytes) -> None:
    """Whatever the bytes and however they are cut, the events are those of the standard."""
    decoder = SSEDecoder()
    events = feed_all(decoder, data.draw(cuts(body)))
    assert (events, decoder.last_event_id, decoder.retry_ms) == by_the_letter(body)


@given(body=soup)
def test_any_input_byte_by_byte(body: bytes) -> None:
    """A byte at a time gives the events of the whole."""
    assert feed_all(SSEDecoder(), byte_by_byte(body)) == by_the_letter(body)[0]


@given(data=st.data(), body=soup, bound=st.integers(1, 40))
def test_a_bound_holds_at_any_cuts(data: st.DataObject, body: bytes, bound: int) -> None:
    """However the bytes are cut, the same events come before the same refusal."""

    def outcome(reads: list[bytes]) -> tuple[Fired, bool]:
        decoder, events = SSEDecoder(max_event_bytes=bound), []
        for read in reads:
            try:
                events += decoder.feed(read)
            except StreamTooLargeError as exc:
                return fired(events + list(exc.pending)), True
        return fired(events), False

    assert outcome(data.draw(cuts(body))) == outcome([body])


def test_other_fields_that_stand_for_an_event() -> None:
    """With ``event_fields``, an ``error:`` line is an event of that type; without, it is ignored."""
    body = b'error: {"code":1}\n\ndata: [DONE]\n\n'
    for reads in ways_to_cut(body):
        decoder = SSEDecoder(event_fields=("error",))
        assert feed_all(decoder, reads) == [("error", b'{"code":1}', ""), ("message", b"[DONE]", "")]
        assert feed_all(SSEDecoder(), reads) == message(b"[DONE]")


def test_a_reconnection_time_beyond_any_clock_is_ignored() -> None:
    """Digits without end neither cost time nor overflow somebody's timer."""
    decoder = SSEDecoder()
    decoder.feed(b"retry: 5\n" + b"retry: " + b"9" * 5000 + b"\n\n")
    assert decoder.retry_ms == 5


# --- bounds ----------------------------------------------------------------------------------------------------------


def test_a_bound_below_one_byte_is_refused() -> None:
    """A decoder that can decode nothing is a mistake of the caller."""
    with pytest.raises(ValueError, match="max_event_bytes must be at least 1, not 0"):
        SSEDecoder(max_event_bytes=0)


@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n"])
def test_an_event_over_the_bound(end: bytes) -> None:
    """What the same read had completed before is in ``pending``, the limit is named, and nothing more is decoded."""
    decoder = SSEDecoder(max_event_bytes=20)
    with pytest.raises(StreamTooLargeError, match="at least 21 bytes arrived, expected no more than 20") as caught:
        decoder.feed(b"data: 1\n\nevent: e\ndata: 2\n\ndata: 345678901234567" + end)
    assert fired(list(caught.value.pending)) == [*message(b"1"), ("e", b"2", "")]
    assert caught.value.limit == "max_event_bytes=20"
    with pytest.raises(StreamTooLargeError) as again:
        decoder.feed(b"\n\ndata: fine\n\n")
    assert again.value.pending == ()
    assert decoder.take_unterminated() == []


def test_an_event_at_the_bound() -> None:
    """The bound itself is allowed, field name included, on both ways through the decoder."""
    for body in (b"data: 45678901234567890\n\n", b":\ndata: 45678901234567890\n\n"):
        for reads in ways_to_cut(body):
            assert feed_all(SSEDecoder(max_event_bytes=23), reads) == message(b"45678901234567890")


def test_many_lines_over_the_bound() -> None:
    """Small lines without end are one event, and refused as one."""
    decoder = SSEDecoder(max_event_bytes=1000)
    for _ in range(1000 // 11):
        decoder.feed(b"data: 12345\n")
    with pytest.raises(StreamTooLargeError):
        decoder.feed(b"data: 12345\n")


def test_many_small_events_in_a_read_larger_than_the_bound() -> None:
    """The bound is on one event, not on what arrives at once."""
    assert feed_all(SSEDecoder(max_event_bytes=16), [b"data: x\n\n" * 50]) == message(*[b"x"] * 50)


# --- linear time -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", [b"data: ", b":\n\ndata:", b"data: a\ndata: "])
def test_a_huge_event_in_small_reads_is_joined_once(prefix: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event of 16 MB in reads of 1 KB: the regular expression sees it once, not once per read."""
    searched = 0
    find_ordinary = sse._find_ordinary

    def counting(data: bytes) -> list[bytes]:
        nonlocal searched
        searched += len(data)
        return find_ordinary(data)

    monkeypatch.setattr(sse, "_find_ordinary", counting)
    size = 16 * 1024 * 1024 - 32
    body = prefix + b"x" * size + b"\n\n"
    events = feed_all(SSEDecoder(), [body[begin : begin + 1024] for begin in range(0, len(body), 1024)])
    assert len(events) == 1
    assert events[0][1].endswith(b"x" * size)
    assert searched <= 2 * len(body)


def test_a_line_full_of_field_names() -> None:
    """A line that looks like the start of an event at each of its bytes is searched once.

    Searched from each of them, 1 MB would take an hour and the test's time limit would kill it.
    """
    line = b"data: " * 200_000
    decoder = SSEDecoder()
    assert feed_all(decoder, [line + b"\ndata: x\n\n"]) == message(line[6:] + b"\nx")


# --- the fast way ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b": ping\n\n",
        b"data: a\r\n\r\n",
        b"data:a\n\n",
        b"data: a\ndata: b\n\n",
        b"id: 1\ndata: a\n\n",
        b"data: a\n\n\n",
        b"\xef\xbb\xbfdata: a\n\n",
        b"xdata: a\n\n",
    ],
)
def test_what_is_not_ordinary_is_left_unread(body: bytes) -> None:
    """``feed_ordinary`` answers None and consumes nothing, so ``feed`` sees it all."""
    decoder = SSEDecoder()
    assert decoder.feed_ordinary(body) is None
    assert fired(decoder.feed(body)) == by_the_letter(body)[0]


@given(data=st.data(), items=st.lists(st.binary(max_size=20).map(lambda item: re.sub(rb"[\r\n]", b".", item))))
def test_ordinary_events_at_any_cuts(data: st.DataObject, items: list[bytes]) -> None:
    """One-line events never leave the fast way, wherever they are cut, and their bytes come as they are."""
    body = b"".join(b"data: " + item + b"\n\n" for item in items)
    decoder = SSEDecoder()
    payloads: list[bytes] = []
    for read in data.draw(cuts(body)):
        found = decoder.feed_ordinary(read)
        assert found is not None
        payloads += found
    assert payloads == items
    assert decoder.take_unterminated() == []


SOLE = (b"data: x", b"data: x: y", b"data:x: y", b"data: ", b"id: 1", b": x", b"x", b"", b"data: x\r", b"data: \ny")


def test_an_odd_read_between_ordinary_ones() -> None:
    """After a comment, the fast way is taken again, with the id in force."""
    decoder = SSEDecoder()
    assert fired(decoder.feed(b"id: 9\ndata: a\n\n: ping\n\nda")) == message(b"a", event_id="9")
    assert decoder.feed_ordinary(b"ta: b\n\n") == [b"b"]
    assert fired(decoder.feed(b"data: c\n\n")) == message(b"c", event_id="9")


def test_an_empty_read() -> None:
    """Nothing in, nothing out, nothing lost."""
    decoder = SSEDecoder()
    assert feed_all(decoder, [b"", b"data: a\n", b"", b"\n", b":\r", b"", b"\ndata: b\r\n\r\n"]) == message(b"a", b"b")


# --- the end ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b"data: a\n\ndata: b", message(b"b")),
        (b"data: a\n\ndata: b\n", message(b"b")),
        (b"data: a\r\n\r\ndata: b\r", message(b"b")),
        (b"event: error\ndata: b", [("error", b"b", "")]),
        (b"data: b\ndata: c\n", message(b"b\nc")),
        (b"data: a\n\n", []),
        (b"data: a\n\nid: 5", []),
        (b": ping", []),
        (b"\xef\xbb", []),
        (b"", []),
    ],
)
def test_an_event_without_its_blank_line(body: bytes, events: Fired) -> None:
    """``feed`` drops it as the standard asks; ``take_unterminated`` gives it to whoever asks."""
    for reads in ways_to_cut(body) if body else [[]]:
        decoder = SSEDecoder()
        feed_all(decoder, reads)
        assert fired(decoder.take_unterminated()) == events
