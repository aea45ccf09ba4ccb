"""Stores of sessions by id: the protocol, and the store of one process.

``RedisStore`` (``_relay/redis/store.py``) is the other implementation, for many processes.
"""

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
    """A directory of sessions: makes logs known under an id."""

    def add(self, id: str, log: SessionLog, *, keep: float) -> None:
        """Make *log*, which is filled in this process, known under *id*, until *keep* seconds after its end.

        Raises:
            ConfigurationError: If *id* is taken by a session that has not ended.
            LocalResourceError: If there are too many sessions.
        """
        ...

    def get(self, id: str) -> SessionLog | None:
        """Return the log of *id*; None if it is certain that there is none."""
        ...

    async def stop(self, id: str) -> None:
        """Ask the producer of *id*, in whatever process it is, to end the answer."""
        ...

    async def settle(self, id: str) -> None:
        """Wait until other processes know all that is in the log of *id*, or until it is clear that they cannot soon.

        It does not wait for a store that has refused already.
        """
        ...


class _Ended(NamedTuple):
    """A session that has ended, in the order in which sessions are dropped."""

    goes_at: float
    # At the same time, the one that ended first is dropped first; and ids need not be comparable.
    number: int
    id: str


class MemoryStore:
    """Sessions of one process and one event loop; ``StreamSession`` takes one for the whole process by default.

    A session that has ended is dropped when its time is over, at the next ``add`` or ``get``; sooner if ``add`` needs
    the room.

    Args:
        max_sessions: The number of sessions that it may hold.
        clock: A function that returns the time in seconds.
    """

    def __init__(self, *, max_sessions: int = MAX_SESSIONS, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_sessions = max_sessions
        self._clock = clock
        self._logs: dict[str, SessionLog] = {}
        # A heap: the session that is dropped next comes first.
        self._ended: list[_Ended] = []
        # How many sessions have ended so far.
        self._count = 0

    def __len__(self) -> int:
        return len(self._logs)

    def add(self, id: str, log: SessionLog, *, keep: float) -> None:
        """Make *log* known under *id*, until *keep* seconds after its end.

        Raises:
            ConfigurationError: If *id* is taken by a session that has not ended.
            LocalResourceError: If ``max_sessions`` have not ended.
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
        """Return the log of *id*; None if there is none, or it was dropped."""
        self._sweep()
        return self._logs.get(id)

    async def stop(self, id: str) -> None:
        """End the answer of *id*, if it is here and has not ended."""
        log = self.get(id)
        if log is not None and log.origin is not None:
            log.origin.stop()

    async def settle(self, id: str) -> None:
        """Return at once: no other process can see the session."""

    def _appended(self, id: str, log: SessionLog, keep: float) -> None:
        if log.last is not None:
            self._count += 1
            heapq.heappush(self._ended, _Ended(self._clock() + keep, self._count, id))

    def _sweep(self) -> None:
        now = self._clock()
        while self._ended and self._ended[0].goes_at <= now:
            self._drop_one()

    def _drop_one(self) -> bool:
        """Drop the session that would be dropped next; return False if none has ended."""
        if not self._ended:
            return False
        del self._logs[heapq.heappop(self._ended).id]
        return True


claim(__name__)
