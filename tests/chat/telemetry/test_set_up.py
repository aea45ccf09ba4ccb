"""How observers are switched on, what that needs, and that without them nothing is loaded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from opeai_async import AsyncOpeAI, ConfigurationError
from opeai_async.testing import OpeAIServer
from tests.support.telemetry.conventions import REQUIRED
from tests.support.telemetry.listener import Listener

HIDDEN = """
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("opentelemetry", "prometheus_client"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hide())
"""


def run(source: str, tmp_path: Path, **environ: str) -> str:
    """Return what a process of its own prints."""
    script = tmp_path / "script.py"
    script.write_text(source, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_not_asked_for_is_not_loaded(tmp_path: Path) -> None:
    """A call without observers imports neither OpenTelemetry, nor Prometheus, nor what speaks to them."""
    source = """
import asyncio, sys
from opeai_async.testing import OpeAIServer
async def main():
    async with OpeAIServer() as server, server.client() as client:
        await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
asyncio.run(main())
print([m for m in sys.modules if m.startswith(("opentelemetry", "prometheus", "opeai_async.telemetry"))])
"""
    assert run(source, tmp_path).strip() == "[]"


@pytest.mark.parametrize(("name", "extra"), [("otel", "otel"), ("prometheus", "prometheus")])
def test_what_is_not_installed_is_named(name: str, extra: str, tmp_path: Path) -> None:
    """With how to install it."""
    source = f"""{HIDDEN}
from opeai_async import AsyncOpeAI, ConfigurationError
try:
    AsyncOpeAI("key", observers={name!r})
except ConfigurationError as exc:
    print(exc, exc.hint)
"""
    assert f"pip install 'opeai_async[{extra}]'" in run(source, tmp_path)


def test_the_variable_switches_opentelemetry_on(tmp_path: Path) -> None:
    """Without a line of code, in the application's SDK."""
    pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")
    source = """
import asyncio
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opeai_async.testing import OpeAIServer
exporter = InMemorySpanExporter()
async def main():
    async with OpeAIServer() as server, server.client() as client:
        provider = TracerProvider()  # set up after the client
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
        print(server.requests[0].headers["traceparent"])
asyncio.run(main())
(span,) = exporter.get_finished_spans()
print(format(span.context.span_id, "016x"), *span.attributes)
"""
    header, told = run(source, tmp_path, OPEAI_OTEL="1").splitlines()
    span_id, *names = told.split()
    assert header.split("-")[2] == span_id
    assert set(names) >= REQUIRED


@pytest.mark.parametrize(("value", "is_on"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_values_of_the_variable(monkeypatch: pytest.MonkeyPatch, value: str, is_on: bool) -> None:
    """It is added once, beside what is given."""
    pytest.importorskip("opentelemetry", reason="opentelemetry-api is not installed")
    monkeypatch.setenv("OPEAI_OTEL", value)
    listener = Listener()
    for given in ([listener], [listener, "otel"]):
        observers = AsyncOpeAI("key", observers=given)._wiring.observers.listeners
        kinds = [type(observer).__name__ for observer in observers]
        assert kinds.count("OpenTelemetryObserver") == (1 if is_on or "otel" in given else 0)
        assert listener in observers


def test_another_value_of_the_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A typing mistake does not switch it off in silence."""
    monkeypatch.setenv("OPEAI_OTEL", "yes please")
    with pytest.raises(ConfigurationError, match="OPEAI_OTEL is 'yes please'"):
        AsyncOpeAI("key")


async def test_a_name_stands_for_one_observer() -> None:
    """Clients that ask for it by name share it, and so do calls."""
    pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")
    async with OpeAIServer() as server, server.client(observers="prometheus") as client:
        other = server.client(observers=["prometheus"])
        assert other._wiring.observers.listeners == client._wiring.observers.listeners
        await other.aclose()


def test_a_module_says_what_it_has() -> None:
    """And no more."""
    from opeai_async import telemetry

    with pytest.raises(AttributeError, match="no attribute 'Zipkin'"):
        _ = telemetry.Zipkin  # type: ignore[attr-defined]
