"""What users of other clients look for, and what it is called here: one table for attributes, imports, keywords, and
parameters that are missed.

An attribute is told by a descriptor, not by ``__getattr__``: a class that has that reads all its other attributes
slower, and chunks have theirs read for every token.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")

_CHAT_ONLY = (
    "this package speaks chat completions only, client.chat.completions; opeai_async.compat.AsyncOpenAI has all else"
)
_OF_CLIENT = "there is no client of the module: make one, AsyncOpeAI(...), and set it there"
_HTTP_HINT = (
    "the client sends over aiohttp: proxy=, ssl_context=, max_connections= and timeout= say how; transport= replaces it"
)
_COMPAT = "opeai_async.compat.AsyncOpenAI is openai's own client over this one"
_TIMEOUTS = "timeouts=Timeouts(connect_s=..., total_s=...), or timeout=30 for total_s alone"
_LEFT_OUT = "leave the parameter out, or give None, which is not sent either"

# Of `import` and of attributes of the package.
MODULE: dict[str, str] = {
    "APIError": "it is called OpeAIError, the base of all errors",
    "APIResponse": "completion.meta has status, headers and request id",
    "APIResponseValidationError": "it is called InvalidResponseError",
    "AsyncAPIResponse": "completion.meta has status, headers and request id",
    "AsyncAzureOpenAI": "use AsyncOpeAI(base_url='https://NAME.openai.azure.com/openai/v1', api_key=...)",
    "AsyncOpenAI": f"it is called AsyncOpeAI; {_COMPAT}",
    "AsyncStream": "it is called ChatCompletionStream",
    "AzureOpenAI": "use OpeAI(base_url='https://NAME.openai.azure.com/openai/v1', api_key=...)",
    "ContentFilterFinishReasonError": "it is called OutputFilteredError",
    "DefaultAioHttpClient": _HTTP_HINT,
    "DefaultAsyncHttpxClient": _HTTP_HINT,
    "DefaultHttpxClient": _HTTP_HINT,
    "LengthFinishReasonError": "it is called OutputTruncatedError",
    "NOT_GIVEN": _LEFT_OUT,
    "NotGiven": _LEFT_OUT,
    "Omit": _LEFT_OUT,
    "OpenAI": "it is called OpeAI",
    "OpenAIError": "it is called OpeAIError",
    "Stream": "it is called ChatCompletionStream; that of OpeAI is the same in sync",
    "Timeout": f"it is called Timeouts: {_TIMEOUTS}",
    "ApiError": "it is called OpeAIError",
    "AsyncClient": "it is called AsyncOpeAI",
    "BaseModel": "it is called WireStruct, of msgspec",
    "Client": "it is called OpeAI",
    "DEFAULT_CONNECTION_LIMITS": "max_connections= of AsyncOpeAI",
    "DEFAULT_MAX_RETRIES": "RetryPolicy().max_retries",
    "DEFAULT_TIMEOUT": f"see Timeouts; {_TIMEOUTS}",
    "DefaultAsyncHttpx2Client": _HTTP_HINT,
    "DefaultHttpx2Client": _HTTP_HINT,
    "RequestOptions": "a call takes timeouts=, max_retries=, extra_headers= and the like by name",
    "VERSION": "it is called __version__",
    "version": "it is called __version__",
    "types": "every type is in opeai_async itself: from opeai_async import ChatCompletion, ChatCompletionChunk",
    **dict.fromkeys(
        (
            *("api_base", "api_key", "api_type", "api_version", "azure_ad_token", "azure_ad_token_provider"),
            *("azure_endpoint", "base_url", "chat", "completions", "default_headers", "default_query", "http_client"),
            *("max_retries", "models", "organization", "project", "timeout"),
        ),
        _OF_CLIENT,
    ),
    # Of openai.types.chat.
    "ChatCompletionAllowedToolChoiceParam": "it is called AllowedToolsChoice",
    "ChatCompletionAllowedToolsParam": "it is called AllowedTools",
    "ChatCompletionAssistantMessageParam": "it is called AssistantMessage",
    "ChatCompletionAudio": "it is called Audio",
    "ChatCompletionAudioParam": "it is called AudioOptions",
    "ChatCompletionContentPartImageParam": "it is called ImagePart",
    "ChatCompletionContentPartInputAudioParam": "it is called InputAudioPart",
    "ChatCompletionContentPartParam": "it is called ContentPartParam",
    "ChatCompletionContentPartRefusalParam": "it is called RefusalPart",
    "ChatCompletionContentPartTextParam": "it is called TextPart",
    "ChatCompletionCustomToolParam": "it is called CustomTool",
    "ChatCompletionDeveloperMessageParam": "it is called DeveloperMessage",
    "ChatCompletionFunctionMessageParam": "it is called FunctionMessage",
    "ChatCompletionFunctionTool": "it is called FunctionTool",
    "ChatCompletionFunctionToolParam": "it is called FunctionTool",
    "ChatCompletionMessageFunctionToolCall": "it is called ToolCall",
    "ChatCompletionMessageParam": "it is called MessageParam",
    "ChatCompletionMessageToolCall": "it is called ToolCall",
    "ChatCompletionMessageToolCallParam": "it is called ToolCall",
    "ChatCompletionMessageToolCallUnion": "it is called ToolCall",
    "ChatCompletionNamedToolChoiceCustomParam": "it is called NamedCustomToolChoice",
    "ChatCompletionNamedToolChoiceParam": "it is called NamedToolChoice",
    "ChatCompletionPredictionContentParam": "it is called PredictedContent",
    "ChatCompletionReasoningEffort": "it is a str",
    "ChatCompletionRole": "it is a str",
    "ChatCompletionStreamOptionsParam": "it is called StreamOptions",
    "ChatCompletionSystemMessageParam": "it is called SystemMessage",
    "ChatCompletionTokenLogprob": "it is called TokenLogprob",
    "ChatCompletionToolChoiceOptionParam": "it is called ToolChoiceParam",
    "ChatCompletionToolMessageParam": "it is called ToolMessage",
    "ChatCompletionToolParam": "it is called ToolParam",
    "ChatCompletionToolUnionParam": "it is called ToolParam",
    "ChatCompletionUserMessageParam": "it is called UserMessage",
    "CompletionCreateParams": "it is called CompletionParams",
    "ParsedFunction": "run(tools=[f]) gives functions their arguments, checked",
    "ParsedFunctionToolCall": "run(tools=[f]) gives functions their arguments, checked",
    "not_given": _LEFT_OUT,
    "omit": _LEFT_OUT,
    "pydantic_function_tool": "run(tools=[f]) takes functions; Tool.from_function(f) is one in the API's form",
    "resources": "client.chat.completions is an opeai_async.Completions",
}

_RAW = "completion.meta (or stream.meta) has status_code, headers, request_id and attempts of the answer"

CLIENT: dict[str, str] = {
    "beta": "it is no beta here: client.chat.completions.parse(...), .stream(...)",
    "close": "it is called aclose(): await client.aclose()",
    "completions": "it is client.chat.completions",
    "copy": "it is called with_options(...)",
    "create": "it is client.chat.completions.create(...)",
    "get": _CHAT_ONLY,
    "is_closed": "a closed client raises ClientClosedError when it is used",
    "organization": 'default_headers={"OpenAI-Organization": ...}',
    "post": _CHAT_ONLY,
    "project": 'default_headers={"OpenAI-Project": ...}',
    "timeout": "it is called client.timeouts",
    "max_retries": "it is client.retry.max_retries",
    "with_raw_response": _RAW,
    "with_streaming_response": _RAW,
    "api_key": "the key is shown nowhere; with_options(api_key=...) is a client with another",
    "auth_headers": "the key is shown nowhere",
    "default_headers": "they are shown nowhere, as they may hold a key; with_options(default_headers=...) adds to them",
    "default_query": "with_options(default_query=...) adds to it",
    "request": _CHAT_ONLY,
    "user_agent": 'default_headers={"User-Agent": ...}',
    **dict.fromkeys(
        (
            *("assistants", "audio", "batches", "containers", "conversations", "embeddings", "evals", "files"),
            *("fine_tuning", "images", "moderations", "realtime", "responses", "uploads", "vector_stores", "videos"),
            *("webhooks", "delete", "patch", "put"),
        ),
        _CHAT_ONLY,
    ),
}

MODELS: dict[str, str] = {
    "retrieve": "client.models.list() has all of them: next(m for m in await client.models.list() if m.id == ...)",
    "delete": _CHAT_ONLY,
    "with_raw_response": "(await client.models.list()).meta has status_code, headers and request_id",
    "with_streaming_response": "(await client.models.list()).meta has status_code, headers and request_id",
}

MODEL_CALL: dict[str, str] = {
    "data": "await it first: (await client.models.list()).data",
    "meta": "await it first: (await client.models.list()).meta",
}

CHAT: dict[str, str] = {
    "with_raw_response": _RAW,
    "with_streaming_response": _RAW,
    "create": "it is client.chat.completions.create(...)",
    "stream": "it is client.chat.completions.stream(...)",
    "parse": "it is client.chat.completions.parse(...)",
}

COMPLETIONS: dict[str, str] = {
    "acreate": "it is called create(...)",
    "delete": _CHAT_ONLY,
    "list": _CHAT_ONLY,
    "messages": _CHAT_ONLY,
    "retrieve": _CHAT_ONLY,
    "update": _CHAT_ONLY,
    "with_raw_response": _RAW,
    "with_streaming_response": _RAW,
}

STREAM: dict[str, str] = {
    "close": "it is called aclose(), or cancel() from anywhere",
    "current_completion_snapshot": "it is called snapshot",
    "get_final_completion": "it is called completion(): await stream.completion()",
    "response": "stream.meta has status_code, headers and request_id",
    "text_stream": "it is called text(): async for text in stream.text()",
    "until_done": "await stream.completion() reads to the end",
}

WIRE: dict[str, str] = {
    "_request_id": "it is meta.request_id",
    "copy": "copy.copy(it), or msgspec.structs.replace(it, model=...)",
    "dict": "it is called to_dict()",
    "json": "it is called to_json()",
    "model_copy": "copy.copy(it), or msgspec.structs.replace(it, model=...)",
    "model_construct": "call the class: ChatCompletion(...)",
    "model_dump": "it is called to_dict()",
    "model_dump_json": "it is called to_json()",
    "get": "it has attributes: .content; a field of a vendor is in .extra",
    "items": "it is to_dict().items()",
    "keys": "it is to_dict().keys()",
    "model_config": "it is a Struct of msgspec: msgspec.structs.fields(it)",
    "model_extra": "it is called extra",
    "model_fields": "it is a Struct of msgspec: msgspec.structs.fields(it)",
    "model_fields_set": "it is called to_dict(), which has what was sent",
    "model_json_schema": "it is a Struct of msgspec: msgspec.json.schema(it)",
    "model_validate": "it is called from_dict(...)",
    "model_validate_json": "it is called from_json(...)",
    "parse_obj": "it is called from_dict(...)",
    "parse_raw": "it is called from_json(...)",
    "schema": "it is a Struct of msgspec: msgspec.json.schema(it)",
    "values": "it is to_dict().values()",
    "construct": "call the class: ChatCompletion(...)",
}

COMPLETION: dict[str, str] = {
    "acreate": "it is client.chat.completions.create(...), of an AsyncOpeAI",
    "create": "it is client.chat.completions.create(...), of an AsyncOpeAI",
    "content": "it is completion.choices[0].message.content",
    "message": "it is completion.choices[0].message",
    "text": "it is completion.choices[0].message.content",
    "output_text": "it is completion.choices[0].message.content",
}
CHOICE: dict[str, str] = {
    "content": "it is choice.message.content",
    "text": "it is choice.message.content",
    "delta": "a whole answer has choice.message; a chunk has choice.delta",
}
CHUNK: dict[str, str] = {
    "type": "a stream brings chunks; stream.events() brings events, which have a type",
    "content": "it is chunk.choices[0].delta.content, where there are choices; stream.text() brings the text alone",
    "delta": "it is chunk.choices[0].delta, where there are choices",
    "text": "it is chunk.choices[0].delta.content, where there are choices; stream.text() brings the text alone",
}
CHUNK_CHOICE: dict[str, str] = {
    "message": "a chunk has choice.delta; stream.completion() has the whole message",
    "text": "it is choice.delta.content",
}

ERRORS: dict[str, str] = {
    "http_status": "it is called status_code",
    "json_body": "it is called body",
    "request": "what was sent is not kept, as it holds the prompt; attempts says what became of it",
    "response": "its facts are attributes: status_code, headers, request_id, body, retry_after_s",
}

# Keywords of AsyncOpeAI.
OPTIONS: dict[str, str] = {
    "_strict_response_validation": 'it is dialect="strict"',
    "admin_api_key": _CHAT_ONLY,
    "api_base": "it is called base_url",
    "api_version": 'default_query={"api-version": ...}',
    "azure_ad_token": "it is called api_key",
    "azure_ad_token_provider": "api_key= takes the function",
    "azure_deployment": "it is part of base_url, or the model of a call",
    "azure_endpoint": "it is called base_url: https://NAME.openai.azure.com/openai/v1",
    "data_residency": "write its host into base_url",
    "default_timeout": _TIMEOUTS,
    "headers": "it is called default_headers",
    "http_client": _HTTP_HINT,
    "limits": "it is called max_connections",
    "proxies": "it is called proxy",
    "provider": "write its address into base_url",
    "query": "it is called default_query",
    "token": "it is called api_key",
    "verify": "it is called ssl_context",
    "workload_identity": "api_key= takes a function, which may ask for a token",
    "organization": 'default_headers={"OpenAI-Organization": ...}',
    "project": 'default_headers={"OpenAI-Project": ...}',
    "webhook_secret": _CHAT_ONLY,
    "websocket_base_url": _CHAT_ONLY,
}

# Parameters of a call.
PARAMETERS: dict[str, str] = {
    "api_key": "it belongs to the client: client.with_options(api_key=...)",
    "base_url": "it belongs to the client: client.with_options(base_url=...)",
    "default_headers": "a call has extra_headers",
    "engine": "it is called model",
    "headers": "it is called extra_headers",
    "http_client": f"it belongs to the client, and has another name there: {_HTTP_HINT}",
    "input": "it is called messages, a list",
    "instructions": 'it is a message: {"role": "system", "content": ...}',
    "max_output_tokens": "it is called max_completion_tokens",
    "organization": 'extra_headers={"OpenAI-Organization": ...}',
    "partial": 'it belongs into the last message: {"role": "assistant", "content": ..., "partial": True}',
    "prefix": 'it belongs into the last message: {"role": "assistant", "content": ..., "prefix": True}',
    "project": 'extra_headers={"OpenAI-Project": ...}',
    "proxy": "it belongs to the client: AsyncOpeAI(proxy=...)",
    "prompt": 'it is a message: messages=[{"role": "user", "content": ...}]',
    "query": "it is called extra_query",
    "request_timeout": "it is called timeout",
    "response_model": "parse(response_format=YourType) asks for a value of a type",
    "stop_sequences": "it is called stop",
    "system": 'it is a message: {"role": "system", "content": ...}',
}


def is_being_imported(frame: FrameType | None) -> bool:
    """Tell whether *frame* is in the middle of ``from ... import name``."""
    import dis  # which few processes need

    if frame is None or frame.f_lasti < 0:
        return False
    return dis.opname[frame.f_code.co_code[frame.f_lasti]] == "IMPORT_FROM"


class _Former:
    """Stands where an attribute is missed, and says what it is called here; ``hasattr`` is False all the same."""

    __slots__ = ("_hint", "_name")

    def __init__(self, name: str, hint: str) -> None:
        self._name = name
        self._hint = hint

    def __get__(self, instance: object, owner: type) -> NoReturn:
        # No `name=` and `obj=`: Python would add a guess of its own.
        raise AttributeError(f"{owner.__name__!r} has no attribute {self._name!r}: {self._hint}")

    def __set__(self, instance: object, value: object) -> NoReturn:
        # With this it is no method to those who look for methods.
        self.__get__(instance, type(instance))


def with_former_names(*tables: dict[str, str]) -> Callable[[type[T]], type[T]]:
    """Return a decorator for a class in which *tables* are missed; what the class has is left alone.

    Its objects leave these names out of `dir`, and so out of tab completion.
    """

    def decorate(cls: type[T]) -> type[T]:
        made: Any = cls
        if made.__dir__ is object.__dir__:
            made.__dir__ = usable_names
        for table in tables:
            for name, hint in table.items():
                if not hasattr(cls, name):
                    setattr(cls, name, _Former(name, hint))
        return cls

    return decorate


def usable_names(value: object) -> list[str]:
    """Return what `dir` shows of *value*: what its users use, and the methods that Python itself calls."""
    former = {name for cls in type(value).__mro__ for name, found in vars(cls).items() if isinstance(found, _Former)}
    return [name for name in object.__dir__(value) if name not in former and not _is_private(name)]


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")
