"""What the system is told about a connection: to look after it while it is idle."""

import os
import socket
import sys

import pytest

from opeai_async import AsyncOpeAI
from opeai_async._io.net import sockets
from opeai_async._io.net.parts import post as aiohttp_post
from tests.io.net.test_tls_and_proxy import proxy
from tests.support.clients import KEY, transport_of
from tests.support.loops.both_loops import anyio_backend, no_descriptor_left  # noqa: F401
from tests.support.reading.chunks import BODY, COMPLETION
from tests.support.servers import tls
from tests.support.servers.raw_server import RawServer, plain


@pytest.fixture(scope="module")
def contexts(tmp_path_factory):
    return tls.contexts(tmp_path_factory.mktemp("tls"))


async def answer(call):
    await call.send(plain(COMPLETION, kind=b"application/json"))


def options_of(client):
    """What is set on the only idle connection of *client*."""
    connector = transport_of(client)._connector
    ((protocol, _),) = [idle for waiting in connector._conns.values() for idle in waiting]
    with socket.socket(fileno=os.dup(protocol.transport.get_extra_info("socket").fileno())) as sock:
        found = {"SO_KEEPALIVE": sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)}
        for name in (
            "TCP_KEEPIDLE",
            "TCP_KEEPALIVE",
            "TCP_KEEPINTVL",
            "TCP_KEEPCNT",
            "TCP_USER_TIMEOUT",
            "TCP_NODELAY",
        ):
            if hasattr(socket, name):
                found[name] = sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
        return found


@pytest.mark.skipif(sys.platform != "linux", reason="the names are those of Linux")
@pytest.mark.parametrize("way", ["http", "https", "proxy", "session"])
async def test_idle_connections_are_looked_after(contexts, monkeypatch, way):
    """A forgotten flow is noticed within about a minute, on each way to a connection."""
    server_context, trust = contexts
    if way == "session":
        monkeypatch.setattr(aiohttp_post, "is_known", False)
    options = {"ssl_context": trust}
    async with RawServer(answer, tls=server_context if way in ("https", "proxy") else None) as server, proxy([]) as url:
        if way == "proxy":
            options["proxy"] = url
        async with AsyncOpeAI(KEY, base_url=server.base_url, **options) as client:
            await client.chat.completions.create(**BODY)
            found = options_of(client)
    assert found["SO_KEEPALIVE"] == 1
    assert found["TCP_KEEPIDLE"] + found["TCP_KEEPINTVL"] * found["TCP_KEEPCNT"] == 60
    assert found["TCP_NODELAY"] == 1
    assert found["TCP_USER_TIMEOUT"] == 0


async def test_a_system_that_refuses_an_option(monkeypatch):
    """The connection is made all the same."""
    monkeypatch.setattr(sockets, "_OPTIONS", ((9999, 1),))
    async with RawServer(answer) as server, AsyncOpeAI(KEY, base_url=server.base_url) as client:
        assert await client.chat.completions.create(**BODY)
