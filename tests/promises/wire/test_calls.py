"""Which call is it: the order of reasons, arguments that are no pieces, and structs with nothing in them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async._core.dialect.tool_arguments import ArgumentParts, whole_arguments
from tests.promises.wire.play import DONE, event, every_way, message_of, read, read_json, whole
from tests.support.reading.streams import json_values, pieces


def piece(index: int | None, arguments: str | None = None, *, name: str | None = None, **fields: Any) -> dict[str, Any]:
    """A piece of a call, with what is given."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    place = {} if index is None else {"index": index}
    return {**place, **fields, "function": function}


def calls_of(*deltas: dict[str, Any] | list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """The calls that come of pieces, each in an event of its own or several together; at every cut."""
    events = [event({"tool_calls": one if isinstance(one, list) else [one]}) for one in deltas]
    message = message_of(read(*events, event({}, "tool_calls"), DONE))
    return [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ()]


F = {"id": "A", "name": "f"}
ONE = [("A", "f", '{"a":1}')]


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        # Another index with a name is another call, whatever its id.
        ([piece(0, "{}", **F), piece(1, "{}", id="A", name="g")], [("A", "f", "{}"), ("A_2", "g", "{}")]),
        ([piece(0, '{"a":1}', **F), piece(1, '{"a":1}', **F)], [*ONE, ("A_2", "f", '{"a":1}')]),
        ([piece(0, "{}", id=i, name="f") if k else piece(k, "{}", id=i, name="f") for k, i in enumerate(["A", "A_2"])],
         [("A", "f", "{}"), ("A_2", "f", "{}")]),
        # The same index with another name is another call.
        ([piece(0, '{"a":1}', **F), piece(0, "{}", id="A", name="g")], [*ONE, ("A_2", "g", "{}")]),
        # Another id without a name is the same call at that index.
        ([piece(0, "", **F), piece(0, '{"a":', id="B"), piece(0, "1}", id="C")], ONE),
        ([piece(0, '{"a":', **F), piece(0, "1}", id="B")], ONE),
        # An id and then a name is the next call of the same index.
        ([piece(0, '{"a":1}', **F), piece(0, id="B", type="function"), piece(0, name="f"), piece(0, '{"a":2}')],
         [*ONE, ("B", "f", '{"a":2}')]),
        # Neither name nor id: the latest of its index, or the latest of all.
        ([piece(0, '{"a":', **F), piece(1, "1}")], ONE),
        ([piece(0, '{"a":', **F), piece(1, "{}", id="B", name="g"), piece(0, "1}")], [*ONE, ("B", "g", "{}")]),
        ([piece(0, '{"a":', **F), piece(None, "1}")], ONE),
        # Without arguments it announces a call of its own, of which more may come.
        ([piece(0), piece(1), piece(1, "{}", id="B", name="g"), piece(0, '{"a":1}', **F)], [("B", "g", "{}"), *ONE]),
        ([piece(0), piece(1), piece(1, name="f", id="A"), piece(1, '{"a":1}')], ONE),
        # A negative index is a missing one.
        ([piece(-1, '{"a":', **F), piece(-1, "1}")], ONE),
        ([piece(-1, '{"a":1}', **F), piece(-1, "{}", id="B", name="g")], [*ONE, ("B", "g", "{}")]),
        # No index: by id and name.
        ([piece(None, "", **F), piece(None, '{"a":', id="B"), piece(None, "1}", id="B")], ONE),
        ([piece(None, '{"a":1}', **F), piece(None, "{}", id="A", name="g")], [*ONE, ("A_2", "g", "{}")]),
        # One function twice, without ids: its name again begins another call.
        ([piece(0, '{"a":1}', **F), piece(0, "", name="f"), piece(0, '{"a":2}')],
         [*ONE, ("call_synthetic_1", "f", '{"a":2}')]),
    ],
)  # fmt: skip
def test_which_call_it_is(deltas: list[dict[str, Any]], expected: list[tuple[str, str, str]]) -> None:
    """The first reason that applies decides; the same where all pieces come together."""
    assert calls_of(*deltas) == expected
    assert calls_of(deltas) == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (['{"q":', '{"q":"ab', '{"q":"abc"}'], '{"q":"abc"}'),  # the text so far
        (['{"q":', '{"q":"abc"}'], '{"q":"abc"}'),
        (['{"q":', '{"q":"abc"}', " "], '{"q":"abc"} '),
        (['{"q":', '"abc"}', '{"q":"abc"}'], '{"q":"abc"}'),  # a repeat
        (['{"q":1}', '{"q":2}'], '{"q":1}'),
        (['{"q":1}', "}"], '{"q":1}'),
        (['{"q":1}', " \n"], '{"q":1} \n'),
        (['{"q":1}{"q":1}'], '{"q":1}'),
        (["{}", '{"q":1}'], '{"q":1}'),
        (["1", "12"], "112"),  # fragments
        (['{"n":', "1", "12}"], '{"n":112}'),
        (['{"a":', '{"a":1}}'], '{"a":{"a":1}}'),
        (['{"a":', '{"a":1}', "}"], '{"a":{"a":1}}'),
        (['{"a":', '{"a":', "1}}"], '{"a":{"a":1}}'),
        (['{"a":', '{"a":1}', ',"b":2}'], '{"a":{"a":1},"b":2}'),
        (['{"a":', '{"a":1}', "{}"], '{"a":1}'),  # which cannot follow an object inside
        (['{"s":"}', '{"}'], '{"s":"}{"}'),
        (['{"s":"\\', '"}', '"}'], '{"s":"\\"}"}'),
        (["[1]", "[1]"], "[1][1]"),
        (["{'a':1}", "x"], "{'a':1}x"),
    ],
)
def test_arguments(arguments: list[str], expected: str) -> None:
    """After a whole object nothing comes; what begins with all before it is all; and nothing else is guessed."""
    deltas = [piece(0, "", **F), *(piece(0, one) for one in arguments)]
    assert calls_of(*deltas) == [("A", "f", expected)]
    body = {"id": "A", "type": "function", "function": {"name": "f", "arguments": "".join(arguments)}}
    joined, _ = whole_arguments("".join(arguments))
    (call,) = message_of(read_json(whole({"tool_calls": [body]}))).tool_calls
    assert call.function.arguments == joined


