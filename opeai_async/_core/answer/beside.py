"""Put together what may come beside a text, piece by piece: a spoken answer, and log probabilities."""

from __future__ import annotations

from opeai_async._core.answer.extras import ExtraParts
from opeai_async.types.chunk import AudioDelta
from opeai_async.types.common import ChoiceLogprobs, TokenLogprob
from opeai_async.types.completion import Audio


class AudioParts:
    """A spoken answer's fragments."""

    __slots__ = ("data", "expires_at", "extra", "id", "transcript")

    def __init__(self) -> None:
        self.id = ""
        self.data: list[str] = []
        self.transcript: list[str] = []
        self.expires_at: int | None = None
        self.extra = ExtraParts()

    def __bool__(self) -> bool:
        return bool(self.id or any(self.data) or any(self.transcript) or self.expires_at or self.extra)

    def add(self, delta: AudioDelta) -> None:
        self.id = self.id or delta.id or ""
        self.data.append(delta.data or "")
        self.transcript.append(delta.transcript or "")
        if delta.expires_at is not None:
            self.expires_at = delta.expires_at
        self.extra.add(delta.extra)

    def build(self) -> Audio:
        data, transcript = "".join(self.data), "".join(self.transcript)
        extra = self.extra.build()
        return Audio(id=self.id, data=data, transcript=transcript, expires_at=self.expires_at, extra=extra)


class LogprobParts:
    """Log probabilities, appended per text."""

    __slots__ = ("content", "extra", "reasoning_content", "refusal")

    def __init__(self) -> None:
        self.content: list[TokenLogprob] = []
        self.refusal: list[TokenLogprob] = []
        self.reasoning_content: list[TokenLogprob] = []
        self.extra = ExtraParts()

    def add(self, logprobs: ChoiceLogprobs) -> None:
        self.content.extend(logprobs.content or ())
        self.refusal.extend(logprobs.refusal or ())
        self.reasoning_content.extend(logprobs.reasoning_content or ())
        self.extra.add(logprobs.extra)

    def build(self) -> ChoiceLogprobs:
        return ChoiceLogprobs(
            content=list(self.content) or None,
            refusal=list(self.refusal) or None,
            reasoning_content=list(self.reasoning_content) or None,
            extra=self.extra.build(),
        )
