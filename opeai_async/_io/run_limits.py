"""How far a run of tools goes, and what the application decides on the way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from opeai_async.errors import ConfigurationError
from opeai_async.types.common import CompletionUsage
from opeai_async.types.request import MessageParam


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


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLimits:
    """How far a run goes; see ``RunOptionParams``."""

    max_rounds: int = 10
    parallel: int = 8
    eager: bool = False
    max_calls: int | None = None
    max_total_tokens: int | None = None
    deadline_s: float | None = None
    before_round: BeforeRound | None = None

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            ConfigurationError: Says which, and what was expected.
        """
        for name in ("max_rounds", "parallel", "max_calls", "max_total_tokens"):
            value = getattr(self, name)
            if value is None and name.startswith("max_") and name != "max_rounds":
                continue
            if isinstance(value, bool) or not (isinstance(value, int) and value >= 1):
                raise ConfigurationError(f"{name} is {value!r}, expected a whole number of at least 1")
        if self.deadline_s is not None and not self.deadline_s > 0:
            raise ConfigurationError(f"deadline_s is {self.deadline_s!r}, expected seconds, more than 0, or None")
        if self.before_round is not None and not callable(self.before_round):  # pyright: ignore[reportUnnecessaryComparison]
            raise ConfigurationError(f"before_round is {self.before_round!r}, expected a function or None")
