"""The fast tier learns vendor fields: the chunks are those of the tolerant tier, which is entered no more."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opeai_async._core.decode import decoder as decode_module
from opeai_async._core.decode import vendor_fields as vendor_twins
from opeai_async._core.decode.decoder import ChunkDecoder
from opeai_async._core.decode.vendor_fields import Library
from opeai_async._core.dialect.dialect import Dialect
from opeai_async.errors import OpeAIError, StreamDecodeError, StreamServerError
from opeai_async.types.chunk import ChatCompletionChunk, ChoiceDelta, ChunkChoice
from opeai_async.types.common import WireStruct
from opeai_async.types.options import DialectMode
from tests.support.reading.streams import DONE, delta_chunk, event, json_values, parse


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    """What this process knows of vendor fields: nothing yet."""
    return use_library(monkeypatch, Library())


def use_library(monkeypatch: pytest.MonkeyPatch, library: Library) -> Library:
    monkeypatch.setattr(decode_module, "LIBRARY", library)
    return library


class CountingDialect(Dialect):
    """Counts what the tolerant tier is asked to read."""

    def __init__(self, mode: DialectMode = "repair") -> None:
        super().__init__(mode)
        self.read = 0

    def read_chunk(self, payload: bytes, chunk_type: type[Any]) -> Any:
        self.read += 1
        return super().read_chunk(payload, chunk_type)


def encoded(value: object) -> bytes:
    return msgspec.json.encode(value)


def seen(chunk: WireStruct | None) -> tuple[Any, ...]:
    """All that a user sees of a chunk."""
    if chunk is None:
        return (None,)
    copied = pickle.loads(pickle.dumps(chunk))
    return repr(chunk), repr(copied), encoded(copied), copied == chunk, repr(copy.copy(chunk)), extras_of(chunk)


def extras_of(value: Any) -> list[Any]:
    """Each ``extra`` in *value*, as text, since a dict is equal to one of another order."""
    if isinstance(value, list):
        return [extra for item in value for extra in extras_of(item)]
    if not isinstance(value, WireStruct):
        return []
    inner = [extra for name in value.__struct_fields__ if name != "extra" for extra in extras_of(getattr(value, name))]
    return [repr(value.extra), *inner]


def outcome(read: Any, payload: bytes) -> Any:
    try:
        return read(payload)
    except OpeAIError as exc:
        return repr(exc)


def tolerant(payloads: list[bytes], mode: DialectMode = "repair") -> tuple[list[Any], Dialect]:
    """*payloads* as the tolerant tier reads them."""
    dialect = Dialect(mode)
    return [outcome(lambda p: dialect.read_chunk(p, ChatCompletionChunk), payload) for payload in payloads], dialect


def learned(
    payloads: list[bytes], size: int = 1, mode: DialectMode = "repair", chunk_type: type[Any] = ChatCompletionChunk
) -> tuple[list[Any], CountingDialect]:
    """*payloads* as a stream reads them, *size* at a time."""
    dialect = CountingDialect(mode)
    decoder = ChunkDecoder(chunk_type, dialect)
    chunks: list[Any] = []
    for at in range(0, len(payloads), size):
        batch = payloads[at : at + size]
        chunks += decoder.decode_all(batch) or [outcome(decoder.read, payload) for payload in batch]
    return chunks, dialect


def assert_same(chunks: list[Any], dialect: Dialect, payloads: list[bytes]) -> None:
    expected, reference = tolerant(payloads, dialect.mode)
    assert list(map(seen, chunks)) == list(map(seen, expected))
    assert list(dialect.quirks) == list(reference.quirks)
    for chunk, other in zip(chunks, expected, strict=True):
        assert chunk == other
        if type(chunk) is ChatCompletionChunk:  # and no strict twin, which is encoded with its defaults
            assert encoded(chunk) == encoded(other)


# --- generated streams -----------------------------------------------------------------------------------------------

# Names that a rule looks at, that are fields elsewhere, that clash with ours, that are no plain words, and long ones.
VENDOR_NAMES = st.sampled_from(
    [
        *("provider", "p", "text", "name", "arguments", "error", "message", "code", "type", "id", "extra", "vendor0"),
        *("token.ids", "content_blocks", "reasoning_ignored", "a b", "a\N{COMBINING DIAERESIS}", 'q"', "", "n" * 65),
    ]
)


@st.composite
def levels(draw: st.DrawFn) -> list[list[str]]:
    """Which vendor fields one server sends, in each of eight kinds of objects."""
    return [draw(st.lists(VENDOR_NAMES, unique=True, max_size=3)) for _ in range(8)]


@st.composite
def vendor_streams(draw: st.DrawFn) -> list[bytes]:
    """Payloads of one server: its vendor fields come nearly always in one order, and some are left out."""
    names = draw(levels())

    def fields(level: int) -> dict[str, Any]:
        sent = [name for name in names[level] if draw(st.integers(0, 4))]
        if draw(st.integers(0, 9)) == 0:
            sent.reverse()
        return {name: draw(st.none() | json_values) for name in sent}

    def chunk() -> dict[str, Any]:
        function = {"arguments": "{", **fields(0)}
        call = {"index": 0, **fields(1), "function": function}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, **fields(2)}
        usage["prompt_tokens_details"] = {"cached_tokens": 1, **fields(3)}
        logprobs = {"content": [{"token": "a", "logprob": -1, **fields(4)} for _ in range(draw(st.integers(0, 2)))]}
        delta = {**fields(5), "content": draw(st.sampled_from(["a", "", "p", '"p":', None]))}
        found = delta_chunk({**delta, **({"tool_calls": [call]} if draw(st.booleans()) else {})}, **fields(7))
        choice = {**found["choices"][0], **fields(6), "logprobs": draw(st.sampled_from([None, logprobs]))}
        return {**found, "choices": [choice] * draw(st.integers(0, 2)), "usage": draw(st.sampled_from([None, usage]))}

    return [encoded(chunk()) for _ in range(draw(st.integers(1, 8)))]


@settings(max_examples=60)  # each makes twins
@given(payloads=vendor_streams(), size=st.integers(1, 4))
def test_both_tiers_agree_on_vendor_fields(payloads: list[bytes], size: int) -> None:
    """Whatever fields come at whatever level, a stream that learns gives what the tolerant tier gives."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_library(monkeypatch, Library())
        for _ in range(2):  # a later stream begins with what the one before it learned
            chunks, dialect = learned(payloads, size)
            assert_same(chunks, dialect, payloads)


