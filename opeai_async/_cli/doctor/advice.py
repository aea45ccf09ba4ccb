"""The settings of the client that suit a server, from the facts that the probes found.

Each row of `settings` is a condition on the `Facts`, what to set, and why. A setting is named only where the defaults
do not fit, so a sound server gets no advice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from opeai_async._cli.doctor.watch import Seen
from opeai_async._core.answer.outcome import Outcome
from opeai_async._core.call.timeouts import Timeouts, resolve
from opeai_async.errors import (
    APIConnectionError,
    AuthenticationError,
    InternalServerError,
    InvalidResponseError,
    NotFoundError,
    OpeAIError,
    PermissionDeniedError,
    RateLimitError,
    TLSError,
)


@dataclass
class Facts:
    """The facts that the probes learnt about the endpoint, beside their verdicts.

    Attributes:
        answers, streams: True once any answer came, and once a stream did.
        key_refused: True if the server refused the key.
        seems_elsewhere: True if something answered that is not this API, or does not know the path or the model.
        limit_field: The field for a limit of tokens that the server accepts; None if it accepts neither.
        stream_options_refused: True if ``stream_options`` was refused.
        tool_choice_refused: True if ``tool_choice="required"`` was refused, and "auto" accepted.
        sends_usage_unasked, sends_usage_asked: True if a stream had token counts, without and with asking for them.
        is_cut: True if a stream ended without ``[DONE]`` and without a finish_reason.
        is_held_open: True if a stream stayed open, in silence, after the answer's end.
        endless_after_s: Seconds after which an answer without a limit of tokens had not ended, though one with it did;
            0 if that was not seen.
        first_content_s: Seconds until the first content of a plain stream.
        longest_silence_s: The longest wait for bytes of a body, in seconds.
        think_tags: The quirks of reasoning inside the content that were met.
        passing_failures: Failures that another try may not meet: overload, limits, lost connections.
    """

    answers: bool = False
    streams: bool = False
    key_refused: bool = False
    seems_elsewhere: bool = False
    limit_field: Literal["max_tokens", "max_completion_tokens"] | None = "max_tokens"
    stream_options_refused: bool = False
    tool_choice_refused: bool = False
    sends_usage_unasked: bool = False
    sends_usage_asked: bool = False
    is_cut: bool = False
    is_held_open: bool = False
    endless_after_s: float = 0.0
    first_content_s: float = 0.0
    longest_silence_s: float = 0.0
    think_tags: set[str] = field(default_factory=set[str])
    passing_failures: set[str] = field(default_factory=set[str])

    def note_stream(self, seen: Seen, outcome: Outcome, first_content_s: float | None) -> None:
        """Learn from a plain stream that was read to its end."""
        # A stream without any choice is broken, not cut: no setting of the client helps.
        self.is_cut = outcome is Outcome.TRUNCATED and bool(seen.choices)
        self.is_held_open = outcome is Outcome.COMPLETE and not seen.has_done and not seen.has_ended
        self.first_content_s = first_content_s or 0.0

    def note_failure(self, error: OpeAIError) -> None:
        """Learn from an error that was not provoked on purpose."""
        # The order matters: a 404 is not a failure that passes, and a certificate is not one of the network.
        if isinstance(error, (AuthenticationError, PermissionDeniedError)):
            self.key_refused = True
        elif isinstance(error, (NotFoundError, InvalidResponseError)):
            self.seems_elsewhere = True
        elif isinstance(error, (RateLimitError, InternalServerError)):
            self.passing_failures.add(f"HTTP {error.status_code}")
        elif isinstance(error, APIConnectionError) and not isinstance(error, TLSError):
            self.passing_failures.add(type(error).__name__)


class Setting(NamedTuple):
    """An option to *set*, as it is written in Python, and the reason *why*."""

    set: str
    why: str


_DEFAULTS = resolve(Timeouts(), stream=True)


def settings(facts: Facts) -> list[Setting]:
    """Return what a user of this package should set for the endpoint; empty if the defaults fit."""
    # Each row: whether it applies, what to set, why.
    advice = [
        (facts.key_refused, "api_key=", "the server refused the key; see OPEAI_API_KEY"),
        (
            facts.seems_elsewhere and not facts.answers,
            "base_url=, model=",
            "what answers does not know this path or model, or is not this API",
        ),
        (facts.is_cut, 'on_truncated="return"', "streams end without [DONE] and without a finish_reason"),
        (
            "think_tags" in facts.think_tags,
            'reasoning_tags="think"',
            "reasoning is inside of the content, from <think> to </think>",
        ),
        (
            facts.think_tags == {"think_opener_missing"},
            'reasoning_tags="open"',
            "reasoning is inside of the content, up to </think>, without <think>",
        ),
        (
            facts.stream_options_refused and facts.streams,
            "create(..., stream=True)",
            "stream_options is refused, which .stream(...) sends; stream without it",
        ),
        (
            facts.sends_usage_asked and not facts.sends_usage_unasked,
            'stream_options={"include_usage": True}',
            "usage comes only if asked for; .stream(...) asks by itself",
        ),
        (facts.limit_field == "max_completion_tokens", "max_completion_tokens=", "max_tokens is refused"),
        (
            facts.endless_after_s > 0 and facts.limit_field is not None,
            f"{facts.limit_field}=",
            f"an answer without a limit had not ended after {facts.endless_after_s:g} s",
        ),
        (facts.tool_choice_refused, 'tool_choice="auto"', 'tool_choice="required" is refused'),
        (
            facts.is_held_open,
            "timeouts=Timeouts(finish_grace_s=0.5)",
            f"streams stay open after the end; each costs {_DEFAULTS.finish_grace_s:g} s of waiting otherwise",
        ),
        (bool(facts.passing_failures), "max_retries=5", f"seen: {', '.join(sorted(facts.passing_failures))}"),
    ]
    return [Setting(what, why) for applies, what, why in advice if applies] + _clocks(facts)


def _clocks(facts: Facts) -> list[Setting]:
    """Return the limits to raise: those of which the endpoint used more than a third."""
    # The doctor asks one question at a time; the same server under load takes several times as long.
    seen = {"idle_bytes_s": facts.longest_silence_s, "first_content_s": facts.first_content_s}
    return [
        Setting(f"timeouts=Timeouts({name}={5 * value:.0f})", f"took {value:.0f} s; the default is {limit:g} s")
        for name, value in seen.items()
        if value > (limit := getattr(_DEFAULTS, name)) / 3
    ]
