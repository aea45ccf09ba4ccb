"""Async-first streaming client for OPE.AI's chat completions: ``from opeai_async import AsyncOpeAI``.

The floors, ground first; a room imports only from those before it::

    types, errors             what is on the wire, and what goes on to others; what can go wrong
    _core                     decisions and parsing: no await, no clock, no socket
    _io                       everything that awaits: exchange, stream, and aiohttp, which only `_io/net` knows
    _relay, _tools, _chat     what is done with an answer: send it on, run what it calls, read it; and the client
    testing, _cli             a real server on loopback; the command line

Names are resolved when they are first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from opeai_async._version import __version__

if TYPE_CHECKING:
    from opeai_async._chat.client import AsyncOpeAI
    from opeai_async._chat.conversation import Conversation
    from opeai_async._chat.stream import ChatCompletionStream
    from opeai_async._chat.structured import ParsedChatCompletionStream
    from opeai_async._chat.sync import OpeAI
    from opeai_async._core.answer.accumulator import Accumulator
    from opeai_async._core.answer.outcome import Outcome
    from opeai_async._core.call.retry import RetryPolicy
    from opeai_async._core.call.timeouts import Timeouts
    from opeai_async._core.decode.decoder import decode_chunk
    from opeai_async._core.frames.browser.ag_ui import AGUIEncoder
    from opeai_async._core.frames.browser.ui_history import UIConversation, messages_from_ui
    from opeai_async._core.frames.browser.ui_messages import UIMessageEncoder
    from opeai_async._core.frames.encoders import FrameEncoder, encode_json
    from opeai_async._core.partial.reader import PartialJSON
    from opeai_async._core.policy.endpoints.endpoint import (
        Capabilities,
        Endpoint,
        EndpointPolicy,
        Endpoints,
        Hedge,
        RateLimit,
    )
    from opeai_async._core.policy.unknown_params import (
        UnknownParameterWarning,
    )
    from opeai_async._core.schema.tool_results import ToolError
    from opeai_async._core.sse import ServerSentEvent, SSEDecoder
    from opeai_async._io.observe.observers import Observer
    from opeai_async._io.transport import Response, Transport
    from opeai_async._relay.draining import drain, drain_on_sigterm
    from opeai_async._relay.event_stream import SSE_HEADERS, UI_MESSAGE_HEADERS, sse, sse_chunks
    from opeai_async._relay.frames import FrameSource, StreamFrames
    from opeai_async._relay.racing import race
    from opeai_async._relay.session import StreamSession, Subscription
    from opeai_async._relay.session_log import SessionLog
    from opeai_async._relay.stores import MemoryStore, SessionStore
    from opeai_async._relay.websocket import RelayOptions, RelayResult, RelayTiming
    from opeai_async._tools.result import RunResult
    from opeai_async._tools.run import Run
    from opeai_async._tools.run_frames import RunFrames
    from opeai_async._tools.tool import RunTool, Tool, tool
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
        InvalidOutputError,
        InvalidResponseError,
        LocalResourceError,
        NotFoundError,
        OpeAIError,
        OutputFilteredError,
        OutputTruncatedError,
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
        Moderation,
        ModerationResult,
        ModerationResults,
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
        Model,
        ModelList,
        ToolCall,
    )
    from opeai_async.types.events import (
        ChunkEvent,
        ContentDeltaEvent,
        ContentDoneEvent,
        ContinuedEvent,
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
        RoundFinishedEvent,
        RoundStartedEvent,
        RunEvent,
        RunReason,
        StreamEvent,
        ToolApprovalEvent,
        ToolFinishedEvent,
        ToolStartedEvent,
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
    from opeai_async.types.meta import AttemptRecord, ContinuedRecord, ResponseMeta, StreamTiming
    from opeai_async.types.parsed import ParsedChatCompletion, ParsedChatCompletionMessage, ParsedChoice
    from opeai_async.types.records import (
        AttemptEnded,
        AttemptStarted,
        BulkRecord,
        BulkStarted,
        CallRecord,
        CallStarted,
        FirstContent,
        PauseBegun,
        Prompt,
        RelayRecord,
        RetryScheduled,
        RunRecord,
        RunStarted,
        SessionRecord,
        ToolRecord,
        ToolStarted,
        Waits,
    )
    from opeai_async.types.request import (
        AllowedTools,
        AllowedToolsChoice,
        ApproximateLocation,
        AssistantMessage,
        AudioOptions,
        ChatCompletionRequest,
        CompletionParams,
        ContentPart,
        ContentPartParam,
        CustomTool,
        CustomToolDefinition,
        CustomToolName,
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
        ModerationMode,
        ModerationOptions,
        ModerationPolicy,
        NamedCustomToolChoice,
        NamedToolChoice,
        PredictedContent,
        PromptCacheBreakpoint,
        PromptCacheOptions,
        RefusalPart,
        ResponseFormatParam,
        StreamOptions,
        SystemMessage,
        TextFormat,
        TextPart,
        ToolChoiceParam,
        ToolMessage,
        ToolParam,
        UserLocation,
        UserMessage,
        VoiceName,
        WebSearchOptions,
    )
    from opeai_async.types.run_options import NextRound, OnToolError


# fmt: off
__all__ = [
    "AGUIEncoder", "APIConnectionError", "APIStatusError", "APITimeoutError", "Accumulator", "AllowedTools",
    "AllowedToolsChoice", "Annotation", "AnnotationsFrame", "ApproximateLocation", "AssistantMessage", "AsyncOpeAI",
    "AttemptEnded", "AttemptRecord", "AttemptStarted", "Audio", "AudioDelta", "AudioFrame", "AudioOptions",
    "AuthenticationError", "BadRequestError", "BulkRecord", "BulkStarted", "CallRecord", "CallStarted", "Capabilities",
    "ChatCompletion",
    "ChatCompletionChunk", "ChatCompletionMessage", "ChatCompletionRequest", "ChatCompletionStream", "Choice",
    "ChoiceDelta", "ChoiceLogprobs", "ChunkChoice", "ChunkEvent", "ClientClosedError", "CompletionParams",
    "CompletionTokensDetails", "CompletionUsage", "ConcurrentReadError", "ConfigurationError", "ConflictError",
    "ContentDeltaEvent", "ContentDoneEvent", "ContentFrame", "ContentPart", "ContentPartParam", "ContinuedEvent",
    "ContinuedRecord", "Conversation", "CustomCall", "CustomCallDelta", "CustomInputDeltaEvent", "CustomInputDoneEvent",
    "CustomTool", "CustomToolDefinition", "CustomToolName", "DeveloperMessage", "DoneFrame", "Endpoint",
    "EndpointPolicy", "Endpoints", "ErrorFrame", "FileData", "FilePart", "FinishEvent", "FinishKind", "FirstContent",
    "Frame", "FrameEncoder", "FrameSource", "FunctionArgumentsDeltaEvent", "FunctionArgumentsDoneEvent", "FunctionCall",
    "FunctionCallDelta", "FunctionDefinition", "FunctionMessage", "FunctionName", "FunctionTool", "Hedge", "ImagePart",
    "ImageURL", "ImagesFrame", "InputAudio", "InputAudioPart", "InternalServerError", "InvalidJSONError",
    "InvalidOutputError", "InvalidResponseError", "JSONObjectFormat", "JSONSchema", "JSONSchemaFormat",
    "LocalResourceError", "LogprobsContentDeltaEvent", "LogprobsContentDoneEvent", "LogprobsRefusalDeltaEvent",
    "LogprobsRefusalDoneEvent", "MemoryStore", "Message", "MessageParam", "Model", "ModelList", "Moderation",
    "ModerationMode", "ModerationOptions", "ModerationPolicy", "ModerationResult", "ModerationResults",
    "NamedCustomToolChoice", "NamedToolChoice", "NextRound", "NotFoundError", "Observer", "OnToolError", "OpeAI",
    "OpeAIError", "Outcome", "OutputFilteredError", "OutputTruncatedError", "ParsedChatCompletion",
    "ParsedChatCompletionMessage", "ParsedChatCompletionStream", "ParsedChoice", "PartialJSON", "PauseBegun",
    "PermissionDeniedError", "PingFrame", "PoolTimeoutError", "PredictedContent", "Prompt", "PromptCacheBreakpoint",
    "PromptCacheOptions", "PromptTokensDetails", "QuotaExceededError", "RateLimit", "RateLimitError",
    "ReasoningDeltaEvent", "ReasoningDoneEvent", "ReasoningFrame", "RefusalDeltaEvent", "RefusalDoneEvent",
    "RefusalFrame", "RefusalPart", "RelayOptions", "RelayRecord", "RelayResult", "RelayTiming",
    "RequestValidationError", "Response", "ResponseFormatParam", "ResponseMeta", "RetryPolicy", "RetryScheduled",
    "RoundFinishedEvent", "RoundFrame", "RoundStartedEvent", "Run", "RunEvent", "RunFrames", "RunReason", "RunRecord",
    "RunResult", "RunStarted", "RunTool", "SSEDecoder", "SSE_HEADERS", "ServerSentEvent", "SessionLog", "SessionRecord",
    "SessionStore", "StartFrame", "StreamDecodeError", "StreamError", "StreamEvent", "StreamFrames",
    "StreamInterruptedError", "StreamOptions", "StreamServerError", "StreamSession", "StreamTimeoutError",
    "StreamTiming", "StreamTooLargeError", "StreamTruncatedError", "Subscription", "SystemMessage", "TLSError",
    "TextFormat", "TextPart", "Timeouts", "TokenLogprob", "Tool", "ToolApprovalEvent", "ToolApprovalFrame", "ToolCall",
    "ToolCallDelta", "ToolCallFrame", "ToolChoiceParam", "ToolError", "ToolFinishedEvent", "ToolFinishedFrame",
    "ToolMessage", "ToolParam", "ToolRecord", "ToolStarted", "ToolStartedEvent", "ToolStartedFrame", "TopLogprob",
    "Transport", "UIConversation", "UIMessageEncoder", "UI_MESSAGE_HEADERS", "UnknownParameterWarning",
    "UnprocessableEntityError", "UrlCitation", "UsageEvent", "UserLocation", "UserMessage", "VoiceName", "Waits",
    "WebSearchOptions", "WireStruct", "__version__", "decode_chunk", "drain", "drain_on_sigterm", "encode_json",
    "messages_from_ui", "race", "sse", "sse_chunks", "tool",
]
# fmt: on


def __getattr__(name: str) -> Any:
    """Import what is asked for (PEP 562)."""
    from opeai_async._public import home_of  # read when it is needed

    module = home_of(name)
    if module is None:
        raise _missed(name)
    value = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def _missed(name: str) -> Exception:
    """Return the error for *name*, which is not here, with what it is called if other clients have it."""
    import inspect

    from opeai_async._names.former import MODULE, is_being_imported

    hint = MODULE.get(name)
    if hint is None:
        return AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name, obj=_this())
    here = inspect.currentframe()
    lookup = here.f_back if here is not None else None
    if lookup is not None and is_being_imported(lookup.f_back):
        # Python drops the text of an AttributeError here, and says that the name cannot be imported.
        return ImportError(f"cannot import name {name!r} from {__name__!r}: {hint}", name=name)
    return AttributeError(f"module {__name__!r} has no attribute {name!r}: {hint}")


def _this() -> object:
    return importlib.import_module(__name__)
