"""The chat model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any, ClassVar, Literal, Self, TypeAlias

from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.outputs import ChatGenerationChunk as Chunk
from langchain_core.outputs import ChatResult
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.tools import BaseTool
from langchain_core.utils import from_env, secret_from_env
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from opeai_async._chat.client import AsyncOpeAI
from opeai_async._chat.shared import Address, shared_client, shared_sync_client
from opeai_async._chat.sync import OpeAI
from opeai_async._core.call.redact import HiddenStr
from opeai_async._core.call.timeouts import Timeouts
from opeai_async._core.json import is_object
from opeai_async.errors import ConfigurationError, RequestValidationError
from opeai_async.langchain.errors import langchain_errors
from opeai_async.langchain.messages import PROVIDER, Chunks, to_messages, to_result
from opeai_async.types.options import AskForKey

Method = Literal["json_schema", "function_calling", "json_mode"]
Sent: TypeAlias = list[BaseMessage]
Stops: TypeAlias = list[str] | None

_OWN = ("model", "temperature", "max_tokens", "stop", "timeout", "max_retries")


class ChatOpeAI(BaseChatModel):
    """A chat model of LangChain over `AsyncOpeAI`: ``ChatOpeAI(model="m")``.

    It needs no end: all models of an event loop share its connections, which are closed with the loop. Errors are of
    this package, and of LangChain's ``ModelError`` too. What the API takes beside these fields is given by name to
    ``invoke`` and its like, to ``bind``, or as ``model_kwargs``.

    Attributes:
        model: Name of the model.
        api_key: The key, or a function that gives it; ``OPEAI_API_KEY`` of the environment if None.
        base_url: Where ``/chat/completions`` hangs; ``OPEAI_BASE_URL`` of the environment, or the default.
        allow_insecure_http: Whether *base_url* may be ``http://`` to another machine.
        temperature, max_tokens, stop: Parameters of the API; None to leave them to the server.
        timeout: Limits of each call: seconds for the whole of it, or `Timeouts`.
        max_retries: Tries after the first one; None for those of the client.
        streaming: Whether ``invoke`` shall ask for a stream too.
        model_kwargs: More parameters and options of ``client.chat.completions.create``.
        client: A client of your own, for its connections, proxy, observers and key; you close it.
        sync_client: The same for ``invoke``, ``stream`` and ``batch``.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", populate_by_name=True)

    model: str = Field(alias="model_name")
    api_key: SecretStr | AskForKey | None = Field(default_factory=secret_from_env("OPEAI_API_KEY", default=None))
    base_url: str | None = Field(default_factory=from_env("OPEAI_BASE_URL", default=None))
    allow_insecure_http: bool = False
    temperature: float | None = None
    max_tokens: int | None = None
    stop: list[str] | str | None = Field(default=None, alias="stop_sequences")
    timeout: float | Timeouts | None = None
    max_retries: int | None = None
    streaming: bool = False
    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    client: AsyncOpeAI | None = Field(default=None, exclude=True)
    sync_client: OpeAI | None = Field(default=None, exclude=True)

    @model_validator(mode="after")
    def _has_a_key(self) -> Self:
        if self.api_key is None and self.client is None and self.sync_client is None:
            raise ConfigurationError(
                "there is no API key: api_key was not given, and OPEAI_API_KEY is not set",
                hint="export OPEAI_API_KEY=..., or pass api_key=, or a client",
            )
        return self

    # --- what LangChain asks about it -----------------------------------------------------------------------------

    @property
    def _llm_type(self) -> str:
        return "opeai-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"base_url": self.base_url, **self._params(None, {})}

    def _get_ls_params(self, stop: Stops = None, **kwargs: Any) -> LangSmithParams:
        own = [self.stop] if isinstance(self.stop, str) else self.stop
        return {**super()._get_ls_params(stop=stop or own, **kwargs), "ls_provider": PROVIDER}

    def __getstate__(self) -> dict[Any, Any]:
        # A key is never pickled, and connections cannot be: another process takes those of its environment.
        state = super().__getstate__()
        fields = {**state["__dict__"], "client": None, "sync_client": None}
        fields["api_key"] = fields["api_key"] if callable(fields["api_key"]) else None
        return {**state, "__dict__": fields}

    # --- answers --------------------------------------------------------------------------------------------------

    def _generate(self, messages: Sent, stop: Stops = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        with langchain_errors():
            create: Any = self._sync_client().chat.completions.create
            return to_result(create(messages=to_messages(messages), **self._params(stop, kwargs)))

    async def _agenerate(
        self, messages: Sent, stop: Stops = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        with langchain_errors():
            create: Any = self._client().chat.completions.create
            return to_result(await create(messages=to_messages(messages), **self._params(stop, kwargs)))

    def _stream(self, messages: Sent, stop: Stops = None, run_manager: Any = None, **kwargs: Any) -> Iterator[Chunk]:
        with langchain_errors():
            chunks = Chunks()
            stream: Any = self._sync_client().chat.completions.stream
            with stream(messages=to_messages(messages), **self._stream_params(stop, kwargs)) as answer:
                for chunk in answer:
                    yield chunks.add(chunk)
                yield chunks.last(answer.completion())

    async def _astream(
        self, messages: Sent, stop: Stops = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[Chunk]:
        with langchain_errors():
            chunks = Chunks()
            stream: Any = self._client().chat.completions.stream
            async with stream(messages=to_messages(messages), **self._stream_params(stop, kwargs)) as answer:
                async for chunk in answer:
                    yield chunks.add(chunk)
                yield chunks.last(await answer.completion())

    def _client(self) -> AsyncOpeAI:
        return self.client or shared_client(self._address("client=AsyncOpeAI(...)"))

    def _sync_client(self) -> OpeAI:
        return self.sync_client or shared_sync_client(self._address("sync_client=OpeAI(...)"))

    def _address(self, missing: str) -> Address:
        if self.api_key is None:
            raise ConfigurationError("this model has a client, but not of the kind that is needed here", hint=missing)
        # Traceback printers show locals.
        key = HiddenStr(self.api_key.get_secret_value()) if isinstance(self.api_key, SecretStr) else self.api_key
        return Address(self.base_url, self.allow_insecure_http, key)

    def _params(self, stop: Stops, given: dict[str, Any]) -> dict[str, Any]:
        """Return what to ask with: the model's fields, and in their place what the call gives."""
        own = {name: value for name in _OWN if (value := getattr(self, name)) is not None}
        params = {**own, **({"stop": stop} if stop else {}), **self.model_kwargs, **given}
        params.pop("stream", None)  # LangChain says so by the method that it calls
        asked = params.get("response_format")
        if asked is not None and not isinstance(asked, dict):
            params["response_format"] = _response_format(asked, None)
        return params

    def _stream_params(self, stop: Stops, given: dict[str, Any]) -> dict[str, Any]:
        params = self._params(stop, given)
        if (params.get("n") or 1) > 1:
            hint = "ask for several answers with generate() or agenerate(), without streaming"
            message = f"n is {params['n']}, expected 1: LangChain joins all chunks of a stream to one message"
            raise RequestValidationError(message, field="n", hint=hint)
        return params

    # --- tools and values -----------------------------------------------------------------------------------------

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: dict[str, Any] | str | bool | None = None,
        strict: bool | None = None,
        parallel_tool_calls: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return the model with *tools*.

        Args:
            tools: Functions, tools, pydantic models or definitions; whatever LangChain takes.
            tool_choice: Name of a tool, ``"auto"``, ``"none"``, ``"any"`` or True for any, or the API's own form.
            strict: Whether the server shall keep to the schemas.
            parallel_tool_calls: Whether there may be several calls in one answer.
            kwargs: More parameters, as for ``bind``.
        """
        defined = [convert_to_openai_tool(tool, strict=strict) for tool in tools]
        names = [definition.get("function", {}).get("name") for definition in defined]
        if tool_choice in names:
            tool_choice = {"type": "function", "function": {"name": tool_choice}}
        elif tool_choice is True or tool_choice == "any":
            tool_choice = "required"
        if tool_choice:
            kwargs["tool_choice"] = tool_choice
        if parallel_tool_calls is not None:
            kwargs["parallel_tool_calls"] = parallel_tool_calls
        return self.bind(tools=defined, **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type | None = None,
        *,
        method: Method = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """Return the model with answers that are values of *schema*.

        Args:
            schema: A pydantic model, whose objects come then; or a TypedDict or a JSON Schema, and dicts come.
            method: How to ask: by ``response_format``, by a tool that must be called, or for any JSON.
            include_raw: Whether to return the message too, and the error where it is no such value.
            strict: Whether the server shall keep to the schema; None for yes, where it is a pydantic model.
            kwargs: More parameters, as for ``bind``.

        Raises:
            ValueError: If there is no such method, or no schema where one is needed.
        """
        if schema is None and method != "json_mode":
            raise ValueError(f"schema is None, expected one with method={method!r}")
        kwargs["ls_structured_output_format"] = {"kwargs": {"method": method, "strict": strict}, "schema": schema}
        model: Any = schema if isinstance(schema, type) and is_basemodel_subclass(schema) else None
        parser: Any = JsonOutputParser() if model is None else PydanticOutputParser(pydantic_object=model)
        if method == "function_calling":
            name = convert_to_openai_tool(schema or {})["function"]["name"]
            asking = self.bind_tools(
                [schema or {}], tool_choice=name, parallel_tool_calls=False, strict=strict, **kwargs
            )
            parser = JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)
            if model is not None:
                parser = PydanticToolsParser(tools=[model], first_tool_only=True)
        elif method == "json_schema":
            asking = self.bind(response_format=_response_format(schema, strict), **kwargs)
        elif method == "json_mode":
            asking = self.bind(response_format={"type": "json_object"}, **kwargs)
        else:
            raise ValueError(f"method is {method!r}, expected 'json_schema', 'function_calling' or 'json_mode'")
        if not include_raw:
            parsing: Runnable[LanguageModelInput, dict[str, Any] | BaseModel] = asking | parser
            return parsing
        read = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
        unread = RunnablePassthrough.assign(parsed=lambda _: None)
        return RunnableMap(raw=asking) | read.with_fallbacks([unread], exception_key="parsing_error")


def _response_format(schema: Any, strict: bool | None) -> dict[str, Any]:
    """Return what asks for *schema*, which may be in the API's own form already."""
    if is_object(schema) and schema.get("type") == "json_schema":
        return schema
    if is_object(schema) and "name" in schema and "schema" in schema:
        return {"type": "json_schema", "json_schema": schema}
    if strict is None and isinstance(schema, type) and is_basemodel_subclass(schema):
        strict = True
    asked = convert_to_json_schema(schema, strict=strict)
    name = asked.pop("title")
    told = {} if strict is None else {"strict": strict}
    return {"type": "json_schema", "json_schema": {"name": name, "schema": asked, **told}}
