"""Event loops, threads and processes: a stream belongs to the loop that opened it, a client to one loop at a time."""

import asyncio
import gc
import time
import warnings

import msgspec
import pytest

from opeai_async import AsyncOpeAI, ClientClosedError, ConfigurationError, Outcome, StreamInterruptedError
from opeai_async.testing import OpeAIServer
from tests.support.clients import drain
from tests.support.leaks import in_a_thread, no_leaks, open_descriptors
from tests.support.reading.chunks import BODY


def test_one_client_over_several_runs():
    """Each ``asyncio.run`` gets fresh connections, and leaves none behind, closed or not."""
    client = AsyncOpeAI("sk-test", base_url="http://127.0.0.1:1/v1")
    before = open_descriptors()

    async def use(leave_open):
        async with OpeAIServer() as server:
            server.stall("one two", after=2)
            client.chat.completions._defaults = msgspec.structs.replace(
                client.chat.completions._defaults, url=f"{server.base_url}/chat/completions"
            )
            stream = client.chat.completions.stream(**BODY)
            await anext(stream)
            if not leave_open:
                await stream.aclose()
            assert await client.chat.completions.create(**BODY)
            left.append(stream)

    left = []
    for leave_open in (False, True, False):
        asyncio.run(use(leave_open))
    assert open_descriptors() == before
    asyncio.run(client.aclose())
    with pytest.warns(ResourceWarning, match="unclosed <ChatCompletionStream"):
        left.clear()


def test_the_next_loop_keeps_the_pause_of_a_rate_limit():
    """The loop ends with two calls in line; a call in the next loop waits for the rest, and is answered."""
    with OpeAIServer() as server:
        server.fail(429, headers={"retry-after": "1"})
        client = server.client()

        async def begin():
            calls = [asyncio.create_task(client.chat.completions.create(**BODY))]
            await server.wait_received(1)
            await asyncio.sleep(0.1)
            calls.append(asyncio.create_task(client.chat.completions.create(**BODY)))
            await asyncio.sleep(0.05)
            assert not any(call.done() for call in calls)

        asyncio.run(begin())
        completion = asyncio.run(client.chat.completions.create(**BODY))
        asyncio.run(client.aclose())
        assert len(server.requests) == 2
    [attempt] = completion.meta.attempts
    assert attempt.delay_s > 0.3


# --- another loop, while the stream's own goes on --------------------------------------------------------------------

READS = {
    "anext": lambda stream: stream.__anext__(),
    "text": lambda stream: stream.text().__anext__(),
    "batches": lambda stream: stream.batches().__anext__(),
    "completion": lambda stream: stream.completion(),
    "open": lambda stream: stream.open(),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("is_being_read", [False, True])
async def test_a_stream_read_by_another_loop(read, is_being_read):
    """A clear error there; the stream's own reader notices nothing."""
    async with no_leaks(), OpeAIServer(token_delay_s=0.05) as server, server.client() as client:
        server.reply("one two three four")
        stream = client.chat.completions.stream(**BODY)
        await anext(stream)
        reading = asyncio.create_task(drain(stream))
        if is_being_read:
            await asyncio.sleep(0)

        def elsewhere():
            with pytest.raises(ConfigurationError, match="in use by another event loop"):
                asyncio.run(read(stream))

        in_a_thread(elsewhere)
        assert "".join(await reading) == "one two three four"
        assert stream.outcome is Outcome.COMPLETE


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("by", ["cancel", "cancel in a loop", "aclose"])
async def test_a_stream_ended_from_another_thread(by, debug):
    """Its own loop does it: the reader wakes at once, even if nothing else happens there."""
    asyncio.get_running_loop().set_debug(debug)
    async with no_leaks(), OpeAIServer() as server, server.client() as client:
        server.stall("one two", after=3)
        stream = client.chat.completions.stream(**BODY)
        await anext(stream)
        reading = asyncio.create_task(drain(stream))

        async def cancel():
            stream.cancel()

        def elsewhere():
            time.sleep(0.05)  # until the loop sleeps
            if by == "cancel":
                stream.cancel()
            else:
                asyncio.run(cancel() if by == "cancel in a loop" else stream.aclose())

        ending = asyncio.get_running_loop().run_in_executor(None, elsewhere)
        async with asyncio.timeout(5):
            if by == "aclose":
                with pytest.raises(ClientClosedError, match="before its end"):
                    await reading
            else:
                assert "".join(await reading) == "one two"
        await ending
        assert stream.outcome is Outcome.CANCELLED
        assert (await server.wait_closed()).outcome == "client_gone"


# --- after the stream's own loop -------------------------------------------------------------------------------------


@pytest.fixture
def orphan():
    """A stream with one chunk of two handed out, whose loop is closed."""
    with OpeAIServer() as server:
        server.stall("one two", after=3)

        async def begin():
            stream = server.client().chat.completions.stream(**BODY)
            await anext(stream)
            return stream

        yield asyncio.run(begin())


@pytest.mark.parametrize("end", [lambda stream: stream.cancel(), lambda stream: asyncio.run(stream.aclose())])
def test_an_orphan_can_be_ended(end, orphan):
    """From anywhere; it is closed already."""
    end(orphan)
    assert orphan.outcome is Outcome.CANCELLED


def test_an_orphan_that_is_read(orphan):
    """What had arrived may come, then the error has it all."""

    async def read():
        return [chunk async for chunk in orphan]

    with pytest.raises(StreamInterruptedError) as caught:
        asyncio.run(read())
    assert caught.value.partial.choices
    assert "loop is closed" not in str(caught.value)


def test_a_stream_that_never_began_is_ended_without_a_loop():
    """``stream`` and ``cancel`` need none."""
    stream = AsyncOpeAI("sk-test").chat.completions.stream(**BODY)
    stream.cancel()
    assert stream.outcome is Outcome.CANCELLED


def test_a_client_that_is_dropped_after_its_loop():
    """The loop was closed without its generators, as ``asyncio.run`` would not do: one warning, nothing is left."""
    with OpeAIServer() as server:
        server.reply("hello")
        client = server.client()
        loop = asyncio.SelectorEventLoop()  # uvloop closes its descriptors by itself
        loop.run_until_complete(client.chat.completions.create(**BODY))
        loop.close()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del client
            gc.collect()
        assert [str(warning.message).split()[:2] for warning in caught] == [["unclosed", "<AsyncOpeAI"]]
        deadline = time.monotonic() + 5
        while server.connections_open and time.monotonic() < deadline:
            time.sleep(0.01)
        assert server.connections_open == 0
