"""The picture shows the ratios of the report, and nothing is measured where it cannot be drawn."""

import sys
from collections.abc import Sequence

import pytest

from benchmarks.__main__ import main
from benchmarks.lab.report import Answered, Figure, Report, Row
from benchmarks.picture import MEASURES, ON_UVLOOP, OURS, draw, panels


def report(*questions: str, group: str = "", loops: Sequence[str] = ("asyncio",)) -> Report:
    def row(name: str, ratio: float) -> Row:
        return Row(name=name, group=group, values={"CPU": ratio}, least=ratio, ratios={"CPU": {"limit": ratio}})

    rows = [row("limit", 1.0), row("opeai_async, chunks", 0.9), row("opeai_async, batches()", 0.8), row("openai", 44.0)]
    figures = (Figure(name="CPU", unit="us/chunk", compared=True),)
    asked = [
        Answered(
            name=name,
            title="t",
            loop=loop,
            rounds=5,
            bases=("limit",),
            figures=figures,
            rows=rows if loop == loops[0] else [row("limit", 1.0), row("opeai_async, chunks", 1.1)],
            verdicts=[],
            notes=[],
        )
        for name in questions
        for loop in loops
    ]
    return Report(machine="Python 3 on a machine, aiohttp 3", date="2026-01-31", questions=asked)


def test_a_panel_holds_ours_and_the_peers():
    """Of our own ways the first, which is what people write; no floor and no limit, which is the line."""
    (panel,) = panels(report("burst", "construct"))
    assert panel == (MEASURES[0], {OURS: 0.9, "openai": 44.0})


def test_a_panel_holds_ours_on_each_loop():
    """Each against the limit on its own; peers are measured on the first."""
    (panel,) = panels(report("burst", loops=("asyncio", "uvloop")))
    assert panel == (MEASURES[0], {OURS: 0.9, ON_UVLOOP: 1.1, "openai": 44.0})
    (panel,) = panels(report("burst", loops=("uvloop",)))
    assert panel == (MEASURES[0], {ON_UVLOOP: 0.9, "openai": 44.0})


def test_a_measure_of_another_group_is_no_panel():
    """The picture of 500 streams does not show 100."""
    assert panels(report("paced", group="100 streams")) == []
    assert len(panels(report("paced", group="500 streams"))) == 1


@pytest.mark.parametrize(("suffix", "begins"), [(".svg", b"<?xml"), (".png", b"\x89PNG")])
def test_it_is_drawn_as_its_suffix_says(suffix, begins, tmp_path):
    """The same report gives the same SVG, so that a file under version control changes with its figures only."""
    pytest.importorskip("matplotlib", reason="dependency group bench, not needed by any other test")
    first, second = tmp_path / f"one{suffix}", tmp_path / f"two{suffix}"
    for path in (first, second):
        draw(report("burst", "frames", "accumulate", "tools", loops=("asyncio", "uvloop")), path)
    assert first.read_bytes().startswith(begins)
    assert first.read_bytes() == second.read_bytes()


def test_it_is_drawn_from_a_saved_report(tmp_path, capsys):
    """Without measuring again."""
    pytest.importorskip("matplotlib", reason="dependency group bench, not needed by any other test")
    saved, path = tmp_path / "saved.json", tmp_path / "ratios.svg"
    saved.write_text(report("burst").as_json())
    main(["--from", str(saved), "--picture", str(path)])
    assert path.stat().st_size > 10_000
    assert "burst" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "questions", "told"), [("a.gif", ["burst"], ".svg"), ("a.svg", ["sse"], "burst")])
def test_what_cannot_be_drawn_is_refused(name, questions, told, tmp_path):
    """With what can be."""
    pytest.importorskip("matplotlib", reason="dependency group bench, not needed by any other test")
    with pytest.raises(SystemExit, match=told):
        draw(report(*questions), tmp_path / name)


def test_without_matplotlib_nothing_is_measured(monkeypatch, tmp_path):
    """The hint comes before the hour of measuring."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SystemExit, match="dependency group bench"):
        main(["--picture", str(tmp_path / "a.svg")])
