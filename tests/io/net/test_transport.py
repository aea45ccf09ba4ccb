"""The aiohttp transport against real sockets: its traps, and what the server sees of each end."""

import asyncio
import contextlib
import os
import resource
import zlib

import pytest

from opeai_async import (
    APIConnectionError,
    APITimeoutError,
    AsyncOpeAI,
    ClientClosedError,
    ConfigurationError,
    InvalidResponseError,
    LocalResourceError,
    OpeAIError,
    Outcome,
    PoolTimeoutError,
    StreamInterruptedError,
    StreamTimeoutError,
    StreamTruncatedError,
    Timeouts,
)
from opeai_async._io.net.connections import MAX_FRAMING_BYTES
from opeai_async._io.net.transport import DRAIN_S
from opeai_async.testing import OpeAIServer
from tests.support import clients
from tests.support.clients import texts
from tests.support.leaks import eventually, in_a_thread, no_collector, no_leaks, open_descriptors
from tests.support.reading.chunks import ANSWER, BODY, COMPLETION, DONE, FINISH, event, events
from tests.support.servers.raw_server import HEAD, RawServer, chunked, plain

LAST = b"0\r\n\r\n"


@pytest.fixture(autouse=True)
async def nothing_left():
    """No task, timer or descriptor outlives its client."""
    async with no_leaks():
        yield


def client_of(server, **options):
    return AsyncOpeAI("sk-test", base_url=server.base_url, **{"max_retries": 0, **options})


def stream_of(client, **options):
    return client.chat.completions.stream(**BODY, **options)


def open_responses(client):
    return clients.open_responses(client)


async def drain(stream):
    return texts([chunk async for chunk in stream])


async def create(client, **options):
    return await client.chat.completions.create(**BODY, **options)


# --- what is sent ----------------------------------------------------------------------------------------------------


async def test_the_request_is_the_documented_one():
    """No cookie, no other encoding, one Host and one Content-Length."""
    async with OpeAIServer() as server, server.client() as client:
        server.reply("Hi", headers={"set-cookie": "a=b"}, times=2)
        await create(client)
        await create(client)
    request = server.requests[1]
    assert (request.method, request.path, request.json) == ("POST", "/v1/chat/completions", BODY)
    assert request.headers["authorization"] == f"Bearer {server.api_key}"
    assert request.headers["accept-encoding"] == "identity"
    assert "cookie" not in request.headers


# --- connections are reused, or closed at once -----------------------------------------------------------------------


async def test_a_complete_stream_gives_its_connection_back():
    """Ten answers, one connection."""
    async with OpeAIServer() as server, server.client() as client:
        for _ in range(10):
            assert await stream_of(client).completion()
            await eventually(lambda: open_responses(client) == 0)
    assert server.connections_total == 1


async def test_a_terminating_chunk_that_comes_late():
    """The connection is drained in the background: the caller has the answer before it, and the next one reuses it."""
    held = asyncio.Event()

    async def answer(call):
        await call.send(HEAD, chunked(ANSWER))
        await held.wait()
        await asyncio.sleep(0.005)
        await call.send(LAST)

    async with RawServer(answer) as server, client_of(server) as client:
        assert await drain(stream_of(client)) == ["a", "b", "c"]
        held.set()
        await eventually(lambda: open_responses(client) == 0)
        assert await drain(stream_of(client)) == ["a", "b", "c"]
        assert server.connections == 1


async def test_a_terminating_chunk_that_never_comes():
    """It is not waited for: the connection is closed after ``DRAIN_S``, while the server would hold it for ever."""
    closed_after = []

    async def answer(call):
        await call.send(HEAD, chunked(ANSWER))
        began = asyncio.get_running_loop().time()
        await call.gone()
        closed_after.append(asyncio.get_running_loop().time() - began)

    async with RawServer(answer) as server, client_of(server) as client:
        assert await drain(stream_of(client)) == ["a", "b", "c"]
        await eventually(lambda: bool(closed_after))
    assert DRAIN_S / 2 < closed_after[0] < 20 * DRAIN_S


