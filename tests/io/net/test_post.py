"""What is written by hand is what aiohttp would have written, and what comes back is understood as it does."""

import asyncio
import contextlib
import re
import socket

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler

from opeai_async import AsyncOpeAI, ConfigurationError
from opeai_async._core.call.http import Request
from opeai_async._io.net.parts import post as aiohttp_post
from opeai_async._io.net.parts.post import BIG_BODY_BYTES, Poster, _works
from opeai_async._io.net.session import SessionPoster
from opeai_async._io.net.transport import AiohttpTransport
from opeai_async._io.transport import SendError
from tests.support.clients import KEY
from tests.support.leaks import no_leaks
from tests.support.reading.chunks import BODY, COMPLETION, DONE, FINISH, event
from tests.support.servers.raw_server import RawServer, plain

HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", "Accept-Encoding": "identity"}
OTHERS = {"Accept": "text/event-stream", "User-Agent": "a test", "x-empty": "", "X-Quoted": 'a "b"; c=\\d'}
JSON = b"application/json"


@pytest.fixture(autouse=True)
async def nothing_left():
    async with no_leaks():
        yield


@contextlib.asynccontextmanager
async def sending(server):
    """Asks *server* for a path; returns the response's head and body."""
    transport = AiohttpTransport()

    async def send(path="/v1", headers=HEADERS, body=b"{}", host=None):
        url = (server.base_url if host is None else re.sub("127.0.0.1", host, server.base_url)).removesuffix("/v1")
        response = await transport.send(Request("POST", url + path, headers, body), connect_s=5, pool_s=5)
        body = await body_of(response)
        response.release()
        return response.head, body

    yield send
    await transport.aclose()


async def body_of(response):
    """All of it."""
    parts = []
    while (data := response.read_nowait()) != b"":
        if data is not None:
            parts.append(data)
        elif (waiting := response.wait()) is not None:
            await waiting
    return b"".join(parts)


