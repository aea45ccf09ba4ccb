"""Answers that are awaited whole, over a scripted transport and a clock that jumps."""

import msgspec
import pytest

from opeai_async import (
    APIConnectionError,
    APITimeoutError,
    InvalidResponseError,
    StreamDecodeError,
    StreamServerError,
    Timeouts,
)
from opeai_async._io import complete as call
from opeai_async.testing import Break, Pause
from tests.support.clients import KEY, scripted, wiring_of
from tests.support.instant_time import instant_time
from tests.support.leaks import no_leaks
from tests.support.reading.chunks import ANSWER, BODY, COMPLETION

JSON = {"content-type": "application/json"}
BUSY = b'{"error": {"message": "busy", "code": 503}}'

pytestmark = pytest.mark.time_limit(1_000_000)  # of a clock that jumps


@pytest.fixture(autouse=True)
async def instant():
    """Time jumps, and every call leaves nothing behind."""
    with instant_time():
        async with no_leaks():
            yield


async def create(client, **options):
    return await client.chat.completions.create(**BODY, **options)


async def test_a_body_in_pieces():
    """However it arrives, it is one completion, and the connection is kept."""
    client, transport, _ = scripted()
    transport.respond(COMPLETION[:7], Pause(1), COMPLETION[7:], headers=JSON)
    completion = await create(client)
    assert completion.choices[0].message.content == "abc"
    assert completion.meta.status_code == 200
    assert transport.responses[0].end == "released"


async def test_an_event_stream_instead():
    """A server that streams anyway is understood."""
    client, transport, _ = scripted()
    transport.respond(ANSWER)
    completion = await create(client)
    assert completion.choices[0].message.content == "abc"
    assert completion.meta.quirks


@pytest.mark.parametrize("steps", [(COMPLETION[:20], Break("reset")), (BUSY,)], ids=["cut", "error in a 200"])
async def test_an_answer_that_fails_is_tried_again(steps):
    """Nothing of it was handed out."""
    client, transport, slept = scripted()
    transport.respond(*steps, headers=JSON)
    transport.respond(COMPLETION, headers=JSON)
    completion = await create(client)
    assert len(slept) == 1
    assert completion.meta.attempts[0].error is not None
    assert wiring_of(client).budget.tokens == wiring_of(client).budget.capacity


async def test_an_answer_that_is_cut_every_time():
    """The last error says after how many bytes."""
    client, transport, _ = scripted(max_retries=1)
    for _ in range(2):
        transport.respond(COMPLETION[:20], Break("reset"), headers=JSON)
    with pytest.raises(APIConnectionError, match="cut after 20 bytes: reset") as caught:
        await create(client)
    assert len(caught.value.attempts) == 2
    assert [response.end for response in transport.responses] == ["aborted"] * 2


async def test_an_error_in_a_200_every_time():
    """It is an error of the server, with its code."""
    client, transport, _ = scripted(max_retries=0)
    transport.respond(BUSY, headers=JSON)
    with pytest.raises(StreamServerError) as caught:
        await create(client)
    assert caught.value.status_code == 503


@pytest.mark.parametrize(("limit", "phase"), [("idle_bytes_s", "body"), ("total_s", "total")])
async def test_a_body_that_stalls(limit, phase):
    """The clocks hold here too; the error knows its attempts, and is not tried again."""
    client, transport, _ = scripted(timeouts=Timeouts(**{limit: 9}))
    transport.respond(COMPLETION[:20], Pause(), headers=JSON)
    with pytest.raises(APITimeoutError, match=rf"within 9 s \({limit}=9\)") as caught:
        await create(client)
    assert (caught.value.phase, caught.value.timeout_s, len(caught.value.attempts)) == (phase, 9, 1)
    assert transport.responses[0].end == "aborted"


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"", b"{not json", b"[1]"])
async def test_a_body_that_is_no_answer(body):
    """What answered is not this API; not tried again."""
    client, transport, _ = scripted()
    transport.respond(body, headers={"content-type": "text/html"})
    with pytest.raises((InvalidResponseError, StreamDecodeError)):
        await create(client)
    assert len(transport.requests) == 1


async def test_a_body_without_end(monkeypatch):
    """Refused before memory grows."""
    monkeypatch.setattr(call, "MAX_JSON_BYTES", 100)
    client, transport, _ = scripted()
    transport.respond(*[b" " * 60] * 5, headers=JSON)
    with pytest.raises(InvalidResponseError, match="120 bytes so far, expected no more than 100") as caught:
        await create(client)
    assert transport.responses[0].end == "aborted"
    assert KEY not in repr(vars(caught.value))


async def test_an_answer_that_broke_on_the_servers_side():
    """A finish_reason that reports a failure is one, with the reason that came and what had been said."""
    client, transport, _ = scripted(max_retries=0)
    choice = {"message": {"role": "assistant", "content": "so f"}, "finish_reason": "error"}
    failed = {**choice, "error": {"code": 502, "message": "provider gone"}}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    body = msgspec.json.encode({"choices": [failed], "usage": usage})
    transport.respond(body, headers={**JSON, "x-request-id": "r-1"})
    with pytest.raises(StreamServerError, match="provider gone") as raised:
        await create(client)
    error = raised.value
    assert (error.status_code, error.code, error.finish_reason, error.request_id) == (502, "502", "error", "r-1")
    assert error.usage.total_tokens == 5
    assert error.partial.choices[0].message.content == "so f"
    assert error.partial.meta.request_id == "r-1"


async def test_an_answer_that_broke_is_tried_again():
    """As with any error of the server before something was handed out."""
    client, transport, _ = scripted()
    transport.respond(b'{"choices": [{"message": {"content": "a"}, "finish_reason": "abort"}]}', headers=JSON)
    transport.respond(COMPLETION, headers=JSON)
    completion = await create(client)
    assert completion.choices[0].message.content == "abc"
    assert len(completion.meta.attempts) == 2
