"""What the client says about its work: a line per attempt, retry, pause, and answer's end; and where a store fails.

The logger is ``opeai_async``; nothing is written until a handler is there. ``OPEAI_LOG=info`` or ``debug`` brings one
that writes to stderr. A line is ``what: name=value ...``, with facts about the exchange only: never a header, a body, a
query or a key, and of an error its class, because its text may quote the server.
"""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

import msgspec

from opeai_async._io.observe.observers import Observer
from opeai_async.errors import ConfigurationError, OpeAIError
from opeai_async.types.records import (
    AttemptEnded,
    BulkRecord,
    BulkStarted,
    CallRecord,
    CallStarted,
    PauseBegun,
    RetryScheduled,
)

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


class LogListener(Observer):
    """Writes the lines of calls. Each fact of a line is a field of the record too, for formatters that make JSON."""

    def attempt_ended(self, ended: AttemptEnded) -> None:
        """Write that a try brought a response's head, or failed."""
        attempt = ended.attempt
        fields = _call_fields(ended.call, attempt.endpoint)
        fields.update(
            attempt=attempt.number,
            status=attempt.status_code,
            request_id=ended.request_id,
            error=attempt.error,
            elapsed_s=attempt.elapsed_s,
            delay_s=attempt.delay_s,
            slot_s=ended.slot_s,
        )
        _LOGGER.info(
            "attempt: number=%d method=POST host=%s status=%s request_id=%s error=%s elapsed_s=%.3f",
            attempt.number,
            attempt.endpoint or _host(ended.call),
            _or_dash(attempt.status_code),
            _or_dash(ended.request_id),
            _or_dash(attempt.error),
            attempt.elapsed_s,
            extra=fields,
        )

    def retry_scheduled(self, retry: RetryScheduled) -> None:
        """Write that another try follows."""
        fields = _call_fields(retry.call)
        fields.update(attempt=retry.number, error=retry.error, status=retry.status_code, delay_s=retry.delay_s)
        _LOGGER.info(
            "retry: number=%d host=%s after=%s delay_s=%.3f",
            retry.number,
            _host(retry.call),
            retry.error,
            retry.delay_s,
            extra=fields,
        )

    def pause_begun(self, pause: PauseBegun) -> None:
        """Write that no call goes to this server with this key for some seconds."""
        fields = {**_call_fields(pause.call), "error": pause.error, "wait_s": pause.seconds}
        _LOGGER.info("pause: host=%s after=%s wait_s=%.3f", _host(pause.call), pause.error, pause.seconds, extra=fields)

    def call_ended(self, record: CallRecord) -> None:
        """Write that an answer is over, streamed or awaited, and which repairs it needed."""
        fields = _answer_fields(record)
        if record.quirks and _LOGGER.isEnabledFor(logging.DEBUG):
            _LOGGER.debug("quirks: host=%s names=%s", _host(record.call), ",".join(record.quirks), extra=fields)
        _LOGGER.info(
            "%s: outcome=%s method=POST host=%s status=%s request_id=%s attempts=%d bytes=%d events=%d error=%s "
            "first_byte_s=%s first_content_s=%s total_s=%s",
            "stream" if record.call.stream else "completion",
            record.outcome,
            record.endpoint or _host(record.call),
            _or_dash(record.status_code),
            _or_dash(record.request_id),
            len(record.attempts),
            record.bytes_read,
            record.chunks,
            _or_dash(record.error),
            _seconds(record.timing.first_byte_s),
            _seconds(record.timing.first_content_s),
            _seconds(record.timing.total_s),
            extra=fields,
        )

    def bulk_started(self, run: BulkStarted) -> None:
        """Write that a bulk run begins."""
        fields = {"run_id": run.run_id, "model": run.model, "total": run.total}
        _LOGGER.info("bulk: run=%s begins total=%s", run.run_id, _or_dash(run.total), extra=fields)

    def bulk_ended(self, record: BulkRecord) -> None:
        """Write what a bulk run came to."""
        fields = {**msgspec.structs.asdict(record), "run_id": record.run.run_id, "model": record.run.model}
        del fields["run"]
        _LOGGER.info(
            "bulk: run=%s done=%d failed=%d resumed=%d retries=%d stopped=%s error=%s total_s=%.3f",
            record.run.run_id,
            record.done,
            record.failed,
            record.resumed,
            record.retries,
            _or_dash(record.stopped),
            _or_dash(record.error),
            record.duration_s,
            extra=fields,
        )


LISTENER = LogListener()


def _call_fields(call: CallStarted, endpoint: str | None = None) -> dict[str, object]:
    return {
        "call_id": call.call_id,
        "model": call.model,
        "endpoint": endpoint or call.url,
        "conversation_id": call.conversation_id,
        "run_id": call.run_id,
        "custom_id": call.custom_id,
    }


def _answer_fields(record: CallRecord) -> dict[str, object]:
    usage, timing = record.usage, record.timing
    return {
        **_call_fields(record.call, record.endpoint),
        "outcome": record.outcome,
        "error": record.error,
        "status": record.status_code,
        "request_id": record.request_id,
        "response_model": record.response_model,
        "finish_reasons": list(record.finish_reasons),
        "attempts": len(record.attempts),
        "chunks": record.chunks,
        "bytes_read": record.bytes_read,
        "input_tokens": None if usage is None else usage.prompt_tokens,
        "output_tokens": None if usage is None else usage.completion_tokens,
        "first_byte_s": timing.first_byte_s,
        "first_content_s": timing.first_content_s,
        "total_s": timing.total_s,
        "duration_s": record.duration_s,
        "waits": msgspec.structs.asdict(record.waits),
        "quirks": list(record.quirks),
    }


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


def _host(call: CallStarted) -> str:
    return urlsplit(call.url).netloc


def _or_dash(value: object) -> object:
    return "-" if value is None else value


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
