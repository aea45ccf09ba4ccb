"""Whatever dialect an answer came in, the events made of it are the API's own, and say the same."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async._core.frames.resend_chunks import DONE, ChunkEvents
from opeai_async.errors import RateLimitError, StreamInterruptedError
from opeai_async.testing import QUIRKS, speak
from opeai_async.types.chunk import ChatCompletionChunk, ChoiceDelta, ChunkChoice
from opeai_async.types.common import WireStruct
from opeai_async.types.completion import ChatCompletion
from tests.support.reading.streams import body_of, delta_chunk, parse
from tests.testing.reading import read_stream
from tests.testing.test_quirks import BY_BYTES, REPLIES

TOLD_OF_MESSAGES = (
    "role",
    "content",
    "reasoning_content",
    "refusal",
    "tool_calls",
    "function_call",
    "audio",
    "annotations",
)


def events_of(chunks, **options):
    """The decoded events of *chunks*, without their end."""
    maker = ChunkEvents(**{"completion_id": "chatcmpl-made", "created": 5, **options})
    return decoded(maker.add(chunks))


def decoded(body):
    assert body == b"" or body.endswith(b"\n\n")
    return [json.loads(event.removeprefix(b"data: ")) for event in body.split(b"\n\n")[:-1] if event != b"data: [DONE]"]


def through(body, **options):
    """The events of a whole body, as its client reads them when it forgives nothing; and as they are."""
    chunks, parser, _ = parse([body] if isinstance(body, bytes) else body)
    assert parser.error is None
    maker = ChunkEvents(**{"completion_id": "chatcmpl-made", "created": 5, "include_usage": True, **options})
    events = b"".join(maker.add([chunk]) for chunk in chunks) + maker.done()
    reading = read_stream([events], "strict")
    assert reading.error is None
    assert reading.quirks == ()
    return reading.completion, decoded(events)


def told(completion: ChatCompletion, *, with_extra: bool):
    """What a client is told, as plain data: who says what in each choice, and the token counts."""
    choices = [
        (choice.index, [_plain(getattr(choice.message, name), with_extra=with_extra) for name in TOLD_OF_MESSAGES])
        for choice in completion.choices
    ]
    return choices, _plain(completion.usage, with_extra=with_extra)


def _plain(value, *, with_extra):
    if isinstance(value, WireStruct):
        names = [name for name in value.__struct_fields__ if with_extra or name != "extra"]
        return {name: _plain(getattr(value, name), with_extra=with_extra) for name in names}
    return [_plain(item, with_extra=with_extra) for item in value] if isinstance(value, list) else value


READABLE = sorted(
    name
    for name in BY_BYTES
    # A count that is not known cannot be told in the API's own form, and is not made up.
    if QUIRKS[name].expect in ("same", "changed", "unlabelled") and name != "usage_null_count"
)


# --- the dialects -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep_extra", [True, False], ids=["vendor fields kept", "dropped"])
@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
@pytest.mark.parametrize("name", READABLE)
def test_no_quirk_is_seen_behind_it(name, reply, keep_extra) -> None:
    """A client that repairs nothing reads content, reasoning, tool calls and usage as they were meant."""
    parts = speak(reply, [name])
    direct = read_stream(parts).completion
    behind, events = through(parts, keep_extra=keep_extra)
    assert told(behind, with_extra=keep_extra) == told(direct, with_extra=keep_extra)
    assert len({(event["id"], event["object"], event["created"]) for event in events}) == 1
    assert all(event["choices"] or "usage" in event for event in events)


@given(st.integers(0, 60))
def test_batches_do_not_matter(at) -> None:
    """However the chunks came together, the same bytes come of them."""
    chunks = parse(speak(REPLIES["everything"], ["vendor_fields"]))[0]
    halves, whole = ChunkEvents(completion_id="x", created=1), ChunkEvents(completion_id="x", created=1)
    assert halves.add(chunks[:at]) + halves.add(chunks[at:]) + halves.done() == whole.add(chunks) + whole.done()


# --- the envelope -----------------------------------------------------------------------------------------------------


def test_what_the_server_left_out_of_the_envelope_is_made_up_and_stays() -> None:
    """An id or a time that comes after the first event comes too late."""
    late = ChatCompletionChunk(id="late", created=9, model="m", choices=[ChunkChoice(delta=ChoiceDelta(content="b"))])
    first = ChatCompletionChunk(choices=[ChunkChoice(delta=ChoiceDelta(content="a"))])
    events = events_of([first, late])
    assert [(event["id"], event["created"]) for event in events] == [("chatcmpl-made", 5)] * 2
    assert [event["model"] for event in events] == ["", "m"]
    assert {event["object"] for event in events} == {"chat.completion.chunk"}


def test_a_chunk_that_says_nothing_does_not_fix_the_envelope() -> None:
    """Azure begins with one that has neither id nor choices; what it has goes with the first event."""
    empty = ChatCompletionChunk(extra={"prompt_filter_results": []})
    events = events_of([empty, ChatCompletionChunk(id="real", choices=[ChunkChoice(delta=ChoiceDelta(content="a"))])])
    assert [(event["id"], event["prompt_filter_results"]) for event in events] == [("real", [])]


def test_the_model_can_be_given_another_name() -> None:
    """A gateway need not say what is behind it."""
    body = body_of([delta_chunk({"content": "Hi"}, finish="stop")])
    assert {event["model"] for event in through(body, model="ours")[1]} == {"ours"}


def test_fingerprint_and_tier_go_on_once_they_are_known() -> None:
    """They may come late, and a null takes nothing back."""
    chunks, _, _ = parse(
        [
            body_of(
                [
                    delta_chunk({"content": "a"}),
                    delta_chunk({"content": "b"}, system_fingerprint="fp", service_tier="flex"),
                    delta_chunk({"content": "c"}, system_fingerprint=None),
                ]
            )
        ]
    )
    events = events_of(chunks)
    assert [(event.get("system_fingerprint"), event.get("service_tier")) for event in events] == [
        (None, None),
        ("fp", "flex"),
        ("fp", "flex"),
    ]


def test_a_moderation_goes_on() -> None:
    """It is of the API, so it goes on whether or not vendor fields do; also in a chunk without choices."""
    verdict = {"input": {"type": "moderation_results", "results": [{"flagged": True}]}}
    last = {"id": "1", "object": "chat.completion.chunk", "choices": [], "moderation": verdict}
    chunks, _, _ = parse([body_of([delta_chunk({"content": "a"}, finish="stop"), last])])
    assert [event.get("moderation") for event in events_of(chunks)] == [None, verdict]


def test_usage_is_told_if_it_was_asked_for() -> None:
    """In an event of its own that has no choices; otherwise every event has one."""
    usage = {"prompt_tokens": 0, "completion_tokens": 1, "total_tokens": 1}
    body = body_of([delta_chunk({"content": "Hi"}, usage=usage), delta_chunk(finish="stop")])
    *others, last = through(body)[1]
    assert (last["choices"], last["usage"]) == ([], usage)
    assert not any("usage" in event for event in others)
    assert not any("usage" in event for event in through(body, include_usage=False)[1])


# --- a choice ---------------------------------------------------------------------------------------------------------


def test_the_end_is_told_once_and_last() -> None:
    """Servers repeat a finish_reason, send a better one later, and text after it."""
    body = body_of(
        [
            delta_chunk({"content": "a"}, finish="stop"),
            delta_chunk({"content": "b"}),
            delta_chunk(finish="MAX_TOKENS"),
        ]
    )
    reasons = [event["choices"][0]["finish_reason"] for event in through(body)[1]]
    assert reasons == [None, None, "length"]


@pytest.mark.parametrize(
    ("reason", "told_reason"),
    [("end_turn", "stop"), ("sensitive", "content_filter"), ("something_new", "something_new"), (None, "stop")],
)
def test_a_finish_reason_is_told_in_the_words_of_the_api(reason, told_reason) -> None:
    """Where it can be; a word nobody knows goes on as it is, and a missing one was left out at ``[DONE]``."""
    body = body_of([delta_chunk({"content": "a"}, finish=reason)])
    assert through(body)[1][-1]["choices"][0]["finish_reason"] == told_reason


def test_a_stop_after_tool_calls_is_told_as_such() -> None:
    """Clients go by that word when they decide whether to run tools."""
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body = body_of([delta_chunk({"tool_calls": [call]}, finish="stop")])
    assert through(body)[1][-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_the_old_form_of_a_call_stays_what_it_is() -> None:
    """With its own finish_reason, and its name once."""
    body = body_of(
        [
            delta_chunk({"function_call": {"name": "f"}}),
            delta_chunk({"function_call": {"arguments": '{"a":'}}),
            delta_chunk({"function_call": {"arguments": "1}"}}, finish="function_call"),
        ]
    )
    events = through(body)[1]
    calls = [event["choices"][0]["delta"].get("function_call") for event in events]
    assert calls == [None, {"name": "f", "arguments": '{"a":'}, {"arguments": "1}"}, None]
    assert events[-1]["choices"][0]["finish_reason"] == "function_call"


def test_an_old_call_without_arguments_is_told_at_the_end() -> None:
    """Nothing more came, so it has none."""
    body = body_of([delta_chunk({"function_call": {"name": "f"}}, finish="stop")])
    assert [event["choices"][0]["delta"] for event in through(body)[1]] == [
        {"role": "assistant"},
        {"function_call": {"arguments": "{}", "name": "f"}},
        {},
    ]


def test_a_choice_without_text_has_its_role_and_its_end() -> None:
    """An empty answer is one, too; an empty text stays one, and no null."""
    body = body_of([delta_chunk({"content": ""}), delta_chunk(finish="stop")])
    completion, events = through(body)
    assert [event["choices"][0]["delta"] for event in events] == [{"content": "", "role": "assistant"}, {}]
    assert completion.choices[0].message.content == ""


def test_logprobs_have_all_that_the_api_always_has() -> None:
    """Zeros included, which our Structs leave out."""
    logprobs = {"content": [{"token": "a", "logprob": 0.0, "top_logprobs": [{"token": "b", "logprob": -1.5}]}]}
    chunk = delta_chunk({"content": "a"})
    chunk["choices"][0]["logprobs"] = logprobs
    (told_logprobs,) = [event["choices"][0].get("logprobs") for event in through(body_of([chunk]))[1][:1]]
    rival = {"token": "b", "logprob": -1.5, "bytes": None}
    token = {"token": "a", "logprob": 0.0, "bytes": None, "top_logprobs": [rival]}
    assert told_logprobs == {"content": [token], "refusal": None}


def test_a_lone_surrogate_goes_on_as_the_escape_it_came_in() -> None:
    """UTF-8 has no bytes for it."""
    chunks = [ChatCompletionChunk(id="i", choices=[ChunkChoice(delta=ChoiceDelta(content=text))]) for text in "a\ud800"]
    assert [event["choices"][0]["delta"]["content"] for event in events_of(chunks)] == ["a", "\ud800"]


# --- tool calls -------------------------------------------------------------------------------------------------------


def calls_of(*deltas, **options):
    """What is told of the tool calls in *deltas*, one chunk for each; with those that were held back."""
    body = body_of([delta_chunk({"tool_calls": [delta]}) for delta in deltas])
    events = through(body, **options)[1]
    return [call for event in events for item in event["choices"] for call in item["delta"].get("tool_calls", ())]


def test_a_call_begins_with_everything_but_its_arguments() -> None:
    """Clients take id, type and name from the first piece only."""
    first, second = calls_of(
        {"index": 3, "id": "c", "function": {"name": "get_"}},
        {"index": 3, "function": {"name": "time"}},
        {"index": 3, "function": {"arguments": '{"a":'}},
        {"index": 3, "id": "c", "function": {"name": "get_time", "arguments": "1}"}},
    )
    assert first == {
        "index": 0,
        "id": "c",
        "type": "function",
        "function": {"name": "get_time", "arguments": '{"a":'},
    }
    assert second == {"index": 0, "function": {"arguments": "1}"}}


def test_arguments_wait_for_a_name() -> None:
    """Some servers send it last."""
    (only,) = calls_of(
        {"index": 0, "id": "c", "function": {"arguments": '{"a":'}},
        {"index": 0, "function": {"arguments": "1}"}},
        {"index": 0, "function": {"name": "f"}},
    )
    assert only["function"] == {"arguments": '{"a":1}', "name": "f"}


def test_calls_without_arguments_begin_in_their_order() -> None:
    """Whether they have none is certain at the end only, but the next call does not overtake."""
    calls = calls_of(
        {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}},
        {"index": 1, "id": "b", "function": {"name": "g", "arguments": '{"x":1}'}},
    )
    assert [(call["index"], call.get("id"), call["function"]["arguments"]) for call in calls] == [
        (0, "a", ""),
        (1, "b", '{"x":1}'),
        (0, None, "{}"),
    ]


def test_a_call_that_never_gets_a_name_is_told_at_the_end() -> None:
    """Without one, as the answer itself has it."""
    (only,) = calls_of({"index": 0, "id": "c", "function": {"arguments": '{"a":1}'}})
    assert only["function"] == {"name": "", "arguments": '{"a":1}'}


def test_vendor_fields_of_a_call_go_with_its_next_piece() -> None:
    """Gemini's signatures come with the head of a call, and have to come back."""
    signature = {"extra_content": {"google": {"thought_signature": "sig"}}}
    head = {"index": 0, "id": "c", "function": {"name": "f", "x": 1}, **signature}
    deltas = [head, {"index": 0, "function": {"arguments": '{"a":1}'}}, {"index": 0, "y": 2}]
    assert calls_of(*deltas) == [
        {
            **signature,
            "index": 0,
            "function": {"x": 1, "arguments": '{"a":1}', "name": "f"},
            "id": "c",
            "type": "function",
        },
    ]
    assert calls_of(*deltas, keep_extra=False)[0].keys() == {"index", "id", "type", "function"}


