"""The fast tier: strict twins of the wire types, users' own too, and their agreement with the tolerant tier."""

from __future__ import annotations

import copy
import pickle
from typing import Annotated, Any, Generic, Literal, Optional, TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async._core.answer.accumulator import Accumulator
from opeai_async._core.decode.decoder import (
    ChunkDecoder,
    decode_chunk,
    decode_completion,
    strict_decode,
    strict_decoder,
)
from opeai_async._core.dialect.dialect import Dialect
from opeai_async.errors import StreamDecodeError, StreamServerError
from opeai_async.types.chunk import ChatCompletionChunk, ChoiceDelta, ChunkChoice, FunctionCallDelta, ToolCallDelta
from opeai_async.types.common import CompletionUsage, WireStruct
from opeai_async.types.completion import ChatCompletion, ChatCompletionMessage, Choice
from tests.support.reading.streams import delta_chunk, deltas_of, messages

T = TypeVar("T", bound=ChatCompletionChunk)


def encoded(value: object) -> bytes:
    return msgspec.json.encode(value)


def decoded(value: object, chunk_type: type[T]) -> T:
    chunk = ChunkDecoder(chunk_type, Dialect()).read(encoded(value))
    assert chunk is not None
    return chunk


# --- own types at every level ----------------------------------------------------------------------------------------


class MyFunction(FunctionCallDelta, kw_only=True):
    parsed: bool = False


class MyCall(ToolCallDelta, kw_only=True):
    function: MyFunction | None = None
    signature: str | None = None


class MyDelta(ChoiceDelta, kw_only=True):
    tool_calls: list[MyCall] | None = None
    mood: str = "calm"


class MyChoice(ChunkChoice, kw_only=True):
    delta: MyDelta = msgspec.field(default_factory=MyDelta)
    native_finish_reason: str | None = None


class MyUsage(CompletionUsage, kw_only=True):
    cost: float = 0.0


class MyChunk(ChatCompletionChunk, kw_only=True):
    """A chunk of ours."""

    choices: list[MyChoice] = []
    usage: MyUsage | None = None
    provider: str = msgspec.field(name="x_provider", default="nobody")
    tags: list[str] = msgspec.field(default_factory=lambda: ["none"])


FULL = delta_chunk(
    {
        "content": "a",
        "mood": "gay",
        "tool_calls": [{"index": 0, "function": {"name": "f", "parsed": True}, "signature": "s"}],
    },
    x_provider="p",
    tags=["t"],
    usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "cost": 0.5},
)
FULL["choices"][0]["native_finish_reason"] = "STOP"


def test_own_types_are_decoded_in_the_fast_tier() -> None:
    """Every level of an own chunk type is filled by the one typed decode."""
    (chunk,) = ChunkDecoder(MyChunk, Dialect("strict")).decode_all([encoded(FULL)]) or []
    assert (chunk.provider, chunk.tags) == ("p", ["t"])
    assert chunk.usage is not None
    assert chunk.usage.cost == 0.5
    choice = chunk.choices[0]
    assert (choice.native_finish_reason, choice.delta.mood) == ("STOP", "gay")
    (call,) = choice.delta.tool_calls or []
    assert call.signature == "s"
    assert call.function is not None
    assert call.function.parsed


def test_own_types_are_decoded_in_the_tolerant_tier() -> None:
    """With a vendor field at every level, the own fields are filled and the others are in ``extra``."""
    odd = copy.deepcopy(FULL)
    odd["v"] = 1
    odd["usage"]["v"] = odd["choices"][0]["v"] = odd["choices"][0]["delta"]["v"] = 2
    odd["choices"][0]["delta"]["tool_calls"][0]["v"] = odd["choices"][0]["delta"]["tool_calls"][0]["function"]["v"] = 3
    odd["usage"]["prompt_tokens_details"] = {"cached_tokens": 1, "v": 4}
    chunk = decoded(odd, MyChunk)
    choice = chunk.choices[0]
    (call,) = choice.delta.tool_calls or []
    assert chunk.usage is not None
    assert call.function is not None
    levels = [chunk, chunk.usage, choice, choice.delta, call, call.function, chunk.usage.prompt_tokens_details]
    assert [level.extra if level is not None else None for level in levels] == [{"v": n} for n in (1, 2, 2, 2, 3, 3, 4)]
    assert (chunk.provider, choice.delta.mood, call.signature, chunk.usage.cost) == ("p", "gay", "s", 0.5)


