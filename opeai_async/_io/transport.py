"""The seam between what is sent and how: everything above works on these two protocols.

A transport sends one request once. It knows HTTP and its library's traps, but no retries, no JSON, no SSE. Its failures
are ``SendError``, with the error for the user and what a retry may conclude, and ``BodyError`` once a body has begun.
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
        error: What the user sees.
        cause: What a retry may conclude.
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
    """An open response. Whoever holds it must end it, by ``release`` or ``abort``."""

    @property
    def head(self) -> ResponseHead:
        """Status and headers."""
        ...

    def read_nowait(self) -> bytes | None:
        """All that has arrived and was not read yet; ``b""`` at the end of the body, None if there is nothing yet.

        Raises:
            BodyError: If the body broke off, or ``abort`` was called; not before all that arrived has been read.
        """
        ...

    def wait(self) -> Awaitable[object] | None:
        """What to await until ``read_nowait`` has anything to say but None; None if it has.

        It raises nothing, and may come back in vain. One task awaits it at a time; cancelling that loses nothing.
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
    """Sends requests."""

    @property
    def keeps_limits(self) -> bool:
        """Whether the limits of ``send`` can be relied upon; if not, whoever calls has a clock for the sum of them."""
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
    """The failure of a server that has taken the request, and sends no head."""
    message = f"no response within {limit_s:g} s (response_headers_s={limit_s:g})"
    return SendError(APITimeoutError(message, phase="response_headers", timeout_s=limit_s), Cause.FINAL)


def has_ambiguous_length(head: ResponseHead) -> bool:
    """Whether the end of the body is in doubt (RFC 9112 6.3): the next bytes might be taken for another's answer."""
    length = head.headers.get("content-length")
    if length is None:
        return False
    return "transfer-encoding" in head.headers or ("," in length and len(set(length.split(", "))) > 1)


claim(__name__)
