"""What does a short stream cost from request to end? 10 chunks, 200 streams in a row on a warm connection.

Found (two busy cores; ratios to the limit): chunks 1.40 to 1.56, batches() 1.25 to 1.43, a loop over lines and
json.loads 1.8, openai 12 (9 over aiohttp), groq 11, litellm 38, mistralai 58. Above the transport it is 418,000
instructions (651,000 before the same cures as in ``request``), of which 115,000 are what the bare loop has, too; a
sixth is checking and encoding the request, and the rest is spread over opening, parsing, accumulating and ending. With
the transport and the event loop it is 983,000 for chunks and 979,000 for batches(), 700,000 for the limit and 596,000
for the floor: five sixths of the bare loop are aiohttp's way to send a request.
"""

from collections.abc import Sequence
from dataclasses import replace

from benchmarks.generators import text_answer
from benchmarks.lab import Contender, Lab, Question, Target
from benchmarks.streaming import reading

CHUNKS = 10
TIMES = 200


async def _contenders(lab: Lab) -> Sequence[Contender]:
    times, characters = lab.scaled(TIMES), len(text_answer(CHUNKS).content)
    contenders = await reading(lab, "burst", CHUNKS, characters=lambda _: characters, times=times)
    return [replace(contender, units=contender.units / CHUNKS) for contender in contenders]


QUESTION = Question(
    name="short",
    title="a stream of 10 chunks; 200 in a row on a warm connection",
    unit="stream",
    bases=("limit", "floor"),
    contenders=_contenders,
    targets=(Target(of="opeai_async, chunks", at_most=1.4), Target(of="opeai_async, batches()", at_most=1.4)),
)
