"""What a bulk run may be given."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypedDict

from msgspec import Struct

from opeai_async._core.policy.checks import (
    checked_count,
    checked_flag,
    checked_function,
    checked_mapping,
    checked_number,
    checked_text,
)
from opeai_async._core.policy.concurrency import AdaptiveConcurrency
from opeai_async.bulk.result import BulkProgress
from opeai_async.errors import ConfigurationError
from opeai_async.types.common import CompletionUsage

MAX_CONCURRENCY = 65_536
MAX_RETRIES = 6
"""More than for a call that somebody waits for: a bulk run has time."""

Price = Callable[[CompletionUsage], float]
"""Returns what a request cost, in any currency."""
OnProgress = Callable[[BulkProgress], object]


class Adaptive(Struct, frozen=True, kw_only=True):
    """Bounds for ``concurrency="auto"``.

    Attributes:
        start: How many requests are open at first.
        least, most: Bounds of that number later.
    """

    start: int = 8
    least: int = 1
    most: int = 1024

    def rule(self) -> AdaptiveConcurrency:
        """Return the rule, new.

        Raises:
            ConfigurationError: If not 1 <= least <= start <= most.
        """
        return AdaptiveConcurrency(start=self.start, least=self.least, most=self.most)


class BulkParams(TypedDict, total=False):
    """How a bulk run goes.

    Attributes:
        defaults: Parameters and options that all requests share, as for ``create``; a request's own go before them.
        concurrency: How many requests are open at once: a number; ``"auto"``, which adapts to the server; or
            ``Adaptive(...)``, the same with bounds.
        ordered: Bring the results in the order of the requests. One slow answer then holds back those behind it, of
            which a bounded number is gathered.
        on_error: ``"return"`` failed requests as results with an ``error``, or ``"raise"`` the first error.
        requests_per_minute, tokens_per_minute: Bounds in any minute. Tokens are estimated, and corrected by the usage.
        redis_url: Where runs of several processes share the limits per minute (extra ``redis``).
        limits_name: Names the limits there: runs that give the same share them.
        limits_share: How much of them this run takes while Redis cannot be reached, from 0 to 1.
        max_total_tokens: When so many would be used, nothing new is begun.
        price: What a request costs; see ``per_million``.
        max_cost: When so much would be spent, nothing new is begun.
        deadline_s: After so many seconds, nothing new is begun.
        drain_s: How long what is open may go on after that. None: to its end where a bound was hit, not at all where
            the loop was left.
        journal: A file of what has been finished. A run with the same file skips that.
        finished: What is done with requests that the journal has: ``"skip"`` them, or ``"yield"`` their results.
        cache: Requests that equal one in flight wait for its answer, in place of sending their own.
        max_retries: Tries of a request after the first one; 6 by default, as a bulk run has time.
        total: How many requests there are, for the progress, where *requests* has no length.
        progress: A function that gets a ``BulkProgress`` every half second and at the end; or True, to draw it.
    """

    defaults: Mapping[str, Any] | None
    concurrency: int | Literal["auto"] | Adaptive
    ordered: bool
    on_error: Literal["return", "raise"]
    requests_per_minute: float | None
    tokens_per_minute: float | None
    redis_url: str | None
    limits_name: str
    limits_share: float
    max_total_tokens: int | None
    price: Price | None
    max_cost: float | None
    deadline_s: float | None
    drain_s: float | None
    journal: str | os.PathLike[str] | None
    finished: Literal["skip", "yield"]
    cache: bool
    max_retries: int
    total: int | None
    progress: bool | OnProgress | None


class BulkOptions(Struct, frozen=True, kw_only=True):
    """The same, checked; see ``BulkParams``.

    Raises:
        ConfigurationError: If one of them cannot be.
    """

    defaults: Mapping[str, Any] | None = None
    concurrency: Any = "auto"
    ordered: bool = False
    on_error: str = "return"
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    redis_url: str | None = None
    limits_name: str = "bulk"
    limits_share: float = 0.25
    max_total_tokens: int | None = None
    price: Price | None = None
    max_cost: float | None = None
    deadline_s: float | None = None
    drain_s: float | None = None
    journal: Any = None
    finished: str = "skip"
    cache: bool = False
    total: int | None = None
    progress: bool | OnProgress | None = None

    def __post_init__(self) -> None:
        _one_of("on_error", self.on_error, ("return", "raise"))
        _one_of("finished", self.finished, ("skip", "yield"))
        for name in ("requests_per_minute", "tokens_per_minute", "max_total_tokens", "max_cost", "deadline_s"):
            checked_number(name, getattr(self, name), or_none=True)
        checked_number("drain_s", self.drain_s, unit="seconds", or_zero=True, or_none=True)
        for name in ("ordered", "cache"):
            checked_flag(name, getattr(self, name))
        if self.defaults is not None:
            for name in checked_mapping("defaults", self.defaults):
                checked_text("a name in defaults", name)
        if self.price is not None:
            checked_function("price", self.price)
        if self.total is not None:
            checked_count("total", self.total, 0)
        if not (self.progress is None or isinstance(self.progress, bool)):
            checked_function("progress", self.progress)
        if not (self.journal is None or isinstance(self.journal, (str, os.PathLike))):
            checked_text("journal", self.journal)
        if self.max_cost is not None and self.price is None:
            raise ConfigurationError("max_cost needs price=, a function of the usage", hint="see per_million")
        self._check_concurrency()
        self._check_sharing()

    def __repr__(self) -> str:
        return f"<BulkOptions concurrency={self.concurrency!r}>"  # the URL may hold a password, the defaults a prompt

    def _check_concurrency(self) -> None:
        wanted = self.concurrency
        if wanted == "auto" or isinstance(wanted, Adaptive):
            return
        if isinstance(wanted, bool) or not isinstance(wanted, int) or not 1 <= wanted <= MAX_CONCURRENCY:
            raise ConfigurationError(
                f"concurrency is {wanted!r}, expected 'auto', Adaptive(...), or a number from 1 to {MAX_CONCURRENCY}"
            )

    def _check_sharing(self) -> None:
        checked_text("limits_name", self.limits_name)
        checked_number("limits_share", self.limits_share)
        if self.limits_share > 1:
            raise ConfigurationError(f"limits_share is {self.limits_share!r}, expected a number above 0, up to 1")
        if self.redis_url is None:
            return
        checked_text("redis_url", self.redis_url)
        if self.requests_per_minute is None and self.tokens_per_minute is None:
            raise ConfigurationError("redis_url needs requests_per_minute= or tokens_per_minute=, which it shares")

    def rule(self) -> AdaptiveConcurrency | None:
        """Return the rule for an adaptive concurrency; None for a fixed one."""
        if self.concurrency == "auto":
            return Adaptive().rule()
        return self.concurrency.rule() if isinstance(self.concurrency, Adaptive) else None


def per_million(prompt: float, completion: float, *, cached: float | None = None) -> Price:
    """Return a price by tokens.

    Args:
        prompt, completion: Price of a million tokens of each kind.
        cached: Price of a million prompt tokens that the server had in its cache; *prompt* if None.
    """
    cached_price = prompt if cached is None else cached

    def price(usage: CompletionUsage) -> float:
        details = usage.prompt_tokens_details
        hits = (details.cached_tokens or 0) if details is not None else 0
        fresh = (usage.prompt_tokens or 0) - hits
        answer = usage.completion_tokens or 0
        return (fresh * prompt + hits * cached_price + answer * completion) / 1_000_000

    return price


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigurationError(f"{name} is {value!r}, expected one of {', '.join(map(repr, allowed))}")
