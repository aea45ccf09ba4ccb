"""Lines of files: requests in, in any of four forms, and results out in the Batch format.

What goes out is what OpenAI's Batch API and ``vllm run-batch`` write, field by field::

    {"id": "...", "custom_id": "...",
     "response": {"status_code": 200, "request_id": "...", "body": {a chat completion}}, "error": null}

Where a server refused a request, ``status_code`` is its, ``body`` is null and ``error`` says why; where nothing came
back, ``response`` is null.

See https://platform.openai.com/docs/api-reference/batch/request-output
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from opeai_async._core.call.send_back import flattened
from opeai_async._core.json import is_object
from opeai_async.bulk.journal import plain_completion
from opeai_async.bulk.result import BulkResult
from opeai_async.errors import RequestValidationError
from opeai_async.types.completion import ChatCompletion

MAX_SHOWN = 60
_FIELD = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")
_decode = msgspec.json.Decoder().decode


class BatchError(Struct, kw_only=True):
    """Why there is no answer."""

    code: str | None
    message: str


class BatchResponse(Struct, kw_only=True):
    """What the server has answered."""

    status_code: int
    request_id: str
    body: dict[str, Any] | None = None


class BatchLine(Struct, kw_only=True):
    """A line of an output file."""

    id: str
    custom_id: str
    response: BatchResponse | None
    error: BatchError | None


# --- out -------------------------------------------------------------------------------------------------------------


def line_out(result: BulkResult) -> bytes:
    """Return *result* as a line of the Batch format, with its newline."""
    return msgspec.json.encode(batch_line(result)) + b"\n"


def batch_line(result: BulkResult) -> BatchLine:
    """Return *result* as the Batch format has it."""
    line_id = f"batch_req_{result.index}"
    completion, error = result.completion, result.error
    if completion is not None:
        request_id = completion.meta.request_id or line_id
        response = BatchResponse(status_code=200, request_id=request_id, body=body_of(completion))
        return BatchLine(id=line_id, custom_id=result.custom_id, response=response, error=None)
    status: int = getattr(error, "status_code", None) or 0
    refused = BatchResponse(status_code=status, request_id=getattr(error, "request_id", None) or line_id)
    return BatchLine(
        id=line_id,
        custom_id=result.custom_id,
        response=refused if status else None,
        error=BatchError(
            code=getattr(error, "code", None) or type(error).__name__,
            message=getattr(error, "message", str(error)),
        ),
    )


def body_of(completion: ChatCompletion) -> dict[str, Any]:
    """Return *completion* as the API sends it, the fields that it always has included."""
    body: dict[str, Any] = flattened(plain_completion(completion))
    choices: list[dict[str, Any]] = []
    for choice in completion.choices:
        fields: dict[str, Any] = flattened(choice)
        fields["message"] = {"role": choice.message.role, "content": None, **flattened(choice.message)}
        fields["message"].pop("_parsed", None)
        choices.append({"index": choice.index, "finish_reason": choice.finish_reason, "logprobs": None, **fields})
    always = {
        "id": completion.id,
        "object": completion.object,
        "created": completion.created,
        "model": completion.model,
        "usage": None,
    }
    return {**always, **body, "choices": choices}


# --- in --------------------------------------------------------------------------------------------------------------


class LineError(RequestValidationError):
    """A line of the input cannot be used.

    Attributes:
        number: Its number, from 1.
    """

    default_hint = "correct the line, or leave it out"

    def __init__(self, message: str, *, number: int = 0, field: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, field=field, hint=hint)
        self.number = number


class LineReader:
    """Makes requests of lines; each has a ``custom_id``, ``request-N`` by the line's number if it has none of its own.

    Args:
        template: A prompt with fields in braces, such as ``"Translate: {text}"``, filled from each line's columns or
            JSON fields; None where lines hold ``messages``, or are of the Batch format.
        system: Instructions that go above each such prompt.
    """

    def __init__(self, template: str | None = None, system: str | None = None) -> None:
        self._template = template
        self._above = [] if system is None else [{"role": "system", "content": system}]

    def json(self, line: bytes, number: int) -> dict[str, Any] | None:
        """Return the request of a JSON line; None if the line is blank.

        Raises:
            LineError: If it is none.
        """
        text = line.strip().removeprefix(b"\xef\xbb\xbf")
        if not text:
            return None
        try:
            item: object = _decode(text)
        except (msgspec.DecodeError, RecursionError) as exc:
            raise LineError(f"line {number} is not JSON: {exc}", number=number) from None
        if not is_object(item):
            raise LineError(f"line {number} is no JSON object", number=number)
        return self.row(item, number)

    def row(self, row: Mapping[str, Any], number: int) -> dict[str, Any]:
        """Return the request of a line's columns or fields.

        Raises:
            LineError: If a field is missing, or there is nothing to ask.
        """
        named = {"custom_id": f"request-{number}"}
        if self._template is None:
            if "messages" not in row and "body" not in row:
                raise LineError(f"line {number} has neither messages nor body, and there is no --prompt", number=number)
            return {**named, **row}
        messages = [*self._above, {"role": "user", "content": filled(self._template, row, number)}]
        if row.get("custom_id"):
            named["custom_id"] = str(row["custom_id"])
        return {**named, "messages": messages}

    def lines(
        self, lines: Iterable[bytes], on_bad: Callable[[LineError], None], *, first: int = 1
    ) -> Iterator[dict[str, Any]]:
        """Iterate over the requests of JSON *lines*, whose numbers begin with *first*; bad ones go to *on_bad*."""
        for number, line in enumerate(lines, first):
            try:
                request = self.json(line, number)
            except LineError as error:
                on_bad(error)
            else:
                if request is not None:
                    yield request

    def table(
        self, lines: Iterable[str], on_bad: Callable[[LineError], None], *, delimiter: str = ","
    ) -> Iterator[dict[str, Any]]:
        """Iterate over the requests of a table with a header; bad lines go to *on_bad*."""
        rows = csv.DictReader(lines, delimiter=delimiter)
        while True:
            try:
                row = next(rows)
                request = self.row({str(name): value for name, value in row.items()}, rows.line_num)
            except StopIteration:
                return
            except csv.Error as exc:
                on_bad(LineError(f"line {rows.line_num}: {exc}", number=rows.line_num))
            except LineError as error:
                on_bad(error)
            else:
                yield request


def filled(template: str, row: Mapping[str, Any], number: int) -> str:
    """Return *template* with its fields filled; ``{{`` and ``}}`` stand for braces.

    Raises:
        LineError: If *row* has no such field.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name is None:
            return match[0][0]
        if name not in row or row[name] is None:
            known = ", ".join(map(str, row))[:MAX_SHOWN]
            raise LineError(f"line {number} has no field {name!r}, it has {known or 'none'}", number=number)
        return str(row[name])

    return _FIELD.sub(value, template)
