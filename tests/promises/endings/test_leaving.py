"""Streams that are left in the middle, seen from the server: closed at once, whichever way they were left.

Each case runs without the cyclic collector, over a client with one slot, which must be free again.
"""

import asyncio
import contextlib

import anyio
import pytest

from opeai_async import AsyncOpeAI, ClientClosedError, Outcome, StreamInterruptedError
from tests.support.clients import KEY, drain, open_responses, texts
from tests.support.leaks import eventually, no_collector, no_leaks
from tests.support.reading.chunks import BODY, COMPLETION, events
from tests.support.servers.raw_server import HEAD, RawServer, chunked, plain
from tests.support.servers.tls import contexts

AT_ONCE_S = 2.0


async def answer(call):
    """Two chunks of a stream and then silence; or a completion."""
    if b'"stream":true' in call.body:
        await call.send(HEAD + chunked(events("a", "b")))
        await call.gone()
    else:
        await call.send(plain(COMPLETION, kind=b"application/json"))


# --- ways to leave ---------------------------------------------------------------------------------------------------


async def by_break(client):
    async with client.chat.completions.stream(**BODY) as stream:
        async for _ in stream:
            break
    assert stream.outcome is Outcome.CANCELLED


async def by_return_from_a_view(client):
    async def first():
        async with client.chat.completions.stream(**BODY) as stream:
            async for text in stream.text():
                return text
        return None

    assert await first() == "a"


async def by_break_out_of_batches(client):
    async with await client.chat.completions.create(**BODY, stream=True) as stream:
        async for batch in stream.batches():
            assert texts(batch) == ["a", "b"]
            break


async def by_an_exception(client):
    async def fail():
        async with client.chat.completions.stream(**BODY) as stream:
            async for _ in stream:
                raise LookupError

    with pytest.raises(LookupError):
        await fail()


async def by_cancelling_the_task(client):
    reading = Reading(client)
    task = asyncio.create_task(reading.run())
    await reading.waits.wait()
    task.cancel("why")
    with pytest.raises(asyncio.CancelledError, match="why"):
        await task


async def by_cancelling_a_completion(client):
    stream = client.chat.completions.stream(**BODY)
    await anext(stream)
    reading = asyncio.create_task(stream.completion())
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])
    await stream.aclose()


async def by_cancel(client):
    stream = client.chat.completions.stream(**BODY)
    reading = await reader_of(stream)
    stream.cancel()
    assert await reading == ["a", "b"]
    assert stream.outcome is Outcome.CANCELLED
    assert (await stream.completion()).choices[0].message.content == "ab"


async def by_aclose_elsewhere(client):
    stream = client.chat.completions.stream(**BODY)
    reading = await reader_of(stream)
    await stream.aclose()
    with pytest.raises(ClientClosedError, match="after 2 chunks"):
        await reading


async def by_a_task_group(client):
    reading = Reading(client)

    async def fail():
        await reading.waits.wait()
        raise LookupError

    async def together():
        async with asyncio.TaskGroup() as group:
            group.create_task(reading.run())
            group.create_task(fail())

    with pytest.raises(ExceptionGroup) as caught:
        await together()
    assert [type(error) for error in caught.value.exceptions] == [LookupError]


async def by_a_task_group_of_anyio(client):
    reading = Reading(client)
    async with anyio.create_task_group() as group:
        group.start_soon(reading.run)
        await reading.waits.wait()
        group.cancel_scope.cancel()


async def by_a_timeout(client):
    async def time_out():
        async with asyncio.timeout(None) as clock, client.chat.completions.stream(**BODY) as stream:
            async for chunk in stream:
                if texts([chunk]) == ["b"]:
                    clock.reschedule(asyncio.get_running_loop().time())

    with pytest.raises(TimeoutError) as caught:
        await time_out()
    assert type(caught.value) is TimeoutError


async def by_a_cancel_scope(client):
    with anyio.CancelScope() as scope:
        async with client.chat.completions.stream(**BODY) as stream:
            async for chunk in stream:
                if texts([chunk]) == ["b"]:
                    scope.deadline = anyio.current_time()
    assert scope.cancelled_caught


async def by_closing_a_generator_around_it(client):
    async def tokens():
        async with client.chat.completions.stream(**BODY) as stream:
            async for text in stream.text():
                yield text

    async with contextlib.aclosing(tokens()) as generator:
        assert await anext(generator) == "a"


async def by_dropping_it(client):
    stream = client.chat.completions.stream(**BODY)
    await anext(stream)
    with pytest.warns(ResourceWarning, match="unclosed <ChatCompletionStream open"):
        del stream


async def by_dropping_a_view(client):
    view = client.chat.completions.stream(**BODY).text()
    assert await anext(view) == "a"
    with pytest.warns(ResourceWarning, match="unclosed <ChatCompletionStream open"):
        del view


