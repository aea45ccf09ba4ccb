"""Conversations of AG-UI: the HttpAgent of `@ag-ui/client` at one end, a run at the other, and one service between."""

import json

import pytest
from aiohttp import web

from opeai_async import SSE_HEADERS, AGUIEncoder, StreamSession, Tool, sse
from opeai_async.testing import Failure, Raw, Reply
from tests.relay.ui.conftest import run_node, serving
from tests.relay.ui.test_use_chat import calling, chunk, weather

pytestmark = pytest.mark.time_limit(200)
HI = {"send": "hi"}


def as_messages(rows):
    """AG-UI's messages as the API's."""
    for row in rows:
        if row["role"] == "reasoning":
            continue
        message = {"role": row["role"], "content": row.get("content")}
        if "toolCalls" in row:
            message["tool_calls"] = row["toolCalls"]
        if "toolCallId" in row:
            message["tool_call_id"] = row["toolCallId"]
        yield message


class Service:
    """Answers with runs."""

    def __init__(self, client, **options):
        self.paid = []
        self._client, self._options = client, options

    def pay(self, euros: int) -> str:
        """Pay."""
        self.paid.append(euros)
        return f"paid {euros}"

    def source(self, body):
        tools = [weather, Tool.from_function(self.pay, needs_approval=True), *self._options.get("tools", [])]
        resumed = {entry["interruptId"]: entry["payload"] for entry in body.get("resume", [])}
        messages = list(as_messages(body["messages"]))
        run = self._client.chat.completions.run(model="m", messages=messages, tools=tools, approvals=resumed or None)
        return run.frames(results=self._options.get("results", True))

    async def answer(self, request):
        body = await request.json()
        response = web.StreamResponse(headers=SSE_HEADERS)
        await response.prepare(request)
        encode = AGUIEncoder(thread_id=body["threadId"], run_id=body["runId"])
        async for data in sse(self.source(body), encode=encode):
            await response.write(data)
        return response


async def talk(packages, service, *steps):
    """What came of a conversation."""
    async with serving(service.answer) as url:
        result = await run_node("agent.mjs", str(packages), url, json.dumps(steps))
    assert result["errors"] == []
    return result


def results_of(result):
    """What each call has brought, in the order of the calls; they come in the order in which they end."""
    calls = [call["id"] for row in result["messages"] for call in row.get("toolCalls", ())]
    contents = {row["toolCallId"]: row["content"] for row in result["messages"] if row["role"] == "tool"}
    return [contents.get(call_id) for call_id in calls]


def told(result):
    """The messages without their ids."""
    return [{name: value for name, value in row.items() if name != "id"} for row in result["messages"]]


async def test_text_and_reasoning(packages, server, client) -> None:
    """Two runs of one thread are two messages."""
    server.reply("Hello there.", reasoning="They said hi.")
    server.reply("Bye.")
    result = await talk(packages, Service(client), HI, {"send": "bye"})
    assert result["complaints"] == []
    assert told(result) == [
        {"role": "user", "content": "hi"},
        {"role": "reasoning", "content": "They said hi."},
        {"role": "assistant", "content": "Hello there."},
        {"role": "user", "content": "bye"},
        {"role": "assistant", "content": "Bye."},
    ]
    assert result["outcomes"] == [{"type": "success"}] * 2
    usage = [event["usage"] for event in result["events"] if event["type"] == "RUN_FINISHED"]
    assert usage[0][0]["model"] == "m"
    assert usage[0][0]["totalTokens"] == usage[0][0]["inputTokens"] + usage[0][0]["outputTokens"]


async def test_a_run_of_tools(packages, server, client) -> None:
    """Each round is a message, with its calls, and their results behind it."""
    server.reply("I look.", tool_calls=[("weather", {"city": "Oslo"}), ("weather", {"city": "Nowhere"})])
    server.reply("20 degrees.")
    result = await talk(packages, Service(client), HI)
    assert result["complaints"] == []
    rows = told(result)
    assert [row["role"] for row in rows] == ["user", "assistant", "tool", "tool", "assistant"]
    assert rows[1]["content"] == "I look."
    assert [json.loads(call["function"]["arguments"]) for call in rows[1]["toolCalls"]] == [
        {"city": "Oslo"},
        {"city": "Nowhere"},
    ]
    assert results_of(result) == [
        '{"city":"Oslo","degrees":20}',
        '{"error":"There is no such city."}',
    ]
    steps = [event["stepName"] for event in result["events"] if event["type"] == "STEP_STARTED"]
    assert steps == ["round 1", "round 2"]


