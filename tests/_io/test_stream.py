"""Streams over a scripted transport: no socket, and a clock that jumps."""

import asyncio
import copy
import pickle

import anyio
import pytest

from opeai_async import (
    APIConnectionError,
    APITimeoutError,
    ClientClosedError,
    ConcurrentReadError,
    InternalServerError,
    InvalidResponseError,
    Outcome,
    RetryPolicy,
    StreamDecodeError,
    StreamInterruptedError,
    StreamServerError,
    StreamTimeoutError,
    StreamTooLargeError,
    StreamTruncatedError,
    Timeouts,
)
from opeai_async.testing.transport import Break, Pause
from tests.support.chunks import ANSWER, BODY, COMPLETION, DONE, FINISH, event, events
from tests.support.clients import KEY, rewire, scripted, texts
from tests.support.instant_time import instant_time
from tests.support.leaks import in_a_thread, no_leaks

pytestmark = pytest.mark.time_limit(1_000_000)  # of a clock that jumps


@pytest.fixture(autouse=True)
async def instant():
    """Time jumps, and every stream leaves nothing behind."""
    with instant_time():
        async with no_leaks():
            yield


def stream_of(*steps, **options):
    """A stream that opens at its first read, and its transport."""
    client, transport, _ = scripted(**options)
    transport.respond(*steps)
    return client.chat.completions.stream(**BODY), transport


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


async def test_an_opening_that_was_cancelled_may_be_tried_again():
    """The same call goes on: same idempotency key, next attempt."""
    client, transport, _ = scripted()
    transport.respond(delay_s=None)
    transport.respond(ANSWER)
    stream = client.chat.completions.stream(**BODY)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(stream), 0.05)
    assert texts([chunk async for chunk in stream]) == ["a", "b", "c"]
    first, second = transport.requests
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]


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
    stream, transport = stream_of(Pause(1), ANSWER)
    opening = asyncio.create_task(stream.open())
    await asyncio.sleep(0)
    with pytest.raises(ConcurrentReadError):
        await stream.open()
    await opening
    assert len(transport.requests) == 1
    await stream.aclose()


# --- cancel() and aclose() -------------------------------------------------------------------------------------------


async def drain(stream):
    return texts([chunk async for chunk in stream])


async def test_cancel_while_opening():
    """The loop over the stream ends quietly, without chunks."""
    client, transport, _ = scripted()
    transport.respond(delay_s=None)
    stream = client.chat.completions.stream(**BODY)
    reading = asyncio.create_task(drain(stream))
    await asyncio.sleep(0.01)
    stream.cancel()
    assert await reading == []
    assert stream.outcome is Outcome.CANCELLED


async def test_cancel_in_the_moment_in_which_the_head_arrives():
    """The response that nobody wants any more is closed."""
    client, transport, _ = scripted()
    transport.respond(ANSWER)
    arrived = asyncio.get_running_loop().create_future()
    send = transport.send

    async def send_late(request, **limits):
        await arrived
        return await send(request, **limits)

    transport.send = send_late
    stream = client.chat.completions.stream(**BODY)
    reading = asyncio.create_task(drain(stream))
    await asyncio.sleep(0.01)
    arrived.set_result(None)
    stream.cancel()
    assert await reading == []
    assert transport.open_responses == 0


async def test_cancel_while_waiting_for_a_retry():
    """No other attempt is made."""
    client, transport, _ = scripted()
    transport.fail()

    async def sleep(seconds):
        await asyncio.Event().wait()

    rewire(client, sleep=sleep)
    stream = client.chat.completions.stream(**BODY)
    reading = asyncio.create_task(drain(stream))
    await asyncio.sleep(0.01)
    stream.cancel()
    assert await reading == []
    assert len(transport.requests) == 1


async def test_cancel_while_waiting_for_a_second_opening():
    """The same, where a first response had brought nothing."""
    client, transport, _ = scripted()
    transport.respond(Break())
    transport.respond(delay_s=None)
    stream = client.chat.completions.stream(**BODY)
    reading = asyncio.create_task(drain(stream))
    await asyncio.sleep(0.01)
    assert len(transport.requests) == 2
    stream.cancel()
    assert await reading == []
    assert stream.outcome is Outcome.CANCELLED


