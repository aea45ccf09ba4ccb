"""Encode chunks as the events of a clean stream, for a gateway: any dialect comes in, the API's own goes out.

Every event has id, object, created and model, and the first three never change. Then, in this order:

    event                sent when
    -------------------  -------------------------------------------------------------------------------------
    role of a choice     at the choice's first chunk
    text, calls, ...     as they come; a tool call's first piece has its index, id, type and name
    finish_reason        at the end, one for each choice: servers send text, or a graver reason, after the first
    token counts         if the client asked for them: the only event without choices, which many clients do not expect
    ``[DONE]``           only if the answer is whole; otherwise an ``error`` event

Nearly all chunks add a piece of content, so they are encoded in a faster way: what repeats is encoded once, and the
text is put between. To pass the server's bytes on unread was rejected: clients would meet each server's dialect.
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
    """Maker of the events of one answer.

    Args:
        completion_id: Id of the answer, used if the first chunk has none.
        created: Seconds since the epoch, used likewise.
        model: Name of the model to send; None for the name that the server sends.
        include_usage: True if the client asked for token counts.
        keep_extra: True to send vendor fields to the client too.
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
        # An event was sent: id and created are fixed.
        self._is_begun = False
        # What the last chunk said of the answer; the envelope is built again only when this changes.
        self._last_envelope: tuple[str, str | None, str | None] | None = None
        # Fields that every event has, and the same encoded up to the first choice, for events of content only.
        self._envelope: JSONObject = {}
        self._before_choice = b""
        self._choices: dict[int, ChoiceEvents] = {}
        # The latest token counts, sent at the end.
        self._usage: CompletionUsage | None = None
        # Vendor fields of chunks that had no event; sent with the next.
        self._held: JSONObject = {}
        # Type of the last chunk, and that neither it nor its parts declare vendor fields.
        self._kind: type[ChatCompletionChunk] | None = None
        self._is_simple = True

    def add(self, chunks: Iterable[ChatCompletionChunk]) -> bytes:
        """Return the events of *chunks*, encoded; empty if the chunks add nothing."""
        parts: list[bytes] = []
        for chunk in chunks:
            if type(chunk) is not self._kind:
                self._kind = type(chunk)
                self._is_simple = not names_vendor_fields(self._kind)
            in_envelope = (chunk.model, chunk.system_fingerprint, chunk.service_tier)
            if in_envelope != self._last_envelope or not self._is_begun:
                self._read_envelope(chunk)
                self._last_envelope = in_envelope
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
        """Return the last events of an answer that is whole."""
        events = [self._event([item]) for choice in self._choices.values() for item in choice.rest()]
        if self._include_usage and self._usage is not None:
            counts = {**_ZERO_COUNTS, **wire_object(self._usage, keep_extra=self._keep_extra)}
            # The API has no form for a count that is not known: clients expect three numbers.
            if None not in [counts[name] for name in _ZERO_COUNTS]:
                events.append(self._event([], usage=counts))
        return b"".join((*events, DONE))

    def failed(self, error: BaseException) -> bytes:
        """Return the event for an answer that *error* ended; it contains no key, host or prompt."""
        frame = error_frame(error)
        kind = _ERROR_TYPES.get(frame.code, "server_error")
        return _event({"error": {"message": frame.message, "type": kind, "param": None, "code": frame.code}})

    def _read_envelope(self, chunk: ChatCompletionChunk) -> None:
        """Build the fields of every event out of what *chunk* says of the whole answer."""
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
        """Return the choice that *chunk* adds a piece of content to; None if it also adds anything else."""
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
        """Encode an event with *choices*, and with the vendor fields of chunks that had no event since the last."""
        self._is_begun = True
        held, self._held = self._held, {}
        return _event({**held, **self._envelope, "choices": choices, **more})


def _event(body: JSONObject) -> bytes:
    return b"data: " + encoded(body) + b"\n\n"
