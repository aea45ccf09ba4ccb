"""The end of a connection whose reader is slow, on each loop: bounded, in order, once, and over when nobody reads."""

import asyncio
import gzip
import itertools
import tracemalloc
import zlib

import pytest

from opeai_async import AsyncOpeAI, OpeAIError
from opeai_async._io.net.connections import Handler
from tests.support.clients import KEY
from tests.support.loops.event_loops import LOOPS, run_on
from tests.support.reading.chunks import BODY, DONE, FINISH, event
from tests.support.servers.raw_server import HEAD, chunked
from tests.support.servers.thread_server import ThreadServer, tls_contexts

UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
LAST = b"0\r\n\r\n"


@pytest.fixture(scope="module")
def contexts(tmp_path_factory):
    """Of the server and of the client."""
    return tls_contexts(tmp_path_factory.mktemp("tls"))


def client_of(server, trusts):
    return AsyncOpeAI(KEY, base_url=server.base_url, ssl_context=trusts, max_retries=0)


async def ended(server):
    """Wait until the server has hung up, and what that means has come to the client."""
    await asyncio.to_thread(server.lines[0].gone.wait, 10)
    await asyncio.get_running_loop().shutdown_default_executor()
    await asyncio.sleep(0.03)


def sends(*parts, end="FIN"):
    """A server that sends *parts* and ends the connection as it has come to the client."""

    def answer(line):
        line.send(*parts)
        line.wait_until_received()
        line.reset() if end == "RST" else line.sock.close()

    return answer


WORDS = [f"<{number:06d}{'y' * 500}>" for number in range(4000)]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("end", ["FIN", "RST"])
@pytest.mark.parametrize("framing", ["chunked", "length", "until-close"])
def test_a_compressed_body_is_read_to_its_end(loop, contexts, framing, end):
    """By aiohttp's own reader, which holds back in its decompressor, too."""
    packed = gzip.compress(b"".join(map(event, WORDS)) + FINISH + DONE, 1)
    kind = UNTIL_CLOSE + b"Content-Encoding: gzip\r\n"
    wire = {
        "chunked": (kind + b"Transfer-Encoding: chunked\r\n\r\n", chunked(packed) + LAST),
        "length": (kind + b"Content-Length: %d\r\n\r\n" % len(packed), packed),
        "until-close": (kind + b"Connection: close\r\n\r\n", packed),
    }[framing]

    async def read(server):
        async with client_of(server, contexts[1]) as client:
            text = ""
            async for batch in client.chat.completions.stream(**BODY).batches():
                text += "".join(choice.delta.content or "" for chunk in batch for choice in chunk.choices)
                await asyncio.sleep(0.001)
            return text

    with ThreadServer(sends(*wire, end=end), tls=contexts[0]) as server:
        assert run_on(loop, read(server)) == "".join(WORDS)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_bomb_whose_connection_has_ended_is_unpacked_as_it_is_read(loop, contexts):
    """A quarter of a MiB becomes a quarter of a GiB: not in the moment of the end, when it would hold the loop up."""
    packed = zlib.compressobj(level=9, wbits=31)
    bomb = event("begin") + b": " + b" " * 1000 + b"\n\n"
    body = packed.compress(bomb) + b"".join(packed.compress(b" " * 1_000_000) for _ in range(240)) + packed.flush()
    head = UNTIL_CLOSE + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n"
    turns = 0

    async def count_turns():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async def read(server):
        async with client_of(server, contexts[1]) as client:
            stream = client.chat.completions.stream(**BODY)
            await anext(stream)
            tracemalloc.start()
            counting = asyncio.create_task(count_turns())
            await ended(server)
            held = tracemalloc.get_traced_memory()[1]
            before = turns
            with pytest.raises(OpeAIError):
                await stream.completion()
            tracemalloc.stop()
            counting.cancel()
            await asyncio.wait([counting])
            return held, turns - before

    with ThreadServer(sends(head, body), tls=contexts[0]) as server:
        held, during = run_on(loop, read(server))
    assert held < 4 * 1024 * 1024
    assert during > 20


@pytest.mark.parametrize("loop", LOOPS)
def test_a_server_fills_no_memory_of_a_reader_that_does_not_read(loop, contexts):
    """What is held for it on the client's side has a bound, also after the end, and the server is made to wait."""
    sent = itertools.count()
    piece = chunked(event("z" * 16_000))

    def answer(line):
        line.send(HEAD)
        line.sock.settimeout(0.5)
        for _ in range(4000):
            line.send(piece)
            next(sent)

    async def hold(server):
        async with client_of(server, contexts[1]) as client:
            stream = client.chat.completions.stream(**BODY)
            await anext(stream)
            tracemalloc.start()
            stream.hold()
            await ended(server)
            held = tracemalloc.get_traced_memory()[0]
            tracemalloc.stop()
            stream.cancel()
            return held

    with ThreadServer(answer, tls=contexts[0]) as server:
        assert run_on(loop, hold(server)) < 3 * 1024 * 1024
    assert next(sent) < 1500


LEAVES = {
    "cancelled while reading": lambda stream, reading: reading.cancel(),
    "cancel": lambda stream, reading: stream.cancel(),
}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("leave", LEAVES.values(), ids=LEAVES)
@pytest.mark.parametrize("end", ["FIN", "RST"])
@pytest.mark.parametrize("is_ended", [True, False], ids=["after the end", "before the end"])
def test_a_stream_that_is_left_leaves_nothing(loop, contexts, leave, end, is_ended):
    """Also where the connection has ended and most of its bytes were not looked at."""

    async def read(stream):
        async for _ in stream.batches():
            await asyncio.sleep(0.1)  # it is not at the end when the server is

    async def leave_it(server):
        async with client_of(server, contexts[1]) as client:
            stream = client.chat.completions.stream(**BODY)
            await anext(stream)
            protocol = stream._reader._response._content._protocol
            reading = asyncio.create_task(read(stream))
            if is_ended:
                await ended(server)
            assert not reading.done()
            leave(stream, reading)
            await asyncio.wait([reading])
            await stream.aclose()
            assert protocol._end is None
            assert protocol.transport is None

    def say_no_more(line):
        line.send(*parts)
        line.read_request()

    parts = [HEAD, chunked(*map(event, WORDS[:1000])), chunked(FINISH + DONE), LAST]
    with ThreadServer(sends(*parts, end=end) if is_ended else say_no_more, tls=contexts[0]) as server:
        run_on(loop, leave_it(server))


@pytest.mark.parametrize("loop", LOOPS)
def test_a_connection_whose_end_is_put_off_is_not_pooled(loop, contexts):
    """Its answer is whole, and so it looks like one that could serve the next request."""

    async def read_twice(server):
        async with client_of(server, contexts[1]) as client:
            for _ in range(2):
                async for _ in client.chat.completions.stream(**BODY).batches():
                    await asyncio.sleep(0.005)

    parts = [HEAD, chunked(*map(event, WORDS[:1000])), chunked(FINISH + DONE), LAST]
    with ThreadServer(sends(*parts), tls=contexts[0]) as server:
        run_on(loop, read_twice(server))
        assert len(server.lines) == 2


async def test_the_end_of_a_connection_that_nobody_reads_is_told_at_once():
    """A request that waits for its head, or an idle connection, has nothing that could be put off."""
    for is_asked in (True, False):
        handler = Handler(asyncio.get_running_loop())
        handler.connection_made(Gone())
        if is_asked:
            handler.set_response_params(read_until_eof=True)
        handler.connection_lost(None)
        assert handler._end is None
        assert not handler.connected


class Gone(asyncio.Transport):
    """A plain transport that has nothing more."""
