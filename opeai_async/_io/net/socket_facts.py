"""Questions to sockets and errors that aiohttp does not answer, and the end of a session with its event loop.

They need the operating system, ssl and asyncio only, and no name of aiohttp.
"""

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
    """Tell whether *sock* has bytes, or its end, that nobody has read yet."""
    # poll() before select(): the latter refuses descriptors of 1,024 and more, which a busy service has.
    if not hasattr(select, "poll"):  # pragma: no cover - Windows, where select() takes any socket
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def is_refused_certificate(cause: BaseException | None) -> bool:
    """Tell whether the server refused our certificate, or missed one: in TLS 1.3 it says so after the handshake."""
    reason = cause.reason if isinstance(cause, ssl.SSLError) else None
    return bool(reason and re.search(_CERTIFICATE_ALERT, reason))


def first_line(text: str) -> str:
    """Return the first line of *text*, at most 300 characters, with what looks like a key redacted."""
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
    """Close *session* when this generator is closed: by its owner, or by the event loop when it ends.

    ``asyncio.run`` closes all generators of its loop, so a client that outlives it leaves nothing behind.
    """
    try:
        yield
    finally:
        # Responses first: closing the session would strand a reader for ever.
        for response in list(responses):
            response.abort()
        await session.close()
