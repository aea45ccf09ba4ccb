"""Reading a stream over a scripted transport: no socket, and a clock that jumps."""

import asyncio

import pytest

from opeai_async import APIConnectionError, ClientClosedError, ConcurrentReadError, Outcome
from opeai_async.testing.transport import Pause
from tests.support.clients import rewire, scripted, stream_of, texts
from tests.support.instant_time import instant_time
from tests.support.leaks import no_leaks
from tests.support.reading.chunks import ANSWER, BODY, COMPLETION, DONE, FINISH, event, events

pytestmark = pytest.mark.time_limit(1_000_000)  # of a clock that jumps


@pytest.fixture(autouse=True)
async def instant():
    """Time jumps, and every stream leaves nothing behind."""
    with instant_time():
        async with no_leaks():
            yield


# --- reading ---------------------------------------------------------------------------------------------------------


async def test_each_chunk_is_handed_out_once_and_in_order():
    """However the events are spread over reads, each chunk comes once."""
    stream, transport = stream_of(events("a", "b"), events("c") + event("d")[:10], event("d")[10:], FINISH, DONE)
    assert texts([chunk async for chunk in stream]) == ["a", "b", "c", "d"]
    assert stream.outcome is Outcome.COMPLETE
    assert [chunk async for chunk in stream] == []
    assert transport.responses[0].end == "released"


async def test_text_batches_and_chunks_may_be_mixed():
    """They share one position: nothing comes twice, and nothing is lost."""
    stream, _ = stream_of(events("a", "b", "c"), events("d", "e"), events("f") + FINISH + DONE)
    assert await anext(stream.text()) == "a"
    assert texts([await anext(stream)]) == ["b"]
    assert texts(await anext(stream.batches())) == ["c"]
    assert texts(await anext(stream.batches())) == ["d", "e"]
    assert [text async for text in stream.text()] == ["f"]
    assert [batch async for batch in stream.batches()] == []
    assert (await stream.completion()).choices[0].message.content == "abcdef"


async def test_text_is_that_of_one_choice():
    """``text(choice=1)`` gives what choice 1 says."""
    stream, _ = stream_of(event("a", index=0), event("b", index=1), event("", index=1), FINISH, DONE)
    assert [text async for text in stream.text(choice=1)] == ["b"]


async def test_completion_after_some_chunks_is_the_whole_message():
    """What was iterated and what was not are both in it."""
    stream, _ = stream_of(events("a", "b"), events("c"), FINISH, DONE)
    await anext(stream)
    completion = await stream.completion()
    assert completion.choices[0].message.content == "abc"
    assert completion.meta.status_code == 200
    assert await stream.completion() == completion


async def test_snapshot_in_the_middle_of_a_batch_is_what_was_handed_out():
    """Chunks of the same read that nobody has seen are not in it."""
    stream, _ = stream_of(events("a", "b", "c"), FINISH, DONE)
    await anext(stream)
    await anext(stream)
    assert stream.snapshot.choices[0].message.content == "ab"
    assert texts([chunk async for chunk in stream]) == ["c"]
    assert stream.snapshot.choices[0].message.content == "abc"


async def test_usage_is_known_once_it_was_handed_out():
    """``usage`` and ``timing`` fill as the stream goes on."""
    usage = {"prompt_tokens": 1, "completion_tokens": 8, "total_tokens": 9}
    stream, _ = stream_of(Pause(1), events("a"), Pause(3), FINISH, Pause(1), event(usage=usage), DONE)
    await anext(stream)
    assert stream.usage is None
    await stream.completion()
    assert stream.usage.completion_tokens == 8
    timing = stream.timing
    assert timing.first_byte_s == pytest.approx(1, abs=0.1)
    assert timing.first_content_s == pytest.approx(1, abs=0.1)
    assert timing.total_s == pytest.approx(5, abs=0.1)
    assert timing.tokens_per_s == pytest.approx(2, abs=0.1)


async def test_a_stream_that_was_never_opened_knows_nothing():
    """Its properties are empty, and closing it sends nothing."""
    client, transport, _ = scripted()
    stream = client.chat.completions.stream(**BODY)
    assert stream.outcome is Outcome.OPEN
    assert stream.meta.status_code == 0
    assert stream.timing.total_s is None
    assert stream.quirks == ()
    assert repr(stream) == "<ChatCompletionStream open, 0 chunks>"
    await stream.aclose()
    with pytest.raises(ClientClosedError):
        await stream.open()
    assert transport.requests == []


async def test_opening_twice_sends_once():
    """``open`` does nothing the second time."""
    stream, transport = stream_of(ANSWER)
    await stream.open()
    async with stream:
        assert texts([chunk async for chunk in stream]) == ["a", "b", "c"]
    assert len(transport.requests) == 1


async def test_a_json_body_is_a_stream_of_one_chunk():
    """A gateway that ignores ``stream`` is understood."""
    stream, _ = stream_of(COMPLETION)
    assert [text async for text in stream.text()] == ["abc"]
    assert "json_for_stream" in stream.quirks


