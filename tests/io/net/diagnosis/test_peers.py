"""What answers in the place of an API: each says what it is, and what to do."""

import asyncio
import contextlib

import pytest

from opeai_async import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncOpeAI,
    InvalidResponseError,
    OpeAIError,
    Timeouts,
    TLSError,
)
from opeai_async._io.net.diagnosis import peers
from opeai_async._io.net.parts import post as aiohttp_post
from tests.io.net.test_tls_and_proxy import proxy
from tests.support.clients import KEY
from tests.support.loops.both_loops import anyio_backend, no_descriptor_left  # noqa: F401
from tests.support.reading.chunks import BODY, COMPLETION
from tests.support.servers import tls
from tests.support.servers.raw_server import RawServer, plain

VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    """Nothing of the machine that runs the tests is heard."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def contexts(tmp_path_factory):
    return tls.contexts(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["by hand", "session"])
def way(request, monkeypatch):
    """Both ways to send a request."""
    if request.param == "session":
        monkeypatch.setattr(aiohttp_post, "is_known", False)


async def error_of(base_url, **options):
    """The error of a request to that place."""
    options = {"max_retries": 0} | options
    async with AsyncOpeAI(KEY, base_url=base_url, **options) as client:
        with pytest.raises(OpeAIError) as caught:
            await client.chat.completions.create(**BODY)
    assert KEY not in str(caught.value) + caught.value.hint
    return caught.value


@contextlib.asynccontextmanager
async def peer(answer, *, greeting=b"", reads=1, tls=None):
    """A server that sends *greeting*, reads once, sends *answer*, and waits for the end; yields its port."""
    seen = bytearray()

    async def serve(reader, writer):
        try:
            writer.write(greeting)
            if answer is not None:
                seen.extend(await reader.read(65536))
                writer.write(answer)
                if not answer:
                    writer.close()
            while data := await reader.read(65536):
                seen.extend(data)
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1], seen
    finally:
        server.close()


# --- other protocols -------------------------------------------------------------------------------------------------

SETTINGS = (
    b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80\x00\x04\x00\x01\x00\x00\x00\x05\x00\xff\xff\xff"
)
GOAWAY = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"


@pytest.mark.parametrize("frame", [SETTINGS, GOAWAY], ids=["settings", "goaway"])
@pytest.mark.parametrize("when", ["at once", "after the request"])
async def test_a_server_of_http_2_only(way, frame, when):
    at_once = when == "at once"
    async with peer(None if at_once else frame, greeting=frame if at_once else b"") as (port, _):
        error = await error_of(f"http://127.0.0.1:{port}/v1")
    assert isinstance(error, InvalidResponseError)
    assert "answered in HTTP/2" in str(error)
    assert "HTTP/1.1" in error.hint
    assert "base_url" not in error.hint


async def test_a_server_of_http_2_only_behind_tls(contexts):
    """It says so in the handshake (ALPN), to a context that offers HTTP/1.1 as the default one does."""
    server, client = contexts
    server.set_alpn_protocols(["h2"])
    client.set_alpn_protocols(["http/1.1"])

    async def answer(call):
        await call.gone()

    async with peer(SETTINGS, tls=server) as (port, _):
        error = await error_of(f"https://localhost:{port}/v1", ssl_context=client)
    assert isinstance(error, (TLSError, InvalidResponseError))
    assert "HTTP/2 only" in error.hint


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.6\r\n", b"220 mail ESMTP\r\n", b"-ERR unknown command\r\n"])
async def test_another_service(way, greeting):
    async with peer(greeting) as (port, _):
        error = await error_of(f"http://127.0.0.1:{port}/v1")
    assert "does not speak HTTP" in str(error)
    assert "host and port" in error.hint


@pytest.mark.parametrize(("status", "word"), [(b"505 Not Supported", "HTTP/1.1"), (b"426 Upgrade", "HTTP/2")])
async def test_a_status_that_wants_another_version(status, word):
    async with peer(plain(b"{}", status=status, kind=b"application/json")) as (port, _):
        error = await error_of(f"http://127.0.0.1:{port}/v1")
    assert isinstance(error, APIStatusError)
    assert word in error.hint


async def test_a_web_page():
    """What it calls itself is said."""
    page = b"<!DOCTYPE html><html><head><title>Company login</title></head></html>"
    async with peer(plain(page, kind=b"text/html")) as (port, _):
        error = await error_of(f"http://127.0.0.1:{port}/v1")
    assert isinstance(error, InvalidResponseError)
    assert "Company login" in str(error)
    assert "a web page answered" in error.hint
    async with peer(plain(page, status=b"502 Bad Gateway", kind=b"text/html")) as (port, _):
        error = await error_of(f"http://127.0.0.1:{port}/v1")
    assert "HTTP 502 from 127.0.0.1: an HTML page, 'Company login'" in str(error)


# --- TLS to a port without, and the other way round ------------------------------------------------------------------

REFUSAL = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


async def test_tls_to_a_plain_port_that_answers():
    async with peer(REFUSAL) as (port, _):
        error = await error_of(f"https://127.0.0.1:{port}/v1")
    assert isinstance(error, TLSError)
    assert "plain HTTP" in error.hint
    assert "http://" in error.hint


async def plain_http(reader, writer):
    """Answers requests, and waits for the end of a line where none comes."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.LimitOverrunError):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(plain(b"{}", status=b"404 Not Found"))
        await reader.read()
    writer.transport.abort()


