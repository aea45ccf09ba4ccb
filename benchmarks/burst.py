"""What does a chunk of a fast stream cost? 20,000 chunks of about 300 bytes, one HTTP chunk per event.

FINDINGS
"""

from functools import partial

from benchmarks.lab import Question
from benchmarks.server import STREAM_CHUNKS
from benchmarks.streaming import reading

QUESTION = Question(
    name="burst",
    title="20,000 chunks of about 300 bytes, one HTTP chunk per event",
    unit="chunk",
    bases=("limit", "floor"),
    turns=2,
    contenders=partial(reading, response="burst", chunks=STREAM_CHUNKS),
)
