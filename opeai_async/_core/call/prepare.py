"""Turn what a caller gave into what is sent, and into how its answer is read. Nothing is sent here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec

from opeai_async._core.call.encode import encode_request
from opeai_async._core.call.http import Request
from opeai_async._core.call.params import CreateParams, ReadOptions, choices_asked, one_of, split_params
from opeai_async._core.call.redact import secrets_in
from opeai_async._core.call.retry import RetryPolicy
from opeai_async._core.call.settings import check_headers, merged_headers
from opeai_async._core.call.timeouts import Limits, Timeouts, resolve
from opeai_async.errors import ConfigurationError
from opeai_async.types.options import DIALECTS, ON_TRUNCATED, REASONING_TAGS


class CallDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """What a client has settled for all of its calls.

    Attributes:
        url: Of the endpoint, with the client's own query.
        headers: By whether the call asks for a stream.
        secrets: Texts that must not appear in an error, a log or a repr.
        reading: How answers are read, where a call does not choose otherwise.
    """

    url: str
    headers: Mapping[bool, Mapping[str, str]]
    secrets: frozenset[str]
    timeouts: Timeouts
    retry: RetryPolicy
    reading: ReadOptions


class Asked(msgspec.Struct, frozen=True):
    """What a call was given, as far as those who listen may be told of it.

    Attributes:
        params: Parameters of the request.
        extra_body: Fields added to them, or put in their place.
        conversation_id: The call's option of that name.
    """

    params: Mapping[str, Any]
    extra_body: Mapping[str, Any] | None = None
    conversation_id: str | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"  # it holds the prompt


class PreparedCall(msgspec.Struct, frozen=True):
    """A call that is checked and encoded; an exchange sends it."""

    request: Request
    limits: Limits
    policy: RetryPolicy
    reading: ReadOptions
    asked: Asked


def prepare(defaults: CallDefaults, params: CreateParams, *, stream: bool, usage: bool = False) -> PreparedCall:
    """Check *params* against the API and the call's options, and encode them.

    Raises:
        RequestValidationError: If a parameter is wrong.
        ConfigurationError: If an option cannot be used.
    """
    fields, options = split_params(params)
    headers, secrets = defaults.headers[stream], defaults.secrets
    if extra_headers := options.get("extra_headers"):
        headers = merged_headers(headers, check_headers(extra_headers, "extra_headers"))
        secrets |= secrets_in(headers)
    query = options.get("extra_query")
    request = Request(
        method="POST",
        url=_with_query(defaults.url, query) if query else defaults.url,
        headers=headers,
        body=encode_request(fields, stream=stream, include_usage=usage, extra_body=options.get("extra_body")),
        secrets=secrets,
        wants_stream=stream,
    )
    read = defaults.reading
    reading = msgspec.structs.replace(
        read,
        dialect=one_of("dialect", options.get("dialect", read.dialect), DIALECTS),
        on_truncated=one_of("on_truncated", options.get("on_truncated", read.on_truncated), ON_TRUNCATED),
        reasoning_tags=one_of("reasoning_tags", options.get("reasoning_tags", read.reasoning_tags), REASONING_TAGS),
        choices=choices_asked(fields, options),
    )
    limits = resolve(defaults.timeouts | options.get("timeouts"), stream=stream)
    policy = retry_policy(defaults.retry, options.get("max_retries"))
    asked = Asked(fields, options.get("extra_body"), options.get("conversation_id"))
    return PreparedCall(request, limits, policy, reading, asked)


def retry_policy(policy: RetryPolicy, max_retries: int | None) -> RetryPolicy:
    """Return *policy*, with *max_retries* if that is given."""
    if max_retries is None:
        return policy
    if max_retries < 0:
        raise ConfigurationError(f"max_retries is {max_retries}, expected 0 or more")
    return msgspec.structs.replace(policy, max_retries=max_retries)


def _with_query(url: str, query: Mapping[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(dict(query))}"