async def test_tls_to_a_plain_port_that_waits(monkeypatch):
    """It does not answer to a handshake at all; long before the limit for connections, the error says what it is."""
    monkeypatch.setattr(peers, "SILENCE_S", 0.05)
    server = await asyncio.start_server(plain_http, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    error = await error_of(url, timeouts=Timeouts(connect_s=25), max_retries=2)
    server.close()
    assert isinstance(error, TLSError)
    assert "answers to plain HTTP" in str(error)
    assert "http://" in error.hint
    assert len(error.attempts) == 1


@pytest.mark.parametrize("answer", [REFUSAL, b"\x15\x03\x03\x00\x02\x02\x0a", b""], ids=["400", "alert", "nothing"])
async def test_a_slow_handshake_is_waited_for(monkeypatch, answer):
    """What is asked in plain HTTP does not count if the server says that it wants TLS."""
    monkeypatch.setattr(peers, "SILENCE_S", 0.01)

    async def serve(reader, writer):
        with contextlib.suppress(ConnectionError):
            if (await reader.read(65536)).startswith(b"GET"):
                writer.write(answer)
            else:
                await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    error = await error_of(url, timeouts=Timeouts(connect_s=0.3))
    server.close()
    assert isinstance(error, APITimeoutError)
    assert error.phase == "connect"


async def test_a_silent_server_is_asked_once(monkeypatch):
    """Many slow handshakes do not become twice as many connections; a request and its key are never sent there."""
    monkeypatch.setattr(peers, "SILENCE_S", 0.01)
    async with peer(None) as (port, seen):
        url = f"https://127.0.0.1:{port}/v1"
        async with AsyncOpeAI(KEY, base_url=url, timeouts=Timeouts(connect_s=0.3), max_retries=0) as client:
            calls = [client.chat.completions.create(**BODY) for _ in range(10)]
            results = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(result, APITimeoutError) for result in results)
    assert seen.count(b"GET / HTTP/1.1") == 1
    assert KEY.encode() not in seen


@pytest.mark.parametrize(
    "page",
    [
        b"<html><title>400 The plain HTTP request was sent to HTTPS port</title></html>",
        b"Client sent an HTTP request to an HTTPS server.\n",
        b"Reason: You're speaking plain HTTP to an SSL-enabled server port.",
    ],
    ids=["nginx", "go", "apache"],
)
async def test_plain_http_to_a_port_of_tls_that_says_so(page):
    async with peer(plain(page, status=b"400 Bad Request", kind=b"text/html")) as (port, _):
        error = await error_of(f"http://127.0.0.1:{port}/v1")
    assert "write https://" in error.hint


@pytest.mark.parametrize("answer", [b"\x15\x03\x01\x00\x02\x02\x46", b""], ids=["alert", "hangs up"])
async def test_plain_http_to_a_port_of_tls(way, answer):
    async with peer(answer) as (port, _):
        error = await error_of(f"http://127.0.0.1:{port}/v1")
    assert isinstance(error, (InvalidResponseError, APIConnectionError))
    assert "write https://" in error.hint


