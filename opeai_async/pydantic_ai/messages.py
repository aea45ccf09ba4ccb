"""Messages of pydantic-ai as the API's, and answers as its parts.

Thinking is ``reasoning_content`` in the API, and a ``ThinkingPart`` there; it goes back to the server with its message.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from pydantic_ai import messages as theirs
from pydantic_ai.exceptions import UserError
from pydantic_ai.models import download_item
from pydantic_ai.usage import RequestUsage

from opeai_async.types.common import CompletionUsage
from opeai_async.types.completion import ChatCompletion, Choice
from opeai_async.types.finish import FinishKind

PROVIDER = "opeai"
THINKING = "reasoning_content"

_FINISH_REASONS: dict[FinishKind | None, theirs.FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_call",
    "content_filter": "content_filter",
    "error": "error",
}


# --- what is sent -----------------------------------------------------------------------------------------------------


async def request_messages(request: theirs.ModelRequest) -> AsyncIterator[dict[str, Any]]:
    """Iterate over the messages of *request*; files that tools have returned come last, as the user's."""
    files: list[Any] = []
    for part in request.parts:
        if isinstance(part, theirs.ToolReturnPart):
            text, found = part.model_response_str_and_user_content()
            files.extend(found)
            yield {"role": "tool", "tool_call_id": part.tool_call_id, "content": text}
        else:
            yield await _message(part)
    if files:
        yield {"role": "user", "content": [sent async for sent in _parts(files)]}


async def _message(part: theirs.ModelRequestPart) -> dict[str, Any]:
    if isinstance(part, theirs.SystemPromptPart):
        return {"role": "system", "content": part.content}
    if isinstance(part, theirs.UserPromptPart):
        content = part.content if isinstance(part.content, str) else [sent async for sent in _parts(part.content)]
        return {"role": "user", "content": content}
    raise UserError(f"a {type(part).__name__} cannot be sent; pass the messages through model.prepare_messages() first")


async def _parts(content: Sequence[Any]) -> AsyncIterator[dict[str, Any]]:
    for item in content:
        match item:
            case str() | theirs.TextContent():
                yield {"type": "text", "text": item if isinstance(item, str) else item.content}
            case theirs.ImageUrl() if not item.force_download:
                yield {"type": "image_url", "image_url": {"url": item.url, **_detail(item)}}
            case theirs.ImageUrl():
                picture = await download_item(item, data_format="base64_uri")
                yield {"type": "image_url", "image_url": {"url": picture["data"], **_detail(item)}}
            case theirs.BinaryContent() if item.is_image:
                yield {"type": "image_url", "image_url": {"url": item.data_uri, **_detail(item)}}
            case theirs.BinaryContent() if item.is_audio:
                yield {"type": "input_audio", "input_audio": {"data": item.base64, "format": item.format}}
            case theirs.BinaryContent() if item.is_document:
                yield _file(item.data_uri, item.format)
            case theirs.AudioUrl():
                sound = await download_item(item, data_format="base64", type_format="extension")
                yield {"type": "input_audio", "input_audio": {"data": sound["data"], "format": sound["data_type"]}}
            case theirs.DocumentUrl():
                document = await download_item(item, data_format="base64_uri", type_format="extension")
                yield _file(document["data"], document["data_type"])
            case theirs.CachePoint():
                pass  # servers of this API cache by themselves
            case _:
                raise UserError(f"a {type(item).__name__} cannot be sent: the API has no such part")


def _file(data_uri: str, extension: str) -> dict[str, Any]:
    return {"type": "file", "file": {"file_data": data_uri, "filename": f"file.{extension}"}}


def _detail(item: theirs.ImageUrl | theirs.BinaryContent) -> dict[str, Any]:
    detail = (item.vendor_metadata or {}).get("detail")
    return {} if detail is None else {"detail": detail}


def response_message(response: theirs.ModelResponse) -> dict[str, Any]:
    """Return *response* as the message that it was."""
    texts = [part.content for part in response.parts if isinstance(part, theirs.TextPart)]
    thinking = [part.content for part in response.parts if isinstance(part, theirs.ThinkingPart)]
    calls = [_call(part) for part in response.parts if isinstance(part, theirs.ToolCallPart)]
    message: dict[str, Any] = {"role": "assistant", "content": "\n\n".join(texts) or (None if calls else "")}
    if any(thinking):
        message[THINKING] = "\n\n".join(thinking)
    if calls:
        message["tool_calls"] = calls
    return message


def _call(part: theirs.ToolCallPart) -> dict[str, Any]:
    function = {"name": part.tool_name, "arguments": part.args_as_json_str()}
    return {"id": part.tool_call_id, "type": "function", "function": function}


# --- what has come ----------------------------------------------------------------------------------------------------


def to_response(completion: ChatCompletion, url: str) -> theirs.ModelResponse:
    """Return *completion*, which came from *url*."""
    choice = completion.choices[0]
    return theirs.ModelResponse(
        parts=list(_response_parts(choice)),
        usage=to_usage(completion.usage),
        model_name=completion.model,
        provider_name=PROVIDER,
        provider_url=url,
        provider_response_id=completion.id,
        provider_details=details_of(completion, choice),
        finish_reason=finish_reason_of(choice),
    )


def _response_parts(choice: Choice) -> Iterator[theirs.ModelResponsePart]:
    message = choice.message
    if message.reasoning_content:
        yield theirs.ThinkingPart(message.reasoning_content, id=THINKING, provider_name=PROVIDER)
    for text in (message.content, message.refusal):
        if text:
            yield theirs.TextPart(text)
    for call in message.tool_calls or ():
        if call.custom is None:
            yield theirs.ToolCallPart(call.function.name, call.function.arguments, tool_call_id=call.id)
        else:
            yield theirs.ToolCallPart(call.custom.name, {"input": call.custom.input}, tool_call_id=call.id)


def finish_reason_of(choice: Choice) -> theirs.FinishReason | None:
    """Return why *choice* ended, in pydantic-ai's words; a refusal is one of the content filter."""
    return "content_filter" if choice.message.refusal else _FINISH_REASONS.get(choice.finish)


def details_of(completion: ChatCompletion, choice: Choice) -> dict[str, Any]:
    """Return what else is known of *choice*, by the API's names."""
    known = {
        "finish_reason": choice.finish_reason,
        "request_id": completion.meta.request_id,
        "system_fingerprint": completion.system_fingerprint,
        "logprobs": choice.logprobs and choice.logprobs.to_dict(),
        "refusal": choice.message.refusal,
    }
    return {name: value for name, value in known.items() if value is not None}


def to_usage(usage: CompletionUsage | None) -> RequestUsage:
    """Return the counts of *usage*; one unmeasured request if there are none."""
    if usage is None:
        return RequestUsage(unmeasured_requests=1)
    view = usage.view
    return RequestUsage(
        input_tokens=usage.prompt_tokens or 0,
        output_tokens=usage.completion_tokens or 0,
        cache_read_tokens=view.cached_tokens or 0,
        cache_write_tokens=view.cache_written_tokens or 0,
        input_audio_tokens=view.input_audio_tokens or 0,
        output_audio_tokens=view.output_audio_tokens or 0,
        details={} if view.reasoning_tokens is None else {"reasoning_tokens": view.reasoning_tokens},
    )
