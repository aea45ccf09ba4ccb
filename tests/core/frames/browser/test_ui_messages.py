"""Frames as the parts of the AI SDK's UI message stream, which its schema takes and its client can follow."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async import ConfigurationError, UIMessageEncoder
from opeai_async._core.frames.framer import Framer
from opeai_async.testing import speak
from opeai_async.types.common import Annotation, CompletionUsage, UrlCitation
from opeai_async.types.frames import (
    AnnotationsFrame,
    AudioFrame,
    ContentFrame,
    DoneFrame,
    ErrorFrame,
    PingFrame,
    ReasoningFrame,
    RefusalFrame,
    RoundFrame,
    StartFrame,
    ToolApprovalFrame,
    ToolCallFrame,
    ToolFinishedFrame,
    ToolStartedFrame,
)
from tests.support.reading.streams import parse
from tests.testing.test_quirks import REPLIES

ANY = object
FINISH_REASONS = {"stop", "length", "content-filter", "tool-calls", "error", "other"}

# The parts that a language model's answer is told in, as `uiMessageChunkSchema` of the packages ai 5.0, 6.0 and 7.0 has
# them: fields that must be there, and fields that may. All else is refused, as the first releases of 5 and 6 do; fields
# that only some of these versions know are not here.
SCHEMA: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "start": ({}, {"messageId": str, "messageMetadata": ANY}),
    "start-step": ({}, {}),
    "text-start": ({"id": str}, {"providerMetadata": dict}),
    "text-delta": ({"id": str, "delta": str}, {"providerMetadata": dict}),
    "text-end": ({"id": str}, {"providerMetadata": dict}),
    "reasoning-start": ({"id": str}, {"providerMetadata": dict}),
    "reasoning-delta": ({"id": str, "delta": str}, {"providerMetadata": dict}),
    "reasoning-end": ({"id": str}, {"providerMetadata": dict}),
    "tool-input-start": (
        {"toolCallId": str, "toolName": str},
        {"providerExecuted": bool, "dynamic": bool, "title": str},
    ),
    "tool-input-delta": ({"toolCallId": str, "inputTextDelta": str}, {}),
    "tool-input-available": (
        {"toolCallId": str, "toolName": str, "input": ANY},
        {"providerExecuted": bool, "providerMetadata": dict, "dynamic": bool, "title": str},
    ),
    "tool-input-error": (
        {"toolCallId": str, "toolName": str, "input": ANY, "errorText": str},
        {"providerExecuted": bool, "providerMetadata": dict, "dynamic": bool, "title": str},
    ),
    "tool-output-available": (
        {"toolCallId": str, "output": ANY},
        {"providerExecuted": bool, "dynamic": bool, "preliminary": bool},
    ),
    "tool-output-error": (
        {"toolCallId": str, "errorText": str},
        {"providerExecuted": bool, "dynamic": bool},
    ),
    "source-url": ({"sourceId": str, "url": str}, {"title": str, "providerMetadata": dict}),
    "error": ({"errorText": str}, {}),
    "abort": ({}, {}),
    "finish-step": ({}, {}),
    "finish": ({}, {"finishReason": FINISH_REASONS, "messageMetadata": ANY}),
}


def check(part):
    """That the schema takes *part*."""
    needed, allowed = SCHEMA[part["type"]]
    fields = {name: value for name, value in part.items() if name != "type"}
    assert needed.keys() <= fields.keys() <= needed.keys() | allowed.keys(), part
    for name, value in fields.items():
        kind = {**needed, **allowed}[name]
        assert value in kind if isinstance(kind, set) else isinstance(value, kind), part


class Message:
    """What the SDK's client makes of the parts; it refuses what comes out of order, as that does."""

    def __init__(self):
        self.id = None
        self.parts = []
        self.calls = {}
        self.ended_by = None
        self._open = {}
        self._is_begun = False

    def add(self, part):
        check(part)
        assert self.ended_by is None, f"{part} after the end"
        kind = part["type"]
        if kind == "start":
            assert not self._is_begun
            self._is_begun, self.id = True, part.get("messageId")
        elif kind.endswith("-start") and not kind.startswith("tool"):
            assert self._is_begun
            self._open[kind.removesuffix("-start"), part["id"]] = text = [kind.removesuffix("-start"), ""]
            self.parts.append(text)
        elif kind in ("text-delta", "reasoning-delta"):
            self._open[kind.removesuffix("-delta"), part["id"]][1] += part["delta"]
        elif kind in ("text-end", "reasoning-end"):
            del self._open[kind.removesuffix("-end"), part["id"]]
        elif kind == "tool-input-start":
            assert part["toolCallId"] not in self.calls
            self.calls[part["toolCallId"]] = {"name": part["toolName"], "text": ""}
        elif kind == "tool-input-delta":
            self.calls[part["toolCallId"]]["text"] += part["inputTextDelta"]
        elif kind in ("tool-input-available", "tool-input-error"):
            assert self.calls[part["toolCallId"]]["name"] == part["toolName"]
            assert not {"tool-input-available", "tool-input-error"} & self.calls[part["toolCallId"]].keys()
            self.calls[part["toolCallId"]][kind] = part["input"]
        elif kind in ("tool-output-available", "tool-output-error"):
            assert "tool-input-available" in self.calls[part["toolCallId"]]
            self.calls[part["toolCallId"]][kind] = part.get("output", part.get("errorText"))
        elif kind == "source-url":
            self.parts.append([kind, part["url"], part.get("title")])
        elif kind in ("finish", "error", "abort"):
            assert not self._open
            self.ended_by = part


