"""A finish_reason is not the end: nothing that arrives while the body is open is lost, and a real end is one."""

import time
from typing import Any

import pytest

from opeai_async import Outcome, StreamTruncatedError, Timeouts
from tests.promises.wire.play import ASKED, DONE, Part, event, playing, read

QUICK = Timeouts(finish_grace_s=0.05, idle_bytes_s=5)
STOP_FIRST = [event({"role": "assistant", "content": ""}, "stop"), 0.3, event({"content": "Hi"}, "stop"), DONE]
ON_ALL = [
    event({"content": "He"}, "stop"),
    event({"content": "ll"}, "stop"),
    0.3,
    event({"content": "o"}, "stop"),
    DONE,
]
WORDS_FIRST = [event({"content": "He"}, "stop"), 0.1, event({"content": "y"}, "stop"), DONE]
TWO = [
    event({"content": "a"}),
    event({}, "stop"),
    0.3,
    event({"content": "b"}, index=1),
    event({}, "stop", index=1),
    DONE,
]
CALLS: Any = {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}
CALL_LATE = [event({"content": "a"}), event({}, "stop"), event({"content": "b"}), 0.3, event(CALLS, "tool_calls"), DONE]


@pytest.mark.parametrize(
    ("parts", "texts", "asked"),
    [
        (STOP_FIRST, ["Hi"], {}),
        (ON_ALL, ["Hello"], {}),
        (WORDS_FIRST, ["Hey"], {}),
        (TWO, ["a", "b"], {"extra_body": {"n": 2}}),
        (TWO, ["a", "b"], {"n": 2}),
        (CALL_LATE, ["ab"], {}),
    ],
)
async def test_what_comes_after_a_pause_is_not_lost(parts: list[Part], texts: list[str], asked: dict[str, Any]) -> None:
    """However long the server is silent after what was no end."""
    async with playing(*parts, timeouts=QUICK) as (client, _):
        stream = client.chat.completions.stream(**ASKED, **asked)
        completion = await stream.completion()
    assert [choice.message.content for choice in completion.choices] == texts
    assert stream.outcome is Outcome.COMPLETE
    assert all(choice.finish_reason for choice in completion.choices)


@pytest.mark.parametrize("reason", ["null", "NULL", "none", "None", "undefined", ""])
def test_words_for_no_reason_are_none(reason: str) -> None:
    """An answer that was cut after one is not complete."""
    cut = [event({"content": "Hel"}, reason), event({"content": "lo"}, reason)]
    reading = read(*cut)
    assert isinstance(reading.error, StreamTruncatedError)
    assert reading.completion is not None
    assert reading.completion.choices[0].finish_reason is None
    assert read(*cut, event({}, "stop"), DONE).outcome is Outcome.COMPLETE


@pytest.mark.parametrize(
    "parts",
    [
        [event({"content": "a"}), event({}, "stop")],
        [event({"reasoning_content": "a"}), event({}, "length")],
        [event(CALLS), event({}, "tool_calls")],
        [event({"content": "a"}, "stop")],
    ],
)
async def test_a_real_end_is_one_though_the_body_stays_open(parts: list[bytes]) -> None:
    """The grace is over in time; three of it where the first words came with their end."""
    async with playing(*parts, held_open=True, timeouts=QUICK) as (client, _):
        begun = time.monotonic()
        stream = client.chat.completions.stream(**ASKED)
        await stream.completion()
        assert time.monotonic() - begun < 3
    assert (stream.outcome, stream.quirks) == (Outcome.COMPLETE, ("done_missing",))


@pytest.mark.parametrize(
    "parts",
    [
        [event({"content": ""}, "stop")],
        [event({"content": "a"}, "stop"), event({"content": "b"})],
        [event({"content": "a"}, "stop"), event({"content": "b"}, index=1)],
        [event({"content": "a"}, "stop"), event({"content": "b"}, "stop")],
    ],
)
def test_an_end_that_is_not_credible_is_none(parts: list[bytes]) -> None:
    """At the end of the body nothing proves that these were whole; `[DONE]` does."""
    assert isinstance(read(*parts).error, StreamTruncatedError)
    assert read(*parts, DONE).error is None


async def test_leaving_after_an_early_stop_is_no_end() -> None:
    """Only a credible end makes a stream that is left complete."""
    async with playing(event({"content": ""}, "stop"), 5.0) as (client, _):
        async with client.chat.completions.stream(**ASKED) as stream:
            async for _chunk in stream:
                break
        assert stream.outcome is Outcome.CANCELLED


@pytest.mark.parametrize(
    ("reasons", "wanted"),
    [
        (["length", "stop"], "length"),
        (["stop", "length"], "length"),
        (["tool_calls", "stop"], "tool_calls"),
        (["content_filter", "length"], "content_filter"),
        (["eos", "STOP"], "STOP"),
        (["stop", "a_new_word"], "a_new_word"),
        (["a_new_word", "stop"], "a_new_word"),
    ],
)
def test_the_graver_reason_stays(reasons: list[str], wanted: str) -> None:
    """Whichever comes first; of equals, the latest."""
    reading = read(event({"content": "a"}), *(event({}, reason) for reason in reasons), DONE)
    assert reading.completion is not None
    assert reading.completion.choices[0].finish_reason == wanted


def test_an_error_is_not_taken_back() -> None:
    """A router that says `stop` of everything does not heal an answer that broke."""
    reading = read(event({"content": "a"}), event({}, "error"), event({}, "stop"), DONE)
    assert reading.outcome is Outcome.FAILED
