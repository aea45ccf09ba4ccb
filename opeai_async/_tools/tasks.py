"""Tool calls under way: so many at a time, each in a task of its own.

They are moved on by the ends of their tasks, and not by whoever reads the run: a reader that is slow does not keep the
next call from being started. What happens is told as events, in the order in which it does.
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
    """One call.

    Attributes:
        work: Runs it; None if it is not run.
        answer: What became of it; None until then.
        started_at: When it began, in loop time; None before.
    """

    round: int
    index: int
    call: ToolCall
    work: Work | None
    answer: ToolAnswer | None = None
    started_at: float | None = None

    def is_for(self, call: ToolCall) -> bool:
        """Whether *call* asks for the same."""
        return asked(self.call) == asked(call)

    def finished(self, duration_s: float) -> ToolFinishedEvent:
        """Return the event that tells its answer, which there must be."""
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
    """The name of the tool, and the text that it is given."""
    if call.custom is not None:
        return call.custom.name, call.custom.input
    return call.function.name, call.function.arguments


class ToolTasks:
    """Runs jobs, at most *parallel* at a time.

    Args:
        parallel: At least 1.
        tell: Is given each event as it happens.
        watch: Tells each tool's work to those who listen, if anybody does.

    Attributes:
        news: Set when a job has ended.
        error: What a job raised.
    """

    def __init__(self, parallel: int, tell: Callable[[ToolEvent], None], watch: RunWatch | None = None) -> None:
        self._watch = watch
        self.news = asyncio.Event()
        self.error: BaseException | None = None
        self._parallel = parallel
        self._tell = tell
        self._waiting: deque[ToolJob] = deque()
        self._running: dict[asyncio.Task[ToolAnswer], ToolJob] = {}
        self._dropped: set[asyncio.Task[ToolAnswer]] = set()

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to wait for."""
        return not (self._running or self._waiting)

    def start(self, job: ToolJob) -> None:
        """Run *job*, now or when it is its turn."""
        self._waiting.append(job)
        self.fill()

    def drop(self, job: ToolJob) -> None:
        """Cancel *job*, and tell no more of it."""
        if job in self._waiting:
            self._waiting.remove(job)
        for task, running in list(self._running.items()):
            if running is job:
                self._drop(task)
        self.fill()

    def cancel(self) -> None:
        """Cancel all jobs, and tell no more of them."""
        self._waiting.clear()
        for task in list(self._running):
            self._drop(task)
        self.news.set()

    def wake(self, task: asyncio.Task[Any]) -> None:
        """There is news: *task* has ended, which somebody else may look at or not."""
        self.news.set()
        if not task.cancelled():
            task.exception()

    async def ended(self) -> None:
        """Return when what was cancelled has ended; cancelling this is harmless."""
        # A tool may be what ends its own run.
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
        if was_cancelled:  # by the tool itself, or by somebody who knows its task
            answer = failed(asyncio.CancelledError(), "The tool was cancelled.")
        elif (error := task.exception()) is not None:
            self.error = self.error or error
            return
        else:
            answer = task.result()
        job.answer = answer
        assert job.started_at is not None
        self._tell(job.finished(task.get_loop().time() - job.started_at))
        if not was_cancelled:  # who cancels everything, such as a loop that ends, wants nothing begun; a reader asks
            self.fill()
