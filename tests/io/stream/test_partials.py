"""Values and fields of an answer that is still coming: over a scripted transport, and mixed with all other reading."""

import copy
import gc
import json
import weakref

import pytest

from opeai_async import ClientClosedError, InvalidJSONError, Outcome, StreamInterruptedError
from opeai_async.testing.transport import Break
from tests.support.clients import stream_of, texts
from tests.support.leaks import no_leaks
from tests.support.reading.chunks import DONE, FINISH, event, events
from tests.support.reading.streams import delta_chunk
from tests.support.reading.streams import event as raw_event

END = FINISH + DONE


@pytest.fixture(autouse=True)
async def nothing_left():
    """Every stream is closed, since a field may end before it, and leaves nothing behind."""
    async with no_leaks():
        yield
        while OPENED:
            await OPENED.pop().aclose()


OPENED = []


def opened(*steps, **options):
    """A stream that opens at its first read."""
    stream, _ = stream_of(*steps, **options)
    OPENED.append(stream)
    return stream


def call(*pieces, index=0, name="get_weather"):
    """The events of one tool call whose arguments come in *pieces*."""
    head = {"index": index, "id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": ""}}
    rest = [{"index": index, "function": {"arguments": piece}} for piece in pieces]
    return b"".join(raw_event(delta_chunk({"tool_calls": [delta]})) for delta in (head, *rest))


async def values(view):
    """All that a view gives, each as it was at that time."""
    return [copy.deepcopy(value) async for value in view]


async def until_error(view):
    """The same, of a view that ends with an error, and that error, which comes again."""
    seen = []

    async def read_all():
        async for value in view:
            seen.append(copy.deepcopy(value))  # noqa: PERF401 - what came before the error is wanted

    with pytest.raises(InvalidJSONError) as caught:
        await read_all()
    with pytest.raises(InvalidJSONError) as again:
        await anext(view)
    assert str(again.value) == str(caught.value)
    return seen, caught.value


# --- values ----------------------------------------------------------------------------------------------------------


async def test_a_value_comes_once_per_read_that_changed_it():
    """What arrives together is one value; a read that brings no news is waited over."""
    stream = opened(
        events('{"title"'),
        events(': "Gr'),
        events("üße", '", "n": 1'),
        events("2"),
        events(', "l": [') + events("1, 2"),
        events("]}") + END,
    )
    assert await values(stream.partials()) == [
        {},
        {"title": "Gr"},
        {"title": "Grüße"},
        {"title": "Grüße", "n": 12, "l": [1]},
        {"title": "Grüße", "n": 12, "l": [1, 2]},
    ]
    assert stream.outcome is Outcome.COMPLETE


async def test_the_value_is_the_same_object_each_time():
    """Copying it is up to who wants to keep what it was."""
    stream = opened(events("[1,"), events("2,"), events("3]") + END)
    seen = [value async for value in stream.partials()]
    assert len(seen) == 3
    assert all(value is seen[0] for value in seen)
    assert seen[0] == [1, 2, 3]


async def test_the_values_of_one_choice():
    """Others are passed over."""
    stream = opened(event("[1", index=0) + event('"a', index=1), event('b"', index=1) + event("]", index=0), END)
    assert await values(stream.partials(choice=1)) == ["a", "ab"]


async def test_a_number_comes_when_the_stream_ends():
    """Before that, more digits could follow."""
    stream = opened(events("1"), events("2") + END)
    assert await values(stream.partials()) == [12]


async def test_a_code_fence_is_passed_over():
    stream = opened(events("```json\n", '{"a": "x'), events('y"}\n', "```") + END)
    assert await values(stream.partials()) == [{"a": "x"}, {"a": "xy"}]


@pytest.mark.parametrize("content", [[], [""], ["\n"]])
async def test_an_answer_without_text_has_no_value(content):
    """A refusal, or tool calls: nothing comes, and that is no error."""
    stream = opened(events(*content) + call('{"a": 1}') + END)
    assert await values(stream.partials()) == []
    assert await values(stream.field("a")) == []


