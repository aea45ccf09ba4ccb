"""``bulk``: the requests of a file, as many at once as the server takes, and their answers in another.

The journal beside the output is what is true: on ``--resume`` the output is written anew from it, and then goes on. So
whatever ends this program, nothing that was finished is sent again, and the output is whole after the next run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import os
import sys
from collections.abc import AsyncIterator, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import anyio.to_thread
import msgspec

from opeai_async import AsyncOpeAI, RetryPolicy, Timeouts
from opeai_async._cli.terminal import (
    EXIT_FAILED,
    EXIT_OK,
    EXIT_USAGE,
    Terminal,
    show_error,
    standard_streams,
)
from opeai_async._core.call.encode import encode_request
from opeai_async.bulk.batch import LineError, LineReader, line_out
from opeai_async.bulk.drawing import drawn
from opeai_async.bulk.options import Price, per_million
from opeai_async.bulk.request import RequestReader
from opeai_async.bulk.result import BulkProgress
from opeai_async.errors import OpeAIError, RequestValidationError

EXIT_STOPPED = 3
"""A bound was hit, so that the rest was not run."""
MAX_REPORTED = 20
_BYTES_PER_TOKEN = 4


def run(options: argparse.Namespace) -> int:
    """Run the file as *options* say; returns the exit code."""
    _, aside = standard_streams()
    try:
        bulk = Bulk(options, aside)
        if options.dry_run:
            return bulk.check()
        return asyncio.run(bulk.run())
    except OpeAIError as error:
        show_error(aside, error)
        return EXIT_USAGE if isinstance(error, LineError) else EXIT_FAILED
    except OSError as exc:
        if isinstance(exc, BrokenPipeError):
            raise
        aside.line(f"error: {exc.filename or 'the output'}: {exc.strerror or exc}")
        return EXIT_FAILED


class Bulk:
    """One run of the command.

    Attributes:
        bad: How many lines could not be used.
    """

    def __init__(self, options: argparse.Namespace, aside: Terminal) -> None:
        self._options = options
        self._aside = aside
        self._reader = LineReader(options.prompt, options.system)
        self.bad = 0
        self._failed = 0

    # --- input -----------------------------------------------------------------------------------------------------

    def _on_bad(self, error: LineError) -> None:
        if self._options.strict:
            raise error
        self.bad += 1
        if self.bad <= MAX_REPORTED:
            self._aside.line(f"skipped: {error.message}")
        elif self.bad == MAX_REPORTED + 1:
            self._aside.line("skipped: more lines, which are counted only")

    def _requests(self, source: BinaryIO) -> Iterator[dict[str, Any]]:
        """Iterate over the requests of a file."""
        if (kind := self._kind()) == "jsonl":
            yield from self._asked(self._reader.lines(source, self._on_bad))
            return
        text = io.TextIOWrapper(source, encoding="utf-8-sig", errors="replace", newline="")
        try:
            yield from self._asked(self._reader.table(text, self._on_bad, delimiter="\t" if kind == "tsv" else ","))
        finally:
            text.detach()  # who opened the file closes it

    async def _piped(self) -> AsyncIterator[dict[str, Any]]:
        """Iterate over the requests of standard input, without blocking the loop while nothing comes."""
        number = 0
        while line := await anyio.to_thread.run_sync(sys.stdin.buffer.readline, abandon_on_cancel=True):
            number += 1
            for request in self._asked(self._reader.lines([line], self._on_bad, first=number)):
                yield request

    def _asked(self, requests: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Put the model of the command line in place of those of the lines."""
        model = self._options.model
        for request in requests:
            if model is not None:
                body = request.get("body")
                if isinstance(body, dict):
                    request["body"] = {**body, "model": model}
                else:
                    request["model"] = model
            yield request

    def _kind(self) -> str:
        if self._options.input_format:
            return str(self._options.input_format)
        suffix = Path(self._options.input).suffix.lower()
        return suffix[1:] if suffix in (".csv", ".tsv") else "jsonl"

    # --- checking --------------------------------------------------------------------------------------------------

    def check(self) -> int:
        """Read every line, send nothing, and say what there is."""
        reader = RequestReader(self._defaults(), has_keys=True)
        count = size = 0
        with self._source() as source:
            for index, item in enumerate(self._requests(source)):
                try:
                    job = reader.read(item, index)
                    params = {name: value for name, value in job.params.items() if name != "max_retries"}
                    size += len(encode_request({"model": "-", **params}, stream=False))
                except RequestValidationError as error:
                    self._on_bad(LineError(f"{item.get('custom_id')}: {error.message}"))
                else:
                    count += 1
        tokens = size // _BYTES_PER_TOKEN
        rows = [["requests", str(count)], ["bad lines", str(self.bad)], ["prompt tokens, about", str(tokens)]]
        self._aside.table(["Checked", ""], rows)
        return EXIT_FAILED if self.bad else EXIT_OK

    def _source(self) -> Any:
        if self._options.input == "-":
            return contextlib.nullcontext(sys.stdin.buffer)
        return open(self._options.input, "rb")

    def _defaults(self) -> dict[str, Any]:
        defaults: dict[str, Any] = {}
        for setting in self._options.set or ():
            name, _, value = setting.partition("=")
            try:
                defaults[name] = msgspec.json.decode(value)
            except msgspec.DecodeError:
                defaults[name] = value  # text needs no quotes
        return defaults

    # --- running ---------------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Run all, and say what it came to; returns the exit code."""
        options = self._options
        journal = self._journal()
        client = AsyncOpeAI(
            base_url=options.base_url,
            allow_insecure_http=options.allow_insecure_http,
            proxy=options.proxy,
            timeouts=Timeouts(total_s=options.timeout) if options.timeout else None,
            # A file has time: a server that is overloaded for minutes shall not fail the rest of it.
            retry=RetryPolicy(max_retries=options.max_retries, budget=None, max_wait_s=600),
        )
        with self._source() as source, self._sink() as sink:
            requests = self._piped() if options.input == "-" and self._kind() == "jsonl" else self._requests(source)
            results = client.chat.completions.map(requests, **self._bulk_options(journal))
            async with client, results:
                async for result in results:
                    if options.strict and isinstance(result.error, RequestValidationError):
                        raise LineError(f"{result.custom_id}: {result.error.message}", field=result.error.field)
                    sink.write(line_out(result))
                    if result.error is not None:
                        self._report(result.custom_id, result.error)
            sink.flush()
        self._summary(results.progress)
        if results.stopped is not None:
            return EXIT_STOPPED
        return EXIT_FAILED if results.progress.failed or self.bad else EXIT_OK

    def _journal(self) -> Path | None:
        options = self._options
        if options.journal is None and options.output == "-":
            return None
        path = Path(options.journal or f"{options.output}.journal")
        if path.exists() and path.stat().st_size and not options.resume:
            raise LineError(
                f"{path} is there already, from an earlier run",
                hint="--resume goes on with it; remove it to begin anew",
            )
        return path

    @contextlib.contextmanager
    def _sink(self) -> Generator[BinaryIO]:
        if self._options.output == "-":
            yield sys.stdout.buffer
            return
        with open(self._options.output, "wb") as sink:
            yield sink
            sink.flush()
            os.fsync(sink.fileno())

    def _bulk_options(self, journal: Path | None) -> dict[str, Any]:
        options = self._options
        return {
            "defaults": self._defaults(),
            "concurrency": options.concurrency,
            "ordered": options.ordered,
            "requests_per_minute": options.rpm,
            "tokens_per_minute": options.tpm,
            "max_total_tokens": options.max_total_tokens,
            "price": _price(options.price),
            "max_cost": options.max_cost,
            "deadline_s": options.deadline,
            "drain_s": options.drain,
            "journal": journal,
            "finished": "yield",
            "cache": options.cache,
            "max_retries": options.max_retries,
            "progress": None if options.quiet else drawn(sys.stderr),
        }

    def _report(self, custom_id: str, error: OpeAIError) -> None:
        self._failed += 1
        if self._failed <= MAX_REPORTED:
            self._aside.line(f"failed: {custom_id}: {error.message}")
        elif self._failed == MAX_REPORTED + 1:
            self._aside.line("failed: more requests, which are in the output")

    def _summary(self, progress: BulkProgress) -> None:
        if self._options.quiet:
            return
        rows = [["done", str(progress.done)]]
        rows += [[f"failed: {reason}", str(count)] for reason, count in sorted(progress.reasons.items())]
        rows += [["from the journal", str(progress.resumed)]] * bool(progress.resumed)
        rows += [["run again, changed", str(progress.changed)]] * bool(progress.changed)
        rows += [["bad lines", str(self.bad)]] * bool(self.bad)
        rows += [["retries", str(progress.retries)]]
        rows += [["tokens", f"{progress.prompt_tokens} + {progress.completion_tokens}"]]
        rows += [["cost", f"{progress.cost:.4f}"]] * bool(progress.cost)
        ended = progress.done + progress.failed
        rows += [["requests/s", f"{ended / progress.elapsed_s if progress.elapsed_s else 0:.1f}"]]
        if progress.p50_s is not None and progress.p99_s is not None:
            rows += [["p50 / p99", f"{progress.p50_s:.2f} s / {progress.p99_s:.2f} s"]]
        rows += [["stopped", progress.stopped or ""]] * bool(progress.stopped)
        self._aside.table(["Result", ""], rows)


def _price(prices: tuple[float, ...] | None) -> Price | None:
    """Return the price by what the command line has; None if it has none."""
    if prices is None:
        return None
    return per_million(prices[0], prices[1], cached=prices[2] if len(prices) == 3 else None)
