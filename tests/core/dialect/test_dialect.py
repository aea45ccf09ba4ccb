"""What real servers send, row by row: the right message by value, and the name of the rule that was needed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from opeai_async._core.answer.accumulator import Accumulator
from opeai_async._core.dialect.dialect import Dialect
from opeai_async._core.dialect.tool_indexes import ToolCallIndexes
from opeai_async.errors import StreamDecodeError
from opeai_async.types.chunk import ChoiceDelta
from opeai_async.types.completion import ChatCompletion
from tests.support.reading.streams import DONE, body_of, byte_by_byte, delta_chunk, event, parse

Deltas = list[dict[str, Any]]


def read(body: bytes) -> tuple[ChatCompletion, tuple[str, ...]]:
    """The completion in *body*, and the quirks; asserts that it is the same byte by byte."""
    found = []
    for reads in ([body], byte_by_byte(body)):
        chunks, parser, dialect = parse(reads)
        assert parser.error is None
        accumulator = Accumulator()
        accumulator.extend(chunks)
        if parser.done:
            accumulator.settle()
        found.append((accumulator.completion(), tuple(dialect.quirks)))
    assert found[0] == found[1]
    return found[0]


def check_strict(body: bytes, quirks: tuple[str, ...]) -> None:
    """In strict mode, the first rule that is needed is named in the error."""
    _, parser, dialect = parse([body], mode="strict")
    if quirks:
        assert isinstance(parser.error, StreamDecodeError)
        assert parser.error.rule == quirks[0]
        assert quirks[0] in str(parser.error)
    else:
        assert parser.error is None
    assert not dialect.quirks


def plain(struct: Any) -> dict[str, Any]:
    """The fields of a Struct that are not their default, as JSON."""
    fields: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(struct))
    return fields


# --- deltas ----------------------------------------------------------------------------------------------------------

# What the deltas of one choice are; the message they make, role aside; the quirks.
DELTAS: dict[str, tuple[Deltas, dict[str, Any], tuple[str, ...]]] = {
    "null and missing fields": (
        [{"role": None, "content": None, "tool_calls": None}, {}, {"content": "a"}],
        {"content": "a"},
        (),
    ),
    "content as an integer": ([{"content": "in "}, {"content": 2026}], {"content": "in 2026"}, ("content_number",)),
    "content as a float": ([{"content": 1.5}], {"content": "1.5"}, ("content_number",)),
    "content as a boolean": ([{"content": True}], {"content": "true"}, ("content_number",)),
    "content blocks": (
        [
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]},
            {"content": [{"type": "text", "text": "a"}, "b", {"type": "reference", "ids": [1]}]},
            {"content": {"type": "text", "text": "c"}},
            {"content": []},
        ],
        {
            "content": "abc",
            "reasoning_content": "hm",
            "_extra": {
                "content_blocks": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                    {"type": "text", "text": "a"},
                    "b",
                    {"type": "reference", "ids": [1]},
                ]
            },
        },
        ("content_blocks",),
    ),
    "content as the object of JSON mode": (
        [{"content": {"type": "fruit", "kinds": ["\u00e4pfel", 2], "more": {"text": None}}}],
        {"content": '{"type":"fruit","kinds":["\u00e4pfel",2],"more":{"text":null}}'},
        ("content_object",),
    ),
    "content as the array of JSON mode": (
        [{"content": [{"name": "a"}, {}]}],
        {"content": '[{"name":"a"},{}]'},
        ("content_object",),
    ),
    "a lone block without a type": ([{"content": {"text": "a"}}], {"content": "a"}, ("content_blocks",)),
    "a lone block of another kind": (
        [{"content": {"type": "image_url", "image_url": {"url": "u"}}}],
        {"content": None, "_extra": {"content_blocks": [{"type": "image_url", "image_url": {"url": "u"}}]}},
        ("content_blocks",),
    ),
    "a block that is no object": (
        [{"content": [5]}],
        {"content": None, "_extra": {"content_blocks": [5]}},
        ("content_blocks",),
    ),
    "reasoning": (
        [{"reasoning": "a"}, {"reasoning": "b"}],
        {"reasoning_content": "ab", "_extra": {"reasoning": "ab"}},
        ("reasoning_alias",),
    ),
    "reasoning beside reasoning_content": (
        [{"reasoning": "a", "reasoning_content": "a"}, {"reasoning": "b", "reasoning_content": "b"}],
        {"reasoning_content": "ab"},
        ("reasoning_alias",),
    ),
    "reasoning empty beside text": (
        [{"reasoning_content": "r", "reasoning": ""}, {"reasoning_content": "s", "reasoning": {}}],
        {"reasoning_content": "rs"},
        ("reasoning_alias",),
    ),
    "reasoning null": ([{"content": "a", "reasoning": None}], {"content": "a"}, ("reasoning_alias",)),
    "reasoning as an object": (
        [{"reasoning": [{"text": "a", "signature": "s"}]}, {"reasoning": [{"content": "b"}, "c", {"x": 1}, 5]}],
        {
            "reasoning_content": "abc",
            "_extra": {"reasoning": [{"text": "a", "signature": "s"}, {"content": "b"}, "c", {"x": 1}, 5]},
        },
        ("reasoning_alias", "reasoning_object"),
    ),
    "reasoning_content as an object": (
        [{"reasoning_content": {"text": "a", "signature": "s"}}],
        {"reasoning_content": "a", "_extra": {"reasoning_content": {"text": "a", "signature": "s"}}},
        ("reasoning_object",),
    ),
    "reasoning as a number": (
        [{"reasoning_content": "a"}, {"reasoning_content": 7.0}],
        {"reasoning_content": "a7.0"},
        ("reasoning_number",),
    ),
    "reasoning under another name later": (
        [{"reasoning_content": "ab"}, {"reasoning": "ab"}],
        {"reasoning_content": "ab", "_extra": {"reasoning_ignored": "ab"}},
        ("reasoning_alias",),
    ),
    "reasoning first, both later": (
        [{"reasoning": "a"}, {"reasoning": "b", "reasoning_content": "a"}, {"reasoning_content": "b"}],
        {"reasoning_content": "ab", "_extra": {"reasoning": "ab", "reasoning_ignored": "ab"}},
        ("reasoning_alias",),
    ),
    "both, then the other name alone": (
        [{"reasoning": "a", "reasoning_content": "a"}, {"reasoning": "b"}],
        {"reasoning_content": "ab", "_extra": {"reasoning": "b"}},
        ("reasoning_alias",),
    ),
    "another name that goes on": (
        [{"reasoning_content": "I "}, {"reasoning": "think"}],
        {"reasoning_content": "I think", "_extra": {"reasoning": "think"}},
        ("reasoning_alias",),
    ),
    "details, then another name": (
        [{"reasoning_details": [{"type": "t", "text": "ab", "index": 0}]}, {"reasoning": "ab"}],
        {
            "reasoning_content": "ab",
            "_extra": {"reasoning_details": [{"type": "t", "text": "ab", "index": 0}], "reasoning_ignored": "ab"},
        },
        ("reasoning_details_only", "reasoning_alias"),
    ),
    "one tool call that is no list": (
        [{"tool_calls": {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}}],
        {"tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        ("tool_calls_object",),
    ),
    "a function beside the id": (
        [{"tool_calls": [{"index": 0, "id": "a", "name": "f", "arguments": '{"x":1}'}]}],
        {"tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}]},
        ("function_missing",),
    ),
    "a function that is only its name": (
        [{"tool_calls": [{"index": 0, "id": "a", "function": "f", "arguments": '{"x":1}'}]}],
        {"tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}]},
        ("function_missing",),
    ),
    "arguments as an object": (
        [{"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": {"x": [1.5, "é"]}}}]}],
        {"tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":[1.5,"é"]}'}}]},
        ("arguments_object",),
    ),
    "an id that is a number": (
        [{"tool_calls": [{"index": 0, "id": 7, "function": {"name": "f"}}]}],
        {"tool_calls": [{"id": "7", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        ("call_id_number",),
    ),
    "tool calls of another type": (
        [{"content": "a", "tool_calls": "none"}],
        {"content": "a", "_extra": {"tool_calls": "none"}},
        ("field_of_other_type",),
    ),
    "padding": (
        [{"content": "a", "p": "abc"}, {"content": "b"}],
        {"content": "ab", "_extra": {"p": "abc"}},
        (),
    ),
}


@pytest.mark.parametrize("name", DELTAS)
def test_deltas(name: str) -> None:
    """The message is what the model meant."""
    deltas, expected, quirks = DELTAS[name]
    body = body_of([delta_chunk(delta) for delta in deltas])
    completion, found = read(body)
    assert plain(completion.choices[0].message) == plain({"role": "assistant", "content": None, **expected}) or plain(
        completion.choices[0].message
    ) == {"role": "assistant", **expected}
    assert found == quirks
    check_strict(body, quirks)


@pytest.mark.parametrize(
    "source", ["1.50", "0.10", "1e3", "1E+2", "-0", "-0.0", "12345678901234567890123", "0.1234567890123456789"]
)
@pytest.mark.parametrize("part", ["delta", "message"])
def test_a_number_for_content_comes_as_it_was_written(source: str, part: str) -> None:
    """The model wrote text; a float's repr would change it."""
    body = b'data: {"choices":[{"index":0,"%s":{"content":%s}}]}\n\n' % (part.encode(), source.encode()) + DONE
    completion, quirks = read(body)
    assert completion.choices[0].message.content == source
    assert "content_number" in quirks


