"""What the server refuses, each by status, words, param and code."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async.testing.server import validate

USER = {"role": "user", "content": "Hi"}
TOOL = {"type": "function", "function": {"name": "f"}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ASKS = {"role": "assistant", "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "1"}


def request(**fields: object) -> dict:
    return {"model": "m", "messages": [USER], **fields}


def refusal_of(check, *arguments: object) -> validate.Refusal:
    with pytest.raises(validate.Refusal) as caught:
        check(*arguments)
    refusal = caught.value
    assert set(refusal.body) == {"error"}
    assert set(refusal.body["error"]) == {"message", "type", "param", "code"}
    assert refusal.body["error"]["type"] == "invalid_request_error"
    assert str(refusal) == refusal.body["error"]["message"]
    return refusal


# --- route, key, JSON ------------------------------------------------------------------------------------------------


def test_routes() -> None:
    """Two paths, each with one method; 405 says which in `Allow`."""
    validate.check_route("POST", "/v1/chat/completions")
    validate.check_route("GET", "/v1/models")
    refusal = refusal_of(validate.check_route, "POST", "/v1/completions")
    assert (refusal.status, str(refusal)) == (404, "Invalid URL (POST /v1/completions)")
    refusal = refusal_of(validate.check_route, "GET", "/v1/chat/completions")
    assert (refusal.status, refusal.headers) == (405, {"allow": "POST"})
    assert refusal.body["error"]["code"] == "method_not_supported"
    assert "Not allowed to GET on /v1/chat/completions" in str(refusal)


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer  ", "Basic sk-test", "sk-test"])
@pytest.mark.parametrize("api_key", [None, "sk-test"])
def test_a_missing_key(authorization: str | None, api_key: str | None) -> None:
    """401, also where any key would do."""
    refusal = refusal_of(validate.check_key, authorization, api_key)
    assert (refusal.status, refusal.body["error"]["code"]) == (401, "invalid_api_key")
    assert "You didn't provide an API key" in str(refusal)


def test_a_wrong_key() -> None:
    """401, without a word of the key; the scheme is case-insensitive, and None accepts any key."""
    refusal = refusal_of(validate.check_key, "Bearer sk-secret", "sk-test")
    assert refusal.status == 401
    assert refusal.body == {
        "error": {
            "message": "Incorrect API key provided.",
            "type": "invalid_request_error",
            "param": None,
            "code": "invalid_api_key",
        }
    }
    validate.check_key("bearer sk-test", "sk-test")
    validate.check_key("Bearer anything", None)


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/x-www-form-urlencoded"])
def test_a_wrong_content_type(content_type: str | None) -> None:
    """400: only JSON is accepted."""
    refusal = refusal_of(validate.check_json, content_type, b"{}")
    assert (refusal.status, refusal.body["error"]["code"]) == (400, "unsupported_content_type")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b'"\xff"', b"[" * 100_000])
def test_a_body_that_is_no_json_object(body: bytes) -> None:
    """400, whatever is wrong with it."""
    refusal = refusal_of(validate.check_json, "application/json", body)
    assert refusal.status == 400
    assert str(refusal).startswith("We could not parse the JSON body of your request: ")


def test_a_json_object_is_decoded() -> None:
    """The media type counts, not its parameters or its case."""
    assert validate.check_json("Application/JSON; charset=utf-8", b'{"a": 1}') == {"a": 1}


@given(st.binary())
def test_any_bytes_are_decoded_or_refused(body: bytes) -> None:
    """No other exception leaves."""
    try:
        assert isinstance(validate.check_json("application/json", body), dict)
    except validate.Refusal as refusal:
        assert refusal.status == 400  # noqa: PT017 - either way is fine


# --- fields ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "param", "code", "message"),
    [
        (
            {"messages": [USER]},
            "model",
            "missing_required_parameter",
            "Missing required parameter: 'model'.",
        ),
        (
            {"model": "m"},
            "messages",
            "missing_required_parameter",
            "Missing required parameter: 'messages'.",
        ),
        (
            request(temprature=1),
            "temprature",
            "unknown_parameter",
            "Unrecognized request argument supplied: temprature",
        ),
        (
            request(**{"a`b c": 1}),
            "a`b c",
            "unknown_parameter",
            "Unrecognized request argument supplied: a`b c",
        ),
        (
            request(temperature=2.5),
            "temperature",
            "decimal_above_max_value",
            "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 2.5 instead.",
        ),
        (
            request(presence_penalty=-3),
            "presence_penalty",
            "decimal_below_min_value",
            "Invalid 'presence_penalty': decimal below minimum value. Expected a value >= -2, but got -3 instead.",
        ),
        (
            request(n=0),
            "n",
            "integer_below_min_value",
            "Invalid 'n': integer below minimum value. Expected a value >= 1, but got 0 instead.",
        ),
        (
            request(n=129),
            "n",
            "integer_above_max_value",
            "Invalid 'n': integer above maximum value. Expected a value <= 128, but got 129 instead.",
        ),
        (
            request(logit_bias={"5": 101}),
            "logit_bias",
            "decimal_above_max_value",
            "Invalid 'logit_bias': decimal above maximum value. Expected a value <= 100, but got {'5': 101} instead.",
        ),
        (
            request(messages=[]),
            "messages",
            "empty_array",
            "Invalid 'messages': empty array. Expected a minimum length of 1, but got an empty array instead.",
        ),
        (
            request(model=""),
            "model",
            "empty_string",
            "Invalid 'model': empty string. Expected a minimum length of 1, but got an empty string instead.",
        ),
        (
            request(temperature="hot"),
            "temperature",
            "invalid_type",
            "Invalid type for 'temperature': expected a decimal, but got a string instead.",
        ),
        (
            request(messages=None),
            "messages",
            "invalid_type",
            "Invalid type for 'messages': expected an array, but got null instead.",
        ),
        (
            request(stop=5),
            "stop",
            "invalid_type",
            "Invalid type for 'stop': expected one of a string or an array, but got an integer instead.",
        ),
        (
            request(stop=[5]),
            "stop",
            "invalid_type",
            "Invalid type for an entry of 'stop': expected a string.",
        ),
        (
            request(metadata={"a": True}),
            "metadata",
            "invalid_type",
            "Invalid type for an entry of 'metadata': expected a string.",
        ),
    ],
)
def test_a_field_that_is_wrong(body: dict, param: str, code: str, message: str) -> None:
    """The documented body names the field, says what was expected, and what came."""
    refusal = refusal_of(validate.check_request, body)
    assert refusal.status == 400
    assert (str(refusal), refusal.body["error"]["param"], refusal.body["error"]["code"]) == (message, param, code)


def test_a_finding_that_has_no_translation() -> None:
    """Should msgspec find something else one day, its own words do."""
    refusal = refusal_of(validate.refuse_field, {}, "Something new")
    assert (refusal.status, str(refusal)) == (400, "Something new")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"temperature": 2, "top_p": 0, "n": 128, "stop": ["a"], "seed": -1, "max_tokens": 1, "user": None},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"logprobs": True, "top_logprobs": 20},
        {"response_format": {"type": "text"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "s"}}},
        {"tools": [TOOL, {"type": "custom", "custom": {"name": "g"}}], "tool_choice": "required"},
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
        {"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "allowed_tools": {}}},
        {"tool_choice": "none"},
        {"messages": [{"role": "developer", "content": [{"type": "text", "text": "x"}]}, USER]},
        {"messages": [{"role": "function", "name": "f", "content": None}]},
        {"messages": [ASKS, RESULT, USER]},
        {"messages": [{"role": "assistant", "refusal": "no"}, {"role": "assistant", "content": "yes"}]},
    ],
)
def test_a_sound_request_passes(fields: dict) -> None:
    """What the API accepts is accepted, and decoded."""
    assert validate.check_request(request(**fields)).model == "m"


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"stream_options": {}}, "stream_options", "only allowed when 'stream' is enabled"),
        ({"stream": True, "stream_options": []}, "stream_options", "expected an object, but got an array"),
        ({"top_logprobs": 1}, "top_logprobs", "only allowed when 'logprobs' is enabled"),
        ({"response_format": "json"}, "response_format", "expected an object, but got a string"),
        ({"response_format": {}}, "response_format.type", "Missing required parameter"),
        ({"response_format": {"type": "xml"}}, "response_format.type", "'json_object', 'json_schema', 'text'"),
        (
            {"response_format": {"type": "json_schema"}},
            "response_format.json_schema",
            "Missing required parameter",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {}}},
            "response_format.json_schema.name",
            "Missing required parameter",
        ),
        ({"tools": [1]}, "tools[0]", "expected an object, but got an integer"),
        ({"tools": [{}]}, "tools[0].type", "Missing required parameter"),
        ({"tools": [{"type": "web"}]}, "tools[0].type", "'function', 'custom'"),
        ({"tools": [{"type": "function"}]}, "tools[0].function", "Missing required parameter"),
        (
            {"tools": [TOOL, {"type": "function", "function": {"name": 1}}]},
            "tools[1].function.name",
            "expected a string, but got an integer",
        ),
        ({"tool_choice": "auto"}, "tool_choice", "only allowed when 'tools' are specified"),
        ({"tools": [TOOL], "tool_choice": "f"}, "tool_choice", "Supported values are: 'none', 'auto', 'required'"),
        ({"tools": [TOOL], "tool_choice": 1}, "tool_choice", "expected an object, but got an integer"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}},
            "tool_choice",
            "Tool choice 'g' not found",
        ),
    ],
)
def test_options_and_tools_that_do_not_fit(fields: dict, param: str, words: str) -> None:
    """Options that need each other, tools without a name, choices of tools that are not there."""
    refusal = refusal_of(validate.check_request, request(**fields))
    assert refusal.status == 400
    assert refusal.body["error"]["param"] == param
    assert words in str(refusal)


# --- messages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("messages", "param", "words"),
    [
        (["Hi"], "messages[0]", "expected an object, but got a string"),
        ([None], "messages[0]", "Missing required parameter"),
        ([USER, {"content": "Hi"}], "messages[1].role", "Missing required parameter"),
        ([{"role": "human", "content": "Hi"}], "messages[0].role", "Invalid value: 'human'"),
        ([{"role": 1, "content": "Hi"}], "messages[0].role", "expected a string, but got an integer"),
        ([{"role": "user"}], "messages[0].content", "Missing required parameter"),
        ([{"role": "user", "content": None}], "messages[0].content", "Missing required parameter"),
        ([{"role": "user", "content": 1.5}], "messages[0].content", "but got a decimal"),
        ([{"role": "user", "content": ["Hi"]}], "messages[0].content[0]", "expected an object"),
        ([{"role": "user", "content": [{"text": "Hi"}]}], "messages[0].content[0].type", "Missing required"),
        ([{"role": "assistant"}], "messages[0].content", "Missing required parameter"),
        ([{"role": "assistant", "tool_calls": {}}], "messages[0].tool_calls", "expected an array"),
        ([{"role": "assistant", "tool_calls": [{}]}], "messages[0].tool_calls[0].id", "Missing required"),
        (
            [{"role": "assistant", "tool_calls": [{"id": "a", "type": "function"}]}],
            "messages[0].tool_calls[0].function",
            "Missing required parameter",
        ),
        ([{"role": "function", "content": "1"}], "messages[0].name", "Missing required parameter"),
        ([ASKS, {"role": "tool", "content": "1"}], "messages[1].tool_call_id", "Missing required parameter"),
        ([USER, RESULT], "messages[1].role", "must be a response to a preceding message with 'tool_calls'"),
        ([ASKS, RESULT, RESULT], "messages[2].role", "must be a response to a preceding message"),
        ([ASKS, USER], "messages[1].role", "did not have response messages: call_1"),
        ([USER, ASKS], "messages[2].role", "must be followed by tool messages"),
    ],
)
def test_messages_that_do_not_fit(messages: list, param: str, words: str) -> None:
    """Each message by itself, and tool calls with their results."""
    refusal = refusal_of(validate.check_request, request(messages=messages))
    assert refusal.status == 400
    assert refusal.body["error"]["param"] == param
    assert words in str(refusal)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text() | st.sampled_from(["role", "type", "content"]), values),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["model", "messages", "tools", "tool_choice", "response_format", "stop", "n", "stream_options"]
)


@given(st.dictionaries(FIELDS | st.text(), json_values))
def test_any_object_is_accepted_or_refused(fields: dict) -> None:
    """No other exception leaves, and the refusal can be encoded."""
    try:
        validate.check_request(request(**fields))
    except validate.Refusal as refusal:
        assert msgspec.json.encode(refusal.body)  # noqa: PT017 - either way is fine


MISSING = "missing_required_parameter"
PARTS = [
    ({"type": "image_url", "image_url": "https://x/y.png"}, "content[0].image_url", "invalid_type"),
    ({"type": "image_url", "image_url": {}}, "content[0].image_url.url", "missing_required_parameter"),
    (
        {"type": "input_audio", "input_audio": {"data": ""}},
        "content[0].input_audio.format",
        "missing_required_parameter",
    ),
    ({"type": "file"}, "content[0].file", "missing_required_parameter"),
    ({"type": "text"}, "content[0].text", "missing_required_parameter"),
    ({"type": "video", "video": "x"}, "content[0].type", "invalid_value"),
]


@pytest.mark.parametrize(("part", "param", "code"), PARTS)
def test_a_part_that_the_api_refuses(part: dict[str, object], param: str, code: str) -> None:
    """By its type, and by what its type needs."""
    body = {"model": "m", "messages": [{"role": "user", "content": [part]}]}
    error = refusal_of(validate.check_request, body).body["error"]
    assert (error["param"], error["code"]) == (f"messages[0].{param}", code)


def test_parts_that_are_fine() -> None:
    """One of each type; and one that was allowed."""
    parts = [
        {"type": "text", "text": ""},
        {"type": "image_url", "image_url": {"url": "data:,"}},
        {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
        {"type": "file", "file": {"file_id": "f"}},
        {"type": "refusal", "refusal": "no"},
        {"type": "video_url", "video_url": 5},
    ]
    body = {"model": "m", "messages": [{"role": "user", "content": parts}]}
    assert validate.check_request(body, {"video_url"}).messages == body["messages"]


def test_five_words_that_end_the_answer() -> None:
    """Four are the most."""
    body = {"model": "m", "messages": [USER]}
    validate.check_request({**body, "stop": ["a"] * 4})
    assert refusal_of(validate.check_request, {**body, "stop": ["a"] * 5}).body["error"]["param"] == "stop"


def test_an_effort_is_a_word_of_the_api() -> None:
    """A number is of others."""
    error = refusal_of(validate.check_request, {"model": "m", "messages": [USER], "reasoning_effort": 5})
    assert error.body["error"]["code"] == "invalid_type"


def test_fields_that_are_allowed() -> None:
    """All others are refused as ever."""
    body = {"model": "m", "messages": [USER], "thinking": {"type": "enabled"}}
    assert validate.check_request(body, {"thinking"}).model == "m"
    assert refusal_of(validate.check_request, body).body["error"]["code"] == "unknown_parameter"
