"""Spans and metrics of made-up calls, in a real SDK."""

from collections.abc import Iterator
from typing import Any

import pytest

from opeai_async.errors import ConfigurationError
from opeai_async.types.completion import ChatCompletion, ChatCompletionMessage, Choice
from opeai_async.types.meta import AttemptRecord
from opeai_async.types.records import (
    AttemptEnded,
    AttemptStarted,
    Prompt,
    RelayRecord,
    RunRecord,
    RunStarted,
    SessionRecord,
    ToolRecord,
    ToolStarted,
)
from tests.support.telemetry.conventions import FORMER_METRICS, METRICS, REQUIRED, strays
from tests.support.telemetry.made import USAGE, call, record

pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")

from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from opeai_async.telemetry import OpenTelemetryObserver
from tests.support.telemetry.collected import Collected

CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
ANSWER = ChatCompletion(
    choices=[Choice(message=ChatCompletionMessage(role="assistant", content="the answer"), finish_reason="stop")]
)
PROMPT = Prompt(messages=[{"role": "user", "content": "the question"}], tools=[{"function": {"name": "the_tool"}}])


@pytest.fixture
def collected() -> Iterator[Collected]:
    """An SDK that keeps all."""
    made = Collected()
    yield made
    made.close()


def test_a_call_is_one_client_span(collected: Collected) -> None:
    """Named by operation and model, with every attribute that the conventions require, of their types."""
    collected.observer.call_started(call())
    assert collected.observer.open_spans == 1
    collected.observer.call_ended(record())
    span = collected.span
    assert (span.name, span.kind) == ("chat m", SpanKind.CLIENT)
    assert span.status.status_code is StatusCode.UNSET
    assert set(collected.attributes) >= REQUIRED
    assert not strays(collected.attributes)
    assert collected.observer.open_spans == 0


def test_an_error_is_told_by_its_type(collected: Collected) -> None:
    """The span's status and the duration's label; the text of the error is nowhere."""
    collected.observer.call_started(call())
    collected.observer.call_ended(record(outcome="truncated", error="StreamTruncatedError", finish_reasons=("error",)))
    assert collected.span.status.status_code is StatusCode.ERROR
    assert collected.attributes["error.type"] == "StreamTruncatedError"
    assert collected.attributes["gen_ai.response.finish_reasons"] == ("error",)
    ((labels, _),) = collected.points("gen_ai.client.inference.duration")
    assert labels["error.type"] == "StreamTruncatedError"


@pytest.mark.parametrize("outcome", ["cancelled", "dropped"])
def test_a_reader_that_leaves_is_no_error(collected: Collected, outcome: str) -> None:
    """Only the outcome tells it."""
    collected.observer.call_started(call())
    collected.observer.call_ended(record(outcome=outcome, finish_reasons=("error",)))
    assert collected.span.status.status_code is StatusCode.UNSET
    assert collected.attributes["opeai.outcome"] == outcome
    assert "error.type" not in collected.attributes


def test_each_try_is_an_event(collected: Collected) -> None:
    """With its number, wait, status and error."""
    collected.observer.call_started(call())
    refused = AttemptRecord(number=1, status_code=429, error="RateLimitError", elapsed_s=0.1)
    good = AttemptRecord(number=2, status_code=200, delay_s=0.5, elapsed_s=0.1)
    collected.observer.attempt_ended(AttemptEnded(call=call(), attempt=refused))
    collected.observer.attempt_ended(AttemptEnded(call=call(), attempt=good, request_id="req"))
    collected.observer.call_ended(record(attempts=(refused, good)))
    first, second = collected.span.events
    assert (first.name, second.name) == ("opeai.attempt", "opeai.attempt")
    assert not strays(dict(first.attributes or {}))
    assert (first.attributes or {})["error.type"] == "RateLimitError"
    assert (second.attributes or {})["opeai.attempt.delay"] == 0.5
    told = {
        labels.get("http.response.status_code"): count for labels, count in collected.points("opeai.client.attempts")
    }
    assert told == {429: 1, 200: 1}


