"""What does a chunk cost where each comes alone? One event per TCP segment, 1 ms apart, so each wakes the client up.

Found (two busy cores; ratios to the limit): chunks 1.05 to 1.09, batches() 1.05 to 1.10, a loop over lines 1.3, openai
5 (3.8 over aiohttp), groq 4.7, litellm 11, mistralai 12. The floor is 0.92, so nearly all is the wake-up of asyncio's
loop and aiohttp's parser. 1.00 reads per chunk.

In instructions, 100 chunks of one stream, per chunk:

    loop      floor    limit    chunks
    asyncio   83,000   95,000   100,000  1.06; was 107,000
    uvloop    43,000   57,000    64,000  1.11; was  70,000

What ours takes more than the limit is the same on both; but uvloop's wake-up costs half of asyncio's, so it shows more.
For it, a stream has clocks, limits, an outcome and the message so far. Won, by counting the opcodes of each function
in one wake-up: one future that is waited for in place of three coroutines (4,500), a read that begins with the waiting
and not with a look whether there is anything (1,900), one event that is not recognized by the way for many (4,000), and
by two calls that parse no arguments (with members of Enums that are looked up once, 3,400), a text that is appended
without a loop (2,500), a wait that is ended by one call, and a batch that is not counted twice (2,200), and a batch
that is handed out by the coroutine that has read it.
"""

from collections.abc import Sequence
from functools import partial

from benchmarks.crowds.many import check_delivered
from benchmarks.lab.lab import Contender, Lab, Question, Target, repeated
from benchmarks.lab.streaming import post
from benchmarks.lab.ways import Way, ways

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
