"""Async-first streaming client for OPE.AI's chat completions: ``from opeai_async import AsyncOpeAI``.

The floors, ground first; a module imports only from floors below its own::

    errors, types.common      what can go wrong; the base of all Structs
    types                     what is on the wire, and what goes on to others: frames, events
    _core                     decisions and parsing: no await, no clock, no socket
    _io                       everything that awaits: transport, exchange, stream, rounds of tools
    stream, relay, session,   what is done with an answer: read it, send it on to websockets and browsers, check its
    structured, tools, ...    type, run what it calls; and `client`, which is set up and closed
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
    from opeai_async._core.frame_codecs import FrameEncoder, encode_json
    from opeai_async._core.outcome import Outcome
    from opeai_async._core.partial_json import PartialJSON
    from opeai_async._core.retry import RetryPolicy
    from opeai_async._core.sse import ServerSentEvent, SSEDecoder
    from opeai_async._core.timeouts import Timeouts
    from opeai_async._core.tool_results import ToolError
    from opeai_async._core.ui_history import UIConversation, messages_from_ui
    from opeai_async._core.ui_messages import UIMessageEncoder
    from opeai_async._io.transport import Response, Transport
    from opeai_async.ag_ui import AGUIEncoder
    from opeai_async.client import AsyncOpeAI
    from opeai_async.conversation import Conversation
    from opeai_async.draining import drain, drain_on_sigterm
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
        InvalidJSONError,
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
    from opeai_async.event_stream import SSE_HEADERS, UI_MESSAGE_HEADERS, sse, sse_chunks
    from opeai_async.frames import FrameSource, StreamFrames
    from opeai_async.output_errors import InvalidOutputError, OutputFilteredError, OutputTruncatedError
    from opeai_async.racing import race
    from opeai_async.relay import RelayOptions, RelayResult, RelayTiming
    from opeai_async.runner import Run, RunFrames, RunResult
    from opeai_async.session import StreamSession, Subscription
    from opeai_async.session_store import MemoryStore, SessionLog, SessionStore
    from opeai_async.stream import ChatCompletionStream
    from opeai_async.structured import ParsedChatCompletionStream
    from opeai_async.tools import RunTool, Tool, tool
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
    from opeai_async.types.events import (
        ChunkEvent,
        ContentDeltaEvent,
        ContentDoneEvent,
        CustomInputDeltaEvent,
        CustomInputDoneEvent,
        FinishEvent,
        FunctionArgumentsDeltaEvent,
        FunctionArgumentsDoneEvent,
        LogprobsContentDeltaEvent,
        LogprobsContentDoneEvent,
        LogprobsRefusalDeltaEvent,
        LogprobsRefusalDoneEvent,
        ReasoningDeltaEvent,
        ReasoningDoneEvent,
        RefusalDeltaEvent,
        RefusalDoneEvent,
        StreamEvent,
        UsageEvent,
    )
    from opeai_async.types.finish import FinishKind
    from opeai_async.types.frames import (
        AnnotationsFrame,
        AudioFrame,
        ContentFrame,
        DoneFrame,
        ErrorFrame,
        Frame,
        ImagesFrame,
        PingFrame,
        ReasoningFrame,
        RefusalFrame,
        RoundFrame,
        StartFrame,
        ToolApprovalFrame,
        ToolCallFrame,
        ToolFinishedFrame,
        ToolStartedFrame,
    )
    from opeai_async.types.meta import AttemptRecord, ResponseMeta, StreamTiming
    from opeai_async.types.parsed import ParsedChatCompletion, ParsedChatCompletionMessage, ParsedChoice
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
    from opeai_async.types.run_events import (
        RoundFinishedEvent,
        RoundStartedEvent,
        RunEvent,
        RunReason,
        ToolApprovalEvent,
        ToolFinishedEvent,
        ToolStartedEvent,
    )
    from opeai_async.types.run_options import NextRound, OnToolError

# Where each name is, for its first use.
_MODULES = {
    "_core.accumulator": "Accumulator",
    "_core.decode": "decode_chunk",
    "_core.frame_codecs": "FrameEncoder encode_json",
    "_core.outcome": "Outcome",
    "_core.partial_json": "PartialJSON",
    "_core.retry": "RetryPolicy",
    "_core.sse": "SSEDecoder ServerSentEvent",
    "_core.timeouts": "Timeouts",
    "_core.ui_history": "UIConversation messages_from_ui",
    "_core.ui_messages": "UIMessageEncoder",
    "_io.transport": "Response Transport",
    "ag_ui": "AGUIEncoder",
    "client": "AsyncOpeAI",
    "conversation": "Conversation",
    "draining": "drain drain_on_sigterm",
    "errors": (
        "APIConnectionError APIStatusError APITimeoutError AuthenticationError BadRequestError ClientClosedError "
        "ConcurrentReadError ConfigurationError ConflictError InternalServerError InvalidJSONError "
        "InvalidResponseError LocalResourceError NotFoundError OpeAIError PermissionDeniedError PoolTimeoutError "
        "QuotaExceededError RateLimitError RequestValidationError StreamDecodeError StreamError "
        "StreamInterruptedError StreamServerError StreamTimeoutError StreamTooLargeError StreamTruncatedError "
        "TLSError UnprocessableEntityError"
    ),
    "event_stream": "SSE_HEADERS UI_MESSAGE_HEADERS sse sse_chunks",
    "frames": "FrameSource StreamFrames",
    "output_errors": "InvalidOutputError OutputFilteredError OutputTruncatedError",
    "racing": "race",
    "relay": "RelayOptions RelayResult RelayTiming",
    "runner": "Run RunFrames RunResult",
    "session": "StreamSession Subscription",
    "session_store": "MemoryStore SessionLog SessionStore",
    "stream": "ChatCompletionStream",
    "structured": "ParsedChatCompletionStream",
    "_core.tool_results": "ToolError",
    "tools": "RunTool Tool tool",
    "types.chunk": (
        "AudioDelta ChatCompletionChunk ChoiceDelta ChunkChoice CustomCallDelta FunctionCallDelta ToolCallDelta"
    ),
    "types.common": (
        "Annotation ChoiceLogprobs CompletionTokensDetails CompletionUsage PromptTokensDetails TokenLogprob "
        "TopLogprob UrlCitation WireStruct"
    ),
    "types.completion": "Audio ChatCompletion ChatCompletionMessage Choice CustomCall FunctionCall ToolCall",
    "types.events": (
        "ChunkEvent ContentDeltaEvent ContentDoneEvent CustomInputDeltaEvent CustomInputDoneEvent FinishEvent "
        "FunctionArgumentsDeltaEvent FunctionArgumentsDoneEvent LogprobsContentDeltaEvent LogprobsContentDoneEvent "
        "LogprobsRefusalDeltaEvent LogprobsRefusalDoneEvent ReasoningDeltaEvent ReasoningDoneEvent RefusalDeltaEvent "
        "RefusalDoneEvent StreamEvent UsageEvent"
    ),
    "types.finish": "FinishKind",
    "types.frames": (
        "AnnotationsFrame AudioFrame ContentFrame DoneFrame ErrorFrame Frame ImagesFrame PingFrame ReasoningFrame "
        "RefusalFrame RoundFrame StartFrame ToolApprovalFrame ToolCallFrame ToolFinishedFrame ToolStartedFrame"
    ),
    "types.meta": "AttemptRecord ResponseMeta StreamTiming",
    "types.parsed": "ParsedChatCompletion ParsedChatCompletionMessage ParsedChoice",
    "types.request": (
        "AssistantMessage ChatCompletionRequest CompletionParams ContentPart ContentPartParam CustomTool "
        "CustomToolDefinition DeveloperMessage FileData FilePart FunctionDefinition FunctionMessage FunctionName "
        "FunctionTool ImagePart ImageURL InputAudio InputAudioPart JSONObjectFormat JSONSchema JSONSchemaFormat "
        "Message MessageParam NamedToolChoice RefusalPart ResponseFormatParam StreamOptions SystemMessage TextFormat "
        "TextPart ToolChoiceParam ToolMessage ToolParam UserMessage"
    ),
    "types.run_options": "NextRound OnToolError",
    "types.run_events": (
        "RoundFinishedEvent RoundStartedEvent RunEvent RunReason ToolApprovalEvent ToolFinishedEvent ToolStartedEvent"
    ),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names.split()}

# fmt: off
__all__ = [
    "AGUIEncoder", "APIConnectionError", "APIStatusError", "APITimeoutError", "Accumulator", "Annotation",
    "AnnotationsFrame", "AssistantMessage", "AsyncOpeAI", "AttemptRecord", "Audio", "AudioDelta", "AudioFrame",
    "AuthenticationError", "BadRequestError", "ChatCompletion", "ChatCompletionChunk", "ChatCompletionMessage",
    "ChatCompletionRequest", "ChatCompletionStream", "Choice", "ChoiceDelta", "ChoiceLogprobs", "ChunkChoice",
    "ChunkEvent", "ClientClosedError", "CompletionParams", "CompletionTokensDetails", "CompletionUsage",
    "ConcurrentReadError", "ConfigurationError", "ConflictError", "ContentDeltaEvent", "ContentDoneEvent",
    "ContentFrame", "ContentPart", "ContentPartParam", "Conversation", "CustomCall", "CustomCallDelta",
    "CustomInputDeltaEvent", "CustomInputDoneEvent", "CustomTool", "CustomToolDefinition", "DeveloperMessage",
    "DoneFrame", "ErrorFrame", "FileData", "FilePart", "FinishEvent", "FinishKind", "Frame", "FrameEncoder",
    "FrameSource", "FunctionArgumentsDeltaEvent", "FunctionArgumentsDoneEvent", "FunctionCall", "FunctionCallDelta",
    "FunctionDefinition", "FunctionMessage", "FunctionName", "FunctionTool", "ImagePart", "ImageURL", "ImagesFrame",
    "InputAudio", "InputAudioPart", "InternalServerError", "InvalidJSONError", "InvalidOutputError",
    "InvalidResponseError", "JSONObjectFormat", "JSONSchema", "JSONSchemaFormat", "LocalResourceError",
    "LogprobsContentDeltaEvent", "LogprobsContentDoneEvent", "LogprobsRefusalDeltaEvent", "LogprobsRefusalDoneEvent",
    "MemoryStore", "Message", "MessageParam", "NamedToolChoice", "NextRound", "NotFoundError", "OnToolError",
    "OpeAIError", "Outcome", "OutputFilteredError", "OutputTruncatedError", "ParsedChatCompletion",
    "ParsedChatCompletionMessage", "ParsedChatCompletionStream", "ParsedChoice", "PartialJSON", "PermissionDeniedError",
    "PingFrame", "PoolTimeoutError", "PromptTokensDetails", "QuotaExceededError", "RateLimitError",
    "ReasoningDeltaEvent", "ReasoningDoneEvent", "ReasoningFrame", "RefusalDeltaEvent", "RefusalDoneEvent",
    "RefusalFrame", "RefusalPart", "RelayOptions", "RelayResult", "RelayTiming", "RequestValidationError", "Response",
    "ResponseFormatParam", "ResponseMeta", "RetryPolicy", "RoundFinishedEvent", "RoundFrame", "RoundStartedEvent",
    "Run", "RunEvent", "RunFrames", "RunReason", "RunResult", "RunTool", "SSEDecoder", "SSE_HEADERS", "ServerSentEvent",
    "SessionLog", "SessionStore", "StartFrame", "StreamDecodeError", "StreamError", "StreamEvent", "StreamFrames",
    "StreamInterruptedError", "StreamOptions", "StreamServerError", "StreamSession", "StreamTimeoutError",
    "StreamTiming", "StreamTooLargeError", "StreamTruncatedError", "Subscription", "SystemMessage", "TLSError",
    "TextFormat", "TextPart", "Timeouts", "TokenLogprob", "Tool", "ToolApprovalEvent", "ToolApprovalFrame", "ToolCall",
    "ToolCallDelta", "ToolCallFrame", "ToolChoiceParam", "ToolError", "ToolFinishedEvent", "ToolFinishedFrame",
    "ToolMessage", "ToolParam", "ToolStartedEvent", "ToolStartedFrame", "TopLogprob", "Transport", "UIConversation",
    "UIMessageEncoder", "UI_MESSAGE_HEADERS", "UnprocessableEntityError", "UrlCitation", "UsageEvent", "UserMessage",
    "WireStruct", "__version__", "decode_chunk", "drain", "drain_on_sigterm", "encode_json", "messages_from_ui", "race",
    "sse", "sse_chunks", "tool",
]
# fmt: on


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
