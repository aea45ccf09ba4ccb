"""The streams that benchmarks measure with are what they claim to be."""

import json

import pytest

from benchmarks.lab.generators import (
    TOOL_CALLS,
    Answer,
    conversation,
    cut,
    in_http_chunks,
    text_answer,
    tools_answer,
    whole_answer,
)
from opeai_async import Accumulator, ChatCompletion, SSEDecoder, decode_chunk

CHUNKS = 500


def accumulated(answer: Answer) -> ChatCompletion:
    accumulator = Accumulator()
    for payload in answer.payloads:
        accumulator.add(decode_chunk(payload))
    return accumulator.completion()


@pytest.mark.parametrize("make", [text_answer, tools_answer])
def test_the_same_answer_each_time(make):
    """Figures of two runs, or of two machines, are about the same bytes."""
    assert make(CHUNKS).payloads == make(CHUNKS).payloads


@pytest.mark.parametrize("make", [text_answer, tools_answer])
@pytest.mark.parametrize("chunks", [100, 1000])
def test_as_many_chunks_as_asked_for(make, chunks):
    """Costs are divided by this number."""
    assert len(make(chunks).payloads) == chunks


def test_events_of_about_300_bytes():
    """The size that the promises are made for."""
    events = text_answer(CHUNKS).events
    assert 280 < sum(map(len, events)) / len(events) < 320


def test_a_text_answer_says_what_stands_beside_it():
    """A contender that loses text is found out."""
    answer = text_answer(CHUNKS)
    completion = accumulated(answer)
    assert completion.choices[0].message.content == answer.content
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.completion_tokens == CHUNKS - 3


def test_a_tools_answer_says_what_stands_beside_it():
    """Reasoning, content and every call come out whole, and arguments are JSON."""
    answer = tools_answer(CHUNKS)
    message = accumulated(answer).choices[0].message
    assert message.reasoning_content == answer.reasoning
    assert message.content == answer.content
    calls = [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or []]
    assert calls == answer.tool_calls
    assert len(calls) == TOOL_CALLS
    assert all(json.loads(arguments)["text"] for _, _, arguments in calls)


def test_text_is_what_real_text_is_like():
    """Other scripts, emoji, escapes and odd separators are in it, or the figures would flatter."""
    answer = text_answer(5_000)
    raw = b"".join(answer.payloads)
    assert not answer.content.isascii()
    assert all(piece in answer.content for piece in ("\u2028", "🙂", "你好", "привет"))
    assert b"\\n" in raw
    assert b'\\"' in raw
    assert b"\\\\" in raw


def test_events_are_an_event_stream():
    """Taken apart by the decoder, they are the payloads and [DONE]."""
    answer = text_answer(CHUNKS)
    events = SSEDecoder().feed(b"".join(answer.events))
    assert [event.data for event in events] == [*answer.payloads, b"[DONE]"]


def test_http_chunks_hold_their_parts():
    """Each part is one HTTP chunk, with its size in hex, and a chunk of size 0 ends the body."""
    assert in_http_chunks([b"0123456789abcdef", b"x"]) == b"10\r\n0123456789abcdef\r\n1\r\nx\r\n0\r\n\r\n"


@pytest.mark.parametrize("size", [1, 3, 10, 11])
def test_cut_pieces_make_the_whole(size):
    """No byte is lost, and only the last piece is shorter."""
    pieces = cut(b"0123456789", size)
    assert b"".join(pieces) == b"0123456789"
    assert all(len(piece) == size for piece in pieces[:-1])


def test_a_whole_answer_has_the_size_asked_for():
    """About as many bytes of content as asked for, and the content beside it is the one in it."""
    body, content = whole_answer(1024)
    assert json.loads(body)["choices"][0]["message"]["content"] == content
    assert 1024 <= len(content.encode()) < 1064


@pytest.mark.parametrize("messages", [1, 100])
def test_a_conversation_can_be_sent(messages):
    """As many messages as asked for, each with a role and a text."""
    told = conversation(messages)
    assert len(told) == messages
    assert {message["role"] for message in told} <= {"system", "user", "assistant"}
    assert all(50 < len(message["content"]) < 400 for message in told)
