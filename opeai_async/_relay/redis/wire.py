"""The keys and replies of Redis, for any client and protocol (RESP2, RESP3; decoded or not).

A session has four keys::

    <prefix><id>:log       a stream of entries, each the JSON of frames; the first entry holds all up to it
    <prefix><id>:lease     the producer's token, while it is alive
    <prefix><id>:stop      there if somebody asks to stop
    <prefix><id>:readers   there while somebody reads in another process
"""

from __future__ import annotations

from typing import Any

from opeai_async._core.json import JSONObject, is_object


class Keys:
    """The keys of one session."""

    __slots__ = ("lease", "log", "readers", "stop")

    def __init__(self, prefix: str, id: str) -> None:
        base = f"{prefix}{id}:"
        self.log = base + "log"
        self.lease = base + "lease"
        self.stop = base + "stop"
        self.readers = base + "readers"


def entries_of(reply: Any) -> list[tuple[str, str | bytes]]:
    """Return the ids and the values of the entries in the reply to XREAD."""
    if not reply:
        return []
    found: list[tuple[str | bytes, JSONObject]] = (
        next(iter(reply.values()))[0] if is_object(reply) else reply[0][1]  # RESP3 or RESP2
    )
    return [(text_of(id), next(iter(fields.values()))) for id, fields in found]


def text_of(value: str | bytes) -> str:
    """Return *value* as text: whether Redis' replies are decoded depends on the client's options."""
    return value.decode() if isinstance(value, bytes) else value


def ms(seconds: float) -> int:
    """Return *seconds* in milliseconds, at least one."""
    # Redis refuses an expiry of 0.
    return max(1, int(seconds * 1000))
