"""What does taking a stream apart cost, without decoding it? 20,000 events of about 300 bytes in reads of 64 KiB.

Compared: ``bytes.split`` at blank lines, which is what the limit does; ``SSEDecoder.feed``, the public way, with event
objects; ``feed_ordinary``, which our streams use; and ``feed`` where one comment per read sends it line by line.

Found (two noisy cores; ratios to split): feed_ordinary 0.87 in the quieter run and 1.07 in a loud one, feed 1.4 to
1.5 (an object per event), a comment in each read 5: a gateway that sends comments all the time pays 2 to 3 us per
event.
"""

from collections.abc import Sequence

from benchmarks.lab.generators import cut, text_answer
from benchmarks.lab.lab import Contender, Lab, Question, check, computation
from opeai_async import SSEDecoder

EVENTS = 20_000
READ_BYTES = 64 * 1024


def split(reads: list[bytes], expected: int) -> None:
    """The limit's way."""
    count = 0
    rest = b""
    for data in reads:
        *events, rest = (rest + data).split(b"\n\n")
        for event in events:
            payload = event[6:]
            count += len(payload) > 0
    check(count, expected, "the number of events")


def feed(reads: list[bytes], expected: int) -> None:
    """The public way."""
    decoder = SSEDecoder()
    count = 0
    for data in reads:
        for event in decoder.feed(data):
            count += len(event.data) > 0
    check(count, expected, "the number of events")


def feed_ordinary(reads: list[bytes], expected: int) -> None:
    """The way of our streams."""
    decoder = SSEDecoder()
    count = 0
    for data in reads:
        for payload in decoder.feed_ordinary(data) or ():
            count += len(payload) > 0
    check(count, expected, "the number of events")


async def _contenders(lab: Lab) -> Sequence[Contender]:
    events = text_answer(lab.scaled(EVENTS, least=10)).events
    count = len(events)
    reads = cut(b"".join(events), READ_BYTES)
    # About 220 events of 300 bytes fill a read.
    odd = [b": keep-alive\n\n" + event if number % 200 == 0 else event for number, event in enumerate(events)]
    odd_reads = cut(b"".join(odd), READ_BYTES)
    return [
        computation("split", lambda: split(reads, count), times=1, units=count),
        computation("feed_ordinary", lambda: feed_ordinary(reads, count), times=1, units=count),
        computation("feed", lambda: feed(reads, count), times=1, units=count),
        computation("feed, a comment per read", lambda: feed(odd_reads, count), times=1, units=count),
    ]


QUESTION = Question(
    name="sse",
    title="20,000 events taken apart in reads of 64 KiB, not decoded",
    unit="event",
    bases=("split",),
    turns=5,
    contenders=_contenders,
    needs_loop=False,
)
