"""What does the whole message of a stream cost? The 20,000 chunks of burst, put together; the limit only decodes them.

Found (two noisy cores; ratios to the limit): 0.96 to 1.13 in three runs; the promise is 1.5. Chunks are added a batch
at a time, 0.4 us each, of which about 0.25 us is looking at fields that few chunks have.
"""

from collections.abc import Sequence

from benchmarks.generators import text_answer
from benchmarks.lab import Contender, Lab, Question, Target
from benchmarks.streaming import accumulating

CHUNKS = 20_000


async def _contenders(lab: Lab) -> Sequence[Contender]:
    chunks = lab.scaled(CHUNKS, least=10)
    return await accumulating(lab, "burst", chunks, characters=lambda count: len(text_answer(count).content))


QUESTION = Question(
    name="accumulate",
    title="20,000 chunks put together to the final message",
    unit="chunk",
    bases=("limit", "floor"),
    turns=2,
    contenders=_contenders,
    targets=(Target(of="opeai_async, completion()", at_most=1.15),),
)
