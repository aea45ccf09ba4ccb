"""Attempts, retries and their limits, over a scripted transport and a clock that jumps."""

import asyncio

import pytest

from opeai_async import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    BadRequestError,
    InternalServerError,
    InvalidResponseError,
    QuotaExceededError,
    RateLimitError,
    RetryPolicy,
    Timeouts,
)
from opeai_async._io.reader import MAX_ERROR_BODY_BYTES
from opeai_async.testing import Break, Pause
from tests.support.clients import KEY, rewire, scripted, wiring_of
from tests.support.instant_time import instant_time
from tests.support.leaks import no_leaks
from tests.support.reading.chunks import BODY, COMPLETION, DONE, FINISH, events

JSON = {"content-type": "application/json"}

pytestmark = pytest.mark.time_limit(1_000_000)  # of a clock that jumps


@pytest.fixture(autouse=True)
async def instant():
    """Time jumps, and every call leaves nothing behind."""
    with instant_time():
        async with no_leaks():
            yield


def error_body(message="no", code=None):
    return b'{"error": {"message": "%b", "type": "t", "param": null, "code": %b}}' % (
        message.encode(),
        b"null" if code is None else b'"%b"' % code.encode(),
    )


async def create(client, **options):
    return await client.chat.completions.create(**BODY, **options)


@pytest.mark.parametrize("status", [408, 409, 425, 500, 502, 503, 504, 520, 524, 529])
async def test_a_status_that_may_pass_is_tried_again(status):
    """Three attempts, then the error with all of them; each has its number and the same idempotency key."""
    client, transport, slept = scripted()
    for _ in range(3):
        transport.respond(error_body(), status=status, headers=JSON)
    with pytest.raises(APIStatusError) as caught:
        await create(client)
    assert caught.value.status_code == status
    assert [attempt.number for attempt in caught.value.attempts] == [1, 2, 3]
    assert [attempt.delay_s for attempt in caught.value.attempts] == [0.0, *slept]
    sent = [(r.headers["X-Opeai-Attempt"], r.headers["Idempotency-Key"]) for r in transport.requests]
    assert [number for number, _ in sent] == ["1", "2", "3"]
    assert len({key for _, key in sent}) == 1
    assert [response.end for response in transport.responses] == ["released"] * 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
async def test_a_status_that_will_not_pass_is_final(status):
    """One attempt."""
    client, transport, _ = scripted()
    transport.respond(error_body(), status=status, headers=JSON)
    with pytest.raises(APIStatusError) as caught:
        await create(client)
    assert (caught.value.status_code, len(transport.requests)) == (status, 1)


async def test_a_retry_that_succeeds():
    """The caller sees the answer, and in ``meta`` what it took."""
    client, transport, slept = scripted()
    transport.fail()
    transport.respond(error_body(), status=503, headers=JSON | {"retry-after": "3"})
    transport.respond(COMPLETION, headers=JSON)
    completion = await create(client)
    assert completion.choices[0].message.content == "abc"
    assert slept == [0.25, pytest.approx(3.3)]
    assert [attempt.error for attempt in completion.meta.attempts] == [
        "APIConnectionError",
        "InternalServerError",
        None,
    ]
    assert wiring_of(client).budget.tokens == wiring_of(client).budget.capacity


async def test_a_key_of_the_callers_own():
    """An ``Idempotency-Key`` in any spelling is kept."""
    client, transport, _ = scripted()
    transport.respond(COMPLETION, headers=JSON)
    await create(client, extra_headers={"idempotency-key": "mine"})
    keys = {name: value for name, value in transport.requests[0].headers.items() if name.lower() == "idempotency-key"}
    assert keys == {"Idempotency-Key": "mine"}


async def test_no_retries():
    """``max_retries=0`` is one attempt."""
    client, transport, slept = scripted()
    transport.fail()
    with pytest.raises(APIConnectionError) as caught:
        await create(client, max_retries=0)
    assert len(caught.value.attempts) == 1
    assert slept == []


async def test_a_quota_is_never_waited_for():
    """429 with a quota code is final."""
    client, transport, _ = scripted()
    transport.respond(error_body(code="insufficient_quota"), status=429, headers=JSON)
    with pytest.raises(QuotaExceededError):
        await create(client)
    assert len(transport.requests) == 1


async def test_a_server_that_asks_for_too_long():
    """Beyond ``max_wait_s`` the error tells how long."""
    client, transport, _ = scripted()
    transport.respond(error_body(), status=429, headers=JSON | {"retry-after": "61"})
    with pytest.raises(RateLimitError) as caught:
        await create(client)
    assert (caught.value.retry_after_s, len(transport.requests)) == (61, 1)
    why = "not retried: the server asks to wait 61.0 s, 0.0 s were waited already, and max_wait_s=60"
    assert why in caught.value.__notes__


def limited(transport, wait_s, times=1, status=429):
    for _ in range(times):
        transport.respond(error_body(), status=status, headers=JSON | {"retry-after": str(wait_s)})


