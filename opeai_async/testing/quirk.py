"""What a quirk is: one oddity of real servers, as a change of what the testing server would have sent.

An answer goes from JSON objects (the chunks of a stream, or one completion) to encoded events to a response. A quirk
changes it at one of these stages, its *level*, and quirks of one level apply in the order in which they were named:

=============  ============================================  ===================================================
level          its function gets                             and applies to
=============  ============================================  ===================================================
``request``    the request's body                            every answer; gives a `Speech` instead of it, or None
``kind``       whether a stream was asked for                every answer; it says whether to stream
``chunks``     the list of chunks; gives another             streams; ``whole`` is the same for a completion
``envelope``   a chunk or a completion, to change in place   each of them
``usage``      the token counts, to change in place          wherever there are some
``choice``     an item of ``choices``, to change in place    each
``delta``      a delta or a message, to change in place      each
``tool_call``  a tool call or a piece, to change in place    each
``json``       an encoded object; gives another              each, also the only one of a completion
``events``     the list of encoded events; gives another     streams; the last event is ``[DONE]``
``response``   a `Speech`; gives another                     every answer
=============  ============================================  ===================================================

Not every combination means something: where one quirk takes away what another needs (the index of calls whose pieces
alternate), no reading is right, and what `expected` says of it does not hold.

Among the chunks there may be ``bytes``: an event as it is, with its blank line.

A quirk also says what it means. ``expect`` says how the reading must end, and ``right``, given the completion as it
would have been without the quirk, makes it what a right client must come to (or, where the reading ends with an error,
what must have arrived before it).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeGuard, cast

import msgspec

JSONObject: TypeAlias = dict[str, Any]
Item: TypeAlias = JSONObject | bytes
Change: TypeAlias = Callable[[JSONObject], object]
"""Changes an object in place; what it returns does not matter."""

Level: TypeAlias = Literal[
    "request", "kind", "chunks", "envelope", "usage", "choice", "delta", "tool_call", "json", "events", "response"
]

Expect: TypeAlias = Literal[
    "same",
    "changed",
    "unlabelled",
    "truncated",
    "failed",
    "server_error",
    "status_error",
    "decode_error",
    "too_large",
    "invalid_response",
]
"""How the reading of an answer must end.

