"""Where each public name is made, and what it calls itself.

Public classes say that they are of ``opeai_async``, wherever they are written: so a traceback shows the name that a
program imports, and a pickle does not break when a module moves.
"""

import sys

# By the module in which they are, without ``opeai_async.``; the same as `opeai_async` imports for type checkers.
PUBLIC = {
    "_chat.client": "AsyncOpeAI",
    "_chat.conversation": "Conversation",
    "_chat.stream": "ChatCompletionStream",
    "_chat.sync": "OpeAI",
    "_chat.structured": "ParsedChatCompletionStream",
    "_core.answer.accumulator": "Accumulator",
    "_core.answer.outcome": "Outcome",
    "_core.call.retry": "RetryPolicy",
    "_core.call.timeouts": "Timeouts",
    "_core.decode.decoder": "decode_chunk",
    "_core.policy.endpoints.endpoint": "Capabilities Endpoint EndpointPolicy Endpoints Hedge RateLimit",
    "_core.frames.browser.ag_ui": "AGUIEncoder",
    "_core.frames.browser.ui_history": "UIConversation messages_from_ui",
    "_core.frames.browser.ui_messages": "UIMessageEncoder",
    "_core.frames.encoders": "FrameEncoder encode_json",
    "_core.partial.reader": "PartialJSON",
    "_core.schema.tool_results": "ToolError",
    "_core.sse": "SSEDecoder ServerSentEvent",
    "_io.observe.observers": "Observer",
    "_io.transport": "Response Transport",
    "_core.policy.unknown_params": "UnknownParameterWarning",
    "_relay.draining": "drain drain_on_sigterm",
    "_relay.event_stream": "SSE_HEADERS UI_MESSAGE_HEADERS sse sse_chunks",
    "_relay.frames": "FrameSource StreamFrames",
    "_relay.racing": "race",
    "_relay.session": "StreamSession Subscription",
    "_relay.session_log": "SessionLog",
    "_relay.stores": "MemoryStore SessionStore",
    "_relay.websocket": "RelayOptions RelayResult RelayTiming",
    "_tools.result": "RunResult",
    "_tools.run": "Run",
    "_tools.run_frames": "RunFrames",
    "_tools.tool": "RunTool Tool tool",
    "errors": (
        "APIConnectionError APIStatusError APITimeoutError AuthenticationError BadRequestError ClientClosedError "
        "ConcurrentReadError ConfigurationError ConflictError InternalServerError InvalidJSONError "
        "InvalidOutputError InvalidResponseError LocalResourceError NotFoundError OpeAIError OutputFilteredError "
        "OutputTruncatedError PermissionDeniedError PoolTimeoutError QuotaExceededError RateLimitError "
        "RequestValidationError StreamDecodeError StreamError StreamInterruptedError StreamServerError "
        "StreamTimeoutError StreamTooLargeError StreamTruncatedError TLSError UnprocessableEntityError"
    ),
    "types.chunk": (
        "AudioDelta ChatCompletionChunk ChoiceDelta ChunkChoice CustomCallDelta FunctionCallDelta ToolCallDelta"
    ),
    "types.common": (
        "Annotation ChoiceLogprobs CompletionTokensDetails CompletionUsage Moderation ModerationResult "
        "ModerationResults PromptTokensDetails TokenLogprob TopLogprob UrlCitation WireStruct"
    ),
    "types.completion": (
        "Audio ChatCompletion ChatCompletionMessage Choice CustomCall FunctionCall Model ModelList ToolCall"
    ),
    "types.events": (
        "ChunkEvent ContentDeltaEvent ContentDoneEvent ContinuedEvent CustomInputDeltaEvent CustomInputDoneEvent "
        "FinishEvent "
        "FunctionArgumentsDeltaEvent FunctionArgumentsDoneEvent LogprobsContentDeltaEvent LogprobsContentDoneEvent "
        "LogprobsRefusalDeltaEvent LogprobsRefusalDoneEvent ReasoningDeltaEvent ReasoningDoneEvent RefusalDeltaEvent "
        "RefusalDoneEvent RoundFinishedEvent RoundStartedEvent RunEvent RunReason StreamEvent ToolApprovalEvent "
        "ToolFinishedEvent ToolStartedEvent UsageEvent"
    ),
    "types.finish": "FinishKind",
    "types.frames": (
        "AnnotationsFrame AudioFrame ContentFrame DoneFrame ErrorFrame Frame ImagesFrame PingFrame ReasoningFrame "
        "RefusalFrame RoundFrame StartFrame ToolApprovalFrame ToolCallFrame ToolFinishedFrame ToolStartedFrame"
    ),
    "types.meta": "AttemptRecord ContinuedRecord ResponseMeta StreamTiming",
    "types.parsed": "ParsedChatCompletion ParsedChatCompletionMessage ParsedChoice",
    "types.records": (
        "AttemptEnded AttemptStarted BulkRecord BulkStarted CallRecord CallStarted FirstContent PauseBegun Prompt "
        "RelayRecord RetryScheduled RunRecord RunStarted SessionRecord ToolRecord ToolStarted Waits"
    ),
    "types.request": (
        "AllowedTools AllowedToolsChoice ApproximateLocation AssistantMessage AudioOptions ChatCompletionRequest "
        "CompletionParams ContentPart ContentPartParam CustomTool CustomToolDefinition CustomToolName "
        "DeveloperMessage FileData FilePart FunctionDefinition FunctionMessage FunctionName FunctionTool ImagePart "
        "ImageURL InputAudio InputAudioPart JSONObjectFormat JSONSchema JSONSchemaFormat Message MessageParam "
        "ModerationMode ModerationOptions ModerationPolicy NamedCustomToolChoice NamedToolChoice PredictedContent "
        "PromptCacheBreakpoint PromptCacheOptions RefusalPart ResponseFormatParam StreamOptions SystemMessage "
        "TextFormat TextPart ToolChoiceParam ToolMessage ToolParam UserLocation UserMessage VoiceName "
        "WebSearchOptions"
    ),
    "types.run_options": "NextRound OnToolError",
}

_HOME_OF = {name: module for module, names in PUBLIC.items() for name in names.split()}


def home_of(name: str) -> str | None:
    """Return the module that makes the public *name*, without ``opeai_async.``; None if there is no such name."""
    return _HOME_OF.get(name)


def claim(module: str) -> None:
    """Let the public classes of *module*, which calls this as its last act, say that they are of ``opeai_async``."""
    package, _, name = module.partition(".")
    made = vars(sys.modules[module])
    for public in PUBLIC[name].split():
        value = made[public]
        if isinstance(value, type):
            value.__module__ = package
