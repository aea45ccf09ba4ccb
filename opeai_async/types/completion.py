"""The full answer, as a non-streamed body brings it and as the accumulator rebuilds it.

See https://platform.openai.com/docs/api-reference/chat/object
"""

# Annotations are no strings here: msgspec would compile each of them by itself, when the first request is made.
from collections.abc import Iterator
from typing import Any, cast

import msgspec

from opeai_async._names.former import CHOICE, COMPLETION, with_former_names
from opeai_async._public import claim
from opeai_async.types.common import Annotation, ChoiceLogprobs, CompletionUsage, Moderation, WireStruct
from opeai_async.types.finish import FinishKind, finish_kind
from opeai_async.types.meta import NO_META, ResponseMeta


class FunctionCall(WireStruct):
    """The function a model wants called; ``arguments`` is JSON text, ``"{}"`` when there are none."""

    # Required, because a field that is its default would not be sent back.
    name: str
    arguments: str


class CustomCall(WireStruct):
    """A call of a custom tool with free text as ``input``."""

    name: str
    input: str


class ToolCall(WireStruct):
    """A call the model asks for; send the result back in a ``tool`` message with this ``id``.

    ``type`` is ``"function"`` or ``"custom"``; a custom call has ``custom``, and ``msgspec.UNSET`` for ``function``.
    """

    id: str
    type: str
    # Typed for the calls that everybody has. UNSET is left out when a custom call is sent back.
    function: FunctionCall = cast("Any", msgspec.UNSET)
    custom: CustomCall | None = None


class Audio(WireStruct):
    """A spoken answer: ``data`` is base64, ``expires_at`` in seconds since the epoch."""

    id: str = ""
    data: str = ""
    transcript: str = ""
    expires_at: int | None = None


class ChatCompletionMessage(WireStruct):
    """What the model said. Put it into the next request's ``messages`` as it is: nothing is lost.

    ``tool_calls`` is None when no tool was called, so that it is not sent back as an empty list.
    """

    role: str
    # From a factory, because a default is not sent back, and some servers refuse a message without content.
    content: str | None = msgspec.field(default_factory=lambda: None)
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = None
    refusal: str | None = None
    function_call: FunctionCall | None = None
    audio: Audio | None = None
    annotations: list[Annotation] | None = None
    name: str | None = None
    tool_call_id: str | None = None

    def _repr_markdown_(self) -> str:
        # What a notebook shows.
        return _shown(self)


@with_former_names(CHOICE)
class Choice(WireStruct):
    """One of ``n`` answers. ``finish_reason`` is an open vocabulary; None means that the end was not labelled."""

    message: ChatCompletionMessage
    index: int = 0
    finish_reason: str | None = None
    logprobs: ChoiceLogprobs | None = None

    @property
    def finish(self) -> FinishKind | None:
        """What ``finish_reason`` means, in the API's own words; None if it is missing, or a word that nobody knows.

        ``"tool_calls"`` also where a server says that it stopped, and the message calls tools.
        """
        kind = finish_kind(self.finish_reason)
        called = self.message.tool_calls or self.message.function_call is not None
        return "tool_calls" if kind == "stop" and called else kind

    def _repr_markdown_(self) -> str:
        # What a notebook shows.
        return _shown(self.message)


@with_former_names(COMPLETION)
class ChatCompletion(WireStruct):
    """A whole answer: ``choices[i].message``, ``usage``, and what is known of the exchange in ``meta``.

    ``created`` is in seconds since the epoch; ``metadata`` is what the request gave, where the answer is stored.
    """

    id: str = ""
    object: str = "chat.completion"
    created: int = 0
    model: str = ""
    system_fingerprint: str | None = None
    service_tier: str | None = None
    choices: list[Choice] = []
    usage: CompletionUsage | None = None
    metadata: dict[str, str] | None = None
    moderation: Moderation | None = None
    meta: ResponseMeta = msgspec.field(default=NO_META, name="_meta")

    def __str__(self) -> str:
        """What was said, and in short what is known of it; ``repr`` has it whole."""
        counts = "no usage" if self.usage is None else f"{self.usage.total_tokens} tokens"
        said = [_shown(choice.message) for choice in self.choices]
        return "\n".join([*said, f"[{self.id or 'no id'}, {self.model}, {counts}]"])

    def _repr_markdown_(self) -> str:
        # What a notebook shows.
        return "\n\n---\n\n".join(_shown(choice.message) for choice in self.choices)


def _shown(message: ChatCompletionMessage) -> str:
    """Return what *message* says, and calls."""
    calls = [
        f"{call.function.name}({call.function.arguments})" if call.custom is None else f"{call.custom.name}(...)"
        for call in message.tool_calls or ()
    ]
    return "\n".join([*(text for text in (message.content, message.refusal) if text), *calls])


class Model(WireStruct):
    """A model that a server has; ``created`` is in seconds since the epoch, and what else is told in ``extra``."""

    id: str = ""
    object: str = "model"
    created: int | None = None
    owned_by: str | None = None


class ModelList(WireStruct):
    """All models of a server, in its order; ``for model in models``."""

    object: str = "list"
    data: list[Model] = []
    meta: ResponseMeta = msgspec.field(default=NO_META, name="_meta")

    def __iter__(self) -> Iterator[Model]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)


claim(__name__)
