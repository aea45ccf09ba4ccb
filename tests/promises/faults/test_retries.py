"""Which faults a client that streams tries to cure by another attempt."""

from __future__ import annotations

import pytest

from opeai_async import RateLimitError, RetryPolicy, StreamError
from opeai_async.testing import FAULTS, Fault
from tests.promises.faults.matrix import ASK, NEXT, WITH_REQUEST, case, check_error, ids, read
from tests.support.clients import wiring_of

pytestmark = pytest.mark.time_limit(15)

FAILING = [fault for fault in WITH_REQUEST if not fault.stream.is_delivered]
CURABLE = [fault for fault in FAILING if fault.stream.retried in ("always", "before_content")]
NAMING = ("retry_after_seconds", "retry_after_ms", "retry_after_date")  # waits that do not count as retries
STAYING = [fault for fault in CURABLE if fault.name not in NAMING]
HOPELESS = [fault for fault in FAILING if fault.stream.retried == "never"]


@pytest.mark.parametrize("fault", CURABLE, ids=ids(CURABLE))
async def test_a_fault_before_the_first_chunk_is_retried(fault: Fault) -> None:
    """As long as nothing was handed out, another attempt brings the answer, and the first one is on record."""
    async with case(fault, stream=True, after=0) as this:
        async with this.client.chat.completions.stream(**ASK) as stream:
            completion = await stream.completion()
        assert completion.choices[0].message.content == NEXT
        assert [attempt.error for attempt in completion.meta.attempts] == [fault.stream.result, None]
        assert len(this.server.requests) == 2
        assert this.server.requests[0].json == this.server.requests[1].json
        keys = {request.headers["idempotency-key"] for request in this.server.requests}
        assert len(keys) == 1


@pytest.mark.parametrize("fault", STAYING, ids=ids(STAYING))
async def test_a_fault_that_stays_ends_the_retries(fault: Fault) -> None:
    """After the last attempt its error is raised, which knows of all the others."""
    async with case(fault, stream=True, after=0, times=2, max_retries=1) as this:
        texts, error = await read(this)
        check_error(error, fault.stream)
        assert texts == []
        assert len(this.server.requests) == 2
        if isinstance(error, StreamError):
            assert error.partial is None
            assert error.request_id == this.server.requests[1].request_id
        else:
            assert [attempt.number for attempt in error.attempts] == [1, 2]


@pytest.mark.parametrize("name", NAMING)
async def test_a_named_wait_is_no_retry(name: str) -> None:
    """A server that names its waits is asked again after each, more often than ``max_retries``; it costs no token."""
    async with case(FAULTS[name], stream=True, after=0, times=4, max_retries=1) as this:
        async with this.client.chat.completions.stream(**ASK) as stream:
            completion = await stream.completion()
        assert completion.choices[0].message.content == NEXT
        assert len(this.server.requests) == 5
        assert sum(this.slept) >= 4 * 1.9
        budget = wiring_of(this.client).budget
        assert budget.tokens == budget.capacity


@pytest.mark.parametrize("name", [*NAMING, "retry_after_hours"])
async def test_a_wait_that_is_too_long_is_the_end(name: str) -> None:
    """Beyond ``max_wait_s`` the refusal is raised at once, and no other call is held by it."""
    async with case(FAULTS[name], stream=True, after=0) as this:
        options = {"retry": RetryPolicy(max_wait_s=1)}
        async with this.server.client(**options) as client:
            with pytest.raises(RateLimitError) as caught:
                await client.chat.completions.create(**ASK)
            assert caught.value.retry_after_s in (2, 7200)
            assert (await client.chat.completions.create(**ASK)).meta.attempts[0].delay_s == 0
        assert len(this.server.requests) == 2


@pytest.mark.parametrize("fault", HOPELESS, ids=ids(HOPELESS))
async def test_a_fault_that_no_attempt_would_cure(fault: Fault) -> None:
    """It is not tried again, even where nothing was handed out."""
    async with case(fault, stream=True, after=0) as this:
        _, error = await read(this)
        check_error(error, fault.stream)
        assert len(this.server.requests) == 1
        assert this.slept == []
