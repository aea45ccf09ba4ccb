"""How streams end, in errors and otherwise, over a scripted transport: no socket, and a clock that jumps."""

import copy

import pytest

from opeai_async import (
    InternalServerError,
    InvalidResponseError,
    Outcome,
    RetryPolicy,
    StreamDecodeError,
    StreamInterruptedError,
    StreamServerError,
    StreamTooLargeError,
    StreamTruncatedError,
)
from opeai_async.testing.transport import Break, Pause
from tests.support.clients import drain, failure_of, scripted, stream_of, wiring_of
from tests.support.instant_time import instant_time
from tests.support.leaks import no_leaks
from tests.support.reading.chunks import ANSWER, BODY, DONE, FINISH, event, events

pytestmark = pytest.mark.time_limit(1_000_000)  # of a clock that jumps


@pytest.fixture(autouse=True)
async def instant():
    """Time jumps, and every stream leaves nothing behind."""
    with instant_time():
        async with no_leaks():
            yield


# --- ends and errors -------------------------------------------------------------------------------------------------


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


async def test_text_held_back_as_a_tag_when_the_connection_breaks():
    """It comes out before the error, and is part of what arrived."""
    stream, _ = stream_of(events("<think>a</thi"), Break(), reasoning_tags="think")
    batches = stream.batches()
    seen = [chunk.choices[0].delta.reasoning_content for chunk in await anext(batches) + await anext(batches)]
    assert seen == ["a", "</thi"]
    error, _ = await failure_of(stream, StreamInterruptedError)
    assert error.partial.choices[0].message.reasoning_content == "a</thi"


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


@pytest.mark.parametrize("reason", ["error", "ERROR", "abort"])
async def test_a_finish_reason_that_reports_a_failure(reason):
    """``finish_reason="error"`` is an error, after its chunks."""
    stream, _ = stream_of(events("a"), event(finish=reason), DONE)
    error, seen = await failure_of(stream, StreamServerError)
    assert seen == ["a"]
    assert error.finish_reason == reason
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
    budget = wiring_of(client).budget
    for _ in range(3):
        transport.respond(IN_BAND)
    with pytest.raises(StreamServerError):
        await anext(client.chat.completions.stream(**BODY))
    assert budget.tokens == budget.capacity - 2 * budget.THROTTLE_COST
    transport.respond(IN_BAND)
    transport.respond(ANSWER)
    await client.chat.completions.stream(**BODY).completion()
    assert budget.tokens == budget.capacity - 2 * budget.THROTTLE_COST