async def test_cancel_while_reading():
    """The loop ends quietly, and the upstream is closed at once."""
    stream, transport = stream_of(events("a", "b"), Pause())
    reading = asyncio.create_task(drain(stream))
    await asyncio.sleep(0.01)
    stream.cancel()
    assert transport.responses[0].end == "aborted"
    assert await reading == ["a", "b"]
    assert stream.outcome is Outcome.CANCELLED
    assert (await stream.completion()).choices[0].message.content == "ab"


async def test_cancel_while_the_consumer_is_busy():
    """The snapshot is exactly what was handed out; the rest of the batch is never seen."""
    stream, transport = stream_of(events("a", "b", "c"), Pause())
    await anext(stream)
    stream.cancel()
    assert transport.responses[0].end == "aborted"
    assert await drain(stream) == []
    assert stream.snapshot.choices[0].message.content == "a"


async def test_cancel_in_the_last_batch():
    """The connection was released already; the answer was not seen whole, so it counts as cancelled."""
    stream, transport = stream_of(ANSWER)
    await anext(stream)
    stream.cancel()
    assert transport.responses[0].end == "released"
    assert stream.outcome is Outcome.CANCELLED


async def test_cancel_after_the_last_chunk():
    """Everything was seen: the stream is complete, though nobody asked for more."""
    stream, _ = stream_of(ANSWER)
    for _ in range(4):
        await anext(stream)
    stream.cancel()
    assert stream.outcome is Outcome.COMPLETE
    assert await drain(stream) == []


async def test_cancel_after_the_end():
    """Nothing changes."""
    stream, _ = stream_of(ANSWER)
    await stream.completion()
    stream.cancel()
    assert stream.outcome is Outcome.COMPLETE


async def test_cancel_before_the_beginning():
    """Nothing is sent."""
    stream, transport = stream_of(ANSWER)
    stream.cancel()
    assert await drain(stream) == []
    assert transport.requests == []


async def test_a_cancelled_stream_gives_its_message_after_aclose():
    """Leaving the block does not turn ``cancel`` into an error."""
    stream, _ = stream_of(events("a"), Pause())
    async with stream:
        await anext(stream)
        stream.cancel()
    assert (await stream.completion()).choices[0].message.content == "a"


async def test_a_closed_stream_says_so():
    """Every read after ``aclose`` before the end raises; ``aclose`` may be called again."""
    stream, transport = stream_of(events("a", "b"), Pause())
    async with stream:
        await anext(stream)
    await stream.aclose()
    assert transport.responses[0].end == "aborted"
    for _ in range(2):
        with pytest.raises(ClientClosedError, match="after 1 chunks"):
            await anext(stream)


async def test_aclose_wakes_a_reader():
    """A read in another task ends with the same error."""
    stream, _ = stream_of(events("a"), Pause())
    reading = asyncio.create_task(drain(stream))
    await asyncio.sleep(0.01)
    await stream.aclose()
    with pytest.raises(ClientClosedError):
        await reading


async def test_aclose_in_a_cancelled_scope():
    """The upstream is closed though nothing may be awaited any more."""
    stream, transport = stream_of(events("a"), Pause())
    await anext(stream)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await stream.aclose()
    assert transport.responses[0].end == "aborted"


async def test_aclose_after_the_end():
    """A complete stream stays complete, and its loop ends quietly."""
    stream, _ = stream_of(ANSWER)
    await stream.completion()
    await stream.aclose()
    assert stream.outcome is Outcome.COMPLETE
    assert await drain(stream) == []


