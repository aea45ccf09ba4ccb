"""One case of the matrix: a fault, a client that meets it, and what the server saw."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Literal
from unittest.mock import patch

import msgspec

import opeai_async
from opeai_async import AsyncOpeAI, OpeAIError, Timeouts
from opeai_async._io.net import transport
from opeai_async.testing import FAULTS, Fault, OpeAIServer, Verdict
from tests.support.clients import rewire
from tests.support.leaks import no_leaks

CONTENT = "one two three four"
PIECES = ["one", " two", " three", " four"]
NEXT = "the next answer"

ASK = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}

CLOCK_S = 0.2
# What is left of a body that ends soon may come late on a busy machine.
KEPT_DRAIN_S = 10.0
MAX_EVENT_BYTES = 256 * 1024
MAX_STREAM_BYTES = 2 * 1024 * 1024

Pace = Literal["fast", "slow"]
PACES: tuple[Pace, ...] = ("fast", "slow")

AT_STAGE = {stage: [f for f in FAULTS.values() if f.stage == stage] for stage in {f.stage for f in FAULTS.values()}}
WITH_REQUEST = [fault for fault in FAULTS.values() if fault.stage != "connect"]


def ids(faults: list[Fault]) -> list[str]:
    return [fault.name for fault in faults]


def check_error(error: OpeAIError | None, verdict: Verdict) -> None:
    """*error* is of the class that the table names, and survives pickling."""
    named: type[OpeAIError] = getattr(opeai_async, verdict.result)
    assert type(error) is named or (verdict.retried == "either" and isinstance(error, named)), repr(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def timeouts_for(verdict: Verdict) -> Timeouts:
    """The one clock low that ends this fault; the one for the first content counts where there is none."""
    clocks = {} if verdict.clock is None else {verdict.clock: CLOCK_S}
    if verdict.clock == "idle_content_s":
        clocks["first_content_s"] = CLOCK_S
    return Timeouts(**clocks)


class Case:
    """A server with one fault and then good answers, and its client, which has but one slot.

    Attributes:
        slept: The seconds that the client would have waited before each retry.
    """

    def __init__(self, server: OpeAIServer, client: AsyncOpeAI, verdict: Verdict) -> None:
        self.server = server
        self.client = client
        self.verdict = verdict
        self.slept: list[float] = []
        rewire(client, sleep=self._sleep, jitter=lambda: 0.0)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def check_next_answer(self) -> None:
        """Another request gets its own answer, over the old connection only if that is still fit for it."""
        struck = self.server.requests[0].connection
        completion = await self.client.chat.completions.create(**ASK)
        assert completion.choices[0].message.content == NEXT
        if self.verdict.connection != "either":
            assert (self.server.requests[-1].connection == struck) is (self.verdict.connection == "kept")
        assert [request.path for request in self.server.requests if "elsewhere" in request.path] == []


@asynccontextmanager
async def case(
    fault: Fault,
    *,
    stream: bool,
    times: int = 1,
    after: int | None = None,
    max_retries: int = 2,
    timeouts: Timeouts | None = None,
    quirks: tuple[str, ...] = (),
    observers: Iterable[object] = (),
) -> AsyncIterator[Case]:
    """The case of *fault*, with everything closed afterwards and nothing left."""
    verdict = fault.verdict(stream=stream)
    clocks = timeouts or timeouts_for(verdict)
    async with no_leaks(), OpeAIServer() as server:
        options = {"max_connections": 1, "max_event_bytes": MAX_EVENT_BYTES, "timeouts": clocks}
        options["observers"] = observers
        async with server.client(max_retries=max_retries, **options) as client:
            server.fault(fault.name, CONTENT, after=after, gap_s=0.01, times=times, quirks=quirks)
            server.reply(NEXT, times=None)
            with patch.object(
                transport, "DRAIN_S", KEPT_DRAIN_S if verdict.connection == "kept" else transport.DRAIN_S
            ):
                yield Case(server, client, verdict)


async def read(this: Case, pace: Pace = "fast") -> tuple[list[str], OpeAIError | None]:
    """The texts of one stream, and its error.

    A slow consumer lets the fault happen while it is busy with the first text; for longer than the clock that matters,
    which must not run meanwhile.
    """
    stream = this.client.chat.completions.stream(**ASK)
    stream._options = msgspec.structs.replace(stream._options, max_stream_bytes=MAX_STREAM_BYTES)
    texts: list[str] = []
    try:
        async for chunk in stream:
            texts += [choice.delta.content for choice in chunk.choices if not choice.index and choice.delta.content]
            if pace == "slow" and len(texts) == 1:
                await asyncio.sleep(CLOCK_S * 1.25 if this.verdict.clock else 0.05)
    except OpeAIError as exc:
        return texts, exc
    return texts, None
