"""PartialJSON on generated texts: as strict as msgspec, the same at any cuts, growing only, and what an oracle says."""

from __future__ import annotations

import copy
import json
import re
import sys
import time
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from opeai_async import InvalidJSONError, PartialJSON

ABSENT = "nothing has come"

# --- what is generated -----------------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=8) | st.sampled_from(
    ["é\n", "\U0001f600", '"\\/', ""]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)


def _escaped(value: Any) -> str:
    """*value* with every character of its strings as an escape of UTF-16 units, some of them in upper case."""
    if isinstance(value, str):
        units = value.encode("utf-16-be").hex()
        escapes = ["\\u" + units[at : at + 4] for at in range(0, len(units), 4)]
        return (
            '"' + "".join(escape if at % 3 else "\\u" + escape[2:].upper() for at, escape in enumerate(escapes)) + '"'
        )
    if isinstance(value, dict):
        return "{" + ",".join(f"{_escaped(name)}:{_escaped(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_escaped, value)) + "]"
    return json.dumps(value)


SERIALIZERS: dict[str, Callable[[Any], str]] = {
    "ascii": json.dumps,
    "characters": lambda value: json.dumps(value, ensure_ascii=False),
    "compact": lambda value: json.dumps(value, separators=(",", ":")),
    "indented": lambda value: json.dumps(value, indent=1, ensure_ascii=False),
    "spaced": lambda value: " \n" + json.dumps(value, separators=("\t,\r\n", " : ")) + "\n ",
    "escaped": _escaped,
    "msgspec": lambda value: msgspec.json.format(json.dumps(value).encode(), indent=-1).decode(),
    "msgspec, indented": lambda value: msgspec.json.format(json.dumps(value, ensure_ascii=False).encode()).decode(),
}
documents = st.builds(lambda make, value: make(value), st.sampled_from(list(SERIALIZERS.values())), values)

_SCRAPS = [
    *'{}[],:"\\ \n0123456789-+.eEtfnu',
    "null",
    "true",
    "\\u",
    "\\ud83d",
    "\\ude00",
    '"a":',
    "\x00",
    "\ufeff",
    "é",
]


@st.composite
def broken_documents(draw: st.DrawFn) -> str:
    """A document in which something was put, left out, or taken twice; some are right all the same."""
    text = draw(documents)
    for _ in range(draw(st.integers(1, 3))):
        begin, end = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        put = draw(st.sampled_from(_SCRAPS) | st.just(text[begin:end] * 2))
        if end - begin > 4 and draw(st.booleans()):
            end = begin + 1
        text = text[:begin] + put + text[end:]
    return text


@st.composite
def pieces_of(draw: st.DrawFn, text: str) -> list[str]:
    """*text* in one piece, a few or very many; some are empty."""
    if draw(st.booleans()):
        return [text[i : i + 1] for i in range(len(text))]
    bounds = [0, *sorted(draw(st.lists(st.integers(0, len(text)), max_size=6))), len(text)]
    return [text[begin:end] for begin, end in pairwise(bounds)]


# --- what is true ----------------------------------------------------------------------------------------------------


def strict(text: str) -> str | None:
    """What msgspec makes of *text*, told apart to the last bit; None if it refuses it."""
    try:
        return repr(msgspec.json.decode(text))
    except msgspec.DecodeError:
        return None


def read(pieces: Iterable[str]) -> str | None:
    """The same by PartialJSON."""
    partial = PartialJSON()
    try:
        for piece in pieces:
            partial.feed(piece)
        return repr(partial.end())
    except InvalidJSONError as exc:
        return None if partial.error and vars(partial.error) == vars(exc) else f"not the {exc} that it keeps"


def grows(old: Any, new: Any) -> bool:
    """Whether *new* has all that *old* has: strings only longer, names only added, items only appended."""
    if isinstance(old, str) and old is ABSENT:
        return True
    if isinstance(old, dict):
        return isinstance(new, dict) and list(new)[: len(old)] == list(old) and all(grows(old[k], new[k]) for k in old)
    if isinstance(old, list):
        return isinstance(new, list) and len(new) >= len(old) and all(map(grows, old, new))
    if isinstance(old, str):
        return isinstance(new, str) and new.startswith(old)
    return repr(old) == repr(new)


@pytest.mark.parametrize(
    ("old", "new", "grown"),
    [
        ({"a": "x"}, {"a": "xy", "b": 1}, True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, False),
        ([1], [1, 2], True),
        ([1, 2], [1], False),
        ([12], [123], False),
        ("ab", "b", False),
        (0.0, -0.0, False),
        (1, True, False),
        ({}, [], False),
    ],
)
def test_what_growing_is(old: Any, new: Any, grown: bool) -> None:
    """The judge, judged."""
    assert grows(old, new) is grown


class _Cut(Exception):
    """The text is over."""


