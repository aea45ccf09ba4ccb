"""What a request may hold: parameters, messages, content parts, tools, response formats.

Everything may be given as plain dicts in the API's own shape, or as the Structs below, mixed freely; messages that came
back from the API are accepted as they are. ``CompletionParams`` is the one list of parameters;
``ChatCompletionRequest`` is the same list with the ranges that are checked before anything is sent.

See https://platform.openai.com/docs/api-reference/chat/create
"""

# Annotations are no strings here: msgspec would compile each of them by itself, when the first request is made.
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Required, TypeAlias, TypedDict

from msgspec import Meta, Struct, field

from opeai_async._public import claim
from opeai_async.types.common import WireStruct
from opeai_async.types.completion import ChatCompletionMessage, ToolCall

# --- content parts -------------------------------------------------------------------------------------------------


class TextPart(WireStruct, tag_field="type", tag="text"):
    """Text inside a list of parts."""

    text: str


class ImageURL(WireStruct):
    """A web address or a ``data:`` URL; ``detail`` is ``auto``, ``low`` or ``high``."""

    url: str
    detail: str | None = None


class ImagePart(WireStruct, tag_field="type", tag="image_url"):
    """A picture."""

    image_url: ImageURL


class InputAudio(WireStruct):
    """Base64 ``data`` in ``format`` ``wav`` or ``mp3``."""

    data: str
    format: str


class InputAudioPart(WireStruct, tag_field="type", tag="input_audio"):
    """A recording."""

    input_audio: InputAudio


class FileData(WireStruct):
    """An uploaded file by ``file_id``, or base64 ``file_data`` with its ``filename``."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(WireStruct, tag_field="type", tag="file"):
    """A document."""

    file: FileData


class RefusalPart(WireStruct, tag_field="type", tag="refusal"):
    """An earlier refusal of the model."""

    refusal: str


ContentPart: TypeAlias = TextPart | ImagePart | InputAudioPart | FilePart | RefusalPart
ContentPartParam: TypeAlias = ContentPart | Mapping[str, object]
"""A part as a Struct, or as a dict of any type that the server understands."""

# --- messages ------------------------------------------------------------------------------------------------------
# ``content`` is Any inside the lists, because parts may be Structs of ours or dicts of a vendor.


class SystemMessage(WireStruct, tag_field="role", tag="system"):
    """Instructions that stand above the conversation."""

    role: ClassVar[str] = "system"
    content: str | list[Any]
    name: str | None = None


class DeveloperMessage(WireStruct, tag_field="role", tag="developer"):
    """Instructions of the developer, for models which tell them from the system's."""

    role: ClassVar[str] = "developer"
    content: str | list[Any]
    name: str | None = None


class UserMessage(WireStruct, tag_field="role", tag="user"):
    """What the user says: text, or a list of parts."""

    role: ClassVar[str] = "user"
    content: str | list[Any]
    name: str | None = None


class AssistantMessage(WireStruct, tag_field="role", tag="assistant"):
    """What the model said earlier; a ``ChatCompletionMessage`` that came back does as well."""

    role: ClassVar[str] = "assistant"
    # From a factory, because a default is not sent, and some servers refuse a message without content.
    content: str | list[Any] | None = field(default_factory=lambda: None)
    reasoning_content: str | None = None
    refusal: str | None = None
    name: str | None = None
    audio: Any = None
    tool_calls: list[ToolCall] | None = None
    function_call: Any = None
    prefix: bool | None = None


class ToolMessage(WireStruct, tag_field="role", tag="tool"):
    """The result of a tool call; ``tool_call_id`` is the call's ``id``."""

    role: ClassVar[str] = "tool"
    content: str | list[Any]
    tool_call_id: str


class FunctionMessage(WireStruct, tag_field="role", tag="function"):
    """The result of a function call in the API's older form."""

    role: ClassVar[str] = "function"
    content: str | None
    name: str


Message: TypeAlias = (
    SystemMessage
    | DeveloperMessage
    | UserMessage
    | AssistantMessage
    | ToolMessage
    | FunctionMessage
    | ChatCompletionMessage
)
MessageParam: TypeAlias = Message | Mapping[str, object]
"""A message as a Struct, as a dict in the API's shape, or as it came back from the API."""

# --- tools ---------------------------------------------------------------------------------------------------------


