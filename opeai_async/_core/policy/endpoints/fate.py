"""What a failure says: whether another endpoint could do better, and whether this one is to blame.

====================================================  =========  =======
failure                                               elsewhere  blamed
====================================================  =========  =======
never connected, TLS, a broken connection             yes        yes
no head, no content, no bytes in time                 yes        yes
``total_s`` is over, the pool is full, closed here    no         no
5xx, 408, 409, 425                                    yes        yes
429, quota                                            yes        no: it works, and says that it is busy
401, 402, 403, 404: its key, its money, its models    yes        yes
a context that is too long                            to larger  no
any other 4xx: the request's own                      no         no
a page, garbage, an empty answer                      yes        yes
a stream that breaks or reports an error              yes        yes
no key: the function that gives it fails              yes        yes
====================================================  =========  =======
"""

from __future__ import annotations

from typing import NamedTuple

from opeai_async.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ConfigurationError,
    InvalidResponseError,
    LocalResourceError,
    OpeAIError,
    PoolTimeoutError,
    StreamError,
    StreamServerError,
)

_ITS_OWN = frozenset({401, 402, 403, 404, 405, 407, 408, 409, 421, 425, 429, 451})
"""Statuses below 500 that speak of the endpoint, and not of the request."""
_TOO_LONG_CODES = frozenset({"context_length_exceeded", "string_above_max_length", "request_too_large"})
_TOO_LONG_WORDS = ("context length", "context window", "maximum context", "too many tokens", "prompt is too long")


class Fate(NamedTuple):
    """What a failure says.

    Attributes:
        elsewhere: Whether another endpoint could do better.
        is_blamed: Whether it counts against this one.
        needs_context: Whether only an endpoint with a larger context could.
    """

    elsewhere: bool
    is_blamed: bool
    needs_context: bool = False


OWN = Fate(elsewhere=False, is_blamed=False)
THEIRS = Fate(elsewhere=True, is_blamed=True)
BUSY = Fate(elsewhere=True, is_blamed=False)
TOO_LONG = Fate(elsewhere=True, is_blamed=False, needs_context=True)


def fate_of(error: OpeAIError) -> Fate:
    """Return what *error* says about the endpoint that it came from."""
    if isinstance(error, APIStatusError):
        return _of_status(error.status_code, error.code, error.message)
    if isinstance(error, StreamServerError):
        # Inside a stream a status is a guess of ours, except where the server names it.
        fate = _of_status(error.status_code or 500, error.code, error.message)
        return fate if fate.elsewhere or error.status_code in (400, 422) else THEIRS
    if isinstance(error, APITimeoutError) and error.phase in ("total", "pool"):
        return OWN
    if isinstance(error, (PoolTimeoutError, LocalResourceError)):
        return OWN
    if isinstance(error, (APIConnectionError, InvalidResponseError, StreamError, ConfigurationError)):
        return THEIRS
    return OWN


def _of_status(status: int, code: str | None, message: str) -> Fate:
    if status in (400, 413, 422) and _is_too_long(code, message):
        return TOO_LONG
    if status == 429:
        return BUSY
    if status >= 500 or status in _ITS_OWN:
        return THEIRS
    return OWN


def _is_too_long(code: str | None, message: str) -> bool:
    text = message.lower()
    return code in _TOO_LONG_CODES or any(words in text for words in _TOO_LONG_WORDS)