def oracle(text: str) -> Any:
    """What can be seen of the beginning *text* of a right document, read the plain way."""
    root: list[Any] = []
    try:
        _read(text, 0, root.append, is_aside=False)
    except _Cut:
        pass
    return root[0] if root else ABSENT


def _read(text: str, at: int, put: Callable[[Any], None], *, is_aside: bool) -> int:
    at = _skip(text, at)
    char = text[at]
    if char == '"':
        return _read_string(text, at, put, is_aside=is_aside)
    if char in "{[":
        container: Any = {} if char == "{" else []
        if not is_aside:
            put(container)
        at = _read_items(text, at + 1, container)
        if is_aside:
            put(container)
        return at
    end = at
    while end < len(text) and text[end] in "-+.0123456789eEtrufalsn":
        end += 1
    if end == len(text) and text[at:end] not in ("true", "false", "null"):
        raise _Cut
    put(json.loads(text[at:end]))
    return end


def _read_items(text: str, at: int, container: Any) -> int:
    while True:
        at = _skip(text, at)
        if text[at] in "]}":
            return at + 1
        if text[at] == ",":
            at = _skip(text, at + 1)
        if isinstance(container, list):
            at = _read(text, at, container.append, is_aside=False)
            continue
        names: list[str] = []
        at = _skip(text, _read_string(text, at, names.append, is_aside=True))
        assert text[at] == ":"
        name = names[0]

        def put(value: Any, name: str = name) -> None:
            container[name] = value

        at = _read(text, at + 1, put, is_aside=name in container)


def _read_string(text: str, at: int, put: Callable[[Any], None], *, is_aside: bool) -> int:
    """The longest beginning that is whole characters, found by trying; the end is a quote after no backslash."""
    closed = re.compile(r'"(?:[^"\\]|\\.)*"').match(text, at)
    if closed:
        put(json.loads(closed[0]))
        return closed.end()
    if not is_aside:
        for end in range(len(text), at, -1):
            try:
                put(msgspec.json.decode(text[at:end] + '"'))
                break
            except msgspec.DecodeError:
                continue
    raise _Cut


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    if at == len(text):
        raise _Cut
    return at


# --- the properties --------------------------------------------------------------------------------------------------


@given(data=st.data(), text=documents)
def test_the_end_is_the_strict_parse(data: st.DataObject, text: str) -> None:
    """However a text is cut, the value is what msgspec makes of all of it."""
    expected = strict(text)
    assert expected is not None
    assert read(data.draw(pieces_of(text))) == expected


@given(documents)
def test_each_cut_in_two(text: str) -> None:
    """There is no place where a cut hurts."""
    expected = strict(text)
    for at in range(len(text) + 1):
        assert read([text[:at], text[at:]]) == expected


@given(data=st.data(), text=documents)
def test_it_grows_only_and_is_what_an_oracle_says(data: st.DataObject, text: str) -> None:
    """After each piece, what was seen before is there, what is seen is what a plain reader sees, and news is told."""
    partial, fed, before = PartialJSON(), "", ABSENT
    for piece in data.draw(pieces_of(text)):
        fed += piece
        has_changed = partial.feed(piece)
        seen = copy.deepcopy(partial.value) if partial.has_value else ABSENT
        assert repr(seen) == repr(oracle(fed))
        assert grows(before, seen)
        assert has_changed == (repr(seen) != repr(before))
        before = seen
    assert grows(before, partial.end())


@given(data=st.data(), text=documents)
def test_a_look_changes_nothing(data: st.DataObject, text: str) -> None:
    """Whether and when the value is looked at does not matter for what comes of it."""
    partial = PartialJSON()
    held = []
    for piece in data.draw(pieces_of(text)):
        partial.feed(piece)
        if data.draw(st.booleans()):
            held.append((copy.deepcopy(partial.value), partial.value))
    end = partial.end()
    assert repr(end) == strict(text)
    assert all(not isinstance(now, str) or now == then for then, now in held)


def paths_of(value: Any, at: tuple[str | int, ...] = ()) -> Iterable[tuple[str | int, ...]]:
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths_of(inner, (*at, key))


@given(data=st.data(), text=documents)
def test_what_is_complete_stays_as_it_is(data: st.DataObject, text: str) -> None:
    """A field that is complete is equal to that of the whole text, and what holds it may not be; in the end all are."""
    whole = msgspec.json.decode(text)
    partial = PartialJSON()
    for piece in data.draw(pieces_of(text)):
        partial.feed(piece)
        for path in paths_of(partial.value) if partial.has_value else ():
            final = whole
            for key in path:
                final = final[key]
            found = partial.find(path)
            assert grows(found, final)
            if partial.is_complete(path):
                assert repr(found) == repr(final)
                assert all(partial.is_complete(inner) for inner in ((*path, *p) for p in paths_of(final)))
            else:
                assert not any(partial.is_complete(path[:length]) for length in range(len(path)))
    partial.end()
    assert all(map(partial.is_complete, paths_of(whole)))


