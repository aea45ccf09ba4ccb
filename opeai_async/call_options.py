"""What a call may be given: the parameters of the API, and options of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict, TypeVar, cast

from opeai_async._core.dialect import DialectMode
from opeai_async._core.redact import hidden_values
from opeai_async._core.think import ReasoningTags
from opeai_async._core.timeouts import Timeouts
from opeai_async.errors import ConfigurationError
from opeai_async.types.request import CompletionParams, ResponseFormatParam, SharedParams, UnformattedParams

T = TypeVar("T")

OnTruncated = Literal["raise", "return"]
OutputMode = Literal["json_schema", "json_object", "tool"]
ON_TRUNCATED: tuple[OnTruncated, ...] = ("raise", "return")
DIALECTS: tuple[DialectMode, ...] = ("repair", "strict")
REASONING_TAGS: tuple[ReasoningTags, ...] = ("none", "think", "open")


class CallOptions(TypedDict, total=False):
    """What a call may set beside the API's own parameters.

    Attributes:
        extra_body: Fields added to the body, or put in place of others, unchecked.
        extra_headers: Headers added to the client's, or put in their place.
        extra_query: Parameters added to the URL.
        timeouts: Limits in place of the client's, where set.
        max_retries: Tries after the first one, in place of the client's.
        dialect: ``"repair"`` or ``"strict"``, in place of the client's.
        on_truncated: ``"raise"`` or ``"return"``, in place of the client's.
        reasoning_tags: ``"none"``, ``"think"`` or ``"open"``, in place of the client's.
    """

    extra_body: Mapping[str, object] | None
    extra_headers: Mapping[str, str] | None
    extra_query: Mapping[str, str] | None
    timeouts: Timeouts | None
    max_retries: int | None
    dialect: DialectMode
    on_truncated: OnTruncated
    reasoning_tags: ReasoningTags


class CreateParams(CompletionParams, CallOptions):
    """Every keyword of ``create`` but ``stream`` and the types."""


class ParseParams(UnformattedParams, CallOptions):
    """The same for ``parse``, whose ``response_format`` is a Python type."""


class RunParams(SharedParams, CallOptions, total=False):
    """The same for ``run``, whose ``tools`` may be functions."""

    response_format: ResponseFormatParam | None


ParamsT = TypeVar("ParamsT", CreateParams, ParseParams, RunParams)


_OPTION_NAMES = frozenset(CallOptions.__annotations__)


def split_params(params: CreateParams) -> tuple[dict[str, Any], CallOptions]:
    """The API's parameters, and the call's options."""
    fields = dict(params)
    options = {name: fields.pop(name) for name in _OPTION_NAMES & fields.keys()}
    return fields, cast("CallOptions", options)


def hidden_params(params: ParamsT) -> ParamsT:
    """*params* with headers that no repr shows: traceback printers show locals, and some servers take a key there."""
    headers = params.get("extra_headers")
    return params if not headers else cast("ParamsT", {**params, "extra_headers": hidden_values(headers)})


def one_of(name: str, value: T, allowed: tuple[T, ...]) -> T:
    """*value*, if it is allowed; else a ``ConfigurationError`` names those that are."""
    if value not in allowed:
        raise ConfigurationError(f"{name} is {value!r}, expected one of {', '.join(map(repr, allowed))}")
    return value
