"""A call whose answer is awaited whole."""

from __future__ import annotations

import asyncio
import copy
import time
from typing import TypeVar

import msgspec

from opeai_async._core.answer.model_list import read_models
from opeai_async._core.answer.whole_body import read_completion
from opeai_async._core.call.params import ReadOptions
from opeai_async._core.call.retry import Cause, Failure
from opeai_async._core.decode.body_kind import content_length, too_large_body
from opeai_async._core.decode.think import split_completion
from opeai_async._core.dialect.api_errors import failure_of
from opeai_async._core.dialect.dialect import Dialect
from opeai_async._core.limits import MAX_JSON_BYTES
from opeai_async._io.exchange import Exchange
from opeai_async._io.reader import BodyReader, ReadExpired
from opeai_async._io.stream.timing import timing
from opeai_async._io.transport import BodyError
from opeai_async.errors import (
    APIConnectionError,
    APITimeoutError,
    InvalidResponseError,
    OpeAIError,
    StreamError,
    StreamTruncatedError,
)
from opeai_async.types.completion import ChatCompletion, ModelList
from opeai_async.types.meta import NO_META, ResponseMeta
from opeai_async.types.options import OnTruncated
from opeai_async.types.records import CallOutcome

CompletionT = TypeVar("CompletionT", bound=ChatCompletion)

_NO_ANSWER = ChatCompletion()


async def complete(exchange: Exchange, completion_type: type[CompletionT], reading: ReadOptions) -> CompletionT:
    """The completion that *exchange* brings, with its ``meta``, and with the thinking apart from the content.

    ``on_truncated`` and ``choices`` are for servers that stream although they were not asked to.

    Raises:
        OpeAIError: If no attempt brought one.
    """
    call = _Call(exchange)
    exchange.begin()
    try:
        result, quirks = await call.run(completion_type, reading)
    except asyncio.CancelledError:
        call.tell_end("cancelled")
        raise
    except GeneratorExit:  # the loop has ended, and nobody will go on with this
        call.tell_end("dropped")
        raise
    except BaseException as exc:
        call.tell_end("failed", type(exc).__name__)
        raise
    exchange.succeeded()
    call.tell_end("complete", completion=result, quirks=quirks)
    if reading.reasoning_tags != "none":
        split_completion(result, reading.reasoning_tags)
    return msgspec.structs.replace(result, meta=call.meta(quirks))