def test_a_custom_call_has_its_own_form() -> None:
    """Its input is free text, of which an empty one is none."""
    first, second, third = calls_of(
        {"index": 0, "id": "c", "type": "custom", "custom": {"name": "sh", "input": "ls"}},
        {"index": 0, "custom": {"input": " -l"}},
        {"index": 1, "id": "d", "type": "custom", "custom": {"name": "sh"}},
    )
    assert first == {"index": 0, "id": "c", "type": "custom", "custom": {"input": "ls", "name": "sh"}}
    assert second == {"index": 0, "custom": {"input": " -l"}}
    assert third == {"index": 1, "id": "d", "type": "custom", "custom": {"input": "", "name": "sh"}}


def test_a_call_out_of_bounds_is_not_told() -> None:
    """The stream itself ends with that error."""
    delta = {"index": 10**6, "id": "c", "function": {"name": "f", "arguments": "{}"}}
    chunks, _, _ = parse([body_of([delta_chunk({"tool_calls": [delta]})])])
    assert [event["choices"][0]["delta"] for event in events_of(chunks)] == [{"role": "assistant"}]


# --- vendor fields ----------------------------------------------------------------------------------------------------


class Scored(ChoiceDelta):
    score: float = 0.0


class ScoredChoice(ChunkChoice):
    delta: Scored = msgspec.field(default_factory=Scored)