async def test_named_waits_count_by_their_sum():
    """Not by their number: ten refusals that ask for five seconds fit into 60 s, and one more does not."""
    client, transport, _ = scripted(max_retries=1)
    rewire(client, sleep=asyncio.sleep, jitter=lambda: 0.0)
    limited(transport, 5, times=4)
    transport.respond(COMPLETION, headers=JSON)
    begun_at = asyncio.get_running_loop().time()
    completion = await create(client)
    seconds = asyncio.get_running_loop().time() - begun_at
    assert len(transport.requests) == 5
    assert [attempt.number for attempt in completion.meta.attempts] == [1, 2, 3, 4, 5]
    assert sum(attempt.delay_s for attempt in completion.meta.attempts) == pytest.approx(seconds)
    assert wiring_of(client).budget.tokens == wiring_of(client).budget.capacity


async def test_the_sum_of_named_waits_is_bounded():
    """By ``max_wait_s``; the last refusal says which bound it was, and knows of all attempts."""
    client, transport, _ = scripted(retry=RetryPolicy(max_wait_s=11))
    rewire(client, sleep=asyncio.sleep, jitter=lambda: 0.0)
    limited(transport, 5, times=9)
    with pytest.raises(RateLimitError) as caught:
        await create(client)
    assert len(caught.value.attempts) == len(transport.requests) == 2
    assert any("would pass max_wait_s=11" in note for note in caught.value.__notes__)
    assert any("5.0 s were waited already" in note for note in caught.value.__notes__)


async def test_waits_that_a_broken_server_names_count_as_well():
    """A 500 with ``Retry-After`` is a retry like any other, but its waits belong to the sum."""
    client, transport, slept = scripted(retry=RetryPolicy(max_wait_s=60, max_retries=5))
    limited(transport, 25, times=9, status=500)
    with pytest.raises(InternalServerError):
        await create(client)
    assert slept == [pytest.approx(27.5)] * 2


async def test_a_refusal_inside_of_a_stream():
    """An error as the first event, with a wait in the head: the call waits in line, and the stream begins again."""
    client, transport, _ = scripted(max_retries=1)
    rewire(client, sleep=asyncio.sleep, jitter=lambda: 0.0)
    refusal = b'data: {"error": {"message": "slow down", "code": 429}}\n\n'
    for _ in range(3):
        transport.respond(refusal, headers={"retry-after": "5"})
    transport.respond(events("fine") + FINISH + DONE)
    begun_at = asyncio.get_running_loop().time()
    async with client.chat.completions.stream(**BODY) as stream:
        completion = await stream.completion()
    assert completion.choices[0].message.content == "fine"
    assert len(transport.requests) == 4
    assert asyncio.get_running_loop().time() - begun_at >= 15
    assert wiring_of(client).budget.tokens == wiring_of(client).budget.capacity


async def test_a_line_that_is_too_long():
    """A call that is in line until its total limit, though there is no pause any more, says so."""
    client, transport, _ = scripted(timeouts=Timeouts(total_s=30))
    rewire(client, sleep=asyncio.sleep, jitter=lambda: 0.0)
    limited(transport, 10)
    for _ in range(20):
        transport.respond(COMPLETION, headers=JSON)
    results = await asyncio.gather(create(client), return_exceptions=True)
    gate = next(iter(wiring_of(client).gates._gates.values()))
    gate.throttle.rate = gate.throttle._ramp_from = 0.01
    gate.throttle._spacing_s = 100.0
    with pytest.raises(APITimeoutError, match=r"not sent: too many calls are in line .* total_s=30 is over") as caught:
        await create(client)
    assert (caught.value.phase, caught.value.timeout_s, caught.value.attempts) == ("total", 30, ())
    assert len(results) == 1


async def test_x_should_retry_decides():
    """``false`` for a 503, ``true`` for a 400."""
    client, transport, _ = scripted()
    transport.respond(error_body(), status=503, headers=JSON | {"x-should-retry": "false"})
    with pytest.raises(InternalServerError):
        await create(client)
    transport.respond(error_body(), status=400, headers=JSON | {"x-should-retry": "true"})
    transport.respond(error_body(), status=400, headers=JSON)
    with pytest.raises(BadRequestError):
        await create(client)
    assert len(transport.requests) == 3


async def test_a_retry_inside_the_total_limit():
    """A wait that would reach past ``total_s`` is not begun; the error says so."""
    client, transport, slept = scripted(timeouts=Timeouts(total_s=2))
    transport.respond(error_body(), status=503, headers=JSON | {"retry-after": "2"})
    with pytest.raises(InternalServerError) as caught:
        await create(client)
    assert slept == []
    assert any("total_s=2" in note for note in caught.value.__notes__)


