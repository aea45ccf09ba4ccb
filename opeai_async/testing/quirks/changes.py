"""The changes of a scripted answer that quirks are made of.

Quirks are combined, so each function copes with what another one has left: a field that is gone, or of another type.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeGuard, cast

import msgspec

if TYPE_CHECKING:
    from opeai_async.testing.quirks.quirk import Change, Item, JSONObject


def is_object(value: object) -> TypeGuard[JSONObject]:
    """Tell whether *value* is an object that can still be changed, and not bytes or another value."""
    return isinstance(value, dict)


def objects(value: object) -> list[JSONObject]:
    """Return the objects in *value*; none if it is not a list."""
    return [item for item in cast("list[object]", value) if is_object(item)] if isinstance(value, list) else []


def choices_of(body: Item) -> list[JSONObject]:
    """Return the choices of a chunk or a completion."""
    return objects(body.get("choices")) if is_object(body) else []


def deltas_of(body: Item) -> list[JSONObject]:
    """Return the deltas or messages of a chunk or a completion."""
    found = [choice.get(name) for choice in choices_of(body) for name in ("delta", "message")]
    return [delta for delta in found if is_object(delta)]


def calls_of(delta: JSONObject) -> list[JSONObject]:
    """Return the tool calls of a delta or a message, or their pieces."""
    return objects(delta.get("tool_calls"))


def is_finish(item: Item) -> bool:
    """Tell whether a chunk ends a choice."""
    return any(choice.get("finish_reason") for choice in choices_of(item))


def has_usage(item: Item) -> bool:
    """Tell whether a chunk has token counts."""
    return is_object(item) and bool(item.get("usage"))


def put(**fields: object) -> Change:
    """Make a change that sets fields."""

    def change(target: JSONObject) -> None:
        target.update(fields)

    return change


def drop(*names: str) -> Change:
    """Make a change that removes fields."""

    def change(target: JSONObject) -> None:
        for name in names:
            target.pop(name, None)

    return change


def in_messages(change: Change) -> Change:
    """Make *change* apply to each message of a completion."""
    return lambda completion: [change(message) for message in deltas_of(completion)]


def in_choices(change: Change) -> Change:
    """Make *change* apply to each choice of a completion or a chunk."""
    return lambda body: [change(choice) for choice in choices_of(body)]


def cut_off(completion: JSONObject) -> None:
    """Remove from a completion what comes at its end: finish_reason and usage."""
    in_choices(put(finish_reason=None))(completion)
    completion.pop("usage", None)


def before_finish(items: Sequence[Item]) -> list[Item]:
    """Return the items before the first finish_reason."""
    count = next((k for k, item in enumerate(items) if is_finish(item)), len(items))
    return list(items[:count])


def with_delta(item: JSONObject, delta: JSONObject) -> JSONObject:
    """Return a chunk like *item* with another delta, which ends no choice."""
    choices = [
        {**choice, "finish_reason": None, "logprobs": None, "delta": copy.deepcopy(delta)}
        for choice in choices_of(item)
    ]
    return {**item, "choices": choices}


def with_finish(item: Item) -> JSONObject:
    """Return a chunk like *item* that only ends its choices."""
    head = item if is_object(item) else {}
    return {**head, "choices": [{**choice, "delta": {}} for choice in choices_of(item) if choice.get("finish_reason")]}


def with_choices(item: JSONObject, **fields: object) -> JSONObject:
    """Return a chunk like *item* with other choices, of the same indexes and these fields."""
    return {**item, "choices": [{"index": choice.get("index", 0), **fields} for choice in choices_of(item)]}


def insert_before_finish(*deltas: JSONObject) -> Callable[[list[Item]], list[Item]]:
    """Make a change that adds chunks with these deltas to each choice, after all its content."""

    def apply(items: list[Item]) -> list[Item]:
        out: list[Item] = []
        for item in items:
            if is_object(item) and is_finish(item):
                out += [with_delta(with_finish(item), delta) for delta in deltas]
            out.append(item)
        return out

    return apply


def insert_after_finish(*make: Callable[[JSONObject], JSONObject]) -> Callable[[list[Item]], list[Item]]:
    """Make a change that adds a chunk after each one that ends a choice, made from that."""

    def apply(items: list[Item]) -> list[Item]:
        out: list[Item] = []
        for item in items:
            out.append(item)
            if is_object(item) and is_finish(item):
                out += [one(with_finish(item)) for one in make]
        return out

    return apply


def first_chunk(change: Change) -> Callable[[list[Item]], list[Item]]:
    """Make *change* apply to the first chunk only."""

    def apply(items: list[Item]) -> list[Item]:
        first = next((item for item in items if is_object(item)), None)
        if first is not None:
            change(first)
        return items

    return apply


def add_content(text: str) -> Change:
    """Make a change of a completion that adds *text* to each answer."""
    return in_messages(lambda message: message.update(content=(message.get("content") or "") + text))


def append_raw(text: bytes) -> Change:
    """Make a change of a completion that adds *text*, as it is written in JSON, to each answer."""
    # An encoder would write the escapes of *text* anew, and they are what some quirks are about.
    return in_messages(
        lambda message: message.update(content=raw(dumps(message.get("content") or "")[:-1] + text + b'"'))
    )


def text_in(value: object) -> str:
    """Return *value* if it is text; else "", because another quirk has put something odd there."""
    return value if isinstance(value, str) else ""


def raw(text: bytes) -> msgspec.Raw:
    """Return a JSON value that is encoded exactly as written."""
    return msgspec.Raw(text)


def dumps(value: object) -> bytes:
    """Return *value* as JSON."""
    return msgspec.json.encode(value)


def flat(lists: Iterable[Iterable[Item]]) -> list[Item]:
    """Return one list of all items."""
    return [item for items in lists for item in items]


def each_call(change: Change) -> Change:
    """Make *change* apply to each tool call of a completion."""

    def apply(completion: JSONObject) -> None:
        for call in all_calls(completion):
            change(call)

    return apply


def all_calls(completion: JSONObject) -> Iterator[JSONObject]:
    """Yield the tool calls of all choices."""
    for message in deltas_of(completion):
        yield from calls_of(message)
