"""A stream: owns one open response, hands out its chunks, and ends exactly once.

One wake-up per read: all that has arrived is decoded at once into a batch, and a chunk is handed out by advancing an
iterator over it. Only ``_more`` awaits, and keeps nothing across it, so a cancelled read loses nothing. What has been
handed out is accumulated when a batch is used up or somebody asks, so ``snapshot`` is always what the reader has seen.

A stream ends once, in ``_finish``: the outcome is fixed, the response released or aborted, the timer gone. An error is
raised when all that arrived before it has been handed out, and again at each read after that.
"""

from __future__ import annotations

import asyncio
import copy
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from operator import length_hint
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, cast

from opeai_async._core.answer.accumulator import Accumulator
from opeai_async._core.answer.outcome import NO_CHOICE, TRUNCATED, End, Outcome
from opeai_async._core.call.prepare import PreparedCall
from opeai_async._core.call.retry import Cause, Failure
from opeai_async._core.decode.parser import StreamParser
from opeai_async._core.dialect.api_errors import failure_of
from opeai_async._core.dialect.dialect import Dialect
from opeai_async._io.endpoints import exchange_for
from opeai_async._io.exchange import Exchange, ReadsChunks, Wiring
from opeai_async._io.loops import on_loop, running_loop
from opeai_async._io.observe.observers import Observers
from opeai_async._io.patience import Cut
from opeai_async._io.reader import BodyReader, ReadExpired
from opeai_async._io.stream.ending import add_facts, ending_of, graces_after
from opeai_async._io.stream.opening import Opening
from opeai_async._io.stream.timing import has_content, stream_timeout, timing, wall_time
from opeai_async._io.stream.views import Batches
from opeai_async._io.transport import BodyError
from opeai_async.errors import (
    ClientClosedError,
    ConcurrentReadError,
    ConfigurationError,
    OpeAIError,
    StreamError,
    StreamInterruptedError,
    StreamTruncatedError,
)
from opeai_async.types.chunk import ChatCompletionChunk
from opeai_async.types.common import CompletionUsage
from opeai_async.types.completion import ChatCompletion
from opeai_async.types.meta import NO_META, ContinuedRecord, ResponseMeta, StreamTiming
from opeai_async.types.records import CallOutcome

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    ChunkT = TypeVar("ChunkT", bound=ChatCompletionChunk, default=ChatCompletionChunk)
else:
    from typing import TypeVar

    ChunkT = TypeVar("ChunkT", bound=ChatCompletionChunk)


_OPEN = Outcome.OPEN  # on CPython 3.11, a look into an Enum is a call
_NONE_READY: Iterator[Any] = iter(())  # shared: it is at its end
_NO_BATCH: list[Any] = []  # shared: nothing is appended to a batch


