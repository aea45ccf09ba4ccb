"""Messages of LangChain as the API's, and answers as messages of LangChain.

======================  ======================================================================================
``reasoning_content``   ``additional_kwargs["reasoning_content"]``, and so in ``content_blocks``
calls of functions      ``tool_calls``; ``invalid_tool_calls`` where the arguments are not a JSON object, and
                        for custom tools, whose text is in ``args``
other fields            ``additional_kwargs``, by their names
``usage``               ``usage_metadata``; as it was sent in ``response_metadata["token_usage"]``
======================  ======================================================================================

All of them go back to the server with the message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolCallChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.block_translators import register_translator
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk
from langchain_core.messages.utils import convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from msgspec import DecodeError, json

from opeai_async._core.answer.tool_pieces import AppendedPieces, ToolPiece
from opeai_async.types.chunk import ChatCompletionChunk
from opeai_async.types.common import CompletionUsage
from opeai_async.types.completion import ChatCompletion, ChatCompletionMessage, Choice

PROVIDER = "opeai"

_ELSEWHERE = frozenset({"role", "content", "tool_calls"})  # not among the other fields
_STREAMED = _ELSEWHERE | {"reasoning_content", "refusal"}  # nor in the last chunk
_ASSISTANT_PARTS = frozenset({"text", "refusal", "tool_use"})  # other parts have fields in the API, or no place


def to_messages(messages: Iterable[BaseMessage]) -> Iterator[dict[str, Any]]:
    """Iterate over *messages* in the API's form."""
    for message in messages:
        if isinstance(message, AIMessage):
            yield _sent_assistant(message)
            continue
        for sent in convert_to_openai_messages([message]):
            # The API knows a result by its id.
            yield {name: value for name, value in sent.items() if name != "name" or sent["role"] != "tool"}


def _sent_assistant(message: AIMessage) -> dict[str, Any]:
    blocks = [block for block in message.content if isinstance(block, dict)]
    if isinstance(message.content, list):
        kept = [part for part in message.content if isinstance(part, str) or part.get("type") in _ASSISTANT_PARTS]
        message = message.model_copy(update={"content": kept})
    sent = convert_to_openai_messages([message])[0]
    for call in message.invalid_tool_calls:
        function = {"name": call["name"], "arguments": call["args"]}
        sent.setdefault("tool_calls", []).append({"type": "function", "id": call["id"], "function": function})
    if "tool_calls" in sent:
        sent["content"] = sent["content"] or None
    if message.response_metadata.get("model_provider") == PROVIDER:
        sent |= message.additional_kwargs
    thinking = "".join(block.get("reasoning") or block.get("thinking") or "" for block in blocks)
    if reasoning := message.additional_kwargs.get("reasoning_content") or thinking:
        sent["reasoning_content"] = reasoning
    return sent


def to_result(completion: ChatCompletion) -> ChatResult:
    """Return the choices of *completion* as generations; the usage of all of them is with the first."""
    made = [_message(completion, choice) for choice in completion.choices]
    for message in made[:1]:
        message.usage_metadata = _usage(completion.usage)
    usage = {} if completion.usage is None else completion.usage.to_dict()
    return ChatResult(
        generations=[ChatGeneration(message=message) for message in made],
        llm_output={"model_name": completion.model, "token_usage": usage},
    )


def _message(completion: ChatCompletion, choice: Choice) -> AIMessage:
    message = AIMessage(
        content=choice.message.content or "",
        additional_kwargs=_other_fields(choice.message, _ELSEWHERE),
        response_metadata=_metadata(completion, choice),
    )
    for call in choice.message.tool_calls or ():
        name = call.function.name if call.custom is None else call.custom.name
        text = call.function.arguments if call.custom is None else call.custom.input
        try:
            arguments = json.decode(text or "{}", type=dict[str, Any])
        except DecodeError as exc:
            wrong = str(exc) if call.custom is None else "the input of a custom tool"
            message.invalid_tool_calls.append(invalid_tool_call(name=name, args=text, id=call.id, error=wrong))
        else:
            message.tool_calls.append(tool_call(name=name, args=arguments, id=call.id))
    return message


