"""What chunks add up to."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from opeai_async._core.answer.accumulator import Accumulator
from opeai_async._core.decode.decoder import decode_chunk
from opeai_async.errors import StreamTooLargeError
from opeai_async.types.chunk import ChatCompletionChunk
from opeai_async.types.completion import ChatCompletion, ChatCompletionMessage, CustomCall, FunctionCall, ToolCall
from opeai_async.types.meta import ResponseMeta
from tests.support.reading.streams import delta_chunk, deltas_of, json_values, messages, texts


def chunk(*args: Any, **kwargs: Any) -> ChatCompletionChunk:
    return decode_chunk(msgspec.json.encode(delta_chunk(*args, **kwargs)))


def accumulated(*chunks: ChatCompletionChunk) -> ChatCompletion:
    accumulator = Accumulator()
    accumulator.extend(chunks)
    return accumulator.completion()


def message_of(*deltas: object) -> ChatCompletionMessage:
    """The message that *deltas* of choice 0 add up to."""
    return accumulated(*map(chunk, deltas)).choices[0].message


def calls_of(*deltas: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(id, name, arguments) of each tool call that deltas of tool calls add up to, one chunk each."""
    calls = message_of(*({"tool_calls": [delta]} for delta in deltas)).tool_calls or []
    return [(call.id, call.function.name, call.function.arguments) for call in calls]


def call(
    index: int, call_id: str | None = None, name: str | None = None, arguments: str | None = None
) -> dict[str, Any]:
    return {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}


# --- generated -------------------------------------------------------------------------------------------------------


@given(data=st.data(), items=st.lists(messages(), min_size=1, max_size=3))
def test_a_message_cut_into_deltas_is_rebuilt(data: st.DataObject, items: list[dict[str, Any]]) -> None:
    """However texts and calls of several choices are cut and interleaved, the same messages come out."""
    lanes = [data.draw(deltas_of(item)) for item in items]
    order = data.draw(st.permutations([index for index, lane in enumerate(lanes) for _ in lane]))
    completion = accumulated(*(chunk(lanes[index].pop(0), index=index) for index in order))
    assert [choice.index for choice in completion.choices] == list(range(len(items)))
    expected = [msgspec.convert(item, ChatCompletionMessage) for item in items]
    assert [choice.message for choice in completion.choices] == expected


@given(data=st.data(), item=messages())
def test_a_snapshot_on_the_way_changes_nothing(data: st.DataObject, item: dict[str, Any]) -> None:
    """Looking at the message so far does not change what it becomes."""
    watched, unwatched = Accumulator(), Accumulator()
    for delta in data.draw(deltas_of(item)):
        unwatched.add(chunk(delta))
        watched.add(chunk(delta))
        assert watched.snapshot == unwatched._build(ResponseMeta())
    assert watched.completion() == unwatched.completion()


maybe = st.none() | st.sampled_from(["", "a", "b"])
# What a server repeats, with a change now and then.
envelopes = st.fixed_dictionaries(
    {}, optional={"id": st.just(""), "created": st.just(0), "model": st.sampled_from("mn")}
)
plain_chunks = st.builds(
    lambda envelope, fingerprint, delta, index, reason, usage: {
        "id": "1", "created": 1, "model": "m", **envelope, "system_fingerprint": fingerprint,
        "choices": [{"index": index, "delta": delta, "finish_reason": reason}], "usage": usage,
    },
    st.just({}) | envelopes,
    st.just("f") | maybe,
    st.fixed_dictionaries({}, optional={"role": maybe, "content": maybe, "reasoning_content": maybe}),
    st.just(0) | st.just(1),
    st.none() | st.sampled_from([None, "stop"]),
    st.none() | st.sampled_from([None, {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}]),
)  # fmt: skip


