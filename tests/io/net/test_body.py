"""A body taken out of aiohttp at once says the same as aiohttp's own reader."""

import asyncio
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp.streams import EMPTY_PAYLOAD
from hypothesis import given
from hypothesis import strategies as st

from opeai_async import AsyncOpeAI
from opeai_async._io.net.parts import body as aiohttp_body
from opeai_async._io.net.parts.body import Body, take_over
from tests.support.clients import KEY
from tests.support.reading.chunks import BODY, DONE, FINISH, event
from tests.support.servers.raw_server import HEAD, RawServer, chunked

PLAIN = SimpleNamespace(compression=None)


class Connection:
    """What a reader tells its connection."""

    def __init__(self):
        self._reading_paused = False
        self.connected = True
        self.resumed = 0

    def pause_reading(self):
        self._reading_paused = True

    def resume_reading(self, resume_parser=True):
        self._reading_paused = False
        self.resumed += 1


def reader(limit=2**16):
    """A reader of aiohttp, and its connection."""
    connection = Connection()
    return aiohttp.StreamReader(connection, limit, loop=connection), connection


def taken_over(limit=2**16):
    """The same, taken over."""
    payload, connection = reader(limit)
    take_over(PLAIN, payload)
    assert type(payload) is Body
    return payload, connection


steps = st.lists(st.one_of(st.binary(min_size=1, max_size=9), st.just("chunk"), st.just("read")))


@given(steps)
def test_the_same_bytes_as_from_aiohttp(steps):
    """In whatever order bytes, ends of HTTP chunks and reads come."""
    (theirs, _), (ours, connection) = reader(8), taken_over(8)
    for one in (theirs, ours):
        one.begin_http_chunk_receiving()
    for step in [*steps, "read"]:
        if step == "read":
            assert ours.read_nowait() == theirs.read_nowait()
            assert not connection._reading_paused
        elif step == "chunk":
            for one in (theirs, ours):
                one.end_http_chunk_receiving()
                one.begin_http_chunk_receiving()
        else:
            assert ours.feed_data(step) == theirs.feed_data(step, len(step))
    assert ours.total_bytes == theirs.total_bytes