@contextlib.contextmanager
def posted_by(monkeypatch, *, hand):
    """Fails unless it is done so."""
    used, other = (Poster, SessionPoster) if hand else (SessionPoster, Poster)
    posts = []
    original = used.post

    async def post(self, *args):
        posts.append(args)
        return await original(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(used, "post", post)
        patch.setattr(other, "post", None)
        yield
    assert posts


@pytest.mark.parametrize("host", [None, "localhost"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1?a=b%20c&d=%C3%A9", "", "/a%2Fb;c/~d"])
async def test_the_same_request_as_by_aiohttp(monkeypatch, path, host):
    """Byte by byte; only the order of the headers is free."""

    async def answer(call):
        await call.send(plain(b"ok"))

    async with RawServer(answer) as server:
        for is_known in (True, False):
            monkeypatch.setattr(aiohttp_post, "is_known", is_known)
            async with sending(server) as send:
                with posted_by(monkeypatch, hand=is_known):
                    head, body = await send(path, {**HEADERS, **OTHERS}, '{"a": "é"}'.encode(), host)
                assert (head.status, head.host, body) == (200, host or "127.0.0.1", b"ok")
        (ours, our_body), (theirs, their_body) = ((call.head.split(b"\r\n"), call.body) for call in server.calls)
        assert our_body == their_body
        assert ours[0] == theirs[0]
        assert sorted(ours) == sorted(theirs)


async def test_a_port_of_the_scheme_is_not_named():
    """As RFC 9110 7.2 has it; many servers compare names."""
    loop = asyncio.get_running_loop()
    assert b"\r\nHost: host\r\n" in aiohttp_post._Target(loop, "https://host/v1").begin
    assert b"\r\nHost: host:80\r\n" in aiohttp_post._Target(loop, "https://host:80/v1").begin
    assert b"\r\nHost: [::1]:8443\r\n" in aiohttp_post._Target(loop, "https://[::1]:8443/v1").begin


async def test_a_big_body_is_sent_as_aiohttp_does(monkeypatch):
    """In parts."""

    async def answer(call):
        await call.send(plain(b"%d" % len(call.body)))

    async with RawServer(answer) as server, sending(server) as send:
        with posted_by(monkeypatch, hand=True):
            assert (await send(body=b"x" * (BIG_BODY_BYTES - 1)))[1] == b"1048575"
        with posted_by(monkeypatch, hand=False):
            assert (await send(body=b"x" * BIG_BODY_BYTES))[1] == b"1048576"
        with posted_by(monkeypatch, hand=True):
            assert (await send())[1] == b"2"
        assert server.connections == 1


async def test_another_method_is_sent_as_aiohttp_does(monkeypatch):
    """What has no body, or gets none back, is not written by hand."""

    async def answer(call):
        await call.send(plain(b"ok"))

    async with RawServer(answer) as server:
        transport = AiohttpTransport()
        with posted_by(monkeypatch, hand=False):
            response = await transport.send(Request("GET", server.base_url, HEADERS, b""), connect_s=5, pool_s=5)
        assert await body_of(response) == b"ok"
        response.release()
        await transport.aclose()
        assert server.calls[0].head.startswith(b"GET /v1 ")


async def test_a_proxy_is_spoken_to_as_aiohttp_does(monkeypatch):
    """With the whole URL, and over its own connections."""

    async def answer(call):
        assert call.head.startswith(b"POST http://127.0.0.1:1/v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:1\r\n")
        await call.send(plain(COMPLETION, kind=JSON))

    async with RawServer(answer) as server:
        proxy = server.base_url.removesuffix("/v1")
        async with AsyncOpeAI(KEY, base_url="http://127.0.0.1:1/v1", proxy=proxy) as client:
            with posted_by(monkeypatch, hand=False):
                await client.chat.completions.create(**BODY)


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("interim", [b"100 Continue", b"103 Early Hints"])
async def test_interim_responses_are_passed_over(monkeypatch, is_known, interim):
    """RFC 9110 15.2: any number of them may come before the one that counts."""
    monkeypatch.setattr(aiohttp_post, "is_known", is_known)

    async def answer(call):
        await call.send(b"HTTP/1.1 %b\r\nLink: </a>\r\n\r\n" % interim, b"HTTP/1.1 %b\r\n\r\n" % interim)
        await asyncio.sleep(0.01)
        await call.send(plain(b"ok", more=b"X-Request-Id: r\r\n"))

    async with RawServer(answer) as server, sending(server) as send:
        for _ in range(2):
            head, body = await send()
            assert (head.status, head.request_id, body) == (200, "r", b"ok")
            assert "link" not in head.headers
        assert server.connections == 1


@pytest.mark.parametrize("is_known", [True, False])
async def test_other_protocols_are_not_switched_to(monkeypatch, is_known):
    """What would come then is not HTTP."""
    monkeypatch.setattr(aiohttp_post, "is_known", is_known)

    async def answer(call):
        await call.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
        call.hang_up()

    async with RawServer(answer) as server, sending(server) as send:
        head, body = await send()
        assert (head.status, body) == (101, b"")
        await send()
        assert server.connections == 2


@pytest.mark.parametrize("line", ["a\r\nX-Other: b", "a\nb", "a\rb"])
async def test_a_header_is_one_line(line):
    """The client checks headers; whoever sends past it cannot smuggle in another one, or another request."""

    async def answer(call):
        await call.send(plain(b"ok"))

    async with RawServer(answer) as server, sending(server) as send:
        for headers in ({**HEADERS, "X": line}, {**HEADERS, line: "x"}):
            with pytest.raises(SendError) as caught:
                await send(headers=headers)
            assert isinstance(caught.value.error, ConfigurationError)
            assert KEY not in str(caught.value)
        assert not server.calls
        await send()


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_request_that_is_answered_before_it_is_sent_is_the_last_of_its_connection(monkeypatch, is_known):
    """The rest of it would go before the next one."""
    monkeypatch.setattr(aiohttp_post, "is_known", is_known)
    connections = []

    class Hasty(asyncio.Protocol):
        """Answers what begins, and does not read on."""

        def connection_made(self, transport):
            self.transport = transport
            connections.append(transport)

        def data_received(self, data):
            self.transport.write(plain(b"ok"))
            if not data.endswith(b"{}"):
                self.transport.pause_reading()

    listening = await asyncio.get_running_loop().create_server(Hasty, "127.0.0.1", 0)
    transport = AiohttpTransport()
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    for body, expected in ((b"{}", 1), (b"x" * (BIG_BODY_BYTES - 1), 1), (b"{}", 2)):
        response = await transport.send(Request("POST", url, HEADERS, body), connect_s=5, pool_s=5)
        assert await body_of(response) == b"ok"
        assert len(connections) == expected
        wire = response._sending.transport
        assert (wire.get_write_buffer_size() > 0) is (len(body) > 2)
        wire.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        response.release()
    await transport.aclose()
    listening.close()
    for connection in connections:
        connection.abort()


async def test_this_aiohttp_is_known():
    """Where this fails, all works, but a request costs twice as much: see what has changed in aiohttp."""
    assert aiohttp_post.is_known


class Silent(ResponseHandler):
    def data_received(self, data):
        pass


class OtherParameters(ResponseHandler):
    def set_response_params(self, *, bufsize):
        pass


class OtherConnector(aiohttp.TCPConnector):
    async def connect(self, key):
        pass


class OtherRequest(aiohttp.ClientRequest):
    def __init__(self, url):
        pass


@pytest.mark.parametrize(
    ("module", "name", "change"),
    [
        (aiohttp_post, "Handler", Silent),
        (aiohttp_post, "Handler", OtherParameters),
        (aiohttp, "TCPConnector", OtherConnector),
        (aiohttp, "ClientRequest", OtherRequest),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
async def test_another_aiohttp_is_recognized(monkeypatch, module, name, change):
    """The self-test fails, and nothing else does."""
    monkeypatch.setattr(module, name, change)
    assert not _works()


async def test_where_aiohttp_is_unknown_it_sends_itself(monkeypatch):
    monkeypatch.setattr(aiohttp_post, "is_known", False)

    async def answer(call):
        await call.send(plain(event("a") + FINISH + DONE))

    async with RawServer(answer) as server, AsyncOpeAI(KEY, base_url=server.base_url) as client:
        with posted_by(monkeypatch, hand=False):
            completion = await client.chat.completions.stream(**BODY).completion()
        assert completion.choices[0].message.content == "a"
