"""Conversations of `useChat`: the Chat of the npm package `ai` at one end, a run at the other, and one service between.

The service is what an application would write: `messages_from_ui`, a run, `sse` with a `UIMessageEncoder`.
"""

import json

import pytest
from aiohttp import web

from opeai_async import (
    UI_MESSAGE_HEADERS,
    ImagePart,
    ImageURL,
    StreamSession,
    Tool,
    ToolError,
    UIMessageEncoder,
    messages_from_ui,
    sse,
)
from opeai_async.testing import Failure, Raw, Reply
from tests.relay.ui.conftest import run_node, serving

pytestmark = pytest.mark.time_limit(200)

VERSIONS = ["5", "6", "7"]
every_version = pytest.mark.parametrize("version", [*VERSIONS, "5.0.91"])
with_approvals = pytest.mark.parametrize("version", ["6", "7"])
HI = {"send": {"text": "hi"}}
CLIENT_TOOL = {"type": "function", "function": {"name": "ask_user", "parameters": {"type": "object", "properties": {}}}}


def weather(city: str) -> dict[str, object]:
    """Weather."""
    if city == "Nowhere":
        raise ToolError("There is no such city.")
    return {"city": city, "degrees": 20}


def degrees() -> int:
    """Degrees."""
    return 20


def word() -> str:
    """A word."""
    return "20"


def picture() -> ImagePart:
    """A picture."""
    return ImagePart(image_url=ImageURL(url="data:image/png;base64,AAAA"))


class Service:
    """Answers with runs; `posted` are the bodies that came."""

    def __init__(self, client, version, **options):
        self.posted = []
        self.approved = []
        self._client, self._version, self._options = client, version, options
        self._session = None

    def pay(self, euros: int) -> str:
        """Pay."""
        self.approved.append(euros)
        return f"paid {euros}"

    def run(self, messages):
        tools = [weather, degrees, word, picture, Tool.from_function(self.pay, needs_approval=True), CLIENT_TOOL]
        approvals = messages.approvals
        return self._client.chat.completions.run(model="m", messages=messages, tools=tools, approvals=approvals)

    async def source(self, request):
        """What the answer is read from."""
        self.posted.append(await request.json())
        return self.run(messages_from_ui(self.posted[-1])).frames(results=True)

    async def answer(self, request):
        source = await self.source(request)
        response = web.StreamResponse(headers=UI_MESSAGE_HEADERS)
        await response.prepare(request)
        encode = UIMessageEncoder(ai_version=self._version, **self._options)
        async for data in sse(source, encode=encode):
            await response.write(data)
        return response


async def chat(packages, client, version, *steps, service=None, **options):
    """What came of a conversation, and the service that held it."""
    service = service or Service(client, version, **options)
    async with serving(service.answer) as url:
        name = "ai-5.0.91" if version == "5.0.91" else f"ai-{version}"
        return await run_node("chat.mjs", str(packages), name, url, json.dumps(steps)), service


def parts_of(message):
    """The parts that say something, by their type."""
    return [part for part in message["parts"] if part["type"] != "step-start"]


def outcomes(message):
    """State, and output or error, of each call."""
    return [
        (part["state"], part.get("output", part.get("errorText"))) for part in parts_of(message) if "toolCallId" in part
    ]


# --- texts ------------------------------------------------------------------------------------------------------------


@every_version
async def test_text_and_reasoning(packages, server, client, version) -> None:
    """The page shows both; what it posts next is the same conversation for the model."""
    server.reply("Hello there.", reasoning="They said hi.")
    server.reply("Bye.")
    result, _ = await chat(packages, client, version, HI, {"send": {"text": "bye"}}, metadata=lambda done: {"n": 1})
    assert result["errors"] == []
    first = result["messages"][1]
    assert [(part["type"], part["text"]) for part in parts_of(first)] == [
        ("reasoning", "They said hi."),
        ("text", "Hello there."),
    ]
    assert first["metadata"] == {"n": 1}
    finishes = [chunk for chunk in result["chunks"] if chunk["type"] == "finish"]
    assert ["finishReason" in finish for finish in finishes] == [version != "5.0.91"] * 2
    assert server.requests[1].json["messages"] == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "Hello there.", "reasoning_content": "They said hi."},
        {"role": "user", "content": "bye"},
    ]


@every_version
async def test_files(packages, server, client, version) -> None:
    """A picture that the user drops into the page gets to the model."""
    url = "data:image/png;base64,AAAA"
    files = [{"type": "file", "mediaType": "image/png", "url": url}]
    server.reply("A dot.")
    result, _ = await chat(packages, client, version, {"send": {"text": "what?", "files": files}})
    assert result["errors"] == []
    content = server.requests[0].json["messages"][0]["content"]
    assert sorted(content, key=lambda part: part["type"]) == [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": "what?"},
    ]


# --- tools ------------------------------------------------------------------------------------------------------------


