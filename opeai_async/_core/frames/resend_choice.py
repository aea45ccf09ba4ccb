"""Build one choice's part of a clean stream: what each chunk adds to it, in the API's own form.

A choice passes through three phases: its first item has the role, further items add deltas, and ``rest`` ends it with
the finish_reason. A tool call likewise waits until its name is settled, begins with a piece that has its id, type
and name, and continues with pieces of arguments.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from opeai_async._core.answer.extras import named_fields, names_vendor_fields
from opeai_async._core.answer.once import Once
from opeai_async._core.answer.outcome import gravity
from opeai_async._core.answer.tool_pieces import ToolPiece, ToolPieces
from opeai_async._core.frames.images import has_images, images_of
from opeai_async._core.json import JSONObject, is_array, is_object
from opeai_async._core.limits import MAX_INDEX
from opeai_async.errors import StreamTooLargeError
from opeai_async.types.chunk import ChoiceDelta, ChunkChoice, FunctionCallDelta, ToolCallDelta
from opeai_async.types.common import NO_EXTRA, Annotation, ChoiceLogprobs, WireStruct
from opeai_async.types.finish import finish_kind

_encode = msgspec.json.Encoder().encode
_TEXTS = ("content", "reasoning_content", "refusal")
# Fields that were read into the API's own: sent again under these names, they would be copies.
_ALIASES = frozenset({"reasoning", "reasoning_text", "content_blocks"})


class ChoiceEvents:
    """Maker of the items of ``choices`` for one choice.

    Attributes:
        before_content: JSON of an item that only adds content, up to the text.
    """

    def __init__(self, index: int, *, keep_extra: bool) -> None:
        self.before_content = b'{"index":%d,"delta":{"content":' % index
        self._index = index
        self._keep_extra = keep_extra
        # An item with the role has been made.
        self._is_begun = False
        self._calls = _Calls(keep_extra=keep_extra)
        # The call in ``function_call``, the field from before the API had tools; None until one comes.
        self._old_call: _Calls | None = None
        # Annotations sent so far: some servers repeat the whole list in each chunk.
        self._annotations: Once[Annotation] = Once()
        # The gravest finish_reason so far, and the vendor fields that came with one; both are sent by ``rest``.
        self._finish_reason: str | None = None
        self._held: JSONObject = {}

    @staticmethod
    def is_content_only(choice: ChunkChoice, *, is_plain: bool) -> bool:
        """Tell whether *choice* adds content and nothing else.

        *is_plain* is True if the chunk was decoded by a type without rare fields, so that they need not be checked.
        """
        delta = choice.delta
        return bool(
            delta.content
            and delta.reasoning_content is None
            and delta.tool_calls is None
            and choice.finish_reason is None
            and (is_plain or _has_nothing_rare(choice, delta))
        )

    def add(self, choice: ChunkChoice) -> JSONObject | None:
        """Return the item for what *choice* adds; None if it adds nothing, or only what is held back."""
        delta = self._delta(choice.delta)
        extra = extra_of(choice) if self._keep_extra else {}
        if choice.finish_reason:
            before = self._finish_reason
            if before is None or gravity(choice.finish_reason) >= gravity(before):
                self._finish_reason = choice.finish_reason
            self._held.update(extra)
            extra = {}
        if choice.logprobs is None and not (delta or extra):
            return None
        item = {**extra, "index": self._index, "delta": delta, "finish_reason": None}
        if choice.logprobs is not None:
            item["logprobs"] = _logprobs(choice.logprobs, keep_extra=self._keep_extra)
        return item

    def rest(self) -> list[JSONObject]:
        """Return the items for all that was held back, and the one that ends the choice; call it once, at the end."""
        deltas: list[JSONObject] = []
        if pieces := self._calls.rest():
            deltas.append({"tool_calls": pieces})
        if self._old_call is not None:
            deltas += [{"function_call": piece["function"]} for piece in self._old_call.rest()]
        items: list[JSONObject] = [{"index": self._index, "delta": delta, "finish_reason": None} for delta in deltas]
        end: JSONObject = {**self._held, "index": self._index, "delta": {}, "finish_reason": self._finish()}
        return [*items, end]

    def _finish(self) -> str:
        """Return the finish_reason as a word of the API; the server's own word if the API has none for it."""
        reason = self._finish_reason or "stop"
        kind = finish_kind(reason)
        if self._old_call is not None and kind in ("stop", "tool_calls"):
            return "function_call"
        return "tool_calls" if kind == "stop" and self._calls else kind or reason

    def _delta(self, delta: ChoiceDelta) -> JSONObject:
        fields: JSONObject = extra_of(delta) if self._keep_extra else {}
        if not self._is_begun:
            self._is_begun = True
            fields["role"] = delta.role or "assistant"
        for name in _TEXTS:
            text = getattr(delta, name)
            # In the first item an empty text counts: it makes the message's text empty and not null.
            if text or (text is not None and "role" in fields):
                fields[name] = text
        if delta.tool_calls and (pieces := self._calls.add(delta.tool_calls)):
            fields["tool_calls"] = pieces
        if delta.function_call is not None:
            fields.update(self._add_old_call(delta.function_call))
        if delta.audio is not None and any((audio := wire_object(delta.audio, keep_extra=self._keep_extra)).values()):
            fields["audio"] = audio
        if delta.annotations and (notes := self._annotations.new(delta.annotations)):
            fields["annotations"] = [wire_object(note, keep_extra=self._keep_extra) for note in notes]
        if has_images(delta) and (images := images_of(delta)):
            fields["images"] = images
        return fields

    def _add_old_call(self, call: FunctionCallDelta) -> JSONObject:
        self._old_call = self._old_call or _Calls(keep_extra=self._keep_extra, is_single=True)
        pieces = self._old_call.add([ToolCallDelta(function=call)])
        return {"function_call": pieces[0]["function"]} if pieces else {}


