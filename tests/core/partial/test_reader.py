"""PartialJSON by example: what can be seen when, what is refused and where, fences, paths, limits."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from opeai_async import InvalidJSONError, PartialJSON


def feed(partial: PartialJSON, *pieces: str) -> PartialJSON:
    for piece in pieces:
        partial.feed(piece)
    return partial


def fed(*pieces: str, **options: Any) -> PartialJSON:
    return feed(PartialJSON(**options), *pieces)


# --- what can be seen ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{", {}),
        ('{"a', {}),
        ('{"a"', {}),
        ('{"a":', {}),
        ('{"a": 12', {}),
        ('{"a": 12 ', {"a": 12}),
        ('{"a": 12,', {"a": 12}),
        ('{"a": -0.5e-', {}),
        ('{"a": tru', {}),
        ('{"a": true', {"a": True}),
        ('{"a": "', {"a": ""}),
        ('{"a": "x', {"a": "x"}),
        ('{"a": "x\\', {"a": "x"}),
        ('{"a": "x\\n', {"a": "x\n"}),
        ('{"a": "x\\u00e', {"a": "x"}),
        ('{"a": "x\\u00e9', {"a": "xé"}),
        ('{"a": "x\\ud83d', {"a": "x"}),
        ('{"a": "x\\ud83d\\ude0', {"a": "x"}),
        ('{"a": "x\\ud83d\\ude00', {"a": "x\U0001f600"}),
        ('{"a": [', {"a": []}),
        ('{"a": [{"b": [nul', {"a": [{"b": []}]}),
        ('{"a": [{"b": [null', {"a": [{"b": [None]}]}),
        ('"x', "x"),
        ("[[], [1], ", [[], [1]]),
    ],
)
def test_what_can_be_seen(text: str, value: Any) -> None:
    """Containers and strings as soon as they begin, numbers and literals when they have ended; whole or in pieces."""
    for partial in (fed(text), fed(*text)):
        assert partial.value == value
        assert partial.has_value
        assert not partial.is_complete()


@pytest.mark.parametrize("text", ["", " \n", "\ufeff", "1", "-", "nul", "\ufeff\t12e"])
def test_before_there_is_a_value(text: str) -> None:
    """None is what is seen, and told apart from null."""
    partial = fed(text)
    assert (partial.value, partial.has_value, partial.is_complete()) == (None, False, False)
    assert partial.has_begun == bool(text.strip("\ufeff \n"))
    assert fed("null").has_value


def test_a_number_at_the_top_ends_with_the_text() -> None:
    """Or at a space."""
    partial = fed("1", "2")
    assert not partial.has_value
    assert partial.end() == 12
    assert partial.is_complete()
    assert fed("12", " ").value == 12


def test_a_number_that_is_cut_off_is_not_taken_for_a_whole_one() -> None:
    """The end of the text is no end of a number that is within something."""
    partial = fed('{"n": 12')
    with pytest.raises(InvalidJSONError, match="expected the end of the number"):
        partial.end()
    assert partial.value == {}


def test_feed_tells_whether_there_is_something_new_to_see() -> None:
    """Spaces, names, the inside of numbers, and ends are no news."""
    partial = PartialJSON()
    pieces = {"{": True, ' "a"': False, ": ": False, "1": False, ",": True, '"b":"': True, "x": True, '"': False}
    assert [partial.feed(piece) for piece in pieces] == list(pieces.values())
    assert partial.feed("") is False
    assert partial.changes == 4
    assert partial.feed("}") is False
    assert partial.end() == {"a": 1, "b": "x"}


def test_containers_are_the_same_each_time() -> None:
    """What is handed out goes on growing."""
    partial = fed('{"a": [1, ')
    value = partial.value
    items = value["a"]
    partial.feed('2], "b": "x')
    assert partial.value is value
    assert (items, value) == ([1, 2], {"a": [1, 2], "b": "x"})


def test_a_text_that_somebody_holds_stays_as_it_was() -> None:
    """Strings are joined in place only where nobody can see it."""
    partial = fed('["', "abc" * 100)
    held = partial.value[0]
    partial.feed("def")
    assert partial.value[0] == "abc" * 100 + "def"
    assert held == "abc" * 100


# --- repeated names --------------------------------------------------------------------------------------------------


def test_a_repeated_name_counts_when_it_is_complete() -> None:
    """What was seen is not taken back for less: it is replaced, at once and whole."""
    partial = fed('{"a": "first", "b": 1, "a": "sec')
    assert partial.value == {"a": "first", "b": 1}
    assert partial.is_complete("a")
    assert not partial.was_replaced("a")
    assert partial.feed("ond") is False
    assert partial.feed('"') is True
    assert partial.value == {"a": "second", "b": 1}
    assert partial.was_replaced("a")
    assert not partial.was_replaced("b")
    assert not partial.was_replaced(())


def test_what_is_inside_a_repeated_name_is_not_seen_before_it_is_complete() -> None:
    """And then it is complete with all that is in it."""
    partial = fed('{"a": {"c": "x"}, "a": {"b": [1, "yy')
    assert partial.value == {"a": {"c": "x"}}
    assert partial.is_complete(("a", "c"))
    assert partial.find(("a", "b")) is None
    assert partial.feed('z"]') is False
    assert partial.feed("}") is True
    assert partial.value == {"a": {"b": [1, "yyz"]}}
    assert partial.was_replaced("a.b.1")


# --- paths -----------------------------------------------------------------------------------------------------------


def test_paths() -> None:
    """Names and positions, as one text or one by one; a name with dots only one by one."""
    partial = fed('{"steps": [{"title": "A", "0": 7}, {"title": "B')
    assert partial.find("steps.0.title") == "A"
    assert partial.find(("steps", 1, "title")) == "B"
    assert partial.find("steps.0.0") == 7
    assert fed('{"a.b": 1, "": 2}').find(["a.b"]) == 1
    assert fed('{"a.b": 1, "": 2}').find("") == 2
    assert fed('"top').find(()) == "top"


@pytest.mark.parametrize(
    "path", ["b", "a.2", "a.-1", "a.x", ("a", -1), ("a", 5), (0,), "a.0.b", "a." + "9" * 5000, "a.²", "a.0.0"]
)
def test_a_path_to_nothing(path: Any) -> None:
    """Gives what was asked for in that case, and is not complete."""
    partial = fed('{"a": ["x", "y"]}')
    assert partial.find(path) is None
    assert partial.find(path, "nothing") == "nothing"
    assert not partial.is_complete(path)


def test_which_fields_are_complete() -> None:
    """All that was ended; not what is open, nor what that is in."""
    partial = fed('{"a": {"b": "x", "c": [1, {"d": "y')
    complete = {path: partial.is_complete(path) for path in ("a.b", "a.c.0", "a.c.1.d", "a.c.1", "a.c", "a")}
    assert complete == {"a.b": True, "a.c.0": True, "a.c.1.d": False, "a.c.1": False, "a.c": False, "a": False}
    partial.feed('"')
    assert partial.is_complete("a.c.1.d")
    assert not partial.is_complete("a.c.1")
    partial.feed("}]")
    assert partial.is_complete("a.c.1")
    assert partial.is_complete("a.c")
    assert not partial.is_complete("a")
    partial.feed("}}")
    assert partial.is_complete("a")
    assert partial.is_complete()


# --- fences and marks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '```json\n{"a": 1}\n```',
        '```\n{"a": 1}```\n',
        ' \n```JSON {"a": 1} ``` \n',
        '\ufeff```json5\r\n\r\n{"a": 1}\n\n```',
        '```json\n{"a": 1}\n',
        '```json\n{"a": 1}\n`',
        '{"a": 1}',
    ],
)
def test_a_code_fence_is_passed_over_where_that_is_asked_for(text: str) -> None:
    """With a word or without, closed or not, whole or in pieces."""
    assert fed(text, fences=True).end() == {"a": 1}
    assert fed(*text, fences=True).end() == {"a": 1}


@pytest.mark.parametrize(
    ("text", "offset", "expected"),
    [
        ("``{}", 2, "```"),
        ("``", 2, "a value after ```"),
        ("```json", 7, "a value"),
        ("```json\n```", 8, "a value"),
        ("```json\n{}\n````", 14, "the end of the text"),
        ("```json\n{}\n``` done", 15, "the end of the text"),
        ("{}```", 2, "the end of the text"),
        ("{}\n`", 3, "the end of the text"),
        ("{`", 1, "a name in quotes or '}'"),
    ],
)
def test_a_fence_that_is_none(text: str, offset: int, expected: str) -> None:
    """Nothing but a fence is passed over."""
    for pieces in ([text], list(text)):
        with pytest.raises(InvalidJSONError) as caught:
            fed(*pieces, fences=True).end()
        assert (caught.value.offset, caught.value.expected) == (offset, expected)


def test_a_fence_is_refused_where_it_was_not_asked_for() -> None:
    """As the strict parse does."""
    with pytest.raises(InvalidJSONError, match="expected a value, found '`'"):
        fed("```json\n{}```")


def test_a_byte_order_mark_counts_at_the_front_only() -> None:
    """RFC 8259 8.1 lets a reader pass over it."""
    assert fed("\ufeff [1]").end() == [1]
    with pytest.raises(InvalidJSONError, match=r"line 1, column 2: expected a value, found '\\ufeff'"):
        fed(" \ufeff[1]")


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place", "told"),
    [
        ("", (0, 1, 1), "expected a value, found the end of the text"),
        ("[1, 2", (5, 1, 6), "expected the end of the number, found the end of the text"),
        ("[1, []", (6, 1, 7), "expected ',' or ']', found the end of the text"),
        ('{"a": 1 ', (8, 1, 9), "expected ',' or '}', found the end of the text"),
        ('{"a": "x', (8, 1, 9), "expected a character of a string or '\"', found the end of the text"),
        ('{"ab', (4, 1, 5), "expected a character of a name or '\"', found the end of the text"),
        ('{"a"', (4, 1, 5), "expected ':', found the end of the text"),
        ("tru", (3, 1, 4), "expected the rest of tru, found the end of the text"),
        ('"\\u12', (5, 1, 6), "expected the rest of \\u12, found the end of the text"),
        ("-", (1, 1, 2), "expected a digit, found the end of the text"),
        ("[1]\n\n x", (6, 3, 2), "expected the end of the text, found 'x'"),
        ('{\n  "a": 1,\n  b: 2\n}', (14, 3, 3), "expected a name in quotes, found 'b'"),
        ('{\n"a" "b"}', (6, 2, 5), "expected ':', found '\"'"),
        ("[1,]", (3, 1, 4), "expected a value, found ']'"),
        ("[,", (1, 1, 2), "expected a value or ']', found ','"),
        ("[1}", (2, 1, 3), "expected ',' or ']', found '}'"),
        ("[trux]", (1, 1, 2), "expected a value or ']', found 't'"),
        ("[1, True]", (4, 1, 5), "expected a value, found 'T'"),
        ("\n[01]", (3, 2, 3), "expected the end of the number, found '1'"),
        ("[1.e5]", (3, 1, 4), "expected a digit, found 'e'"),
        ("[1e+]", (4, 1, 5), "expected a digit, found ']'"),
        ("[-]", (2, 1, 3), "expected a digit, found ']'"),
        ("[1-2]", (2, 1, 3), "expected the end of the number, found '-'"),
        ("[1e999]", (1, 1, 2), "expected a number in range, found 1e999"),
        ("[" + "9" * 5000 + "]", (1, 1, 2), f"expected a number in range, found {'9' * 20}..."),
        ('["a\nb"]', (3, 1, 4), "expected a character of a string or '\"', found '\\n'"),
        ('{"a\x00"}', (3, 1, 4), "expected a character of a name or '\"', found '\\x00'"),
        ('["\ud800"]', (2, 1, 3), "expected a character of a string or '\"', found '\\ud800'"),
    ],
)
def test_where_and_why(text: str, place: tuple[int, int, int], told: str) -> None:
    """The message has what disagrees, and the error has the place, the same at any cuts."""
    for pieces in ([text], list(text), [text[:3], text[3:]]):
        with pytest.raises(InvalidJSONError) as caught:
            fed(*pieces).end()
        error = caught.value
        assert (error.offset, error.line, error.column) == place
        assert str(error) == f"invalid JSON in line {error.line}, column {error.column}: {told}"
        assert told.startswith(f"expected {error.expected}, found ")


@pytest.mark.parametrize(
    "escape", [r"\x", r"\u00g0", r"\ud83d", r"\ud83dx", r"\ud83d\n", r"\ud83d\u0041", r"\ude00", r"\U0041"]
)
def test_an_escape_that_is_none(escape: str) -> None:
    """Half a surrogate pair is refused as msgspec does, and what came before can be seen."""
    text = f'["ok {escape}"]'
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(text)
    for pieces in ([text], list(text)):
        partial = PartialJSON()
        with pytest.raises(InvalidJSONError, match=r"expected one of .* in pairs, found \\") as caught:
            feed(partial, *pieces)
        assert caught.value.offset == 5
        assert partial.value == ["ok "]


def test_the_place_agrees_with_that_of_the_standard_library() -> None:
    """Where both look for the same thing, json.JSONDecodeError has the same numbers."""
    text = '{\n  "a": [1,\n    2 3]\n}'
    with pytest.raises(InvalidJSONError) as ours:
        fed(*text)
    with pytest.raises(json.JSONDecodeError) as theirs:
        json.loads(text)
    assert (ours.value.offset, ours.value.line, ours.value.column) == (
        theirs.value.pos,
        theirs.value.lineno,
        theirs.value.colno,
    )


def test_after_a_refusal_nothing_more_is_taken() -> None:
    """The same error comes again, without the traceback of the first, and the value stays."""
    partial = fed('{"a": 1, ')
    for use in (lambda: partial.feed("}"), lambda: partial.feed('"b": 2}'), partial.end):
        with pytest.raises(InvalidJSONError, match="expected a name in quotes, found '}'"):
            use()
    assert partial.error is not None
    assert partial.error.__traceback__ is None
    assert partial.value == {"a": 1}


def test_after_the_end_only_space_may_come() -> None:
    """A text that has ended is whole."""
    partial = fed("12")
    assert partial.end() == 12
    assert partial.end() == 12
    assert partial.feed(" ") is False
    assert partial.error is None
    with pytest.raises(InvalidJSONError, match="column 4: expected the end of the text, found '3'"):
        partial.feed("3")


def test_nesting_is_bounded() -> None:
    """One level more than max_depth is refused; the default lets through what msgspec decodes with ease."""
    assert fed("[" * 256 + "]" * 256).is_complete()
    assert fed('{"a":{"b":1}}', "\n", max_depth=2).end() == {"a": {"b": 1}}
    assert fed("[[],[[]]]", max_depth=3).end() == [[], [[]]]
    with pytest.raises(InvalidJSONError, match=r"column 11: expected no more than max_depth=2 levels, found '\['"):
        fed('[{"a":1},[[', max_depth=2)
    with pytest.raises(InvalidJSONError, match=r"column 257: expected no more than max_depth=256 levels, found '\{'"):
        fed("[" * 256 + "{")


def test_no_depth_at_all_is_refused() -> None:
    """Even an object has one level."""
    with pytest.raises(ValueError, match="max_depth must be at least 1, not 0"):
        PartialJSON(max_depth=0)