@given(bodies=st.lists(plain_chunks, max_size=5))
@example(bodies=[delta_chunk({"content": "a"}, id="", created=0), delta_chunk({"content": "b"}, id="1", created=1)])
def test_one_at_a_time_adds_up_to_the_same_as_all_at_once(bodies: list[dict[str, Any]]) -> None:
    """Whatever changes between two chunks; ``extend`` has a short way for a text that comes alone."""
    chunks = [decode_chunk(msgspec.json.encode(body)) for body in bodies]
    one_at_a_time = Accumulator()
    for count, one in enumerate(chunks, 1):
        one_at_a_time.add(one)
        together = Accumulator()
        together.extend(chunks[:count])
        assert one_at_a_time.snapshot == together.snapshot
        for name in ("chunks", "ended", "finished", "finish_reason", "usage"):
            assert getattr(one_at_a_time, name) == getattr(together, name)


@given(fields=st.dictionaries(st.text("xyz", min_size=1, max_size=3), json_values, max_size=3), text=texts)
def test_vendor_fields_of_one_delta(fields: dict[str, Any], text: str) -> None:
    """Vendor fields that come once come out as they went in."""
    delta = chunk({"content": text, **msgspec.json.decode(msgspec.json.encode(fields))})
    assert accumulated(delta).choices[0].message.extra == delta.choices[0].delta.extra


# --- texts -----------------------------------------------------------------------------------------------------------


def test_nothing_at_all() -> None:
    """Without a chunk there is an empty completion, and no end."""
    accumulator = Accumulator()
    assert accumulator.snapshot == ChatCompletion()
    assert (accumulator.chunks, accumulator.usage, accumulator.finish_reason, accumulator.finished) == (
        0,
        None,
        None,
        False,
    )
    assert accumulator.finish_reasons == []


def test_texts_are_joined_and_absent_ones_stay_absent() -> None:
    """An empty text is a text; one that never came is None."""
    message = message_of({"role": "assistant", "content": ""}, {"reasoning_content": "a"}, {"reasoning_content": "b"})
    assert message == ChatCompletionMessage(role="assistant", content="", reasoning_content="ab")
    assert message_of({"refusal": "I "}, {"refusal": "can't"}).refusal == "I can't"


@pytest.mark.parametrize(
    "roles", [["assistant", "", None], [None, "assistant", "assistant"], [None, None], ["assistant", "user"]]
)
def test_a_role_is_set_once(roles: list[str | None]) -> None:
    """A role that is null, empty, repeated or missing does no harm."""
    assert message_of(*({"role": role} for role in roles)).role == "assistant"


def test_a_snapshot_may_see_arguments_that_stood_for_none_yet() -> None:
    """What it has joined is forgotten with the `{}` that was none of them; an earlier snapshot stays as it was."""
    accumulator, seen = Accumulator(), []
    for arguments in ("{}", '{"a"', ": 1}"):
        accumulator.add(chunk({"tool_calls": [call(0, "c", "f", arguments)]}))
        seen.append(accumulator.snapshot)
    told = [(snapshot.choices[0].message.tool_calls or [])[0].function.arguments for snapshot in seen]
    assert told == ["{}", '{"a"', '{"a": 1}']


def test_a_snapshot_is_remembered_until_the_next_chunk() -> None:
    """Asking twice costs nothing, and an earlier snapshot does not change."""
    accumulator = Accumulator()
    accumulator.add(chunk({"content": "a"}))
    first = accumulator.snapshot
    assert accumulator.snapshot is first
    accumulator.add(chunk({"content": "b"}))
    assert first.choices[0].message.content == "a"
    assert accumulator.snapshot.choices[0].message.content == "ab"


def test_the_meta_goes_into_the_completion_only() -> None:
    """``completion`` attaches what is known about the exchange."""
    accumulator = Accumulator()
    accumulator.add(chunk({"content": "a"}))
    meta = ResponseMeta(request_id="r")
    assert accumulator.completion(meta).meta is meta
    assert accumulator.snapshot.meta == ResponseMeta()


def test_work_per_chunk_does_not_grow() -> None:
    """A chunk's fragments are kept as they are, and joined by nobody until somebody asks."""
    accumulator = Accumulator()
    for _ in range(1000):
        accumulator.add(chunk({"content": "x", "reasoning_content": "y"}))
    assert len(accumulator._choices[0].content) == 1000
    assert accumulator.snapshot.choices[0].message.content == "x" * 1000
    assert len(accumulator._choices[0].content) == 1


