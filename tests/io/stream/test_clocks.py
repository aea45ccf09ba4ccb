"""The clocks of a stream, over a scripted transport: no socket, and a clock that jumps."""

import asyncio

import pytest

from opeai_async import APIConnectionError, APITimeoutError, Outcome, StreamTimeoutError, Timeouts
from opeai_async.testing.transport import Pause
from tests.support.clients import drain, failure_of, scripted, stream_of
from tests.support.instant_time import instant_time
from tests.support.leaks import footprint, no_leaks
from tests.support.reading.chunks import BODY, DONE, FINISH, event, events

pytestmark = pytest.mark.time_limit(1_000_000)  # of a clock that jumps


@pytest.fixture(autouse=True)
async def instant():
    """Time jumps, and every stream leaves nothing behind."""
    with instant_time():
        async with no_leaks():
            yield


async def test_silence_is_an_error():
    """No byte for ``idle_bytes_s``: what arrived is in ``partial``."""
    stream, transport = stream_of(events("a"), Pause(), timeouts=Timeouts(idle_bytes_s=7))
    error, seen = await failure_of(stream, StreamTimeoutError)
    assert (error.phase, error.timeout_s, seen) == ("idle_bytes", 7, ["a"])
    assert isinstance(error, APITimeoutError)
    assert transport.responses[0].end == "aborted"


async def test_comments_are_no_content():
    """A server that only keeps the connection alive is stalled."""
    beats = [step for _ in range(100) for step in (Pause(5), b": ping\n\n")]
    stream, _ = stream_of(events("a"), *beats, timeouts=Timeouts(idle_content_s=60))
    error, _ = await failure_of(stream, StreamTimeoutError)
    assert (error.phase, stream.timing.total_s) == ("idle_content", pytest.approx(60, abs=0.1))


async def test_no_content_at_all():
    """``first_content_s`` counts until the first chunk."""
    beats = [step for _ in range(100) for step in (Pause(5), b": ping\n\n")]
    stream, _ = stream_of(*beats, timeouts=Timeouts(first_content_s=33), max_retries=0)
    error, _ = await failure_of(stream, StreamTimeoutError)
    assert error.phase == "first_content"


async def test_a_shorter_clock_after_the_first_chunk():
    """The timer that was armed for the first content does not delay the next clock."""
    stream, _ = stream_of(
        Pause(1), events("a"), Pause(), timeouts=Timeouts(first_content_s=300, idle_content_s=5, idle_bytes_s=None)
    )
    error, _ = await failure_of(stream, StreamTimeoutError)
    assert (error.phase, stream.timing.total_s) == ("idle_content", pytest.approx(6, abs=0.1))


async def test_a_slow_trickle_is_legal():
    """Only the total deadline ends it."""
    steps = [step for _ in range(1000) for step in (Pause(50), event("a"))]
    stream, _ = stream_of(*steps, timeouts=Timeouts(total_s=990))
    error, seen = await failure_of(stream, StreamTimeoutError)
    assert (error.phase, len(seen)) == ("total", 19)


async def test_the_total_limit_holds_for_a_server_that_is_never_waited_for():
    """A consumer that is always behind does not escape the deadline."""
    stream, _ = stream_of(*[event("a")] * 100, timeouts=Timeouts(total_s=10))
    seen = []

    async def read_slowly():
        async for chunk in stream:
            seen.append(chunk)
            await asyncio.sleep(1)

    with pytest.raises(StreamTimeoutError) as caught:
        await read_slowly()
    assert (caught.value.phase, len(seen)) == ("total", 10)


async def test_the_idle_clock_stands_still_while_the_consumer_is_busy():
    """A consumer that takes an hour per chunk is no silence of the server."""
    stream, _ = stream_of(events("a"), Pause(1), events("b"), Pause(1), FINISH + DONE)
    async for _ in stream:
        await asyncio.sleep(3600)
    assert stream.outcome is Outcome.COMPLETE


async def test_the_idle_clock_goes_on_over_cancelled_reads():
    """Trying again every second does not make a silent server talkative."""
    stream, _ = stream_of(events("a"), Pause(), timeouts=Timeouts(idle_bytes_s=5))
    await anext(stream)
    for _ in range(4):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stream), 1)
    with pytest.raises(StreamTimeoutError):
        await asyncio.wait_for(anext(stream), 1.5)


USAGE = event(usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3})
SPEECH = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}


