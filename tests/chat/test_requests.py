"""Exactly what the client sends, as a real server sees it."""

import contextlib
from collections.abc import AsyncIterator
from urllib.parse import parse_qsl

import pytest

from opeai_async import ChatCompletion, ChatCompletionChunk, ChatCompletionStream, SystemMessage, UserMessage
from opeai_async._version import __version__
from opeai_async.errors import AuthenticationError, NotFoundError
from opeai_async.testing import OpeAIServer
from opeai_async.types.request import CompletionParams
from tests.support.reading.parameters import EVERY_FIELD, HELLO


@pytest.fixture
async def server() -> AsyncIterator[OpeAIServer]:
    async with OpeAIServer(validate=False) as server:
        yield server


async def drained(stream):
    async with stream:
        return [chunk async for chunk in stream]


class TestTheRequest:
    """As a server receives it."""

    async def test_an_awaited_call(self, server):
        """Exactly what the API documents, and what a retry needs."""
        async with server.client() as client:
            completion = await client.chat.completions.create(model="m", messages=HELLO)
        assert isinstance(completion, ChatCompletion)
        (request,) = server.requests
        assert (request.method, request.path, request.query) == ("POST", "/v1/chat/completions", "")
        assert request.json == {"model": "m", "messages": HELLO}
        headers = dict(request.headers)
        assert len(headers.pop("idempotency-key")) == 32
        assert headers == {
            "host": server.base_url.removeprefix("http://").removesuffix("/v1"),
            "authorization": f"Bearer {server.api_key}",
            "content-type": "application/json",
            "accept": "application/json",
            "accept-encoding": "identity",
            "user-agent": f"opeai_async/{__version__}",
            "content-length": str(len(request.body)),
            "x-opeai-attempt": "1",
        }

    async def test_a_stream(self, server):
        """`create` leaves the options alone; `stream` asks for usage."""
        async with server.client() as client:
            created = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
            assert isinstance(created, ChatCompletionStream)
            await drained(created)
            await drained(client.chat.completions.stream(model="m", messages=HELLO))
        first, second = server.requests
        assert first.json == {"model": "m", "messages": HELLO, "stream": True}
        assert second.json == {**first.json, "stream_options": {"include_usage": True}}
        for request in (first, second):
            assert (request.method, request.path) == ("POST", "/v1/chat/completions")
            assert request.headers["accept"] == "text/event-stream"
            assert request.headers["content-type"] == "application/json"
            assert request.headers["authorization"] == f"Bearer {server.api_key}"

    @pytest.mark.parametrize("stream", [False, None])
    async def test_no_stream_is_asked_for_by_silence(self, server, stream):
        """The field is not sent at all."""
        async with server.client() as client:
            await client.chat.completions.create(model="m", messages=HELLO, stream=stream)
        assert "stream" not in server.requests[0].json

    async def test_every_field_by_value(self, server):
        """All of the API, awaited and streamed."""
        assert set(EVERY_FIELD) == set(CompletionParams.__annotations__)
        async with server.client() as client:
            await client.chat.completions.create(**EVERY_FIELD)
            await drained(client.chat.completions.stream(**EVERY_FIELD))
        assert server.requests[0].json == EVERY_FIELD
        assert server.requests[1].json == {**EVERY_FIELD, "stream": True}

    async def test_a_real_api_would_take_it(self):
        """The server that checks as the API does accepts Structs, dicts and what came back."""
        async with OpeAIServer() as server, server.client() as client:
            completion = await client.chat.completions.create(
                model="m", messages=[SystemMessage(content="be kind"), *HELLO], temperature=0, max_completion_tokens=5
            )
            answer = completion.choices[0].message
            await client.chat.completions.create(model="m", messages=[*HELLO, answer, UserMessage(content="and?")])
        assert [message["role"] for message in server.requests[1].json["messages"]] == ["user", "assistant", "user"]
        assert server.requests[1].json["messages"][1]["content"] == answer.content

    @pytest.mark.parametrize("path", ["", "/", "/v1/", "/a/b", "/v1?api-version=1"])
    async def test_the_path_hangs_below_the_base_url(self, server, path):
        """With the query of the base URL."""
        root = server.base_url.removesuffix("/v1")
        async with server.client(base_url=root + path, max_retries=0) as client:
            # Where the server has no such path, it says so; what counts is which one was asked for.
            with contextlib.suppress(NotFoundError):
                await client.chat.completions.create(model="m", messages=HELLO)
        base, _, query = path.partition("?")
        assert server.requests[0].path == base.rstrip("/") + "/chat/completions"
        assert server.requests[0].query == query

    async def test_queries_are_added_up(self, server):
        """Of the base URL, of the client and of the call, in this order, encoded."""
        async with server.client(base_url=server.base_url + "?a=1", default_query={"b": "x y"}) as client:
            await client.chat.completions.create(model="m", messages=HELLO, extra_query={"c": "ü&"})
            await client.chat.completions.create(model="m", messages=HELLO)
        queries = [parse_qsl(request.query) for request in server.requests]
        assert queries == [[("a", "1"), ("b", "x y"), ("c", "ü&")], [("a", "1"), ("b", "x y")]]

    async def test_a_query_of_the_call_alone(self, server):
        """Needs no other."""
        async with server.client() as client:
            await client.chat.completions.create(model="m", messages=HELLO, extra_query={"c": "1"})
        assert server.requests[0].query == "c=1"

    async def test_headers_are_replaced_whatever_their_case(self, server):
        """The call's go before the client's, and those before ours; none is sent twice."""
        defaults = {"user-agent": "mine/1", "X-Tenant": "a", "ACCEPT": "application/x-ndjson"}
        async with server.client(default_headers=defaults) as client:
            await client.chat.completions.create(
                model="m", messages=HELLO, extra_headers={"x-tenant": "b", "X-New": ""}
            )
            await drained(client.chat.completions.stream(model="m", messages=HELLO))
        first, second = (request.headers for request in server.requests)
        assert (first["user-agent"], first["x-tenant"], first["x-new"]) == ("mine/1", "b", "")
        assert (second["user-agent"], second["x-tenant"]) == ("mine/1", "a")
        assert first["accept"] == second["accept"] == "application/x-ndjson"
        assert "x-new" not in second

    async def test_another_kind_of_key(self, server):
        """A gateway's own scheme takes the place of the bearer."""
        async with server.client(max_retries=0) as client:
            with pytest.raises(AuthenticationError):
                await client.chat.completions.create(
                    model="m", messages=HELLO, extra_headers={"authorization": "Basic abc"}
                )
        assert server.requests[0].headers["authorization"] == "Basic abc"

    async def test_options_that_are_none_change_nothing(self, server):
        """They can be handed on as they are."""
        none = dict.fromkeys(("extra_body", "extra_headers", "extra_query", "timeouts", "max_retries"))
        async with server.client() as client:
            await client.chat.completions.create(model="m", messages=HELLO, **none)
        assert server.requests[0].json == {"model": "m", "messages": HELLO}

    async def test_own_types(self, server):
        """The answer has the type that was asked for."""

        class MyCompletion(ChatCompletion):
            cost: float | None = None

        class MyChunk(ChatCompletionChunk):
            cost: float | None = None

        async with server.client() as client:
            create = client.chat.completions.create
            completion = await create(model="m", messages=HELLO, completion_type=MyCompletion)
            chunks = await drained(await create(model="m", messages=HELLO, stream=True, chunk_type=MyChunk))
            more = await drained(client.chat.completions.stream(model="m", messages=HELLO, chunk_type=MyChunk))
        assert isinstance(completion, MyCompletion)
        assert {isinstance(chunk, MyChunk) for chunk in chunks + more} == {True}
