"""W3C context: the span of a request that a service handles is the parent of its calls, and the trace goes on."""

from collections.abc import Iterator
from typing import Any

import pytest

from opeai_async.testing import OpeAIServer

pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")
pytest.importorskip(
    "opentelemetry.instrumentation.fastapi", reason="opentelemetry-instrumentation-fastapi is not installed"
)
pytest.importorskip("fastapi", reason="fastapi is not installed")

import aiohttp
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

from benchmarks.relay.services import uvicorn_running
from tests.support.telemetry.collected import Collected

BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
TRACE = "0af7651916cd43dd8448eb211c80319c"
INCOMING = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}


@pytest.fixture
def collected() -> Iterator[Collected]:
    """An SDK that keeps all."""
    made = Collected()
    yield made
    made.close()


@pytest.mark.parametrize("path", ["/whole", "/stream"])
async def test_a_request_s_span_is_the_parent(collected: Collected, path: str) -> None:
    """From the browser's `traceparent` over FastAPI's own instrumentation to the model's server."""
    app = FastAPI()
    async with OpeAIServer() as model, model.client(observers=[collected.observer]) as client:
        model.reply("one two three", token_delay_s=0.001)

        @app.get("/whole")
        async def whole() -> str:
            completion = await client.chat.completions.create(**BODY)
            return completion.choices[0].message.content or ""

        @app.get("/stream")
        async def stream() -> StreamingResponse:
            return StreamingResponse(client.chat.completions.stream(**BODY).text())

        FastAPIInstrumentor.instrument_app(app, tracer_provider=collected.tracers)
        async with uvicorn_running(app) as port, aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}{path}", headers=INCOMING) as response:
                assert "one two three" in await response.text()
    (chat,) = [span for span in collected.spans if span.name == "chat m"]
    servers = [span for span in collected.spans if span.kind.name == "SERVER"]
    assert chat.context is not None
    assert format(chat.context.trace_id, "032x") == TRACE
    assert chat.parent is not None
    assert chat.parent.span_id in [span.context.span_id for span in servers if span.context]
    _, trace_id, parent_id, _ = model.requests[0].headers["traceparent"].split("-")
    assert (trace_id, parent_id) == (TRACE, format(chat.context.span_id, "016x"))