async def test_a_body_that_goes_on_after_done():
    """More than is worth reading, or never ending: the connection is closed."""

    async def answer(call):
        await call.send(HEAD, chunked(ANSWER))
        await call.gone()

    async with RawServer(answer) as server, client_of(server) as client:
        assert await drain(stream_of(client)) == ["a", "b", "c"]
        assert await server.calls[0].gone()
        await eventually(lambda: open_responses(client) == 0)


async def leave_by_break(stream):
    async with stream:
        async for _ in stream:
            break


async def leave_by_aclose(stream):
    await anext(stream)
    await stream.aclose()


async def leave_by_cancel(stream):
    await anext(stream)
    stream.cancel()


async def leave_by_error(stream):
    async with stream:
        async for _ in stream:
            raise LookupError


async def leave_by_drop(stream):
    await anext(stream)
    with pytest.warns(ResourceWarning):
        del stream


@pytest.mark.parametrize(
    "leave", [leave_by_break, leave_by_aclose, leave_by_cancel, leave_by_error, leave_by_drop], ids=lambda f: f.__name__
)
async def test_a_stream_that_is_left_closes_its_connection_at_once(leave):
    """Without the cyclic collector, and before anything else is awaited."""
    async with OpeAIServer() as server, server.client() as client:
        server.stall("one two three", after=3)
        async with no_collector():
            streams = [stream_of(client)]
            try:
                await leave(streams.pop())
            except LookupError:
                pass
            assert open_responses(client) == 0
            assert (await server.wait_closed()).outcome == "client_gone"


async def test_a_cancelled_task_closes_its_connection_at_once():
    """In the loop over a stream, in a task group, without the cyclic collector."""
    async with OpeAIServer() as server, server.client() as client:
        server.stall("one two three", after=3, times=2)

        async def consume():
            async with stream_of(client) as stream:
                await drain(stream)

        async with no_collector():
            tasks = [asyncio.create_task(consume()) for _ in range(2)]
            await server.wait_received(2)
            await asyncio.sleep(0.01)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            assert all(task.cancelled() for task in tasks)
            for request in server.requests:
                assert (await server.wait_closed(request)).outcome == "client_gone"


async def test_a_request_that_the_server_does_not_take():
    """Cancelled in the middle of a big upload, it does not wait for the server to read the rest."""
    release = asyncio.Event()

    async def sleepy(reader, writer):
        await release.wait()
        writer.transport.abort()

    server = await asyncio.start_server(sleepy, "127.0.0.1", 0, limit=1)
    port = server.sockets[0].getsockname()[1]
    async with AsyncOpeAI("sk-test", base_url=f"http://127.0.0.1:{port}/v1") as client:
        before = open_descriptors()
        messages = [{"role": "user", "content": "x" * 32_000_000}]
        with pytest.raises(APITimeoutError) as caught:
            await client.chat.completions.create(
                model="m", messages=messages, timeouts=Timeouts(response_headers_s=0.2), max_retries=0
            )
        assert caught.value.phase == "response_headers"
        await eventually(lambda: open_descriptors() <= before + 1)  # the server's end of it
        release.set()
    server.close()
    await asyncio.sleep(0.01)


async def test_nothing_is_read_ahead_of_a_slow_consumer_without_bound():
    """The server is blocked when its bytes are not taken; the idle clock stands still."""
    sent = []

    async def answer(call):
        await call.send(HEAD)
        for k in range(2000):
            await call.send(chunked(event("x" * 10_000)))
            sent.append(k)
        await call.send(chunked(FINISH + DONE), LAST)

    async with RawServer(answer) as server, client_of(server, timeouts=Timeouts(idle_bytes_s=0.2)) as client:
        stream = stream_of(client)
        await anext(stream)
        await asyncio.sleep(0.4)
        assert len(sent) < 1900
        assert len((await stream.completion()).choices[0].message.content) == 20_000_000


