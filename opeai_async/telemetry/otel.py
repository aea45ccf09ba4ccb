"""Spans for OpenTelemetry: ``chat {model}`` per call, ``invoke_agent`` per run, ``execute_tool`` per tool.

A call's span is a child of whatever span is current where the call begins, or of its run's. It begins with the call and
ends with the answer, whichever way that ends; each try is an event on it. The request bears its ``traceparent``, so
that a server's spans lie below it.

A span that ends in an error has the status ``ERROR`` and ``error.type``. A stream that its reader left, cancelled or
forgot is none of that: ``opeai.outcome`` tells it. Exceptions' texts are never recorded, because they may quote what a
server said.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from opeai_async._io.observe.observers import Observer
from opeai_async._version import __version__
from opeai_async.errors import ConfigurationError
from opeai_async.telemetry import attributes, content
from opeai_async.telemetry import conventions as names
from opeai_async.telemetry.content import CAPTURES, Capture
from opeai_async.types.records import (
    AttemptEnded,
    AttemptStarted,
    CallRecord,
    CallStarted,
    RelayRecord,
    RunRecord,
    RunStarted,
    SessionRecord,
    ToolRecord,
    ToolStarted,
)

try:
    from opentelemetry import context as otel_context
    from opentelemetry import propagate, trace
    from opentelemetry._logs import LogRecord, SeverityNumber, get_logger
    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, SpanKind, StatusCode, TracerProvider

    from opeai_async.telemetry.otel_metrics import SCOPE, instruments_of
except ImportError as _exc:
    raise ConfigurationError(
        f"OpenTelemetry cannot be imported: {_exc}", hint="pip install 'opeai_async[otel]'"
    ) from None


class _Call(NamedTuple):
    """A call under way: its span, and the context that has it."""

    span: Span
    context: Context
    asked: tuple[list[dict[str, object]], list[dict[str, object]]] | None


class OpenTelemetryObserver(Observer):
    """Spans and metrics of a client's calls, by the GenAI conventions. One may serve any number of clients.

    Args:
        tracer_provider: Where spans go; None for the application's.
        meter_provider: Where metrics go; None for the application's.
        capture: Whether prompts and answers are recorded: ``"no_content"``, ``"span_only"``, ``"event_only"`` or
            ``"span_and_event"``; None for what OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT says, which is
            ``no_content`` where it is not set.
        propagate: Whether requests bear the headers of the trace, as the application's propagators make them.

    Raises:
        ConfigurationError: If *capture* or the variable is another word, or OpenTelemetry is not installed.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        capture: Capture | None = None,
        propagate: bool = True,
    ) -> None:
        capture = _capture(capture)
        self.wants_content: bool = capture != "no_content"
        self._on_spans = capture in ("span_only", "span_and_event")
        self._in_events = capture in ("event_only", "span_and_event")
        self._propagates = propagate
        self._tracer = trace.get_tracer(SCOPE, __version__, tracer_provider)
        self._metrics = instruments_of(meter_provider)
        self._logger = get_logger(SCOPE, __version__)
        self._calls: dict[str, _Call] = {}
        self._runs: dict[str, tuple[Span, Context]] = {}
        self._tools: dict[tuple[str, int], Span] = {}

    @property
    def open_spans(self) -> int:
        """How many spans have begun and not ended; 0 when nothing is under way."""
        return len(self._calls) + len(self._runs) + len(self._tools)

    # --- calls -------------------------------------------------------------------------------------------------------

    def call_started(self, call: CallStarted) -> None:
        """Begin the call's span."""
        run = self._runs.get(call.run_id) if call.run_id is not None else None
        parent = otel_context.get_current() if run is None else run[1]
        told = {**attributes.at_start(call), **attributes.of_request(call)}
        span = self._tracer.start_span(f"{call.operation} {call.model}", parent, SpanKind.CLIENT, told)
        asked = None
        if call.prompt is not None:
            asked = content.input_messages(call.prompt.messages), content.tool_definitions(call.prompt.tools)
            if self._on_spans and span.is_recording():
                span.set_attributes(_content_texts(*asked))
        kept = asked if self._in_events else None
        self._calls[call.call_id] = _Call(span, trace.set_span_in_context(span, parent), kept)

    def attempt_started(self, attempt: AttemptStarted) -> Mapping[str, str] | None:
        """Return the headers of the trace."""
        if not self._propagates or (call := self._calls.get(attempt.call.call_id)) is None:
            return None
        headers: dict[str, str] = {}
        propagate.inject(headers, call.context)
        return headers

    def attempt_ended(self, ended: AttemptEnded) -> None:
        """Add an event that tells how the try went."""
        call, attempt = self._calls.get(ended.call.call_id), ended.attempt
        if call is None or not call.span.is_recording():
            return
        told: attributes.Attributes = {
            names.ATTEMPT_NUMBER: attempt.number,
            names.ATTEMPT_DELAY: attempt.delay_s,
            names.ATTEMPT_ELAPSED: attempt.elapsed_s,
        }
        if attempt.status_code is not None:
            told[names.STATUS] = attempt.status_code
        if attempt.error is not None:
            told[names.ERROR_TYPE] = attempt.error
        if attempt.endpoint is not None:
            told[names.ENDPOINT] = attempt.endpoint
        if ended.request_id is not None:
            told[names.REQUEST_ID] = ended.request_id
        call.span.add_event(names.ATTEMPT_EVENT, told)

    def call_ended(self, record: CallRecord) -> None:
        """End the call's span, and record its metrics."""
        call = self._calls.pop(record.call_id, None)
        if call is None:
            return
        span = call.span
        if span.is_recording():
            span.set_attributes(attributes.of_answer(record))
            if self._on_spans and record.completion is not None:
                answered = content.output_messages(record.completion)
                span.set_attribute(names.OUTPUT_MESSAGES, content.as_json(answered))
            if record.error is not None:
                span.set_status(StatusCode.ERROR, record.error)
        if call.asked is not None:
            self._emit_details(record, call)
        if record.error is not None:
            self._emit(names.EXCEPTION_EVENT, SeverityNumber.WARN, {names.EXCEPTION_TYPE: record.error}, call.context)
        span.end()
        self._metrics.call_ended(record, call.context)

    def _emit_details(self, record: CallRecord, call: _Call) -> None:
        asked = call.asked
        assert asked is not None
        told: dict[str, Any] = {
            **attributes.at_start(record.call),
            **attributes.of_request(record.call),
            **attributes.of_answer(record),
            names.INPUT_MESSAGES: asked[0],
            names.OUTPUT_MESSAGES: content.output_messages(record.completion),
        }
        if asked[1]:
            told[names.TOOL_DEFINITIONS] = asked[1]
        self._emit(names.DETAILS_EVENT, SeverityNumber.DEBUG, told, call.context)

    def _emit(self, name: str, severity: SeverityNumber, told: Mapping[str, Any], context: Context) -> None:
        self._logger.emit(LogRecord(event_name=name, severity_number=severity, attributes=told, context=context))

    # --- runs and tools ----------------------------------------------------------------------------------------------

    def run_started(self, run: RunStarted) -> None:
        """Begin the span that the run's calls and tools lie below."""
        parent = otel_context.get_current()
        told: attributes.Attributes = {names.OPERATION: "invoke_agent", names.REQUEST_MODEL: run.model}
        if run.conversation_id is not None:
            told[names.CONVERSATION_ID] = run.conversation_id
        span = self._tracer.start_span("invoke_agent", parent, SpanKind.INTERNAL, told)
        self._runs[run.run_id] = span, trace.set_span_in_context(span, parent)

    def run_ended(self, record: RunRecord) -> None:
        """End the run's span."""
        found = self._runs.pop(record.run.run_id, None)
        if found is None:
            return
        span, context = found
        span.set_attributes(
            {
                names.RUN_REASON: record.reason,
                names.RUN_ROUNDS: record.rounds,
                names.RUN_TOOL_CALLS: record.tool_calls,
                **attributes.of_usage(record.usage),
            }
        )
        _end(span, record.error)
        self._metrics.run_ended(record, context)

    def tool_started(self, tool: ToolStarted) -> None:
        """Begin the tool's span, and make it current in the task that runs the tool."""
        run = self._runs.get(tool.run_id)
        told: attributes.Attributes = {
            names.OPERATION: "execute_tool",
            names.TOOL_NAME: tool.name,
            names.TOOL_TYPE: tool.kind,
            names.TOOL_CALL_ID: tool.tool_call_id,
        }
        if self._on_spans and tool.arguments is not None:
            told[names.TOOL_ARGUMENTS] = tool.arguments
        context = otel_context.get_current() if run is None else run[1]
        span = self._tracer.start_span(f"execute_tool {tool.name}", context, SpanKind.INTERNAL, told)
        otel_context.attach(trace.set_span_in_context(span, otel_context.get_current()))
        self._tools[tool.run_id, tool.number] = span

    def tool_ended(self, record: ToolRecord) -> None:
        """End the tool's span. Its task ends too, and the context with it: there is nothing to detach from."""
        span = self._tools.pop((record.tool.run_id, record.tool.number), None)
        if span is None:
            return
        if self._on_spans and record.result is not None:
            span.set_attribute(names.TOOL_RESULT, record.result)
        if record.is_cancelled:
            span.set_attribute(names.OUTCOME, "cancelled")
        _end(span, record.error)
        self._metrics.tool_ended(record)

    # --- what is done with answers -----------------------------------------------------------------------------------

    def relay_ended(self, record: RelayRecord) -> None:
        """Record how long a relay took, and how much of that its client."""
        self._metrics.relay_ended(record)

    def session_ended(self, record: SessionRecord) -> None:
        """Record how long the answer of a session took."""
        self._metrics.session_ended(record)


def _end(span: Span, error: str | None) -> None:
    if error is not None:
        span.set_attribute(names.ERROR_TYPE, error)
        span.set_status(StatusCode.ERROR, error)
    span.end()


def _content_texts(messages: list[dict[str, object]], tools: list[dict[str, object]]) -> attributes.Attributes:
    texts: attributes.Attributes = {names.INPUT_MESSAGES: content.as_json(messages)}
    if tools:
        texts[names.TOOL_DEFINITIONS] = content.as_json(tools)
    return texts


def _capture(capture: Capture | None) -> Capture:
    """Return what is captured, by the argument or the variable."""
    source = "capture"
    word: str | None = capture
    if word is None:
        source, word = names.CAPTURE_VARIABLE, os.environ.get(names.CAPTURE_VARIABLE, "").strip().lower()
    for known in CAPTURES:
        if word == known:
            return known
    if not word or word == "false":  # what instrumentations took before it had four words
        return "no_content"
    raise ConfigurationError(f"{source} is {word!r}, expected one of {', '.join(map(repr, CAPTURES))}")
