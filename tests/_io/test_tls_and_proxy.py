"""Certificates and proxies, against real ones."""

import asyncio
import contextlib
import shutil
import ssl
import subprocess

import pytest

from opeai_async import APIConnectionError, AsyncOpeAI, TLSError
from opeai_async.testing import OpeAIServer
from tests.support.chunks import ANSWER, BODY, COMPLETION
from tests.support.clients import KEY, texts
from tests.support.leaks import no_leaks
from tests.support.raw_server import HEAD, RawServer, chunked, plain


@pytest.fixture(autouse=True)
async def nothing_left():
    """No task, timer or descriptor outlives its client."""
    async with no_leaks():
        yield


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for localhost that nobody has signed, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    where = tmp_path_factory.mktemp("tls")
    key, cert = where / "key.pem", where / "cert.pem"
    options = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    command = ["openssl", "req", *options.split(), "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


@pytest.fixture
def server_tls(certificate):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    return context


async def answer(call):
    """A stream or a completion, whichever is asked for."""
    if b'"stream":true' in call.body.replace(b" ", b""):
        await call.send(HEAD + chunked(ANSWER) + b"0\r\n\r\n")
    else:
        await call.send(plain(COMPLETION, kind=b"application/json"))


async def test_a_private_authority(certificate, server_tls):
    """``ssl_context`` brings the trust; the connection is reused like any other."""
    trust = ssl.create_default_context(cafile=certificate[0])
    async with RawServer(answer, tls=server_tls) as server:
        async with AsyncOpeAI(KEY, base_url=server.base_url, ssl_context=trust) as client:
            for _ in range(3):
                stream = client.chat.completions.stream(**BODY)
                assert texts([chunk async for chunk in stream]) == ["a", "b", "c"]
        assert server.connections == 1


async def test_a_stream_that_is_left_closes_its_tls_connection_at_once(certificate, server_tls):
    """It does not wait for the server's farewell."""

    async def half_an_answer(call):
        await call.send(HEAD + chunked(ANSWER[:200]))
        await call.gone()

    trust = ssl.create_default_context(cafile=certificate[0])
    async with RawServer(half_an_answer, tls=server_tls) as server:
        async with AsyncOpeAI(KEY, base_url=server.base_url, ssl_context=trust) as client:
            async with client.chat.completions.stream(**BODY) as stream:
                await anext(stream)
            async with asyncio.timeout(1):
                assert await server.calls[0].gone()


async def test_a_certificate_that_is_not_trusted(server_tls):
    """A TLS error, and no second attempt; the key was never sent."""
    async with RawServer(answer, tls=server_tls) as server, AsyncOpeAI(KEY, base_url=server.base_url) as client:
        with pytest.raises(TLSError, match="certificate verify failed") as caught:
            await client.chat.completions.create(**BODY)
        assert len(caught.value.attempts) == 1
        assert server.calls == []


async def test_a_certificate_for_another_name(certificate, server_tls):
    """Trusted, but not for this host."""
    trust = ssl.create_default_context(cafile=certificate[0])
    async with RawServer(answer, tls=server_tls) as server:
        url = server.base_url.replace("localhost", "127.0.0.1")
        async with AsyncOpeAI(KEY, base_url=url, ssl_context=trust) as client:
            with pytest.raises(TLSError, match="no trusted TLS connection to 127"):
                await client.chat.completions.create(**BODY)


async def test_tls_to_a_server_without():
    """The handshake fails: a TLS error, not a timeout."""
    async with OpeAIServer() as server:
        async with AsyncOpeAI(KEY, base_url=server.base_url.replace("http:", "https:")) as client:
            with pytest.raises(TLSError):
                await client.chat.completions.create(**BODY)


@contextlib.asynccontextmanager
async def proxy(seen, *, refuses=False):
    """A proxy for absolute-form requests and CONNECT; notes the first line of each in *seen*."""

    async def pump(reader, writer):
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(head)
        method, target, _ = head.split(b"\r\n")[0].split()
        if refuses:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        authority = target if method == b"CONNECT" else target.split(b"/")[2]
        host, _, port = authority.decode().partition(":")
        up_reader, up_writer = await asyncio.open_connection(host, int(port))
        if method == b"CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            up_writer.write(head.replace(target, b"/" + target.split(b"/", 3)[3], 1))
        await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer))

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://user:secret-pw@127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()


async def test_a_proxy_for_plain_http():
    """The request goes there in absolute form, with the proxy's own credentials."""
    seen = []
    async with OpeAIServer() as server, proxy(seen) as url, server.client(proxy=url) as client:
        server.reply("through")
        assert (await client.chat.completions.create(**BODY)).choices[0].message.content == "through"
        assert seen[0].startswith(b"POST http://127.0.0.1:")
        assert b"Proxy-Authorization: Basic" in seen[0]


async def test_a_proxy_for_https(certificate, server_tls):
    """It sees a CONNECT, and neither key nor prompt."""
    seen = []
    trust = ssl.create_default_context(cafile=certificate[0])
    async with RawServer(answer, tls=server_tls) as server, proxy(seen) as url:
        async with AsyncOpeAI(KEY, base_url=server.base_url, ssl_context=trust, proxy=url) as client:
            assert (await client.chat.completions.create(**BODY)).choices[0].message.content == "abc"
        assert seen[0].startswith(b"CONNECT localhost:")
        assert KEY.encode() not in seen[0]


async def test_a_proxy_that_refuses():
    """The error says that it was the proxy, and shows no credentials."""
    async with proxy([], refuses=True) as url:
        async with AsyncOpeAI(KEY, base_url="https://localhost:1/v1", proxy=url) as client:
            with pytest.raises(
                APIConnectionError, match="the proxy refused to connect to localhost: HTTP 403"
            ) as caught:
                await client.chat.completions.create(**BODY)
    assert "secret-pw" not in repr(vars(caught.value)) + str(caught.value)


async def test_a_proxy_that_is_not_there():
    """The same."""
    url = "http://user:secret-pw@127.0.0.1:1"
    async with AsyncOpeAI(KEY, base_url="https://localhost:1/v1", proxy=url, max_retries=0) as client:
        with pytest.raises(APIConnectionError, match="no connection to") as caught:
            await client.chat.completions.create(**BODY)
    assert "secret-pw" not in repr(vars(caught.value)) + str(caught.value)