async def test_a_silent_answer_on_a_connection_that_has_brought_much():
    """What came for the requests before does not count as framing without a body."""
    big = COMPLETION.replace(b"abc", b"a" * 2 * MAX_FRAMING_BYTES)
    sent = []

    async def answer(call):
        sent.append(call)
        if len(sent) == 1:
            await call.send(plain(big, kind=b"application/json"))
            return
        await call.send(HEAD)
        await asyncio.sleep(0.02)
        await call.send(chunked(ANSWER), LAST)

    async with RawServer(answer) as server, client_of(server, max_retries=0) as client:
        await client.chat.completions.create(**BODY)
        assert await drain(stream_of(client)) == ["a", "b", "c"]
        assert server.connections == 1


async def test_chunk_extensions_without_end():
    """Much comes, and of the body nothing: that ends at once, not with a clock."""

    async def answer(call):
        await call.send(HEAD, b"5;")
        while True:
            await call.send(b"x" * MAX_FRAMING_BYTES)

    async with RawServer(answer) as server, client_of(server, max_retries=0) as client:
        with pytest.raises(StreamInterruptedError, match=r"framing of the body is malformed|cut before its end"):
            await drain(stream_of(client))


# --- never another's answer ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gap_s", [0.0, 0.02])
async def test_an_unsolicited_response_is_given_to_nobody(gap_s):
    """A second response on an idle connection does not answer the next request."""
    mine = COMPLETION.replace(b"abc", b"mine")
    stray = COMPLETION.replace(b"abc", b"stray")

    async def answer(call):
        await call.send(plain(mine, kind=b"application/json"))
        if len(server.calls) == 1:
            if gap_s:
                await asyncio.sleep(gap_s)
            await call.send(plain(stray, kind=b"application/json"))

    async with RawServer(answer) as server, client_of(server) as client:
        for _ in range(3):
            assert (await create(client)).choices[0].message.content == "mine"
            await asyncio.sleep(2 * gap_s)
        assert server.connections == 2


async def test_bytes_that_the_loop_has_not_read_yet_are_seen():
    """The stray response is in the socket, but no callback has run: the connection is not used."""
    stray = COMPLETION.replace(b"abc", b"stray")
    sockets = []

    async def answer(call):
        sockets.append(call._peer.writer.get_extra_info("socket"))
        await call.send(plain(COMPLETION, kind=b"application/json"))

    async with RawServer(answer) as server, client_of(server) as client:
        await create(client)
        os.write(sockets[0].fileno(), plain(stray, kind=b"application/json"))
        assert (await create(client)).choices[0].message.content == "abc"
        assert server.connections == 2


async def test_rubbish_after_the_answer():
    """Bytes that are no response spoil the connection at most, never the next answer."""

    async def answer(call):
        await call.send(plain(COMPLETION, kind=b"application/json"))
        await asyncio.sleep(0.005)
        await call.send(b"rubbish")

    async with RawServer(answer) as server, client_of(server) as client:
        for _ in range(2):
            assert (await create(client)).choices[0].message.content == "abc"
            await asyncio.sleep(0.02)
        assert server.connections <= 2


