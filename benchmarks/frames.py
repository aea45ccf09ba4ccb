"""What does a chunk cost where a proxy has joined the stream to frames of 16 KiB? The same 20,000 chunks.

Found (two noisy cores; ratios to the limit): the floor is 0.1 to 0.2, chunks 1.3 to 1.5, batches() 1.3 to 1.4, the
openai package 104. With hardly any HTTP framing to read, what we do per chunk and the bare loop does not stands out:
the accumulator. With it taken out, chunks are 1.14 and batches() 1.02.
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
