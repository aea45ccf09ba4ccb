"""Reading what `speak` says, by the client's own parser without a socket, and judging the result by value."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from opeai_async._core.answer.accumulator import Accumulator
from opeai_async._core.answer.outcome import End, Outcome, outcome_of, quirk_of
from opeai_async._core.answer.whole_body import read_completion
from opeai_async._core.call.http import ResponseHead
from opeai_async._core.decode.parser import StreamParser
from opeai_async._core.dialect.api_errors import failed_answer
from opeai_async._core.dialect.dialect import Dialect
from opeai_async.errors import (
    APIStatusError,
    InvalidResponseError,
    OpeAIError,
    StreamDecodeError,
    StreamError,
    StreamServerError,
    StreamTooLargeError,
    StreamTruncatedError,
)
from opeai_async.testing import Expected
from opeai_async.types.chunk import ChatCompletionChunk
from opeai_async.types.common import WireStruct
from opeai_async.types.completion import ChatCompletion
from opeai_async.types.options import DialectMode

HEAD = ResponseHead(200, "test", {})

ERRORS: dict[str, type[OpeAIError]] = {
    "truncated": StreamTruncatedError,
    "failed": StreamServerError,
    "server_error": StreamServerError,
    "status_error": APIStatusError,
    "decode_error": StreamDecodeError,
    "too_large": StreamTooLargeError,
    "invalid_response": InvalidResponseError,
}


@dataclass
class Reading:
    """What came of one answer."""

    outcome: Outcome
    completion: ChatCompletion | None
    error: OpeAIError | None
    quirks: tuple[str, ...]


def read_stream(parts: Iterable[bytes], mode: DialectMode = "repair") -> Reading:
    """Read a stream whose reads are *parts*."""
    dialect, error = Dialect(mode), None
    accumulator = Accumulator(note=dialect.note)
    parser = StreamParser(HEAD, ChatCompletionChunk, dialect)
    try:
        for part in parts:
            accumulator.extend(parser.feed(part))
        accumulator.extend(parser.end())
        error = parser.error
    except StreamError as exc:
        error = exc
    end = End.ERROR if error else End.DONE if parser.done else End.EOF
    if end is End.DONE:
        accumulator.settle()
    outcome = outcome_of(end, labelled=accumulator.is_labelled(end))
    if end is End.DONE and not accumulator.begun:
        outcome = Outcome.TRUNCATED
    if quirk := quirk_of(end, outcome):
        try:
            dialect.note(quirk)
        except StreamDecodeError as exc:
            outcome, error = Outcome.FAILED, exc
    if outcome is Outcome.TRUNCATED:
        error = StreamTruncatedError("cut")
    if outcome is Outcome.COMPLETE and (failed := failed_answer(accumulator.completion())) is not None:
        outcome, error = Outcome.FAILED, failed
    return Reading(outcome, accumulator.completion() if accumulator.chunks else None, error, tuple(dialect.quirks))


def read_whole(body: bytes) -> Reading:
    """Read the answer to a request that does not stream."""
    dialect = Dialect()
    try:
        completion = read_completion(HEAD, body, ChatCompletion, dialect)
    except OpeAIError as exc:
        return Reading(Outcome.FAILED, getattr(exc, "partial", None), exc, tuple(dialect.quirks))
    return Reading(Outcome.COMPLETE, completion, None, tuple(dialect.quirks))


def cuts_of(parts: list[bytes], seed: int) -> Iterator[list[bytes]]:
    """The same bytes in one read, as sent, byte by byte, and in reads of random sizes."""
    body = b"".join(parts)
    yield [body] if body else []
    yield parts
    generator = random.Random(seed)
    if len(body) < 2_000:
        yield [body[k : k + 1] for k in range(len(body))]
    for _ in range(2):
        places = sorted(generator.sample(range(len(body) + 1), min(len(body), generator.choice((3, 10, 40)))))
        yield [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True) if a < b]


def differences(reading: Reading, expected: Expected) -> list[str]:
    """In what *reading* is not what it should be; nothing if it is."""
    found: list[str] = []
    wanted = ERRORS.get(expected.ends)
    if wanted is None and reading.error is not None:
        found.append(f"raised {reading.error!r}")
    if wanted is not None and not isinstance(reading.error, wanted):
        found.append(f"expected {wanted.__name__}, got {reading.error!r}")
    if expected.ends == "unlabelled" and reading.outcome is not Outcome.UNLABELLED:
        found.append(f"expected the outcome unlabelled, got {reading.outcome}")
    for name, value in expected.error.items():
        got = getattr(reading.error, name, "no such field")
        if got != value:
            found.append(f"expected error.{name} {value!r}, got {got!r}")
    found += [f"did not note {rule}" for rule in expected.rules.difference(reading.quirks)]
    if expected.completion is not None:
        found += completion_differences(reading.completion, expected.completion)
    return found


def completion_differences(completion: ChatCompletion | None, wanted: dict[str, Any]) -> list[str]:
    """Where *completion* differs from the JSON of the right one; vendor fields may be more than those."""
    if completion is None:
        return [f"expected a completion, got none: {wanted}"] if wanted else []
    found: list[str] = []
    _compare(_known(completion), _known(msgspec.convert(wanted, ChatCompletion)), "", found, may_be_more=False)
    if not found:
        _compare(_all_of(completion), _vendor(wanted), "", found, may_be_more=True)
    return found


def _known(value: Any) -> Any:
    """What our Structs name, as plain data. `object` and `meta` are not part of the answer."""
    if isinstance(value, WireStruct):
        names = [name for name in value.__struct_fields__ if name not in ("extra", "meta", "object")]
        return {name: _known(getattr(value, name)) for name in names}
    if isinstance(value, list):
        return [_known(item) for item in value]
    return None if value is msgspec.UNSET else value


def _all_of(value: Any) -> Any:
    """What our Structs name and what is in their `extra`, side by side."""
    if isinstance(value, WireStruct):
        own = {name: _all_of(getattr(value, name)) for name in value.__struct_fields__ if name != "extra"}
        return {**value.extra, **own}
    return [_all_of(item) for item in value] if isinstance(value, list) else value


def _vendor(value: Any) -> Any:
    """The wanted JSON less what is null, 0 or empty, which Structs leave out where it is their default."""
    if isinstance(value, dict):
        return {name: _vendor(item) for name, item in value.items() if item and name != "object"}
    return [_vendor(item) for item in value] if isinstance(value, list) else value


def _compare(got: Any, wanted: Any, path: str, found: list[str], *, may_be_more: bool) -> None:
    if isinstance(got, dict) and isinstance(wanted, dict):
        for name in wanted if may_be_more else {**wanted, **got}:
            _compare(got.get(name), wanted.get(name), f"{path}.{name}", found, may_be_more=may_be_more)
    elif isinstance(got, list) and isinstance(wanted, list) and len(got) == len(wanted):
        for k, (one, other) in enumerate(zip(got, wanted, strict=True)):
            _compare(one, other, f"{path}[{k}]", found, may_be_more=may_be_more)
    elif got != wanted:
        found.append(f"{path}: expected {_short(wanted)}, got {_short(got)}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 200 else f"{text[:200]}..."
