"""ChatOpeAI: what LangChain sees of an answer, what the server sees of a conversation, and what is left behind."""

import asyncio
import functools
import json
import operator
import pickle
import re
import subprocess
import sys
import textwrap

import anyio
import pydantic
import pytest

pytest.importorskip("langchain_core", reason="langchain-core is not installed, whose chat model this is")

from langchain_core import exceptions as theirs
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from opeai_async import AsyncOpeAI, ConfigurationError, OpeAI, RequestValidationError, errors
from opeai_async.langchain import ChatOpeAI
from opeai_async.testing import QUIRKS
from tests.support.secrets import everything_of

CALL = ("get_weather", {"city": "Paris"})


class Joke(pydantic.BaseModel):
    """A joke."""

    setup: str
    punchline: str


@pytest.fixture
async def model(server, client):
    return ChatOpeAI(model="m", client=client)


async def joined(chunks):
    return functools.reduce(operator.add, [chunk async for chunk in chunks])


def numbered(call_id):
    """Return *call_id* without the number of the server's answer."""
    return re.sub("call_[0-9]{8}", "call", call_id)


# What LangChain sees


async def test_an_answer(server, model):
    """Its text, thinking, calls, usage, and what is known of it."""
    server.reply("Hi", reasoning="Hm", tool_calls=[CALL])
    message = await model.ainvoke("hello")
    assert isinstance(message, AIMessage)
    assert message.content == "Hi"
    assert [block["type"] for block in message.content_blocks] == ["reasoning", "text", "tool_call"]
    assert [(call["name"], call["args"]) for call in message.tool_calls] == [CALL]
    assert message.usage_metadata["total_tokens"] > message.usage_metadata["input_tokens"] > 0
    assert message.usage_metadata["output_token_details"]["reasoning"] > 0
    known = message.response_metadata
    assert (known["model_name"], known["finish_reason"], known["model_provider"]) == ("m", "tool_calls", "opeai")
    assert known["request_id"] == server.requests[0].request_id


@pytest.mark.parametrize("quirk", [None, *sorted(QUIRKS)])
async def test_a_stream_comes_to_the_same(server, client, quirk):
    """Chunks that are added up are what our stream comes to, however oddly a server sends them; usage counts once."""
    model = ChatOpeAI(model="m", client=client, max_retries=0)

    def reply():
        server.reply("one two three", reasoning="Hm hm", tool_calls=[CALL, CALL], quirks=[quirk] if quirk else [])

    reply()
    stream = client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "hello"}], max_retries=0)
    try:
        async with stream:
            completion = await stream.completion()
    except errors.OpeAIError as error:
        reply()
        with pytest.raises(type(error)):
            await joined(model.astream("hello"))
        return
    reply()
    message = await joined(model.astream("hello"))
    expected = completion.choices[0].message
    assert message.content == (expected.content or "")
    assert message.additional_kwargs.get("reasoning_content") == expected.reasoning_content
    calls = [
        (numbered(call.id), call.function.name, json.loads(call.function.arguments))
        if call.custom is None
        else (numbered(call.id), call.custom.name, json.loads(call.custom.input))
        for call in expected.tool_calls or ()
    ]
    assert [(numbered(call["id"]), call["name"], call["args"]) for call in message.tool_calls] == calls
    assert message.response_metadata["model_name"] == completion.model
    assert (message.usage_metadata or {}).get("total_tokens") == (completion.usage and completion.usage.total_tokens)


async def test_several_answers(server, model):
    """Each is a generation; the usage of all is with the first. A stream of LangChain's is one message."""
    server.reply("Hi")
    result = await model.agenerate([[HumanMessage("hello")]], n=2)
    first, second = result.generations[0]
    assert (first.text, second.text) == ("Hi", "Hi")
    assert first.message.usage_metadata
    assert second.message.usage_metadata is None
    with pytest.raises(RequestValidationError, match="n is 2"):
        await joined(model.astream("hello", n=2))
    assert len(server.requests) == 1


