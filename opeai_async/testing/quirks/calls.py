"""Quirks of tool calls: index, id, name, arguments, and how they are cut and ordered.

In a plain stream a call begins with index, id, type, name and empty arguments; pieces with index and arguments follow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, zip_longest
from typing import Any

import msgspec

from opeai_async.testing.quirks.changes import (
    calls_of,
    choices_of,
    deltas_of,
    drop,
    each_call,
    in_messages,
    insert_before_finish,
    is_finish,
    is_object,
    put,
    text_in,
    with_delta,
    with_finish,
)
from opeai_async.testing.quirks.quirk import Change, Item, JSONObject, Quirk

_Items = list[Item]

# Ids of this shape become numbers, as some servers send them.
_FIRST_NUMERIC_ID = 1000


def _pieces(items: _Items) -> Iterator[tuple[int, JSONObject]]:
    """Yield each piece of a tool call, with the index of its choice."""
    for item in items:
        for choice in choices_of(item):
            for delta in deltas_of({"choices": [choice]}):
                for call in calls_of(delta):
                    yield choice.get("index", 0), call


# Other quirks may have taken the type or the id away, so either tells.
def _starts(call: JSONObject) -> bool:
    return "type" in call or (bool(call.get("id")) and "name" in _function(call))


def _function(call: JSONObject) -> JSONObject:
    function = call.get("function")
    return function if is_object(function) else {}


def _later(change: Change) -> Change:
    """Make *change* apply to the pieces after the first."""
    return lambda call: None if _starts(call) else change(call)


# Other quirks may have removed the index, or made it a text.
def _index(change: Callable[[int], object]) -> Change:
    return lambda call: call.update(index=change(call["index"])) if isinstance(call.get("index"), int) else None


def _id_repeated(items: _Items) -> _Items:
    ids: dict[tuple[int, Any], Any] = {}
    for place, call in _pieces(items):
        key = (place, call.get("index"))
        if call.get("id"):
            ids[key] = call["id"]
        # A piece of a call whose first piece had no id stays without one.
        elif key in ids:
            call["id"] = ids[key]
    return items


def _numeric_ids(items: _Items) -> _Items:
    # Counted per choice, so that two choices have the same ids.
    counts: dict[int, int] = {}
    for place, call in _pieces(items):
        if _starts(call):
            call["id"] = _FIRST_NUMERIC_ID + counts.setdefault(place, 0)
            counts[place] += 1
    return items


def _number_ids(make: Callable[[int], object]) -> Change:
    def apply(message: JSONObject) -> None:
        for position, call in enumerate(calls_of(message)):
            call["id"] = make(_FIRST_NUMERIC_ID + position)

    return in_messages(apply)


def _synthetic_ids(message: JSONObject) -> None:
    for position, call in enumerate(calls_of(message)):
        call["id"] = f"call_synthetic_{position}"


# --- cutting and joining ----------------------------------------------------------------------------------------------


def _split_first(split: Callable[[JSONObject], list[JSONObject]]) -> Callable[[_Items], _Items]:
    """Send the first piece of each call as the pieces that *split* makes of it, each in a chunk of its own."""

    def apply(items: _Items) -> _Items:
        out: _Items = []
        for item in items:
            made = [split(call) for delta in deltas_of(item) for call in calls_of(delta) if _starts(call)]
            if not made or not is_object(item):
                out.append(item)
                continue
            # The calls of one chunk are split in step, so that their order stays.
            for pieces in zip_longest(*made):
                calls = [piece for piece in pieces if piece is not None]
                out.append(with_delta(item, {"tool_calls": calls}))
        return out

    return apply


def _name_late(call: JSONObject) -> list[JSONObject]:
    name = _function(call).get("name")
    start = {**call, "function": {"arguments": ""}}
    return [start, {"index": call.get("index"), "function": {"name": name}}]


def _name_in_pieces(call: JSONObject) -> list[JSONObject]:
    name = _function(call).get("name") or ""
    # The arguments stay empty in both, as the name must be whole before they begin.
    half = len(name) // 2
    start = {**call, "function": {"name": name[:half], "arguments": ""}}
    return [start, {"index": call.get("index"), "function": {"name": name[half:]}}]


def _function_late(call: JSONObject) -> list[JSONObject]:
    start = {name: value for name, value in call.items() if name != "function"}
    return [start, {"index": call.get("index"), "function": call.get("function")}]


def _name_repeated(items: _Items) -> _Items:
    names: dict[tuple[int, Any], Any] = {}
    for place, call in _pieces(items):
        key = (place, call.get("index"))
        if _starts(call):
            names[key] = _function(call).get("name")
        elif key in names:
            _function(call)["name"] = names[key]
    return items


def _whole_calls(finish: Change) -> Callable[[_Items], _Items]:
    """Send each call in one piece; *finish* changes it once it is whole."""

    def apply(items: _Items) -> _Items:
        begun: dict[tuple[int, Any], JSONObject] = {}
        for place, call in _pieces(items):
            key = (place, call.get("index"))
            if _starts(call):
                begun[key] = call
            elif key in begun:
                function = _function(begun[key])
                function["arguments"] = text_in(function.get("arguments")) + text_in(_function(call).get("arguments"))
        # By identity: equal pieces of two calls are not the same piece.
        kept = {id(call) for call in begun.values()}
        for call in begun.values():
            finish(call)
        return _keep_calls(items, kept)

    return apply


def _keep_calls(items: _Items, kept: set[int]) -> _Items:
    """Return the chunks, without those whose pieces of tool calls are all gone."""
    out: _Items = []
    for item in items:
        lists = [delta for delta in deltas_of(item) if calls_of(delta)]
        for delta in lists:
            delta["tool_calls"] = [call for call in calls_of(delta) if id(call) in kept]
        if not lists or is_finish(item) or any(delta["tool_calls"] for delta in lists):
            out.append(item)
    return out


def _together(items: _Items) -> _Items:
    """Send all calls of a choice in one delta, each whole."""
    out: _Items = []
    first: dict[int, JSONObject] = {}
    # Only chunks of one choice are joined; those of several stay as they are.
    for item in _whole_calls(lambda _: None)(items):
        choices = choices_of(item)
        if len(choices) == 1 and (calls := [call for delta in deltas_of(item) for call in calls_of(delta)]):
            index = choices[0].get("index", 0)
            if index in first:
                first[index]["tool_calls"] += calls
                out += [with_finish(item)] if is_finish(item) else []
                continue
            first[index] = choices[0]["delta"]
        out.append(item)
    return out


def _pieces_of_one_choice(item: Item) -> bool:
    return len(choices_of(item)) == 1 and any(calls_of(delta) for delta in deltas_of(item))


def _interleaved(items: _Items) -> _Items:
    """Send the pieces of parallel calls in turn, once all have begun: 0, 1, 0, 1."""
    # The chunks between the pieces keep their places.
    places = [k for k, item in enumerate(items) if _pieces_of_one_choice(item)]
    lanes: dict[Any, _Items] = {}
    for k in places:
        place, call = next(_pieces([items[k]]))
        lanes.setdefault((call.get("index"), place), []).append(items[k])
    in_turn = [item for item in chain.from_iterable(zip_longest(*lanes.values())) if item is not None]
    out = list(items)
    for k, item in zip(places, in_turn, strict=True):
        out[k] = item
    return out


# --- arguments and kinds ----------------------------------------------------------------------------------------------


def _no_arguments(empty: Change) -> Callable[[_Items], _Items]:
    """Begin each call with *empty* as its arguments; a call of ``{}`` sends nothing else."""

    def apply(items: _Items) -> _Items:
        texts: dict[tuple[int, Any], str] = {}
        for place, call in _pieces(items):
            key = (place, call.get("index"))
            texts[key] = texts.get(key, "") + text_in(_function(call).get("arguments"))
        kept = {
            id(call)
            for place, call in _pieces(items)
            if _starts(call) or texts[place, call.get("index")] != "{}"
        }  # fmt: skip
        for _, call in _pieces(items):
            if _starts(call):
                empty(_function(call))
        return _keep_calls(items, kept)

    return apply


def _no_whole_arguments(empty: Change) -> Change:
    return each_call(lambda call: empty(_function(call)) if _function(call).get("arguments") == "{}" else None)


# Only whole calls can have an object; a stream of pieces of it would not be JSON.
def _arguments_as_object(call: JSONObject) -> None:
    function = _function(call)
    try:
        function["arguments"] = msgspec.json.decode(function.get("arguments") or "{}")
    except (TypeError, msgspec.DecodeError):
        pass  # the script had no JSON there, so there is no object


def _flat_function(call: JSONObject) -> None:
    call.update(call.pop("function", {}))


def _as_custom(call: JSONObject) -> None:
    function = call.pop("function", None)
    if is_object(function):
        call["custom"] = {"input" if name == "arguments" else name: value for name, value in function.items()}
    if "type" in call:
        call["type"] = "custom"


def _one_call(delta: JSONObject) -> None:
    if len(calls_of(delta)) == 1:
        delta["tool_calls"] = calls_of(delta)[0]


def _empty_calls(value: object) -> Change:
    return lambda delta: delta.setdefault("tool_calls", value)


_HUGE_INDEX: JSONObject = {"tool_calls": [{"index": 10**9, "id": "call_far", "function": {"name": "f"}}]}


# Rows are written in few lines, one below the other, so that the table can be read as one; hence the fmt: skip.
CALLS = (
    Quirk("tool_index_missing", "tool_call", drop("index"), "no `index`", "Gemini, old Ollama, mistral.rs",
          rule="tool_index_missing"),
    Quirk("tool_index_null", "tool_call", put(index=None), "`index: null`", "Gemini", rule="tool_index_missing"),
    Quirk("tool_index_from_1", "tool_call", _index(lambda index: index + 1), "the index starts at 1", "several",
          rule="tool_index_gap"),
    Quirk("tool_index_holes", "tool_call", _index(lambda index: index * 2), "every other index: 0, 2", "several",
          rule="tool_index_gap"),
    Quirk("tool_index_zero", "tool_call", _index(lambda _: 0), "index 0 for all calls",
          "Ollama, Dynamo, Gemini proxies", rule="tool_index_shared"),
    Quirk("tool_index_huge", "chunks", insert_before_finish(_HUGE_INDEX), "an index of 1,000,000,000",
          "hostile servers", expect="too_large"),
    Quirk("tool_id_empty", "tool_call", _later(put(id="")), 'id "" in the later pieces', "DashScope, GLM",
          rule="tool_id_empty"),
    Quirk("tool_id_null", "tool_call", _later(put(id=None)), "id null in the later pieces", "gateways"),
    Quirk("tool_id_repeated", "chunks", _id_repeated, "the id in each piece", "DashScope, gateways",
          rule="tool_id_repeated"),
    Quirk("tool_id_missing", "tool_call", drop("id"), "never an id; one is made up, and can be told from others",
          "GLM via gateways", rule="tool_id_missing", expect="changed", right=in_messages(_synthetic_ids)),
    Quirk("call_id_number", "chunks", _numeric_ids, "a numeric id", "gateways", rule="call_id_number",
          expect="changed", right=_number_ids(str), whole=_number_ids(lambda number: number)),
    Quirk("tool_name_late", "chunks", _split_first(_name_late), "the name in the second piece", "several",
          rule="tool_name_late"),
    Quirk("tool_name_pieces", "chunks", _split_first(_name_in_pieces), "the name in two pieces", "several",
          rule="tool_name_pieces"),
    Quirk("tool_name_repeated", "chunks", _name_repeated, "the name in each piece", "several",
          rule="tool_name_repeated"),
    Quirk("tool_arguments_null", "chunks", _no_arguments(put(arguments=None)),
          "a call begins with `arguments: null`, and has no more if it takes none", "several",
          whole=_no_whole_arguments(put(arguments=None))),
    Quirk("tool_arguments_empty", "chunks", _no_arguments(put(arguments="")),
          'arguments "" for a call that takes none', "several", whole=_no_whole_arguments(put(arguments=""))),
    Quirk("tool_arguments_missing", "chunks", _no_arguments(drop("arguments")),
          "a call that takes none has no arguments", "several", whole=_no_whole_arguments(drop("arguments"))),
    Quirk("arguments_object", "chunks", _whole_calls(_arguments_as_object), "arguments as an object",
          "llama.cpp, Gemini, Ollama", rule="arguments_object", whole=each_call(_arguments_as_object)),
    Quirk("tool_call_whole", "chunks", _whole_calls(lambda _: None), "a whole call in one delta", "Gemini, Ollama"),
    Quirk("tool_calls_together", "chunks", _together, "several whole calls in one delta", "Gemini, Ollama"),
    Quirk("tool_calls_interleaved", "chunks", _interleaved, "the pieces of parallel calls in turn", "vLLM"),
    Quirk("tool_type_missing", "tool_call", drop("type"), "no `type`", "several"),
    Quirk("tool_function_late", "chunks", _split_first(_function_late), "no `function` in the first piece", "several"),
    Quirk("function_missing", "tool_call", _flat_function, "name and arguments beside the id, without `function`",
          "gateways", rule="function_missing"),
    Quirk("tool_calls_object", "delta", _one_call, "one call as an object, not in a list", "gateways",
          rule="tool_calls_object"),
    Quirk("tool_calls_empty", "delta", _empty_calls([]), "`tool_calls: []` where there are none", "vLLM"),
    Quirk("tool_calls_null", "delta", _empty_calls(None), "`tool_calls: null` where there are none", "several"),
    Quirk("tools_custom", "tool_call", _as_custom, "calls of custom tools, streamed", "OpenAI",
          expect="changed", right=each_call(_as_custom)),
)  # fmt: skip
"""The quirks of tool calls."""
