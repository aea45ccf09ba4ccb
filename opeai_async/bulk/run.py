"""A bulk run: workers that share one lazily read input, and results that are handed out as they come.

There is no task per request: as many workers as requests may be open take one after the other from the input, so a
request costs what its call costs, and a little. A worker takes the next one only

1. if no bound was hit, and there are no more workers than the level allows (else it ends),
2. if there is room for its result: results that nobody reads, and those that wait for their turn in an ordered run, are
   bounded, and so is what waits for the journal,
3. if the limits per minute allow it.

Retries, pauses and time limits are those of the client's calls; there is no second loop around them here. Workers know
the run, the run does not know the iterator that users hold: where that is dropped, the run ends itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from typing import Any, cast

import anyio
import anyio.to_thread
import msgspec

from opeai_async._core.policy.concurrency import Sample
from opeai_async._io.observe.bulk import BulkWatch
from opeai_async.bulk.inputs import attempts_of, id_of, iterators, length_of, sample_of
from opeai_async.bulk.intake import Intake
from opeai_async.bulk.journal import COMMIT_S, MAX_PENDING_BYTES, Journal, JournalError, line_of
from opeai_async.bulk.options import BulkOptions
from opeai_async.bulk.outlet import Outlet
from opeai_async.bulk.request import Job, RequestReader
from opeai_async.bulk.result import BulkProgress, BulkResult, BulkTiming, Stop
from opeai_async.bulk.tally import Tally, record_of
from opeai_async.errors import OpeAIError, RequestValidationError
from opeai_async.types.completion import ChatCompletion

Ask = Callable[..., Awaitable[ChatCompletion]]
Rebuild = Callable[[ChatCompletion], ChatCompletion]

PROGRESS_S = 0.5
SKIPS_PER_TURN = 1000
CHANGED = "run again: the request has changed since the journal was written"


class Run:
    """One bulk run.

    Args:
        requests: The input.
        ask: Makes a call.
        rebuild: Makes of a completion that a journal holds what *ask* returns.
        reader: Reads requests.
        options: How to run.
        journal: Where to keep what is finished; the run closes it.
        watch: Who tells what becomes of it; None if nobody listens.

    Attributes:
        stopped: Why the rest is not run; None as long as it is.
        tally: Counts.
    """

    def __init__(
        self,
        requests: Iterable[object] | AsyncIterable[object],
        ask: Ask,
        rebuild: Rebuild,
        reader: RequestReader,
        options: BulkOptions,
        journal: Journal | None,
        watch: BulkWatch | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._ask, self._rebuild, self._reader, self._options, self._journal = ask, rebuild, reader, options, journal
        self._watch = watch
        self._items, self._async_items = iterators(requests)
        self._rule = options.rule()
        self._limit: int = self._rule.limit if self._rule is not None else cast("int", options.concurrency)
        self._began_at = self._loop.time()
        self._intake = Intake(options, self._loop)
        # Then a worker takes the next request without awaiting anything.
        self._is_at_hand: bool = self._items is not None and not self._intake.has_limits
        total = options.total if options.total is not None else length_of(requests)
        self.tally: Tally = Tally(total)
        self.stopped: Stop | None = None
        self._error: BaseException | None = None  # ends the run, and is raised after the results before it
        self._next_index = 0  # of the input
        self._is_dry = False  # the input has ended
        self._workers: set[asyncio.Task[None]] = set()
        self._helpers: set[asyncio.Task[None]] = set()
        self._timers: list[asyncio.TimerHandle] = []
        self._running = 0
        self._taking: asyncio.Task[None] | None = None  # the worker that waits for the input
        self._turn = asyncio.Lock()  # in which workers take from an input that is awaited, or wait for a pace
        self._outlet = Outlet(is_ordered=options.ordered)
        self._has_lines: asyncio.Event = asyncio.Event()
        self._in_flight: dict[bytes, list[Job]] = {}  # by request: those that wait for the same answer
        self._is_over = False
        self._closing: asyncio.Task[None] | None = None

    # --- lifetime --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin: start the workers."""
        if self._watch is not None:
            self._watch.begin(self.tally.total)
        if self._journal is not None:
            self._help(self._commit_lines(self._journal), "opeai_async bulk journal")
        if callable(self._options.progress):
            self._help(self._report(self._options.progress), "opeai_async bulk progress")
        if (seconds := self._options.deadline_s) is not None:
            self._timers.append(self._loop.call_later(seconds, self.hit, "deadline"))
        self._add_workers()

    def _help(self, work: Any, name: str) -> None:
        task = self._loop.create_task(work, name=name)
        self._helpers.add(task)
        task.add_done_callback(self._helper_ended)

    def _helper_ended(self, task: asyncio.Task[None]) -> None:
        self._helpers.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _add_workers(self) -> None:
        """Start as many workers as the level allows, and the input and the bounds have work for."""
        self._outlet.fit(self._limit)
        while len(self._workers) < self._limit and not self._is_dry and self.stopped is None:
            task = self._loop.create_task(self._work(), name="opeai_async bulk worker")
            self._workers.add(task)
            task.add_done_callback(self._worker_ended)

    def _worker_ended(self, task: asyncio.Task[None]) -> None:
        self._workers.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)
        if self._is_finished():
            self._outlet.wake_reader()

    def hit(self, why: Stop) -> None:
        """Begin nothing new; what is open goes on, for ``drain_s`` at most."""
        if self.stopped is not None:
            return
        self.stopped = why
        self._outlet.room.set()
        if self._taking is not None:  # an input that is awaited may never say anything more
            self._taking.cancel()
        if self._options.drain_s is not None and why != "left":
            self._timers.append(self._loop.call_later(self._options.drain_s, self._cancel_workers))

    def _fail(self, error: BaseException) -> None:
        if self._error is None:
            self._error = error
        self.hit("error")
        if isinstance(error, JournalError):
            self._cancel_workers()  # what they bring could not be kept
        if self._is_finished():
            self._outlet.wake_reader()

    def _cancel_workers(self) -> None:
        for task in self._workers:
            task.cancel()

    async def aclose(self) -> None:
        """End what is open, after ``drain_s`` at most, and commit the journal; may be called again.

        Raises:
            JournalError: If the last lines cannot be written.
        """
        if self._is_over:
            return
        if not self._is_finished():
            self.hit("left")
        try:
            if self._workers and self._options.drain_s:
                await asyncio.wait(self._workers, timeout=self._options.drain_s)
        finally:
            with anyio.CancelScope(shield=True):
                await self._end()

    def abandon(self) -> None:
        """End the run, because nobody holds it any more; from any thread, and without waiting for it."""
        if not self._is_over and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._close_later)

    def _close_later(self) -> None:
        # The task holds the run, and the loop holds the task while it waits for anything.
        self._closing = self._loop.create_task(self.aclose(), name="opeai_async bulk end")

    async def _end(self) -> None:
        self._is_over = True
        for timer in self._timers:
            timer.cancel()
        self._cancel_workers()
        if self._workers:
            await asyncio.wait(self._workers)
        helpers = set(self._helpers)
        for task in helpers:
            task.cancel()
        if helpers:
            await asyncio.wait(helpers)
        self._outlet.wake_reader()
        try:
            await self._intake.aclose()
            if self._journal is not None:
                await anyio.to_thread.run_sync(self._journal.close)
        finally:
            if self._watch is not None:
                self._watch.ended(record_of(self._watch, self.progress(), self._error))
            if callable(self._options.progress):
                self._options.progress(self.progress())

    def _is_finished(self) -> bool:
        return not self._workers and (self._is_dry or self.stopped is not None)

    # --- handing out -----------------------------------------------------------------------------------------------

    async def next_result(self) -> BulkResult | None:
        """Return the next result; None at the end.

        Raises:
            BaseException: What ended the run, after the results before it.
        """
        while (result := self._outlet.take()) is None:
            if self._is_over or self._is_finished():
                if self._outlet.let_out_the_rest():
                    continue
                await self.aclose()
                if self._error is not None:
                    error, self._error = self._error, None
                    raise error
                return None
            await self._outlet.wait()
        if result.error is not None and self._options.on_error == "raise":
            self.hit("error")
            await self.aclose()
            raise result.error
        return result

    def _put(self, result: BulkResult, cost: float = 0.0) -> None:
        self.tally.add(result, cost)
        self._outlet.put(result)

    def progress(self) -> BulkProgress:
        """Return where the run stands."""
        elapsed_s = self._loop.time() - self._began_at
        return self.tally.progress(
            elapsed_s, running=self._running, limit=self._limit, stopped=self.stopped, is_over=self._is_over
        )

    # --- the workers -----------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while len(self._workers) <= self._limit and self.stopped is None and not self._is_dry:
            if self._outlet.open >= self._outlet.most or self._is_disk_behind():
                await self._outlet.wait_for_room()
                continue
            if self._is_at_hand:
                job = self._take()
            else:
                async with self._turn:
                    job = await self._take_in_turn()
            if job is not None:
                await self._do(job)
            elif self._next_index % SKIPS_PER_TURN == 0:
                await asyncio.sleep(0)  # a journal may have a million of them
        # At once: the next worker that is too many must not count this one.
        self._workers.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    def _is_disk_behind(self) -> bool:
        return self._journal is not None and self._journal.pending_bytes > MAX_PENDING_BYTES

    def _take(self) -> Job | None:
        """Take a request from an input that is at hand; None if it is not to be sent."""
        assert self._items is not None
        try:
            item = next(self._items)
        except StopIteration:
            self._is_dry = True
            return None
        return self._job(item)

    async def _take_in_turn(self) -> Job | None:
        """Do the same for any input, and keep the limits."""
        if self.stopped is not None or self._is_dry:
            return None
        if self._async_items is None:
            job = self._take()
        else:
            self._taking = cast("asyncio.Task[None]", asyncio.current_task())
            try:
                item = await anext(self._async_items)
            except StopAsyncIteration:
                self._is_dry = True
                return None
            finally:
                self._taking = None
            job = self._job(item)
        if job is None:
            return None
        if not await self._intake.admit(job, self):
            # The request was taken from the input and is not run: it counts as one of the rest.
            self._outlet.open -= 1
            return None
        return job

    def _job(self, item: object) -> Job | None:
        """Return the request that *item* is, if it has to be sent."""
        index, self._next_index = self._next_index, self._next_index + 1
        self._outlet.open += 1
        try:
            job = self._reader.read(item, index)
        except RequestValidationError as error:
            self._put(BulkResult(custom_id=id_of(item, index), index=index, error=error))
            return None
        if self._journal is not None and self._journal.finished:
            place, is_known = self._journal.find(job.key)
            if place is not None:
                self._skip(job, self._journal, place)
                return None
            if is_known:
                self.tally.changed += 1
                job = msgspec.structs.replace(job, note=CHANGED)
        if self._options.cache:
            return self._shared(job)
        return job

    def _skip(self, job: Job, journal: Journal, place: int) -> None:
        if self._options.finished == "skip":
            self.tally.resumed += 1
            self._outlet.skip(job.index)
            return
        entry = journal.read(place)
        assert entry.completion is not None
        self._put(
            BulkResult(
                custom_id=job.custom_id,
                index=job.index,
                completion=self._rebuild(entry.completion),
                usage=entry.completion.usage,
                timing=BulkTiming(total_s=entry.total_s),
                is_resumed=True,
            )
        )

    def _shared(self, job: Job) -> Job | None:
        """Let *job* wait for an equal one in flight; return it if there is none."""
        waiting = self._in_flight.get(job.asked)
        if waiting is None:
            self._in_flight[job.asked] = []
            return job
        waiting.append(job)
        return None

    async def _do(self, job: Job) -> None:
        """Run one request, and put its result."""
        began_at = self._loop.time()
        if self._rule is not None:
            self._rule.began(began_at)
        self._running += 1
        completion: ChatCompletion | None = None
        error: OpeAIError | None = None
        try:
            if self._watch is None:
                completion = await self._ask(**job.params)
            else:
                completion = await self._watched(self._watch, job)
        except OpeAIError as exc:
            error = exc
        finally:
            self._running -= 1
            if completion is None and error is None and self._rule is not None:
                self._rule.ended(self._loop.time(), Sample(began_at, 0.0))
        self._finish(job, began_at, completion, error)

    async def _watched(self, watch: BulkWatch, job: Job) -> ChatCompletion:
        """Do the same where somebody is told which request the calls are for."""
        entered = watch.enter(job.custom_id)
        try:
            return await self._ask(**job.params)
        finally:
            watch.leave(entered)

    def _finish(self, job: Job, began_at: float, completion: ChatCompletion | None, error: OpeAIError | None) -> None:
        now = self._loop.time()
        attempts = completion.meta.attempts if completion is not None else attempts_of(error)
        if self._rule is not None:
            self._rule.ended(now, sample_of(began_at, completion, error, attempts))
            if self._rule.limit != self._limit:
                self._limit = self._rule.limit
                self._add_workers()
        result = BulkResult(
            custom_id=job.custom_id,
            index=job.index,
            completion=completion,
            error=error,
            attempts=attempts,
            timing=BulkTiming(
                began_s=began_at - self._began_at,
                total_s=now - began_at,
                waited_s=sum(attempt.delay_s for attempt in attempts) if len(attempts) > 1 else 0.0,
            ),
            usage=completion.usage if completion is not None else None,
            note=job.note,
        )
        self._keep(job, result)
        if not self._intake.counts:
            self._put(result)
        else:
            self._put(result, self._intake.ended(now, job, result))
            if why := self._intake.is_used_up(self.tally.tokens, self.tally.cost):
                self.hit(why)
        if self._options.cache:
            self._answer_the_others(job, result)

    def _keep(self, job: Job, result: BulkResult) -> None:
        if self._journal is not None:
            self._journal.add(line_of(job, result))
            self._has_lines.set()

    def _answer_the_others(self, job: Job, result: BulkResult) -> None:
        for other in self._in_flight.pop(job.asked, ()):
            shared = BulkResult(
                custom_id=other.custom_id,
                index=other.index,
                completion=result.completion,
                error=result.error,
                attempts=result.attempts,
                timing=result.timing,
                usage=result.usage,
                is_shared=True,
                note=other.note,
            )
            self._keep(other, shared)
            self._put(shared)

    # --- helpers ---------------------------------------------------------------------------------------------------

    async def _commit_lines(self, journal: Journal) -> None:
        """Commit what was finished, all of it at once, soon after the first."""
        while True:
            await self._has_lines.wait()
            await asyncio.sleep(COMMIT_S)
            self._has_lines.clear()
            await journal.commit()
            self._outlet.room.set()

    async def _report(self, tell: Callable[[BulkProgress], object]) -> None:
        while True:
            await asyncio.sleep(PROGRESS_S)
            tell(self.progress())
