"""What aiohttp does that this package must not pass on: for each trap its cure, and the test that fails without it.

Seen on aiohttp 3.14.5. Tests without a file are in this one; those marked * fail without the cure with aiohttp's C
parser and with its Python parser, and the last test here runs them with the latter,
and with aiohttp's own way to send a request and its own reader of bodies.

| trap                                    | cure                                             | test                                                      |
|-----------------------------------------|--------------------------------------------------|-----------------------------------------------------------|
| bad chunk size: the reader sleeps on    | `Handler.set_exception`                          | test_transport: malformed_chunk_size *            |
| framing without end wakes nobody        | `Handler.data_received`                          | test_transport: chunk_extensions_without_end *    |
| session.close() strands readers         | `AiohttpTransport.aclose` aborts responses first | test_transport: closing_the_client_wakes *        |
| abandoned responses are never collected | `ChatCompletionStream.__del__`                   | test_transport: left_closes...leave_by_drop *     |
| stray answers are given to the next     | `Connector.connect`, `has_spoken`                | a_stray_answer..., unsolicited_bytes_at_random_moments *  |
| bytes before an error are thrown away   | `AiohttpResponse._rescued`                       | bytes_that_arrived_before_the_error *                     |
| sock_read and total end long streams    | `NO_CLOCKS`                                      | a_waiting_stream_has_one_timer *                          |
| an end without framing looks clean      | `ChatCompletionStream._settle`                   | test_transport: a_body_that_ends_with *           |
| redirects carry the prompt elsewhere    | `Poster`; `allow_redirects=False`                | test_transport: a_redirect_is_not_followed *      |
| its errors hold the headers             | `AiohttpTransport._response` raises outside      | no_error_holds_a_header *                                 |
| the 101st stream waits in silence       | `Connector`: limit=0                             | more_streams_than_the_default_pool *                      |
| half a MiB is buffered per stream       | `READ_BUFFER_BYTES`                              | little_is_buffered_for_a_slow_reader *                    |
| cookies are echoed                      | `Poster`; `DummyCookieJar`                       | cookies_are_not_echoed *                                  |
| any header name is sent                 | `check_headers`                                  | test_config: header names                                 |
| a compressed body has no bound          | bounds where bodies are read; `BodyReader.read`  | a_compressed_bomb_leaves_the_loop_free *                  |
| lines of a body have a bound            | `Body`; `readany`                                | a_very_long_line *                                        |
| a Fingerprint switches checks off       | `AiohttpTransport.__init__`                      | only_a_context_is_taken_for_tls                           |
| a timer per read is slow                | `BodyReader`                                     | a_waiting_stream_has_one_timer, test_reader *             |
| what is not read costs the connection   | `AiohttpTransport.drain`                         | test_transport: terminating_chunk_that_comes_late *|
| ... and none of it may be held for ever | `DRAIN_S`                                        | test_transport: terminating_chunk_that_never *    |
| msgspec raises more than MsgspecError   | `DECODE_ERRORS`                                  | test_decode: nesting_without_end, test_dialect            |
"""  # noqa: E501 - a table

import asyncio
import contextlib
import gc
import json
import os
import random
import re
import types
import zlib

import aiohttp
import pytest

from opeai_async import (
    APIConnectionError,
    AsyncOpeAI,
    ConfigurationError,
    InternalServerError,
    InvalidResponseError,
    OpeAIError,
    StreamInterruptedError,
    Timeouts,
)
from opeai_async._core.call.http import Request
from opeai_async._io.net.socket_facts import has_input
from opeai_async._io.net.transport import AiohttpTransport
from opeai_async._io.transport import SendError
from opeai_async.testing import OpeAIServer
from tests.support.clients import KEY, texts
from tests.support.leaks import eventually, footprint, no_leaks
from tests.support.reading.chunks import ANSWER, BODY, COMPLETION, DONE, FINISH, event, events
from tests.support.servers.raw_server import HEAD, RawServer, chunked, plain

LAST = b"0\r\n\r\n"
JSON = {"kind": b"application/json"}


@pytest.fixture(autouse=True)
async def nothing_left():
    """No task, timer or descriptor outlives its client."""
    async with no_leaks():
        yield


def client_of(server, **options):
    return AsyncOpeAI(KEY, base_url=server.base_url, **{"max_retries": 0, **options})


async def create(client, content="hi"):
    messages = [{"role": "user", "content": content}]
    return (await client.chat.completions.create(model="m", messages=messages)).choices[0].message.content


