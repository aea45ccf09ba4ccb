"""The main measures of a report as one picture: how many times the limit's cost, for us and each peer.

A small panel per measure, all on one logarithmic axis. We have a bar per event loop, peers one. The limit is the line
at 1, that on the same loop: a bar that goes to the left of it
costs less than the bare loop, one that goes to the right costs more. All stands on a white card, so that it reads on
light and dark pages.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.lab.loops import ASYNCIO, LOOPS, UVLOOP
from benchmarks.lab.peers import PEERS
from benchmarks.lab.report import Answered, Report

OURS = "opeai_async"
ON_UVLOOP = "on uvloop"
OWN = {ASYNCIO: OURS, UVLOOP: ON_UVLOOP}
COLUMNS = 3
SUFFIXES = (".svg", ".png", ".pdf")

_INK, _MUTED, _FAINT, _CARD, _EDGE = "#1f2933", "#66727f", "#e4e8ec", "#ffffff", "#d5dbe1"
_PEER = "#a9b4c0"
_ACCENTS = {OURS: "#0b8f7a", ON_UVLOOP: "#5b6fd6"}
_TITLE_IN, _ROW_IN, _WIDTH_IN, _FOOT_IN = 1.05, 2.15, 11.5, 0.75


class Measure(msgspec.Struct, frozen=True):
    """One panel: the question, the group in it, and what people call it."""

    question: str
    group: str
    title: str


MEASURES = (
    Measure("burst", "", "Fast stream, per chunk"),
    Measure("frames", "", "The same in 16 KiB frames"),
    Measure("segments", "", "One event per TCP segment"),
    Measure("accumulate", "", "Whole message, per chunk"),
    Measure("big_events", "10 MB in 64 KiB", "One event of 10 MB"),
    Measure("request", "1 KB", "One request, 1 KB answer"),
    Measure("encode", "1,000 messages, sent", "A request of 1,000 messages"),
    Measure("short", "", "A stream of 10 chunks"),
    Measure("first_chunk", "", "Time to the first chunk"),
    Measure("paced", "500 streams", "500 streams, 20 ms a chunk"),
    Measure("open_streams", "", "5,000 streams (peers 1,000)"),
    Measure("memory", "", "Memory per open stream"),
)


def require_matplotlib() -> None:
    """Leave with a hint where nothing can be drawn.

    Raises:
        SystemExit: If matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise SystemExit("--picture needs matplotlib (dependency group bench): pip install matplotlib") from None


def panels(report: Report) -> list[tuple[Measure, dict[str, float]]]:
    """The measures that the report has, each with the ratio to the limit by name; ours are those of ``OWN``."""
    answers = {(answered.name, answered.loop): answered for answered in report.questions}
    found: list[tuple[Measure, dict[str, float]]] = []
    for measure in MEASURES:
        ratios: dict[str, float] = {}
        for loop in LOOPS:
            if (answered := answers.get((measure.question, loop))) is not None:
                ratios = _ratios(answered, measure) | ratios
        if ratios.keys() & OWN.values():
            found.append((measure, ratios))
    return found


