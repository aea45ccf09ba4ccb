"""A stream of openai's chunks over one of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import openai
from openai.types.chat import ChatCompletionChunk

from opeai_async._chat.stream import ChatCompletionStream
from opeai_async.compat.chunks import to_openai_chunk
from opeai_async.compat.errors import to_openai_error
from opeai_async.compat.http import httpx
from opeai_async.errors import OpeAIError


class Stream(openai.AsyncStream[ChatCompletionChunk]):
    """The chunks of one answer, in openai's types; ``response`` has status and headers of what answered."""

    def __init__(self, stream: ChatCompletionStream[Any], client: openai.AsyncOpenAI, response: httpx.Response) -> None:
        # Not openai's own, which begins to decode the response.
        self.response = response
        self._ours = stream
        self._chunks = stream.__aiter__()
        self._openai_client = client

    async def __anext__(self) -> ChatCompletionChunk:
        try:
            return to_openai_chunk(await self._chunks.__anext__())
        except OpeAIError as exc:
            raise to_openai_error(exc, self._openai_client, self.response.request) from exc

    def __aiter__(self) -> AsyncIterator[ChatCompletionChunk]:
        return self

    async def close(self) -> None:
        """Close the stream, and with it the upstream."""
        await self._ours.aclose()