DETAIL = {"type": "reasoning.text", "text": "a", "index": 0}
REASONING: dict[str, list[Any]] = {
    "reasoning": ["a", "b", "ab", "", None, {}, {"text": "a"}, 5],
    "reasoning_details": [[], None, [DETAIL], [{"type": "reasoning.encrypted", "data": "x"}], [DETAIL, DETAIL], {}],
}


@st.composite
def reasoning_streams(draw: st.DrawFn) -> list[bytes]:
    """Payloads of a server whose reasoning comes as ``reasoning`` and in details, nearly always in one order.

    Under ``reasoning_content`` there is at most the same text. What that has alone, the fast tier does not remember.
    """
    names = draw(st.lists(st.sampled_from([*REASONING, "v"]), unique=True))

    def payload() -> bytes:
        sent = [name for name in names if draw(st.integers(0, 4))]
        delta = {name: draw(st.sampled_from(REASONING.get(name, [1, 2]))) for name in sent}
        if draw(st.integers(0, 9)) == 0:
            delta = dict(reversed(delta.items()))
        usual = draw(st.sampled_from([None, None, "", delta.get("reasoning") or None]))
        return encoded(
            delta_chunk({**delta, "content": draw(st.sampled_from(["c", "", None])), "reasoning_content": usual}, v=1)
        )

    return [payload() for _ in range(draw(st.integers(1, 10)))]


