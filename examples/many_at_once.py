"""How do I run many streams at once, with a limit, so that one which fails does not take the others with it?

With OPEAI_API_KEY set this asks the service; without, a testing server on this machine answers.
"""

import asyncio
import os
import time

from opeai_async import AsyncOpeAI, OpeAIError
from opeai_async.testing import Failure, OpeAIServer, RecordedRequest, Reply

STREAMS = 50
AT_ONCE = 20


async def count_words(client: AsyncOpeAI, topic: str) -> int:
    words = 0
    async with client.chat.completions.stream(
        model="deepseek-v4-flash",
        messages=[{"role": "user", "content": f"Write a sentence about {topic}."}],
        max_tokens=100,
    ) as stream:
        async for text in stream.text():
            words += len(text.split())
    return words


async def count_all(client: AsyncOpeAI, topics: list[str]) -> dict[str, int | OpeAIError]:
    results: dict[str, int | OpeAIError] = {}
    slots = asyncio.Semaphore(AT_ONCE)

    async def count(topic: str) -> None:
        async with slots:
            try:
                results[topic] = await count_words(client, topic)
            except OpeAIError as exc:  # caught here: what leaves a task would cancel its whole group
                results[topic] = exc

    async with asyncio.TaskGroup() as tasks:
        for topic in topics:
            tasks.create_task(count(topic))
    return results


async def answer(request: RecordedRequest) -> Reply | Failure:
    """What the testing server says: one topic is too much for it."""
    if "number 13." in request.json["messages"][-1]["content"]:
        return Failure(400, message="I am superstitious.")
    return Reply("It is a number like any other number.", token_delay_s=0.02)


async def main() -> None:
    async with OpeAIServer() as server:
        server.handle(answer)
        async with AsyncOpeAI() if "OPEAI_API_KEY" in os.environ else server.client() as client:
            started = time.perf_counter()
            results = await count_all(client, [f"number {k}" for k in range(STREAMS)])
            elapsed = time.perf_counter() - started

    words = [result for result in results.values() if isinstance(result, int)]
    print(f"{len(words)} streams brought {sum(words)} words in {elapsed:.2f} s, {AT_ONCE} at a time")
    for topic, result in results.items():
        if isinstance(result, OpeAIError):
            print(f"{topic}: {type(result).__name__}: {result}")


if __name__ == "__main__":
    asyncio.run(main())
