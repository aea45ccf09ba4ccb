"""What does a short stream cost from request to end? 10 chunks, 200 streams in a row on a warm connection.

Found (two busy cores; ratios to the limit): chunks and batches() 1.05 to 1.12, a loop over lines and json.loads 1.5,
openai 11 (9 over aiohttp), groq 10, litellm 34, mistralai 46. In instructions, on asyncio, it is 713,000 for chunks,
695,000 for the limit and 592,000 for the floor, 1.03; on uvloop 668,000, 621,000 and 516,000, 1.08, for there the turn
of the loop that a request of aiohttp takes more on CPython 3.11 costs the bare loop next to nothing. Five sixths of
that are aiohttp's way to send a request. Ours was 987,000 as long as that was our way, too; a request that
``_io/net/parts/post.py`` writes by hand on aiohttp's connection needs 250,000 less. Of the rest, a sixth is checking
and encoding the request, and the others are spread thin over opening, parsing, accumulating and ending.
"""

from collections.abc import Sequence
from dataclasses import replace

from benchmarks.lab.generators import text_answer
from benchmarks.lab.lab import Contender, Lab, Question, Target
from benchmarks.lab.streaming import reading

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
    targets=(Target(of="opeai_async, chunks", at_most=1.10), Target(of="opeai_async, batches()", at_most=1.10)),
)
