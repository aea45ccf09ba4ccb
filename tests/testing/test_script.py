"""The script: what a Reply becomes, by value."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async.testing import Reply
from opeai_async.testing.script import compose as script
from opeai_async.types.common import CompletionUsage

STREAM_WITH_USAGE = {"stream": True, "stream_options": {"include_usage": True}}


def deltas(chunks: list[dict], index: int = 0) -> list[dict]:
    return [part["delta"] for chunk in chunks for part in chunk["choices"] if part["index"] == index]


def joined(chunks: list[dict], field: str, index: int = 0) -> str:
    return "".join(delta.get(field) or "" for delta in deltas(chunks, index))


# --- pieces ----------------------------------------------------------------------------------------------------------


@given(st.text())
def test_pieces_of_any_text_are_the_text(text: str) -> None:
    """Whatever the text holds, its pieces joined are the text, and none is empty or long."""
    pieces = script.pieces(text)
    assert "".join(pieces) == text
    assert all(1 <= len(piece) <= 13 for piece in pieces)


def test_pieces_look_like_tokens() -> None:
    """A word brings the space before it; other white space stands alone; long words are cut."""
    assert script.pieces("Hello there,  you\nand 日本語日本語日本語日本語日本語") == [
        "Hello", " there,", "  ", "you", "\n", "and", " 日本語日本語日本語日本語", "日本語",
    ]  # fmt: skip
    assert script.count_tokens("one two three") == 3


# --- streams ---------------------------------------------------------------------------------------------------------


def test_a_stream_of_a_text_by_value() -> None:
    """Role, pieces, finish: the chunks of the real API."""
    envelope = script.Envelope(id="chatcmpl-7", created=1_700_000_000, model="m")
    head = {
        "id": "chatcmpl-7",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "m",
        "system_fingerprint": "fp_opeai_test",
    }

    def chunk(delta: dict, finish_reason: str | None = None) -> dict:
        return {
            **head,
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}],
        }

    assert script.stream_chunks(Reply("Hi there"), {}, envelope) == [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hi"}),
        chunk({"content": " there"}),
        chunk({}, "stop"),
    ]


@given(content=st.text(), reasoning=st.text(), refusal=st.text(), arguments=st.text())
def test_deltas_add_up_to_the_reply(content: str, reasoning: str, refusal: str, arguments: str) -> None:
    """The deltas of each field joined are what the reply said, and what the same reply says unstreamed."""
    reply = Reply(content, reasoning=reasoning, refusal=refusal, tool_calls=[("f", arguments)])
    chunks = msgspec.json.decode(msgspec.json.encode(script.stream_chunks(reply)))
    assert joined(chunks, "content") == content
    assert joined(chunks, "reasoning_content") == reasoning
    assert joined(chunks, "refusal") == refusal
    fragments = [delta["tool_calls"][0]["function"] for delta in deltas(chunks) if "tool_calls" in delta]
    assert "".join(fragment["arguments"] for fragment in fragments) == arguments

    message = script.completion(reply)["choices"][0]["message"]
    assert message["content"] == content
    assert message["reasoning_content"] == reasoning
    assert message["refusal"] == refusal
    assert message["tool_calls"][0]["function"]["arguments"] == arguments


def test_reasoning_comes_before_text_and_refusal_after() -> None:
    """The order of a reasoning model: think, speak, refuse, call."""
    reply = Reply("b", reasoning="a", refusal="c", tool_calls=[("f", {})])
    order = [next(iter(delta)) for delta in deltas(script.stream_chunks(reply)) if delta]
    assert order == ["role", "reasoning_content", "content", "refusal", "tool_calls", "tool_calls"]


def test_tool_calls_stream_id_and_name_first() -> None:
    """The first delta of a call names it, the others bring fragments of its arguments, under the same index."""
    reply = Reply(tool_calls=[("get_weather", {"city": "Paris"}), ("now", "")])
    envelope = script.Envelope(id="chatcmpl-3")
    chunks = script.stream_chunks(reply, {}, envelope)
    assert deltas(chunks)[0] == {"role": "assistant", "content": None}
    calls = [delta["tool_calls"] for delta in deltas(chunks) if "tool_calls" in delta]
    first = {"index": 0, "id": "call_3_0", "type": "function", "function": {"name": "get_weather", "arguments": ""}}
    second = {"index": 1, "id": "call_3_1", "type": "function", "function": {"name": "now", "arguments": ""}}
    assert calls == [
        [first],
        [{"index": 0, "function": {"arguments": '{"city":"Par'}}],
        [{"index": 0, "function": {"arguments": 'is"}'}}],
        [second],
    ]
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_call_in_the_apis_shape_is_taken_as_it_is() -> None:
    """A mapping may fix the id, or be a custom tool, whose input streams."""
    call = {"id": "call_x", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}
    reply = Reply(tool_calls=[call])
    assert script.completion(reply)["choices"][0]["message"]["tool_calls"] == [call]
    calls = [delta["tool_calls"][0] for delta in deltas(script.stream_chunks(reply)) if "tool_calls" in delta]
    assert calls == [
        {"index": 0, "id": "call_x", "type": "custom", "custom": {"name": "sql", "input": ""}},
        {"index": 0, "custom": {"input": "select"}},
        {"index": 0, "custom": {"input": " 1"}},
    ]


def test_choices_take_turns_and_finish_at_the_end() -> None:
    """With n choices the deltas interleave, even of unequal lengths; one text serves all, a list its own."""
    chunks = script.stream_chunks(Reply(["a b", "c"]))
    indices = [(chunk["choices"][0]["index"], chunk["choices"][0]["finish_reason"]) for chunk in chunks]
    assert indices == [(0, None), (1, None), (0, None), (1, None), (0, None), (0, "stop"), (1, "stop")]
    same = script.stream_chunks(Reply("x"), {"n": 2})
    assert [joined(same, "content", index) for index in (0, 1)] == ["x", "x"]
    ids = [call["id"] for choice in script.completion(Reply(tool_calls=[("f", {})]), {"n": 2})["choices"]
           for call in choice["message"]["tool_calls"]]  # fmt: skip
    assert ids == ["call_1_0", "call_1_1"]


def test_before_finish_keeps_all_content() -> None:
    """A break comes before any finish_reason, whatever follows it."""
    chunks = script.stream_chunks(Reply(["a", "b"]), STREAM_WITH_USAGE)
    kept = script.before_finish(chunks)
    assert kept == chunks[:-3]
    assert script.before_finish(kept) == kept


def test_an_event_is_data_and_a_blank_line() -> None:
    """One chunk is one event of compact JSON."""
    assert script.encode_event({"a": "\u2028é"}) == 'data: {"a":"\u2028é"}\n\n'.encode()


# --- completions, usage, logprobs ------------------------------------------------------------------------------------


def test_a_completion_by_value() -> None:
    """The unstreamed answer is one object with the whole message."""
    envelope = script.Envelope(id="chatcmpl-1", created=5, model="m")
    request = {"messages": [{"role": "user", "content": [{"type": "text", "text": "one two"}, {"type": "image_url"}]}]}
    assert script.completion(Reply("Hi there", model="other", finish_reason="length"), request, envelope) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 5,
        "model": "other",
        "system_fingerprint": "fp_opeai_test",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi there", "refusal": None},
                "logprobs": None,
                "finish_reason": "length",
            }
        ],
        "usage": {
            "prompt_tokens": 5,
            "completion_tokens": 2,
            "total_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }


def test_usage_counts_everything_that_was_said() -> None:
    """Reasoning, text, refusal and calls of every choice are completion tokens."""
    reply = Reply("a b", reasoning="c", refusal="d e", tool_calls=[("f", {}), {"custom": {"input": "g h"}}])
    usage = script.completion(reply, {"n": 2, "messages": [{"role": "assistant", "content": None}]})["usage"]
    assert usage["completion_tokens"] == 2 * (2 + 1 + 2 + 2 + 2)
    assert usage["completion_tokens_details"] == {"reasoning_tokens": 2}
    assert usage["prompt_tokens"] == 3


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "cost": 0.5},
        CompletionUsage(prompt_tokens=1, completion_tokens=2, total_tokens=3),
    ],
)
def test_usage_may_be_given(usage: object) -> None:
    """A mapping is sent as it is, and the package's own Struct does as well."""
    sent = script.completion(Reply("x", usage=usage))["usage"]
    assert sent == (
        usage if isinstance(usage, dict) else {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    )


def test_usage_streams_only_if_asked_for() -> None:
    """include_usage: null on every chunk, and a last chunk without choices; else no usage at all."""
    chunks = script.stream_chunks(Reply("x"), STREAM_WITH_USAGE)
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None, None, None]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == 1
    for options in (None, {"include_usage": False}):
        plain = script.stream_chunks(Reply("x"), {"stream": True, "stream_options": options})
        assert all("usage" not in chunk and chunk["choices"] for chunk in plain)


