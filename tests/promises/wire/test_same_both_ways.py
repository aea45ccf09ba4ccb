"""For every quirk, the streamed answer and the whole one are the same message."""

from typing import Any

import msgspec
import pytest

from opeai_async.testing import QUIRKS, Reply, speak
from opeai_async.types.common import NO_EXTRA
from opeai_async.types.completion import ChatCompletion, Choice
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