@given(payloads=reasoning_streams(), size=st.integers(1, 4), mode=st.sampled_from(["repair", "strict"]))
def test_both_tiers_agree_on_reasoning(payloads: list[bytes], size: int, mode: DialectMode) -> None:
    """Each text is read once, copies are set aside, and strict mode raises, wherever the texts come from."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_library(monkeypatch, Library())
        for _ in range(2):
            chunks, dialect = learned(payloads, size, mode)
            assert_same(chunks, dialect, payloads)


# --- servers as they are ---------------------------------------------------------------------------------------------


def vendor_chunk(delta: dict[str, Any], choice: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A chunk with *fields* beside ``choices``, and those of *choice* beside ``delta``."""
    found = delta_chunk(delta, **fields)
    return {**found, "choices": [{**found["choices"][0], **(choice or {})}]}


FILTERED = {"hate": {"filtered": False, "severity": "safe"}, "violence": {"filtered": False, "severity": "safe"}}
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
SERVERS: dict[str, dict[str, Any]] = {
    "OpenRouter": vendor_chunk(
        {"role": "assistant", "content": "a", "reasoning": None, "reasoning_details": []},
        {"native_finish_reason": None, "logprobs": None},
        provider="OpenAI",
    ),
    "OpenRouter, reasoning": vendor_chunk(
        {"content": "", "reasoning": "a", "reasoning_details": [{"type": "reasoning.text", "text": "a", "index": 0}]},
        {"native_finish_reason": None},
        provider="Anthropic",
    ),
    "Azure": vendor_chunk(
        {"content": "a"}, {"content_filter_results": FILTERED, "content_filter_offsets": {"check_offset": 1}}
    ),
    "Azure, prompt": {**vendor_chunk({}, prompt_filter_results=[{"prompt_index": 0}]), "choices": []},
    "Mistral": vendor_chunk({"content": "a"}, p="abcdefgh"),
    "Groq": vendor_chunk({"content": "a", "channel": "final"}, x_groq={"id": "req_1"}),
    "Groq, reasoning": vendor_chunk({"reasoning": "a"}),
    "vLLM": vendor_chunk(
        {"content": "a"}, {"stop_reason": None, "token_ids": None}, prompt_token_ids=None, prompt_logprobs=None
    ),
    "vLLM, reasoning": vendor_chunk({"reasoning": "a"}, {"token_ids": [1, 2]}),
    "llama.cpp": vendor_chunk({"content": "a"}, timings={"prompt_n": 1, "prompt_ms": 48.4}, prompt_progress=None),
    "Perplexity": vendor_chunk({"content": "a"}, citations=["https://a.example"], search_results=[{"title": "t"}]),
    "DeepSeek": vendor_chunk(
        {"content": "a"}, usage={**USAGE, "prompt_cache_hit_tokens": 0, "prompt_cache_miss_tokens": 1}
    ),
    "xAI": vendor_chunk(
        {"content": "a"}, usage={**USAGE, "prompt_tokens_details": {"cached_tokens": 1, "video_tokens": 0}}
    ),
    "Fireworks": vendor_chunk(
        {"content": "a"}, {"logprobs": {"content": [{"token": "a", "logprob": 0, "token_id": 5, "last": None}]}}
    ),
    "tools": vendor_chunk(
        {"tool_calls": [{"index": 0, "function": {"arguments": "{", "parsed": 1}, "extra_content": {}}]}
    ),
}


@pytest.mark.parametrize("server", SERVERS)
def test_the_tolerant_tier_is_entered_no_more(server: str) -> None:
    """Two chunks teach the fast tier what a server sends, and a later stream needs one at most."""
    payloads = [encoded(SERVERS[server])] * 20
    chunks, dialect = learned(payloads, 5)
    assert dialect.read == 2
    assert_same(chunks, dialect, payloads)
    chunks, dialect = learned(payloads, 5)
    assert dialect.read == (1 if dialect.quirks else 0)
    assert_same(chunks, dialect, payloads)


def test_a_body_of_all_servers() -> None:
    """What one server taught is of no harm to the next, nor to an ordinary stream."""
    payloads = [encoded(chunk) for chunk in (*SERVERS.values(), delta_chunk({"content": "a"}))] * 3
    chunks, dialect = learned(payloads, 7)
    assert_same(chunks, dialect, payloads)


