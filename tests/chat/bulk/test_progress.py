"""Counts, and how they are drawn."""

from __future__ import annotations

import builtins
import io
import sys
from typing import Any

import pytest

from opeai_async import CompletionUsage, InternalServerError
from opeai_async.bulk import BulkProgress, BulkResult, BulkTiming, per_million
from opeai_async.bulk.drawing import bar_of, drawn, duration, line_of
from opeai_async.bulk.result import MAX_REASONS
from opeai_async.bulk.tally import Tally, Times


def result(index: int = 0, **facts: Any) -> BulkResult:
    return BulkResult(custom_id=str(index), index=index, **facts)


def test_times_are_right_to_five_per_cent() -> None:
    times = Times()
    assert times.share(0.5) is None
    for number in range(1, 1001):
        times.add(number / 100)
    assert times.share(0.5) == pytest.approx(5, rel=0.05)
    assert times.share(0.99) == pytest.approx(9.9, rel=0.05)
    for seconds in (0.0, 1e9):
        times.add(seconds)
    assert times.share(1.0) is not None


def test_the_tally() -> None:
    tally = Tally(total=10)
    usage = CompletionUsage(prompt_tokens=3, completion_tokens=4, total_tokens=7)
    tally.add(result(0, usage=usage, timing=BulkTiming(total_s=1)), cost=0.5)
    tally.add(result(1, usage=usage, is_shared=True))
    tally.add(result(2, is_resumed=True))
    tally.add(result(3, error=InternalServerError("no", status_code=500)))
    progress = tally.progress(2.0, running=1, limit=4, stopped=None)
    assert (progress.done, progress.failed, progress.resumed, progress.shared) == (2, 1, 1, 1)
    assert (progress.prompt_tokens, progress.completion_tokens, progress.cost) == (3, 4, 0.5)
    assert progress.reasons == {"InternalServerError 500": 1}
    assert progress.requests_per_s == 1.5
    assert progress.eta_s == pytest.approx(6 / 1.5)


def test_rates_are_those_of_the_last_half_minute() -> None:
    tally = Tally(total=None)
    for second in range(200):
        if second < 100:
            tally.add(result(second))
        progress = tally.progress(float(second), running=0, limit=1, stopped=None)
    assert progress.requests_per_s == 0
    assert progress.eta_s is None


def test_reasons_are_bounded() -> None:
    tally = Tally(total=None)
    for status in range(2 * MAX_REASONS):
        tally.add(result(error=InternalServerError("no", status_code=500 + status)))
    assert len(tally.reasons) == MAX_REASONS
    assert tally.failed == 2 * MAX_REASONS


def test_a_price() -> None:
    usage = CompletionUsage(prompt_tokens=1_000_000, completion_tokens=2_000_000, total_tokens=3_000_000)
    assert per_million(1, 10)(usage) == 21
    assert per_million(1, 10, cached=0)(CompletionUsage()) == 0


def test_a_line() -> None:
    progress = BulkProgress(
        total=10, done=3, failed=1, resumed=2, running=4, limit=8, requests_per_s=2, tokens_per_s=9, cost=1.5, eta_s=2
    )
    assert line_of(progress) == (
        "6 of 10 finished, 1 failed, 2 from the journal, 4 open, at most 8, 2.0 requests/s, 9 tokens/s, cost 1.5000, "
        "0:02 left"
    )
    assert line_of(BulkProgress(stopped="deadline")).endswith("stopped: deadline")
    assert bar_of(progress, 10) == "[######    ]"
    assert bar_of(BulkProgress(), 3) == "[   ]"
    assert duration(3723) == "1:02:03"


def test_lines_where_there_is_no_terminal() -> None:
    """One each five seconds, and one at the end."""
    stream, now = io.StringIO(), 0.0
    show = drawn(stream, lambda: now)
    for now in range(12):
        show(BulkProgress(done=int(now), running=1))
    show(BulkProgress(done=12, is_over=True))
    show(BulkProgress(done=12, is_over=True))
    assert [line.split()[0] for line in stream.getvalue().splitlines()] == ["5", "10", "12"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_on_a_terminal() -> None:
    stream = Terminal()
    show = drawn(stream)
    show(BulkProgress(total=2, done=1, running=1))
    show(BulkProgress(total=2, done=2, is_over=True))
    assert "[####################] 2 of 2 finished" in stream.getvalue()


def test_a_terminal_without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without_rich(name: str, *rest: Any) -> Any:
        if name.startswith("rich"):
            raise ImportError(name)
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_rich)
    monkeypatch.delitem(sys.modules, "rich.live", raising=False)
    stream = Terminal()
    drawn(stream)(BulkProgress(done=1, is_over=True))
    assert stream.getvalue().startswith("1 finished")
