"""What do many streams at the pace of real ones cost? 100 and 500 at once, 50 chunks each, 20 ms apart.

Each chunk carries the moment it was sent, and the delay is how long it took to the reader's hands, on the one
monotonic clock of the machine. All chunks count, those of the first moment, in which all streams are opened, included.

Found (two busy cores; ratios to the limit): where 500 streams fill a core, at 42 us per chunk of the bare loop, chunks
and batches() cost 0.98 to 1.03, and p99 is 1.5 to 1.8 times the limit's 52 ms. Where the machine was faster, at 27 us
and beside all peers, 1.19 and 1.24, a loop over lines and json.loads 1.47, openai 9.6 (6.6 over aiohttp), groq 18,
mistralai 30, litellm 32; and p99 was 57 ms where the limit's was 13 (openai 5 s). Likely that is the moment in which
all streams are opened: aiohttp on CPython 3.11 builds all 500 requests and then writes them, one right after the other,
just before it reads; ours go out as they are built, so the first answers wait while the last requests are built. The
time from the call was not compared.
"""

from collections.abc import Sequence
from functools import partial

from benchmarks.crowds.many import Delays, check_delivered, read_all
from benchmarks.lab.lab import Contender, Lab, Question, Target, times
from benchmarks.lab.pacing import delay_s
from benchmarks.lab.report import Figure
from benchmarks.lab.ways import Way, ways

STREAMS = (100, 500)
CHUNKS = 50
P99 = Figure(name="p99 delay", unit="ms", compared=True)
# A round of the slowest peer takes half a minute.
PEERS_ROUNDS = 1


async def _contenders(lab: Lab) -> Sequence[Contender]:
    chunks = lab.scaled(CHUNKS, least=2)
    found = await ways(lab, lab.base_url("paced", chunks))
    contenders: list[Contender] = []
    for count in STREAMS:
        streams = lab.scaled(count)
        for way in found:
            contender = Contender(
                name=way.name,
                run=partial(_run, way, streams, chunks),
                units=streams * chunks,
                group=f"{count} streams",
                is_peer=way.is_peer,
                rounds=PEERS_ROUNDS if way.is_peer else None,
            )
            contenders.append(contender)
    return contenders


async def _run(way: Way, streams: int, chunks: int) -> dict[str, float]:
    delays = Delays(delay_s)
    await read_all(way, [delays] * streams)
    check_delivered(way, len(delays.all), streams * chunks)
    return {P99.name: delays.percentile(99) * 1e3} if way.tells else {}


def _targets() -> list[Target]:
    targets: list[Target] = []
    for way in ("chunks", "batches()"):
        ours, limit = f"500 streams, opeai_async, {way}", "500 streams, limit"
        targets += [
            Target(of=ours, to=limit, at_most=1.10),
            Target(of=ours, to=limit, at_most=2.0, figure=P99.name),
        ]
    return targets


QUESTION = Question(
    name="paced",
    title=f"100 and 500 streams at once, {CHUNKS} chunks each, 20 ms apart",
    unit="chunk",
    bases=("limit", "floor"),
    figures=(*times("chunk"), P99),
    contenders=_contenders,
    targets=_targets(),
)
