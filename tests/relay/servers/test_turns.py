"""Answers that come to their end, one or many on a socket, with what the client says meanwhile."""

import json

import aiohttp
import pytest

from opeai_async import Timeouts
from opeai_async.testing import Reply
from tests.relay.servers.endpoints import answering, conversing, text_of

TURNS = 300


async def echo(request):
    return Reply(f"You said: {request.json['messages'][-1]['content']}")


def contents(frames):
    """The text of each answer in *frames*, in order."""
    texts = [""]
    for frame in frames:
        if frame["type"] == "content":
            texts[-1] += frame["text"]
        elif frame["type"] == "done":
            texts.append("")
    return texts[:-1]


async def test_a_whole_answer(serve, visit, upstream, client):
    """Reasoning and text arrive by value, with one end that tells the usage; the relay knows the same."""
    text, reasoning = "Grüße, 世界! 🎉 " * 30, "Let me think. " * 5
    upstream.reply(text, reasoning=reasoning)
    service = await serve(answering(client))
    visitor = await visit(service)
    done = await visitor.receive_until("done")
    result = await service.wait_result()
    assert await visitor.receive() is None
    kinds = [frame["type"] for frame in visitor.frames]
    assert (kinds[0], kinds[-1], kinds.count("done")) == ("start", "done", 1)
    assert visitor.text == text
    assert "".join(frame["text"] for frame in visitor.frames if frame["type"] == "reasoning") == reasoning
    assert (done["reason"], done["finish_reason"]) == ("completed", "stop")
    assert done["offset"] == len(text) + len(reasoning) + 2
    assert result.reason == "completed"
    assert result.completion.choices[0].message.content == text
    assert result.frames == len(visitor.frames)
    assert result.usage.completion_tokens == done["usage"]["completion_tokens"]


async def test_a_client_of_aiohttp(serve, upstream, client):
    """A decent client of somebody else's reads the same."""
    upstream.reply("One two three")
    service = await serve(answering(client))
    async with aiohttp.ClientSession() as session, session.ws_connect(service.url) as ws:
        frames = [json.loads(message.data) async for message in ws]
        assert ws.close_code == 1000
    assert contents(frames) == ["One two three"]
    assert (await service.wait_result()).reason == "completed"


@pytest.mark.parametrize("stop", ["stop", '{"type": "stop"}'])
@pytest.mark.parametrize("after", [0, 3])
async def test_a_stop_message_closes_the_upstream(serve, visit, upstream, client, stop, after):
    """Also before the first token; the client is told, and may ask on."""
    upstream.stall("One two three", after=after)
    upstream.reply("And on")
    service = await serve(conversing(client))
    visitor = await visit(service)
    await visitor.say("Count")
    await upstream.wait_received()
    if after:
        await visitor.receive_until("content")
    await visitor.say(stop)
    assert (await visitor.receive_until("done"))["reason"] == "stopped"
    assert (await upstream.wait_closed(0)).outcome == "client_gone"
    await visitor.say("Go on")
    assert (await visitor.receive_until("done"))["reason"] == "completed"
    await visitor.close()
    assert [result.reason for result in await service.wait_result()] == ["stopped", "completed"]
    assert contents(visitor.frames) == ["One two" if after else "", "And on"]


async def test_an_upstream_that_stalls(serve, visit, upstream, client):
    """The client is told that the answer took too long, and nothing else; the upstream is closed."""
    upstream.stall("One two three", after=3)
    service = await serve(answering(client, timeouts=Timeouts(idle_bytes_s=0.1)))
    visitor = await visit(service)
    error = await visitor.receive_until("error")
    assert error["code"] == "timeout"
    assert "http" not in json.dumps(error)
    result = await service.wait_result()
    assert result.reason == "error"
    assert result.completion.choices[0].message.content == "One two"
    assert (await upstream.wait_closed()).outcome == "client_gone"


@pytest.mark.parametrize("how", ["fin", "rst", "clean"])
async def test_an_upstream_that_breaks_off(serve, visit, upstream, client, how):
    """The client has what came, and an error frame after it."""
    upstream.cut("One two three", after=3, how=how)
    service = await serve(answering(client))
    visitor = await visit(service)
    error = await visitor.receive_until("error")
    assert error["code"] in ("interrupted", "truncated")
    assert visitor.text == "One two"
    assert (await service.wait_result()).reason == "error"


async def test_an_upstream_that_refuses(serve, visit, upstream, client):
    """An error before the stream is an error frame too, and says nothing of keys or hosts."""
    upstream.fail(401)
    service = await serve(answering(client))
    visitor = await visit(service)
    error = await visitor.receive_until("error")
    assert (error["code"], error["message"]) == ("unavailable", "The model is not available.")
    assert (await service.wait_result()).error.status_code == 401


@pytest.mark.time_limit(60)
async def test_three_hundred_turns_on_one_socket(serve, visit, upstream, client):
    """Every other question is asked while the answer before it is on its way: none is lost, all answers are whole."""
    upstream.handle(echo)
    service = await serve(conversing(client, window=0.0))
    visitor = await visit(service)
    for turn in range(0, TURNS, 2):
        await visitor.say(f"question {turn}")
        await visitor.receive_until("start")
        await visitor.say(f"question {turn + 1}")
        await visitor.receive_until("done")
        await visitor.receive_until("done")
    await visitor.close()
    results = await service.wait_result()
    visitor.abort()
    await upstream.wait_closed()
    assert contents(visitor.frames) == [f"You said: question {turn}" for turn in range(TURNS)]
    assert [result.reason for result in results] == ["completed"] * TURNS
    assert upstream.connections_total <= 2
    await client.aclose()


@pytest.mark.time_limit(60)
async def test_three_hundred_questions_at_once(serve, visit, upstream, client):
    """They wait in the inbox of the first answer, of the second, ...; each is answered once, in order."""
    upstream.handle(echo)
    service = await serve(conversing(client, window=0.0))
    visitor = await visit(service)
    for turn in range(TURNS):
        await visitor.say(f"question {turn}")
    for _ in range(TURNS):
        await visitor.receive_until("done")
    await visitor.close()
    assert [result.reason for result in await service.wait_result()] == ["completed"] * TURNS
    assert contents(visitor.frames) == [f"You said: question {turn}" for turn in range(TURNS)]


async def test_what_is_said_meanwhile_is_kept(serve, visit, upstream, client):
    """Ten messages in one answer, in order, and none of them stops it."""
    upstream.reply("One two three " * 50, token_delay_s=0.002)
    service = await serve(answering(client))
    visitor = await visit(service)
    await visitor.receive_until("content")
    said = [f"message {k}" for k in range(10)]
    for text in said:
        await visitor.say(text)
    await visitor.receive_until("done")
    result = await service.wait_result()
    assert result.reason == "completed"
    assert [text_of(message) for message in result.inbox] == said
