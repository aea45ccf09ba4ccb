"""The endpoint under examination: sends its requests, and collects what their responses show.

The first probes are sent without a limit of tokens, to see the server's own behaviour: how an answer ends, and whether
a model that thinks comes to speak. But a model that never stops, or a slow one, would then make a healthy server look
dead. So each try of a probe is an `Attempt` with a limit, which may be None, for all requests that set none of their
own; it remembers under which limits it asked, and thereby whether a lower one could make a difference.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias, Unpack

from opeai_async import AsyncOpeAI, ChatCompletionStream
from opeai_async._cli.doctor.advice import Facts
from opeai_async._cli.doctor.obstacle import Obstacle
from opeai_async._cli.doctor.quirks import quirks_of_error, quirks_of_response
from opeai_async._cli.doctor.watch import WatchingTransport
from opeai_async._core.call.params import CreateParams
from opeai_async.errors import OpeAIError
from opeai_async.types.completion import ChatCompletion

Verdict: TypeAlias = Literal["yes", "no", "odd", "failed"]


class Finding(NamedTuple):
    """The result of one probe.

    Attributes:
        verdict: One word: it works, it does not, it works oddly, or the probe failed.
        seen: One line: what was seen.
        max_tokens: The limit that answers had because one without it did not end; None if they had none.
    """

    verdict: Verdict
    seen: str
    max_tokens: int | None = None


@dataclass
class Attempt:
    """One try of a probe.

    Attributes:
        max_tokens: The limit for requests that set none of their own; None for no limit.
        asked_with: The limits of the requests that it was applied to.
        streams: The streams that were opened.
        noted: The names of the quirks that were met.
    """

    max_tokens: int | None = None
    asked_with: set[int | None] = field(default_factory=set[int | None])
    streams: list[ChatCompletionStream] = field(default_factory=list[ChatCompletionStream])
    noted: set[str] = field(default_factory=set[str])

    def would_gain_by(self, max_tokens: int) -> bool:
        """Tell whether some request had more room than *max_tokens*."""
        return any(limit is None or limit > max_tokens for limit in self.asked_with)

    def limit(self) -> int | None:
        """Return the limit, if it applied to a request and so may have changed what was seen; else None."""
        return self.max_tokens if self.max_tokens in self.asked_with else None


@dataclass
class Patient:
    """The endpoint under examination.

    Attributes:
        client: The client that asks it, without retries, and without clocks after the connection.
        model: The model to ask for.
        wire: The client's transport, which remembers every response.
        facts: The facts that were learnt, beside the verdicts.
        quirks: The probes that met each quirk, by its name.
        needs_limit: True once an answer without a limit of tokens did not end in time.
        held_up: The names of the probes that had no end in time even with a lower limit.
        failure: The error that ended the last probe; None if none did.
        obstacle: What stands between the doctor and the API; None if nothing does.
    """

    client: AsyncOpeAI
    model: str
    wire: WatchingTransport
    facts: Facts = field(default_factory=Facts)
    quirks: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    needs_limit: bool = False
    held_up: set[str] = field(default_factory=set[str])
    failure: OpeAIError | None = None
    obstacle: Obstacle | None = None
    # The attempt to which the present requests belong.
    _attempt: Attempt = field(default_factory=Attempt)

    @contextmanager
    def probe(self, name: str, attempt: Attempt) -> Generator[None]:
        """Run a block whose requests belong to *attempt* of the probe *name*, and collect what they show."""
        # The responses since then are those of this attempt, also where it ends by an error or a time-out.
        begin = len(self.wire.seen)
        self._attempt = attempt
        self.failure = None
        try:
            yield
        except OpeAIError as exc:
            self.failure = exc
            self.note_refusal(exc)
            self.facts.note_failure(exc)
            raise
        finally:
            for stream in attempt.streams:
                attempt.noted.update(stream.quirks)
            for seen in self.wire.seen[begin:]:
                attempt.noted.update(quirks_of_response(seen, self.facts))
            for quirk in sorted(attempt.noted):
                probes = self.quirks.setdefault(quirk, [])
                if name not in probes:
                    probes.append(name)

    def note_refusal(self, error: OpeAIError) -> None:
        """Note how the server reports an error, also one that was provoked."""
        self._attempt.noted.update(quirks_of_error(error))

    async def create(self, *, limit: int | None = None, **params: Unpack[CreateParams]) -> ChatCompletion:
        """Ask for a plain answer of at most *limit* tokens; None for the limit of the attempt."""
        self._set_limit(params, limit)
        completion = await self.client.chat.completions.create(**params)
        self._attempt.noted.update(completion.meta.quirks)
        self.facts.answers = True
        return completion

    async def stream(
        self, *, limit: int | None = None, usage: bool = False, **params: Unpack[CreateParams]
    ) -> ChatCompletionStream:
        """Open a stream, limited as by `create`; it asks for token counts only if *usage* is true."""
        # ``.stream(...)`` adds stream_options by itself; ``create(stream=True)`` sends only what it was given.
        self._set_limit(params, limit)
        completions = self.client.chat.completions
        stream = completions.stream(**params) if usage else await completions.create(stream=True, **params)
        self._attempt.streams.append(stream)
        return stream

    def _set_limit(self, params: CreateParams, limit: int | None) -> None:
        """Add the *limit*, or the attempt's, in the field that the server accepts; nothing if it accepts neither."""
        field_name = self.facts.limit_field
        tokens = limit or self._attempt.max_tokens
        if limit is None:
            self._attempt.asked_with.add(tokens if field_name else None)
        if tokens is None:
            return
        if field_name == "max_tokens":
            params["max_tokens"] = tokens
        elif field_name == "max_completion_tokens":
            params["max_completion_tokens"] = tokens
