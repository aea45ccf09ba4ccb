"""The store that users make; in each event loop, it has one place with a keeper, followers and local logs.

===================  =================================  ==============================
an id is ...         its log is filled by               and is found in
===================  =================================  ==============================
started here         its producer                       ``_Place.local``
started elsewhere    a `Follower`, while it is read     ``_Place.followers``
===================  =================================  ==============================
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from opeai_async._relay.redis.follower import Follower
from opeai_async._relay.redis.keeper import Keeper, Published
from opeai_async._relay.redis.link import ROUND_TIMEOUT_S, Client, Link, checked_client
from opeai_async._relay.redis.refusals import explain
from opeai_async._relay.redis.wire import Keys, ms
from opeai_async._relay.session_log import SessionLog
from opeai_async._relay.stores import MAX_SESSIONS, MemoryStore
from opeai_async.errors import APIConnectionError, ConfigurationError

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster

    AnyClient: TypeAlias = Redis | RedisCluster

STOP_S = 60.0


class RedisStore:
    """Sessions that all processes with the same Redis know; a ``SessionStore``.

    While Redis refuses or is unreachable, answers continue, and are whole for the readers of this process. Then
    ``session.store_error`` says why other processes do not see them, and the logger ``opeai_async`` gets a line; it
    gets another one when Redis works again and has all that it missed.

    Args:
        client: A client of ``redis.asyncio``, which stays yours to close; its ``socket_timeout``, if any, must be
            longer than a second. Its connections belong to one event loop, and so does the store then; another loop may
            use it when the first is closed, if the client was closed in it. Or a function without arguments that makes
            such a client: it is called once for each event loop that uses the store, and ``aclose`` closes the client.
        prefix: The beginning of all keys. A Redis cluster needs one with a hash tag, such as ``"{opeai}:session:"``, so
            that all keys are in one slot.
        lease: Seconds without a sign of life after which a producer counts as dead: with fewer, a death is noticed
            sooner, but so is a process that is only held up. A session's ``grace`` should not be shorter.
        max_sessions: The number of sessions that each event loop of this process may produce.

    Raises:
        ConfigurationError: If *client* is not a client of ``redis.asyncio``, such as a synchronous one.
    """

    def __init__(
        self,
        client: AnyClient | Callable[[], AnyClient],
        *,
        prefix: str = "opeai:session:",
        lease: float = 10.0,
        max_sessions: int = MAX_SESSIONS,
    ) -> None:
        if lease <= 0:
            raise ConfigurationError(f"lease is {lease}, expected more than 0 seconds")
        self._make: Callable[[], AnyClient] | None = client if callable(client) else None
        self._client: Client | None = None if callable(client) else checked_client(client)
        self._prefix = prefix
        self._lease = lease
        self._max_sessions = max_sessions
        self._places: dict[asyncio.AbstractEventLoop, _Place] = {}

    def add(self, id: str, log: SessionLog, *, keep: float) -> None:
        """Make *log* known under *id* here at once, and in Redis soon, until *keep* seconds after its end.

        That another process has a session of this *id* is noticed later, and ends this one with an error.

        Raises:
            ConfigurationError: If *id* is taken by a session in this event loop, or the client is in use by another.
            LocalResourceError: If ``max_sessions`` of this event loop have not ended.
        """
        place = self._here()
        place.local.add(id, log, keep=keep)
        place.keeper.add(Published(id, log, keep, Keys(self._prefix, id)))

    def get(self, id: str) -> SessionLog:
        """Return the log of *id*: the one that is filled here, or one that follows another process while it is read.

        Raises:
            ConfigurationError: If the client is in use by another event loop.
        """
        place = self._here()
        log = place.local.get(id)
        if log is not None:
            return log
        follower = place.followers.get(id)
        if follower is None:
            follower = Follower(place.link, id, Keys(self._prefix, id), self._lease, place.followers)
        return follower.log

    async def stop(self, id: str) -> None:
        """Ask the producer of *id*, wherever it is, to end the answer; it sees that within a second.

        Raises:
            APIConnectionError: If Redis cannot be reached, or refuses.
            ConfigurationError: If the client is in use by another event loop.
        """
        client = self._here().link.client
        try:
            async with asyncio.timeout(ROUND_TIMEOUT_S):
                await client.execute_command("SET", Keys(self._prefix, id).stop, 1, "PX", ms(STOP_S))
        except Exception as exc:  # noqa: BLE001 - not all exceptions of drivers are RedisErrors
            refusal = explain(exc)
            error = APIConnectionError(f"the session could not be stopped: {refusal.message}", hint=refusal.hint)
            raise error from None  # the driver's text may quote anything

    async def settle(self, id: str) -> None:
        """Wait until the log of *id* is in Redis, but 5 seconds at most, or one more try if Redis refuses."""
        if (place := self._place()) is not None:
            await place.keeper.settle(id)

    async def aclose(self) -> None:
        """Write what has ended to Redis, as ``settle`` does, and stop reading and writing in this event loop.

        End the sessions of this event loop before: what comes later is not written.
        """
        place = self._place()
        if place is not None:
            await place.keeper.aclose()
            await asyncio.gather(*(follower.aclose() for follower in list(place.followers.values())))
            if self._make is not None:
                del self._places[asyncio.get_running_loop()]
                await place.link.client.aclose()

    def _place(self) -> _Place | None:
        return self._places.get(asyncio.get_running_loop())

    def _here(self) -> _Place:
        """Return the place of this event loop, and make it the first time.

        Raises:
            ConfigurationError: If there is only one client, and another event loop uses it.
        """
        place = self._place()
        if place is None:
            for loop in [loop for loop in self._places if loop.is_closed()]:
                del self._places[loop]  # its tasks ended with it
            if self._client is not None and self._places:
                hint = "give RedisStore a function that makes a client, in place of a client: each loop gets its own"
                raise ConfigurationError("this RedisStore is in use by another event loop", hint=hint)
            client = self._client if self._make is None else checked_client(self._make())
            assert client is not None  # one of the two was given
            place = _Place(Link(client), self._lease, self._max_sessions)
            self._places[asyncio.get_running_loop()] = place
        return place


class _Place:
    """The part of the store that belongs to one event loop.

    Attributes:
        link: The connection to Redis.
        local: The logs of sessions that were started here.
        keeper: The task that writes them to Redis.
        followers: The tasks that fill the logs of sessions elsewhere, by id, while they are read.
    """

    def __init__(self, link: Link, lease: float, max_sessions: int) -> None:
        self.link = link
        self.local = MemoryStore(max_sessions=max_sessions)
        self.keeper = Keeper(link, lease)
        self.followers: dict[str, Follower] = {}