def parts_of(*frames, **options):
    """The parts of *frames*, and the message that a client makes of them."""
    encode, message, parts = UIMessageEncoder(**options), Message(), []
    for frame in frames:
        for text in encode(frame) or ():
            parts.append(json.loads(text))
            message.add(parts[-1])
    return parts, message


START = StartFrame(v=1, id="chatcmpl-1", model="m")
DONE = DoneFrame(reason="completed", finish_reason="stop")


def types_of(parts):
    return [part["type"] for part in parts]


# --- texts ------------------------------------------------------------------------------------------------------------


def test_an_answer_with_reasoning() -> None:
    """Each text is opened, told in deltas, and closed before the next one is opened."""
    parts, message = parts_of(START, ReasoningFrame(text="Hm"), ContentFrame(text="Hel"), ContentFrame(text="lo"), DONE)
    assert parts == [
        {"type": "start"},
        {"type": "start-step"},
        {"type": "reasoning-start", "id": "reasoning-1"},
        {"type": "reasoning-delta", "id": "reasoning-1", "delta": "Hm"},
        {"type": "reasoning-end", "id": "reasoning-1"},
        {"type": "text-start", "id": "text-2"},
        {"type": "text-delta", "id": "text-2", "delta": "Hel"},
        {"type": "text-delta", "id": "text-2", "delta": "lo"},
        {"type": "text-end", "id": "text-2"},
        {"type": "finish-step"},
        {"type": "finish", "finishReason": "stop"},
    ]
    assert message.parts == [["reasoning", "Hm"], ["text", "Hello"]]


def test_a_message_has_the_id_that_the_application_gives_it() -> None:
    """None is sent by default: a message that goes on would be another one under another id."""
    assert parts_of(START, DONE)[0][0] == {"type": "start"}
    assert parts_of(START, DONE, message_id="m1")[0][0] == {"type": "start", "messageId": "m1"}
    assert parts_of(ContentFrame(text="lo"), message_id="m1")[0][0] == {"type": "start", "messageId": "m1"}


def test_a_reader_who_comes_in_later_gets_a_start_all_the_same() -> None:
    """Its first frame is in the middle of the answer."""
    assert types_of(parts_of(ContentFrame(text="lo"))[0]) == ["start", "start-step", "text-start", "text-delta"]


def test_refusals_and_transcripts_are_text() -> None:
    """The protocol has no other place for them, and none for sound in pieces."""
    _, message = parts_of(
        START, AudioFrame(data="AAAA"), AudioFrame(data="AA", transcript="Hi "), RefusalFrame(text="no"), DONE
    )
    assert message.parts == [["text", "Hi no"]]


def test_other_choices_are_left_out() -> None:
    """A message is one answer; which one can be said."""
    frames = (START, ContentFrame(text="a"), ContentFrame(text="b", choice=1))
    done = DoneFrame(reason="completed", finish_reason="stop", finish_reasons={0: "stop", 1: "length"})
    assert parts_of(*frames, done)[1].parts == [["text", "a"]]
    message = parts_of(*frames, done, choice=1)[1]
    assert (message.parts, message.ended_by["finishReason"]) == ([["text", "b"]], "length")


