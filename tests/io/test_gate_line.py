"""A line by itself: who goes when, who leaves, and when nothing is left of it. The clock jumps."""

import asyncio
import math

import pytest

from opeai_async._core.call.http import Request
from opeai_async._core.policy.throttle import FORGET_S
from opeai_async._io.gate import Gates, Leave, Place
from tests.support.instant_time import instant_time
from tests.support.leaks import in_a_thread, no_leaks

pytestmark = pytest.mark.time_limit(1_000_000)  # of a clock that jumps

REQUEST = Request("POST", "http://host/v1/chat/completions", {}, b"")


@pytest.fixture(autouse=True)
async def instant():
    with instant_time():
        async with no_leaks():
            yield


def now():
    return asyncio.get_running_loop().time()


def refused(gates, wait_s=10.0, request=REQUEST):
    """The gate of a server that has just refused a call."""
    gate = gates.make(request)
    gate.refuse(now(), wait_s, epoch=gate.throttle.epoch, reply_s=0.01, jitter=0.0)
    return gate


def place(began_at=0.0, deadline=math.inf, max_wait_s=60.0):
    return Place(began_at, deadline, max_wait_s)


def join(gate, *places):
    return [asyncio.create_task(gate.wait(each, now(), asyncio.sleep)) for each in places]


async def test_the_call_that_began_first_goes_first():
    """Not the one that came first: who was refused does not start again from the end."""
    gate, order = refused(Gates()), []

    async def go(number):
        leave, waited_s = await gate.wait(place(number), now(), asyncio.sleep)
        assert leave is Leave.GO
        order.append((number, waited_s))

    await asyncio.gather(*(go(number) for number in (3, 1, 2)))
    assert [number for number, _ in order] == [1, 2, 3]
    assert order[0][1] == pytest.approx(10.0)
    assert order[1][1] == pytest.approx(order[0][1] + gate.throttle._reply_s * 2, abs=0.5)


async def test_calls_that_leave_make_room():
    """At the head, in the middle, at the end: the others go as if they had never been there."""
    gate = refused(Gates())
    calls = join(gate, *(place(number) for number in range(6)))
    await asyncio.sleep(1)
    for number in (0, 2, 3, 5):
        calls[number].cancel()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in results] == [True, False, True, True, False, True]
    assert gate._line == []


async def test_a_call_that_is_alone_goes_at_once():
    """Where nobody is in line and it is nobody's time that it takes; a moment later, the next one waits."""
    gates = Gates()
    gate = refused(gates)
    await asyncio.sleep(11)
    assert await gate.wait(place(), now(), asyncio.sleep) == (Leave.GO, 0.0)
    leave, waited_s = await gate.wait(place(), now(), asyncio.sleep)
    assert leave is Leave.GO
    assert waited_s > 0


async def test_a_longer_pause_sends_those_away_who_cannot_wait():
    """At once, with the reason; those who left before, and those who can wait, are left alone."""
    gate = refused(Gates())
    begun_at = now()
    patient, late, long, gone = join(
        gate, place(), place(deadline=begun_at + 20), place(max_wait_s=25.0), place(deadline=begun_at + 15)
    )
    await asyncio.sleep(1)
    gone.cancel()
    await asyncio.sleep(0)
    gate.refuse(now(), 40.0, epoch=0, reply_s=0.01, jitter=0.0)
    assert await late == (Leave.TOO_LATE, 1.0)
    assert await long == (Leave.TOO_LONG, 1.0)
    assert now() == begun_at + 1
    gate.refuse(now(), 40.1, epoch=0, reply_s=0.01, jitter=0.0)  # hardly longer: nobody is asked again
    assert (await patient)[0] is Leave.GO
    assert now() == pytest.approx(begun_at + 41.1, abs=0.1)
    assert await asyncio.gather(gone, return_exceptions=True)


async def test_a_gate_is_forgotten():
    """When nobody has come for a while; also that of another key, when the next one is made."""
    gates = Gates()
    other = Request("POST", REQUEST.url + "?key=other", {}, b"")
    assert gates.find(REQUEST) is None
    gate = refused(gates, 1.0)
    refused(gates, 1.0, other)
    assert gates.find(REQUEST) is gate
    await asyncio.sleep(FORGET_S + 1.1)
    assert gates.find(REQUEST) is None
    assert len(gates._gates) == 1
    assert refused(gates) is not gate
    assert len(gates._gates) == 1


async def test_a_gate_of_another_loop():
    """While that runs, its line is its own: others see none, and do not open it. Afterwards its pause holds on."""
    gates = Gates()
    gate = refused(gates, 1000.0)
    [call] = join(gate, place(max_wait_s=2000.0))
    await asyncio.sleep(0)

    async def elsewhere():
        assert gates.find(REQUEST) is None
        copy = dict(gates._gates)
        gates.open_all()
        gates._gates.update(copy)

    in_a_thread(lambda: asyncio.run(elsewhere()))
    await asyncio.sleep(1)
    assert not call.done()
    gates.open_all()
    assert (await call)[0] is Leave.GO