def test_defaults_of_own_types() -> None:
    """Defaults and default factories are those of the class; each chunk has its own list."""
    first, second = (decoded(delta_chunk({}), MyChunk) for _ in range(2))
    assert (first.provider, first.tags, first.usage) == ("nobody", ["none"], None)
    assert first.tags is not second.tags


def test_a_twin_passes_for_the_class_that_users_know() -> None:
    """Name, documentation, equality, copy and pickle are those of the class."""
    chunk = decoded(FULL, MyChunk)
    plain = msgspec.json.decode(encoded(FULL), type=MyChunk)
    assert type(chunk) is not MyChunk
    assert (type(chunk).__name__, type(chunk).__qualname__, type(chunk).__doc__) == (
        "MyChunk",
        "MyChunk",
        "A chunk of ours.",
    )
    assert isinstance(chunk, MyChunk)
    assert isinstance(chunk.choices[0].delta, MyDelta)
    assert chunk == plain
    assert plain == chunk
    assert repr(chunk) == repr(plain)
    assert chunk != decoded(delta_chunk({}), MyChunk)
    assert copy.copy(chunk) == chunk
    for copied in (copy.deepcopy(chunk), pickle.loads(pickle.dumps(chunk))):
        assert copied == chunk
        assert type(copied) is MyChunk


class MyMessage(ChatCompletionMessage, kw_only=True):
    mood: str | None = None


class MyWholeChoice(Choice, kw_only=True):
    message: MyMessage


class MyCompletion(ChatCompletion, kw_only=True):
    choices: list[MyWholeChoice] = []


@pytest.mark.parametrize("vendor", [{}, {"v": 1}])
def test_an_own_completion_type(vendor: dict[str, Any]) -> None:
    """Both tiers fill an own message type."""
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "mood": "gay", **vendor}}]}
    completion = decode_completion(encoded(body), MyCompletion, Dialect("strict"))
    assert (completion.choices[0].message.mood, completion.choices[0].message.extra) == ("gay", vendor)


# --- odd annotations -------------------------------------------------------------------------------------------------


class Text(WireStruct, tag_field="type", tag="text", kw_only=True):
    text: str


class Picture(WireStruct, tag_field="type", tag="picture", kw_only=True):
    url: str


class Node(WireStruct, kw_only=True):
    name: str
    nodes: list[Node] = []
    parent: Node | None = None


G = TypeVar("G")


class Box(WireStruct, Generic[G], kw_only=True):
    inside: G


class OddChunk(ChatCompletionChunk, kw_only=True):
    parts: list[Text | Picture] = []
    by_name: dict[str, Text] = {}
    noted: Annotated[Text | None, msgspec.Meta(description="a note")] = None
    listed: Annotated[list[Text], msgspec.Meta(max_length=3)] = []
    maybe: Optional[Text] = None  # noqa: UP045
    pair: tuple[Text, ...] = ()
    level: Literal["low", "high"] | int = "low"
    tree: Node | None = None


TEXT = {"type": "text", "text": "t"}
ODD: dict[str, Any] = {
    "parts": [TEXT, {"type": "picture", "url": "u"}],
    "by_name": {"a": TEXT},
    "noted": TEXT,
    "listed": [TEXT],
    "maybe": TEXT,
    "pair": [TEXT],
    "level": 5,
}


def test_odd_annotations_in_the_fast_tier() -> None:
    """Unions, dicts, tuples, Annotated and Literal are decoded as written."""
    (chunk,) = ChunkDecoder(OddChunk, Dialect("strict")).decode_all([encoded(delta_chunk({}, **ODD))]) or []
    assert [type(part).__name__ for part in chunk.parts] == ["Text", "Picture"]
    texts = [chunk.by_name["a"], chunk.noted, chunk.listed[0], chunk.maybe, chunk.pair[0]]
    assert [text.text for text in texts if text is not None] == ["t"] * 5
    assert chunk.level == 5


def with_vendor_field(value: Any) -> Any:
    """*value* with ``v`` in each tagged object."""
    if isinstance(value, dict):
        inner = {name: with_vendor_field(item) for name, item in value.items()}
        return {**inner, "v": 1} if "type" in inner else inner
    return [with_vendor_field(item) for item in value] if isinstance(value, list) else value


def test_odd_annotations_lose_no_vendor_field() -> None:
    """Inside unions, dicts, tuples and Annotated, what no Struct names is in ``extra`` of the one it came in."""
    chunk = decoded(delta_chunk({}, **with_vendor_field(ODD)), OddChunk)
    found = [*chunk.parts, chunk.by_name["a"], chunk.noted, chunk.listed[0], chunk.maybe, chunk.pair[0]]
    assert [item.extra if item is not None else None for item in found] == [{"v": 1}] * 7
    assert chunk.extra == {}


