"""How every question is measured.

Server and client are two processes, and what counts is the CPU time (user and system) of the client process; wall time
stands beside it. The contenders of a question take turns, each round in another order, so that a machine that slows
down or warms up does so for all of them. A ratio is taken within each round, and the median of the rounds is shown:
on a noisy machine ratios hold where microseconds do not.

*floor* is aiohttp reading the body and throwing it away. *limit* is a bare loop over aiohttp's ``iter_any()``, split
at blank lines and decoded into the same public Structs by one msgspec decoder: no errors, retries, timeouts or CRLF.
The peers are other SDKs, and a hand-written loop; what is too slow for the whole work is given less of it, or fewer
rounds, and costs are per unit.
"""

import asyncio
import gc
import statistics
import time
from collections.abc import Mapping, Sequence

from benchmarks.lab import CPU, WALL, Contender, Lab, Question, open_lab
from benchmarks.report import Answered, Figure, Row, Verdict

MIN_REPEATS = 5
SETTLE_S = 0.02
PEER_LIMIT_S = 120


async def ask(question: Question, repeats: int, *, share: float = 1.0, peers: frozenset[str] | None = None) -> Answered:
    """Measure all contenders of *question*, in *repeats* times its turns, after one round that does not count."""
    rounds = repeats * question.turns
    async with open_lab(share, peers) as lab:
        costs = [Costs(contender) for contender in await question.contenders(lab)]
        for number in range(rounds + 1):
            turn = number % len(costs)
            for cost in costs[turn:] + costs[:turn]:
                if cost.contender.takes_part_in(number) and not await _run(cost, number, lab):
                    costs.remove(cost)
        figures = question.figures
        return Answered(
            name=question.name,
            title=question.title,
            rounds=rounds,
            bases=question.bases,
            figures=figures,
            rows=[_row(cost, costs, question.bases, figures) for cost in costs],
            verdicts=_verdicts(question, costs),
            notes=lab.notes + question.notes(),
        )


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
