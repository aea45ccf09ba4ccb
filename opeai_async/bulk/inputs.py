"""What goes into a bulk run, and what a call says when it has ended."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sized
from typing import Any, cast

from opeai_async._core.policy.concurrency import Sample, headroom
from opeai_async.errors import APIStatusError, APITimeoutError, OpeAIError, RequestValidationError
from opeai_async.types.completion import ChatCompletion
from opeai_async.types.meta import AttemptRecord

_REFUSALS = (429, 503, 529)


def iterators(requests: Any) -> tuple[Iterator[object] | None, AsyncIterator[object] | None]:
    """Return an iterator of *requests*, or an async one.

    Raises:
        RequestValidationError: If it is neither; a string, or one request alone, is not meant.
    """
    if isinstance(requests, AsyncIterable):
        return None, aiter(cast("AsyncIterable[object]", requests))
    is_one = isinstance(requests, (str, bytes, dict))
    if isinstance(requests, Iterable) and not is_one:
        return iter(cast("Iterable[object]", requests)), None
    kind = type(cast("object", requests)).__name__
    raise RequestValidationError(f"requests is of the type {kind}, expected an iterable of requests", field="requests")


def length_of(requests: object) -> int | None:
    """Return how many requests there are; None if they do not say."""
    try:
        return len(cast("Sized", requests))
    except TypeError:
        return None


def id_of(item: object, index: int) -> str:
    """Return the name of a request that cannot be read."""
    custom_id: object = cast("dict[object, object]", item).get("custom_id") if isinstance(item, dict) else None
    return custom_id if isinstance(custom_id, str) else str(index)


def attempts_of(error: OpeAIError | None) -> tuple[AttemptRecord, ...]:
    """Return the tries of a call that ended in *error*."""
    return getattr(error, "attempts", ())


def sample_of(
    began_at: float,
    completion: ChatCompletion | None,
    error: OpeAIError | None,
    attempts: tuple[AttemptRecord, ...],
) -> Sample:
    """Return what the call says about the server's load."""
    held_s = attempts[0].delay_s if attempts else 0.0
    if completion is not None and len(attempts) == 1:  # nearly all of them
        return Sample(began_at, 1.0, False, held_s, headroom(completion.meta.headers))
    is_refused = isinstance(error, APITimeoutError) or any(
        attempt.status_code in _REFUSALS or (attempt.error is not None and attempt.error.endswith("TimeoutError"))
        for attempt in attempts
    )
    if completion is not None:
        return Sample(began_at, 1.0, is_refused, held_s, headroom(completion.meta.headers))
    # A request that the server refuses for itself (400) is work done, too.
    is_done = isinstance(error, APIStatusError) and not is_refused
    return Sample(began_at, 1.0 if is_done else 0.0, is_refused, held_s)
