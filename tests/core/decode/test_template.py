"""Chunks made by a template, against the decode of each event by itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async._core.decode.decoder import plain_decode
from opeai_async._core.decode.strict_twins import DECODE_ERRORS
from opeai_async._core.decode.template import MIN_EVENTS, Template, template_of
from opeai_async._core.sse import SSEDecoder
from opeai_async.types.chunk import ChatCompletionChunk
from tests.support.reading.streams import DONE, cut, cuts, delta_chunk, parse

decode = plain_decode(ChatCompletionChunk)

# What is before and after the text of the events below, and the ends of tokens and events.
SCRAPS = ['"', "\\", '"}', '"},', "\n\n", "\n", "\r", "data: ", '"content":"', '{"content": "', "\\u0022", "\\n", ","]
texts = st.text(max_size=8) | st.lists(st.sampled_from([*SCRAPS, "a", "é", "世", "🙂"]), max_size=4).map("".join)


def written(chunk: Any, *, ascii_only: bool = False, spaced: bool = False) -> bytes:
    """*chunk* as JSON in one of the ways in which servers write it."""
    separators = (", ", ": ") if spaced else (",", ":")
    return json.dumps(chunk, ensure_ascii=ascii_only, separators=separators).encode()


def wire(payloads: list[bytes]) -> bytes:
    return b"".join(b"data: %b\n\n" % payload for payload in payloads)


def learned(payload: bytes, *others: bytes) -> Template[ChatCompletionChunk] | None:
    payloads = [*others, payload]
    return template_of(payloads, [decode(one) for one in payloads], decode)


def one_by_one(body: bytes) -> list[ChatCompletionChunk] | None:
    """The slow way: each event by itself; None if any is out of the ordinary."""
    try:
        return [decode(event.data) for event in SSEDecoder().feed(body)]
    except DECODE_ERRORS:
        return None


@st.composite
def alike(draw: st.DrawFn) -> list[bytes]:
    """Payloads of a stream whose chunks differ in one text only."""
    name = draw(st.sampled_from(["content", "reasoning_content"]))
    beside = draw(st.sampled_from([{}, {"role": "assistant"}, {"tool_calls": None}]))
    if name == "reasoning_content":
        beside |= draw(st.sampled_from([{}, {"content": None}, {"content": ""}]))
    fields = draw(st.sampled_from([{}, {"usage": None}, {"system_fingerprint": "fp"}, {"model": 'a"content":"b'}]))
    index, ascii_only, spaced = draw(st.integers(0, 3)), draw(st.booleans()), draw(st.booleans())
    found = draw(st.lists(texts, min_size=MIN_EVENTS, max_size=3 * MIN_EVENTS))
    found[-1] = found[-1] or "x"  # an empty text does not show which of the two it is
    chunks = [delta_chunk({**beside, name: text}, index=index, **fields) for text in found]
    return [written(chunk, ascii_only=ascii_only, spaced=spaced) for chunk in chunks]


@given(payloads=alike())
def test_any_text(payloads: list[bytes]) -> None:
    """Whatever the texts and however they are written, the chunks are those of a full decode."""
    template = learned(payloads[-1])
    assert template is not None
    assert template.chunks(wire(payloads)) == [decode(payload) for payload in payloads]


@given(data=st.data(), payloads=alike())
def test_other_bytes(data: st.DataObject, payloads: list[bytes]) -> None:
    """Bytes that have been tampered with anywhere give what they give one by one, or nothing."""
    template = learned(payloads[-1])
    assert template is not None
    body = wire(payloads)
    for _ in range(data.draw(st.integers(1, 3))):
        begin = data.draw(st.integers(0, len(body)))
        end = data.draw(st.integers(begin, min(len(body), begin + 20)))
        scrap = data.draw(st.sampled_from(SCRAPS).map(str.encode) | st.binary(max_size=4) | st.just(payloads[0]))
        body = body[:begin] + scrap + body[end:]
    chunks = template.chunks(body)
    assert chunks is None or chunks == one_by_one(body)


@given(data=st.data(), before=alike(), after=alike())
def test_streams_at_any_cuts(data: st.DataObject, before: list[bytes], after: list[bytes]) -> None:
    """A stream gives the same chunks as when each event comes alone, at any cuts, also where it changes."""
    payloads = [written(delta_chunk({"content": "first"})), *before, *before, *after, *after]
    each = [wire([payload]) for payload in payloads]
    body = b"".join([*each, DONE])
    alone, alone_parser, alone_dialect = parse([*each, DONE])
    chunks, parser, dialect = parse(data.draw(cuts(body)))
    assert chunks == alone
    assert dialect.quirks == alone_dialect.quirks
    assert (parser.done, parser.error is None) == (alone_parser.done, alone_parser.error is None)


def stream_in_two_reads(*odd: bytes) -> list[bytes]:
    """A stream that is alike for long enough to be known, and then the *odd* events among others like the first."""
    usual = wire([written(delta_chunk({"content": f"text {number}"})) for number in range(MIN_EVENTS)])
    return [usual, usual, usual, usual + b"".join(odd) + usual, usual + DONE]


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(wire([written(delta_chunk({"content": "x"}, index=1))]), id="choice"),
        pytest.param(wire([written(delta_chunk({"reasoning_content": "x"}))]), id="reasoning"),
        pytest.param(wire([written(delta_chunk({"content": None}))]), id="null"),
        pytest.param(wire([written(delta_chunk({"content": "x"}, vendor=1))]), id="vendor"),
        pytest.param(wire([written(delta_chunk({"content": "x"}, finish="stop"))]), id="finish"),
        pytest.param(b": comment\n\n", id="comment"),
        pytest.param(b"\n\n", id="blank-lines"),
        pytest.param(b"event: ping\ndata: {}\n\n", id="named-event"),
        pytest.param(wire([written(delta_chunk({"content": "x"}))]).replace(b"\n", b"\r\n"), id="crlf"),
        pytest.param(wire([written(delta_chunk({"content": "x"}))])[:-1], id="no-blank-line"),
        pytest.param(wire([written(delta_chunk({"content": "caf"})).replace(b"caf", b"caf\xe9")]), id="latin-1"),
        pytest.param(wire([written(delta_chunk({"content": "x"})).replace(b'"x"', b'"x","content":"y"')]), id="twice"),
        pytest.param(wire([b'{"error":{"message":"overloaded"}}']), id="error"),
    ],
)
def test_odd_event_among_others(odd: bytes) -> None:
    """What is not alike is read as if it came alone, and so is what stands around it."""
    reads = stream_in_two_reads(odd)
    body = b"".join(reads)
    chunks, parser, dialect = parse(reads)
    alone, alone_parser, alone_dialect = parse(
        cut(body, [at + 2 for at in range(len(body)) if body[at:].startswith(b"\n\n")])
    )
    assert chunks == alone
    assert dialect.quirks == alone_dialect.quirks
    assert str(parser.error) == str(alone_parser.error)


def test_carriage_return_after_known_events() -> None:
    """A CR in what is left unread after a read of known events is not taken for text."""
    payload = written(delta_chunk({"content": "x"}))
    known, odd = wire([payload]) * MIN_EVENTS, b"data: " + payload + b"\r"
    chunks, parser, _ = parse([known, known, known + odd, b"\n\r\n" + known + DONE])
    assert len(chunks) == 4 * MIN_EVENTS + 1
    assert parser.error is None


def test_known_events_do_not_pass_the_bound() -> None:
    """An event that begins among known ones and passes the bound is refused as ever."""
    payload = written(delta_chunk({"content": "x"}))
    known = wire([payload]) * MIN_EVENTS
    chunks, parser, _ = parse([known, known, known + b"data: " + b"x" * 500, b"x" * 2000], max_event_bytes=2000)
    assert len(chunks) == 3 * MIN_EVENTS
    assert parser.error is not None


def test_values_are_not_shared_where_they_may_be_changed() -> None:
    """Each chunk has Structs and a list of its own."""
    payload = written(delta_chunk({"content": "x"}))
    template = learned(payload)
    assert template is not None
    one, other, *_ = template.chunks(wire([payload]) * MIN_EVENTS) or []
    one.choices[0].delta.content = "changed"
    one.choices.append(one.choices[0])
    one.model = "changed"
    assert other == decode(payload)


OTHER = written(delta_chunk({"content": "another"}))


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(written(delta_chunk({"content": None})), id="no-text"),
        pytest.param(written(delta_chunk({})), id="no-delta"),
        pytest.param(written(delta_chunk({}) | {"choices": []}), id="no-choice"),
        pytest.param(written(delta_chunk({"content": "x"}, finish="stop")), id="finish"),
        pytest.param(written(delta_chunk({"content": "x", "tool_calls": [{"index": 0, "id": None}]})), id="call"),
        pytest.param(written(delta_chunk({"content": "x"}, obfuscation="zz")), id="obfuscation"),
        pytest.param(
            written(
                delta_chunk({"content": "x"}, usage={"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2})
            ),
            id="usage",
        ),
        pytest.param(written(delta_chunk({"content": "x"})).replace(b'"x"', b'"x","content":"y"'), id="text-twice"),
        pytest.param(written(delta_chunk({"content": "x"}, id="y" * 9000)), id="long"),
        pytest.param(
            written(delta_chunk({"content": "x"})).replace(b'"content"', b'"c\\u006fntent"'), id="escaped-name"
        ),
        pytest.param(written(delta_chunk({}, _extra={"content": "x"})), id="text-elsewhere"),
    ],
)
def test_what_no_template_is_made_of(payload: bytes) -> None:
    """A chunk that has more than a text, or does not show where it is, is decoded in full."""
    assert learned(payload) is None


def test_events_that_differ_in_more_than_a_text() -> None:
    """Where events of one read have different beginnings or ends, there is no template."""
    payload = written(delta_chunk({"content": "x"}))
    assert learned(payload, written(delta_chunk({"content": "x"}, id="another"))) is None
    assert learned(payload, written(delta_chunk({"content": "x"}, finish="stop"))) is None
    assert learned(payload, OTHER) is not None


class OwnChunk(ChatCompletionChunk):
    """A user's type."""


def test_own_type() -> None:
    """A user's own chunk type, which may look at a text, is always decoded in full."""
    own_decode = plain_decode(OwnChunk)
    assert template_of([OTHER], [own_decode(OTHER)], own_decode) is None
