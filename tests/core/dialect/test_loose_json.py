"""Almost JSON, and fields that are not what they should be."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given

from opeai_async._core.dialect.loose_json import loads_loosely, without_surrogates
from opeai_async._core.dialect.number_text import keep_number_text
from opeai_async._core.dialect.unknown_fields import move_offender_to_extra, move_unknown_to_extra, put_extra
from opeai_async.types.common import WireStruct
from tests.support.reading.streams import json_values


class Leaf(WireStruct, kw_only=True):
    a: int = 0


class Tree(WireStruct, kw_only=True):
    leaf: Leaf | None = None
    leaves: list[Leaf] = []
    named: dict[str, Leaf] = {}
    noted: Annotated[Leaf | None, msgspec.Meta(extra_json_schema={"x": 1})] = None
    anything: Any = None


class Nested(WireStruct, kw_only=True):
    inner: list[Nested] = []


class Plain(msgspec.Struct, kw_only=True):
    a: int = 0


class Holder(WireStruct, kw_only=True):
    plain: Plain | None = None


class Tagged(WireStruct, tag_field="kind", tag="t", kw_only=True):
    a: int = 0


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        (b'{"a":1,"a":2}', {"a": 2}),
        (b'["\\ud800x","\\ud83d\\ude00"]', ["\ufffdx", "\U0001f600"]),
        (b'{"\\udfff":null}', {"\ufffd": None}),
        (b'"\xff"', "\ufffd"),
        (b"[Infinity,-Infinity,1e400]", [float("inf"), float("-inf"), float("inf")]),
        (b"123456789012345678901234567890", 123456789012345678901234567890),
        (b"9" * 5000, "9" * 5000),
    ],
)
def test_almost_json(payload: bytes, value: object) -> None:
    """Read as it was meant."""
    assert without_surrogates(loads_loosely(payload)) == value


@pytest.mark.parametrize("payload", [b"", b"{", b"{'a':1}", b"\xef\xbb\xbf{}"])
def test_no_json_at_all(payload: bytes) -> None:
    """A ValueError, and nothing else."""
    with pytest.raises(ValueError, match=r"Expecting|BOM"):
        loads_loosely(payload)


def test_nested_too_deep() -> None:
    """A RecursionError, for the caller to name."""
    with pytest.raises(RecursionError):
        loads_loosely(b"[" * 100_000)


@given(value=json_values)
def test_values_without_surrogates_stay_as_they_are(value: object) -> None:
    """Only lone surrogates are replaced."""
    assert repr(without_surrogates(value)) == repr(value)


def test_unknown_fields_move_where_extra_is_read_from() -> None:
    """At each level that a Struct describes, and nowhere else."""
    odd = {"a": 1, "v": 2}
    value = {
        "leaf": dict(odd),
        "leaves": [dict(odd), 5],
        "named": {"v": dict(odd)},
        "noted": dict(odd),
        "anything": {"v": 2},
        "v": {"w": 1},
    }
    move_unknown_to_extra(value, Tree)
    moved = {"a": 1, "_extra": {"v": 2}}
    assert value == {
        "leaf": moved,
        "leaves": [moved, 5],
        "named": {"v": moved},
        "noted": moved,
        "anything": {"v": 2},
        "_extra": {"v": {"w": 1}},
    }


def test_a_struct_that_holds_itself() -> None:
    """Unknown fields are found at any depth."""
    value: dict[str, Any] = {"inner": [{"inner": [{"v": 1}]}, {"v": 2}]}
    move_unknown_to_extra(value, Nested)
    assert value == {"inner": [{"inner": [{"_extra": {"v": 1}}]}, {"_extra": {"v": 2}}]}


def test_values_of_another_shape_are_left_alone() -> None:
    """A list where an object belongs, or the reverse, is for the conversion to refuse."""
    value = {"leaf": [{"v": 1}], "leaves": {"v": 1}, "named": [{"v": 1}]}
    move_unknown_to_extra(value, Tree)
    assert value == {"leaf": [{"v": 1}], "leaves": {"v": 1}, "named": [{"v": 1}]}


def test_a_struct_that_is_none_of_ours_is_left_alone() -> None:
    """It has no ``extra`` to move anything to."""
    value = {"plain": {"a": 1, "v": 2}}
    move_unknown_to_extra(value, Holder)
    assert value == {"plain": {"a": 1, "v": 2}}


def test_the_tag_of_a_struct_stays() -> None:
    """It is no field, but it belongs to the Struct."""
    value = {"kind": "t", "a": 1, "v": 2}
    move_unknown_to_extra(value, Tagged)
    assert value == {"kind": "t", "a": 1, "_extra": {"v": 2}}


@pytest.mark.parametrize(
    ("owner", "extra"),
    [({}, {"x": 1}), ({"_extra": {"y": 2}}, {"y": 2, "x": 1}), ({"_extra": 5}, {"_extra": 5, "x": 1})],
)
def test_put_extra(owner: dict[str, Any], extra: dict[str, Any]) -> None:
    """Adds to what is there, even to a field of that name on the wire."""
    put_extra(owner, {})
    put_extra(owner, {"x": 1})
    assert owner == {"_extra": extra}


@pytest.mark.parametrize(
    ("reason", "moved"),
    [
        ("Expected `int`, got `str` - at `$.leaf.a`", {"leaf": {"_extra": {"a": "x"}}}),
        ("Expected `int`, got `str` - at `$.leaves[1].a`", {"leaves": [{}, {"_extra": {"a": "x"}}]}),
        ("Expected `object`, got `int` - at `$.leaves[1]`", {"_extra": {"leaves": [{}, {"a": "x"}]}}),
        ("Object missing required field `a`", None),
        ("Expected `int`, got `str` - at `$.named[...].a`", None),
        ("Expected `str`, got `int` - at `key` in `$`", None),
        ("Expected `array`, got `int` - at `$.choices`", None),
        ("Expected `object`, got `int` - at `$.choices[0]`", None),
    ],
)
def test_the_field_that_msgspec_complains_of(reason: str, moved: dict[str, Any] | None) -> None:
    """It is moved aside, unless the answer would be lost with it or the path is unknown."""
    body: dict[str, Any] = {"leaf": {"a": "x"}, "leaves": [{}, {"a": "x"}], "choices": 5}
    before = msgspec.json.encode(body)
    assert move_offender_to_extra(body, reason) is (moved is not None)
    if moved is None:
        assert msgspec.json.encode(body) == before
    else:
        assert {name: body[name] for name in moved} == moved


@pytest.mark.parametrize(
    ("payload", "content"),
    [
        (b'{"choices":[{"delta":{"content":1.50}}]}', "1.50"),
        (b'{"choices":[{"delta":{"content":true}}]}', True),
        (b'{"choices":[{"delta":{"content":"1.50"}}]}', "1.50"),
        (b'{"choices":[{"delta":{"content":1.50}},5]}', "1.50"),
        (b'{"choices":[{"delta":{"content":1.50}},{"delta":null},{"delta":{"content":null}}]}', "1.50"),
    ],
)
def test_numbers_keep_their_text(payload: bytes, content: object) -> None:
    """A number is replaced by how it was written, where the rest of the choices can be read."""
    body = msgspec.json.decode(payload)
    keep_number_text(payload, body)
    assert body["choices"][0]["delta"]["content"] == content


@pytest.mark.parametrize("payload", [b"{}", b'{"choices":5}', b'{"choices":[5,{"delta":5}]}'])
def test_bodies_without_contents(payload: bytes) -> None:
    """Nothing to look for, nothing changed."""
    body = msgspec.json.decode(payload)
    keep_number_text(payload, body)
    assert body == msgspec.json.decode(payload)