@pytest.mark.parametrize(
    ("steps", "asked", "graces"),
    [
        pytest.param([events("a"), FINISH, USAGE], {}, 1, id="counts have come"),
        pytest.param([events("a"), FINISH], {"stream_options": {}}, 1, id="counts were not asked for"),
        pytest.param([events("a"), FINISH], {}, 2, id="counts are missing"),
        pytest.param([events("a"), FINISH], {"extra_body": {"stream_options": {"include_usage": True}}}, 2, id="extra"),
        pytest.param([event("a", finish="stop"), USAGE], {}, 3, id="came with the first words"),
    ],
)
async def test_a_body_held_open_after_the_finish_reason(steps, asked, graces):
    """The answer is complete after ``finish_grace_s`` or a few of it, and the connection is not kept."""
    client, transport, _ = scripted(timeouts=Timeouts(finish_grace_s=2))
    transport.respond(*steps, Pause())
    stream = client.chat.completions.stream(**BODY, **asked)
    assert await drain(stream) == ["a"]
    assert stream.outcome is Outcome.COMPLETE
    assert stream.timing.total_s == pytest.approx(2 * graces, abs=0.1)
    assert transport.responses[0].end == "aborted"


async def test_an_early_stop_and_a_pause():
    """A server whose ``stop`` was none has twice the grace to go on, as long as it owes the token counts."""
    stream, _ = stream_of(
        events("a"),
        FINISH,
        Pause(3),
        events("b"),
        FINISH,
        Pause(100_000),
        USAGE,
        DONE,
        timeouts=Timeouts(finish_grace_s=2, idle_content_s=None, idle_bytes_s=None),
    )
    assert await drain(stream) == ["a", "b"]
    assert stream.outcome is Outcome.COMPLETE


async def test_sound_that_was_asked_for_is_waited_for():
    """The text may end long before it."""
    client, transport, _ = scripted(timeouts=Timeouts(finish_grace_s=2))
    sound = b'data: {"choices":[{"index":0,"delta":{"audio":{"id":"a1","data":"UklGRg=="}}}]}\n\n'
    transport.respond(events("a"), FINISH, USAGE, Pause(50), sound, FINISH, Pause(50), DONE)
    completion = await client.chat.completions.stream(**BODY, **SPEECH).completion()
    assert completion.choices[0].message.audio.data == "UklGRg=="


async def test_usage_within_the_grace_is_taken():
    """The chunk with usage comes after the finish_reason."""
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    stream, _ = stream_of(FINISH, Pause(1), event(usage=usage), Pause(1), DONE)
    assert (await stream.completion()).usage.total_tokens == 3


async def test_a_stream_needs_one_timer():
    """However many reads wait, one timer is alive."""
    steps = [step for _ in range(20) for step in (Pause(1), event("a"))]
    stream, _ = stream_of(*steps, FINISH + DONE)
    before = len(footprint().timers)
    async for _ in stream:
        assert len(footprint().timers) <= before + 1


async def test_no_limits_no_timer():
    """Limits of None are no limits."""
    none = Timeouts(idle_bytes_s=None, idle_content_s=None, first_content_s=None, finish_grace_s=None)
    stream, _ = stream_of(Pause(10_000), events("a"), Pause(10_000), FINISH, DONE, timeouts=none)
    assert await drain(stream) == ["a"]


async def test_an_open_stream_over_a_transport_that_fails():
    """``create(stream=True)`` raises what the transport says."""
    client, transport, _ = scripted(max_retries=0)
    transport.fail()
    with pytest.raises(APIConnectionError) as caught:
        await client.chat.completions.create(**BODY, stream=True)
    assert len(caught.value.attempts) == 1


async def test_a_role_alone_is_no_content():
    """The patience for the first content is not cut short by a chunk that brings none."""
    limits = Timeouts(first_content_s=50, idle_content_s=1, idle_bytes_s=None)
    stream, _ = stream_of(event(""), Pause(40), events("a") + FINISH + DONE, timeouts=limits)
    assert await drain(stream) == ["a"]
    stream, _ = stream_of(event(""), Pause(60), events("a") + FINISH + DONE, timeouts=limits)
    with pytest.raises(StreamTimeoutError) as caught:
        await drain(stream)
    assert caught.value.phase == "first_content"


async def test_the_grace_waits_for_the_choice_that_has_not_begun():
    """With n=2, one finish_reason is not the end."""
    client, transport, _ = scripted()
    transport.respond(events("a") + FINISH, Pause(10), event("b", index=1), event(finish="stop", index=1), DONE)
    async with client.chat.completions.stream(**BODY, n=2) as stream:
        completion = await stream.completion()
    assert [choice.message.content for choice in completion.choices] == ["a", "b"]
