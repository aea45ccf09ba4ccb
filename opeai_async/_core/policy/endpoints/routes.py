"""A call that any of several endpoints may get: what was asked, prepared for whichever is chosen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec

from opeai_async._core.call.params import CreateParams
from opeai_async._core.call.prepare import CallDefaults, PreparedCall, prepare
from opeai_async._core.json import is_array, is_object
from opeai_async._core.policy.endpoints.going_on import Way, params_of
from opeai_async.types.completion import ChatCompletion

_LISTS = ("messages", "tools", "functions", "modalities")


class GoingOn(msgspec.Struct, frozen=True):
    """An answer that broke off, and how an endpoint is asked to go on with it."""

    way: Way
    answer: ChatCompletion


class RoutedCall(PreparedCall, frozen=True, kw_only=True):
    """A call that any of several endpoints may get; its own request, to none of them in particular, has been checked.

    Attributes:
        routes: What the client has settled for calls to each endpoint.
        params: What was asked; no iterator is among it, since it may be read more than once.
        wants_stream: Whether to ask for a stream.
        wants_usage: Whether to ask for usage in the stream.
    """

    routes: tuple[CallDefaults, ...]
    params: dict[str, Any]
    wants_stream: bool
    wants_usage: bool

    @property
    def key(self) -> str | None:
        """What calls that belong together have in common."""
        key = self.params.get("prompt_cache_key") or self.params.get("user")
        return key if isinstance(key, str) else None

    def prepared_for(self, index: int, going_on: GoingOn | None = None) -> PreparedCall:
        """Return the call as the endpoint at *index* gets it."""
        params = self.params if going_on is None else params_of(going_on.way, self.params, going_on.answer)
        return prepare(
            self.routes[index], cast("CreateParams", params), stream=self.wants_stream, usage=self.wants_usage
        )

    @property
    def model(self) -> str:
        """The model, by the caller's name."""
        return str(self.params.get("model"))

    def needs(self) -> frozenset[str]:
        """Return what an endpoint must be capable of."""
        found = {
            "tools": bool(self.params.get("tools")),
            "json_schema": _format_of(self.params) == "json_schema",
            "vision": _has_picture(self.params.get("messages")),
        }
        return frozenset(name for name, is_needed in found.items() if is_needed)

    def suits(self, missing: frozenset[str]) -> bool:
        """Tell whether an endpoint that is known to lack *missing* may do what is asked."""
        return not missing or not missing & self.needs()

    def tokens(self) -> float:
        """Return a guess of the tokens that it costs: four bytes each, and what the answer may have."""
        most = self.params.get("max_completion_tokens") or self.params.get("max_tokens") or 0
        return len(self.request.body) / 4 + float(most)

    def __repr__(self) -> str:
        return f"<RoutedCall {self.request!r}>"


def routed(defaults: CallDefaults, params: CreateParams, *, stream: bool, usage: bool) -> RoutedCall:
    """Check *params* and prepare them for any endpoint.

    Raises:
        RequestValidationError, ConfigurationError: As ``prepare`` does.
    """
    kept: dict[str, Any] = dict(params)
    for name in _LISTS:
        value: object = kept.get(name)
        if isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping, list)):
            kept[name] = list(cast("Iterable[object]", value))
    call = prepare(defaults, cast("CreateParams", kept), stream=stream, usage=usage)
    asked = msgspec.structs.replace(call.asked, params={**call.asked.params, "model": kept.get("model")})
    return RoutedCall(
        call.request,
        call.limits,
        call.policy,
        call.reading,
        asked,  # by the caller's name of the model, since each endpoint may have its own
        routes=defaults.routes,
        params=kept,
        wants_stream=stream,
        wants_usage=usage,
    )


def _format_of(params: Mapping[str, Any]) -> str | None:
    wanted = params.get("response_format")
    kind = wanted.get("type") if is_object(wanted) else getattr(getattr(wanted, "__struct_config__", None), "tag", None)
    return kind if isinstance(kind, str) else None


def _has_picture(messages: object) -> bool:
    if not is_array(messages):
        return False
    for message in messages:
        content = message.get("content") if is_object(message) else getattr(message, "content", None)
        if is_array(content) and any(_is_picture(part) for part in content):
            return True
    return False


def _is_picture(part: object) -> bool:
    kind = part.get("type") if is_object(part) else getattr(getattr(part, "__struct_config__", None), "tag", None)
    return kind == "image_url"
