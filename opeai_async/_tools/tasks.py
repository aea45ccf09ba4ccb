"""The tool calls of a run that are under way: each in a task of its own, at most so many at a time.

A job passes through these states, and each step is reported as an event, in the order in which it happens::

    start() -> waiting --a place is free--> running --its task ends--> done (answer)
                  |                            |
                  +---- drop(), cancel() ------+--> dropped: nothing more is reported

The end of a task starts the next job, and not the reader of the run: a slow reader does not delay a call.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeAlias

from opeai_async._core.schema.tool_results import ToolAnswer, failed
from opeai_async._io.observe.run import RunWatch
from opeai_async.types.completion import ToolCall
from opeai_async.types.events import ToolFinishedEvent, ToolStartedEvent

Work: TypeAlias = Callable[[], Coroutine[Any, Any, ToolAnswer]]
ToolEvent: TypeAlias = ToolStartedEvent | ToolFinishedEvent


@dataclass(eq=False, slots=True)
class ToolJob:
    """One call of a tool.

    Attributes:
        round: The number of its round; 0 for a call of an earlier run.
        index: Its position among the calls of the round.
        call: The call as the model made it.
        work: The function that runs it; None if it is not run.
        answer: Its answer for the model; None until it is done.
        started_at: The loop time at which it began; None before.
    """

    round: int
    index: int
    call: ToolCall
    work: Work | None
    answer: ToolAnswer | None = None
    started_at: float | None = None

    def is_for(self, call: ToolCall) -> bool:
        """Tell whether *call* asks for the same."""
        return asked(self.call) == asked(call)

    def finished(self, duration_s: float) -> ToolFinishedEvent:
        """Return the event of its end; it must have an answer."""
        answer = self.answer
        assert answer is not None
        return ToolFinishedEvent(
            round=self.round,
            index=self.index,
            id=self.call.id,
            name=asked(self.call)[0],
            content=answer.content,
            duration_s=duration_s,
            error=answer.error,
            result=answer.result,
            exception=answer.exception,
        )


def asked(call: ToolCall) -> tuple[str, str]:
    """Return the name of the tool that *call* asks for, and the text of its arguments."""
    if call.custom is not None:
        return call.custom.name, call.custom.input
    return call.function.name, call.function.arguments


class ToolTasks:
    """The jobs of a run, of which at most *parallel* run at a time.

    Args:
        parallel: The number of jobs that may run at a time, at least 1.
        tell: A function that is called with each event as it happens.
        watch: Tells observers of each tool's work; None if there are none.

    Attributes:
        news: Set when a job has ended; the reader clears it before it waits.
        error: The first error that a job raised; None if none did.
    """

    def __init__(self, parallel: int, tell: Callable[[ToolEvent], None], watch: RunWatch | None = None) -> None:
        self._watch = watch
        self.news = asyncio.Event()
        self.error: BaseException | None = None
        self._parallel = parallel
        self._tell = tell
        self._waiting: deque[ToolJob] = deque()
        self._running: dict[asyncio.Task[ToolAnswer], ToolJob] = {}
        # Tasks that were cancelled and have not ended yet.
        self._dropped: set[asyncio.Task[ToolAnswer]] = set()

    @property
    def is_idle(self) -> bool:
        """True if no job is running or waiting."""
        return not (self._running or self._waiting)

    def start(self, job: ToolJob) -> None:
        """Run *job*, at once or when a place is free."""
        self._waiting.append(job)
        self.fill()

    def drop(self, job: ToolJob) -> None:
        """Cancel *job*, and report nothing more of it."""
        if job in self._waiting:
            self._waiting.remove(job)
        for task, running in list(self._running.items()):
            if running is job:
                self._drop(task)
        self.fill()

    def cancel(self) -> None:
        """Cancel all jobs, and report nothing more of them."""
        self._waiting.clear()
        for task in list(self._running):
            self._drop(task)
        self.news.set()

    def wake(self, task: asyncio.Task[Any]) -> None:
        """Wake the reader, because *task* has ended."""
        self.news.set()
        # Looked at here, or asyncio would log an error of a task that was dropped.
        if not task.cancelled():
            task.exception()

    async def ended(self) -> None:
        """Wait until all cancelled jobs have ended; cancelling this is harmless."""
        # A tool may end its own run, and would wait for itself.
        if tasks := self._dropped - {asyncio.current_task()}:
            await asyncio.wait(tasks)

    def fill(self) -> None:
        """Start as many of the waiting jobs as may run."""
        while self._waiting and len(self._running) < self._parallel:
            job = self._waiting.popleft()
            name = f"opeai_async tool {asked(job.call)[0]}"
            self._begun(asyncio.get_running_loop().create_task(self._run(job), name=name), job)

    async def _run(self, job: ToolJob) -> ToolAnswer:
        # An eager task (asyncio.eager_task_factory) runs the tool before create_task returns it; the tool may end its
        # own run, or begin another, so it must be known before that.
        task = asyncio.current_task()
        assert task is not None
        assert job.work is not None
        self._begun(task, job)
        return await job.work() if self._watch is None else await self._watch.tool(job.call, job.work)

    def _begun(self, task: asyncio.Task[Any], job: ToolJob) -> None:
        """Note that *job* runs in *task*; the first call counts."""
        if job.started_at is not None:
            return
        job.started_at = task.get_loop().time()
        self._running[task] = job
        task.add_done_callback(self._done)
        name, arguments = asked(job.call)
        self._tell(ToolStartedEvent(round=job.round, index=job.index, id=job.call.id, name=name, arguments=arguments))

    def _drop(self, task: asyncio.Task[ToolAnswer]) -> None:
        del self._running[task]
        self._dropped.add(task)
        task.cancel()

    def _done(self, task: asyncio.Task[ToolAnswer]) -> None:
        self.wake(task)
        if task in self._dropped:
            self._dropped.discard(task)
            return
        job = self._running.pop(task)
        assert job.started_at is not None
        was_cancelled = task.cancelled()
        if was_cancelled:  # by the tool itself, or by code that knows its task
            answer = failed(asyncio.CancelledError(), "The tool was cancelled.")
        elif (error := task.exception()) is not None:
            self.error = self.error or error
            return
        else:
            answer = task.result()
        job.answer = answer
        assert job.started_at is not None
        self._tell(job.finished(task.get_loop().time() - job.started_at))
        # A loop that ends cancels everything, and nothing more may begin then; otherwise the next read begins it.
        if not was_cancelled:
            self.fill()
