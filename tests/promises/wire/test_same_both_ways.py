"""For every quirk, the streamed answer and the whole one are the same message."""

from typing import Any

import msgspec
import pytest

from opeai_async.testing import QUIRKS, Reply, speak
from opeai_async.types.common import NO_EXTRA
from opeai_async.types.completion import ChatCompletion, Choice
from tests.promises.wire.play import DONE, event, whole
from tests.testing.reading import read_stream, read_whole

REPLIES = {
    "everything": Reply(
        "Grüße, 世界, and more words.\n\nThat is all.",
        reasoning="Let me think it over, 思考.",
        tool_calls=[("get_weather", {"city": "Zürich"}), ("get_population", {"city": "東京", "year": None})],
    ),
    "text": Reply("Hello there, and welcome to all of you"),
}
ENDS_WELL = ("same", "changed", "unlabelled")
# Of these there is no whole form, or the two are different answers.
ONLY_STREAMED = {
    "reasoning_both",  # a whole answer has its reasoning once
    "delta_missing",
    "annotations_after_finish",
    "service_tier_late",
    "prompt_filter_first",
    "cost_chunk",
    "big_event",
    "content_is_audio",
    "gzip",
}
NAMES = [
    name
    for name, quirk in QUIRKS.items()
    if quirk.expects(stream=True) in ENDS_WELL
    and quirk.expects(stream=False) in ENDS_WELL
    and name not in ONLY_STREAMED
    and (quirk.expect != "changed" or quirk.level not in ("chunks", "events") or quirk.whole is not None)
]


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
@pytest.mark.parametrize("name", NAMES)
def test_streamed_and_whole_are_equal(name: str, reply: Reply) -> None:
    """Role, texts, calls, audio, annotations, finish_reason, and what a vendor adds to the message."""
    streamed, awaited = read_stream(speak(reply, [name])), read_whole(b"".join(speak(reply, [name], stream=False)))
    assert streamed.error is None
    assert awaited.error is None
    assert said(streamed.completion) == said(awaited.completion)


def said(completion: ChatCompletion | None) -> list[Any]:
    """The choices, with what a vendor has in the message; what is beside it, a stream has in other places."""
    assert completion is not None
    choices = msgspec.convert(msgspec.to_builtins(completion.choices), list[Choice])
    return [msgspec.structs.replace(choice, extra=NO_EXTRA, logprobs=None) for choice in choices]


@pytest.mark.parametrize("name", [name for name in NAMES if "usage" in name or "count" in name])
def test_token_counts_are_equal(name: str) -> None:
    """Wherever they stood, and whatever they were called."""
    reply = REPLIES["text"]
    streamed, awaited = read_stream(speak(reply, [name])), read_whole(b"".join(speak(reply, [name], stream=False)))
    assert streamed.completion is not None
    assert awaited.completion is not None
    assert streamed.completion.usage == awaited.completion.usage


ARGUMENTS = '{"a":1}'
THOUGHT = {"type": "thinking", "thinking": "t", "signature": "S"}
IMAGE = {"type": "image_url", "image_url": {"url": "u"}}
MESSAGES: dict[str, dict[str, Any]] = {
    "blocks with a thought": {"content": [THOUGHT, {"type": "text", "text": "Hi"}]},
    "blocks with an image": {"content": [{"type": "text", "text": "Hi"}, IMAGE, {"type": "text", "text": "there"}]},
    "blocks that are texts": {"content": ["a", "b"]},
    "a number": {"content": 5},
    "an object": {"content": {"a": 1}},
    "reasoning as an object": {"content": "x", "reasoning_content": {"text": "r", "signature": "S"}},
    "reasoning as a list": {"content": "x", "reasoning_content": [THOUGHT]},
    "reasoning under another name": {"content": "x", "reasoning_text": "r", "reasoning_opaque": "o"},
    "two reasonings": {"content": "x", "reasoning": "r1", "reasoning_content": "r2"},
    "details": {"content": "x", "reasoning_details": [{"type": "reasoning.text", "text": "a", "index": 0}]},
    "thinking blocks": {"content": "x", "thinking_blocks": [THOUGHT, {"type": "redacted_thinking", "data": "D"}]},
    "annotations": {"content": "x", "annotations": [{"type": "url_citation", "url_citation": {"url": "u"}}] * 2},
    "annotations of no kind": {"content": "x", "annotations": "x"},
    "images": {"content": "x", "images": [{**IMAGE, "index": 0}, {**IMAGE, "index": 0}]},
    "vendor fields": {"content": "x", "v": {"a": [1]}, "w": None, "s": ""},
    "audio": {"audio": {"id": "a", "data": "x", "transcript": "y", "expires_at": 1}},
    "empty structs": {"content": "x", "audio": {"id": "", "data": ""}, "function_call": {"name": "", "arguments": ""}},
    "an old call": {"function_call": {"name": "f", "arguments": ARGUMENTS}},
}
CALLS: dict[str, list[tuple[str, str, Any]]] = {
    "calls": [("A", "f", ARGUMENTS), ("B", "g", ARGUMENTS)],
    "one id": [("A", "f", ARGUMENTS), ("A", "f", ARGUMENTS), ("A", "g", ARGUMENTS)],
    "no id": [("", "f", ARGUMENTS)],
    "no name": [("A", "", ARGUMENTS)],
    "nothing": [("A", "f", ARGUMENTS), ("", "", "")],
    "arguments twice": [("A", "f", ARGUMENTS + "\n" + ARGUMENTS)],
    "arguments after none": [("A", "f", "{}" + ARGUMENTS)],
    "no arguments": [("A", "f", "")],
    "null arguments": [("A", "f", None)],
    "arguments as an object": [("A", "f", {"a": 1})],
}
MESSAGES |= {
    name: {
        "tool_calls": [
            {"id": call_id, "type": "function", "function": {"name": tool, "arguments": arguments}}
            for call_id, tool, arguments in calls
        ]
    }
    for name, calls in CALLS.items()
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_a_message_is_the_same_in_all_four_ways(message: dict[str, Any]) -> None:
    """Streamed, awaited, as JSON although a stream was asked for, and as a stream although JSON was."""
    finish = "tool_calls" if "tool_calls" in message else "stop"
    body = whole(message, finish)
    if "tool_calls" in message:
        message = {"tool_calls": [{"index": at, **call} for at, call in enumerate(message["tool_calls"])]}
    events = b"".join([event(message), event({}, finish), DONE])
    readings = [read_stream([events]), read_whole(body), read_stream([body]), read_whole(events)]
    assert [reading.error for reading in readings] == [None] * 4
    first, *others = (said(reading.completion) for reading in readings)
    assert others == [first] * 3
