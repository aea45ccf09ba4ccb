"""Parameters become the bytes of a request, or an error that says which of them is wrong."""

import collections
import enum
import math
import types
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async._core.answer.whole_body import read_completion
from opeai_async._core.call.encode import encode_request
from opeai_async._core.call.http import ResponseHead
from opeai_async._core.call.send_back import flattened
from opeai_async._core.dialect.dialect import Dialect
from opeai_async.errors import RequestValidationError
from opeai_async.types.completion import ChatCompletion, ChatCompletionMessage
from opeai_async.types.request import (
    AssistantMessage,
    ChatCompletionRequest,
    FunctionDefinition,
    FunctionTool,
    ImagePart,
    ImageURL,
    JSONSchema,
    JSONSchemaFormat,
    StreamOptions,
    SystemMessage,
    TextPart,
    ToolMessage,
    UserMessage,
)
from tests.support.reading.parameters import EVERY_FIELD, HELLO


def body_of(*, stream=False, include_usage=False, extra_body=None, **params):
    """The decoded body for a valid request with *params*."""
    given = {"model": "m", "messages": HELLO, **params}
    return msgspec.json.decode(encode_request(given, stream=stream, include_usage=include_usage, extra_body=extra_body))


# --- what is sent ----------------------------------------------------------------------------------------------------


def test_every_field_is_sent_as_it_was_given():
    """By value, in one request that holds them all."""
    assert set(EVERY_FIELD) | {"stream"} == set(ChatCompletionRequest.__struct_fields__)
    assert msgspec.json.decode(encode_request(EVERY_FIELD, stream=False)) == EVERY_FIELD


def test_what_is_none_is_not_sent():
    """So an optional parameter can be handed on as it is."""
    none = dict.fromkeys(set(EVERY_FIELD) - {"model", "messages"})
    assert body_of(**none) == {"model": "m", "messages": HELLO}


def test_falsy_values_are_sent():
    """Zero, false and empty are values."""
    given = {"temperature": 0, "n": 1, "store": False, "tools": [], "metadata": {}, "user": "", "seed": 0}
    assert body_of(**given) == {"model": "m", "messages": HELLO, **given}


def test_a_stream_is_asked_for():
    """With usage where that is wanted, unless the caller has stream options of their own."""
    assert body_of(stream=True) == {"model": "m", "messages": HELLO, "stream": True}
    assert body_of(stream=True, include_usage=True)["stream_options"] == {"include_usage": True}
    options = {"include_obfuscation": False}
    assert body_of(stream=True, include_usage=True, stream_options=options)["stream_options"] == options
    assert "stream_options" not in body_of(include_usage=True)


