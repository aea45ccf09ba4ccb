"""The JSON of one text of an answer, which is the same whoever reads the chunks, and in every dialect."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async import ChatCompletion, ChatCompletionChunk, InvalidJSONError, PartialJSON
from opeai_async._core.answer.accumulator import Accumulator
from opeai_async._core.decode.decoder import decode_chunk
from opeai_async._core.partial.answer import PartialAnswer
from opeai_async.testing import QUIRKS, Reply, speak
from tests.support.reading.streams import delta_chunk, deltas_of, json_values, names, parse
from tests.testing.reading import cuts_of

ARGUMENTS: tuple[tuple[str, dict[str, Any]], ...] = (("get_weather", {"city": "Zürich", "days": 3}), ("get_time", {}))
CONTENT = {"answer": "Grüße, 世界 👋 and more words.", "sure": True}
REPLY = Reply([json.dumps(CONTENT, ensure_ascii=False), "[]"], reasoning="{", tool_calls=list(ARGUMENTS))
READABLE = sorted(
    name for name, quirk in QUIRKS.items() if quirk.expect not in ("status_error", "too_large") and name != "gzip"
)


def chunk(delta: Any = None, **options: Any) -> ChatCompletionChunk:
    return decode_chunk(msgspec.json.encode(delta_chunk(delta, **options)))


def call(arguments: str | None = None, *, index: int = 0, name: str | None = None, **head: Any) -> ChatCompletionChunk:
    """A chunk with a piece of one tool call."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return chunk({"tool_calls": [{"index": index, **head, "function": function}]})


def read(
    chunks: Sequence[ChatCompletionChunk], tool: int | str | None, *, missed: Collection[int] = (), choice: int = 0
) -> tuple[PartialAnswer, ChatCompletion]:
    """What one reader of *chunks* has, while somebody else takes those that it *missed*; and the message."""
    message, answer = Accumulator(), PartialAnswer(choice, tool)
    for number, item in enumerate(chunks):
        if number in missed:
            message.add(item)
            continue
        if answer.chunks != number:
            answer.catch_up(message.snapshot, number)
        message.add(item)
        answer.add(item)
        if answer.is_late:
            answer.catch_up(message.snapshot, number + 1)
    answer.end(message.snapshot, is_whole=True)
    return answer, message.snapshot


def outcome(partial: PartialJSON) -> tuple[Any, str]:
    """What came of a text."""
    return partial.value, str(partial.error)


def outcome_of(text: str) -> tuple[Any, str]:
    """The same, of a text that comes at once; nothing comes of no text."""
    partial = PartialJSON()
    try:
        if partial.feed(text) or partial.has_begun:
            partial.end()
    except InvalidJSONError:
        pass
    return outcome(partial)


documents = json_values.filter(lambda value: "nan" not in repr(value).lower() and "inf" not in repr(value).lower())


@given(data=st.data(), value=documents)
def test_the_content_is_the_same_whoever_reads(data: st.DataObject, value: Any) -> None:
    """Chunks that somebody else took are made up for."""
    text = json.dumps(value)
    deltas = data.draw(deltas_of({"role": "assistant", "content": text, "reasoning_content": "{"}))
    chunks = [chunk(delta, index=1) for delta in deltas]
    missed = data.draw(st.sets(st.integers(0, len(chunks) - 1)))
    answer, _ = read(chunks, None, choice=1, missed=missed)
    assert repr(answer.json.value) == repr(msgspec.json.decode(text))
    assert answer.error is None
    assert answer.is_ended


