"""What does a short stream cost from request to end? 10 chunks, 200 streams in a row on a warm connection.

Found (two busy cores; ratios to the limit): ours 1.6 to 2.1, a loop over lines and json.loads 1.5, openai 19 (14 over
aiohttp), groq 14, litellm 37, mistralai 60. By the profile, of what we add
to aiohttp's own request about a sixth is checking and encoding the request and resolving its limits, less than a
tenth the accumulator, and the rest is spread over opening (attempt, timeout, cancel scope, sweep timer) and ending.
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