class _Calls:
    """The tool calls of a choice, each begun in the order of their positions.

    A call begins when its name is settled: where its arguments or another call begin, or at the end.
    """

    def __init__(self, *, keep_extra: bool, is_single: bool = False) -> None:
        self._pieces = ToolPieces(MAX_INDEX, is_single=is_single)
        self._keep_extra = keep_extra
        # By position. Those below ``_begun`` have been sent; the others still wait.
        self._calls: dict[int, _Call] = {}
        self._begun = 0
        # By index: vendor fields that came before their call could be placed.
        self._early: dict[int, JSONObject] = {}

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, deltas: list[ToolCallDelta]) -> list[JSONObject]:
        """Return what *deltas* add, as items of ``tool_calls``."""
        items: list[JSONObject] = []
        try:
            for delta in deltas:
                extra = {**self._early.pop(delta.index, {}), **_extra_of_call(delta)} if self._keep_extra else {}
                pieces = self._pieces.add(delta)
                if extra and not pieces:
                    self._early[delta.index] = extra
                for piece in pieces:
                    items += self._add(piece, delta.type, extra)
        except StreamTooLargeError:
            pass  # the stream itself ends with this error
        return items

    def rest(self) -> list[JSONObject]:
        """Return the items for all that was held back; call it once, at the end."""
        items = [item for piece in self._pieces.rest() for item in self._add(piece, None, {})]
        return items + [self._calls[position].begin() for position in sorted(self._calls) if position >= self._begun]

    def _add(self, piece: ToolPiece, call_type: str | None, extra: JSONObject) -> list[JSONObject]:
        position = piece.position
        call = self._calls.get(position) or self._calls.setdefault(position, _Call(position))
        if position < self._begun:
            return call.more(piece.arguments, extra)
        call.hold(piece, call_type, extra)
        items: list[JSONObject] = []
        while (
            (first := self._calls.get(self._begun))
            and first.name
            and (first.arguments or max(self._calls) > self._begun)
        ):
            items.append(first.begin())
            self._begun += 1
        return items


