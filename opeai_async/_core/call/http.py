"""The only values that cross between the floor that decides and the floor that awaits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import msgspec
from msgspec import Struct

from opeai_async._core.call.redact import redact

_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-amzn-requestid", "cf-ray")


def _never() -> bool:
    return False


class Request(Struct, frozen=True):
    """One HTTP request, ready to send.

    Attributes:
        url: Absolute, with the query; that is not in the repr, because some servers take a key there.
        headers: Complete; not in the repr, because one of them holds the key.
        body: The encoded JSON; not in the repr, because it holds the prompt.
        secrets: The keys among the headers: no error or log may show them.
        wants_stream: Whether an event stream was asked for.
        head_s: Seconds to wait for the response's head once the connection is there.
        is_held: Tells whether a pause has begun since, so that a request that had to wait for a slot does not go out.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    secrets: frozenset[str] = frozenset()
    wants_stream: bool = False
    head_s: float = math.inf
    is_held: Callable[[], bool] = _never

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.url.partition('?')[0]}>"


class ResponseHead(Struct, frozen=True):
    """Status and headers of a response.

    Attributes:
        host: The host that answered, for messages.
        headers: Names in lower case; repeated ones joined by ``", "``.
    """

    status: int
    host: str = ""
    headers: dict[str, str] = msgspec.field(default_factory=dict[str, str])

    @property
    def request_id(self) -> str | None:
        """The server's id for this request, under whichever name it goes."""
        for name in _REQUEST_ID_HEADERS:
            if value := self.headers.get(name):
                return redact(value)
        return None

    @property
    def content_type(self) -> str | None:
        """The media type in lower case and without parameters, or None."""
        value = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        return value or None