class ScoredChunk(ChatCompletionChunk):
    choices: list[ScoredChoice] = []
    provider: str = ""


@pytest.mark.parametrize("keep_extra", [True, False])
def test_vendor_fields_that_a_struct_names_are_vendor_fields(keep_extra) -> None:
    """They go on as those that none names."""
    body = body_of([delta_chunk({"content": text, "score": 0.5}, provider="p") for text in "ab"])
    chunks, _, _ = parse([body], chunk_type=ScoredChunk)
    events = events_of(chunks, keep_extra=keep_extra)
    assert [event.get("provider") for event in events] == ["p" if keep_extra else None] * 2
    assert [event["choices"][0]["delta"].get("score") for event in events] == [0.5 if keep_extra else None] * 2
    assert [event["choices"][0]["delta"]["content"] for event in events] == ["a", "b"]


def test_vendor_fields_beside_the_end_go_with_the_end() -> None:
    """Such as vLLM's stop_reason."""
    chunk = delta_chunk({"content": "a"}, finish="stop")
    chunk["choices"][0]["stop_reason"] = 7
    events = through(body_of([chunk]))[1]
    assert [event["choices"][0].get("stop_reason") for event in events] == [None, 7]
    assert "stop_reason" not in through(body_of([chunk]), keep_extra=False)[1][1]["choices"][0]


