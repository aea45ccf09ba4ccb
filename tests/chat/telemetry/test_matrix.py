"""Every named fault and every way to leave a stream: one span, ended, that tells what the stream tells."""

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from opeai_async import AsyncOpeAI, OpeAIError, Outcome
from opeai_async.testing import FAULTS, Endpoint, Fault, OpeAIServer
from tests.promises.faults.matrix import ASK, MAX_STREAM_BYTES, WITH_REQUEST, case, ids
from tests.support.leaks import no_leaks
from tests.support.telemetry.conventions import REQUIRED, strays
from tests.support.telemetry.listener import Listener

pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")

from opentelemetry.trace import StatusCode

from tests.support.telemetry.collected import Collected

CONNECT = [fault for fault in FAULTS.values() if fault.stage == "connect"]
# What ends a call with an error; the others are how a reader leaves, or a good end.
ERRORS = {"failed", "truncated"}


@pytest.fixture
def collected() -> Iterator[Collected]:
    """An SDK that keeps all."""
    made = Collected()
    yield made
    made.close()


def check(collected: Collected, listener: Listener, outcome: str, error: BaseException | None) -> None:
    """There is one span, it has ended, and tells how the call went; each try is an event on it."""
    record = listener.record
    attributes = collected.attributes
    assert collected.observer.open_spans == 0
    assert set(attributes) >= REQUIRED
    assert not strays(attributes)
    assert attributes["opeai.outcome"] == outcome == record.outcome
    assert attributes.get("error.type") == (None if error is None else type(error).__name__)
    is_error = outcome in ERRORS
    assert collected.span.status.status_code is (StatusCode.ERROR if is_error else StatusCode.UNSET)
    assert collected.span.end_time is not None
    events = [event for event in collected.span.events if event.name == "opeai.attempt"]
    assert [(event.attributes or {})["opeai.attempt.number"] for event in events] == [
        attempt.number for attempt in record.attempts
    ]
    assert len(listener.of("attempt_ended")) == len(record.attempts)
    ((_, (count, seconds)),) = collected.points("gen_ai.client.inference.duration")
    assert count == 1
    assert seconds == pytest.approx(record.duration_s)


@pytest.mark.parametrize("fault", WITH_REQUEST, ids=ids(WITH_REQUEST))
async def test_a_stream_that_meets_a_fault(fault: Fault, collected: Collected) -> None:
    """Whatever a server or a network breaks."""
    listener = Listener()
    async with case(fault, stream=True, max_retries=1, observers=[collected.observer, listener]) as this:
        stream = this.client.chat.completions.stream(**ASK)
        stream._options = msgspec.structs.replace(stream._options, max_stream_bytes=MAX_STREAM_BYTES)
        error: OpeAIError | None = None
        try:
            await stream.completion()
        except OpeAIError as exc:
            error = exc
        check(collected, listener, stream.outcome.value, error)
        assert len(listener.record.attempts) == len(this.server.requests)


@pytest.mark.parametrize("fault", WITH_REQUEST, ids=ids(WITH_REQUEST))
async def test_a_completion_that_meets_a_fault(fault: Fault, collected: Collected) -> None:
    """The same, where the answer is awaited."""
    listener = Listener()
    async with case(fault, stream=False, max_retries=1, observers=[collected.observer, listener]) as this:
        error: OpeAIError | None = None
        try:
            await this.client.chat.completions.create(**ASK)
        except OpeAIError as exc:
            error = exc
        check(collected, listener, "complete" if error is None else "failed", error)
        assert len(listener.record.attempts) == len(this.server.requests)


@pytest.mark.parametrize("fault", CONNECT, ids=ids(CONNECT))
@pytest.mark.parametrize("is_stream", [True, False])
async def test_a_call_that_does_not_connect(fault: Fault, is_stream: bool, collected: Collected) -> None:
    """No request, and a span all the same."""
    listener = Listener()
    async with Endpoint(fault.name) as endpoint:
        observers = [collected.observer, listener]
        async with endpoint.client(max_retries=1, observers=observers) as client:
            with pytest.raises(OpeAIError) as caught:
                await client.chat.completions.create(**ASK, stream=is_stream)
    check(collected, listener, "failed", caught.value)
    assert listener.record.finish_reasons == ()


# --- ways to leave ---------------------------------------------------------------------------------------------------


async def by_its_end(client: AsyncOpeAI) -> str:
    """Read it all."""
    stream = client.chat.completions.stream(**ASK)
    async for _ in stream:
        pass
    return stream.outcome.value


async def by_break(client: AsyncOpeAI) -> str:
    """Leave the loop and the block."""
    async with client.chat.completions.stream(**ASK) as stream:
        async for _ in stream:
            break
    return stream.outcome.value


async def by_break_out_of_a_stream_that_was_created(client: AsyncOpeAI) -> str:
    """The same with ``create``."""
    async with await client.chat.completions.create(**ASK, stream=True) as stream:
        async for _ in stream.text():
            break
    return stream.outcome.value


async def by_cancel(client: AsyncOpeAI) -> str:
    """Call ``cancel`` while it is read."""
    stream = client.chat.completions.stream(**ASK)
    async for _ in stream:
        stream.cancel()
    return stream.outcome.value


async def by_close(client: AsyncOpeAI) -> str:
    """Call ``aclose`` twice."""
    stream = client.chat.completions.stream(**ASK)
    await anext(stream)
    await stream.aclose()
    await stream.aclose()
    return stream.outcome.value