# --- envelope --------------------------------------------------------------------------------------------------------


def test_identity_and_model() -> None:
    """The first id and time that say something, the last model that does."""
    completion = accumulated(
        chunk(id="", created=0, model=""),
        chunk(id="a", created=5, model="router"),
        chunk(id="b", created=6, model="real"),
        chunk(id="c", created=7, model=""),
    )
    assert (completion.id, completion.created, completion.model) == ("a", 5, "real")
    assert completion.object == "chat.completion"


def test_usage_is_replaced_and_never_erased() -> None:
    """The latest counts stand, zeros too; null and empty objects are no counts."""
    counts = [{"prompt_tokens": 1, "completion_tokens": n, "total_tokens": 1 + n} for n in (1, 2, 0)]
    accumulator = Accumulator()
    seen = []
    for usage in (None, counts[0], None, counts[1], {}, {"prompt_tokens": None}, counts[2]):
        accumulator.add(chunk({}, usage=usage))
        seen.append(accumulator.usage.completion_tokens if accumulator.usage is not None else None)
    assert seen == [None, 1, 1, 2, 2, 2, 0]


def test_a_moderation_comes_with_any_chunk():
    """And stays, whatever chunks come after it."""
    verdict = {"type": "moderation_results", "model": "m", "results": [{"flagged": True, "categories": {"hate": True}}]}
    moderated = chunk({"content": "a"}, moderation={"input": verdict})
    completion = accumulated(chunk({"content": "b"}), moderated, chunk({"content": "c"}))
    assert completion.moderation is not None
    assert completion.moderation.input is not None
    assert completion.moderation.input.results is not None
    assert completion.moderation.input.results[0].categories == {"hate": True}


def test_late_fields_are_kept() -> None:
    """A fingerprint or tier that comes late is taken, and a null after it does not erase it."""
    late = {"system_fingerprint": "fp", "service_tier": "default", "cost": "0"}
    completion = accumulated(chunk(), chunk(**late), chunk(**dict.fromkeys(late)))
    assert (completion.system_fingerprint, completion.service_tier) == ("fp", "default")
    assert completion.extra == {"cost": "0"}


def test_vendor_fields_beside_the_deltas_are_states() -> None:
    """Beside a delta, the latest value counts, in the envelope and in a choice."""
    first = decode_chunk(b'{"choices":[{"delta":{},"seen":1}],"provider":"a","list":[1]}')
    last = decode_chunk(b'{"choices":[{"delta":{},"seen":2}],"provider":"b","list":[2]}')
    completion = accumulated(first, last)
    assert completion.extra == {"provider": "b", "list": [2]}
    assert completion.choices[0].extra == {"seen": 2}


# --- the end ---------------------------------------------------------------------------------------------------------


def test_finish_reasons() -> None:
    """Every choice that began must have one; empty is none; the latest counts."""
    accumulator = Accumulator()
    accumulator.extend([chunk({"content": "a"}, index=1, finish=""), chunk({}, index=0, finish="stop")])
    assert (accumulator.finish_reason, accumulator.finished, accumulator.finish_reasons) == ("stop", False, ["stop"])
    accumulator.extend([chunk({"content": "late"}, index=1, finish="length"), chunk({}, finish="STOP")])
    assert (accumulator.finish_reason, accumulator.finished) == ("STOP", True)
    assert accumulator.finish_reasons == ["length", "STOP"]
    assert [choice.finish_reason for choice in accumulator.snapshot.choices] == ["STOP", "length"]


def test_choices_out_of_order() -> None:
    """Choices come back in the order of their index, whichever came first."""
    completion = accumulated(chunk({"content": "b"}, index=5), chunk({"content": "a"}, index=1))
    assert [(choice.index, choice.message.content) for choice in completion.choices] == [(1, "a"), (5, "b")]


# --- tool calls ------------------------------------------------------------------------------------------------------

