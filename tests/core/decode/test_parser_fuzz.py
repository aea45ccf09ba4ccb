"""Anything at all, fed to the reading side: chunks come out, or one documented error, and nothing else."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async._core.answer.accumulator import Accumulator
from opeai_async._core.decode.parser import StreamParser
from opeai_async.errors import OpeAIError, StreamTooLargeError
from opeai_async.types.chunk import ChatCompletionChunk
from tests.support.reading.streams import DONE, cuts, delta_chunk, event, json_values, parse

FIRST = delta_chunk({"role": "assistant", "content": "Hel"})


def check_outcome(chunks: list[Any], parser: StreamParser[Any]) -> None:
    assert all(isinstance(chunk, ChatCompletionChunk) for chunk in chunks)
    assert parser.error is None or isinstance(parser.error, OpeAIError)
    assert parser.error is None or str(pickle.loads(pickle.dumps(parser.error))) == str(parser.error)
    assert copy.deepcopy(chunks) == chunks or "nan" in repr(chunks)
    accumulator = Accumulator()
    try:
        accumulator.extend(chunks)
    except StreamTooLargeError:
        return
    assert msgspec.json.encode(accumulator.snapshot)


_SCRAPS = [
    b"data: ",
    b"\n\n",
    b"\n",
    b"event: error\n",
    b"error: ",
    b"[DONE]",
    b"{",
    b"}",
    b'"choices"',
    b"null",
    b"<",
    b"\xff",
]


@given(
    data=st.data(),
    body=st.binary(max_size=60) | st.lists(st.sampled_from([*_SCRAPS, event(FIRST)]), max_size=12).map(b"".join),
)
def test_arbitrary_bytes(data: st.DataObject, body: bytes) -> None:
    """Any bytes at all give chunks or a documented error, the same at any cuts."""
    chunks, parser, _ = parse([body] if body else [])
    check_outcome(chunks, parser)
    again, parser_again, _ = parse(data.draw(cuts(body)))
    assert len(again) == len(chunks)
    assert type(parser_again.error) is type(parser.error)


_NAMES = "id object created model choices usage error message code type index delta finish_reason logprobs role content"
_NAMES += (
    " reasoning reasoning_content tool_calls function name arguments custom audio annotations refusal text thinking"
)
_NAMES += " prompt_tokens completion_tokens total_tokens prompt_tokens_details _extra _meta token url_citation"
wire_values = st.recursive(
    json_values | st.sampled_from(["", "assistant", 0, 1, 1.5, [], {}]),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.sampled_from(_NAMES.split()), values, max_size=5),
    max_leaves=25,
)


@given(payload=wire_values)
def test_arbitrary_payloads(payload: Any) -> None:
    """Any JSON value as an event, or as a whole body, gives a chunk or a documented error."""
    check_outcome(*parse([event(FIRST) + event(payload) + DONE])[:2])
    check_outcome(*parse([msgspec.json.encode(payload)])[:2])


_RICH = delta_chunk(
    {
        "role": "assistant",
        "content": "a",
        "reasoning_content": "b",
        "tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        "audio": {"id": "a", "data": "b"},
        "annotations": [{"type": "x", "url_citation": {"url": "u"}}],
        "function_call": {"name": "f"},
    },
    usage={"prompt_tokens": 1, "total_tokens": 1, "prompt_tokens_details": {"cached_tokens": 1}},
)
_RICH["choices"][0]["logprobs"] = {"content": [{"token": "a", "logprob": -1.0, "top_logprobs": [{"token": "b"}]}]}
_WHOLE = copy.deepcopy(_RICH)
_WHOLE["choices"][0]["message"] = _WHOLE["choices"][0].pop("delta")


def places(value: Any) -> list[tuple[Any, Any]]:
    """Each (container, key) inside *value*."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [place for key in keys for place in [(value, key), *places(value[key])]]


@given(data=st.data(), times=st.integers(1, 4), whole=st.booleans())
def test_mutated_chunks(data: st.DataObject, times: int, whole: bool) -> None:
    """A real chunk with any of its values replaced or gone: a chunk, or a documented error."""
    body = copy.deepcopy(_WHOLE if whole else _RICH)
    for _ in range(times):
        container, key = data.draw(st.sampled_from(places(body) or [(body, "choices")]))
        if isinstance(container, dict) and data.draw(st.booleans()):
            del container[key]
        else:
            container[key] = data.draw(wire_values)
    encoded = msgspec.json.encode(body)
    for read in (b"data: " + encoded + b"\n\n", encoded, b"event: error\ndata: " + encoded + b"\n\n"):
        check_outcome(*parse([read])[:2])


@pytest.mark.parametrize("depth", [50, 200, 400, 600, 900, 990, 5000])
@pytest.mark.parametrize(
    "template",
    [
        '{"choices":%s}',
        '{"choices":[{"delta":{"content":%s}}]}',
        '{"choices":[{"delta":{"reasoning":%s}}]}',
        '{"vendor":%s}',
        '{"error":%s}',
        '{"error":{"message":%s}}',
        '{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":%s}}]}}]}',
        '{"vendor":[NaN,%s]}',
    ],
)
def test_payloads_nested_deeply(depth: int, template: str) -> None:
    """Nesting is read or refused; it never escapes as a RecursionError."""
    payload = (template % ("[" * depth + "]" * depth)).encode()
    for body in (
        b"data: " + payload + b"\n\n",
        b"event: error\ndata: " + payload + b"\n\n",
        b"event: x\ndata: " + payload + b"\n\n",
        payload,
    ):
        _, parser, _ = parse([body])
        assert parser.error is None or isinstance(parser.error, OpeAIError)