def test_structs_and_dicts_mix():
    """Messages, parts, tools and formats in either form, in one request."""
    parts = [TextPart(text="see"), {"type": "x_vendor", "x": 1}, ImagePart(image_url=ImageURL(url="data:,"))]
    body = body_of(
        messages=[SystemMessage(content="be kind"), *HELLO, UserMessage(content=parts, name="ann")],
        tools=[FunctionTool(function=FunctionDefinition(name="f", strict=True)), {"type": "x_vendor"}],
        response_format=JSONSchemaFormat(json_schema=JSONSchema(name="s", schema={"type": "object"})),
        stream_options=StreamOptions(include_usage=True),
    )
    assert body == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "be kind"},
            *HELLO,
            {
                "role": "user",
                "name": "ann",
                "content": [
                    {"type": "text", "text": "see"},
                    {"type": "x_vendor", "x": 1},
                    {"type": "image_url", "image_url": {"url": "data:,"}},
                ],
            },
        ],
        "tools": [{"type": "function", "function": {"name": "f", "strict": True}}, {"type": "x_vendor"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(
    "messages",
    [tuple(HELLO), collections.deque(HELLO), (message for message in HELLO), {1: HELLO[0]}.values(), iter(HELLO)],
    ids=["tuple", "deque", "generator", "dict view", "iterator"],
)
def test_messages_come_from_any_iterable(messages):
    """And are read once."""
    assert body_of(messages=messages)["messages"] == HELLO


@pytest.mark.parametrize("mapping", [types.MappingProxyType, collections.UserDict, collections.OrderedDict])
def test_any_mapping_is_an_object(mapping):
    """At the top, as a message, and inside one."""
    message = mapping({"role": "user", "content": [mapping({"type": "text", "text": "hello"})]})
    assert body_of(messages=[message], metadata=mapping({"a": "b"}), audio=mapping({"x": mapping({"y": 1})})) == {
        "model": "m",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
        "metadata": {"a": "b"},
        "audio": {"x": {"y": 1}},
    }


def test_a_conversation_of_a_thousand_messages():
    """Nothing is lost or moved."""
    messages = [{"role": "user" if i % 2 else "assistant", "content": f"{i} “ü”\n\\ \u2028"} for i in range(1_000)]
    assert body_of(messages=messages)["messages"] == messages


class Effort(enum.StrEnum):
    HIGH = "high"


class Model(str, enum.Enum):  # noqa: UP042 - the older form is the point
    """The older form, whose str() is not its value."""

    BIG = "big"


class Text(str):
    __slots__ = ()

    def __str__(self):
        return "another text"


class Real(float):
    """As numpy.float64 is one."""


class Whole(int):
    pass


def test_subclasses_are_sent_as_what_they_are():
    """Enums, and the numbers and texts of other libraries."""
    given = {
        "model": Model.BIG,
        "reasoning_effort": Effort.HIGH,
        "user": Text("me"),
        "temperature": Real(0.5),
        "n": Whole(2),
        "audio": {"a": Real(1.5), "b": Whole(3), "c": Text("d"), "e": Effort.HIGH},
        "messages": [{"role": Text("user"), "content": Text("hello")}],
    }
    assert body_of(**given) == {
        "model": "big",
        "reasoning_effort": "high",
        "user": "me",
        "temperature": 0.5,
        "n": 2,
        "audio": {"a": 1.5, "b": 3, "c": "d", "e": "high"},
        "messages": HELLO,
    }


def test_token_ids_may_be_numbers():
    """That is what tokenizers give; JSON has no other names than text."""
    assert body_of(logit_bias={50256: -100, "7": 2.5})["logit_bias"] == {"50256": -100, "7": 2.5}


def test_extra_body_goes_first_and_unchecked():
    """It adds fields, replaces others whatever their range, and sends null where that is asked for."""
    body = body_of(
        stream=True,
        temperature=1,
        n=2,
        extra_body={"temperature": 99, "n": None, "top_k": 40, "stream": False, "provider": {"order": ["a"]}},
    )
    assert body == {
        "model": "m",
        "messages": HELLO,
        "stream": False,
        "temperature": 99,
        "n": None,
        "top_k": 40,
        "provider": {"order": ["a"]},
    }


def test_extra_body_may_bring_model_and_messages():
    """Then they are not missing."""
    raw = encode_request({}, stream=False, extra_body={"model": "x", "messages": "raw"})
    assert msgspec.json.decode(raw) == {"model": "x", "messages": "raw"}


def test_the_arguments_are_left_as_they_were():
    """Neither the parameters nor the extra fields are changed by a call."""
    params, extra = {"model": "m", "messages": tuple(HELLO), "n": None}, {"a": 1}
    encode_request(params, stream=True, include_usage=True, extra_body=extra)
    assert params == {"model": "m", "messages": tuple(HELLO), "n": None}
    assert extra == {"a": 1}


# --- vendor fields ---------------------------------------------------------------------------------------------------


def test_vendor_fields_go_where_they_came_from():
    """Beside the fields of the Struct, at every level, in Structs with a tag too, and inside mappings and tuples."""
    message = AssistantMessage(content=(TextPart(text="a", extra={"cache": {"x": 1}}),), extra={"reasoning": "r"})
    proxy = types.MappingProxyType({"role": "user", "content": [TextPart(text="b", extra={"cache": 2})]})
    assert body_of(messages=[message, proxy, *HELLO])["messages"] == [
        {"role": "assistant", "content": [{"type": "text", "text": "a", "cache": {"x": 1}}], "reasoning": "r"},
        {"role": "user", "content": [{"type": "text", "text": "b", "cache": 2}]},
        *HELLO,
    ]


def test_an_empty_extra_is_no_field():
    """Also when it is not the shared one."""
    assert body_of(messages=[UserMessage(content="a", extra={})])["messages"] == [{"role": "user", "content": "a"}]


def test_text_that_looks_like_the_internal_field_is_text():
    """Neither a prompt with the word nor a user's own field of that name is touched."""
    messages = [{"role": "user", "content": '"_extra": {"a": 1}'}, {"role": "user", "content": "x", "_extra": {"b": 2}}]
    assert body_of(messages=messages)["messages"] == messages


def test_flattening_agrees_with_encoding():
    """Where there are no vendor fields, both ways give the same."""
    values = [
        UserMessage(content="a", name="b"),
        ToolMessage(content="1", tool_call_id="c"),
        AssistantMessage(),
        ChatCompletionMessage(role="assistant"),
        FunctionTool(function=FunctionDefinition(name="f")),
    ]
    for value in values:
        assert flattened(value) == msgspec.json.decode(msgspec.json.encode(value))


# --- any input -------------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(content=JSON, vendor=st.dictionaries(st.text(), JSON, max_size=3))
def test_any_json_inside_a_message_is_sent_by_value(content, vendor):
    """Shapes that this client never heard of are the server's business."""
    message = {**vendor, "role": "user", "content": content}
    assert body_of(messages=[message])["messages"] == [message]


ANYTHING = JSON | st.binary() | st.complex_numbers() | st.just(math.nan) | st.text("\ud800a") | st.sets(st.integers())


@pytest.mark.filterwarnings("ignore::opeai_async.UnknownParameterWarning")
@given(params=st.dictionaries(st.sampled_from(sorted(EVERY_FIELD)) | st.text(), ANYTHING, max_size=5))
def test_any_parameters_are_sent_or_refused(params):
    """A request that is valid JSON, or the documented error with a hint; nothing else."""
    try:
        raw = encode_request(params, stream=False)
    except RequestValidationError as error:
        said = (str(error), error.hint)
        assert all(said)
    else:
        assert set(msgspec.json.decode(raw)) == {name for name, value in params.items() if value is not None}


def test_what_came_beside_a_field_does_not_replace_it():
    """Some servers send `message` beside `delta`; the message that goes back is the one that was read."""
    message = ChatCompletionMessage(role="assistant", content="read", extra={"content": "beside", "vendor": 1})
    assert flattened(message) == {"role": "assistant", "content": "read", "vendor": 1}


# --- what came back is sent back -------------------------------------------------------------------------------------


def sent_back(message: dict[str, Any]) -> dict[str, Any]:
    """*message* as an answer brought it, and as the next request carries it."""
    body = msgspec.json.encode({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
    completion = read_completion(ResponseHead(200, "h", {}), body, ChatCompletion, Dialect())
    return body_of(messages=[completion.choices[0].message])["messages"][0]


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": "a", "reasoning_content": "r"},
        {"role": "assistant", "content": "a", "reasoning": "r"},
        {"role": "assistant", "content": "a", "reasoning": "r", "reasoning_details": [{"type": "x", "data": "+/"}]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "r", "signature": "s"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "r"}], "closed": True},
                {"type": "text", "text": "a"},
                {"type": "reference", "reference_ids": [1]},
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": "u"}]},
    ],
    ids=lambda message: "+".join(name for name in message if name != "role"),
)
def test_an_answer_goes_back_in_the_form_it_came_in(message: dict[str, Any]) -> None:
    """A server that calls reasoning otherwise, or writes blocks, refuses or ignores what another would send."""
    assert sent_back(message) == message


def test_what_the_user_changed_goes_back_changed() -> None:
    """The name and the form are the server's, the values are those of the message."""
    message = ChatCompletionMessage(
        role="assistant", content="b", reasoning_content="new", extra={"reasoning": "old", "content_blocks": []}
    )
    assert body_of(messages=[message])["messages"] == [
        {"role": "assistant", "content": [{"type": "text", "text": "b"}], "reasoning": "new"}
    ]
    blocks = [{"type": "thinking", "thinking": "old"}]
    message = ChatCompletionMessage(role="assistant", content="b", extra={"content_blocks": blocks})
    assert body_of(messages=[message])["messages"] == [
        {"role": "assistant", "content": [{"type": "text", "text": "b"}]}
    ]