class _Call:
    """The attempts of one call."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._reader: BodyReader | None = None

    async def run(
        self, completion_type: type[CompletionT], reading: ReadOptions
    ) -> tuple[CompletionT, tuple[str, ...]]:
        """The first answer that can be used, and its quirks."""
        reader = self._reader = await self._exchange.open()
        while True:
            dialect = Dialect(reading.dialect)  # what an attempt that failed has taught does not count
            result = await _result(reader, completion_type, dialect, reading.on_truncated, reading.choices)
            if not isinstance(result, OpeAIError):
                return result, tuple(dialect.quirks)
            if isinstance(result, StreamError):
                self._add_facts(result, reader)
            failure = failure_of_call(result, reader)
            if failure is None and not self._exchange.goes_elsewhere(result):
                raise self._exchange.final(result)
            reader = self._reader = await self._exchange.reopen(result, failure or Failure(Cause.FINAL))

    def meta(self, quirks: tuple[str, ...] = ()) -> ResponseMeta:
        return NO_META if self._reader is None else self._exchange.meta(self._reader.head, quirks)

    def tell_end(
        self,
        outcome: CallOutcome,
        error: str | None = None,
        completion: ChatCompletion | None = None,
        quirks: tuple[str, ...] = (),
    ) -> None:
        """Tell those who listen how it ended."""
        exchange, reader = self._exchange, self._reader
        if exchange.watch is None:
            return
        begun_at = None if reader is None else reader.first_byte_at
        choices = () if completion is None else completion.choices
        exchange.ended(
            outcome,
            error,
            reader,
            timing=timing(exchange.started_at, begun_at, finished_at=exchange.loop.time()),
            answer=completion or _NO_ANSWER,
            finish_reasons=tuple(choice.finish_reason or "error" for choice in choices),
            quirks=quirks,
            completion=completion,
        )

    def _add_facts(self, error: StreamError, reader: BodyReader) -> None:
        error.bytes = reader.bytes_read
        error.request_id = reader.head.request_id
        if error.partial is not None:
            error.partial = msgspec.structs.replace(error.partial, meta=self.meta())


async def _result(
    reader: BodyReader,
    completion_type: type[CompletionT],
    dialect: Dialect,
    on_truncated: OnTruncated,
    choices: int,
) -> CompletionT | OpeAIError:
    is_good = False
    try:
        completion = read_completion(reader.head, await whole_body(reader), completion_type, dialect, choices=choices)
        is_good = True
        return completion
    except StreamTruncatedError as exc:
        if on_truncated == "return" and isinstance(exc.partial, completion_type):
            return exc.partial
        return copy.copy(exc)
    except OpeAIError as exc:
        return copy.copy(exc)  # without the traceback, whose frames hold the body
    finally:
        if is_good:
            reader.release()
        else:  # whatever answered so is not to be asked again on this connection
            reader.abort()


async def whole_body(reader: BodyReader) -> bytes:
    """Return the rest of the body.

    Raises:
        InvalidResponseError: If it is larger than any answer.
        APITimeoutError: If it did not come in time.
        APIConnectionError: If it broke off.
    """
    if (length := content_length(reader.head)) > MAX_JSON_BYTES:
        raise too_large_body(reader.head, length, MAX_JSON_BYTES)
    parts: list[bytes] = []
    try:
        while data := await reader.read():
            parts.append(data)
            if reader.bytes_read > MAX_JSON_BYTES:
                raise InvalidResponseError(
                    f"the body has {reader.bytes_read} bytes so far, expected no more than {MAX_JSON_BYTES}"
                )
    except ReadExpired as exc:
        expiry = exc.expiry
        phase = "total" if expiry.phase == "total" else "body"
        message = f"the body was not complete within {expiry.limit_s:g} s ({expiry.phase}_s={expiry.limit_s:g})"
        raise APITimeoutError(message, phase=phase, timeout_s=expiry.limit_s) from None
    except BodyError as exc:
        raise APIConnectionError(f"the answer was cut after {reader.bytes_read} bytes: {exc}") from None
    return b"".join(parts)


def failure_of_call(error: OpeAIError, reader: BodyReader) -> Failure | None:
    """What the retry policy is asked after *error*; None if that is hopeless."""
    is_cut = isinstance(error, (APIConnectionError, StreamTruncatedError))
    if is_cut and not isinstance(error, APITimeoutError):
        return Failure(Cause.AMBIGUOUS)
    return failure_of(error, reader.head, time.time())


async def list_models(exchange: Exchange) -> ModelList:
    """Return the list that *exchange* brings, with its ``meta``.

    Raises:
        OpeAIError: If no attempt brought one.
    """
    reader = await exchange.open()
    while True:
        result = await _models(reader)
        if isinstance(result, ModelList):
            exchange.succeeded()
            return msgspec.structs.replace(result, meta=exchange.meta(reader.head))
        failure = failure_of_call(result, reader)
        if failure is None:
            raise exchange.final(result)
        reader = await exchange.reopen(result, failure)


async def _models(reader: BodyReader) -> ModelList | OpeAIError:
    is_good = False
    try:
        models = read_models(reader.head, await whole_body(reader))
        is_good = True
        return models
    except OpeAIError as exc:
        return copy.copy(exc)  # without the traceback, whose frames hold the body
    finally:
        if is_good:
            reader.release()
        else:
            reader.abort()