async def test_the_total_limit_spans_the_attempts():
    """The last attempt gets what is left."""
    client, transport, _ = scripted(
        timeouts=Timeouts(total_s=10, response_headers_s=100), retry=RetryPolicy(base_delay_s=3)
    )
    rewire(client, sleep=asyncio.sleep)
    transport.fail(delay_s=4)
    transport.respond(delay_s=None)
    begun_at = asyncio.get_running_loop().time()
    with pytest.raises(APITimeoutError) as caught:
        await create(client)
    assert (caught.value.phase, caught.value.timeout_s) == ("total", 10)
    assert asyncio.get_running_loop().time() - begun_at == pytest.approx(10, abs=0.1)
    assert len(caught.value.attempts) == 2


async def test_an_empty_budget_is_said():
    """Many failures use the budget up; then the first error comes through with a note."""
    client, transport, slept = scripted()
    wiring_of(client).budget.tokens = 20
    transport.fail()
    transport.fail()
    with pytest.raises(APIConnectionError) as caught:
        await create(client)
    assert len(slept) == 1
    assert caught.value.__notes__[-1] == (
        "not retried after 2 attempts: the client's retry budget is used up by recent failures, 6 of 500 tokens are "
        "left and a retry takes 14; RetryPolicy(budget=...) sets another one, None for none"
    )


async def test_no_response_in_time():
    """The limit on the head is by the wall clock, and not tried again."""
    client, transport, _ = scripted(timeouts=Timeouts(response_headers_s=7))
    transport.respond(delay_s=None)
    with pytest.raises(APITimeoutError, match="no response within 7 s") as caught:
        await create(client)
    assert (caught.value.phase, len(transport.requests)) == ("response_headers", 1)


@pytest.mark.parametrize(
    ("location", "host"),
    [("https://user:pw@evil.example/x", "evil.example"), ("/other", "scripted"), ("http://[pw", "scripted")],
)
async def test_a_redirect_is_not_followed(location, host):
    """The error names the host, never what else is in the Location; the connection is not kept."""
    client, transport, _ = scripted()
    transport.respond(b"moved", status=307, headers={"location": location})
    with pytest.raises(InvalidResponseError, match=f"redirect to '{host}'") as caught:
        await create(client)
    assert (caught.value.status_code, caught.value.excerpt) == (307, "")
    assert "pw" not in str(caught.value)
    assert "hint: set base_url" in caught.value.__notes__[0]
    assert transport.responses[0].end == "aborted"


async def test_a_status_that_is_no_answer():
    """101 or 304 cannot be understood."""
    client, transport, _ = scripted()
    transport.respond(status=304)
    with pytest.raises(InvalidResponseError, match="expected an answer"):
        await create(client)


@pytest.mark.parametrize("end", [(), (Break(),), (Pause(),)], ids=["whole", "cut", "stalled"])
async def test_an_error_body_that_does_not_end(end):
    """What arrived within bounds of size and time is used."""
    client, transport, _ = scripted(max_retries=0)
    transport.respond(error_body("first"), *end, status=400, headers=JSON)
    with pytest.raises(BadRequestError, match="first"):
        await create(client)
    assert transport.responses[0].end == ("released" if end == () else "aborted")


async def test_an_error_body_that_is_too_long():
    """No more than 64 KiB are read."""
    client, transport, _ = scripted(max_retries=0)
    transport.respond(*[b"x" * 1024] * 100, status=400, headers=JSON)
    with pytest.raises(BadRequestError):
        await create(client)
    assert len(transport.responses[0]._steps) == 100 - MAX_ERROR_BODY_BYTES // 1024


async def test_an_error_page_of_a_proxy():
    """HTML is tried again like any 502, on another connection."""
    client, transport, _ = scripted()
    transport.respond(b"<html>bad gateway</html>", status=502, headers={"content-type": "text/html"})
    transport.respond(COMPLETION, headers=JSON)
    await create(client)
    assert transport.responses[0].end == "aborted"


async def test_an_echoed_key_is_removed():
    """Wherever the server repeats it: message, body, headers."""
    client, transport, _ = scripted(max_retries=0)
    transport.respond(error_body(f"bad key {KEY}"), status=401, headers=JSON)
    with pytest.raises(APIStatusError) as caught:
        await create(client)
    assert KEY not in repr(vars(caught.value)) + str(caught.value)
    transport.respond(COMPLETION, headers=JSON | {"x-echo": f"Bearer {KEY}"})
    assert KEY not in repr((await create(client)).meta)


@pytest.mark.parametrize("more", [{"content-length": "3, 4"}, {"content-length": "3", "transfer-encoding": "chunked"}])
async def test_a_body_with_two_lengths(more):
    """Refused whatever the parser below thinks of it: the next answer on the connection might be another's."""
    client, transport, _ = scripted()
    transport.respond(COMPLETION, headers=JSON | more)
    with pytest.raises(InvalidResponseError, match="more than one length"):
        await create(client)
    assert transport.responses[0].end == "aborted"
    transport.respond(COMPLETION, headers=JSON | {"content-length": f"{len(COMPLETION)}, {len(COMPLETION)}"})
    assert await create(client)