async def by_closing_the_client(client: AsyncOpeAI) -> str:
    """Close the client under it."""
    stream = client.chat.completions.stream(**ASK)
    await anext(stream)
    await client.aclose()
    with pytest.raises(OpeAIError):
        await stream.completion()
    return stream.outcome.value


async def by_cancelling_its_task(client: AsyncOpeAI) -> str:
    """Cancel the task that reads it, in its block."""
    made: list[Any] = []

    async def read() -> None:
        async with client.chat.completions.stream(**ASK) as stream:
            made.append(stream)
            async for _ in stream:
                pass

    task = asyncio.create_task(read())
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait([task])
    return made[0].outcome.value


async def by_cancelling_while_it_opens(client: AsyncOpeAI) -> str:
    """Cancel before there is a head."""
    task = asyncio.create_task(client.chat.completions.create(**ASK, stream=True))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    return "cancelled"


async def by_cancelling_a_completion(client: AsyncOpeAI) -> str:
    """Cancel a call whose answer is awaited."""
    task = asyncio.create_task(client.chat.completions.create(**ASK))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    return "cancelled"


async def by_dropping_it(client: AsyncOpeAI) -> str:
    """Forget it."""
    stream = client.chat.completions.stream(**ASK)
    await anext(stream)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del stream
        gc.collect()
    return "dropped"


async def by_dropping_it_while_it_opens(client: AsyncOpeAI) -> str:
    """Forget it after a read that was cancelled before the head came."""
    stream = client.chat.completions.stream(**ASK)
    reading = asyncio.create_task(anext(stream))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])
    del stream, reading
    gc.collect()
    await asyncio.sleep(0)
    return "dropped"


WAYS = [
    by_its_end,
    by_break,
    by_break_out_of_a_stream_that_was_created,
    by_cancel,
    by_close,
    by_closing_the_client,
    by_cancelling_its_task,
    by_cancelling_while_it_opens,
    by_cancelling_a_completion,
    by_dropping_it,
    by_dropping_it_while_it_opens,
]


@pytest.mark.parametrize("way", WAYS)
async def test_a_stream_that_is_left(way: Callable[[AsyncOpeAI], Awaitable[str]], collected: Collected) -> None:
    """Whichever way it is left; none of these is an error but closing the client under it."""
    listener = Listener()
    async with no_leaks(), slow_server() as server:
        async with server.client(max_retries=0, observers=[collected.observer, listener]) as client:
            outcome = await way(client)
    assert collected.attributes["opeai.outcome"] == outcome
    assert len(listener.of("call_started")) == len(listener.of("call_ended")) == 1
    assert collected.observer.open_spans == 0
    is_error = collected.span.status.status_code is StatusCode.ERROR
    assert is_error is (way is by_closing_the_client)
    if outcome == "cancelled" and listener.record.chunks:
        assert collected.attributes["gen_ai.response.finish_reasons"] == ("error",)


@asynccontextmanager
async def slow_server() -> AsyncIterator[OpeAIServer]:
    """Yield a server whose answers take a while."""
    async with OpeAIServer() as server:
        server.reply("one two three four five six", token_delay_s=0.01, times=None)
        yield server


@pytest.mark.parametrize("is_stream", [True, False])
def test_a_call_whose_loop_ends(is_stream: bool, collected: Collected) -> None:
    """A program that stops in the middle of an answer: what was begun is ended when it is forgotten."""
    listener = Listener()

    async def program() -> None:
        server = await OpeAIServer().__aenter__()
        delays = {"token_delay_s": 5.0} if is_stream else {"delay_s": 5.0}
        server.reply("one two three four five six", times=None, **delays)
        client = server.client(max_retries=0, observers=[collected.observer, listener])
        if is_stream:
            stream = client.chat.completions.stream(**ASK)
            kept.append(stream)
            await anext(stream)
        else:
            kept.append(asyncio.ensure_future(client.chat.completions.create(**ASK)))
            await asyncio.sleep(0.05)

    kept: list[Any] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        asyncio.run(program())
        kept.clear()
        gc.collect()
    assert len(listener.of("call_ended")) == 1
    assert collected.attributes["opeai.outcome"] in ("dropped", "cancelled", "failed")
    assert collected.observer.open_spans == 0


async def test_a_call_that_nobody_goes_on_with(collected: Collected) -> None:
    """A coroutine that is closed in the middle, as those are whose loop has ended."""
    listener = Listener()
    async with slow_server() as server, server.client(observers=[collected.observer, listener]) as client:
        calling = client.chat.completions.create(**ASK)
        calling.send(None)
        calling.close()
    assert listener.record.outcome == "dropped"
    assert collected.attributes["opeai.outcome"] == "dropped"
    assert collected.span.status.status_code is StatusCode.UNSET


async def test_an_answer_that_says_error_is_one(collected: Collected) -> None:
    """A finish_reason that means that the model broke."""
    listener = Listener()
    async with OpeAIServer() as server, server.client(observers=[collected.observer, listener]) as client:
        server.reply("one", finish_reason="error")
        stream = client.chat.completions.stream(**ASK)
        with pytest.raises(OpeAIError):
            await stream.completion()
    assert stream.outcome is Outcome.FAILED
    assert collected.attributes["gen_ai.response.finish_reasons"] == ("error",)
    assert collected.span.status.status_code is StatusCode.ERROR
