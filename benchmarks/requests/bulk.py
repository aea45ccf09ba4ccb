"""What does a bulk run add to its requests? 64 at once, whole answers of 500 characters; with a journal and without.

The limit is the barest loop that does the job: 64 workers that share one iterator, aiohttp, msgspec.

Found, by counted instructions (asyncio): the limit takes 456,000 a request, a loop over ``create`` 1.06 of it, ``map``
1.13, ``map`` with a journal 1.25. Before, it was 1.49, 1.60 and 1.81: a search for ``[DONE]`` in each answer took
190,000. What a run adds is spread thin: a request is read (7,000), counted (6,000), its result made (3,000) and handed
over; with a journal, two hashes (10,000), and the answer encoded once (15,000).

In CPU time, on two cores with a load of 8 to 25, where each wake-up of the server costs the client its caches, medians
of seven and nine rounds are 1.26 and 1.40 for the loop, 1.34 and 1.52 for ``map``, 1.66 and 1.77 with a journal: so the
targets are missed there. openai, asked by as many workers, takes 11 to 13 times as much as ``map``; at least 8 was the
target. The memory of a run and its pace at a limited server are measured in ``benchmarks.crowds``.
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
