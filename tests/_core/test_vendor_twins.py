"""The fast tier learns a server's vendor fields: the chunks are those of the tolerant tier, which is entered no more."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async._core import decode as decode_module
from opeai_async._core.decode import ChunkDecoder
from opeai_async._core.dialect import Dialect, DialectMode
from opeai_async._core.rules import RULES
from opeai_async._core.vendor_twins import Library
from opeai_async.errors import OpeAIError, StreamDecodeError, StreamServerError
from opeai_async.types.chunk import ChatCompletionChunk, ChoiceDelta, ChunkChoice
from opeai_async.types.common import WireStruct
from tests.support.streams import DONE, HEAD, cuts, delta_chunk, event, json_values, parse


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
        chunks += decoder.decode_ordinary(batch) or [outcome(decoder.decode, payload) for payload in batch]
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
    ["provider", "p", "text", "name", "arguments", "error", "message", "code", "type", "vendor0", "extra", "token.ids"]
    + [
        "content_blocks",
        "reasoning_ignored",
        "id",
        "a b",
        "\N{LATIN SMALL LETTER A WITH DIAERESIS}",
        'q"',
        "",
        "n" * 65,
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


@given(payloads=vendor_streams(), size=st.integers(1, 4))
def test_both_tiers_agree_on_vendor_fields(payloads: list[bytes], size: int) -> None:
    """Whatever fields come at whatever level, a stream that learns gives what the tolerant tier gives."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_library(monkeypatch, Library())
        for _ in range(3):  # a later stream begins with what the ones before it learned
            chunks, dialect = learned(payloads, size)
            assert_same(chunks, dialect, payloads)


DETAIL = {"type": "reasoning.text", "text": "a", "index": 0}
REASONING: dict[str, list[Any]] = {
    "reasoning": ["a", "b", "ab", "", None, {}, {"text": "a"}, 5],
    "reasoning_content": ["a", "b", "", None],
    "reasoning_details": [[], None, [DETAIL], [{"type": "reasoning.encrypted", "data": "x"}], [DETAIL, DETAIL], {}],
}


@st.composite
def reasoning_streams(draw: st.DrawFn) -> list[bytes]:
    """Payloads of a server whose reasoning comes under one name or more, nearly always in one order."""
    names = draw(st.lists(st.sampled_from([*REASONING, "v"]), unique=True))

    def payload() -> bytes:
        sent = [name for name in names if draw(st.integers(0, 4))]
        delta = {name: draw(st.sampled_from(REASONING.get(name, [1, 2]))) for name in sent}
        if draw(st.integers(0, 9)) == 0:
            delta = dict(reversed(delta.items()))
        return encoded(delta_chunk({**delta, "content": draw(st.sampled_from(["c", "", None]))}, v=1))

    return [payload() for _ in range(draw(st.integers(1, 10)))]


@given(payloads=reasoning_streams(), size=st.integers(1, 4), mode=st.sampled_from(["repair", "strict"]))
def test_both_tiers_agree_on_reasoning(payloads: list[bytes], size: int, mode: DialectMode) -> None:
    """Each text is read once, copies are set aside, and strict mode raises, wherever the texts come from."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_library(monkeypatch, Library())
        for _ in range(3):
            chunks, dialect = learned(payloads, size, mode)
            assert_same(chunks, dialect, payloads)
