"""Certificates and proxies, against real ones."""

import asyncio
import contextlib
import os
import shutil
import socket
import ssl
import subprocess

import pytest

from opeai_async import (
    APIConnectionError,
    APITimeoutError,
    AsyncOpeAI,
    ConfigurationError,
    RetryPolicy,
    StreamInterruptedError,
    StreamTruncatedError,
    Timeouts,
    TLSError,
)
from opeai_async.testing import OpeAIServer
from tests.support.clients import KEY, texts
from tests.support.leaks import no_leaks
from tests.support.reading.chunks import ANSWER, BODY, COMPLETION, events
from tests.support.servers.raw_server import HEAD, RawServer, chunked, plain


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


async def test_a_certificate_that_has_expired(certificate, tmp_path):
    """Trusted, for this host, but too old."""
    cert, key = certificate
    old = tmp_path / "old.pem"
    options = ["-in", cert, "-signkey", key, "-days", "-1", "-out", old]
    subprocess.run(["openssl", "x509", *options], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(old, key)
    trust = ssl.create_default_context(cafile=old)
    async with RawServer(answer, tls=context) as server:
        async with AsyncOpeAI(KEY, base_url=server.base_url, ssl_context=trust) as client:
            with pytest.raises(TLSError, match="expired"):
                await client.chat.completions.create(**BODY)
        assert server.calls == []


async def test_a_client_certificate(certificate, server_tls):
    """The server asks for one, and ``ssl_context`` has it."""
    server_tls.verify_mode = ssl.CERT_REQUIRED
    server_tls.load_verify_locations(certificate[0])
    trust = ssl.create_default_context(cafile=certificate[0])
    trust.load_cert_chain(*certificate)
    async with RawServer(answer, tls=server_tls) as server:
        async with AsyncOpeAI(KEY, base_url=server.base_url, ssl_context=trust) as client:
            assert (await client.chat.completions.create(**BODY)).choices[0].message.content == "abc"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
async def test_a_client_certificate_that_is_missing(certificate, server_tls, version):
    """A TLS error, not retried; in TLS 1.3 the server says so only after the handshake."""
    server_tls.verify_mode = ssl.CERT_REQUIRED
    server_tls.minimum_version = server_tls.maximum_version = version
    trust = ssl.create_default_context(cafile=certificate[0])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # A thread, because asyncio's own server resets the connection instead of saying what is wrong.
        refusing = asyncio.create_task(asyncio.to_thread(refuse_once, listener, server_tls))
        url = f"https://localhost:{listener.getsockname()[1]}/v1"
        async with AsyncOpeAI(KEY, base_url=url, ssl_context=trust) as client:
            with pytest.raises(TLSError, match="ALERT") as caught:
                await client.chat.completions.create(**BODY)
        await refusing
    assert len(caught.value.attempts) == 1
    await asyncio.get_running_loop().shutdown_default_executor()


def refuse_once(listener, context):
    connection, _ = listener.accept()
    with connection.dup() as below:
        below.settimeout(10)
        with pytest.raises(ssl.SSLError):
            context.wrap_socket(connection, server_side=True)
        below.shutdown(socket.SHUT_WR)
        while below.recv(65536):  # a close with bytes unread would reset, and the alert might be lost
            pass


@pytest.mark.parametrize("framing", ["chunked", "none"])
async def test_a_cut_below_tls(certificate, server_tls, framing):
    """TCP ends without a farewell of TLS: what arrived is in ``partial``, and it is no proper end."""

    async def cut(call):
        head = HEAD if framing == "chunked" else HEAD.replace(b"Transfer-Encoding: chunked\r\n", b"")
        await call.send(head + (chunked(events("a", "b")) if framing == "chunked" else events("a", "b")))
        with socket.socket(fileno=os.dup(call._peer.writer.get_extra_info("socket").fileno())) as below:
            below.shutdown(socket.SHUT_WR)

    trust = ssl.create_default_context(cafile=certificate[0])
    async with RawServer(cut, tls=server_tls) as server:
        async with AsyncOpeAI(KEY, base_url=server.base_url, ssl_context=trust, max_retries=0) as client:
            with pytest.raises((StreamInterruptedError, StreamTruncatedError)) as caught:
                await client.chat.completions.stream(**BODY).completion()
    assert caught.value.partial.choices[0].message.content == "ab"


async def test_tls_to_a_server_without():
    """The handshake fails: a TLS error, not a timeout."""
    async with OpeAIServer() as server:
        async with AsyncOpeAI(KEY, base_url=server.base_url.replace("http:", "https:")) as client:
            with pytest.raises(TLSError):
                await client.chat.completions.create(**BODY)


@contextlib.asynccontextmanager
async def proxy(seen, *, refuses=b""):
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
            if refuses == b"silence":
                await reader.read()
            elif refuses != b"hang up":
                writer.write(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % refuses)
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


@pytest.mark.parametrize(
    ("answer", "attempts"), [(b"403 Forbidden", 1), (b"407 Who are you", 1), (b"502 Bad Gateway", 2), (b"503 Busy", 2)]
)
async def test_a_proxy_that_refuses(answer, attempts):
    """The error says that it was the proxy, and shows no credentials; what may pass is tried again."""
    seen = []
    async with proxy(seen, refuses=answer) as url:
        async with AsyncOpeAI(KEY, base_url="https://localhost:1/v1", proxy=url, max_retries=1) as client:
            status = answer[:3].decode()
            with pytest.raises(
                APIConnectionError, match=f"the proxy refused to connect to localhost: HTTP {status}"
            ) as caught:
                await client.chat.completions.create(**BODY)
    assert len(caught.value.attempts) == len(seen) == attempts
    assert "secret-pw" not in repr(vars(caught.value)) + str(caught.value)


async def test_a_proxy_that_hangs_up():
    """Nothing was sent to the server: tried again whatever is said about broken connections."""
    seen = []
    never = RetryPolicy(max_retries=1, retry_ambiguous=False)
    async with proxy(seen, refuses=b"hang up") as url:
        async with AsyncOpeAI(KEY, base_url="https://localhost:1/v1", proxy=url, retry=never) as client:
            with pytest.raises(APIConnectionError, match="no connection to localhost:1 through the proxy"):
                await client.chat.completions.create(**BODY)
    assert len(seen) == 2


async def test_a_proxy_that_is_silent():
    """The connect limit covers it."""
    seen = []
    limits = Timeouts(connect_s=0.2)
    async with proxy(seen, refuses=b"silence") as url:
        async with AsyncOpeAI(
            KEY, base_url="https://localhost:1/v1", proxy=url, max_retries=0, timeouts=limits
        ) as client:
            with pytest.raises(APITimeoutError) as caught:
                await client.chat.completions.create(**BODY)
    assert caught.value.phase == "connect"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "socks5://u:secret-pw@h:1",
        "u:secret-pw@h:1",
        "http://u:secret-pw@h:x",
        "http://u:secret-pw@",
        "http://u:\r\nsecret-pw@h:1",
    ],
    ids=["empty", "socks", "no scheme", "bad port", "no host", "line break"],
)
async def test_what_is_no_proxy(url):
    """It is refused where it is given, and the password is not shown."""
    with pytest.raises(ConfigurationError, match="proxy") as caught:
        AsyncOpeAI(KEY, proxy=url)
    assert "secret-pw" not in str(caught.value) + repr(caught.value.__context__)


async def test_a_proxy_that_is_not_there():
    """The same."""
    url = "http://user:secret-pw@127.0.0.1:1"
    async with AsyncOpeAI(KEY, base_url="https://localhost:1/v1", proxy=url, max_retries=0) as client:
        with pytest.raises(APIConnectionError, match="no connection to") as caught:
            await client.chat.completions.create(**BODY)
    assert "secret-pw" not in repr(vars(caught.value)) + str(caught.value)
