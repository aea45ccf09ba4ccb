"""What users hold of a bulk run: an async iterator of its results."""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncIterable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import msgspec

from opeai_async._core.policy.checks import checked_mapping
from opeai_async._core.schema.output_format import OutputFormat
from opeai_async._io.observe.bulk import BulkWatch
from opeai_async._names.async_only import async_only
from opeai_async.bulk.drawing import drawn
from opeai_async.bulk.journal import Journal
from opeai_async.bulk.options import BulkOptions
from opeai_async.bulk.request import RequestReader
from opeai_async.bulk.result import BulkProgress, BulkResult, Stop
from opeai_async.bulk.run import Ask, Rebuild, Run
from opeai_async.errors import ClientClosedError, ConfigurationError

_NAMES = frozenset(BulkOptions.__struct_fields__)
_OF_A_TYPE = ("mode", "strict", "retries_on_invalid")


@async_only
class BulkResults:
    """The results of a bulk run: ``async for result in client.chat.completions.map(requests)``.

    The run begins with the first result that is asked for. Use it as a context manager where the loop may be left
    before its end: the requests that are open are ended there, after ``drain_s`` at most, and the journal is whole.
    Without that, the same happens soon after the iterator is dropped.

    Attributes:
        stopped: Why the rest was not run: ``"max_total_tokens"``, ``"max_cost"``, ``"deadline"``, ``"left"`` or
            ``"error"``; None if all was run, or still is.
    """

    def __init__(
        self,
        requests: Iterable[object] | AsyncIterable[object],
        ask: Ask,
        options: BulkOptions,
        output: OutputFormat[Any] | None = None,
        *,
        repair: bool = True,
        watch: BulkWatch | None = None,
    ) -> None:
        self._requests, self._ask, self._options = requests, ask, options
        self._output, self._repair, self._watch = output, repair, watch
        self._run: Run | None = None
        self._is_closed = False

    @property
    def stopped(self) -> Stop | None:
        """Why the rest was not run; None if all was run, or still is."""
        return None if self._run is None else self._run.stopped

    @property
    def progress(self) -> BulkProgress:
        """Where the run stands; after its end, what it came to."""
        return BulkProgress(total=self._options.total) if self._run is None else self._run.progress()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> BulkResult:
        run = self._run or self._start()
        result = await run.next_result()
        if result is None:
            self._is_closed = True
            raise StopAsyncIteration
        return result

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Begin nothing new, end what is open, after ``drain_s`` at most, and commit the journal; may be repeated.

        Raises:
            JournalError: If the journal cannot be written.
        """
        self._is_closed = True
        if self._run is not None:
            await self._run.aclose()

    def _start(self) -> Run:
        if self._is_closed:
            raise ClientClosedError("the bulk run was closed before it began")
        options = self._options
        if options.progress is True:
            options = msgspec.structs.replace(options, progress=drawn(sys.stderr))
        journal = None if options.journal is None else Journal(options.journal)
        try:
            run = self._run = Run(
                self._requests, self._ask, self._rebuild(), self._reader(), options, journal, self._watch
            )
        except BaseException:
            if journal is not None:
                journal.close()
            raise
        run.start()
        return run

    def _reader(self) -> RequestReader:
        options = self._options
        return RequestReader(
            options.defaults or {},
            salt=b"" if self._output is None else msgspec.json.encode(self._output.asked({"messages": []})),
            has_keys=options.journal is not None or options.cache,
            has_type=self._output is not None,
        )

    def _rebuild(self) -> Rebuild:
        output = self._output
        if output is None:
            return lambda completion: completion
        return lambda completion: output.parsed(completion, repair=self._repair)

    def __del__(self) -> None:
        run = getattr(self, "_run", None)
        if run is not None and not self._is_closed:
            run.abandon()

    def __repr__(self) -> str:
        if self._run is None:
            return "<BulkResults, not begun>"
        counts = self.progress
        return f"<BulkResults done={counts.done} failed={counts.failed} stopped={counts.stopped}>"


def bulk_results(
    create: Ask,
    parse: Ask,
    requests: Iterable[object] | AsyncIterable[object],
    options: Mapping[str, Any],
    *,
    dialect: str = "repair",
    watch: BulkWatch | None = None,
) -> BulkResults:
    """Return the results of running *requests*; nothing is begun yet.

    Args:
        create, parse: ``client.chat.completions.create`` and ``parse``.
        requests: The input.
        options: See ``BulkParams``; and ``response_format``, ``mode``, ``strict``, ``retries_on_invalid``.
        dialect: The client's.
        watch: Who tells what becomes of the run; None if nobody listens.

    Raises:
        ConfigurationError: If an option cannot be used.
        RequestValidationError: If the type cannot be asked for.
    """
    given = dict(options)
    asked_type = given.pop("response_format", None)
    how = {name: given.pop(name) for name in _OF_A_TYPE if name in given}
    if unknown := given.keys() - _NAMES:
        raise ConfigurationError(
            f"{min(unknown)} is no option of a bulk run; parameters of all requests go in defaults="
        )
    if asked_type is None or isinstance(asked_type, (Mapping, msgspec.Struct)):
        if how:
            raise ConfigurationError(f"{min(how)} is for a response_format that is a Python type")
        if asked_type is not None:
            defaults = checked_mapping("defaults", given.get("defaults") or {})
            given["defaults"] = {"response_format": asked_type, **defaults}
        return BulkResults(requests, create, BulkOptions(**given), watch=watch)
    output: OutputFormat[Any] = OutputFormat(
        asked_type, mode=how.get("mode", "json_schema"), strict=how.get("strict", True)
    )
    defaults = checked_mapping("defaults", given.get("defaults") or {})
    repair = defaults.get("dialect", dialect) == "repair"
    ask = functools.partial(parse, response_format=asked_type, **how)
    return BulkResults(requests, ask, BulkOptions(**given), output, repair=repair, watch=watch)
