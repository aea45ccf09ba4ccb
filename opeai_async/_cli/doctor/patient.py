"""The endpoint under examination: how it is asked, what was met by whom, and how long an answer may get.

Nobody limits the first questions, because a limit changes what is to be seen: how an answer ends, and whether a model
that thinks comes to speak. A model that never stops, or a slow one, would then make a healthy server look dead. So an
attempt has a limit of tokens, which may be None, for all requests that set none of their own; the attempt remembers
under which limits it asked, and thereby whether a lower one could make a difference.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias, Unpack

from opeai_async import AsyncOpeAI, ChatCompletionStream
from opeai_async._cli.doctor.advice import Facts
from opeai_async._cli.doctor.quirks import quirks_of_error, quirks_of_response
from opeai_async._cli.doctor.watch import WatchingTransport
from opeai_async._core.call.params import CreateParams
from opeai_async.errors import OpeAIError
from opeai_async.types.completion import ChatCompletion

Verdict: TypeAlias = Literal["yes", "no", "odd", "failed"]


class Finding(NamedTuple):
    """What one probe found.

    Attributes:
        verdict: In a word.
        seen: In a line.
        max_tokens: The limit that answers had because one without it did not end; None without.
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
    """

    max_tokens: int | None = None
    asked_with: set[int | None] = field(default_factory=set[int | None])
    streams: list[ChatCompletionStream] = field(default_factory=list[ChatCompletionStream])
    noted: set[str] = field(default_factory=set[str])

    def would_gain_by(self, max_tokens: int) -> bool:
        """Whether some request had more room than *max_tokens*."""
        return any(limit is None or limit > max_tokens for limit in self.asked_with)

    def limit(self) -> int | None:
        """The limit that made a difference to what was seen."""
        return self.max_tokens if self.max_tokens in self.asked_with else None


@dataclass
class Patient:
    """The endpoint under examination.

    Attributes:
        facts: What was learnt, beside the verdicts.
        quirks: Names of quirks, and the probes that met each.
        needs_limit: Whether an answer without a limit of tokens did not end in time.
        held_up: Names of the probes that a lower limit did not help at once.
    """

    client: AsyncOpeAI
    model: str
    wire: WatchingTransport
    facts: Facts = field(default_factory=Facts)
    quirks: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    needs_limit: bool = False
    held_up: set[str] = field(default_factory=set[str])
    _attempt: Attempt = field(default_factory=Attempt)

    @contextmanager
    def probe(self, name: str, attempt: Attempt) -> Generator[None]:
        """All that is met inside belongs to this *attempt* of the probe *name*."""
        begin = len(self.wire.seen)
        self._attempt = attempt
        try:
            yield
        except OpeAIError as exc:
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
        """Remember how the server reports an error, be it one that was provoked."""
        self._attempt.noted.update(quirks_of_error(error))

    async def create(self, *, limit: int | None = None, **params: Unpack[CreateParams]) -> ChatCompletion:
        """An awaited answer, of *limit* tokens at most; None leaves that to the attempt."""
        self._set_limit(params, limit)
        completion = await self.client.chat.completions.create(**params)
        self._attempt.noted.update(completion.meta.quirks)
        self.facts.answers = True
        return completion

    async def stream(
        self, *, limit: int | None = None, usage: bool = False, **params: Unpack[CreateParams]
    ) -> ChatCompletionStream:
        """An open stream, limited as `create` is, which asks for usage only if *usage* is true."""
        self._set_limit(params, limit)
        completions = self.client.chat.completions
        stream = completions.stream(**params) if usage else await completions.create(stream=True, **params)
        self._attempt.streams.append(stream)
        return stream

    def _set_limit(self, params: CreateParams, limit: int | None) -> None:
        """Add the *limit*, or the attempt's, in the field that the server takes; none if it takes neither."""
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
