"""Every question can be asked: one small round of each contender, with the real server in its own process."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import QUESTIONS, main
from benchmarks.lab import loops
from benchmarks.lab.lab import open_lab

ROOT = Path(__file__).parents[2]
# The one that needs nothing installed.
PEERS = frozenset({"aiohttp + json"})
SHARE = 0.002


ASKED = [(name, loop) for name, question in QUESTIONS.items() for loop in loops.LOOPS[: 1 + question.needs_loop]]


@pytest.mark.parametrize(("name", "loop"), ASKED)
def test_each_contender_answers(name, loop):
    """It does its work, which it checks itself; figures, bases and targets are about what is there."""
    question = QUESTIONS[name]

    async def answers():
        async with open_lab(SHARE, PEERS, loop) as lab:
            contenders = await question.contenders(lab)
            for contender in contenders:
                told = await contender.run() or {}
                assert set(told) <= {figure.name for figure in question.figures}
                assert contender.units > 0
            return contenders

    if loop == loops.UVLOOP:
        pytest.importorskip("uvloop", reason="not on every platform")
    contenders = loops.run(loop, answers())
    labels = {contender.label for contender in contenders}
    assert set(question.bases) <= {contender.name for contender in contenders}
    for target in question.targets:
        assert {target.of, target.to} - {""} <= labels


def test_each_file_that_asks_is_in_the_command():
    """A question that nobody can ask is none."""
    files = [path for path in (ROOT / "benchmarks").rglob("*.py") if "\nQUESTION = " in path.read_text()]
    assert len(files) == len(QUESTIONS)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["no-such-question"], "burst"),
        (["--peers", "no-such-peer"], "aiohttp + json"),
        (["--loop", "no-such-loop"], "asyncio, uvloop, both"),
        (["--share", "2"], "at most 1"),
        (["--repeats", "0"], "1 or more"),
    ],
)
def test_a_bad_argument_is_refused(arguments, told, capsys):
    """With what there is."""
    with pytest.raises(SystemExit) as excinfo:
        main(arguments)
    assert excinfo.value.code == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("loop", ["uvloop", "both"])
def test_a_loop_that_is_not_installed_is_refused(loop, monkeypatch, capsys):
    """Where none is asked for, asyncio's own is measured alone."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert loops.installed() == (loops.ASYNCIO,)
    with pytest.raises(SystemExit):
        main(["--loop", loop])
    assert "uvloop is not installed (dependency group bench)" in capsys.readouterr().err


def test_the_command_answers():
    """``python -m benchmarks construct --json`` prints JSON and nothing else."""
    arguments = ["construct", "--repeats", "1", "--share", "0.01", "--peers", "none", "--json", "--loop", "asyncio"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}  # found in a safe-path environment too
    command = [sys.executable, "-m", "benchmarks", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert [asked["name"] for asked in told["questions"]] == ["construct"]
