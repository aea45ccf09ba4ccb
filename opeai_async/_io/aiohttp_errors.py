"""What aiohttp raises, in this package's own words: what happened, where, and whether the request was sent.

Nothing of aiohttp's own errors hangs on ours, because some show the headers, and with them the key.
"""

from __future__ import annotations

import errno
import ssl

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from opeai_async._core.retry import RETRYABLE_STATUSES, Cause
from opeai_async._io.sending import Sending, first_line, is_refused_certificate
from opeai_async.errors import (
    APIConnectionError,
    APITimeoutError,
    ConfigurationError,
    InvalidResponseError,
    LocalResourceError,
    OpeAIError,
    TLSError,
)

# The first is raised by aiohttp's Python parser only.
BODY_ERRORS = (HttpProcessingError, aiohttp.ClientError, OSError, RuntimeError)

_LOCAL_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL})


def is_silent_break(exc: Exception, sending: Sending) -> bool:
    """Whether an existing connection broke without a byte of response."""
    is_break = isinstance(exc, (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError))
    return is_break and not isinstance(exc, aiohttp.ClientConnectorError) and not sending.has_answer()


def why_broken(exc: Exception) -> str:
    if isinstance(exc, aiohttp.ClientPayloadError):
        return "the body was cut before its end"  # aiohttp's own words hold a status 400 that nobody sent
    if isinstance(exc, HttpProcessingError):
        return f"the framing of the body is malformed ({first_line(exc.message)})"
    return f"the connection broke ({first_line(str(exc)) or type(exc).__name__})"


def error_and_cause(exc: Exception, sending: Sending) -> tuple[OpeAIError, Cause]:
    where, connect_s = sending.where, sending.connect_s
    if isinstance(exc, (aiohttp.ClientSSLError, ssl.SSLError)) or is_refused_certificate(exc.__cause__):
        return TLSError(f"no trusted TLS connection to {where}: {_reason(exc)}"), Cause.FINAL
    if isinstance(exc, aiohttp.ServerTimeoutError):
        message = f"no connection to {where} within {connect_s:g} s (connect_s={connect_s:g})"
        return APITimeoutError(message, phase="connect", timeout_s=connect_s), Cause.NOT_SENT
    if getattr(exc, "errno", None) in _LOCAL_ERRNOS:
        return LocalResourceError(f"no connection to {where}: {_reason(exc)}"), Cause.FINAL
    if isinstance(exc, aiohttp.ClientHttpProxyError):
        cause = Cause.NOT_SENT if exc.status in RETRYABLE_STATUSES else Cause.FINAL  # 503 may pass, 407 will not
        return APIConnectionError(f"the proxy refused to connect to {sending.host}: HTTP {exc.status}"), cause
    if isinstance(exc, (aiohttp.ClientResponseError, HttpProcessingError)):
        return InvalidResponseError(f"{where} answered with malformed HTTP: {first_line(exc.message)}"), Cause.FINAL
    if isinstance(exc, (aiohttp.InvalidURL, ValueError)):
        return ConfigurationError(f"the request to {where} cannot be sent: {type(exc).__name__}"), Cause.FINAL
    if sending.transport is None:
        return APIConnectionError(f"no connection to {where}: {_reason(exc)}"), Cause.NOT_SENT
    if isinstance(exc, aiohttp.ServerDisconnectedError):
        return APIConnectionError(f"{where} closed the connection before it answered"), Cause.AMBIGUOUS
    return APIConnectionError(f"the connection to {where} broke before it answered: {_reason(exc)}"), Cause.AMBIGUOUS


def _reason(exc: Exception) -> str:
    inner = getattr(exc, "os_error", None) or getattr(exc, "certificate_error", None) or exc
    return first_line(getattr(inner, "strerror", None) or str(inner) or type(inner).__name__)
