"""Does a chunk cost more in a long stream? Streams of 1,000, 10,000 and 100,000 chunks, read in every way.

Chunks, batches, the final message, and a snapshot asked for at each chunk: in all of them the cost of a chunk shall
not depend on how many came before.

Found (two busy cores): a chunk of 100,000 costs no more than one of 1,000, whose stream has a request to pay as well,
in each way. A snapshot at each chunk costs 10 to 15 us at any length where none is kept: its text grows in place.
Where the one before is still held, the text is copied, 0.4 MB at the end of 100,000 chunks, and it is three times
that. openai, which always makes one, takes 500 us, litellm 900 to 1,000.
"""

from collections.abc import Sequence
from functools import partial

from benchmarks.lab.generators import MESSAGES, MODEL, text_answer
from benchmarks.lab.lab import Contender, Lab, Question, Target
from benchmarks.lab.peers import COMPLETION
from benchmarks.lab.streaming import batches, checked, completion, iterate, limit
from opeai_async import AsyncOpeAI

# How often a stream of that length is read in a round.
TIMES = {1_000: 10, 10_000: 2, 100_000: 1}
WAYS = ("chunks", "batches()", "completion()", "snapshots")
FLAT = 1.25
PEERS_MOST = 10_000
PEERS_ROUNDS = 2
SNAPSHOTS_ROUNDS = 3


async def snapshots(client: AsyncOpeAI) -> int:
    """The text of ``stream.snapshot`` at every chunk, none of them kept; returns the length of the last one."""
    length = 0
    async with client.chat.completions.stream(model=MODEL, messages=MESSAGES) as stream:
        async for _ in stream:
            length = len(stream.snapshot.choices[0].message.content or "")
    return length


async def _contenders(lab: Lab) -> Sequence[Contender]:
    contenders: list[Contender] = []
    for size in TIMES:
        contenders += await _of_length(lab, size)
    return contenders


async def _of_length(lab: Lab, size: int) -> list[Contender]:
    chunks = lab.scaled(size, least=10)
    base_url, characters = lab.base_url("burst", chunks), len(text_answer(chunks).content)
    session, client = await lab.session(), await lab.client(base_url)
    reads = {
        "limit": (partial(limit, session, base_url), chunks),
        "opeai_async, chunks": (partial(iterate, client), chunks),
        "opeai_async, batches()": (partial(batches, client), chunks),
        "opeai_async, completion()": (partial(completion, client), characters),
    }
    times, group = lab.scaled(TIMES[size]), _group(size)
    contenders = [checked(name, *read, chunks, times=times, group=group) for name, read in reads.items()]
    name, read = "opeai_async, snapshots", partial(snapshots, client)
    contenders.append(checked(name, read, characters, chunks, group=group, rounds=SNAPSHOTS_ROUNDS))
    for peer in await lab.open_peers(base_url, COMPLETION) if size <= PEERS_MOST else ():
        read = peer.completion
        contenders.append(checked(peer.name, read, characters, chunks, group=group, is_peer=True, rounds=PEERS_ROUNDS))
    return contenders


def _group(size: int) -> str:
    return f"{size:,} chunks"


QUESTION = Question(
    name="length",
    title="streams of 1,000, 10,000 and 100,000 chunks; peers put the message together",
    unit="chunk",
    bases=("limit",),
    contenders=_contenders,
    targets=[
        Target(of=f"{_group(100_000)}, opeai_async, {way}", to=f"{_group(1_000)}, opeai_async, {way}", at_most=FLAT)
        for way in WAYS
    ],
)
