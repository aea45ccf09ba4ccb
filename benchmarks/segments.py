"""What does a chunk cost where each comes alone? One event per TCP segment, 1 ms apart, so each wakes the client up.

Found (two busy cores; ratios to the limit): chunks 1.11 to 1.18, batches() 1.07 to 1.18, a loop over lines 1.2, openai
3.9 (2.8 over aiohttp), groq 3.6, litellm and mistralai 6.8. The floor is 0.8 to 0.9, so nearly all is aiohttp's and
the wake-up of asyncio's loop; of ours about 9 us on a quieter day, 48,000 instructions with the decoding, in four
awaits and twenty calls. One await fewer won 1,400 of them. 1.00 reads per chunk.
"""

from collections.abc import Sequence
from functools import partial

from benchmarks.lab import Contender, Lab, Question, Target, repeated
from benchmarks.many import check_delivered
from benchmarks.streaming import post
from benchmarks.ways import Way, ways

CHUNKS = 500


async def reads_per_chunk(lab: Lab, base_url: str, chunks: int) -> float:
    """How often the bare loop is woken up; 1.0 if each event comes alone."""
    async with post(await lab.session(), base_url) as response:
        return len([data async for data in response.content.iter_any()]) / chunks


async def _contenders(lab: Lab) -> Sequence[Contender]:
    chunks = lab.scaled(CHUNKS, least=10)
    base_url = lab.base_url("segments", chunks)
    lab.note(f"reads of the bare loop per chunk, tried once: {await reads_per_chunk(lab, base_url, chunks):.2f}")
    return [
        repeated(way.name, partial(_read, way, chunks), 1, units=chunks, is_peer=way.is_peer)
        for way in await ways(lab, base_url)
    ]


async def _read(way: Way, chunks: int) -> None:
    texts: list[str] = []
    await way.read(texts.append)
    check_delivered(way, len(texts), chunks)


QUESTION = Question(
    name="segments",
    title=f"{CHUNKS} chunks, one TCP segment each, 1 ms apart",
    unit="chunk",
    bases=("limit", "floor"),
    contenders=_contenders,
    targets=(Target(of="opeai_async, chunks", at_most=1.10), Target(of="opeai_async, batches()", at_most=1.10)),
)
