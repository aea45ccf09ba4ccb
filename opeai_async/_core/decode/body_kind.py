"""What kind of body a 200 brought, decided by its first bytes: gateways lie in both content-type and ``stream``."""

from __future__ import annotations

from enum import Enum
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from opeai_async._core.call.http import ResponseHead
from opeai_async._core.call.send_back import as_it_came, flattened
from opeai_async._core.decode.decoder import decode_completion
from opeai_async._core.dialect.api_errors import excerpt, page_title
from opeai_async._core.dialect.dialect import Dialect
from opeai_async._core.json import JSONObject, is_array, is_object
from opeai_async._core.sse import BOM
from opeai_async.errors import InvalidResponseError
from opeai_async.types.completion import ChatCompletion

CompletionT = TypeVar("CompletionT", bound=ChatCompletion)

_PAGE_HINT = (
    "a web page answered: base_url points at a site and not at the API's root, such as https://host/v1, or a login "
    "page or a filter of this network came in between"
)


class BodyKind(Enum):
    """What the first bytes say."""

    JSON = "JSON"
    EVENTS = "an event stream"
    MARKUP = "HTML"


# On CPython 3.11, a look into an Enum is a call.
_JSON, _EVENTS, _MARKUP = BodyKind.JSON, BodyKind.EVENTS, BodyKind.MARKUP


def kind_of(prefix: bytes) -> BodyKind | None:
    """The kind of the body that begins with *prefix*; None while there is only white space, or half a BOM."""
    if prefix.startswith(b"data:"):  # as nearly all do
        return _EVENTS
    if len(prefix) < len(BOM) and BOM.startswith(prefix):
        return None
    start = prefix.removeprefix(BOM).lstrip(b" \t\r\n")[:1]
    if not start:
        return None
    if start in b"{[":
        return _JSON
    return _MARKUP if start == b"<" else _EVENTS


def invalid_response(head: ResponseHead, body: bytes, why: str) -> InvalidResponseError:
    """The error for a response that is not this API's."""
    encoding = head.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in _DECODED:
        why = f"{why} in the encoding {encoding!r}, which was not asked for"
    title = page_title(body)
    content_type = head.content_type or "missing"
    return InvalidResponseError(
        f"HTTP {head.status} from {head.host} with content-type {content_type}: {why}{title and f' ({title})'}",
        status_code=head.status,
        content_type=head.content_type,
        excerpt=excerpt(body),
        request_id=head.request_id,
        hint=_PAGE_HINT if kind_of(body) is BodyKind.MARKUP else None,
    )


def not_followed(head: ResponseHead) -> InvalidResponseError:
    """The error for a redirect, or another status that calls for something else than an answer."""
    location = head.headers.get("location", "")
    if not location:
        return invalid_response(head, b"", "expected an answer")
    host = _netloc(location).rpartition("@")[2] or head.host
    return InvalidResponseError(
        f"HTTP {head.status} from {head.host}: a redirect to {host!r} was not followed",
        status_code=head.status,
        content_type=head.content_type,
        excerpt="",
        request_id=head.request_id,
        hint="set base_url to where the API really is; the prompt and the key are not sent to another place",
    )


def _netloc(location: str) -> str:
    try:
        return urlsplit(location).netloc
    except ValueError:  # it is malformed
        return ""


def content_length(head: ResponseHead) -> int:
    """Return the length that *head* announces, in bytes; 0 if it announces none."""
    value = head.headers.get("content-length", "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 19 else 0


def too_large_body(head: ResponseHead, size: int, limit: int) -> InvalidResponseError:
    """Return the error for a JSON body that is not read, because it is announced to be too large."""
    return invalid_response(head, b"", f"the body is announced with {size} bytes, expected no more than {limit}")


_DECODED = ("", "identity", "gzip", "deflate")


def decode_json(head: ResponseHead, body: bytes, completion_type: type[CompletionT], dialect: Dialect) -> CompletionT:
    """The answer in a body that should be JSON.

    Raises:
        StreamServerError: If the body reports an error.
        InvalidResponseError: If it is no answer.
    """
    kind = kind_of(body)
    if kind is not BodyKind.JSON:
        found = "an empty body" if kind is None else kind.value
        raise invalid_response(head, body, f"expected a JSON object, got {found}")
    body = body.removeprefix(BOM)
    if (before := _before_done(body)) is not None:
        dialect.note("done_after_json")
        body = before
    try:
        return decode_completion(body, completion_type, dialect)
    except InvalidResponseError as exc:
        raise invalid_response(head, body, exc.message) from None


def _before_done(body: bytes) -> bytes | None:
    """Return what stands before a ``data: [DONE]`` at the end of *body*; None if it does not end so.

    Compared from the end: a search for it looks at every byte, which took a quarter of the time of a whole request.
    """
    whole = body.rstrip()
    if not whole.endswith(b"[DONE]"):
        return None
    before = whole.removesuffix(b"[DONE]").rstrip()
    return before.removesuffix(b"data:") if before.endswith(b"data:") else None


def as_one_chunk(completion: ChatCompletion) -> bytes:
    """*completion* as the only event of a stream, for servers which ignore ``stream``."""
    body: JSONObject = {**on_the_wire(completion), "object": "chat.completion.chunk"}
    for choice in body["choices"]:
        delta = choice["delta"] = choice.pop("message")
        calls = delta.get("tool_calls")
        for position, call in enumerate(calls if is_array(calls) else ()):
            if is_object(call):  # else it is what could not be read as a call
                call["index"] = position
    return msgspec.json.encode(body)


def on_the_wire(completion: ChatCompletion) -> JSONObject:
    """*completion* as a server would send it, with the zeros that Structs leave out.

    Reasoning has the name and the form it came in, and so have blocks of content: the second reading finds them again.
    """
    body: JSONObject = {"choices": [], **flattened(completion)}
    for choice, parsed in zip(body["choices"], completion.choices, strict=True):
        choice.setdefault("index", 0)
        choice["message"] = as_it_came(parsed.message)
    if completion.usage is not None:
        body["usage"] = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, **body["usage"]}
    return body
