"""openai's own client over ours: its types, streams, errors, and what its README shows."""

import asyncio
import json
import re

import pydantic
import pytest

openai = pytest.importorskip("openai", reason="openai is not installed, whose client this is")

from openai.types.chat import ChatCompletion, ChatCompletionChunk  # noqa: E402

from opeai_async.compat import AsyncOpenAI  # noqa: E402

ASK = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


class Math(pydantic.BaseModel):
    answer: int


@pytest.fixture
async def client(server):
    async with AsyncOpenAI(api_key=server.api_key, base_url=server.base_url) as client:
        yield client


async def test_a_completion(server, client):
    """Of openai's type, sent by our client."""
    server.reply("Hi", reasoning="Hm")
    completion = await client.chat.completions.create(**ASK, temperature=openai.omit, extra_body={"top_k": 1})
    assert isinstance(completion, ChatCompletion)
    message = completion.choices[0].message
    assert (message.content, message.reasoning_content) == ("Hi", "Hm")
    assert completion.usage.total_tokens > 0
    assert completion._request_id == server.requests[0].request_id
    assert server.requests[0].headers["user-agent"].startswith("opeai_async/")
    assert server.requests[0].json == {**ASK, "top_k": 1}
    assert ChatCompletion.model_validate(completion.model_dump()) == completion


async def test_a_stream(server, client):
    """Chunk by chunk the same as openai's own client makes."""
    reply = {"reasoning": "Hm", "tool_calls": [("f", {"a": 1})]}
    server.reply("one two", **reply)
    stream = await client.chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True})
    assert isinstance(stream, openai.AsyncStream)
    assert stream.response.status_code == 200
    ours = [chunk async for chunk in stream]
    server.reply("one two", **reply)
    async with openai.AsyncOpenAI(api_key=server.api_key, base_url=server.base_url) as theirs_client:
        stream = await theirs_client.chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True})
        theirs = [chunk async for chunk in stream]
    assert all(isinstance(chunk, ChatCompletionChunk) for chunk in ours)
    shown = {"exclude": {"id", "created"}, "exclude_none": True}

    def told(chunk):  # the server numbers its calls
        return re.sub("call_[0-9]+", "call", chunk.model_dump_json(**shown))

    assert list(map(told, ours)) == list(map(told, theirs))
    for chunk in ours:
        again = ChatCompletionChunk.model_validate_json(chunk.model_dump_json())
        assert again.model_dump(exclude_none=True) == chunk.model_dump(exclude_none=True)


async def test_leaving_a_stream_ends_the_upstream(server, client):
    server.stall("one two three", after=1)
    async with await client.chat.completions.create(**ASK, stream=True) as stream:
        await anext(aiter(stream))
    assert (await server.wait_closed()).outcome == "client_gone"


async def test_events_and_values(server, client):
    """`stream()` and `parse()` are openai's, with its events and its `parsed`."""
    server.reply('{"answer": 42}')
    completion = await client.chat.completions.parse(**ASK, response_format=Math)
    assert completion.choices[0].message.parsed == Math(answer=42)
    assert server.requests[-1].json["response_format"]["type"] == "json_schema"
    server.reply('{"answer": 42}')
    async with client.chat.completions.stream(**ASK, response_format=Math) as stream:
        kinds = {event.type async for event in stream}
        final = await stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    server.reply('{"answer": 42}')
    completion = await client.beta.chat.completions.parse(**ASK, response_format=Math)
    assert completion.choices[0].message.parsed == Math(answer=42)
    assert all(request.headers["user-agent"].startswith("opeai_async/") for request in server.requests)
    with pytest.raises(TypeError, match=r"parse\(\)"):
        await client.chat.completions.create(**ASK, response_format=Math)
    assert final.choices[0].message.parsed.answer == 42


async def test_a_raw_response(server, client):
    raw = await client.chat.completions.with_raw_response.create(**ASK)
    assert (raw.status_code, raw.headers["x-request-id"]) == (200, server.requests[0].request_id)
    assert isinstance(raw.parse(), ChatCompletion)
    assert raw.retries_taken == 0
    async with client.chat.completions.with_streaming_response.create(**ASK) as response:
        assert (await response.parse()).choices[0].message.content
    parsed = await client.chat.completions.with_raw_response.parse(**ASK)
    assert parsed.parse().choices[0].message.content


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (409, "ConflictError"),
        (422, "UnprocessableEntityError"),
        (429, "RateLimitError"),
        (500, "InternalServerError"),
    ],
)
async def test_statuses(server, client, status, name):
    """With response, request id, body, code."""
    server.fail(status, message="no", code="because", headers={"retry-after": "7"})
    with pytest.raises(getattr(openai, name)) as caught:
        await client.with_options(max_retries=0).chat.completions.create(**ASK)
    error = caught.value
    assert (error.status_code, error.code, error.body["message"]) == (status, "because", "no")
    assert (error.request_id, error.response.headers["retry-after"]) == (server.requests[0].request_id, "7")


