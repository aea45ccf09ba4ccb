"""Build the error for a refusal of the server: a status, an error in a stream, or an answer that broke.

``error_objects.py`` reads the JSON that servers report errors in; this module chooses the exception and its message.
"""

from __future__ import annotations

import html
import re
from typing import Any

from opeai_async._core.call.http import ResponseHead
from opeai_async._core.call.named_waits import limit_headers, named_wait, parse_should_retry
from opeai_async._core.call.redact import redact
from opeai_async._core.call.retry import Cause, Failure
from opeai_async._core.dialect.error_objects import (
    MAX_EXCERPT_BYTES,
    APIError,
    error_in_list,
    error_of_object,
    find_error,
    redacted,
)
from opeai_async._core.dialect.loose_json import loads_loosely, without_surrogates
from opeai_async._core.json import is_array, is_object
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

# Statuses without a row: InternalServerError from 500 on, else APIStatusError.
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
# What to do about statuses that concern the way to the server and not the request.
_HINTS = {
    407: PROXY_LOGIN_HINT,
    426: "the server, or a gateway before it, wants another protocol, mostly HTTP/2; this client speaks HTTP/1.1",
    505: "the server, or a gateway before it, does not take HTTP/1.1, which this client speaks: let it",
}
# How nginx, Go, Apache and others answer plain HTTP at a port for TLS.
_WANTS_TLS = re.compile(
    rb"(?i)plain HTTP request was sent to (?:an )?HTTPS|HTTP request to an HTTPS server|speaking plain HTTP to an SSL"
)
_TLS_HINT = "the port speaks TLS: write https:// in base_url"
# Gateways and proxies answer with HTML pages, of which the title says most.
_PAGE = re.compile(rb"\s*<(?:!doctype|html|head|body|title|h1|p|div|center)\b", re.IGNORECASE)
_TITLE = re.compile(rb"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL).search
# Scripts, styles, comments and tags; unfinished ones too, since only the beginning of the page is looked at.
_NO_TEXT = re.compile(rb"<(script|style)\b.*?(?:</\1\s*>|$)|<!--.*?(?:-->|$)|<[^>]*>?", re.IGNORECASE | re.DOTALL)
_MAX_TITLE_CHARS = 120


def stream_error_from(
    error: APIError, what: str = "the server reported an error in the stream", **facts: Any
) -> StreamServerError:
    """Build the exception for an error object inside a stream; *facts* are passed to ``StreamError``."""
    return StreamServerError(
        f"{what}: {error.message}",
        status_code=error.status(),
        code=error.code,
        type=error.type,
        param=error.param,
        body=error.body,
        **facts,
    )


def failed_answer(completion: ChatCompletion) -> StreamServerError | None:
    """Build the exception for an answer whose finish_reason says that the server failed; None for any other answer.

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
    """Describe *error*, found in the body of *head*, for the retry policy; None if it does not come from the server.

    *now* is in seconds since 1970, to read dates in headers by.
    """
    if not isinstance(error, StreamServerError):
        return None
    is_quota = APIError(error.message, code=error.code, type=error.type).is_quota()
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
    """Build the exception for a response with a status of 400 or above, whatever its body looks like.

    *now* is in seconds since 1970, to read dates in headers by.
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
    """Return the title of an HTML page, or its first words, for a message; empty if *body* is not a page."""
    page = body[:MAX_EXCERPT_BYTES].removeprefix(b"\xef\xbb\xbf")
    if not _PAGE.match(page):
        return ""
    found = _TITLE(page)
    text = _NO_TEXT.sub(b" ", (found and found[1].strip()) or page).decode("utf-8", "replace")
    words = redact(" ".join(html.unescape(text).split())[:_MAX_TITLE_CHARS])
    return f"an HTML page, {words!r}" if words else ""


def _error_of_body(decoded: Any, body: bytes) -> APIError:
    if is_object(decoded):
        return find_error(decoded) or error_of_object(decoded)
    if (error := error_in_list(decoded)) is not None:
        return error
    return APIError(excerpt(body))


def _decoded(body: bytes) -> Any:
    """Decode the JSON in the body of an error, which may be an event, or an object in a list; None if there is none."""
    # Servers that had announced an event stream send the error as its only event.
    for text in (body.removeprefix(b"\xef\xbb\xbf"), _first_data(body)):
        try:
            decoded = loads_loosely(text)
        except (ValueError, RecursionError):
            continue
        # Gemini's API sends its error as the only item of a list.
        is_lone = is_array(decoded) and len(decoded) == 1 and is_object(decoded[0])
        try:
            return redacted(without_surrogates(decoded[0] if is_lone else decoded))
        except RecursionError:
            return None
    return None


def _first_data(body: bytes) -> bytes:
    sse = SSEDecoder(max_event_bytes=max(1, len(body)))
    events = sse.feed(body) + sse.take_unterminated()
    return events[0].data if events else b""


def excerpt(body: bytes) -> str:
    """Return the beginning of a body as text for an error, with keys removed."""
    return redact(body[:MAX_EXCERPT_BYTES].decode("utf-8", "replace").strip())
