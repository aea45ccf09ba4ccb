"""``python -m benchmarks [names...] [--repeats 5] [--json]``."""

import argparse
import asyncio
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version

import msgspec

from benchmarks import accumulate, burst, construct, decode, encode, frames, imports, read_buffer, request, short, sse
from benchmarks import tools as tool_calls
from benchmarks.lab import MIN_REPEATS, Answered, Question, Row, ask

QUESTIONS: dict[str, Question] = {
    module.QUESTION.name: module.QUESTION
    for module in (
        burst,
        frames,
        accumulate,
        tool_calls,
        request,
        short,
        encode,
        sse,
        decode,
        read_buffer,
        imports,
        construct,
    )
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Ask the questions that were named, or all, and print a table for each."""
    options = _options(arguments)
    names = options.names or list(QUESTIONS)
    machine = _machine()
    if not options.json:
        print(f"{machine}; CPU of the client process, medians of interleaved rounds\n")
    answers: list[Answered] = []
    for name in names:
        answered = asyncio.run(ask(QUESTIONS[name], options.repeats))
        answers.append(answered)
        if not options.json:
            print(table(answered), flush=True)
    if options.json:
        print(as_json(machine, answers))


def table(answered: Answered) -> str:
    """The figures for people, one contender per line."""
    question = answered.question
    bases = [base for base in question.bases if base in answered.rows[0].ratios]
    heads = ["", f"us/{question.unit}", "least", "wall", *(f"/ {base}" for base in bases)]
    lines = [heads, *(_cells(row, bases) for row in answered.rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    drawn = ["  ".join(_aligned(line, widths)).rstrip() for line in lines]
    notes = [f"  {note}" for note in answered.notes]
    return "\n".join([f"{question.name}: {question.title} ({answered.rounds} rounds)", *drawn, *notes, ""])


def as_json(machine: str, answers: Sequence[Answered]) -> str:
    """The figures for programs."""
    questions = [
        {
            "name": answered.question.name,
            "title": answered.question.title,
            "unit": answered.question.unit,
            "rounds": answered.rounds,
            "contenders": [msgspec.to_builtins(row) for row in answered.rows],
            "notes": answered.notes,
        }
        for answered in answers
    ]
    return msgspec.json.format(msgspec.json.encode({"machine": machine, "questions": questions})).decode()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="How fast it is.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"which questions: {', '.join(QUESTIONS)}")
    parser.add_argument("--repeats", type=int, default=MIN_REPEATS, help=f"fewer than {MIN_REPEATS} prove nothing")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in QUESTIONS]:
        parser.error(f"no question is called {', '.join(unknown)}; there are {', '.join(QUESTIONS)}")
    if options.repeats < 1:
        parser.error(f"--repeats is {options.repeats}, expected 1 or more")
    return options


def _machine() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "msgspec"))
    return f"Python {platform.python_version()} on {sys.platform} {platform.machine()}, {packages}"


def _cells(row: Row, bases: Sequence[str]) -> list[str]:
    costs = (row.cpu_us, row.cpu_min_us, row.wall_us)
    return [row.name, *map(_microseconds, costs), *(f"{row.ratios[base]:.2f}" for base in bases)]


def _microseconds(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:,.1f}"


def _aligned(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *others = zip(line, widths, strict=True)
    return [f"{first[0]:<{first[1]}}", *(f"{cell:>{width}}" for cell, width in others)]


if __name__ == "__main__":
    main()
