"""The loop of a run: ask the model, run the tools that it calls, send the results back, ask again.

A round passes through these phases; each ``read`` takes as many steps as it needs to return something::

    RESUME --> CALLS --> BEGIN --> ANSWER --> CALLS --> BEGIN ...        RESUME: only with approvals of earlier calls
                           |          |         |
                           +----------+---------+--> the run ends, once, in _end: reason is no longer "running"

The streams are read in the reader's own task: what arrives waits in the transport until the next ``read``. Only the
tools have tasks of their own. If one of them runs while an answer still comes, the next read of the stream has a task
too, so that the first of the two to have news is returned first; a cancelled ``read`` leaves both as they are. The
alternative, one task that reads everything ahead, would need a buffer with a bound, and would hide a slow reader from
the server.

``_end`` closes what can be closed at once; ``settled`` waits for the tools, which may take their time to end.
"""

from __future__ import annotations

import asyncio
import copy
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from enum import Enum
from typing import Any, TypeAlias

import msgspec

from opeai_async._core.answer.outcome import Outcome
from opeai_async._core.answer.sealed_calls import SealedCalls
from opeai_async._core.answer.usage import added
from opeai_async._core.schema.sendable import open_calls
from opeai_async._core.schema.tool_results import ToolAnswer, refused
from opeai_async._io.loops import on_loop, running_loop
from opeai_async._io.observe.run import RunWatch
from opeai_async._io.patience import Cut
from opeai_async._io.stream.stream import ChunkStream
from opeai_async._tools.run_limits import RunLimits
from opeai_async._tools.tasks import ToolEvent, ToolJob, ToolTasks, Work, asked
from opeai_async.errors import ClientClosedError, ConcurrentReadError, ConfigurationError, OpeAIError
from opeai_async.types.chunk import ChatCompletionChunk
from opeai_async.types.common import CompletionUsage
from opeai_async.types.completion import ChatCompletion, ChatCompletionMessage, ToolCall
from opeai_async.types.events import RoundFinishedEvent, RoundStartedEvent, RunReason, ToolApprovalEvent
from opeai_async.types.request import MessageParam, ToolMessage
from opeai_async.types.run_options import Approvals, NextRound, RoundChanges

Chunks: TypeAlias = list[ChatCompletionChunk]
RunItem: TypeAlias = Chunks | ChatCompletion | RoundStartedEvent | RoundFinishedEvent | ToolEvent | ToolApprovalEvent
"""One item of a read: chunks that came together; the whole message, once no more chunks come; or an event."""

Ask: TypeAlias = Callable[[Sequence[MessageParam], int, Any], ChunkStream[Any]]
"""A function that makes the stream of a round from the messages, its number (from 1), and a ``tool_choice`` or None."""

Runner: TypeAlias = Callable[[ToolCall], Work | None]
"""A function that returns the work of a call; None if the call is left to the caller."""

Review: TypeAlias = Callable[[ChatCompletion, bool], "ChatCompletion | list[MessageParam]"]
"""A function of the last answer, and of whether another round may follow: it returns the answer, perhaps with a value,
or messages with which the model is asked again. It raises an ``OpeAIError`` if the answer cannot be used."""

_CUT_OFF: dict[str | None, RunReason] = {"length": "length", "content_filter": "content_filter"}


class _Phase(Enum):
    """The next step of a round."""

    RESUME = "resume"
    """Run the calls that an earlier run has left open, as far as they are approved."""
    BEGIN = "begin"
    """Ask the model, for the first time or with results."""
    ANSWER = "answer"
    """Read its stream."""
    CALLS = "calls"
    """Wait for the tools; if there are none, or when all have run, the round is over."""


