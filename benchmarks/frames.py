"""What does a chunk cost where a proxy has joined the stream to frames of 16 KiB? The same 20,000 chunks.

FINDINGS
"""

from functools import partial

from benchmarks.lab import Question
from benchmarks.server import STREAM_CHUNKS
from benchmarks.streaming import reading

QUESTION = Question(
    name="frames",
    title="the same 20,000 chunks in frames of 16 KiB",
    unit="chunk",
    bases=("limit", "floor"),
    turns=2,
    contenders=partial(reading, response="frames", chunks=STREAM_CHUNKS),
)
