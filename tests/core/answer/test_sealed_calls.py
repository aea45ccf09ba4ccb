"""A call is sealed when nothing can come after it."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from opeai_async._core.answer.sealed_calls import SealedCalls
from opeai_async.types.chunk import ChatCompletionChunk
from tests.support.reading.streams import body_of, delta_chunk, deltas_of, messages, parse


def chunks_of(*deltas: dict[str, Any], choice: int = 0) -> list[ChatCompletionChunk]:
    """One chunk for each delta of a tool call."""
    return parse([body_of(delta_chunk({"tool_calls": [delta]}, index=choice) for delta in deltas)])[0]


def call(index: int, arguments: str, **fields: Any) -> dict[str, Any]:
    return {"index": index, "function": {"arguments": arguments}, **fields}


def begin(index: int, arguments: str = "", name: str = "f") -> dict[str, Any]:
    return {"index": index, "id": f"call_{index}", "function": {"name": name, "arguments": arguments}}


def sealed(*deltas: dict[str, Any], choice: int = 0) -> list[tuple[int, str, str]]:
    found = SealedCalls().add(chunks_of(*deltas, choice=choice))
    return [(position, one.id, one.function.arguments) for position, one in found]


def test_a_call_is_sealed_when_the_next_begins() -> None:
    """And not before, though its arguments are whole: the stream may end badly, or the name go on."""
    assert sealed(begin(0), call(0, '{"a":'), call(0, "1}")) == []
    assert sealed(begin(0), call(0, '{"a":'), call(0, "1}"), begin(1)) == [(0, "call_0", '{"a":1}')]


def test_each_call_comes_once() -> None:
    calls = SealedCalls()
    first = calls.add(chunks_of(begin(0, '{"a":1}'), begin(1, '{"a":2}')))
    second = calls.add(chunks_of(begin(2)))
    assert [position for position, _ in first + second] == [0, 1]


def test_pieces_in_turn_seal_nothing_that_is_not_whole() -> None:
    """Where calls interleave, the first goes on after the second has begun."""
    assert sealed(begin(0, '{"a":'), begin(1, '{"b":'), call(0, "1}"), call(1, "2}")) == []
    assert sealed(begin(0, '{"a":'), begin(1, '{"b":'), call(0, "1}"), begin(2)) == [(0, "call_0", '{"a":1}')]


def test_empty_arguments_wait_for_the_end() -> None:
    """A lone ``{}`` may stand for "none yet"."""
    assert sealed(begin(0, "{}"), begin(1)) == []


def test_what_is_no_json_object_waits_for_the_end() -> None:
    for arguments in ("", "[1]", "1", '{"a":1', "{'a':1}"):
        assert sealed(begin(0, arguments), begin(1)) == []


def test_custom_tools_and_calls_without_a_name_wait_for_the_end() -> None:
    custom = {"index": 0, "id": "c", "type": "custom", "custom": {"name": "sh", "input": '{"a":1}'}}
    assert sealed(custom, begin(1)) == []
    assert sealed(begin(0, '{"a":1}', name=""), begin(1)) == []


def test_only_choice_0_counts() -> None:
    assert sealed(begin(0, '{"a":1}'), begin(1), choice=1) == []


def test_an_index_out_of_bounds_is_left_to_the_stream() -> None:
    assert sealed(begin(0, '{"a":1}'), begin(1_000_000_000)) == []


def with_objects(message: dict[str, Any]) -> dict[str, Any]:
    """*message*, whose calls have JSON objects for arguments."""
    for one in message.get("tool_calls", ()):
        function = one["function"]
        function["arguments"] = msgspec.json.encode({"text": function["arguments"]}).decode()
    return message


@given(messages().map(with_objects).flatmap(lambda message: st.tuples(st.just(message), deltas_of(message))))
def test_what_is_sealed_is_in_the_message(generated: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
    """However calls come, one that was sealed is as it is in the end."""
    message, deltas = generated
    chunks = parse([body_of(delta_chunk(delta) for delta in deltas)])[0]
    for position, one in SealedCalls().add(chunks):
        assert msgspec.to_builtins(one.function) == message["tool_calls"][position]["function"]
