"""``python -m benchmarks [names...] [--loop both] [--json] [--picture FILE]``; ``--help`` tells the rest."""

import argparse
import datetime
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks import picture
from benchmarks.crowds import memory, open_streams, paced
from benchmarks.lab import loops
from benchmarks.lab.lab import Question
from benchmarks.lab.measure import MIN_REPEATS, ask
from benchmarks.lab.peers import PEERS
from benchmarks.lab.report import Answered, Report, load, table
from benchmarks.reading import (
    accumulate,
    big_events,
    burst,
    decode,
    events,
    frames,
    length,
    partial_json,
    read_buffer,
    segments,
    sse,
)
from benchmarks.reading import tools as tool_calls
from benchmarks.relay import relay
from benchmarks.requests import bulk, construct, encode, first_chunk, frameworks, imports, request, short, telemetry

QUESTIONS: dict[str, Question] = {
    module.QUESTION.name: module.QUESTION
    for module in (
        burst,
        frames,
        segments,
        accumulate,
        tool_calls,
        events,
        length,
        big_events,
        request,
        short,
        bulk,
        first_chunk,
        paced,
        open_streams,
        memory,
        encode,
        imports,
        construct,
        relay,
        partial_json,
        sse,
        decode,
        read_buffer,
        telemetry,
        frameworks,
    )
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Ask the questions that were named, or all; print a table for each, or JSON, and draw what is asked for."""
    options = _options(arguments)
    if options.picture:
        picture.require_matplotlib()  # before an hour of measuring, not after it
    report = _saved(options) if options.saved else _measured(options)
    if options.json:
        print(report.as_json())
    if options.picture:
        picture.draw(report, options.picture)


def _measured(options: argparse.Namespace) -> Report:
    report = _begun(_machine(), datetime.datetime.now(datetime.UTC).date().isoformat(), options)
    for name in options.names or QUESTIONS:
        asked = ask(QUESTIONS[name], options.repeats, on=options.loop, share=options.share, peers=options.peers)
        for answered in asked:
            _take(report, answered, options)
    return report


def _saved(options: argparse.Namespace) -> Report:
    saved = load(options.saved)
    report = _begun(saved.machine, saved.date, options)
    for answered in saved.questions:
        if not options.names or answered.name in options.names:
            _take(report, answered, options)
    return report


def _begun(machine: str, date: str, options: argparse.Namespace) -> Report:
    if not options.json:
        print(f"{date}, {machine}; medians of interleaved rounds\n")
    return Report(machine=machine, date=date, questions=[])


def _take(report: Report, answered: Answered, options: argparse.Namespace) -> None:
    report.questions.append(answered)
    if not options.json:
        print(table(answered), flush=True)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="How fast it is.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"which questions: {', '.join(QUESTIONS)}")
    parser.add_argument("--repeats", type=int, default=MIN_REPEATS, help=f"fewer than {MIN_REPEATS} prove nothing")
    parser.add_argument("--peers", type=_peers, help=f"these only, or none: {', '.join(PEERS)}; default: the installed")
    parser.add_argument(
        "--loop",
        type=_loops,
        default=loops.installed(),
        help="asyncio, uvloop, or both in turns; default: the installed",
    )
    parser.add_argument("--share", type=float, default=1.0, help="of the work, for a quick look; 1 is all of it")
    parser.add_argument("--json", action="store_true", help="print JSON and no tables")
    parser.add_argument(
        "--from",
        dest="saved",
        type=Path,
        action="append",
        metavar="FILE.json",
        help="measure nothing, take what --json printed; several files are taken together",
    )
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the main ratios; .svg, .png or .pdf")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in QUESTIONS]:
        parser.error(f"no question is called {', '.join(unknown)}; there are {', '.join(QUESTIONS)}")
    if options.repeats < 1:
        parser.error(f"--repeats is {options.repeats}, expected 1 or more")
    if not 0 < options.share <= 1:
        parser.error(f"--share is {options.share}, expected more than 0 and at most 1")
    return options


def _loops(text: str) -> tuple[str, ...]:
    names = loops.LOOPS if text == "both" else (text,)
    if unknown := [name for name in names if name not in loops.LOOPS]:
        raise argparse.ArgumentTypeError(f"no loop is called {unknown[0]}; there are {', '.join(loops.LOOPS)}, both")
    if missing := [name for name in names if name not in loops.installed()]:
        raise argparse.ArgumentTypeError(f"{missing[0]} is not installed (dependency group bench)")
    return names


def _peers(text: str) -> frozenset[str]:
    names = frozenset() if text == "none" else frozenset(name.strip() for name in text.split(","))
    if unknown := sorted(names - PEERS.keys()):
        raise argparse.ArgumentTypeError(f"no peer is called {', '.join(unknown)}; there are {', '.join(PEERS)}")
    return names


def _machine() -> str:
    packages = [f"{name} {found}" for name in _PACKAGES if (found := _version(name))]
    return f"Python {platform.python_version()} on {sys.platform} {platform.machine()}, {', '.join(packages)}"


_PACKAGES = ("aiohttp", "msgspec", loops.UVLOOP, *sorted({peer.package for peer in PEERS.values()} - {"aiohttp"}))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
