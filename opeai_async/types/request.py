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


class PromptCacheBreakpoint(WireStruct):
    """The end of what may be cached: all before it, and the part that has it.

    Attributes:
        mode: ``"explicit"``.
        ttl: How long it is kept at least, ``"30m"`` or ``"12h"``; None for that of ``prompt_cache_options``.
    """

    mode: str
    ttl: str | None = None


class TextPart(WireStruct, tag_field="type", tag="text"):
    """Text inside a list of parts."""

    text: str
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


class ImageURL(WireStruct):
    """A web address or a ``data:`` URL; ``detail`` is ``auto``, ``low``, ``high`` or ``original``."""

    url: str
    detail: str | None = None


class ImagePart(WireStruct, tag_field="type", tag="image_url"):
    """A picture."""

    image_url: ImageURL
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


class InputAudio(WireStruct):
    """Base64 ``data`` in ``format`` ``wav`` or ``mp3``."""

    data: str
    format: str


class InputAudioPart(WireStruct, tag_field="type", tag="input_audio"):
    """A recording."""

    input_audio: InputAudio
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


class FileData(WireStruct):
    """An uploaded file by ``file_id``, or base64 ``file_data`` with its ``filename``."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(WireStruct, tag_field="type", tag="file"):
    """A document."""

    file: FileData
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


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


class CustomToolName(WireStruct):
    """The name of a custom tool."""

    name: str


class NamedCustomToolChoice(WireStruct, tag_field="type", tag="custom"):
    """Forces the call of one custom tool."""

    custom: CustomToolName


class AllowedTools(WireStruct):
    """Which of the ``tools`` the model may call now: so the list can stay the same, and cached.

    Attributes:
        mode: ``"auto"``, or ``"required"`` for one call at least.
        tools: Such as ``{"type": "function", "function": {"name": "get_weather"}}``.
    """

    mode: str
    tools: list[Any]


class AllowedToolsChoice(WireStruct, tag_field="type", tag="allowed_tools"):
    """Keeps the model to some of the ``tools``."""

    allowed_tools: AllowedTools


ToolChoiceParam: TypeAlias = str | NamedToolChoice | NamedCustomToolChoice | AllowedToolsChoice | Mapping[str, object]
"""``"none"``, ``"auto"``, ``"required"``, one named tool, or some of them."""

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


class PromptCacheOptions(WireStruct):
    """How prompts are cached.

    Attributes:
        mode: ``"implicit"``, where the server sets a breakpoint too, or ``"explicit"`` for those in the parts only.
        ttl: How long they are kept at least, ``"30m"`` or ``"12h"``.
    """

    mode: str | None = None
    ttl: str | None = None


class ModerationMode(WireStruct):
    """``mode`` is ``"score"``, or ``"block"`` to refuse what is flagged."""

    mode: str


class ModerationPolicy(WireStruct):
    """What becomes of input and output that is flagged."""

    input: ModerationMode | None = None
    output: ModerationMode | None = None


class ModerationOptions(WireStruct):
    """Asks for a moderation of input and output by ``model``, such as ``omni-moderation-latest``."""

    model: str
    policy: ModerationPolicy | None = None


class VoiceName(WireStruct):
    """A voice of one's own, by its id."""

    id: str


class AudioOptions(WireStruct):
    """How a spoken answer shall be: ``format`` is ``wav``, ``aac``, ``mp3``, ``flac``, ``opus`` or ``pcm16``."""

    format: str
    voice: str | VoiceName


class PredictedContent(WireStruct, tag_field="type", tag="content"):
    """Text that will mostly be the answer's, such as the file that is edited."""

    content: str | list[Any]


class ApproximateLocation(WireStruct):
    """Where the user is: ``country`` by two letters, ``timezone`` as ``Europe/Paris``."""

    city: str | None = None
    country: str | None = None
    region: str | None = None
    timezone: str | None = None


class UserLocation(WireStruct, tag_field="type", tag="approximate"):
    """Where the user is."""

    approximate: ApproximateLocation


class WebSearchOptions(WireStruct):
    """How the web is searched; ``search_context_size`` is ``low``, ``medium`` or ``high``."""

    search_context_size: str | None = None
    user_location: UserLocation | None = None


# --- the request ---------------------------------------------------------------------------------------------------


class SharedParams(TypedDict, total=False):
    """Every parameter of the API but ``stream``, ``tools`` and ``response_format``; see ``CompletionParams``."""

    messages: Required[Iterable[MessageParam]]
    model: Required[str]
    audio: AudioOptions | Mapping[str, object] | None
    frequency_penalty: float | None
    function_call: str | FunctionName | Mapping[str, object] | None
    functions: Sequence[FunctionDefinition | Mapping[str, object]] | None
    logit_bias: Mapping[str, float] | Mapping[int, float] | None
    logprobs: bool | None
    max_completion_tokens: int | None
    max_tokens: int | None
    metadata: Mapping[str, str] | None
    modalities: Sequence[str] | None
    moderation: ModerationOptions | Mapping[str, object] | None
    n: int | None
    parallel_tool_calls: bool | None
    prediction: PredictedContent | Mapping[str, object] | None
    presence_penalty: float | None
    prompt_cache_key: str | None
    prompt_cache_options: PromptCacheOptions | Mapping[str, object] | None
    prompt_cache_retention: str | None
    reasoning_effort: str | float | None
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
    web_search_options: WebSearchOptions | Mapping[str, object] | None


