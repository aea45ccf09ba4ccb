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

_TYPES_HINT = "every type is in opeai_async itself: from opeai_async import ChatCompletion, ChatCompletionChunk"
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
    "api_key": "there is no client of the module: AsyncOpeAI(api_key=...)",
    "api_base": "there is no client of the module: AsyncOpeAI(base_url=...)",
    "base_url": "there is no client of the module: AsyncOpeAI(base_url=...)",
    "chat": "there is no client of the module: AsyncOpeAI().chat",
    "not_given": _LEFT_OUT,
    "omit": _LEFT_OUT,
    "pydantic_function_tool": "run(tools=[f]) takes functions; Tool.from_function(f) is one in the API's form",
    "resources": "client.chat.completions is an opeai_async.Completions",
}

_CHAT_ONLY = (
    "this package speaks chat completions only, client.chat.completions; opeai_async.compat.AsyncOpenAI has all else"
)
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
    **dict.fromkeys(
        (
            *("assistants", "audio", "batches", "embeddings", "files", "fine_tuning", "images", "moderations"),
            *("realtime", "responses", "uploads", "vector_stores", "videos"),
        ),
        _CHAT_ONLY,
    ),
}

CHAT: dict[str, str] = {
    "create": "it is client.chat.completions.create(...)",
    "stream": "it is client.chat.completions.stream(...)",
    "parse": "it is client.chat.completions.parse(...)",
}

COMPLETIONS: dict[str, str] = {
    "acreate": "it is called create(...)",
    "delete": _CHAT_ONLY,
    "list": _CHAT_ONLY,
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
    "model_extra": "it is called extra",
    "model_validate": "it is called from_dict(...)",
    "model_validate_json": "it is called from_json(...)",
    "parse_obj": "it is called from_dict(...)",
    "parse_raw": "it is called from_json(...)",
}

COMPLETION: dict[str, str] = {
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
CHUNK_CHOICE: dict[str, str] = {
    "message": "a chunk has choice.delta; stream.completion() has the whole message",
    "text": "it is choice.delta.content",
}

# Keywords of AsyncOpeAI.
OPTIONS: dict[str, str] = {
    "_strict_response_validation": 'it is dialect="strict"',
    "admin_api_key": _CHAT_ONLY,
    "api_base": "it is called base_url",
    "azure_endpoint": "it is called base_url: https://NAME.openai.azure.com/openai/v1",
    "headers": "it is called default_headers",
    "http_client": _HTTP_HINT,
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