async def test_other_errors(server):
    """Connection, time, a cut stream, what is not this API; ours is the cause."""
    options = {"api_key": server.api_key, "max_retries": 0}
    async with AsyncOpenAI(**options, base_url="http://127.0.0.1:1/v1") as nowhere:
        with pytest.raises(openai.APIConnectionError, match=r"127\.0\.0\.1") as caught:
            await nowhere.chat.completions.create(**ASK)
        assert type(caught.value.__cause__).__module__ == "opeai_async"
    async with AsyncOpenAI(**options, base_url=server.base_url) as client:
        server.stall("one", after=0)
        with pytest.raises(openai.APITimeoutError):
            async for _ in await client.chat.completions.create(**ASK, stream=True, timeout=0.1):
                pass
        server.cut("one two three", after=2)
        with pytest.raises(openai.APIConnectionError):
            async for _ in await client.chat.completions.create(**ASK, stream=True):
                pass
        server.raw(b"<html>", headers={"content-type": "text/html"})
        with pytest.raises(openai.APIResponseValidationError):
            await client.chat.completions.create(**ASK)
        with pytest.raises(openai.OpenAIError, match="messages is missing"):
            await client.chat.completions.create(model="m", messages=openai.omit)


async def test_cancelling(server, client):
    """A task that is cancelled leaves nothing behind."""
    server.stall("one", after=0)
    task = asyncio.ensure_future(client.chat.completions.create(**ASK))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await server.wait_closed()).outcome == "client_gone"


async def test_options_are_openais(server):
    """Headers, query, organization, a key that is asked for; copies share the connections."""

    async def key():
        return server.api_key

    async with AsyncOpenAI(
        api_key=key,
        base_url=server.base_url,
        organization="org",
        default_headers={"x-a": "1"},
        default_query={"q": "1"},
    ) as client:
        other = client.with_options(timeout=5, default_headers={"x-a": "2"})
        await client.chat.completions.create(**ASK, extra_headers={"x-b": "3"}, extra_query={"r": 2})
        await other.chat.completions.create(**ASK)
    first, second = server.requests
    assert (first.headers["openai-organization"], first.headers["x-a"], first.headers["x-b"]) == ("org", "1", "3")
    assert (first.query, second.headers["x-a"]) == ("q=1&r=2", "2")
    assert server.connections_total == 1


async def test_messages_of_openais_types(server, client):
    """An answer goes into the next request as it is, without what was not set."""
    server.reply(tool_calls=[("f", {"a": 1})])
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    message = (await client.chat.completions.create(**ASK, tools=[tool])).choices[0].message
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "1"}
    await client.chat.completions.create(model="m", messages=[*ASK["messages"], message, result], tools=(tool,))
    sent = server.requests[-1].json["messages"][1]
    assert json.loads(sent["tool_calls"][0]["function"]["arguments"]) == {"a": 1}
    assert "function_call" not in sent


async def test_a_transport_of_ones_own(server):
    """Then all goes over that, as in openai."""
    async with openai.DefaultAsyncHttpxClient() as http_client:
        client = AsyncOpenAI(api_key=server.api_key, base_url=server.base_url, http_client=http_client)
        await client.chat.completions.create(**ASK)
        await client.copy(max_retries=1).chat.completions.create(**ASK)
        completion = await client.chat.completions.parse(**ASK)
        assert completion.choices
    assert all("opeai_async" not in request.headers["user-agent"] for request in server.requests)


async def test_posting_a_completion(server, client):
    """As litellm does; with a class of one's own, or to other paths, it is openai's way."""
    options = {"headers": {"X-Stainless-Raw-Response": "true", "x-a": "1"}, "extra_json": {"top_k": 1}, "timeout": 5}
    raw = await client.post("/chat/completions", cast_to=ChatCompletion, body=ASK, options=options)
    assert raw.parse().choices[0].message.content
    assert (server.requests[0].headers["x-a"], server.requests[0].json["top_k"]) == ("1", 1)
    stream = await client.post("/chat/completions", cast_to=ChatCompletion, body=ASK, stream=True)
    assert [chunk async for chunk in stream]
    assert (await client.post("/chat/completions", cast_to=object, body=ASK))["choices"]
    agents = [request.headers["user-agent"].partition("/")[0] for request in server.requests]
    assert agents == ["opeai_async", "opeai_async", "AsyncOpenAI"]


async def test_the_rest_of_the_client_is_openais(client):
    """Such as the list of models."""
    assert [model.id async for model in client.models.list()]
    assert not client.is_closed()
    await client.close()
    assert client.is_closed()
