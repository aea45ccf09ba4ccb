"""Every fault against a client that streams: what it raises and keeps, and what becomes of the connection."""

from __future__ import annotations

import asyncio

import pytest

from opeai_async import StreamError
from opeai_async.testing import Fault
from tests.promises.faults.matrix import PACES, PIECES, WITH_REQUEST, Case, Pace, case, check_error, ids, read
from tests.support.leaks import eventually

pytestmark = pytest.mark.time_limit(15)

FAILING = [fault for fault in WITH_REQUEST if not fault.stream.is_delivered]
DELIVERED = [fault for fault in WITH_REQUEST if fault.stream.is_delivered]


@pytest.mark.parametrize("pace", PACES)
@pytest.mark.parametrize("fault", FAILING, ids=ids(FAILING))
async def test_a_fault_gives_its_error(fault: Fault, pace: Pace) -> None:
    """The error of the table, after all that had arrived; the slot is free, and the connection as the table says."""
    verdict = fault.stream
    async with case(fault, stream=True, max_retries=0 if verdict.retried == "always" else 2) as this:
        texts, error = await read(this, pace)
        check_error(error, verdict)
        assert len(this.server.requests) == 1
        assert texts[:4] == (PIECES if fault.stage in ("body", "content") else [])
        if isinstance(error, StreamError) and texts:
            check_facts(error, texts, this)
        else:
            assert [attempt.number for attempt in error.attempts] == [1]
        if verdict.connection == "closed":
            await eventually(lambda: this.server.connections_open == 0, lambda: repr(this.server))
        await this.check_next_answer()


def check_facts(error: StreamError, texts: list[str], this: Case) -> None:
    """A stream's error has the message so far, and says how far it came."""
    assert error.partial is not None
    assert error.partial.choices[0].message.content == "".join(texts)
    assert error.partial.meta.request_id == error.request_id == this.server.requests[0].request_id
    assert error.finish_reason is None
    assert error.events >= len(texts) + 1
    assert error.bytes > 0


@pytest.mark.parametrize("pace", PACES)
@pytest.mark.parametrize("fault", DELIVERED, ids=ids(DELIVERED))
async def test_a_fault_that_spoils_nothing(fault: Fault, pace: Pace) -> None:
    """The whole answer, from one attempt; and nobody else gets what came behind it."""
    async with case(fault, stream=True) as this:
        texts, error = await read(this, pace)
        assert (texts, error) == (PIECES, None)
        if fault.stage == "after":
            await asyncio.sleep(0.05)  # what comes behind the answer is there
        await this.check_next_answer()
        assert len(this.server.requests) == 2
        await eventually(lambda: this.server.connections_open == 1, lambda: repr(this.server))