async def test_results_that_are_not_for_everybody(packages, server, client) -> None:
    """The call is answered all the same, or the client would run it."""
    server.reply(tool_calls=[("weather", {"city": "Oslo"}), ("weather", {"city": "Nowhere"})])
    server.reply("20 degrees.")
    result = await talk(packages, Service(client, results=False), HI)
    assert results_of(result) == ["", '{"error":"The tool failed."}']


async def test_approvals(packages, server, client) -> None:
    """They are interrupts, which the next run answers."""
    server.reply(tool_calls=[("pay", {"euros": 5}), ("pay", {"euros": 7})])
    server.reply("Done.")
    service = Service(client)
    result = await talk(packages, service, HI, {"resume": [True, "Too dear."]})
    assert result["complaints"] == []
    first, last = result["outcomes"]
    assert [interrupt["reason"] for interrupt in first["interrupts"]] == ["tool_approval"] * 2
    assert (last, service.paid, result["pending"]) == ({"type": "success"}, [5], [])
    assert results_of(result) == ["paid 5", '{"error":"The user did not approve this call. Too dear."}']
    assert told(result)[-1]["content"] == "Done."


async def test_a_tool_that_the_client_runs(packages, server, client) -> None:
    """The run ends well, and says what is pending."""
    tool = {"type": "function", "function": {"name": "ask_user", "parameters": {"type": "object", "properties": {}}}}
    server.reply(tool_calls=[("weather", {"city": "Oslo"}), ("ask_user", {})])
    result = await talk(packages, Service(client, tools=[tool]), HI)
    assert result["complaints"] == []
    pending = told(result)[1]["toolCalls"][1]["id"]
    assert result["outcomes"] == [{"type": "success", "pendingToolCallIds": [pending]}]


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ([Failure(500)], "unavailable"),
        ([Reply("Hello there my friend", ending="rst", after=3)], "interrupted"),
        ([Reply("x", reasoning="Hello there my friend", ending="rst", after=3)], "interrupted"),
        ([Reply(tool_calls=[("weather", {"city": "Oslo"})], ending="rst", after=2)], "interrupted"),
        ([Reply(tool_calls=[("weather", {"city": "Oslo"})]), Failure(400)], "refused"),
    ],
    ids=["refused", "text", "reasoning", "call", "round 2"],
)
async def test_errors(packages, server, answers, code) -> None:
    """The run ends with an error that says what is safe to say; the thread goes on."""
    for answer in [*answers, Reply("Better.")]:
        server.answer(answer)
    async with server.client(max_retries=0) as client:
        result = await talk(packages, Service(client), HI, {"send": "again"})
    assert [outcome.get("code") for outcome in result["outcomes"]] == [code, None]
    assert told(result)[-1]["content"] == "Better."


async def test_odd_answers(packages, server, client) -> None:
    """Text after a call, reasoning after text, no ids at all: one message, and nothing is taken for another."""
    call = {"index": 0, "function": {"name": "weather", "arguments": '{"city": "A"}'}}
    odd = Raw(
        (
            *(chunk(delta, answer="") for delta in ({"reasoning_content": "a"}, {"content": "b"})),
            *(chunk(delta, answer="") for delta in ({"reasoning_content": "c"}, {"content": "d"})),
            *(chunk(delta, answer="") for delta in ({"tool_calls": [call]}, {"content": "e"})),
            chunk({}, "tool_calls", ""),
            b"data: [DONE]\n\n",
        )
    )
    for answer in (odd, calling(call), Reply("Done."), odd, Reply("Done.")):
        server.answer(answer)
    result = await talk(packages, Service(client), HI, {"send": "again"})
    rows = told(result)
    assert "".join(row["content"] or "" for row in rows if row["role"] == "assistant" and "content" in row) == (
        "bdeDone." * 2
    )
    assert [row["content"] for row in rows if row["role"] == "reasoning"] == ["a", "c"] * 2
    assert [row["content"] for row in rows if row["role"] == "tool"] == ['{"city":"A","degrees":20}'] * 3


class Sessions(Service):
    """Tells an answer from its middle."""

    def __init__(self, client, after):
        super().__init__(client)
        self._after = after

    async def answer(self, request):
        self._session = StreamSession.start(self.source(await request.json()))
        self.source = lambda _: self._session.subscribe(after=self._after)
        return await super().answer(request)


@pytest.mark.parametrize("after", [0, 4, 20, 30], ids=str)
async def test_a_late_joiner(packages, server, client, after) -> None:
    """It hears nothing of calls that began before."""
    server.reply("I look.", tool_calls=[("weather", {"city": "Oslo"})])
    server.reply("It is 20 degrees.")
    result = await talk(packages, Sessions(client, after), HI)
    assert result["complaints"] == []
    text = "".join(row.get("content", "") for row in told(result) if row["role"] == "assistant")
    assert text
    assert "I look.It is 20 degrees.".endswith(text)
