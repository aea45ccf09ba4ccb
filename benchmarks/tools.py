"""What do reasoning and tool calls cost? 20,000 chunks, half reasoning_content, most others pieces of 8 calls.

Found (two noisy cores; ratios to the limit): 1.11 to 1.18. A piece of a call costs one more Struct to decode, and a
method call to find the call it belongs to.
"""

from collections.abc import Sequence

from benchmarks.generators import tools_answer
from benchmarks.lab import Contender, Lab, Question
from benchmarks.server import TOOL_CHUNKS
from benchmarks.streaming import accumulating


async def _contenders(lab: Lab) -> Sequence[Contender]:
    answer = tools_answer(TOOL_CHUNKS)
    arguments = sum(len(call[2]) for call in answer.tool_calls)
    return await accumulating(lab, "tools", TOOL_CHUNKS, len(answer.content) + len(answer.reasoning) + arguments)


QUESTION = Question(
    name="tools",
    title="20,000 chunks of reasoning and tool calls put together",
    unit="chunk",
    bases=("limit", "floor"),
    turns=2,
    contenders=_contenders,
)