def test_reading_pauses_where_much_is_held():
    """By size, and by the number of parts, which cost memory too; a read lets it go on."""
    for part, parts in ((b"12345", 1), (b"1", 5)):
        payload, connection = taken_over(4)
        for _ in range(parts):
            assert not connection._reading_paused
            payload.feed_data(part)
        assert connection._reading_paused
        assert payload.read_nowait() == part * parts
        assert (connection._reading_paused, connection.resumed) == (False, 1)
    payload, connection = taken_over(64 * 1024)
    for _ in range(64 * 1024 // 16):
        assert not connection._reading_paused
        payload.feed_data(b"1")
    payload.feed_data(b"1")
    assert connection._reading_paused


def test_after_its_end_a_body_lets_the_connection_alone():
    """It may be another's by then, and paused for that."""
    payload, connection = taken_over(1)
    payload.feed_data(b"123")
    payload.feed_eof()
    connection.pause_reading()
    resumed = connection.resumed
    assert payload.read_nowait() == b"123"
    assert (connection._reading_paused, connection.resumed) == (True, resumed)
    assert payload.at_eof()


def waited_for():
    """A body that can be waited for."""
    payload = aiohttp.StreamReader(Connection(), 99, loop=asyncio.get_running_loop())
    take_over(PLAIN, payload)
    return payload


async def test_who_waits_is_woken_once():
    """By the first bytes; when that was cancelled, none of them is lost."""
    payload = waited_for()
    first = payload.arrival()
    first.cancel()
    payload.feed_data(b"ab")
    second = payload.arrival()
    assert second is None
    assert payload.read_nowait() == b"ab"
    third = payload.arrival()
    assert not third.done()
    payload.feed_data(b"cd")
    payload.feed_data(b"ef")
    await third
    assert payload.read_nowait() == b"cdef"


async def test_who_is_woken_by_much_finds_reading_paused():
    """The first bytes are all that is held, and may be too many already."""
    payload = waited_for()
    waiting = payload.arrival()
    payload.feed_data(b"1" * (payload._low_water + 1))
    await waiting
    assert payload._protocol._reading_paused
    payload.read_nowait()
    assert not payload._protocol._reading_paused


async def test_who_waits_hears_of_the_end():
    payload = waited_for()
    waiting = payload.arrival()
    payload.feed_eof()
    await waiting
    assert payload.arrival() is None
    assert payload.at_eof()


async def test_an_error_wakes_who_waits_and_is_raised_by_the_next_read():
    payload = waited_for()
    waiting = payload.arrival()
    payload.set_exception(aiohttp.ClientPayloadError())
    await waiting
    assert payload.arrival() is None
    with pytest.raises(aiohttp.ClientPayloadError):
        payload.read_nowait()
    cancelled = waited_for()
    cancelled.arrival().cancel()
    cancelled.set_exception(aiohttp.ClientPayloadError())


def test_what_is_left_to_aiohttp():
    """A compressed body, one of which something has come, none at all, another class; and all where it is unknown."""
    begun, _ = reader()
    begun.feed_data(b"x")
    ended, _ = reader()
    ended.feed_eof()
    compressed, _ = reader()
    for message, payload in (
        (SimpleNamespace(compression="gzip"), compressed),
        (PLAIN, begun),
        (PLAIN, ended),
        (PLAIN, EMPTY_PAYLOAD),
    ):
        kind = type(payload)
        take_over(message, payload)
        assert type(payload) is kind


def test_where_aiohttp_is_unknown_it_keeps_its_reader(monkeypatch):
    monkeypatch.setattr(aiohttp_body, "is_known", False)
    payload, _ = reader()
    take_over(PLAIN, payload)
    assert type(payload) is aiohttp.StreamReader


def test_this_aiohttp_is_known():
    """Where this fails, all works, but an HTTP chunk costs twice as much: see what has changed in aiohttp."""
    assert aiohttp_body.is_known


class OfAnotherLayout(aiohttp.StreamReader):
    __slots__ = ("more",)


class WithoutBuffer(Body):
    __slots__ = ()

    def feed_data(self, data, size=0):
        raise AttributeError("_buffer")


class ReadsInParts(Body):
    __slots__ = ()

    def read_nowait(self, n=-1):
        return super().read_nowait(n)[:2]


class NeverPauses(Body):
    __slots__ = ()

    def feed_data(self, data, size=0):
        self._low_water = 99
        return super().feed_data(data, size)


class NeverWakes(Body):
    __slots__ = ()

    def feed_eof(self):
        self._eof = True


@pytest.mark.parametrize("change", [OfAnotherLayout, WithoutBuffer, ReadsInParts, NeverPauses, NeverWakes])
def test_another_aiohttp_is_recognized(monkeypatch, change):
    """The self-test fails, and nothing else does."""
    if issubclass(change, Body):
        monkeypatch.setattr(aiohttp_body, "Body", change)
    else:
        monkeypatch.setattr(aiohttp, "StreamReader", change)
    assert not aiohttp_body._works()


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("size", [100, 70_000, 300_000])
async def test_a_stream_larger_than_the_buffer(monkeypatch, is_known, size):
    """Nothing is lost where reading pauses and goes on, event by event and across HTTP chunks."""
    monkeypatch.setattr(aiohttp_body, "is_known", is_known)
    pieces = [f"{number:06} " * (size // 7) for number in range(2_000_000 // size)]

    async def answer(call):
        await call.send(HEAD)
        body = b"".join(map(event, pieces)) + FINISH + DONE
        cut = 10_007 if size > 1000 else size
        await call.send(*(chunked(body[at : at + cut]) for at in range(0, len(body), cut)), b"0\r\n\r\n")

    async with RawServer(answer) as server, AsyncOpeAI(KEY, base_url=server.base_url) as client:
        stream = await client.chat.completions.create(**BODY, stream=True)
        assert type(stream._reader._response._content) is (Body if is_known else aiohttp.StreamReader)
        completion = await stream.completion()
        assert completion.choices[0].message.content == "".join(pieces)
