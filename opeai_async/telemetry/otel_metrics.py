"""Metrics for OpenTelemetry: the conventions' histograms and counters, and where the time of calls goes.

All are recorded when a call ends, none per chunk. Counters are kept here and read by the SDK when it collects, because
each record of its own costs as much as a tenth of a short request. Under the names of before 2026-09 too where
``OTEL_SEMCONV_STABILITY_OPT_IN`` has ``gen_ai/dup``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Histogram, Meter, MeterProvider, Observation, get_meter

from opeai_async._version import __version__
from opeai_async.telemetry import attributes
from opeai_async.telemetry import conventions as names
from opeai_async.types.records import CallRecord, RelayRecord, RunRecord, SessionRecord, ToolRecord

SCOPE = "opeai_async"
_DUPLICATES = "gen_ai/dup"
_COUNTED = (
    "input_tokens",
    "output_tokens",
    "cache_read.input_tokens",
    "cache_write.input_tokens",
    "reasoning.output_tokens",
)


class _Counts:
    """A counter that the SDK reads when it collects."""

    def __init__(self, meter: Meter, name: str, unit: str, description: str) -> None:
        self._values: dict[tuple[object, ...], float] = {}
        self._labels: dict[tuple[object, ...], attributes.Attributes] = {}
        meter.create_observable_counter(name, [self._observe], unit, description)

    def add(self, value: float, labels: attributes.Attributes, **more: attributes.Value) -> None:
        """Count *value* for *labels* and what *more* they are told with; dots in its names are underscores."""
        key = (*labels.values(), *labels, *more.values(), *more)
        if key not in self._labels:
            self._labels[key] = {**labels, **{_LONG[name]: value for name, value in more.items()}}
        self._values[key] = self._values.get(key, 0) + value

    def _observe(self, _: CallbackOptions) -> Iterable[Observation]:
        # Another thread collects: what is copied here is whole, because nothing is ever taken out.
        return [Observation(value, self._labels[key]) for key, value in list(self._values.items())]


_LONG = {
    "modality": names.MODALITY,
    "wait_for": names.OWN_WAIT_FOR,
    "status": names.STATUS,
    "error": names.ERROR_TYPE,
    "endpoint": names.ENDPOINT,
}


class Instruments:
    """What is recorded, and when."""

    def __init__(self, meter: Meter) -> None:
        def seconds(name: str, description: str, buckets: Sequence[float] = names.SECONDS) -> Histogram:
            return meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=buckets)

        self._duration = seconds(names.DURATION, "Length of a call")
        self._first_chunk = seconds(names.TIME_TO_FIRST_CHUNK, "From a call to its first chunk")
        self._per_chunk = seconds(names.TIME_PER_CHUNK, "Mean time between two chunks of a stream")
        self._usage = {name: _Counts(meter, names.USAGE_COUNTER + name, "{token}", "Tokens used") for name in _COUNTED}
        self._wait = _Counts(meter, names.OWN_WAIT, "s", "Where the time of calls went")
        self._attempts = _Counts(meter, names.OWN_ATTEMPTS, "{attempt}", "Tries of calls")
        self._agent = seconds(names.INVOKE_AGENT_DURATION, "Length of a run of tools", names.AGENT_SECONDS)
        self._tool = seconds(names.EXECUTE_TOOL_DURATION, "Length of one tool's work")
        self._relay = seconds(names.OWN_RELAY, "Length of a relay to a client", names.AGENT_SECONDS)
        self._sending = seconds(names.OWN_RELAY_SENDING, "Waiting for the client of a relay", names.AGENT_SECONDS)
        self._session = seconds(names.OWN_SESSION, "Length of the answer of a session", names.AGENT_SECONDS)
        self._former = _Former(meter) if _DUPLICATES in _opted_in() else None

    def call_ended(self, record: CallRecord, context: Context) -> None:
        """Record a call."""
        labels = attributes.of_metric(record)
        failed = labels if record.error is None else {**labels, names.ERROR_TYPE: record.error}
        self._duration.record(record.duration_s, failed, context)
        if record.call.stream and record.first_chunk_s is not None:
            self._first_chunk.record(record.first_chunk_s, labels, context)
        if (between_s := attributes.time_per_chunk(record)) is not None:
            self._per_chunk.record(between_s, labels, context)
        for name, modality, count in attributes.by_modality(record.usage):
            self._usage[name].add(count, labels, modality=modality)
        tried = labels if record.endpoint is None else attributes.of_tries(record)
        for attempt in record.attempts:
            told = {"status": attempt.status_code, "error": attempt.error}
            if attempt.endpoint is not None:  # which need not be the one that answered
                told["endpoint"] = attempt.endpoint
            self._attempts.add(1, tried, **{name: value for name, value in told.items() if value is not None})
        for part, waited_s in attributes.waits(record.waits):
            if waited_s > 0:
                self._wait.add(waited_s, labels, wait_for=part)
        if self._former is not None:
            self._former.call_ended(record, labels, failed, context)

    def run_ended(self, record: RunRecord, context: Context) -> None:
        """Record a run of tools."""
        self._agent.record(record.duration_s, _labels(names.REQUEST_MODEL, record.run.model, record.error), context)

    def tool_ended(self, record: ToolRecord) -> None:
        """Record one tool's work."""
        told = _labels(names.TOOL_NAME, record.tool.name, record.error)
        self._tool.record(record.duration_s, {**told, names.TOOL_TYPE: record.tool.kind})

    def relay_ended(self, record: RelayRecord) -> None:
        """Record a relay."""
        told = {names.RELAY_REASON: record.reason}
        self._relay.record(record.duration_s, told)
        self._sending.record(record.sending_s, told)

    def session_ended(self, record: SessionRecord) -> None:
        """Record the answer of a session."""
        self._session.record(record.duration_s, {names.SESSION_OUTCOME: record.outcome})


