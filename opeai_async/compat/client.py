"""openai's client whose chat completions run on ours."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

import openai
from openai.types.chat import ChatCompletion

from opeai_async._chat.client import AsyncOpeAI
from opeai_async.compat.completions import Chat, is_ours, raw_mode

# What `post` calls the options of `create`.
_POST_OPTIONS = {
    "extra_headers": "headers",
    "extra_query": "params",
    "extra_body": "extra_json",
    "timeout": "timeout",
}


class AsyncOpenAI(openai.AsyncOpenAI):
    """``openai.AsyncOpenAI``, with chat completions over `opeai_async`.

    Its arguments are openai's. With an ``http_client`` of your own, all calls go over that, as they do in openai.

    Attributes:
        has_own_transport: Whether an ``http_client`` was given.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.has_own_transport: bool = options.get("http_client") is not None
        self._shared: list[AsyncOpeAI] = []

    @property
    def engine(self) -> AsyncOpeAI:
        """The client that sends, and its connections; made for the first call, and shared with copies."""
        if not self._shared:
            # The key is given with each call, as it may change. openai sends to any http:// address.
            self._shared.append(AsyncOpeAI("-", base_url=str(self.base_url).rstrip("/"), allow_insecure_http=True))
        engine = self._shared[0]
        base_url = str(self.base_url).rstrip("/")
        return engine if engine.base_url == base_url else engine.with_options(base_url=base_url)

    @cached_property
    def chat(self) -> Chat:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Chat completions over this package."""
        return Chat(self)

    async def post(self, path: str, *, cast_to: Any, **options: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Send to any path, as openai does; completions, which litellm asks for in this way, go over this package."""
        body: Any = options.get("body")
        given: dict[str, Any] = options.get("options") or {}
        if path != "/chat/completions" or cast_to is not ChatCompletion or not isinstance(body, Mapping):
            return await super().post(path, cast_to=cast_to, **options)
        raw, parser = raw_mode(given.get("headers")), given.get("post_parser")
        if not is_ours(self, raw) or (raw and parser):
            return await super().post(path, cast_to=cast_to, **options)
        asked: dict[str, Any] = {ours: given[theirs] for ours, theirs in _POST_OPTIONS.items() if theirs in given}
        answer = await self.chat.completions.create(**{**body, "stream": options.get("stream", False), **asked})
        return parser(answer) if parser else answer

    def copy(self, **options: Any) -> Self:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return a client with other options, as openai does; it shares the connections."""
        other = super().copy(**options)
        other.has_own_transport = self.has_own_transport or options.get("http_client") is not None
        other._shared = self._shared
        return other

    with_options = copy

    async def close(self) -> None:
        """Close all connections, openai's and ours."""
        if self._shared:
            await self._shared[0].aclose()
        await super().close()
