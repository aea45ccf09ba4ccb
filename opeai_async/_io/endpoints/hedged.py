"""A call that is sent to a second endpoint where the first one is late with its first content.

::

    first    sent ------------------------------ late: closed, unread
    second              sent at wait_s --- speaks first: it is the answer

Heads say little, since some servers send them before the model has begun; so both bodies are read ahead until one has
content, and the winner's beginning is read again by whoever reads the answer. At most one hedge is sent for a call, and
only as many in all as the budget allows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec

from opeai_async._core.decode.parser import StreamParser
from opeai_async._core.dialect.dialect import Dialect
from opeai_async._core.limits import MAX_JSON_BYTES
from opeai_async._core.policy.endpoints.hedging import Hedging
from opeai_async._core.policy.endpoints.routes import RoutedCall
from opeai_async._io.endpoints.leg import LegReader
from opeai_async._io.endpoints.pool import Pool
from opeai_async._io.endpoints.routed import RoutedExchange
from opeai_async._io.endpoints.watched import says_something
from opeai_async._io.exchange import Failed, Wiring
from opeai_async._io.reader import BodyReader
from opeai_async.errors import OpeAIError
from opeai_async.types.chunk import ChatCompletionChunk


class Heard(NamedTuple):
    """A body that was read ahead.

    Attributes:
        reader: Brings it from its beginning.
        has_spoken: Whether it has content; if not, it has ended, or broken off.
    """

    reader: BodyReader
    has_spoken: bool


class HedgedExchange(RoutedExchange):
    """One call."""

    __slots__ = ("_hedging",)

    def __init__(self, wiring: Wiring, call: RoutedCall, pool: Pool, hedging: Hedging) -> None:
        super().__init__(wiring, call, pool)
        self._hedging: Hedging | None = hedging  # None once it was asked: later attempts of a call are not hedged

    async def open(self) -> BodyReader:
        hedging, self._hedging = self._hedging, None
        if hedging is None:
            return await super().open()
        begun_at, wait_s = self.loop.time(), hedging.begin()
        first = self._task(self._first())
        twin: RoutedExchange | None = None
        tasks = {first}
        try:
            await asyncio.wait(tasks, timeout=wait_s)
            if not first.done() and (twin := self._twin()) is not None and hedging.spend():
                tasks.add(self._task(_second(twin)))
            winner = await _first_to_speak(first, tasks)
            if losers := tasks - {winner}:
                for task in losers:
                    _give_up(task)
                await asyncio.wait(losers)  # so that what became of them is on record
        except BaseException as exc:
            for task in tasks:
                _give_up(task)
            if isinstance(exc, asyncio.CancelledError):
                await asyncio.wait(tasks)
            raise
        finally:
            self.part()
        if twin is not None:
            if winner is not first:
                self.take_over(twin)
            self.was_beside(twin)
        try:
            heard = winner.result()
        except OpeAIError as exc:  # which was raised before all was on record
            raise self.final(exc) from None
        assert heard is not None
        self._settle_records(heard)
        if heard.has_spoken:
            hedging.saw(self.loop.time() - begun_at)
        return heard.reader

    def _task(self, work: Awaitable[Heard | None]) -> asyncio.Task[Heard | None]:
        async def run() -> Heard | None:
            return await work

        return self.loop.create_task(run(), name="opeai_async hedge")

    async def _first(self) -> Heard | None:
        return await _heard(await super().open(), self)

    def _twin(self) -> RoutedExchange | None:
        """The same call for another endpoint; None if there is none to ask."""
        tried = self._tried | {self._route.index}
        route = self._pool.choose(self._call, self.loop.time(), tried=tried, least_context=self._least_context)
        now = self.loop.time()
        if route is None or not route.health.is_open(now) or route.paused_until > now:
            return None
        twin = RoutedExchange(self._wiring, self._call, self._pool)
        twin.share_with(self, {other.index for other in self._pool.routes if other is not route})
        self._tried.add(route.index)  # should the first one fail, it need not go there, too
        return twin

    def _settle_records(self, heard: Heard) -> None:
        """Put the attempt that brings the answer last, and say of the other that it was closed."""
        mine = self.last_record
        for place, record in enumerate(self._attempts):
            if record is not mine and record.error is None:
                self._attempts[place] = msgspec.structs.replace(record, error="CancelledError")
        if mine is not None:
            self._attempts.remove(mine)
            self._attempts.append(mine)


async def _second(twin: RoutedExchange) -> Heard | None:
    """What the second endpoint says; None if it fails."""
    result = await twin.attempt_once()
    return None if isinstance(result, Failed) else await _heard(result, twin)


async def _heard(reader: BodyReader, exchange: RoutedExchange) -> Heard:
    """Read ahead until there is content."""
    assert isinstance(reader, LegReader)
    try:
        has_spoken = await reader.read_ahead(_ear(reader, exchange.wants_stream))
    except BaseException:
        reader.abort()
        raise
    return Heard(reader, has_spoken)


def _ear(reader: BodyReader, wants_stream: bool) -> Callable[[bytes], bool]:
    """What tells, read by read, whether there is content: of a stream the first, of a completion all of it."""
    if not wants_stream:
        return lambda data: not data or reader.bytes_read > MAX_JSON_BYTES
    parser = StreamParser(reader.head, ChatCompletionChunk, Dialect("repair"))

    def speaks(data: bytes) -> bool:
        chunks = parser.feed(data) if data else parser.end()
        return any(says_something(choice) for chunk in chunks for choice in chunk.choices)

    return speaks


async def _first_to_speak(
    first: asyncio.Task[Heard | None], tasks: set[asyncio.Task[Heard | None]]
) -> asyncio.Task[Heard | None]:
    """The task whose body has content first; *first* if none has, whatever it came to."""
    pending = tasks
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if task.exception() is None and (heard := task.result()) is not None and heard.has_spoken:
                return task
    return first


def _give_up(task: asyncio.Task[Heard | None]) -> None:
    """End *task*, and close what it may have brought."""
    task.add_done_callback(_close)
    task.cancel()


def _close(task: asyncio.Task[Heard | None]) -> None:
    if not task.cancelled() and task.exception() is None and (heard := task.result()) is not None:
        heard.reader.abort()
