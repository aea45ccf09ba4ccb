"""Does a job get through at the rate that a server allows, with few requests that it refuses?

``python -m benchmarks.crowds.limits [--calls 4000] [--at-once 50 100] [--limits NAME ...] [--streams | --map]`` prints
a table. The server is another process; it answers after 20 ms, and refuses with 429 what is beyond its limit. *Time* is
that of the job over what the limit allows without any burst; *extra* are the requests that were refused over the calls.

Found for a bulk run (``--map --calls 20000``, 200/s, on two cores that seven others used): all answered in 101.6 s,
1.02 of the least, 0.5 % extra.
"""

import argparse
import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

from benchmarks.lab.process import Peer
from opeai_async import AsyncOpeAI, OpeAIError
from opeai_async.testing import Failure, OpeAIServer, Reply
from opeai_async.testing.server.record import RecordedRequest

ANSWER_S = 0.02


class Bucket:
    """Tokens that come at *rate* a second, *burst* of them at most."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate, self.burst, self.level, self.at = rate, burst, burst, now

    def take(self, now: float) -> float:
        """Take one; return 0, or in how many seconds there is one."""
        self.level = min(self.burst, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level >= 1:
            self.level -= 1
            return 0.0
        return (1 - self.level) / self.rate


@dataclass(frozen=True)
class Limit:
    """What a server allows, and how it says so.

    Attributes:
        rate: Requests per second.
        headers: Those of a refusal, from the seconds until the next request would be answered.
        status: Of a refusal.
        later: The rate after five seconds.
        broken: The share of requests that are answered with 500.
    """

    rate: float
    headers: Callable[[float], dict[str, str]]
    status: int = 429
    later: float | None = None
    broken: float = 0.0


def _one_second(_: float) -> dict[str, str]:
    return {"retry-after": "1"}


LIMITS = {
    "200/s": Limit(200, _one_second),
    "10/s": Limit(10, _one_second),
    "1000/s": Limit(1000, _one_second),
    "ms": Limit(200, lambda wait_s: {"retry-after-ms": f"{wait_s * 1000:.0f}"}),
    "reset": Limit(200, lambda _: {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "250ms"}),
    "zero": Limit(200, lambda _: {"retry-after": "0"}),
    "past": Limit(200, lambda _: {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}),
    "none": Limit(200, lambda _: {}),
    "falls": Limit(200, _one_second, later=100),
    "rises": Limit(100, _one_second, later=200),
    "503": Limit(200, _one_second, status=503),
    "500s": Limit(200, _one_second, broken=0.002),
}


@dataclass(frozen=True)
class Done:
    """How a job went.

    Attributes:
        answered: Calls that brought an answer.
        seconds: From the first call to the last answer.
        refused: Requests that the server refused because of its limit.
        errors: How often which error was raised.
    """

    answered: int
    seconds: float
    refused: int
    errors: Counter[str]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.crowds.limits", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--calls", type=int, default=4000, help="how many calls a job has (default: %(default)s)")
    parser.add_argument("--at-once", type=int, nargs="+", default=[50, 100, 200])
    parser.add_argument("--limits", nargs="+", choices=LIMITS, default=["200/s"], metavar="NAME")
    parser.add_argument("--repeats", type=int, default=1)
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--streams", action="store_true", help="streams in place of awaited answers")
    ways.add_argument("--map", action="store_true", help="one bulk run, which finds out by itself how many at once")
    options = parser.parse_args()
    way = "stream" if options.streams else "map" if options.map else "create"
    print(f"{'limit':<10}{'at once':>8}{'answered':>14}{'time':>9}{'':>8}{'extra':>8}")
    for name in options.limits:
        for at_once in options.at_once[: 1 if options.map else None]:
            for _ in range(options.repeats):
                done = measure(name, options.calls, at_once, way=way)
                print(
                    f"{name:<10}{'auto' if options.map else at_once:>8}{done.answered:>7} / {options.calls:<5}", end=""
                )
                print(f"{done.seconds:>7.2f} s{done.seconds / _allowed_s(LIMITS[name], options.calls):>6.2f} x", end="")
                print(f"{100 * done.refused / options.calls:>7.2f} %  {dict(done.errors) or ''}", flush=True)


def _allowed_s(limit: Limit, calls: int) -> float:
    if limit.later is None or calls <= 5 * limit.rate:
        return calls / limit.rate
    return 5 + (calls - 5 * limit.rate) / limit.later


def measure(name: str, calls: int, at_once: int, *, way: str = "create") -> Done:
    """Run a job against a server with that limit, by ``create``, ``stream`` or ``map``."""
    with Peer(_run_server, name) as server:
        base_url, key = server.ask()
        job = _bulk_job(base_url, key, calls) if way == "map" else _job(base_url, key, calls, at_once, way == "stream")
        answered, seconds, errors = asyncio.run(job)
        return Done(answered, seconds, server.ask("refused"), errors)


async def _job(base_url: str, key: str, calls: int, at_once: int, streams: bool) -> tuple[int, float, Counter[str]]:
    slots, errors, answered = asyncio.Semaphore(at_once), Counter[str](), 0
    question = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}

    async def ask(client: AsyncOpeAI) -> None:
        nonlocal answered
        async with slots:
            try:
                if streams:
                    async with client.chat.completions.stream(**question) as stream:
                        await stream.completion()
                else:
                    await client.chat.completions.create(**question)
                answered += 1
            except OpeAIError as error:
                errors[type(error).__name__] += 1

    begun_at = time.monotonic()
    async with AsyncOpeAI(key, base_url=base_url) as client, asyncio.TaskGroup() as tasks:
        for _ in range(calls):
            tasks.create_task(ask(client))
    return answered, time.monotonic() - begun_at, errors


async def _bulk_job(base_url: str, key: str, calls: int) -> tuple[int, float, Counter[str]]:
    question = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    errors, answered = Counter[str](), 0
    begun_at = time.monotonic()
    async with AsyncOpeAI(key, base_url=base_url) as client:
        async for result in client.chat.completions.map(question for _ in range(calls)):
            if result.error is None:
                answered += 1
            else:
                errors[type(result.error).__name__] += 1
    return answered, time.monotonic() - begun_at, errors


async def _run_server(pipe: Connection, name: str) -> None:
    """The server, which says its address, and then how many requests it has refused."""
    limit, chance = LIMITS[name], random.Random(1)
    refused = 0
    bucket: Bucket | None = None
    begun_at = 0.0

    async def answer(_: RecordedRequest) -> Reply | Failure:
        nonlocal bucket, refused, begun_at
        now = time.monotonic()
        if bucket is None:
            bucket, begun_at = Bucket(limit.rate, limit.rate, now), now
        if limit.later is not None and now > begun_at + 5:
            bucket.rate = bucket.burst = limit.later
        if wait_s := bucket.take(now):
            refused += 1
            return Failure(limit.status, headers=limit.headers(wait_s))
        if chance.random() < limit.broken:
            return Failure(500)
        if len(server.requests) > 1000:
            server.requests.clear()  # or it would keep every one
        return Reply("It is a fine thing.", delay_s=ANSWER_S)

    async with OpeAIServer() as server:
        server.handle(answer)
        while (question := await asyncio.to_thread(pipe.recv)) is not None:
            pipe.send((server.base_url, server.api_key) if question == "address" else refused)


if __name__ == "__main__":
    main()
