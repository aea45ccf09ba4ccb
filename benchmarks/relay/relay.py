"""What does it cost to hand tokens on to websockets? 100 sockets, each with 100 tokens a second, for 5 seconds.

Model server, service and visitors are three processes. What counts is the CPU time of the service, aiohttp.web before a
client of ours, per token, while all sockets are open. Each token carries the moment the model's server wrote it, and
the delay is how long it took to the visitor's hands. The base is the loop that everybody writes first: one chunk, one
frame.

Found (two cores, hardly busy; ratios to the base, which costs 90 to 107 us per token): a window of 30 ms 0.63 to 0.75,
50 ms 0.49, 100 ms 0.25; the p99 delay was 34, 53 and 101 ms, that of the base 7 to 9 ms. On cores that others kept busy
all ratios were higher by a third. As long as the socket was read during the window, each token was a wake-up and a
read: 50 ms then cost 0.56 to 0.7.
"""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import aiohttp

from benchmarks.crowds.many import Delays
from benchmarks.lab.lab import CPU, Contender, Lab, Question, Target, check, python
from benchmarks.lab.loops import ASYNCIO
from benchmarks.lab.pacing import delay_s
from benchmarks.lab.report import Figure
from opeai_async._relay.websocket import WINDOW_S

SOCKETS = 100
TOKENS = 500
INTERVAL_S = 0.010
WINDOWS_S = (0.030, 0.050, 0.100)
# What a token takes anyhow, on a machine that is not idle.
WAY_MS = 10.0
BASE = "one frame per token"

P50 = Figure(name="p50 delay", unit="ms")
P99 = Figure(name="p99 delay", unit="ms")
FIRST = Figure(name="p99 of the first", unit="ms")
FRAMES = Figure(name="frames", unit="per token")

_DIGITS = 20


@asynccontextmanager
async def process(code: str) -> AsyncIterator[int]:
    """A Python process that prints its port and ends with its standard input."""
    running = await asyncio.create_subprocess_exec(*python(code), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert running.stdin is not None
    assert running.stdout is not None
    try:
        yield int(await running.stdout.readline())
    finally:
        running.stdin.close()
        await running.wait()


def service(loop: str = ASYNCIO) -> Any:
    """The port of a running service, on an event loop of that name."""
    return process(f"from benchmarks.relay.relay_service import main; main({loop!r})")


def model() -> Any:
    """The port of a server like that of the other questions, with an answer of this question's pace."""
    code = f"from benchmarks.lab import pacing, server; pacing.INTERVALS_S['tokens'] = {INTERVAL_S}; server.main()"
    return process(code)


class Visit:
    """What one visitor sees of one answer."""

    def __init__(self, delays: Delays, firsts: Delays) -> None:
        self._delays = delays
        self._firsts = firsts
        self.frames = 0
        self.text = ""

    async def take(self, session: aiohttp.ClientSession, url: str) -> None:
        async with session.ws_connect(url, compress=0) as ws:
            async for message in ws:
                frame = json.loads(message.data)
                if frame["type"] == "content":
                    self._note(frame["text"])
                elif frame["type"] in ("done", "error"):
                    check(frame["type"], "done", "the end")

    def _note(self, text: str) -> None:
        self.frames += 1
        for begin in range(0, len(text), _DIGITS):
            stamp = text[begin : begin + _DIGITS]
            if not self.text:
                self._firsts(stamp)
            self._delays(stamp)
            check(stamp > self.text, True, "the order of two tokens")
            self.text = stamp


async def _run(url: str, upstream: str, sockets: int, tokens: int) -> dict[str, float]:
    delays, firsts = Delays(delay_s), Delays(delay_s)
    visits = [Visit(delays, firsts) for _ in range(sockets)]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        socket_url = f"{url}{'&' if '?' in url else '?'}upstream={upstream}"
        async with asyncio.TaskGroup() as group:
            for visit in visits:
                group.create_task(visit.take(session, socket_url))
            cpu_s, seen = await _between(session, url, delays, sockets * tokens)
    check(len(delays.all), sockets * tokens, "the number of tokens")
    return {
        CPU: cpu_s / seen * 1e6,
        P50.name: delays.percentile(50) * 1e3,
        P99.name: delays.percentile(99) * 1e3,
        FIRST.name: firsts.percentile(99) * 1e3,
        FRAMES.name: sum(visit.frames for visit in visits) / (sockets * tokens),
    }


async def _between(session: aiohttp.ClientSession, url: str, delays: Delays, tokens: int) -> tuple[float, int]:
    """CPU seconds and tokens of the middle of the answers: opening and closing the sockets is not what is asked."""
    told: list[tuple[float, int]] = []
    for share in (0.2, 0.9):
        while len(delays.all) < share * tokens:  # noqa: ASYNC110 - who counts tokens has no time to tell
            await asyncio.sleep(INTERVAL_S)
        told.append((await _cpu_s(session, url), len(delays.all)))
    (cpu_before, before), (cpu_after, after) = told
    return cpu_after - cpu_before, after - before


async def _cpu_s(session: aiohttp.ClientSession, url: str) -> float:
    async with session.get(url.rpartition("/")[0] + "/cpu") as response:
        return float(await response.json())


def name_of(window_s: float) -> str:
    return f"relay, window {window_s * 1e3:.0f} ms"


async def _contenders(lab: Lab) -> Sequence[Contender]:
    model_port = await lab.closing.enter_async_context(model())
    service_port = await lab.closing.enter_async_context(service(lab.loop))
    sockets, tokens = lab.scaled(SOCKETS), lab.scaled(TOKENS, least=20)
    upstream = f"http://127.0.0.1:{model_port}/tokens/{tokens}/v1"
    paths = {BASE: "frames", **{name_of(window_s): f"relay?window={window_s}" for window_s in WINDOWS_S}}
    return [
        Contender(
            name=name,
            run=partial(_run, f"http://127.0.0.1:{service_port}/{path}", upstream, sockets, tokens),
            units=sockets * tokens,
        )
        for name, path in paths.items()
    ]


QUESTION = Question(
    name="relay",
    title=f"{SOCKETS} websockets, {1 / INTERVAL_S:.0f} tokens a second each",
    unit="token",
    bases=(BASE,),
    figures=(Figure(name=CPU, unit="us/token", compared=True), P50, P99, FIRST, FRAMES),
    contenders=_contenders,
    targets=(
        Target(of=name_of(WINDOW_S), to=BASE, at_most=0.6),
        Target(of=name_of(WINDOW_S), to="", at_most=WINDOW_S * 1e3 + WAY_MS, figure=P99.name),
    ),
)
