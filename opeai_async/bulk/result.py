"""What a bulk run brings: one result per request, and counts of all."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from opeai_async.errors import OpeAIError
from opeai_async.types.common import CompletionUsage
from opeai_async.types.completion import ChatCompletion
from opeai_async.types.meta import AttemptRecord

Stop = Literal["max_total_tokens", "max_cost", "deadline", "left", "error"]
"""Why the rest was not run: a bound was hit, the loop was left, or an error ended the run."""

MAX_REASONS = 64


class BulkTiming(Struct, frozen=True, kw_only=True, gc=False):
    """When what happened, in seconds.

    Attributes:
        began_s: From the start of the run to the begin of this request.
        total_s: From there to its end, retries and waits included.
        waited_s: How much of that was waiting before attempts.
    """

    began_s: float = 0.0
    total_s: float = 0.0
    waited_s: float = 0.0


class BulkResult(Struct, frozen=True, kw_only=True, gc=False):
    """How one request of a bulk run went: it has a ``completion`` or an ``error``.

    Attributes:
        custom_id: The request's own, or its index as text.
        index: Its place in the input, from 0.
        completion: The answer; a ``ParsedChatCompletion`` where a type was asked for.
        error: Why there is none.
        attempts: One record per try; empty where nothing was sent, and for results of a journal.
        timing: When it ran.
        usage: Tokens, where the server said so.
        is_resumed: Whether it comes from the journal of an earlier run.
        is_shared: Whether it is the answer to an equal request, which was in flight already (``cache=True``).
        note: What there is to say beside that, such as that the request has changed since the journal was written.
    """

    custom_id: str
    index: int
    completion: ChatCompletion | None = None
    error: OpeAIError | None = None
    attempts: tuple[AttemptRecord, ...] = ()
    timing: BulkTiming = BulkTiming()
    usage: CompletionUsage | None = None
    is_resumed: bool = False
    is_shared: bool = False
    note: str | None = None

    @property
    def parsed(self) -> Any:
        """The value of the type that was asked for; None if there is none."""
        return getattr(self.completion, "parsed", None)


class BulkProgress(Struct, frozen=True, kw_only=True):
    """Where a bulk run stands.

    Attributes:
        total: Requests in all; None while that is unknown.
        done: Requests that were answered in this run.
        failed: Those that ended with an error.
        resumed: Those that an earlier run had finished.
        shared: Those of *done* and *failed* that shared the request of another.
        changed: Those whose request has changed since the journal was written.
        running: Requests that are open now.
        limit: How many may be open at once now.
        retries: Attempts after the first ones.
        prompt_tokens, completion_tokens: As the server counted them.
        cost: By ``price``; 0 without it.
        elapsed_s: Since the first request.
        requests_per_s, tokens_per_s: Of this run, on average over the last half minute or so.
        eta_s: Seconds to the end; None if the total is unknown, or nothing is done yet.
        p50_s, p99_s: Time of a request, to within 5 %; None if none has ended.
        reasons: How often which error ended a request, by its name (and status).
        stopped: Why the rest is not run; None if it is.
        is_over: Whether the run has ended.
    """

    total: int | None = None
    done: int = 0
    failed: int = 0
    resumed: int = 0
    shared: int = 0
    changed: int = 0
    running: int = 0
    limit: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    elapsed_s: float = 0.0
    requests_per_s: float = 0.0
    tokens_per_s: float = 0.0
    eta_s: float | None = None
    p50_s: float | None = None
    p99_s: float | None = None
    reasons: dict[str, int] = {}
    stopped: Stop | None = None
    is_over: bool = False


def reason_of(error: OpeAIError) -> str:
    """Return the name of *error*, with its status where it has one: few different ones, however many fail."""
    status = getattr(error, "status_code", None)
    return f"{type(error).__name__} {status}" if status else type(error).__name__