async def test_many_clients_tasks_get_their_own_answers():
    """Two hundred at once, over few connections."""

    async with OpeAIServer() as server, server.client(max_connections=7) as client:

        async def echo(request):
            from opeai_async.testing import Reply

            return Reply(request.json["messages"][0]["content"])

        server.handle(echo)

        async def ask(k):
            messages = [{"role": "user", "content": f"number {k}"}]
            stream = client.chat.completions.stream(model="m", messages=messages)
            return (await stream.completion()).choices[0].message.content

        answers = await asyncio.gather(*(ask(k) for k in range(200)))
        assert answers == [f"number {k}" for k in range(200)]
        await eventually(lambda: open_responses(client) == 0)
    assert server.connections_total <= 14


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_a_reused_connection_that_is_closed_under_the_request(how):
    """One transparent try on a fresh connection, even without retries; the other idle ones are kept."""

    async def answer(call):
        if call.connection == 1 and len(server.calls) > 2:
            transport = call._peer.writer.transport
            transport.abort() if how == "rst" else call.hang_up()
            return
        await call.send(plain(COMPLETION, kind=b"application/json"))

    async with RawServer(answer) as server, client_of(server) as client:
        await asyncio.gather(create(client), create(client))
        assert server.connections == 2
        for _ in range(3):
            completion = await create(client)
            assert len(completion.meta.attempts) == 1
        assert server.connections == 3


async def test_a_fresh_connection_that_is_closed_without_an_answer():
    """That is ambiguous: the policy decides."""
    async with OpeAIServer() as server, server.client(max_retries=0) as client:
        server.drop()
        with pytest.raises(APIConnectionError, match="closed the connection before it answered"):
            await create(client)
        server.drop(how="rst")
        with pytest.raises(APIConnectionError, match="broke before it answered"):
            await create(client)
        assert len(server.requests) == 2
        server.drop()
        server.reply("Hi")
        assert (await create(client, max_retries=1)).choices[0].message.content == "Hi"


async def test_half_a_head_is_not_sent_again_in_silence():
    """The server had begun to answer on the reused connection: that is for the policy."""

    async def answer(call):
        if len(server.calls) == 1:
            await call.send(plain(COMPLETION, kind=b"application/json"))
        else:
            await call.send(b"HTTP/1.1 200 OK\r\nContent-Ty")
            call.hang_up()

    async with RawServer(answer) as server, client_of(server) as client:
        await create(client)
        with pytest.raises((APIConnectionError, InvalidResponseError)):
            await create(client)
        assert len(server.calls) == 2


# --- broken bodies ---------------------------------------------------------------------------------------------------


async def failure_of(answer, error_type, **options):
    """The error of reading what *answer* sends, the texts before it, and the server."""
    async with RawServer(answer) as server, client_of(server, **options) as client:
        stream = stream_of(client)
        seen = []

        async def read_all():
            async for chunk in stream:
                seen.append(chunk)  # noqa: PERF401 - what came before the error is wanted

        with pytest.raises(error_type) as caught:
            await read_all()
        assert open_responses(client) == 0
        assert await server.calls[0].gone()
    return caught.value, texts(seen)


@pytest.mark.parametrize("packets", [(b"", events("a", "b")), (events("a", "b"), b"")], ids=["with it", "before it"])
async def test_a_malformed_chunk_size_wakes_the_reader(packets):
    """aiohttp's C parser forgets the reader; events that come with it or before it are delivered."""
    before, with_it = (chunked(packet) if packet else b"" for packet in packets)

    async def answer(call):
        await call.send(HEAD + before)
        await asyncio.sleep(0.01)
        await call.send(with_it + b"zz\r\nrubbish\r\n")
        await call.gone()

    begun_at = asyncio.get_running_loop().time()
    _, seen = await failure_of(answer, StreamInterruptedError)
    assert seen == ["a", "b"]
    assert asyncio.get_running_loop().time() - begun_at < 1.5


async def test_a_body_that_is_cut_delivers_what_arrived():
    """Bytes and FIN in one packet: the events come before the error."""

    async def answer(call):
        await call.send(HEAD + chunked(events("a", "b")) + b"ff\r\nhalf")
        call.hang_up()

    error, seen = await failure_of(answer, StreamInterruptedError)
    assert seen == ["a", "b"]
    assert error.partial.choices[0].message.content == "ab"


