"""The store that users make, and what it has in each event loop."""

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

    While Redis refuses or is gone, answers go on and are whole for the readers of this process. Then
    ``session.store_error`` says why other processes do not see them, and the logger ``opeai_async`` has a line; it has
    another one when Redis works again and has got all that it missed.

    Args:
        client: Of ``redis.asyncio``, which stays yours to close; its ``socket_timeout``, if any, is to be longer than
            a second. Its connections belong to one event loop, and so does the store then; a further loop may have it
            when the first is closed, if the client was closed in it. Or a function without arguments that makes such a
            client: it is called once for each event loop that uses the store, and what it made is closed by ``aclose``.
        prefix: Of all keys. A Redis cluster needs one with a hash tag, such as ``"{opeai}:session:"``, so that all keys
            are in one slot.
        lease: Seconds after which a producer that has died is known to have: a lower one is noticed sooner, but is
            lost sooner by a process that is only held up. A session's ``grace`` should not be shorter.
        max_sessions: How many sessions each event loop of this process may produce.

    Raises:
        ConfigurationError: If *client* is not one of ``redis.asyncio``, such as a synchronous one.
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

        An *id* that is taken by a session in another process is found out later, and ends this one with an error.

        Raises:
            ConfigurationError: If *id* is taken by a session in this event loop, or the client is in use by another.
            LocalResourceError: If ``max_sessions`` go on here.
        """
        place = self._here()
        place.local.add(id, log, keep=keep)
        place.keeper.add(Published(id, log, keep, Keys(self._prefix, id)))

    def get(self, id: str) -> SessionLog:
        """The log of *id*: the one that is filled here, or one that follows another process as long as it is read.

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
        """Return when the log of *id* is in Redis, but after 5 seconds, or one more try where Redis refuses."""
        if (place := self._place()) is not None:
            await place.keeper.settle(id)

    async def aclose(self) -> None:
        """Stop reading and writing in this event loop, once what was to be written is in Redis; see ``settle``.

        The sessions of this event loop must have ended before: what comes later is not written.
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
        """What there is in this event loop; made when it is first wanted.

        Raises:
            ConfigurationError: If there is only one client, and another loop goes on with it.
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
    """What the store has in one event loop.

    Attributes:
        link: The way to Redis.
        local: The logs that are filled here.
        keeper: Writes them.
        followers: Those that fill the logs of sessions elsewhere, by id, as long as they are read.
    """

    def __init__(self, link: Link, lease: float, max_sessions: int) -> None:
        self.link = link
        self.local = MemoryStore(max_sessions=max_sessions)
        self.keeper = Keeper(link, lease)
        self.followers: dict[str, Follower] = {}