async def by_dropping_batches(client):
    view = client.chat.completions.stream(**BODY).batches()
    assert texts(await anext(view)) == ["a", "b"]
    with pytest.warns(ResourceWarning, match="unclosed <ChatCompletionStream open"):
        del view


async def by_dropping_a_generator_around_it(client):
    async def tokens():
        async with client.chat.completions.stream(**BODY) as stream:
            async for text in stream.text():
                yield text

    generator = tokens()
    assert await anext(generator) == "a"
    del generator  # the loop closes it, in a task of its own
    await asyncio.sleep(0)
    await asyncio.sleep(0)


class Reading:
    """A task that reads a stream; ``waits`` once it has read two chunks and waits for more."""

    def __init__(self, client):
        self._client = client
        self.waits = asyncio.Event()

    async def run(self):
        async with self._client.chat.completions.stream(**BODY) as stream:
            async for chunk in stream:
                if texts([chunk]) == ["b"]:
                    asyncio.get_running_loop().call_soon(self.waits.set)


async def reader_of(stream):
    """A task that has read two chunks and waits for more."""
    await stream.open()
    reading = asyncio.create_task(drain(stream))
    await eventually(lambda: stream.snapshot.choices and stream.snapshot.choices[0].message.content == "ab")
    return reading


WAYS = [way for name, way in list(globals().items()) if name.startswith("by_")]


# --- what comes of it ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("leave", WAYS, ids=lambda leave: leave.__name__)
async def test_a_stream_that_is_left(leave, tls, tmp_path):
    """The server sees the end of the connection at once; nothing is left, and the slot is free."""
    accepts, trust = contexts(tmp_path) if tls else (None, None)
    async with no_leaks(), RawServer(answer, tls=accepts) as server, no_collector():
        async with AsyncOpeAI(KEY, base_url=server.base_url, ssl_context=trust, max_connections=1) as client:
            await leave(client)
            assert open_responses(client) == 0
            async with asyncio.timeout(AT_ONCE_S):
                assert await server.calls[0].gone()
                completion = await client.chat.completions.create(**BODY)
            assert completion.choices[0].message.content == "abc"
            assert server.connections == 2


async def test_fifty_streams_that_are_left_together():
    """Each in its own way; the server sees all of them go."""
    async with no_leaks(), RawServer(answer) as server, no_collector():
        async with AsyncOpeAI(KEY, base_url=server.base_url) as client:
            ways = [way for way in WAYS if "dropping" not in way.__name__]  # warnings are the whole process's
            await asyncio.gather(*(ways[k % len(ways)](client) for k in range(50)))
            async with asyncio.timeout(AT_ONCE_S):
                for call in server.calls:
                    assert await call.gone()
            assert len(server.calls) == server.connections == 50


# --- closing the client ----------------------------------------------------------------------------------------------


async def test_closing_the_client_under_fifty_streams():
    """Every reader wakes with what it had, whether it waits, is busy or has not begun."""
    async with no_leaks(), RawServer(answer) as server, no_collector():
        client = AsyncOpeAI(KEY, base_url=server.base_url)
        waiting = [client.chat.completions.stream(**BODY) for _ in range(25)]
        busy = [client.chat.completions.stream(**BODY) for _ in range(25)]
        readings = [await reader_of(stream) for stream in waiting]
        for stream in busy:
            await anext(stream)
        await client.aclose()
        results = await asyncio.gather(*readings, *map(drain, busy), return_exceptions=True)
        for result, stream in zip(results, waiting + busy, strict=True):
            assert isinstance(result, StreamInterruptedError)
            assert "the client was closed" in str(result)
            assert result.partial.choices[0].message.content == "ab"
            assert stream.outcome is Outcome.FAILED
        async with asyncio.timeout(AT_ONCE_S):
            for call in server.calls:
                assert await call.gone()


async def silence(call):
    await call.gone()


async def come_back_later(call):
    busy = b"503 Service Unavailable"
    await call.send(plain(b"{}", status=busy, kind=b"application/json", more=b"Retry-After: 50\r\n"))


STAGES = {"head": (silence, 1), "slot": (silence, 2), "pause": (come_back_later, 1)}


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("stage", STAGES)
async def test_closing_the_client_before_the_answer(stage, streams):
    """While a call waits for the head, for a slot, or between two attempts: it ends at once, and says why."""
    respond, count = STAGES[stage]
    async with no_leaks(), RawServer(respond) as server:
        client = AsyncOpeAI(KEY, base_url=server.base_url, max_connections=1)
        create = client.chat.completions.create
        calls = [asyncio.create_task(create(**BODY, stream=streams)) for _ in range(count)]
        await eventually(lambda: server.calls)
        await asyncio.sleep(0.02)
        await client.aclose()
        async with asyncio.timeout(AT_ONCE_S):
            results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result) for result in results] == [ClientClosedError] * count
        assert len(server.calls) == 1