async def test_a_reset_delivers_what_arrived():
    """The same for RST, as far as the system lets it through."""
    async with OpeAIServer() as server, server.client(max_retries=0) as client:
        server.cut("one two three", after=3, how="rst")
        with pytest.raises(StreamInterruptedError) as caught:
            await drain(stream_of(client))
        assert caught.value.partial.choices[0].message.content == "one two"


async def test_a_cut_after_the_finish_reason_is_complete():
    """Nothing is missing but courtesy."""

    async def answer(call):
        await call.send(HEAD + chunked(events("a") + FINISH))
        call.hang_up()

    async with RawServer(answer) as server, client_of(server) as client:
        stream = stream_of(client)
        assert await drain(stream) == ["a"]
        assert stream.outcome is Outcome.COMPLETE


async def test_a_short_content_length():
    """Less came than was announced."""

    async def answer(call):
        body = events("a")
        await call.send(plain(body).replace(b"Length: %d" % len(body), b"Length: 9999"))
        call.hang_up()

    _, seen = await failure_of(answer, StreamInterruptedError)
    assert seen == ["a"]


async def test_a_body_that_ends_with_the_connection():
    """Without framing a cut looks like an end: only a finish_reason proves it."""

    async def answer(call):
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + events("a"))
        call.hang_up()

    _, seen = await failure_of(answer, StreamTruncatedError)
    assert seen == ["a"]


async def test_a_silent_server():
    """The idle clock ends it, and closes the connection."""
    async with OpeAIServer() as server, server.client(timeouts=Timeouts(idle_bytes_s=0.1)) as client:
        server.stall("one two", after=2)
        with pytest.raises(StreamTimeoutError) as caught:
            await drain(stream_of(client))
        assert caught.value.phase == "idle_bytes"
        assert (await server.wait_closed()).outcome == "client_gone"


async def test_a_body_that_is_compressed_though_that_was_not_asked_for():
    """It is understood, as far as it goes."""
    packed = zlib.compressobj(wbits=31)
    body = packed.compress(COMPLETION) + packed.flush()

    async def answer(call):
        whole = plain(body, kind=b"application/json", more=b"Content-Encoding: gzip\r\n")
        await call.send(whole if len(server.calls) == 1 else whole.replace(body, b"\x00" * len(body)))

    async with RawServer(answer) as server, client_of(server) as client:
        assert (await create(client)).choices[0].message.content == "abc"
        with pytest.raises(APIConnectionError, match="cut"):
            await create(client)


async def test_a_compressed_bomb_is_bounded():
    """A few KiB that unpack to 300 MB of an error's body are not unpacked."""
    packed = zlib.compressobj(wbits=31)
    body = b"".join(packed.compress(b" " * 1_000_000) for _ in range(300)) + packed.flush()

    async def answer(call):
        await call.send(plain(body, status=b"400 Bad", kind=b"text/plain", more=b"Content-Encoding: gzip\r\n"))

    async with RawServer(answer) as server, client_of(server) as client:
        with pytest.raises(Exception, match="HTTP 400") as caught:
            await create(client)
        assert len(repr(caught.value.body)) < 70_000
        await eventually(lambda: open_responses(client) == 0)


# --- heads -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "response",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % k for k in range(500)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"y" * 100_000 + b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    ],
    ids=["garbage", "duplicate length", "length and chunks", "length of letters", "header flood", "long header", "ssh"],
)
async def test_malformed_http(response):
    """No status is made up, and no header of the request is shown."""

    async def answer(call):
        await call.send(response)
        await call.gone()

    async with RawServer(answer) as server, client_of(server) as client:
        with pytest.raises(InvalidResponseError, match=r"malformed HTTP|in its head|does not speak HTTP") as caught:
            await create(client)
        assert caught.value.status_code in (None, 200)
        assert "Authorization" not in str(caught.value)
        assert await server.calls[0].gone()
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "trickle", [b"", b"X", b"HTTP/1.1 100 Continue\r\n\r\n"], ids=["stall", "trickle", "1xx flood"]
)
async def test_a_head_that_does_not_end(trickle):
    """The limit is by the wall clock, whatever trickles in."""

    async def answer(call):
        await call.send(b"" if trickle.startswith(b"HTTP") else b"HTTP/1.1 200 OK\r\nX-")
        while True:
            await asyncio.sleep(0.01)
            await call.send(trickle)

    async with RawServer(answer) as server, client_of(server, timeouts=Timeouts(response_headers_s=0.15)) as client:
        with pytest.raises(APITimeoutError) as caught:
            await create(client)
        assert caught.value.phase == "response_headers"
        assert await server.calls[0].gone()


