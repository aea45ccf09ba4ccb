"""The producer of a session: a task that reads an answer once, and writes it to the session's log.

It ends in one of these ways, and in each the log ends with exactly one ``done`` or ``error``:

=================================================  ==================================================
the source ends                                    its own last frame
``stop``, by any reader                            ``done``/``stopped``
``aclose``, or ``grace`` seconds without a reader  ``done``/``cancelled``
``fail``, or the source raises                     ``error``
the frame does not fit the log                     ``error``/``too_large``
the task is cancelled, as when its loop ends       ``done``/``cancelled``, or the reason of an earlier wish
=================================================  ==================================================
"""

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
    """The facts about an answer that has ended; the log's ``Origin`` from then on."""

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
    """The reader of a source into a log, until its end; the log's ``Origin`` until then."""

    def __init__(self, source: FrameSource, log: SessionLog, grace: float | None) -> None:
        self._source = source
        self._log = log
        # Seconds without a reader after which it ends; None for never.
        self._grace = grace
        # Why it was ended from here; None while it was not. The first reason counts.
        self._reason: DoneReason | OpeAIError | None = None
        # The error of the last frame, if it is not the source's own.
        self._error: OpeAIError | None = None
        # Set when the last reader left, until it has been checked that nobody came back; None otherwise.
        self._timer: asyncio.TimerHandle | None = None
        # None before ``start``.
        self._task: asyncio.Task[None] | None = None
        self._started_at = 0.0

    def start(self) -> None:
        """Begin to read, in a task of the log's event loop."""
        log = self._log
        self._started_at = log.loop.time()
        log.origin = self
        log.on_readers.append(self._watch)
        self._watch()
        self._task = hold(log.loop.create_task(self._run()))
        self._task.add_done_callback(self._finish)

    def stop(self) -> None:
        """End the answer, with what there is and ``done``/``stopped``."""
        self._close("stopped")

    def fail(self, error: OpeAIError) -> None:
        """End the answer, with what there is and *error*."""
        self._close(error)

    async def aclose(self) -> None:
        """End the answer with ``done``/``cancelled``, and wait until the task has ended; after a second, cancel it."""
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
        """End the log if the task has not, and keep only the facts; called when the task has ended."""
        # It may have been cancelled before its first step, so nothing that must happen can stand in ``_run``.
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
        """Tell the observers of the answer's call that it is over."""
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
        """Return *frames*, with our own reason in the last one if the source was stopped from here."""
        # A stopped source knows only that it was stopped, and not why.
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
        """Set the timer if there is neither a reader nor a timer; called when the first comes or the last leaves."""
        # A reader that comes does not cancel it: ``_check`` looks again, so a busy session costs one timer.
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