def test_vendor_fields_within_annotations_are_kept_or_dropped() -> None:
    """At every level."""
    note = {"type": "url_citation", "url_citation": {"url": "http://x", "site": "x"}, "rank": 1}
    body = body_of([delta_chunk({"content": "a", "annotations": [note]})])
    assert through(body)[1][0]["choices"][0]["delta"]["annotations"] == [note]
    plain = {"type": "url_citation", "url_citation": {"url": "http://x"}}
    assert through(body, keep_extra=False)[1][0]["choices"][0]["delta"]["annotations"] == [plain]


# --- the end ----------------------------------------------------------------------------------------------------------


def test_a_whole_answer_ends_with_done() -> None:
    """And nothing follows."""
    assert ChunkEvents(completion_id="x", created=1).done() == DONE


def test_an_answer_that_failed_ends_with_the_error_and_without_done() -> None:
    """In the API's form, and with nothing that concerns nobody."""
    maker = ChunkEvents(completion_id="x", created=1)
    assert decoded(maker.failed(StreamInterruptedError("10.0.0.7 reset the connection"))) == [
        {
            "error": {
                "message": "The answer was interrupted.",
                "type": "server_error",
                "param": None,
                "code": "interrupted",
            }
        }
    ]
    limited = RateLimitError("key sk-1 is limited", status_code=429)
    assert decoded(maker.failed(limited))[0]["error"]["type"] == "rate_limit_error"
    assert b"[DONE]" not in maker.failed(limited)
