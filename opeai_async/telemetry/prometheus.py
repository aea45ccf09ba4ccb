"""Metrics for Prometheus, with ``prometheus-client``.

Labels are bounded, whatever users ask for: after ``max_values`` models, endpoints or tools the next one is ``other``.
Nothing a caller or a server may write freely is a label but the names of models and tools.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from opeai_async._io.observe.observers import Observer
from opeai_async.errors import ConfigurationError
from opeai_async.telemetry import attributes, conventions
from opeai_async.types.records import (
    AttemptEnded,
    CallRecord,
    CallStarted,
    RelayRecord,
    RetryScheduled,
    RunRecord,
    SessionRecord,
    ToolRecord,
)

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
except ImportError as _exc:
    raise ConfigurationError(
        f"prometheus-client cannot be imported: {_exc}", hint="pip install 'opeai_async[prometheus]'"
    ) from None

OTHER = "other"
_WHERE = ("model", "endpoint")
_NO_ERROR = ""


class PrometheusObserver(Observer):
    """Counters and histograms of a client's calls, named ``opeai_...``.

    Several of them may share a registry: they then count together.

    Args:
        registry: Where the metrics are; None for the one that ``prometheus_client`` shows by default.
        max_values: How many models, endpoints and tools are told apart.
    """

    def __init__(self, registry: CollectorRegistry | None = None, *, max_values: int = 100) -> None:
        self._metrics = _metrics_of(REGISTRY if registry is None else registry)
        self._models = _Bounded(max_values)
        self._endpoints = _Bounded(max_values)
        self._tools = _Bounded(max_values)
        self._calls: dict[str, tuple[str, str]] = {}

    def call_started(self, call: CallStarted) -> None:
        """Count a call as under way."""
        where = self._models.label(call.model), self._endpoints.label(f"{call.host}:{call.port}")
        self._calls[call.call_id] = where
        self._metrics.under_way.labels(*where).inc()

    def attempt_ended(self, ended: AttemptEnded) -> None:
        """Count a try by how it went."""
        attempt, where = ended.attempt, self._calls.get(ended.call.call_id)
        if where is not None:
            status = str(attempt.status_code) if attempt.status_code is not None else ""
            if attempt.endpoint is not None:
                where = where[0], self._endpoints.label(attempt.endpoint)
            self._metrics.attempts.labels(*where, status, attempt.error or _NO_ERROR).inc()

    def retry_scheduled(self, retry: RetryScheduled) -> None:
        """Count a retry by the error that it follows."""
        if where := self._calls.get(retry.call.call_id):
            self._metrics.retries.labels(*where, retry.error).inc()

    def call_ended(self, record: CallRecord) -> None:
        """Count a call by how it ended, and record its times and tokens."""
        metrics, where = self._metrics, self._calls.pop(record.call_id, None)
        if where is None:
            return
        metrics.under_way.labels(*where).dec()
        if record.endpoint is not None:  # it began before anybody knew which one would answer
            where = where[0], self._endpoints.label(record.endpoint)
        metrics.calls.labels(*where, record.outcome, record.error or _NO_ERROR).inc()
        metrics.duration.labels(*where).observe(record.duration_s)
        if (first_s := record.timing.first_content_s) is not None:
            metrics.first_content.labels(*where).observe(first_s)
        if (between_s := attributes.time_per_chunk(record)) is not None:
            metrics.per_chunk.labels(*where).observe(between_s)
        for part, waited_s in attributes.waits(record.waits):
            metrics.waits.labels(*where, part).inc(waited_s)
        if record.usage is not None:
            for name, count in attributes.counts(record.usage):
                metrics.tokens.labels(*where, name.removesuffix("_tokens").replace(".", "_")).inc(count)
        for quirk in record.quirks:
            metrics.quirks.labels(where[1], quirk).inc()

    def run_ended(self, record: RunRecord) -> None:
        """Record a run of tools."""
        self._metrics.runs.labels(self._models.label(record.run.model), record.reason).observe(record.duration_s)

    def tool_ended(self, record: ToolRecord) -> None:
        """Record one tool's work."""
        how = "cancelled" if record.is_cancelled else "error" if record.error is not None else "ok"
        self._metrics.tools.labels(self._tools.label(record.tool.name), how).observe(record.duration_s)

    def relay_ended(self, record: RelayRecord) -> None:
        """Record a relay, and how long it waited for its client."""
        self._metrics.relays.labels(record.reason).observe(record.duration_s)
        self._metrics.relay_sending.labels(record.reason).inc(record.sending_s)

    def session_ended(self, record: SessionRecord) -> None:
        """Record the answer of a session."""
        self._metrics.sessions.labels(record.outcome).observe(record.duration_s)


class _Bounded:
    """The values of one label, of which there are no more than *most* and ``other``."""

    def __init__(self, most: int) -> None:
        if most < 1:
            raise ConfigurationError(f"max_values is {most!r}, expected at least 1")
        self._most = most
        self._known: set[str] = set()

    def label(self, value: str) -> str:
        """Return *value*, or ``other`` where there are too many."""
        if value not in self._known:
            if len(self._known) >= self._most:
                return OTHER
            self._known.add(value)
        return value


class _Metrics:
    """All metrics, in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, labels: Sequence[str]) -> Counter:
            return Counter(name, text, labels, namespace="opeai", registry=registry)

        def seconds(name: str, text: str, labels: Sequence[str], buckets: Sequence[float]) -> Histogram:
            return Histogram(name, text, labels, namespace="opeai", registry=registry, buckets=buckets)

        short, long = conventions.SECONDS, conventions.AGENT_SECONDS
        self.calls = counter("calls", "Calls by how they ended", (*_WHERE, "outcome", "error_type"))
        self.under_way = Gauge("calls_under_way", "Calls not ended", _WHERE, namespace="opeai", registry=registry)
        self.duration = seconds("call_seconds", "From a call to its end", _WHERE, short)
        self.first_content = seconds("first_content_seconds", "From a call to its first content", _WHERE, short)
        self.per_chunk = seconds("chunk_seconds", "Mean time between the chunks of a stream", _WHERE, short)
        self.waits = counter("wait_seconds", "Where the time of calls went", (*_WHERE, "wait_for"))
        self.tokens = counter("tokens", "Tokens, totals and their parts", (*_WHERE, "kind"))
        self.attempts = counter("attempts", "Tries by how they went", (*_WHERE, "status", "error_type"))
        self.retries = counter("retries", "Retries by the error before", (*_WHERE, "error_type"))
        self.quirks = counter("quirks", "Answers that needed a repair", ("endpoint", "quirk"))
        self.runs = seconds("run_seconds", "Runs of tools", ("model", "reason"), long)
        self.tools = seconds("tool_seconds", "Tools at work", ("tool", "result"), short)
        self.relays = seconds("relay_seconds", "Relays to clients", ("reason",), long)
        self.relay_sending = counter("relay_sending_seconds", "Waiting for clients of relays", ("reason",))
        self.sessions = seconds("session_seconds", "Answers of sessions", ("outcome",), long)


# A registry takes each name once, and there may be an observer per client.
_known: WeakKeyDictionary[Any, _Metrics] = WeakKeyDictionary()


def _metrics_of(registry: CollectorRegistry) -> _Metrics:
    if registry not in _known:
        _known[registry] = _Metrics(registry)
    return _known[registry]