async def test_arguments_that_are_no_object(server, model):
    """They are kept as they came, and go back so."""
    server.reply(tool_calls=[("f", '{"a": ')], quirks=["whole"] if "whole" in QUIRKS else [])
    message = await model.ainvoke("hello")
    assert not message.tool_calls
    assert [(call["name"], call["args"]) for call in message.invalid_tool_calls] == [("f", '{"a": ')]
    await model.ainvoke(
        [HumanMessage("hello"), message, ToolMessage("?", tool_call_id=message.invalid_tool_calls[0]["id"])]
    )
    (sent,) = server.requests[-1].json["messages"][1]["tool_calls"]
    assert sent["function"] == {"name": "f", "arguments": '{"a": '}


# What the server sees


async def test_a_conversation_goes_back_as_it_came(server, model):
    """Thinking too, which some servers ask for; a result without its name."""
    server.reply("Let me see.", reasoning="Hm", tool_calls=[CALL])
    message = await joined(model.astream([SystemMessage("Be brief."), HumanMessage("hello")]))
    result = ToolMessage("20 C", tool_call_id=message.tool_calls[0]["id"], name="get_weather")
    await model.ainvoke([SystemMessage("Be brief."), HumanMessage("hello"), message, result])
    system, user, assistant, tool = server.requests[-1].json["messages"]
    assert (system["role"], user) == ("system", {"role": "user", "content": "hello"})
    assert (assistant["content"], assistant["reasoning_content"]) == ("Let me see.", "Hm")
    assert assistant["tool_calls"][0]["function"]["name"] == "get_weather"
    assert tool == {"role": "tool", "content": "20 C", "tool_call_id": message.tool_calls[0]["id"]}


async def test_messages_of_others(server, model):
    """Thinking in blocks becomes `reasoning_content`; pictures go in the API's form; blocks that it lacks stay out."""
    picture = {"type": "image", "base64": "aGk=", "mime_type": "image/png"}
    blocks = [
        {"type": "reasoning", "reasoning": "Hm"},
        {"type": "text", "text": "A cat.", "annotations": []},
        {"type": "tool_call", "name": "f", "args": {}, "id": "c1"},
    ]
    assistant = AIMessage(content_blocks=blocks, additional_kwargs={"of_others": 1})
    seen = [HumanMessage([{"type": "text", "text": "What?"}, picture]), assistant, ToolMessage("x", tool_call_id="c1")]
    await model.ainvoke([*seen, HumanMessage("Go on.")])
    user, sent, *_ = server.requests[-1].json["messages"]
    assert user["content"][1]["image_url"]["url"] == "data:image/png;base64,aGk="
    assert sent == {
        "role": "assistant",
        "content": "A cat.",
        "reasoning_content": "Hm",
        "tool_calls": [{"type": "function", "id": "c1", "function": {"name": "f", "arguments": "{}"}}],
    }


async def test_parameters(server, client):
    """The model's, its `model_kwargs`, and before all the call's."""
    model = ChatOpeAI(
        model="m", client=client, temperature=0.5, max_tokens=9, stop=["a"], max_retries=0, model_kwargs={"top_p": 0.5}
    )
    await model.ainvoke("hello", temperature=0.1, stop=["b"], extra_body={"top_k": 1})
    sent = server.requests[-1].json
    del sent["messages"]
    assert sent == {"model": "m", "temperature": 0.1, "max_tokens": 9, "stop": ["b"], "top_p": 0.5, "top_k": 1}
    assert model._get_ls_params()["ls_stop"] == ["a"]
    server.fail(503, times=3)
    with pytest.raises(theirs.ModelAPIError):
        await model.ainvoke("hello")
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("any", "required"),
        (True, "required"),
        ("auto", "auto"),
        ("Joke", {"type": "function", "function": {"name": "Joke"}}),
    ],
)
async def test_a_choice_of_tools(server, model, given, sent):
    await model.bind_tools([Joke], tool_choice=given, parallel_tool_calls=False).ainvoke("hello")
    request = server.requests[-1].json
    assert (request["tool_choice"], request["parallel_tool_calls"]) == (sent, False)
    assert request["tools"][0]["function"]["parameters"]["required"] == ["setup", "punchline"]


# Values


