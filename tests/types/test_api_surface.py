"""The wire of today: what the newest `openai` types for chat completions, this package types too.

`openai` is a test dependency for this file alone, and one that other packages may keep from being installed: without
it these tests are skipped, and say so. A new release of it that has a field which we lack fails them.
"""

import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest

import opeai_async as ours
from opeai_async.types.request import CompletionParams

openai: Any = pytest.importorskip("openai", reason="the wheel of openai is not installed, with which we compare")
chat: Any = pytest.importorskip("openai.types.chat")
create_params: Any = pytest.importorskip("openai.types.chat.completion_create_params")

# Under which name a class of theirs is found here; by module where one name stands for several.
NAMES: dict[str, type] = {
    "Annotation": ours.Annotation,
    "AnnotationURLCitation": ours.UrlCitation,
    "ChatCompletion": ours.ChatCompletion,
    "ChatCompletionAllowedToolChoiceParam": ours.AllowedToolsChoice,
    "ChatCompletionAllowedToolsParam": ours.AllowedTools,
    "ChatCompletionAssistantMessageParam": ours.AssistantMessage,
    "ChatCompletionAudio": ours.Audio,
    "ChatCompletionAudioParam": ours.AudioOptions,
    "ChatCompletionChunk": ours.ChatCompletionChunk,
    "ChatCompletionContentPartImageParam": ours.ImagePart,
    "ChatCompletionContentPartInputAudioParam": ours.InputAudioPart,
    "ChatCompletionContentPartRefusalParam": ours.RefusalPart,
    "ChatCompletionContentPartTextParam": ours.TextPart,
    "ChatCompletionCustomToolParam": ours.CustomTool,
    "ChatCompletionDeveloperMessageParam": ours.DeveloperMessage,
    "ChatCompletionFunctionCallOptionParam": ours.FunctionName,
    "ChatCompletionFunctionMessageParam": ours.FunctionMessage,
    "ChatCompletionFunctionToolParam": ours.FunctionTool,
    "ChatCompletionMessage": ours.ChatCompletionMessage,
    "ChatCompletionMessageCustomToolCall": ours.ToolCall,
    "ChatCompletionMessageCustomToolCallParam": ours.ToolCall,
    "ChatCompletionMessageFunctionToolCall": ours.ToolCall,
    "ChatCompletionMessageFunctionToolCallParam": ours.ToolCall,
    "ChatCompletionNamedToolChoiceCustomParam": ours.NamedCustomToolChoice,
    "ChatCompletionNamedToolChoiceParam": ours.NamedToolChoice,
    "ChatCompletionPredictionContentParam": ours.PredictedContent,
    "ChatCompletionStreamOptionsParam": ours.StreamOptions,
    "ChatCompletionSystemMessageParam": ours.SystemMessage,
    "ChatCompletionTokenLogprob": ours.TokenLogprob,
    "ChatCompletionToolMessageParam": ours.ToolMessage,
    "ChatCompletionUserMessageParam": ours.UserMessage,
    "ChoiceDelta": ours.ChoiceDelta,
    "ChoiceDeltaAudio": ours.AudioDelta,
    "ChoiceDeltaFunctionCall": ours.FunctionCallDelta,
    "ChoiceDeltaToolCall": ours.ToolCallDelta,
    "ChoiceDeltaToolCallFunction": ours.FunctionCallDelta,
    "ChoiceLogprobs": ours.ChoiceLogprobs,
    "CompletionCreateParamsBase": CompletionParams,
    "CompletionTokensDetails": ours.CompletionTokensDetails,
    "CompletionUsage": ours.CompletionUsage,
    "File": ours.FilePart,
    "FileFile": ours.FileData,
    "FilePromptCacheBreakpoint": ours.PromptCacheBreakpoint,
    "FunctionDefinition": ours.FunctionDefinition,
    "ImageURL": ours.ImageURL,
    "InputAudio": ours.InputAudio,
    "JSONSchema": ours.JSONSchema,
    "ModerationPolicy": ours.ModerationPolicy,
    "ModerationPolicyInput": ours.ModerationMode,
    "ModerationPolicyOutput": ours.ModerationMode,
    "PromptCacheBreakpoint": ours.PromptCacheBreakpoint,
    "PromptCacheOptions": ours.PromptCacheOptions,
    "PromptTokensDetails": ours.PromptTokensDetails,
    "ResponseFormatJSONObject": ours.JSONObjectFormat,
    "ResponseFormatJSONSchema": ours.JSONSchemaFormat,
    "ResponseFormatText": ours.TextFormat,
    "TopLogprob": ours.TopLogprob,
    "VoiceID": ours.VoiceName,
    "WebSearchOptions": ours.WebSearchOptions,
    "WebSearchOptionsUserLocation": ours.UserLocation,
    "WebSearchOptionsUserLocationApproximate": ours.ApproximateLocation,
    "chat_completion.Choice": ours.Choice,
    "chat_completion.Moderation": ours.Moderation,
    "chat_completion_assistant_message_param.Audio": ours.Audio,
    "chat_completion_assistant_message_param.FunctionCall": ours.FunctionCall,
    "chat_completion_chunk.Choice": ours.ChunkChoice,
    "chat_completion_chunk.Moderation": ours.Moderation,
    "chat_completion_custom_tool_param.Custom": ours.CustomToolDefinition,
    "chat_completion_message.FunctionCall": ours.FunctionCall,
    "chat_completion_message_custom_tool_call.Custom": ours.CustomCall,
    "chat_completion_message_custom_tool_call_param.Custom": ours.CustomCall,
    "chat_completion_message_function_tool_call.Function": ours.FunctionCall,
    "chat_completion_message_function_tool_call_param.Function": ours.FunctionCall,
    "chat_completion_named_tool_choice_custom_param.Custom": ours.CustomToolName,
    "chat_completion_named_tool_choice_param.Function": ours.FunctionName,
    "completion_create_params.Function": ours.FunctionDefinition,
    "completion_create_params.Moderation": ours.ModerationOptions,
}
# Both sides of a moderation are one class here, and its two shapes too.
for side in ("Input", "Output"):
    NAMES[f"Moderation{side}ModerationResults"] = ours.ModerationResults
    NAMES[f"Moderation{side}ModerationResultsResult"] = ours.ModerationResult
    NAMES[f"Moderation{side}Error"] = ours.ModerationResults

