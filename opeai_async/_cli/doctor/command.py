"""The command ``doctor``: examine an endpoint, and print the report as a table or as JSON.

The report is a tree of Structs, so that both forms show the same. The key is cut out of every text that a server may
have sent back, before it enters the report.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import Callable

import msgspec

from opeai_async import AsyncOpeAI
from opeai_async._cli.doctor.advice import settings
from opeai_async._cli.doctor.patient import Patient, Verdict
from opeai_async._cli.doctor.probes import PLAIN, STREAM, examine
from opeai_async._cli.doctor.quirks import explain
from opeai_async._cli.doctor.watch import WatchingTransport
from opeai_async._cli.terminal import EXIT_FAILED, EXIT_OK, EXIT_USAGE, Style, Terminal, show_error, standard_streams
from opeai_async._core.call.redact import redact
from opeai_async._core.call.settings import KEY_VARIABLE, parse_proxy
from opeai_async._core.call.timeouts import Timeouts
from opeai_async._io.net.transport import AiohttpTransport
from opeai_async._version import __version__
from opeai_async.errors import ConfigurationError

_STYLES: dict[Verdict, Style] = {"yes": "plain", "no": "dim", "odd": "bold", "failed": "red"}


class Check(msgspec.Struct, kw_only=True, frozen=True):
    """A probe with its verdict; *max_tokens* is the limit it had because answers without one did not end, or None."""

    probe: str
    verdict: Verdict
    seen: str
    max_tokens: int | None


class QuirkReport(msgspec.Struct, kw_only=True, frozen=True):
    """A quirk: its meaning, which servers have it, which probes met it, and if the client repairs it."""

    name: str
    what: str
    who: str
    is_repaired: bool
    probes: list[str]


class Advice(msgspec.Struct, kw_only=True, frozen=True):
    """An option to set, and the reason why."""

    set: str
    why: str


class ObstacleReport(msgspec.Struct, kw_only=True, frozen=True):
    """What stands between the doctor and the API, in a word or two, and what to do about it."""

    cause: str
    advice: str


class Report(msgspec.Struct, kw_only=True, frozen=True):
    """The whole examination, as ``--json`` prints it; *works* is true if plain and streamed answers work.

    With an *obstacle*, only the first question was asked.
    """

    version: str
    base_url: str
    model: str
    works: bool
    obstacle: ObstacleReport | None
    checks: list[Check]
    quirks: list[QuirkReport]
    settings: list[Advice]


def run(options: argparse.Namespace) -> int:
    """Examine the endpoint that *options* name, print the report, and return the exit code."""
    out, aside = standard_streams()
    key: str = options.api_key or os.environ.get(KEY_VARIABLE) or ""
    try:
        if not key:
            raise ConfigurationError(
                f"there is no API key: neither --api-key nor {KEY_VARIABLE} gives one",
                hint=f"export {KEY_VARIABLE}=..., or pass --api-key; any text will do for a server without keys",
            )
        patient = _patient(options)
    except ConfigurationError as exc:
        show_error(aside, exc)
        return EXIT_USAGE
    report = asyncio.run(_examine(patient, options, _progress(aside), lambda text: redact(text, key)))
    if options.json:
        # Not msgspec, whose JSON holds characters that the terminal's encoding may lack.
        out.line(json.dumps(msgspec.to_builtins(report), indent=2))
    else:
        _show(out, report)
    return EXIT_OK if report.works else EXIT_FAILED


def _patient(options: argparse.Namespace) -> Patient:
    place = {"base_url": options.base_url, "allow_insecure_http": options.allow_insecure_http}
    base_url = AsyncOpeAI(options.api_key, **place).base_url
    proxy = None if options.proxy is None else parse_proxy(options.proxy, base_url, os.environ)
    # The limit of a probe is the only clock, and every failure shall be seen.
    wire = WatchingTransport(AiohttpTransport(proxy=proxy))
    client = AsyncOpeAI(
        options.api_key,
        **place,
        timeouts=Timeouts(
            connect_s=options.timeout,
            response_headers_s=None,
            first_content_s=None,
            idle_bytes_s=None,
            idle_content_s=None,
            total_s=None,
        ),
        max_retries=0,
        on_truncated="return",
        transport=wire,
    )
    return Patient(client, options.model, wire)


async def _examine(
    patient: Patient,
    options: argparse.Namespace,
    progress: Callable[[str], None],
    # Servers quote the key in errors.
    without_key: Callable[[str], str],
) -> Report:
    # The client is closed before the report is made: it needs no connection any more.
    async with patient.client:
        findings = await examine(patient, options.timeout, progress)
    return Report(
        version=__version__,
        base_url=without_key(patient.client.base_url.partition("?")[0]),
        model=without_key(options.model),
        works=all(name in findings and findings[name].verdict in ("yes", "odd") for name in (PLAIN, STREAM)),
        obstacle=_obstacle(patient, without_key),
        checks=[
            Check(probe=name, verdict=found.verdict, seen=without_key(found.seen), max_tokens=found.max_tokens)
            for name, found in findings.items()
        ],
        quirks=[_quirk(name, probes) for name, probes in sorted(patient.quirks.items())],
        settings=[] if patient.obstacle else [Advice(set=one.set, why=one.why) for one in settings(patient.facts)],
    )


def _obstacle(patient: Patient, without_key: Callable[[str], str]) -> ObstacleReport | None:
    found = patient.obstacle
    return None if found is None else ObstacleReport(cause=found.cause, advice=without_key(found.advice))


def _quirk(name: str, probes: list[str]) -> QuirkReport:
    what, who, is_repaired = explain(name)
    return QuirkReport(name=name, what=what, who=who, is_repaired=is_repaired, probes=probes)


def _progress(aside: Terminal) -> Callable[[str], None]:
    """Return a function that prints which probe is running, or does nothing if the output is not a terminal."""
    return (lambda name: aside.line(f"asking: {name}", "dim")) if aside.is_styled else (lambda _: None)


# --- the table --------------------------------------------------------------------------------------------------------


def _show(out: Terminal, report: Report) -> None:
    out.line(f"{report.model} at {report.base_url}", "bold")
    out.line()
    _show_checks(out, report.checks)
    out.line()
    if report.obstacle is not None:
        out.line(f"stopped here, as nothing else would be answered: it is {report.obstacle.cause}", "bold")
        out.line(f"  {report.obstacle.advice}")
        return
    out.line("quirks", "bold")
    for quirk in report.quirks:
        repair = "repaired" if quirk.is_repaired else "not repaired"
        out.line(f"  {quirk.name} ({repair}): {quirk.what}. Sent by: {quirk.who}")
        out.line(f"    met by: {', '.join(quirk.probes)}", "dim")
    if not report.quirks:
        out.line("  no quirks" if report.works else "  none met")
    out.line()
    out.line("what to set", "bold")
    for advice in report.settings:
        out.line(f"  {advice.set}: {advice.why}")
    if not report.settings:
        out.line("  nothing: the defaults fit" if report.works else "  nothing that would help")


def _show_checks(out: Terminal, checks: list[Check]) -> None:
    """Print the table of probes."""
    # Three columns, all aligned to the left, because the last one is prose.
    width = max(len(check.probe) for check in checks)
    out.line(f"{'probe'.ljust(width)}  verdict  what was seen", "bold")
    for check in checks:
        out.write(f"{check.probe.ljust(width)}  ")
        out.write(check.verdict.ljust(len("verdict")), _STYLES[check.verdict])
        out.line(f"  {check.seen}")
