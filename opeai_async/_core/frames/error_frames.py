"""Turn an error into the frame for a client: a code and a sentence that contain no secrets."""

from __future__ import annotations

from opeai_async.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    BadRequestError,
    OpeAIError,
    RateLimitError,
    RequestValidationError,
    StreamInterruptedError,
    StreamServerError,
    StreamTooLargeError,
    StreamTruncatedError,
    UnprocessableEntityError,
)
from opeai_async.types.frames import (
    ErrorFrame,
)

# Error, code for programs, sentence for people. The first row that fits counts, so subclasses stand before their
# bases. The error's own text is never sent: it may quote a prompt, a host or an answer.
_ERRORS: tuple[tuple[type[OpeAIError], str, str], ...] = (
    (APITimeoutError, "timeout", "The answer took too long."),
    (StreamTruncatedError, "truncated", "The answer was cut off."),
    (StreamInterruptedError, "interrupted", "The answer was interrupted."),
    (StreamServerError, "server_error", "The model's server reported an error."),
    (StreamTooLargeError, "too_large", "The answer is too large."),
    (RateLimitError, "rate_limited", "There are too many requests. Try again later."),
    (BadRequestError, "refused", "The request was refused."),
    (UnprocessableEntityError, "refused", "The request was refused."),
    (RequestValidationError, "refused", "The request was refused."),
    (APIStatusError, "unavailable", "The model is not available."),
    (APIConnectionError, "unavailable", "The model is not available."),
)


def error_frame(error: BaseException, *, offset: int = 0) -> ErrorFrame:
    """Return the frame that says of *error* only what an untrusted client may know."""
    request_id = getattr(error, "request_id", None)
    for kind, code, message in _ERRORS:
        if isinstance(error, kind):
            return ErrorFrame(code=code, message=message, request_id=request_id, offset=offset)
    return ErrorFrame(code="failed", message="The answer failed.", request_id=request_id, offset=offset)
