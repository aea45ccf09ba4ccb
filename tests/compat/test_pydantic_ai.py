"""OpeAIModel: what pydantic-ai sees of an answer, what the server sees of a conversation, and what is left behind."""

import json
import subprocess
import sys
import textwrap

import anyio
import pydantic
import pytest

pytest.importorskip("pydantic_ai", reason="pydantic-ai is not installed, whose model this is")

from pydantic_ai import Agent, NativeOutput, PromptedOutput, exceptions
from pydantic_ai.messages import (
    BinaryContent,
    ImageUrl,
    ModelRequest,
    ModelResponse,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    UserPromptPart,
    VideoUrl,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.settings import ToolOrOutput
from pydantic_ai.tools import ToolDefinition

from opeai_async import CompletionUsage, ConfigurationError, errors
from opeai_async.pydantic_ai import OpeAIModel
from opeai_async.testing import QUIRKS
from tests.support.secrets import everything_of

CALL = ("get_weather", {"city": "Paris"})
HELLO = [ModelRequest(parts=[UserPromptPart("hello")])]


class Joke(pydantic.BaseModel):
    """A joke."""

    setup: str
    punchline: str


def get_weather(city: str) -> str:
    """Return the weather in a city."""
    return f"20 C in {city}"


@pytest.fixture
async def model(server, client):
    return OpeAIModel("m", client=client)


async def streamed(model, messages=HELLO, parameters=None):
    async with model.request_stream(messages, None, parameters or ModelRequestParameters()) as stream:
        async for _ in stream:
            pass
        return stream.get()


# What pydantic-ai sees


async def test_an_answer(server, model):
    """Its thinking, text, calls, usage, and what is known of it."""
    server.reply("Hi", reasoning="Hm", tool_calls=[CALL])
    response = await model.request(HELLO, None, ModelRequestParameters())
    thinking, text, call = response.parts
    assert (thinking.content, text.content) == ("Hm", "Hi")
    assert (call.tool_name, call.args_as_dict()) == CALL
    assert (response.model_name, response.finish_reason, response.provider_name) == ("m", "tool_call", "opeai")
    assert response.usage.output_tokens > response.usage.details["reasoning_tokens"] > 0
    assert response.provider_details["request_id"] == server.requests[0].request_id


@pytest.mark.parametrize("quirk", [None, *sorted(QUIRKS)])
async def test_a_stream_comes_to_the_same(server, client, quirk):
    """Its parts are those of our stream's message, however oddly a server sends them."""
    model = OpeAIModel("m", client=client, settings={"max_retries": 0})
    options = {"quirks": [quirk] if quirk else []}

    def reply():
        server.reply("one two three", reasoning="Hm hm", tool_calls=[CALL, CALL], **options)

    reply()
    stream = client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "hello"}], max_retries=0)
    try:
        async with stream:
            completion = await stream.completion()
    except errors.OpeAIError:
        reply()
        with pytest.raises(exceptions.ModelAPIError):
            await streamed(model)
        return
    reply()
    response = await streamed(model)
    message = completion.choices[0].message
    by_kind = {
        kind: [part.content for part in response.parts if isinstance(part, kind)] for kind in (ThinkingPart, TextPart)
    }
    assert by_kind == {
        ThinkingPart: [message.reasoning_content] * bool(message.reasoning_content),
        TextPart: [message.content] * bool(message.content),
    }
    calls = [
        (call.function.name, json.loads(call.function.arguments))
        if call.custom is None
        else (call.custom.name, json.loads(call.custom.input))
        for call in message.tool_calls or ()
    ]
    found = [part for part in response.parts if isinstance(part, ToolCallPart)]
    assert [(part.tool_name, part.args_as_dict()) for part in found] == calls
    assert response.model_name == (completion.model or "m")
    usage = completion.usage or CompletionUsage()
    assert response.usage.input_tokens == (usage.prompt_tokens or 0)
    assert response.usage.output_tokens == (usage.completion_tokens or 0)
    assert response.state == "complete"


async def test_a_refusal(server, model):
    """Its text, and the finish reason of a filter."""
    for ask in (lambda: model.request(HELLO, None, ModelRequestParameters()), lambda: streamed(model)):
        server.reply(None, refusal="I will not.")
        response = await ask()
        assert [part.content for part in response.parts] == ["I will not."]
        assert response.finish_reason == "content_filter"