- ``same``: with the completion that the plain answer has, field by field.
- ``changed``: with another completion, see ``right``; vendor fields in it are a subset of what arrives in ``extra``.
- ``unlabelled``: with the completion, although no finish_reason came.
- ``truncated``, ``failed``: with an error, because the body ended too early, or a finish_reason says so.
- ``server_error``: with the error that the server put into the body; ``error`` has its fields.
- ``status_error``: with the error that the status stands for.
- ``decode_error``, ``too_large``: with an error of the reader, because something was no chunk, or out of bounds.
- ``invalid_response``: with the error for a body that is not this API's at all.
"""


@dataclass(frozen=True, slots=True)
class Speech:
    """A response as it goes out.

    Attributes:
        parts: The body, each item an HTTP chunk.
        headers: Response headers; a value of None leaves out what would be sent by itself.
        status: HTTP status.
        held_open: Whether the body is left open after its last part.
        is_whole: Whether the body is one thing, of a known length, and no stream.
    """

    parts: tuple[bytes, ...]
    headers: Mapping[str, str | None]
    status: int = 200
    held_open: bool = False
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Quirk:
    """One oddity; see the top of this file.

    Attributes:
        name: Short, and says what is odd.
        level: What ``apply`` gets.
        apply: The change. It must stand what other quirks have left.
        what: The oddity in a sentence.
        who: Servers that were seen to do so.
        rule: Name that ``stream.quirks`` has for it, or None where an ordinary reading is right.
        more_rules: Names of other rules that the same bytes need.
        expect: How the reading of a stream must end.
        right: Makes of the plain completion what a right client must come to; in place.
        whole: For a level that is of streams only: the change of a completion. None leaves it plain.
        expect_whole: How the reading of a completion must end; None where ``expect`` says that too.
        error: Fields that the error has, such as ``status_code``, ``code`` and ``type``.
        needs_http: Whether headers or the connection matter, so that the bytes of the body alone do not show it.
    """

    name: str
    level: Level
    apply: Callable[[Any], Any]
    what: str
    who: str
    rule: str | None = None
    more_rules: tuple[str, ...] = ()
    expect: Expect = "same"
    right: Change | None = None
    whole: Change | None = None
    expect_whole: Expect | None = None
    error: Mapping[str, Any] = field(default_factory=dict[str, Any])
    needs_http: bool = False

    def touches(self, *, stream: bool) -> bool:
        """Whether it changes answers of this kind at all."""
        return stream or self.whole is not None or self.level not in ("chunks", "events")

    def expects(self, *, stream: bool) -> Expect:
        """How the reading must end."""
        if not self.touches(stream=stream):
            return "same"
        return self.expect if stream or self.expect_whole is None else self.expect_whole


# --- looking around ---------------------------------------------------------------------------------------------------


def is_object(value: object) -> TypeGuard[JSONObject]:
    """Whether *value* is an object that other quirks have left to be changed."""
    return isinstance(value, dict)


def objects(value: object) -> list[JSONObject]:
    """The objects in a list; nothing, if it is none."""
    return [item for item in cast("list[object]", value) if is_object(item)] if isinstance(value, list) else []


def choices_of(body: Item) -> list[JSONObject]:
    """The choices of a chunk or a completion."""
    return objects(body.get("choices")) if is_object(body) else []


def deltas_of(body: Item) -> list[JSONObject]:
    """Their deltas or messages."""
    found = [choice.get(name) for choice in choices_of(body) for name in ("delta", "message")]
    return [delta for delta in found if is_object(delta)]


def calls_of(delta: JSONObject) -> list[JSONObject]:
    """The tool calls of a delta or a message, or their pieces."""
    return objects(delta.get("tool_calls"))


def is_finish(item: Item) -> bool:
    """Whether a chunk ends a choice."""
    return any(choice.get("finish_reason") for choice in choices_of(item))


def has_usage(item: Item) -> bool:
    """Whether a chunk has token counts."""
    return is_object(item) and bool(item.get("usage"))


# --- changes, and changes of lists of chunks --------------------------------------------------------------------------


def put(**fields: object) -> Change:
    """A change that sets fields."""

    def change(target: JSONObject) -> None:
        target.update(fields)

    return change


def drop(*names: str) -> Change:
    """A change that removes fields."""

    def change(target: JSONObject) -> None:
        for name in names:
            target.pop(name, None)

    return change


def in_messages(change: Change) -> Change:
    """*change* for each message of a completion."""
    return lambda completion: [change(message) for message in deltas_of(completion)]


def in_choices(change: Change) -> Change:
    """*change* for each choice of a completion or of a chunk."""
    return lambda body: [change(choice) for choice in choices_of(body)]


def cut_off(completion: JSONObject) -> None:
    """What has arrived of a completion before its end: no finish_reason, no usage."""
    in_choices(put(finish_reason=None))(completion)
    completion.pop("usage", None)


def before_finish(items: Sequence[Item]) -> list[Item]:
    """What comes before the first finish_reason."""
    count = next((k for k, item in enumerate(items) if is_finish(item)), len(items))
    return list(items[:count])


def with_delta(item: JSONObject, delta: JSONObject) -> JSONObject:
    """A chunk like *item* with another delta, which ends nothing."""
    choices = [
        {**choice, "finish_reason": None, "logprobs": None, "delta": copy.deepcopy(delta)}
        for choice in choices_of(item)
    ]
    return {**item, "choices": choices}


def with_finish(item: Item) -> JSONObject:
    """A chunk like *item* that only ends its choices."""
    head = item if is_object(item) else {}
    return {**head, "choices": [{**choice, "delta": {}} for choice in choices_of(item) if choice.get("finish_reason")]}


def with_choices(item: JSONObject, **fields: object) -> JSONObject:
    """A chunk like *item* with other choices, of the same indexes and these fields."""
    return {**item, "choices": [{"index": choice.get("index", 0), **fields} for choice in choices_of(item)]}


def insert_before_finish(*deltas: JSONObject) -> Callable[[list[Item]], list[Item]]:
    """Adds chunks with these deltas to each choice, after all its content."""

    def apply(items: list[Item]) -> list[Item]:
        out: list[Item] = []
        for item in items:
            if is_object(item) and is_finish(item):
                out += [with_delta(with_finish(item), delta) for delta in deltas]
            out.append(item)
        return out

    return apply


def insert_after_finish(*make: Callable[[JSONObject], JSONObject]) -> Callable[[list[Item]], list[Item]]:
    """Adds a chunk after each one that ends a choice, made of that."""

    def apply(items: list[Item]) -> list[Item]:
        out: list[Item] = []
        for item in items:
            out.append(item)
            if is_object(item) and is_finish(item):
                out += [one(with_finish(item)) for one in make]
        return out

    return apply


def first_chunk(change: Change) -> Callable[[list[Item]], list[Item]]:
    """Changes the first chunk only."""

    def apply(items: list[Item]) -> list[Item]:
        first = next((item for item in items if is_object(item)), None)
        if first is not None:
            change(first)
        return items

    return apply


def add_content(text: str) -> Change:
    """A change of a completion: *text* at the end of each answer."""
    return in_messages(lambda message: message.update(content=(message.get("content") or "") + text))


def append_raw(text: bytes) -> Change:
    """A change of a completion: *text* as it is, escapes and all, at the end of each answer."""
    return in_messages(
        lambda message: message.update(content=raw(dumps(message.get("content") or "")[:-1] + text + b'"'))
    )


def text_in(value: object) -> str:
    """*value* if it is text; else nothing, because another quirk has put something odd there."""
    return value if isinstance(value, str) else ""


def raw(text: bytes) -> msgspec.Raw:
    """A JSON value exactly as written."""
    return msgspec.Raw(text)


def dumps(value: object) -> bytes:
    """*value* as JSON."""
    return msgspec.json.encode(value)


def flat(lists: Iterable[Iterable[Item]]) -> list[Item]:
    """One list of all items."""
    return [item for items in lists for item in items]


def each_call(change: Change) -> Change:
    """*change* for each tool call of a completion."""

    def apply(completion: JSONObject) -> None:
        for call in all_calls(completion):
            change(call)

    return apply


def all_calls(completion: JSONObject) -> Iterator[JSONObject]:
    """The tool calls of all choices."""
    for message in deltas_of(completion):
        yield from calls_of(message)