# --- tool calls ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", [1, "get_time"])
async def test_the_arguments_of_a_tool_call(tool):
    """By position or by name; pieces of calls may come in any order."""
    stream = opened(
        call('{"city": "Z') + call('{"zo', 'ne": "C', index=1, name="get_time"),
        raw_event(delta_chunk({"tool_calls": [{"index": 0, "function": {"arguments": 'ürich"}'}}]})),
        raw_event(delta_chunk({"tool_calls": [{"index": 1, "function": {"arguments": 'ET"}'}}]})),
        event(finish="tool_calls") + DONE,
    )
    assert await values(stream.partials(tool=tool)) == [{"zone": "C"}, {"zone": "CET"}]
    assert await values(stream.field("zone", tool=tool)) == ["CET"]
    assert await values(stream.field("city", tool=0)) == ["Zürich"]
    assert await values(stream.partials(tool=2)) == []


async def test_a_view_of_a_call_may_be_made_when_it_has_begun():
    """What was read before is made up for."""
    stream = opened(call('{"city"', ': "Z', "ü"), call("x", index=1), END)
    async for chunk in stream:
        if chunk.choices[0].delta.tool_calls:
            break
    assert await anext(stream.partials(tool=0)) == {"city": "Zü"}


async def test_a_fence_around_arguments_is_no_json():
    """Servers that parse calls give JSON, or something that is broken."""
    stream = opened(call("```json\n{}\n```") + END)
    seen, error = await until_error(stream.partials(tool=0))
    assert seen == []
    assert "found '`'" in str(error)


# --- fields ----------------------------------------------------------------------------------------------------------


async def test_the_text_of_a_field_is_told_as_it_grows():
    """Decoded, each character once, and nothing of other fields."""
    stream = opened(
        events('{"no": "x", "answer": "'),
        events("Gr\\u00", "fc", "\\u00dfe", "\\ud83d"),
        events("\\ude00!", '", "n": "y"}') + END,
    )
    assert await values(stream.field("answer")) == ["Gr", "ü", "ße", "😀!"]


async def test_a_view_of_a_field_ends_with_the_field():
    """So that another can be read after it, while the rest is still to come."""
    stream = opened(events('{"a": "x', 'y", "b": ["'), events('z"'), events("]}") + END)
    assert await values(stream.field("a")) == ["x", "y"]
    assert texts([await anext(stream)]) == ['z"']
    assert await values(stream.field(("b", 0))) == ["z"]
    assert stream.outcome is Outcome.OPEN
    assert await values(stream.field("c")) == []
    assert stream.outcome is Outcome.COMPLETE


@pytest.mark.parametrize(
    ("path", "text"), [("steps.1.title", "B"), (("steps", 0, "title"), "A"), (["steps", 0, "x.y"], "C"), ("e", "")]
)
async def test_paths(path, text):
    """Into objects and arrays; an empty text is no piece."""
    stream = opened(events('{"e": "", "steps": [{"title": "A", "x.y": "C"}, ', '{"title": "B"}]}') + END)
    assert "".join(await values(stream.field(path))) == text


async def test_the_text_at_the_top():
    """An answer may be one JSON string."""
    stream = opened(events('"a', 'b"') + END)
    assert await values(stream.field(())) == ["a", "b"]


@pytest.mark.parametrize("path", ["none", "missing", "deep.missing", "n.x"])
async def test_a_field_that_is_null_or_missing_has_no_text(path):
    """Nothing comes, and that is no error."""
    stream = opened(events('{"none": null, "deep": {}, "n": 1}') + END)
    assert await values(stream.field(path)) == []


@pytest.mark.parametrize(
    ("value", "kind"),
    [("1", "a number"), ("1.5", "a number"), ("true", "a boolean"), ("{", "an object"), ("[", "an array")],
)
async def test_a_field_that_is_no_text_is_refused(value, kind):
    """As soon as it is known; the stream can be read on."""
    stream = opened(events(f'{{"a": {{"b": {value} '), END)
    seen, error = await until_error(stream.field("a.b"))
    assert seen == []
    assert str(error) == f"the field a.b is {kind}, expected a string"
    assert error.expected == "a string"
    assert [chunk.choices[0].finish_reason async for chunk in stream] == ["stop"]


async def test_a_top_that_is_no_text_is_refused():
    stream = opened(events("[") + END)
    _, error = await until_error(stream.field(()))
    assert str(error) == "the field at the top is an array, expected a string"


async def test_a_field_that_is_given_twice():
    """Text that was told cannot be taken back: that is an error, if there was more of it to tell."""
    stream = opened(events('{"a": "x'), events('y", "a": "other", "b": 1}') + END)
    seen, error = await until_error(stream.field("a"))
    assert seen == ["x"]
    assert str(error) == "the JSON gives a twice, after some of its text was handed out"
    assert await values(stream.field("a")) == ["other"]


