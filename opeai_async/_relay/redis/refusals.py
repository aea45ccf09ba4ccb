"""Translation of Redis' errors into messages of our own.

A driver's own text is never shown: it may quote a command, and with it the answer, or a URL with a password. So an
exception is recognized by the names of its classes, which also avoids an import of the driver, whose versions and
clusters have different ones. Of the text, only the code at its beginning is read, which Redis itself writes.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_COMMANDS = "SET GET MGET DEL EXISTS PEXPIRE XADD XREAD MULTI EXEC"
_CROSS_SLOT = "the keys of sessions lie in different slots of the Redis cluster"
_TAG = 'give RedisStore a prefix with a hash tag, such as prefix="{opeai}:session:"'
_CODE = re.compile(r"[A-Z]{3,20}\b")


class Refusal(NamedTuple):
    """The message for the user about a failure of Redis.

    Attributes:
        message: What is wrong, in our own words.
        hint: What to do about it.
        may_pass: True if the next try may well succeed, as with a connection that had been idle for long.
    """

    message: str
    hint: str
    may_pass: bool = False


# Looked up in the order of an exception's classes, the most derived one first.
_BY_CLASS: dict[str, Refusal] = {
    "AuthenticationError": Refusal("Redis refuses the password", "check the user name and the password of the client"),
    "AuthorizationError": Refusal("Redis refuses the user", "check the user name and the password of the client"),
    "NoPermissionError": Refusal("Redis denies a command or a key to this user", f"the user needs: {_COMMANDS}"),
    "ReadOnlyError": Refusal("Redis is a read-only replica", "connect the client to the primary"),
    "OutOfMemoryError": Refusal(
        "Redis is out of memory", "raise maxmemory, or choose a maxmemory-policy that makes room"
    ),
    "ClusterCrossSlotError": Refusal(_CROSS_SLOT, _TAG),
    "CrossSlotTransactionError": Refusal(_CROSS_SLOT, _TAG),
    "AskError": Refusal("Redis is a cluster", f"use redis.asyncio.RedisCluster, and {_TAG}"),
    "BusyLoadingError": Refusal("Redis is loading its data", "wait until it is ready"),
    "MasterDownError": Refusal("Redis has lost its primary", "connect the client to the primary"),
    "ClusterDownError": Refusal("the Redis cluster is down", "see CLUSTER INFO"),
    "MaxConnectionsError": Refusal(
        "no connection of the Redis client is free",
        "raise max_connections: each session that is read elsewhere holds one connection",
    ),
    "TimeoutError": Refusal("Redis did not answer in time", "check the server, and a socket_timeout of the client"),
    "ConnectionError": Refusal("Redis cannot be reached", "check the server and the network", may_pass=True),
    "OSError": Refusal("Redis cannot be reached", "check the server and the network", may_pass=True),
}
_BY_CODE: dict[str, str] = {
    "CROSSSLOT": "ClusterCrossSlotError",
    "MOVED": "AskError",
    "ASK": "AskError",
    "NOAUTH": "AuthenticationError",
    "WRONGPASS": "AuthenticationError",
    "NOPERM": "NoPermissionError",
    "READONLY": "ReadOnlyError",
    "OOM": "OutOfMemoryError",
}
_OTHER_LOOP = Refusal(
    "the Redis client has connections of another event loop",
    "close the client before its loop ends, or give RedisStore a function that makes a client for each loop",
    may_pass=True,  # some drivers drop such a connection, and make another one
)
# uvloop says only this of a connection whose loop has ended, and says it also of one that was dropped in its own loop.
_UVLOOP_CLOSED = "the handler is closed"
_CLOSED_CONNECTION = _OTHER_LOOP._replace(
    message="a connection of the Redis client is closed, as are connections of another event loop"
)


def explain(error: BaseException) -> Refusal:
    """Return why Redis, or its driver, failed with *error*; of the error's own text, only a code is in it."""
    if isinstance(error, RuntimeError) and "loop" in str(error):
        return _OTHER_LOOP
    if isinstance(error, RuntimeError) and _UVLOOP_CLOSED in str(error):
        return _CLOSED_CONNECTION
    code = code_of(error)
    if code in _BY_CODE:
        return _BY_CLASS[_BY_CODE[code]]
    for kind in type(error).__mro__:
        if kind.__name__ == "RedisClusterException":  # the driver's own, before anything was sent
            return Refusal(_CROSS_SLOT, _TAG) if "slot" in str(error) else _unknown(error, None)
        if (refusal := _BY_CLASS.get(kind.__name__)) is not None:
            return refusal
    return _unknown(error, code)


def code_of(error: BaseException) -> str | None:
    """Return the code at the beginning of Redis' text of an error, such as ``WRONGTYPE``; None if it has none."""
    # A pipeline of the driver writes the command before it, which may hold anything.
    found = _CODE.match(str(error).rpartition("caused error: ")[2])
    return found.group() if found else None


def is_of_another_type(result: object) -> bool:
    """Tell whether *result* of a command says that its key holds a value of another type."""
    return isinstance(result, Exception) and code_of(result) == "WRONGTYPE"


def _unknown(error: BaseException, code: str | None) -> Refusal:
    name = type(error).__name__ if code is None else f"{type(error).__name__} ({code})"
    return Refusal(f"Redis failed with {name}", "see the log of the Redis server")
