"""Full answers whose message is also a value of a Python type."""

from typing import Generic, TypeVar

import msgspec

from opeai_async._public import claim
from opeai_async.types.completion import ChatCompletion, ChatCompletionMessage, Choice

T = TypeVar("T")


class ParsedChatCompletionMessage(ChatCompletionMessage, Generic[T]):
    """Message of the model with ``parsed``, its value.

    ``parsed`` is None if the model refused (``refusal`` says why), or called tools instead. It is left out when the
    message is sent in the next request's ``messages``.
    """

    parsed: T | None = msgspec.field(default=None, name="_parsed")


class ParsedChoice(Choice, Generic[T]):
    """One of ``n`` answers."""

    # A narrower type than the base's, which type checkers refuse for fields that can be assigned to.
    message: ParsedChatCompletionMessage[T]  # pyright: ignore[reportIncompatibleVariableOverride]


class ParsedChatCompletion(ChatCompletion, Generic[T]):
    """A whole answer: ``choices[i].message.parsed``, or ``parsed`` for the first of them.

    Attributes:
        rejected: Earlier answers that were not valid, if ``retries_on_invalid`` sent their errors back. Their tokens
            are in ``usage``, too; each has its own counts.
    """

    choices: list[ParsedChoice[T]] = []  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleVariableOverride]
    rejected: tuple[ChatCompletion, ...] = msgspec.field(default=(), name="_rejected")

    @property
    def parsed(self) -> T | None:
        """The value of the first choice; None if it refused or called tools, or if there is no choice."""
        return self.choices[0].message.parsed if self.choices else None


claim(__name__)
