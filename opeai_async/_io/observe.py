"""What the client says about its work: a line per attempt, retry, pause, and answer's end; and where a store fails.

The logger is ``opeai_async``; nothing is written until a handler is there. ``OPEAI_LOG=info`` or ``debug`` brings one
that writes to stderr. A line is ``what: name=value ...``, with facts about the exchange only: never a header, a body, a
query or a key, and of an error its class, because its text may quote the server.
"""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from opeai_async._core.call.http import Request
from opeai_async.errors import ConfigurationError, OpeAIError
from opeai_async.types.meta import AttemptRecord, StreamTiming

LOG_VARIABLE = "OPEAI_LOG"

_LOGGER = logging.getLogger("opeai_async")
_LOGGER.addHandler(logging.NullHandler())
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO}


def set_up(level: str | None) -> None:
    """Write the lines from *level* on, ``"debug"`` or ``"info"``; to stderr, unless the application has a handler.

    Raises:
        ConfigurationError: If *level* is another word.
    """
    if not level:
        return
    if level.lower() not in _LEVELS:
        raise ConfigurationError(f"{LOG_VARIABLE} is {level!r}, expected 'debug' or 'info'")
    _LOGGER.setLevel(_LEVELS[level.lower()])
    if not _is_handled(_LOGGER):
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        _LOGGER.addHandler(handler)


def is_on() -> bool:
    """Whether the lines go anywhere, so that they are worth their facts."""
    return _LOGGER.isEnabledFor(logging.INFO)


def attempt_ended(request: Request, record: AttemptRecord, request_id: str | None) -> None:
    """One try brought a response's head, or failed."""
    _LOGGER.info(
        "attempt: number=%d method=%s host=%s status=%s request_id=%s error=%s elapsed_s=%.3f",
        record.number,
        request.method,
        _host(request),
        _or_dash(record.status_code),
        _or_dash(request_id),
        _or_dash(record.error),
        record.elapsed_s,
    )


def will_retry(request: Request, error: OpeAIError, number: int, delay_s: float) -> None:
    """Try number *number* follows after *delay_s* seconds."""
    _LOGGER.info(
        "retry: number=%d host=%s after=%s delay_s=%.3f", number, _host(request), type(error).__name__, delay_s
    )


def pause_begun(request: Request, error: OpeAIError, wait_s: float) -> None:
    """No call goes to this server with this key for *wait_s* seconds."""
    _LOGGER.info("pause: host=%s after=%s wait_s=%.3f", _host(request), type(error).__name__, wait_s)


def answer_ended(
    request: Request,
    outcome: str,
    error: OpeAIError | None,
    *,
    status: int | None,
    request_id: str | None,
    attempts: int,
    bytes_read: int,
    events: int,
    timing: StreamTiming,
) -> None:
    """An answer is over, streamed or awaited; *events* is how many chunks it had."""
    _LOGGER.info(
        "%s: outcome=%s method=%s host=%s status=%s request_id=%s attempts=%d bytes=%d events=%d error=%s "
        "first_byte_s=%s first_content_s=%s total_s=%s",
        "stream" if request.wants_stream else "completion",
        outcome,
        request.method,
        _host(request),
        _or_dash(status),
        _or_dash(request_id),
        attempts,
        bytes_read,
        events,
        _or_dash(type(error).__name__ if error is not None else None),
        _seconds(timing.first_byte_s),
        _seconds(timing.first_content_s),
        _seconds(timing.total_s),
    )


def quirks_met(request: Request, quirks: tuple[str, ...]) -> None:
    """An answer needed these repairs."""
    if quirks and _LOGGER.isEnabledFor(logging.DEBUG):
        _LOGGER.debug("quirks: host=%s names=%s", _host(request), ",".join(quirks))


def store_lost(error: OpeAIError) -> None:
    """A store of sessions does not do any more what it is asked; *error* says why in our own words."""
    _LOGGER.warning("store: state=lost reason=%r hint=%r", error.message, error.hint)


def store_back() -> None:
    """A store of sessions does again what it is asked, also what it had refused."""
    _LOGGER.warning("store: state=back")


def _is_handled(logger: logging.Logger | None) -> bool:
    while logger is not None:
        if any(not isinstance(handler, logging.NullHandler) for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False


def _host(request: Request) -> str:
    return urlsplit(request.url).netloc.rpartition("@")[2]


def _or_dash(value: object) -> object:
    return "-" if value is None else value


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