# --- mixed -----------------------------------------------------------------------------------------------------------


async def test_views_chunks_and_texts_may_be_mixed():
    """They share one position; what one takes, the others know, and nothing comes twice."""
    stream = opened(events('{"a": "', "b", "c", "d"), events("e", "f"), events('g"}') + END)
    assert await anext(stream.text()) == '{"a": "'
    field, partials = stream.field("a"), stream.partials()
    assert await anext(field) == "b"
    assert texts([await anext(stream)]) == ["c"]
    assert await anext(partials) == {"a": "bcd"}
    assert await anext(field) == "cd"
    assert texts(await anext(stream.batches())) == ["e", "f"]
    assert await anext(field) == "ef"
    assert await anext(partials) == {"a": "bcdef"}
    assert (await stream.completion()).choices[0].message.content == '{"a": "bcdefg"}'
    assert await values(field) == ["g"]
    assert await values(partials) == [{"a": "bcdefg"}]
    assert await values(stream.partials()) == [{"a": "bcdefg"}]
    assert await anext(field, "over") == "over"


async def test_what_a_view_read_is_in_the_message():
    """The stream is what it was without it."""
    stream = opened(events('{"a":', " 1}") + END)
    assert await values(stream.partials()) == [{"a": 1}]
    completion = await stream.completion()
    assert json.loads(completion.choices[0].message.content) == {"a": 1}
    assert completion.choices[0].finish_reason == "stop"


# --- ends ------------------------------------------------------------------------------------------------------------


async def test_json_that_is_none_is_an_error_after_all_that_was_right():
    """Value and text before the wrong place are handed out."""
    parts = events('{"a": "x', "y"), events('z\\q", "b": 1}', "more") + END
    stream = opened(*parts)
    seen, error = await until_error(stream.partials())
    assert seen == [{"a": "xy"}, {"a": "xyz"}]
    assert (error.line, error.column) == (1, 11)
    stream = opened(*parts)
    seen, error = await until_error(stream.field("a"))
    assert seen == ["x", "y", "z"]
    assert error.offset == 10
    await stream.aclose()


@pytest.mark.parametrize("view", [lambda stream: stream.partials(), lambda stream: stream.field("a")])
async def test_json_that_ends_too_early_is_an_error(view):
    """Even if the stream ended well; the hint says where its length was the reason."""
    stream = opened(events('{"a": "x'), event(finish="length") + DONE)
    seen, error = await until_error(view(stream))
    assert len(seen) == 1
    assert "found the end of the text" in str(error)
    assert "greatest length" in error.hint
    assert stream.outcome is Outcome.COMPLETE


async def test_a_stream_that_breaks_raises_its_own_error():
    """Each time; what had come was handed out."""
    stream = opened(events('{"a": "x'), Break("pulled the plug"))
    view = stream.partials()
    assert await anext(view) == {"a": "x"}
    for _ in range(2):
        with pytest.raises(StreamInterruptedError, match="pulled the plug"):
            await anext(view)
    field = stream.field("a")
    assert await anext(field) == "x"
    with pytest.raises(StreamInterruptedError):
        await anext(field)


async def test_a_stream_that_was_cancelled_ends_quietly():
    """Nobody says that the JSON was to be whole."""
    stream = opened(events('{"a": "x'), events('y"}') + END)
    view, field = stream.partials(), stream.field("a")
    assert await anext(view) == {"a": "x"}
    stream.cancel()
    assert await values(view) == []
    assert await values(field) == ["x"]


async def test_a_stream_that_was_cut_off_ends_as_was_asked_for():
    """With on_truncated="return" nobody says so either."""
    stream = opened(events('{"a": "x'), on_truncated="return")
    assert await values(stream.partials()) == [{"a": "x"}]
    assert stream.outcome is Outcome.TRUNCATED


async def test_a_closed_stream_is_not_read():
    """As with every other way to read it."""
    stream = opened(events("[1,"), events("2]") + END)
    view = stream.partials()
    await anext(view)
    await stream.aclose()
    with pytest.raises(ClientClosedError):
        await anext(view)


async def test_an_abandoned_view_does_not_keep_the_stream():
    """What views share belongs to the stream, and does not point back to it."""
    stream, _ = stream_of(events("[1]") + END)
    assert await values(stream.partials()) == [[1]]
    gc.disable()
    try:
        gone = weakref.ref(stream)
        del stream
        assert gone() is None
    finally:
        gc.enable()