@every_version
async def test_a_run_of_tools(packages, server, client, version) -> None:
    """Outputs are values, failures say what the model was told; all of it goes back to the model with the next post."""
    server.reply("I look.", tool_calls=[("weather", {"city": "Oslo"}), ("weather", {"city": "Nowhere"})])
    server.reply(tool_calls=[("degrees", {}), ("word", {}), ("picture", {})])
    server.reply("20 degrees.")
    server.reply("Bye.")
    result, _ = await chat(packages, client, version, HI, {"send": {"text": "bye"}})
    assert result["errors"] == []
    assert outcomes(result["messages"][1]) == [
        ("output-available", {"city": "Oslo", "degrees": 20}),
        ("output-error", "There is no such city."),
        ("output-available", 20),
        ("output-available", "20"),
        ("output-available", [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]),
    ]
    in_the_run, posted = server.requests[2].json["messages"], server.requests[3].json["messages"]
    told = [row.get("content") or None for row in in_the_run if row["role"] != "assistant"]
    assert [row.get("content") for row in posted if row["role"] != "assistant"][: len(told)] == told
    assert [row["role"] for row in posted] == [row["role"] for row in in_the_run] + ["assistant", "user"]


@every_version
@pytest.mark.parametrize(
    "calls",
    [
        [("weather", '{"city": "Os')],
        [("weather", "[1]")],
        [("weather", {"town": 1})],
        [("nobody", {})],
        [("weather", "")],
    ],
    ids=["cut", "array", "wrong", "unknown", "empty"],
)
async def test_calls_that_do_not_fit(packages, server, client, version, calls) -> None:
    """The page shows an error; the model gets a conversation that a server takes."""
    server.reply(tool_calls=calls)
    server.reply("Sorry.")
    server.reply("Bye.")
    result, _ = await chat(packages, client, version, HI, {"send": {"text": "bye"}})
    assert result["errors"] == []
    assert [state for state, _ in outcomes(result["messages"][1])] == ["output-error"]
    rows = server.requests[2].json["messages"]
    assert [row["role"] for row in rows] == ["user", "assistant", "tool", "assistant", "user"]
    assert isinstance(json.loads(rows[1]["tool_calls"][0]["function"]["arguments"]), dict)


