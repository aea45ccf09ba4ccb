"""The least that a client of openai's types over this package can be: the measure for `opeai_async.compat`.

It builds openai's objects without validation, and knows nothing else: no errors, raw responses, options or other shapes
of chunks. Frameworks take it, because it is a subclass of openai's client.
"""

from __future__ import annotations

from typing import Any

import msgspec
import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import Choice, ChoiceDelta

from opeai_async import AsyncOpeAI

_set: Any = object.__setattr__
_EMPTY: dict[Any, dict[str, Any]] = {
    cls: dict.fromkeys(cls.model_fields) for cls in (ChatCompletionChunk, Choice, ChoiceDelta)
}


class Facade(openai.AsyncOpenAI):
    """openai's client whose ``chat.completions`` is on ours."""

    def __init__(self, *, api_key: str, base_url: str) -> None:
        super().__init__(api_key=api_key, base_url=base_url)
        self.fast = AsyncOpeAI(api_key, base_url=base_url)
        self.chat = type("Chat", (), {"completions": _Completions(self.fast)})()

    async def close(self) -> None:
        await self.fast.aclose()
        await super().close()


class _Completions:
    def __init__(self, client: AsyncOpeAI) -> None:
        self._client = client
        self.with_raw_response = type("Raw", (), {"create": self._raw})()

    async def create(self, **params: Any) -> Any:
        for name in ("timeout", "extra_headers", "extra_query"):
            params.pop(name, None)
        given = {name: value for name, value in params.items() if not isinstance(value, (openai.NotGiven, openai.Omit))}
        answer: Any = await self._client.chat.completions.create(**given)
        return _Stream(answer) if given.get("stream") else ChatCompletion.model_validate(msgspec.to_builtins(answer))

    async def _raw(self, **params: Any) -> Any:
        value = await self.create(**params)
        return type("Answer", (), {"headers": {}, "parse": lambda _: value})()


class _Stream:
    response = None

    def __init__(self, stream: Any) -> None:
        self._ours = stream
        self._chunks = stream.__aiter__()

    def __aiter__(self) -> _Stream:
        return self

    async def __anext__(self) -> Any:
        return _chunk(await self._chunks.__anext__())

    async def __aenter__(self) -> _Stream:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._ours.aclose()


def _chunk(chunk: Any) -> Any:
    if chunk.usage is not None or len(chunk.choices) != 1 or chunk.choices[0].delta.tool_calls:
        return ChatCompletionChunk.model_validate(msgspec.to_builtins(chunk) | {"object": "chat.completion.chunk"})
    (choice,) = chunk.choices
    delta = _built(ChoiceDelta, {"content": choice.delta.content, "role": choice.delta.role})
    made = _built(Choice, {"delta": delta, "finish_reason": choice.finish_reason, "index": choice.index})
    head = {"id": chunk.id, "created": chunk.created, "model": chunk.model, "object": "chat.completion.chunk"}
    return _built(ChatCompletionChunk, {**head, "choices": [made]})


def _built(cls: Any, fields: dict[str, Any]) -> Any:
    model = cls.__new__(cls)
    _set(model, "__dict__", _EMPTY[cls] | fields)
    _set(model, "__pydantic_fields_set__", set(fields))
    _set(model, "__pydantic_extra__", {})
    _set(model, "__pydantic_private__", None)
    return model
