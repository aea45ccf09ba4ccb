"""What is held back as long as it could be taken back, over made-up bodies."""

import asyncio

import msgspec
import pytest

from opeai_async import ChatCompletionChunk, InvalidResponseError, StreamServerError
from opeai_async._core.call.http import ResponseHead
from opeai_async._core.decode.parser import StreamParser
from opeai_async._core.dialect.dialect import Dialect
from opeai_async._io.endpoints.slots import Slots
from opeai_async._io.endpoints.watched import WatchedParser

HEAD = ResponseHead(status=200, headers={"content-type": "text/event-stream"})
DONE = b"data: [DONE]\n\n"


def event(delta=None, finish=None, **choice):
    choices = [{"index": 0, "delta": delta or {}, "finish_reason": finish, **choice}]
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def call(arguments, **more):
    return {"tool_calls": [{"index": 0, "function": {"arguments": arguments}, **more}]}


def watched(*, may_leave=True, holds_calls=True):
    progress = []
    parser = StreamParser(HEAD, ChatCompletionChunk, Dialect("repair"))
    made = WatchedParser(
        parser,
        joint=None,
        holds_calls=holds_calls,
        may_leave=lambda: may_leave,
        on_progress=lambda: progress.append(1),
    )
    return made, progress


def test_the_role_comes_with_the_first_content():
    """And what is held back counts as a sign of life."""
    parser, progress = watched()
    assert parser.feed(event({"role": "assistant", "content": ""})) == []
    assert progress == [1]
    assert [chunk.choices[0].delta.content for chunk in parser.feed(event({"content": "Hi"}))] == ["", "Hi"]
    assert parser.feed(event({}, "stop") + DONE)
    assert parser.done


def test_calls_come_when_their_choice_has_ended():
    """All of them, with the finish_reason."""
    parser, _ = watched()
    assert parser.feed(event(call("{", id="a"))) == []
    assert parser.feed(event(call("}"))) == []
    *_, last = parser.feed(event({}, "tool_calls"))
    assert [piece.function.arguments for piece in last.choices[0].delta.tool_calls] == ["{", "}"]


def test_calls_without_a_finish_reason_come_with_the_end():
    """Where ``[DONE]`` says that the answer is whole."""
    parser, _ = watched()
    parser.feed(event({"content": "Let me see."}))
    assert [chunk.choices[0].delta.tool_calls for chunk in parser.feed(event(call("{}", id="a")))] == [None]
    last = parser.feed(DONE)[-1]
    assert last.choices[0].delta.tool_calls[0].function.arguments == "{}"
    assert last.choices[0].delta.content is None
    assert parser.done


def test_a_call_that_was_cut_never_comes():
    """So it can be begun anew."""
    parser, _ = watched()
    parser.feed(event({"content": "Let me see."}) + event(call("{", id="a")))
    assert parser.end() == parser.rest() == []


def test_calls_that_are_held_back_are_known_by_name():
    """Whatever their kind, and wherever the name comes."""
    parser, _ = watched()
    named = {"index": 1, "id": "b", "type": "custom", "custom": {"name": "shell", "input": ""}}
    parser.feed(event({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "look", "arguments": ""}}]}))
    parser.feed(event(call("{")) + event({"tool_calls": [named]}) + event({"tool_calls": [{"index": 2, "id": "c"}]}))
    assert parser.held_calls() == ("look", "shell", "")
    parser.feed(event({}, "tool_calls"))
    assert parser.held_calls() == ()


def test_calls_are_not_held_back_where_nobody_goes_on():
    """With ``on_break="raise"``."""
    parser, _ = watched(holds_calls=False)
    assert parser.feed(event(call("{", id="a")))[0].choices[0].delta.tool_calls


@pytest.mark.parametrize("finish", [None, "stop"])
def test_an_empty_answer_is_none_where_another_could_be_asked(finish):
    """Else it is what it is."""
    body = event({"role": "assistant"}, finish) + DONE
    parser, _ = watched()
    parser.feed(body)
    assert isinstance(parser.error, InvalidResponseError)
    assert parser.feed(body) == []
    parser, _ = watched(may_leave=False)
    assert len(parser.feed(body)) == 1
    assert parser.done


def test_an_empty_answer_that_has_its_end_is_whole():
    """Though its body broke off then; one without is nothing."""
    for finish, count in (("stop", 1), (None, 0)):
        parser, _ = watched()
        parser.feed(event({"role": "assistant"}, finish))
        assert len(parser.rest()) == count
        parser, _ = watched()
        parser.feed(event({"role": "assistant"}, finish))
        assert len(parser.end()) == count


def test_an_end_by_an_error_is_an_error():
    """What came before it is handed out."""
    parser, _ = watched()
    chunks = parser.feed(event({"content": "Hi"}) + event({}, "error", error={"message": "gone", "code": 502}))
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["Hi"]
    assert isinstance(parser.error, StreamServerError)
    assert "gone" in str(parser.error)
    parser, _ = watched()
    parser.feed(event({}, "abort"))
    assert "no reason" in str(parser.error)


async def test_a_slot_is_never_lost():
    """Whoever is cancelled while waiting, before or after the turn has come."""
    slots = Slots(1)
    assert await slots.take(1) == 0
    waiting = [asyncio.create_task(slots.take(float("inf"))) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    slots.give_back()
    waiting[1].cancel()  # whose turn has come just now
    await asyncio.wait(waiting)
    assert waiting[2].result() == 0
    assert slots.is_full
    assert await slots.take(0.01) == 1
    slots.give_back()
    assert not slots.is_full
    assert await Slots(None).take(1) == 0