# What the server sees


async def test_a_conversation_goes_back_as_it_came(server, model):
    """Thinking too, which some servers ask for."""
    server.reply("Let me see.", reasoning="Hm", tool_calls=[CALL])
    server.reply("Mild.")
    result = await Agent(model, instructions="Be brief.", tools=[get_weather]).run("hello")
    system, user, assistant, tool = server.requests[-1].json["messages"]
    assert (system, user) == ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"})
    assert (assistant["content"], assistant["reasoning_content"]) == ("Let me see.", "Hm")
    assert json.loads(assistant["tool_calls"][0]["function"]["arguments"]) == CALL[1]
    assert tool == {"role": "tool", "tool_call_id": assistant["tool_calls"][0]["id"], "content": "20 C in Paris"}
    assert result.usage.requests == 2


async def test_parts(server, model):
    """Pictures, recordings and documents go in the API's form; what it lacks is refused."""
    parts = [
        "What?",
        ImageUrl("https://example.org/a.png", vendor_metadata={"detail": "low"}),
        BinaryContent(b"a", media_type="image/png"),
        BinaryContent(b"b", media_type="audio/wav"),
        BinaryContent(b"c", media_type="application/pdf"),
    ]
    await Agent(model).run(parts)
    text, by_url, picture, sound, document = server.requests[-1].json["messages"][0]["content"]
    assert text == {"type": "text", "text": "What?"}
    assert by_url["image_url"] == {"url": "https://example.org/a.png", "detail": "low"}
    assert picture["image_url"]["url"] == "data:image/png;base64,YQ=="
    assert sound["input_audio"] == {"data": "Yg==", "format": "wav"}
    assert document["file"]["filename"] == "file.pdf"
    with pytest.raises(exceptions.UserError, match="VideoUrl"):
        await Agent(model).run([VideoUrl("https://example.org/a.mp4")])


async def test_settings(server, model):
    """By the API's names; thinking as its effort."""
    settings = {"max_tokens": 9, "stop_sequences": ["a"], "extra_body": {"top_k": 1}, "thinking": "low", "top_p": 0.5}
    await Agent(model, model_settings=settings).run("hello")
    sent = server.requests[-1].json
    del sent["messages"]
    assert sent == {"model": "m", "max_tokens": 9, "stop": ["a"], "top_k": 1, "reasoning_effort": "low", "top_p": 0.5}


@pytest.mark.parametrize(
    ("output", "reply"),
    [
        (Joke, {"tool_calls": [("final_result", {"setup": "a", "punchline": "b"})]}),
        (NativeOutput(Joke), {"content": '{"setup": "a", "punchline": "b"}'}),
        (PromptedOutput(Joke), {"content": '{"setup": "a", "punchline": "b"}'}),
    ],
)
async def test_a_value(server, model, output, reply):
    """By a tool, by a schema, by the prompt."""
    server.reply(reply.pop("content", None), **reply)
    assert (await Agent(model, output_type=output).run("hello")).output == Joke(setup="a", punchline="b")
    sent = server.requests[-1].json
    kinds = {Joke: None, NativeOutput: "json_schema", PromptedOutput: "json_object"}
    assert sent.get("response_format", {}).get("type") == kinds[output if output is Joke else type(output)]
    assert ("tools" in sent) == (output is Joke)


@pytest.mark.parametrize(
    ("chosen", "names", "sent"),
    [
        (None, ["a", "b", "final"], "auto"),
        ("auto", ["a", "b", "final"], "auto"),
        ("required", ["a", "b"], "required"),
        ("none", ["final"], "auto"),
        (["b"], ["b"], {"type": "function", "function": {"name": "b"}}),
        (ToolOrOutput(function_tools=["a"]), ["a", "final"], "auto"),
    ],
)
async def test_a_choice_of_tools(server, model, chosen, names, sent):
    tools, output = [ToolDefinition(name="a"), ToolDefinition(name="b")], [ToolDefinition(name="final")]
    parameters = ModelRequestParameters(function_tools=tools, output_tools=output, output_mode="tool")
    await model.request(HELLO, {"tool_choice": chosen} if chosen else None, parameters)
    request = server.requests[-1].json
    assert ([tool["function"]["name"] for tool in request["tools"]], request["tool_choice"]) == (names, sent)


