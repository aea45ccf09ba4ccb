"""The tolerant tier: what the strict decode refused is repaired here, or named as an error.

A payload is decoded without types, walked level by level, and repaired by small rules; each rule that acts leaves its
name in ``Dialect.quirks``. Then what no Struct names is moved into ``extra``, and the rest is converted to the same
Structs that the fast tier makes. ``RULES`` (``_core/dialect/rules/__init__.py``) is the one table: level, name, what it
sees and does, who sends it.

In ``mode="strict"`` the first rule that would act raises instead, so that the author of a server can use this as a
checker. Vendor fields are no quirk: the API allows them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Struct

from opeai_async._core.call.redact import redact
from opeai_async._core.content_blocks import is_plain_text, text_of
from opeai_async._core.dialect.api_errors import stream_error_from
from opeai_async._core.dialect.error_objects import (
    APIError,
    error_in_list,
    error_inside,
    error_of_object,
    find_error,
    without_error,
)
from opeai_async._core.dialect.loose_json import loads_loosely, without_surrogates
from opeai_async._core.dialect.number_text import keep_number_text
from opeai_async._core.dialect.reasoning_source import ReasoningSource
from opeai_async._core.dialect.rules import RULES_BY_LEVEL, is_no_index
from opeai_async._core.dialect.rules.calls import is_blank, is_piece
from opeai_async._core.dialect.rules.text import REASONING_NAMES, text_of_details
from opeai_async._core.dialect.rules.usage import leave_untold
from opeai_async._core.dialect.surrogates import Halves
from opeai_async._core.dialect.tool_indexes import ToolCallIndexes
from opeai_async._core.dialect.unknown_fields import move_offender_to_extra, move_unknown_to_extra, put_extra
from opeai_async._core.json import JSONObject, is_array, is_object
from opeai_async.errors import InvalidResponseError, StreamDecodeError, StreamServerError
from opeai_async.types.chunk import ChoiceDelta

if TYPE_CHECKING:
    from opeai_async.types.options import DialectMode


StructT = TypeVar("StructT", bound=Struct)

_EXCERPT_BYTES = 200
_ERROR_STATUS = 400  # and above
_MAX_REPAIRS_WITHIN = 8
_CONTENT = ("content", *REASONING_NAMES, "tool_calls")
_SAID = (*_CONTENT, "refusal", "function_call", "audio")


class Dialect:
    """What is known of the dialect of one stream, or of one body.

    Attributes:
        quirks: Names of the rules that acted, in the order of their first use.
        beside_error: What the payload of the last error said beside it, as a chunk.
    """

    __slots__ = (
        "_call_indexes",
        "_halves",
        "_has_deltas",
        "_maybe_reasoning",
        "_messages",
        "beside_error",
        "mode",
        "quirks",
    )

    def __init__(self, mode: DialectMode = "repair") -> None:
        self.mode: DialectMode = mode
        self.quirks: dict[str, None] = {}
        self.beside_error: Struct | None = None
        self._call_indexes: dict[int, ToolCallIndexes] | None = None
        self._maybe_reasoning: ReasoningSource | None = None
        self._halves: Halves | None = None
        self._messages: dict[int, str] | None = None
        self._has_deltas = False

    def forget(self) -> None:
        """Begin anew, with another stream."""
        self.quirks.clear()
        self.begin_another_body()

    def begin_another_body(self) -> None:
        """Read another body, which goes on with the answer: what was learnt of the one before does not hold for it."""
        self._call_indexes = self._maybe_reasoning = self.beside_error = None
        self._halves = self._messages = None
        self._has_deltas = False

    @property
    def wants_next(self) -> bool:
        """Whether the tolerant tier must read the next chunk, however ordinary it looks.

        It may bring the other half of a character, or again what has been read from a ``message``.
        """
        return bool(self._halves or self._messages)

    @property
    def has_deltas(self) -> bool:
        """Whether any delta of the stream has said something."""
        return self._has_deltas

    def rest(self, chunk_type: type[StructT]) -> StructT | None:
        """Return what stands for halves of characters that never came whole, as a chunk; None if there are none."""
        choices = [] if self._halves is None else self._halves.rest()
        return msgspec.convert({"choices": choices}, chunk_type) if choices else None

    @property
    def _reasoning(self) -> ReasoningSource:
        """What is known of the stream's reasoning; many streams have none."""
        if self._maybe_reasoning is None:
            self._maybe_reasoning = ReasoningSource()
        return self._maybe_reasoning

    @property
    def reasons_elsewhere(self) -> bool:
        """Whether the stream's reasoning does not come as ``reasoning_content``."""
        return self._maybe_reasoning is not None and self._reasoning.name not in (None, "reasoning_content")

    def saw_ordinary(self, reasoning: str | None) -> None:
        """The fast tier has read the first text of the stream's deltas: *reasoning*, or content."""
        self._has_deltas = True
        if reasoning:
            self._reasoning.saw_ordinary(reasoning)

    @property
    def has_reasoning_alias(self) -> bool:
        """Whether the stream's deltas have ``reasoning``, and this was noted."""
        return "reasoning_alias" in self.quirks

    def saw_aliased(self, deltas: list[ChoiceDelta]) -> bool:
        """The fast tier has read *deltas*, each with reasoning under one name at most.

        Returns:
            Whether this was right. If not, nothing is remembered: a copy may be among it.
        """
        found = [_reasoning_of(delta) for delta in deltas if delta.reasoning_content]
        if found:
            source = self._reasoning.name or next(iter(found[0]))
            if any(next(iter(texts)) != source for texts in found):
                return False
            for texts in found:
                self._reasoning.choose(texts)
        self._has_deltas = self._has_deltas or bool(found) or any(delta.content for delta in deltas)
        return True

    def note(self, quirk: str, *, excerpt: str = "") -> None:
        """Remember that *quirk* was met.

        Raises:
            StreamDecodeError: In strict mode, with the quirk's name as ``rule``.
        """
        if self.mode == "strict":
            raise StreamDecodeError(
                f"the server's dialect needs the rule {quirk!r}, and dialect='strict' allows none",
                rule=quirk,
                excerpt=excerpt,
                hint="use dialect='repair' to have it repaired",
            )
        self.quirks[quirk] = None

    def read_chunk(self, payload: bytes, chunk_type: type[StructT]) -> StructT | None:
        """A payload the strict decode refused, as a chunk; None if it says nothing.

        Raises:
            StreamServerError: If it reports an error.
            StreamDecodeError: If it is no chunk.
        """
        stripped = payload.strip()
        if not stripped:
            self.note("empty_data")
            return None
        if stripped.startswith(b":"):
            self.note("comment_in_data")
            return None
        try:
            return self._read_chunk(payload, chunk_type)
        except RecursionError:
            raise _no_chunk(payload, "it is nested too deep") from None

    def _read_chunk(self, payload: bytes, chunk_type: type[StructT]) -> StructT | None:
        body, is_loose = self._loads(payload)
        if body is None or body == {}:
            self.note("empty_data")
            return None
        if not is_object(body):
            if (error := error_in_list(body)) is not None:
                raise stream_error_from(error)
            raise _no_chunk(payload, f"expected a JSON object, got {_kind(body)}")
        if is_loose or self._halves:
            self._halves = self._halves or Halves()
            if self._halves.join(body):
                self.note("surrogate_split")
            body = without_surrogates(body)
        if (error := find_error(body)) is not None:
            self._keep_beside_error(payload, body, chunk_type)
            raise stream_error_from(error)
        return self._repaired(payload, body, chunk_type)

    def _repaired(self, payload: bytes, body: JSONObject, chunk_type: type[StructT]) -> StructT:
        for step in self._CHUNK_STEPS:
            step(self, payload, body)
        return self._converted(body, chunk_type, lambda why: _no_chunk(payload, why))

    def _keep_beside_error(self, payload: bytes, body: JSONObject, chunk_type: type[StructT]) -> None:
        """An error may come together with the last text, or the usage."""
        deltas = [choice.get("delta") for choice in _dicts(body.get("choices"))]
        texts = [delta.get(name) for delta in deltas if is_object(delta) for name in _CONTENT]
        if is_object(body.get("usage")) or any(texts):
            try:
                self.beside_error = self._repaired(payload, without_error(body), chunk_type)
            except StreamDecodeError:
                pass  # the error says more

    def read_completion(self, body: bytes, completion_type: type[StructT]) -> StructT:
        """A body the strict decode refused, as a completion.

        Raises:
            StreamServerError: If it reports an error.
            InvalidResponseError: If it is no completion.
        """
        try:
            return self._read_completion(body, completion_type)
        except RecursionError:
            raise no_completion(body, "it is nested too deep") from None

    def _read_completion(self, body: bytes, completion_type: type[StructT]) -> StructT:
        decoded = self._loads_body(body)
        if (error := find_error(decoded)) is not None:
            raise stream_error_from(error)
        if not (is_array(choices := decoded.get("choices")) or is_object(choices)):
            raise no_completion(body, "expected an object with `choices`")
        if not any(map(is_object, choices)) and not is_object(choices):
            raise no_completion(body, "there is no choice in it, so there is no answer")
        for step in self._WHOLE_STEPS:
            step(self, body, decoded)
        return self._converted(decoded, completion_type, lambda why: no_completion(body, why))

    def read_error_event(self, data: bytes, status: int = 0) -> StreamServerError:
        """The error that an event named ``error`` reports, in JSON, in plain text, or without a word.

        *status* is what a field of the event names, or 0; one of an error counts where the data names none.
        """
        self.quirks["error_event"] = None
        body = _maybe_object(data)
        if body is not None:
            error = find_error(body) or error_of_object(body)
        elif (inside := error_inside(data)) is not None:
            error = inside
        else:
            text = data.decode("utf-8", "replace").strip()[:_EXCERPT_BYTES]
            error = APIError(redact(text) or "an error event without data")
        return stream_error_from(error if error.http or status < _ERROR_STATUS else error._replace(http=status))

    def read_named_event(self, name: str, data: bytes, chunk_type: type[StructT]) -> StructT | None:
        """An event of another name than ``message`` and ``error``: a chunk if it looks like one, else not ours."""
        body = _maybe_object(data)
        if body is not None and ("choices" in body or find_error(body) is not None):
            self.note("named_event")
            return self.read_chunk(data, chunk_type)
        self.note("foreign_event", excerpt=name[:_EXCERPT_BYTES])
        return None

    # --- decoding without types ------------------------------------------------------------------------------------

    def _loads(self, payload: bytes) -> tuple[Any, bool]:
        """The JSON in *payload*, and whether it was read loosely, so that it may have lone surrogates."""
        try:
            return msgspec.json.decode(payload), False
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return self._loads_loosely(payload), True

    def _loads_loosely(self, payload: bytes) -> Any:
        try:
            decoded = loads_loosely(payload)
        except ValueError as exc:
            raise _no_chunk(payload, f"it is not JSON ({exc})") from None
        self.note("loose_json")
        return decoded

    def _loads_body(self, body: bytes) -> JSONObject:
        try:
            decoded, is_loose = self._loads(body)
        except StreamDecodeError as exc:
            if exc.rule is not None:
                raise
            raise no_completion(body, exc.message) from None
        if not is_object(decoded):
            if (error := error_in_list(decoded)) is not None:
                raise stream_error_from(error)
            raise no_completion(body, f"expected a JSON object, got {_kind(decoded)}")
        return without_surrogates(decoded) if is_loose else decoded

    # --- walking ---------------------------------------------------------------------------------------------------

    # Each step gets the payload, too, for numbers that must stay as they were written.

    def _keep_number_text(self, payload: bytes, body: JSONObject) -> None:
        keep_number_text(payload, body)

    def _repair_choices(self, _: bytes, body: JSONObject) -> None:
        for choice in body["choices"]:
            self._repair_choice(choice)

    def _repair_whole_choices(self, _: bytes, body: JSONObject) -> None:
        for choice in body["choices"]:
            self._repair_whole_choice(choice)

    def _repair_envelope(self, _: bytes, body: JSONObject) -> None:
        self._apply("envelope", body)
        usage = body.get("usage")
        if is_object(usage):
            self._apply("usage", usage)
            if leave_untold(usage):
                self.note("usage_null_count")

    # What a refused payload goes through, in this order, before it is converted; each step changes the body in place.
    _CHUNK_STEPS = (_keep_number_text, _repair_envelope, _repair_choices)
    _WHOLE_STEPS = (_keep_number_text, _repair_envelope, _repair_whole_choices)

    def _repair_choice(self, choice: JSONObject) -> None:
        if self._has_deltas and choice.get("delta") is None and "message" in choice:
            put_extra(choice, {"message": choice.pop("message")})  # the whole answer, which the deltas have brought
        delta = choice.get("delta")
        says = is_object(delta) and any(map(delta.get, _CONTENT))
        if self._messages and is_object(delta) and isinstance(delta.get("content"), str):
            self._leave_out_copy(choice.get("index"), delta)
        if "message" in choice and (self._messages or not self._has_deltas):
            self._read_message(choice)
        self._has_deltas = self._has_deltas or says
        self._apply("choice", choice)
        delta = choice.get("delta")
        if is_object(delta):
            index = choice.get("index")
            self._call_indexes = self._call_indexes or {}
            indexes = self._call_indexes.setdefault(index if isinstance(index, int) else 0, ToolCallIndexes())
            self._repair_message(delta, indexes)

    def _read_message(self, choice: JSONObject) -> None:
        """Read the answer in ``message`` beside an empty delta, as long as no delta has said anything.

        Where the message so far comes each time, it is what is new of it.
        """
        delta, message = choice.get("delta"), choice["message"]
        is_told_by_delta = is_object(delta) and any(map(delta.get, _CONTENT))
        if not is_object(message) or not (is_object(delta) or delta in (None, [])) or is_told_by_delta:
            return
        if not any(message.get(name) for name in _SAID):
            return
        index = choice.get("index")
        index = index if isinstance(index, int) else 0
        self._messages = self._messages or {}
        told, before = dict(message), self._messages.get(index)
        content = message.get("content")
        text = content if isinstance(content, str) else ""
        if before is not None:
            told = {"content": text.removeprefix(before)}
        self._messages[index] = text if before is None or text.startswith(before) else before + text
        del choice["message"]
        choice["delta"] = {**told, **{name: value for name, value in (delta or {}).items() if value}}
        self.note("message_for_delta" if is_object(delta) else "delta_missing")

    def _leave_out_copy(self, index: object, delta: JSONObject) -> None:
        """Leave out of *delta* what was read from a ``message`` before it; when something else comes, that is over."""
        number = index if isinstance(index, int) else 0
        if not (content := delta["content"]):
            return
        messages = self._messages or {}
        rest = messages.pop(number, "")
        if rest.startswith(content):
            delta["content"] = ""
            if len(rest) > len(content):
                messages[number] = rest[len(content) :]

    def _repair_whole_choice(self, choice: JSONObject) -> None:
        self._maybe_reasoning = None
        self._apply("whole_choice", choice)
        message: JSONObject = choice["message"]  # the rules saw to it
        self._repair_message(message, None)
        blocks = message.get("content_blocks")
        while is_array(blocks) and blocks and is_plain_text(blocks[-1]):
            blocks.pop()  # it goes back as the text that follows them
        self._apply("message", message)

    def _repair_message(self, message: JSONObject, indexes: ToolCallIndexes | None) -> None:
        self._choose_reasoning(message)
        self._apply("delta", message)
        for call in _dicts(message.get("tool_calls")):
            if indexes is None and is_no_index(call.get("index", 0)):
                del call["index"]
            self._apply("tool_call", call)
            if is_object(function := call.get("function")):
                self._apply("function", function)
        if indexes is not None:
            self._index_calls(message, indexes)
        if is_object(function := message.get("function_call")):
            self._apply("function", function)

    def _choose_reasoning(self, message: JSONObject) -> None:
        """What is no copy stays, or becomes, the message's reasoning; a copy is set aside."""
        texts = {name: text_of(message.get(name)) for name in REASONING_NAMES}
        found = {name: text for name, text in texts.items() if text}
        if details := text_of_details(message):
            found["reasoning_details"] = details
        if not found:
            return
        chosen = self._reasoning.choose(found)
        for name in found.keys() - {chosen, "reasoning_details"}:
            self.note("reasoning_alias")
            copy = message.pop(name)
            if chosen is None or found[name] != found[chosen]:
                put_extra(message, {"reasoning_ignored": str(copy) if isinstance(copy, str) else copy})
        if chosen == "reasoning_details":
            self.note("reasoning_details_only")
            message["reasoning_content"] = details

    def _index_calls(self, delta: JSONObject, indexes: ToolCallIndexes) -> None:
        """Give each call an index, and leave out what says nothing of any call."""
        kept: list[JSONObject] = []
        calls = _dicts(delta.get("tool_calls"))
        for call in calls:
            index = call.get("index")
            has_index = isinstance(index, int) and index >= 0
            if is_blank(call) and not is_piece(call) and not indexes.knows(index):
                self.note("tool_call_empty")
                continue
            if has_index:
                indexes.note(call["index"], call)
            else:
                self.note("tool_index_missing")
                call["index"] = indexes.index_of(call)
            kept.append(call)
        if len(kept) < len(calls):
            delta["tool_calls"] = kept or None

    def _apply(self, level: str, target: JSONObject) -> None:
        for _, name, repair, _, _, field in RULES_BY_LEVEL[level]:
            if (field is None or field in target) and repair(target):
                self.note(name)

    # --- converting ------------------------------------------------------------------------------------------------

    def _converted(self, body: JSONObject, wire_type: type[StructT], refuse: Callable[[str], Exception]) -> StructT:
        """*body* as *wire_type*. A field of the wrong type goes to ``extra``, where it is visible and does no harm."""
        move_unknown_to_extra(body, wire_type)
        repairs = 0
        while True:  # each repair takes a field away
            try:
                return msgspec.convert(body, wire_type)
            except msgspec.ValidationError as exc:
                reason = str(exc)
            # What is odd in a list of a hundred is not worth a hundred repairs.
            if not move_offender_to_extra(body, reason, coarsely=repairs >= _MAX_REPAIRS_WITHIN):
                raise refuse(reason)
            repairs += 1
            self.note("field_of_other_type")