def test_a_number_for_content_in_loose_json() -> None:
    """It is what was written, where the JSON is odd elsewhere too."""
    completion, _ = read(b'data: {"choices":[{"index":0,"delta":{"content":1.50}}],"x":NaN}\n\n' + DONE)
    assert completion.choices[0].message.content == "1.50"
    completion, _ = read(b'data: {"choices":[{"index":0,"delta":{"content":1.50}},{"index":1,"message":5}]}\n\n' + DONE)
    assert completion.choices[0].message.content == "1.50"


# --- tool calls without index ----------------------------------------------------------------------------------------


def call(call_id: str | None = None, name: str | None = None, arguments: str = "", **fields: Any) -> dict[str, Any]:
    return {"id": call_id, "function": {"name": name, "arguments": arguments}, **fields}


UNINDEXED: dict[str, tuple[Deltas, list[tuple[str, str, str]]]] = {
    "whole calls": ([call("a", "f", "1"), call("b", "g", "2")], [("a", "f", "1"), ("b", "g", "2")]),
    "the name in each piece": (
        [call(None, "f", '{"a"'), call(None, "f", ":1}"), call(None, "g", "{}")],
        [("call_synthetic_0", "f", '{"a":1}'), ("call_synthetic_1", "g", "{}")],
    ),
    "whole calls without id": (
        [call(None, "f", '{"a":1}'), call(None, "f", '{"a":2}'), call(None, "f", "{}"), call(None, "f", "{}")],
        [
            ("call_synthetic_0", "f", '{"a":1}'),
            ("call_synthetic_1", "f", '{"a":2}'),
            ("call_synthetic_2", "f", "{}"),
            ("call_synthetic_3", "f", "{}"),
        ],
    ),
    "in pieces, by the latest": (
        [call("a", "f"), call(None, None, "1"), call("b", "g"), call("", "", "2")],
        [("a", "f", "1"), ("b", "g", "2")],
    ),
    "in pieces, by id": (
        [call("a", "f"), call("b", "g", "2"), call("a", None, "1")],
        [("a", "f", "1"), ("b", "g", "2")],
    ),
    "index in the first delta only": (
        [call("a", "f", index=0), call(None, None, "1"), call("b", "g", index=1), call(None, None, "2")],
        [("a", "f", "1"), ("b", "g", "2")],
    ),
    "index from 1, in the first delta only": ([call("a", "f", index=1), call(None, None, "1")], [("a", "f", "1")]),
    "index null": (
        [call("a", "f", "1", index=None), call("b", "g", "2", index=None)],
        [("a", "f", "1"), ("b", "g", "2")],
    ),
    "a piece before any call": ([call(None, None, "1")], [("call_synthetic_0", "", "1")]),
    "the name comes after the id": ([{"id": "a"}, call(None, "f", "1")], [("a", "f", "1")]),
}


