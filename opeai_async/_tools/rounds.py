"""The loop of a run: ask the model, run the tools that it calls, send the results back, ask again.

Whoever reads the run reads its streams, in the reader's own task: what arrives waits in the transport until it is
wanted. Only the tools have tasks of their own. Where one of them runs while an answer still comes, the next read has a
task too, so that whichever is first is told first; a read that is cancelled leaves both as they are.

A run ends once, in ``_end``. What is closed there is closed at once; ``settled`` waits for what takes its time to end.
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
"""What one read brings: chunks that came together; the whole message, once no more chunks come; events."""

Ask: TypeAlias = Callable[[Sequence[MessageParam], int, Any], ChunkStream[Any]]
"""Makes the stream of a round from the messages, the round's number, from 1, and a ``tool_choice`` for it, or None."""

Runner: TypeAlias = Callable[[ToolCall], Work | None]
"""What runs a call; None if that is left to the caller."""

Review: TypeAlias = Callable[[ChatCompletion, bool], "ChatCompletion | list[MessageParam]"]
"""Looks at the last answer, and whether another round may follow: returns the answer, with its value perhaps, or what
to say to the model for it to try again. Raises an ``OpeAIError`` if the answer will not do."""

_CUT_OFF: dict[str | None, RunReason] = {"length": "length", "content_filter": "content_filter"}


class _Phase(Enum):
    """What comes next in a round."""

    RESUME = "resume"
    """Calls that an earlier run has left open are run, as far as they are approved."""
    BEGIN = "begin"
    """The model is asked, for the first time or with results."""
    ANSWER = "answer"
    """Its stream is read."""
    CALLS = "calls"
    """The tools run; with none, or when all have, the round is over."""


class Rounds:
    """The rounds of one run.

    Args:
        ask: Makes a stream; for the first round, now.
        runner: Finds what runs a call.
        messages: The conversation so far.
        limits: How far it goes.
        needs_approval: Whether a call may be run only if somebody has said so.
        approvals: What was decided of the calls that *messages* end with; None if they are not to be run.
        review: Looks at the last answer.
        watch: Tells what becomes of the run; None if nobody listens.

    Attributes:
        reason: Why it ended; ``"running"`` until then.
        completions: The answers so far, without one that broke off.
        stream: The stream of this round, or the last one.
        error: What ended it, where that was an error.
        chunks: How many chunks were read.
        resumed: How many calls of an earlier run it began with.
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
        self._messages = list(messages)
        self._given = len(self._messages)
        self._items: list[RunItem] = []
        self._tasks = ToolTasks(limits.parallel, lambda event: self._items.append(event), watch)
        self._jobs: dict[int, ToolJob] = {}
        self._calls: list[ToolCall] = [] if approvals is None else open_calls(self._messages)
        self._unapproved: dict[int, ToolCall] = {}
        self._started = 0
        self._has_left_calls = False
        self._sealed: SealedCalls | None = None
        self._round = 0
        self.resumed: int = len(self._calls)
        self._phase = _Phase.RESUME if self.resumed else _Phase.BEGIN
        self._is_reading = False
        self._is_closed = False
        self._read_was_cancelled = False
        self._pending: asyncio.Task[Chunks | None] | None = None
        self._hook: Cut | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self.stream: ChunkStream[Any] = ask(self._messages, 1, None)
        self._batches: AsyncIterator[Chunks] = self.stream.batches()

    # --- reading -----------------------------------------------------------------------------------------------------

    async def read(self) -> list[RunItem]:
        """All that is there, at least one; waits for one, and is empty at the end. May be cancelled.

        Raises:
            OpeAIError: What ended the run.
            Exception: What a tool raised, where that ends the run.
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
        """Take the next step, which may bring nothing."""
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
        """Run what was approved of the calls that an earlier run has left open, and tell the model of the others."""
        self._phase = _Phase.CALLS
        for index, call in enumerate(self._calls):
            verdict = (self._approvals or {}).get(call.id)
            if verdict is None or verdict is True:
                self._start(index, call, is_approved=verdict is True)
            else:
                self._jobs[index] = job = ToolJob(0, index, call, None, refused(verdict))
                self._items.append(job.finished(0.0))

    async def _begin_round(self) -> None:
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
        """Ask the application what it changes of a round."""
        if self._limits.before_round is None:
            return None
        changes: RoundChanges = None
        said = self._limits.before_round(list(self._messages), self.usage, number)
        if isinstance(said, Awaitable):
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
        """What the stream brings; None at its end, and nothing if a tool has news before."""
        if self._pending is None:
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
        """Return when there is something to go on with."""
        tasks = self._tasks
        while not (is_there() or self._items or tasks.error is not None or self.reason != "running"):
            tasks.news.clear()
            await tasks.news.wait()

    # --- rounds ------------------------------------------------------------------------------------------------------

    def _take_answer(self) -> None:
        """The stream has ended well: run what it asks for."""
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
        """The calls with their places; one without a name is nobody's, and the model is told nothing of it."""
        return [(index, call) for index, call in enumerate(self._calls) if _is_named(call)]

    def _start(self, index: int, call: ToolCall, *, is_approved: bool = False) -> None:
        """Run *call*, unless that was begun when it was sealed."""
        begun = self._jobs.pop(index, None)
        if begun is not None and begun.is_for(call):
            self._jobs[index] = begun
            return
        if begun is not None:  # it has gone on after it was whole
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
        """All tools have run: finish the round, and look at the answer if it was the last."""
        reason = self._reason()
        if not self._round:  # what was resumed is no round
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
        """Tell whether the run goes on after this round, all of whose tools have run; if not, why."""
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
        """Return when nothing runs any more; cancelling this is harmless."""
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
        """Raise what ended the run, if it did not end well."""
        if self.error is not None:
            raise copy.copy(self.error) if isinstance(self.error, OpeAIError) else self.error
        if self._is_closed and self.reason == "cancelled":
            raise ClientClosedError(f"the run was closed in round {self._round}, before its end")

    @property
    def _is_stranded(self) -> bool:
        """Whether its event loop was closed: nothing of it runs any more, and nothing there can be woken."""
        return self._loop is not None and self._loop.is_closed()

    # --- what is known -----------------------------------------------------------------------------------------------

    @property
    def is_unclosed(self) -> bool:
        """Whether it was begun and not ended, and nobody has cancelled who read it."""
        return self.reason == "running" and self._round > 0 and not self._read_was_cancelled

    @property
    def messages(self) -> list[MessageParam]:
        """The conversation so far, with the results of this round's calls, in their order."""
        return [*self._messages, *(_result_of(call, answer) for call, answer in self._answered() if answer is not None)]

    @property
    def new_messages(self) -> list[MessageParam]:
        """Those of the messages that this run has added."""
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
    """Whether it wants a ``function_call``, which is always the caller's."""
    calls = [choice.message.function_call for choice in completion.choices[:1]]
    return any(call is not None and bool(call.name) for call in calls)


def _is_named(call: ToolCall) -> bool:
    return bool(call.function.name if call.custom is None else call.custom.name)


def _sent_back(message: ChatCompletionMessage) -> ChatCompletionMessage:
    """*message* without calls that have no name: there will be no results of them."""
    calls = message.tool_calls or []
    named = list(filter(_is_named, calls))
    return message if len(named) == len(calls) else msgspec.structs.replace(message, tool_calls=named or None)


async def _first(batches: AsyncIterator[Chunks]) -> Chunks | None:
    return await anext(batches, None)


def _result_of(call: ToolCall, answer: ToolAnswer) -> MessageParam:
    return ToolMessage(content=answer.content, tool_call_id=call.id)
