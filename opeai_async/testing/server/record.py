"""The record of one request: it proves what a client sent, on which connection, and how the exchange ended."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Literal, TypeAlias, cast

import msgspec

Outcome: TypeAlias = Literal["live", "completed", "cut", "dropped", "client_gone", "server_closed"]
"""The state of an exchange, ``live`` or how it ended.

- ``live``: still being answered.
- ``completed``: the last byte was handed to the socket. A short stream completes at once, because the system buffers
  it, even if the client goes away after its first chunk; use `stall` or a token delay to see the client leave.
- ``cut``: the server broke the body off, because the script said so.
- ``dropped``: the server closed the connection without a response, because the script said so.
- ``client_gone``: the client closed the connection before the answer was out.
- ``server_closed``: the server itself was closed.
"""


class Headers(Mapping[str, str]):
    """The header fields by name, in any case; the values of a repeated one are joined by ``", "``."""

    def __init__(self, pairs: Iterator[tuple[str, str]]) -> None:
        self._fields: dict[str, str] = {}
        for name, value in pairs:
            key = name.lower()
            self._fields[key] = f"{self._fields[key]}, {value}" if key in self._fields else value

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Headers({sorted(self._fields)})"


class RecordedRequest:
    """One request, and the course of its answer.

    Attributes:
        index: Its place in ``server.requests``.
        method, path: Method and path of the request line, without the query.
        query: The query string, without the question mark.
        headers: The header fields, by name in any case.
        body: The bytes of the body.
        connection: The number of the TCP connection it came on, from 1. Equal numbers prove reuse.
        request_id: The ``x-request-id`` of the answer.
        status: HTTP status of the answer; None until its head is sent.
        outcome: The state of the exchange; see `Outcome`.
        chunks_sent: The number of whole chunks that were sent: events of a stream (without ``[DONE]``), items of raw
            bytes, 1 for JSON.
        error: The error that a handler raised; None if it did not.
        started_s, ended_s: `time.monotonic` when it was received, and when it was over; None until then.
    """

    def __init__(
        self, *, index: int, method: str, path: str, query: str, headers: Headers, body: bytes, connection: int
    ) -> None:
        self.index = index
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.connection = connection
        self.request_id: str = f"req_{index + 1:08d}"
        self.status: int | None = None
        self.outcome: Outcome = "live"
        self.chunks_sent = 0
        self.error: Exception | None = None
        self.started_s: float = time.monotonic()
        self.ended_s: float | None = None

    @cached_property
    def json(self) -> dict[str, Any]:
        """The decoded body; empty if it is not a JSON object."""
        try:
            value = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return {}
        return cast("dict[str, Any]", value) if isinstance(value, dict) else {}

    @property
    def is_over(self) -> bool:
        """True once the exchange has ended, in any way."""
        return self.outcome != "live"

    def end(self, outcome: Outcome) -> None:
        """Note how it ended; called by the server. The first call counts."""
        # A connection that the script cut is lost a moment later, and that is not the client's doing.
        if not self.is_over:
            self.outcome = outcome
            self.ended_s = time.monotonic()

    def __repr__(self) -> str:
        return f"<RecordedRequest {self.index} {self.method} {self.path}: {self.status} {self.outcome}>"
