"""Our Structs as openai's pydantic models, which are built without validation: it was checked when it was decoded."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from openai._models import construct_type
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import Choice, ChoiceDelta
from pydantic import BaseModel

from opeai_async.types.chunk import ChatCompletionChunk as OurChunk
from opeai_async.types.common import NO_EXTRA
from opeai_async.types.completion import ChatCompletion as OurCompletion

ModelT = TypeVar("ModelT", bound=BaseModel)

_set: Any = object.__setattr__
_DEFAULTS: dict[type[BaseModel], dict[str, Any]] = {
    cls: dict.fromkeys(cls.model_fields) for cls in (ChatCompletionChunk, Choice, ChoiceDelta)
}


def to_openai_chunk(chunk: OurChunk) -> ChatCompletionChunk:
    """Return *chunk* as openai's.

    Nearly all chunks add text to one choice; these are written down here, which takes a tenth of what openai's own way
    of building without validation takes (25 us per object). All others go that way.
    """
    if len(chunk.choices) != 1 or chunk.usage is not None or chunk.extra is not NO_EXTRA or not chunk.is_plain:
        return _constructed(chunk)
    (choice,) = chunk.choices
    delta = choice.delta
    if delta.tool_calls is not None or delta.extra is not NO_EXTRA or choice.extra is not NO_EXTRA:
        return _constructed(chunk)
    told: dict[str, Any] = {"content": delta.content}
    if delta.role is not None:
        told["role"] = delta.role
    beside = None if delta.reasoning_content is None else {"reasoning_content": delta.reasoning_content}
    made_delta = _built(ChoiceDelta, told, beside)
    made_choice = _built(
        Choice, {"delta": made_delta, "finish_reason": choice.finish_reason, "index": choice.index, "logprobs": None}
    )
    return _built(
        ChatCompletionChunk,
        {
            "id": chunk.id,
            "choices": [made_choice],
            "created": chunk.created,
            "model": chunk.model,
            "object": "chat.completion.chunk",
            "system_fingerprint": chunk.system_fingerprint,
        },
    )


def to_openai_completion(completion: OurCompletion) -> ChatCompletion:
    """Return *completion* as openai's, with its request id."""
    made: Any = construct_type(value={"object": "chat.completion", **completion.to_dict()}, type_=ChatCompletion)
    made._request_id = completion.meta.request_id
    return cast("ChatCompletion", made)


def _constructed(chunk: OurChunk) -> ChatCompletionChunk:
    fields = {**chunk.to_dict(), "object": "chat.completion.chunk"}
    return cast("ChatCompletionChunk", construct_type(value=fields, type_=ChatCompletionChunk))


def _built(cls: type[ModelT], fields: dict[str, Any], extra: dict[str, Any] | None = None) -> ModelT:
    """Return a *cls* with *fields*, and *extra* beside them, as pydantic's own constructor would leave it."""
    model = cls.__new__(cls)
    _set(model, "__dict__", _DEFAULTS[cls] | fields if extra is None else _DEFAULTS[cls] | fields | extra)
    _set(model, "__pydantic_fields_set__", set(fields) if extra is None else {*fields, *extra})
    _set(model, "__pydantic_extra__", extra or {})
    _set(model, "__pydantic_private__", None)
    return model