@pytest.mark.parametrize("name", UNINDEXED)
def test_tool_calls_without_index(name: str) -> None:
    """By a known id, else a new id or name is a new call, else the latest."""
    deltas, expected = UNINDEXED[name]
    body = body_of([delta_chunk({"tool_calls": [delta]}) for delta in deltas])
    completion, quirks = read(body)
    calls = completion.choices[0].message.tool_calls or []
    assert [(c.id, c.function.name, c.function.arguments) for c in calls] == [(i, n, a or "{}") for i, n, a in expected]
    assert quirks == ("tool_index_missing",)
    check_strict(body, quirks)


def test_tool_calls_without_index_in_several_choices() -> None:
    """Each choice counts its own calls, whatever its index looks like."""
    chunks = [delta_chunk({"tool_calls": [call(f"{index}", "f")]}, index=index) for index in (0, 1)]
    completion, _ = read(body_of(chunks))
    assert [choice.message.tool_calls[0].id for choice in completion.choices if choice.message.tool_calls] == ["0", "1"]


@pytest.mark.parametrize("odd", [[1], {"a": 1}, 5.5, True])
def test_a_tool_call_with_an_id_of_another_type(odd: object) -> None:
    """An id that is none does not stop the stream."""
    indexes = ToolCallIndexes()
    indexes.note(0, {"id": odd, "function": {"name": "e"}})
    assert indexes.index_of({"id": odd, "function": "f"}) == 1
    completion, _ = read(body_of([delta_chunk({"tool_calls": [{"id": odd, "function": {"name": "f"}}]})]))
    (made,) = completion.choices[0].message.tool_calls or []
    assert made.function.name == "f"