def chunk(delta, finish_reason=None, answer="x"):
    body = {"id": answer, "object": "chat.completion.chunk", "created": 1, "model": "m"}
    body["choices"] = [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def calling(*calls, answer="x"):
    """An answer with calls, told as they are given."""
    deltas = [chunk({"tool_calls": [call]}, answer=answer) for call in calls]
    return Raw((*deltas, chunk({}, "tool_calls", answer), b"data: [DONE]\n\n"))


def call(city, index=0, **fields):
    return {"index": index, **fields, "function": {"name": "weather", "arguments": json.dumps({"city": city})}}


@every_version
@pytest.mark.parametrize(
    "answers",
    [
        [calling(call("A")), calling(call("B"))],
        [calling(call("A", id="weather:0")), calling(call("B", id="weather:0"))],
        [calling(call("A"), {"index": 0, "id": "late"}), calling(call("B", id="late"))],
        [calling(call("A"), answer=""), calling(call("B"), answer="")],
    ],
    ids=["none", "counted", "late", "nameless answers"],
)
async def test_ids_of_calls_that_are_missing_late_or_used_twice(packages, server, client, version, answers) -> None:
    """No call is taken for another one, in one response or in two."""
    for answer in [*answers, Reply("Done."), *answers, Reply("Done.")]:
        server.answer(answer)
    result, _ = await chat(packages, client, version, HI, {"send": {"text": "again"}})
    assert result["errors"] == []
    for message in (result["messages"][1], result["messages"][3]):
        told = [(part["input"]["city"], part["output"]["city"]) for part in parts_of(message) if "toolCallId" in part]
        assert told == [("A", "A"), ("B", "B")]


@every_version
async def test_a_tool_that_the_page_runs(packages, server, client, version) -> None:
    """The run ends for it, and goes on in the same message with what the page has found."""
    server.reply("Which?", tool_calls=[("weather", {"city": "Oslo"}), ("ask_user", {})])
    server.reply("Blue, then.")
    result, _ = await chat(packages, client, version, HI, {"outputs": {"1": {"colour": "blue"}}}, {"goOn": True})
    assert result["errors"] == []
    assert [message["role"] for message in result["messages"]] == ["user", "assistant"]
    assert outcomes(result["messages"][1])[1] == ("output-available", {"colour": "blue"})
    assert parts_of(result["messages"][1])[-1]["text"] == "Blue, then."
    assert [row["content"] for row in server.requests[1].json["messages"] if row["role"] == "tool"] == [
        '{"city":"Oslo","degrees":20}',
        '{"colour":"blue"}',
    ]


# --- approvals --------------------------------------------------------------------------------------------------------


@with_approvals
async def test_approvals(packages, server, client, version) -> None:
    """What the user decides in the page is done once, and the message goes on."""
    server.reply("Shall I?", tool_calls=[("pay", {"euros": 5}), ("weather", {"city": "Oslo"}), ("pay", {"euros": 7})])
    server.reply(tool_calls=[("pay", {"euros": 9})])
    server.reply("Done.")
    server.reply("Bye.")
    steps = [HI, {"approve": {"0": True, "2": "Too dear."}}, {"goOn": True}, {"approve": {"3": True}}, {"goOn": True}]
    result, service = await chat(packages, client, version, *steps, {"send": {"text": "bye"}})
    assert result["errors"] == []
    assert service.approved == [5, 9]
    assert [message["role"] for message in result["messages"]] == ["user", "assistant"] * 2
    assert outcomes(result["messages"][1]) == [
        ("output-available", "paid 5"),
        ("output-available", {"city": "Oslo", "degrees": 20}),
        ("output-denied", None),
        ("output-available", "paid 9"),
    ]
    told = [row["content"] for row in server.requests[3].json["messages"] if row["role"] == "tool"]
    assert told == [
        "paid 5",
        '{"city":"Oslo","degrees":20}',
        '{"error":"The user did not approve this call. Too dear."}',
        "paid 9",
    ]


@with_approvals
async def test_a_user_who_writes_on_instead_of_deciding(packages, server, client, version) -> None:
    """Has not approved: the model is told that the call was not run."""
    server.reply(tool_calls=[("pay", {"euros": 5})])
    server.reply("As you like.")
    result, service = await chat(packages, client, version, HI, {"send": {"text": "never mind"}})
    assert (result["errors"], service.approved) == ([], [])
    rows = server.requests[1].json["messages"]
    assert [row["role"] for row in rows] == ["user", "assistant", "tool", "user"]
    assert "not run" in rows[2]["content"]


@pytest.mark.parametrize("version", ["5", "5.0.91"])
async def test_a_reader_without_approvals(packages, server, client, version) -> None:
    """It hears of them as data, and not as a part that it refuses."""
    server.reply(tool_calls=[("pay", {"euros": 5})])
    result, service = await chat(packages, client, version, HI)
    assert (result["errors"], service.approved) == ([], [])
    call, data = parts_of(result["messages"][1])
    assert (call["state"], data["type"], data["data"]["toolCallId"]) == (
        "input-available",
        "data-tool-approval",
        call["toolCallId"],
    )


# --- ends -------------------------------------------------------------------------------------------------------------


@every_version
@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([Failure(500)], "The model is not available."),
        ([Reply("Hello there my friend", ending="rst", after=3)], "The answer was interrupted."),
        ([Reply("x", reasoning="Hello there my friend", ending="rst", after=3)], "The answer was interrupted."),
        ([Reply(tool_calls=[("weather", {"city": "Oslo"})], ending="rst", after=2)], "The answer was interrupted."),
        ([Reply(tool_calls=[("weather", {"city": "Oslo"})]), Failure(400)], "The request was refused."),
    ],
    ids=["refused", "text", "reasoning", "call", "round 2"],
)
async def test_errors(packages, server, version, answers, message) -> None:
    """The page hears the safe message, and nothing else is wrong; the next post is one that a server takes."""
    for answer in [*answers, Reply("Better.")]:
        server.answer(answer)
    async with server.client(max_retries=0) as client:
        result, _ = await chat(packages, client, version, HI, {"send": {"text": "again"}})
    assert result["errors"] == [f"Error: {message}"]
    assert parts_of(result["messages"][-1])[-1]["text"] == "Better."


@every_version
async def test_an_abort(packages, server, client, version) -> None:
    """Where the user presses stop, the model's server is left as well; the conversation goes on."""
    server.answer(Raw((*(chunk({"content": "word "}) for _ in range(400)),), chunk_delay_s=0.02))
    server.reply("Better.")
    result, _ = await chat(packages, client, version, {"stopAfterText": "hi"}, {"send": {"text": "again"}})
    assert result["errors"] == []
    assert parts_of(result["messages"][-1])[-1]["text"] == "Better."
    assert server.requests[0].outcome == "client_gone"


class Sessions(Service):
    """Keeps each answer as a session, to which a page that is loaded again comes back."""

    def __init__(self, client, version, after=0):
        super().__init__(client, version)
        self._after = after

    async def source(self, request):
        if request.method == "POST":
            self.posted.append(await request.json())
            run = self.run(messages_from_ui(self.posted[-1])).frames(results=True)
            self._session = StreamSession.start(run)
            return self._session.subscribe()
        return self._session.subscribe(after=self._after)


@every_version
@pytest.mark.parametrize("after", [0, 4, 20, 45], ids=str)
async def test_a_late_joiner(packages, server, client, version, after) -> None:
    """It reads an answer from wherever it comes in: of a call that began before, it hears nothing, and no error."""
    server.reply("I look.", tool_calls=[("weather", {"city": "Oslo"}), ("degrees", {})])
    server.reply("It is 20 degrees.")
    service = Sessions(client, version, after)
    result, _ = await chat(packages, client, version, HI, {"resume": True}, service=service)
    assert result["errors"] == []
    text = "".join(part["text"] for part in parts_of(result["messages"][-1]) if part["type"] == "text")
    assert text
    assert "I look.It is 20 degrees.".endswith(text)
    assert all(state == "output-available" for state, _ in outcomes(result["messages"][-1]))