class FunctionDefinition(WireStruct):
    """A function the model may call; ``parameters`` is a JSON Schema object."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(WireStruct, tag_field="type", tag="function"):
    """A tool that takes JSON arguments."""

    function: FunctionDefinition


class CustomToolDefinition(WireStruct):
    """A tool that takes free text, optionally bound by a grammar ``format``."""

    name: str
    description: str | None = None
    format: dict[str, Any] | None = None


class CustomTool(WireStruct, tag_field="type", tag="custom"):
    """A tool that takes free text."""

    custom: CustomToolDefinition


ToolParam: TypeAlias = FunctionTool | CustomTool | Mapping[str, object]


class FunctionName(WireStruct):
    """The name of a function."""

    name: str


class NamedToolChoice(WireStruct, tag_field="type", tag="function"):
    """Forces the call of one function."""

    function: FunctionName


ToolChoiceParam: TypeAlias = str | NamedToolChoice | Mapping[str, object]
"""``"none"``, ``"auto"``, ``"required"``, or one named tool."""

# --- response format and options -------------------------------------------------------------------------------------


class JSONSchema(WireStruct):
    """A schema the answer must follow; ``schema`` is a JSON Schema object."""

    name: str
    schema: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class TextFormat(WireStruct, tag_field="type", tag="text"):
    """Plain text, the default."""


class JSONObjectFormat(WireStruct, tag_field="type", tag="json_object"):
    """Any JSON object; the prompt must ask for JSON too."""


class JSONSchemaFormat(WireStruct, tag_field="type", tag="json_schema"):
    """JSON that follows a schema."""

    json_schema: JSONSchema


ResponseFormatParam: TypeAlias = TextFormat | JSONObjectFormat | JSONSchemaFormat | Mapping[str, object]


class StreamOptions(WireStruct):
    """``include_usage`` asks for a last chunk with token counts; ``include_obfuscation`` for padding fields."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


StreamOptionsParam: TypeAlias = StreamOptions | Mapping[str, object]

# --- the request ---------------------------------------------------------------------------------------------------


class SharedParams(TypedDict, total=False):
    """Every parameter of the API but ``stream``, ``tools`` and ``response_format``; see ``CompletionParams``."""

    messages: Required[Iterable[MessageParam]]
    model: Required[str]
    audio: Mapping[str, object] | None
    frequency_penalty: float | None
    function_call: str | Mapping[str, object] | None
    functions: Sequence[Mapping[str, object]] | None
    logit_bias: Mapping[str, float] | Mapping[int, float] | None
    logprobs: bool | None
    max_completion_tokens: int | None
    max_tokens: int | None
    metadata: Mapping[str, str] | None
    modalities: Sequence[str] | None
    n: int | None
    parallel_tool_calls: bool | None
    prediction: Mapping[str, object] | None
    presence_penalty: float | None
    prompt_cache_key: str | None
    prompt_cache_retention: str | None
    reasoning_effort: str | None
    safety_identifier: str | None
    seed: int | None
    service_tier: str | None
    stop: str | Sequence[str] | None
    store: bool | None
    stream_options: StreamOptionsParam | None
    temperature: float | None
    tool_choice: ToolChoiceParam | None
    top_logprobs: int | None
    top_p: float | None
    user: str | None
    verbosity: str | None
    web_search_options: Mapping[str, object] | None


class UnformattedParams(SharedParams, total=False):
    """Every parameter of the API but ``stream`` and ``response_format``; see ``CompletionParams``."""

    tools: Iterable[ToolParam] | None


class CompletionParams(UnformattedParams, total=False):
    """Every parameter of the API but ``stream``. A parameter that is None is not sent.

    Ranges are those of ``ChatCompletionRequest``.
    """

    response_format: ResponseFormatParam | None


Penalty: TypeAlias = Annotated[float, Meta(ge=-2, le=2)]
PositiveInt: TypeAlias = Annotated[int, Meta(ge=1)]


class ChatCompletionRequest(Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The request with the types and ranges that hold before it is sent.

    Nested objects are checked by the server, not here: it knows more shapes than any client.
    """

    model: Annotated[str, Meta(min_length=1)]
    messages: Annotated[list[Any], Meta(min_length=1)]
    audio: dict[str, Any] | None = None
    frequency_penalty: Penalty | None = None
    function_call: str | dict[str, Any] | None = None
    functions: list[Any] | None = None
    logit_bias: dict[str | int, Annotated[float, Meta(ge=-100, le=100)]] | None = None
    logprobs: bool | None = None
    max_completion_tokens: PositiveInt | None = None
    max_tokens: PositiveInt | None = None
    metadata: dict[str, str] | None = None
    modalities: list[str] | None = None
    n: PositiveInt | None = None
    parallel_tool_calls: bool | None = None
    prediction: dict[str, Any] | None = None
    presence_penalty: Penalty | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    reasoning_effort: str | None = None
    response_format: Any = None
    safety_identifier: str | None = None
    seed: int | None = None
    service_tier: str | None = None
    stop: str | list[str] | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: Any = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    tool_choice: Any = None
    tools: list[Any] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    user: str | None = None
    verbosity: str | None = None
    web_search_options: dict[str, Any] | None = None


claim(__name__)
