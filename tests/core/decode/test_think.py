"""Thinking inside the content: any text, any cuts, and nothing lost."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async._core.answer.accumulator import Accumulator
from opeai_async._core.decode.parser import StreamParser
from opeai_async._core.decode.think import CLOSER, OPENER, ThinkSplitter, split_completion
from opeai_async._core.dialect.dialect import Dialect
from opeai_async.types.chunk import ChatCompletionChunk, ChoiceDelta, ChunkChoice
from opeai_async.types.completion import ChatCompletion, ChatCompletionMessage, Choice
from opeai_async.types.options import InContent
from tests.support.reading.streams import DONE, HEAD, body_of, byte_by_byte, delta_chunk, event, pieces

WHITE = " \t\r\n"
TAGS: list[InContent] = ["think", "open"]

fragments = st.sampled_from(
    [OPENER, CLOSER, "<", "</", "<think", "</thin", "k>", ">", "think", " ", "\n\n", "x", "\u00e9"]
)
tagged_texts = st.lists(fragments | st.text(max_size=3), max_size=8).map("".join)


def split(parts: list[str], tags: InContent) -> tuple[str, str]:
    """The reasoning and the content of a text that comes in *parts*."""
    splitter = ThinkSplitter(tags)
    pairs = [splitter.feed(part) for part in parts] + [splitter.flush()]
    return "".join(reasoning for reasoning, _ in pairs), "".join(content for _, content in pairs)


def split_plainly(text: str, tags: InContent) -> tuple[str, str]:
    """The same of a whole text, in other words."""
    body = text.lstrip(WHITE)
    if body.startswith(OPENER):
        body = body.removeprefix(OPENER)
    elif tags == "open":
        body = text
    else:
        return "", text
    reasoning, _, content = body.partition(CLOSER)
    return reasoning, content.lstrip(WHITE)


# --- a text ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [lambda text: [text], list])
@pytest.mark.parametrize(
    ("text", "tags", "expected"),
    [
        ("<think>a</think>\n\nb", "think", ("a", "b")),
        (" \n<think>\na\n</think>b", "think", ("\na\n", "b")),
        ("a <think>b</think>", "think", ("", "a <think>b</think>")),
        (" \n a", "think", ("", " \n a")),
        (" \n", "think", ("", " \n")),
        ("<thin", "think", ("", "<thin")),
        ("<thinking>a", "think", ("", "<thinking>a")),
        ("<think>a", "think", ("a", "")),
        ("<think>a</thin", "think", ("a</thin", "")),
        ("<think>a</thin b</think>c", "think", ("a</thin b", "c")),
        ("<think>a<<</think>c", "think", ("a<<", "c")),
        ("<think></think>c", "think", ("", "c")),
        ("<think>a</think> c </think> <think>", "think", ("a", "c </think> <think>")),
        ("<think>a<think>b</think>c", "think", ("a<think>b", "c")),
        ("a</think>\nb", "open", ("a", "b")),
        (" </think>b", "open", (" ", "b")),
        ("\n<think>a</think>b", "open", ("a", "b")),
        ("<thi</think>b", "open", ("<thi", "b")),
        ("a", "open", ("a", "")),
        ("<thi", "open", ("<thi", "")),
        ("", "open", ("", "")),
    ],
)
def test_a_text(cut: Any, text: str, tags: InContent, expected: tuple[str, str]) -> None:
    """Whole, and character by character."""
    assert split(cut(text), tags) == expected


@given(tagged_texts, st.sampled_from(TAGS), st.data())
def test_any_cuts_give_what_the_whole_gives(text: str, tags: InContent, data: st.DataObject) -> None:
    """And that is what a plain reading of the whole text gives."""
    assert split(data.draw(pieces(text)), tags) == split_plainly(text, tags)
    assert split(list(text), tags) == split_plainly(text, tags)


@given(tagged_texts, st.sampled_from(TAGS))
def test_nothing_is_lost(text: str, tags: InContent) -> None:
    """Only the two tags and the white space around them go, and the order stays."""
    reasoning, content = split(list(text), tags)
    assert text.startswith(reasoning) or text.lstrip(WHITE).startswith(OPENER + reasoning)
    assert text.endswith(content)
    gone = len(text) - len(reasoning) - len(content)
    assert gone <= len(OPENER) + len(CLOSER) + sum(text.count(white) for white in WHITE)


@given(tagged_texts, st.sampled_from(TAGS), st.data())
def test_no_more_is_held_back_than_may_become_a_tag(text: str, tags: InContent, data: st.DataObject) -> None:
    """Past the white space at the beginning, less than a tag."""
    text = "x" + text if tags == "open" else OPENER + text
    splitter = ThinkSplitter(tags)
    for part in data.draw(pieces(text)):
        splitter.feed(part)
    assert sum(map(len, splitter.flush())) < len(CLOSER)


def test_after_a_flush_it_goes_on_where_it_was() -> None:
    """A finish_reason may come before the last text; what was flushed is no part of a tag any more."""
    splitter = ThinkSplitter("think")
    assert splitter.feed("<think>a</thi") == ("a", "")
    assert splitter.flush() == ("</thi", "")
    assert splitter.feed("nk>b</think>c") == ("nk>b", "c")
    assert splitter.flush() == ("", "")


# --- the chunks of a stream ------------------------------------------------------------------------------------------


class MyDelta(ChoiceDelta, kw_only=True):
    """A delta with a vendor's fields."""

    citations: list[str] | None = None
    stamp: int


