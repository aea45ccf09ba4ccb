"""Many prompts at once, with a journal: the second run sends only what the first one has not finished."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

from opeai_async import AsyncOpeAI
from opeai_async.bulk import per_million
from opeai_async.testing import OpeAIServer

PROMPTS = 200


def requests() -> Iterator[dict[str, object]]:
    """Make requests one by one; this might as well read a file of any size."""
    for number in range(PROMPTS):
        question = {"role": "user", "content": f"What is {number} squared?"}
        yield {"custom_id": f"square-{number}", "messages": [question]}


async def run(client: AsyncOpeAI, journal: Path, stop_after: int) -> None:
    """Run the requests, and leave after some."""
    count = 0
    async with client.chat.completions.map(
        requests(),
        defaults={"model": "deepseek-v4-flash"},
        journal=journal,
        price=per_million(0.27, 1.10),
        drain_s=1,
    ) as results:
        async for result in results:
            if result.error is not None:
                print(result.custom_id, "failed:", result.error)
            count += 1
            if count == stop_after:
                break
    counts = results.progress
    print(f"{counts.done} done, {counts.resumed} from the journal, {counts.cost:.6f} paid, stopped: {counts.stopped}")


async def main() -> None:
    """Run twice against the testing server."""
    with tempfile.TemporaryDirectory() as folder:
        async with OpeAIServer() as server, server.client() as client:
            await run(client, Path(folder) / "run.jsonl", stop_after=PROMPTS // 2)
            await run(client, Path(folder) / "run.jsonl", stop_after=PROMPTS)


if __name__ == "__main__":
    asyncio.run(main())
