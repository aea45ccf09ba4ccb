"""Read an answer once, and write it to the log of its session."""

from __future__ import annotations

import asyncio
import copy

import msgspec

from opeai_async._core.frames.error_frames import error_frame
from opeai_async._io.loops import hold
from opeai_async._io.observe.observers import Observers
from opeai_async._relay.frames import FrameSource
from opeai_async._relay.session_log import SessionLog
from opeai_async.errors import (
    OpeAIError,
    StreamInterruptedError,
    StreamTooLargeError,
)
from opeai_async.types.common import CompletionUsage
from opeai_async.types.completion import ChatCompletion
from opeai_async.types.frames import DoneFrame, DoneReason, ErrorFrame, Frame
from opeai_async.types.records import SessionRecord

CLOSE_S = 1.0


class _Past(msgspec.Struct, frozen=True):
    """An ``Origin`` that has ended: what is still known of it."""

    completion: ChatCompletion | None
    usage: CompletionUsage | None
    error: OpeAIError | None
    chunks: int
    observed: tuple[Observers, str] | None = None

    def stop(self) -> None:
        pass

    def fail(self, error: OpeAIError) -> None:
        pass


class Producer:
    """Reads a source into a log, to its end; the log's ``Origin`` until then."""

    def __init__(self, source: FrameSource, log: SessionLog, grace: float | None) -> None:
        self._source = source
        self._log = log
        self._grace = grace
        self._reason: DoneReason | OpeAIError | None = None  # why it was ended from here
        self._error: OpeAIError | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._started_at = 0.0

    def start(self) -> None:
        log = self._log
        self._started_at = log.loop.time()
        log.origin = self
        log.on_readers.append(self._watch)
        self._watch()
        self._task = hold(log.loop.create_task(self._run()))
        self._task.add_done_callback(self._finish)

    def stop(self) -> None:
        self._close("stopped")

    def fail(self, error: OpeAIError) -> None:
        self._close(error)

    async def aclose(self) -> None:
        task = self._task
        if task is None or task.done():
            return
        self._close("cancelled")
        try:
            await asyncio.wait([task], timeout=CLOSE_S)
        finally:
            task.cancel()
        await asyncio.wait([task])

    def _close(self, reason: DoneReason | OpeAIError) -> None:
        if self._log.last is None and self._reason is None:
            self._reason = reason
            self._source.stop()

    async def _run(self) -> None:
        source, log = self._source, self._log
        try:
            while log.last is None:
                frames = await source.read()
                if not frames:
                    raise StreamInterruptedError("the source ended without a last frame")
                log.append(self._with_reason(frames))
        except OpeAIError as exc:
            self._fail(exc)
        except Exception as exc:  # noqa: BLE001 - whatever a source does, no reader waits for ever
            self._fail(StreamInterruptedError(f"the source failed: {exc!r}"))
        finally:
            await source.aclose()

    def _finish(self, task: asyncio.Task[None]) -> None:
        """The task has ended, or was cancelled, perhaps before it began."""
        source, log = self._source, self._log
        if not task.cancelled():
            task.exception()  # of closing the source, after the end: it changes nothing of the answer
        if self._timer is not None:
            self._timer.cancel()
        if log.last is None:
            source.stop()
            last = DoneFrame(reason="cancelled", usage=source.usage, offset=log.offset + 1)
            log.append([self._with_own_reason(last)])
        self._tell_end()
        log.origin = _Past(self.completion, self.usage, self.error, self.chunks, self.observed)

    def _tell_end(self) -> None:
        """Tell those who listen to the answer's call that it is over."""
        if self.observed is None or not self.observed[0]:
            return
        observers, call_id = self.observed
        log = self._log
        record = SessionRecord(
            call_id=call_id,
            outcome="done" if isinstance(log.last, DoneFrame) else "error",
            reason=log.last.reason if isinstance(log.last, DoneFrame) else None,
            duration_s=log.loop.time() - self._started_at,
        )
        observers.tell("session_ended", record)

    def _with_reason(self, frames: list[Frame]) -> list[Frame]:
        """A source that was stopped says just that; for what reason it was is known only here."""
        last = frames[-1]
        if self._reason is not None and isinstance(last, DoneFrame) and last.reason == "stopped":
            return [*frames[:-1], self._with_own_reason(last)]
        return frames

    def _with_own_reason(self, last: DoneFrame) -> DoneFrame | ErrorFrame:
        reason = self._reason or "cancelled"
        if isinstance(reason, OpeAIError):
            self._error = reason
            return error_frame(reason, offset=last.offset)
        return msgspec.structs.replace(last, reason=reason)

    def _fail(self, error: OpeAIError) -> None:
        if isinstance(error, StreamTooLargeError) and error.partial is None:
            error.partial, error.usage = self._source.completion, self._source.usage
        # A copy, because the traceback of what was raised leads back to this task.
        self._error = copy.copy(error)
        self._log.append([error_frame(error, offset=self._log.offset + 1)])

    # --- grace -----------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Have the readers counted when there may have been none for long enough; one timer does for all."""
        if self._grace is not None and self._timer is None and not self._log.readers:
            self._timer = self._log.loop.call_later(self._grace, self._check)

    def _check(self) -> None:
        self._timer = None
        log = self._log
        if log.readers or self._grace is None:
            return
        left = log.unread_since + self._grace - log.loop.time()
        if left > 0:
            self._timer = log.loop.call_later(left, self._check)
        else:
            self._close("cancelled")

    # --- what is known ---------------------------------------------------------------------------------------------

    @property
    def completion(self) -> ChatCompletion | None:
        return self._source.completion

    @property
    def usage(self) -> CompletionUsage | None:
        return self._source.usage

    @property
    def observed(self) -> tuple[Observers, str] | None:
        return getattr(self._source, "observed", None)

    @property
    def error(self) -> OpeAIError | None:
        return self._error or self._source.error

    @property
    def chunks(self) -> int:
        return self._source.chunks