@given(
    data=st.data(), calls=st.lists(st.tuples(names, documents), min_size=1, max_size=3, unique_by=lambda call: call[0])
)
def test_arguments_are_the_same_whoever_reads(data: st.DataObject, calls: list[tuple[str, Any]]) -> None:
    """Of each call, by its position or by its name."""
    tool_calls = [
        {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": json.dumps(value)}}
        for number, (name, value) in enumerate(calls)
    ]
    chunks = [chunk(delta) for delta in data.draw(deltas_of({"role": "assistant", "tool_calls": tool_calls}))]
    missed = data.draw(st.sets(st.integers(0, len(chunks) - 1)))
    for position, (name, value) in enumerate(calls):
        for tool in (position, name):
            answer, _ = read(chunks, tool, missed=missed)
            assert repr(answer.json.value) == repr(msgspec.json.decode(json.dumps(value)))
            assert answer.error is None


tool_deltas = st.fixed_dictionaries(
    {"index": st.integers(0, 2)},
    optional={
        "id": st.sampled_from(["", "a", "b"]),
        "function": st.fixed_dictionaries(
            {},
            optional={
                "name": st.sampled_from(["get", "_time"]),
                "arguments": st.sampled_from(["", "{}", '{"a": 1}', '{"a":', " 1}", "{", "}"]),
            },
        ),
    },
)


@given(data=st.data(), deltas=st.lists(tool_deltas, min_size=1, max_size=8), tool=st.integers(0, 3))
def test_any_pieces_at_all(data: st.DataObject, deltas: list[dict[str, Any]], tool: int) -> None:
    """However odd they are, what comes of a call is what comes of its arguments in the message."""
    chunks = [chunk({"tool_calls": [delta]}) for delta in deltas]
    missed = data.draw(st.sets(st.integers(0, len(chunks) - 1)))
    answer, completion = read(chunks, tool, missed=missed)
    calls = completion.choices[0].message.tool_calls or []
    assert outcome(answer.json) == outcome_of(calls[tool].function.arguments if tool < len(calls) else "")


@pytest.mark.parametrize("name", READABLE)
def test_every_dialect(name: str) -> None:
    """Whatever the server does, and whoever reads: what comes of a text is what comes of it in the message."""
    for cut in cuts_of(speak(REPLY, [name]), seed=len(name)):
        chunks = parse(cut)[0]
        for missed in ((), range(0, len(chunks), 2), range(len(chunks) // 2)):
            for tool in (None, 0, 1, *(name for name, _ in ARGUMENTS)):
                answer, completion = read(chunks, tool, missed=missed)
                assert outcome(answer.json) == outcome_of(text_in(completion, tool)), (missed, tool)


def text_in(completion: ChatCompletion, tool: int | str | None) -> str:
    """The text that *tool* stands for; empty if there is none."""
    for choice in completion.choices:
        if choice.index == 0 and tool is None:
            return choice.message.content or ""
        for position, made in enumerate(choice.message.tool_calls or () if choice.index == 0 else ()):
            name, text = (
                (made.function.name, made.function.arguments)
                if made.custom is None
                else (made.custom.name, made.custom.input)
            )
            if tool in (position, name):
                return text
    return ""


# --- one by one ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chunks", "position"),
    [
        pytest.param([call(name="get", id="a"), call('{"a"'), call(": 1}")], 0, id="at once"),
        pytest.param([call(name="ge", id="a"), call(name="t"), call('{"a"'), call(": 1}")], 0, id="in pieces"),
        pytest.param([call('{"a"', id="a"), call(": ", name="get"), call("1}")], 0, id="after the arguments began"),
        pytest.param([call('{"a": 1}', id="a"), call(name="get")], 0, id="after the arguments"),
        pytest.param(
            [call("{}", name="get_time", id="a"), call(name="get", id="b", index=1), call('{"a": 1}', index=1)],
            1,
            id="after one that begins like it",
        ),
        pytest.param(
            [call(name="get", id="a"), call('{"b": 2}', name="get", id="b", index=1), call('{"a": 1}')],
            0,
            id="the first of two",
        ),
        pytest.param(
            [call("", name="no", id="b"), call(name="get", index=1, id="a"), call('{"a": 1}', index=1)],
            1,
            id="the second of two",
        ),
    ],
)
def test_a_call_is_found_by_its_name(chunks: list[ChatCompletionChunk], position: int) -> None:
    """However that comes, and whoever read the beginning."""
    for missed in range(len(chunks)):
        answer, completion = read(chunks, "get", missed=range(missed))
        assert answer.json.value == {"a": 1}
        assert completion.choices[0].message.tool_calls is not None
        assert completion.choices[0].message.tool_calls[position].function.name == "get"


def test_a_name_that_nobody_bears() -> None:
    """Nothing comes."""
    answer, _ = read([call("{}", name="get_time", id="a")], "get")
    assert (answer.json.has_begun, answer.error) == (False, None)


def test_no_arguments_are_an_empty_object() -> None:
    """As the message has it, once it is certain that there are none."""
    answer, _ = read([call(name="get", id="a")], "get")
    assert answer.json.value == {}
    placeholder = PartialAnswer(0, 0)
    placeholder.add(call("{}", name="get", id="a"))
    assert not placeholder.json.has_begun
    placeholder.add(call('{"a": 1}'))
    assert placeholder.json.value == {"a": 1}


def test_an_answer_that_was_cut_off_says_nothing_of_it() -> None:
    """What came of it is there; a placeholder for arguments that did not come is not."""
    message, answer = Accumulator(), PartialAnswer(0, 0)
    for item in (call(name="get", id="a"), call("{}")):
        message.add(item)
        answer.add(item)
    answer.end(message.snapshot, is_whole=False)
    assert (answer.json.has_begun, answer.is_ended, answer.error) == (False, True, None)


def test_the_input_of_a_custom_tool_may_be_json() -> None:
    """It is read as if it were; if it is free text, that is an error."""
    head = {"index": 0, "id": "a", "type": "custom"}
    chunks = [
        chunk({"tool_calls": [{**head, "custom": {"name": "run", "input": "[1,"}}]}),
        chunk({"tool_calls": [{"index": 0, "custom": {"input": " 2]"}}]}),
    ]
    for missed in ((), (0,)):
        assert read(chunks, "run", missed=missed)[0].json.value == [1, 2]
    answer, _ = read([chunk({"tool_calls": [{**head, "custom": {"name": "run", "input": "ls -l"}}]})], 0)
    assert str(answer.error).endswith("expected a value, found 'l'")


def test_what_was_right_stays_after_an_error() -> None:
    """Nothing that comes later is taken."""
    answer, _ = read([chunk({"content": text}) for text in ('{"a": 1', ", 2", ', "b": 3}')], None)
    assert answer.json.value == {"a": 1}
    assert str(answer.error).endswith("column 10: expected a name in quotes, found '2'")


@pytest.mark.parametrize(
    ("finish", "hint"),
    [
        ("length", "the answer reached its greatest length: raise max_completion_tokens"),
        ("MAX_TOKENS", "the answer reached its greatest length: raise max_completion_tokens"),
        ("content_filter", "the server's content filter cut the answer"),
        ("stop", InvalidJSONError.default_hint),
        (None, InvalidJSONError.default_hint),
    ],
)
def test_json_that_ended_too_early(finish: str | None, hint: str) -> None:
    """The error says why, where the server did."""
    answer, _ = read([chunk({"content": '{"a": ['}), chunk(finish=finish)], None)
    assert answer.json.value == {"a": []}
    assert str(answer.error).endswith("expected a value or ']', found the end of the text")
    assert answer.error is not None
    assert answer.error.hint == hint


def test_an_index_out_of_bounds_is_left_to_the_stream() -> None:
    """Which ends with an error of its own."""
    answer = PartialAnswer(0, 0)
    answer.add(call("{", index=999))
    answer.add(call("[1]", index=0, name="get"))
    assert answer.json.value == [1]
