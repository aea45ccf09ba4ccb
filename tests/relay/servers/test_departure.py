"""However a client leaves, the upstream is closed; proven from the upstream's side."""

import pytest

from benchmarks.relay.services import SERVICES
from opeai_async.testing import Reply
from tests.relay.servers.endpoints import answering

WAYS = {
    "close frame": lambda visitor: visitor.close(),
    "RST": lambda visitor: visitor.abort(),
    "FIN": lambda visitor: visitor.half_close(),
}

# What the upstream does, and the frame after which the client leaves.
MOMENTS = {
    "before the head": (Reply("Too late", delay_s=60), None),
    "before the first token": (Reply("One two three", ending="stall", after=0), None),
    "while the model thinks": (Reply("One", reasoning="Hm, that is", ending="stall", after=3), "reasoning"),
    "in the middle": (Reply("One two three", ending="stall", after=3), "content"),
    "while tokens come": (Reply("One two three " * 2_000, token_delay_s=0.005), "content"),
}


async def leave(visitor, way):
    """Leave in one of the `WAYS`, two of which take no time."""
    if (leaving := WAYS[way](visitor)) is not None:
        await leaving


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_client_that_leaves_closes_the_upstream(serve, visit, upstream, client, way, moment):
    """At once, also while the upstream is silent; the relay says so, with what had come until then."""
    answer, seen = MOMENTS[moment]
    upstream.answer(answer)
    service = await serve(answering(client))
    visitor = await visit(service)
    await upstream.wait_received()
    if seen is not None:
        await visitor.receive_until(seen)
    await leave(visitor, way)
    request = await upstream.wait_closed()
    result = await service.wait_result()
    assert request.outcome == "client_gone"
    assert result.reason == "disconnected"
    assert (result.frames > 0) == (seen is not None)
    assert result.chunks <= request.chunks_sent < 6_000


@pytest.mark.parametrize("way", WAYS)
async def test_an_answer_may_be_read_to_its_end(serve, visit, upstream, client, way):
    """With ``on_disconnect="drain"`` the upstream is not closed: the message is whole, and its usage known."""
    text = "One two three " * 20
    usage = {"prompt_tokens": 1, "completion_tokens": 60, "total_tokens": 61}
    upstream.reply(text, usage=usage, token_delay_s=0.005)
    service = await serve(answering(client, on_disconnect="drain"))
    visitor = await visit(service)
    await visitor.receive_until("content")
    await leave(visitor, way)
    result = await service.wait_result()
    assert (await upstream.wait_closed()).outcome == "completed"
    assert result.reason == "disconnected"
    assert result.completion.choices[0].message.content == text
    assert result.usage == result.completion.usage
    assert result.usage.completion_tokens == 60


async def test_a_client_that_is_silently_dead(serve, visit, upstream, client):
    """Its connection was never closed, but it does not answer pings: then the framework ends the relay's receive."""
    upstream.stall("One two three", after=3)
    service = await serve(answering(client), ping=0.5)  # time enough for the first content
    visitor = await visit(service)
    await visitor.receive_until("content")
    assert (await upstream.wait_closed()).outcome == "client_gone"
    assert (await service.wait_result()).reason == "disconnected"


async def test_a_service_that_goes_down(framework, visit, upstream, client):
    """It takes its relays with it, and they their upstreams."""
    upstream.stall("One two three", after=3, times=None)
    async with SERVICES[framework](answering(client)) as service:
        visitors = [await visit(service) for _ in range(3)]
        for visitor in visitors:
            await visitor.receive_until("content")
    assert [(await upstream.wait_closed(k)).outcome for k in range(3)] == ["client_gone"] * 3
    assert len(service.results) == 3


async def test_others_go_on(serve, visit, upstream, client):
    """One of three clients resets its connection; the others get their answers."""
    upstream.reply("One two three " * 50, token_delay_s=0.005, times=3)
    service = await serve(answering(client))
    first, second, third = [await visit(service) for _ in range(3)]
    for visitor in (first, second, third):
        await visitor.receive_until("content")
    second.abort()
    for visitor in (first, third):
        assert (await visitor.receive_until("done"))["finish_reason"] == "stop"
        assert visitor.text == "One two three " * 50
    await service.wait_result(3)
    assert sorted(result.reason for result in service.results) == ["completed", "completed", "disconnected"]
    assert sorted(request.outcome for request in upstream.requests) == ["client_gone", "completed", "completed"]
