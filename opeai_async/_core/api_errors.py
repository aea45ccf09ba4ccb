"""What servers say when they say no: error objects in all their shapes, statuses, and the errors they become.

The documented shape is ``{"error": {"message", "type", "param", "code"}}``; gateways send plain text, a flat object,
``{"detail": ...}`` or HTML. See https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

from opeai_async._core.http import ResponseHead
from opeai_async._core.json_types import is_array, is_object
from opeai_async._core.loose import loads_loosely
from opeai_async._core.named_waits import limit_headers, named_wait
from opeai_async._core.redact import redact
from opeai_async._core.retry import Cause, Failure, parse_should_retry
from opeai_async._core.sse import SSEDecoder
from opeai_async.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    InternalServerError,
    NotFoundError,
    OpeAIError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    StreamServerError,
    UnprocessableEntityError,
)
from opeai_async.types.completion import ChatCompletion
from opeai_async.types.meta import AttemptRecord

MAX_EXCERPT_BYTES = 4096

_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}

PROXY_LOGIN_HINT = "the proxy wants a user and a password: write them into its URL, http://user:password@host:port"
_HINTS = {
    407: PROXY_LOGIN_HINT,
    426: "the server, or a gateway before it, wants another protocol, mostly HTTP/2; this client speaks HTTP/1.1",
    505: "the server, or a gateway before it, does not take HTTP/1.1, which this client speaks: let it",
}
# What nginx, Go, Apache and others say to plain HTTP at a port for TLS.
_WANTS_TLS = re.compile(
    rb"(?i)plain HTTP request was sent to (?:an )?HTTPS|HTTP request to an HTTPS server|speaking plain HTTP to an SSL"
)
_TLS_HINT = "the port speaks TLS: write https:// in base_url"
_PAGE = re.compile(rb"\s*<(?:!doctype html|html|head|body)\b", re.IGNORECASE)
_TITLE = re.compile(rb"<title[^>]*>([^<]{1,200})", re.IGNORECASE)

_QUOTA_CODES = frozenset({"insufficient_quota", "credit_balance_exhausted"})
_QUOTA_SUFFIXES = ("_spend_limit_exceeded", "_usage_limit_exceeded")


class APIError(NamedTuple):
    """What an error object says; all but the message may be None."""

    message: str
    code: str | None = None
    type: str | None = None
    param: str | None = None

    def status(self) -> int:
        """The status the error stands for: its own code where that is one, else 500."""
        if self.code is not None and len(self.code) == 3 and self.code.isascii() and self.code.isdigit():
            number = int(self.code)
            if 400 <= number <= 599:
                return number
        return 500

    def is_quota(self) -> bool:
        """Whether the budget is used up, so that waiting does not help."""
        return any(
            word in _QUOTA_CODES or word.endswith(_QUOTA_SUFFIXES)
            for word in (self.code, self.type)
            if word is not None
        )


def find_error(body: dict[str, Any]) -> APIError | None:
    """The error that a JSON object reports, or None. Looked for before anything else is read from it."""
    error = body.get("error")
    if is_object(error) and error:
        return error_of_object(error)
    if isinstance(error, str) and error:
        return APIError(redact(error), _text(body.get("code")), _text(body.get("type")), _text(body.get("param")))
    if error:
        return error_of_object(body) if isinstance(body.get("message"), str) else APIError(redact(_compact(error)))
    if body.get("choices") or body.get("usage"):
        return None
    if body.get("object") == "error" or ("message" in body and ("code" in body or "type" in body)):
        return error_of_object(body)
    return None


def error_of_object(error: dict[str, Any]) -> APIError:
    """The error whose fields *error* holds, whichever of them are there."""
    message = error.get("message")
    if not isinstance(message, str) or not message:
        message = _compact(error)
    return APIError(redact(message), _text(error.get("code")), _text(error.get("type")), _text(error.get("param")))


def _text(value: Any) -> str | None:
    """*value* as text; None for null and for empty."""
    if value is None or value == "":
        return None
    return redact(value if isinstance(value, str) else _compact(value))


def _compact(value: Any) -> str:
    return msgspec.json.encode(value).decode("utf-8", "replace")[:MAX_EXCERPT_BYTES]


def stream_error_from(
    error: APIError, what: str = "the server reported an error in the stream", **facts: Any
) -> StreamServerError:
    """The error for an error object inside a stream; *facts* go to ``StreamError``."""
    return StreamServerError(
        f"{what}: {error.message}",
        status_code=error.status(),
        code=error.code,
        type=error.type,
        param=error.param,
        **facts,
    )


def failed_answer(completion: ChatCompletion) -> StreamServerError | None:
    """The error for an answer that broke on the server's side, which its finish_reason says; None if it did not.

    See https://openrouter.ai/docs/api/reference/errors for the ``error`` beside it.
    """
    failed = next((choice for choice in completion.choices if choice.finish == "error"), None)
    if failed is None:
        return None
    said = find_error(failed.extra) or APIError("it gave no reason")
    return stream_error_from(
        said,
        f"the server ended the answer with finish_reason {failed.finish_reason!r}",
        partial=completion,
        usage=completion.usage,
        finish_reason=failed.finish_reason,
    )


def failure_of(error: OpeAIError, head: ResponseHead, now: float | None = None) -> Failure | None:
    """What the retry policy is asked about *error* in the body of *head*; None if it is no error of the server.

    *now* is in seconds since 1970, for dates.
    """
    if not isinstance(error, StreamServerError):
        return None
    is_quota = APIError("", code=error.code, type=error.type).is_quota()
    return Failure(
        Cause.IN_STREAM,
        status=error.status_code,
        is_quota=is_quota,
        should_retry=parse_should_retry(head.headers),
        retry_after_s=named_wait(head.headers, error.status_code, now),
    )


def status_error(
    head: ResponseHead, body: bytes, attempts: tuple[AttemptRecord, ...] = (), now: float | None = None
) -> APIStatusError:
    """The error for a response of 400 and above, whatever its body looks like.

    *now* is in seconds since 1970, for dates.
    """
    decoded = _decoded(body)
    error = _error_of_body(decoded, body)
    error_type = _BY_STATUS.get(head.status, InternalServerError if head.status >= 500 else APIStatusError)
    if head.status == 429 and error.is_quota():
        error_type = QuotaExceededError
    said = page_title(body) or error.message or "an empty body"
    return error_type(
        f"HTTP {head.status} from {head.host}: {said}",
        status_code=head.status,
        code=error.code,
        type=error.type,
        param=error.param,
        request_id=head.request_id,
        retry_after_s=named_wait(head.headers, head.status, now),
        headers={name: redact(value) for name, value in limit_headers(head.headers).items()},
        attempts=attempts,
        body=decoded if decoded is not None else excerpt(body),
        hint=_TLS_HINT if _WANTS_TLS.search(body) else _HINTS.get(head.status),
    )


def page_title(body: bytes) -> str:
    """Return what an HTML page says above itself, for messages; empty if *body* is none, or has no title."""
    title = _TITLE.search(body) if _PAGE.match(body) else None
    return f"an HTML page, {excerpt(title[1])!r}" if title else ""


def _error_of_body(decoded: Any, body: bytes) -> APIError:
    if is_object(decoded):
        fields = decoded
        found = find_error(fields)
        if found is not None:
            return found
        if fields.get("detail"):
            detail = fields["detail"]
            return APIError(redact(detail if isinstance(detail, str) else _compact(detail)))
        return error_of_object(fields)
    return APIError(excerpt(body))


def _decoded(body: bytes) -> Any:
    """The JSON in the body of an error, which may be an event, or an object in a list; None if there is none."""
    for text in (body.removeprefix(b"\xef\xbb\xbf"), _first_data(body)):
        try:
            decoded = loads_loosely(text)
        except (ValueError, RecursionError):
            continue
        is_lone = is_array(decoded) and len(decoded) == 1 and is_object(decoded[0])
        return _redacted(decoded[0] if is_lone else decoded)
    return None


def _first_data(body: bytes) -> bytes:
    sse = SSEDecoder(max_event_bytes=max(1, len(body)))
    events = sse.feed(body) + sse.take_unterminated()
    return events[0].data if events else b""


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if is_array(value):
        return [_redacted(item) for item in value]
    if is_object(value):
        return {redact(name): _redacted(item) for name, item in value.items()}
    return value


def excerpt(body: bytes) -> str:
    """The beginning of a body as text for an error, keys removed."""
    return redact(body[:MAX_EXCERPT_BYTES].decode("utf-8", "replace").strip())