WEATHER, TIME = ("a", "weather", '{"c":1}'), ("b", "time", "{}")

CALLS: dict[str, tuple[list[dict[str, Any]], list[tuple[str, str, str]]]] = {
    "as documented": (
        [call(0, "a", "weather", ""), call(0, None, None, '{"c"'), call(0, None, None, ":1}")],
        [WEATHER],
    ),
    "a whole call in one delta": ([call(0, *WEATHER)], [WEATHER]),
    "two calls": ([call(0, *WEATHER), call(1, *TIME)], [WEATHER, TIME]),
    "interleaved": (
        [
            call(0, "a", "weather"),
            call(1, "b", "time"),
            call(0, None, None, '{"c"'),
            call(1, None, None, "{}"),
            call(0, None, None, ":1}"),
        ],
        [WEATHER, TIME],
    ),
    "indexes from 1": ([call(1, *WEATHER), call(2, *TIME)], [WEATHER, TIME]),
    "a hole in the indexes": ([call(0, *WEATHER), call(2, *TIME)], [WEATHER, TIME]),
    "the higher index first": ([call(1, *TIME), call(0, *WEATHER)], [TIME, WEATHER]),
    "id repeated in each delta": ([call(0, "a", "weather", '{"c"'), call(0, "a", None, ":1}")], [WEATHER]),
    "id and name repeated in each delta": (
        [call(0, "a", "weather", '{"c"'), call(0, "a", "weather", ":1}")],
        [WEATHER],
    ),
    "id empty in continuations": ([call(0, "a", "weather", '{"c"'), call(0, "", "", ":1}")], [WEATHER]),
    "id late": ([call(0, None, "weather"), call(0, "a", None, '{"c":1}')], [WEATHER]),
    "index 0 for all": ([call(0, *WEATHER), call(0, *TIME)], [WEATHER, TIME]),
    "index 0 for all, in pieces": (
        [
            call(0, "a", "weather"),
            call(0, None, None, '{"c"'),
            call(0, None, None, ":1}"),
            call(0, "b", "time"),
            call(0, None, None, "{}"),
        ],
        [WEATHER, TIME],
    ),
    "index 0 for all, interleaved by id": (
        [call(0, "a", "weather"), call(0, "b", "time", "{}"), call(0, "a", None, '{"c"'), call(0, None, None, ":1}")],
        [WEATHER, TIME],
    ),
    "index 0 for all, no ids": (
        [call(0, None, "weather", '{"c":1}'), call(0, None, "time", "{}")],
        [("call_synthetic_0", *WEATHER[1:]), ("call_synthetic_1", *TIME[1:])],
    ),
    "no id": ([call(0, None, "weather", '{"c":1}')], [("call_synthetic_0", *WEATHER[1:])]),
    "name late": ([call(0, "a"), call(0, None, "weather", '{"c":1}')], [WEATHER]),
    "name in pieces": ([call(0, "a", "wea"), call(0, None, "ther"), call(0, None, None, '{"c":1}')], [WEATHER]),
    "name after the arguments": (
        [call(0, "a", None, '{"c"'), call(0, "a", "weather", ":1}")],
        [("a", "weather", '{"c":1}')],
    ),
    "arguments that were empty at first": (
        [call(0, *TIME[:2], "{}"), call(0, None, None, '{"c":1}')],
        [(*TIME[:2], '{"c":1}')],
    ),
    "another name under the same id": (
        [call(0, *WEATHER), call(0, "a", "other", "")],
        [WEATHER, ("a_2", "other", "{}")],
    ),
    "arguments null": ([call(0, "b", "time")], [TIME]),
    "arguments empty": ([call(0, "b", "time", "")], [TIME]),
    "function missing": ([{"index": 0, "id": "b"}, call(0, None, "time")], [TIME]),
    "index null": ([{**call(0, *WEATHER), "index": None}, {**call(0, *TIME), "index": None}], [WEATHER, TIME]),
}


@pytest.mark.parametrize("name", CALLS)
def test_tool_calls(name: str) -> None:
    """However a server cuts and labels its tool calls, the calls it meant come out, in order of appearance."""
    deltas, expected = CALLS[name]
    assert calls_of(*deltas) == expected