class Rounds:
    """The rounds of one run.

    Args:
        ask: Makes a stream; that of the first round is made at once.
        runner: Finds the work of a call.
        messages: The conversation so far.
        limits: The limits of the run.
        needs_approval: Tells whether a call may be run only if somebody has approved it.
        approvals: The decisions on the calls that *messages* end with; None if those are not to be run.
        review: Looks at the last answer; None to take it as it is.
        watch: Tells observers what happens in the run; None if there are none.

    Attributes:
        reason: Why it ended; ``"running"`` until then.
        completions: The answers so far, without one that broke off.
        stream: The stream of this round, or of the last one.
        error: The error that ended it; None if there was none.
        chunks: The number of chunks that were read.
        resumed: The number of calls of an earlier run that it began with.
    """

    def __init__(
        self,
        ask: Ask,
        runner: Runner,
        messages: Iterable[MessageParam],
        *,
        limits: RunLimits,
        needs_approval: Callable[[ToolCall], bool],
        approvals: Approvals | None = None,
        review: Review | None = None,
        watch: RunWatch | None = None,
    ) -> None:
        self._watch = watch
        self.reason: RunReason = "running"
        self.completions: list[ChatCompletion] = []
        self.error: BaseException | None = None
        self.chunks: int = 0
        self._ask = ask
        self._runner = runner
        self._limits = limits
        self._needs_approval = needs_approval
        self._approvals = approvals
        self._review = review
        # The conversation up to the calls of this round, and how many messages of it were given.
        self._messages = list(messages)
        self._given = len(self._messages)
        # Items that the next ``read`` returns.
        self._items: list[RunItem] = []
        self._tasks = ToolTasks(limits.parallel, lambda event: self._items.append(event), watch)
        # The calls of this round; the jobs that were begun for them, and those that wait for approval, by position.
        self._jobs: dict[int, ToolJob] = {}
        self._calls: list[ToolCall] = [] if approvals is None else open_calls(self._messages)
        self._unapproved: dict[int, ToolCall] = {}
        # Calls that were begun in all rounds; and True if ``max_calls`` kept one from it.
        self._started = 0
        self._has_left_calls = False
        # Finds calls that are complete while the answer still comes; None unless tools run eagerly.
        self._sealed: SealedCalls | None = None
        # 0 until the first stream is begun.
        self._round = 0
        self.resumed: int = len(self._calls)
        # The next step of the round.
        self._phase = _Phase.RESUME if self.resumed else _Phase.BEGIN
        # True while a task is in ``read``: a second one is refused.
        self._is_reading = False
        # True if it was closed before its end: then reads raise, and do not end quietly as after ``cancel``.
        self._is_closed = False
        # True if the last read was cancelled: its reader did not simply forget to close the run.
        self._read_was_cancelled = False
        # A read of the stream that runs beside the tools; None if there is none.
        self._pending: asyncio.Task[Chunks | None] | None = None
        # Ends the application's ``before_round`` while it is awaited.
        self._hook: Cut | None = None
        # Both are set by the first read.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._deadline: asyncio.TimerHandle | None = None
        # The first stream is made here, and sends nothing before it is read.
        self.stream: ChunkStream[Any] = ask(self._messages, 1, None)
        self._batches: AsyncIterator[Chunks] = self.stream.batches()

    # --- reading -----------------------------------------------------------------------------------------------------

    async def read(self) -> list[RunItem]:
        """Wait for an item, and return all that are there; empty at the end. May be cancelled.

        Raises:
            OpeAIError: The error that ended the run.
            Exception: The error of a tool, if ``on_error`` lets it end the run.
            ConcurrentReadError: If another task is reading.
            ConfigurationError: If it was begun in another event loop.
            ClientClosedError: If it was closed before its end.
        """
        self._check_reader()
        self._is_reading, self._read_was_cancelled = True, False
        try:
            while not self._items and self.reason == "running":
                await self._go_on()
            if not self._items:
                await self.settled()
                self._check_end()
        except asyncio.CancelledError:
            self._read_was_cancelled = True
            raise
        finally:
            self._is_reading = False
        items, self._items = self._items, []
        return items

    def _check_reader(self) -> None:
        loop = running_loop()
        if self._is_stranded and self.reason == "running":
            self._is_closed = True
            self._end("cancelled")
        if self._loop is None or self._is_stranded:
            self._loop, self._is_reading = loop, False
            if self._watch is not None:
                self._watch.begin()
        if self._deadline is None and self._limits.deadline_s is not None and self.reason == "running":
            self._deadline = loop.call_later(self._limits.deadline_s, self._end_if_running, "deadline")
        if self._loop is not loop:
            hint = "read a run where it was begun, and hand on what it brings"
            raise ConfigurationError("this run is in use by another event loop, which is not closed", hint=hint)
        if self._is_reading:
            raise ConcurrentReadError("another task is reading this run already")

    async def _go_on(self) -> None:
        """Take the next step of the round, which may add items or not."""
        if self._tasks.error is not None:
            self._end("failed", self._tasks.error)
            return
        self._tasks.fill()
        if self._phase is _Phase.RESUME:
            self._resume()
        elif self._phase is _Phase.BEGIN:
            await self._begin_round()
        elif self._phase is _Phase.ANSWER:
            await self._read_answer()
        elif self._tasks.is_idle:
            self._conclude()
        else:
            await self._news(lambda: self._tasks.is_idle)

    def _resume(self) -> None:
        """Run those calls of an earlier run that are approved; give the model a refusal for those that are not."""
        self._phase = _Phase.CALLS
        for index, call in enumerate(self._calls):
            verdict = (self._approvals or {}).get(call.id)
            if verdict is None or verdict is True:
                self._start(index, call, is_approved=verdict is True)
            else:
                self._jobs[index] = job = ToolJob(0, index, call, None, refused(verdict))
                self._items.append(job.finished(0.0))

    async def _begin_round(self) -> None:
        # The results of the round before become part of the conversation.
        if self._round or self.resumed:
            self._messages, self._calls, self._jobs = self.messages, [], {}
        number = self._round + 1
        try:
            changes = await self._changes(number)
            if self.reason != "running":  # cancel() was called meanwhile, or the deadline has come
                return
            if number > 1 or self.resumed or changes is not None:
                changes = changes or NextRound()
                messages = self._messages if changes.messages is None else list(changes.messages)
                self.stream = self._ask(messages, number, changes.tool_choice)
                self._batches = self.stream.batches()
        except Exception as exc:  # noqa: BLE001 - the hook is the application's, and may raise anything
            self._end("failed", copy.copy(exc) if isinstance(exc, OpeAIError) else exc)
            return
        self._round = number
        self._phase = _Phase.ANSWER
        self._sealed = SealedCalls() if self._limits.eager else None
        self._items.append(RoundStartedEvent(round=number))

    async def _changes(self, number: int) -> NextRound | None:
        """Return what the application's ``before_round`` changes of a round; None for nothing."""
        if self._limits.before_round is None:
            return None
        changes: RoundChanges = None
        said = self._limits.before_round(list(self._messages), self.usage, number)
        if isinstance(said, Awaitable):
            # cancel() and the deadline come from outside of this task, and must not wait for the hook.
            with Cut() as self._hook:
                changes = await said
            self._hook = None
        else:
            changes = said
        return changes if changes is None or isinstance(changes, NextRound) else NextRound(messages=changes)

    async def _read_answer(self) -> None:
        try:
            chunks = await self._next_chunks()
        except (ConcurrentReadError, ConfigurationError):
            raise
        except OpeAIError as exc:
            self._end("failed", copy.copy(exc))  # the traceback of what is raised leads back to here
            return
        if self.reason != "running":  # cancel() was called meanwhile
            return
        if chunks is None:
            self._take_answer()
        elif chunks:
            self.chunks += len(chunks)
            self._items.append(chunks)
            for index, call in self._sealed.add(chunks) if self._sealed is not None else ():
                self._start(index, call)

    async def _next_chunks(self) -> Chunks | None:
        """Return the next chunks of the stream; None at its end, an empty list if a tool has news before."""
        if self._pending is None:
            # While no tool runs, nothing else can have news, so the reader's own task waits for the stream.
            if self._tasks.is_idle:
                return await anext(self._batches, None)
            self._pending = asyncio.get_running_loop().create_task(_first(self._batches), name="opeai_async run")
            self._pending.add_done_callback(self._tasks.wake)
        pending = self._pending
        await self._news(pending.done)
        if not pending.done():
            return []
        self._pending = None
        return pending.result()

    async def _news(self, is_there: Callable[[], bool]) -> None:
        """Wait until *is_there* is true, or there are items, an error of a tool, or the end."""
        tasks = self._tasks
        while not (is_there() or self._items or tasks.error is not None or self.reason != "running"):
            tasks.news.clear()
            await tasks.news.wait()

    # --- rounds ------------------------------------------------------------------------------------------------------

    def _take_answer(self) -> None:
        """Take the answer of a stream that has ended, and run the tools that it calls."""
        stream = self.stream
        if stream.outcome is Outcome.CANCELLED:
            self._end("cancelled")
            return
        completion = msgspec.structs.replace(stream.snapshot, meta=stream.meta)
        self.completions.append(completion)
        self._items.append(completion)
        self._phase = _Phase.CALLS
        finish = None
        for choice in completion.choices[:1]:
            finish, self._calls = choice.finish, choice.message.tool_calls or []
            self._messages.append(_sent_back(choice.message))
        if stream.outcome is Outcome.TRUNCATED:
            self._finish_round("truncated")
        elif finish in _CUT_OFF:
            self._finish_round(_CUT_OFF[finish])
        else:
            for index, call in self._named_calls:
                self._start(index, call)

    @property
    def _named_calls(self) -> list[tuple[int, ToolCall]]:
        """The calls of this round with their positions, without those that have no name: they cannot be answered."""
        return [(index, call) for index, call in enumerate(self._calls) if _is_named(call)]

    def _start(self, index: int, call: ToolCall, *, is_approved: bool = False) -> None:
        """Run *call*, unless it was begun already, while the answer still came."""
        begun = self._jobs.pop(index, None)
        if begun is not None and begun.is_for(call):
            self._jobs[index] = begun
            return
        if begun is not None:  # the server added to it after it looked complete
            self._tasks.drop(begun)
        try:
            must_wait = not is_approved and self._needs_approval(call)
        except Exception as exc:  # noqa: BLE001 - the function is the application's, and may raise anything
            self._end_if_running("failed", exc)
            return
        if must_wait:
            if index not in self._unapproved:
                self._unapproved[index] = call
                name, arguments = asked(call)
                self._items.append(
                    ToolApprovalEvent(round=self._round, index=index, id=call.id, name=name, arguments=arguments)
                )
            return
        work = self._runner(call)
        if work is None or self.reason != "running":
            return
        if self._limits.max_calls is not None and self._started >= self._limits.max_calls:
            self._has_left_calls = True
            return
        self._started += 1
        self._jobs[index] = job = ToolJob(self._round, index, call, work)
        self._tasks.start(job)

    def _conclude(self) -> None:
        """Finish the round after all tools have run, and review the answer if it was the last."""
        reason = self._reason()
        if not self._round:  # calls that were resumed belong to no round
            self._phase = _Phase.BEGIN
            if reason != "running":
                self._end(reason)
            return
        if reason == "completed" and self._review is not None:
            may_follow = self._round < self._limits.max_rounds
            try:
                found = self._review(self.completions[-1], may_follow)
            except OpeAIError as exc:
                self._finish_round("running")
                self._end("failed", copy.copy(exc))
                return
            if isinstance(found, ChatCompletion):
                self.completions[-1] = found
            else:
                self._messages += found
                reason = "running"
        self._finish_round(reason)

    def _reason(self) -> RunReason:
        """Return why the run ends after this round, all of whose tools have run; "running" if another one follows."""
        if not self._named_calls:
            return "tool_calls" if _calls_in_old_form(self.completions[-1]) else "completed"
        if self._unapproved:
            return "approval"
        if self.open_calls:
            return "max_calls" if self._has_left_calls else "tool_calls"
        if self._round >= self._limits.max_rounds:
            return "max_rounds"
        limit, usage = self._limits.max_total_tokens, self.usage
        is_used_up = limit is not None and usage is not None and (usage.total_tokens or 0) >= limit
        return "max_total_tokens" if is_used_up else "running"

    def _finish_round(self, reason: RunReason) -> None:
        self._items.append(RoundFinishedEvent(round=self._round, completion=self.completions[-1]))
        self._phase = _Phase.BEGIN
        if reason != "running":
            self._end(reason)

    # --- ending ------------------------------------------------------------------------------------------------------

    def cancel(self) -> None:
        """End the run now, from any thread: the upstream is closed, tools are cancelled, a loop over it ends."""
        if self._loop is None:
            self._cancel()
        else:
            on_loop(self._loop, self._cancel)

    def _cancel(self) -> None:
        if self.reason == "running":
            self._items = []
            self._end("cancelled")

    async def aclose(self) -> None:
        """Cancel the run, if it is not at its end, and wait until its tools have ended. May be called again."""
        if self.reason == "running":
            self._is_closed = True
            self.cancel()
        await self.settled()

    async def settled(self) -> None:
        """Wait until no task of the run is left; cancelling this is harmless."""
        await self._tasks.ended()
        if self._pending is not None:
            await asyncio.wait([self._pending])

    def _end_if_running(self, reason: RunReason, error: BaseException | None = None) -> None:
        if self.reason == "running":
            self._end(reason, error)

    def _end(self, reason: RunReason, error: BaseException | None = None) -> None:
        self.reason, self.error = reason, error
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._hook is not None:
            self._hook.now()
        if self._is_stranded:
            self._pending = None
        else:
            self._tasks.cancel()
        self.stream.cancel()
        if self._watch is not None:
            self._watch.ended(reason, self._round, self.usage, error)

    def _check_end(self) -> None:
        """Raise the error that ended the run, if there is one."""
        # A copy of our own errors: each raise would add a traceback to one object, which lives as long as the run.
        if self.error is not None:
            raise copy.copy(self.error) if isinstance(self.error, OpeAIError) else self.error
        if self._is_closed and self.reason == "cancelled":
            raise ClientClosedError(f"the run was closed in round {self._round}, before its end")

    @property
    def _is_stranded(self) -> bool:
        """True if its event loop was closed: none of its tasks runs any more, and none can be woken."""
        return self._loop is not None and self._loop.is_closed()

    # --- what is known -----------------------------------------------------------------------------------------------

    @property
    def is_unclosed(self) -> bool:
        """True if it was begun and not ended, and its last read was not cancelled: somebody forgot to close it."""
        return self.reason == "running" and self._round > 0 and not self._read_was_cancelled

    @property
    def messages(self) -> list[MessageParam]:
        """The conversation so far, with the results of this round's calls, in their order."""
        return [*self._messages, *(_result_of(call, answer) for call, answer in self._answered() if answer is not None)]

    @property
    def new_messages(self) -> list[MessageParam]:
        """The messages that this run has added."""
        return self.messages[self._given :]

    @property
    def open_calls(self) -> list[ToolCall]:
        """Calls of the last answer that have no result."""
        return [call for call, answer in self._answered() if answer is None]

    @property
    def unapproved(self) -> list[ToolCall]:
        """Those of the ``open_calls`` that wait for somebody's approval."""
        return list(self._unapproved.values())

    @property
    def usage(self) -> CompletionUsage | None:
        """Token counts of all rounds together, as far as they came."""
        counts = [completion.usage for completion in self.completions]
        if len(counts) < self._round:
            counts.append(self.stream.usage)
        return functools.reduce(added, counts, None)

    def _answered(self) -> list[tuple[ToolCall, ToolAnswer | None]]:
        jobs = [(call, self._jobs.get(index)) for index, call in self._named_calls]
        return [(call, job.answer if job is not None else None) for call, job in jobs]


def _calls_in_old_form(completion: ChatCompletion) -> bool:
    """Tell whether *completion* asks for a ``function_call``, the API's older form, which is left to the caller."""
    calls = [choice.message.function_call for choice in completion.choices[:1]]
    return any(call is not None and bool(call.name) for call in calls)


def _is_named(call: ToolCall) -> bool:
    return bool(call.function.name if call.custom is None else call.custom.name)


def _sent_back(message: ChatCompletionMessage) -> ChatCompletionMessage:
    """Return *message* without calls that have no name: servers refuse calls without a result."""
    calls = message.tool_calls or []
    named = list(filter(_is_named, calls))
    return message if len(named) == len(calls) else msgspec.structs.replace(message, tool_calls=named or None)


async def _first(batches: AsyncIterator[Chunks]) -> Chunks | None:
    return await anext(batches, None)


def _result_of(call: ToolCall, answer: ToolAnswer) -> MessageParam:
    return ToolMessage(content=answer.content, tool_call_id=call.id)