class _Call:
    """One call, with what is known of it and not sent yet."""

    __slots__ = ("_extra", "_id", "_kind", "_position", "_type", "arguments", "name")

    def __init__(self, position: int) -> None:
        self._position = position
        self._kind = "function"
        self._type: str | None = None
        self._id = ""
        self._extra: JSONObject = {}
        self.name = ""
        self.arguments = ""

    def hold(self, piece: ToolPiece, call_type: str | None, extra: JSONObject) -> None:
        """Keep what cannot be sent yet."""
        self._kind, self._type = piece.kind, call_type or self._type
        self._id, self.name = piece.id or self._id, piece.name or self.name
        self.arguments += piece.arguments
        self._extra.update(extra)

    def begin(self) -> JSONObject:
        """Return the first piece, with the id, the type and the name."""
        item = self._item(self.arguments, self._extra)
        named = {**item[self._kind], "name": self.name}
        return {**item, "id": self._id, "type": self._type or self._kind, self._kind: named}

    def more(self, arguments: str, extra: JSONObject) -> list[JSONObject]:
        """Return a further piece; an id or a name that changes once it was sent cannot be sent again."""
        return [self._item(arguments, extra)] if arguments or extra else []

    def _item(self, arguments: str, extra: JSONObject) -> JSONObject:
        text = {"input" if self._kind == "custom" else "arguments": arguments}
        return {**extra, "index": self._position, self._kind: {**extra.get(self._kind, {}), **text}}


def _has_nothing_rare(choice: ChunkChoice, delta: ChoiceDelta) -> bool:
    return (
        choice.logprobs is None
        and delta.refusal is None
        and not delta.annotations
        and delta.audio is None
        and delta.function_call is None
        and delta.extra is NO_EXTRA
        and choice.extra is NO_EXTRA
    )


def extra_of(part: WireStruct) -> JSONObject:
    """Return the vendor fields of *part* itself, without those of the Structs in its fields."""
    fields = named_fields(part) if names_vendor_fields(type(part)) else {}
    # A field of the API that could not be read is in ``extra`` under its name; a client could not read it either.
    known = part.__struct_fields__
    return {name: value for name, value in part.extra.items() if name not in known and name not in _ALIASES} | fields


def _extra_of_call(delta: ToolCallDelta) -> JSONObject:
    extra = extra_of(delta)
    for kind, part in (("function", delta.function), ("custom", delta.custom)):
        if part is not None and (more := extra_of(part)):
            extra[kind] = more
    return extra


def _logprobs(logprobs: ChoiceLogprobs, *, keep_extra: bool) -> JSONObject:
    """Return *logprobs* as JSON with all fields that the API always sends; our Structs omit those that are zero."""
    fields = wire_object(logprobs, keep_extra=keep_extra)
    for name in ("content", "refusal", "reasoning_content"):
        # Only objects are kept: anything else could not be read here, nor by any client.
        if name in fields:
            fields[name] = [_with_alternatives(token) for token in _objects(fields[name])]
    return {"content": None, "refusal": None, **fields}


def _with_alternatives(token: JSONObject) -> JSONObject:
    alternatives = [_token(other) for other in _objects(token.get("top_logprobs"))]
    return {**_token(token), "top_logprobs": alternatives}


def _objects(value: Any) -> list[JSONObject]:
    return [item for item in value if is_object(item)] if is_array(value) else []


def _token(token: JSONObject) -> JSONObject:
    return {"token": "", "logprob": 0.0, "bytes": None, **token}


def wire_object(part: WireStruct, *, keep_extra: bool) -> JSONObject:
    """Return *part* as decoded JSON, with vendor fields beside its own or left out, at all levels."""
    fields: JSONObject = _unpacked(msgspec.to_builtins(part), keep_extra)
    return fields


def _unpacked(value: Any, keep_extra: bool) -> Any:
    if is_object(value):
        fields = {name: _unpacked(item, keep_extra) for name, item in value.items() if name != "_extra"}
        return {**value.get("_extra", {}), **fields} if keep_extra else fields
    return [_unpacked(item, keep_extra) for item in value] if is_array(value) else value


def encoded(value: object) -> bytes:
    """Encode *value* as JSON; a lone surrogate, which has no UTF-8 bytes, is written as its escape."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()
