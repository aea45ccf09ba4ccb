"""The end of a service: open answers may finish for a while, and those that go on get a last frame."""

import asyncio
import json
import os
import signal
import subprocess
import sys

import pytest
from aiohttp import ClientSession, web

from opeai_async import ClientClosedError, ConfigurationError, drain, drain_on_sigterm, sse
from opeai_async.testing import OpeAIServer
from tests.support.leaks import eventually, in_a_thread, no_leaks
from tests.support.reading.chunks import BODY


def relaying(client):
    """A relay to a list, and its task; the list gets a first frame before this returns."""
    sent = []

    async def send(message):
        sent.append(json.loads(message))

    stream = client.chat.completions.stream(**BODY)
    return sent, asyncio.create_task(stream.relay(send))


async def test_what_goes_on_ends_with_an_error():
    """A relay, an event stream, and a call that waits for its answer."""
    async with no_leaks(), OpeAIServer() as server, server.client() as client:
        server.stall("one two", after=3)
        server.stall("three four", after=3)
        server.stall("five six", after=3)
        sent, relay = relaying(client)
        events = sse(client.chat.completions.stream(**BODY))
        await anext(events)
        reading = asyncio.create_task(anext(events))
        waiting = asyncio.create_task(client.chat.completions.create(**BODY))
        await server.wait_received(3)
        await eventually(lambda: any(frame["type"] == "content" for frame in sent))
        await drain(client, wait=0)
        assert sent[-1]["type"] == "error"
        assert (await relay).reason == "error"
        text = (await reading).decode()
        while '"type":"error"' not in text:
            text += (await anext(events)).decode()
        with pytest.raises(StopAsyncIteration):
            await anext(events)
        with pytest.raises(ClientClosedError):
            await waiting
        with pytest.raises(ClientClosedError):
            await client.chat.completions.create(**BODY)


async def test_open_answers_may_end():
    async with no_leaks(), OpeAIServer() as server, server.client() as client:
        server.reply("word " * 10, token_delay_s=0.01)
        server.reply("later", delay_s=0.1)
        sent, relay = relaying(client)
        await server.wait_received(1)
        waiting = asyncio.create_task(client.chat.completions.create(**BODY))
        await server.wait_received(2)
        await drain(client, wait=30)
        assert (await relay).reason == "completed"
        assert sent[-1]["type"] == "done"
        assert (await waiting).choices[0].message.content == "later"


async def test_a_client_that_does_not_read_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("opeai_async._relay.draining.LAST_FRAMES_S", 0.05)
    async with no_leaks(), OpeAIServer() as server, server.client() as client:
        server.stall("one two", after=3)
        begun = asyncio.Event()

        async def send(message):
            begun.set()
            await asyncio.Event().wait()

        relay = asyncio.create_task(client.chat.completions.stream(**BODY).relay(send))
        await begun.wait()
        await drain(client, wait=0)
        assert not relay.done()
        relay.cancel()
        with pytest.raises(asyncio.CancelledError):
            await relay


async def test_a_client_with_a_transport_of_its_own():
    """What it has open is not known, so nothing is waited for."""

    class Transport:
        keeps_limits = True

        async def aclose(self):
            pass

    async with OpeAIServer() as server:
        client = server.client(transport=Transport())
        assert client.open_answers == 0
        await drain(client, wait=30)


async def test_a_wait_is_not_negative():
    with pytest.raises(ConfigurationError, match="wait is -1"):
        await drain(wait=-1)


# --- the signal ------------------------------------------------------------------------------------------------------


@pytest.fixture
def handled():
    """The signals that came to a handler such as a server has; it is there again afterwards."""
    got = []

    def handle(number, frame):
        got.append(number)

    before = signal.signal(signal.SIGTERM, handle)
    yield got
    assert signal.signal(signal.SIGTERM, before) is handle


async def test_the_server_gets_the_signal_last(handled):
    async with no_leaks(), OpeAIServer() as server, server.client() as client:
        server.stall("one two", after=3)
        async with drain_on_sigterm(client, wait=0.05):
            sent, relay = relaying(client)
            await eventually(lambda: any(frame["type"] == "content" for frame in sent))
            os.kill(os.getpid(), signal.SIGTERM)
            await eventually(lambda: handled)
            assert relay.done()
            assert sent[-1]["type"] == "error"
        assert handled == [signal.SIGTERM]


async def test_a_second_signal_is_passed_on_at_once(handled):
    async with no_leaks(), OpeAIServer() as server, server.client() as client:
        server.stall("one two", after=3)
        async with drain_on_sigterm(client, wait=1000):
            sent, relay = relaying(client)
            await eventually(lambda: sent)
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0.01)
            assert not handled
            os.kill(os.getpid(), signal.SIGTERM)
            await eventually(lambda: handled)
            assert not relay.done()
        relay.cancel()
        await asyncio.wait([relay])


async def test_a_handler_that_came_later_stays(handled):
    def later(number, frame):
        pass

    async with OpeAIServer() as server, server.client() as client:
        before = signal.getsignal(signal.SIGTERM)
        async with drain_on_sigterm(client):
            signal.signal(signal.SIGTERM, later)
        assert signal.signal(signal.SIGTERM, before) is later


def test_another_thread_has_no_signals():
    """It does nothing there, and fails not."""
    before = signal.getsignal(signal.SIGTERM)

    async def lifespan():
        async with drain_on_sigterm():
            assert signal.getsignal(signal.SIGTERM) is before

    in_a_thread(lambda: asyncio.run(lifespan()))


PROGRAM = """
import asyncio, os, signal
from opeai_async import drain_on_sigterm

async def main():
    async with drain_on_sigterm(wait=0):
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def test_a_program_without_a_handler_ends_by_the_signal():
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == -signal.SIGTERM


async def test_the_shutdown_of_an_aiohttp_application():
    """``on_shutdown`` runs while handlers go on: the websocket gets its last frame there."""
    async with no_leaks(), OpeAIServer() as server, server.client() as client:
        server.stall("one two", after=3)

        async def chat(request):
            ws = web.WebSocketResponse()
            await ws.prepare(request)
            await client.chat.completions.stream(**BODY).relay(ws.send_str, ws.receive)
            await ws.close()
            return ws

        async def on_shutdown(app):
            await drain(client, wait=0)

        app = web.Application()
        app.on_shutdown.append(on_shutdown)
        app.router.add_get("/", chat)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with ClientSession() as session, session.ws_connect(f"http://127.0.0.1:{runner.addresses[0][1]}") as ws:
            frames = [await ws.receive_json() for _ in range(2)]
            cleaning = asyncio.create_task(runner.cleanup())
            frames += [message.json() async for message in ws]
            assert [frame["type"] for frame in frames] == ["start", "content", "error"]
            await cleaning