@given(data=st.data(), text=broken_documents())
@example(data=None, text='"\\ud83d\\u0041"')
@example(data=None, text="[1e999]")
@example(data=None, text='{"a":1,"a":"\\ude00"}')
def test_what_msgspec_refuses_is_refused_and_nothing_else(data: st.DataObject | None, text: str) -> None:
    """Accepted texts are the same, and so are their values; but for a byte order mark at the front."""
    pieces = list(text) if data is None else data.draw(pieces_of(text))
    assert read(pieces) == strict(text.removeprefix("\ufeff"))


@given(data=st.data(), text=broken_documents())
def test_a_refusal_is_the_same_at_any_cuts(data: st.DataObject, text: str) -> None:
    """It names the same place, and what was right before it can be seen."""
    facts = [_refusal(pieces) for pieces in ([text], list(text), data.draw(pieces_of(text)))]
    assert facts[1] == facts[0]
    assert facts[2] == facts[0]
    if facts[0]:
        offset, line, column = facts[0][:3]
        before = text[:offset]
        assert (line, column) == (before.count("\n") + 1, offset - before.rfind("\n"))


def _refusal(pieces: Iterable[str]) -> tuple[Any, ...] | None:
    partial = PartialJSON()
    try:
        for piece in pieces:
            partial.feed(piece)
        partial.end()
    except InvalidJSONError as exc:
        return exc.offset, exc.line, exc.column, exc.expected, repr(partial.value)
    return None


# --- repeated names --------------------------------------------------------------------------------------------------

_repeating = st.recursive(
    st.sampled_from(["1", "23", '"x"', '"yz"', "null", "[]", "{}"]),
    lambda inner: (
        st.lists(st.tuples(st.sampled_from("ab"), inner), max_size=4).map(
            lambda items: "{" + ",".join(f'"{name}":{value}' for name, value in items) + "}"
        )
        | st.lists(inner, max_size=3).map(lambda items: "[" + ",".join(items) + "]")
    ),
    max_leaves=10,
)


@given(data=st.data(), text=_repeating)
def test_a_repeated_name(data: st.DataObject, text: str) -> None:
    """The last value of a name counts, and takes the earlier one's place when it is complete, not before."""
    partial, fed = PartialJSON(), ""
    for piece in data.draw(pieces_of(text)):
        fed += piece
        before = copy.deepcopy(partial.value)
        has_changed = partial.feed(piece)
        seen = partial.value if partial.has_value else ABSENT
        assert repr(seen) == repr(oracle(fed))
        assert has_changed or repr(seen if partial.has_value else None) == repr(before)
    assert repr(partial.end()) == strict(text)


# --- the cost --------------------------------------------------------------------------------------------------------


def _seconds(work: Callable[[], object]) -> float:
    """CPU time of *work*, the lesser of two, untraced: under coverage, CPython grows no text in place."""
    spent, tracer = [], sys.gettrace()
    sys.settrace(None)
    try:
        for _ in range(2):
            begun = time.process_time()
            work()
            spent.append(time.process_time() - begun)
    finally:
        sys.settrace(tracer)
    return min(spent)


def _look(partial: PartialJSON) -> None:
    assert partial.value


def _find(partial: PartialJSON) -> None:
    assert partial.find("answer", "") is not None
    assert not partial.is_complete("answer")


@pytest.mark.parametrize("look", [lambda _: None, _look, _find])
@pytest.mark.parametrize("text", ["a", r"\u00e9\ud83d\ude00"])
def test_the_cost_of_single_characters_is_linear(text: str, look: Callable[[PartialJSON], None]) -> None:
    """Eight times the text, character by character, costs about eight times as much, and not sixty-four times."""

    def work(length: int) -> None:
        partial = PartialJSON()
        partial.feed('{"answer":"')
        for char in text * (length // len(text)):
            partial.feed(char)
            look(partial)

    assert _seconds(lambda: work(117_000)) < 20 * _seconds(lambda: work(117_000 // 8))


def test_the_cost_of_looks_at_a_long_text_is_linear() -> None:
    """A look joins what is new to what was joined before, and does not copy that."""

    def work(pieces: int) -> None:
        partial = PartialJSON()
        partial.feed('["')
        for _ in range(pieces):
            partial.feed("word " * 20)
            _look(partial)

    assert _seconds(lambda: work(24_000)) < 20 * _seconds(lambda: work(3_000))


def test_the_cost_of_a_long_number_is_linear() -> None:
    """Digits are not looked at again with each that comes."""

    def work(length: int) -> None:
        partial = PartialJSON()
        for char in "0." + "1" * length:
            partial.feed(char)
        partial.end()

    assert _seconds(lambda: work(117_000)) < 20 * _seconds(lambda: work(117_000 // 8))
