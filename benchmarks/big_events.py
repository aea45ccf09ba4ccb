"""What does one event of 1 MB or 10 MB cost, such as a picture? One chunk of base64, in HTTP chunks of three sizes.

The bare loop joins all it has at each read, so its cost grows with the square of the event; ours must not.

MEASURED
"""

from collections.abc import Awaitable, Callable, Sequence

from benchmarks.lab import Contender, Lab, Question, Target, repeated
from benchmarks.many import check_delivered
from benchmarks.responses import BIG_CUTS_KIB
from benchmarks.ways import Way, ways

SIZES_MB = {1: 10, 10: 2}


async def _contenders(lab: Lab) -> Sequence[Contender]:
    contenders: list[Contender] = []
    for cut in BIG_CUTS_KIB:
        for size, times in SIZES_MB.items():
            content_bytes = lab.scaled(size * 1_000_000)
            for way in await ways(lab, lab.base_url(f"big-{cut}", content_bytes)):
                if way.is_peer and cut != 64:
                    continue
                contender = repeated(
                    way.name,
                    _reading(way, content_bytes),
                    lab.scaled(times),
                    units=content_bytes / 1e6,
                    group=f"{size} MB in {cut} KiB",
                    is_peer=way.is_peer,
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
