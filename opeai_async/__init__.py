"""Async-first streaming client for OPE.AI's chat completions: ``from opeai_async import AsyncOpeAI``.

The floors, ground first; a module imports only from floors below its own::

    errors, types.common      what can go wrong; the base of all Structs
    types                     what is on the wire
    _core                     decisions and parsing: no await, no clock, no socket
    _io                       everything that awaits: transport, exchange, stream
    stream, client            what users do with an answer; configuration and lifetime
    testing, __main__         a real server on loopback; the command line

Names are resolved when they are first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from opeai_async._version import __version__

if TYPE_CHECKING:
    from opeai_async._core.accumulator import Accumulator
    from opeai_async._core.decode import decode_chunk
    from opeai_async._core.outcome import Outcome
    from opeai_async._core.retry import RetryPolicy
    from opeai_async._core.sse import (
        ServerSentEvent,
        SSEDecoder,
    )
    from opeai_async._core.timeouts import Timeouts
    from opeai_async._io.transport import (
        Response,
        Transport,
    )
    from opeai_async.client import AsyncOpeAI
    from opeai_async.errors import (
        APIConnectionError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadRequestError,
        ClientClosedError,
        ConcurrentReadError,
        ConfigurationError,
        ConflictError,
        InternalServerError,
        InvalidResponseError,
        LocalResourceError,
        NotFoundError,
        OpeAIError,
        PermissionDeniedError,
        PoolTimeoutError,
        QuotaExceededError,
        RateLimitError,
        RequestValidationError,
        StreamDecodeError,
        StreamError,
        StreamInterruptedError,
        StreamServerError,
        StreamTimeoutError,
        StreamTooLargeError,
        StreamTruncatedError,
        TLSError,
        UnprocessableEntityError,
    )
    from opeai_async.frames import (
        FrameSource,
        StreamFrames,
    )
    from opeai_async.stream import ChatCompletionStream
    from opeai_async.types.chunk import (
        AudioDelta,
        ChatCompletionChunk,
        ChoiceDelta,
        ChunkChoice,
        CustomCallDelta,
        FunctionCallDelta,
        ToolCallDelta,
    )
    from opeai_async.types.common import (
        Annotation,
        ChoiceLogprobs,
        CompletionTokensDetails,
        CompletionUsage,
        PromptTokensDetails,
        TokenLogprob,
        TopLogprob,
        UrlCitation,
        WireStruct,
    )
    from opeai_async.types.completion import (
        Audio,
        ChatCompletion,
        ChatCompletionMessage,
        Choice,
        CustomCall,
        FunctionCall,
        ToolCall,
    )
    from opeai_async.types.finish import FinishKind
    from opeai_async.types.frames import (
        AnnotationsFrame,
        AudioFrame,
        ContentFrame,
        DoneFrame,
        ErrorFrame,
        Frame,
        PingFrame,
        ReasoningFrame,
        RefusalFrame,
        StartFrame,
        ToolCallFrame,
    )
    from opeai_async.types.meta import (
        AttemptRecord,
        ResponseMeta,
        StreamTiming,
    )
    from opeai_async.types.request import (
        AssistantMessage,
        ChatCompletionRequest,
        CompletionParams,
        ContentPart,
        ContentPartParam,
        CustomTool,
        CustomToolDefinition,
        DeveloperMessage,
        FileData,
        FilePart,
        FunctionDefinition,
        FunctionMessage,
        FunctionName,
        FunctionTool,
        ImagePart,
        ImageURL,
        InputAudio,
        InputAudioPart,
        JSONObjectFormat,
        JSONSchema,
        JSONSchemaFormat,
        Message,
        MessageParam,
        NamedToolChoice,
        RefusalPart,
        ResponseFormatParam,
        StreamOptions,
        SystemMessage,
        TextFormat,
        TextPart,
        ToolChoiceParam,
        ToolMessage,
        ToolParam,
        UserMessage,
    )

_MODULES = {
    "client": ("AsyncOpeAI",),
    "stream": ("ChatCompletionStream",),
    "_io.transport": (
        "Response",
        "Transport",
    ),
    "_core.accumulator": ("Accumulator",),
    "_core.decode": ("decode_chunk",),
    "_core.outcome": ("Outcome",),
    "_core.retry": ("RetryPolicy",),
    "_core.sse": (
        "SSEDecoder",
        "ServerSentEvent",
    ),
    "_core.timeouts": ("Timeouts",),
    "errors": (
        "APIConnectionError",
        "APIStatusError",
        "APITimeoutError",
        "AuthenticationError",
        "BadRequestError",
        "ClientClosedError",
        "ConcurrentReadError",
        "ConfigurationError",
        "ConflictError",
        "InternalServerError",
        "InvalidResponseError",
        "LocalResourceError",
        "NotFoundError",
        "OpeAIError",
        "PermissionDeniedError",
        "PoolTimeoutError",
        "QuotaExceededError",
        "RateLimitError",
        "RequestValidationError",
        "StreamDecodeError",
        "StreamError",
        "StreamInterruptedError",
        "StreamServerError",
        "StreamTimeoutError",
        "StreamTooLargeError",
        "StreamTruncatedError",
        "TLSError",
        "UnprocessableEntityError",
    ),
    "types.frames": (
        "AnnotationsFrame",
        "AudioFrame",
        "ContentFrame",
        "DoneFrame",
        "ErrorFrame",
        "Frame",
        "PingFrame",
        "ReasoningFrame",
        "RefusalFrame",
        "StartFrame",
        "ToolCallFrame",
    ),
    "frames": (
        "FrameSource",
        "StreamFrames",
    ),
    "types.chunk": (
        "AudioDelta",
        "ChatCompletionChunk",
        "ChoiceDelta",
        "ChunkChoice",
        "CustomCallDelta",
        "FunctionCallDelta",
        "ToolCallDelta",
    ),
    "types.common": (
        "Annotation",
        "ChoiceLogprobs",
        "CompletionTokensDetails",
        "CompletionUsage",
        "PromptTokensDetails",
        "TokenLogprob",
        "TopLogprob",
        "UrlCitation",
        "WireStruct",
    ),
    "types.completion": (
        "Audio",
        "ChatCompletion",
        "ChatCompletionMessage",
        "Choice",
        "CustomCall",
        "FunctionCall",
        "ToolCall",
    ),
    "types.finish": ("FinishKind",),
    "types.meta": (
        "AttemptRecord",
        "ResponseMeta",
        "StreamTiming",
    ),
    "types.request": (
        "AssistantMessage",
        "ChatCompletionRequest",
        "CompletionParams",
        "ContentPart",
        "ContentPartParam",
        "CustomTool",
        "CustomToolDefinition",
        "DeveloperMessage",
        "FileData",
        "FilePart",
        "FunctionDefinition",
        "FunctionMessage",
        "FunctionName",
        "FunctionTool",
        "ImagePart",
        "ImageURL",
        "InputAudio",
        "InputAudioPart",
        "JSONObjectFormat",
        "JSONSchema",
        "JSONSchemaFormat",
        "Message",
        "MessageParam",
        "NamedToolChoice",
        "RefusalPart",
        "ResponseFormatParam",
        "StreamOptions",
        "SystemMessage",
        "TextFormat",
        "TextPart",
        "ToolChoiceParam",
        "ToolMessage",
        "ToolParam",
        "UserMessage",
    ),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "Accumulator",
    "Annotation",
    "AnnotationsFrame",
    "AssistantMessage",
    "AsyncOpeAI",
    "AttemptRecord",
    "Audio",
    "AudioDelta",
    "AudioFrame",
    "AuthenticationError",
    "BadRequestError",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatCompletionMessage",
    "ChatCompletionRequest",
    "ChatCompletionStream",
    "Choice",
    "ChoiceDelta",
    "ChoiceLogprobs",
    "ChunkChoice",
    "ClientClosedError",
    "CompletionParams",
    "CompletionTokensDetails",
    "CompletionUsage",
    "ConcurrentReadError",
    "ConfigurationError",
    "ConflictError",
    "ContentFrame",
    "ContentPart",
    "ContentPartParam",
    "CustomCall",
    "CustomCallDelta",
    "CustomTool",
    "CustomToolDefinition",
    "DeveloperMessage",
    "DoneFrame",
    "ErrorFrame",
    "FileData",
    "FilePart",
    "FinishKind",
    "Frame",
    "FrameSource",
    "FunctionCall",
    "FunctionCallDelta",
    "FunctionDefinition",
    "FunctionMessage",
    "FunctionName",
    "FunctionTool",
    "ImagePart",
    "ImageURL",
    "InputAudio",
    "InputAudioPart",
    "InternalServerError",
    "InvalidResponseError",
    "JSONObjectFormat",
    "JSONSchema",
    "JSONSchemaFormat",
    "LocalResourceError",
    "Message",
    "MessageParam",
    "NamedToolChoice",
    "NotFoundError",
    "OpeAIError",
    "Outcome",
    "PermissionDeniedError",
    "PingFrame",
    "PoolTimeoutError",
    "PromptTokensDetails",
    "QuotaExceededError",
    "RateLimitError",
    "ReasoningFrame",
    "RefusalFrame",
    "RefusalPart",
    "RequestValidationError",
    "Response",
    "ResponseFormatParam",
    "ResponseMeta",
    "RetryPolicy",
    "SSEDecoder",
    "ServerSentEvent",
    "StartFrame",
    "StreamDecodeError",
    "StreamError",
    "StreamFrames",
    "StreamInterruptedError",
    "StreamOptions",
    "StreamServerError",
    "StreamTimeoutError",
    "StreamTiming",
    "StreamTooLargeError",
    "StreamTruncatedError",
    "SystemMessage",
    "TLSError",
    "TextFormat",
    "TextPart",
    "Timeouts",
    "TokenLogprob",
    "ToolCall",
    "ToolCallDelta",
    "ToolCallFrame",
    "ToolChoiceParam",
    "ToolMessage",
    "ToolParam",
    "TopLogprob",
    "Transport",
    "UnprocessableEntityError",
    "UrlCitation",
    "UserMessage",
    "WireStruct",
    "__version__",
    "decode_chunk",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for (PEP 562)."""
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name, obj=_this())
    value = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def _this() -> object:
    return importlib.import_module(__name__)