def test_a_ping_says_nothing() -> None:
    """The protocol has none; over server-sent events, a comment keeps the line open."""
    assert UIMessageEncoder()(PingFrame()) is None


def test_citations_are_sources() -> None:
    """Those that have an address."""
    notes = [
        Annotation(type="url_citation", url_citation=UrlCitation(url="http://a", title="A")),
        Annotation(type="url_citation", url_citation=UrlCitation(url="http://b")),
        Annotation(type="url_citation", url_citation=UrlCitation(title="nowhere")),
        Annotation(type="file_citation"),
    ]
    _, message = parts_of(START, ContentFrame(text="x"), AnnotationsFrame(annotations=notes), DONE)
    assert message.parts == [["text", "x"], ["source-url", "http://a", "A"], ["source-url", "http://b", None]]


# --- tool calls -------------------------------------------------------------------------------------------------------


def test_a_tool_call_is_told_in_deltas_and_then_whole() -> None:
    """Its input is parsed when nothing more can come of it, and not as soon as what there is happens to parse."""
    parts, message = parts_of(
        START,
        ContentFrame(text="Let me see."),
        ToolCallFrame(index=0, id="a", name="f"),
        ToolCallFrame(index=1, id="b", name="g", arguments='{"y"'),
        ToolCallFrame(index=0, arguments='{"x": 1}'),
        ToolCallFrame(index=1, arguments=": 2}"),
        DoneFrame(reason="completed", finish_reason="tool_calls"),
    )
    assert message.calls == {
        "a": {"name": "f", "text": '{"x": 1}', "tool-input-available": {"x": 1}},
        "b": {"name": "g", "text": '{"y": 2}', "tool-input-available": {"y": 2}},
    }
    assert types_of(parts)[-4:] == ["tool-input-available"] * 2 + ["finish-step", "finish"]
    assert message.ended_by["finishReason"] == "tool-calls"


def test_a_run_of_tools_is_told_in_steps_with_their_outputs() -> None:
    """What a tool returned follows its whole input; each round is a step, and the last one's reason is the run's."""
    parts, message = parts_of(
        START,
        ContentFrame(text="I look."),
        ToolCallFrame(index=0, id="a", name="clock", arguments="{}"),
        ToolCallFrame(index=1, id="b", name="fails", arguments="{}"),
        ToolCallFrame(index=2, id="c", name="silent", arguments="{}"),
        ToolStartedFrame(index=0, id="a", name="clock"),
        ToolFinishedFrame(index=0, id="a", name="clock", result="12:00"),
        ToolFinishedFrame(index=1, id="b", name="fails", error="failed"),
        RoundFrame(round=2),
        ContentFrame(text="Noon."),
        DONE,
    )
    assert message.parts == [["text", "I look."], ["text", "Noon."]]
    whole = {"text": "{}", "tool-input-available": {}}
    assert message.calls == {
        "a": {"name": "clock", **whole, "tool-output-available": "12:00"},
        "b": {"name": "fails", **whole, "tool-output-error": "The tool failed."},
        "c": {"name": "silent", **whole},
    }
    assert [kind for kind in types_of(parts) if "step" in kind] == ["start-step", "finish-step"] * 2
    assert message.ended_by["finishReason"] == "stop"


def test_a_reader_who_comes_in_after_a_call_hears_nothing_of_it() -> None:
    """Neither its output nor the rest of its input: the SDK stops at a call that it was not told of."""
    parts, message = parts_of(
        ToolCallFrame(index=0, arguments='": 1}'),
        ToolCallFrame(index=1, id="b", name="g", arguments="{}"),
        *(ToolStartedFrame(index=index, id="ab"[index], name="f") for index in range(2)),
        *(ToolFinishedFrame(index=index, id="ab"[index], name="f", result="x") for index in range(2)),
        RoundFrame(round=2),
        ToolCallFrame(index=2, id="c", arguments="{}"),
        DONE,
    )
    assert "a" not in json.dumps([part.get("toolCallId") for part in parts])
    assert {call_id: call["name"] for call_id, call in message.calls.items()} == {"b": "g", "c": ""}