def test_a_type_that_contains_itself() -> None:
    """It decodes, with vendor fields at any depth."""
    tree = {
        "name": "a",
        "nodes": [{"name": "b", "v": 1, "nodes": [{"name": "c", "v": 2}]}],
        "parent": {"name": "d", "v": 3},
    }
    found = decoded(delta_chunk({}, tree=tree), OddChunk).tree
    assert found is not None
    assert found.parent is not None
    assert (found.nodes[0].extra, found.nodes[0].nodes[0].extra, found.parent.extra) == ({"v": 1}, {"v": 2}, {"v": 3})
    flat = ChunkDecoder(OddChunk, Dialect()).decode_all([encoded(delta_chunk({}, tree={"name": "a", "nodes": []}))])
    assert flat is not None


def test_an_odd_value_inside_a_dict() -> None:
    """msgspec does not say under which key it stands, so it is a decode error."""
    with pytest.raises(StreamDecodeError, match=r"by_name\[...\].text"):
        decoded(delta_chunk({}, by_name={"a": {"type": "text", "text": 5}}), OddChunk)


def test_a_union_without_its_tag() -> None:
    """What is none of a union's types is kept in ``extra``, and does no harm."""
    chunk = decoded(delta_chunk({"content": "a"}, parts=[{"v": 1}]), OddChunk)
    assert chunk.choices[0].delta.content == "a"
    assert (chunk.parts, chunk.extra) == ([], {"parts": [{"v": 1}]})


class LooseCall(ToolCallDelta, kw_only=True):
    id: int | None = None  # type: ignore[assignment]


class LooseDelta(ChoiceDelta, kw_only=True):
    tool_calls: list[LooseCall] | None = None  # type: ignore[assignment]


class LooseChoice(ChunkChoice, kw_only=True):
    delta: LooseDelta


class LooseChunk(ChatCompletionChunk, kw_only=True):
    choices: list[LooseChoice] = []  # type: ignore[assignment]


def test_a_field_that_a_user_typed_anew() -> None:
    """The user's type counts, not what the twin would have made of ours."""
    chunk = delta_chunk({"tool_calls": [{"index": 0, "id": 5}]})
    assert ChunkDecoder(LooseChunk, Dialect()).decode_all([encoded(chunk)]) is not None


class StrictChunk(ChatCompletionChunk, kw_only=True):
    provider: str


def test_a_required_field_that_does_not_come() -> None:
    """A decode error that names the field."""
    with pytest.raises(StreamDecodeError, match="provider"):
        decoded(delta_chunk({}), StrictChunk)


def test_a_decoder_is_made_once() -> None:
    """Building twins costs milliseconds; streams share them."""
    assert strict_decoder(MyChunk) is strict_decoder(MyChunk)


# --- the two tiers ---------------------------------------------------------------------------------------------------


@given(data=st.data(), item=messages())
def test_both_tiers_agree_on_ordinary_chunks(data: st.DataObject, item: dict[str, Any]) -> None:
    """What the fast tier takes, the tolerant tier reads the same, and needs no rule for."""
    for delta in data.draw(deltas_of(item)):
        payload = encoded(delta_chunk(delta))
        fast = ChunkDecoder(ChatCompletionChunk, Dialect()).read(payload)
        assert fast == Dialect("strict").read_chunk(payload, ChatCompletionChunk)


@pytest.mark.parametrize(
    "payload",
    [
        b'{"choices":[{"delta":{}}]}',
        b'{"choices":[{"index":0}]}',
        b'{"choices":null}',
        b"{}",
        b'{"choices":[],"usage":{}}',
        b'{"choices":[],"usage":{"prompt_tokens":1,"total_tokens":1}}',
        b'{"choices":[],"vendor":1}',
        b'{"choices":[],"error":null}',
        b'{"choices":[{"index":0,"delta":{"tool_calls":[{}]}}]}',
        b'{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a"}]}}]}',
        b'{"choices":[{"index":0,"delta":{"content":"\xff"}}]}',
        b"[" * 100_000,
    ],
)
def test_what_the_fast_tier_leaves_to_the_other(payload: bytes) -> None:
    """All of a batch is left, if any of it may need a repair."""
    decoder = ChunkDecoder(ChatCompletionChunk, Dialect())
    assert decoder.decode_all([encoded(delta_chunk({"content": "a"}))]) is not None
    assert decoder.decode_all([encoded(delta_chunk({"content": "a"})), payload]) is None