# --- cancelled reads -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gap_s", [0.03, 0.06, 0.2])
async def test_a_cancelled_read_may_be_tried_again(gap_s):
    """``wait_for(anext(stream), 0.05)`` over a slow stream delivers every chunk exactly once."""
    letters = [chr(97 + k) for k in range(12)]
    steps = [step for letter in letters for step in (Pause(gap_s), event(letter))]
    client, transport, _ = scripted()
    transport.respond(*steps, Pause(gap_s), FINISH + DONE)
    seen = []
    async with client.chat.completions.stream(**BODY) as stream:
        while True:
            try:
                seen.append(await asyncio.wait_for(anext(stream), 0.05))
            except TimeoutError:
                continue
            except StopAsyncIteration:
                break
    assert texts(seen) == letters
    assert len(transport.requests) == 1


async def test_a_read_that_is_cancelled_while_the_stream_opens():
    """The request goes on, and the next read waits for it: it is sent once, however often the read is tried."""
    client, transport, _ = scripted()
    transport.respond(ANSWER, delay_s=1)
    stream = client.chat.completions.stream(**BODY)
    for _ in range(10):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stream), 0.05)
    assert texts([chunk async for chunk in stream]) == ["a", "b", "c"]
    assert len(transport.requests) == 1


@pytest.mark.parametrize("end", ["cancel", "drop", "close the client", "fail"])
async def test_a_stream_that_ends_while_it_opens_on_its_own(end):
    """The request that went on without a reader ends too."""
    client, transport, _ = scripted(max_retries=0)
    if end == "fail":
        transport.fail(delay_s=1)
    else:
        transport.respond(ANSWER, delay_s=None)
    stream = client.chat.completions.stream(**BODY)
    reading = asyncio.create_task(anext(stream))
    await asyncio.sleep(0.5)
    reading.cancel()
    await asyncio.wait([reading])
    if end == "cancel":
        stream.cancel()
        assert stream.outcome is Outcome.CANCELLED
    elif end == "drop":
        del stream, reading
    elif end == "close the client":
        await client.aclose()
        with pytest.raises(ClientClosedError):
            await anext(stream)
    else:
        for _ in range(2):
            with pytest.raises(APIConnectionError):
                await anext(stream)


async def test_an_opening_that_was_cancelled_may_be_tried_again():
    """The same call goes on: same idempotency key, next attempt."""
    client, transport, _ = scripted()
    transport.respond(delay_s=None)
    transport.respond(ANSWER)
    stream = client.chat.completions.stream(**BODY)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(stream.open(), 0.05)
    assert texts([chunk async for chunk in stream]) == ["a", "b", "c"]
    first, second = transport.requests
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert [request.headers["X-Opeai-Attempt"] for request in transport.requests] == ["1", "2"]
    assert [attempt.error for attempt in stream.meta.attempts] == ["CancelledError", None]


@pytest.mark.parametrize("how", ["create", "async with"])
async def test_an_opening_that_is_cancelled_for_good(how):
    """Whoever has no stream to close yet leaves none behind."""
    client, transport, _ = scripted()
    transport.respond(delay_s=None)

    async def enter():
        async with client.chat.completions.stream(**BODY):
            pass

    opening = enter() if how == "async with" else client.chat.completions.create(**BODY, stream=True)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(opening, 0.05)


async def test_a_retry_that_was_cancelled_may_be_tried_again():
    """A read that was cancelled while it slept before another attempt makes that attempt the next time."""
    client, transport, slept = scripted()
    transport.respond(b'data: {"error": {"message": "busy", "code": 503}}\n\n')
    transport.respond(ANSWER)

    async def sleep(seconds):
        slept.append(seconds)
        await asyncio.sleep(seconds)

    rewire(client, sleep=sleep)
    stream = client.chat.completions.stream(**BODY)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(stream), 0.05)
    assert texts([chunk async for chunk in stream]) == ["a", "b", "c"]
    assert slept == [1.0]


async def test_two_readers_at_once():
    """The second gets an error, the first its chunk."""
    stream, _ = stream_of(events("a"), Pause(1), events("b") + FINISH + DONE)
    await anext(stream)
    reading = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    for read in (
        lambda: anext(stream),
        lambda: anext(stream.text()),
        lambda: anext(stream.batches()),
        stream.completion,
    ):
        with pytest.raises(ConcurrentReadError):
            await read()
    assert texts([await reading]) == ["b"]
    assert (await stream.completion()).choices[0].message.content == "ab"


async def test_two_openings_at_once():
    """The second gets an error, and only one request is sent."""
    client, transport, _ = scripted()
    transport.respond(ANSWER, delay_s=1)
    stream = client.chat.completions.stream(**BODY)
    opening = asyncio.create_task(stream.open())
    await asyncio.sleep(0)
    with pytest.raises(ConcurrentReadError):
        await stream.open()
    await opening
    assert len(transport.requests) == 1
    await stream.aclose()


async def test_tokens_per_second_of_an_answer_that_came_at_once():
    """Where one read brought all of it, nothing is known about its speed."""
    usage = {"prompt_tokens": 1, "completion_tokens": 8, "total_tokens": 9}
    stream, _ = stream_of(events("a", "b") + FINISH + event(usage=usage) + DONE)
    await stream.completion()
    assert stream.timing.tokens_per_s is None
