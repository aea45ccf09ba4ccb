"""Counts of a bulk run, in bounded memory."""

from __future__ import annotations

import math
from collections import deque

from opeai_async._io.observe.bulk import BulkWatch
from opeai_async.bulk.result import MAX_REASONS, BulkProgress, BulkResult, Stop, reason_of
from opeai_async.types.records import BulkRecord, BulkStarted

_GROWTH = math.log(1.05)
_PER_GROWTH = 1 / _GROWTH
_LEAST_S = 0.0001
_PER_LEAST = 1 / _LEAST_S
_BUCKETS = 400
_WINDOW_S = 30.0
_SLICES = 30


class Times:
    """Durations, in buckets each of which is 5 % wider than the one before: 0.1 ms to 8 hours."""

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self._total = 0

    def add(self, seconds: float) -> None:
        """Count one."""
        place = int(math.log(seconds * _PER_LEAST) * _PER_GROWTH) if seconds > _LEAST_S else 0
        self._counts[place if place < _BUCKETS else -1] += 1
        self._total += 1

    def share(self, share: float) -> float | None:
        """Return the time within which that share of all ended; None if there is none."""
        left = self._total * share
        for place, count in enumerate(self._counts):
            left -= count
            if left <= 0 and self._total:
                return _LEAST_S * math.exp((place + 0.5) * _GROWTH)
        return None


def record_of(watch: BulkWatch, progress: BulkProgress, error: BaseException | None) -> BulkRecord:
    """Return what those who listen are told of a run that is over."""
    return BulkRecord(
        run=watch.run or BulkStarted(run_id=watch.run_id),
        done=progress.done,
        failed=progress.failed,
        resumed=progress.resumed,
        shared=progress.shared,
        changed=progress.changed,
        retries=progress.retries,
        prompt_tokens=progress.prompt_tokens,
        completion_tokens=progress.completion_tokens,
        cost=progress.cost,
        reasons=progress.reasons,
        duration_s=progress.elapsed_s,
        stopped=progress.stopped,
        error=None if error is None else type(error).__name__,
    )


class Tally:
    """Adds results up.

    Attributes:
        tokens: All that was used.
        cost: All that was paid.
    """

    def __init__(self, total: int | None) -> None:
        self.total = total
        self.done: int = 0
        self.failed: int = 0
        self.resumed: int = 0
        self.shared: int = 0
        self.changed: int = 0
        self.retries: int = 0
        self.prompt_tokens: int = 0
        self.completion_tokens: int = 0
        self.cost: float = 0.0
        self.reasons: dict[str, int] = {}
        self._times = Times()
        self._marks: deque[tuple[float, int, int]] = deque([(0.0, 0, 0)], maxlen=_SLICES + 2)

    @property
    def tokens(self) -> int:
        """Prompts and answers together."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def ended(self) -> int:
        """Requests of this run that have ended."""
        return self.done + self.failed

    def add(self, result: BulkResult, cost: float = 0.0) -> None:
        """Count one result."""
        if result.is_resumed:
            self.resumed += 1
            return
        if result.error is None:
            self.done += 1
        else:
            self.failed += 1
            reason = reason_of(result.error)
            if reason in self.reasons or len(self.reasons) < MAX_REASONS:
                self.reasons[reason] = self.reasons.get(reason, 0) + 1
        if result.is_shared:
            self.shared += 1
            return
        if len(result.attempts) > 1:
            self.retries += len(result.attempts) - 1
        self.cost += cost
        if (usage := result.usage) is not None:
            self.prompt_tokens += usage.prompt_tokens or 0
            self.completion_tokens += usage.completion_tokens or 0
        self._times.add(result.timing.total_s)

    def progress(
        self, elapsed_s: float, *, running: int, limit: int, stopped: Stop | None, is_over: bool = False
    ) -> BulkProgress:
        """Return the counts as they are *elapsed_s* seconds after the start."""
        requests_per_s, tokens_per_s = self._rates(elapsed_s)
        left = None if self.total is None else max(0, self.total - self.ended - self.resumed)
        return BulkProgress(
            total=self.total,
            done=self.done,
            failed=self.failed,
            resumed=self.resumed,
            shared=self.shared,
            changed=self.changed,
            running=running,
            limit=limit,
            retries=self.retries,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            cost=self.cost,
            elapsed_s=elapsed_s,
            requests_per_s=requests_per_s,
            tokens_per_s=tokens_per_s,
            eta_s=None if left is None or not requests_per_s else left / requests_per_s,
            p50_s=self._times.share(0.5),
            p99_s=self._times.share(0.99),
            reasons=dict(self.reasons),
            stopped=stopped,
            is_over=is_over,
        )

    def _rates(self, elapsed_s: float) -> tuple[float, float]:
        """Requests and tokens per second since half a minute ago."""
        while len(self._marks) > 1 and self._marks[1][0] < elapsed_s - _WINDOW_S:
            self._marks.popleft()
        since_s, ended, tokens = self._marks[0]
        seconds = elapsed_s - since_s
        if elapsed_s - self._marks[-1][0] >= _WINDOW_S / _SLICES:
            self._marks.append((elapsed_s, self.ended, self.tokens))
        return ((self.ended - ended) / seconds, (self.tokens - tokens) / seconds) if seconds > 0 else (0.0, 0.0)
