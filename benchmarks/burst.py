"""What does a chunk of a fast stream cost? 20,000 chunks of about 300 bytes, one HTTP chunk per event.

Found (two busy cores, CPython 3.11, aiohttp 3.14.5; ratios to the limit): the floor is 0.58, chunks and batches()
0.80, a loop over lines and json.loads 3.1, openai 55 (37 over aiohttp), groq 52, litellm 210, mistralai 220.

Where it goes, on a quieter day: more than half is aiohttp's, about 0.4 us to note each HTTP chunk, and 0.7 us to take
it out again in ``read_nowait``, which below the low-water mark also calls ``resume_reading`` and enters the HTTP parser
once per HTTP chunk. That is why a smaller read buffer (``read_buffer``) costs less, and how chunks cost less than the
bare loop. Of ours, decoding is 0.6 us, accumulating 0.4, taking events apart 0.3 (the limit's split: 0.4),
``__anext__`` 0.15, freeing a batch 0.13. Clocks, limits and outcome are per read and do not show.
"""

from collections.abc import Sequence

from benchmarks.generators import text_answer
from benchmarks.lab import Contender, Lab, Question, Target
from benchmarks.streaming import reading

CHUNKS = 20_000


async def contenders(lab: Lab, response: str) -> Sequence[Contender]:
    """Those who read that response, which says what ``text_answer`` says."""
    chunks = lab.scaled(CHUNKS, least=10)
    return await reading(lab, response, chunks, characters=lambda count: len(text_answer(count).content))


async def _contenders(lab: Lab) -> Sequence[Contender]:
    return await contenders(lab, "burst")


QUESTION = Question(
    name="burst",
    title="20,000 chunks of about 300 bytes, one HTTP chunk per event",
    unit="chunk",
    bases=("limit", "floor"),
    turns=2,
    contenders=_contenders,
    targets=(Target(of="opeai_async, chunks", at_most=1.00), Target(of="opeai_async, batches()", at_most=1.00)),
)