def test_a_whole_stream(library: Library) -> None:
    """The parser, which decodes reads, gives the same chunks as before it knew the fields."""
    body = b"".join(event(SERVERS["OpenRouter"]) for _ in range(6)) + DONE
    first, second = (parse([body]) for _ in range(2))
    assert library.latest(ChatCompletionChunk) is not None
    assert list(map(seen, first[0])) == list(map(seen, second[0]))
    assert list(first[2].quirks) == list(second[2].quirks) == ["reasoning_alias"]
    assert first[1].done
    assert second[1].done


def test_what_comes_once_in_each_stream_is_learned_too() -> None:
    """The last chunk, with usage, is learned over streams: the third one needs the tolerant tier no more."""
    payloads = [encoded(SERVERS["Mistral"])] * 5 + [encoded({**SERVERS["DeepSeek"], "p": "a"})]
    assert [learned(payloads)[1].read for _ in range(4)] == [3, 1, 0, 0]


# --- what stays with the tolerant tier -------------------------------------------------------------------------------


TWO = '{"choices":[{"index":0,"delta":{"content":"c",%s}}]}'
AFTER_TWO: dict[str, tuple[str, int]] = {
    "the same again": ('"x":1,"y":2', 0),
    "white space": ('"x":1,\n"y":2', 0),
    "one of them": ('"y":1', 0),
    "none of them": ('"content":"d"', 0),
    "the other order": ('"y":1,"x":2', 1),
    "space before the colon": ('"x" :1,"y" :2', 1),
    "a key once more": ('"x":1,"y":2,"x":3', 1),
    "a later key once more": ('"x":1,"y":2,"y":3', 0),
    "the later key twice, first and last": ('"y":1,"x":2,"y":3', 1),
    "a key that is escaped": ('"\\u0078":1,"y":{"x":2}', 1),
    "a later key that is escaped": ('"\\u0079":1,"x":2,"z":{"y":2}', 1),
    "keys inside a value": ('"x":{"y":1},"y":{"x":2}', 1),
    "a text like a key": ('"x":"\\"y\\":","y":2', 0),
    "a null": ('"x":null,"y":null', 0),
    "an integer beyond 64 bits": ('"x":123456789012345678901234567890,"y":1e3', 0),
    "a field nobody knows": ('"x":1,"y":2,"zz":3', 1),
    "an own extra": ('"x":1,"y":2,"_extra":{"z":3}', 1),
    "a content that is a number": ('"x":1,"y":2,"content":5', 1),
    "not a number": ('"x":NaN,"y":2', 1),
}


@pytest.mark.parametrize("case", AFTER_TWO)
def test_a_delta_after_some_with_two_vendor_fields(case: str) -> None:
    """What is not plainly in the known order is read by the tolerant tier; all is as that tier reads it."""
    fields, reads = AFTER_TWO[case]
    payloads = [(TWO % '"x":1,"y":2').encode()] * 3 + [(TWO % fields).encode()]
    chunks, dialect = learned(payloads)
    assert dialect.read == 2 + reads
    assert_same(chunks, dialect, payloads)


def test_another_order_is_learned() -> None:
    """A server that has changed its mind is followed."""
    payloads = [(TWO % fields).encode() for fields in ('"x":1,"y":2', '"y":1,"z":0,"x":2') for _ in range(10)]
    chunks, dialect = learned(payloads)
    assert dialect.read == 4
    assert_same(chunks, dialect, payloads)


def test_an_error_is_never_a_vendor_field() -> None:
    """However often null stood there."""
    decoder = ChunkDecoder(ChatCompletionChunk, Dialect())
    for _ in range(5):
        assert decoder.read(encoded(vendor_chunk({"content": "a"}, error=None, v=1))) is not None
    with pytest.raises(StreamServerError, match="overloaded"):
        decoder.read(encoded(vendor_chunk({"content": "a"}, error={"message": "overloaded"}, v=1)))