def test_the_headers_of_the_trace_name_the_span(collected: Collected) -> None:
    """So that what the server does lies below the call."""
    collected.observer.call_started(call())
    headers = collected.observer.attempt_started(AttemptStarted(call=call(), number=1))
    collected.observer.call_ended(record())
    context = collected.span.context
    assert context is not None
    assert headers is not None
    assert set(headers) == {"traceparent"}
    assert headers["traceparent"].startswith(f"00-{context.trace_id:032x}-{context.span_id:016x}-")
    assert collected.observer.attempt_started(AttemptStarted(call=call(call_id="gone"), number=1)) is None


def test_headers_can_be_off() -> None:
    """For servers that refuse what they do not know."""
    made = Collected(propagate=False)
    made.observer.call_started(call())
    assert made.observer.attempt_started(AttemptStarted(call=call(), number=1)) is None
    made.close()


def test_the_current_span_is_the_parent(collected: Collected) -> None:
    """That of a server's request, say."""
    tracer = collected.tracers.get_tracer("test")
    with tracer.start_as_current_span("request") as parent:
        collected.observer.call_started(call())
        assert trace.get_current_span() is parent  # the call does not make its own span current
    collected.observer.call_ended(record())
    chat = next(span for span in collected.spans if span.name == "chat m")
    assert chat.parent is not None
    assert chat.parent.span_id == parent.get_span_context().span_id


def test_the_metrics_are_those_of_the_conventions(collected: Collected) -> None:
    """Names, instruments and units; and ours beside them."""
    collected.observer.call_started(call())
    collected.observer.call_ended(record())
    kinds = {
        metric.name: ("histogram" if type(metric.data).__name__ == "Histogram" else "counter", metric.unit)
        for metric in collected.metrics()
    }
    expected = {name: kind for name, kind in METRICS.items() if "agent" not in name and "tool" not in name}
    expected.pop("gen_ai.client.inference.usage.cache_write.input_tokens")  # not told in this usage
    expected = {name: kind for name, kind in expected.items() if ".inference.operation." not in name}  # not made
    assert {name: kind for name, kind in kinds.items() if name.startswith("gen_ai")} == expected
    for metric in collected.metrics():
        for point in metric.data.data_points:
            assert not strays(dict(point.attributes))
    assert dict_of(collected.points("opeai.client.wait"), "opeai.wait.for")["server"] == 0.7


def dict_of(points: list[tuple[dict[str, Any], Any]], label: str) -> dict[str, Any]:
    """Return the values by one of their labels."""
    return {labels[label]: value for labels, value in points}


def test_the_former_metrics_are_there_where_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both, so that dashboards can move."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http, gen_ai/dup")
    made = Collected()
    made.observer.call_started(call())
    made.observer.call_ended(record())
    assert {metric.name for metric in made.metrics()} >= {*FORMER_METRICS, "gen_ai.client.inference.duration"}
    assert dict_of(made.points("gen_ai.client.token.usage"), "gen_ai.token.type") == {
        "input": (1, 30),
        "output": (1, 20),
    }
    made.close()


def test_a_run_has_its_calls_and_tools_below_it(collected: Collected) -> None:
    """`invoke_agent`, with `chat` and `execute_tool` as children."""
    observer = collected.observer
    observer.run_started(run := RunStarted(run_id="r1", model="m", conversation_id="conv"))
    observer.call_started(call(run_id="r1"))
    observer.call_ended(record())
    for number, name in ((1, "good"), (2, "bad"), (3, "left")):
        observer.tool_started(tool := ToolStarted(run_id="r1", number=number, tool_call_id="same", name=name))
        error = "ValueError" if name == "bad" else None
        observer.tool_ended(ToolRecord(tool=tool, duration_s=0.1, error=error, is_cancelled=name == "left"))
    observer.run_ended(RunRecord(run=run, reason="completed", rounds=1, tool_calls=3, usage=USAGE, duration_s=2.0))
    assert observer.open_spans == 0
    spans = {span.name: span for span in collected.spans}
    agent = spans.pop("invoke_agent")
    assert not strays(dict(agent.attributes or {}))
    assert set(spans) == {"chat m", "execute_tool good", "execute_tool bad", "execute_tool left"}
    for span in spans.values():
        assert span.parent is not None
        assert agent.context is not None
        assert span.parent.span_id == agent.context.span_id
        assert not strays(dict(span.attributes or {}))
    assert spans["execute_tool bad"].status.status_code is StatusCode.ERROR
    assert spans["execute_tool left"].status.status_code is StatusCode.UNSET
    assert collected.points("gen_ai.invoke_agent.duration")[0][1] == (1, 2.0)
    assert sum(count for _, (count, _) in collected.points("gen_ai.execute_tool.duration")) == 3