class Chunks:
    """The chunks of one stream as LangChain's, which its users add up to a message."""

    def __init__(self) -> None:
        # Puts in order what servers send oddly, as it is for the message.
        self._pieces = AppendedPieces()

    def add(self, chunk: ChatCompletionChunk) -> ChatGenerationChunk:
        """Return what *chunk* adds to the answer; what is known of the whole answer is in the last chunk."""
        if not chunk.choices:
            return ChatGenerationChunk(message=AIMessageChunk(content=""))
        delta = chunk.choices[0].delta
        if delta.reasoning_content is None and delta.refusal is None and delta.tool_calls is None:
            return ChatGenerationChunk(message=AIMessageChunk(content=delta.content or ""))
        message = AIMessageChunk(
            content=delta.content or "",
            additional_kwargs=_known(reasoning_content=delta.reasoning_content, refusal=delta.refusal),
            tool_call_chunks=[
                _call_chunk(piece) for call in delta.tool_calls or () for piece in self._pieces.add(call)
            ],
        )
        return ChatGenerationChunk(message=message)

    def last(self, completion: ChatCompletion) -> ChatGenerationChunk:
        """Return what is known of the answer, all of whose chunks were added.

        It comes once, because LangChain adds chunks up: usage that a server sends with each chunk would be counted
        again and again, and names would be joined to themselves.
        """
        message = AIMessageChunk(
            content="",
            tool_call_chunks=[_call_chunk(piece) for piece in self._pieces.rest()],
            usage_metadata=_usage(completion.usage),
            chunk_position="last",
        )
        for choice in completion.choices[:1]:
            message.additional_kwargs = _other_fields(choice.message, _STREAMED)
            message.response_metadata = _metadata(completion, choice)
        return ChatGenerationChunk(message=message)


def _call_chunk(piece: ToolPiece) -> ToolCallChunk:
    return tool_call_chunk(name=piece.name, args=piece.arguments, id=piece.id, index=piece.position)


def _other_fields(message: ChatCompletionMessage, elsewhere: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in message.to_dict().items() if name not in elsewhere}


def _metadata(completion: ChatCompletion, choice: Choice) -> Any:
    return _known(
        model_provider=PROVIDER,
        model_name=completion.model,
        finish_reason=choice.finish_reason,
        id=completion.id,
        request_id=completion.meta.request_id,
        system_fingerprint=completion.system_fingerprint,
        service_tier=completion.service_tier,
        logprobs=choice.logprobs and choice.logprobs.to_dict(),
        token_usage=completion.usage and completion.usage.to_dict(),
    )


def _usage(usage: CompletionUsage | None) -> UsageMetadata | None:
    if usage is None:
        return None
    view, asked, answered = usage.view, usage.prompt_tokens or 0, usage.completion_tokens or 0
    read, written = view.cached_tokens, view.cache_written_tokens
    return UsageMetadata(
        input_tokens=asked,
        output_tokens=answered,
        total_tokens=usage.total_tokens or asked + answered,
        input_token_details=_known(cache_read=read, cache_creation=written, audio=view.input_audio_tokens),
        output_token_details=_known(reasoning=view.reasoning_tokens, audio=view.output_audio_tokens),
    )


def _known(**values: Any) -> Any:
    return {name: value for name, value in values.items() if value is not None}


def _refusal_blocks(message: AIMessage) -> list[Any]:
    """Return the blocks of a refusal, which LangChain's parsers of structured output look for."""
    if refusal := message.additional_kwargs.get("refusal"):
        return [{"type": "text", "text": message.text}] * bool(message.text) + [{"type": "refusal", "refusal": refusal}]
    raise NotImplementedError  # says to LangChain that its own way fits


register_translator(PROVIDER, _refusal_blocks, _refusal_blocks)