@pytest.mark.parametrize("method", ["json_schema", "json_mode", "function_calling"])
async def test_a_value(server, model, method):
    """Of a pydantic model, or a dict; also in a stream; strict for pydantic models, where there is a schema."""
    text, value = '{"setup": "a", "punchline": "b"}', {"setup": "a", "punchline": "b"}

    def reply():
        if method == "function_calling":
            server.reply(tool_calls=[("Joke", value)])
        else:
            server.reply(text)

    reply()
    assert await model.with_structured_output(Joke, method=method).ainvoke("hello") == Joke(**value)
    form = server.requests[-1].json.get("response_format", {})
    assert form.get("json_schema", {"strict": True})["strict"] is True
    reply()
    assert await model.with_structured_output(Joke.model_json_schema(), method=method).ainvoke("hello") == value
    reply()
    assert [joke async for joke in model.with_structured_output(Joke, method=method).astream("hello")][-1] == Joke(
        **value
    )


async def test_a_value_in_the_apis_own_form(server, model):
    """As agents of LangChain bind it."""
    schema = {"name": "J", "schema": Joke.model_json_schema()}
    for given in (schema, {"type": "json_schema", "json_schema": schema}):
        server.reply('{"setup": "a", "punchline": "b"}')
        assert (await model.with_structured_output(given).ainvoke("hello"))["setup"] == "a"
        assert server.requests[-1].json["response_format"]["json_schema"] == schema
    server.reply("{}")
    await model.ainvoke("hello", response_format=Joke)
    assert server.requests[-1].json["response_format"]["json_schema"]["name"] == "Joke"


async def test_no_value(server, model):
    """A refusal is LangChain's error for it; with `include_raw`, an error is beside the message."""
    server.reply(None, refusal="I will not.")
    with pytest.raises(theirs.ModelRefusalError, match="I will not"):
        await model.with_structured_output(Joke).ainvoke("hello")
    server.reply("no JSON")
    answer = await model.with_structured_output(Joke, include_raw=True).ainvoke("hello")
    assert (answer["raw"].content, answer["parsed"]) == ("no JSON", None)
    assert isinstance(answer["parsing_error"], theirs.OutputParserException)
    for arguments in ({"schema": None}, {"schema": Joke, "method": "of_no_kind"}):
        with pytest.raises(ValueError, match="expected"):
            model.with_structured_output(**arguments)


# Errors


@pytest.mark.parametrize(
    ("status", "code", "own", "kind"),
    [
        (400, "bad", errors.BadRequestError, theirs.ModelInvalidRequestError),
        (400, "context_length_exceeded", errors.BadRequestError, theirs.ContextOverflowError),
        (401, None, errors.AuthenticationError, theirs.ModelAuthenticationError),
        (403, None, errors.PermissionDeniedError, theirs.ModelPermissionDeniedError),
        (404, None, errors.NotFoundError, theirs.ModelNotFoundError),
        (422, None, errors.UnprocessableEntityError, theirs.ModelInvalidRequestError),
        (429, None, errors.RateLimitError, theirs.ModelRateLimitError),
        (500, None, errors.InternalServerError, theirs.ModelAPIError),
    ],
)
async def test_an_error_is_of_both(server, model, status, code, own, kind):
    """It is caught by its name here and there, has all its facts, and survives pickle."""
    server.fail(status, message="no", code=code)
    with pytest.raises(own) as caught:
        await model.ainvoke("hello", max_retries=0)
    error = caught.value
    shown = everything_of(error)  # before an assertion puts the key into a variable of this frame
    assert isinstance(error, kind)
    assert type(error.__cause__) is own
    assert (error.status_code, error.request_id) == (status, server.requests[0].request_id)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (again.status_code, str(again)) == (status, str(error))
    assert server.api_key not in shown


async def test_errors_of_a_stream_and_of_no_connection(server, model):
    """A stream that was cut has what arrived; nothing is raised in place of a misuse."""
    server.cut("one two three", after=2)
    with pytest.raises(theirs.ModelConnectionError) as caught:
        await joined(model.astream("hello"))
    assert caught.value.partial.choices[0].message.content
    with pytest.raises(theirs.ModelConnectionError):
        await ChatOpeAI(model="m", api_key="k", base_url="http://127.0.0.1:1/v1", max_retries=0).ainvoke("hello")
    server.stall("one", after=0)
    with pytest.raises(theirs.ModelTimeoutError):
        await model.ainvoke("hello", timeout=0.1, max_retries=0)
    with pytest.raises(ConfigurationError) as refused:
        await ChatOpeAI(model="m", api_key="k", base_url="http://example.org/v1").ainvoke("hello")
    assert not isinstance(refused.value, theirs.ModelError)


