"""How every question is measured.

Server and client are two processes, and what counts is the CPU time (user and system) of the client process; wall time
stands beside it. The contenders of a question take turns, each round in another order, so that a machine that slows
down or warms up does so for all of them. A ratio is taken within each round, and the median of the rounds is shown:
on a noisy machine ratios hold where microseconds do not.

*floor* is aiohttp reading the body and throwing it away. *limit* is a bare loop over aiohttp's ``iter_any()``, split
at blank lines and decoded into the same public Structs by one msgspec decoder: no errors, retries, timeouts or CRLF.
Each event loop has a floor and a limit of its own. Two loops take turns, a round each, in one process: a ratio between
loops holds as a ratio within one does. Peers run on the first loop only.
The peers are other SDKs, and a hand-written loop; what is too slow for the whole work is given less of it, or fewer
rounds, and costs are per unit.
"""

import asyncio
import gc
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from benchmarks.lab import loops
from benchmarks.lab.lab import CPU, WALL, Contender, Lab, Question, open_lab
from benchmarks.lab.report import Answered, Figure, Row, Verdict

MIN_REPEATS = 5
SETTLE_S = 0.02
PEER_LIMIT_S = 120


def ask(
    question: Question,
    repeats: int,
    *,
    on: Sequence[str] = (loops.ASYNCIO,),
    share: float = 1.0,
    peers: frozenset[str] | None = None,
) -> list[Answered]:
    """Measure all contenders of *question* on each of the loops, which take turns.

    Args:
        repeats: There are so many times the question's turns of rounds, after one that does not count.
        on: Names of event loops; only the first is taken where the question needs none.
        share: Of the work that is done; 1 is all of it.
        peers: Names of those that take part, on the first loop; None for all that are installed.
    """
    rounds = repeats * question.turns
    with ExitStack() as ending:
        benches = [
            ending.enter_context(Bench(question, loop, share, frozenset() if number else peers))
            for number, loop in enumerate(on if question.needs_loop else on[:1])
        ]
        for number in range(rounds + 1):
            for bench in benches:
                bench.do_round(number)
        return [bench.answered(rounds) for bench in benches]


class Bench:
    """The contenders of a question on one event loop, which runs only while a round is done."""

    def __init__(self, question: Question, loop: str, share: float, peers: frozenset[str] | None) -> None:
        self._question = question
        self._loop = loop
        self._opening = open_lab(share, peers, loop)
        self._runner = loops.runner(loop)

    def __enter__(self) -> Self:
        with ExitStack() as undoing:
            undoing.enter_context(self._runner)
            self._lab = self._runner.run(self._opening.__aenter__())
            undoing.push(self._close_lab)
            self._costs = [Costs(contender) for contender in self._runner.run(_contenders(self._question, self._lab))]
            self._undoing = undoing.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._undoing.close()

    def _close_lab(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._runner.run(self._opening.__aexit__(None, None, None))

    def do_round(self, number: int) -> None:
        """Run each contender once, beginning with another one each time; number 0 does not count."""
        self._runner.run(self._round(number))

    async def _round(self, number: int) -> None:
        turn = number % max(len(self._costs), 1)  # a question may have nobody to ask: what it measures is not installed
        for cost in self._costs[turn:] + self._costs[:turn]:
            if cost.contender.takes_part_in(number) and not await _run(cost, number, self._lab):
                self._costs.remove(cost)

    def answered(self, rounds: int) -> Answered:
        """What so many rounds have told."""
        question, figures = self._question, self._question.figures
        return Answered(
            name=question.name,
            title=question.title,
            loop=self._loop if question.needs_loop else "",
            rounds=rounds,
            bases=question.bases,
            figures=figures,
            rows=[_row(cost, self._costs, question.bases, figures) for cost in self._costs],
            verdicts=_verdicts(question, self._costs),
            notes=self._lab.notes + question.notes(),
        )


async def _contenders(question: Question, lab: Lab) -> Sequence[Contender]:
    return await question.contenders(lab)


class Costs:
    """What one contender cost: the figures of each round that counted, by the number of the round."""

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        self.rounds: dict[int, Mapping[str, float]] = {}

    def all_of(self, figure: str) -> list[float]:
        """That figure in each round."""
        return [values[figure] for values in self.rounds.values() if figure in values]

    def ratio_to(self, base: "Costs", figure: str) -> float | None:
        """The median of the ratios within the rounds that both took part in; None where there is none."""
        ratios = [
            _ratio(values[figure], base.rounds[number][figure])
            for number, values in self.rounds.items()
            if figure in values and figure in base.rounds.get(number, ())
        ]
        return statistics.median(ratios) if ratios else None


async def _run(cost: Costs, number: int, lab: Lab) -> bool:
    """Run a contender once, and remember a round that counts. False if a peer failed: its answer is a note."""
    contender = cost.contender
    try:
        if not contender.is_peer:
            values = await _measured(contender)
        else:
            async with asyncio.timeout(PEER_LIMIT_S):
                values = await _measured(contender)
    except Exception as error:
        if not contender.is_peer:
            raise
        late = (
            f"not done after {PEER_LIMIT_S} s"
            if isinstance(error, TimeoutError)
            else " ".join(str(error).split())[:120]
        )
        lab.note(f"{contender.label}: failed: {type(error).__name__}: {late}")
        return False
    if number:
        cost.rounds[number] = values
    return True


async def _measured(contender: Contender) -> dict[str, float]:
    """The figures of one run, begun with an empty collector and an idle loop."""
    await asyncio.sleep(SETTLE_S)  # what a peer left to do in the background is not the next one's burden
    gc.collect()
    gc.freeze()  # what others left alive is nobody's burden
    try:
        cpu, wall = time.process_time(), time.perf_counter()
        told = await contender.run()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    finally:
        gc.unfreeze()
    return {CPU: cpu / contender.units * 1e6, WALL: wall / contender.units * 1e6, **(told or {})}


def _row(cost: Costs, costs: Sequence[Costs], bases: Sequence[str], figures: Sequence[Figure]) -> Row:
    contender = cost.contender
    rivals = {other.contender.name: other for other in costs if other.contender.group == contender.group}
    ratios: dict[str, dict[str, float]] = {}
    for figure in figures:
        found = {base: cost.ratio_to(rivals[base], figure.name) for base in bases if base in rivals}
        ratios[figure.name] = {base: ratio for base, ratio in found.items() if ratio is not None}
    known = {figure.name: cost.all_of(figure.name) for figure in figures}
    return Row(
        name=contender.name,
        group=contender.group,
        values={name: statistics.median(values) for name, values in known.items() if values},
        least=min(known[figures[0].name]),
        ratios=ratios,
    )


def _verdicts(question: Question, costs: Sequence[Costs]) -> list[Verdict]:
    by_label = {cost.contender.label: cost for cost in costs}
    verdicts: list[Verdict] = []
    for target in question.targets:
        figure = next(f for f in question.figures if f.name == (target.figure or question.figures[0].name))
        subject = f"{target.of}, {figure.name}" if target.figure else target.of
        if target.to:
            found = by_label[target.of].ratio_to(by_label[target.to], figure.name)
            claim = f"{subject} / {target.to}"
        else:
            found, claim = statistics.median(by_label[target.of].all_of(figure.name)), f"{subject} in {figure.unit}"
        assert found is not None, f"{claim} was not measured"
        verdicts.append(Verdict(claim=claim, at_most=target.at_most, found=found))
    return verdicts


def _ratio(cost: float, base: float) -> float:
    return cost / base if base > 0 else float("nan")
