"""The client that the user gave, and the state of Redis: one line in the log when it fails, one when it works again.

Each task has its own `Health`, because Redis may refuse one key and accept another; the `Link` of the event loop
collects them, so that the log has two lines and not two per session.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import Any, Protocol, cast

from opeai_async._io.observe import log
from opeai_async._relay.redis.refusals import explain, is_of_another_type
from opeai_async.errors import APIConnectionError, ConfigurationError

ROUND_TIMEOUT_S = 5.0
RETRY_S = (0.1, 1.0)


class Pipeline(Protocol):
    """The methods of a pipeline that are used here; its own types say less."""

    def execute_command(self, *args: str | bytes | int) -> object: ...

    async def execute(self, raise_on_error: bool = True) -> list[Any]: ...


class Client(Protocol):
    """The methods of a client that are used here; its own types say less."""

    async def execute_command(self, *args: str | bytes | int) -> Any: ...

    def pipeline(self) -> Pipeline: ...

    async def aclose(self) -> None: ...


class Link:
    """The connection of one event loop to Redis.

    Attributes:
        client: The client that sends commands.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        # The tasks that Redis refuses at present; the log is written when the first comes and when the last leaves.
        self._refused: set[Health] = set()

    def refused(self, health: Health, error: APIConnectionError) -> None:
        """Log that Redis refuses something, unless that was logged already."""
        if not self._refused:
            log.store_lost(error)
        self._refused.add(health)

    def answered(self, health: Health) -> None:
        """Log that Redis refuses nothing any more, if it did."""
        if health in self._refused:
            self._refused.discard(health)
            if not self._refused:
                log.store_back()

    def forget(self, health: Health) -> None:
        """Drop *health*, whose task has ended; that says nothing about Redis, so nothing is logged."""
        self._refused.discard(health)


class Health:
    """The state of Redis as one task sees it.

    Attributes:
        error: The reason why it refuses; None while it works. A connection that fails once is not an error yet,
            because the next one may be made at once.
    """

    def __init__(self, link: Link) -> None:
        self.error: APIConnectionError | None = None
        self._link = link
        self._failures = 0

    def failed(self, exc: Exception) -> None:
        """Remember that a try failed with *exc*."""
        self._failures += 1
        refusal = explain(exc)
        if not refusal.may_pass or self._failures > 1:
            self.error = APIConnectionError(refusal.message, hint=refusal.hint)
            self._link.refused(self, self.error)

    def answered(self) -> None:
        """Remember that a try succeeded."""
        self._failures = 0
        if self.error is not None:
            self.error = None
            self._link.answered(self)

    def close(self) -> None:
        """End, because the task will ask nothing more."""
        self._link.forget(self)


def checked(results: list[Any]) -> list[Any]:
    """Return the *results* of a pipeline; an error about a key of another type stays in it, for its one session.

    Raises:
        Exception: The first other error. A pipeline of a cluster is not a transaction: parts of it may have failed.
    """
    for result in results:
        if isinstance(result, Exception) and not is_of_another_type(result):
            raise result
    return results


def checked_client(client: object) -> Client:
    """Return *client* if it is one of ``redis.asyncio``, or works like one.

    Raises:
        ConfigurationError: If it is another object. A synchronous client would stop the event loop at each wait.
    """
    kind = type(client)
    name = f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
    hint = "give RedisStore a client of redis.asyncio: `from redis.asyncio import Redis`"
    if not callable(getattr(client, "execute_command", None)) or not callable(getattr(client, "pipeline", None)):
        raise ConfigurationError(f"client is a {name}, expected a client of redis.asyncio", hint=hint)
    if not _is_async(client):
        raise ConfigurationError(f"client is a synchronous {name}, expected a client of redis.asyncio", hint=hint)
    return cast("Client", client)


def is_cancelled() -> bool:
    """Tell whether this task was cancelled: before Python 3.12, ``wait_for``, which redis uses, may swallow that."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _is_async(client: Any) -> bool:
    # Tracing may wrap a method so that it does not look like a coroutine function; its class still tells.
    modules = {part for kind in type(client).__mro__ for part in kind.__module__.split(".")}
    return inspect.iscoroutinefunction(client.execute_command) or not modules.isdisjoint({"asyncio", "aioredis"})
