"""The options of a run, and its result.

A result's ``messages`` and ``pending_calls`` are all that is needed to continue the run later, in any process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, cast

from opeai_async._core.policy.checks import checked_number
from opeai_async._public import claim
from opeai_async._tools.run_limits import RunLimits
from opeai_async.errors import ConfigurationError
from opeai_async.types.common import CompletionUsage
from opeai_async.types.completion import ChatCompletion, ToolCall
from opeai_async.types.events import (
    RunReason,
)
from opeai_async.types.parsed import ParsedChatCompletion
from opeai_async.types.request import MessageParam
from opeai_async.types.run_options import Approvals, OnToolError

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    T = TypeVar("T", default=Any)
else:
    from typing import TypeVar

    T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions(RunLimits):
    """The options of a run: its limits, and how calls are made; see ``RunOptionParams``."""

    call_timeout: float | None = None
    on_error: OnToolError = "tell"
    approvals: Approvals | None = None

    def check(self) -> None:
        """Check that each option has a value that can be used.

        Raises:
            ConfigurationError: If one has not; the message names it, and what was expected.
        """
        RunLimits.check(self)
        checked_number("call_timeout", self.call_timeout, unit="seconds", or_none=True)
        if self.on_error not in ("tell", "raise") and not callable(self.on_error):
            raise ConfigurationError(f"on_error is {self.on_error!r}, expected 'tell', 'raise' or a function")
        _check_verdicts({} if self.approvals is None else self.approvals)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RunResult(Generic[T]):
    """The result of a run.

    Attributes:
        reason: Why it ended; see ``RunReason``.
        messages: The whole conversation, for the next request. Calls that were not run have a result that says so,
            unless you run them yourself (``reason`` is ``"tool_calls"``): then a server wants a ``tool`` message for
            each of the ``open_calls`` first. Arguments that are not a JSON object are wrapped in one, because servers
            refuse them; the ``completions`` have them as they came.
        new_messages: The messages that the run has added.
        completions: The answers, one per round, without one that broke off.
        usage: Token counts of all rounds together, as far as they came.
        open_calls: Calls of the last answer that have no result.
        pending_calls: Those of them that wait for approval: ask somebody, and continue with
            ``run(messages=result.messages, approvals={call.id: True or "why not"}, ...)``, in any process.
    """

    reason: RunReason
    messages: list[MessageParam]
    new_messages: list[MessageParam]
    completions: list[ChatCompletion]
    usage: CompletionUsage | None
    open_calls: list[ToolCall]
    pending_calls: list[ToolCall]

    @property
    def parsed(self) -> T | None:
        """The value of the last answer, if ``response_format`` is a Python type; None if there is no value."""
        last = self.completions[-1] if self.completions else None
        return cast("ParsedChatCompletion[T]", last).parsed if isinstance(last, ParsedChatCompletion) else None

    @property
    def text(self) -> str | None:
        """The content of the last answer; None if it has none, or there is no answer."""
        choices = self.completions[-1].choices if self.completions else []
        return choices[0].message.content if choices else None

    def __repr__(self) -> str:
        return (
            f"<RunResult {self.reason}: {len(self.completions)} rounds, {len(self.new_messages)} new messages, "
            f"{len(self.open_calls)} open calls>"
        )

    def _repr_markdown_(self) -> str:
        # What a notebook shows.
        return self.text or repr(self)


def _check_verdicts(approvals: object) -> None:
    # Only these two types: a verdict that is meant as "no", such as None or 0, must not be taken for "not decided".
    if not isinstance(approvals, Mapping):
        kind = type(approvals).__name__
        raise ConfigurationError(f"approvals is a {kind}, expected a dict of call ids and True, False, or why not")
    for call_id, verdict in cast("Mapping[object, object]", approvals).items():
        if not isinstance(verdict, (bool, str)):
            message = f"approvals[{call_id!r}] is a {type(verdict).__name__}, expected True, False, or why not"
            raise ConfigurationError(message)


claim(__name__)
