"""What does the whole message of a stream cost? The 20,000 chunks of burst, put together; the limit only decodes them.

FINDINGS
"""

from collections.abc import Sequence

from benchmarks.generators import text_answer
from benchmarks.lab import Contender, Lab, Question
from benchmarks.server import STREAM_CHUNKS
from benchmarks.streaming import accumulating


async def _contenders(lab: Lab) -> Sequence[Contender]:
    return await accumulating(lab, "burst", STREAM_CHUNKS, len(text_answer(STREAM_CHUNKS).content))


QUESTION = Question(
    name="accumulate",
    title="20,000 chunks put together to the final message",
    unit="chunk",
    bases=("limit", "floor"),
    turns=2,
    contenders=_contenders,
)
