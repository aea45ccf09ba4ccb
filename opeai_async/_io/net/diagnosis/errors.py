"""Translation of aiohttp's errors into this package's: what happened, where, and what a retry may conclude.

aiohttp's own errors are dropped, not chained, because some hold the headers, and with them the key. `error_and_cause`
asks in this order, and takes the first that knows:

    _unconnected   plain HTTP for TLS, TLS, loop, time for a connection, this machine's limits, proxy
    _unanswered    odd first bytes, malformed HTTP, unsendable request, no connection, hang-up, any other break
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import ssl

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from opeai_async._core.call.retry import RETRYABLE_STATUSES, Cause
from opeai_async._core.dialect.api_errors import PROXY_LOGIN_HINT
from opeai_async._io.net.connections import ENDLESS, MAX_HEAD_LINES, MAX_LINE_BYTES
from opeai_async._io.net.diagnosis import hints
from opeai_async._io.net.diagnosis.certificate import Certificate
from opeai_async._io.net.sending import Sending
from opeai_async._io.net.socket_facts import first_line, is_refused_certificate
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

# What aiohttp says of one for which it lacks a library, such as "brotli (br)".
_UNKNOWN_ENCODING = re.compile(r"content-encoding: ([\w ()-]+)", re.IGNORECASE)

_LOCAL_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL})

# What asyncio and uvloop say in place of the reason, which is in the errno.
_CONNECT_FAILED = re.compile(r"Connect call failed \('([^']+)', (\d+)")

_NO_THREAD = "can't start new thread"
# How aiohttp's messages about large heads begin, in both of its parsers.
_TOO_LARGE = {"Got more than": "a longer line", "Too many headers": "more lines", ENDLESS: "more bytes"}
_TOO_LARGE_HINT = "the server, or a gateway before it, sends large headers, mostly cookies: make it send less"
_LOOP_HINT = (
    "run on asyncio's own event loop, or on uvloop: this one does not have all of asyncio's methods (TLS, mostly)"
)


def is_silent_break(exc: Exception, sending: Sending) -> bool:
    """Tell whether an existing connection broke without a byte of response."""
    is_break = isinstance(exc, (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError))
    return is_break and not isinstance(exc, aiohttp.ClientConnectorError) and not sending.has_answer()


def why_broken(exc: Exception) -> str:
    """Return why a body broke off, for the message of an error."""
    if isinstance(exc, aiohttp.ClientPayloadError):
        return "the body was cut before its end"  # aiohttp's own words hold a status 400 that nobody sent
    if isinstance(exc, HttpProcessingError):
        return f"the framing of the body is malformed ({unquoted(exc.message)})"
    return f"the connection broke ({first_line(str(exc)) or type(exc).__name__})"


def error_and_cause(exc: Exception, sending: Sending, proxy: str | None) -> tuple[OpeAIError, Cause]:
    """Return the error for the user in place of *exc*, and what a retry may conclude."""
    found = _unconnected(exc, sending, proxy) or _unanswered(exc, sending)
    if isinstance(found[0], APIConnectionError) and sending.transport is None:
        _add_hint(found[0], hints.unused_proxy(sending))
    return found


def untrusted_certificate(exc: Exception) -> hints.Distrust | None:
    """Return why the certificate of the server, or of the proxy, is not trusted; None if *exc* is something else."""
    return hints.distrust_of(getattr(exc, "certificate_error", exc))


def untrusted_error(distrust: hints.Distrust, shown: Certificate | None, sending: Sending) -> TLSError:
    """Return the error for a certificate that is not trusted.

    Args:
        shown: That certificate; None if it could not be read.
    """
    found, hint = hints.untrusted(distrust, shown)
    text = f"certificate verify failed: {first_line(distrust.text).rstrip('.')}"
    error = TLSError(f"no trusted TLS connection to {sending.place}: {text}{found}", hint=hint)
    _add_hint(error, hints.unused_proxy(sending))
    return error


def _unconnected(exc: Exception, sending: Sending, proxy: str | None) -> tuple[OpeAIError, Cause] | None:
    """Return the error if *exc* comes before anything was sent, or is a late refusal of TLS; else None."""
    place, connect_s = sending.place, sending.connect_s
    if sending.is_plain:
        message = f"no TLS connection to {place}: it does not answer to TLS, and answers to plain HTTP"
        return TLSError(message, hint=hints.plain_hint()), Cause.FINAL
    if isinstance(exc, (aiohttp.ClientSSLError, ssl.SSLError)) or is_refused_certificate(exc.__cause__):
        reason = _reason(exc)
        hint = hints.handshake_hint(reason, sending, proxy)
        return TLSError(f"no trusted TLS connection to {place}: {reason}", hint=hint), Cause.FINAL
    if isinstance(exc, NotImplementedError) or isinstance(exc.__cause__, AttributeError):
        return ConfigurationError(_lacking_loop(place), hint=_LOOP_HINT), Cause.FINAL
    if isinstance(exc, aiohttp.ServerTimeoutError):
        why, hint = hints.late(sending)
        message = f"no connection to {place} within {connect_s:g} s (connect_s={connect_s:g}){why}"
        return APITimeoutError(message, phase="connect", timeout_s=connect_s, hint=hint), Cause.NOT_SENT
    if getattr(exc, "errno", None) in _LOCAL_ERRNOS or _NO_THREAD in str(exc):
        return LocalResourceError(f"no connection to {place}: {_reason(exc)}"), Cause.FINAL
    if isinstance(exc, aiohttp.ClientHttpProxyError):
        cause = Cause.NOT_SENT if exc.status in RETRYABLE_STATUSES else Cause.FINAL  # 503 may pass, 407 will not
        message = f"the proxy refused to connect to {sending.host}: HTTP {exc.status}"
        return APIConnectionError(message, hint=PROXY_LOGIN_HINT if exc.status == 407 else None), cause
    return None


def _unanswered(exc: Exception, sending: Sending) -> tuple[OpeAIError, Cause]:
    """Return the error for any *exc* that `_unconnected` does not know."""
    where, place = sending.where, sending.place
    if found := hints.odd_beginning(sending.beginning()):  # whatever aiohttp made of it
        return InvalidResponseError(f"{where} {found[0]}", hint=found[1]), Cause.FINAL
    if isinstance(exc, (aiohttp.ClientResponseError, HttpProcessingError)):
        if (encoding := _UNKNOWN_ENCODING.search(exc.message)) is not None:
            message = f"{where} answered in the encoding {encoding[1]}, which was not asked for and cannot be decoded"
            return InvalidResponseError(message), Cause.FINAL
        return _malformed(exc.message, sending), Cause.FINAL
    if isinstance(exc, (aiohttp.InvalidURL, ValueError)):
        return ConfigurationError(f"the request to {where} cannot be sent: {type(exc).__name__}"), Cause.FINAL
    if sending.transport is None:
        hint = hints.refused_hint(sending) if _errno(exc) == errno.ECONNREFUSED else None
        return APIConnectionError(f"no connection to {place}: {_reason(exc)}", hint=hint), Cause.NOT_SENT
    if isinstance(exc, aiohttp.ServerDisconnectedError):
        message = f"{where} closed the connection before it answered"
        may_want_tls = sending.url.startswith("http:") and not sending.reused
        return APIConnectionError(message, hint=hints.MAYBE_TLS if may_want_tls else None), Cause.AMBIGUOUS
    return APIConnectionError(f"the connection to {where} broke before it answered: {_reason(exc)}"), Cause.AMBIGUOUS


def spoke_first(sending: Sending) -> InvalidResponseError:
    """Return the error for a server that sent something before it was asked."""
    what, hint = hints.odd_beginning(sending.beginning()) or ("answered", None)
    return InvalidResponseError(f"{sending.where} {what} before it was asked", hint=hint)


def _malformed(message: str, sending: Sending) -> InvalidResponseError:
    """Return the error for an answer that is not valid HTTP/1.1; *message* is aiohttp's."""
    for sign, what in _TOO_LARGE.items():
        if message.startswith(sign):
            limits = f"{MAX_HEAD_LINES} lines of {MAX_LINE_BYTES} bytes"
            text = f"{sending.where} answered with {what} in its head, expected no more than {limits}"
            return InvalidResponseError(text, hint=_TOO_LARGE_HINT)
    return InvalidResponseError(f"{sending.where} answered with malformed HTTP: {unquoted(message)}")


def unquoted(message: str) -> str:
    """Return the first line of aiohttp's *message* about malformed HTTP, without the bytes that it quotes.

    They may be a cookie, or a key that a gateway has put into a header.
    """
    return first_line(re.split(r":? (?:b|bytearray\(b)?['\"]", message)[0]).rstrip(":")


def _lacking_loop(place: str) -> str:
    loop = type(asyncio.get_running_loop())
    return f"the event loop {loop.__module__}.{loop.__qualname__} cannot connect to {place}: it lacks what that needs"


def _add_hint(error: OpeAIError, more: str) -> None:
    if more:
        error.hint = f"{error.hint}; {more}" if error.hint else more


def _reason(exc: Exception) -> str:
    inner = _inner(exc)
    text = first_line(getattr(inner, "strerror", None) or str(inner) or type(inner).__name__)
    if (address := _CONNECT_FAILED.match(text)) and (number := _errno(exc)):
        return f"{os.strerror(number)} ({address[1]} port {address[2]})"
    return text


def _errno(exc: Exception) -> int | None:
    return getattr(_inner(exc), "errno", None)


def _inner(exc: Exception) -> Exception:
    return getattr(exc, "os_error", None) or getattr(exc, "certificate_error", None) or exc
