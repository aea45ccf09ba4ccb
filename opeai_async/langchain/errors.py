"""Our errors as LangChain's: of both classes, so that either is caught.

``ModelRateLimitError`` and its kin are what LangChain's retries, fallbacks and middleware look for. The classes are
made when they are needed: ours are many, and each shall still be caught by its own name.
"""

from __future__ import annotations

import functools
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from langchain_core import exceptions as theirs

from opeai_async import errors as ours

# The first that fits; what fits none is raised as it is.
_KINDS: tuple[tuple[type[theirs.ModelError], tuple[type[ours.OpeAIError], ...]], ...] = (
    (theirs.ModelError, (ours.QuotaExceededError, ours.TLSError, ours.LocalResourceError)),  # not to be asked again
    (theirs.ModelAuthenticationError, (ours.AuthenticationError,)),
    (theirs.ModelPermissionDeniedError, (ours.PermissionDeniedError,)),
    (theirs.ModelNotFoundError, (ours.NotFoundError,)),
    (theirs.ModelRateLimitError, (ours.RateLimitError,)),
    (
        theirs.ModelInvalidRequestError,
        (ours.BadRequestError, ours.UnprocessableEntityError, ours.RequestValidationError),
    ),
    (theirs.ModelAPIError, (ours.InternalServerError, ours.StreamServerError)),
    (theirs.ModelTimeoutError, (ours.APITimeoutError,)),
    (theirs.ModelConnectionError, (ours.APIConnectionError, ours.StreamError)),
)
# The code of OpenAI's API, and how others put it.
_TOO_LONG = ("context_length_exceeded", "context length", "context window", "prompt is too long")


@contextmanager
def langchain_errors() -> Generator[None, None, None]:
    """Raise our errors of the block as LangChain's too; the original is the cause."""
    try:
        yield
    except ours.OpeAIError as exc:
        kind = next((kind for kind, known in _KINDS if isinstance(exc, known)), None)
        if kind is None:
            raise
        said = f"{getattr(exc, 'code', None)} {exc.message}".lower()
        if isinstance(exc, (ours.BadRequestError, ours.StreamServerError)) and any(
            words in said for words in _TOO_LONG
        ):
            kind = theirs.ContextOverflowError
        _, (_, args), facts = exc.__reduce__()
        made = _rebuilt(type(exc), kind, args)
        vars(made).update(facts)
        raise made from exc


def _reduced(error: ours.OpeAIError) -> tuple[Any, ...]:
    _, (_, args), facts = ours.OpeAIError.__reduce__(error)
    return _rebuilt, (*type(error).__bases__, args), facts


def _rebuilt(own: Any, kind: Any, args: tuple[Any, ...]) -> ours.OpeAIError:
    both = _of_both(own, kind)
    return both.__new__(both, *args)


@functools.cache
def _of_both(own: Any, kind: Any) -> type[ours.OpeAIError]:
    # Pickle looks a class up by its name, and would find ours.
    namespace = {"__module__": own.__module__, "__doc__": own.__doc__, "__reduce__": _reduced}
    return type(own.__name__, (own, kind), namespace)
