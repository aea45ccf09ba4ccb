"""Batches of prompts in, batches of answers out: for Ray Data, Spark, Dask, and anything that has columns.

Ray's own HTTP stage sends the requests of a batch one after another (measured with 2.60). Here each actor has those of
its batch open at once, by the same rule as ``client.chat.completions.map``. An error is a row, never a failed job.

No module of these systems is imported here: Ray hands over numpy arrays in dicts, Spark and Dask frames of pandas.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from anyio.from_thread import start_blocking_portal

from opeai_async import AsyncOpeAI
from opeai_async.bulk.batch import LineError, filled
from opeai_async.bulk.journal import Index, Journal, JournalEntry, entry_at, line_of, scan
from opeai_async.bulk.request import Job, RequestReader
from opeai_async.bulk.result import BulkResult
from opeai_async.errors import ConfigurationError, OpeAIError, RequestValidationError
from opeai_async.types.completion import ChatCompletion

Batch = Mapping[str, Any]
"""Columns by name, each a sequence of as many values: lists, or arrays of numpy."""

COLUMNS = ("answer", "finish_reason", "prompt_tokens", "completion_tokens", "attempts", "error")

_PACES = ("requests_per_minute", "tokens_per_minute")
_BOUNDS = ("max_total_tokens", "max_cost")
_NOT_HERE = frozenset({"journal", "ordered", "on_error", "finished", "progress", "total", "defaults"})
_PART_BITS = 40  # of the place of a line: journals up to a terabyte, 16 million of them


class ChatBatches:
    """Answers the prompts of batches; its objects are called with one batch after another.

    ::

        # Ray: each actor makes one object.
        dataset.map_batches(
            ChatBatches,
            fn_constructor_kwargs={"prompt": "Translate: {text}", "defaults": {"model": "m"}, "actors": 2},
            compute=ray.data.ActorPoolStrategy(size=2),
            batch_size=512,
        )
        # Spark: one object for each partition.
        frame.mapInPandas(lambda frames: ChatBatches(prompt="{text}", defaults=...).frames(frames), schema=...)
        # Dask:
        frame.map_partitions(lambda part: next(ChatBatches(prompt="{text}", defaults=...).frames([part])), meta=...)
        # Anything else that iterates over columns:
        for batch in ChatBatches(prompt="{text}", defaults=...).batches(batches): ...

    What comes back has all columns that went in, and ``answer``, ``finish_reason``, ``prompt_tokens``,
    ``completion_tokens``, ``attempts`` and ``error``, of which one of the first and the last is None.

    Args:
        prompt: A prompt with columns in braces; or None, and *messages* is the column that has the messages.
        messages: That column.
        row_id: The column that names a row, for *checkpoint*; without it, the prompt alone names it.
        defaults: Parameters that all requests share, as for ``create``.
        actors: By how many the limits are divided: ``requests_per_minute``, ``tokens_per_minute``,
            ``max_total_tokens`` and ``max_cost`` are given for all actors together. With ``redis_url``, the first two
            are shared as they are needed, and divided only while Redis cannot be reached.
        checkpoint: A folder that all actors see: what is in it from an earlier run is not sent again. What an actor has
            done is committed with each batch.
        make_client: Makes the client; ``AsyncOpeAI()`` by default, which reads the environment. It has to be a function
            that can be pickled.
        options: See ``BulkParams``; ``concurrency`` is that of each actor.

    Raises:
        ConfigurationError: If an option cannot be used.
    """

    def __init__(
        self,
        *,
        prompt: str | None = None,
        messages: str = "messages",
        row_id: str | None = None,
        defaults: Mapping[str, Any] | None = None,
        actors: int = 1,
        checkpoint: str | os.PathLike[str] | None = None,
        make_client: Callable[[], AsyncOpeAI] = AsyncOpeAI,
        **options: Any,
    ) -> None:
        if actors < 1:
            raise ConfigurationError(f"actors is {actors}, expected at least 1")
        if unfit := _NOT_HERE & options.keys():
            raise ConfigurationError(f"{min(unfit)} is no option for batches", hint="checkpoint= is the journal here")
        self._prompt, self._messages, self._row_id = prompt, messages, row_id
        divided = _BOUNDS if options.get("redis_url") else (*_PACES, *_BOUNDS)
        self._options: dict[str, Any] = {
            name: value / actors if name in divided and value is not None else value for name, value in options.items()
        }
        if options.get("redis_url"):
            self._options.setdefault("limits_share", 1 / actors)
        self._reader = RequestReader(defaults or {}, has_keys=True)
        self._checkpoint = None if checkpoint is None else _Checkpoint(Path(checkpoint))
        # A loop in a thread of its own: some of these systems call from a thread which has one already.
        self._portal_of = start_blocking_portal("asyncio")
        self._portal = self._portal_of.__enter__()
        self._client = make_client()
        self._is_closed = False

    def __call__(self, batch: Batch) -> dict[str, Any]:
        """Return *batch* with its answers; errors of requests are in the column ``error``."""
        return self._portal.call(self._answer, batch)

    def batches(self, batches: Iterable[Batch]) -> Iterator[dict[str, Any]]:
        """Iterate over *batches* with their answers, and close this object at the end."""
        try:
            for batch in batches:
                yield self(batch)
        finally:
            self.close()

    def frames(self, frames: Iterable[Any]) -> Iterator[Any]:
        """Do the same for frames of pandas."""
        try:
            for frame in frames:
                columns: dict[str, Any] = {str(name): frame[name].tolist() for name in frame.columns}
                answered = type(frame)(self(columns))
                answered.index = frame.index
                yield answered
        finally:
            self.close()

    def close(self) -> None:
        """Close the client and the loop; may be called again."""
        if not self._is_closed:
            self._is_closed = True
            self._portal.call(self._client.aclose)
            self._portal_of.__exit__(None, None, None)
            if self._checkpoint is not None:
                self._checkpoint.close()

    def __del__(self) -> None:
        if not getattr(self, "_is_closed", True):
            self.close()

    async def _answer(self, batch: Batch) -> dict[str, Any]:
        number = len(next(iter(batch.values()), ()))
        rows: list[dict[str, Any]] = [_EMPTY] * number
        jobs: dict[int, Job] = {}
        for place in range(number):
            try:
                job = self._job(batch, place)
            except OpeAIError as error:
                rows[place] = _row_of_error(error, 0)
                continue
            entry = None if self._checkpoint is None else self._checkpoint.find(job.key)
            if entry is not None and entry.completion is not None:
                rows[place] = _row_of(entry.completion, entry.attempts)
            else:
                jobs[place] = job
        await self._run(jobs, rows)
        answers = {name: [row[name] for row in rows] for name in COLUMNS}
        return {**{name: batch[name] for name in batch}, **answers}

    async def _run(self, jobs: dict[int, Job], rows: list[dict[str, Any]]) -> None:
        """Run *jobs*, and put each one's row in its place."""
        places = list(jobs)
        requests = (jobs[place].params for place in places)
        results = self._client.chat.completions.map(requests, **self._options)
        async with results:
            async for result in results:
                place = places[result.index]
                rows[place] = _row_of_result(result)
                if self._checkpoint is not None:
                    self._checkpoint.add(jobs[place], result)
        for place in places:
            if rows[place] is _EMPTY:
                rows[place] = {**_EMPTY, "error": f"not run: {results.stopped}"}
        if self._checkpoint is not None:
            await self._checkpoint.commit()

    def _job(self, batch: Batch, place: int) -> Job:
        """Return the request of a row.

        Raises:
            RequestValidationError: If it has none.
        """
        row = {name: column[place] for name, column in batch.items()}
        if self._prompt is None:
            if self._messages not in row:
                raise RequestValidationError(f"there is no column {self._messages!r}", field=self._messages)
            asked: dict[str, Any] = {"messages": list(row[self._messages])}
        else:
            try:
                text = filled(self._prompt, row, place)
            except LineError as error:
                raise RequestValidationError(error.message) from None
            asked = {"messages": [{"role": "user", "content": text}]}
        # Without a name of its own, a row is the same wherever it stands.
        asked["custom_id"] = "row" if self._row_id is None else str(row[self._row_id])
        return self._reader.read(asked, 0)