def test_relays_and_sessions_are_measured(collected: Collected) -> None:
    """How long, and how much of that the client took."""
    collected.observer.relay_ended(
        RelayRecord(call_id="c1", reason="slow", frames=3, bytes=9, duration_s=4.0, sending_s=3.0)
    )
    collected.observer.session_ended(SessionRecord(call_id=None, outcome="done", duration_s=1.0))
    assert collected.points("opeai.relay.sending") == [({"opeai.relay.reason": "slow"}, (1, 3.0))]
    assert collected.points("opeai.session.duration") == [({"opeai.session.outcome": "done"}, (1, 1.0))]


def test_what_ends_without_a_beginning_is_not_told(collected: Collected) -> None:
    """An observer that was added later does not invent spans."""
    tool = ToolStarted(run_id="r", number=1, tool_call_id="t", name="n")
    collected.observer.call_ended(record())
    collected.observer.attempt_ended(AttemptEnded(call=call(), attempt=AttemptRecord(number=1)))
    collected.observer.tool_ended(ToolRecord(tool=tool, duration_s=1))
    collected.observer.run_ended(RunRecord(run=RunStarted(run_id="r", model="m"), reason="completed"))
    assert collected.spans == ()


# Content


@pytest.mark.parametrize(
    ("capture", "on_span", "in_event"),
    [
        ("no_content", False, False),
        ("span_only", True, False),
        ("event_only", False, True),
        ("span_and_event", True, True),
    ],
)
def test_content_is_where_it_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, capture: str, on_span: bool, in_event: bool
) -> None:
    """And nowhere else."""
    monkeypatch.setenv(CAPTURE, capture.upper())
    events: list[Any] = []
    made = Collected()
    monkeypatch.setattr(made.observer, "_logger", Keeper(events))
    asked = call(prompt=PROMPT) if made.observer.wants_content else call()
    made.observer.call_started(asked)
    made.observer.call_ended(record(asked, completion=ANSWER if made.observer.wants_content else None))
    shown = str(made.attributes)
    assert made.observer.wants_content is (on_span or in_event)
    assert all((text in shown) is on_span for text in ("the question", "the answer", "the_tool"))
    assert [event.event_name for event in events] == ["gen_ai.client.inference.operation.details"] * in_event
    for event in events:
        assert event.attributes["gen_ai.output.messages"][0]["parts"] == [{"type": "text", "content": "the answer"}]
        assert event.attributes["gen_ai.input.messages"][0]["role"] == "user"
        assert event.severity_number.value == 5
    made.close()


class Keeper:
    """A logger of OpenTelemetry's that keeps what it is given."""

    def __init__(self, events: list[Any]) -> None:
        self._events = events

    def emit(self, event: Any) -> None:
        """Keep it."""
        self._events.append(event)


def test_an_exception_is_an_event_without_its_text(monkeypatch: pytest.MonkeyPatch, collected: Collected) -> None:
    """Its type only: the text may quote the server."""
    events: list[Any] = []
    monkeypatch.setattr(collected.observer, "_logger", Keeper(events))
    collected.observer.call_started(call())
    collected.observer.call_ended(record(outcome="failed", error="RateLimitError"))
    (event,) = events
    assert event.event_name == "gen_ai.client.operation.exception"
    assert event.attributes == {"exception.type": "RateLimitError"}


def test_an_unknown_word_for_capturing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guessing would either leak or lose."""
    monkeypatch.setenv(CAPTURE, "sometimes")
    with pytest.raises(ConfigurationError, match="CAPTURE_MESSAGE_CONTENT is 'sometimes'"):
        OpenTelemetryObserver()
    with pytest.raises(ConfigurationError, match="capture is 'all'"):
        OpenTelemetryObserver(capture="all")  # type: ignore[arg-type]