def test_logprobs_are_made_up_if_asked_for() -> None:
    """Each piece brings its own token, as many rivals as asked, and the same unstreamed."""
    request = {"logprobs": True, "top_logprobs": 1}
    rival = {"token": "é", "logprob": -0.125, "bytes": [195, 169]}
    first = {**rival, "top_logprobs": [rival]}
    assert script.completion(Reply("é x"), request)["choices"][0]["logprobs"]["content"][0] == first
    chunks = script.stream_chunks(Reply("é x"), request)
    streamed = [chunk["choices"][0]["logprobs"] for chunk in chunks]
    assert streamed[0] is None
    assert streamed[1] == {"content": [first], "refusal": None}
    assert [entry["token"] for entry in streamed[2]["content"]] == [" x"]
    assert script.completion(Reply(), {"logprobs": True})["choices"][0]["logprobs"] == {"content": [], "refusal": None}


def test_given_logprobs_are_spread_over_the_pieces() -> None:
    """Entry k goes with piece k, and what remains goes with the last."""
    entries = [{"token": str(k), "logprob": -k} for k in range(4)]
    chunks = script.stream_chunks(Reply("a b", logprobs={"content": entries}))
    assert [chunk["choices"][0]["logprobs"] for chunk in chunks[1:3]] == [
        {"content": entries[:1]},
        {"content": entries[1:]},
    ]


def test_text_of_content_parts() -> None:
    """Only text counts, wherever it is; anything else is no text."""
    assert script.text_of("a") == "a"
    assert script.text_of([{"type": "text", "text": "a"}, {"type": "file"}, {"text": "b"}, 1]) == "a\nb"
    assert script.text_of(None) == ""


@given(st.integers(1, 3), st.lists(st.text(), min_size=1, max_size=3))
def test_the_same_input_gives_the_same_output(n: int, texts: list[str]) -> None:
    """Nothing depends on time or chance."""
    assert script.stream_chunks(Reply(texts), {"n": n}) == script.stream_chunks(Reply(texts), {"n": n})
