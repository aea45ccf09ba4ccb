"""What a run found is the same in tables, in JSON, and after it was saved."""

import msgspec
import pytest

from benchmarks.__main__ import main
from benchmarks.lab.report import Answered, Figure, Report, Row, Verdict, load, table

CPU = Figure(name="CPU", unit="us/chunk", compared=True)
DELAY = Figure(name="p99 delay", unit="ms", compared=True)


def row(name: str, cpu: float, *, group: str = "") -> Row:
    return Row(name=name, group=group, values={"CPU": cpu}, least=cpu / 2, ratios={"CPU": {"limit": cpu / 2}})


def answered(name: str = "burst") -> Answered:
    return Answered(
        name=name,
        title="many chunks",
        rounds=5,
        bases=("limit",),
        figures=(CPU, DELAY),
        rows=[row("limit", 2.0), row("opeai_async, chunks", 1.5), row("openai", 1234.5)],
        verdicts=[Verdict(claim="opeai_async, chunks / limit", at_most=1.0, found=0.75)],
        notes=["groq: not installed"],
    )


def report() -> Report:
    return Report(machine="a machine, aiohttp 1", date="2026-01-31", questions=[answered(), answered("frames")])


def test_a_table_holds_everything():
    """Heads, figures, ratios, targets and notes; a figure that nobody knows is blank."""
    assert table(answered()).splitlines() == [
        "burst on asyncio: many chunks (5 rounds)",
        "                     CPU us/chunk  least CPU  p99 delay ms  / limit  p99 delay / limit",
        "limit                       2.000      1.000                   1.00",
        "opeai_async, chunks         1.500      0.750                   0.75",
        "openai                    1,234.5      617.2                 617.25",
        "  target: opeai_async, chunks / limit <= 1.00 met (0.75)",
        "  groq: not installed",
    ]


def test_a_question_that_needs_no_loop_names_none():
    """Its table and its JSON."""
    assert table(msgspec.structs.replace(answered(), loop="")).startswith("burst: many chunks")


def test_a_question_on_two_loops_is_two_answers(tmp_path):
    """Neither takes the other's place, in one file or in several."""
    paths = [tmp_path / "one.json", tmp_path / "two.json"]
    on_uvloop = msgspec.structs.replace(answered(), loop="uvloop")
    for path, asked in zip(paths, [answered(), on_uvloop], strict=True):
        path.write_text(Report(machine="m", date="2026-02-01", questions=[asked]).as_json())
    assert load(paths).questions == [answered(), on_uvloop]


def test_a_report_from_before_there_were_loops(tmp_path):
    """It was asyncio's."""
    path = tmp_path / "saved.json"
    path.write_text(report().as_json().replace('"loop": "asyncio",', ""))
    assert load([path]) == report()


@pytest.mark.parametrize(("found", "is_met"), [(1.0, True), (1.004, True), (1.006, False), (1.1, False)])
def test_a_target_is_judged_as_it_is_shown(found, is_met):
    """No line says that 1.00 is more than 1.00."""
    verdict = Verdict(claim="a / b", at_most=1.0, found=found)
    assert verdict.is_met is is_met
    assert ("MISSED" in str(verdict)) is not is_met


def test_a_saved_report_is_read_back(tmp_path):
    """A picture, or a table, can be made from it on another day."""
    path = tmp_path / "saved.json"
    path.write_text(report().as_json())
    assert load([path]) == report()


def test_a_question_that_was_asked_again(tmp_path):
    """The later file's answer counts, in the place of the earlier one's."""
    again = msgspec.structs.replace(answered("burst"), rounds=99)
    later = Report(machine="another machine", date="2026-02-01", questions=[again])
    paths = [tmp_path / "one.json", tmp_path / "two.json"]
    for path, saved in zip(paths, [report(), later], strict=True):
        path.write_text(saved.as_json())
    told = load(paths)
    assert told.date == "2026-02-01"
    assert [(asked.name, asked.rounds) for asked in told.questions] == [("burst", 99), ("frames", 5)]


def test_tables_from_a_saved_report(tmp_path, capsys):
    """``--from`` measures nothing, and shows the questions that are named."""
    path = tmp_path / "saved.json"
    path.write_text(report().as_json())
    main(["frames", "--from", str(path)])
    told = capsys.readouterr().out
    assert "2026-01-31, a machine" in told
    assert "frames on asyncio: many chunks" in told
    assert "burst" not in told
