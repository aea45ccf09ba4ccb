"""The log of one answer's frames: nothing lost, nothing doubled, whatever was put together and wherever one reads."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async._core.frames.algebra import MAX_FRAME_CHARS, rest_after, width
from opeai_async._core.frames.log import FRAME_BYTES, FrameLog
from opeai_async.errors import StreamTooLargeError
from opeai_async.types.common import Annotation
from opeai_async.types.frames import (
    AnnotationsFrame,
    AudioFrame,
    ContentFrame,
    DoneFrame,
    ErrorFrame,
    Frame,
    PingFrame,
    ReasoningFrame,
    RefusalFrame,
    StartFrame,
    ToolCallFrame,
)
from tests.support.reading.streams import texts
from tests.support.servers.faucet import said

PLENTY = 2**30

text_frames = st.builds(
    lambda kind, text, choice: kind(text=text, choice=choice),
    st.sampled_from([ContentFrame, ReasoningFrame, RefusalFrame]),
    texts,
    st.integers(0, 1),
)
call_frames = st.builds(
    ToolCallFrame, index=st.integers(0, 1), arguments=texts, name=st.none() | st.just("f"), choice=st.integers(0, 1)
)
frames = st.one_of(
    text_frames,
    text_frames,
    call_frames,
    st.builds(AudioFrame, data=st.just("AA=="), transcript=texts),
    st.builds(AnnotationsFrame, annotations=st.just([Annotation(type="url_citation")])),
)
lasts = st.sampled_from([DoneFrame(reason="completed", finish_reason="stop"), ErrorFrame(code="failed", message="m")])


def numbered(given_frames: list[Frame]) -> list[Frame]:
    """Copies of the frames with the offsets that a framer gives them."""
    offset, result = 0, []
    for frame in given_frames:
        offset += width(frame)
        result.append(msgspec.structs.replace(frame, offset=offset))
    return result


answers = st.builds(
    lambda body, last: numbered([StartFrame(v=1, id="c1", model="m"), *body, last]),
    st.lists(frames, max_size=40),
    lasts,
)


def content(text: str, *, begin: int = 0) -> ContentFrame:
    return ContentFrame(text=text, offset=begin + len(text))


def filled(*batches: list[Frame]) -> FrameLog:
    log = FrameLog(PLENTY)
    for batch in batches:
        log.append(batch)
    return log


@st.composite
def batched(draw: st.DrawFn, answer: list[Frame]) -> list[list[Frame]]:
    """The answer in appends of a few frames."""
    batches, rest = [], answer
    while rest:
        size = draw(st.integers(1, 4))
        batches.append(rest[:size])
        rest = rest[size:]
    return batches


# --- what a reader gets ----------------------------------------------------------------------------------------------


@given(st.data(), answers)
def test_a_reader_gets_all_beyond_its_offset_and_nothing_else(data, answer):
    """From any offset and at any time, it is what the frames say beyond it, and each kind comes as one."""
    log = FrameLog(PLENTY)
    seen: list[Frame] = []
    for batch in data.draw(batched(answer)):
        assert log.append(batch)
        seen += batch
        after = data.draw(st.integers(0, log.offset))
        expected = said([rest for frame in seen if (rest := rest_after(frame, after)) is not None])
        read = log.read(after)
        assert said(read) == (expected or ([log.last] if log.last else []))
        assert after == 0 or len(read) <= max(len(expected), len(batch), 1)


@given(st.data(), answers)
def test_readers_that_come_and_go_end_with_the_same(data, answer):
    """Whoever goes on from the offset it had has what a reader has that was there all the time."""
    log, positions, got = FrameLog(PLENTY), [0, 0, 0], ([], [], [])
    for batch in data.draw(batched(answer)):
        log.append(batch)
        for reader in data.draw(st.sets(st.integers(0, 2))):
            read = log.read(positions[reader])
            cut = data.draw(st.integers(0, len(read)))
            for frame in read[:cut]:
                got[reader].append(frame)
                positions[reader] = frame.offset
    for reader, position in enumerate(positions):
        rest = log.read(position)
        assert rest[-1] is log.last
        whole = said([*got[reader], *(rest if position < log.offset else [])])
        assert whole == said(answer)


@given(st.data(), answers)
def test_what_comes_again_counts_once(data, answer):
    """Appends may overlap, as entries of a store do that was written twice."""
    log = FrameLog(PLENTY)
    for batch in data.draw(batched(answer)):
        log.append(batch)
        again = filled(answer).read(data.draw(st.integers(0, log.offset)))
        log.append([frame for frame in again if frame.offset <= log.offset])
    assert said(log.read(0)) == said(answer)
    assert not log.append(answer)


def test_the_newest_frames_come_as_they_were():
    """Who is up to date shares the frames with all others: they are not made again for each reader."""
    frame, more = content("one"), content(" two", begin=3)
    log = filled([frame], [more])
    (read,) = log.read(3)
    assert read is more


def test_a_cut_inside_of_a_frame_gives_its_rest():
    log = filled([content("one ")], [content("two", begin=4)])
    assert log.read(2) == [ContentFrame(text="e two", offset=7)]


def test_nothing_is_there_beyond_the_offset():
    log = filled([content("one")])
    assert log.read(3) == []
    assert log.read(99) == []
    assert FrameLog(PLENTY).read(0) == []


def test_the_last_frame_always_comes():
    """A reader that has seen the end, or claims more, is told the end again rather than nothing."""
    done = DoneFrame(reason="completed", offset=4)
    log = filled([content("one"), done])
    for after in (3, 4, 99):
        assert log.read(after) == [done]
    assert log.last is done


def test_frames_are_not_put_together_beyond_what_a_websocket_takes():
    half = "x" * (MAX_FRAME_CHARS // 2 + 1)
    log = filled([content(half)], [content(half, begin=len(half))], [content("y", begin=2 * len(half))])
    assert [len(frame.text) for frame in log.read(0)] == [len(half), len(half) + 1]


# --- what comes ------------------------------------------------------------------------------------------------------


def test_a_gap_is_refused():
    """A log with a hole would be read as if nothing were missing."""
    log = filled([content("one")])
    with pytest.raises(ValueError, match="begins beyond offset 3"):
        log.append([content("four", begin=4)])
    assert log.read(0) == [content("one")]


def test_a_ping_is_not_kept():
    log = filled([content("one"), PingFrame(offset=3)])
    assert log.read(0) == [content("one")]
    assert not log.append([PingFrame(offset=3)])


def test_nothing_comes_after_the_end():
    log = filled([DoneFrame(reason="completed", offset=1), content("x", begin=1)])
    assert not log.append([content("x", begin=1)])
    assert log.offset == 1


# --- bounds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_many_small_frames_become_few(size):
    """A run of one kind is kept in about as many frames as its length has binary digits."""
    log, count = FrameLog(PLENTY), 20_000 // size
    for k in range(count):
        log.append([content("x" * size, begin=k * size)])
    assert len(log._old) <= 2 * count.bit_length()
    assert log.bytes <= 20_000 + (len(log._old) + 1) * FRAME_BYTES
    assert len(log.read(0)) == 1


def test_frames_that_get_shorter_become_few_too():
    log, begin = FrameLog(PLENTY), 0
    for size in range(300, 0, -1):
        log.append([content("x" * size, begin=begin)])
        begin += size
    assert len(log._old) < 20


@given(answers)
def test_what_is_held_is_counted(answer):
    """The bytes are those of all frames that are kept."""
    log = filled(*([frame] for frame in answer))
    again = FrameLog(PLENTY)
    again.append(log._old + log._new)
    assert log.bytes == again.bytes


def test_a_frame_that_does_not_fit_is_refused():
    """Those before it are there, and the end fits in any case."""
    log = FrameLog(385)
    with pytest.raises(StreamTooLargeError, match="does not fit into 385 bytes") as caught:
        log.append([RefusalFrame(text="x", offset=1), content("ü" * 65, begin=1)])
    assert caught.value.limit == "max_bytes=385"
    assert log.read(0) == [RefusalFrame(text="x", offset=1)]
    log.append([content("ü" * 64, begin=1)])
    log.append([ErrorFrame(code="too_large", message="m", offset=66)])
    assert [frame.offset for frame in log.read(0)] == [1, 65, 66]
    assert log.bytes == 385


@pytest.mark.parametrize(
    ("frame", "size"),
    [
        (ReasoningFrame(text="abc", offset=3), 3),
        (ContentFrame(text="\U0001f600", offset=1), 4),
        (ContentFrame(text="\ud83d", offset=1), 3),
        (ToolCallFrame(index=0, id="call", name="f", arguments="{ü}", offset=4), 4 + 1 + 4),
    ],
)
def test_bytes_are_those_of_utf_8(frame, size):
    assert filled([frame]).bytes == FRAME_BYTES + size


@pytest.mark.parametrize(
    "frame",
    [
        StartFrame(v=1, offset=1),
        AudioFrame(data="AA==", transcript="ü", offset=1),
        AnnotationsFrame(annotations=[Annotation(type="url_citation")], offset=1),
    ],
)
def test_what_is_no_text_counts_as_json(frame):
    assert filled([frame]).bytes == FRAME_BYTES + len(msgspec.json.encode(frame))
