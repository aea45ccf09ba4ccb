"""Many streams at once; shared by the questions about them."""

import asyncio
from collections.abc import Callable, Sequence

from benchmarks.lab.lab import check
from benchmarks.lab.ways import Each, Way


class Delays:
    """How long each text that is handed over was on its way, in seconds."""

    def __init__(self, delay_s: Callable[[str], float]) -> None:
        self._delay_s = delay_s
        self.all: list[float] = []

    def __call__(self, text: str) -> None:
        self.all.append(self._delay_s(text))

    def percentile(self, percent: float) -> float:
        """The delay that so many per cent of all do not exceed."""
        ordered = sorted(self.all)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


async def read_all(way: Way, each: Sequence[Each]) -> None:
    """Read as many streams at once as there are in *each*, and give one's texts to each.

    Raises:
        AssertionError: If any of them failed; it tells how many, and with what the first did.
    """
    endings = await asyncio.gather(*(way.read(one) for one in each), return_exceptions=True)
    failures = [ending for ending in endings if ending is not None]
    if failures:
        first = failures[0]
        raise AssertionError(f"{len(failures)} of {len(each)} streams failed, with {type(first).__name__}: {first}")


def check_delivered(way: Way, delivered: int, expected: int) -> None:
    """Fail where a chunk is missing; the floor sees none."""
    check(delivered, expected if way.tells else 0, f"the number of chunks that {way.name} delivered")