def says(text):
    """A whole response with that answer."""
    return plain(COMPLETION.replace(b"abc", text.encode()), **JSON)


# --- never another's answer ------------------------------------------------------------------------------------------


class OutOfTurn(asyncio.Protocol):
    """A connection that answers each request with its own content, and can speak when it was not asked.

    No streams of asyncio: they would have read a request before this knows of it.
    """

    def __init__(self, connections):
        self.received = b""
        self.connections = connections
        self.answers = 0

    def connection_made(self, transport):
        self.transport = transport
        self.connections.append(self)

    def data_received(self, data):
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1]) if end else 1
        if len(body) >= length:
            self.received, self.answers = b"", self.answers + 1
            self.transport.write(says(json.loads(body)["messages"][0]["content"]))

    def speak(self, data):
        """Put *data* into the client's socket now, if it has not asked; returns whether it did."""
        sock = self.transport.get_extra_info("socket")
        if self.received or self.transport.is_closing() or sock.fileno() < 0 or has_input(sock):
            return False
        try:
            return os.write(sock.fileno(), data) > 0
        except OSError:
            return False


@contextlib.asynccontextmanager
async def out_of_turn():
    """A client, and the connections that its server has accepted."""
    connections = []
    server = await asyncio.get_running_loop().create_server(lambda: OutOfTurn(connections), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with AsyncOpeAI(KEY, base_url=url, max_retries=0) as client:
        yield client, connections
    server.close()
    for connection in connections:
        connection.transport.abort()


async def test_a_stray_answer_at_any_turn_of_the_loop():
    """It may come before the connection is taken, or between that and the first byte of the request."""
    spoke = 0
    for turns in range(25):
        async with out_of_turn() as (client, connections):
            assert await create(client, "first") == "first"
            asking = asyncio.create_task(create(client, "mine"))
            for _ in range(turns):
                await asyncio.sleep(0)
            spoke += connections[0].speak(says("stray"))
            assert await asking == "mine", turns
            assert await create(client, "next") == "next"
    assert spoke > 1


async def test_unsolicited_bytes_at_random_moments():
    """Hundreds of requests, many at a time: each gets its own answer, and none an error."""
    chance = random.Random(4)
    stray = says("stray")
    rubbish = [stray, stray[:40], stray * 2, b"HTTP/1.1 408 Late\r\nContent-Length: 0\r\n\r\n"]

    async def disturb():
        while True:
            await asyncio.sleep(chance.choice([0, 0, 0.001]))
            for connection in connections:
                if connection.answers and chance.random() < 0.2:
                    connection.speak(chance.choice(rubbish))

    async def ask(client, worker):
        for k in range(25):
            mine = f"{worker} {k}"
            assert await create(client, mine) == mine
            await asyncio.sleep(chance.choice([0, 0.001, 0.003]))

    async with out_of_turn() as (client, connections):
        disturbing = asyncio.create_task(disturb())
        await asyncio.gather(*(ask(client, worker) for worker in range(12)))
        disturbing.cancel()
        await asyncio.wait([disturbing])
        assert len(connections) > 12


@pytest.mark.parametrize(
    ("status", "error"), [(b"200 OK", InvalidResponseError), (b"503 Full", InternalServerError)], ids=["200", "503"]
)
async def test_a_server_that_speaks_first(status, error):
    """On a fresh connection, an error may be meant for whoever connects; an answer was meant for somebody else."""

    class Greeter(asyncio.Protocol):
        def connection_made(self, transport):
            os.write(transport.get_extra_info("socket").fileno(), plain(COMPLETION, status=status, **JSON))

    server = await asyncio.get_running_loop().create_server(Greeter, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with AsyncOpeAI(KEY, base_url=url, max_retries=0) as client:
        with pytest.raises(error):
            await create(client)
    server.close()


# --- bodies ----------------------------------------------------------------------------------------------------------


async def test_bytes_that_arrived_before_the_error():
    """Bytes and cut are both there before the first read: the bytes come first."""
    cut = asyncio.Event()

    async def answer(call):
        await call.send(HEAD + chunked(events("a", "b")) + b"ff\r\nhalf")
        call.hang_up()
        cut.set()

    async with RawServer(answer) as server, client_of(server) as client:
        stream = await client.chat.completions.create(**BODY, stream=True)
        response = stream._reader._response
        await cut.wait()
        await eventually(lambda: response._content.exception() is not None)
        with pytest.raises(StreamInterruptedError) as caught:
            await stream.completion()
        assert caught.value.partial.choices[0].message.content == "ab"


async def test_a_waiting_stream_has_one_timer():
    """Of the reader. None of aiohttp's, which would end a long stream."""
    async with OpeAIServer() as server, server.client() as client:
        server.stall("one two three", after=3)
        before = footprint().timers
        async with client.chat.completions.stream(**BODY) as stream:
            await anext(stream)
            reading = asyncio.create_task(drain(stream))
            await asyncio.sleep(0.05)
            added = [
                timer
                for timer in footprint().timers - before
                if is_of(timer, "opeai_async", "aiohttp.client", "aiohttp.helpers")
            ]
            assert sorted(timer._callback.__name__ for timer in added) == ["_on_timer"]
            reading.cancel()
            await asyncio.wait([reading])


def is_of(timer, *packages):
    """Whether the callback is a method or function of one of *packages*."""
    callback = getattr(timer._callback, "func", timer._callback)
    return (getattr(callback, "__module__", None) or "").startswith(packages)


async def drain(stream):
    return texts([chunk async for chunk in stream])


async def test_more_streams_than_the_default_pool():
    """All are open at once; none waits in silence."""
    async with OpeAIServer() as server, server.client() as client:
        server.stall("one two", after=2, times=120)
        streams = [client.chat.completions.stream(**BODY) for _ in range(120)]
        await asyncio.gather(*(anext(stream) for stream in streams))
        for stream in streams:
            stream.cancel()


async def test_little_is_buffered_for_a_slow_reader():
    """Less than aiohttp's own 512 KiB, which thousands of slow readers would feel."""

    async def answer(call):
        await call.send(HEAD)
        for _ in range(200):
            await call.send(chunked(event("x" * 10_000)))
        await call.send(chunked(FINISH + DONE), LAST)

    async with RawServer(answer) as server, client_of(server) as client:
        stream = await client.chat.completions.create(**BODY, stream=True)
        response = stream._reader._response
        await eventually(lambda: response._content._protocol._reading_paused)
        assert 0 < len(response.read_nowait()) < 450 * 1024
        stream.cancel()


async def test_a_very_long_line():
    """An event of a megabyte without a line break is one event."""

    async def answer(call):
        await call.send(HEAD + chunked(event("x" * 1_000_000) + FINISH + DONE) + LAST)

    async with RawServer(answer) as server, client_of(server) as client:
        assert len((await client.chat.completions.stream(**BODY).completion()).choices[0].message.content) == 1_000_000


async def test_a_compressed_bomb_leaves_the_loop_free():
    """It ends at the bound on a body, and meanwhile the other tasks of the loop have their turns."""
    packed = zlib.compressobj(level=1, wbits=31)
    body = b"".join(packed.compress(b" " * 1_000_000) for _ in range(80)) + packed.flush()
    turns = 0

    async def answer(call):
        await call.send(plain(body, more=b"Content-Encoding: gzip\r\n", **JSON))

    async def other():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with RawServer(answer) as server, client_of(server) as client:
        ticking = asyncio.create_task(other())
        with pytest.raises(OpeAIError, match="expected no more than 67108864"):
            await create(client)
        ticking.cancel()
        await asyncio.wait([ticking])
    assert turns > 100


# --- what is sent, and kept ------------------------------------------------------------------------------------------


async def test_cookies_are_not_echoed():
    """By name, because aiohttp's own jar takes no cookies from bare addresses."""

    async def answer(call):
        await call.send(plain(COMPLETION, more=b"Set-Cookie: a=b; Path=/\r\n", **JSON))

    async with RawServer(answer) as server:
        url = server.base_url.replace("127.0.0.1", "localhost")
        async with AsyncOpeAI(KEY, base_url=url) as client:
            for _ in range(2):
                await create(client)
        assert b"cookie" not in server.calls[1].head.lower()


@pytest.mark.parametrize("wrong", [False, aiohttp.Fingerprint(b"x" * 32)], ids=["False", "Fingerprint"])
async def test_only_a_context_is_taken_for_tls(wrong):
    """aiohttp takes more, and with it checks neither chain nor name."""
    with pytest.raises(ConfigurationError, match=r"expected an ssl\.SSLContext"):
        AsyncOpeAI(KEY, base_url="https://localhost:1/v1", ssl_context=wrong)


@pytest.mark.parametrize(
    "response",
    [b"garbage\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nX"],
    ids=["malformed", "hung up", "half a head"],
)
async def test_no_error_holds_a_header(response):
    """aiohttp's errors lead to the request, and so to the key: nothing that can be reached from ours does."""

    async def answer(call):
        await call.send(response)
        call.hang_up()

    async with RawServer(answer) as server:
        transport = AiohttpTransport()
        request = Request("POST", f"{server.base_url}/chat/completions", {"Authorization": f"Bearer {KEY}"}, b"{}")
        with pytest.raises(SendError) as caught:
            await transport.send(request, connect_s=5, pool_s=5)
        await transport.aclose()
    error = caught.value.with_traceback(None)
    assert not any(isinstance(found, (aiohttp.ClientError, aiohttp.RequestInfo)) for found in reachable(error))


def reachable(start):
    """All that *start* refers to, without classes, modules and functions."""
    seen, queue = {id(start): start}, [start]
    while queue:
        for found in gc.get_referents(queue.pop()):
            if id(found) not in seen and not isinstance(found, (type, types.ModuleType, types.FunctionType)):
                seen[id(found)] = found
                queue.append(found)
    return seen.values()


# --- leaving ---------------------------------------------------------------------------------------------------------


async def test_fifty_streams_that_are_left_are_closed_at_once():
    """By break, by cancellation and by dropping them; the server sees it without the cyclic collector."""

    async def answer(call):
        await call.send(HEAD + chunked(events("a")))

    async def leave(k):
        stream = await client.chat.completions.create(**BODY, stream=True)
        await anext(stream)
        ready.append(k)
        if k % 3 == 0:
            async with stream:
                await anext(stream)
        await go.wait()
        if k % 3 == 1:
            await stream.aclose()
        else:
            with pytest.warns(ResourceWarning):
                del stream

    ready, go = [], asyncio.Event()
    async with RawServer(answer) as server, client_of(server) as client:
        gc.collect()
        gc.disable()
        try:
            tasks = [asyncio.create_task(leave(k)) for k in range(50)]
            await eventually(lambda: len(ready) == 50)
            go.set()
            for task in tasks[::3]:
                task.cancel()
            async with asyncio.timeout(5):
                await asyncio.gather(*(call.gone() for call in server.calls))
            await asyncio.wait(tasks)
        finally:
            gc.enable()


async def test_a_read_with_a_limit_in_a_loop():
    """Each event comes in pieces, slower than the limit of a read: every chunk is delivered once."""
    words = [f"{k}," for k in range(12)]

    async def answer(call):
        await call.send(HEAD)
        for word in words:
            data = event(word)
            for k in range(0, len(data), 60):
                await call.send(chunked(data[k : k + 60]))
                await asyncio.sleep(0.012)
        await call.send(chunked(FINISH + DONE), LAST)

    async with RawServer(answer) as server, client_of(server) as client:
        stream = client.chat.completions.stream(**BODY)
        chunks, cut_short = [], 0
        while True:
            try:
                chunks.append(await asyncio.wait_for(anext(stream), 0.02))
            except TimeoutError:
                cut_short += 1
            except StopAsyncIteration:
                break
        assert texts(chunks) == words
        assert cut_short > 5


async def test_answers_whose_last_chunk_comes_late():
    """Hundreds of them, a few at a time: connections are reused, and nobody waits for the last chunk."""
    held = []

    async def answer(call):
        await call.send(HEAD + chunked(ANSWER))
        at_end = asyncio.get_running_loop().create_future()
        held.append(at_end)
        await at_end
        await call.send(LAST)

    async def ask(client):
        for _ in range(30):
            assert texts([chunk async for chunk in client.chat.completions.stream(**BODY)]) == ["a", "b", "c"]
            held.pop(0).set_result(None)
            await asyncio.sleep(0.01)

    async with RawServer(answer) as server, client_of(server, timeouts=Timeouts(connect_s=30)) as client:
        await asyncio.gather(*(ask(client) for _ in range(10)))
        assert server.connections < 40


async def test_half_a_head_and_a_reset():
    """Something of an answer had come: on a reused connection too, the request is not repeated in silence."""

    async def answer(call):
        if len(server.calls) == 1:
            await call.send(says("first"))
        else:
            await call.send(b"HTTP/1.1 200 OK\r\nContent-Ty")
            await asyncio.sleep(0.02)
            call._peer.writer.transport.abort()

    async with RawServer(answer) as server, client_of(server) as client:
        await create(client)
        with pytest.raises(APIConnectionError):
            await create(client)
        assert len(server.calls) == 2
