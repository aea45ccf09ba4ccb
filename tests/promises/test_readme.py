"""The README is true: its snippets run, one after the other, and its tables say what the code does."""

import inspect
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import opeai_async
from opeai_async import AsyncOpeAI, Outcome, Timeouts
from opeai_async._core.call.timeouts import Limits, resolve
from opeai_async.testing import FAULTS
from tests.support.snippets import run_all, snippets

README = Path(__file__).parents[2] / "README.md"
TEXT = README.read_text(encoding="utf-8")


async def test_snippets_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Every Python block runs as it stands against the embedded server; names of one are there in the next."""
    await run_all(README, monkeypatch)
    assert len(capsys.readouterr().out) > 100


def test_there_are_snippets() -> None:
    """The test above has something to run."""
    assert len(snippets(README)) >= 8


def test_the_readme_is_short() -> None:
    assert len(TEXT.splitlines()) < 300


def table_after(heading: str, first_column: str) -> list[list[str]]:
    """The cells of the first table below *heading* whose header begins with *first_column*."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = section.split(f"| {first_column}")[1].splitlines()[2:]
    rows = [line for line in lines if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_the_table_of_timeouts_is_true() -> None:
    """Each field with its defaults, streaming and not."""
    rows = table_after("Timeouts and retries", "`Timeouts` field")
    streaming, awaited = resolve(Timeouts(), stream=True), resolve(Timeouts(), stream=False)
    assert [row[0].strip("`") for row in rows] == list(Limits._fields)
    for name, default, _ in rows:
        field = name.strip("`")
        said = [math.inf if word == "none" else float(word) for word in re.findall(r"none|\d+", default)]
        assert said[0] == getattr(streaming, field), field
        assert said[-1] == getattr(awaited, field), field


def test_the_table_of_outcomes_is_true() -> None:
    rows = table_after("Stream it", "`stream.outcome`")
    assert [row[0].strip("`") for row in rows] == [outcome.value for outcome in Outcome]


def test_the_table_of_errors_names_every_error() -> None:
    """All that can be caught is in the table, but for the bases that stand above it."""
    named = set(re.findall(r"`(\w+Error)`", TEXT.split("\n## Catch errors\n")[1].split("\n## ")[0]))
    public = {name: getattr(opeai_async, name) for name in opeai_async.__all__}
    errors = {name for name, value in public.items() if isinstance(value, type) and issubclass(value, Exception)}
    errors = {name for name in errors if not issubclass(public[name], Warning)}
    assert named - errors == set()
    assert errors - named == set()


def parameters(function: Callable[..., Any]) -> set[str]:
    return set(inspect.signature(function).parameters) - {"self"}


def test_the_table_of_options_is_true() -> None:
    """Every option of the client but the one for tests."""
    rows = table_after("Configuration", "`AsyncOpeAI(...)`")
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    assert named == parameters(AsyncOpeAI) - {"transport", "unknown"}


def test_the_number_of_faults() -> None:
    """What is counted in the text is counted in the code."""
    assert f"`FAULTS` has {len(FAULTS)} faults" in TEXT