class MyChoice(ChunkChoice, kw_only=True):
    """A choice with such a delta."""

    delta: MyDelta  # type: ignore[assignment]


class MyChunk(ChatCompletionChunk):
    """A chunk with such choices."""

    choices: list[MyChoice] = []  # type: ignore[assignment]


def parsed(reads: list[bytes], tags: InContent = "think", chunk_type: type[Any] = ChatCompletionChunk) -> list[Any]:
    """All chunks of a body."""
    parser = StreamParser(HEAD, chunk_type, Dialect(), reasoning_tags=tags)
    return [chunk for read in reads for chunk in parser.feed(read)] + parser.end()


def texts_of(chunks: list[Any]) -> list[tuple[str | None, str | None]]:
    """(reasoning_content, content) of each choice of *chunks*."""
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    return [(delta.reasoning_content, delta.content) for delta in deltas]


def body(*contents: str | None, done: bytes = DONE, finish: str | None = "stop") -> bytes:
    return body_of([delta_chunk({"content": content}) for content in contents] + [delta_chunk(finish=finish)], done)


def message_of(chunks: list[Any], choice: int = 0) -> tuple[str | None, str | None]:
    """The (reasoning_content, content) that *chunks* add up to."""
    accumulator = Accumulator()
    accumulator.extend(chunks)
    message = accumulator.completion().choices[choice].message
    return message.reasoning_content, message.content


def test_chunks_have_their_text_where_it_belongs() -> None:
    """Each chunk stays one chunk; what is empty then is None."""
    chunks = parsed([body("<th", "ink>a", "b</think>\n", "\nc", "d")])
    assert texts_of(chunks) == [(None, None), ("a", None), ("b", None), (None, "c"), (None, "d"), (None, None)]


def test_a_chunk_without_content_passes_untouched() -> None:
    """An empty content stays empty, a missing one missing."""
    assert texts_of(parsed([body("", None, "a")])) == [(None, ""), (None, None), (None, "a"), (None, None)]


def test_the_chunk_with_the_finish_reason_brings_what_was_held_back() -> None:
    """No chunk comes after it."""
    assert texts_of(parsed([body("<think>a</th")])) == [("a", None), ("</th", None)]
    assert texts_of(parsed([body("<thi")])) == [(None, None), (None, "<thi")]


@pytest.mark.parametrize("done", [DONE, b"", b"data: {oops", event({"error": {"message": "m"}}), DONE + DONE])
def test_an_end_without_a_finish_reason_brings_what_was_held_back(done: bytes) -> None:
    """Once, as a chunk of its own with the stream's id, however the body ends."""
    chunks = parsed([body("<think>a</th", finish=None, done=done)])
    assert texts_of(chunks) == [("a", None), (None, None), ("</th", None)]
    assert {chunk.id for chunk in chunks} == {"chatcmpl-1"}


def test_what_a_break_leaves() -> None:
    """It can be asked for, where the body has no end; nothing is there without the option, or before the first text."""
    parser = StreamParser(HEAD, ChatCompletionChunk, Dialect(), reasoning_tags="think")
    assert parser.rest() == []
    parser.feed(event(delta_chunk({"content": " <"})))
    assert texts_of(parser.rest()) == [(None, " <")]
    assert parser.rest() == []
    assert StreamParser(HEAD, ChatCompletionChunk, Dialect()).rest() == []