async def test_a_key_that_is_nowhere(server, monkeypatch):
    """Not in a repr or a pickle, which takes that of the next environment; without any, it is said at once."""
    model = ChatOpeAI(model="m", api_key="Canary.0123456789")
    again = pickle.loads(pickle.dumps(model))
    assert again.api_key is None
    assert "Canary" not in repr(model) + repr(vars(again)) + str(model.asdict()) + pickle.dumps(model).decode("latin-1")
    monkeypatch.delenv("OPEAI_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="no API key"):
        ChatOpeAI(model="m")
    monkeypatch.setenv("OPEAI_API_KEY", "of the environment")
    assert ChatOpeAI(model="m").api_key.get_secret_value() == "of the environment"
    with pytest.raises(pydantic.ValidationError, match="temprature"):
        ChatOpeAI(model="m", temprature=1)


# Ends


async def test_leaving_a_stream_ends_the_upstream(server, model):
    server.stall("one two three", after=1)
    async for _ in (stream := model.astream("hello")):
        break
    await stream.aclose()
    assert (await server.wait_closed()).outcome == "client_gone"


async def test_cancelling(server, model):
    """A task that is cancelled leaves nothing behind."""
    server.stall("one", after=0)
    task = asyncio.ensure_future(model.ainvoke("hello"))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await server.wait_closed()).outcome == "client_gone"


async def test_without_await(server):
    """`invoke` and `stream` are over a client without an event loop; it may be one's own."""

    def use():
        with OpeAI(server.api_key, base_url=server.base_url) as own:
            model = ChatOpeAI(model="m", sync_client=own)
            return model.invoke("hello"), functools.reduce(operator.add, model.stream("hello"))

    server.reply("Hi", reasoning="Hm")
    server.reply("Hi", reasoning="Hm")
    whole, streamed = await anyio.to_thread.run_sync(use)
    assert whole.content == streamed.content == "Hi"
    assert whole.additional_kwargs == streamed.additional_kwargs == {"reasoning_content": "Hm"}


async def test_a_client_of_the_other_kind(client):
    """It is said which one is missing."""
    with pytest.raises(ConfigurationError) as caught:
        await anyio.to_thread.run_sync(ChatOpeAI(model="m", api_key=None, client=client).invoke, "hello")
    assert "sync_client=OpeAI(...)" in caught.value.hint


async def test_models_that_nobody_closes(server, tmp_path):
    """All of a loop share its connections, each with its own key; loops follow one another; a script ends quietly."""
    script = """
        import asyncio, sys
        from opeai_async.langchain import ChatOpeAI

        base_url, key = sys.argv[1:]
        module_level = ChatOpeAI(model="m", base_url=base_url, api_key=key)

        async def ask():
            await module_level.ainvoke("hello")
            await ChatOpeAI(model="m", base_url=base_url, api_key=lambda: key).ainvoke("hello")
            async for _ in ChatOpeAI(model="m", base_url=base_url, api_key=key).astream("hello"):
                pass

        for _ in range(2):
            asyncio.run(ask())
        ChatOpeAI(model="m", base_url=base_url, api_key=key).invoke("hello")
        list(module_level.stream("hello"))
    """
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(script))
    command = [sys.executable, "-W", "default::ResourceWarning", path, server.base_url, server.api_key]
    done = await anyio.run_process(command, check=False)
    assert (done.returncode, done.stderr.decode()) == (0, "")
    assert len(server.requests) == 8
    assert server.connections_total == 3


def test_the_package_does_not_import_it():
    """Nor does this import openai."""
    code = (
        "import sys; from opeai_async import AsyncOpeAI, OpeAI; assert 'langchain_core' not in sys.modules;"
        "import opeai_async.langchain; assert 'openai' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_one_owns_the_client_that_one_gives(server):
    """It sends all, and lives on."""
    async with AsyncOpeAI(server.api_key, base_url=server.base_url, default_headers={"x-a": "1"}) as own:
        await ChatOpeAI(model="m", client=own).ainvoke("hello")
        await own.chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}])
    assert [request.headers.get("x-a") for request in server.requests] == ["1", "1"]
