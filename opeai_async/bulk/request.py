"""One request of a bulk run, out of what a user gives."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, TypeGuard

import msgspec
from msgspec import Struct

from opeai_async._core.call.encode import as_builtin
from opeai_async.errors import RequestValidationError

ENDPOINT = "/v1/chat/completions"
DIGEST_BYTES = 9
DIGEST_CHARS = DIGEST_BYTES * 4 // 3
KEY_CHARS = 2 * DIGEST_CHARS

_BATCH_FIELDS = frozenset({"body", "custom_id", "method", "url"})
_TEXTS = frozenset({str})
# They do not change what is asked, and headers may hold a key.
_NOT_ASKED = frozenset({"extra_headers", "timeouts", "max_retries"})
_encode = msgspec.json.Encoder(order="deterministic", enc_hook=as_builtin).encode


class Job(Struct, frozen=True, gc=False):
    """A request that is to be run.

    Attributes:
        index: Its place in the input.
        custom_id: Its name.
        params: What is asked, with the defaults.
        key: Digests of the name and of the request, ``KEY_CHARS`` of ASCII; empty where nobody needs them.
        size: Bytes of the request, where that is known; else 0.
        note: What to say in its result.
    """

    index: int
    custom_id: str
    params: dict[str, Any]
    key: bytes = b""
    size: int = 0
    note: str | None = None

    @property
    def asked(self) -> bytes:
        """The digest of the request, without the name."""
        return self.key[DIGEST_CHARS:]


class RequestReader:
    """Makes jobs of parameters, messages or Batch lines.

    Args:
        defaults: What all requests share; a request's own parameters go before them.
        salt: What else the answers depend on.
        has_keys: Whether jobs have a key and a size.
        has_type: Whether the answers are of one Python type, so that no request may have a format of its own.
    """

    def __init__(
        self, defaults: Mapping[str, Any], *, salt: bytes = b"", has_keys: bool = False, has_type: bool = False
    ) -> None:
        self._defaults = dict(defaults)
        self._salt = salt
        self._has_keys = has_keys
        self._has_type = has_type

    def read(self, item: object, index: int) -> Job:
        """Return the job that *item* is.

        Args:
            item: Parameters of a call, with an optional ``custom_id``; or a line of the Batch format, decoded.
            index: Its place in the input.

        Raises:
            RequestValidationError: If it is neither, or cannot be sent as JSON.
        """
        if not _is_mapping(item):
            raise RequestValidationError(
                f"request {index} is of the type {type(item).__name__}, expected a dict of parameters",
                hint="give parameters such as {'messages': [...]}, or lines of the Batch format",
            )
        own: Mapping[Any, Any] = _body(item, index) if "body" in item else item
        if not _TEXTS.issuperset(map(type, own)) and not all(isinstance(name, str) for name in own):
            raise RequestValidationError(f"request {index} has a name that is no text, expected names of parameters")
        params: dict[str, Any] = {**self._defaults, **own}
        if "stream" in params and params.pop("stream"):
            raise RequestValidationError(
                f"request {index}: stream is True, expected none: answers of a bulk run are awaited whole",
                field="stream",
            )
        if self._has_type and "response_format" in own:
            raise RequestValidationError(
                f"request {index} has a response_format, and all requests were given one", field="response_format"
            )
        custom_id = params.pop("custom_id", None) if own is item else item.get("custom_id")
        name = str(index) if custom_id is None else _name(custom_id, index)
        if not self._has_keys:
            return Job(index, name, params)
        asked = params
        if not _NOT_ASKED.isdisjoint(params):
            asked = {name: value for name, value in params.items() if name not in _NOT_ASKED}
        try:
            body = _encode(asked)
        except (TypeError, ValueError, RecursionError, OverflowError) as exc:
            raise RequestValidationError(f"request {index} cannot be sent as JSON: {exc}") from None
        return Job(index, name, params, key_of(name, self._salt + body), len(body))


def key_of(name: str, asked: bytes) -> bytes:
    """Return ``KEY_CHARS`` that stand for a request: 12 for its *name*, and 12 for what is *asked*."""
    # Cut here, and not by `digest_size`, which takes longer to parse than a short text to hash.
    named = blake2b(name.encode("utf-8", "surrogatepass")).digest()[:DIGEST_BYTES]
    digests = named + blake2b(asked).digest()[:DIGEST_BYTES]
    return b2a_base64(digests, newline=False)  # nine bytes are twelve characters, wherever they stand


def _body(item: Mapping[Any, Any], index: int) -> Mapping[Any, Any]:
    body = item["body"]
    if not _is_mapping(body):
        raise RequestValidationError(f"request {index}: body is of the type {type(body).__name__}, expected a dict")
    if unknown := item.keys() - _BATCH_FIELDS:
        raise RequestValidationError(
            f"request {index} has {min(unknown)!r} beside its body, expected the Batch format: "
            "custom_id, method, url, body"
        )
    method, url = item.get("method", "POST"), item.get("url", ENDPOINT)
    if method != "POST" or url != ENDPOINT:
        raise RequestValidationError(
            f"request {index} is for {method} {url}, expected POST {ENDPOINT}", hint="only chat completions can be run"
        )
    return body


def _name(custom_id: object, index: int) -> str:
    if isinstance(custom_id, bool) or not isinstance(custom_id, (str, int)):
        raise RequestValidationError(
            f"request {index}: custom_id is of the type {type(custom_id).__name__}, expected text", field="custom_id"
        )
    return str(custom_id)


def _is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, (dict, Mapping))  # for dicts much sooner than by Mapping alone
