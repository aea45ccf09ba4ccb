"""Turn what a caller gave into what is sent, and into how its answer is read. Nothing is sent here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from opeai_async._core.call.encode import encode_request
from opeai_async._core.call.http import Request
from opeai_async._core.call.params import (
    CallOptions,
    CreateParams,
    ListOptions,
    ReadOptions,
    audio_asked,
    choices_asked,
    one_of,
    split_params,
    usage_asked,
)
from opeai_async._core.call.redact import secrets_in
from opeai_async._core.call.retry import RetryPolicy
from opeai_async._core.call.settings import check_headers, merged_headers, with_query
from opeai_async._core.call.timeouts import Limits, Timeouts, chosen_timeouts, resolve
from opeai_async._core.policy.checks import checked_count, checked_mapping, checked_text
from opeai_async.types.options import DIALECTS, ON_TRUNCATED, REASONING_TAGS


class CallDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """What a client has settled for all of its calls.

    Attributes:
        url: Of the endpoint, with the client's own query.
        models_url: The same for the list of models.
        headers: By whether the call asks for a stream.
        secrets: Texts that must not appear in an error, a log or a repr.
        reading: How answers are read, where a call does not choose otherwise.
        model: What the endpoint calls the caller's models: a dict from one to the other, or one name for all.
        routes: The same for each of the client's endpoints, where it has several.
    """

    url: str
    models_url: str
    headers: Mapping[bool, Mapping[str, str]]
    secrets: frozenset[str]
    timeouts: Timeouts
    retry: RetryPolicy
    reading: ReadOptions
    model: str | Mapping[str, str] | None = None
    routes: tuple[CallDefaults, ...] = ()


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
    if defaults.model is not None and isinstance(model := fields.get("model"), str):
        fields["model"] = defaults.model if isinstance(defaults.model, str) else defaults.model.get(model, model)
    headers, secrets = defaults.headers[stream], defaults.secrets
    if extra_headers := options.get("extra_headers"):
        headers = merged_headers(headers, check_headers(extra_headers, "extra_headers"))
        secrets |= secrets_in(headers)
    query, extra_body, read = options.get("extra_query"), options.get("extra_body"), defaults.reading
    if extra_body is not None:
        extra_body = checked_mapping("extra_body", extra_body)
    dialect = one_of("dialect", options.get("dialect", read.dialect), DIALECTS)
    body = encode_request(fields, stream=stream, include_usage=usage, extra_body=extra_body, strict=dialect == "strict")
    request = Request(
        method="POST",
        url=with_query(defaults.url, query) if query else defaults.url,
        headers=headers,
        body=body,
        secrets=secrets,
        wants_stream=stream,
    )
    reading = msgspec.structs.replace(
        read,
        dialect=dialect,
        on_truncated=one_of("on_truncated", options.get("on_truncated", read.on_truncated), ON_TRUNCATED),
        reasoning_tags=one_of("reasoning_tags", options.get("reasoning_tags", read.reasoning_tags), REASONING_TAGS),
        choices=choices_asked(fields, options),
        wants_usage=stream and usage_asked(fields, options, by_default=usage),
        wants_audio=audio_asked(fields, options),
    )
    limits, policy = _limits_and_policy(defaults, options, stream=stream)
    if (conversation_id := options.get("conversation_id")) is not None:
        checked_text("conversation_id", conversation_id)
    asked = Asked(fields, options.get("extra_body"), conversation_id)
    return PreparedCall(request, limits, policy, reading, asked)


def prepare_list(defaults: CallDefaults, options: ListOptions) -> PreparedCall:
    """Check the *options* of a call for the list of models.

    Raises:
        ConfigurationError: If one cannot be used.
    """
    headers, secrets, url = defaults.headers[False], defaults.secrets, defaults.models_url
    if extra_headers := options.get("extra_headers"):
        headers = merged_headers(headers, check_headers(extra_headers, "extra_headers"))
        secrets |= secrets_in(headers)
    if (query := options.get("extra_query")) is not None:
        url = with_query(url, query)
    limits, policy = _limits_and_policy(defaults, options, stream=False)
    request = Request(method="GET", url=url, headers=headers, body=b"", secrets=secrets)
    return PreparedCall(request, limits, policy, defaults.reading, Asked({}, None, None))


def _limits_and_policy(
    defaults: CallDefaults, options: CallOptions | ListOptions, *, stream: bool
) -> tuple[Limits, RetryPolicy]:
    timeouts, timeout = options.get("timeouts"), options.get("timeout")
    changes = None if timeouts is None and timeout is None else chosen_timeouts(timeouts, timeout)
    limits = resolve(defaults.timeouts | changes, stream=stream)
    return limits, retry_policy(defaults.retry, options.get("max_retries"))


def retry_policy(policy: RetryPolicy, max_retries: object) -> RetryPolicy:
    """Return *policy*, with *max_retries* if that is given."""
    if max_retries is None:
        return policy
    return msgspec.structs.replace(policy, max_retries=checked_count("max_retries", max_retries, 0))
