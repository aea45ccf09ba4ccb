"""Frames add up to the message, however they are merged, cut, and taken up again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async._core.answer.accumulator import Accumulator
from opeai_async._core.decode.decoder import decode_chunk
from opeai_async._core.frames import error_frames as framer
from opeai_async._core.frames.algebra import MAX_FRAME_CHARS, merged, rest_after, width
from opeai_async._core.frames.error_frames import error_frame
from opeai_async._core.frames.framer import Framer
from opeai_async.errors import APIConnectionError, OpeAIError, RateLimitError, StreamTruncatedError
from opeai_async.testing import QUIRKS, Reply, speak
from opeai_async.types.chunk import ChatCompletionChunk
from opeai_async.types.common import CompletionUsage
from opeai_async.types.completion import ChatCompletion
from opeai_async.types.frames import (
    AnnotationsFrame,
    AudioFrame,
    ContentFrame,
    DoneFrame,
    Frame,
    PingFrame,
    ReasoningFrame,
    StartFrame,
    TextFrame,
    ToolCallFrame,
)
from tests.support.reading.reassembled import assert_well_formed, by_completion, by_frames
from tests.support.reading.streams import delta_chunk, deltas_of, messages, parse
from tests.testing.reading import cuts_of

REPLY = Reply(
    ["Grüße, 世界 👋 and more words.", "Second"],
    reasoning="Let me think: naïve, 思考, 🤔.",
    tool_calls=[("get_weather", {"city": "Zürich", "days": 3}), ("get_time", {})],
)
READABLE = sorted(
    name for name, quirk in QUIRKS.items() if quirk.expect not in ("status_error", "too_large") and name != "gzip"
)
RARE: tuple[dict[str, Any], ...] = (
    {"audio": {"id": "a1", "data": "QUJD", "transcript": "AB"}},
    {"audio": {"data": "REVG"}},
    {"audio": {"expires_at": 12}},
    {"annotations": [{"type": "url_citation", "url_citation": {"url": "https://a.test"}}]},
    {"function_call": {"name": "f"}},
    {"function_call": {"arguments": "{}"}},
    {"function_call": {"name": "f", "arguments": '{"a": 1}'}},
    {"function_call": {"name": "g", "arguments": '{"b": 2}'}},
    {"tool_calls": [{"index": 0, "type": "custom", "custom": {"name": "run", "input": "ls"}}]},
    {"tool_calls": [{"index": 0, "custom": {"input": " -l"}}]},
)


def chunk(*args: Any, **kwargs: Any) -> ChatCompletionChunk:
    return decode_chunk(msgspec.json.encode(delta_chunk(*args, **kwargs)))


def call(arguments: str | None = None, *, index: int = 0, **head: Any) -> ChatCompletionChunk:
    """A chunk with a piece of one tool call."""
    name = head.pop("name", None)
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return chunk({"tool_calls": [{"index": index, **head, "function": function}]})


def framed(batches: Sequence[list[ChatCompletionChunk]]) -> list[Frame]:
    """The frames of a whole answer that was read in *batches*."""
    maker = Framer()
    frames = [frame for batch in batches for frame in maker.add(batch)]
    return [*frames, *maker.rest(), maker.done("completed", {}, None)]


def message_of(chunks: list[ChatCompletionChunk]) -> ChatCompletion:
    accumulator = Accumulator()
    accumulator.extend(chunks)
    return accumulator.completion()


def cut_at(frame: Frame, offset: int) -> list[Frame]:
    """*frame* in two, where *offset* lies within it."""
    rest = rest_after(frame, offset)
    if rest is None or rest is frame:
        return [frame]
    if isinstance(frame, TextFrame):
        return [msgspec.structs.replace(frame, text=frame.text[: -len(rest.text)], offset=offset), rest]
    assert isinstance(frame, ToolCallFrame)
    arguments = frame.arguments[: len(frame.arguments) - len(rest.arguments)]
    return [msgspec.structs.replace(frame, arguments=arguments, offset=offset), rest]


@st.composite
def batches_of(draw: st.DrawFn, chunks: list[ChatCompletionChunk]) -> list[list[ChatCompletionChunk]]:
    """*chunks* as they may have been read."""
    bounds = [0, *sorted(draw(st.sets(st.integers(0, len(chunks))))), len(chunks)]
    return [chunks[begin:end] for begin, end in pairwise(bounds)]


@st.composite
def retold(draw: st.DrawFn, frames: list[Frame]) -> list[Frame]:
    """*frames*, cut at any offsets, and then any neighbours merged."""
    pieces = list(frames)
    for offset in draw(st.lists(st.integers(0, frames[-1].offset), max_size=6)):
        pieces = [piece for frame in pieces for piece in cut_at(frame, offset)]
    together = pieces[:1]
    for piece in pieces[1:]:
        whole = merged(together[-1], piece) if draw(st.booleans()) else None
        together[-1:] = [together[-1], piece] if whole is None else [whole]
    return together


def assert_tells(data: st.DataObject, chunks: list[ChatCompletionChunk]) -> None:
    """However *chunks* are read, their frames retold, and a reader cut off: it has the whole message."""
    frames = framed(data.draw(batches_of(chunks)))
    assert_well_formed(frames)
    whole = by_completion(message_of(chunks))
    assert by_frames(frames) == whole
    told, again = data.draw(retold(frames)), data.draw(retold(frames))
    assert_well_formed(told)
    assert by_frames(told) == whole
    read = data.draw(st.integers(0, len(told)))
    position = told[read - 1].offset if read else 0
    rest = [rest for frame in again if (rest := rest_after(frame, position)) is not None]
    assert by_frames([*told[:read], *rest]) == whole
    assert not rest or rest[0].offset > position


@given(data=st.data(), items=st.lists(messages(), min_size=1, max_size=3))
def test_frames_add_up_to_the_message(data: st.DataObject, items: list[dict[str, Any]]) -> None:
    """Texts and calls of several choices, cut and interleaved anyhow."""
    lanes = [data.draw(deltas_of(item)) for item in items]
    order = data.draw(st.permutations([index for index, lane in enumerate(lanes) for _ in lane]))
    assert_tells(data, [chunk(lanes[index].pop(0), index=index) for index in order])


@given(data=st.data(), deltas=st.lists(st.sampled_from([*RARE, {"content": "é"}, {"refusal": "no"}]), max_size=8))
def test_rare_deltas_add_up_to_the_message(data: st.DataObject, deltas: list[dict[str, Any]]) -> None:
    """Speech, citations, calls of the old form and of custom tools."""
    assert_tells(data, [chunk(delta, index=data.draw(st.integers(0, 1))) for delta in deltas])


@pytest.mark.parametrize("name", READABLE)
def test_the_frames_of_every_dialect_add_up_to_the_message(name: str) -> None:
    """Whatever the server does, and wherever its bytes are cut."""
    for cut in cuts_of(speak(REPLY, [name]), seed=len(name)):
        chunks = parse(cut)[0]
        one_by_one = framed([[chunk] for chunk in chunks])
        assert_well_formed(one_by_one)
        assert by_frames(one_by_one) == by_frames(framed([chunks])) == by_completion(message_of(chunks))


# --- one by one ------------------------------------------------------------------------------------------------------


def test_what_comes_together_is_one_frame() -> None:
    """Of its kind and choice; the order of everything else is kept."""
    deltas = [{"reasoning_content": "a"}, {"reasoning_content": "b"}, {"content": "c"}, {"content": "d"}]
    frames = Framer().add([*map(chunk, deltas), chunk({"content": "e"}, index=1), chunk({"content": "f"})])
    assert frames == [
        StartFrame(v=1, id="chatcmpl-1", model="m", offset=1),
        ReasoningFrame(text="ab", offset=3),
        ContentFrame(text="cd", offset=5),
        ContentFrame(text="e", choice=1, offset=6),
        ContentFrame(text="f", offset=7),
    ]


def test_a_chunk_may_say_nothing() -> None:
    maker = Framer()
    assert len(maker.add([chunk({"role": "assistant", "content": ""})])) == 1
    assert maker.add([chunk({"content": ""}), chunk(finish="stop")]) == []
    assert maker.offset == 1


def test_the_pieces_of_a_call_are_one_frame() -> None:
    """Id and name are said once, and the arguments appended."""
    frames = Framer().add([call("", id="c", name="f"), call('{"a"'), call(": 1}")])[1:]
    assert frames == [ToolCallFrame(index=0, id="c", name="f", arguments='{"a": 1}', offset=10)]


def test_a_frame_fits_into_a_websocket_message() -> None:
    """Text is cut by the character, and so are arguments and speech; the offsets are those of the whole."""
    long = "é" * (2 * MAX_FRAME_CHARS + 1)
    chunks = [
        chunk({"content": long}),
        call(long, id="c", name="f"),
        chunk({"audio": {"id": "a", "data": "QUJD" * MAX_FRAME_CHARS, "transcript": long}}),
    ]
    frames = framed([chunks])
    assert_well_formed(frames)
    assert by_frames(frames) == by_completion(message_of(chunks))
    assert max(width(frame) for frame in frames) == MAX_FRAME_CHARS
    audio = [frame for frame in frames if isinstance(frame, AudioFrame)]
    assert {len(frame.data) for frame in audio} == {MAX_FRAME_CHARS}
    assert [frame.id for frame in audio] == ["a", None, None, None]


def test_bursts_of_arguments_make_no_large_frame() -> None:
    frames = Framer().add([call("x" * 40_000, id="c", name="f"), call("y" * 40_000)])[1:]
    assert [width(frame) for frame in frames] == [40_001, 40_000]


def test_an_index_out_of_bounds_is_left_to_the_stream() -> None:
    """What the same chunk said besides is there; the stream ends with the error."""
    frames = Framer().add([chunk({"content": "a", "tool_calls": [{"index": 10**6, "id": "c"}]})])
    assert frames[1:] == [ContentFrame(text="a", offset=2)]


def test_done_has_the_finish_reason_of_each_choice() -> None:
    usage = CompletionUsage(total_tokens=3)
    one = Framer().done("completed", {0: "stop"}, usage)
    assert (one.finish_reason, one.finish_reasons, one.usage, one.offset) == ("stop", None, usage, 1)
    two = Framer().done("truncated", {1: "length", 2: "stop"}, None)
    assert (two.finish_reason, two.finish_reasons) == (None, {1: "length", 2: "stop"})


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (ContentFrame(text="a"), ReasoningFrame(text="b")),
        (ContentFrame(text="a"), ContentFrame(text="b", choice=1)),
        (ToolCallFrame(index=0, arguments="a"), ToolCallFrame(index=1, arguments="b")),
        (ToolCallFrame(index=0, arguments="a"), ToolCallFrame(index=0, arguments="b", kind="custom")),
        (ToolCallFrame(index=0, arguments="a"), ToolCallFrame(index=0, arguments="b", id="c")),
        (AudioFrame(data="QUJD"), AudioFrame(data="QUJD")),
        (AnnotationsFrame(annotations=[]), AnnotationsFrame(annotations=[])),
        (PingFrame(), PingFrame()),
    ],
)
def test_frames_that_stay_two(first: Frame, second: Frame) -> None:
    """Two of another kind, choice or call; a head in the middle; and whatever counts as one place each."""
    assert merged(first, second) is None


def test_a_ping_has_no_width() -> None:
    """One that comes again is left out where more than it said has been read."""
    ping = PingFrame(offset=7)
    assert (width(ping), rest_after(ping, 7), rest_after(ping, 8)) == (0, ping, None)


@pytest.mark.parametrize("kind", [kind for kind, _, _ in framer._ERRORS])
def test_a_stranger_learns_no_secret(kind: type[OpeAIError]) -> None:
    """Neither the words of the server nor those of the library are passed on."""
    error = kind.__new__(kind)
    error.args = ("sk-secret at https://host.internal",)
    frame = error_frame(error, offset=5)
    assert frame.code == next(code for parent, code, _ in framer._ERRORS if isinstance(error, parent))
    assert "secret" not in repr(frame)
    assert "host" not in repr(frame)
    assert frame.message.endswith(".")
    assert frame.offset == 5


def test_the_first_code_that_fits_is_told() -> None:
    error = StreamTruncatedError("the stream ended")
    error.request_id = "req-1"
    frame = error_frame(error)
    assert (frame.code, frame.request_id) == ("truncated", "req-1")
    assert issubclass(RateLimitError, OpeAIError)
    assert error_frame(APIConnectionError("no")).code == "unavailable"
    assert error_frame(OpeAIError("odd")).code == error_frame(KeyError("x")).code == "failed"


def test_the_last_frame_moves_the_offset() -> None:
    maker = Framer()
    maker.add([chunk({"content": "ab"})])
    assert maker.failed(StreamTruncatedError("cut")).offset == maker.offset == 4
    assert isinstance(framed([[chunk({"content": "a"})]])[-1], DoneFrame)
