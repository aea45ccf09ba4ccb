"""A bulk run that a test kills: ``python -m tests.chat.bulk.killed BASE_URL KEY JOURNAL NUMBER``."""

import asyncio
import sys

from opeai_async import AsyncOpeAI


async def main(base_url: str, key: str, journal: str, number: int) -> None:
    """Run *number* questions, each of which is its own number."""
    requests = ({"messages": [{"role": "user", "content": str(i)}]} for i in range(number))
    async with AsyncOpeAI(key, base_url=base_url) as client:
        results = client.chat.completions.map(requests, defaults={"model": "m"}, concurrency=16, journal=journal)
        async for result in results:
            if result.error is not None:
                raise result.error


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