def _reasoning_of(delta: ChoiceDelta) -> dict[str, str]:
    """The texts of a delta with reasoning under one name, and perhaps in details, by name."""
    name = next((name for name in REASONING_NAMES[1:] if name in delta.extra), "reasoning_content")
    texts = {name: delta.reasoning_content or ""}
    if "reasoning_details" in delta.extra and (details := text_of_details(delta.extra)):
        texts["reasoning_details"] = details
    return texts


def _dicts(value: Any) -> list[JSONObject]:
    if not is_array(value):
        return []
    return [item for item in value if is_object(item)]


def _maybe_object(data: bytes) -> JSONObject | None:
    try:
        decoded = without_surrogates(loads_loosely(data))
    except (ValueError, RecursionError):
        return None
    return decoded if is_object(decoded) else None


_KINDS: dict[type, str] = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
}


def _kind(value: object) -> str:
    return _KINDS[type(value)]


def _excerpt(payload: bytes) -> str:
    return redact(payload[:_EXCERPT_BYTES].decode("utf-8", "replace"))


def _no_chunk(payload: bytes, why: str) -> StreamDecodeError:
    return StreamDecodeError(f"an event of {len(payload)} bytes is no chunk: {why}", excerpt=_excerpt(payload))


def no_completion(body: bytes, why: str) -> InvalidResponseError:
    """The error for a body which is no completion."""
    return InvalidResponseError(f"a body of {len(body)} bytes is no completion: {why}", excerpt=_excerpt(body))
