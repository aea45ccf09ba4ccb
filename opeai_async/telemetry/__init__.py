"""What the client does, told to OpenTelemetry and to Prometheus. Each is an observer, and imported when it is used.

    client = AsyncOpeAI(observers="otel")                    # or OPEAI_OTEL=1 in the environment
    client = AsyncOpeAI(observers=[PrometheusObserver()])

``pip install 'opeai_async[otel]'`` brings ``opentelemetry-api`` only: the application chooses and sets up its SDK.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opeai_async.telemetry.otel import OpenTelemetryObserver
    from opeai_async.telemetry.prometheus import PrometheusObserver

__all__ = ["OpenTelemetryObserver", "PrometheusObserver"]


def __getattr__(name: str) -> Any:
    if name == "OpenTelemetryObserver":
        from opeai_async.telemetry.otel import OpenTelemetryObserver

        return OpenTelemetryObserver
    if name == "PrometheusObserver":
        from opeai_async.telemetry.prometheus import PrometheusObserver

        return PrometheusObserver
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
