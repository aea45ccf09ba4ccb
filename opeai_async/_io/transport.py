"""The seam to the network: the protocols `Transport` and `Response`, and the errors that cross it.

A transport sends one request once. It knows HTTP and the traps of its library, and nothing of retries, JSON or SSE,
which all lie above the seam. So another library, or a script in place of a server, needs these five methods only::

    send  -> a Response,  or SendError (no response came), or HeldError (not sent, because the caller must wait)
    wait, read_nowait -> bytes, b"" at the end,  or BodyError once the body has begun
    release or abort  -> the end, exactly one of them counts

Reading is split into ``wait`` and ``read_nowait``, so that a read that finds bytes costs a call and no coroutine.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from opeai_async._core.call.http import Request, ResponseHead
from opeai_async._core.call.retry import Cause
from opeai_async._public import claim
from opeai_async.errors import APITimeoutError, OpeAIError


class SendError(Exception):
    """No response came.

    Attributes:
        error: The error that the user sees.
        cause: What a retry may conclude from it.
    """

    def __init__(self, error: OpeAIError, cause: Cause) -> None:
        super().__init__(str(error))
        self.error = error
        self.cause = cause


class HeldError(Exception):
    """The request was not sent: while it waited for a slot, ``Request.is_held`` became true."""


class BodyError(Exception):
    """The body broke off. What had arrived before was returned by the reads before.

    Attributes:
        cause: What a retry may conclude, as long as nothing was handed out.
    """

    def __init__(self, message: str, cause: Cause = Cause.AMBIGUOUS) -> None:
        super().__init__(message)
        self.cause = cause


class Response(Protocol):
    """An open response. Its holder must end it, by ``release`` or ``abort``."""

    @property
    def head(self) -> ResponseHead:
        """Status and headers."""
        ...

    def read_nowait(self) -> bytes | None:
        """Return all that has arrived since the last read; ``b""`` at the end, None if there is nothing yet.

        Raises:
            BodyError: If the body broke off, or ``abort`` was called; not before all that arrived has been read.
        """
        ...

    def wait(self) -> Awaitable[object] | None:
        """Return what to await until ``read_nowait`` may return bytes or the end, or raise; None if it would at once.

        The awaitable raises nothing, and may be done although there is nothing yet. One task awaits it at a time; a
        cancelled wait loses nothing.
        """
        ...

    def hold(self) -> None:
        """Leave what arrives to the operating system until the next ``wait``; a hint, which may do nothing."""
        ...

    def release(self) -> None:
        """End the response, keeping its connection for reuse if the rest of the body arrives soon. Never blocks."""
        ...

    def abort(self) -> None:
        """Close the connection now, waking a waiting read. Never blocks; may be called again."""
        ...


class Transport(Protocol):
    """A sender of requests, each once, over connections that it keeps."""

    @property
    def keeps_limits(self) -> bool:
        """True if ``send`` keeps its limits; if False, the caller has a clock for the sum of them."""
        ...

    async def send(self, request: Request, *, connect_s: float, pool_s: float) -> Response:
        """Send *request* and wait for the head of the response.

        Each wait has its limit, in seconds, ``math.inf`` for none: for a slot, then for a connection, then, from the
        moment there is one, ``request.head_s`` for the head.

        Raises:
            SendError: If no response came.
            HeldError: If *request* became held while it waited for a slot; it was not sent.
        """
        ...

    async def aclose(self) -> None:
        """Abort every open response, then close every connection."""
        ...


def headers_timeout(limit_s: float) -> SendError:
    """Return the failure of a server that has taken the request and sent no head within *limit_s* seconds."""
    message = f"no response within {limit_s:g} s (response_headers_s={limit_s:g})"
    return SendError(APITimeoutError(message, phase="response_headers", timeout_s=limit_s), Cause.FINAL)


def has_ambiguous_length(head: ResponseHead) -> bool:
    """Tell whether the end of the body is in doubt (RFC 9112 6.3)."""
    # Where it is, bytes of this answer might be taken for the next one, so its connection must not be reused.
    # Repeated headers come joined by a comma; equal lengths are as good as one (RFC 9110 8.6).
    length = head.headers.get("content-length")
    if length is None:
        return False
    return "transfer-encoding" in head.headers or ("," in length and len(set(length.split(", "))) > 1)


claim(__name__)