# --- envelope --------------------------------------------------------------------------------------------------------

_TEXT = delta_chunk({"content": "hi"})
_COUNTS = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


def without(name: str, chunk: dict[str, Any] = _TEXT) -> dict[str, Any]:
    return {key: value for key, value in chunk.items() if key != name}


# A chunk beside "hi"; what the completion has then, by path; the quirks.
ENVELOPES: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]] = {
    "usage with choices": ({**_TEXT, "choices": [], "usage": _COUNTS}, {"usage": _COUNTS}, ()),
    "choices null": ({"choices": None, "usage": _COUNTS}, {"usage": _COUNTS}, ("choices_missing",)),
    "choices missing": (without("choices"), {}, ("choices_missing",)),
    "nothing but a cost": ({"choices": [], "cost": "0"}, {"_extra": {"cost": "0"}}, ()),
    "azure's first": (
        {
            "id": "",
            "object": "",
            "created": 0,
            "model": "",
            "choices": [],
            "prompt_filter_results": [{"prompt_index": 0}],
        },
        {"_extra": {"prompt_filter_results": [{"prompt_index": 0}]}},
        (),
    ),
    "azure's later choice": (
        {**_TEXT, "choices": [{"index": 0, "finish_reason": None, "content_filter_offsets": {"check_offset": 1}}]},
        {},
        ("delta_missing",),
    ),
    "null envelope": (
        {**_TEXT, "choices": [], "id": None, "object": None, "created": None, "model": None},
        {},
        ("envelope_null",),
    ),
    "id a number": ({**without("id"), "choices": [], "id": 12345678901234567890123}, {}, ("id_number",)),
    "created a float": ({**_TEXT, "choices": [], "created": 1.7e9}, {}, ("created_not_integer",)),
    "created text": ({**_TEXT, "choices": [], "created": "1700000000"}, {}, ("created_not_integer",)),
    "created no number": (
        {**_TEXT, "choices": [], "created": "yesterday"},
        {"_extra": {"created": "yesterday"}},
        ("field_of_other_type",),
    ),
    "created infinite": (
        {**_TEXT, "choices": [], "created": "inf"},
        {"_extra": {"created": "inf"}},
        ("field_of_other_type",),
    ),
    "object wrong": ({**_TEXT, "choices": [], "object": "text"}, {}, ()),
    "usage empty": ({**_TEXT, "choices": [], "usage": {}}, {}, ("usage_empty",)),
    "usage without counts": (
        {**_TEXT, "choices": [], "usage": {"cost": 0.5}},
        {"_extra": {"usage": {"cost": 0.5}}},
        ("usage_empty",),
    ),
    "usage of nulls": (
        {**_TEXT, "choices": [], "usage": {"prompt_tokens": None}},
        {"_extra": {"usage": {"prompt_tokens": None}}},
        ("usage_empty",),
    ),
    "usage without total": (
        {**_TEXT, "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
        {"usage": _COUNTS},
        ("usage_total_missing",),
    ),
    "usage with nulls": (
        {**_TEXT, "choices": [], "usage": {"prompt_tokens": None, "completion_tokens": None, "total_tokens": 3}},
        {"usage": {"prompt_tokens": None, "completion_tokens": None, "total_tokens": 3}},
        ("usage_null_count",),
    ),
    "usage of floats": (
        {**_TEXT, "choices": [], "usage": {"prompt_tokens": 1.0, "completion_tokens": "2", "total_tokens": 3.0}},
        {"usage": _COUNTS},
        ("count_not_integer",),
    ),
    "usage with a count that is none": (
        {**_TEXT, "choices": [], "usage": {"prompt_tokens": [], "completion_tokens": 2}},
        {"usage": {"completion_tokens": 2, "total_tokens": None, "_extra": {"prompt_tokens": []}}},
        ("field_of_other_type",),
    ),
    "usage that is none": ({**_TEXT, "choices": [], "usage": 5}, {"_extra": {"usage": 5}}, ("field_of_other_type",)),
    "cost a number": (
        {**_TEXT, "choices": [], "usage": {**_COUNTS, "cost": 0.5, "prompt_tokens_details": {"video_tokens": 1}}},
        {"usage": {**_COUNTS, "_extra": {"cost": 0.5}, "prompt_tokens_details": {"_extra": {"video_tokens": 1}}}},
        (),
    ),
    "cost an object": (
        {**_TEXT, "choices": [], "usage": {**_COUNTS, "cost": {"total_cost": 0.5}}},
        {"usage": {**_COUNTS, "_extra": {"cost": {"total_cost": 0.5}}}},
        (),
    ),
    "index missing": (
        {**_TEXT, "choices": [{"delta": {}, "finish_reason": "stop"}]},
        {"finish": "stop"},
        ("choice_index_missing",),
    ),
    "index null": (
        {**_TEXT, "choices": [{"index": None, "delta": {}, "finish_reason": "stop"}]},
        {"finish": "stop"},
        ("choice_index_missing",),
    ),
    "usage without completion tokens": (
        {**_TEXT, "choices": [], "usage": {"prompt_tokens": 1, "total_tokens": 1}},
        {"usage": {"prompt_tokens": 1, "completion_tokens": None, "total_tokens": 1}},
        ("usage_null_count",),
    ),
    "message instead of delta": (
        {**_TEXT, "choices": [{"index": 0, "message": {"content": ""}, "finish_reason": "stop"}]},
        {"finish": "stop"},
        ("delta_missing",),
    ),
    "finish_reason missing": ({**_TEXT, "choices": [{"index": 0, "delta": {}}]}, {}, ()),
    "finish_reason of another type": (
        {**_TEXT, "choices": [{"index": 0, "delta": {}, "finish_reason": 5}]},
        {},
        ("field_of_other_type",),
    ),
    "delta null": (
        {**_TEXT, "choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]},
        {"finish": "stop"},
        ("delta_missing",),
    ),
    "delta of PHP": (
        {**_TEXT, "choices": [{"index": 0, "delta": [], "finish_reason": "stop"}]},
        {"finish": "stop"},
        ("delta_missing",),
    ),
    "obfuscation": ({**_TEXT, "choices": [], "obfuscation": "x5g"}, {}, ()),
    "a field called _extra": (
        {**_TEXT, "choices": [], "_extra": 5},
        {"_extra": {"_extra": 5}},
        ("field_of_other_type",),
    ),
    "a field called _extra beside vendor fields": (
        {**_TEXT, "choices": [], "_extra": 5, "x": 1},
        {"_extra": {"_extra": 5, "x": 1}},
        (),
    ),
}


@pytest.mark.parametrize("name", ENVELOPES)
@pytest.mark.parametrize("first", [True, False])
def test_envelopes(name: str, first: bool) -> None:
    """An odd envelope, before the text or after it, changes nothing but what it says."""
    odd, expected, quirks = ENVELOPES[name]
    body = body_of([odd, _TEXT] if first else [_TEXT, odd])
    completion, found = read(body)
    assert completion.choices[0].message.content == "hi"
    assert (completion.created, completion.model) == (1_700_000_000, "m")
    assert completion.id == (str(odd["id"]) if first and odd.get("id") else "chatcmpl-1")
    assert completion.choices[0].finish_reason == expected.get("finish")
    built = plain(completion)
    assert {key: built[key] for key in ("usage", "_extra") if key in built} == {
        k: v for k, v in expected.items() if k != "finish"
    }
    assert found == quirks
    check_strict(body, quirks)


def test_loose_json() -> None:
    """NaN, lone surrogates and duplicate keys are read; the last key wins, and no surrogate comes out."""
    delta = b'{"content":"lost","content":"a\\ud800","v\\udc00":[NaN,"\\ud83d\\ude00"]}'
    payload = b'{"choices":[{"index":0,"delta":%s}],"n":123456789012345678901234567890}' % delta
    body = b"data: " + payload + b"\n\n" + DONE
    completion, quirks = read(body.replace(b"NaN", b"1"))
    message = completion.choices[0].message
    assert message.content == "a\ufffd"
    assert message.extra == {"v\ufffd": [1, "\U0001f600"]}
    assert completion.extra == {"n": 123456789012345678901234567890}
    assert quirks == ("loose_json",)
    check_strict(body, quirks)


def test_an_odd_field_deep_inside() -> None:
    """The field that has another type is kept in ``extra`` where it stood; its neighbours are read."""
    chunk = delta_chunk({"content": "a", "audio": {"id": 5, "data": "QQ=="}})
    chunk["choices"][0]["logprobs"] = {"content": [{"token": "a", "logprob": "low"}]}
    completion, quirks = read(body_of([chunk]))
    choice = completion.choices[0]
    assert choice.message.audio is not None
    assert (choice.message.audio.data, choice.message.audio.extra) == ("QQ==", {"id": 5})
    assert choice.logprobs is not None
    assert choice.logprobs.content is not None
    assert choice.logprobs.content[0].extra == {"logprob": "low"}
    assert quirks == ("field_of_other_type",)


def test_too_many_odd_fields() -> None:
    """However many they are, they do not cost the answer: the whole field is set aside."""
    annotations = [{"type": {"n": number}} for number in range(100)]
    (made,), _, _ = parse([event(delta_chunk({"content": "a", "annotations": annotations}))])
    assert made.choices[0].delta == ChoiceDelta(content="a", extra={"annotations": annotations})


def test_the_same_odd_field_in_many_items() -> None:
    """However many they are, they are one repair, and no text is lost with them."""
    logprobs = {"content": [{"token": "t", "logprob": "-0.5", "top_logprobs": []} for _ in range(500)]}
    body = delta_chunk({"content": "abc"})
    body["choices"][0]["logprobs"] = logprobs
    completion, found = read(body_of([body]))
    assert completion.choices[0].message.content == "abc"
    assert [item.extra for item in completion.choices[0].logprobs.content] == [{"logprob": "-0.5"}] * 500
    assert "field_of_other_type" in found


def test_choices_that_are_odd() -> None:
    """What is no choice is left out; one that is in no list, or has no index, is one all the same."""
    for choices in ({"delta": {"content": "a"}}, [None, {"delta": {"content": "a"}}, 5], [{"index": "0", "text": "a"}]):
        completion, _ = read(body_of([{"choices": choices}]))
        assert [choice.message.content for choice in completion.choices] == ["a"]
    completion, _ = read(body_of([{"choices": [{"delta": {"content": "a"}}, {"delta": {"content": "b"}}]}]))
    assert [choice.message.content for choice in completion.choices] == ["a", "b"]


def test_the_whole_message_at_the_end() -> None:
    """After deltas it is no delta itself: nothing is doubled."""
    last = {"choices": [{"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}]}
    completion, _ = read(body_of([delta_chunk({"content": "Hello"}), last]))
    assert completion.choices[0].message.content == "Hello"
    assert completion.choices[0].extra == {"message": {"content": "Hello"}}


def test_an_old_function_call_with_arguments_as_an_object() -> None:
    """As in a tool call, they are encoded."""
    completion, _ = read(body_of([delta_chunk({"function_call": {"name": "f", "arguments": {"a": 1}}})]))
    assert completion.choices[0].message.function_call.arguments == '{"a":1}'


def test_custom_calls_without_index_or_id() -> None:
    """Told apart by name, as functions are."""
    deltas = [{"type": "custom", "custom": {"name": name, "input": "x"}} for name in ("sh", "py")]
    completion, _ = read(body_of([delta_chunk({"tool_calls": [delta]}) for delta in deltas]))
    assert [call.custom.name for call in completion.choices[0].message.tool_calls or ()] == ["sh", "py"]


def test_quirks_are_named_once_in_order() -> None:
    """However often a rule acts, its name stands where it acted first."""
    dialect = Dialect()
    for quirk in ("b", "a", "b"):
        dialect.note(quirk)
    assert list(dialect.quirks) == ["b", "a"]


@pytest.mark.parametrize("index", [[], {}, "0", None, 1.5])
def test_an_empty_call_whose_index_is_none(index: object) -> None:
    """Whatever stands there, the piece says nothing and is left out."""
    completion, quirks = read(
        event(delta_chunk({"content": "Hi", "tool_calls": [{"index": index}]}, finish="stop")) + DONE
    )
    assert completion.choices[0].message.tool_calls is None
    assert "tool_call_empty" in quirks


def test_an_index_of_more_digits_than_python_reads() -> None:
    """It is out of every bound, and not the index of choice 0."""
    body = b'data: {"choices":[{"index":%b,"delta":{"content":"x"}}]}\n\n' % (b"9" * 5000)
    chunks, _, dialect = parse([body])
    assert chunks[0].choices[0].index == 10**18
    assert "index_not_integer" in dialect.quirks


def test_a_strict_reading_hands_out_nothing_it_refuses() -> None:
    """Malformed text beside a comment is refused with the chunk that holds it."""
    body = b': ping\n\ndata: {"choices":[{"index":0,"delta":{"content":"a\xff"}}]}\n\n'
    chunks, parser, _ = parse([body], mode="strict")
    assert chunks == []
    assert isinstance(parser.error, StreamDecodeError)
    assert parser.error.rule == "loose_json"


def test_a_number_beside_what_is_read_stays_a_number() -> None:
    """It is kept as it came, and can be encoded again."""
    body = b'data: {"choices":[{"index":0,"delta":{"content":1.50},"message":{"content":5}}]}\n\n' + DONE
    completion, _ = read(body)
    choice = completion.choices[0]
    assert (choice.message.content, choice.extra) == ("1.50", {"message": {"content": 5}})
    assert msgspec.json.encode(completion)