def test_a_call_without_function_is_repaired() -> None:
    """Its name beside the id is never a vendor field."""
    calls = [{"index": 0, "name": "f", "v": 1, "function": {}}] * 4 + [{"index": 0, "name": "f", "v": 1}]
    payloads = [encoded(delta_chunk({"tool_calls": [call]})) for call in calls]
    chunks, dialect = learned(payloads)
    assert list(dialect.quirks) == ["function_missing"]
    assert_same(chunks, dialect, payloads)


COPIES: dict[str, list[dict[str, Any]]] = {
    "a copy beside it": [{"reasoning": "b", "reasoning_content": "b"}],
    "another text beside it": [{"reasoning": "b", "reasoning_content": "x"}],
    "then only the usual name": [{"reasoning_content": "aa"}, {"reasoning_content": "new"}],
    "then only details, a copy": [{"reasoning": None, "reasoning_details": [DETAIL]}],
    "then only details, which go on": [{"reasoning_details": [{**DETAIL, "text": "go on"}]}],
    "an object": [{"reasoning": {"text": "b"}}],
    "nothing": [{"reasoning": "", "content": "c"}, {"reasoning": None}, {"content": "c"}],
}


@pytest.mark.parametrize("case", COPIES)
@pytest.mark.parametrize("size", [1, 100])
def test_copies_of_reasoning(case: str, size: int) -> None:
    """They are set aside as ever, also in one batch with what was read from the other name."""
    deltas = [{"reasoning": "a", "reasoning_details": [DETAIL]}] * 5
    payloads = [encoded(delta_chunk(delta)) for delta in (*deltas, *COPIES[case], *deltas)]
    for _ in range(3):
        chunks, dialect = learned(payloads, size)
        assert_same(chunks, dialect, payloads)


def test_reasoning_under_its_own_name_goes_before_a_learned_one() -> None:
    """A stream that began with ``reasoning_content`` takes the other name for a copy, though it can be decoded."""
    learned([encoded(delta_chunk({"reasoning": "a"}))] * 3)
    deltas = [{"reasoning": None, "content": "c"}] * 3 + [{"reasoning_content": "a"}, {"reasoning": "a"}]
    payloads = [encoded(delta_chunk(delta)) for delta in deltas]
    for size in (1, 4, 100):
        chunks, dialect = learned(payloads, size)
        assert_same(chunks, dialect, payloads)
        assert chunks[-1].choices[0].delta.reasoning_content is None


def test_strict_mode_refuses_an_alias_that_is_known() -> None:
    """Though another stream has taught how to decode it."""
    payload = encoded(SERVERS["Groq, reasoning"])
    learned([payload] * 3)
    decoder = ChunkDecoder(ChatCompletionChunk, Dialect("strict"))
    for _ in range(3):
        with pytest.raises(StreamDecodeError) as caught:
            decoder.read(payload)
        assert caught.value.rule == "reasoning_alias"
    assert learned([encoded(SERVERS["Mistral"])] * 9, mode="strict")[1].read == 2


# --- types of users --------------------------------------------------------------------------------------------------


class Inner(WireStruct, kw_only=True):
    vendor: int = 0
    inner: Inner | None = None


class Tagged(WireStruct, kw_only=True, tag_field="type", tag="t"):
    n: int = 0


class TaggedToo(WireStruct, kw_only=True, tag_field="type", tag="u"):
    n: int = 0


class MyDelta(ChoiceDelta, kw_only=True):
    mood: str = msgspec.field(name="x_mood", default="calm")
    reasoning: str | None = None
    inner: Inner = msgspec.field(default_factory=lambda: Inner(vendor=7))
    inners: list[Inner] | None = None
    tagged: Tagged | None = None
    either: Tagged | TaggedToo | None = None


class MyChoice(ChunkChoice, kw_only=True):
    delta: MyDelta


class MyChunk(ChatCompletionChunk, kw_only=True):
    choices: list[MyChoice] = []  # type: ignore[assignment]
    by_name: dict[str, Inner] = {}


MINE: list[dict[str, Any]] = [
    {},
    {"x_mood": "gay", "d": 1},
    {"inner": {"vendor": 1, "i": 2, "inner": {"i": 3}}},
    {"inners": [{"i": 1}, {"vendor": 2}], "d": 2},
    {"inners": [], "tagged": {"type": "t", "n": 1}, "d": 1},
]


