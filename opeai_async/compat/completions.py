"""``client.chat.completions`` of openai's client, over ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, cast

import openai
from openai._legacy_response import LegacyAPIResponse
from openai._models import FinalRequestOptions
from openai.lib._parsing import parse_chat_completion, type_to_response_format_param, validate_input_tools
from openai.resources.chat import AsyncChat, AsyncCompletions
from openai.resources.chat.completions.completions import validate_response_format
from openai.types.chat import ChatCompletion
from pydantic import BaseModel

from opeai_async._core.call.timeouts import Timeouts, as_timeouts
from opeai_async.compat.chunks import to_openai_completion
from opeai_async.compat.errors import to_openai_error
from opeai_async.compat.http import httpx
from opeai_async.compat.stream import Stream
from opeai_async.errors import OpeAIError
from opeai_async.types.meta import ResponseMeta

RAW_HEADER = "X-Stainless-Raw-Response"
# Ours are better: they say what really comes.
_OWN_HEADERS = frozenset({"accept", "content-type", "user-agent"})


class Chat(AsyncChat):
    """``client.chat``."""

    _client: Any  # an AsyncOpenAI of compat.client, which imports this

    @cached_property
    def completions(self) -> Completions:  # pyright: ignore[reportIncompatibleMethodOverride]
        """What is asked and answered over this package."""
        return Completions(self._client)


class Completions(AsyncCompletions):
    """openai's ``chat.completions``; stored completions, and raw streaming responses, are openai's own."""

    _client: Any

    async def create(self, **params: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Ask for an answer, as openai's method of this name does, with its parameters, types and errors."""
        raw = raw_mode(params.get("extra_headers"))
        if not is_ours(self._client, raw):
            theirs: Any = super().create
            return await theirs(**params)
        validate_response_format(params.get("response_format"))
        call = _Call(self._client, params)
        try:
            await call.log_in()
            answer = await call.send()
        except OpeAIError as exc:
            raise to_openai_error(exc, self._client, call.request) from exc
        if call.is_stream:
            response = call.response(answer.meta)
            value: Any = Stream(answer, self._client, response)
        else:
            response, value = call.response(answer.meta), to_openai_completion(answer)
        return value if raw is None else RawResponse(value, response, self._client, answer.meta)

    async def parse(self, *, response_format: Any = openai.omit, tools: Any = openai.omit, **params: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Ask for a value of a pydantic model, as openai's method of this name does."""
        if raw_mode(params.get("extra_headers")) or self._client.has_own_transport:
            return await super().parse(response_format=response_format, tools=tools, **params)
        checked = validate_input_tools(tools)
        asked = type_to_response_format_param(response_format)
        completion = await self.create(**params, response_format=asked, tools=tools, stream=False)
        return parse_chat_completion(response_format=response_format, chat_completion=completion, input_tools=checked)


def raw_mode(headers: Any) -> str | None:
    """Return how openai wants the response raw: None for not, ``"stream"`` for unread."""
    return _mapping(headers).get(RAW_HEADER)


def is_ours(client: Any, raw: str | None) -> bool:
    """Tell whether a call goes over this package, and not over openai's transport."""
    return raw != "stream" and not client.has_own_transport


class RawResponse(LegacyAPIResponse[Any]):
    """What ``with_raw_response`` returns: the head of what answered; ``parse()`` is the answer."""

    def __init__(self, value: Any, response: httpx.Response, client: Any, meta: ResponseMeta) -> None:
        super().__init__(
            raw=response,
            cast_to=ChatCompletion,
            client=client,
            stream=isinstance(value, Stream),
            stream_cls=None,
            options=FinalRequestOptions(method="post", url="/chat/completions"),
            retries_taken=max(0, len(meta.attempts) - 1),
        )
        self._value = value

    def parse(self, *, to: type[Any] | None = None) -> Any:
        """Return the completion, or the stream."""
        return self._value


class _Call:
    """One call, from openai's parameters to ours."""

    def __init__(self, client: Any, params: Mapping[str, Any]) -> None:
        self._client = client
        fields = {name: value for name, value in params.items() if _is_given(value)}
        self.is_stream = bool(fields.pop("stream", False))
        headers = {**_mapping(client.default_headers), **_mapping(fields.pop("extra_headers", None))}
        self._headers: dict[str, str] = {
            name: str(value)
            for name, value in headers.items()
            if _is_given(value) and name.lower() not in _OWN_HEADERS and name != RAW_HEADER
        }
        query = {**_mapping(client.default_query), **_mapping(fields.pop("extra_query", None))}
        self._query: dict[str, str] = {name: str(value) for name, value in query.items() if _is_given(value)}
        self._timeout = fields.pop("timeout", client.timeout)
        more = _mapping(fields.pop("extra_body", None))
        self._body: dict[str, Any] = {**{name: _plain(value) for name, value in fields.items()}, **more}
        self.request = httpx.Request("POST", f"{client.base_url}chat/completions")

    async def log_in(self) -> None:
        """Put the key into the headers, asking for it where it is a function."""
        await self._client._refresh_api_key()
        if not any(name.lower() == "authorization" for name in self._headers):
            self._headers.update(self._client.auth_headers)

    async def send(self) -> Any:
        """Return the completion, or the open stream."""
        # openai knows one clock, for the silence between two bytes; None is none.
        none = Timeouts(response_headers_s=None, first_content_s=None, idle_bytes_s=None, idle_content_s=None)
        timeouts = none if self._timeout is None else _timeouts(self._timeout)
        create: Any = self._client.engine.chat.completions.create
        # All in extra_body: openai checks no ranges, and sends what it does not know.
        return await create(
            stream=self.is_stream,
            extra_body=self._body,
            extra_headers=self._headers,
            extra_query=self._query,
            timeouts=timeouts,
            max_retries=self._client.max_retries,
        )

    def response(self, meta: ResponseMeta) -> httpx.Response:
        """Return the head of what answered."""
        # The length and the coding are those of a body that was read.
        headers = {
            name: value for name, value in meta.headers.items() if not name.startswith(("content-l", "transfer"))
        }
        return httpx.Response(meta.status_code, headers=headers, request=self.request)


def _timeouts(timeout: Any) -> Any:
    """Return openai's timeout as ours: a number is for each wait, as there, and not for the whole call."""
    if isinstance(timeout, (int, float)):
        waits = dict.fromkeys(("connect_s", "pool_s", "response_headers_s", "first_content_s", "idle_bytes_s"), timeout)
        return Timeouts(**waits)
    return as_timeouts(timeout, "timeout")


def _is_given(value: object) -> bool:
    return not isinstance(value, (openai.NotGiven, openai.Omit))


def _mapping(value: Any) -> dict[str, Any]:
    """Return *value* as a dict, empty where nothing was given."""
    return dict(value) if value and _is_given(value) else {}


def _plain(value: Any) -> Any:
    """Return *value* without openai's models, whose unset fields are not sent."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        return {name: _plain(item) for name, item in fields.items() if _is_given(item)}
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        return [_plain(item) for item in cast("list[Any]", value)]
    return value
