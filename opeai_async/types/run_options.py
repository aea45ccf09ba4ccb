"""What a caller may give a run of tools to decide with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from opeai_async._public import claim
from opeai_async.types.common import CompletionUsage
from opeai_async.types.completion import ToolCall
from opeai_async.types.request import MessageParam

OnToolError: TypeAlias = Literal["tell", "raise"] | Callable[[Exception, ToolCall], Any]
"""What becomes of an exception of a tool: the model is told its type (never its text), the run ends with it, or a
function decides: what it returns is the result that the model is told, what it raises ends the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NextRound:
    """What a ``before_round`` hook changes of one round; None leaves it as it is.

    Attributes:
        messages: What is sent in place of the whole conversation, which goes on untouched.
        tool_choice: As in the API; ``"none"`` makes the model answer without tools.
    """

    messages: Sequence[MessageParam] | None = None
    tool_choice: Any = None


RoundChanges: TypeAlias = NextRound | Sequence[MessageParam] | None
BeforeRound: TypeAlias = Callable[
    [list[MessageParam], CompletionUsage | None, int], RoundChanges | Awaitable[RoundChanges]
]
"""Is called before each round with the conversation, the usage so far, and the round's number, from 1; returns what is
sent in its place, or a ``NextRound``, or None. It may be async."""

Approvals: TypeAlias = Mapping[str, bool | str]
"""What was decided of calls, by their ids: True to run one, False or the reason why it is not run."""


claim(__name__)
