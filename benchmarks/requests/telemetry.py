"""What does it cost to be watched? A burst of 20,000 chunks and a request of 1 KB, with OpenTelemetry's SDK or not.

Spans and metrics are on, in memory. Beside ours is openai with OpenTelemetry's own instrumentation of it
(opentelemetry-instrumentation-genai-openai), where both are installed.

Found (two busy cores, CPython 3.11, SDK 1.45): a burst costs 0.99 to 1.07 of the same without, a request 2.3: 180 us.
That target is missed. Measured apart, making the attributes takes 8 us of ours; the SDK takes 10 us for a
span without attributes, 10 for its attributes, 20 for the event of the one try, 3 for `traceparent` and 5 for each
record of a histogram, of which a request makes one. Counters are observable ones, which took 50 us away: see
``telemetry/otel_metrics.py``. openai with its instrumentation: 1.33 to 1.38 of a burst, 30 us per chunk.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from benchmarks.lab.generators import KEY, MESSAGES, MODEL
from benchmarks.lab.lab import Contender, Lab, Question, Target, repeated
from opeai_async import AsyncOpeAI

CHUNKS = 20_000
PEERS_CHUNKS = 1_000
REQUESTS = 200
NEEDED = "opentelemetry-sdk is not installed: nothing to measure"


async def burst(client: AsyncOpeAI) -> None:
    """Read a stream to its end."""
    async with await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True) as stream:
        async for _ in stream:
            pass


async def request(client: AsyncOpeAI) -> None:
    """Await an answer."""
    await client.chat.completions.create(model=MODEL, messages=MESSAGES)


async def _contenders(lab: Lab) -> Sequence[Contender]:
    try:
        providers = _providers()
    except ImportError:
        lab.note(NEEDED)
        return []
    from opeai_async.telemetry import OpenTelemetryObserver

    observer = OpenTelemetryObserver(tracer_provider=providers["tracer_provider"], meter_provider=providers["meter"])
    chunks = lab.scaled(CHUNKS, least=10)
    found: list[Contender] = []
    for group, url, work, times in (
        ("burst", lab.base_url("burst", chunks), burst, 1),
        ("request", lab.base_url("whole", 1024), request, lab.scaled(REQUESTS)),
    ):
        for name, observers in (("without", []), ("observed", [observer])):
            client = await lab.client(url, observers=observers)
            found.append(repeated(name, partial(work, client), times, group=group))
    return [*found, *await _peers(lab, providers)]


def _providers() -> dict[str, Any]:
    """Return an SDK that keeps spans and metrics in memory."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
    return {"tracer_provider": tracers, "meter": MeterProvider(metric_readers=[InMemoryMetricReader()])}


async def _peers(lab: Lab, providers: dict[str, Any]) -> list[Contender]:
    """Return openai, and openai with the instrumentation of OpenTelemetry's own."""
    try:
        import openai
        from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
    except ImportError as exc:
        lab.note(f"openai with its instrumentation does not take part: {exc}")
        return []
    chunks = lab.scaled(PEERS_CHUNKS, least=10)
    client = openai.AsyncOpenAI(api_key=KEY, base_url=lab.base_url("burst", chunks), max_retries=0)
    await lab.closing.enter_async_context(client)

    @contextmanager
    def instrumented() -> Iterator[None]:
        instrumentor = OpenAIInstrumentor()
        instrumentor.instrument(tracer_provider=providers["tracer_provider"], meter_provider=providers["meter"])
        try:
            yield
        finally:
            instrumentor.uninstrument()

    async def read() -> None:
        stream = await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
        async for _ in stream:
            pass

    async def read_instrumented() -> None:
        with instrumented():
            await read()

    ways: tuple[tuple[str, Callable[[], Awaitable[None]]], ...] = (
        ("without", read),
        ("observed", read_instrumented),
    )
    return [repeated(name, work, 1, group=f"openai, burst of {chunks}", is_peer=True) for name, work in ways]


QUESTION = Question(
    name="telemetry",
    title="An answer that is watched by OpenTelemetry's SDK, spans and metrics in memory",
    unit="answer",
    bases=("without",),
    turns=3,
    contenders=_contenders,
    targets=(
        Target(of="burst, observed", to="burst, without", at_most=1.10),
        Target(of="request, observed", to="request, without", at_most=1.25),
    ),
)
