"""Whom a client trusts, and what it says of a certificate that it does not trust."""

import shutil
import ssl
import subprocess

import pytest

from opeai_async import AsyncOpeAI, TLSError
from opeai_async._io.net import trust
from opeai_async._io.net.diagnosis import hints, peers
from tests.io.net.test_tls_and_proxy import proxy
from tests.support.clients import KEY
from tests.support.loops.both_loops import anyio_backend, no_descriptor_left  # noqa: F401
from tests.support.reading.chunks import BODY, COMPLETION
from tests.support.servers.authority import NAME, ORGANISATION, new_authority
from tests.support.servers.raw_server import RawServer, plain

SIGNED = f"signed by '{NAME} ({ORGANISATION})'"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return new_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    """Nothing of the machine that runs the tests is heard."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"):
        monkeypatch.delenv(name, raising=False)


async def answer(call):
    await call.send(plain(COMPLETION, kind=b"application/json"))


async def ask(server, **options):
    async with AsyncOpeAI(KEY, base_url=options.pop("base_url", server.base_url), **options) as client:
        return (await client.chat.completions.create(**BODY)).choices[0].message.content


async def refused(server, **options):
    """The error of a request that is not to be sent."""
    with pytest.raises(TLSError, match="certificate verify failed") as caught:
        await ask(server, **options)
    error = caught.value
    assert len(error.attempts) == 1
    assert server.calls == []
    assert KEY not in str(error) + error.hint
    assert error.__cause__ is None
    assert error.__context__ is None
    return error


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
async def test_the_environment_names_the_trust(authority, tmp_path, monkeypatch, variable):
    """Set after aiohttp was imported, as by a program that reads its settings from a file."""
    folder = tmp_path / "certs"
    folder.mkdir()
    shutil.copy(authority.trust, folder / "company.pem")
    subprocess.run(["openssl", "rehash", folder], check=True, capture_output=True)
    monkeypatch.setenv(variable, str(authority.trust if variable == "SSL_CERT_FILE" else folder))
    async with RawServer(answer, tls=authority.server_context()) as server:
        for _ in range(2):
            assert await ask(server) == "abc"
        assert len(server.calls) == 2


async def test_the_system_trusts_a_company(authority, monkeypatch):
    """What OpenSSL finds by itself is enough; stands in for a machine on which the company's CA was installed."""
    installed = ssl.create_default_context(cafile=authority.trust)
    monkeypatch.setattr(trust, "default_context", lambda: installed)
    monkeypatch.setattr("opeai_async._io.net.transport.default_context", lambda: installed)
    async with RawServer(answer, tls=authority.server_context()) as server:
        assert await ask(server) == "abc"


async def test_there_is_one_context_for_all_clients(authority, monkeypatch):
    """Reading certificates takes time; none is made where the environment says nothing."""
    assert trust.default_context() is None
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.trust))
    first = trust.default_context()
    assert first is not None
    assert trust.default_context() is first
    assert first.verify_mode is ssl.CERT_REQUIRED
    assert first.check_hostname


async def test_an_intercepted_connection(authority):
    """Who signed is said, and what to set; the second look brings no request."""
    async with RawServer(answer, tls=authority.server_context()) as server:
        error = await refused(server)
        assert SIGNED in str(error)
        assert "SSL_CERT_FILE=" in error.hint
        assert "ssl_context=" in error.hint


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
async def test_each_version_of_tls(authority, version):
    context = authority.server_context()
    context.minimum_version = context.maximum_version = version
    async with RawServer(answer, tls=context) as server:
        assert SIGNED in str(await refused(server))


async def test_an_intercepting_proxy(authority):
    """It is asked for a tunnel once more, with its own credentials, and they are not shown."""
    seen = []
    async with RawServer(answer, tls=authority.server_context()) as server, proxy(seen) as url:
        error = await refused(server, proxy=url)
    assert SIGNED in str(error)
    assert "secret-pw" not in str(error) + error.hint + repr(vars(error))
    assert [head.split()[0] for head in seen] == [b"CONNECT", b"CONNECT"]
    login = [next(line for line in head.split(b"\r\n") if line.startswith(b"Proxy-Auth")) for head in seen]
    assert login[0] == login[1]


async def test_a_variable_that_leads_nowhere(authority, monkeypatch):
    """OpenSSL says nothing of that."""
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file.pem")
    async with RawServer(answer, tls=authority.server_context()) as server:
        assert "SSL_CERT_FILE is set, but there is nothing at that path" in (await refused(server)).hint


async def test_a_variable_of_another_program(authority, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.trust))
    async with RawServer(answer, tls=authority.server_context()) as server:
        assert "REQUESTS_CA_BUNDLE is set, but not read here" in (await refused(server)).hint


async def test_another_name(self_signed):
    """Trusted, but for another host: the name that it is for is said."""
    make, cert, _ = self_signed
    context = ssl.create_default_context()
    async with RawServer(answer, tls=make("-days", "2")) as server:
        context.load_verify_locations(cert)
        url = server.base_url.replace("localhost", "127.0.0.1")
        error = await refused(server, base_url=url, ssl_context=context)
    assert "shows one for 'box.example', signed by 'box.example'" in str(error)
    assert "base_url" in error.hint


@pytest.fixture
def self_signed(tmp_path):
    """A context of a server that signed its certificate itself, and how to make others of it."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"

    def make(*options):
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=box.example"
        names = ["-addext", "subjectAltName=DNS:localhost"]
        subprocess.run(
            [*command.split(), *names, *options, "-keyout", key, "-out", cert], check=True, capture_output=True
        )
        return new_context(cert, key)

    return make, cert, key


def new_context(cert, key):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    return context


async def test_self_signed(self_signed):
    make, _, _ = self_signed
    async with RawServer(answer, tls=make("-days", "2")) as server:
        error = await refused(server)
    assert "'box.example' signed it itself" in str(error)
    assert "if you run that server" in error.hint


async def test_expired(self_signed, tmp_path):
    """It says since when, and that the clock may be wrong."""
    make, cert, key = self_signed
    make("-days", "2")
    old = tmp_path / "old.pem"
    subprocess.run(
        ["openssl", "x509", "-in", cert, "-signkey", key, "-days", "-1", "-out", old], check=True, capture_output=True
    )
    context = ssl.create_default_context(cafile=old)
    async with RawServer(answer, tls=new_context(old, key)) as server:
        error = await refused(server, ssl_context=context)
    assert "expired: it held until 20" in str(error)
    assert "clock" in error.hint


async def test_the_second_look_finds_nothing(authority, monkeypatch):
    """The server has gone meanwhile, or takes too long: the error comes all the same, without that name."""
    monkeypatch.setattr(peers, "LOOK_S", 0.01)

    async def hang(*_):
        raise ConnectionRefusedError

    monkeypatch.setattr(peers, "_shown_certificate", hang)
    async with RawServer(answer, tls=authority.server_context()) as server:
        error = await refused(server)
    assert "signed by" not in str(error)
    assert "SSL_CERT_FILE=" in error.hint


@pytest.mark.parametrize("text", ["Missing Authority Key Identifier", "CA cert does not include key usage extension"])
async def test_a_certificate_that_is_not_made_by_the_book(text):
    """Python 3.13 refuses what 3.12 took, as many a company's CA is; how to go on is said."""
    _, hint = hints.untrusted(hints.Distrust(0, text), None)
    assert "VERIFY_X509_STRICT" in hint
