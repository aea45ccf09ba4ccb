"""Reasoning, blocks, vendor data, counts and framing: what goes back is what came, and nothing is told twice."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async._core.decode.growth import FirstTexts, GrowthFilter, grows
from opeai_async.types.chunk import ChatCompletionChunk
from opeai_async.types.common import CompletionUsage
from tests.promises.wire.play import DONE, ENVELOPE, data, event, every_way, message_of, playing, read, read_json, whole
from tests.support.reading.streams import delta_chunk, parse
from tests.support.reading.streams import event as as_event

STOP = event({}, "stop")


def blocks(name: str, *pieces: dict[str, Any]) -> list[bytes]:
    """Pieces of a list of blocks, each in a delta of its own; then the text."""
    return [*(event({name: [piece]}) for piece in pieces), event({"content": "Hi"}), STOP, DONE]


T = {"type": "thinking"}


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([{**T, "thinking": "a", "signature": ""}, {**T, "thinking": "b"}, {**T, "thinking": "", "signature": "S"}],
         [{**T, "thinking": "ab", "signature": "S"}]),
        # A signature closes what it signs.
        ([{**T, "thinking": "a", "signature": "S"}, {**T, "thinking": "b", "signature": "R"}],
         [{**T, "thinking": "a", "signature": "S"}, {**T, "thinking": "b", "signature": "R"}]),
        ([{**T, "thinking": "a"}, {**T, "signature": "S"}, {**T, "thinking": "b"}],
         [{**T, "thinking": "a", "signature": "S"}, {**T, "thinking": "b"}]),
        # A token that repeats counts once.
        ([{**T, "thinking": "a", "signature": "S"}, {**T, "thinking": "b", "signature": "S"}],
         [{**T, "thinking": "ab", "signature": "S"}]),
        ([{"type": "redacted_thinking", "data": "X"}, {"type": "redacted_thinking", "data": "Y"}],
         [{"type": "redacted_thinking", "data": "X"}, {"type": "redacted_thinking", "data": "Y"}]),
        # Another type, id or index begins another block.
        ([{"type": "s", "summary": "a", "index": 0}, {"type": "e", "data": "X", "id": "1", "index": 0},
          {"type": "s", "summary": "b", "index": 0}, {"type": "e", "data": "Y", "id": "2", "index": 0}],
         [{"type": "s", "summary": "a", "index": 0}, {"type": "e", "data": "X", "id": "1", "index": 0},
          {"type": "s", "summary": "b", "index": 0}, {"type": "e", "data": "Y", "id": "2", "index": 0}]),
        ([{"type": "s", "text": "a", "index": 0}, {"type": "s", "text": "x", "index": 1},
          {"type": "s", "text": "b", "index": 0}],
         [{"type": "s", "text": "ab", "index": 0}, {"type": "s", "text": "x", "index": 1}]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["thinking_blocks", "reasoning_details", "a_name_of_their_own"])
async def test_blocks_go_back_as_they_came(name: str, pieces: list[dict[str, Any]], expected: list[Any]) -> None:
    message = (await every_way(*blocks(name, *pieces))).choices[0].message
    assert message.extra["sent_back"][name] == expected


async def test_reasoning_in_objects_goes_back_whole() -> None:
    pieces = [{"text": "I nee"}, {"text": "d this"}, {"signature": "S"}, {"signature": "S"}]
    parts = [event({"reasoning_content": piece}) for piece in pieces]
    message = (await every_way(*parts, event({"content": "Hi"}), STOP, DONE)).choices[0].message
    assert message.reasoning_content == "I need this"
    assert message.extra["sent_back"]["reasoning_content"] == {"text": "I need this", "signature": "S"}


@pytest.mark.parametrize(
    "block",
    [
        {"type": "reasoning", "text": "secret"},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "secret"}]},
        {"type": "thinking", "thinking": "secret"},
        {"type": "thinking", "thinking": [{"type": "text", "text": "secret"}]},
        {"type": "thought", "text": "secret"},
        {"type": "reasoning_text", "text": "secret"},
        {"type": "text", "text": "secret", "thought": True},
    ],
)
async def test_a_block_of_thinking_is_reasoning(block: dict[str, Any]) -> None:
    """Streamed and whole; it goes back before the text."""
    text = {"type": "text", "text": "Hi"}
    message = (await every_way(event({"content": [block]}), event({"content": [text]}), STOP, DONE)).choices[0].message
    assert (message.content, message.reasoning_content) == ("Hi", "secret")
    assert message.extra["sent_back"]["content"] == [block, text]
    message = message_of(read_json(whole({"content": [block, text]})))
    assert (message.content, message.reasoning_content) == ("Hi", "secret")


async def test_images_keep_their_place_and_reach_all() -> None:
    """Between the texts, also where those came as text."""
    images = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{one}"}, "index": 0} for one in "AB"]
    deltas: list[Any] = ["Here ", [images[0]], [{"type": "text", "text": "and "}, images[1]], "there"]
    message = (await every_way(*(event({"content": one}) for one in deltas), STOP, DONE)).choices[0].message
    assert message.content == "Here and there"
    sent = message.extra["sent_back"]["content"]
    assert [block.get("text") or block["image_url"]["url"][-1] for block in sent] == [
        "Here ",
        "A",
        "and ",
        "B",
        "there",
    ]


def test_reasoning_text_is_reasoning() -> None:
    parts = [event({"reasoning_text": "I "}), event({"reasoning_text": "think"}), event({"reasoning_opaque": "b3"})]
    message = message_of(read(*parts, event({"content": "Hi"}), STOP, DONE))
    assert (message.reasoning_content, message.extra) == (
        "I think",
        {"reasoning_text": "I think", "reasoning_opaque": "b3"},
    )


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        ([("<think>The", "The"), (" user</think>\n\nHel", " user"), ("lo", None)], ("Hello", "The user")),
        ([("<think>The user</think>Hi", None), (None, "The "), (None, "user")], ("Hi", "The user")),
        ([(None, "The user"), ("<think>\nThe user\n</think>\n\nHi", None)], ("Hi", "The user")),
        (
            [(None, "The user"), ("<think>", None), ("is text</think> here", None)],
            ("<think>is text</think> here", "The user"),
        ),
        ([("<think>The", None), (" user says</think>Hi", "The user")], ("Hi", "The user says")),
        ([("<think>a", None), ("b</think>c", "x")], ("c", "abx")),
        ([(None, "The user"), ("Hi", None)], ("Hi", "The user")),
    ],
)
async def test_thinking_that_comes_twice_is_told_once(deltas: list[Any], expected: tuple[str, str]) -> None:
    """Between tags and in a field of its own, whichever is first; a tag in an answer that is none stays."""
    names = ("content", "reasoning_content")
    parts = [event({name: text for name, text in zip(names, one, strict=True) if text}) for one in deltas]
    async with playing(*parts, STOP, DONE) as (client, _):
        stream = client.chat.completions.stream(
            model="m", messages=[{"role": "user", "content": "x"}], reasoning_tags="think"
        )
        message = (await stream.completion()).choices[0].message
    content, reasoning = message.content, message.reasoning_content
    assert (content, sorted(reasoning or "")) == (expected[0], sorted(expected[1]))


@pytest.mark.parametrize(
    "texts",
    [
        ["one", "one two", "one two three", "one two three four"],
        ["one", "one two", "one two three"],
        ["a", "ab", "abc", "abcd"],
    ],
)
@pytest.mark.parametrize("field", ["content", "reasoning_content"])
async def test_the_text_so_far_is_read_once(texts: list[str], field: str) -> None:
    reading = read(*(event({field: text}) for text in texts), STOP, DONE)
    assert getattr(message_of(reading), field) == texts[-1]
    assert reading.quirks == ("text_so_far",)
    assert getattr(read(*(event({field: text}) for text in texts), mode="strict").error, "rule", "") == "text_so_far"
    await every_way(*(event({field: text}) for text in texts), STOP, DONE)


@pytest.mark.parametrize(
    "texts",
    [
        ["1", "12"],
        ["ha", "haha"],
        ["la", "lala", "lalala"],
        ["a", "ab", "c"],
        ["1", "12", "123", "x"],
        [" ", "  x", "y"],
    ],
)
def test_an_ordinary_text_that_begins_alike_is_left_alone(texts: list[str]) -> None:
    for end in ([STOP, DONE], [DONE], [event({"content": "!"}, "stop")]):
        reading = read(*(event({"content": text}) for text in texts), *end)
        assert message_of(read(*(event({"content": text}) for text in texts), STOP, DONE)).content == "".join(texts)
        assert "text_so_far" not in reading.quirks


@given(st.lists(st.sampled_from(["a", "ab", "abc", "abcd", "b", ""]), max_size=8))
def test_nothing_is_lost_while_it_is_kept_back(texts: list[str]) -> None:
    """Either all is told as it came, or the pieces grew from the first on."""
    chunks, _, _ = parse([as_event(delta_chunk({"content": text})) for text in texts])
    told = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    said = [text for text in texts if text]
    grew = len(said) > 3 and all(
        after.startswith(before) and after != before for before, after in itertools.pairwise(said[:4])
    )
    assert told == "".join(texts) or grew


def test_a_tool_call_decides_too() -> None:
    first: FirstTexts = {}
    call: Any = {"tool_calls": [{"index": 0, "function": {"arguments": "x"}}]}
    chunks = [parse([as_event(delta_chunk(one))])[0][0] for one in ({"content": "a"}, {"content": "ab"}, call)]
    assert grows(chunks[:1], first) is False
    assert grows(chunks[1:], first) is True
    growth: GrowthFilter[ChatCompletionChunk] = GrowthFilter(first)
    assert growth.read(chunks[1:2]) == []
    assert growth.read(chunks[2:]) == chunks[1:]
    assert growth.is_over


# --- vendor data, counts ----------------------------------------------------------------------------------------------


def test_what_is_beside_the_delta_adds_up() -> None:
    """Known pieces; lists that go on; states that come again or grow."""
    beside = [{"token_ids": [1], "ids": [1], "grown": ["a"], "same": [1, 2], "state": {"x": n}} for n in range(2)]
    beside[1].update(token_ids=[1], ids=[2, 3], grown=["a", "b"])
    reading = read(*(event({"content": "a"}, None, **one) for one in beside), STOP, DONE)
    assert reading.completion is not None
    assert reading.completion.choices[0].extra == {
        "token_ids": [1, 1], "ids": [1, 2, 3], "grown": ["a", "b"], "same": [1, 2], "state": {"x": 1},
    }  # fmt: skip


def test_states_and_texts_of_a_delta() -> None:
    deltas = [{"phase": "answer", "mode": "quick", "note": "ha", "status": status} for status in ("a", "a", "b")]
    message = message_of(read(*(event({"content": "x", **one}) for one in deltas), STOP, DONE))
    assert message.extra == {"phase": "answer", "mode": "quick", "note": "hahaha", "status": "b"}


@pytest.mark.parametrize(
    ("usages", "expected"),
    [
        ([{"prompt_tokens": 3}, {"completion_tokens": 4}], (3, 4, 7)),
        ([{"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}, {"completion_tokens": 4}], (3, 4, 7)),
        ([{"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}, {"prompt_tokens": None}], (3, 4, 7)),
        ([{"input_tokens": 11, "output_tokens": 5}], (11, 5, 16)),
        ([{"completion_tokens": 5}], (None, 5, None)),
        ([{"total_tokens": 5}], (None, None, 5)),
        (
            [
                {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
                {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
            ],
            (0, 0, 0),
        ),
    ],
)
def test_counts_in_parts(usages: list[dict[str, Any]], expected: tuple[int | None, ...]) -> None:
    """An absent or null count never erases a known one, and none is made up."""
    chunks = [data({**ENVELOPE, "choices": [], "usage": usage}) for usage in usages]
    reading = read(event({"content": "a"}), STOP, *chunks, DONE)
    assert reading.completion is not None
    usage = reading.completion.usage
    assert isinstance(usage, CompletionUsage)
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == expected


def test_details_of_counts_are_kept() -> None:
    counts = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    first = {**counts, "prompt_tokens_details": {"cached_tokens": 1}, "cost": 0.5}
    chunks = [data({**ENVELOPE, "choices": [], "usage": usage}) for usage in (first, counts)]
    reading = read(event({"content": "a"}), STOP, *chunks, DONE)
    assert reading.completion is not None
    usage = reading.completion.usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert (usage.prompt_tokens_details.cached_tokens, usage.extra) == (1, {"cost": 0.5})


def test_counts_of_two_choices_are_added() -> None:
    choices = [
        {
            "index": index,
            "delta": {},
            "finish_reason": "stop",
            "usage": {"prompt_tokens": 3, "completion_tokens": count},
        }
        for index, count in enumerate((4, 5))
    ]
    reading = read(data({**ENVELOPE, "choices": choices}), DONE)
    assert reading.completion is not None
    assert reading.completion.usage == CompletionUsage(prompt_tokens=3, completion_tokens=9, total_tokens=12)


# --- characters, messages, logprobs ----------------------------------------------------------------------------------


def raw(name: str, text: str) -> bytes:
    """A delta whose text is JSON as it is written."""
    return b'data: {"choices":[{"index":0,"delta":{"%b":"%b"}}]}\n\n' % (name.encode(), text.encode())


@pytest.mark.parametrize("name", ["content", "reasoning_content"])
async def test_halves_of_a_character_meet(name: str) -> None:
    parts = [raw(name, "Hi \\ud83d"), raw(name, "\\ude00!"), STOP, DONE]
    assert getattr(message_of(read(*parts)), name) == "Hi \U0001f600!"
    assert getattr((await every_way(*parts)).choices[0].message, name) == "Hi \U0001f600!"


@pytest.mark.parametrize(
    "end", [[STOP, DONE], [DONE], [event({"content": "x"}), STOP, DONE], [raw("content", "\\ud83d"), STOP, DONE]]
)
def test_half_a_character_alone_is_replaced(end: list[bytes]) -> None:
    """Nothing is lost, and it stands in its place."""
    text = message_of(read(raw("content", "Hi \\ud83d"), *end)).content
    assert text == "Hi \ufffd" + {3: "x"}.get(len(end), "") if b"ud83d" not in end[0] else "Hi \ufffd\ufffd"


def test_halves_in_arguments_and_blocks() -> None:
    call = b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,%b"function":{%b"arguments":"%b"}}]}}]}\n\n'
    parts = [
        call % (b'"id":"a",', b'"name":"f",', b'{\\"a\\":\\"\\ud83d'),
        call % (b"", b"", b'\\ude00\\"}'),
        event({}, "tool_calls"),
        DONE,
    ]
    assert message_of(read(*parts)).tool_calls[0].function.arguments == '{"a":"\U0001f600"}'
    assert message_of(read(parts[0], DONE)).tool_calls[0].function.arguments == '{"a":"\ufffd'
    block = b'data: {"choices":[{"index":0,"delta":{"content":[{"type":"text","text":"%b"}]}}]}\n\n'
    assert message_of(read(block % b"a\\ud83d", block % b"\\ude00", STOP, DONE)).content == "a\U0001f600"
    assert message_of(read(block % b"a\\ud83d", STOP, DONE)).content == "a\ufffd"
    vendor = b'data: {"choices":[{"index":0,"delta":{"content":"a","v":"\\ud83d"}}]}\n\n'
    assert message_of(read(vendor, STOP, DONE)).extra == {"v": ""}


def test_the_answer_in_message() -> None:
    """Beside an empty delta: once, or the message so far each time; and not where deltas bring it."""

    def beside(text: str, finish: str | None = None, **delta: Any) -> bytes:
        return event(delta, finish, message={"role": "assistant", "content": text})

    assert message_of(read(beside("Hello", "stop"), DONE)).content == "Hello"
    assert message_of(read(beside("Hel"), beside("Hello"), STOP, DONE)).content == "Hello"
    assert message_of(read(beside("Hel"), event({"content": ""}), beside("Hello"), STOP, DONE)).content == "Hello"
    assert message_of(read(beside("Hel"), beside("Hello", "stop"), DONE)).content == "Hello"
    assert (
        message_of(read(beside("", content=""), event({"content": "Hello"}), beside("Hello", "stop"), DONE)).content
        == "Hello"
    )
    assert (
        message_of(read(beside("Hello"), event({"content": "Hel"}), event({"content": "lo!"}), STOP, DONE)).content
        == "Hellolo!"
    )
    assert (
        message_of(read(beside("Hello"), event({"content": "Hel"}), event({"content": "lo"}), STOP, DONE)).content
        == "Hello"
    )


@pytest.mark.parametrize(
    "logprobs",
    [
        {"content": [{"token": "a", "logprob": -1.0, "top_logprobs": {"a": -1.0}}] * 100},
        {"content": [{"token": 5, "logprob": "x", "top_logprobs": [{"token": []}, 7, None]}] * 20},
        {"content": {"a": 1}, "refusal": 5},
        {"tokens": ["a"], "token_logprobs": [-1.0], "top_logprobs": [{"a": -1.0}]},
        {"content": [None, 5, "x", [], {}]},
        [1, 2],
        "none",
        True,
    ],
)
async def test_odd_logprobs_never_cost_the_answer(logprobs: Any) -> None:
    completion = await every_way(event({"content": "Hello"}, None, logprobs=logprobs), STOP, DONE)
    assert completion.choices[0].message.content == "Hello"
    body = whole({"content": "Hello"}).replace(
        b'"finish_reason"', b'"logprobs": %b, "finish_reason"' % __import__("json").dumps(logprobs).encode()
    )
    assert message_of(read_json(body)).content == "Hello"
