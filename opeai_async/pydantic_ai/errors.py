"""Our errors as pydantic-ai's, which its fallbacks and retries look for; ours is the cause."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from pydantic_ai import exceptions as theirs

from opeai_async import errors as ours

# The first that fits.
_KINDS: tuple[tuple[Any, type[ours.APIStatusError] | tuple[type[ours.APIStatusError], ...]], ...] = (
    (theirs.ModelQuotaExceededError, ours.QuotaExceededError),
    (theirs.ModelRateLimitError, ours.RateLimitError),
    (theirs.ModelAuthenticationError, (ours.AuthenticationError, ours.PermissionDeniedError)),
    (theirs.ModelNotFoundError, ours.NotFoundError),
    (theirs.ModelServerError, ours.InternalServerError),
    (theirs.ModelRequestRejectedError, (ours.BadRequestError, ours.UnprocessableEntityError)),
)
_TOO_LONG = ("context_length_exceeded", "context length", "context window", "prompt is too long")


@contextmanager
def pydantic_ai_errors(model: str) -> Generator[None, None, None]:
    """Raise our errors of the block as pydantic-ai's for *model*; those of misuse are raised as they are."""
    try:
        yield
    except ours.APIStatusError as exc:
        kind = next((kind for kind, known in _KINDS if isinstance(exc, known)), None)
        if exc.status_code == 400 and any(words in f"{exc.code} {exc.message}".lower() for words in _TOO_LONG):
            kind = theirs.ModelContextWindowExceededError
        raise theirs.ModelHTTPError.for_category(
            kind,
            status_code=exc.status_code,
            model_name=model,
            body=exc.body,
            headers=exc.headers,
            provider_error_code=exc.code,
            provider_error_type=exc.type,
            retry_after=exc.retry_after_s,
        ) from exc
    except ours.APITimeoutError as exc:
        raise theirs.ModelTimeoutError(model, exc.message) from exc
    except ours.StreamServerError as exc:
        raise theirs.ModelAPIError(model, exc.message, provider_error_code=exc.code, in_stream=True) from exc
    except (ours.APIConnectionError, ours.StreamError, ours.InvalidResponseError) as exc:
        raise theirs.ModelConnectionError(model, exc.message) from exc
