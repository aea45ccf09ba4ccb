"""Addresses to which no request can be sent, seen by clients that are not careful."""

import asyncio
import contextlib
import ssl

import pytest

from opeai_async.testing import Endpoint
from tests.support.leaks import eventually, no_leaks


@pytest.fixture(autouse=True)
async def nothing_left():
    """No task, socket or timer outlives an endpoint."""
    async with no_leaks():
        yield


def port_of(endpoint: Endpoint) -> int:
    return int(endpoint.base_url.rpartition(":")[2].removesuffix("/v1"))


async def test_nothing_is_there_before_the_start() -> None:
    """An endpoint that was not entered counts nothing."""
    endpoint = Endpoint("tls_stall")
    assert (endpoint.connections_total, endpoint.connections_open, endpoint.received) == (0, 0, b"")
    assert endpoint.ssl_context() is None


async def test_what_a_careless_client_sends_is_on_record() -> None:
    """One that verifies nothing gives its key away."""
    careless = ssl.create_default_context()
    careless.check_hostname, careless.verify_mode = False, ssl.CERT_NONE
    async with Endpoint("certificate_expired") as endpoint:
        _, writer = await asyncio.open_connection("localhost", port_of(endpoint), ssl=careless)
        writer.write(b"Authorization: Bearer sk-given-away")
        await eventually(lambda: endpoint.received == b"Authorization: Bearer sk-given-away")
        assert (endpoint.connections_total, endpoint.connections_open) == (1, 1)
        writer.transport.abort()
        await eventually(lambda: endpoint.connections_open == 0)


@pytest.mark.parametrize("fault", ["tls_stall", "certificate_untrusted"])
async def test_leaving_closes_what_still_waits(fault: str) -> None:
    """A client inside its handshake sees the end of the connection."""
    async with Endpoint(fault) as endpoint:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(endpoint))
        writer.write(b"\x16\x03\x01")  # the beginning of a handshake
        await eventually(lambda: endpoint.connections_open == 1)
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.close()


async def test_a_refused_port_stays_taken() -> None:
    """Nobody else gets it meanwhile, so that the refusal lasts."""
    async with Endpoint("refused") as endpoint:
        with pytest.raises(OSError, match="in use"):
            await asyncio.start_server(lambda *_: None, "127.0.0.1", port_of(endpoint), reuse_address=False)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port_of(endpoint))