class ChunkStream(Generic[ChunkT]):
    """The chunks of one answer, how it ends, and what is known of it; ``ChatCompletionStream`` is what users have."""

    def __init__(self, wiring: Wiring, call: PreparedCall, chunk_type: type[ChunkT]) -> None:
        self._wiring = wiring
        self._call = call
        self._chunk_type = chunk_type
        options = self._options = call.reading
        self._exchange: Exchange | None = None
        self._reader: BodyReader | None = None
        self._scope: Cut | None = None
        self._opening: Opening | None = None
        self._dialect = Dialect(options.dialect)
        self._parser: ReadsChunks[ChunkT] | None = None
        self._accumulator = self._new_accumulator()
        self._batch: list[ChunkT] = _NO_BATCH
        self._ready: Iterator[ChunkT] = _NONE_READY
        self._accumulated = 0
        self._end: End | None = None
        self._end_error: OpeAIError | None = None
        self._end_failure: Failure | None = None
        self._outcome = Outcome.OPEN
        self._error: OpeAIError | None = None
        self._is_reading = False
        self._is_read_whole = False
        self._is_closed = False
        self._read_was_cancelled = False
        self._first_chunk_at: float | None = None
        self._first_content_at: float | None = None
        self._came_at_once = False
        self._finished_at: float | None = None
        self.run_id: str | None = None

    # --- reading ---------------------------------------------------------------------------------------------------

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ChunkT:
        """The next chunk.

        Raises:
            OpeAIError: If the stream could not be opened.
            StreamError: If it ended badly; ``partial`` holds all that arrived.
            ConcurrentReadError: If another task is reading.
            ConfigurationError: If it was opened by another event loop.
            ClientClosedError: If it was closed before its end.
        """
        for chunk in self._ready:
            return chunk
        await self._more()
        for chunk in self._ready:
            return chunk
        raise StopAsyncIteration

    def batches(self) -> AsyncIterator[list[ChunkT]]:
        """Lists of the chunks that arrived together, one list per read: the cheapest way to iterate."""
        return Batches(self._next_batch)

    async def _next_batch(self) -> list[ChunkT]:
        if (batch := [*self._ready]) or (await self._more() and (batch := [*self._ready])):
            return batch
        raise StopAsyncIteration

    async def completion(self) -> ChatCompletion:
        """Read to the end; returns the whole message with its usage.

        After ``cancel()``, it is the message as far as it was read.

        Raises:
            StreamError: If the stream ended badly; ``partial`` holds all that arrived.
            ConcurrentReadError: If another task is reading.
        """
        self._check_reader()
        self._is_read_whole = self._is_read_whole or (not self._batch and not self._accumulator.chunks)
        self._ready = _NONE_READY  # the rest of this batch counts as handed out
        while await self._more():
            self._ready = _NONE_READY
        return self._accumulator.completion(self.meta)

    def hold(self) -> None:
        """Leave what arrives to the operating system until the next read, which brings it all with one wake-up."""
        if self._reader is not None and not self._is_reading and self._end is None and self._outcome is Outcome.OPEN:
            self._reader.hold()

    async def open(self) -> None:
        """Send the request and wait for the response's head; does nothing if that was done.

        Raises:
            OpeAIError: If no attempt brought a usable response, or another task is opening it.
        """
        self._check_loop()
        self._check_not_closed()
        if self._error is not None and self._parser is None:
            raise copy.copy(self._error)
        if self._scope is not None:
            raise ConcurrentReadError("another task is opening this stream already")
        if self._parser is None and self._outcome is Outcome.OPEN:
            try:
                if self._opening is not None:
                    await self._open_apart(self._the_exchange().open)
                    return
                with Cut() as self._scope:
                    self._take(await self._the_exchange().open())
            except OpeAIError as exc:
                self._finish(End.ERROR, exc)
                raise
            finally:
                self._scope = None

    async def open_or_cancel(self) -> None:
        """``open``, for whoever has nothing to close it with before it is open: cancelling this ends the stream."""
        try:
            await self.open()
        except asyncio.CancelledError:
            self._cancel()
            raise

    async def _more(self) -> bool:
        """Make the next batch ready; False at the end."""
        if self._is_reading or self._exchange is None or self._exchange.loop is not asyncio._get_running_loop():
            self._check_reader()
        self._is_reading, self._read_was_cancelled = True, False
        try:
            self._accumulate()
            while self._outcome is _OPEN:
                if self._end is not None:
                    await self._settle(self._end)
                elif self._reader is None or self._parser is None:
                    await self._open_to_read()
                else:
                    # All in one coroutine: each one more costs at each read, and again at each wake-up. And what
                    # was read has no name here: traceback printers show locals, and a server may echo the key.
                    try:
                        batch = self._chunks_of(await self._reader.read(), self._parser)
                    except (ReadExpired, BodyError) as exc:
                        batch = self._broken(exc, self._parser)
                    if batch:
                        self._hand_out(batch)
                        return True
        except asyncio.CancelledError:
            self._read_was_cancelled = True
            raise
        finally:
            self._is_reading = False
        if self._error is not None:
            raise copy.copy(self._error)
        self._check_not_closed()
        return False

    async def _open_to_read(self) -> None:
        self._check_loop()
        try:
            await self._open_apart(self._the_exchange().open)
        except OpeAIError as exc:
            self._finish(End.ERROR, exc)
            raise

    def _broken(self, exc: ReadExpired | BodyError, parser: ReadsChunks[ChunkT]) -> list[ChunkT]:
        """What is left to hand out when a read has failed; notes that it ends the stream."""
        if isinstance(exc, BodyError):
            error = StreamInterruptedError(f"the stream was interrupted: {exc}")
            self._will_end(End.BROKEN, error, Failure(exc.cause))
        elif exc.expiry.phase == "finish_grace":
            self._will_end(End.GRACE)
        else:
            self._will_end(End.ERROR, stream_timeout(exc.expiry))
        return parser.rest()

    def _chunks_of(self, data: bytes, parser: ReadsChunks[ChunkT]) -> list[ChunkT]:
        """The chunks of one read, which may be none; notes what ends the stream in ``_end`` and ``_end_error``."""
        if self._outcome is not _OPEN:  # cancel() was called while it was waiting
            return []
        batch = parser.feed(data) if data else parser.end()
        if begins := self._first_content_at is None and any(map(has_content, batch)):
            self._first_content_at = self._now()
        if parser.error is not None:
            self._will_end(End.ERROR, parser.error, failure_of(parser.error, parser.head, wall_time()))
        elif parser.done or not data:
            self._will_end(End.DONE if parser.done else End.EOF)
        if begins:
            self._came_at_once = self._end is not None
            self._begins()
        return batch

    def _begins(self) -> None:
        """Tell those who listen that the first content is there."""
        exchange, at = self._exchange, self._first_content_at
        if exchange is not None and exchange.watch is not None and at is not None:
            exchange.watch.first_content(at - exchange.started_at)

    def _hand_out(self, batch: list[ChunkT]) -> None:
        self._batch, self._ready, self._accumulated = batch, iter(batch), 0
        if not self._accumulator.chunks and self._exchange is not None:
            self._first_chunk_at = self._exchange.loop.time()
            self._exchange.succeeded()
        if self._first_content_at is not None and self._reader is not None:
            self._reader.saw_content()

    def _accumulate(self) -> None:
        """Add to the message what was handed out and is not in it yet."""
        batch, begin, left = self._batch, self._accumulated, length_hint(self._ready)
        self._accumulated = len(batch) - left if left else 0
        if not left:  # a waiting stream does not keep what it brought last
            self._batch, self._ready = _NO_BATCH, _NONE_READY
        if not (batch := batch[begin : len(batch) - left] if begin or left else batch):
            return
        try:
            self._accumulator.extend(batch)
        except StreamError as exc:
            # It counts for more than an end that the same read brought: the answer cannot be rebuilt.
            self._batch, self._ready, self._accumulated, self._end = _NO_BATCH, _NONE_READY, 0, None
            self._will_end(End.ERROR, exc)
        if self._accumulator.ended and self._reader is not None:
            graces = graces_after(self._accumulator, self._options)
            if graces:
                self._reader.saw_finish(graces)

    # --- opening, and opening again --------------------------------------------------------------------------------

    def _the_exchange(self) -> Exchange:
        """The one that was begun, if any: a second try has the same clock and the same idempotency key."""
        if self._exchange is None:
            self._exchange = exchange_for(self._wiring, self._call)
            del self._call  # it holds the prompt
            self._exchange.begin(self.run_id)
        return self._exchange

    async def _open_apart(self, opener: Callable[[], Coroutine[Any, Any, BodyReader]]) -> None:
        """Get a response, or go on waiting for it where a read was cancelled; without one if ``cancel`` was called."""
        self._opening = opening = self._opening or Opening(opener())
        reader = await opening.response(self._opened)
        if reader is not None:
            self._take(reader)

    def _opened(self) -> None:
        self._opening = None

    def _take(self, reader: BodyReader) -> None:
        self._reader = reader
        if self._outcome is not Outcome.OPEN:
            reader.abort()
            return
        options = self._options
        parser = StreamParser(
            reader.head,
            self._chunk_type,
            self._dialect,
            max_event_bytes=options.max_event_bytes,
            max_stream_bytes=options.max_stream_bytes,
            reasoning_tags=options.reasoning_tags,
        )
        self._parser = self._the_exchange().watched(parser, reader)

    def _new_accumulator(self) -> Accumulator:
        return Accumulator(note=self._dialect.note, choices=self._options.choices)

    async def _settle(self, end: End) -> None:
        """End by *end*; or let the exchange decide whether to try again, as long as nothing was handed out, or to have
        the answer gone on with.
        """
        exchange, error, failure = self._exchange, self._end_error, self._end_failure
        if error is None and end is End.DONE and not self._accumulator.begun:
            error, failure = StreamTruncatedError(NO_CHOICE), Failure(Cause.AMBIGUOUS)
        elif error is None and end is End.EOF and not self._accumulator.has_credible_end:
            error, failure = StreamTruncatedError(TRUNCATED), Failure(Cause.AMBIGUOUS)
        opener = None if error is None or exchange is None else self._another(exchange, error, failure)
        if opener is None:
            self._finish(end, error)
            return
        if self._reader is not None:
            self._reader.abort()
        self._parser, self._end, self._end_error, self._end_failure, self._finished_at = None, None, None, None, None
        try:
            await self._open_apart(opener)
        except OpeAIError as exc:
            self._finish(end if exc is error else End.ERROR, exc)

    def _another(
        self, exchange: Exchange, error: OpeAIError, failure: Failure | None
    ) -> Callable[[], Coroutine[Any, Any, BodyReader]] | None:
        """How to get another response after *error*; None if there shall be none."""
        failure = failure or (Failure(Cause.FINAL) if exchange.goes_elsewhere(error) else None)
        if failure is None:
            return None
        cause = failure
        if self._accumulator.chunks:
            is_unseen, answer = self._is_read_whole and exchange.restarts(), self._accumulator.snapshot
            if exchange.goes_on(error, answer, is_unseen=is_unseen):
                self._dialect.begin_another_body()
                return lambda: exchange.go_on(error, cause, answer)
            if not is_unseen:
                return None
            self._accumulator = self._new_accumulator()
        self._dialect.forget()  # what an attempt that failed has taught does not count
        return lambda: exchange.reopen(error, cause)

    # --- ending ----------------------------------------------------------------------------------------------------

    def cancel(self) -> None:
        """End the stream now: the upstream is closed, a loop over it ends quietly.

        What was handed out stays in ``snapshot``; ``outcome`` becomes ``cancelled``, or ``complete`` where every
        choice had its finish_reason. From another thread, this asks the stream's own loop to do it, and does not wait.
        """
        if self._exchange is None:
            self._cancel()
        else:
            on_loop(self._exchange.loop, self._cancel)

    def _cancel(self) -> None:
        if self._outcome is not Outcome.OPEN:
            return
        self._accumulate()
        all_seen = self._accumulated == len(self._batch)
        self._batch, self._ready, self._accumulated = _NO_BATCH, _NONE_READY, 0
        if self._end in (End.DONE, End.EOF) and all_seen:
            self._finish(self._end)
        else:
            self._finish(End.CLOSED)
        if self._scope is not None:
            self._scope.now()
        if self._opening is not None:
            self._opening.abandon()

    async def aclose(self) -> None:
        """Close the stream, if it is not at its end; later reads raise ``ClientClosedError``. May be called again."""
        if self._outcome is Outcome.OPEN:
            self._is_closed = True
            self.cancel()

    async def __aenter__(self) -> Self:
        await self.open_or_cancel()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        exchange = getattr(self, "_exchange", None)
        if exchange is None or self._outcome is not Outcome.OPEN:
            return
        if self._opening is not None and not exchange.loop.is_closed():
            on_loop(exchange.loop, self._opening.abandon)
        self._tell_end("dropped", StreamTiming())
        if (reader := self._reader) is None:
            return
        reader.abandon()
        if not self._read_was_cancelled:
            _warn(f"unclosed {self!r}: use `async with`, aclose() or cancel()", ResourceWarning, source=self)

    def _will_end(self, end: End, error: OpeAIError | None = None, failure: Failure | None = None) -> None:
        """Nothing more will be read; the end comes when all that was read has been handed out.

        *failure* is what the retry policy is asked if that was nothing; None if another try is hopeless.
        """
        if self._outcome is not Outcome.OPEN or self._end is not None:
            return
        self._end, self._end_error, self._end_failure, self._finished_at = end, error, failure, self._now()
        if self._reader is not None:
            if end is End.DONE or (end is End.CLOSED and self._accumulator.has_credible_end):
                self._reader.release()
            elif end is not End.EOF:
                self._reader.abort()

    def _finish(self, end: End, error: OpeAIError | None = None) -> None:
        """Fix the outcome, and let go of the response."""
        ending = ending_of(
            end, error, self._accumulator, on_truncated=self._options.on_truncated, note=self._dialect.note
        )
        self._will_end(ending.end)
        self._outcome = ending.outcome
        if self._end is End.EOF and self._reader is not None:
            if ending.is_whole:
                self._reader.release()
            else:
                self._reader.abort()
        if ending.error is not None:
            # A copy, because the traceback of what is raised leads back to this stream.
            self._error = copy.copy(self._with_facts(ending.error))
        self._tell_end(cast("CallOutcome", self._outcome.value))

    def _tell_end(self, outcome: CallOutcome, timing: StreamTiming | None = None) -> None:
        """Tell those who listen how it ended."""
        exchange, answer = self._exchange, self._accumulator
        if exchange is None or exchange.watch is None:
            return
        error = None if self._error is None else type(self._error).__name__
        if self._outcome is Outcome.TRUNCATED and error is None:  # it is one, even where it is not to be raised
            error = StreamTruncatedError.__name__
        exchange.ended(
            outcome,
            error,
            self._reader,
            timing=timing or self.timing,
            answer=answer.envelope,
            finish_reasons=answer.reasons(self._options.choices),
            first_chunk_at=self._first_chunk_at,
            chunks=answer.chunks,
            quirks=self.quirks,
            completion=answer.completion() if exchange.watch.wants_content and answer.chunks else None,
        )

    def _with_facts(self, error: OpeAIError) -> OpeAIError:
        if isinstance(error, StreamError):
            bytes_read = self._reader.bytes_read if self._reader is not None else 0
            add_facts(error, self._accumulator, self.meta, bytes_read)
        return self._exchange.final(error) if self._exchange is not None else error

    def _check_reader(self) -> None:
        """Only its own loop may read a stream: another would break it, and in a forked child the parent's too."""
        self._check_loop()
        if self._is_reading:
            raise ConcurrentReadError("another task is reading this stream already")

    def _check_loop(self) -> None:
        loop = self._exchange.loop if self._exchange is not None else None
        if running_loop() is not loop and loop is not None and not loop.is_closed():
            hint = "read a stream where it was opened, and hand its chunks on"
            raise ConfigurationError("this stream is in use by another event loop, which is not closed", hint=hint)

    def _check_not_closed(self) -> None:
        if self._is_closed and self._outcome is Outcome.CANCELLED:
            raise ClientClosedError(f"the stream was closed after {self._accumulator.chunks} chunks, before its end")

    # --- what is known -----------------------------------------------------------------------------------------------

    @property
    def snapshot(self) -> ChatCompletion:
        """The message so far: all that was handed out, rebuilt on demand."""
        self._accumulate()
        return self._accumulator.snapshot

    @property
    def usage(self) -> CompletionUsage | None:
        """Token counts, once they have been handed out."""
        self._accumulate()
        return self._accumulator.usage

    @property
    def outcome(self) -> Outcome:
        """How the stream ended; ``Outcome.OPEN`` until its end was handed out."""
        return self._outcome

    @property
    def quirks(self) -> tuple[str, ...]:
        """Names of the dialect rules that were needed so far."""
        return tuple(self._dialect.quirks)

    @property
    def observed(self) -> tuple[Observers, str] | None:
        """Who listens to its call, and what the call is named; None before that is begun."""
        return None if self._exchange is None else (self._exchange.observers, self._exchange.call_id)

    @property
    def meta(self) -> ResponseMeta:
        """Request id, status, headers, attempts; empty until the stream is open."""
        if self._reader is None or self._exchange is None:
            return NO_META
        return self._exchange.meta(self._reader.head, self.quirks)

    @property
    def continued(self) -> tuple[ContinuedRecord, ...]:
        """Where the answer broke off and was gone on with; see ``Endpoints``."""
        return tuple(self._exchange.continued) if self._exchange is not None else ()

    @property
    def timing(self) -> StreamTiming:
        """When what came, in seconds from the call."""
        if self._exchange is None:
            return StreamTiming()
        usage, reader = self._accumulator.usage, self._reader
        return timing(
            self._exchange.started_at,
            reader.first_byte_at if reader is not None else None,
            self._first_content_at,
            self._finished_at,
            tokens=None if usage is None or self._came_at_once else usage.completion_tokens,
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._outcome.value}, {self._accumulator.chunks} chunks>"

    def _now(self) -> float:
        return self._exchange.loop.time() if self._exchange is not None else 0.0