async def test_a_redirect_is_not_followed():
    """Neither the prompt nor the key goes anywhere else."""
    async with OpeAIServer() as other, OpeAIServer() as server, server.client() as client:
        server.raw(b"", status=307, headers={"location": f"{other.base_url}/chat/completions"})
        with pytest.raises(InvalidResponseError, match=r"redirect to '127\.0\.0\.1:"):
            await create(client)
        assert other.requests == []


async def test_headers_that_repeat_are_joined():
    """As RFC 9110 5.3 allows."""

    async def answer(call):
        await call.send(plain(COMPLETION, kind=b"application/json", more=b"X-A: 1\r\nx-a: 2\r\n"))

    async with RawServer(answer) as server, client_of(server) as client:
        assert (await create(client)).meta.headers["x-a"] == "1, 2"


# --- no connection ---------------------------------------------------------------------------------------------------


async def test_nobody_listens():
    """A connection error that names the host, not a timeout."""
    async with OpeAIServer() as server:
        client = server.client(max_retries=0)
    async with client:
        with pytest.raises(APIConnectionError, match=r"no connection to 127\.0\.0\.1") as caught:
            await create(client)
    assert not isinstance(caught.value, APITimeoutError)
    assert caught.value.__context__ is None


async def test_an_unknown_host():
    """The same."""
    async with AsyncOpeAI("sk-test", base_url="https://nowhere.invalid/v1", max_retries=0) as client:
        with pytest.raises(APIConnectionError, match=r"no connection to nowhere\.invalid"):
            await create(client)


async def test_a_tls_handshake_that_hangs():
    """The connect limit covers it."""
    gone = asyncio.Event()

    async def silent(reader, writer):
        await reader.read()
        writer.close()
        gone.set()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with AsyncOpeAI("sk-test", base_url=url, max_retries=0, timeouts=Timeouts(connect_s=0.2)) as client:
        with pytest.raises(APITimeoutError, match=r"within 0.2 s \(connect_s=0.2\)") as caught:
            await create(client)
        assert (caught.value.phase, caught.value.timeout_s) == ("connect", 0.2)
        await gone.wait()
    server.close()


@contextlib.contextmanager
def no_descriptors():
    """Let the process open no more files."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = [os.dup(0)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, limits[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.dup(0))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for number in held:
            os.close(number)


async def test_no_file_descriptor_left():
    """A local error, at the first attempt; later calls work."""
    async with OpeAIServer() as server, server.client() as client:
        with no_descriptors(), pytest.raises(LocalResourceError, match="Too many open files") as caught:
            await create(client)
        assert len(caught.value.attempts) == 1
        assert await create(client)


# --- slots -----------------------------------------------------------------------------------------------------------


async def test_no_slot_in_time():
    """The error has the numbers; the slot is free again however a response ends."""
    async with OpeAIServer() as server, server.client(max_connections=2, timeouts=Timeouts(pool_s=0.05)) as client:
        server.stall("one two", after=2, times=2)
        first, second = stream_of(client), stream_of(client)
        await anext(first)
        await anext(second)
        with pytest.raises(PoolTimeoutError, match=r"2 responses are open, max_connections=2") as caught:
            await create(client)
        assert "0 requests are in flight" in str(caught.value)
        assert "pool_s=None" in str(caught.value)
        assert (caught.value.phase, caught.value.timeout_s) == ("pool", 0.05)
        first.cancel()
        assert await create(client)
        await second.aclose()


async def test_no_slot_because_of_requests_in_flight():
    """A client's own load: calls whose answers have not begun are counted, too; ``pool_s=None`` waits for them."""
    async with OpeAIServer() as server, server.client(max_connections=2, timeouts=Timeouts(pool_s=0.05)) as client:
        server.stall("one", after=1)
        server.reply("late", delay_s=0.3)
        stream = stream_of(client)
        await anext(stream)
        late = asyncio.create_task(create(client))
        await server.wait_received(2)
        with pytest.raises(PoolTimeoutError, match=r"1 requests are in flight and 1 responses are open"):
            await create(client)
        assert await create(client, timeouts=Timeouts(pool_s=None))
        await late
        await stream.aclose()


