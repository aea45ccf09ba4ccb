"""What does a bulk run add to its requests? 64 at once, whole answers of 500 characters; with a journal and without.

The limit is the barest loop that does the job: 64 workers that share one iterator, aiohttp, msgspec.

Found (two busy cores; asyncio and uvloop): the limit takes 77 and 69 us a request, a loop over ``create`` 1.54 and 1.38
of it, ``map`` 1.71 and 1.57, ``map`` with a journal 1.97 and 1.82. So a run adds 10 to 20 us to its calls, a journal 22
to 31 more. The targets are missed by what a call itself costs where 64 of them share each wake-up of the loop: that
makes the limit cheap, and leaves the rest as it is (one request alone is 1.03, see ``request``).
"""

import asyncio
import itertools
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.lab.generators import MODEL, whole_answer
from benchmarks.lab.lab import Contender, Lab, Question, Target, check
from benchmarks.requests.request import limit
from opeai_async import AsyncOpeAI

AT_ONCE = 64
CONTENT_BYTES = 500
REQUESTS = 1024
# A peer takes up to 30 times as long.
PEERS_SHARE = 8

Ask = Callable[[Sequence[object]], Awaitable[str | None]]


def _messages(number: int) -> list[object]:
    return [{"role": "user", "content": f"question number {number}"}]


async def workers(ask: Ask, number: int, expected: str) -> None:
    """Ask *number* questions, as many at once as there are workers."""
    questions = iter(range(number))

    async def work() -> None:
        for question in questions:
            check(await ask(_messages(question)), expected, "the content")

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(work())


async def mapped(client: AsyncOpeAI, number: int, expected: str, journal: Path | None) -> None:
    """``async for result in client.chat.completions.map(...)``."""
    requests = ({"model": MODEL, "messages": _messages(question)} for question in range(number))
    count = 0
    async for result in client.chat.completions.map(requests, concurrency=AT_ONCE, journal=journal):
        content = None if result.completion is None else result.completion.choices[0].message.content
        check(content, expected, "the content")
        count += 1
    check(count, number, "the number of results")


async def _contenders(lab: Lab) -> Sequence[Contender]:
    base_url, expected = lab.base_url("whole", CONTENT_BYTES), whole_answer(CONTENT_BYTES)[1]
    session, client = await lab.session(), await lab.client(base_url)
    times = lab.scaled(REQUESTS)
    folder, numbers = Path(tempfile.mkdtemp()), itertools.count()

    async def ask(messages: Sequence[object]) -> str | None:
        completion = await client.chat.completions.create(model=MODEL, messages=messages)
        return completion.choices[0].message.content

    async def with_journal() -> None:
        path = folder / f"{next(numbers)}.jsonl"
        await mapped(client, times, expected, path)
        path.unlink()

    few = max(AT_ONCE, times // PEERS_SHARE)
    return [
        Contender(name="limit", run=partial(workers, partial(limit, session, base_url), times, expected), units=times),
        Contender(name="opeai_async, loop", run=partial(workers, ask, times, expected), units=times),
        Contender(name="opeai_async, map", run=partial(mapped, client, times, expected, None), units=times),
        Contender(name="opeai_async, journal", run=with_journal, units=times),
        *(
            Contender(name=peer.name, run=partial(workers, peer.create, few, expected), units=few, is_peer=True)
            for peer in await lab.open_peers(base_url)
        ),
    ]


QUESTION = Question(
    name="bulk",
    title=f"a bulk run, {AT_ONCE} requests at once, answered with {CONTENT_BYTES} bytes of content",
    unit="request",
    bases=("limit",),
    contenders=_contenders,
    targets=(
        Target(of="opeai_async, map", to="limit", at_most=1.10),
        Target(of="opeai_async, journal", to="limit", at_most=1.25),
    ),
)