@given(value=st.dictionaries(st.text(max_size=3), json_values, max_size=4), data=st.data())
def test_fragments_of_an_object_are_joined(value: dict[str, Any], data: st.DataObject) -> None:
    """However it is cut; only a lone `{}` is waited for."""
    text = json.dumps(value, ensure_ascii=False)
    parts = ArgumentParts(lambda _: None)
    for one in data.draw(pieces(text)):
        if one:
            parts.add(one)
    parts.settle()
    assert parts.text() == text


NOTHING = {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}


async def test_a_call_of_nothing_is_absent() -> None:
    """No event, no frame, not sent back; neither are the other structs of nothing."""
    delta = {
        "content": "Hi",
        "tool_calls": [{"index": 0, **NOTHING}],
        "function_call": {"name": "", "arguments": ""},
        "audio": {"id": "", "data": ""},
    }
    completion = await every_way(event(delta), event({}, "stop"), DONE)
    message = completion.choices[0].message
    assert (message.tool_calls, message.function_call, message.audio) == (None, None, None)
    assert message.extra["sent_back"] == {"role": "assistant", "content": "Hi"}
    (call,) = message_of(
        read_json(whole({"tool_calls": [NOTHING, {**NOTHING, "id": "b", "function": {"name": "f"}}]}))
    ).tool_calls
    assert (call.id, call.function.name) == ("b", "f")
    assert message_of(read_json(whole({"content": "Hi", "audio": {}, "function_call": {}}))).audio is None


async def test_an_empty_custom_is_absent_beside_a_function() -> None:
    call = {**piece(0, "{}", **F, type="function"), "custom": {"name": "", "input": ""}}
    completion = await every_way(event({"tool_calls": [call]}), event({}, "tool_calls"), DONE)
    (made,) = completion.choices[0].message.tool_calls or ()
    assert (made.type, made.function.name, made.custom) == ("function", "f", None)


def test_a_whole_answer_in_pieces() -> None:
    """Items without name and id belong to the call before; ids are distinct."""
    items = [
        {"id": "A", "type": "function", "function": {"name": "f", "arguments": ""}},
        {"function": {"arguments": '{"a":1}'}},
        {"id": "A", "type": "function", "function": {"name": "g", "arguments": '{"b":2}'}},
    ]
    calls = message_of(read_json(whole({"tool_calls": items}))).tool_calls
    assert [(call.id, call.function.name, call.function.arguments) for call in calls] == [*ONE, ("A_2", "g", '{"b":2}')]


@pytest.mark.parametrize("quirk", ["so_far", "repeated", "shared"])
async def test_all_ways_tell_the_same_calls(quirk: str) -> None:
    """Events, frames and the gateway tell each argument once, and distinct ids."""
    texts = {"so_far": ['{"q":', '{"q":"a', '{"q":"ab"}'], "repeated": ['{"q":', '"ab"}', '{"q":"ab"}']}
    deltas = [piece(0, "", **F), *(piece(0, one) for one in texts.get(quirk, ['{"q":"ab"}']))]
    deltas += [piece(1, '{"q":"ab"}', id="A" if quirk == "shared" else "B", name="g")]
    completion = await every_way(*(event({"tool_calls": [one]}) for one in deltas), event({}, "tool_calls"), DONE)
    calls = completion.choices[0].message.tool_calls or ()
    assert [(call.function.name, call.function.arguments) for call in calls] == [
        ("f", '{"q":"ab"}'),
        ("g", '{"q":"ab"}'),
    ]
    assert len({call.id for call in calls}) == 2