async def test_slots_are_freed_on_every_path():
    """After errors, cancelled waits and cancelled sends there is room for one more."""
    async with OpeAIServer() as server, server.client(max_connections=1, max_retries=0) as client:
        server.drop()
        server.fail(400)
        server.cut("one two", after=2)
        for _ in range(3):
            with pytest.raises(OpeAIError):
                await stream_of(client).completion()
        server.stall("one", after=1)
        stream = stream_of(client)
        await anext(stream)
        waiting = [asyncio.create_task(create(client)) for _ in range(3)]
        await asyncio.sleep(0.01)
        waiting[0].cancel()
        await stream.aclose()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert results[1].choices
        server.reply("late", delay_s=60)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(create(client), 0.05)
        assert await create(client)


# --- closing the client ----------------------------------------------------------------------------------------------


async def test_closing_the_client_wakes_everybody():
    """Readers, openings and those that wait for a slot."""
    async with OpeAIServer() as server:
        client = server.client(max_connections=2)
        server.stall("one two", after=2)
        server.reply("late", delay_s=60)
        reading = asyncio.create_task(drain(stream_of(client)))
        await server.wait_received(1)
        opening = asyncio.create_task(create(client))
        await server.wait_received(2)
        queueing = asyncio.create_task(create(client))
        await asyncio.sleep(0.01)
        await client.aclose()
        read, opened, queued = await asyncio.gather(reading, opening, queueing, return_exceptions=True)
        assert isinstance(read, StreamInterruptedError)
        assert "the client was closed" in str(read)
        assert isinstance(opened, ClientClosedError)
        assert isinstance(queued, ClientClosedError)
        await client.aclose()
        with pytest.raises(ClientClosedError):
            await create(client)
        await server.wait_disconnected()


async def test_closing_the_client_while_it_connects():
    """A connect that hangs is given up."""

    async def silent(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    client = AsyncOpeAI("sk-test", base_url=f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
    connecting = asyncio.create_task(create(client))
    await asyncio.sleep(0.02)
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await connecting
    server.close()


async def test_closing_the_client_while_it_drains():
    """The background task does not outlive the client."""

    async def answer(call):
        await call.send(HEAD, chunked(ANSWER))
        await call.gone()

    async with RawServer(answer) as server, client_of(server) as client:
        await stream_of(client).completion()
        assert open_responses(client) == 1
        await client.aclose()
        assert open_responses(client) == 0


# --- loops -----------------------------------------------------------------------------------------------------------


async def test_a_client_in_two_loops_at_once():
    """A clear error, in ``create`` and in ``aclose``; the first loop's use is unharmed."""
    async with OpeAIServer() as server, server.client() as client:
        await create(client)

        def elsewhere():
            with pytest.raises(ConfigurationError, match="another event loop"):
                asyncio.run(create(client))
            with pytest.raises(ConfigurationError, match="another event loop"):
                asyncio.run(client.aclose())

        in_a_thread(elsewhere)
        assert await create(client)
