"""The scripted transport: what a script says is what a client gets."""

import asyncio

import pytest

from opeai_async import APIConnectionError, AsyncOpeAI, ClientClosedError, InternalServerError, StreamInterruptedError
from opeai_async._io.transport import Transport
from opeai_async.testing import Break, Pause, ScriptedTransport
from tests.support.instant_time import instant_time
from tests.support.reading.chunks import ANSWER, BODY, COMPLETION, event

pytestmark = pytest.mark.time_limit(1_000_000)  # of a clock that jumps


@pytest.fixture(autouse=True)
async def instant():
    """Time jumps."""
    with instant_time():
        yield


def scripted():
    transport: Transport = ScriptedTransport()
    return AsyncOpeAI("sk-test", base_url="http://localhost/v1", transport=transport, max_retries=0), transport


async def test_answers_in_order():
    """Each request takes the next answer; both sides are recorded."""
    client, transport = scripted()
    transport.respond(COMPLETION, headers={"Content-Type": "application/json", "X-Request-Id": "req_1"})
    transport.respond(ANSWER)
    completion = await client.chat.completions.create(**BODY)
    assert completion.meta.request_id == "req_1"
    stream = await client.chat.completions.create(**BODY, stream=True)
    assert (await stream.completion()).choices[0].message.content == "abc"
    assert [request.wants_stream for request in transport.requests] == [False, True]
    assert [response.end for response in transport.responses] == ["released", "released"]
    assert transport.open_responses == 0


async def test_pauses_take_their_time():
    """Before the head, between reads, and before the end."""
    client, transport = scripted()
    transport.respond(Pause(2), event("a"), Pause(3), Pause(4), ANSWER, Pause(5), delay_s=1)
    begun_at = asyncio.get_running_loop().time()
    stream = client.chat.completions.stream(**BODY)
    times = [asyncio.get_running_loop().time() - begun_at async for _ in stream]
    assert times == pytest.approx([3, 10, 10, 10, 10], abs=0.1)


async def test_breaks_and_failures():
    """A connection that breaks, one that is not made, a status."""
    client, transport = scripted()
    transport.respond(event("a"), Break("pulled the plug"))
    with pytest.raises(StreamInterruptedError, match="pulled the plug"):
        await client.chat.completions.stream(**BODY).completion()
    transport.fail()
    with pytest.raises(APIConnectionError, match="scripted"):
        await client.chat.completions.create(**BODY)
    transport.fail(InternalServerError("mine"), cause="final")
    with pytest.raises(InternalServerError, match="mine"):
        await client.chat.completions.create(**BODY)
    transport.respond(b"{}", status=500)
    with pytest.raises(InternalServerError):
        await client.chat.completions.create(**BODY)


async def test_a_script_that_is_too_short():
    """The error says which request had no answer."""
    client, transport = scripted()
    with pytest.raises(APIConnectionError, match="request number 1"):
        await client.chat.completions.create(**BODY)
    assert transport.responses == []


async def test_closing_wakes_who_waits():
    """For a head or for a body; later requests are refused."""
    client, transport = scripted()
    transport.respond(delay_s=None)
    transport.respond(Pause())
    calls = [asyncio.create_task(client.chat.completions.create(**BODY)) for _ in range(2)]
    await asyncio.sleep(0.01)
    await client.aclose()
    opening, reading = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(opening, ClientClosedError)
    assert isinstance(reading, APIConnectionError)
    assert transport.responses[0].end == "aborted"
    with pytest.raises(ClientClosedError):
        await client.chat.completions.create(**BODY)
