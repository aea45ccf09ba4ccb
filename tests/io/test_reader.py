"""The reader of one body by itself."""

import asyncio
import math

import pytest

from opeai_async._core.call.http import ResponseHead
from opeai_async._core.call.timeouts import Timeouts, resolve
from opeai_async._io.reader import BodyReader, ReadExpired
from opeai_async._io.transport import BodyError
from opeai_async.testing import Break, Pause, ScriptedResponse
from tests.support.instant_time import instant_time
from tests.support.leaks import in_a_thread, no_leaks

pytestmark = pytest.mark.time_limit(1_000_000)  # of a clock that jumps


@pytest.fixture(autouse=True)
async def instant():
    """Time jumps, and no timer is left."""
    with instant_time():
        async with no_leaks():
            yield


def reader_of(*steps, **timeouts):
    response = ScriptedResponse(ResponseHead(200), steps)
    limits = resolve(Timeouts(**timeouts), stream=True)
    return BodyReader(response, limits, asyncio.get_running_loop().time()), response


async def test_reads_until_the_end():
    """Each read gives what arrived, the last one nothing; ``release`` then keeps the connection."""
    reader, response = reader_of(b"ab", Pause(1), b"c")
    assert [await reader.read() for _ in range(3)] == [b"ab", b"c", b""]
    assert reader.bytes_read == 3
    assert reader.head.status == 200
    reader.release()
    assert response.end == "released"


async def test_a_broken_body():
    """What arrived comes first, then the error, then the same error."""
    reader, _ = reader_of(b"ab", Break("gone"))
    assert await reader.read() == b"ab"
    for _ in range(2):
        with pytest.raises(BodyError, match="gone"):
            await reader.read()
    reader.abort()


async def test_the_expired_clock_is_named_at_every_read():
    """Also at reads after the one that waited."""
    reader, response = reader_of(Pause(), idle_bytes_s=3)
    for _ in range(2):
        with pytest.raises(ReadExpired) as caught:
            await reader.read()
        assert (caught.value.expiry.phase, caught.value.expiry.limit_s) == ("idle_bytes", 3)
    assert response.end == "aborted"


async def test_a_timer_that_fires_while_nobody_waits():
    """It goes away, and the next wait arms another."""
    reader, _ = reader_of(Pause(1), b"a", Pause(), idle_bytes_s=10)
    assert await reader.read() == b"a"
    await asyncio.sleep(100)
    begun_at = asyncio.get_running_loop().time()
    with pytest.raises(ReadExpired):
        await reader.read()
    assert asyncio.get_running_loop().time() - begun_at == pytest.approx(10, abs=0.1)


async def test_a_timer_that_fires_too_early():
    """Bytes came meanwhile: it sleeps on."""
    reader, _ = reader_of(*[step for _ in range(5) for step in (Pause(6), b"a")], Pause(), idle_bytes_s=10)
    begun_at = asyncio.get_running_loop().time()
    for _ in range(5):
        await reader.read()
    with pytest.raises(ReadExpired):
        await reader.read()
    assert asyncio.get_running_loop().time() - begun_at == pytest.approx(40, abs=0.1)


async def test_many_waits_share_a_timer(monkeypatch):
    """It is armed again when it fires, not at each read."""
    armed = []
    loop = asyncio.get_running_loop()
    call_at = loop.call_at

    def counting(when, callback, *args, **kwargs):
        armed.append(getattr(callback, "__name__", ""))
        return call_at(when, callback, *args, **kwargs)

    monkeypatch.setattr(loop, "call_at", counting)
    reader, _ = reader_of(*[step for _ in range(100) for step in (Pause(1), b"a")], idle_bytes_s=30)
    for _ in range(100):
        await reader.read()
    reader.release()
    assert 1 < armed.count("_on_timer") < 10


async def test_the_total_limit_without_waiting():
    """It is looked at with every read; bytes that wait in the buffer do not help."""
    reader, response = reader_of(b"a", b"b", total_s=5)
    assert await reader.read() == b"a"
    await asyncio.sleep(5)
    with pytest.raises(ReadExpired) as caught:
        await reader.read()
    assert caught.value.expiry.phase == "total"
    assert response.end == "aborted"


async def test_no_limit_arms_no_timer():
    """Nothing is scheduled for limits of None."""
    none = dict.fromkeys(("first_content_s", "idle_bytes_s", "idle_content_s", "total_s"))
    reader, _ = reader_of(Pause(1000), b"a", **none)
    reading = asyncio.create_task(reader.read())
    await asyncio.sleep(0)
    assert reader._timer is None
    assert await reading == b"a"
    assert math.isinf(resolve(Timeouts(**none), stream=True).total_s)
    reader.release()


async def test_abandoned_after_its_loop():
    """A finalizer that runs late lets go of the response, and does not raise."""
    made = []

    def other_loop():
        async def make():
            made.append(reader_of(Pause()))

        asyncio.run(make())

    in_a_thread(other_loop)
    reader, response = made[0]
    reader.abandon()
    assert response.end == "aborted"
