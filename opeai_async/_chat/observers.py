"""Observers by name: ``"otel"`` and ``"prometheus"``, which are imported only where somebody names them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import cast

from opeai_async.errors import ConfigurationError
from opeai_async.types.records import ObserverName, ObserversParam

_CLASSES = {"otel": "OpenTelemetryObserver", "prometheus": "PrometheusObserver"}


def observer_list(given: ObserversParam | object) -> list[object]:
    """Return *given* as a list of objects.

    Raises:
        ConfigurationError: If there is no such name, or what it needs is not installed.
    """
    if isinstance(given, str):
        return [_named(given)]
    if not isinstance(given, Iterable) or isinstance(given, (bytes, Mapping)):
        raise ConfigurationError(f"observers is of type {type(given).__name__}, expected a list", hint="[observer]")
    listed = list(cast("Iterable[object]", given))
    return [_named(observer) if isinstance(observer, str) else observer for observer in listed]


def is_named(observer: object, name: ObserverName) -> bool:
    """Tell whether *observer* is what *name* stands for, without importing it."""
    return any(kind.__name__ == _CLASSES[name] for kind in type(observer).__mro__)


@functools.cache  # one for the process: each makes its metrics anew
def _named(name: str) -> object:
    if name not in _CLASSES:
        raise ConfigurationError(f"observers has {name!r}, expected an observer, or {' or '.join(map(repr, _CLASSES))}")
    if name == "otel":
        from opeai_async.telemetry.otel import OpenTelemetryObserver

        return OpenTelemetryObserver()
    from opeai_async.telemetry.prometheus import PrometheusObserver

    return PrometheusObserver()