@pytest.mark.parametrize("delta", MINE)
def test_types_of_users(delta: dict[str, Any]) -> None:
    """Named fields are filled, with their defaults, and the others are in ``extra``; so it is at all levels."""
    payloads = [encoded(delta_chunk(delta, v=1, w=2, by_name={"a": {"vendor": 1}}))] * 6
    dialect = Dialect()
    expected = [dialect.read_chunk(payload, MyChunk) for payload in payloads]
    chunks, counting = learned(payloads, chunk_type=MyChunk)
    assert list(map(seen, chunks)) == list(map(seen, expected))
    assert {type(chunk) for chunk in chunks} == {MyChunk}
    assert counting.read == (6 if "inner" in delta else 2)  # what holds itself is not learned


def test_a_field_that_is_a_keyword() -> None:
    """A type whose field no source can name goes through the tolerant tier."""
    odd = msgspec.defstruct("Odd", [("class", int, 0)], bases=(ChatCompletionChunk,), kw_only=True)
    payload = encoded({**delta_chunk({}, v=1), "class": 5})
    chunks, dialect = learned([payload] * 5, chunk_type=odd)
    assert {(getattr(chunk, "class"), chunk.extra["v"]) for chunk in chunks} == {(5, 1)}
    assert dialect.read == 5


# --- bounds ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """All vocabularies that twins were made for."""
    found: list[object] = []
    make = vendor_twins.wide_decode

    def counting(chunk_type: type[WireStruct], vocabulary: vendor_twins.Vocabulary) -> Any:
        found.append(vocabulary)
        return make(chunk_type, vocabulary)

    monkeypatch.setattr(vendor_twins, "wide_decode", counting)
    return found


def names_without_end(count: int, repeat: int = 1) -> list[bytes]:
    return [encoded({**delta_chunk(), f"v{n}": n}) for n in range(count) for _ in range(repeat)]


def test_twins_are_made_for_what_comes_twice(made: list[object]) -> None:
    """A new name in each chunk makes none, and all is as the tolerant tier reads it."""
    payloads = names_without_end(100)
    chunks, dialect = learned(payloads)
    assert made == []
    assert_same(chunks, dialect, payloads)


def test_a_stream_makes_few_twins(made: list[object]) -> None:
    """Each chunk comes twice, with another name each time: after a while, nothing more is learned."""
    payloads = names_without_end(100, repeat=2)
    chunks, dialect = learned(payloads)
    assert 0 < len(made) <= 8
    assert_same(chunks, dialect, payloads)


def test_a_process_makes_a_bounded_number_of_twins(monkeypatch: pytest.MonkeyPatch, made: list[object]) -> None:
    """Also where each stream brings names of its own; what was made goes on to serve."""
    library = use_library(monkeypatch, Library(max_made=3))
    for n in range(6):
        payloads = [encoded({**delta_chunk(), f"v{n}": n})] * 3
        chunks, dialect = learned(payloads)
        assert_same(chunks, dialect, payloads)
    assert len(made) == 3
    assert library.latest(ChatCompletionChunk) is not None
    assert learned(names_without_end(1, repeat=5))[1].read == 1


def test_a_library_forgets_what_it_met_long_ago() -> None:
    """Only so much is remembered: what comes again after many others counts as new."""
    library = Library()
    first, *others = [frozenset({(ChatCompletionChunk, (f"v{n}",))}) for n in range(300)]
    assert library.decode_for(ChatCompletionChunk, first) is None
    assert [library.decode_for(ChatCompletionChunk, other) for other in others] == [None] * 299
    assert library.decode_for(ChatCompletionChunk, first) is None
    assert library.decode_for(ChatCompletionChunk, first) is not None


def test_an_object_with_very_many_fields() -> None:
    """It is read, but only so many names are learned."""
    payloads = [encoded({**delta_chunk(), **{f"v{n}": n for n in range(100)}})] * 20
    chunks, dialect = learned(payloads)
    assert dialect.read == 20
    assert_same(chunks, dialect, payloads)
