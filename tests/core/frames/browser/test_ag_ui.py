"""Frames as the events of AG-UI, in the order that its client insists on."""

import json

from opeai_async import AGUIEncoder
from opeai_async.types.common import (
    Annotation,
    CompletionTokensDetails,
    CompletionUsage,
    PromptTokensDetails,
    UrlCitation,
)
from opeai_async.types.frames import (
    AnnotationsFrame,
    AudioFrame,
    ContentFrame,
    DoneFrame,
    ErrorFrame,
    ImagesFrame,
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

START = StartFrame(v=1, id="chatcmpl-1", model="m")
DONE = DoneFrame(reason="completed", finish_reason="stop")
CALL = ToolCallFrame(index=0, id="a", name="f", arguments="{}")


def events_of(*frames, **options):
    """The events of *frames*: what is opened is closed, once, before the run ends, and nothing follows that."""
    encode = AGUIEncoder(**{"thread_id": "t", "run_id": "r", **options})
    events = [json.loads(text) for frame in frames for text in encode(frame) or ()]
    assert events[0]["type"] == "RUN_STARTED"
    assert [event["type"] for event in events[1:-1] if event["type"].startswith("RUN")] == []
    is_open = set()
    for event in events:
        kind, _, what = event["type"].rpartition("_")
        name = next((event[key] for key in ("messageId", "toolCallId", "stepName") if key in event), "")
        if what in ("START", "STARTED") and kind != "RUN":
            assert (kind, name) not in is_open
            is_open.add((kind, name))
        elif what in ("CONTENT", "ARGS"):
            assert (kind, name) in is_open
            assert event["delta"]
        elif what in ("END", "FINISHED") and kind != "RUN":
            is_open.remove((kind, name))
    if events[-1]["type"] == "RUN_FINISHED":
        assert not is_open
    return events


def types_of(events):
    return [event["type"] for event in events]


def test_a_whole_answer() -> None:
    """A run with one step; the message bears the name of the run and the step."""
    assert events_of(START, ReasoningFrame(text="Hm"), ContentFrame(text="Hel"), ContentFrame(text="lo"), DONE) == [
        {"type": "RUN_STARTED", "threadId": "t", "runId": "r", "protocolVersion": "1.0"},
        {"type": "STEP_STARTED", "stepName": "round 1"},
        {"type": "REASONING_START", "messageId": "r-reasoning-1"},
        {"type": "REASONING_MESSAGE_START", "messageId": "r-reasoning-1", "role": "reasoning"},
        {"type": "REASONING_MESSAGE_CONTENT", "messageId": "r-reasoning-1", "delta": "Hm"},
        {"type": "REASONING_MESSAGE_END", "messageId": "r-reasoning-1"},
        {"type": "REASONING_END", "messageId": "r-reasoning-1"},
        {"type": "TEXT_MESSAGE_START", "messageId": "r-1", "role": "assistant"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "r-1", "delta": "Hel"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "r-1", "delta": "lo"},
        {"type": "TEXT_MESSAGE_END", "messageId": "r-1"},
        {"type": "STEP_FINISHED", "stepName": "round 1"},
        {"type": "RUN_FINISHED", "threadId": "t", "runId": "r", "outcome": {"type": "success"}},
    ]


def test_names_that_nobody_gave_are_new_each_time() -> None:
    """Or the client would put two answers into one message."""
    first, second = (events_of(START, DONE, thread_id=None, run_id=None)[0] for _ in range(2))
    assert first["runId"] != second["runId"]
    assert first["threadId"] != second["threadId"]


def test_a_run_of_tools() -> None:
    """A call belongs to its round's message; what a tool brought is a message of its own."""
    events = events_of(
        START,
        ContentFrame(text="I look."),
        CALL,
        ToolCallFrame(index=1, id="b", name="g"),
        ToolStartedFrame(index=0, id="a", name="f"),
        ToolFinishedFrame(index=0, id="a", name="f", result="12:00"),
        ToolFinishedFrame(index=1, id="b", name="g", error="failed"),
        RoundFrame(round=2, id="chatcmpl-2"),
        ContentFrame(text="Noon."),
        DONE,
    )
    calls = [event for event in events if event["type"].startswith("TOOL")]
    named = {"parentMessageId": "r-1"}
    assert calls == [
        {"type": "TOOL_CALL_START", "toolCallId": "a", "toolCallName": "f", **named},
        {"type": "TOOL_CALL_ARGS", "toolCallId": "a", "delta": "{}"},
        {"type": "TOOL_CALL_END", "toolCallId": "a"},
        {
            "type": "TOOL_CALL_RESULT", "messageId": "r-result-a", "toolCallId": "a", "role": "tool",
            "content": "12:00",
        },
        {"type": "TOOL_CALL_START", "toolCallId": "b", "toolCallName": "g", **named},
        {"type": "TOOL_CALL_END", "toolCallId": "b"},
        {
            "type": "TOOL_CALL_RESULT", "messageId": "r-result-b", "toolCallId": "b", "role": "tool",
            "content": '{"error":"The tool failed."}',
        },
    ]  # fmt: skip
    assert [event["stepName"] for event in events if event["type"] == "STEP_STARTED"] == ["round 1", "round 2"]
    assert events[-1]["outcome"] == {"type": "success"}


def test_results_of_all_kinds() -> None:
    """Parts as JSON; an empty text where the result is not for this reader."""
    results = [[{"type": "text", "text": "x"}], None]
    frames = [ToolFinishedFrame(index=0, id="a", name="f", result=result) for result in results]
    contents = [events_of(START, CALL, frame, DONE)[-3]["content"] for frame in frames]
    assert contents == ['[{"type":"text","text":"x"}]', ""]


def test_calls_that_wait() -> None:
    """For approval, as interrupts; for the client, as pending."""
    waiting = ToolApprovalFrame(index=0, id="a", name="f")
    interrupt = {"id": "a", "reason": "tool_approval", "toolCallId": "a"}
    assert events_of(START, CALL, waiting, DONE)[-1]["outcome"] == {"type": "interrupt", "interrupts": [interrupt]}
    assert events_of(START, CALL, DONE)[-1]["outcome"] == {"type": "success", "pendingToolCallIds": ["a"]}


def test_calls_that_the_run_goes_on_with() -> None:
    """The client has them, so only their results are told."""
    frames = (
        ToolStartedFrame(index=0, id="a", name="f", resumed=True),
        ToolFinishedFrame(index=0, id="a", name="f", resumed=True, result="x"),
        START,
    )
    assert types_of(events_of(*frames, DONE)) == [
        "RUN_STARTED", "STEP_STARTED", "TOOL_CALL_RESULT", "STEP_FINISHED", "RUN_FINISHED",
    ]  # fmt: skip


def test_a_reader_who_comes_in_late() -> None:
    """It hears nothing of calls that began before."""
    frames = (
        ToolCallFrame(index=0, arguments="}"),
        ToolStartedFrame(index=0, id="a", name="f"),
        ToolFinishedFrame(index=0, id="a", name="f", result="x"),
        ContentFrame(text="lo"),
    )
    assert [kind for kind in types_of(events_of(*frames, DONE)) if kind.startswith("TOOL")] == []


def test_a_call_that_was_run_early_and_went_on() -> None:
    """It begins again under its id."""
    late = ToolCallFrame(index=0, arguments=" ")
    events = events_of(START, CALL, ToolStartedFrame(index=0, id="a", name="f"), late, late, DONE)
    calls = [event["type"].removeprefix("TOOL_CALL_") for event in events if event["type"].startswith("TOOL")]
    assert calls == ["START", "ARGS", "END", "START", "ARGS", "ARGS", "END"]


def test_what_has_no_event_of_its_own() -> None:
    """Refusals and transcripts are text, notes are custom; sound, other choices and pings are left out."""
    note = Annotation(type="url_citation", url_citation=UrlCitation(url="http://a"))
    events = events_of(
        START,
        AudioFrame(data="AAAA"),
        AudioFrame(transcript="Hi "),
        RefusalFrame(text="no"),
        ContentFrame(text="other", choice=1),
        PingFrame(),
        AnnotationsFrame(annotations=[note]),
        DONE,
    )
    assert "".join(event.get("delta", "") for event in events) == "Hi no"
    custom = next(event for event in events if event["type"] == "CUSTOM")
    assert (custom["name"], custom["value"][0]["url_citation"]) == ("annotations", {"url": "http://a"})


def test_the_end() -> None:
    """Where the answer is not whole, that is an error; a run that was stopped is a cancelled one."""
    text = ContentFrame(text="a")
    error = ErrorFrame(code="interrupted", message="The answer was interrupted.")
    failed = {"type": "RUN_ERROR", "message": "The answer was interrupted.", "code": "interrupted"}
    thought = ReasoningFrame(text="Hm")
    assert types_of(events_of(START, thought, thought, text, CALL, error))[-2:] == ["TOOL_CALL_ARGS", "RUN_ERROR"]
    assert events_of(error)[-1] == failed
    assert events_of(START, text, DoneFrame(reason="truncated"))[-1]["code"] == "truncated"
    assert events_of(START, text, text, CALL, DoneFrame(reason="stopped"))[-1]["outcome"] == {"type": "cancelled"}


def test_token_counts() -> None:
    """In the protocol's words, those that are known."""
    usage = CompletionUsage(
        prompt_tokens=1,
        completion_tokens=2,
        total_tokens=3,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=4),
        completion_tokens_details=CompletionTokensDetails(reasoning_tokens=5),
    )
    counts = {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3, "reasoningTokens": 5, "cachedInputTokens": 4}
    done = DoneFrame(reason="completed", finish_reason="stop", usage=usage)
    assert events_of(START, done)[-1]["usage"] == [{"model": "m", **counts}]
    bare = DoneFrame(reason="completed", usage=CompletionUsage(total_tokens=3))
    assert events_of(bare)[-1]["usage"] == [{"inputTokens": 0, "outputTokens": 0, "totalTokens": 3}]


def test_pictures() -> None:
    """AG-UI has no event for those of the assistant, so they are custom, as the server sent them."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    events = events_of(START, ImagesFrame(images=[image]), DONE)
    assert events[2] == {"type": "CUSTOM", "name": "images", "value": [image]}
