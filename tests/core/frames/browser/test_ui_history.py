"""What `useChat` posts, as messages that a server takes."""

import base64
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opeai_async import RequestValidationError, messages_from_ui


def user(*parts):
    return {
        "id": "u",
        "role": "user",
        "parts": [{"type": "text", "text": p} if isinstance(p, str) else p for p in parts],
    }


def assistant(*parts):
    return {**user(*parts), "role": "assistant"}


def called(state, **fields):
    return {"type": "tool-f", "toolCallId": "a", "state": state, "input": {"x": 1}, **fields}


CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
STEP = {"type": "step-start"}


def result(content, call_id="a"):
    return {"role": "tool", "tool_call_id": call_id, "content": content}


@pytest.mark.parametrize(
    "body",
    [
        {"id": "chat", "trigger": "submit-message", "messages": [user("hi")]},
        [user("hi")],
        (user("hi"),),
        json.dumps({"messages": [user("hi")]}),
        json.dumps({"messages": [user("hi")]}).encode(),
        bytearray(json.dumps([user("hi")]).encode()),
        {"id": "chat", "message": user("hi")},
    ],
)
def test_the_forms_in_which_a_body_comes(body) -> None:
    """As a framework hands it on; with the last message alone, where the application has the others."""
    found = messages_from_ui(body)
    assert found == [{"role": "user", "content": "hi"}]
    assert found.approvals is None


def test_a_conversation() -> None:
    """Each step is a message, with its reasoning, and the results of its calls behind it."""
    messages = [
        {"id": "s", "role": "system", "parts": [{"type": "text", "text": "Be "}, {"type": "text", "text": "brief."}]},
        user("a", "b"),
        assistant(
            STEP,
            {"type": "reasoning", "text": "Hm", "state": "done"},
            "Let me",
            called("output-available", output={"y": [1]}),
            " see.",
            STEP,
            {"type": "dynamic-tool", "toolName": "g", "toolCallId": "b", "state": "output-available", "output": "text"},
            {"type": "source-url", "sourceId": "1", "url": "http://x"},
            {"type": "data-note", "data": 1},
            STEP,
            "Done.",
        ),
    ]
    second = {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}}
    assert messages_from_ui(messages) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": "Let me see.", "reasoning_content": "Hm", "tool_calls": [CALL]},
        result('{"y":[1]}'),
        {"role": "assistant", "content": "", "tool_calls": [second]} | {"content": None},
        result("text", "b"),
        {"role": "assistant", "content": "Done."},
    ]


# --- results ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "content"),
    [
        (called("output-available", output="20"), "20"),
        (called("output-available", output=20), "20"),
        (called("output-available", output=None), "null"),
        (called("output-available"), "null"),
        (called("output-available", output=[]), "[]"),
        (called("output-available", output=[{"type": "text", "text": "x"}]), [{"type": "text", "text": "x"}]),
        (called("output-available", output=[{"type": "text"}]), '[{"type":"text"}]'),
        (called("output-error", errorText="no such city"), '{"error":"no such city"}'),
        (called("output-error"), '{"error":"The tool failed."}'),
        (
            called("output-denied", approval={"id": "p", "approved": False, "reason": "Too dear."}),
            '{"error":"The user did not approve this call. Too dear."}',
        ),
        (called("output-denied"), '{"error":"The user did not approve this call."}'),
    ],
)
def test_results(part, content) -> None:
    """As a run would tell them to the model."""
    assert messages_from_ui([assistant(part)])[1] == result(content)


@pytest.mark.parametrize(
    ("fields", "arguments"),
    [
        ({"input": None, "rawInput": '{"x":'}, '{"invalid_json":"{\\"x\\":"}'),
        ({"input": '{"x":'}, '{"invalid_json":"{\\"x\\":"}'),
        ({"input": '{"x":1}'}, '{"x":1}'),
        ({"input": None}, "{}"),
    ],
)
def test_inputs_that_were_no_json(fields, arguments) -> None:
    """Each version keeps them elsewhere; they go back in a form that a server takes."""
    part = {**called("output-error", errorText="no JSON"), **fields}
    assert messages_from_ui([assistant(part)])[0]["tool_calls"][0]["function"]["arguments"] == arguments


@pytest.mark.parametrize("state", ["input-available", "approval-requested", "something-new"])
def test_a_call_that_nobody_ran(state) -> None:
    """Is told as such, in the last message as well as before."""
    for messages in ([assistant(called(state))], [assistant(called(state)), user("on")]):
        found = messages_from_ui(messages)
        assert found[0]["tool_calls"] == [CALL]
        assert "not run" in found[1].content
        assert found.approvals is None


def test_a_call_that_had_not_all_come() -> None:
    """Is left out, and with it a message that held nothing else."""
    assert messages_from_ui([user("hi"), assistant(STEP, called("input-streaming"))]) == [
        {"role": "user", "content": "hi"}
    ]


# --- approvals --------------------------------------------------------------------------------------------------------


def responded(call_id, **approval):
    return {
        **called("approval-responded"),
        "toolCallId": call_id,
        "approval": {"id": f"approval of {call_id}", **approval},
    }


