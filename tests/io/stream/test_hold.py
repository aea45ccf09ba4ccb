"""A stream that is held: what arrives waits in the operating system, and nothing else is different."""

import asyncio

import pytest

from opeai_async import AsyncOpeAI, Outcome
from opeai_async.testing import OpeAIServer
from tests.support.clients import KEY, stream_of
from tests.support.leaks import no_leaks
from tests.support.reading.chunks import BODY, DONE, FINISH, event, events
from tests.support.servers.raw_server import HEAD, RawServer, chunked
from tests.support.servers.tls import contexts

WORDS = "one two three four five six "


def text_of(batch):
    return "".join(choice.delta.content or "" for chunk in batch for choice in chunk.choices)


@pytest.fixture(autouse=True)
async def leaves_nothing():
    async with no_leaks():
        yield


@pytest.mark.parametrize("tls", [False, True])
async def test_what_arrives_in_a_hold_comes_with_the_next_read(tls, tmp_path):
    """All at once, and in order; without a hold it would have come to this process piece by piece."""
    accepts, trusts = contexts(tmp_path)
    second, told = asyncio.Event(), asyncio.Event()

    async def answer(call):
        await call.send(HEAD + chunked(events("a")))
        await second.wait()
        for part in (events("b"), events("c"), FINISH, DONE):
            await call.send(chunked(part))
            await asyncio.sleep(0.005)
        await call.send(b"0\r\n\r\n")
        told.set()

    async with (
        RawServer(answer, tls=accepts if tls else None) as server,
        AsyncOpeAI(KEY, base_url=server.base_url, ssl_context=trusts if tls else None) as client,
        client.chat.completions.stream(**BODY) as stream,
    ):
        batches = stream.batches()
        assert text_of(await anext(batches)) == "a"
        stream.hold()
        second.set()
        await told.wait()
        assert stream.timing.total_s is None
        assert text_of(await anext(batches)) == "bc"
        assert [batch async for batch in batches] == []
        assert stream.outcome is Outcome.COMPLETE


async def test_a_connection_that_was_held_serves_the_next_request():
    """A hold ends with its stream."""
    async with OpeAIServer(token_delay_s=0.002) as server, server.client() as client:
        for _ in range(3):
            server.reply(WORDS)
            async with client.chat.completions.stream(**BODY) as stream:
                text = ""
                async for batch in stream.batches():
                    text += text_of(batch)
                    stream.hold()
                    await asyncio.sleep(0.005)
            assert text == WORDS
        assert {request.connection for request in server.requests} == {1}


async def test_a_held_stream_that_is_left_closes_its_upstream():
    async with OpeAIServer() as server, server.client() as client:
        server.stall(WORDS, after=3)
        async with client.chat.completions.stream(**BODY) as stream:
            await anext(stream)
            stream.hold()
        assert (await server.wait_closed()).outcome == "client_gone"


async def test_a_held_stream_that_is_left_after_its_finish_keeps_its_connection():
    """The rest of the body, which would have stayed in the operating system, is read away."""
    async with OpeAIServer() as server, server.client() as client:
        for _ in range(2):
            server.reply("a")
            async with client.chat.completions.stream(**BODY) as stream:
                async for chunk in stream:
                    stream.hold()
                    if chunk.choices and chunk.choices[0].finish_reason:
                        break
            assert stream.outcome is Outcome.COMPLETE
            await asyncio.sleep(0.02)
        assert {request.connection for request in server.requests} == {1}


async def test_a_break_during_a_hold_is_told_after_it():
    """Nobody hears of it before, and what had arrived comes first."""
    async with OpeAIServer(token_delay_s=0.005) as server, server.client() as client:
        server.cut(WORDS, after=4)
        stream = client.chat.completions.stream(**BODY)
        await anext(stream)
        stream.hold()
        await server.wait_closed()
        with pytest.raises(Exception, match="interrupted") as caught:
            await stream.completion()
        assert caught.value.partial.choices[0].message.content == "one two three"


async def test_a_hold_while_somebody_reads_does_nothing():
    """Or nobody would wake the one who waits."""
    async with OpeAIServer(token_delay_s=0.005) as server, server.client() as client:
        server.reply(WORDS)
        stream = client.chat.completions.stream(**BODY)
        await stream.open()
        reading = asyncio.create_task(stream.completion())
        while not reading.done():
            await asyncio.sleep(0.001)
            stream.hold()
        assert (await reading).choices[0].message.content == WORDS


async def test_a_hold_before_the_start_or_after_the_end_does_nothing():
    stream, _ = stream_of(event("a") + FINISH + DONE)
    stream.hold()
    assert (await stream.completion()).choices[0].message.content == "a"
    stream.hold()
