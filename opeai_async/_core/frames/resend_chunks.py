"""Chunks to the events of a clean stream, as a gateway sends them on: whatever dialect they came in, this is the API's.

Every event has id, object, created and model, and the first three never change. Each choice begins with its role and
ends with one finish_reason, which is held back until the end of the stream, because servers send text, or a better
reason, after the first. A tool call's first piece has its place, id, type and name. Token counts come in an event of
their own, which alone has no choices, and only if they were asked for: many a client takes ``choices[0]`` of every
event. ``[DONE]`` is only said of an answer that is whole.

Nearly all chunks add a piece of content, so that has a way of its own: what repeats is encoded once, and the text is
put in between.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from opeai_async._core.answer.extras import names_vendor_fields
from opeai_async._core.answer.usage import latest
from opeai_async._core.frames.error_frames import error_frame
from opeai_async._core.frames.resend_choice import ChoiceEvents, encoded, extra_of, wire_object
from opeai_async._core.json import JSONObject
from opeai_async.types.chunk import ChatCompletionChunk
from opeai_async.types.common import NO_EXTRA, CompletionUsage

DONE = b"data: [DONE]\n\n"

_AFTER_CONTENT = b'},"finish_reason":null}]}\n\n'
_ERROR_TYPES = {"refused": "invalid_request_error", "rate_limited": "rate_limit_error"}
_ZERO_COUNTS = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}

_encode_text = msgspec.json.Encoder().encode


class ChunkEvents:
    """Makes the events of one answer.

    Args:
        completion_id: The answer's id, if the server has none when it begins.
        created: Seconds since the epoch, likewise.
        model: Name of the model; None for what the server says.
        include_usage: Whether the client asked for token counts.
        keep_extra: Whether vendor fields go on to the client.
    """

    def __init__(
        self,
        *,
        completion_id: str,
        created: int,
        model: str | None = None,
        include_usage: bool = False,
        keep_extra: bool = True,
    ) -> None:
        self._id = completion_id
        self._created = created
        self._model = model
        self._include_usage = include_usage
        self._keep_extra = keep_extra
        self._is_begun = False
        self._heard: tuple[str, str | None, str | None] | None = None
        self._envelope: JSONObject = {}
        self._before_choice = b""
        self._choices: dict[int, ChoiceEvents] = {}
        self._usage: CompletionUsage | None = None
        self._held: JSONObject = {}
        self._kind: type[ChatCompletionChunk] | None = None
        self._is_simple = True

    def add(self, chunks: Iterable[ChatCompletionChunk]) -> bytes:
        """The events of *chunks*; empty if they say nothing, as some do."""
        parts: list[bytes] = []
        for chunk in chunks:
            if type(chunk) is not self._kind:
                self._kind = type(chunk)
                self._is_simple = not names_vendor_fields(self._kind)
            heard = (chunk.model, chunk.system_fingerprint, chunk.service_tier)
            if heard != self._heard or not self._is_begun:
                self._hear(chunk)
                self._heard = heard
            choice = self._of_content_only(chunk)
            if choice is None:
                parts.append(self._events_of(chunk))
                continue
            try:
                parts += (
                    self._before_choice,
                    choice.before_content,
                    _encode_text(chunk.choices[0].delta.content),
                    _AFTER_CONTENT,
                )
            except UnicodeEncodeError:  # a lone surrogate
                parts.append(self._events_of(chunk))
        return b"".join(parts)

    def done(self) -> bytes:
        """The end of an answer that is whole."""
        events = [self._event([item]) for choice in self._choices.values() for item in choice.rest()]
        if self._include_usage and self._usage is not None:
            counts = {**_ZERO_COUNTS, **wire_object(self._usage, keep_extra=self._keep_extra)}
            if None not in [counts[name] for name in _ZERO_COUNTS]:  # the API has no way to say that it does not know
                events.append(self._event([], usage=counts))
        return b"".join((*events, DONE))

    def failed(self, error: BaseException) -> bytes:
        """The end of an answer that *error* ended; it says nothing of keys, hosts or prompts."""
        frame = error_frame(error)
        kind = _ERROR_TYPES.get(frame.code, "server_error")
        return _event({"error": {"message": frame.message, "type": kind, "param": None, "code": frame.code}})

    def _hear(self, chunk: ChatCompletionChunk) -> None:
        """Take what *chunk* says of the whole answer."""
        if not self._is_begun:
            self._id = chunk.id or self._id
            self._created = chunk.created or self._created
        envelope = {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._model or chunk.model or self._envelope.get("model", ""),
        }
        for name in ("system_fingerprint", "service_tier"):
            if value := getattr(chunk, name) or self._envelope.get(name):
                envelope[name] = value
        self._envelope = envelope
        self._before_choice = b"data: " + encoded(envelope)[:-1] + b',"choices":['

    def _of_content_only(self, chunk: ChatCompletionChunk) -> ChoiceEvents | None:
        """The choice that *chunk* adds a piece of content to; None if it says anything else."""
        if (
            not self._is_simple
            or len(chunk.choices) != 1
            or chunk.usage is not None
            or chunk.extra is not NO_EXTRA
            or chunk.moderation is not None
            or self._held
        ):
            return None
        (item,) = chunk.choices
        choice = self._choices.get(item.index)
        return choice if choice is not None and choice.is_content_only(item, is_plain=chunk.is_plain) else None

    def _events_of(self, chunk: ChatCompletionChunk) -> bytes:
        if chunk.usage is not None:
            self._usage = latest(self._usage, chunk.usage)
        if self._keep_extra:
            self._held.update(extra_of(chunk))
        items: list[JSONObject] = []
        for part in chunk.choices:
            choice = self._choices.get(part.index)
            if choice is None:
                choice = self._choices[part.index] = ChoiceEvents(part.index, keep_extra=self._keep_extra)
            if (item := choice.add(part)) is not None:
                items.append(item)
        if chunk.moderation is not None:
            return self._event(items, moderation=wire_object(chunk.moderation, keep_extra=self._keep_extra))
        return self._event(items) if items else b""

    def _event(self, choices: list[JSONObject], **more: object) -> bytes:
        """An event with *choices*, and the vendor fields that came with no event of their own since the last."""
        self._is_begun = True
        held, self._held = self._held, {}
        return _event({**held, **self._envelope, "choices": choices, **more})


def _event(body: JSONObject) -> bytes:
    return b"data: " + encoded(body) + b"\n\n"
