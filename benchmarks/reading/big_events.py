"""What does one event of 1 MB or 10 MB cost, such as a picture? One chunk of base64, in HTTP chunks of three sizes.

The bare loop joins all it has at each read, so its cost grows with the square of the event; ours must not.

Found (two busy cores; ratios to the limit): with 10 MB ours is 0.11 to 0.13 in any cuts, openai 0.70 (0.62 over
aiohttp), groq 1.0, litellm 7.8, mistralai 14. With 1 MB ours is 1.0 to 1.8, openai 4.7, and a megabyte in an event of
10 MB costs 0.3 to 0.6 of one in an event of 1 MB. The loop over lines fails: aiohttp refuses lines of more than 512
KiB.
"""

from collections.abc import Awaitable, Callable, Sequence

from benchmarks.crowds.many import check_delivered
from benchmarks.lab.lab import Contender, Lab, Question, Target, repeated
from benchmarks.lab.responses import BIG_CUTS_KIB
from benchmarks.lab.ways import Way, ways

SIZES_MB = {1: 10, 10: 2}
PEERS_CUT_KIB = 64
# The slowest peer takes a third of a second for a megabyte.
PEERS_ROUNDS = 1


async def _contenders(lab: Lab) -> Sequence[Contender]:
    contenders: list[Contender] = []
    for cut in BIG_CUTS_KIB:
        for size, times in SIZES_MB.items():
            content_bytes = lab.scaled(size * 1_000_000)
            for way in await ways(lab, lab.base_url(f"big-{cut}", content_bytes)):
                if way.is_peer and cut != PEERS_CUT_KIB:
                    continue
                contender = repeated(
                    way.name,
                    _reading(way, content_bytes),
                    lab.scaled(times),
                    units=content_bytes / 1e6,
                    group=f"{size} MB in {cut} KiB",
                    is_peer=way.is_peer,
                    rounds=PEERS_ROUNDS if way.is_peer else None,
                )
                contenders.append(contender)
    return contenders


def _reading(way: Way, content_bytes: int) -> Callable[[], Awaitable[None]]:
    async def read() -> None:
        sizes: list[int] = []
        await way.read(lambda text: sizes.append(len(text)))
        check_delivered(way, sum(sizes), content_bytes)

    return read


def _targets() -> list[Target]:
    targets: list[Target] = []
    for cut in BIG_CUTS_KIB:
        of = f"10 MB in {cut} KiB, opeai_async, chunks"
        targets += [
            Target(of=of, to=f"10 MB in {cut} KiB, limit", at_most=0.25),
            Target(of=of, to=f"1 MB in {cut} KiB, opeai_async, chunks", at_most=2.0),
        ]
    return targets


QUESTION = Question(
    name="big_events",
    title="one event of 1 MB or 10 MB in HTTP chunks of 16 KiB, 64 KiB and 1 MiB",
    unit="MB",
    bases=("limit", "floor"),
    turns=2,
    contenders=_contenders,
    targets=_targets(),
)
