"""Clients that do not read: they cost bounded memory, slow their upstream down, and nobody else."""

import asyncio

from opeai_async.testing import Raw
from tests.relay.servers.endpoints import answering
from tests.support.reading.chunks import DONE, FINISH, event

PIECE = "0123456789abcdef" * 2_048
PIECES = 1_000
ANSWER = Raw((event(PIECE),) * PIECES + (FINISH, DONE))
# What sockets and transports hold between the upstream and a client that does not read; the answer has 32 MiB.
MOST_HELD = len(PIECE) * PIECES // 2
SMALL = 16_384


async def until_it_stands_still(request):
    """Wait until the upstream has not been able to send anything for a while."""
    sent = -1
    while sent != request.chunks_sent:
        sent = request.chunks_sent
        await asyncio.sleep(0.3)


async def test_a_client_that_never_reads_is_given_up(serve, visit, upstream, client):
    """After ``send_timeout``; its upstream is closed, and a neighbour gets all of its answer meanwhile."""
    upstream.answer(ANSWER)
    upstream.reply("One two three " * 20, token_delay_s=0.005)
    service = await serve(answering(client, send_timeout=0.5))
    await visit(service, receive_buffer=SMALL)
    await upstream.wait_received()
    neighbour = await visit(service)
    assert (await neighbour.receive_until("done"))["reason"] == "completed"
    assert neighbour.text == "One two three " * 20
    request = await upstream.wait_closed(0)
    await service.wait_result(2)
    slow = next(result for result in service.results if result.reason != "completed")
    assert slow.reason == "slow"
    assert request.outcome == "client_gone"
    assert len(slow.completion.choices[0].message.content) <= request.chunks_sent * len(PIECE) < MOST_HELD


async def test_a_client_that_pauses_slows_its_upstream_down(serve, visit, upstream, client):
    """Nothing is read for a client that does not read; when it goes on, it gets everything by value."""
    upstream.answer(ANSWER)
    service = await serve(answering(client, window=0.0))
    visitor = await visit(service, receive_buffer=SMALL)
    request = await upstream.wait_received()
    await until_it_stands_still(request)
    assert request.outcome == "live"
    assert request.chunks_sent * len(PIECE) < MOST_HELD
    await visitor.receive_until("done")
    assert visitor.text == PIECE * PIECES
    assert (await service.wait_result()).reason == "completed"
    assert (await upstream.wait_closed()).outcome == "completed"


async def test_a_client_that_pauses_and_leaves(serve, visit, upstream, client):
    """While a send is blocked, a connection that is reset closes the upstream all the same."""
    upstream.answer(ANSWER)
    service = await serve(answering(client))
    visitor = await visit(service, receive_buffer=SMALL)
    await until_it_stands_still(await upstream.wait_received())
    visitor.abort()
    assert (await upstream.wait_closed()).outcome == "client_gone"
    assert (await service.wait_result()).reason == "disconnected"
