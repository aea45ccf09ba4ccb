"""A relay from a real server, proven from the server's side."""

from __future__ import annotations

import asyncio
import tracemalloc

import pytest

from opeai_async import AsyncOpeAI, RelayResult, Timeouts
from opeai_async._core.frames.algebra import MAX_FRAME_CHARS
from opeai_async.testing import OpeAIServer, RecordedRequest
from opeai_async.types.frames import ContentFrame, ReasoningFrame, StartFrame
from tests.support.leaks import eventually
from tests.support.reading.chunks import BODY, DONE, FINISH, events
from tests.support.reading.reassembled import assert_well_formed
from tests.support.reading.relayed import Page


def relayed(client: AsyncOpeAI, page: Page, **options: object) -> asyncio.Task[RelayResult]:
    """A relay under way."""
    stream = client.chat.completions.stream(**BODY)
    return asyncio.ensure_future(stream.relay(page.send, page.receive, **options))


def text(page: Page) -> str:
    return "".join(frame.text for frame in page.frames if isinstance(frame, ContentFrame))


async def closed(server: OpeAIServer) -> RecordedRequest:
    return await server.wait_closed(timeout_s=10)


async def test_a_whole_answer(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """In fewer frames than chunks, and the connection is kept for the next one."""
    words = "".join(f"word{n} " for n in range(200))
    page = Page()
    for _ in range(2):
        server.reply(words, reasoning="Let me see. ", token_delay_s=0.001)
        page.messages.clear()
        result = await relayed(client, page)
        assert_well_formed(page.frames)
        assert (text(page), result.reason) == (words, "completed")
        assert result.completion.choices[0].message.content == words
        assert result.chunks > 200 > result.frames
    assert [request.outcome for request in server.requests] == ["completed", "completed"]
    assert server.connections_total == 1


@pytest.mark.parametrize("after", [0, 1, 3])
async def test_a_client_that_leaves_during_a_silence(server: OpeAIServer, client: AsyncOpeAI, after: int) -> None:
    """Before the first chunk, before the first token, and while the model thinks."""
    server.stall("one two", reasoning="Well, now then", after=after)
    page = Page()
    task = relayed(client, page)
    await server.wait_received()
    if after:
        await page.until(StartFrame if after == 1 else ReasoningFrame)
    page.leave()
    assert (await task).reason == "disconnected"
    assert (await closed(server)).outcome == "client_gone"


async def test_a_client_that_leaves_before_the_head(server: OpeAIServer, client: AsyncOpeAI) -> None:
    server.reply("late", delay_s=60.0)
    page = Page()
    task = relayed(client, page)
    await server.wait_received()
    page.leave()
    assert (await task).reason == "disconnected"
    assert (await closed(server)).outcome == "client_gone"


async def test_a_client_that_leaves_while_a_send_waits(server: OpeAIServer, client: AsyncOpeAI) -> None:
    server.reply("one " * 10_000, token_delay_s=0.001)
    page = Page()
    task = relayed(client, page)
    await page.until(ContentFrame)
    page.open.clear()
    await eventually(lambda: page.sending > 0)
    page.leave()
    assert (await task).reason == "disconnected"
    assert (await closed(server)).outcome == "client_gone"


async def test_a_client_that_stops(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """The upstream is closed; the message is what the client has seen."""
    server.reply("one " * 10_000, token_delay_s=0.001)
    page = Page()
    task = relayed(client, page)
    await page.until(ContentFrame, 3)
    page.say("stop")
    result = await task
    assert_well_formed(page.frames)
    assert (result.reason, page.frames[-1].reason) == ("stopped", "stopped")  # type: ignore[union-attr]
    assert result.completion.choices[0].message.content == text(page)
    assert (await closed(server)).outcome == "client_gone"


async def test_a_cancelled_relay(server: OpeAIServer, client: AsyncOpeAI) -> None:
    server.stall("one two", after=2)
    page = Page()
    task = relayed(client, page)
    await page.until(ContentFrame)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await closed(server)).outcome == "client_gone"


async def test_reading_on_for_the_usage(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """The upstream sees nothing of it that the client has left."""
    server.reply("one two three " * 20, token_delay_s=0.001)
    page = Page()
    task = relayed(client, page, on_disconnect="drain")
    await page.until(ContentFrame)
    page.leave()
    result = await task
    assert result.reason == "disconnected"
    assert result.completion.choices[0].message.content == "one two three " * 20
    assert result.usage is not None
    assert (await closed(server)).outcome == "completed"


async def test_a_silent_upstream_has_its_own_limit(server: OpeAIServer) -> None:
    """The stream's timeouts go on counting under heartbeats."""
    server.stall("one two", after=2)
    page = Page()
    async with server.client(timeouts=Timeouts(idle_bytes_s=0.1)) as client:
        result = await relayed(client, page, heartbeat=0.02)
    assert (result.reason, page.frames[-1].code) == ("error", "timeout")  # type: ignore[union-attr]
    assert [frame.offset for frame in page.frames] == sorted(frame.offset for frame in page.frames)


async def test_a_slow_client_slows_the_upstream(server: OpeAIServer, client: AsyncOpeAI) -> None:
    """Memory stays flat while 30 MB wait to be sent, and nothing of them is lost in the end."""
    word = "x" * 100_000
    server.raw([events(word)] * 300 + [FINISH + DONE], headers={"content-type": "text/event-stream"})
    page = Page()
    page.open.clear()
    tracemalloc.start()
    task = relayed(client, page, heartbeat=None)
    await eventually(lambda: page.sending > 0)
    request, sent = server.requests[0], -1
    while request.chunks_sent != sent:  # until the kernel's buffers are full too
        sent = request.chunks_sent
        await asyncio.sleep(0.1)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    page.open.set()
    assert (await task).reason == "completed"
    assert sent < 250
    assert held < 4 * 1024 * 1024
    assert text(page) == word * 300
    assert max(len(frame.text) for frame in page.frames if isinstance(frame, ContentFrame)) <= MAX_FRAME_CHARS


async def test_many_at_once(server: OpeAIServer) -> None:
    """A hundred relays, of which some are left, some stopped and some read to the end; each is told only its own."""
    words = [f"{number} " * 50 for number in range(100)]
    for answer in words:
        server.reply(answer, token_delay_s=0.001)

    async def use(client: AsyncOpeAI, number: int) -> None:
        page = Page()
        task = relayed(client, page)
        if number % 3:
            await page.until(ContentFrame)
            page.say("stop" if number % 3 == 1 else None)
        result = await task
        assert result.reason == ("completed", "stopped", "disconnected")[number % 3]
        assert result.completion.choices[0].message.content.startswith(text(page))
        if number % 3 == 0:
            assert text(page) in words

    async with server.client(max_connections=100) as client:
        await asyncio.gather(*(use(client, number) for number in range(100)))
    await eventually(lambda: all(request.is_over for request in server.requests))
