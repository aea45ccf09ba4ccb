"""What does the whole message of a stream cost? The 20,000 chunks of burst, put together; the limit only decodes them.

Found (two busy cores; ratios to the limit): 0.58 to 0.61 (0.68 to 0.80 before ``_core/decode/template.py``); json.loads
and a join 3.7, openai 98 (86 over aiohttp), litellm 198. groq and mistralai put nothing together. Chunks are added a
batch at a time, in one loop without calls; a batch of plain twins is not searched for what few streams carry, and what
all chunks repeat is looked at once per batch.
"""

from collections.abc import Sequence

from benchmarks.lab.generators import text_answer
from benchmarks.lab.lab import Contender, Lab, Question, Target
from benchmarks.lab.streaming import accumulating

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
