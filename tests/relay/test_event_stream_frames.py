"""Server-sent events of an answer: what they say, in loops of their own."""

import asyncio
import gc
import re

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from opeai_async import SSE_HEADERS, UI_MESSAGE_HEADERS, StreamInterruptedError, UIMessageEncoder, sse
from opeai_async._relay.websocket import relay
from opeai_async.types.frames import (
    ContentFrame,
    DoneFrame,
    ErrorFrame,
    ReasoningFrame,
    RefusalFrame,
    StartFrame,
    ToolCallFrame,
)
from tests.support.clients import stream_of
from tests.support.reading.chunks import ANSWER
from tests.support.reading.event_streams import all_of, decoded, frames_in
from tests.support.servers.faucet import Faucet

# --- what they say ----------------------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=("Cs",)), min_size=1)
any_frame = st.one_of(
    st.builds(StartFrame, v=st.just(1), id=texts, model=texts),
    st.builds(ContentFrame, text=texts, choice=st.integers(0, 3)),
    st.builds(ReasoningFrame, text=texts),
    st.builds(RefusalFrame, text=texts),
    st.builds(ToolCallFrame, index=st.integers(0, 9), id=st.none() | texts, name=st.none() | texts, arguments=texts),
)
last_frame = st.one_of(
    st.builds(DoneFrame, reason=st.just("completed"), finish_reason=st.none() | texts),
    st.builds(ErrorFrame, code=texts, message=texts, request_id=st.none() | texts),
)


@given(st.lists(any_frame), last_frame)
def test_a_reader_gets_the_frames_that_there_were(frames, last) -> None:
    """In order, by value, each with its offset for an id."""

    async def read():
        faucet = Faucet()
        faucet.pour(*frames, last)
        return await all_of(faucet), faucet.frames

    data, poured = asyncio.run(read())
    assert frames_in(data) == poured
    assert [event.id for event in decoded(data)] == [str(frame.offset) for frame in poured]


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",))), min_size=1))
def test_data_may_have_line_ends(messages) -> None:
    """Each line is a line of data; the three kinds of line ends become one, as the standard has it."""

    async def read():
        faucet = Faucet()
        faucet.finish()
        return await all_of(faucet, encode=lambda _: messages)

    wanted = [re.sub(r"\r\n|\r", "\n", message) for message in messages]
    assert [event.data.decode() for event in decoded(asyncio.run(read()))] == wanted


async def test_an_encoder_may_give_text_bytes_or_objects() -> None:
    """One, several or none for a frame; whoever has the last of a frame's events has the whole frame."""
    messages = iter(["a", b"b", {"c": 1}, None, [], ["d", "e\ud800"], None])
    faucet = Faucet()
    faucet.say("1", "2", "3", "4", "5", "6")
    faucet.finish()
    got = decoded(await all_of(faucet, encode=lambda _: next(messages)))
    assert [(event.id, event.data) for event in got] == [
        ("1", b"a"),
        ("2", b"b"),
        ("3", b'{"c":1}'),
        ("3", b"d"),
        ("6", b"e?"),
    ]


async def test_ui_messages_end_with_done() -> None:
    """The SDK's own streams do, however they end."""
    faucet = Faucet()
    faucet.say("Hi")
    faucet.fail(StreamInterruptedError("broken"))
    *_, error, done = decoded(await all_of(faucet, encode=UIMessageEncoder()))
    assert msgspec.json.decode(error.data) == {"type": "error", "errorText": "The answer was interrupted."}
    assert done.data == b"[DONE]"


async def test_ui_messages_go_over_a_websocket_too() -> None:
    """One part per message; what ends an event stream is no message."""
    faucet, sent = Faucet(), []

    async def send(message):
        sent.append(msgspec.json.decode(message))

    faucet.say("Hi")
    faucet.finish()
    assert (await relay(faucet, send, encode=UIMessageEncoder())).reason == "completed"
    assert [part["type"] for part in sent] == [
        "start",
        "start-step",
        "text-start",
        "text-delta",
        "text-end",
        "finish-step",
        "finish",
    ]


async def test_all_that_is_there_comes_at_once() -> None:
    """One item per wake-up is one write to the socket."""
    faucet = Faucet()
    faucet.say("a")
    faucet.pour(ReasoningFrame(text="b"))
    stream = sse(faucet)
    assert len(frames_in(await anext(stream))) == 2
    faucet.finish()
    assert len(frames_in(await anext(stream))) == 1
    assert [data async for data in stream] == []


async def test_a_source_that_ends_without_a_last_frame_ends_the_events() -> None:
    """There is nothing to say."""
    faucet = Faucet()
    faucet.say("a")
    faucet.dry_up()
    assert len(frames_in(await all_of(faucet))) == 1


def test_the_headers_are_those_that_proxies_need() -> None:
    """Constant, and the SDK's with its mark."""
    assert SSE_HEADERS == {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache",
        "x-accel-buffering": "no",
    }
    assert UI_MESSAGE_HEADERS == {**SSE_HEADERS, "x-vercel-ai-ui-message-stream": "v1"}


# --- without a loop --------------------------------------------------------------------------------------------------


def test_dropping_events_that_were_never_begun_is_nothing() -> None:
    """There is no loop either."""
    sse(stream_of(ANSWER)[0])
    gc.collect()


def test_dropping_after_the_end_of_the_loop_is_nothing() -> None:
    """It has cancelled the read, and nobody is left to close for."""
    faucet = None

    async def read():
        nonlocal faucet
        faucet = Faucet()
        faucet.say("a")
        reader = sse(faucet, ping=0.001)
        await anext(reader)
        await anext(reader)
        return reader

    reader = asyncio.run(read())
    del reader
    gc.collect()
    assert faucet.closed == 0
