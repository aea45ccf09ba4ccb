"""What the server of the benchmarks writes is HTTP, and is written as the questions say."""

import asyncio

import pytest

from benchmarks.lab.generators import big_answer, text_answer
from benchmarks.lab.lab import open_lab
from benchmarks.lab.pacing import delay_s
from benchmarks.lab.responses import RESPONSES, in_frames, one_http_chunk_per_event, response_to
from benchmarks.lab.ways import open_way
from benchmarks.reading.segments import reads_per_chunk


@pytest.mark.parametrize("frame", [one_http_chunk_per_event, in_frames])
def test_stream_responses_are_http(frame):
    """A head that announces chunks, and chunks up to the last one."""
    head, _, body = frame(text_answer(100)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert body.endswith(b"\r\n0\r\n\r\n")


def test_whole_responses_are_http():
    """A head that announces the length of the body."""
    head, _, body = response_to("whole", 1024).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Length: %d" % len(body) in head


@pytest.mark.parametrize("kib", [16, 64, 1024])
def test_a_big_event_comes_in_chunks_of_that_size(kib):
    """Its content is as long as was asked for, in one event."""
    size = 3 * kib * 1024
    assert len(big_answer(size).content) == size
    _, _, body = RESPONSES[f"big-{kib}"](size).partition(b"\r\n\r\n")
    assert body.startswith(b"%x\r\n" % (kib * 1024))
    assert body.count(b"data: {") == 1


async def test_one_event_per_segment():
    """Whoever reads faster than they come is woken up for each; here twice at once is allowed now and then."""
    async with open_lab() as lab:
        assert 0.7 < await reads_per_chunk(lab, lab.base_url("segments", 50), 50) <= 1.1


@pytest.mark.parametrize("name", ["paced", "segments"])
async def test_paced_chunks_tell_when_they_were_sent(name):
    """Each carries the moment on the clock that both processes share, in order."""
    async with open_lab() as lab:
        contents: list[str] = []
        delays: list[float] = []

        def note(content: str) -> None:
            contents.append(content)
            delays.append(delay_s(content))

        way = await open_way(lab, lab.base_url(name, 5), "limit")
        await way.read(note)
    assert len(set(contents)) == 5
    assert contents == sorted(contents)
    assert min(delays) >= 0


async def test_a_held_stream_waits_after_its_first_chunk():
    """So many open streams can be counted while nothing happens."""
    async with open_lab() as lab:
        way = await open_way(lab, lab.base_url("hold", 2), "limit")
        came = asyncio.Event()
        reading = asyncio.ensure_future(way.read(lambda _: came.set()))
        await came.wait()
        assert not reading.done()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
