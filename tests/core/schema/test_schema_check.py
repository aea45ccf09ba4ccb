"""Arguments of tools whose schema comes from elsewhere."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async import RequestValidationError, Tool, ToolCall
from opeai_async._core.schema.schema import Mismatch
from opeai_async._core.schema.schema_check import check
from opeai_async.types.completion import FunctionCall

POINT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "x": {"type": "integer"},
        "tags": {"type": "array", "items": {"enum": ["a", "b", 1, None]}},
        "of": {"anyOf": [{"$ref": "#/$defs/Of"}, {"type": "null"}]},
        "kind": {"const": True},
    },
    "required": ["x"],
    "additionalProperties": False,
    "$defs": {"Of": {"type": ["object", "string"], "required": ["y"], "additionalProperties": {"type": "number"}}},
}


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        ({"x": 1.0}, None, ""),
        ({"x": 1, "tags": ["a", 1, None], "of": None, "kind": True}, None, ""),
        ({"x": 1, "of": {"y": 2.5}}, None, ""),
        ({"x": 1.5}, "$.x", "Expected `integer`, got `number`"),
        ({"x": True}, "$.x", "got `boolean`"),
        ({}, "$", "missing required field `x`"),
        ({"x": 1, "z": 2}, "$", "unknown field `z`"),
        ({"x": 1, "tags": ["a", True]}, "$.tags[1]", "Expected one of"),
        ({"x": 1, "of": {"y": "2"}}, "$.of.y", "Expected `number`, got `string`"),
        ({"x": 1, "of": 3}, "$.of", "Expected"),
        ({"x": 1, "kind": 1}, "$.kind", "Expected one of [True]"),
        ([], "$", "Expected `object`, got `array`"),
    ],
)
def test_a_value(value: Any, path: str | None, reason: str) -> None:
    """What is allowed is let through, what is not is named with its place; as jsonschema has it."""
    assert jsonschema.Draft202012Validator(POINT).is_valid(value) is (path is None)
    if path is None:
        check(value, POINT)
        return
    with pytest.raises(Mismatch) as caught:
        check(value, POINT)
    assert caught.value.path == path
    assert reason in caught.value.reason


def test_odd_schemas() -> None:
    """True and False, all of several, recursion without end, unknown keywords."""
    check({"a": 1}, {"properties": {"a": True}, "allOf": [{"required": ["a"]}], "x-ui": 1})
    with pytest.raises(Mismatch, match="Expected nothing"):
        check({"a": 1}, {"properties": {"a": False}})
    check(1, {"$ref": "#"})
    check(1, {"$ref": "#/nowhere/at/all"})
    check({"a": 1}, {"patternProperties": {"a": {}}, "additionalProperties": False})


values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["a", "b"]) | st.floats(-2, 2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=2),
    max_leaves=6,
)
kinds = st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "null"])
schemas: Any = st.recursive(
    st.fixed_dictionaries({}, optional={"type": kinds | st.lists(kinds, min_size=1, unique=True)})
    | st.fixed_dictionaries({"enum": st.lists(values, min_size=1, max_size=3)}),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(st.sampled_from("xyz"), inner, max_size=2),
            "required": st.lists(st.sampled_from("xyz"), max_size=2, unique=True),
            "additionalProperties": st.booleans() | inner,
            "items": inner,
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "allOf": st.lists(inner, min_size=1, max_size=2),
        },
    ),
    max_leaves=6,
)


@given(values, schemas)
def test_as_jsonschema_has_it(value: Any, schema: Any) -> None:
    """For all the keywords that are known."""
    is_valid = jsonschema.Draft202012Validator(schema).is_valid(value)
    try:
        check(value, schema)
    except Mismatch:
        assert not is_valid
    else:
        assert is_valid


async def test_a_tool_from_a_schema() -> None:
    """It is called with the arguments as they are, once they are what the schema says."""
    seen: list[dict[str, Any]] = []

    async def remote(**arguments: Any) -> str:
        seen.append(arguments)
        return "ok"

    tool = Tool.from_schema("remote.get".replace(".", "_"), POINT, remote, description="Asks another server.")
    assert tool["function"] == {"name": "remote_get", "parameters": POINT, "description": "Asks another server."}

    def call(arguments: str) -> ToolCall:
        return ToolCall(id="a", type="function", function=FunctionCall(name="remote_get", arguments=arguments))

    assert (await tool.answer(call('{"x": 2.0, "tags": []}'))).content == "ok"
    assert seen == [{"x": 2.0, "tags": []}]
    answer = await tool.answer(call('{"x": "2"}'))
    assert answer.error == "invalid_arguments"
    assert "$.x" in str(answer.content)
    assert (await tool.answer(call("[1]"))).error == "invalid_arguments"
    assert len(seen) == 1
    assert Tool.from_schema("now", {}, remote).parameters == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("a b", {}, "a function is named 'a b'"),
        ("a", {"type": "array"}, "its parameters are of the type 'array'"),
        ("a", {"properties": {"x": object()}}, "its parameters are no JSON"),
    ],
)
def test_schemas_that_cannot_be(name: str, parameters: Any, message: str) -> None:
    """They are refused by name."""
    with pytest.raises(RequestValidationError, match=message):
        Tool.from_schema(name, parameters, dict)