_EMPTY: dict[str, Any] = dict.fromkeys(COLUMNS)


def _row_of_result(result: BulkResult) -> dict[str, Any]:
    if result.completion is not None:
        return _row_of(result.completion, len(result.attempts))
    return _row_of_error(result.error, len(result.attempts))


def _row_of(completion: ChatCompletion, attempts: int) -> dict[str, Any]:
    choice = completion.choices[0] if completion.choices else None
    usage = completion.usage
    return {
        "answer": None if choice is None else choice.message.content,
        "finish_reason": None if choice is None else choice.finish_reason,
        "prompt_tokens": None if usage is None else usage.prompt_tokens,
        "completion_tokens": None if usage is None else usage.completion_tokens,
        "attempts": attempts,
        "error": None,
    }


def _row_of_error(error: OpeAIError | None, attempts: int) -> dict[str, Any]:
    message = "" if error is None else error.message
    return {**_EMPTY, "attempts": attempts, "error": f"{type(error).__name__}: {message}"}


class _Checkpoint:
    """Journals in a folder: those of earlier runs, and a new one of this object's own.

    Each object writes to a file of its own, because two processes must not share one; and looks into all, because a row
    may come to another actor in the next run.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._parts = sorted(folder.glob("part-*.jsonl"))
        self._index = Index()
        for number, part in enumerate(self._parts):
            scan(part, self._index, first=number << _PART_BITS)
        self._own = Journal(folder / f"part-{uuid.uuid4().hex}.jsonl")

    def find(self, key: bytes) -> JournalEntry | None:
        """Return what an earlier run has done for *key*."""
        place, _ = self._index.find(key)
        if place is None:
            return None
        return entry_at(self._parts[place >> _PART_BITS], place & ((1 << _PART_BITS) - 1))

    def add(self, job: Job, result: BulkResult) -> None:
        self._own.add(line_of(job, msgspec.structs.replace(result, custom_id=job.custom_id)))

    async def commit(self) -> None:
        await self._own.commit()

    def close(self) -> None:
        self._own.close()
