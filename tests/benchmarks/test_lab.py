"""The measuring itself: who wins is computed rightly, and a contender that does no work is found out."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import QUESTIONS, as_json, main, table
from benchmarks.generators import text_answer
from benchmarks.lab import Answered, Contender, Question, ask, open_lab
from benchmarks.server import in_frames, one_http_chunk_per_event, response_to
from benchmarks.streaming import floor, iterate, limit, reading

ROOT = Path(__file__).parents[2]


def question_of(costs, bases=("base",), groups=("", "")) -> Question:
    """A question whose two contenders report their costs themselves, one number per round."""

    def contender(name, group, seconds) -> Contender:
        told = iter(seconds)

        async def run() -> float:
            return next(told)

        return Contender(name=name, run=run, units=10, group=group)

    async def contenders(lab):
        return [contender("base", groups[0], costs[0]), contender("other", groups[1], costs[1])]

    return Question(name="made", title="made up", unit="thing", bases=bases, contenders=contenders)


async def test_medians_and_ratios_within_rounds():
    """The first round does not count; costs are per unit; a ratio is the median of the rounds' ratios."""
    made = question_of([[9e9, 10e-6, 20e-6, 40e-6], [9e9, 20e-6, 60e-6, 40e-6]])
    answered = await ask(made, 3)
    base, other = answered.rows
    assert base.cpu_us == pytest.approx(2.0)
    assert base.cpu_min_us == pytest.approx(1.0)
    assert other.cpu_us == pytest.approx(4.0)
    assert other.ratios == {"base": pytest.approx(2.0)}
    assert answered.rounds == 3


async def test_ratios_stay_within_groups():
    """Where sizes are compared, each has its own base."""
    answered = await ask(question_of([[0, 1], [0, 2]], groups=("small", "large")), 1)
    assert [(row.name, row.ratios) for row in answered.rows] == [("small, base", {"base": 1.0}), ("large, other", {})]


async def test_every_contender_of_a_stream_reads_the_same_chunks():
    """Ours and the bare loop see each chunk of a real response, and the floor sees none."""
    async with open_lab() as lab:
        session, client = await lab.session(), await lab.client("short")
        assert await limit(session, lab.base_url("short")) == 10
        assert await iterate(client) == 10
        assert await floor(session, lab.base_url("short")) is None


async def test_a_contender_that_loses_chunks_fails_the_run():
    """There is no figure for less work."""

    async def contenders(lab):
        return await reading(lab, "short", 11)

    asked = Question(name="made", title="made up", unit="chunk", bases=("limit",), contenders=contenders)
    with pytest.raises(AssertionError, match="is 10, expected 11"):
        await ask(asked, 1)


async def test_a_table_and_json_hold_every_contender():
    """People and programs read the same figures."""
    answered: Answered = await ask(question_of([[0, 1e-6], [0, 3e-6]]), 1)
    drawn = table(answered)
    assert "other" in drawn
    assert "3.00" in drawn
    told = json.loads(as_json("a machine", [answered]))
    rows = told["questions"][0]["contenders"]
    assert [(row["name"], row["ratios"]["base"]) for row in rows] == [("base", 1.0), ("other", pytest.approx(3.0))]


def test_an_unknown_name_is_refused(capsys):
    """With the names that there are."""
    with pytest.raises(SystemExit) as excinfo:
        main(["no-such-question"])
    assert excinfo.value.code == 2
    assert "burst" in capsys.readouterr().err


def test_the_command_answers():
    """``python -m benchmarks construct --json`` prints JSON and nothing else."""
    command = [sys.executable, "-m", "benchmarks", "construct", "--repeats", "1", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}  # found in a safe-path environment too
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert [asked["name"] for asked in told["questions"]] == ["construct"]


@pytest.mark.parametrize("frame", [one_http_chunk_per_event, in_frames])
def test_stream_responses_are_http(frame):
    """A head that announces chunks, and chunks up to the last one."""
    head, _, body = frame(text_answer(100)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert body.endswith(b"\r\n0\r\n\r\n")


def test_whole_responses_are_http():
    """A head that announces the length of the body."""
    head, _, body = response_to("whole").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Length: %d" % len(body) in head


def test_each_file_that_asks_is_in_the_command():
    """A question that nobody can ask is none."""
    files = [path for path in (ROOT / "benchmarks").glob("*.py") if "\nQUESTION = " in path.read_text()]
    assert len(files) == len(QUESTIONS)
