"""Vendor fields that a user's own Structs name: they reach the message as those that nobody named do."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async._core.answer.accumulator import Accumulator
from opeai_async._core.answer.extras import named_fields, names_vendor_fields
from opeai_async._core.decode.decoder import ChunkDecoder
from opeai_async._core.dialect.dialect import Dialect
from opeai_async.types.chunk import (
    AudioDelta,
    ChatCompletionChunk,
    ChoiceDelta,
    ChunkChoice,
    CustomCallDelta,
    FunctionCallDelta,
    ToolCallDelta,
)
from opeai_async.types.common import NO_EXTRA, ChoiceLogprobs, WireStruct
from opeai_async.types.completion import ChatCompletion
from tests.support.reading.streams import delta_chunk, texts


class Source(WireStruct):
    """A vendor's own object, with fields that nobody named."""

    index: int
    url: str = ""


class Plain(msgspec.Struct):
    """One of another base."""

    at: float = 0.0


class MyFunction(FunctionCallDelta):
    """A function call."""

    mood: str | None = None


class MyCustom(CustomCallDelta):
    """A custom call."""

    mood: str | None = None


class MyCall(ToolCallDelta):
    """A tool call."""

    function: MyFunction | None = None
    custom: MyCustom | None = None
    signature: str | None = None


class MyAudio(AudioDelta):
    """A spoken answer."""

    voice: str | None = None


class MyLogprobs(ChoiceLogprobs):
    """Log probabilities."""

    entropy: float | None = None


class MyDelta(ChoiceDelta):
    """A delta."""

    tool_calls: list[MyCall] | None = None  # type: ignore[assignment]
    function_call: MyFunction | None = None
    audio: MyAudio | None = None
    citations: list[Any] | None = None
    sources: list[Source] = []
    thought: str | None = msgspec.field(default=None, name="x-thought")
    name: str | None = None
    stamp: Plain | msgspec.UnsetType = msgspec.UNSET


class MyChoice(ChunkChoice):
    """A choice."""

    delta: MyDelta = msgspec.field(default_factory=MyDelta)
    logprobs: MyLogprobs | None = None
    native_finish_reason: str | None = None


class MyChunk(ChatCompletionChunk):
    """A chunk whose Structs name fields at each level."""

    choices: list[MyChoice] = []  # type: ignore[assignment]
    provider: str | None = None
    tags: list[str] = []


class CitedDelta(ChoiceDelta):
    """A delta with one field of its own."""

    cited: str | None = None


class CitedChoice(ChunkChoice):
    """A choice of such a delta, by another name of the type."""

    delta: CitedDelta = msgspec.field(default_factory=CitedDelta)


class OnlyDeepChunk(ChatCompletionChunk):
    """A chunk that names no field itself."""

    choices: list[CitedChoice] = []  # type: ignore[assignment]


class NarrowChunk(ChatCompletionChunk):
    """A chunk that gives a field another default, and names none."""

    model: str = "mine"


def accumulated(*chunks: dict[str, Any], chunk_type: type[Any] = MyChunk) -> ChatCompletion:
    """What *chunks* add up to, read as *chunk_type*."""
    decoder = ChunkDecoder(chunk_type, Dialect())
    accumulator = Accumulator()
    accumulator.extend(filter(None, (decoder.read(msgspec.json.encode(chunk)) for chunk in chunks)))
    return accumulator.completion()


def both_ways(*chunks: dict[str, Any]) -> ChatCompletion:
    """What *chunks* add up to: the same, whether the fields are named or not."""
    named = accumulated(*chunks)
    assert named == accumulated(*chunks, chunk_type=ChatCompletionChunk)
    return named


def test_fields_of_a_chunk_and_of_a_choice() -> None:
    """The latest value counts; one that is missing erases nothing."""
    choice = {"index": 0, "delta": {"content": "a"}, "native_finish_reason": "STOP"}
    completion = both_ways(
        {"choices": [choice], "provider": "A", "tags": ["x"]},
        delta_chunk({"content": "b"}, provider="B", unnamed=1),
        delta_chunk({"content": "c"}),
    )
    assert completion.extra == {"provider": "B", "tags": ["x"], "unnamed": 1}
    assert completion.choices[0].extra == {"native_finish_reason": "STOP"}
    assert completion.choices[0].message.content == "abc"