_MESSAGE = '{"choices":[{"index":0,"message":{"role":"assistant",%s}}]}'
_CALLS = '"tool_calls":[{"id":%s,"type":%s,"function":%s}]'
_FUNCTION = '{"name":"f","arguments":"{}"}'

# A whole message's fields; its first tool call after repair as (id, type, arguments); the rules.
WHOLE: dict[str, tuple[str, tuple[str, str, str] | None, tuple[str, ...]]] = {
    "ordinary": (_CALLS % ('"a"', '"function"', _FUNCTION), ("a", "function", "{}"), ()),
    "empty list": ('"tool_calls":[]', None, ("tool_calls_empty",)),
    "empty id": (
        _CALLS % ('""', '"function"', _FUNCTION),
        ("call_synthetic_0", "function", "{}"),
        ("call_incomplete",),
    ),
    "null id": (
        _CALLS % ("null", '"function"', _FUNCTION),
        ("call_synthetic_0", "function", "{}"),
        ("call_incomplete",),
    ),
    "empty type": (_CALLS % ('"a"', '""', _FUNCTION), ("a", "function", "{}"), ("call_incomplete",)),
    "empty arguments": (
        _CALLS % ('"a"', '"function"', '{"name":"f","arguments":""}'),
        ("a", "function", "{}"),
        ("call_incomplete",),
    ),
    "no arguments": (_CALLS % ('"a"', '"function"', '{"name":"f"}'), ("a", "function", "{}"), ("call_incomplete",)),
    "arguments as an object": (
        _CALLS % ('"a"', '"function"', '{"name":"f","arguments":{"x":1}}'),
        ("a", "function", '{"x":1}'),
        ("arguments_object",),
    ),
    "function beside the id": (
        '"tool_calls":[{"id":"a","type":"function","name":"f","arguments":"{}"}]',
        ("a", "function", "{}"),
        ("function_missing",),
    ),
    "a name that is a number": (
        _CALLS % ('"a"', '"function"', '{"name":5,"arguments":"{}"}'),
        ("a", "function", "{}"),
        ("call_incomplete",),
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_tool_calls_of_a_whole_answer(name: str) -> None:
    """A call in a whole answer can be answered and sent back: it has an id, a type, a name and arguments."""
    fields, expected, rules = WHOLE[name]
    dialect = Dialect()
    completion = decode_completion((_MESSAGE % fields).encode(), ChatCompletion, dialect)
    calls = completion.choices[0].message.tool_calls
    found = [(call.id, call.type, call.function.arguments) for call in calls] if calls is not None else None
    assert found == (None if expected is None else [expected])
    assert tuple(dialect.quirks) == rules


def test_ids_made_up_for_several_calls_differ() -> None:
    """Results can be told apart."""
    call = f'{{"type":"function","function":{_FUNCTION}}}'
    completion = decode_completion((_MESSAGE % f'"tool_calls":[{call},{call}]').encode(), ChatCompletion, Dialect())
    assert [call.id for call in completion.choices[0].message.tool_calls or []] == [
        "call_synthetic_0",
        "call_synthetic_1",
    ]


def test_custom_and_older_calls_of_a_whole_answer() -> None:
    """What they lack is made up as well."""
    fields = '"tool_calls":[{"id":"a","custom":{"name":"f"}}],"function_call":{"name":"old"}'
    message = decode_completion((_MESSAGE % fields).encode(), ChatCompletion, Dialect()).choices[0].message
    (call,) = message.tool_calls or []
    assert call.custom is not None
    assert (call.type, call.custom.name, call.custom.input) == ("custom", "f", "")
    assert message.function_call is not None
    assert (message.function_call.name, message.function_call.arguments) == ("old", "{}")


@pytest.mark.parametrize(
    ("choice", "content", "rules"),
    [
        ('{"message":{"role":"assistant","content":"a"}}', "a", ("choice_index_missing",)),
        ('{"index":0,"message":{"content":"a"}}', "a", ("role_missing",)),
        ('{"index":0,"message":{"role":"","content":"a"}}', "a", ("role_missing",)),
        ('{"index":0,"delta":{"role":"assistant","content":"a"}}', "a", ("message_missing",)),
        ('{"index":0,"text":"a"}', "a", ("message_missing", "role_missing")),
        ('{"index":0,"message":"a"}', "a", ("message_missing", "role_missing")),
        ('{"index":0}', None, ("message_missing", "role_missing")),
        ('{"index":0,"message":{"role":"assistant","content":[{"type":"text","text":"a"}]}}', "a", ("content_blocks",)),
        (
            '{"index":0,"message":{"role":"assistant","content":{"n":[1.5,null]}}}',
            '{"n":[1.5,null]}',
            ("content_object",),
        ),
        ('{"index":0,"message":{"role":"assistant","content":"a","reasoning":"r"}}', "a", ("reasoning_alias",)),
    ],
)
def test_choices_of_a_whole_answer(choice: str, content: str | None, rules: tuple[str, ...]) -> None:
    """The message, wherever it stands, with the role that every answer has."""
    dialect = Dialect()
    completion = decode_completion(b'{"choices":[%s]}' % choice.encode(), ChatCompletion, dialect)
    message = completion.choices[0].message
    assert (message.role, message.content) == ("assistant", content)
    assert tuple(dialect.quirks) == rules


class AnythingChunk(ChatCompletionChunk, kw_only=True):
    anything: Any = None


def test_nesting_without_end_in_a_field_of_any_kind() -> None:
    """msgspec raises RecursionError where a user's field takes anything; the error is ours all the same."""
    deep = b'{"choices":[],"anything":' + b"[" * 100_000
    decoder = ChunkDecoder(AnythingChunk, Dialect())
    assert decoder.decode_all([deep]) is None
    with pytest.raises(StreamDecodeError, match="nested too deep"):
        decoder.read(deep)


# --- one recorded event ----------------------------------------------------------------------------------------------


def test_decode_chunk() -> None:
    """Text or bytes; what says nothing is an empty chunk; errors are raised."""
    for data in (encoded(FULL), encoded(FULL).decode()):
        assert decode_chunk(data).extra["x_provider"] == "p"
    assert decode_chunk("null") == ChatCompletionChunk()
    assert decode_chunk('{"choices":[],"x":"\ud800"}').extra == {"x": "?"}
    with pytest.raises(StreamServerError, match="no"):
        decode_chunk('{"error":"no"}')
    with pytest.raises(StreamDecodeError):
        decode_chunk("no")


def test_strict_decode_refuses_what_nobody_named() -> None:
    """The function that the fast tier is."""
    with pytest.raises(msgspec.ValidationError, match="unknown field `x`"):
        strict_decode(ChatCompletionChunk)(b'{"choices":[],"x":1}')


RARE = {
    "logprobs": {"choices": [{"index": 0, "delta": {"content": "b"}, "logprobs": {"content": []}}]},
    "service_tier": {"choices": [{"index": 0, "delta": {"content": "b"}}], "service_tier": "default"},
    "refusal": {"choices": [{"index": 0, "delta": {"refusal": "no"}}]},
    "annotations": {"choices": [{"index": 0, "delta": {"annotations": [{"type": "url_citation"}]}}]},
    "audio": {"choices": [{"index": 0, "delta": {"audio": {"transcript": "b"}}}]},
    "function_call": {"choices": [{"index": 0, "delta": {"function_call": {"name": "f", "arguments": "{}"}}}]},
}


@pytest.mark.parametrize("field", RARE)
@pytest.mark.parametrize("batched", [True, False])
def test_a_stream_is_taken_for_a_plain_one_until_it_is_not(field: str, batched: bool) -> None:
    """What few streams carry is decoded and put together as if it had been expected from the first chunk."""
    plain = b'{"choices":[{"index":0,"delta":{"role":"assistant","content":"a"}}]}'
    payloads = [plain, plain, msgspec.json.encode(RARE[field]), plain]
    decoder = ChunkDecoder(ChatCompletionChunk, Dialect())
    if batched:
        batches = [decoder.decode_all(part) or [] for part in (payloads[:2], payloads[2:])]
    else:
        batches = [[chunk] for payload in payloads if (chunk := decoder.read(payload)) is not None]
    chunks = [chunk for batch in batches for chunk in batch]
    assert [type(chunk).is_plain for chunk in chunks] == [True, True, False, False]
    assert chunks == [strict_decode(ChatCompletionChunk)(payload) for payload in payloads]
    by_batch, together, one_by_one = Accumulator(), Accumulator(), Accumulator()
    for batch in batches:
        by_batch.extend(batch)
    together.extend(chunks)
    for payload in payloads:
        one_by_one.add(strict_decode(ChatCompletionChunk)(payload))
    assert by_batch.completion() == together.completion() == one_by_one.completion()
