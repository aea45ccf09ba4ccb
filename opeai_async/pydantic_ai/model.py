"""The model, and its streams."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from pydantic_ai import RunContext
from pydantic_ai.messages import FinishReason, ModelMessage, ModelRequest, ModelResponse, ModelResponseStreamEvent
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse, check_allow_model_requests
from pydantic_ai.profiles import ModelProfile, ModelProfileSpec
from pydantic_ai.profiles.openai import OpenAIJsonSchemaTransformer
from pydantic_ai.settings import ModelSettings, ToolOrOutput
from pydantic_ai.tools import ToolDefinition

from opeai_async._chat.client import AsyncOpeAI
from opeai_async._chat.shared import Address, shared_client
from opeai_async._chat.stream import ChatCompletionStream
from opeai_async._core.answer.outcome import Outcome
from opeai_async._core.answer.tool_pieces import AppendedPieces, ToolPiece
from opeai_async._core.call.redact import HiddenStr
from opeai_async._core.call.settings import KEY_VARIABLE
from opeai_async._core.json import is_array
from opeai_async.pydantic_ai import messages as convert
from opeai_async.pydantic_ai.errors import pydantic_ai_errors
from opeai_async.pydantic_ai.messages import PROVIDER, THINKING
from opeai_async.types.chunk import ChatCompletionChunk

# The settings of pydantic-ai that bear the names of the API, or of our options.
# fmt: off
_SETTINGS = (
    "max_tokens", "temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty", "logit_bias",
    "parallel_tool_calls", "service_tier", "timeout", "max_retries", "extra_headers", "extra_body",
)
# fmt: on
_PROFILE = ModelProfile(
    supports_json_schema_output=True,
    supports_json_object_output=True,
    supports_thinking=True,
    json_schema_transformer=OpenAIJsonSchemaTransformer,
)


class OpeAIModel(Model[AsyncOpeAI]):
    """A model of pydantic-ai over `AsyncOpeAI`: ``Agent(OpeAIModel("m"))``.

    It needs no end: all models of an event loop share its connections, which are closed with the loop.

    Args:
        model_name: Name of the model.
        api_key: The key; ``OPEAI_API_KEY`` of the environment if None.
        base_url: Where ``/chat/completions`` hangs; ``OPEAI_BASE_URL`` of the environment, or the default.
        client: A client of your own in place of these two, for its connections, observers and defaults; you close it.
        profile: What the model can do, over what all can.
        settings: Defaults of each request.
    """

    # What a tool returns is text in this API.
    _relocates_tool_files = True
    _unsupported_file_inputs = frozenset({"video"})

    def __init__(
        self,
        model_name: str,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        client: AsyncOpeAI | None = None,
        profile: ModelProfileSpec | None = None,
        settings: ModelSettings | None = None,
    ) -> None:
        self._model_name = model_name
        self._own_client = client
        # It tells at once whether there is a key, and that the address can be used.
        known = client or AsyncOpeAI(api_key, base_url=base_url)
        key = HiddenStr(api_key or os.environ.get(KEY_VARIABLE, ""))
        self._address = Address(known.base_url, False, key)
        super().__init__(settings=settings, profile=profile)

    @property
    def client(self) -> AsyncOpeAI:
        """The client that sends."""
        return self._own_client or shared_client(self._address)

    @property
    def model_name(self) -> str:
        """Name of the model."""
        return self._model_name

    @property
    def system(self) -> str:
        """Name of the provider."""
        return PROVIDER

    @property
    def base_url(self) -> str:
        """Where ``/chat/completions`` hangs."""
        return self._address.base_url or ""

    def _instance_profile_defaults(self, profile: ModelProfile) -> ModelProfile:
        return {**super()._instance_profile_defaults(profile), **_PROFILE}

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Return the whole answer to *messages*."""
        check_allow_model_requests()
        params = await self._params(messages, *self.prepare_request(model_settings, model_request_parameters))
        with pydantic_ai_errors(self._model_name):
            create: Any = self.client.chat.completions.create
            return convert.to_response(await create(**params), self.base_url)

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse, None]:
        """Return the answer to *messages* as it comes; leaving the block closes its connection."""
        check_allow_model_requests()
        settings, prepared = self.prepare_request(model_settings, model_request_parameters)
        params = await self._params(messages, settings, prepared)
        open_stream: Any = self.client.chat.completions.stream
        stream: ChatCompletionStream[ChatCompletionChunk] = open_stream(**params)
        with pydantic_ai_errors(self._model_name):
            await stream.__aenter__()
        try:
            yield OpeAIStreamedResponse(prepared, self._model_name, self.base_url, stream)
        finally:
            await stream.aclose()

    async def _params(
        self, messages: list[ModelMessage], settings: ModelSettings | None, parameters: ModelRequestParameters
    ) -> dict[str, Any]:
        """Return what to ask with; both were prepared."""
        given: dict[str, Any] = {**(settings or {})}
        params = {name: given[name] for name in _SETTINGS if given.get(name) is not None}
        if "stop_sequences" in given:
            params["stop"] = given["stop_sequences"]
        if parameters.thinking is not None:
            effort = {True: "medium", False: "none"}
            params["reasoning_effort"] = effort.get(cast("bool", parameters.thinking), parameters.thinking)
        if parameters.output_mode == "native" and parameters.output_object is not None:
            asked = parameters.output_object
            schema: dict[str, Any] = {"name": asked.name or "final_result", "schema": asked.json_schema}
            more = {"description": asked.description, "strict": asked.strict}
            schema |= {name: value for name, value in more.items() if value is not None}
            params["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif parameters.output_mode == "prompted" and not parameters.declared_tool_defs:
            params["response_format"] = {"type": "json_object"}
        return {
            "model": self._model_name,
            "messages": await self._sent(messages, parameters),
            **params,
            **_tools(given.get("tool_choice"), parameters),
        }

    async def _sent(self, messages: list[ModelMessage], parameters: ModelRequestParameters) -> list[dict[str, Any]]:
        sent: list[dict[str, Any]] = []
        for message in messages:
            if isinstance(message, ModelRequest):
                sent.extend([made async for made in convert.request_messages(message)])
            else:
                sent.append(convert.response_message(message))
        instructions = [
            {"role": "system", "content": part.content}
            for part in self._get_instruction_parts(messages, parameters) or ()
        ]
        # After the prompts of the system, which they were given with.
        place = next((place for place, made in enumerate(sent) if made["role"] != "system"), len(sent))
        return [*sent[:place], *instructions, *sent[place:]]


def _tools(chosen: Any, parameters: ModelRequestParameters) -> dict[str, Any]:
    """Return the tools that the model is shown, and how it must choose; *chosen* is the setting ``tool_choice``."""
    tools, output = dict(parameters.declared_tool_defs), {tool.name for tool in parameters.output_tools}
    may_talk = parameters.allow_text_output or parameters.allow_image_output
    mode = "auto" if may_talk else "required"
    if chosen == "required":
        mode, named = "required", set(tools) - output
    elif chosen == "none" or chosen == []:
        # A forced value is still to be had; else none at all may be called, and the cache keeps the definitions.
        mode, named = (mode, output) if output else ("none", set(tools))
    elif isinstance(chosen, ToolOrOutput):
        named = {*chosen.function_tools, *output}
    elif is_array(chosen):
        mode, named = "required", set(chosen)
    else:
        named = set(tools)
    shown = [_definition(tool) for name, tool in tools.items() if name in named]
    if not shown:
        return {}
    choice: Any = mode
    if mode == "required" and len(shown) == 1:
        choice = {"type": "function", "function": {"name": shown[0]["function"]["name"]}}
    return {"tools": shown, "tool_choice": choice}


def _definition(tool: ToolDefinition) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.parameters_json_schema}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


