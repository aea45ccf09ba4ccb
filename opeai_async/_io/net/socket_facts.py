"""Ask sockets and connections what aiohttp does not tell."""

from __future__ import annotations

import re
import select
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Iterable
from typing import Protocol

from opeai_async._core.call.redact import redact

_CERTIFICATE_ALERT = "ALERT_(.*CERTIFICATE.*|UNKNOWN_CA|ACCESS_DENIED)"  # RFC 8446 6.2


def has_input(sock: socket.socket) -> bool:
    """Whether *sock* has bytes, or its end, that nobody has read yet."""
    if not hasattr(select, "poll"):  # pragma: no cover - Windows, where select() takes any socket
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def is_refused_certificate(cause: BaseException | None) -> bool:
    """Whether the server did not like ours, or missed one: in TLS 1.3 it says so after the handshake."""
    reason = cause.reason if isinstance(cause, ssl.SSLError) else None
    return bool(reason and re.search(_CERTIFICATE_ALERT, reason))


def first_line(text: str) -> str:
    """The beginning of *text*, without what looks like a key."""
    return redact(text.partition("\n")[0][:300])


class Closable(Protocol):
    """A session."""

    def close(self) -> Awaitable[None]:
        """Close every connection."""
        ...


class Abortable(Protocol):
    """A response."""

    def abort(self) -> None:
        """Close its connection now."""
        ...


async def closed_with_loop(session: Closable, responses: Iterable[Abortable]) -> AsyncGenerator[None, None]:
    """Closes *session* when it is closed itself, or else when the event loop ends, which closes its generators.

    So nothing is left behind by a client that outlives its ``asyncio.run``.
    """
    try:
        yield
    finally:
        for response in list(responses):
            response.abort()
        await session.close()
