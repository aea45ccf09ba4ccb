"""What can be wrong with an answer that was to be a value of a Python type.

::

    OpeAIError
    +-- InvalidOutputError              the answer is not of the type that was asked for (also a ValueError)
        +-- OutputTruncatedError        because it was cut: the limit of tokens was reached
        +-- OutputFilteredError         because a content filter ended it

A refusal is no error: it is an answer, in ``message.refusal``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opeai_async.errors import OpeAIError

if TYPE_CHECKING:
    from opeai_async.types.common import CompletionUsage
    from opeai_async.types.completion import ChatCompletion

__all__ = ["InvalidOutputError", "OutputFilteredError", "OutputTruncatedError"]


class InvalidOutputError(OpeAIError, ValueError):
    """The answer is not of the type that was asked for.

    Attributes:
        reason: What is wrong with it.
        path: Where, such as ``$.items[0].price``; ``$`` for the whole.
        text: What the model gave, as it gave it; empty if nothing.
        choice: The index of the choice.
        completion: The whole answer.
        rejected: The answers before this one, where ``retries_on_invalid`` sent errors back.
        usage: What all of them cost together, as far as the server said.
    """

    default_hint = "models err: pass retries_on_invalid=1, describe the field better, or use a stronger model"

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        path: str = "$",
        text: str = "",
        choice: int = 0,
        completion: ChatCompletion | None = None,
        rejected: tuple[ChatCompletion, ...] = (),
        usage: CompletionUsage | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason
        self.path = path
        self.text = text
        self.choice = choice
        self.completion = completion
        self.rejected = rejected
        self.usage = usage


class OutputTruncatedError(InvalidOutputError):
    """The answer was cut before its JSON was complete: the limit of tokens was reached."""

    default_hint = "raise max_tokens or max_completion_tokens, or ask for less; `text` holds what arrived"


class OutputFilteredError(InvalidOutputError):
    """A content filter ended the answer before its JSON was complete."""

    default_hint = "the provider's content filter objects: change the prompt; `text` holds what arrived"