def test_the_calls_that_a_run_goes_on_with_are_in_the_readers_message() -> None:
    """So their outputs are told, although no frame announces them; new calls are counted behind them."""
    encode = UIMessageEncoder()
    frames = (
        ToolStartedFrame(index=0, id="a", name="pay", resumed=True),
        ToolFinishedFrame(index=0, id="a", name="pay", resumed=True, result="paid"),
        ToolFinishedFrame(index=1, id="b", name="pay", resumed=True, error="not_approved"),
        ToolApprovalFrame(index=2, id="c", name="pay", resumed=True),
        DONE,
    )
    parts = [json.loads(text) for frame in frames for text in encode(frame) or ()]
    assert parts[2:5] == [
        {"type": "tool-output-available", "toolCallId": "a", "output": "paid"},
        {"type": "tool-output-denied", "toolCallId": "b"},
        {"type": "tool-approval-request", "approvalId": "c", "toolCallId": "c"},
    ]


def test_a_call_that_waits_for_approval() -> None:
    """It is whole before; version 5 has no word for it, and so gets data of the application's kind."""
    frames = (
        START,
        ToolCallFrame(index=0, id="a", name="pay", arguments="{}"),
        ToolApprovalFrame(index=0, id="a", name="pay"),
        DoneFrame(reason="completed", finish_reason="tool_calls"),
    )

    def asked(version: str):
        encode = UIMessageEncoder(ai_version=version)
        parts = [json.loads(text) for frame in frames for text in encode(frame) or ()]
        return [parts[types_of(parts).index("tool-input-available") + 1], parts[-1]]

    request = {"type": "tool-approval-request", "approvalId": "a", "toolCallId": "a"}
    assert asked("6.0.1") == [request, {"type": "finish", "finishReason": "tool-calls"}]
    data = {"approvalId": "a", "toolCallId": "a", "toolName": "pay"}
    assert asked("5.0.91") == [{"type": "data-tool-approval", "id": "a", "data": data}, {"type": "finish"}]


@pytest.mark.parametrize(("version", "is_told"), [("5.0.0", False), ("5.0.91", False), ("5.0.92", True), ("5", True)])
def test_older_readers_get_no_finish_reason(version, is_told) -> None:
    """They refuse the whole stream for it."""
    assert ("finishReason" in parts_of(START, DONE, ai_version=version)[1].ended_by) is is_told


@pytest.mark.parametrize("version", ["4.3.19", "newest", ""])
def test_a_version_that_reads_another_protocol(version) -> None:
    """Or that is none."""
    with pytest.raises(ConfigurationError, match="expected a version of the npm package"):
        UIMessageEncoder(ai_version=version)


@pytest.mark.parametrize(
    ("result", "is_json", "told"),
    [
        ('{"a":[1]}', True, {"a": [1]}),
        ("20", True, 20),
        ("null", True, None),
        ("20", False, "20"),
        ("null", False, "null"),
        (' {"by": "hand"}', False, {"by": "hand"}),
        ("[1] see below", False, "[1] see below"),
        ("[" * 5000, False, "[" * 5000),
        ([{"type": "text", "text": "x"}], False, [{"type": "text", "text": "x"}]),
    ],
)
def test_outputs_are_json_values(result, is_json, told) -> None:
    """A page wants to show a table, and not its source; a text that a tool returns stays a text."""
    call = ToolCallFrame(index=0, id="a", name="f", arguments="{}")
    parts, _ = parts_of(START, call, ToolFinishedFrame(index=0, id="a", name="f", result=result, is_json=is_json), DONE)
    assert next(part["output"] for part in parts if part["type"] == "tool-output-available") == told


def test_what_a_failure_is_told_as() -> None:
    """As the model was told, where the reader may see that; else by a sentence that gives nothing away."""

    def told(error, result=None):
        call = ToolCallFrame(index=0, id="a", name="f", arguments="{}")
        done = ToolFinishedFrame(index=0, id="a", name="f", error=error, result=result)
        return parts_of(START, call, done, DONE, ai_version="5")[1].calls["a"]["tool-output-error"]

    assert told("failed", '{"error":"There is no such city."}') == "There is no such city."
    assert told("failed", '{"error":1}') == told("failed", "broken {") == told("failed") == "The tool failed."
    assert told("timeout") == "The tool took too long."
    assert told("not_approved") == "The call was not approved."


