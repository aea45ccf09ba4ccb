"""One chunk of a streamed completion: what we tolerate from a server.

See https://platform.openai.com/docs/api-reference/chat/streaming
"""

# Annotations are no strings here: msgspec would compile each of them by itself, when the first request is made.
import msgspec

from opeai_async._names.former import CHUNK, CHUNK_CHOICE, with_former_names
from opeai_async._public import claim
from opeai_async.types.common import Annotation, ChoiceLogprobs, CompletionUsage, Moderation, WireStruct
from opeai_async.types.finish import FinishKind, finish_kind


class FunctionCallDelta(WireStruct):
    """A piece of a function call; ``arguments`` is a fragment of JSON text."""

    name: str | None = None
    arguments: str | None = None


class CustomCallDelta(WireStruct):
    """A piece of a custom tool's call; ``input`` is a fragment of free text."""

    name: str | None = None
    input: str | None = None


class ToolCallDelta(WireStruct):
    """A piece of one tool call; pieces with the same ``index`` belong together."""

    index: int = 0
    id: str | None = None
    type: str | None = None
    function: FunctionCallDelta | None = None
    custom: CustomCallDelta | None = None


class AudioDelta(WireStruct):
    """A piece of spoken answer: base64 ``data``, and its ``transcript``."""

    id: str | None = None
    data: str | None = None
    transcript: str | None = None
    expires_at: int | None = None


class ChoiceDelta(WireStruct):
    """What this chunk adds to one choice's message."""

    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallDelta] | None = None
    refusal: str | None = None
    function_call: FunctionCallDelta | None = None
    audio: AudioDelta | None = None
    annotations: list[Annotation] | None = None


@with_former_names(CHUNK_CHOICE)
class ChunkChoice(WireStruct):
    """One choice's part of a chunk. ``finish_reason`` is an open vocabulary, kept as the server sent it."""

    index: int = 0
    delta: ChoiceDelta = msgspec.field(default_factory=ChoiceDelta)
    logprobs: ChoiceLogprobs | None = None
    finish_reason: str | None = None

    @property
    def finish(self) -> FinishKind | None:
        """What ``finish_reason`` means, in the API's own words; None if it is missing, or a word that nobody knows.

        It may be ``"stop"`` although tools were called; ``Choice.finish`` of the whole answer knows.
        """
        return finish_kind(self.finish_reason)


@with_former_names(CHUNK)
class ChatCompletionChunk(WireStruct):
    """One event of a stream. ``choices`` is empty on chunks which only carry usage.

    ``created`` is in seconds since the epoch; ``obfuscation`` is padding that some servers add against traffic
    analysis.
    """

    id: str = ""
    object: str = ""
    created: int = 0
    model: str = ""
    system_fingerprint: str | None = None
    service_tier: str | None = None
    choices: list[ChunkChoice] = []
    usage: CompletionUsage | None = None
    obfuscation: str | None = None
    moderation: Moderation | None = None


claim(__name__)
