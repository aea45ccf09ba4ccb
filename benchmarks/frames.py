"""What does a chunk cost where a proxy has joined the stream to frames of 16 KiB? The same 20,000 chunks.

Found (two busy cores; ratios to the limit): the floor is 0.1 to 0.2, chunks 1.40 to 1.46, batches() 1.34 to 1.39, a
loop over lines and json.loads 12, openai 99 to 139, groq 95, mistralai and litellm 490 to 500. Missed: there is
hardly any HTTP framing to win on, and a batch of 220 chunks is alive at a time, where the bare loop frees each chunk
before it makes the next, in memory that stays in the first cache. Away from the network, parsing and accumulating is
1.15 of the limit, and parsing alone 0.92.
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
