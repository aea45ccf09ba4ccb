"""Rebuilds the whole message from chunks, and knows whether it may be at its end.

A finish_reason is not the end: servers put ``stop`` on early or on all chunks, and go on. So what is said after one
takes it back until the next, and an end that only a finish_reason proves is *credible* where something was said, as
many choices as were asked for have ended, and the stream has not gone on after such an end before.

Every text is a list of fragments that is joined when somebody asks, so a chunk costs the same however long the answer
has become. State is kept per choice, in a dict by index: servers skip indexes and interleave choices.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opeai_async._core.answer.beside import AudioParts, LogprobParts
from opeai_async._core.answer.extras import ExtraParts, named_fields, names_vendor_fields
from opeai_async._core.answer.once import Once
from opeai_async._core.answer.outcome import End, gravity
from opeai_async._core.answer.tool_calls import FunctionParts, Note, ToolCallParts, checked_index
from opeai_async._core.answer.usage import latest
from opeai_async._core.content_blocks import text_of_blocks
from opeai_async._core.limits import MAX_INDEX
from opeai_async._public import claim
from opeai_async.types.chunk import ChatCompletionChunk, ChoiceDelta, ChunkChoice, ToolCallDelta
from opeai_async.types.common import NO_EXTRA, Annotation, CompletionUsage, Moderation
from opeai_async.types.completion import ChatCompletion, ChatCompletionMessage, Choice
from opeai_async.types.meta import NO_META, ResponseMeta


class Accumulator:
    """Collects the chunks of one stream; usable by itself.

    Args:
        max_index: Bound on choice and tool call indexes.
        note: Called with the name of each oddity that shows only where chunks are put together.
        choices: How many answers were asked for.

    Attributes:
        chunks: How many chunks were added.
        ended: How many choices have their finish_reason, and nothing after it.
        has_sure_end: Whether a finish_reason came after the first words; some servers label each chunk.
        usage: The latest token counts that arrived, or None.
    """

    __slots__ = (
        "_asked",
        "_built",
        "_choices",
        "_created",
        "_extra",
        "_fingerprint",
        "_id",
        "_labelled",
        "_max_index",
        "_model",
        "_moderation",
        "_note",
        "_open",
        "_plain_type",
        "_service_tier",
        "_went_on",
        "chunks",
        "ended",
        "has_sure_end",
        "usage",
    )

    def __init__(self, *, max_index: int = MAX_INDEX, note: Note = lambda _: None, choices: int = 1) -> None:
        self._max_index = max_index
        self._note = note
        self._asked = choices
        self.chunks: int = 0
        self._id = ""
        self._created = 0
        self._model = ""
        self._fingerprint: str | None = None
        self._service_tier: str | None = None
        self._moderation: Moderation | None = None
        self.usage: CompletionUsage | None = None
        self._extra: ExtraParts | None = None
        self._choices: dict[int, _ChoiceParts] = {}
        # Those without a finish_reason: what comes for another one is looked at before it is added.
        self._open: dict[int, _ChoiceParts] = {}
        # How many choices have had a finish_reason; whether something came after what had looked like the end of all.
        self._labelled = 0
        self._went_on = False
        self.has_sure_end: bool = False
        self.ended: int = 0
        self._built: ChatCompletion | None = None
        self._plain_type: type[object] | None = None

    @property
    def finish_reason(self) -> str | None:
        """How choice 0 ended, as the server put it; None while it goes on."""
        parts = self._choices.get(0)
        return parts.finish_reason if parts is not None and not parts.is_reopened else None

    @property
    def begun(self) -> int:
        """How many choices there are."""
        return len(self._choices)

    @property
    def finished(self) -> bool:
        """Whether there is a choice and each one that began has its finish_reason, and nothing after it."""
        return 0 < len(self._choices) == self.ended

    @property
    def has_credible_end(self) -> bool:
        """Whether the answer may be taken for whole although no ``[DONE]`` says so."""
        if self._went_on or not self._asked <= self.ended == len(self._choices):
            return False
        return any(map(_ChoiceParts.says_something, self._choices.values()))

    @property
    def has_audio(self) -> bool:
        """Whether anything of a spoken answer has come."""
        return any(parts.audio for parts in self._choices.values())

    def is_labelled(self, end: End) -> bool:
        """Whether the answer, which ended by *end*, has what says that it is whole."""
        if end is _DONE:
            return 0 < self._labelled == len(self._choices)
        return self.has_credible_end

    def settle(self) -> None:
        """Take the finish_reasons that came for the last ones: the server has said that it is at its end."""
        if self._went_on:
            for parts in self._choices.values():
                parts.is_reopened = False
            self._built = None

    @property
    def finish_reasons(self) -> list[str]:
        """The finish_reason of each choice that has one, in order of appearance."""
        return [parts.finish_reason for parts in self._choices.values() if parts.finish_reason]

    def reasons(self, choices: int) -> tuple[str, ...]:
        """Return how each choice ended, ``"error"`` for one that did not, of the *choices* that were asked for.

        Empty as long as there is not even a chunk.
        """
        if not self.chunks:
            return ()
        indexes = sorted({*range(choices), *self._choices})
        found = (self._choices.get(index) for index in indexes)
        return tuple((parts and parts.finish_reason) or "error" for parts in found)

    @property
    def envelope(self) -> ChatCompletion:
        """The message without its choices, which costs nothing to make."""
        return ChatCompletion(
            id=self._id,
            model=self._model,
            system_fingerprint=self._fingerprint,
            service_tier=self._service_tier,
            usage=self.usage,
        )

    @property
    def snapshot(self) -> ChatCompletion:
        """The message so far. Joined on demand and remembered until the next chunk."""
        if self._built is None:
            self._built = self._build(NO_META)
        return self._built

    def completion(self, meta: ResponseMeta = NO_META) -> ChatCompletion:
        """The message as the chunks so far make it, with *meta* attached."""
        return self._build(meta)

    def add(self, chunk: ChatCompletionChunk) -> None:
        """Take what *chunk* adds, in constant time.

        Raises:
            StreamTooLargeError: If an index is negative or above ``max_index``; nothing is padded.
        """
        self.extend((chunk,))

    def extend(self, chunks: Iterable[ChatCompletionChunk]) -> None:
        """``add`` for each of *chunks*, which are of one type, as those of one stream."""
        batch = chunks if isinstance(chunks, list) else list(chunks)
        if not batch or (len(batch) == 1 and self._add_text(batch[0])):
            return
        kind: type[ChatCompletionChunk] = type(batch[0])
        if kind is self._plain_type:
            self._add_all(batch, has_rare=len(batch) > 1 and len(set(map(type, batch))) > 1)
        elif not names_vendor_fields(kind):
            if kind.is_plain:
                self._plain_type = kind
            self._add_all(batch, has_rare=not kind.is_plain or len(set(map(type, batch))) > 1)
        else:
            for chunk in batch:
                self._add_all([chunk], has_rare=True)
                self._add_extra(named_fields(chunk))
                for choice in chunk.choices:
                    self._choices[choice.index].add_named(choice, choice.delta)

    def _add_text(self, chunk: ChatCompletionChunk) -> bool:
        """Add a plain chunk that is no more than a text of a choice that has begun; False for all else, nothing added.

        What ``_add_all`` does, at half the price for the chunks that come one at a time.
        """
        choices = chunk.choices
        if (
            type(chunk) is not self._plain_type
            or len(choices) != 1
            or chunk.usage is not None
            or chunk.model != self._model
            or chunk.system_fingerprint != self._fingerprint
            or not (self._id and self._created)
        ):
            return False
        choice = choices[0]
        delta, parts = choice.delta, self._open.get(choice.index)
        if parts is None or delta.role or delta.tool_calls or choice.finish_reason is not None:
            return False
        if delta.content is not None:
            parts.content.append(delta.content)
        if delta.reasoning_content is not None:
            parts.reasoning.append(delta.reasoning_content)
        self._built = None
        self.chunks += 1
        return True

    def _add_all(self, chunks: list[ChatCompletionChunk], *, has_rare: bool) -> None:
        # One loop without calls: what few chunks carry is asked for in one condition, and not at all in a plain batch.
        self._built = None
        count, parts = 0, _NO_PARTS
        index: int | None = None
        try:
            for chunk in chunks:
                count += 1
                for choice in chunk.choices:
                    if choice.index != index:
                        index = choice.index
                        parts = self._open.get(index) or self._begin(choice)
                        if parts.is_ended:  # what comes next may open it again, and must be looked at
                            index = None
                    delta = choice.delta
                    if delta.content is not None:
                        parts.content.append(delta.content)
                    if delta.reasoning_content is not None:
                        parts.reasoning.append(delta.reasoning_content)
                    if delta.tool_calls:
                        parts.add_tool_calls(delta.tool_calls)
                    if delta.role or (
                        has_rare
                        and (
                            choice.logprobs is not None
                            or delta.refusal is not None
                            or delta.annotations
                            or delta.audio is not None
                            or delta.function_call is not None
                            or delta.extra is not NO_EXTRA
                            or choice.extra is not NO_EXTRA
                        )
                    ):
                        parts.add_rare(choice, delta)
                    if choice.finish_reason is not None:
                        self._finish(parts, choice)
                        index = None
                if chunk.usage is not None or (
                    has_rare and (chunk.service_tier or chunk.moderation is not None or chunk.extra is not NO_EXTRA)
                ):
                    self._add_rare(chunk)
        finally:
            self.chunks += count
            self._add_envelope(chunks if count == len(chunks) else chunks[:count])

    def _add_rare(self, chunk: ChatCompletionChunk) -> None:
        """What few chunks carry beside their choices."""
        if chunk.usage is not None:
            before, self.usage = self.usage, latest(self.usage, chunk.usage)
            if self.usage is before:
                self._note("usage_zero")
        self._service_tier = chunk.service_tier or self._service_tier
        self._moderation = chunk.moderation or self._moderation
        self._add_extra(chunk.extra)

    def _add_extra(self, extra: dict[str, Any]) -> None:
        if extra:
            if self._extra is None:
                self._extra = ExtraParts(latest_wins=True)
            self._extra.add(extra)

    def _add_envelope(self, chunks: list[ChatCompletionChunk]) -> None:
        """What all chunks repeat: the first id and time, the latest of what may change."""
        if not self._id or not self._created:
            for chunk in chunks:
                self._id = self._id or chunk.id
                self._created = self._created or chunk.created
                if self._id and self._created:
                    break
        last = chunks[-1]
        if last.model and last.system_fingerprint:
            self._model, self._fingerprint = last.model, last.system_fingerprint
            return
        for chunk in chunks:
            self._model = chunk.model or self._model
            self._fingerprint = chunk.system_fingerprint or self._fingerprint

    def _begin(self, choice: ChunkChoice) -> _ChoiceParts:
        """The parts of a choice that is new, or has had its finish_reason already."""
        index = choice.index
        parts = self._choices.get(index)
        if parts is None:
            self._went_on = self._went_on or (self.ended >= self._asked and self.finished)
            parts = _ChoiceParts(checked_index(index, self._max_index, "choice"), self._max_index, self._note)
            self._choices[index] = self._open[index] = parts
        elif says_something(choice.delta):
            self._note("finish_early")
            self._went_on = parts.is_reopened = True
            parts.is_ended = False
            self._open[index] = parts
            self.ended -= 1
        return parts

    def _finish(self, parts: _ChoiceParts, choice: ChunkChoice) -> None:
        """Take a finish_reason; the choice is told, because its delta may be all that was ever said.

        The graver of two stays: a router that says ``stop`` of everything does not know of the ``length`` before it.
        """
        reason, before = choice.finish_reason, parts.finish_reason
        if not reason:
            self._note("finish_empty")
            return
        if before is None:
            self._labelled += 1
            parts.finish_reason = reason
        elif gravity(reason) >= gravity(before):
            parts.finish_reason = reason
        else:
            self._note("finish_changed")
        parts.is_reopened = False
        if parts.calls is not None:
            parts.calls.finish()
        if not parts.is_ended:
            del self._open[parts.index]
            parts.is_ended = True
            self.ended += 1
            delta = choice.delta
            self.has_sure_end = self.has_sure_end or not says_something(delta) or parts.spoke_before(delta)

    def _build(self, meta: ResponseMeta) -> ChatCompletion:
        return ChatCompletion(
            id=self._id,
            object="chat.completion",
            created=self._created,
            model=self._model,
            system_fingerprint=self._fingerprint,
            service_tier=self._service_tier,
            choices=[self._choices[index].build() for index in sorted(self._choices)],
            usage=self.usage,
            moderation=self._moderation,
            meta=meta,
            extra=NO_EXTRA if self._extra is None else self._extra.build(),
        )


class _ChoiceParts:
    """What has arrived of one choice."""

    __slots__ = (
        "annotations",
        "audio",
        "block_chars",
        "calls",
        "content",
        "delta_extra",
        "extra",
        "finish_reason",
        "function_call",
        "index",
        "is_ended",
        "is_reopened",
        "logprobs",
        "max_index",
        "note",
        "reasoning",
        "refusal",
        "role",
    )

    def __init__(self, index: int, max_index: int, note: Note) -> None:
        self.index = index
        self.max_index = max_index
        self.note = note
        self.role = ""
        self.content: list[str] = []
        self.reasoning: list[str] = []
        self.refusal: list[str] | None = None
        self.finish_reason: str | None = None
        self.is_ended = self.is_reopened = False
        self.block_chars = 0
        self.calls: ToolCallParts | None = None
        self.function_call: FunctionParts | None = None
        self.audio: AudioParts | None = None
        self.annotations: Once[Annotation] | None = None
        self.logprobs: LogprobParts | None = None
        self.extra: ExtraParts | None = None
        self.delta_extra: ExtraParts | None = None

    def add_tool_calls(self, deltas: list[ToolCallDelta]) -> None:
        if self.calls is None:
            self.calls = ToolCallParts(self.max_index, self.note)
        for delta in deltas:
            self.calls.add(delta)

    def says_something(self) -> bool:
        """Whether the model has said anything."""
        return bool(
            any(self.content)
            or any(self.reasoning)
            or any(self.refusal or ())
            or (self.calls is not None and self.calls.in_order)
            or self.function_call
            or self.audio
            or self.annotations
            or self.delta_extra is not None
        )

    def spoke_before(self, delta: ChoiceDelta) -> bool:
        """Whether the model has said a text before *delta*, which has been added."""
        texts = (
            len(self.content) - (delta.content is not None),
            len(self.reasoning) - (delta.reasoning_content is not None),
        )
        return any(self.content[: texts[0]]) or any(self.reasoning[: texts[1]])

    def add_rare(self, choice: ChunkChoice, delta: ChoiceDelta) -> None:
        """What few chunks carry."""
        if delta.role and not self.role:
            self.role = delta.role
        if delta.refusal is not None:
            self.refusal = self.refusal or []
            self.refusal.append(delta.refusal)
        if delta.function_call is not None:
            if self.function_call is None:
                self.function_call = FunctionParts(self.note)
            self.function_call.add(delta.function_call)
        if delta.audio is not None:
            if self.audio is None:
                self.audio = AudioParts()
            self.audio.add(delta.audio)
            if not self.audio:
                self.note("audio_empty")
        if delta.annotations:
            if self.annotations is None:
                self.annotations = Once()
            if len(self.annotations.new(delta.annotations)) < len(delta.annotations):
                self.note("annotations_repeated")
        if choice.logprobs is not None:
            if self.logprobs is None:
                self.logprobs = LogprobParts()
            self.logprobs.add(choice.logprobs)
        self.add_extras(choice.extra, delta.extra)

    def add_named(self, choice: ChunkChoice, delta: ChoiceDelta) -> None:
        """The vendor fields that a user's Structs name, of what has been added just now."""
        self.add_extras(named_fields(choice), named_fields(delta))
        if delta.tool_calls and self.calls is not None:
            for call in delta.tool_calls:
                self.calls.add_named(call)
        if delta.function_call is not None and self.function_call is not None:
            self.function_call.extra.add(named_fields(delta.function_call))
        if delta.audio is not None and self.audio is not None:
            self.audio.extra.add(named_fields(delta.audio))
        if choice.logprobs is not None and self.logprobs is not None:
            self.logprobs.extra.add(named_fields(choice.logprobs))

    def add_extras(self, of_choice: dict[str, Any], of_delta: dict[str, Any]) -> None:
        if of_choice:
            if self.extra is None:
                self.extra = ExtraParts(latest_wins=True, lists_grow=True)
            self.extra.add(of_choice)
        if of_delta:
            if self.delta_extra is None:
                self.delta_extra = ExtraParts()
            blocks = of_delta.get("content_blocks")
            self.delta_extra.add(of_delta if blocks is None else {**of_delta, "content_blocks": self._in_place(blocks)})

    def _in_place(self, blocks: list[Any]) -> list[Any]:
        """*blocks*, which have just come, after a block of the text that came as text before them."""
        text, new = _joined(self.content) or "", text_of_blocks(blocks)
        before = text[self.block_chars : len(text) - len(new)]
        self.block_chars = len(text)
        return [{"type": "text", "text": before}, *blocks] if before else blocks

    def build(self) -> Choice:
        extra = self.delta_extra.build() if self.delta_extra is not None else NO_EXTRA
        # These two a message has, and a delta has not.
        own = {name: extra[name] for name in ("name", "tool_call_id") if isinstance(extra.get(name), str)}
        message = ChatCompletionMessage(
            **own,
            role=self.role or "assistant",
            content=_joined(self.content),
            reasoning_content=_joined(self.reasoning),
            refusal=_joined(self.refusal),
            tool_calls=(self.calls.build() or None) if self.calls is not None else None,
            function_call=self.function_call.build() if self.function_call else None,
            audio=self.audio.build() if self.audio else None,
            annotations=None if self.annotations is None else list(self.annotations.items),
            extra={name: value for name, value in extra.items() if name not in own} or NO_EXTRA,
        )
        return Choice(
            index=self.index,
            message=message,
            finish_reason=None if self.is_reopened else self.finish_reason,
            logprobs=self.logprobs.build() if self.logprobs is not None else None,
            extra=self.extra.build() if self.extra is not None else NO_EXTRA,
        )


_NO_PARTS: Any = None
_DONE = End.DONE  # on CPython 3.11, a look into an Enum is a call


def says_something(delta: ChoiceDelta) -> bool:
    """Tell whether *delta* adds anything that a model has said."""
    call = delta.function_call
    return bool(
        delta.content
        or delta.reasoning_content
        or delta.tool_calls
        or delta.refusal
        or (call is not None and (call.name or call.arguments))
        or (delta.audio is not None and (delta.audio.data or delta.audio.transcript))
        or "images" in delta.extra
        or "content_blocks" in delta.extra
    )


def _joined(fragments: list[str] | None) -> str | None:
    """The text so far; None if there was not even an empty fragment. Leaves one fragment to join the next time.

    Where no earlier snapshot holds the text joined before, CPython grows it in place, and only new text is copied:
    that needs a local variable which is the only reference.
    """
    if not fragments:
        return None
    text = fragments[0]
    if len(fragments) > 1:
        new = "".join(fragments[1:])
        fragments.clear()
        text += new
        fragments.append(text)
    return text


claim(__name__)