def test_ids_that_come_twice_or_not_at_all() -> None:
    """Each call has an id of its own in the whole run, and keeps it whatever comes later; outputs find it."""
    _, message = parts_of(
        START,
        ToolCallFrame(index=0, id="f:0", name="f", arguments="{}"),
        ToolCallFrame(index=1, id="f:0", name="f", arguments="{}"),
        ToolCallFrame(index=2, id="call_synthetic_2", name="f", arguments="{"),
        ToolCallFrame(index=2, id="late", arguments="}"),
        *(
            ToolFinishedFrame(index=i, id=call_id, name="f", result=str(i))
            for i, call_id in enumerate(["f:0", "f:0", "late"])
        ),
        RoundFrame(round=2),
        ToolCallFrame(index=3, id="f:0", name="f", arguments="{}"),
        ToolFinishedFrame(index=3, id="f:0", name="f", result="3"),
        DONE,
    )
    assert [call["tool-output-available"] for call in message.calls.values()] == ["0", "1", "2", "3"]
    assert list(message.calls) == ["f:0", "call_chatcmpl-1_1", "call_chatcmpl-1_2", "call_3"]


def test_a_made_up_id_that_is_taken() -> None:
    """Nothing keeps a server from using it."""
    _, message = parts_of(
        START,
        ToolCallFrame(index=0, id="call_chatcmpl-1_1", name="f", arguments="{}"),
        ToolCallFrame(index=1, id="call_synthetic_1", name="f", arguments="{}"),
        DONE,
    )
    assert list(message.calls) == ["call_chatcmpl-1_1", "call_chatcmpl-1_1_"]


def test_a_call_that_was_run_early_and_went_on() -> None:
    """Its input is told again when it is whole once more."""
    encode = UIMessageEncoder()
    frames = (
        START,
        ToolCallFrame(index=0, id="a", name="f", arguments="{}"),
        ToolStartedFrame(index=0, id="a", name="f"),
        ToolCallFrame(index=0, arguments=" "),
        ToolStartedFrame(index=0, id="a", name="f"),
    )
    parts = [json.loads(text) for frame in frames for text in encode(frame) or ()]
    assert types_of(parts)[3:] == ["tool-input-delta", "tool-input-available"] * 2


def test_a_call_without_arguments_has_none() -> None:
    """As a run reads it."""
    assert parts_of(START, ToolCallFrame(index=0, id="a", name="f"), DONE)[1].calls["a"]["tool-input-available"] == {}


@pytest.mark.parametrize("text", ["[1]", "7", "[" * 5000])
def test_arguments_that_are_no_object(text) -> None:
    """The tool is not run with them, and that is told once."""
    _, message = parts_of(
        START,
        ToolCallFrame(index=0, id="a", name="f", arguments=text),
        ToolFinishedFrame(index=0, id="a", name="f", error="invalid_arguments"),
        DONE,
    )
    assert message.calls["a"] == {"name": "f", "text": text, "tool-input-error": text}


def test_a_name_in_pieces_is_whole_when_it_is_told() -> None:
    """It is settled where the arguments begin; what came before waits."""
    _, message = parts_of(
        START,
        ToolCallFrame(index=0, id="a", name="get_"),
        ToolCallFrame(index=0, name="get_time"),
        ToolCallFrame(index=0, arguments="{}"),
        ToolCallFrame(index=0, name="late"),
        DONE,
    )
    assert message.calls == {"a": {"name": "get_time", "text": "{}", "tool-input-available": {}}}


def test_arguments_wait_for_a_late_name() -> None:
    """Or for the end, if none comes."""
    frames = (START, ToolCallFrame(index=0, id="a", arguments='{"x":'), ToolCallFrame(index=0, arguments="1}"))
    _, message = parts_of(*frames, ToolCallFrame(index=0, name="f"), DONE)
    assert message.calls == {"a": {"name": "f", "text": '{"x":1}', "tool-input-available": {"x": 1}}}
    assert parts_of(*frames, DONE)[1].calls["a"] == {"name": "", "text": '{"x":1}', "tool-input-available": {"x": 1}}


def test_arguments_that_are_no_json_are_an_error_of_the_call() -> None:
    """As when the model ran out of tokens; the SDK shows it with what there is."""
    _, message = parts_of(
        START,
        ToolCallFrame(index=0, id="a", name="f", arguments='{"x":'),
        DoneFrame(reason="completed", finish_reason="length"),
    )
    assert message.calls == {"a": {"name": "f", "text": '{"x":', "tool-input-error": '{"x":'}}


