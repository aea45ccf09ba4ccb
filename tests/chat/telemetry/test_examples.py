"""The example dashboard asks for what there is, and its script shows it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")

from prometheus_client import CollectorRegistry

from examples.observability import show_numbers
from opeai_async.telemetry import PrometheusObserver

FOLDER = Path(show_numbers.__file__).parent
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def names_and_labels() -> dict[str, set[str]]:
    """Return the labels of each sample that the observer makes, by the sample's name."""
    registry = CollectorRegistry()
    PrometheusObserver(registry)
    found: dict[str, set[str]] = {}
    for collector, names in registry._collector_to_names.items():
        labels: Any = collector
        for name in names:
            found[name] = set(labels._labelnames)
    return found


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_the_dashboard_asks_for_what_there_is(expression: str) -> None:
    """Each metric is one of ours, and each label is one of its labels."""
    known = names_and_labels()
    (name,) = re.findall(r"\bopeai_\w+", expression)
    assert name in known
    used = set(re.findall(r"(\w+)[!=]~?\"", expression))
    for grouped in re.findall(r"by \(([\w, ]+)\)", expression):
        used |= set(grouped.split(", ")) - {"le"}
    assert used <= known[name]


async def test_the_script_shows_the_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    """On the embedded server, without anything to set up."""
    await show_numbers.main(20, None)
    shown = capsys.readouterr().out
    assert re.search(r'opeai_calls_total\{.*outcome="complete"\} \d', shown)
    assert "opeai_wait_seconds_total" in shown
