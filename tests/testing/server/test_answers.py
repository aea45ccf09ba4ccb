"""The default answers: what an unscripted server says."""

import msgspec
import pytest

from opeai_async.testing.server import answers

USER = {"role": "user", "content": "Hi"}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["C", "F"]}, "days": {"type": "integer"}},
        },
    },
}
SQL = {"type": "custom", "custom": {"name": "sql"}}
CALLED = {"role": "tool", "tool_call_id": "call_1", "content": "18 degrees"}


def reply(**fields: object):
    return answers.default_reply({"model": "m", "messages": [USER], **fields})


def test_it_repeats_the_last_message() -> None:
    """An echo, cut where it grows long, and no reasoning from an ordinary model."""
    assert reply().content.startswith("You said: Hi\n")
    assert reply().reasoning is None
    long = reply(messages=[USER, {"role": "user", "content": "x" * 500}])
    assert "x" * 400 + "..." in long.content
    assert "x" * 401 not in long.content


@pytest.mark.parametrize(("model", "count"), [("deepseek-v4-flash", 1), ("some-Reasoner", 2)])
def test_a_reasoning_model_reasons(model: str, count: int) -> None:
    """The name says who thinks first."""
    assert f" {count} message" in reply(model=model, messages=[USER] * count).reasoning


def test_it_calls_a_tool_only_when_it_must() -> None:
    """Required, or named: a call with arguments that fit; otherwise, or after the result, text."""
    arguments = {"city": "example", "unit": "C", "days": 1}
    assert reply(tools=[WEATHER, SQL], tool_choice="required").tool_calls == [("get_weather", arguments)]
    named = {"type": "custom", "custom": {"name": "sql"}}
    sql = {"type": "custom", "custom": {"name": "sql", "input": "example"}}
    assert reply(tools=[WEATHER, SQL], tool_choice=named).tool_calls == [sql]
    assert reply(tools=[WEATHER], tool_choice="auto").tool_calls == ()
    assert reply(tools=[WEATHER], tool_choice={"type": "allowed_tools"}).tool_calls == ()
    after = reply(tools=[WEATHER], tool_choice="required", messages=[USER, CALLED])
    assert after.content == "The tool answered: 18 degrees"


def test_a_json_format_gives_json() -> None:
    """An object for json_object, a fitting value for json_schema."""
    assert "You said" in msgspec.json.decode(reply(response_format={"type": "json_object"}).content)["answer"]
    schema = {"type": "object", "properties": {"city": {"const": "Rome"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    assert reply(response_format=wanted).content == '{"city":"Rome"}'
    wanted = {"type": "json_schema", "json_schema": {"name": "s"}}
    assert reply(response_format=wanted).content == "{}"


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, "example"),
        ({"type": "string"}, "example"),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["number", "null"], "minimum": 3}, 3),
        ({"default": 7}, 7),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [1, 1]),
        ({"type": "array"}, ["example"]),
        ({"properties": {"a": {"anyOf": [{"type": "null"}]}}}, {"a": None}),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"const": 1}}}, 1),
    ],
)
def test_an_example_fits_its_schema(schema: dict, value: object) -> None:
    """Every common kind of schema has an example."""
    assert answers.example(schema) == value


def test_an_endless_schema_ends() -> None:
    """A schema that refers to itself is followed only so far."""
    value = answers.example({"properties": {"next": {"$ref": "#"}}})
    depth = 0
    while value is not None:
        value, depth = value["next"], depth + 1
    assert depth < 20


def test_models() -> None:
    """The list of models has the API's shape."""
    body = answers.models_body()
    assert body["object"] == "list"
    assert [model["object"] for model in body["data"]] == ["model"] * len(answers.MODELS)


def test_an_unchecked_request_gets_an_answer_too() -> None:
    """Without validation model and messages may be missing."""
    assert answers.default_reply({}).content.startswith("You said: \n")
    assert answers.default_reply({"model": "reasoner"}).reasoning.startswith("The conversation has 0 messages")
