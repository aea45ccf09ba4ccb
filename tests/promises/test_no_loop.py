"""Without an event loop of asyncio: under trio, and with none at all, what is used says so in our own words."""

import asyncio
import subprocess
import sys

import msgspec
import pytest
import trio

from opeai_async import AsyncOpeAI, ConfigurationError, StreamSession, sse
from opeai_async.testing import Endpoint, OpeAIServer
from tests.support.clients import KEY, scripted
from tests.support.reading.chunks import ANSWER, BODY


class Place(msgspec.Struct):
    name: str


async def create(client):
    await client.chat.completions.create(**BODY)


async def create_a_stream(client):
    await client.chat.completions.create(**BODY, stream=True)


async def parse(client):
    await client.chat.completions.parse(**BODY, response_format=Place)


async def read(client):
    await anext(client.chat.completions.stream(**BODY))


async def open_in_a_block(client):
    async with client.chat.completions.stream(**BODY):
        pass


async def text(client):
    await anext(client.chat.completions.stream(**BODY).text())


async def batches(client):
    await anext(client.chat.completions.stream(**BODY).batches())


async def completion(client):
    await client.chat.completions.stream(**BODY).completion()


async def run(client):
    await client.chat.completions.run(tools=[], **BODY).result()


async def iterate_a_run(client):
    await anext(client.chat.completions.run(tools=[], **BODY))


async def events(client):
    await anext(sse(client.chat.completions.stream(**BODY)))


async def relay_a_stream(client):
    await client.chat.completions.stream(**BODY).relay(send=nowhere)


async def relay_a_run(client):
    await client.chat.completions.run(tools=[], **BODY).relay(send=nowhere)


async def session(client):
    StreamSession.start(client.chat.completions.stream(**BODY))


async def nowhere(message):
    pytest.fail("nothing is sent")


USES = (
    create,
    create_a_stream,
    parse,
    read,
    open_in_a_block,
    text,
    batches,
    completion,
    run,
    iterate_a_run,
    events,
    relay_a_stream,
    relay_a_run,
    session,
)


@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
def test_under_trio(use):
    """Whatever is used first, nothing is sent, and the error names what runs and what should."""
    client, transport, _ = scripted()
    transport.respond(ANSWER)
    with pytest.raises(ConfigurationError, match="asyncio, and trio is running here") as caught:
        trio.run(use, client)
    assert "asyncio.run()" in caught.value.hint
    assert transport.requests == []


@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
def test_without_any_loop(use):
    """A coroutine that is driven by hand, as by a library of another kind."""
    client, transport, _ = scripted()
    work = use(client)
    with pytest.raises(ConfigurationError, match="asyncio, and none is running here"):
        work.send(None)
    assert transport.requests == []


def test_the_block_of_a_client_under_trio():
    """The error of the call gets out of it: closing a client that sent nothing needs no loop."""

    async def use():
        async with AsyncOpeAI(KEY, base_url="http://127.0.0.1:1/v1") as client:
            await client.chat.completions.create(**BODY)

    with pytest.raises(ConfigurationError, match="trio is running here"):
        trio.run(use)


def test_a_client_of_asyncio_closed_under_trio():
    """Its connections belong to a loop that may still run; the error says so, and asyncio can close it."""
    with OpeAIServer() as server:
        client = server.client()
        asyncio.run(create(client))
        with pytest.raises(ConfigurationError, match="trio is running here"):
            trio.run(client.aclose)
        asyncio.run(client.aclose())


def test_a_stream_of_asyncio_read_under_trio():
    """The stream was begun elsewhere; its reader gets the error of this place."""
    with OpeAIServer() as server:
        server.reply("one two")

        async def begin():
            stream = server.client().chat.completions.stream(**BODY)
            await anext(stream)
            return stream

        stream = asyncio.run(begin())
        with pytest.raises(ConfigurationError, match="trio is running here"):
            trio.run(stream.completion)
        stream.cancel()


@pytest.mark.parametrize("make", [OpeAIServer, lambda: Endpoint("tls_fin")], ids=["OpeAIServer", "Endpoint"])
def test_the_testing_server_under_trio(make):
    """``with OpeAIServer()`` brings a loop of its own; ``async with`` needs one."""

    async def use():
        async with make():
            pass

    with pytest.raises(ConfigurationError, match="trio is running here"):
        trio.run(use)


def test_trio_is_not_imported():
    """The package knows it only where a program has imported it."""
    code = (
        "import asyncio, sys, opeai_async\n"
        "client = opeai_async.AsyncOpeAI('sk-test')\n"
        "try: client.chat.completions.create(model='m', messages=[{'role': 'user', 'content': 'Hi'}]).send(None)\n"
        "except opeai_async.ConfigurationError: sys.exit('trio' in sys.modules)\n"
        "sys.exit(2)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
