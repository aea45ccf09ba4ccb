"""What must never get out: connections, timers, and the key."""

import asyncio
import logging
import pickle
import traceback

import pytest

from opeai_async import AsyncOpeAI, OpeAIError, Timeouts
from opeai_async._core.redact import HiddenStr
from opeai_async.testing import OpeAIServer
from tests.support.chunks import BODY
from tests.support.clients import KEY
from tests.support.leaks import no_collector, no_leaks
from tests.support.raw_server import RawServer

# --- the key ---------------------------------------------------------------------------------------------------------


def drop(server):
    server.drop()


def reset(server):
    server.drop(how="rst")


def refuse(server):
    server.fail(401, message=f"Incorrect API key provided: {KEY}")


def cut(server):
    server.cut("one two", after=2)


def echo(server):
    server.raw(f'data: {{"error": {{"message": "bad key {KEY}"}}}}\n\n'.encode())


def echo_nonsense(server):
    server.raw(f"data: {{{KEY}\n\n".encode())


def echo_page(server):
    server.raw(f"<html>Bearer {KEY}</html>".encode())


def redirect(server):
    server.raw(b"", status=307, headers={"location": f"https://else.example/{KEY}"})


def stall(server):
    server.stall("one", after=1)


FAULTS = [drop, reset, refuse, cut, echo, echo_nonsense, echo_page, redirect, stall]


def everything_of(error):
    """All that a person or a tool can see of *error*: text, attributes, causes, frames with their locals."""
    seen, shown, queue = set(), [], [error]
    while queue:
        exc = queue.pop()
        if exc is None or id(exc) in seen:
            continue
        seen.add(id(exc))
        shown += [str(exc), repr(exc), repr(vars(exc)), str(getattr(exc, "__notes__", ""))]
        shown += traceback.TracebackException.from_exception(exc, capture_locals=True).format()
        queue += [exc.__cause__, exc.__context__]
    return "\n".join(shown)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_no_error_shows_the_key(fault, stream, caplog):
    """Neither its text, its attributes, its causes, its pickle, its traceback with locals, nor a log line."""
    caplog.set_level(logging.DEBUG)
    async with OpeAIServer(api_key=KEY) as server, server.client(max_retries=0) as client:
        fault(server)
        params = {**BODY, "timeouts": Timeouts(idle_bytes_s=0.1)}
        completions = client.chat.completions
        call = completions.stream(**params).completion() if stream else completions.create(**params)
        with pytest.raises(OpeAIError) as caught:
            await call
        assert KEY not in everything_of(caught.value)
        assert KEY.encode() not in pickle.dumps(caught.value)
        assert KEY not in repr(client) + repr(vars(client))
    assert KEY not in caplog.text


@pytest.mark.parametrize("response", [b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"])
async def test_malformed_http_does_not_show_the_key(response):
    """aiohttp's own error would print the Authorization header (trap 9)."""

    async def answer(call):
        await call.send(response)

    async with RawServer(answer) as server, AsyncOpeAI(KEY, base_url=server.base_url) as client:
        with pytest.raises(OpeAIError) as caught:
            await client.chat.completions.create(**BODY)
        assert KEY.encode() in server.calls[0].head
        assert KEY not in everything_of(caught.value)


def test_the_hidden_header_stays_hidden_in_containers():
    """A dict, an f-string with !r and a list show a mask; what is sent is the text."""
    header = HiddenStr(f"Bearer {KEY}")
    assert KEY not in f"{header!r} { {'Authorization': header} } {[header]}"
    assert header.encode() == f"Bearer {KEY}".encode()


# --- connections, tasks, timers --------------------------------------------------------------------------------------

ENDINGS = {
    "reply": lambda server: server.reply("one two three"),
    "json": lambda server: server.raw(b'{"object": "chat.completion", "choices": []}'),
    "failure": lambda server: server.fail(500),
    "drop": drop,
    "cut": cut,
    "clean cut": lambda server: server.cut("one two", after=2, how="clean"),
    "stall": stall,
    "html": echo_page,
    "nonsense": echo_nonsense,
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("stream", [False, True])
async def test_nothing_is_left_after_any_end(ending, stream):
    """However an answer ends, its slot is free at once, and without the cyclic collector nothing else is left."""
    async with no_leaks(), OpeAIServer() as server, no_collector():
        async with server.client(max_retries=0, max_connections=1, timeouts=Timeouts(idle_bytes_s=0.05)) as client:
            for _ in range(3):
                ENDINGS[ending](server)
                try:
                    if stream:
                        await client.chat.completions.stream(**BODY).completion()
                    else:
                        await client.chat.completions.create(**BODY)
                except OpeAIError:
                    pass
            assert (await client.chat.completions.create(**BODY)).choices
            assert client._wiring.transport._made.open_responses == 0
            assert client._wiring.transport._made._sweep is None


async def test_three_hundred_streams_leave_nothing():
    """Fifty at a time, some read to the end, some left, some cancelled."""
    async with no_leaks(), OpeAIServer() as server, server.client(max_connections=50) as client:

        async def use(k):
            async with client.chat.completions.stream(**BODY) as stream:
                if k % 3 == 0:
                    await stream.completion()
                elif k % 3 == 1:
                    await anext(stream)
                else:
                    asyncio.get_running_loop().call_soon(stream.cancel)
                    async for _ in stream:
                        pass

        await asyncio.gather(*(use(k) for k in range(300)))
        assert (await client.chat.completions.create(**BODY)).choices
