"""The full answer whose message is also a value of a Python type."""

from typing import Generic, TypeVar

import msgspec

from opeai_async._public import claim
from opeai_async.types.completion import ChatCompletion, ChatCompletionMessage, Choice

T = TypeVar("T")


class ParsedChatCompletionMessage(ChatCompletionMessage, Generic[T]):
    """What the model said, and ``parsed``, the value it stands for.

    ``parsed`` is None where the model refused (``refusal`` says why), or called tools instead. In the next request's
    ``messages`` it is left out.
    """

    parsed: T | None = msgspec.field(default=None, name="_parsed")


class ParsedChoice(Choice, Generic[T]):
    """One of ``n`` answers."""

    message: ParsedChatCompletionMessage[T]  # pyright: ignore[reportIncompatibleVariableOverride]


class ParsedChatCompletion(ChatCompletion, Generic[T]):
    """A whole answer: ``choices[i].message.parsed``, or ``parsed`` for the first of them.

    Attributes:
        rejected: The answers before this one that were not valid, where ``retries_on_invalid`` sent errors back. They
            count in ``usage``, and each has its own.
    """

    choices: list[ParsedChoice[T]] = []  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleVariableOverride]
    rejected: tuple[ChatCompletion, ...] = msgspec.field(default=(), name="_rejected")

    @property
    def parsed(self) -> T | None:
        """The value of the first choice; None if that is a refusal, a call of tools, or if there is none."""
        return self.choices[0].message.parsed if self.choices else None


claim(__name__)
