"""The events of a stream add up to its message."""

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async._core.answer.accumulator import Accumulator
from opeai_async._core.answer.events import EventMaker
from opeai_async._core.decode.decoder import decode_chunk
from opeai_async.testing import QUIRKS, Reply, speak
from opeai_async.types.chunk import ChatCompletionChunk
from opeai_async.types.completion import ChatCompletion
from opeai_async.types.events import BaseEvent, StreamEvent
from tests.support.reading.rebuilt import by_completion, by_events
from tests.support.reading.streams import delta_chunk, deltas_of, messages, parse
from tests.testing.reading import cuts_of

REPLY = Reply(
    ["Grüße, 世界 👋 and more words.", "Second"],
    reasoning="Let me think: naïve, 思考, 🤔.",
    tool_calls=[("get_weather", {"city": "Zürich", "days": 3}), ("get_time", {})],
)
WHOLE = ("content", "reasoning", "refusal", "arguments", "input")
READABLE = sorted(
    name for name, quirk in QUIRKS.items() if quirk.expect not in ("status_error", "too_large") and name != "gzip"
)


def chunk(*args: Any, **kwargs: Any) -> ChatCompletionChunk:
    return decode_chunk(msgspec.json.encode(delta_chunk(*args, **kwargs)))


def told(chunks: list[ChatCompletionChunk]) -> tuple[list[StreamEvent], list[StreamEvent], ChatCompletion]:
    """The events of *chunks*, those of the end, and the message."""
    maker, accumulator = EventMaker(), Accumulator()
    events = [event for chunk in chunks for event in maker.add(chunk)]
    accumulator.extend(chunks)
    completion = accumulator.completion()
    return events, maker.end(completion), completion


def types_of(events: list[StreamEvent]) -> list[str]:
    return [event.type for event in events]


# --- generated -------------------------------------------------------------------------------------------------------


@given(data=st.data(), items=st.lists(messages(), min_size=1, max_size=3))
def test_the_deltas_add_up_to_the_message(data: st.DataObject, items: list[dict[str, Any]]) -> None:
    """However texts and calls of several choices are cut and interleaved; each `done` says what they added up to."""
    lanes = [data.draw(deltas_of(item)) for item in items]
    order = data.draw(st.permutations([index for index, lane in enumerate(lanes) for _ in lane]))
    events, ends, completion = told([chunk(lanes[index].pop(0), index=index) for index in order])
    assert by_events([*events, *ends]) == by_completion(completion)
    assert_done_is_true(ends, completion)


@pytest.mark.parametrize("name", READABLE)
def test_the_deltas_of_every_dialect_add_up_to_the_message(name: str) -> None:
    """Whatever the server does, and wherever its bytes are cut."""
    for cut in cuts_of(speak(REPLY, [name]), seed=len(name)):
        events, ends, completion = told(parse(cut)[0])
        assert by_events([*events, *ends]) == by_completion(completion)
        assert_done_is_true(ends, completion)


def assert_done_is_true(ends: list[StreamEvent], completion: ChatCompletion) -> None:
    """There is one `done` for everything that a choice has said, with all of it, and one `finish` for each choice."""
    done = [event for event in ends if event.type.endswith(".done")]
    said: dict[int, list[Any]] = {}
    for event in done:
        text = next(
            getattr(event, f) for f in ("content", "reasoning", "refusal", "arguments", "input") if hasattr(event, f)
        )
        said.setdefault(event.choice, []).append((event.type, text))
    for index, choice in by_completion(completion).items():
        whole = [choice["reasoning"], choice["content"], choice["refusal"], *(call[2] for call in choice["calls"])]
        whole += [choice["logprobs.content"], choice["logprobs.refusal"]]
        assert [text for _, text in said.pop(index, [])] == [part for part in whole if part]
    assert said == {}
    finishes = [event for event in ends if event.type == "finish"]
    assert [(event.choice, event.finish_reason, event.value) for event in finishes] == [
        (choice.index, choice.finish_reason, choice) for choice in completion.choices
    ]


# --- one by one ------------------------------------------------------------------------------------------------------


def test_a_chunk_comes_before_what_it_says() -> None:
    events = EventMaker().add(chunk({"content": "b", "reasoning_content": "a"}, usage={"total_tokens": 3}))
    assert types_of(events) == ["chunk", "reasoning.delta", "content.delta", "usage"]


def test_nothing_is_done_before_the_end() -> None:
    """A server may go on with a choice after its finish_reason."""
    events, ends, _ = told([chunk({"content": "a"}, finish="stop"), chunk({"content": "b"})])
    assert types_of(events) == ["chunk", "content.delta", "chunk", "content.delta"]
    assert types_of(ends) == ["content.done", "finish"]
    assert ends[0].content == "ab"


def test_an_event_of_a_call_says_which() -> None:
    """Each piece has the id, the name and the position of its call, although the server sends them once."""
    begin = {"index": 4, "id": "c", "function": {"name": "f", "arguments": ""}}
    more = [{"index": 4, "function": {"arguments": piece}} for piece in ('{"a"', ": 1}")]
    events, ends, _ = told([chunk({"tool_calls": [piece]}) for piece in (begin, *more)])
    deltas = [event for event in events if event.type.endswith("delta")]
    assert [e.delta for e in deltas] == ["", '{"a"', ": 1}"]
    assert {(e.index, e.id, e.name) for e in deltas} == {(0, "c", "f")}
    assert types_of(ends) == ["tool_calls.function.arguments.done", "finish"]


def test_a_custom_tool_has_events_of_its_own() -> None:
    pieces = [
        {"index": 0, "id": "c", "type": "custom", "custom": {"name": "run", "input": "ls"}},
        {"index": 0, "custom": {"input": " -l"}},
    ]
    events, ends, _ = told([chunk({"tool_calls": [piece]}) for piece in pieces])
    assert [(e.delta, e.name) for e in events if e.type == "tool_calls.custom.input.delta"] == [
        ("ls", "run"),
        (" -l", "run"),
    ]
    assert (ends[0].type, ends[0].input) == ("tool_calls.custom.input.done", "ls -l")


def test_an_index_out_of_bounds_is_left_to_the_stream() -> None:
    """What the same chunk said besides is there; the stream ends with the error."""
    events = EventMaker().add(chunk({"content": "a", "tool_calls": [{"index": 10**6, "id": "c"}]}))
    assert types_of(events) == ["chunk", "content.delta"]


@pytest.mark.parametrize("names", [("content",), ("refusal",), ("content", "refusal")])
def test_log_probabilities_have_events(names: tuple[str, ...]) -> None:
    first, second = ({name: [{"token": t, "logprob": -1.0}] for name in names} for t in "ab")
    raw = [delta_chunk({"content": "a"}), delta_chunk({"content": "b"})]
    for item, logprobs in zip(raw, (first, second), strict=True):
        item["choices"][0]["logprobs"] = logprobs
    chunks = [decode_chunk(msgspec.json.encode(item)) for item in raw]
    events, ends, completion = told(chunks)
    assert by_events(events) == by_completion(completion)
    assert types_of(ends) == ["content.done", *(f"logprobs.{name}.done" for name in names), "finish"]


@pytest.mark.parametrize("event_type", get_args(StreamEvent))
def test_the_tag_on_the_wire_is_the_type(event_type: type[BaseEvent]) -> None:
    """Events can be sent on as JSON, and read again."""
    assert event_type.__struct_config__.tag == event_type.type