def test_what_the_user_decided() -> None:
    """By the ids of the calls, which are open in the last message, and closed before."""
    parts = (
        responded("a", approved=True),
        responded("b", approved=False, reason="Too dear."),
        responded("c", approved=False),
        {**called("approval-requested"), "toolCallId": "d"},
    )
    found = messages_from_ui([assistant(called("input-available")), user("hi"), assistant(*parts)])
    assert found.approvals == {"a": True, "b": "Too dear.", "c": False}
    assert [row["role"] if isinstance(row, dict) else "closed" for row in found] == [
        "assistant", "closed", "user", "assistant",
    ]  # fmt: skip
    gone_on = messages_from_ui([assistant(*parts), user("never mind")])
    assert (gone_on.approvals, len(gone_on)) == (None, 6)


def test_an_approval_without_an_answer_is_none() -> None:
    """Only `true` is a yes."""
    assert messages_from_ui([assistant(responded("a", approved="yes"))]).approvals == {"a": False}
    assert messages_from_ui([assistant({**responded("a"), "approval": None})]).approvals == {"a": False}


# --- files ------------------------------------------------------------------------------------------------------------


def file(kind, url, **fields):
    return {"type": "file", "mediaType": kind, "url": url, **fields}


def data(kind, content):
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


@pytest.mark.parametrize(
    ("part", "made"),
    [
        (file("image/png", "http://x/a.png"), {"type": "image_url", "image_url": {"url": "http://x/a.png"}}),
        (file("IMAGE/PNG", "data:,x"), {"type": "image_url", "image_url": {"url": "data:,x"}}),
        (
            file("audio/mpeg", data("audio/mpeg", b"mp3")),
            {"type": "input_audio", "input_audio": {"data": "bXAz", "format": "mp3"}},
        ),
        (
            file("application/pdf", data("application/pdf", b"pdf"), filename="a.pdf"),
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,cGRm"}},
        ),
        (
            file("application/pdf", "data:application/pdf,pdf"),
            {"type": "file", "file": {"filename": "file.pdf", "file_data": "data:application/pdf;base64,cGRm"}},
        ),
        (file("text/plain; charset=utf-8", data("text/plain", b"abc")), {"type": "text", "text": "abc"}),
        (file("text/csv", "data:text/csv,a%2Cb", filename="t.csv"), {"type": "text", "text": "t.csv:\na,b"}),
    ],
)
def test_files(part, made) -> None:
    """Pictures by any address; the others as the data that their addresses hold."""
    assert messages_from_ui([user("see", part)]) == [
        {"role": "user", "content": [{"type": "text", "text": "see"}, made]}
    ]


@pytest.mark.parametrize("url", ["https://x/a.pdf", "data:application/pdf;base64,A", "data:nothing"])
def test_a_file_that_cannot_be_sent(url) -> None:
    """It is named, and what to do."""
    with pytest.raises(RequestValidationError, match="which the API takes only as data") as caught:
        messages_from_ui([user("see", file("application/pdf", url))])
    assert (caught.value.field, caught.value.hint) == ("messages[0].parts[1].url", "fetch it, and pass a data: URL")


def test_what_the_page_alone_needs_is_left_out() -> None:
    """And a user who said nothing else has said nothing."""
    assert messages_from_ui([user({"type": "data-x", "data": 1})]) == [{"role": "user", "content": ""}]
    assert messages_from_ui([assistant(file("image/png", "data:,x"), {"type": "custom", "kind": "x"})]) == []


def test_what_the_user_said_amid_a_run() -> None:
    """Version 7 has it inside the assistant's message."""
    said = {"type": "steering-message", "id": "1", "parts": [{"type": "text", "text": "Faster!"}]}
    found = messages_from_ui([assistant(STEP, "One", said, STEP, "Two", {**said, "parts": None})])
    assert [(row["role"], row["content"]) for row in found] == [
        ("assistant", "One"),
        ("user", "Faster!"),
        ("assistant", "Two"),
        ("user", ""),
    ]


# --- what is no conversation ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", "messages"),
        (b"\xff", "messages"),
        ("[" * 5000, "messages"),
        (None, "messages"),
        ({}, "messages"),
        ({"messages": "hi"}, "messages"),
        ([1], "messages[0]"),
        ([{"role": "user", "content": "version 4"}], "messages[0].parts"),
        ([{"role": "tool", "parts": []}], "messages[0].role"),
        ([{"role": [], "parts": []}], "messages[0].role"),
        ([user(1)], "messages[0].parts[0]"),
        ([user({})], "messages[0].parts[0].type"),
        ([user({"type": "text"})], "messages[0].parts[0].text"),
        ([user({"type": "tool-f"})], "messages[0].parts[0]"),
        ([user({"type": "file", "url": 1})], "messages[0].parts[0].url"),
        ([assistant({"type": "new"})], "messages[0].parts[0]"),
        ([assistant({"type": "dynamic-tool"})], "messages[0].parts[0].toolName"),
        ([assistant({"type": "tool-f", "state": "input-available"})], "messages[0].parts[0].toolCallId"),
    ],
)
def test_what_is_no_conversation(body, field) -> None:
    """Is refused with the place, which a service answers with 400."""
    with pytest.raises(RequestValidationError) as caught:
        messages_from_ui(body)
    assert caught.value.field == field
    assert "useChat" in caught.value.hint


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["text", "user", "assistant", "tool-f", "a", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "role", "parts", "text", "state", "toolCallId", "input", "approval", "url"]), inner
        )
    ),
    max_leaves=20,
)


@given(st.lists(json_values, max_size=3) | json_values)
def test_anything_is_taken_or_refused(body) -> None:
    """With one error, whatever a browser sends."""
    with contextlib.suppress(RequestValidationError):
        assert isinstance(messages_from_ui(body), list)