def test_fields_of_a_delta() -> None:
    """Text adds up, under its name on the wire; lists grow, by index where there is one."""
    message = (
        both_ways(
            delta_chunk({"x-thought": "a", "citations": [1], "sources": [{"index": 0, "url": "a", "rank": 1}]}),
            delta_chunk({"x-thought": "b", "citations": [2], "sources": [{"index": 1, "url": "c"}], "other": "d"}),
            delta_chunk({"sources": [{"index": 0, "url": "b"}], "stamp": {"at": 1.5}}),
        )
        .choices[0]
        .message
    )
    assert message.extra == {
        "x-thought": "ab",
        "citations": [1, 2],
        "sources": [{"index": 0, "url": "a", "rank": 1}, {"index": 1, "url": "c"}, {"index": 0, "url": "b"}],
        "other": "d",
        "stamp": {"at": 1.5},
    }


def test_a_field_that_a_message_has() -> None:
    """It goes to the message's own."""
    message = both_ways(delta_chunk({"name": "bot"})).choices[0].message
    assert (message.name, message.extra) == ("bot", NO_EXTRA)


def test_fields_of_tool_calls() -> None:
    """Each call gets its own, at its own level."""
    calls = [
        {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "", "mood": "m"}},
        {"index": 1, "id": "b", "type": "custom", "custom": {"name": "g", "input": "i", "mood": "n"}, "signature": "t"},
    ]
    more = [{"index": 0, "function": {"arguments": "{}", "mood": "o"}, "signature": "s"}]
    message = both_ways(delta_chunk({"tool_calls": calls}), delta_chunk({"tool_calls": more})).choices[0].message
    first, second = message.tool_calls or []
    assert (first.extra, first.function.extra) == ({"signature": "s"}, {"mood": "mo"})
    assert second.custom is not None
    assert (second.extra, second.custom.extra) == ({"signature": "t"}, {"mood": "n"})


def test_fields_of_what_few_chunks_carry() -> None:
    """A function call of old, audio, log probabilities."""
    delta = {"function_call": {"name": "f", "arguments": "", "mood": "m"}, "audio": {"id": "a", "voice": "v"}}
    choice = {"index": 0, "delta": delta, "logprobs": {"content": [], "entropy": 0.5}}
    whole = both_ways({"choices": [choice]}).choices[0]
    assert whole.message.function_call is not None
    assert whole.message.function_call.extra == {"mood": "m"}
    assert whole.message.audio is not None
    assert whole.message.audio.extra == {"voice": "v"}
    assert whole.logprobs is not None
    assert whole.logprobs.extra == {"entropy": 0.5}


def test_without_such_fields_on_the_wire() -> None:
    """Nothing is made up from defaults."""
    completion = both_ways(delta_chunk({"content": "a"}))
    assert completion.extra is completion.choices[0].extra is completion.choices[0].message.extra is NO_EXTRA


@given(st.lists(st.dictionaries(st.sampled_from(["x-thought", "content", "other"]), texts), min_size=1, max_size=5))
def test_named_or_not_is_the_same(deltas: list[dict[str, str]]) -> None:
    """One chunk after the other, and all at once."""
    chunks = list(map(delta_chunk, deltas))
    completion = both_ways(*chunks)
    accumulator = Accumulator()
    decoder = ChunkDecoder(MyChunk, Dialect())
    for data in chunks:
        chunk = decoder.read(msgspec.json.encode(data))
        assert chunk is not None
        accumulator.add(chunk)
    assert accumulator.completion() == completion


@pytest.mark.parametrize(
    ("chunk_type", "expected"),
    [(ChatCompletionChunk, False), (NarrowChunk, False), (MyChunk, True), (OnlyDeepChunk, True)],
)
def test_what_names_fields(chunk_type: type[ChatCompletionChunk], expected: bool) -> None:
    """Looked up through the whole type, and the same of the private twin that a decoder makes."""
    assert names_vendor_fields(chunk_type) is expected
    twin = ChunkDecoder(chunk_type, Dialect()).read(msgspec.json.encode(delta_chunk({"content": "a"})))
    assert twin is not None
    assert type(twin) is not chunk_type
    assert names_vendor_fields(type(twin)) is expected
    assert named_fields(twin) == {}


def test_a_field_deep_down() -> None:
    """It is found where the chunk itself has none."""
    completion = accumulated(delta_chunk({"cited": "a"}), delta_chunk({"cited": "b"}), chunk_type=OnlyDeepChunk)
    assert completion.choices[0].message.extra == {"cited": "ab"}