async def test_closing_the_client_wakes_its_readers():
    """Each gets an error that says so, with what it had; nothing is tried again."""
    client, transport, slept = scripted()
    transport.respond(events("a"), Pause())
    transport.respond(Pause())
    transport.respond(delay_s=None)
    streams = [client.chat.completions.stream(**BODY) for _ in range(3)]
    readings = [asyncio.create_task(drain(stream)) for stream in streams]
    await asyncio.sleep(0.01)
    await client.aclose()
    reading, waiting, opening = await asyncio.gather(*readings, return_exceptions=True)
    assert isinstance(reading, StreamInterruptedError)
    assert "the client was closed" in str(reading)
    assert reading.partial.choices[0].message.content == "a"
    assert isinstance(waiting, StreamInterruptedError)
    assert isinstance(opening, ClientClosedError)
    assert slept == []
    with pytest.raises(ClientClosedError):
        await client.chat.completions.create(**BODY)


# --- dropped streams -------------------------------------------------------------------------------------------------


async def test_a_dropped_stream_is_closed_with_a_warning():
    """The last reference goes: the upstream is closed, and a warning names the cure."""
    stream, transport = stream_of(events("a", "b"), Pause())
    await anext(stream)
    with pytest.warns(ResourceWarning, match="unclosed <ChatCompletionStream open"):
        del stream
    assert transport.responses[0].end == "aborted"


@pytest.mark.filterwarnings("error::ResourceWarning")
async def test_a_stream_dropped_by_a_cancelled_read_does_not_warn():
    """A task that was cancelled in ``async for`` did nothing wrong."""
    stream, transport = stream_of(events("a"), Pause())
    reading = asyncio.create_task(drain(stream))
    del stream
    await asyncio.sleep(0.01)
    reading.cancel()
    await asyncio.wait([reading])  # not awaited: its traceback would hold on to the stream
    del reading
    assert transport.responses[0].end == "aborted"


async def test_a_dropped_stream_warns_after_a_later_read():
    """A read that was cancelled long ago is no excuse."""
    stream, _ = stream_of(Pause(1), events("a"), Pause())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(stream), 0.5)
    await anext(stream)
    with pytest.warns(ResourceWarning):
        del stream


async def test_a_stream_dropped_in_another_thread():
    """It is closed by its own loop."""
    stream, transport = stream_of(events("a"), Pause())
    await anext(stream)
    holder = [stream]
    del stream

    def drop():
        with pytest.warns(ResourceWarning):
            holder.clear()

    in_a_thread(drop)
    await asyncio.sleep(0)
    assert transport.responses[0].end == "aborted"


# --- ends and errors -------------------------------------------------------------------------------------------------


async def failure_of(stream, error_type):
    """The error of reading *stream*, which comes again at each further read, and what came before it."""
    seen = []

    async def read_all():
        async for chunk in stream:
            seen.append(chunk)  # noqa: PERF401 - what came before the error is wanted

    with pytest.raises(error_type) as caught:
        await read_all()
    for read in (lambda: anext(stream), stream.completion, lambda: anext(stream.text())):
        with pytest.raises(error_type) as again:
            await read()
        assert str(again.value) == str(caught.value)
    assert caught.value.__cause__ is None
    assert KEY not in str(pickle.loads(pickle.dumps(caught.value)).__dict__)
    return caught.value, texts(seen)


async def test_a_broken_connection_after_chunks():
    """All that arrived is delivered first; the error carries the facts; nothing is tried again."""
    client, transport, slept = scripted()
    transport.respond(events("a", "b"), event("c")[:20], Break("reset by peer"), headers={"x-request-id": "req_1"})
    error, seen = await failure_of(client.chat.completions.stream(**BODY), StreamInterruptedError)
    assert seen == ["a", "b"]
    assert error.partial.choices[0].message.content == "ab"
    assert (error.events, error.bytes, error.request_id) == (2, len(events("a", "b")) + 20, "req_1")
    assert "reset by peer" in str(error)
    assert slept == []


async def test_a_broken_connection_after_the_finish_reason():
    """The answer is whole, though the connection was not closed properly."""
    stream, _ = stream_of(events("a"), FINISH, Break())
    assert await drain(stream) == ["a"]
    assert stream.outcome is Outcome.COMPLETE