@pytest.mark.parametrize("name", CALLS)
def test_tool_calls_in_one_delta(name: str) -> None:
    """Several pieces in one delta are what they are in several."""
    deltas, expected = CALLS[name]
    calls = message_of({"tool_calls": deltas}).tool_calls or []
    assert [(call.id, call.function.name, call.function.arguments) for call in calls] == expected


def test_a_custom_call() -> None:
    """A custom tool's input is joined, and no function is made up for it."""
    message = message_of(
        {"tool_calls": [{"index": 0, "id": "a", "type": "custom", "custom": {"name": "sql", "input": ""}}]},
        {"tool_calls": [{"index": 0, "custom": {"input": "select "}}]},
        {"tool_calls": [{"index": 0, "custom": {"input": "1", "vendor": 1}}]},
    )
    custom = CustomCall(name="sql", input="select 1", extra={"vendor": 1})
    assert message.tool_calls == [ToolCall(id="a", type="custom", custom=custom)]


def test_the_older_function_call() -> None:
    """``function_call`` is rebuilt as well."""
    message = message_of({"function_call": {"name": "f", "arguments": ""}}, {"function_call": {"arguments": "{}"}})
    assert message.function_call == FunctionCall(name="f", arguments="{}")


def test_vendor_fields_of_a_tool_call() -> None:
    """Signatures and the like stay with their call, and with its function."""
    first = {**call(0, "a", "f"), "extra_content": {"google": {"thought_signature": "s"}}}
    last = {"index": 0, "function": {"arguments": "{}", "vendor": True}}
    (made,) = message_of({"tool_calls": [first]}, {"tool_calls": [last]}).tool_calls or []
    assert made.extra == {"extra_content": {"google": {"thought_signature": "s"}}}
    assert made.function.extra == {"vendor": True}


# --- the rest of a message -------------------------------------------------------------------------------------------


def test_audio() -> None:
    """Data and transcript are joined; id and expiry are kept."""
    parts = [
        {"id": "au", "transcript": "he"},
        {"data": "QUJD"},
        {"data": "REVG", "transcript": "llo"},
        {"expires_at": 9, "x": 1},
    ]
    audio = message_of(*({"audio": part} for part in parts)).audio
    assert audio is not None
    assert (audio.id, audio.data, audio.transcript, audio.expires_at) == ("au", "QUJDREVG", "hello", 9)
    assert audio.extra == {"x": 1}


def test_annotations() -> None:
    """Annotations of all chunks, after the finish chunk too."""
    notes = [{"type": "url_citation", "url_citation": {"url": url}} for url in ("u1", "u2", "u3")]
    chunks = [chunk({"annotations": notes[:2]}, finish="stop"), chunk({"annotations": notes[2:]})]
    found = accumulated(*chunks).choices[0].message.annotations or []
    assert [note.url_citation.url for note in found if note.url_citation is not None] == ["u1", "u2", "u3"]


def test_logprobs_are_appended_per_text() -> None:
    """Content, refusal and DeepSeek's reasoning have lists of their own; an int is a probability too."""
    accumulator = Accumulator()
    for name, token in (("content", "a"), ("reasoning_content", "r"), ("content", "b"), ("refusal", "c")):
        body = delta_chunk({})
        body["choices"][0]["logprobs"] = {name: [{"token": token, "logprob": -1, "top_logprobs": []}], "vendor": token}
        accumulator.add(decode_chunk(msgspec.json.encode(body)))
    logprobs = accumulator.completion().choices[0].logprobs
    assert logprobs is not None
    found = {
        name: [item.token for item in getattr(logprobs, name)] for name in ("content", "refusal", "reasoning_content")
    }
    assert found == {"content": ["a", "b"], "refusal": ["c"], "reasoning_content": ["r"]}
    assert logprobs.extra == {"vendor": "arbc"}