# Errors


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "bad", exceptions.ModelRequestRejectedError),
        (400, "context_length_exceeded", exceptions.ModelContextWindowExceededError),
        (401, None, exceptions.ModelAuthenticationError),
        (404, None, exceptions.ModelNotFoundError),
        (429, None, exceptions.ModelRateLimitError),
        (429, "insufficient_quota", exceptions.ModelQuotaExceededError),
        (500, None, exceptions.ModelServerError),
    ],
)
async def test_a_status(server, model, status, code, kind):
    """In its words, with ours as the cause, and without the key."""
    server.fail(status, message="no", code=code)
    with pytest.raises(kind) as caught:
        await Agent(model, model_settings={"max_retries": 0}).run("hello")
    shown = everything_of(caught.value.__cause__)
    assert (caught.value.status_code, caught.value.model_name) == (status, "m")
    assert isinstance(caught.value.__cause__, errors.APIStatusError)
    assert server.api_key not in shown


async def test_other_errors(server, model):
    """A cut stream, an error in a stream, no time, no connection; misuse is ours."""
    server.cut("one two three", after=2)
    with pytest.raises(exceptions.ModelConnectionError):
        await streamed(model)
    server.stall("one", after=0)
    with pytest.raises(exceptions.ModelTimeoutError):
        await Agent(model, model_settings={"timeout": 0.1, "max_retries": 0}).run("hello")
    server.reply("one two", quirks=["error_event"])
    with pytest.raises(exceptions.ModelAPIError) as caught:
        await streamed(model)
    assert caught.value.in_stream
    with pytest.raises(errors.RequestValidationError):
        await Agent(model, model_settings={"temperature": 9}).run("hello")


def test_a_key_is_needed(monkeypatch):
    """It is said at once."""
    monkeypatch.delenv("OPEAI_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="no API key"):
        OpeAIModel("m")
    model = OpeAIModel("m", api_key="Canary.0123456789", base_url="https://localhost/v1")
    assert "Canary" not in repr(model) + repr(vars(model))
    assert (model.system, model.base_url) == ("opeai", "https://localhost/v1")


# Ends


async def test_leaving_a_stream_ends_the_upstream(server, model):
    server.stall("one two three", after=2)
    async with model.request_stream(HELLO, None, ModelRequestParameters()) as stream:
        async for _ in stream:
            break
    assert (await server.wait_closed()).outcome == "client_gone"


async def test_cancelling_a_stream(server, model):
    """It ends where it is, quietly, and says that it was interrupted."""
    server.stall("one two three", after=2)
    async with model.request_stream(HELLO, None, ModelRequestParameters()) as stream:
        async for _ in stream:
            await stream.cancel()
        response = stream.get()
    assert isinstance(response, ModelResponse)
    assert (response.state, response.finish_reason) == ("interrupted", None)
    assert (await server.wait_closed()).outcome == "client_gone"


async def test_models_that_nobody_closes(server, tmp_path):
    """All of a loop share its connections; loops follow one another; a script ends quietly."""
    script = """
        import asyncio, sys
        from pydantic_ai import Agent
        from opeai_async.pydantic_ai import OpeAIModel

        base_url, key = sys.argv[1:]
        agent = Agent(OpeAIModel("m", base_url=base_url, api_key=key))

        async def ask():
            await agent.run("hello")
            await Agent(OpeAIModel("m", base_url=base_url, api_key=key)).run("hello")

        asyncio.run(ask())
        asyncio.run(ask())
        assert "openai" not in sys.modules
    """
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(script))
    command = [sys.executable, "-W", "default::ResourceWarning", path, server.base_url, server.api_key]
    done = await anyio.run_process(command, check=False)
    assert (done.returncode, done.stderr.decode()) == (0, "")
    assert (len(server.requests), server.connections_total) == (4, 2)


def test_the_package_does_not_import_it():
    code = "import sys; from opeai_async import AsyncOpeAI, OpeAI; assert 'pydantic_ai' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