class UnformattedParams(SharedParams, total=False):
    """Every parameter of the API but ``stream`` and ``response_format``; see ``CompletionParams``."""

    tools: Iterable[ToolParam] | None


class CompletionParams(UnformattedParams, total=False):
    """Every parameter of the API but ``stream``. A parameter that is None is not sent.

    Ranges are those of ``ChatCompletionRequest``. What a server takes beyond these is sent too, see
    ``opeai_async.vendors``.

    Attributes:
        messages: The conversation, oldest first.
        model: Which model is to answer.
        audio: Format and voice of a spoken answer, which ``modalities`` must ask for.
        frequency_penalty: From -2 to 2: above 0, what was said often is said less.
        function_call: The older form of ``tool_choice``.
        functions: The older form of ``tools``.
        logit_bias: From token ids to numbers from -100 to 100, which make a token likelier.
        logprobs: Whether to tell the log probability of each token.
        max_completion_tokens: Length of the answer at most, thinking included.
        max_tokens: The older name of ``max_completion_tokens``, and the only one that many servers know.
        metadata: Up to 16 texts by name, for answers that are stored.
        modalities: What the answer may be: ``"text"``, ``"audio"``.
        moderation: Asks for a moderation of input and output.
        n: How many answers.
        parallel_tool_calls: Whether one message may call several tools.
        prediction: Text that will mostly be the answer's, which makes it come faster.
        presence_penalty: From -2 to 2: above 0, what was said at all is said less.
        prompt_cache_key: Requests of one key go to the same cache.
        prompt_cache_options: How prompts are cached.
        prompt_cache_retention: ``"in_memory"`` or ``"24h"``; the older form of ``prompt_cache_options``.
        reasoning_effort: How much to think: ``"none"``, ``"minimal"``, ``"low"``, ``"medium"``, ``"high"``,
            ``"xhigh"``, ``"max"``; some servers take a number.
        response_format: Text, JSON, or JSON of a schema.
        safety_identifier: Stands for your user, where the provider looks for abuse.
        seed: The same seed makes the same answer likelier.
        service_tier: ``"auto"``, ``"default"``, ``"flex"``, ``"scale"``, ``"priority"`` or ``"fast"``.
        stop: Texts, at most four, which end the answer.
        store: Whether the provider keeps the answer.
        stream_options: What a stream tells beside the answer.
        temperature: From 0, the likeliest answer, to 2.
        tool_choice: ``"none"``, ``"auto"``, ``"required"``, one named tool, or some of them.
        tools: What the model may call.
        top_logprobs: How many rivals of each token to tell; needs ``logprobs``.
        top_p: From 0 to 1: only the likeliest tokens that together are as probable are drawn from.
        user: The older name of ``safety_identifier`` and ``prompt_cache_key``.
        verbosity: ``"low"``, ``"medium"`` or ``"high"``.
        web_search_options: Lets the model search the web.
    """

    response_format: ResponseFormatParam | None


Penalty: TypeAlias = Annotated[float, Meta(ge=-2, le=2)]


class ChatCompletionRequest(Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The request with the types and ranges that hold before it is sent.

    Ranges are checked where every server has the same; others, such as how many ``top_logprobs`` there may be, differ
    from server to server (vLLM takes -1). Nested objects are checked by the server, not here: it knows more shapes
    than any client.
    """

    model: Annotated[str, Meta(min_length=1)]
    messages: Annotated[list[Any], Meta(min_length=1)]
    audio: dict[str, Any] | None = None
    frequency_penalty: Penalty | None = None
    function_call: str | dict[str, Any] | None = None
    functions: list[Any] | None = None
    logit_bias: dict[str | int, Annotated[float, Meta(ge=-100, le=100)]] | None = None
    logprobs: bool | None = None
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    metadata: dict[str, str] | None = None
    modalities: list[str] | None = None
    moderation: dict[str, Any] | None = None
    n: Annotated[int, Meta(ge=1)] | None = None
    parallel_tool_calls: bool | None = None
    prediction: dict[str, Any] | None = None
    presence_penalty: Penalty | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: str | None = None
    reasoning_effort: str | Annotated[float, Meta(ge=0, le=1e9)] | None = None
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
    top_logprobs: int | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    user: str | None = None
    verbosity: str | None = None
    web_search_options: dict[str, Any] | None = None


claim(__name__)
