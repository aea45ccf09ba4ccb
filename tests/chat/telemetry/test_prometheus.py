"""Numbers of made-up calls for Prometheus."""

import pytest

from opeai_async.errors import ConfigurationError
from opeai_async.types.meta import AttemptRecord
from opeai_async.types.records import (
    AttemptEnded,
    RelayRecord,
    RetryScheduled,
    RunRecord,
    RunStarted,
    SessionRecord,
    ToolRecord,
    ToolStarted,
)
from tests.support.telemetry.made import call, record

pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")

from prometheus_client import CollectorRegistry, generate_latest

from opeai_async.telemetry import PrometheusObserver

WHERE = {"model": "m", "endpoint": "api.deepseek.com:443"}


def test_a_call_is_counted() -> None:
    """By how it ended, with its times, waits and tokens."""
    registry = CollectorRegistry()
    observer = PrometheusObserver(registry)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, {**WHERE, **labels})

    observer.call_started(call())
    assert value("opeai_calls_under_way") == 1
    bad = AttemptRecord(number=1, status_code=None, error="APITimeoutError")
    observer.attempt_ended(AttemptEnded(call=call(), attempt=bad))
    observer.retry_scheduled(RetryScheduled(call=call(), number=2, delay_s=0.5, error="APITimeoutError"))
    observer.call_ended(record(quirks=("done_missing",)))
    assert value("opeai_calls_under_way") == 0
    assert value("opeai_calls_total", outcome="complete", error_type="") == 1
    assert value("opeai_call_seconds_sum") == 1.0
    assert value("opeai_first_content_seconds_sum") == 0.2
    assert value("opeai_attempts_total", status="", error_type="APITimeoutError") == 1
    assert value("opeai_retries_total", error_type="APITimeoutError") == 1
    assert value("opeai_wait_seconds_total", wait_for="server") == 0.7
    assert value("opeai_tokens_total", kind="input") == 30
    assert value("opeai_tokens_total", kind="cache_read_input") == 8
    quirk = {"endpoint": WHERE["endpoint"], "quirk": "done_missing"}
    assert registry.get_sample_value("opeai_quirks_total", quirk) == 1


def test_labels_are_bounded() -> None:
    """Whatever models users ask for, a scrape stays small."""
    registry = CollectorRegistry()
    observer = PrometheusObserver(registry, max_values=3)
    for number in range(50):
        begun = call(call_id=str(number), model=f"model-{number}")
        observer.call_started(begun)
        observer.call_ended(record(begun))
    shown = generate_latest(registry).decode()
    assert 'model="model-2"' in shown
    assert 'model="model-3"' not in shown
    labels = {**WHERE, "model": "other", "outcome": "complete", "error_type": ""}
    assert registry.get_sample_value("opeai_calls_total", labels) == 47


def test_tools_runs_relays_and_sessions_are_measured() -> None:
    """Each by how it went."""
    registry = CollectorRegistry()
    observer = PrometheusObserver(registry)
    tool = ToolStarted(run_id="r", number=1, tool_call_id="t", name="n")
    observer.tool_ended(ToolRecord(tool=tool, duration_s=1.0))
    observer.tool_ended(ToolRecord(tool=tool, duration_s=1.0, error="ValueError"))
    observer.tool_ended(ToolRecord(tool=tool, duration_s=1.0, is_cancelled=True))
    observer.run_ended(RunRecord(run=RunStarted(run_id="r", model="m"), reason="completed", duration_s=3.0))
    observer.relay_ended(RelayRecord(call_id=None, reason="slow", frames=1, bytes=1, duration_s=2.0, sending_s=1.5))
    observer.session_ended(SessionRecord(call_id=None, outcome="done", duration_s=1.0))
    for result in ("ok", "error", "cancelled"):
        assert registry.get_sample_value("opeai_tool_seconds_count", {"tool": "n", "result": result}) == 1
    assert registry.get_sample_value("opeai_run_seconds_sum", {"model": "m", "reason": "completed"}) == 3.0
    assert registry.get_sample_value("opeai_relay_sending_seconds_total", {"reason": "slow"}) == 1.5
    assert registry.get_sample_value("opeai_session_seconds_count", {"outcome": "done"}) == 1


def test_observers_of_one_registry_count_together() -> None:
    """One per client is no error."""
    registry = CollectorRegistry()
    for _ in range(2):
        observer = PrometheusObserver(registry)
        observer.call_started(call())
        observer.call_ended(record())
    labels = {**WHERE, "outcome": "complete", "error_type": ""}
    assert registry.get_sample_value("opeai_calls_total", labels) == 2


def test_what_ends_without_a_beginning_is_not_counted() -> None:
    """An observer that was added later counts no call twice or below zero."""
    registry = CollectorRegistry()
    observer = PrometheusObserver(registry)
    observer.attempt_ended(AttemptEnded(call=call(), attempt=AttemptRecord(number=1)))
    observer.retry_scheduled(RetryScheduled(call=call(), number=2, delay_s=0.5, error="E"))
    observer.call_ended(record())
    assert "opeai_calls_total{" not in generate_latest(registry).decode()


def test_a_bound_below_one_is_refused() -> None:
    """It could tell nothing apart."""
    with pytest.raises(ConfigurationError, match="max_values is 0"):
        PrometheusObserver(CollectorRegistry(), max_values=0)