@dataclass
class OpeAIStreamedResponse(StreamedResponse):
    """One answer as it comes."""

    _model_name: str
    _url: str
    _stream: ChatCompletionStream[ChatCompletionChunk] = field(repr=False)
    _timestamp: datetime = field(default_factory=lambda: datetime.now(UTC))
    # Puts in order what servers send oddly, as it is for the message.
    _pieces: AppendedPieces = field(default_factory=AppendedPieces, repr=False)

    async def _get_event_iterator(self) -> AsyncIterator[ModelResponseStreamEvent]:
        manager = self._parts_manager
        with pydantic_ai_errors(self._model_name):
            async for chunk in self._stream:
                for choice in chunk.choices[:1]:
                    delta = choice.delta
                    if delta.reasoning_content:
                        for event in manager.handle_thinking_delta(
                            vendor_part_id=THINKING,
                            content=delta.reasoning_content,
                            id=THINKING,
                            provider_name=PROVIDER,
                        ):
                            yield event
                    for text in (delta.content, delta.refusal):
                        if text:
                            for event in manager.handle_text_delta(vendor_part_id="content", content=text):
                                yield event
                    for call in delta.tool_calls or ():
                        for event in self._call_events(self._pieces.add(call)):
                            yield event
            for event in self._call_events(self._pieces.rest()):
                yield event
            self._end()

    def _call_events(self, pieces: list[ToolPiece]) -> list[ModelResponseStreamEvent]:
        manager = self._parts_manager
        return [
            event
            for piece in pieces
            for event in manager.handle_tool_call_delta_events(
                vendor_part_id=piece.position, tool_name=piece.name, args=piece.arguments, tool_call_id=piece.id
            )
        ]

    def _end(self) -> None:
        """Take what is known of the whole answer, as far as it has come."""
        completion = self._stream.snapshot
        self._usage = convert.to_usage(completion.usage)
        self.provider_response_id: str | None = completion.id or None
        for choice in completion.choices[:1]:
            self.provider_details: dict[str, Any] | None = convert.details_of(completion, choice)
            if self._stream.outcome is not Outcome.CANCELLED:
                self.finish_reason: FinishReason | None = convert.finish_reason_of(choice)

    async def close_stream(self) -> None:
        """End the answer, whoever reads it."""
        self._stream.cancel()
        await self._stream.aclose()

    @property
    def model_name(self) -> str:
        """Name of the model that answers."""
        return self._stream.snapshot.model or self._model_name

    @property
    def provider_name(self) -> str:
        """Name of the provider."""
        return PROVIDER

    @property
    def provider_url(self) -> str:
        """Where the answer comes from."""
        return self._url

    @property
    def timestamp(self) -> datetime:
        """When it was asked for."""
        return self._timestamp