def test_vendor_fields_of_deltas_add_up() -> None:
    """OpenRouter's reasoning_details come back whole, with their signatures."""
    details = [
        [{"type": "reasoning.text", "index": 0, "text": "Let ", "signature": None, "id": None}],
        [
            {"type": "reasoning.text", "index": 0, "text": "me", "id": "r1"},
            {"type": "reasoning.encrypted", "index": 0, "data": "x"},
        ],
        [{"type": "reasoning.text", "index": 0, "signature": "sig"}],
    ]
    message = message_of(*({"content": "", "reasoning_details": item} for item in details))
    assert message.extra["reasoning_details"] == [
        {"type": "reasoning.text", "index": 0, "text": "Let me", "signature": "sig", "id": "r1"},
        {"type": "reasoning.encrypted", "index": 0, "data": "x"},
    ]


def test_fields_that_a_message_has_and_a_delta_has_not() -> None:
    """``name`` and ``tool_call_id`` go to their fields, however often they are repeated."""
    message = message_of({"name": "bot", "tool_call_id": "t", "x": "1"}, {"name": "bot", "x": "2"})
    assert (message.name, message.tool_call_id, message.extra) == ("bot", "t", {"x": "12"})


# --- bounds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [129, 10**9])
def test_a_choice_index_out_of_bounds(index: int) -> None:
    """Nothing is padded, and what was there stays."""
    accumulator = Accumulator()
    accumulator.add(chunk({"content": "a"}))
    with pytest.raises(StreamTooLargeError, match=f"a choice has the index {index}, expected 0 to 128") as caught:
        accumulator.add(chunk({"content": "b"}, index=index))
    assert caught.value.limit == "max_index=128"
    assert [choice.message.content for choice in accumulator.snapshot.choices] == ["a"]


@pytest.mark.parametrize("index", [4, 10**9])
def test_a_tool_call_index_out_of_bounds(index: int) -> None:
    """The bound is the caller's to choose, and holds for calls too."""
    accumulator = Accumulator(max_index=3)
    with pytest.raises(StreamTooLargeError, match=f"a tool call has the index {index}, expected 0 to 3"):
        accumulator.add(chunk({"tool_calls": [call(index, "a", "f")]}))


def test_too_many_tool_calls_at_one_index() -> None:
    """Ids at one index cannot grow the message without bound."""
    accumulator = Accumulator(max_index=3)
    for position in range(4):
        accumulator.add(chunk({"tool_calls": [call(0, f"id{position}", "f")]}))
    with pytest.raises(StreamTooLargeError, match="position has the index 4"):
        accumulator.add(chunk({"tool_calls": [call(0, "one more", "f")]}))


def test_custom_calls_of_one_index() -> None:
    """Told apart by name once the input has begun, as functions are."""
    pieces = [("sh", "l"), (None, "s"), ("py", "1"), ("py", "+1")]
    deltas = [{"index": 0, "custom": {"name": name, "input": text}} for name, text in pieces]
    noted: list[str] = []
    accumulator = Accumulator(note=noted.append)
    for delta in deltas:
        accumulator.add(decode_chunk(msgspec.json.encode(delta_chunk({"tool_calls": [delta]}))))
    calls = accumulator.snapshot.choices[0].message.tool_calls or []
    assert [(call.custom.name, call.custom.input) for call in calls if call.custom] == [("sh", "ls"), ("py", "1+1")]
    assert noted == ["tool_index_shared", "tool_name_repeated"]


def test_a_piece_of_a_call_that_says_nothing() -> None:
    """It belongs to the call of its index, and changes nothing."""
    deltas = [call(0, *WEATHER), {"index": 0}]
    calls = message_of({"tool_calls": deltas}).tool_calls or []
    assert [(one.id, one.function.name, one.function.arguments) for one in calls] == [WEATHER]


def test_sound_that_has_come() -> None:
    """An empty struct of it is none."""
    accumulator = Accumulator()
    for audio, has_come in (({}, False), ({"transcript": "Hi"}, True)):
        accumulator.add(msgspec.convert({"choices": [{"index": 0, "delta": {"audio": audio}}]}, ChatCompletionChunk))
        assert accumulator.has_audio is has_come
