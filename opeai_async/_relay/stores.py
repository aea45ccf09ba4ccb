"""Where sessions are found by their id: the protocol, and the store of one process."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from opeai_async._public import claim
from opeai_async.errors import ConfigurationError, LocalResourceError

if TYPE_CHECKING:
    from opeai_async._relay.session_log import SessionLog


MAX_SESSIONS = 10_000


class SessionStore(Protocol):
    """Makes sessions known under an id."""

    def add(self, id: str, log: SessionLog, *, keep: float) -> None:
        """Make *log*, which is filled in this process, known under *id*, until *keep* seconds after its end.

        Raises:
            ConfigurationError: If *id* is taken by a session that goes on.
            LocalResourceError: If there are too many sessions.
        """
        ...

    def get(self, id: str) -> SessionLog | None:
        """The log of *id*; None if there is none, and that is certain."""
        ...

    async def stop(self, id: str) -> None:
        """Ask who fills the log of *id*, wherever that is, to end the answer."""
        ...

    async def settle(self, id: str) -> None:
        """Return when all that is in the log of *id* is known to other processes, or cannot be made known soon.

        It does not wait for a store that is known to refuse.
        """
        ...


class _Ended(NamedTuple):
    goes_at: float
    number: int  # who ended first goes first, at the same time
    id: str


class MemoryStore:
    """Sessions of one process and one event loop; ``StreamSession`` takes one for the whole process by default.

    Those that have ended are let go when their time is over, or when room is needed: at the next ``add`` or ``get``.

    Args:
        max_sessions: How many sessions it may hold.
        clock: Gives the time in seconds.
    """

    def __init__(self, *, max_sessions: int = MAX_SESSIONS, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_sessions = max_sessions
        self._clock = clock
        self._logs: dict[str, SessionLog] = {}
        self._ended: list[_Ended] = []  # a heap: first who goes first
        self._count = 0

    def __len__(self) -> int:
        return len(self._logs)

    def add(self, id: str, log: SessionLog, *, keep: float) -> None:
        """Make *log* known under *id*, until *keep* seconds after its end.

        Raises:
            ConfigurationError: If *id* is taken by a session that goes on.
            LocalResourceError: If ``max_sessions`` go on.
        """
        self._sweep()
        other = self._logs.get(id)
        if other is not None and other.last is None:
            raise ConfigurationError(f"session {id!r} goes on already", hint="give each answer an id of its own")
        if other is None and len(self._logs) >= self._max_sessions and not self._drop_one():
            raise LocalResourceError(
                f"{self._max_sessions} sessions go on already", hint="raise max_sessions, or turn requests away sooner"
            )
        if other is not None:
            self._ended = [ended for ended in self._ended if ended.id != id]
            heapq.heapify(self._ended)
        self._logs[id] = log
        log.on_append.append(lambda: self._appended(id, log, keep))

    def get(self, id: str) -> SessionLog | None:
        """The log of *id*; None if there is none, or not any more."""
        self._sweep()
        return self._logs.get(id)

    async def stop(self, id: str) -> None:
        """End the answer of *id*, if it is there and goes on."""
        log = self.get(id)
        if log is not None and log.origin is not None:
            log.origin.stop()

    async def settle(self, id: str) -> None:
        """Nothing is to be waited for: nobody else can see it."""

    def _appended(self, id: str, log: SessionLog, keep: float) -> None:
        if log.last is not None:
            self._count += 1
            heapq.heappush(self._ended, _Ended(self._clock() + keep, self._count, id))

    def _sweep(self) -> None:
        now = self._clock()
        while self._ended and self._ended[0].goes_at <= now:
            self._drop_one()

    def _drop_one(self) -> bool:
        """Let go of the session that would be the first to go; False if none has ended."""
        if not self._ended:
            return False
        del self._logs[heapq.heappop(self._ended).id]
        return True


claim(__name__)
