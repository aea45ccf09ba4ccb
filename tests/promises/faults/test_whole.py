"""Every fault against a client that wants its completion in one piece."""

import pytest

from opeai_async import OpeAIError
from opeai_async.testing import Fault
from tests.promises.faults.matrix import ASK, CONTENT, NEXT, WITH_REQUEST, case, check_error, ids
from tests.support.leaks import eventually

pytestmark = pytest.mark.time_limit(15)

FAILING = [fault for fault in WITH_REQUEST if not fault.whole.is_delivered]
DELIVERED = [fault for fault in WITH_REQUEST if fault.whole.is_delivered]
CURABLE = [fault for fault in FAILING if fault.whole.retried == "always"]


@pytest.mark.parametrize("fault", FAILING, ids=ids(FAILING))
async def test_a_fault_gives_its_error(fault: Fault) -> None:
    """The error of the table, from one request; the slot is free, and the connection as the table says."""
    verdict = fault.whole
    async with case(fault, stream=False, max_retries=2 if verdict.retried == "never" else 0) as this:
        with pytest.raises(OpeAIError) as caught:
            await this.client.chat.completions.create(**ASK)
        check_error(caught.value, verdict)
        assert caught.value.__cause__ is None
        assert len(this.server.requests) == 1
        assert this.slept == []
        if verdict.connection == "closed":
            await eventually(lambda: this.server.connections_open == 0, lambda: repr(this.server))
        await this.check_next_answer()


@pytest.mark.parametrize("fault", CURABLE, ids=ids(CURABLE))
async def test_a_fault_is_retried(fault: Fault) -> None:
    """Nothing has been handed out yet, so another attempt may bring the answer."""
    async with case(fault, stream=False) as this:
        completion = await this.client.chat.completions.create(**ASK)
        assert completion.choices[0].message.content == NEXT
        assert len(completion.meta.attempts) == len(this.server.requests) == 2
        assert completion.meta.attempts[0].error == fault.whole.result


@pytest.mark.parametrize("fault", DELIVERED, ids=ids(DELIVERED))
async def test_a_fault_that_spoils_nothing(fault: Fault) -> None:
    """The whole answer, from one attempt."""
    async with case(fault, stream=False) as this:
        completion = await this.client.chat.completions.create(**ASK)
        assert completion.choices[0].message.content == CONTENT
        assert len(this.server.requests) == 1
