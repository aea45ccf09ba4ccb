"""What a bulk run tells those who listen: that it begins and ends, and which of its requests a call answers.

A request may be several calls (one that is repaired by another question, a hedged one), made deep below the run. So the
request is named by a context variable in the task that runs it, as the span of a trace is, and not by an argument that
every layer would hand on.
"""

from __future__ import annotations

import os
from contextvars import ContextVar, Token
from typing import NamedTuple

from opeai_async._io.observe import log
from opeai_async._io.observe.observers import Observers
from opeai_async.types.records import BulkRecord, BulkStarted


class BulkRequest(NamedTuple):
    """A request of a bulk run."""

    run_id: str
    custom_id: str


_request: ContextVar[BulkRequest | None] = ContextVar("opeai_async_bulk_request", default=None)


def current_request() -> BulkRequest | None:
    """Return the request of a bulk run that this task works at; None if it does not."""
    return _request.get()


class BulkWatch:
    """Tells what becomes of one bulk run.

    Args:
        observers: Who listens.
        model: The model that all requests share, if they do.

    Attributes:
        run_id: Names the run.
        run: How it began, once it has.
    """

    def __init__(self, observers: Observers, model: str | None) -> None:
        self.run_id: str = os.urandom(16).hex()
        self.run: BulkStarted | None = None
        self._observers = observers.after(log.LISTENER) if log.is_on() else observers
        self._model = model

    def begin(self, total: int | None) -> None:
        """Tell that the run begins, with so many requests, if that is known."""
        self.run = BulkStarted(run_id=self.run_id, model=self._model, total=total)
        self._observers.tell("bulk_started", self.run)

    def enter(self, custom_id: str) -> Token[BulkRequest | None]:
        """Let calls of this task be those of the request *custom_id*; returns what ``leave`` takes."""
        return _request.set(BulkRequest(self.run_id, custom_id))

    def leave(self, entered: Token[BulkRequest | None]) -> None:
        """End what ``enter`` began."""
        _request.reset(entered)

    def ended(self, record: BulkRecord) -> None:
        """Tell that the run is over."""
        self._observers.tell("bulk_ended", record)


def bulk_watch(observers: Observers, model: object) -> BulkWatch | None:
    """Return who tells what becomes of a bulk run; None if nobody listens."""
    if not observers and not log.is_on():
        return None
    return BulkWatch(observers, model if isinstance(model, str) else None)
