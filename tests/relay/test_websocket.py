"""A relay between an answer and a client, both in memory; where time matters, it is a number."""

from __future__ import annotations

import asyncio
import inspect
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

import opeai_async._relay.websocket as relay_module
from opeai_async import ConcurrentReadError, ConfigurationError, RelayResult, StreamInterruptedError
from opeai_async._chat.stream import ChatCompletionStream
from opeai_async._relay.frames import StreamFrames
from opeai_async._relay.websocket import relay
from opeai_async.testing import Break, Pause, ScriptedTransport
from opeai_async.types.frames import (
    ContentFrame,
    DoneFrame,
    ErrorFrame,
    Frame,
    ReasoningFrame,
    StartFrame,
    ToolCallFrame,
)
from tests.support.clients import scripted, stream_of
from tests.support.instant_time import instant_time
from tests.support.leaks import eventually, no_collector, no_leaks
from tests.support.reading.chunks import ANSWER, BODY, DONE, FINISH, event, events
from tests.support.reading.reassembled import assert_well_formed
from tests.support.reading.relayed import Left, Page, TimedSource

USAGE = event(usage={"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4})
SILENT: tuple[Any, ...] = (events("a", "b"), Pause())
WHOLE = events("a", "b", "c") + FINISH + USAGE + DONE


@pytest.fixture(autouse=True)
async def nothing_left() -> AsyncIterator[None]:
    """Whatever happens to a relay, it leaves no task and no timer."""
    async with no_leaks():
        yield


@pytest.fixture
async def page() -> Page:
    return Page()


def begun(work: Any) -> asyncio.Task[RelayResult]:
    return asyncio.get_running_loop().create_task(work)


def end_of(transport: ScriptedTransport) -> str | None:
    """How the upstream's response was ended."""
    return transport.responses[-1].end


def text(frames: list[Frame]) -> str:
    return "".join(frame.text for frame in frames if isinstance(frame, ContentFrame))


# --- a whole answer --------------------------------------------------------------------------------------------------


async def test_a_whole_answer(page: Page) -> None:
    stream, transport = stream_of(events("a"), WHOLE)
    result = await stream.relay(page.send, page.receive)
    assert page.frames == [
        StartFrame(v=1, id="c1", model="m", offset=1),
        ContentFrame(text="a", offset=2),
        ContentFrame(text="abc", offset=5),
        DoneFrame(reason="completed", finish_reason="stop", usage=stream.usage, offset=6),
    ]
    assert (result.reason, result.chunks, result.frames, result.inbox) == ("completed", 6, 4, [])
    assert result.bytes == sum(len(message) for _, message in page.messages)
    assert result.completion == await stream.completion()
    assert result.usage == stream.usage
    assert result.error is None
    assert result.timing.stream == stream.timing
    assert 0 <= result.timing.sending_s <= result.timing.total_s
    assert result.timing.first_frame_s <= result.timing.total_s
    assert end_of(transport) == "released"


async def test_a_client_that_only_listens(page: Page) -> None:
    """Without a `receive`, there is nobody to watch."""
    stream, _ = stream_of(WHOLE)
    assert (await stream.relay(page.send)).reason == "completed"


async def test_a_stream_that_was_begun(page: Page) -> None:
    """What has been read of it is not sent; the completion has it."""
    stream, _ = stream_of(events("a"), events("b") + FINISH + DONE)
    await anext(stream)
    result = await stream.relay(page.send, page.receive)
    assert text(page.frames) == "b"
    assert result.completion.choices[0].message.content == "ab"


async def test_a_stream_that_was_read(page: Page) -> None:
    """There is only its end to be told."""
    stream, _ = stream_of(WHOLE)
    await stream.completion()
    result = await stream.relay(page.send, page.receive)
    assert [type(frame) for frame in page.frames] == [DoneFrame]
    assert (result.reason, result.chunks, result.usage) == ("completed", 0, stream.usage)


@pytest.mark.parametrize("error", [None, StreamInterruptedError("the stream broke")])
async def test_a_source_that_was_read(page: Page, error: StreamInterruptedError | None) -> None:
    """It has nothing more to say, not even its end."""
    source = TimedSource([])
    source.error = error  # type: ignore[assignment]
    result = await relay(source, page.send)
    assert (page.messages, result.reason, result.error) == ([], "error" if error else "completed", error)
    assert result.timing.stream is None


async def test_an_interrupted_answer(page: Page) -> None:
    """The client learns that it was, and nothing else; the caller has the error, and what came."""
    stream, _ = stream_of(events("a", "b"), Break("secret-host reset"))
    result = await stream.relay(page.send, page.receive)
    last = page.frames[-1]
    assert isinstance(last, ErrorFrame)
    assert (last.code, text(page.frames)) == ("interrupted", "ab")
    assert "secret" not in page.messages[-1][1]
    assert result.reason == "error"
    assert isinstance(result.error, StreamInterruptedError)
    assert result.completion.choices[0].message.content == "ab"


async def test_an_answer_that_never_began(page: Page) -> None:
    """The upstream refuses: the client is told so, and there is no completion."""
    client, transport, _ = scripted(max_retries=0)
    transport.fail()
    result = await client.chat.completions.stream(**BODY).relay(page.send, page.receive)
    assert [type(frame) for frame in page.frames] == [ErrorFrame]
    assert (result.reason, result.completion, result.usage, result.chunks) == ("error", None, None, 0)
    assert len(transport.requests) == 1


async def test_a_truncated_answer_may_be_taken_as_it_is(page: Page) -> None:
    stream, _ = stream_of(events("a"), on_truncated="return")
    result = await stream.relay(page.send, page.receive)
    assert result.reason == page.frames[-1].reason == "truncated"  # type: ignore[union-attr]


async def test_the_service_may_cancel(page: Page) -> None:
    """The client is told, and gets what had come."""
    stream, transport = stream_of(*SILENT)
    task = begun(stream.relay(page.send, page.receive))
    await page.until(ContentFrame)
    stream.cancel()
    assert (await task).reason == page.frames[-1].reason == "cancelled"  # type: ignore[union-attr]
    assert end_of(transport) == "aborted"


async def test_frames_of_all_kinds_keep_their_order(page: Page) -> None:
    """A frame of another kind is not overtaken."""
    function = {"index": 0, "id": "t", "function": {"name": "f", "arguments": "{}"}}
    deltas = [{"reasoning_content": "a"}, {"content": "b"}, {"tool_calls": [function]}, {"content": "c"}]
    chunks = b"".join(event(choices=[{"index": 0, "delta": delta}]) for delta in deltas)
    stream, _ = stream_of(chunks, FINISH + DONE)
    await stream.relay(page.send, page.receive, window=0)
    kinds = [type(frame) for frame in page.frames]
    assert kinds == [StartFrame, ReasoningFrame, ContentFrame, ToolCallFrame, ContentFrame, ToolCallFrame, DoneFrame]
    assert_well_formed(page.frames)


# --- when ------------------------------------------------------------------------------------------------------------


def tokens(*at: float) -> list[tuple[float, Frame]]:
    """A token at each of these seconds, and the end with the last one."""
    frames: list[tuple[float, Frame]] = [(s, ContentFrame(text="x", offset=n)) for n, s in enumerate(at, 1)]
    return [*frames, (at[-1], DoneFrame(reason="completed", offset=len(at) + 1))]


async def sent_at(page: Page, source: TimedSource, **options: Any) -> list[tuple[float, str]]:
    """When what was sent of *source*, in milliseconds from now."""
    begin = asyncio.get_running_loop().time()
    await relay(source, page.send, **options)
    return [
        (round(1000 * (at - begin)), getattr(frame, "text", str(type(frame).__struct_config__.tag)))
        for (at, _), frame in zip(page.messages, page.frames, strict=True)
    ]


async def test_a_burst_costs_one_frame_per_window(page: Page) -> None:
    """The first token goes out at once, and the others wait for no longer than the window."""
    with instant_time():
        source = TimedSource(tokens(0.1, 0.11, 0.12, 0.13, 0.14, 0.15, 0.16))
        sent = await sent_at(page, source, window=0.03)
    assert sent == [(100, "x"), (130, "xxx"), (160, "xxx"), (160, "done")]


async def test_a_token_after_a_silence_goes_out_at_once(page: Page) -> None:
    with instant_time():
        sent = await sent_at(page, TimedSource(tokens(0.1, 0.2, 0.21, 0.5)), window=0.03)
    assert sent == [(100, "x"), (200, "x"), (230, "x"), (500, "x"), (500, "done")]


async def test_the_start_delays_no_token(page: Page) -> None:
    """Servers send a chunk without text first."""
    with instant_time():
        source = TimedSource([(0.1, StartFrame(v=1, offset=1)), *tokens(0.11)])
        sent = await sent_at(page, source, window=0.03)
    assert sent == [(100, "start"), (110, "x"), (110, "done")]


async def test_without_a_window_every_read_is_sent(page: Page) -> None:
    with instant_time():
        sent = await sent_at(page, TimedSource(tokens(0.1, 0.11, 0.12)), window=0)
    assert [ms for ms, _ in sent] == [100, 110, 120, 120]


async def test_much_is_not_gathered(page: Page) -> None:
    """An answer that is there at once is sent as fast as the client takes it."""
    stream, _ = stream_of(*[events("x" * 20_000)] * 50, FINISH + DONE)
    with instant_time():
        result = await stream.relay(page.send, page.receive)
    assert (text(page.frames), result.frames) == ("x" * 1_000_000, 52)
    assert result.timing.total_s < 0.03


async def test_a_silence_has_heartbeats(page: Page) -> None:
    """Counted from the last frame, also before the first one; they say how far the answer has come."""
    with instant_time():
        sent = await sent_at(page, TimedSource(tokens(2.5, 3.0, 5.1)), heartbeat=1.0)
    assert sent == [
        *((1000, "ping"), (2000, "ping"), (2500, "x"), (3000, "x"), (4000, "ping"), (5000, "ping")),
        *((5100, "x"), (5100, "done")),
    ]
    assert [frame.offset for frame in page.frames] == [0, 0, 1, 2, 2, 2, 3, 4]


async def test_heartbeats_are_not_counted(page: Page) -> None:
    with instant_time():
        result = await relay(TimedSource(tokens(2.5)), page.send, heartbeat=1.0)
    assert (len(page.messages), result.frames) == (4, 2)
    assert result.bytes == sum(len(message) for _, message in page.messages)
    assert result.timing.first_frame_s == pytest.approx(2.5)


async def test_no_heartbeat_where_none_is_wanted(page: Page) -> None:
    with instant_time():
        sent = await sent_at(page, TimedSource(tokens(100.0)), heartbeat=None, send_timeout=None)
    assert sent == [(100_000, "x"), (100_000, "done")]


async def test_a_heartbeat_waits_for_a_send_and_a_send_for_a_heartbeat(page: Page) -> None:
    """There are never two at once, and nothing that was read is lost or overtaken."""
    loop = asyncio.get_running_loop()
    with instant_time():
        source = TimedSource(tokens(1.2, 4.5))
        loop.call_later(0.9, page.open.clear)  # the ping at 1.0 is held up, and then the token
        loop.call_later(2.0, page.open.set)
        loop.call_later(4.4, page.open.clear)  # the token is held up, and no ping comes on top
        loop.call_later(7.0, page.open.set)
        sent = await sent_at(page, source, heartbeat=1.0)
    assert sent == [
        *((2000, "ping"), (2000, "x"), (3000, "ping"), (4000, "ping")),
        *((7000, "x"), (7000, "done")),
    ]


async def test_nothing_is_read_while_a_send_waits(page: Page) -> None:
    """So a client that is slow slows down the upstream; what waits is what one read brought."""
    loop = asyncio.get_running_loop()
    with instant_time():
        source = TimedSource(tokens(0.1, 0.2, 0.3, 0.4, 5.0))
        loop.call_later(0.15, page.open.clear)
        task = begun(relay(source, page.send, heartbeat=None))
        await asyncio.sleep(3.0)
        taken_meanwhile = source.taken
        page.open.set()
        await task
    assert taken_meanwhile == 2
    assert [frame.text for frame in page.frames[:-1]] == ["x", "x", "xx", "x"]  # type: ignore[union-attr]


# --- a client that leaves --------------------------------------------------------------------------------------------

WAYS: dict[str, Any] = {
    "an error": Left(),
    "nothing": None,
    "an ASGI message": {"type": "websocket.disconnect", "code": 1001},
    "a cancellation of its own": asyncio.CancelledError(),
    "a library's type error": type("WSMessageTypeError", (TypeError,), {})(),
}


@pytest.mark.parametrize("way", WAYS)
async def test_a_client_that_leaves_during_a_silence(page: Page, way: str) -> None:
    """The upstream is closed, and the caller knows what had been sent."""
    stream, transport = stream_of(*SILENT)
    task = begun(stream.relay(page.send, page.receive))
    await page.until(ContentFrame)
    page.say(WAYS[way])
    result = await task
    assert (result.reason, result.frames, end_of(transport)) == ("disconnected", 2, "aborted")
    assert result.error is (WAYS[way] if isinstance(WAYS[way], Exception) else None)
    assert result.completion.choices[0].message.content == "ab"


async def test_a_client_that_leaves_before_the_request(page: Page) -> None:
    """Nothing is sent to anybody."""
    stream, transport = stream_of(*SILENT)
    page.leave()
    result = await stream.relay(page.send, page.receive)
    assert (result.reason, result.frames, result.completion, page.messages) == ("disconnected", 0, None, [])
    assert [response.end for response in transport.responses] in ([], ["aborted"])


async def test_a_client_that_leaves_before_the_head(page: Page) -> None:
    """The request is given up."""
    client, transport, _ = scripted()
    transport.respond(WHOLE, delay_s=None)
    task = begun(client.chat.completions.stream(**BODY).relay(page.send, page.receive))
    await eventually(lambda: bool(transport.requests))
    page.leave()
    assert (await task).reason == "disconnected"
    assert transport.responses == []


async def test_a_client_that_leaves_while_a_send_waits(page: Page) -> None:
    stream, transport = stream_of(*SILENT)
    page.open.clear()
    task = begun(stream.relay(page.send, page.receive))
    await eventually(lambda: bool(page.sending))
    page.leave()
    result = await task
    assert (result.reason, result.frames, page.sending, end_of(transport)) == ("disconnected", 0, 0, "aborted")


async def test_a_client_that_is_found_to_have_left_by_a_send(page: Page) -> None:
    """Its library's error is kept."""
    stream, transport = stream_of(events("a"), Pause(0), *SILENT)
    page.has_left = True
    result = await stream.relay(page.send)
    assert (result.reason, end_of(transport)) == ("disconnected", "aborted")
    assert isinstance(result.error, Left)


async def test_a_client_that_is_found_to_have_left_by_a_heartbeat(page: Page) -> None:
    with instant_time():
        source = TimedSource([(1.0, ContentFrame(text="a", offset=1)), None])
        task = begun(relay(source, page.send, heartbeat=5.0))
        await page.until(ContentFrame)
        page.has_left = True
        result = await task
    assert (result.reason, result.frames, source.ended) == ("disconnected", 1, "closed")
    assert result.timing.total_s == pytest.approx(6.0)


async def test_a_send_that_is_cancelled_by_others_has_no_client(page: Page) -> None:
    async def send(_: object) -> None:
        raise asyncio.CancelledError

    stream, transport = stream_of(WHOLE)
    assert (await stream.relay(send, page.receive)).reason == "disconnected"
    assert end_of(transport) is not None


async def test_a_client_that_leaves_with_the_end_in_hand(page: Page) -> None:
    """The last frame is on its way: it has missed nothing."""
    stream, _ = stream_of(WHOLE)

    async def send(message: str) -> None:
        await page.send(message)
        if '"done"' in message:
            page.leave()
            await asyncio.Event().wait()

    result = await stream.relay(send, page.receive)
    assert (result.reason, result.error) == ("completed", None)


async def test_a_last_send_that_fails_was_not_the_end(page: Page) -> None:
    async def send(message: str) -> None:
        if '"done"' in message:
            raise Left

    stream, _ = stream_of(WHOLE)
    result = await stream.relay(send, page.receive)
    assert result.reason == "disconnected"
    assert result.completion.choices[0].finish_reason == "stop"


# --- a client that is slow -------------------------------------------------------------------------------------------


async def test_a_client_that_never_reads(page: Page) -> None:
    """A send has so many seconds; then the upstream is closed."""
    with instant_time():
        source = TimedSource([(1.0, ContentFrame(text="a", offset=1)), None])
        asyncio.get_running_loop().call_later(0.5, page.open.clear)
        result = await relay(source, page.send, page.receive, send_timeout=4.0)
    assert (result.reason, result.frames, source.ended, page.sending) == ("slow", 0, "closed", 0)
    assert result.timing.total_s == pytest.approx(5.0)
    assert result.timing.sending_s == pytest.approx(4.0)


async def test_a_client_that_reads_in_time(page: Page) -> None:
    """Each send has its own time, however late it begins."""
    with instant_time():
        source = TimedSource(tokens(1.0, 5.0, 9.0))
        for second in (0.9, 4.9, 8.9):
            asyncio.get_running_loop().call_later(second, page.open.clear)
            asyncio.get_running_loop().call_later(second + 3.9, page.open.set)
        result = await relay(source, page.send, page.receive, send_timeout=4.0, heartbeat=None)
    assert result.reason == "completed"


async def test_a_heartbeat_may_be_too_slow(page: Page) -> None:
    with instant_time():
        page.open.clear()
        result = await relay(TimedSource([None]), page.send, heartbeat=1.0, send_timeout=2.0)
    assert (result.reason, result.timing.total_s) == ("slow", pytest.approx(3.0))


# --- reading on for the sake of the usage ----------------------------------------------------------------------------


async def test_an_answer_is_read_to_its_end_for_a_client_that_left(page: Page) -> None:
    stream, transport = stream_of(events("a"), Pause(0.01), WHOLE)
    task = begun(stream.relay(page.send, page.receive, on_disconnect="drain"))
    await page.until(ContentFrame)
    page.leave()
    result = await task
    assert (result.reason, text(page.frames), end_of(transport)) == ("disconnected", "a", "released")
    assert result.usage.total_tokens == 4
    assert result.completion.choices[0].message.content == "aabc"


async def test_a_client_that_leaves_after_the_last_read(page: Page) -> None:
    """There is nothing to read on for."""
    stream, _ = stream_of(WHOLE)
    page.open.clear()
    task = begun(stream.relay(page.send, page.receive, on_disconnect="drain"))
    await eventually(lambda: bool(page.sending))
    page.leave()
    result = await task
    assert (result.reason, result.usage.total_tokens) == ("disconnected", 4)


async def test_reading_on_has_a_limit(page: Page) -> None:
    with instant_time():
        source = TimedSource([(1.0, ContentFrame(text="a", offset=1)), None])
        task = begun(relay(source, page.send, page.receive, on_disconnect="drain", drain_timeout=5.0))
        await page.until(ContentFrame)
        page.leave()
        result = await task
    assert (result.reason, source.ended) == ("disconnected", "closed")
    assert result.timing.total_s == pytest.approx(6.0)


async def test_a_slow_client_may_stop_what_is_read_on(page: Page) -> None:
    """It is still there, after all."""
    with instant_time():
        source = TimedSource([(1.0, ContentFrame(text="a", offset=1)), None])
        page.open.clear()
        asyncio.get_running_loop().call_later(10.0, page.say, "stop")
        result = await relay(source, page.send, page.receive, on_disconnect="drain", send_timeout=4.0, heartbeat=None)
    assert (result.reason, source.ended) == ("slow", "stopped")
    assert result.timing.total_s == pytest.approx(10.0, abs=0.05)


# --- what a client says ----------------------------------------------------------------------------------------------


async def test_a_client_stops_the_answer(page: Page) -> None:
    """The upstream is closed, and the client told so."""
    stream, transport = stream_of(*SILENT)
    task = begun(stream.relay(page.send, page.receive))
    await page.until(ContentFrame)
    page.say('{"type": "stop"}')
    result = await task
    assert (result.reason, result.inbox, end_of(transport)) == ("stopped", [], "aborted")
    assert page.frames[-1] == DoneFrame(reason="stopped", offset=4)
    assert result.completion.choices[0].message.content == text(page.frames) == "ab"


async def test_a_client_stops_before_the_request(page: Page) -> None:
    """There is only the end to be told."""
    stream, _ = stream_of(*SILENT)
    page.say("stop")
    result = await stream.relay(page.send, page.receive)
    assert (result.reason, result.completion) == ("stopped", None)
    assert [type(frame) for frame in page.frames] == [DoneFrame]


async def test_a_client_stops_twice(page: Page) -> None:
    stream, _ = stream_of(*SILENT)
    page.say("stop", b"stop")
    assert (await stream.relay(page.send, page.receive)).inbox == []


async def test_a_service_says_what_a_stop_is(page: Page) -> None:
    """It sees the message as it was received; ``stop`` is then a message as any other."""
    stream, _ = stream_of(*SILENT)
    page.say("stop", "halt")
    result = await stream.relay(page.send, page.receive, is_stop=lambda message: message == "halt")
    assert (result.reason, result.inbox) == ("stopped", ["stop"])


async def test_what_else_a_client_says_is_kept(page: Page) -> None:
    """In order, and as it was received."""
    said = ["How are you?", b"\x00", {"type": "websocket.receive", "text": "Hi"}, {"type": "typing"}, "", 7]
    stream, _ = stream_of(events("a"), Pause(), WHOLE)
    task = begun(stream.relay(page.send, page.receive))
    await page.until(ContentFrame)
    page.say(*said, "stop")
    assert (await task).inbox == said


@pytest.mark.parametrize("turns", range(12))
async def test_no_message_is_lost_at_the_end(page: Page, turns: int) -> None:
    """Whenever one comes around the end, it is in the inbox, or the next to be received."""
    stream, _ = stream_of(*SILENT)
    task = begun(stream.relay(page.send, page.receive))
    await page.until(ContentFrame)
    page.say(0)
    stream.cancel()
    for number in range(1, turns + 1):
        await asyncio.sleep(0)
        page.say(number)
    result = await task
    await asyncio.sleep(0)
    assert [*result.inbox, *page.unread] == list(range(turns + 1))


async def test_a_message_that_defies_a_cancellation_is_kept(page: Page) -> None:
    """Some libraries give what they have, and leave the cancellation to the next wait; there is none."""
    calls = 0

    async def receive() -> str:
        nonlocal calls
        calls += 1
        try:
            return str(await page.receive())
        except asyncio.CancelledError:
            return "late"

    stream, _ = stream_of(WHOLE)
    result = await stream.relay(page.send, receive)
    assert (result.reason, result.inbox, calls) == ("completed", ["late"], 1)


async def test_what_goes_wrong_while_it_ends_is_not_what_ended_it(page: Page) -> None:
    """A library may make an error of its own out of the cancellation."""

    async def receive() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise Left from None

    stream, _ = stream_of(WHOLE)
    result = await stream.relay(page.send, receive)
    assert (result.reason, result.error) == ("completed", None)


async def test_a_client_that_floods_has_to_wait(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a bound it is not read any more, and nothing of what it said is lost."""
    monkeypatch.setattr(relay_module, "MAX_INBOX_SIZE", 10_000)
    stream, _ = stream_of(events("a"), Pause(0.02), WHOLE)
    said = ["x" * 1_000] * 20
    page.say(*said)
    result = await stream.relay(page.send, page.receive)
    assert (result.reason, len(result.inbox)) == ("completed", 8)
    assert [*result.inbox, *page.unread] == said


async def test_a_client_that_never_pauses_starves_nobody(page: Page) -> None:
    async def receive() -> str:
        return "x"

    stream, _ = stream_of(*[event("a")] * 5, FINISH + DONE)
    result = await stream.relay(page.send, receive, window=0)
    assert result.reason == "completed"


# --- what goes wrong on this side ------------------------------------------------------------------------------------


def returns_nothing(*_: object) -> Any:
    return None


async def has_a_mistake(*_: object) -> Any:
    raise NameError("no such name")


async def has_no_type(*_: object) -> Any:
    raise TypeError("not a str")


def is_wrong(_: object) -> Any:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"send": returns_nothing}, ConfigurationError),
        ({"receive": returns_nothing}, ConfigurationError),
        ({"send": has_a_mistake}, NameError),
        ({"receive": has_no_type}, TypeError),
        ({"send": None}, TypeError),
        ({"encode": is_wrong}, ZeroDivisionError),
        ({"is_stop": is_wrong}, ZeroDivisionError),
    ],
)
async def test_a_mistake_is_raised(page: Page, options: dict[str, Any], error: type[Exception]) -> None:
    """It is no departure; the upstream is closed all the same."""
    stream, transport = stream_of(*SILENT)
    page.say("Hello")
    with pytest.raises(error):
        await stream.relay(**{"send": page.send, "receive": page.receive, **options})
    assert [response.end for response in transport.responses] in ([], ["aborted"])


@pytest.mark.parametrize(
    "options",
    [
        {"window": -0.1},
        {"send_timeout": 0},
        {"heartbeat": 0},
        {"on_disconnect": "abandon"},
        {"text_only": True, "encode": returns_nothing},
    ],
)
async def test_an_option_that_cannot_be_meant_is_refused(page: Page, options: dict[str, Any]) -> None:
    stream, transport = stream_of(WHOLE)
    with pytest.raises(ConfigurationError, match=next(reversed(options)).split("_")[0]):
        await stream.relay(page.send, page.receive, **options)
    assert transport.requests == []


async def test_a_stream_has_one_reader(page: Page) -> None:
    """Two relays of one stream would each get a part of it."""
    stream, _ = stream_of(*SILENT)
    reading = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    with pytest.raises(ConcurrentReadError):
        await stream.relay(page.send, page.receive)
    reading.cancel()
    await asyncio.wait([reading])


@pytest.mark.parametrize("turns", range(10))
async def test_a_relay_may_be_cancelled(page: Page, turns: int) -> None:
    """At any time; the upstream is closed when it returns, and the watcher gone."""
    stream, transport = stream_of(*SILENT)
    task = begun(stream.relay(page.send, page.receive))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [response.end for response in transport.responses] in ([], ["aborted"])
    page.say("next")
    assert await page.receive() == "next"


async def test_a_relay_may_be_cancelled_while_it_reads_on(page: Page) -> None:
    stream, transport = stream_of(*SILENT)
    task = begun(stream.relay(page.send, page.receive, on_disconnect="drain"))
    await page.until(ContentFrame)
    page.leave()
    for _ in range(10):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert end_of(transport) == "aborted"


@pytest.mark.parametrize("ending", ["completed", "disconnected", "stopped"])
async def test_nothing_keeps_a_relay_alive(page: Page, ending: str) -> None:
    """Neither its result nor an error in it; without the cyclic collector, the stream is gone at once."""
    steps: dict[str, tuple[Any, ...]] = {"completed": (WHOLE,), "disconnected": SILENT, "stopped": SILENT}
    says: dict[str, list[Any]] = {"completed": [], "disconnected": [Left()], "stopped": ["stop"]}

    async def one() -> tuple[RelayResult, Callable[[], ChatCompletionStream | None]]:
        stream, _ = stream_of(*steps[ending])
        task = begun(stream.relay(page.send, page.receive))
        await page.until(ContentFrame)
        page.say(*says[ending])
        return await task, weakref.ref(stream)

    async with no_collector():
        result, stream = await one()
        await asyncio.sleep(0)
        assert result.reason == ending
        assert stream() is None


# --- other forms -----------------------------------------------------------------------------------------------------


async def test_text_only(page: Page) -> None:
    """What there is besides the text of choice 0 is not sent: no start, no end, no ping."""
    with instant_time():
        frames = [(0.0, StartFrame(v=1, offset=1)), (0.0, ReasoningFrame(text="r", offset=2)), *tokens(3.0, 3.01)]
        result = await relay(TimedSource(frames), page.send, text_only=True, heartbeat=1.0)
    assert [message for _, message in page.messages] == ["x", "x"]
    assert (result.reason, result.frames, result.bytes) == ("completed", 2, 2)


async def test_an_encoder_of_the_services_own(page: Page) -> None:
    """It makes one message of a frame, or several, or none; of text, bytes or objects."""

    def encode(frame: Frame) -> Any:
        if isinstance(frame, ContentFrame):
            return ["é", b"\x00\x01"]
        return {"end": True} if isinstance(frame, DoneFrame) else None

    stream, _ = stream_of(ANSWER)
    result = await stream.relay(page.send, page.receive, encode=encode)
    assert [message for _, message in page.messages] == ["é", b"\x00\x01", {"end": True}]
    assert (result.frames, result.bytes) == (2, 4)


async def test_a_frame_source_of_ones_own(page: Page) -> None:
    """Whatever has frames can be relayed."""
    stream, _ = stream_of(ANSWER)
    result = await relay(StreamFrames(stream), page.send, page.receive)
    assert (result.reason, result.timing.stream) == ("completed", stream.timing)


async def test_a_result_is_short_to_look_at(page: Page) -> None:
    """And says nothing of what was said."""
    stream, _ = stream_of(events("secret"), Break("secret"))
    page.say("secret question")
    result = await stream.relay(page.send, page.receive)
    assert repr(result) == (
        f"<RelayResult error: 1 chunks as 3 frames, {result.bytes} bytes, 1 in the inbox, StreamInterruptedError>"
    )


async def test_the_options_are_those_of_the_function() -> None:
    """So that type checkers know what `stream.relay` takes."""
    parameters = inspect.signature(relay).parameters.values()
    keywords = {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
    assert set(relay_module.RelayOptions.__annotations__) == keywords
