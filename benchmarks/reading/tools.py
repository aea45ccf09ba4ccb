"""What do reasoning and tool calls cost? 20,000 chunks, half reasoning_content, most others pieces of 8 calls.

Found (two busy cores; ratios to the limit): 0.84 to 0.88; json.loads and a join 4.6, openai 125 (101 over aiohttp),
litellm 314; mistralai refuses pieces of calls without a name. A piece of a call costs one more Struct to decode; a
piece of arguments and nothing else, as nearly all are, is appended at once: 0.82 -> 0.46 us to accumulate.
"""

from collections.abc import Sequence

from benchmarks.lab.generators import tools_answer
from benchmarks.lab.lab import Contender, Lab, Question, Target
from benchmarks.lab.streaming import accumulating

CHUNKS = 20_000


async def _contenders(lab: Lab) -> Sequence[Contender]:
    return await accumulating(lab, "tools", lab.scaled(CHUNKS, least=100), characters=_characters)


def _characters(chunks: int) -> int:
    answer = tools_answer(chunks)
    return len(answer.content) + len(answer.reasoning) + sum(len(call[2]) for call in answer.tool_calls)


QUESTION = Question(
    name="tools",
    title="20,000 chunks of reasoning and tool calls put together",
    unit="chunk",
    bases=("limit", "floor"),
    turns=2,
    contenders=_contenders,
    targets=(Target(of="opeai_async, completion()", at_most=1.20),),
)
