"""The measuring itself: who wins is computed rightly, and a contender that does no work is found out."""

import asyncio
import socket

import pytest

from benchmarks.lab import loops
from benchmarks.lab.lab import Contender, Question, Target, open_lab
from benchmarks.lab.measure import ask
from benchmarks.lab.report import Figure, table
from benchmarks.lab.streaming import floor, iterate, limit, reading

CPU = Figure(name="CPU", unit="us/thing", compared=True)
DELAY = Figure(name="delay", unit="ms", compared=True)


def question_of(costs, *, groups=("", ""), figures=(CPU,), is_peer=False, rounds=None, targets=()) -> Question:
    """A question whose two contenders tell their figures themselves, one dict (or exception) per run."""

    def contender(name, group, values, **options) -> Contender:
        told = iter(values)

        async def run():
            value = next(told)
            if isinstance(value, Exception):
                raise value
            return value if isinstance(value, dict) else {"CPU": value}

        return Contender(name=name, run=run, units=10, group=group, **options)

    async def contenders(lab):
        other = contender("other", groups[1], costs[1], is_peer=is_peer, rounds=rounds)
        return [contender("base", groups[0], costs[0]), other]

    return Question(
        name="made",
        title="made up",
        unit="thing",
        bases=("base",),
        contenders=contenders,
        figures=figures,
        targets=targets,
    )


def test_medians_and_ratios_within_rounds():
    """The first round does not count; a ratio is the median of the rounds' ratios, not the ratio of the medians."""
    (answered,) = ask(question_of([[9e9, 1, 2, 4], [9e9, 2, 6, 4]]), 3)
    base, other = answered.rows
    assert (base.values["CPU"], base.least) == (2, 1)
    assert other.values["CPU"] == 4
    assert other.ratios == {"CPU": {"base": 2}}
    assert answered.rounds == 3


def test_ratios_stay_within_groups():
    """Where sizes are compared, each has its own base."""
    (answered,) = ask(question_of([[0, 1], [0, 2]], groups=("small", "large")), 1)
    assert [(row.label, row.ratios["CPU"]) for row in answered.rows] == [
        ("small, base", {"base": 1}),
        ("large, other", {}),
    ]


def test_a_figure_that_one_contender_does_not_know():
    """It is left out, and not taken for nothing."""
    costs = [[{"delay": 2}, {"delay": 2}], [{}, {}]]
    (answered,) = ask(question_of(costs, figures=(Figure(name="CPU", unit="s"), DELAY)), 1)
    base, other = answered.rows
    assert base.ratios["delay"] == {"base": 1}
    assert "delay" not in other.values
    assert other.ratios["delay"] == {}


def test_time_is_measured_where_nothing_is_told():
    """CPU and wall time, per unit."""

    async def run() -> None:
        return None

    async def contenders(lab):
        return [Contender(name="base", run=run, units=1)]

    asked = Question(name="made", title="", unit="thing", bases=(), contenders=contenders)
    (answered,) = ask(asked, 1)
    (row,) = answered.rows
    assert set(row.values) == {"CPU", "wall"}
    assert all(value >= 0 for value in row.values.values())


def loops_question(seen, *, needs_loop=True) -> Question:
    """A question whose contender notes in *seen* which event loop it runs on; it answers with one of them."""

    async def run():
        seen.append(type(asyncio.get_running_loop()).__module__.partition(".")[0])
        return {"CPU": len(seen)}

    async def contenders(lab):
        assert (lab.peers == frozenset()) is (lab.loop == loops.UVLOOP)
        return [Contender(name=name, run=run, units=1) for name in ("base", "other")]

    return Question(name="made", title="", unit="thing", bases=("base",), contenders=contenders, needs_loop=needs_loop)


def test_two_loops_take_turns():
    """A round each; a contender is compared to the one on its own loop. Peers are there on the first only."""
    pytest.importorskip("uvloop", reason="not on every platform")
    seen: list[str] = []
    answers = ask(loops_question(seen), 2, on=loops.LOOPS)
    assert seen == ["asyncio", "asyncio", "uvloop", "uvloop"] * 3
    assert [answered.loop for answered in answers] == ["asyncio", "uvloop"]
    assert [answered.rows[0].values["CPU"] for answered in answers] == [(6 + 9) / 2, (8 + 11) / 2]
    assert [answered.rows[1].ratios["CPU"]["base"] for answered in answers] == [
        (5 / 6 + 10 / 9) / 2,
        (7 / 8 + 12 / 11) / 2,
    ]


