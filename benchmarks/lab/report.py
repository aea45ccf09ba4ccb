"""What a run found: plain data that people read as tables, programs as JSON, and the picture is drawn from."""

from collections.abc import Sequence
from pathlib import Path

import msgspec


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of number that is known of each contender.

    Attributes:
        name: Such as ``CPU``.
        unit: What it is in, such as ``us/chunk``.
        compared: Whether its ratios are shown; those of a question's first figure always are.
    """

    name: str
    unit: str
    compared: bool = False


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What one contender cost; medians over the rounds it took part in.

    Attributes:
        name: Who it is.
        group: Within which contenders are compared, where a question has several, such as sizes.
        values: By the name of the figure; a figure that the contender does not know is missing.
        least: The first figure in the best round.
        ratios: By the name of the figure, then by the name of the base.
    """

    name: str
    group: str
    values: dict[str, float]
    least: float
    ratios: dict[str, dict[str, float]]

    @property
    def label(self) -> str:
        """Its name in the whole table."""
        return label(self.group, self.name)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A target, and what was found.

    Attributes:
        claim: What was measured against what.
        at_most: What was promised.
        found: What it is.
    """

    claim: str
    at_most: float
    found: float

    @property
    def is_met(self) -> bool:
        """Whether the promise is kept. Rounded as it is shown: no table says ``1.50 missed <= 1.50``."""
        return round(self.found, 2) <= self.at_most

    def __str__(self) -> str:
        return f"target: {self.claim} <= {self.at_most:.2f} {'met' if self.is_met else 'MISSED'} ({self.found:.2f})"


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """A question with its figures, on one event loop.

    Attributes:
        loop: The name of that; empty where the question needs none.
    """

    name: str
    title: str
    loop: str = "asyncio"
    rounds: int
    bases: tuple[str, ...]
    figures: tuple[Figure, ...]
    rows: list[Row]
    verdicts: list[Verdict]
    notes: list[str]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run: where and when it was, and what it found."""

    machine: str
    date: str
    questions: list[Answered]

    def as_json(self) -> str:
        """The figures for programs."""
        return msgspec.json.format(msgspec.json.encode(self)).decode()


def load(paths: Sequence[Path]) -> Report:
    """The report that was saved from ``--json``, or several as one: of two answers on one loop the later file's.

    Raises:
        msgspec.ValidationError: If a file holds something else.
    """
    reports = [msgspec.json.decode(path.read_bytes(), type=Report) for path in paths]
    questions = {(answered.name, answered.loop): answered for report in reports for answered in report.questions}
    return Report(machine=reports[-1].machine, date=reports[-1].date, questions=list(questions.values()))


def label(group: str, name: str) -> str:
    """How a contender of a group is called in the whole table."""
    return f"{group}, {name}" if group else name


def table(answered: Answered) -> str:
    """The figures for people, one contender per line; beneath them the targets and notes."""
    heads, lines = _heads(answered), [_cells(row, answered) for row in answered.rows]
    widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]
    drawn = ["  ".join(_aligned(line, widths)).rstrip() for line in [heads, *lines]]
    beneath = [f"  {line}" for line in [*map(str, answered.verdicts), *answered.notes]]
    where = f" on {answered.loop}" if answered.loop else ""
    return "\n".join([f"{answered.name}{where}: {answered.title} ({answered.rounds} rounds)", *drawn, *beneath, ""])


def _heads(answered: Answered) -> list[str]:
    first, *others = answered.figures
    named = [f"{figure.name} {figure.unit}" for figure in answered.figures]
    ratios = [f"/ {base}" for base in answered.bases]
    for figure in others:
        ratios += [f"{figure.name} / {base}" for base in answered.bases if figure.compared]
    return ["", named[0], f"least {first.name}", *named[1:], *ratios]


def _cells(row: Row, answered: Answered) -> list[str]:
    values = [_short(row.values.get(figure.name)) for figure in answered.figures]
    ratios: list[str] = []
    for number, figure in enumerate(answered.figures):
        if number == 0 or figure.compared:
            known = row.ratios.get(figure.name, {})
            ratios += [f"{known[base]:.2f}" if base in known else "" for base in answered.bases]
    return [row.label, values[0], _short(row.least), *values[1:], *ratios]


def _short(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"


def _aligned(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *others = zip(line, widths, strict=True)
    return [f"{first[0]:<{first[1]}}", *(f"{cell:>{width}}" for cell, width in others)]