async def test_a_clean_end_without_a_finish_reason():
    """Something cut the answer."""
    stream, _ = stream_of(events("a"))
    error, seen = await failure_of(stream, StreamTruncatedError)
    assert seen == ["a"]
    assert error.partial.choices[0].message.content == "a"
    assert stream.outcome is Outcome.TRUNCATED


async def test_a_clean_end_may_be_accepted():
    """``on_truncated="return"`` ends quietly; the outcome still tells."""
    stream, _ = stream_of(events("a"), on_truncated="return")
    assert await drain(stream) == ["a"]
    assert stream.outcome is Outcome.TRUNCATED


async def test_an_empty_body_may_be_accepted_too():
    """After the retries it is what it is."""
    client, transport, _ = scripted(on_truncated="return")
    for _ in range(3):
        transport.respond()
    stream = client.chat.completions.stream(**BODY)
    assert await drain(stream) == []
    assert stream.outcome is Outcome.TRUNCATED
    assert len(transport.requests) == 3


async def test_a_clean_end_after_the_finish_reason():
    """``[DONE]`` is a courtesy."""
    stream, _ = stream_of(events("a"), FINISH)
    assert await drain(stream) == ["a"]
    assert stream.outcome is Outcome.COMPLETE


async def test_done_without_a_finish_reason():
    """The server says that this is all."""
    stream, _ = stream_of(events("a"), DONE)
    assert await drain(stream) == ["a"]
    assert stream.outcome is Outcome.UNLABELLED


async def test_a_finish_reason_that_reports_a_failure():
    """``finish_reason="error"`` is an error, after its chunks."""
    stream, _ = stream_of(events("a"), event(finish="error"), DONE)
    error, seen = await failure_of(stream, StreamServerError)
    assert seen == ["a"]
    assert error.finish_reason == "error"
    assert stream.outcome is Outcome.FAILED


async def test_an_error_in_the_stream():
    """It is raised with its code, after the chunks before it, and not tried again."""
    client, transport, slept = scripted()
    transport.respond(events("a") + b'data: {"error": {"message": "overloaded", "code": 503}}\n\n')
    error, seen = await failure_of(client.chat.completions.stream(**BODY), StreamServerError)
    assert seen == ["a"]
    assert error.status_code == 503
    assert transport.responses[0].end == "aborted"
    assert slept == []


async def test_an_event_that_is_no_chunk():
    """The chunks before it are delivered, the error shows it."""
    stream, transport = stream_of(events("a") + b"data: {nonsense\n\n", Pause())
    error, seen = await failure_of(stream, StreamDecodeError)
    assert seen == ["a"]
    assert "nonsense" in error.excerpt
    assert transport.responses[0].end == "aborted"


async def test_an_index_beyond_the_limit():
    """Refused without padding."""
    stream, transport = stream_of(event("a") + event("b", index=10**9), Pause())
    error, _ = await failure_of(stream, StreamTooLargeError)
    assert transport.responses[0].end == "aborted"
    assert error.partial.choices[0].message.content == "a"


async def test_html_instead_of_events():
    """No stream at all: what answered is not this API."""
    stream, transport = stream_of(b"<html>login</html>")
    with pytest.raises(InvalidResponseError) as caught:
        await anext(stream)
    assert "login" in caught.value.excerpt
    assert len(caught.value.attempts) == 1
    assert transport.responses[0].end == "aborted"


async def test_errors_are_copies():
    """Each read raises an error of its own, so that no traceback grows or leads to another reader."""
    stream, _ = stream_of(events("a"), Break())
    await anext(stream)
    raised = []
    for _ in range(2):
        with pytest.raises(StreamInterruptedError) as caught:
            await anext(stream)
        raised.append(caught.value)
    assert raised[0] is not raised[1]
    assert copy.copy(raised[0]).partial == raised[1].partial


# --- retries ---------------------------------------------------------------------------------------------------------

IN_BAND = b'data: {"error": {"message": "overloaded", "code": 503}}\n\n'