class _Former:
    """The same under the names that the conventions had before."""

    def __init__(self, meter: Meter) -> None:
        def make(name: str, unit: str, buckets: Sequence[float]) -> Histogram:
            return meter.create_histogram(name, unit, "", explicit_bucket_boundaries_advisory=buckets)

        self._duration = make(names.FORMER_DURATION, "s", names.SECONDS)
        self._first_chunk = make(names.FORMER_FIRST_CHUNK, "s", names.SECONDS)
        self._per_chunk = make(names.FORMER_PER_CHUNK, "s", names.SECONDS)
        self._tokens = make(names.FORMER_TOKENS, "{token}", names.TOKENS)

    def call_ended(
        self, record: CallRecord, labels: attributes.Attributes, failed: attributes.Attributes, context: Context
    ) -> None:
        self._duration.record(record.duration_s, failed, context)
        if record.call.stream and record.first_chunk_s is not None:
            self._first_chunk.record(record.first_chunk_s, labels, context)
        if (between_s := attributes.time_per_chunk(record)) is not None:
            self._per_chunk.record(between_s, labels, context)
        if record.usage is not None:
            for kind, count in (("input", record.usage.prompt_tokens), ("output", record.usage.completion_tokens)):
                if count is not None:
                    self._tokens.record(count, {**labels, names.TOKEN_TYPE: kind}, context)


# A meter takes each name once, and of a second counter of that name it would read nothing.
_known: WeakKeyDictionary[MeterProvider, Instruments] = WeakKeyDictionary()
_of_application: list[Instruments] = []


def instruments_of(provider: MeterProvider | None) -> Instruments:
    """Return what records for *provider*; for the application's, where that is None."""
    if provider is None:
        if not _of_application:
            _of_application.append(Instruments(get_meter(SCOPE, __version__)))
        return _of_application[0]
    if provider not in _known:
        _known[provider] = Instruments(get_meter(SCOPE, __version__, provider))
    return _known[provider]


def _labels(name: str, value: str, error: str | None) -> Mapping[str, Any]:
    return {name: value} if error is None else {name: value, names.ERROR_TYPE: error}


def _opted_in() -> set[str]:
    return {word.strip() for word in os.environ.get(names.STABILITY_VARIABLE, "").split(",")}
