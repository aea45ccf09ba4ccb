"""Vendor fields of many chunks, as those of one message."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async._core.answer.extras import ExtraParts
from opeai_async.types.common import NO_EXTRA
from tests.support.reading.streams import json_values, pieces, texts


def merged(*values: Any, latest_wins: bool = False) -> Any:
    """What field ``x`` becomes if it comes with *values*."""
    parts = ExtraParts(latest_wins=latest_wins)
    for value in values:
        parts.add({"x": value})
    return parts.build()["x"]


def test_nothing() -> None:
    """Without vendor fields there is the one shared, empty dict."""
    parts = ExtraParts()
    parts.add({})
    assert parts.build() is NO_EXTRA


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a", "b"], "ab"),
        ([[1], [2, 3]], [1, 2, 3]),
        ([{"a": 1}, {"b": 2}], {"b": 2}),
        ([1, 2], 2),
        (["a", 1], 1),
        ([None, "a", None, "b"], "ab"),
        ([None, None], None),
        (["a", None], "a"),
    ],
)
def test_in_a_delta(values: list[Any], expected: object) -> None:
    """Texts add up, lists grow, everything else is a state; null erases nothing."""
    assert merged(*values) == expected


@pytest.mark.parametrize("values", [["a", "b"], [[1], [2]], [1, 2], [None, 2], [3, 2, None]])
def test_beside_the_deltas(values: list[Any]) -> None:
    """The latest value that is one."""
    assert merged(*values, latest_wins=True) == [value for value in values if value is not None][-1]


def test_names_do_not_add_up() -> None:
    """A name that is repeated in each delta stays the name."""
    parts = ExtraParts()
    for _ in range(3):
        parts.add({"name": "bot", "type": "text", "text": "a"})
    assert parts.build() == {"name": "bot", "type": "text", "text": "aaa"}


def test_pieces_of_indexed_items() -> None:
    """A piece goes on with the latest item of its index, if that has its type; whole items stay apart."""
    first = [{"type": "a", "index": 0, "text": "x"}, {"type": "b", "index": 0, "data": "D"}]
    second = [{"type": "a", "index": 0, "text": "y"}, {"type": "a", "index": 1, "text": "z"}, {"type": "a"}, 5]
    assert merged(first, second) == [
        {"type": "a", "index": 0, "text": "x"},
        {"type": "b", "index": 0, "data": "D"},
        {"type": "a", "index": 0, "text": "y"},
        {"type": "a", "index": 1, "text": "z"},
        {"type": "a"},
        5,
    ]


@given(data=st.data(), text=texts)
def test_a_text_in_any_pieces(data: st.DataObject, text: str) -> None:
    """However it is cut, it comes back."""
    assert merged(*data.draw(pieces(text))) == text


@given(values=st.lists(json_values, min_size=1, max_size=4))
def test_building_changes_nothing(values: list[Any]) -> None:
    """A snapshot on the way does not change the end."""
    parts = ExtraParts()
    for value in values:
        parts.add({"x": value})
        parts.build()
    assert repr(parts.build()) == repr({"x": merged(*values)})


def test_what_is_empty_erases_nothing() -> None:
    """The last chunk of a filtered answer has an empty object where the others had their results."""
    parts = ExtraParts(latest_wins=True)
    for results in ({"hate": {"filtered": False}}, {}, None, []):
        parts.add({"filter_results": results})
    assert parts.build() == {"filter_results": {"hate": {"filtered": False}}}


def test_a_tool_that_ran_at_the_server() -> None:
    """It comes twice, with whole arguments; the channel of each delta is a name."""
    parts = ExtraParts()
    begun = {"index": 0, "type": "search", "arguments": '{"q": "a"}'}
    for executed in ([begun], [{**begun, "output": "b"}]):
        parts.add({"executed_tools": executed, "channel": "analysis"})
    assert parts.build() == {"executed_tools": [{**begun, "output": "b"}], "channel": "analysis"}


def test_pieces_that_are_alike_add_up() -> None:
    """Only whole arguments are known to be a repetition."""
    parts = ExtraParts()
    for piece in ({"text": "ha", "arguments": "{"}, {"text": "ha", "arguments": "{"}):
        parts.add(piece)
    assert parts.build() == {"text": "haha", "arguments": "{{"}