def test_a_custom_call_has_text_for_input() -> None:
    """Even if it looks like JSON."""
    _, message = parts_of(START, ToolCallFrame(index=0, id="a", name="sh", kind="custom", arguments="1"), DONE)
    assert message.calls == {"a": {"name": "sh", "text": "1", "tool-input-available": "1"}}


def test_the_old_form_of_a_call_gets_an_id() -> None:
    """It has none, and is another call than the first in the new form."""
    _, message = parts_of(START, ToolCallFrame(index=0, name="f", kind="function_call", arguments="{}"), DONE)
    assert message.calls == {"call_chatcmpl-1_0": {"name": "f", "text": "{}", "tool-input-available": {}}}


def test_calls_of_an_answer_that_broke_off_are_not_made_whole() -> None:
    """A client would run them."""
    call = ToolCallFrame(index=0, id="a", name="f", arguments="{}")
    for end in (ErrorFrame(code="interrupted", message="Broken."), DoneFrame(reason="stopped")):
        assert parts_of(START, call, end)[1].calls == {"a": {"name": "f", "text": "{}"}}


# --- the end ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("finish_reason", "told"),
    [
        ("stop", "stop"),
        ("MAX_TOKENS", "length"),
        ("content_filter", "content-filter"),
        ("tool_calls", "tool-calls"),
        ("something new", "other"),
        (None, "other"),
    ],
)
def test_a_finish_reason_is_told_in_the_words_of_the_sdk(finish_reason, told) -> None:
    """It refuses all others."""
    done = DoneFrame(reason="completed", finish_reason=finish_reason)
    assert parts_of(START, done)[1].ended_by == {"type": "finish", "finishReason": told}


def test_a_stop_after_tool_calls_is_told_as_such() -> None:
    """Some servers only ever say that they stopped."""
    _, message = parts_of(START, ToolCallFrame(index=0, id="a", name="f", arguments="{}"), DONE)
    assert message.ended_by["finishReason"] == "tool-calls"


def test_an_error_is_told_by_its_safe_message() -> None:
    """Whatever is open is closed before; it may also be all there is."""
    error = ErrorFrame(code="interrupted", message="The answer was interrupted.")
    _, message = parts_of(START, ContentFrame(text="a"), error)
    assert message.ended_by == {"type": "error", "errorText": "The answer was interrupted."}
    assert types_of(parts_of(error)[0]) == ["error"]


def test_an_answer_that_was_cut_off_is_no_whole_one() -> None:
    """Even where that is allowed."""
    _, message = parts_of(START, ContentFrame(text="a"), DoneFrame(reason="truncated"))
    assert message.ended_by == {"type": "error", "errorText": "The answer was cut off."}


@pytest.mark.parametrize("reason", ["stopped", "cancelled"])
def test_an_answer_that_was_stopped_is_an_aborted_one(reason) -> None:
    """The SDK calls it so."""
    assert parts_of(START, ContentFrame(text="a"), DoneFrame(reason=reason))[1].ended_by == {"type": "abort"}


def test_the_end_can_have_metadata() -> None:
    """Such as the token counts, in the form that the application's own message type has."""
    done = DoneFrame(reason="completed", finish_reason="stop", usage=CompletionUsage(total_tokens=3))
    _, message = parts_of(START, done, metadata=lambda frame: {"tokens": frame.usage.total_tokens})
    assert message.ended_by == {"type": "finish", "finishReason": "stop", "messageMetadata": {"tokens": 3}}
    assert "messageMetadata" not in parts_of(START, done, metadata=lambda _: None)[1].ended_by


# --- whole answers ----------------------------------------------------------------------------------------------------


@given(st.sampled_from(["everything", "text"]), st.sampled_from(["tool_calls_interleaved", "tool_name_pieces", "crlf"]))
def test_an_answer_arrives_as_it_was_given(name, quirk) -> None:
    """Texts and calls, by value, through the framer."""
    reply = REPLIES[name]
    framer = Framer()
    frames = framer.add(parse(speak(reply, [quirk]))[0]) + framer.rest()
    _, message = parts_of(*frames, framer.done("completed", {0: "stop"}, None))
    texts = [["reasoning", reply.reasoning]] if reply.reasoning else []
    assert message.parts == [*texts, ["text", reply.content]]
    calls = [(call["name"], call["tool-input-available"]) for call in message.calls.values()]
    assert calls == [tuple(call) for call in reply.tool_calls]