# What is no class of its own here, but a dict: a grammar, whose shape the server checks.
DICTS = {"CustomFormat", "CustomFormatText", "CustomFormatGrammar", "CustomFormatGrammarGrammar"}


def is_typeddict(cls: object) -> bool:
    """Tell whether *cls* is a TypedDict, also one of typing_extensions, which typing does not know on older Pythons."""
    return isinstance(cls, type) and issubclass(cls, dict) and hasattr(cls, "__total__")


def classes_within(hint: Any) -> Iterator[type]:
    """The models and TypedDicts that *hint* mentions."""
    if is_typeddict(hint) or (isinstance(hint, type) and hasattr(hint, "model_fields")):
        yield hint
    elif isinstance(hint, types.GenericAlias) or typing.get_args(hint):
        for argument in typing.get_args(hint):
            yield from classes_within(argument)


def fields_of(cls: Any) -> dict[str, Any]:
    """The fields of a class of theirs, with their types."""
    if is_typeddict(cls):
        return typing.get_type_hints(cls)
    return {name: field.annotation for name, field in cls.model_fields.items()}


def reachable(*roots: Any) -> dict[str, type]:
    """Their classes that can be met from *roots*, by name with module."""
    found: dict[str, type] = {}
    open_ones = list(roots)
    while open_ones:
        cls = open_ones.pop()
        name = f"{cls.__module__.rpartition('.')[2]}.{cls.__name__}"
        if name not in found:
            found[name] = cls
            for hint in fields_of(cls).values():
                open_ones += classes_within(hint)
    return found


THEIRS = reachable(create_params.CompletionCreateParamsBase, chat.ChatCompletion, chat.ChatCompletionChunk)


def names_of_ours(cls: Any) -> set[str]:
    """The names that *cls* has on the wire, its tag among them."""
    if is_typeddict(cls):
        return set(cls.__annotations__)
    tag = cls.__struct_config__.tag_field
    return {field.encode_name for field in msgspec.structs.fields(cls)} | ({tag} if tag else set())


def test_the_comparison_sees_something() -> None:
    """The walk reaches the depths of both directions."""
    assert len(THEIRS) > 60
    assert {"completion_create_params.CompletionCreateParamsBase", "completion_usage.PromptTokensDetails"} <= set(
        THEIRS
    )


@pytest.mark.parametrize("name", sorted(THEIRS))
def test_each_field_of_theirs_is_typed_here(name: str) -> None:
    """A class of theirs that nobody knows here, or a field of one, is named."""
    short = name.rpartition(".")[2]
    if short in DICTS:
        return
    mine: Mapping[str, type] = NAMES
    cls = mine.get(name) or mine.get(short)
    assert cls is not None, f"openai {openai.__version__} has {name}, which has no counterpart here"
    lacking = set(fields_of(THEIRS[name])) - names_of_ours(cls) - {"stream"}
    assert not lacking, f"openai {openai.__version__} has {name} with {sorted(lacking)}; {cls.__name__} lacks them"


def test_no_counterpart_is_left_over() -> None:
    """A row of the table that nothing reaches any more would hide a rename."""
    shorts = {name.rpartition(".")[2] for name in THEIRS}
    assert not {name for name in NAMES if name not in THEIRS and name not in shorts}