def draw(report: Report, path: Path) -> None:
    """Draw *report* to *path*, as what its suffix says.

    Raises:
        SystemExit: If the suffix is none of ``SUFFIXES``, matplotlib is missing, or the report has no main measure.
    """
    require_matplotlib()
    if path.suffix not in SUFFIXES:
        raise SystemExit(f"--picture {path} ends in {path.suffix!r}, expected one of {', '.join(SUFFIXES)}")
    drawn = panels(report)
    if not drawn:
        raise SystemExit(f"nothing to draw: no question of {', '.join(m.question for m in MEASURES)} was asked")
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    rows = -(-len(drawn) // COLUMNS)
    height = _TITLE_IN + rows * _ROW_IN + _FOOT_IN
    # The salt keeps the names inside an SVG, and so the file, the same for the same figures.
    with rc_context({"svg.hashsalt": OURS, "font.family": "DejaVu Sans", "font.size": 9}):
        figure = Figure(figsize=(_WIDTH_IN, height), facecolor="none")
        _card(figure)
        _words(figure, report, height)
        axes = figure.subplots(rows, COLUMNS, squeeze=False).flat
        _place(figure, height)
        names = [name for name in (*OWN.values(), *PEERS) if any(name in ratios for _, ratios in drawn)]
        span = _span([ratio for _, ratios in drawn for ratio in ratios.values()])
        for number, axis in enumerate(axes):
            if number < len(drawn):
                _panel(axis, *drawn[number], names, span, is_first=number % COLUMNS == 0)
            else:
                axis.set_axis_off()
        figure.savefig(path, dpi=160, metadata={"Date": None} if path.suffix == ".svg" else None)


def _ratios(answered: Answered, measure: Measure) -> dict[str, float]:
    figure = answered.figures[0].name
    ratios: dict[str, float] = {}
    for row in answered.rows:
        if row.group != measure.group or "limit" not in row.ratios.get(figure, {}):
            continue
        # Of our own ways, the first in the table is what people write.
        is_ours = row.name.startswith(OURS)
        name = OWN[answered.loop] if is_ours else row.name
        if is_ours or name in PEERS:
            ratios.setdefault(name, row.ratios[figure]["limit"])
    return ratios


def _span(ratios: Sequence[float]) -> tuple[float, float]:
    return min(0.5, *ratios) / 1.3, max(10.0, *ratios) * 4.5


def _card(figure: Any) -> None:
    from matplotlib.patches import FancyBboxPatch

    width, height = figure.get_size_inches()
    style = f"round,pad=0,rounding_size={12 / 72 / width}"
    card = FancyBboxPatch(
        (0.004, 0.004),
        0.992,
        0.992,
        boxstyle=style,
        mutation_aspect=width / height,
        facecolor=_CARD,
        edgecolor=_EDGE,
        linewidth=1,
        transform=figure.transFigure,
        zorder=-1,
    )
    figure.add_artist(card)


def _words(figure: Any, report: Report, height: float) -> None:
    def write(inches_from_top: float, text: str, **options: Any) -> None:
        figure.text(0.035, 1 - inches_from_top / height, text, va="top", **options)

    write(0.28, "What a client costs, as a multiple of the bare loop", fontsize=16, fontweight="bold", color=_INK)
    told = "CPU time (first chunk: wall time; memory: RSS). The line at 1: aiohttp and msgspec, no promises, same loop."
    write(0.66, f"{told} Less is better; logarithmic axis.", fontsize=9.5, color=_MUTED)
    machine, _, packages = report.machine.partition(", ")
    write(
        height - 0.48,
        f"{machine}, {report.date}, medians of interleaved rounds: python -m benchmarks",
        fontsize=8,
        color=_MUTED,
    )
    write(height - 0.30, packages, fontsize=8, color=_MUTED)


def _place(figure: Any, height: float) -> None:
    figure.subplots_adjust(
        left=0.125, right=0.975, top=1 - (_TITLE_IN + 0.28) / height, bottom=_FOOT_IN / height, wspace=0.08, hspace=0.36
    )


def _panel(
    axis: Any,
    measure: Measure,
    ratios: dict[str, float],
    names: Sequence[str],
    span: tuple[float, float],
    *,
    is_first: bool,
) -> None:
    axis.set_title(measure.title, loc="left", fontsize=10, fontweight="bold", color=_INK, pad=5)
    axis.set_xscale("log")
    axis.set_xlim(*span)
    axis.set_ylim(len(names) - 0.4, -0.6)
    for place, name in enumerate(names):
        _bar(axis, place, ratios.get(name), _ACCENTS.get(name))
    axis.axvline(1, color=_INK, linewidth=0.9, zorder=3)
    for decade in (10, 100):
        axis.axvline(decade, color=_FAINT, linewidth=0.8, zorder=0)
    axis.set_yticks(range(len(names)), names if is_first else [""] * len(names))
    if is_first:
        for name, told in zip(names, axis.get_yticklabels(), strict=True):
            told.set(fontweight="bold" if name in _ACCENTS else "normal", color=_ACCENTS.get(name, _INK))
    axis.set_xticks([decade for decade in (0.1, 1, 10, 100) if span[0] <= decade <= span[1]])
    axis.xaxis.set_major_formatter("{x:g}\u00d7")
    axis.set_xticks([], minor=True)
    axis.tick_params(length=0)
    axis.tick_params(axis="x", labelsize=7.5, labelcolor=_MUTED, pad=1)
    axis.set_facecolor("none")
    for spine in axis.spines.values():
        spine.set_visible(False)


def _bar(axis: Any, place: int, ratio: float | None, accent: str | None) -> None:
    if ratio is None:
        axis.text(1.12, place, "no figure", va="center", fontsize=7.5, color=_PEER, style="italic")
        return
    axis.barh(place, ratio - 1, left=1, height=0.66, color=accent or _PEER, zorder=2)
    weight, ink = ("bold", accent) if accent else ("normal", _INK)
    text = f"{ratio:.2f}" if ratio < 10 else f"{ratio:,.0f}"
    axis.text(max(ratio, 1) * 1.12, place, text, va="center", fontsize=8.5, fontweight=weight, color=ink)
