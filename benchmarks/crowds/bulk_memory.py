"""Does the memory of a bulk run grow with its requests?

``python -m benchmarks.crowds.bulk_memory [--requests 200000] [--journal]`` prints the resident memory after the first
1,000 requests, and the most that it grew by afterwards, looked at after each 1,000. The answers have 500 characters and
come from another process; results are counted and dropped.

Found: 43 MiB after the first 1,000, and 0.1 MiB more at the end of 200,000; with a journal, 49 and 12.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.lab.generators import KEY, MODEL
from benchmarks.lab.lab import open_lab
from benchmarks.lab.process import rss_mib
from opeai_async import AsyncOpeAI

AT_ONCE = 64
CONTENT_BYTES = 500
EACH = 1000
MOST_MIB = 40.0


class Grown(NamedTuple):
    """Memory of a run, in MiB.

    Attributes:
        first: After the first requests.
        more: The most that it grew by after that.
    """

    first: float
    more: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.crowds.bulk_memory", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--journal", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "run.jsonl" if options.journal else None
        grown = asyncio.run(measure(options.requests, journal))
    print(
        f"{options.requests} requests: {grown.first:.1f} MiB after {EACH}, {grown.more:+.1f} MiB until the end", end=""
    )
    print(f" (at most {MOST_MIB:g}): {'ok' if grown.more <= MOST_MIB else 'MISSED'}")


async def measure(number: int, journal: Path | None) -> Grown:
    """Run so many requests."""
    count, first, most = 0, 0.0, 0.0
    async with open_lab() as lab, AsyncOpeAI(KEY, base_url=lab.base_url("whole", CONTENT_BYTES)) as client:
        async for result in client.chat.completions.map(_requests(number), concurrency=AT_ONCE, journal=journal):
            if result.error is not None:
                raise result.error
            count += 1
            if count % EACH == 0:
                most = max(most, rss_mib())
                first = first or most
    return Grown(first, most - first)


def _requests(number: int) -> Iterator[dict[str, object]]:
    for question in range(number):
        yield {"model": MODEL, "messages": [{"role": "user", "content": f"question number {question}"}]}


if __name__ == "__main__":
    main()