@pytest.mark.parametrize(
    "steps",
    [(IN_BAND,), (Break(),), (b": comment\n\n", Break()), (), (b": comment\n\n",)],
    ids=["error first", "cut", "cut after a comment", "empty", "only a comment"],
)
async def test_what_fails_before_the_first_chunk_is_tried_again(steps):
    """Nothing was handed out, so nobody can tell the difference."""
    client, transport, slept = scripted()
    transport.respond(*steps)
    transport.respond(ANSWER)
    stream = client.chat.completions.stream(**BODY)
    assert await drain(stream) == ["a", "b", "c"]
    assert len(slept) == 1
    assert transport.responses[0].end is not None
    first, second = stream.meta.attempts
    assert (first.error is not None, second.error, second.delay_s) == (True, None, slept[0])


async def test_the_last_error_before_the_first_chunk_is_raised():
    """After ``max_retries`` the error comes through, at each read."""
    client, transport, _ = scripted(max_retries=1)
    transport.respond(IN_BAND)
    transport.respond(Break())
    stream = client.chat.completions.stream(**BODY)
    error, seen = await failure_of(stream, StreamInterruptedError)
    assert seen == []
    assert error.partial is None
    with pytest.raises(StreamInterruptedError):
        await stream.open()


async def test_an_opening_that_failed_raises_again():
    """``open``, ``async with`` and reads all tell the same."""
    client, transport, _ = scripted(max_retries=0)
    transport.respond(b'{"error": {"message": "down"}}', status=500)
    stream = client.chat.completions.stream(**BODY)
    for use in (stream.open, stream.__aenter__, lambda: anext(stream), stream.completion):
        with pytest.raises(InternalServerError):
            await use()
    assert stream.outcome is Outcome.FAILED
    assert len(transport.requests) == 1


async def test_without_ambiguous_retries_a_cut_is_final():
    """``retry_ambiguous=False`` is for callers who pay per request."""
    client, transport, slept = scripted(retry=RetryPolicy(retry_ambiguous=False))
    transport.respond(Break())
    with pytest.raises(StreamInterruptedError):
        await anext(client.chat.completions.stream(**BODY))
    assert slept == []


async def test_a_success_refunds_what_its_retries_had_cost():
    """The first batch is the success, not the 200."""
    client, transport, _ = scripted()
    budget = client._wiring.budget
    for _ in range(3):
        transport.respond(IN_BAND)
    with pytest.raises(StreamServerError):
        await anext(client.chat.completions.stream(**BODY))
    assert budget.tokens == budget.capacity - 2 * budget.THROTTLE_COST
    transport.respond(IN_BAND)
    transport.respond(ANSWER)
    await client.chat.completions.stream(**BODY).completion()
    assert budget.tokens == budget.capacity - 2 * budget.THROTTLE_COST


# --- clocks ----------------------------------------------------------------------------------------------------------


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
    stream, _ = stream_of(*steps, timeouts=Timeouts(total_s=1000))
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


async def test_a_body_held_open_after_the_finish_reason():
    """The answer is complete after ``finish_grace_s``, and the connection is not kept."""
    stream, transport = stream_of(events("a"), FINISH, Pause(), timeouts=Timeouts(finish_grace_s=2))
    assert await drain(stream) == ["a"]
    assert stream.outcome is Outcome.COMPLETE
    assert stream.timing.total_s == pytest.approx(2, abs=0.1)
    assert transport.responses[0].end == "aborted"


async def test_usage_within_the_grace_is_taken():
    """The chunk with usage comes after the finish_reason."""
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    stream, _ = stream_of(FINISH, Pause(1), event(usage=usage), Pause(1), DONE)
    assert (await stream.completion()).usage.total_tokens == 3


async def test_a_stream_needs_one_timer():
    """However many reads wait, one timer is alive."""
    steps = [step for _ in range(20) for step in (Pause(1), event("a"))]
    stream, _ = stream_of(*steps, FINISH + DONE)
    loop = asyncio.get_running_loop()
    before = sum(not handle.cancelled() for handle in loop._scheduled)
    async for _ in stream:
        assert sum(not handle.cancelled() for handle in loop._scheduled) <= before + 1


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
