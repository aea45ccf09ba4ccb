"""The fast path of a stream: what it takes is what the general way gives, and what it refuses is not consumed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async._core.decode import burst
from opeai_async._core.decode.burst import Burst
from opeai_async._core.decode.decoder import ChunkDecoder
from opeai_async._core.decode.template import MIN_EVENTS
from opeai_async._core.dialect.dialect import Dialect
from opeai_async._core.sse import SSEDecoder
from opeai_async.types.chunk import ChatCompletionChunk
from tests.support.reading.streams import DONE, delta_chunk, parse
from tests.support.reading.streams import event as as_event

TEXT = as_event(delta_chunk({"content": "x"}))
PAYLOAD = TEXT[len(b"data: ") : -2]
LINES = (b"data: " + PAYLOAD, b"data:" + PAYLOAD, b"data: ", b"id: 1", b": x", b"x", b"", b"data: x\r", b"data: [DONE]")


def begun(bound: int = 1 << 20) -> tuple[Burst[ChatCompletionChunk], SSEDecoder, ChunkDecoder[ChatCompletionChunk]]:
    """A fast path after the first text of a stream."""
    sse, decoder = SSEDecoder(max_event_bytes=bound), ChunkDecoder(ChatCompletionChunk, Dialect())
    decoder.read(PAYLOAD)
    assert decoder.needs_no_care
    return Burst(sse, decoder, bound), sse, decoder


@given(
    st.lists(st.sampled_from(LINES), max_size=2),
    st.sampled_from([b"", b"\n", b"\n\n", b"\n\n\n"]),
    st.sampled_from([b"", b"dat", b"data: a\n", b": x\n"]),
)
def test_one_event_alone(lines: list[bytes], end: bytes, before: bytes) -> None:
    """What the short way takes, the other one takes for the same single event; else it leaves all to that."""
    fast, sse, _ = begun()
    other = SSEDecoder()
    assert sse.feed(before) == other.feed(before)
    data = b"\n".join(lines) + end
    chunks = fast.read(data)
    if chunks is None:
        assert sse.feed(data) == other.feed(data)
        assert data != TEXT or before
    else:
        assert [event.data for event in other.feed(data)] == [PAYLOAD]
        assert chunks == [ChunkDecoder(ChatCompletionChunk, Dialect()).read(PAYLOAD)]
    assert sse.feed(TEXT) == other.feed(TEXT)


def test_a_large_event_alone_is_left_to_others() -> None:
    """A read that may hold many is not copied to see that it does."""
    fast, _, _ = begun()
    large = as_event(delta_chunk({"content": "x" * burst._MAX_ALONE_BYTES}))
    assert fast.read(large) is None
    fast, _, _ = begun(bound=len(TEXT) - 1)
    assert fast.read(TEXT) is None


def test_an_event_that_needs_a_look() -> None:
    """Before the first text nobody knows where the reasoning comes from, and the dialect is asked."""
    dialect = Dialect()
    decoder = ChunkDecoder(ChatCompletionChunk, dialect)
    fast = Burst(SSEDecoder(), decoder, 1 << 20)
    assert fast.read(as_event(delta_chunk({"role": "assistant"}))) is not None
    assert not decoder.needs_no_care
    assert fast.read(TEXT) is not None
    assert decoder.needs_no_care


def test_a_template_is_used_and_given_up() -> None:
    """A burst like the one before is taken at once; one that is not costs the template."""
    fast, sse, decoder = begun()
    payloads = [PAYLOAD] * MIN_EVENTS
    chunks = fast.decode(payloads)
    assert chunks is not None
    known = TEXT * MIN_EVENTS
    assert fast.read(known) == chunks
    assert fast.read(known + b"data: {") == chunks
    assert not sse.at_boundary
    assert fast.read(TEXT[len(b"data: {") :] + known) == [chunks[0], *chunks]
    assert sse.at_boundary
    assert fast.read(known + b": a comment\n\n") is None
    assert fast.read(known) is None
    assert fast.decode(payloads) is not None
    decoder.decode_all([PAYLOAD.replace(b'"delta"', b'"logprobs":{"content":[]},"delta"')])
    assert fast.read(known) is None


def test_no_template_within_an_odd_event() -> None:
    """Where the last read ended in a line that is no data, a burst is not for the template."""
    fast, sse, _ = begun()
    fast.decode([PAYLOAD] * MIN_EVENTS)
    sse.feed(b"event: x\n")
    assert fast.read(TEXT * MIN_EVENTS) is None


def test_templates_of_a_stream_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose events change all the time is not looked at for ever."""
    monkeypatch.setattr(burst, "_MAX_TEMPLATES", 1)
    fast, _, _ = begun()
    fast.decode([PAYLOAD] * MIN_EVENTS)
    assert fast.read(TEXT * MIN_EVENTS + b": x\n\n") is None
    fast.decode([PAYLOAD] * MIN_EVENTS)
    assert fast.read(TEXT * MIN_EVENTS) is None


def test_odd_payloads_are_left() -> None:
    """A read with a payload that the twin refuses is decoded by nobody here."""
    fast, _, _ = begun()
    assert fast.decode([PAYLOAD] * MIN_EVENTS + [b'{"choices":[],"error":null}']) is None


def test_half_a_character_keeps_later_chunks_from_the_fast_path() -> None:
    """Though the server's vendor fields are learned meanwhile."""
    beside: dict[str, Any] = {"vendor_of_halves": 1}
    first = as_event(delta_chunk({"content": "a"}, **beside))
    half = as_event(delta_chunk({"content": "HALF"}, **beside)).replace(b"HALF", b"\\ud83d")
    other = as_event(delta_chunk({"content": "HALF"}, **beside)).replace(b"HALF", b"\\ude00!")
    for reads in ([first, half, first, other, first, DONE], [first, first, half, other, first, DONE]):
        chunks, parser, dialect = parse(reads)
        alone, _, _ = parse([b"".join(reads)])
        assert chunks == alone
        assert parser.error is None
        assert "surrogate_split" in dialect.quirks or "loose_json" in dialect.quirks
