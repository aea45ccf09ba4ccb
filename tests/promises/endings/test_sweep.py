"""Cancelled at every await there is, over real sockets: nothing is left, and the client goes on.

Each case is run with a client of its own, cancelled once, asked again, and closed; then every task, timer and
descriptor must be gone, those of the server included, which lives in the same loop.
"""

import asyncio
from contextlib import asynccontextmanager

import pytest

from opeai_async import AsyncOpeAI, Outcome, StreamInterruptedError
from tests.support.clients import KEY, rewire, texts, transport_of
from tests.support.leaks import eventually, no_leaks
from tests.support.reading.chunks import BODY, COMPLETION, DONE, FINISH, events
from tests.support.secrets import everything_of
from tests.support.servers.raw_server import HEAD, RawServer, chunked, plain
from tests.support.servers.tls import contexts
from tests.support.sweeps import MOMENTS, CancelAt, cancelled_at, sweep

JSON = b"application/json"
BUSY = b'{"error": {"message": "busy"}}'
IN_BAND = b'data: {"error": {"message": "busy", "code": 503}}\n\n'


async def pieces(call, *parts):
    """Send *parts* so that each is a read of its own."""
    for part in parts:
        await call.send(part)
        await asyncio.sleep(0.001)


async def answer(call):
    """A completion or a stream, in pieces."""
    if b'"stream":true' in call.body:
        await pieces(call, HEAD, chunked(events("a", "b")), chunked(events("c")), chunked(FINISH + DONE), b"0\r\n\r\n")
    else:
        whole = plain(COMPLETION, kind=JSON)
        await pieces(call, whole[:-30], whole[-30:])


async def answer_the_third_time(call):
    """First a 503 in pieces, then an error in the body of a 200, then the answer."""
    attempt = call.head.lower().partition(b"x-opeai-attempt: ")[2][:1]
    streams = b'"stream":true' in call.body
    if attempt == b"1":
        whole = plain(BUSY, status=b"503 Busy", kind=JSON)
        await pieces(call, whole[:-9], whole[-9:])
    elif attempt == b"2":
        await pieces(call, plain(IN_BAND) if streams else plain(BUSY, kind=JSON))
    else:
        await answer(call)


async def create(completions):
    assert (await completions.create(**BODY)).choices[0].message.content == "abc"


async def opened(completions):
    async with await completions.create(**BODY, stream=True):
        pass


async def iterate(completions):
    async with completions.stream(**BODY) as stream:
        assert texts([chunk async for chunk in stream]) == ["a", "b", "c"]


async def completion(completions):
    async with completions.stream(**BODY) as stream:
        assert (await stream.completion()).choices[0].message.content == "abc"


async def text(completions):
    async with completions.stream(**BODY) as stream:
        assert [piece async for piece in stream.text()] == ["a", "b", "c"]


async def batches(completions):
    async with completions.stream(**BODY) as stream:
        assert texts([chunk async for batch in stream.batches() for chunk in batch]) == ["a", "b", "c"]


async def next_or_none(stream):
    return await anext(stream, None)


CALLS = (create, opened, iterate, completion, text, batches)


@asynccontextmanager
async def surroundings(kind, tmp_path):
    """A server, and what makes a client of it."""
    tls, trust = contexts(tmp_path) if kind == "tls" else (None, None)
    async with RawServer(answer_the_third_time if kind == "retry" else answer, tls=tls) as server:

        def make():
            client = AsyncOpeAI(
                KEY, base_url=server.base_url, ssl_context=trust, max_connections=1 if kind == "one slot" else None
            )
            rewire(client, jitter=lambda: 0.0)
            return client

        yield make


def is_idle(client):
    """No response is open, and no send and no drain under way."""
    transport = transport_of(client)
    return transport is None or not (transport._open or transport._sends or transport._drains)


@pytest.mark.time_limit(120)
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("kind", ["plain", "warm", "one slot", "retry", "tls"])
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
async def test_a_call_cancelled_at_every_await(call, kind, moment, tmp_path):
    """Its connection is closed, its slot is free, the key is in no frame, and the next request is answered."""
    async with surroundings(kind, tmp_path) as make:

        async def run(k):
            async with no_leaks(), make() as client:
                if kind == "warm":
                    await create(client.chat.completions)
                cancelled = await cancelled_at(k, call(client.chat.completions), moment)
                await eventually(lambda: is_idle(client), lambda: f"not idle after await {k}")
                await create(client.chat.completions)
                assert cancelled is None or KEY not in everything_of(cancelled), f"the key shows after await {k}"
            return cancelled is not None

        assert await sweep(run) >= (6 if kind == "retry" else 1)


@pytest.mark.time_limit(120)
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("kind", ["plain", "warm", "one slot", "retry", "tls"])
async def test_a_read_cancelled_at_every_await_and_tried_again(kind, moment, tmp_path):
    """The next read goes on where it was: while opening, between attempts, in the body; every chunk comes once."""
    async with surroundings(kind, tmp_path) as make:

        async def run(k):
            async with no_leaks(), make() as client:
                if kind == "warm":
                    await create(client.chat.completions)
                stream, seen, left, was_cancelled = client.chat.completions.stream(**BODY), [], k, False
                while stream.outcome is Outcome.OPEN:
                    read = CancelAt(next_or_none(stream), left, moment)
                    task = asyncio.ensure_future(read)
                    await asyncio.wait([task])
                    was_cancelled = was_cancelled or task.cancelled()
                    left -= read.awaits
                    if not task.cancelled() and task.result() is not None:
                        seen.append(task.result())
                assert texts(seen) == ["a", "b", "c"]
                assert stream.outcome is Outcome.COMPLETE
            return was_cancelled

        assert await sweep(run) >= (3 if kind == "retry" else 2)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("kind", ["plain", "tls"])
async def test_closing_a_client_cancelled_at_every_await(kind, moment, tmp_path):
    """It is closed nevertheless: every reader wakes with an error of its own, and nothing is left."""
    async with surroundings(kind, tmp_path) as make:

        async def run(k):
            async with no_leaks():
                client = make()
                await create(client.chat.completions)
                stream = client.chat.completions.stream(**BODY)
                await anext(stream)
                reading = asyncio.create_task(stream.completion())
                await asyncio.sleep(0)
                cancelled = await cancelled_at(k, client.aclose(), moment)
                with pytest.raises(StreamInterruptedError, match="the client was closed"):
                    await reading
                assert stream.outcome is Outcome.FAILED
                await client.aclose()
            return cancelled is not None

        await sweep(run)
