"""What a run of tools tells those who listen: that it begins and ends, and each tool's work."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any

from opeai_async._core.schema.tool_results import ToolAnswer
from opeai_async._io.loops import running_loop
from opeai_async._io.observe.observers import Observers
from opeai_async.types.common import CompletionUsage
from opeai_async.types.completion import ToolCall
from opeai_async.types.records import RunRecord, RunStarted, ToolRecord, ToolStarted


class RunWatch:
    """Tells what becomes of one run.

    Args:
        observers: Who listens.
        model: The model that is asked.
        conversation_id: What the option of this name says.

    Attributes:
        run_id: Names the run.
    """

    def __init__(self, observers: Observers, model: str, conversation_id: str | None) -> None:
        self.run_id: str = os.urandom(16).hex()
        self._observers = observers
        self._run = RunStarted(run_id=self.run_id, model=model, conversation_id=conversation_id)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started_at = 0.0
        self._is_over = False
        self._tools = 0

    def begin(self) -> None:
        """Tell that the run begins; the first call counts."""
        if self._loop is None:
            self._loop = running_loop()
            self._started_at = self._loop.time()
            self._observers.tell("run_started", self._run)

    def ended(self, reason: str, rounds: int, usage: CompletionUsage | None, error: BaseException | None) -> None:
        """Tell that it is over; the first call counts, and none of a run that has not begun."""
        if self._loop is None or self._is_over:
            return
        self._is_over = True
        record = RunRecord(
            run=self._run,
            reason=reason,
            rounds=rounds,
            tool_calls=self._tools,
            usage=usage,
            duration_s=self._loop.time() - self._started_at,
            error=None if error is None else type(error).__name__,
        )
        self._observers.tell("run_ended", record)

    async def tool(self, call: ToolCall, work: Callable[[], Coroutine[Any, Any, ToolAnswer]]) -> ToolAnswer:
        """Run *work*, and tell that it begins and how it ends, in the task that it runs in."""
        started, loop = self._tool_started(call), running_loop()
        began, is_cancelled = loop.time(), False
        answer: ToolAnswer | None = None
        error: str | None = None
        try:
            answer = await work()
            error = answer.error
            return answer
        except (asyncio.CancelledError, GeneratorExit):
            is_cancelled = True
            raise
        except BaseException as exc:
            error = type(exc).__name__
            raise
        finally:
            self._tool_ended(started, loop.time() - began, answer, error, is_cancelled=is_cancelled)

    def _tool_started(self, call: ToolCall) -> ToolStarted:
        self._tools += 1
        is_custom = call.custom is not None
        name, given = (
            (call.custom.name, call.custom.input)
            if call.custom is not None
            else (call.function.name, call.function.arguments)
        )
        started, shown = (
            ToolStarted(
                run_id=self.run_id,
                number=self._tools,
                tool_call_id=call.id,
                name=name,
                kind="custom" if is_custom else "function",
                arguments=arguments,
            )
            for arguments in (None, given)
        )
        self._observers.tell("tool_started", started, shown)
        return started

    def _tool_ended(
        self, tool: ToolStarted, duration_s: float, answer: ToolAnswer | None, error: str | None, *, is_cancelled: bool
    ) -> None:
        told = None if answer is None else answer.content
        result = told if told is None or isinstance(told, str) else repr(told)
        record, shown = (
            ToolRecord(tool=tool, duration_s=duration_s, error=error, is_cancelled=is_cancelled, result=content)
            for content in (None, result)
        )
        self._observers.tell("tool_ended", record, shown)