async def test_plain_http_to_a_real_port_of_tls(contexts):
    server, _ = contexts
    async with peer(b"", tls=server) as (port, _):
        error = await error_of(f"http://127.0.0.1:{port}/v1")
    assert "write https://" in error.hint


# --- connections that are not made -----------------------------------------------------------------------------------


async def test_a_refused_connection_names_host_and_port():
    assert "no connection to localhost:1:" in str(await error_of("http://localhost:1/v1"))
    assert "no connection to [::1]:1:" in str(await error_of("http://[::1]:1/v1"))


@pytest.mark.parametrize("setting", [{"HTTPS_PROXY": "http://u:secret-pw@p:1"}, {"all_proxy": "p:1"}])
async def test_a_proxy_that_is_set_and_not_used(monkeypatch, setting):
    """Its name is said, and nothing of what it holds."""
    for name, value in setting.items():
        monkeypatch.setenv(name, value)
    error = await error_of("https://localhost:1/v1")
    assert f'{next(iter(setting))} is set, but not used: pass proxy="env"' in error.hint
    assert "secret-pw" not in repr(vars(error)) + str(error)
    monkeypatch.setenv("NO_PROXY", "localhost")
    assert "is set, but not used" not in (await error_of("https://localhost:1/v1")).hint


async def test_a_proxy_of_the_environment(monkeypatch):
    """It is used where that was asked for, and only then."""
    seen = []

    async def answer(call):
        await call.send(plain(COMPLETION, kind=b"application/json"))

    async with RawServer(answer) as server, proxy(seen) as url:
        monkeypatch.setenv("HTTP_PROXY", url)
        for option in (None, "env"):
            async with AsyncOpeAI(KEY, base_url=server.base_url, proxy=option) as client:
                assert (await client.chat.completions.create(**BODY)).choices[0].message.content == "abc"
            assert len(seen) == (option == "env")
        monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
        async with AsyncOpeAI(KEY, base_url=server.base_url, proxy="env") as client:
            assert await client.chat.completions.create(**BODY)
        assert len(seen) == 1


async def test_a_proxy_that_wants_a_password():
    """Over CONNECT, and for plain http."""
    seen = []
    async with proxy(seen, refuses=b"407 Proxy Authentication Required") as url:
        error = await error_of("https://localhost:1/v1", proxy=url)
        assert "http://user:password@host:port" in error.hint
        error = await error_of("http://localhost:1/v1", proxy=url)
        assert "http://user:password@host:port" in error.hint
        assert "secret-pw" not in str(error) + error.hint


async def test_a_proxy_that_is_not_there():
    error = await error_of("https://localhost:2/v1", proxy="http://user:secret-pw@127.0.0.1:1")
    assert "no connection to localhost:2 through the proxy 127.0.0.1:1" in str(error)
    assert "secret-pw" not in repr(vars(error)) + str(error)


async def test_a_plain_proxy_that_is_called_https():
    """The scheme says how to talk to the proxy, not what goes through it."""
    async with peer(REFUSAL) as (port, _):
        error = await error_of("https://localhost:2/v1", proxy=f"https://127.0.0.1:{port}")
    assert "the proxy speaks plain HTTP" in error.hint


async def test_a_proxy_behind_tls(contexts):
    """A request for https goes through TLS in TLS."""
    server_context, trust = contexts
    tunnels = []

    async def pump(reader, writer):
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def tunnel(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        tunnels.append(head.split(b"\r\n")[0])
        port = int(head.split()[1].rpartition(b":")[2])
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer))

    async def answer(call):
        await call.send(plain(COMPLETION, kind=b"application/json"))

    listener = await asyncio.start_server(tunnel, "127.0.0.1", 0, ssl=server_context)
    url = f"https://localhost:{listener.sockets[0].getsockname()[1]}"
    async with RawServer(answer, tls=server_context) as server:
        async with AsyncOpeAI(KEY, base_url=server.base_url, proxy=url, ssl_context=trust) as client:
            assert (await client.chat.completions.create(**BODY)).choices[0].message.content == "abc"
    listener.close()
    assert tunnels
    assert tunnels[0].startswith(b"CONNECT localhost:")