def test_what_needs_no_loop_is_asked_on_one():
    """A computation says the same on each."""
    seen: list[str] = []
    (answered,) = ask(loops_question(seen, needs_loop=False), 1, on=loops.LOOPS)
    assert seen == ["asyncio"] * 4
    assert answered.loop == ""


def test_a_laboratory_that_cannot_be_set_up_leaves_nothing():
    """Its server has ended when the error is told."""
    labs = []

    async def contenders(lab):
        labs.append(lab)
        raise ValueError("broken")

    asked = Question(name="made", title="", unit="thing", bases=(), contenders=contenders)
    with pytest.raises(ValueError, match="broken"):
        ask(asked, 1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", labs[0].port))


def test_a_slow_contender_takes_part_in_fewer_rounds():
    """Its ratio is that of the rounds it was in, and it has no round that does not count."""
    (answered,) = ask(question_of([[0, 1, 2, 4], [6]], rounds=1), 3)
    assert answered.rows[1].ratios["CPU"] == {"base": 6}


def test_a_question_without_contenders_has_an_answer_without_rows():
    """What it measures is not installed; the questions after it are asked all the same."""

    async def nobody(lab):
        return []

    asked = Question(name="made", title="made up", unit="thing", bases=("base",), contenders=nobody, targets=())
    (answered,) = ask(asked, 1)
    assert answered.rows == []
    assert answered.name in table(answered)


def test_a_peer_that_fails_is_a_note():
    """Its answer is told, and the others go on."""
    (answered,) = ask(question_of([[0, 1, 2], [0, ValueError("no such model")]], is_peer=True), 2)
    assert [row.name for row in answered.rows] == ["base"]
    assert answered.notes == ["other: failed: ValueError: no such model"]


def test_our_own_failure_ends_the_run():
    """No figure hides it."""
    with pytest.raises(ValueError, match="broken"):
        ask(question_of([[0, 1], [ValueError("broken")]]), 1)


def test_targets_are_judged():
    """By the ratio to another contender, or by the number itself; in the first figure or a named one."""
    targets = (
        Target(of="other", to="base", at_most=3),
        Target(of="other", to="base", at_most=2.5),
        Target(of="other", to="", at_most=6),
        Target(of="other", to="base", at_most=1, figure="delay"),
    )
    costs = [[{}, {"CPU": 2, "delay": 1}], [{}, {"CPU": 6, "delay": 5}]]
    (answered,) = ask(question_of(costs, figures=(CPU, DELAY), targets=targets), 1)
    assert [(str(verdict), verdict.is_met) for verdict in answered.verdicts] == [
        ("target: other / base <= 3.00 met (3.00)", True),
        ("target: other / base <= 2.50 MISSED (3.00)", False),
        ("target: other in us/thing <= 6.00 met (6.00)", True),
        ("target: other, delay / base <= 1.00 MISSED (5.00)", False),
    ]


async def test_every_contender_of_a_stream_reads_the_same_chunks():
    """Ours and the bare loop see each chunk of a real response, and the floor sees none."""
    async with open_lab() as lab:
        base_url = lab.base_url("burst", 10)
        session, client = await lab.session(), await lab.client(base_url)
        assert await limit(session, base_url) == 10
        assert await iterate(client) == 10
        assert await floor(session, base_url) is None


async def test_a_contender_that_loses_chunks_fails_the_run():
    """There is no figure for less work."""

    async def contenders(lab):
        found = list(await reading(lab, "burst", 10, characters=lambda _: 10**6))
        return [contender for contender in found if contender.is_peer]

    async with open_lab(peers=frozenset({"aiohttp + json"})) as lab:
        (by_hand,) = await contenders(lab)
        with pytest.raises(AssertionError, match="expected 1000000"):
            await by_hand.run()