def test_the_last_chunk_repeats_nothing_but_what_its_type_must_have() -> None:
    """A user's own fields and the usage are not said twice."""
    chunk = delta_chunk({"content": "<", "citations": ["c"], "stamp": 7}, usage={"prompt_tokens": 1})
    first, last = parsed([body_of([chunk])], chunk_type=MyChunk)
    assert (first.choices[0].delta.citations, first.usage.prompt_tokens) == (["c"], 1)
    delta = last.choices[0].delta
    assert (delta.content, delta.citations, delta.stamp, last.usage, last.model) == ("<", None, 7, None, "m")


def test_choices_are_apart() -> None:
    """Each has its own thinking, and its own end."""
    chunks = [delta_chunk({"content": text}, index=index) for index, text in [(1, "<think>a"), (0, "b<"), (1, "<")]]
    chunks += [delta_chunk({"content": "c</think>d"}, index=1), delta_chunk({"content": " <think>"}, index=2)]
    got = parsed([body_of(chunks)])
    assert [message_of(got, choice) for choice in range(3)] == [(None, "b<"), ("a<c", "d"), (None, None)]
    got = parsed([body_of([*chunks, delta_chunk({"content": "e</"}, index=2), delta_chunk({"content": "<"}, index=3)])])
    assert [message_of(got, choice) for choice in (2, 3)] == [("e</", None), (None, "<")]


@pytest.mark.parametrize("tags", TAGS)
def test_where_the_server_splits_the_content_is_left_alone(tags: InContent) -> None:
    """One source: a tag in the content is text then."""
    deltas = [{"reasoning_content": "r"}, {"content": "<think>a</think>"}, {"reasoning_content": "s", "content": "<"}]
    assert message_of(parsed([body_of(map(delta_chunk, deltas))], tags)) == ("rs", "<think>a</think><")


@pytest.mark.parametrize(("tags", "expected"), [("think", ("r", " <thia")), ("open", ("r", " <thia"))])
def test_the_servers_reasoning_may_come_late(tags: InContent, expected: tuple[str, str]) -> None:
    """What was held back is content, as all that follows."""
    deltas = [{"content": " <thi"}, {"reasoning_content": "r", "content": "a"}, {"reasoning_content": ""}]
    assert message_of(parsed([body_of(map(delta_chunk, deltas))], tags)) == expected


@given(tagged_texts, st.sampled_from(TAGS), st.sampled_from(["stop", None]), st.sampled_from([DONE, b""]), st.data())
def test_a_stream_is_split_as_its_text(
    text: str, tags: InContent, finish: str | None, done: bytes, data: st.DataObject
) -> None:
    """However the text is cut into chunks and the chunks into reads."""
    stream = body(*data.draw(pieces(text)), finish=finish, done=done)
    reasoning, content = split_plainly(text, tags)
    for reads in ([stream], byte_by_byte(stream)):
        got = message_of(parsed(reads, tags))
        assert (got[0] or "", got[1] or "") == (reasoning, content)


def test_a_whole_answer_for_a_stream() -> None:
    """A body of JSON is one chunk, and split as one."""
    answer = ChatCompletion(choices=[Choice(message=ChatCompletionMessage(role="assistant", content="a</think>b"))])
    assert message_of(parsed([msgspec.json.encode(answer)], "open")) == ("a", "b")


# --- a whole answer --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"content": "<think>a</think>\n\nb"}, ("a", "b")),
        ({"content": "<think>a"}, ("a", None)),
        ({"content": "<think></think>b"}, (None, "b")),
        ({"content": "a<think>"}, (None, "a<think>")),
        ({"content": " "}, (None, " ")),
        ({"content": ""}, (None, "")),
        ({"content": None}, (None, None)),
        ({"content": "<think>a</think>b", "reasoning_content": "r"}, ("r", "<think>a</think>b")),
        ({"content": "<think>a</think>b", "reasoning_content": ""}, ("a", "b")),
    ],
)
def test_a_whole_answer(fields: dict[str, Any], expected: tuple[str | None, str | None]) -> None:
    """Each message is split by itself, unless the server has split it."""
    other = Choice(message=ChatCompletionMessage(role="assistant", content="c"), index=1)
    message = ChatCompletionMessage(role="assistant", **fields)
    split_completion(ChatCompletion(choices=[Choice(message=message), other]), "think")
    assert (message.reasoning_content, message.content) == expected
    assert (other.message.reasoning_content, other.message.content) == (None, "c")
