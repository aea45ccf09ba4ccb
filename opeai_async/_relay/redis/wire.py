"""What sessions say to Redis, and how its replies are read, whatever client and protocol brought them."""

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
    """The ids and the values of the entries in the reply to XREAD, whatever protocol and client brought it."""
    if not reply:
        return []
    found: list[tuple[str | bytes, JSONObject]] = (
        next(iter(reply.values()))[0] if is_object(reply) else reply[0][1]  # RESP3 or RESP2
    )
    return [(text_of(id), next(iter(fields.values()))) for id, fields in found]


def text_of(value: str | bytes) -> str:
    """What Redis said, also where the client decodes nothing."""
    return value.decode() if isinstance(value, bytes) else value


def ms(seconds: float) -> int:
    """Milliseconds, at least one, as Redis wants them."""
    return max(1, int(seconds * 1000))
