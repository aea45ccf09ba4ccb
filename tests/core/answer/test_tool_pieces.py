"""Pieces of tool calls add up to the calls of the message."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async._core.answer.tool_calls import ToolCallParts
from opeai_async._core.answer.tool_pieces import ToolPiece, ToolPieces
from opeai_async._core.limits import MAX_INDEX
from opeai_async.errors import StreamTooLargeError
from opeai_async.types.chunk import CustomCallDelta, FunctionCallDelta, ToolCallDelta

deltas = st.builds(
    ToolCallDelta,
    index=st.integers(0, 2),
    id=st.sampled_from([None, None, "", "a", "b"]),
    function=st.none()
    | st.builds(
        FunctionCallDelta,
        name=st.sampled_from([None, None, "", "get", "_time"]),
        arguments=st.sampled_from([None, "", "{}", '{"a": 1}', '{"a":', " 1}"]),
    ),
)
custom_deltas = st.builds(
    ToolCallDelta,
    index=st.integers(0, 2),
    id=st.sampled_from([None, "a", "b"]),
    custom=st.builds(
        CustomCallDelta, name=st.sampled_from([None, "ru", "n"]), input=st.sampled_from([None, "", "ls", " -l"])
    ),
)


def function(index: int = 0, call_id: str | None = None, **fields: str) -> ToolCallDelta:
    return ToolCallDelta(index=index, id=call_id, function=FunctionCallDelta(**fields))


def added_up(pieces: list[ToolPiece]) -> list[tuple[str, str, str, str]]:
    """Kind, id, name and arguments of each call that *pieces* tell of, in order."""
    calls: dict[int, tuple[str, str, str, str]] = {}
    for piece in pieces:
        _, call_id, name, arguments = calls.get(piece.position, ("", "", "", ""))
        new_id = call_id if piece.id is None else piece.id
        new_name = name if piece.name is None else piece.name
        calls[piece.position] = (piece.kind, new_id, new_name, arguments + piece.arguments)
    return [calls[position] for position in sorted(calls)]


def built(items: list[ToolCallDelta]) -> list[tuple[str, str, str, str]]:
    """The same of the calls that the message has."""
    parts = ToolCallParts(MAX_INDEX, lambda _: None)
    for delta in items:
        parts.add(delta)
    return [
        ("function", call.id, call.function.name, call.function.arguments)
        if call.custom is None
        else ("custom", call.id, call.custom.name, call.custom.input)
        for call in parts.build()
    ]


@given(items=st.lists(deltas, max_size=12) | st.lists(custom_deltas, max_size=12))
def test_pieces_add_up_to_the_calls(items: list[ToolCallDelta]) -> None:
    """Whatever is missing, repeated, shared or late: as the message has it."""
    calls = ToolPieces(MAX_INDEX)
    pieces = [piece for delta in items for piece in calls.add(delta)]
    assert added_up([*pieces, *calls.rest()]) == built(items)


def test_a_call_is_told_at_once() -> None:
    """Its id and name before there are arguments, and each piece of these as it comes."""
    calls = ToolPieces(MAX_INDEX)
    assert calls.add(function(call_id="c", name="f", arguments="")) == [ToolPiece(0, "function", "c", "f", "")]
    assert calls.add(function(arguments='{"a"')) == [ToolPiece(0, "function", None, None, '{"a"')]
    assert calls.add(function(arguments=": 1}")) == [ToolPiece(0, "function", None, None, ": 1}")]
    assert calls.rest() == []


@pytest.mark.parametrize(("more", "told"), [([], "{}"), (['{"a": 1}'], '{"a": 1}')])
def test_an_empty_object_is_held_back(more: list[str], told: str) -> None:
    """It may stand for "none yet", and what has been appended cannot be taken back."""
    calls = ToolPieces(MAX_INDEX)
    assert calls.add(function(call_id="c", name="f", arguments="{}"))[0].arguments == ""
    pieces = [piece for arguments in more for piece in calls.add(function(arguments=arguments))]
    assert [piece.arguments for piece in [*pieces, *calls.rest()]] == [told]


def test_a_call_without_id_gets_one_with_its_arguments() -> None:
    """Or at the end; one that comes late takes its place."""
    calls = ToolPieces(MAX_INDEX)
    assert [piece.id for piece in calls.add(function(name="f", arguments=""))] == [None]
    (piece,) = calls.add(function(arguments="{"))
    assert piece.id
    assert [piece.id for piece in calls.add(function(call_id="late", arguments="}"))] == ["late"]


def test_an_index_has_a_bound() -> None:
    with pytest.raises(StreamTooLargeError):
        ToolPieces(3).add(function(index=4, name="f"))


def test_pieces_name_what_is_new() -> None:
    fields: dict[str, Any] = {"call_id": "c", "name": "f"}
    calls = ToolPieces(MAX_INDEX)
    calls.add(function(**fields, arguments="{"))
    assert calls.add(function(**fields, arguments="")) == []
