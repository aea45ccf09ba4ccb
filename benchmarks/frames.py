"""What does a chunk cost where a proxy has joined the stream to frames of 16 KiB? The same 20,000 chunks.

Found (two busy cores; ratios to the limit): the floor is 0.1 to 0.2, chunks and batches() 1.3 to 1.7, a loop over
lines and json.loads 12, openai 104 to 118, groq 103, mistralai and litellm 440 to 450. With hardly any HTTP framing to
read, what we do per chunk and the bare loop does not stands out: the accumulator. With it taken out, chunks were 1.14
and batches() 1.02.
"""

from collections.abc import Sequence

from benchmarks import burst
from benchmarks.lab import Contender, Lab, Question, Target


async def _contenders(lab: Lab) -> Sequence[Contender]:
    return await burst.contenders(lab, "frames")


QUESTION = Question(
    name="frames",
    title="the same 20,000 chunks in frames of 16 KiB",
    unit="chunk",
    bases=("limit", "floor"),
    turns=2,
    contenders=_contenders,
    targets=(Target(of="opeai_async, chunks", at_most=1.10), Target(of="opeai_async, batches()", at_most=1.00)),
)
