"""The server on real sockets: what it answers, what it refuses, what it records."""

import asyncio

import aiohttp
import msgspec
import pytest

from opeai_async import BadRequestError
from opeai_async.testing import Drop, Failure, Headers, OpeAIServer, Raw, RecordedRequest, Reply
from tests.testing.wire import BODY, PATH, STREAM, ask, chat_url, events_of, exchange, key_of

# --- answers ---------------------------------------------------------------------------------------------------------


async def test_a_reply_as_one_body(server: OpeAIServer, session: aiohttp.ClientSession) -> None:
    """A request that does not stream gets one JSON object; id and time are the server's."""
    server.reply("Hello there", reasoning="Think", tool_calls=[("f", {"a": 1})], usage={"total_tokens": 9})
    response, body = await ask(session, server)
    assert response.status == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"] == server.requests[0].request_id == "req_00000001"
    completion = msgspec.json.decode(body)
    assert completion.pop("created") > 1_700_000_000
    assert completion == {
        "id": "chatcmpl-00000001",
        "object": "chat.completion",
        "model": "m",
        "system_fingerprint": "fp_opeai_test",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Hello there",
                    "refusal": None,
                    "reasoning_content": "Think",
                    "tool_calls": [
                        {
                            "id": "call_00000001_0",
                            "type": "function",
                            "function": {"name": "f", "arguments": '{"a":1}'},
                        }
                    ],
                },
                "logprobs": None,
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {"total_tokens": 9},
    }
    assert (server.requests[0].outcome, server.requests[0].chunks_sent) == ("completed", 1)


async def test_a_reply_as_a_stream(server: OpeAIServer, session: aiohttp.ClientSession) -> None:
    """A request that streams gets the same as events, with usage as asked, and [DONE]."""
    server.reply("Hello there", headers={"X-Extra": "1"})
    response, body = await ask(session, server, {**STREAM, "stream_options": {"include_usage": True}})
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["x-extra"] == "1"
    assert response.headers["x-request-id"] == "req_00000001"
    *chunks, done = events_of(body)
    assert done == "[DONE]"
    assert "".join(part["delta"].get("content", "") for c in chunks for part in c["choices"]) == "Hello there"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == 2
    assert (server.requests[0].outcome, server.requests[0].chunks_sent) == ("completed", len(chunks))


async def test_each_event_is_an_http_chunk(server: OpeAIServer, session: aiohttp.ClientSession) -> None:
    """As servers do: an event is flushed when it is there."""
    server.reply("a b c")
    async with session.post(chat_url(server), json=STREAM) as response:
        sizes = [(len(data), end) async for data, end in response.content.iter_chunks()]
    assert len(sizes) == 1 + 3 + 1 + 1
    assert all(end for _, end in sizes)


async def test_answers_come_in_order_and_as_often_as_said(server: OpeAIServer, session: aiohttp.ClientSession) -> None:
    """The queue first, `times` each; when it is empty the default answer."""
    server.reply("one")
    server.fail(503, times=2)
    server.reply("two")
    statuses, texts = [], []
    for _ in range(5):
        response, body = await ask(session, server)
        statuses.append(response.status)
        texts += [c["message"]["content"].partition("\n")[0] for c in msgspec.json.decode(body).get("choices", ())]
    assert statuses == [200, 503, 503, 200, 200]
    assert texts == ["one", "two", "You said: Hi"]


async def test_for_ever(server: OpeAIServer, session: aiohttp.ClientSession) -> None:
    """times=None never runs out; fewer than one is refused."""
    server.fail(500, times=None)
    assert [(await ask(session, server))[0].status for _ in range(3)] == [500, 500, 500]
    with pytest.raises(ValueError, match="times is 0, expected 1 or more"):
        server.reply("x", times=0)


async def test_a_failure(server: OpeAIServer, session: aiohttp.ClientSession) -> None:
    """The documented body, the given headers, and a request id."""
    server.fail(429, message="No", code="insufficient_quota", type="quota", param="model", headers={"Retry-After": "1"})
    response, body = await ask(session, server, STREAM)
    assert (response.status, response.headers["retry-after"]) == (429, "1")
    assert response.headers["x-request-id"] == "req_00000001"
    assert msgspec.json.decode(body) == {
        "error": {"message": "No", "type": "quota", "param": "model", "code": "insufficient_quota"}
    }
    assert (server.requests[0].status, server.requests[0].outcome) == (429, "completed")


@pytest.mark.parametrize(
    ("status", "type_", "code"),
    [
        (401, "invalid_request_error", "invalid_api_key"),
        (403, "permission_error", "permission_denied"),
        (404, "invalid_request_error", "model_not_found"),
        (408, "invalid_request_error", "request_timeout"),
        (422, "invalid_request_error", None),
        (429, "requests", "rate_limit_exceeded"),
        (500, "server_error", None),
        (503, "server_error", "overloaded"),
    ],
)
def test_what_a_failure_says_by_default(status: int, type_: str, code: str | None) -> None:
    """Each status comes with what the API usually says."""
    error = Failure(status).body()["error"]
    assert (error["type"], error["param"], error["code"]) == (type_, None, code)
    assert error["message"]


async def test_raw_bytes(server: OpeAIServer, session: aiohttp.ClientSession) -> None:
    """Bytes as given, an HTTP chunk each; the content type is as asked for, unless given."""
    server.raw([b"data: a\r", b"\n\r\n: ping\n\n"])
    async with session.post(chat_url(server), json=STREAM) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        chunks = [data async for data, _ in response.content.iter_chunks()]
    assert chunks == [b"data: a\r", b"\n\r\n: ping\n\n"]
    server.raw(b"<html>", status=502, headers={"content-type": "text/html", "content-length": "6"})
    response, body = await ask(session, server, STREAM)
    assert (response.status, response.content_type, body) == (502, "text/html", b"<html>")
    assert "transfer-encoding" not in response.headers
    server.raw(b"{}")
    response, _ = await ask(session, server)
    assert response.content_type == "application/json"
    assert [record.chunks_sent for record in server.requests] == [2, 1, 1]


async def test_raw_bytes_that_fall_short(server: OpeAIServer) -> None:
    """More announced than there is: the connection closes, so that no client waits for the rest."""
    server.raw(b"{", headers={"Content-Length": "5"})
    received, error = await exchange(server, BODY)
    assert received.endswith(b"\r\n\r\n{")
    assert error is None
    assert server.requests[0].outcome == "cut"


async def test_a_handler_decides(server: OpeAIServer, session: aiohttp.ClientSession) -> None:
    """A handler sees the request; the queue goes first, and None is the default answer."""

    async def decide(request: RecordedRequest) -> Reply | None:
        content = request.json["messages"][-1]["content"]
        return Reply(content.upper()) if content != "?" else None

    server.handle(decide)
    server.reply("queued")
    asked = [BODY, BODY, {**BODY, "messages": [{"role": "user", "content": "?"}]}]
    texts = [msgspec.json.decode((await ask(session, server, b))[1])["choices"][0]["message"]["content"] for b in asked]
    assert texts[:2] == ["queued", "HI"]
    assert texts[2].startswith("You said: ?")
    server.handle(None)
    assert b"You said: Hi" in (await ask(session, server))[1]


async def test_a_handler_that_raises(server: OpeAIServer, session: aiohttp.ClientSession) -> None:
    """Its error becomes a 500 that names it, and stays with the request."""

    async def decide(request: RecordedRequest) -> Reply:
        raise KeyError("city")

    server.handle(decide)
    response, body = await ask(session, server)
    assert response.status == 500
    error = msgspec.json.decode(body)["error"]
    assert error["message"] == "The testing server could not answer: KeyError: 'city'"
    assert error["type"] == "server_error"
    assert isinstance(server.requests[0].error, KeyError)
    assert server.requests[0].outcome == "completed"


async def test_an_answer_that_fails_half_way(server: OpeAIServer) -> None:
    """What cannot be sent after the head breaks the response off, and stays with the request."""
    server.raw([b"data: 1\n\n", 2])  # type: ignore[list-item]
    received, _ = await exchange(server, STREAM)
    assert received.endswith(b"data: 1\n\n\r\n")
    record = await server.wait_closed()
    assert record.outcome == "cut"
    assert record.error is not None


async def test_models(server: OpeAIServer, session: aiohttp.ClientSession) -> None:
    """The list of models wants a key too."""
    async with session.get(f"{server.base_url}/models") as response:
        body = await response.json()
    assert "deepseek-v4-flash" in [model["id"] for model in body["data"]]
    async with session.get(f"{server.base_url}/models", headers={"authorization": ""}) as response:
        assert response.status == 401


async def test_a_prepared_answer_is_queued(server: OpeAIServer, session: aiohttp.ClientSession) -> None:
    """What a handler returns may be queued as well."""
    for answer in (Reply("x"), Failure(418), Raw((b"raw",)), Drop()):
        server.answer(answer)
    assert (await ask(session, server))[0].status == 200
    assert (await ask(session, server))[0].status == 418
    assert (await ask(session, server))[1] == b"raw"
    with pytest.raises(aiohttp.ClientError):
        await ask(session, server)


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "param", "code"),
    [
        ("POST", PATH, {"json": BODY, "headers": {"authorization": "Bearer no"}}, 401, None, "invalid_api_key"),
        ("POST", PATH, {"json": BODY, "headers": {"authorization": ""}}, 401, None, "invalid_api_key"),
        ("POST", PATH, {"data": b"{", "headers": {"content-type": "application/json"}}, 400, None, None),
        ("POST", PATH, {"data": b"{}"}, 400, None, "unsupported_content_type"),
        ("POST", PATH, {"json": {**BODY, "frobnicate": 1}}, 400, "frobnicate", "unknown_parameter"),
        ("POST", PATH, {"json": {**BODY, "n": 0}}, 400, "n", "integer_below_min_value"),
        ("POST", "/v1/chat", {"json": BODY}, 404, None, "unknown_url"),
        ("GET", PATH, {}, 405, None, "method_not_supported"),
        ("POST", "/v1/models", {"json": {}}, 405, None, "method_not_supported"),
    ],
)
async def test_what_the_api_refuses(
    server: OpeAIServer,
    session: aiohttp.ClientSession,
    method: str,
    path: str,
    options: dict,
    status: int,
    param: str | None,
    code: str | None,
) -> None:
    """A refusal has the documented body and a request id, is recorded, and leaves the queue alone."""
    server.reply("still there")
    url = server.base_url.removesuffix("/v1") + path
    async with session.request(method, url, **options) as response:
        error = (await response.json())["error"]
    assert (response.status, error["param"], error["code"]) == (status, param, code)
    assert error["type"] == "invalid_request_error"
    assert response.headers["x-request-id"] == "req_00000001"
    assert (server.requests[0].status, server.requests[0].path) == (status, path)
    assert response.headers.get("allow") == ({405: {PATH: "POST"}.get(path, "GET")}.get(status))
    assert b"still there" in (await ask(session, server))[1]


async def test_any_key_and_any_field() -> None:
    """api_key=None takes every key, validate=False every object."""
    async with OpeAIServer(api_key=None, validate=False) as server:
        assert server.api_key
        async with aiohttp.ClientSession() as session:
            url = chat_url(server)
            async with session.post(url, json={"odd": 1}, headers={"authorization": "Bearer any"}) as response:
                assert response.status == 200
            async with session.post(url, json={}) as response:
                assert response.status == 401


async def test_a_body_beyond_the_limit(
    server: OpeAIServer, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is too long is not kept, and does not parse."""
    monkeypatch.setattr("opeai_async.testing.server.server._MAX_BODY_BYTES", 10)
    response, _ = await ask(session, server)
    assert response.status == 400


# --- what is recorded ------------------------------------------------------------------------------------------------


async def test_a_request_is_recorded(server: OpeAIServer, session: aiohttp.ClientSession) -> None:
    """Everything that was sent, as it was sent."""
    body = msgspec.json.encode(BODY)
    headers = {"Content-Type": "application/json", "X-Extra": "1"}
    async with session.post(f"{chat_url(server)}?a=1", data=body, headers=headers) as response:
        await response.read()
    record = server.requests[0]
    assert (record.index, record.method, record.path, record.query) == (0, "POST", PATH, "a=1")
    assert (record.body, record.json) == (body, BODY)
    assert record.headers["X-EXTRA"] == record.headers["x-extra"] == "1"
    assert record.headers["authorization"] == f"Bearer {server.api_key}"
    assert record.is_over
    assert repr(record) == "<RecordedRequest 0 POST /v1/chat/completions: 200 completed>"


def test_headers() -> None:
    """By name in any case, repeated ones joined, and no values in the repr: one of them is the key."""
    headers = Headers(iter([("Authorization", "Bearer sk-secret"), ("X-Two", "1"), ("x-two", "2")]))
    assert headers["X-TWO"] == headers["x-two"] == "1, 2"
    assert headers.get("absent") is None
    assert dict(headers) == {"authorization": "Bearer sk-secret", "x-two": "1, 2"}
    assert len(headers) == 2
    assert repr(headers) == "Headers(['authorization', 'x-two'])"


async def test_a_body_that_is_no_object_is_recorded_too(server: OpeAIServer, session: aiohttp.ClientSession) -> None:
    """`json` is empty, `body` is not."""
    for body in (b"[1]", b"{"):
        async with session.post(chat_url(server), data=body, headers={"content-type": "application/json"}) as response:
            assert response.status == 400
        assert server.requests[-1].json == {}
        assert server.requests[-1].body == body


async def test_connections_are_counted(server: OpeAIServer) -> None:
    """A connection has a number, so that reuse and closing can be proven."""
    assert (server.connections_open, server.connections_total) == (0, 0)
    async with aiohttp.ClientSession(headers=key_of(server)) as session:
        await ask(session, server)
        await ask(session, server)
        assert [record.connection for record in server.requests] == [1, 1]
        assert (server.connections_open, server.connections_total) == (1, 1)
        server.cut("x")
        with pytest.raises(aiohttp.ClientPayloadError):
            await ask(session, server)
        await server.wait_disconnected()
        await ask(session, server)
        assert [record.connection for record in server.requests] == [1, 1, 1, 2]
        assert (server.connections_open, server.connections_total) == (1, 2)
        assert "4 requests, 1 connections open" in repr(server)
    await server.wait_disconnected()
    assert (server.connections_open, server.connections_total) == (0, 2)


async def test_waiting(server: OpeAIServer, session: aiohttp.ClientSession) -> None:
    """Waiting names what did not come; a request may be given by its place before it is there."""
    with pytest.raises(TimeoutError, match=r"waited 0\.01 s in vain for request number 1: <OpeAIServer http://127"):
        await server.wait_received(timeout_s=0.01)
    with pytest.raises(TimeoutError, match="in vain for the end of request -1"):
        await server.wait_closed(timeout_s=0.01)
    waiting = asyncio.create_task(server.wait_closed(1))
    await ask(session, server)
    await ask(session, server)
    assert await waiting is server.requests[1]
    assert await server.wait_received(1) is server.requests[0]
    assert await server.wait_closed(server.requests[0]) is server.requests[0]
    with pytest.raises(TimeoutError, match="in vain for the last connection to close"):
        await server.wait_disconnected(timeout_s=0.01)


async def test_many_at_once(server: OpeAIServer) -> None:
    """Several hundred streams at a time are answered, each with its own text."""
    server.handle(lambda request: echo(request))

    async def echo(request: RecordedRequest) -> Reply:
        await asyncio.sleep(0)
        return Reply(request.json["messages"][0]["content"])

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=key_of(server), connector=connector) as session:
        bodies = [{**STREAM, "messages": [{"role": "user", "content": f"number{k}"}]} for k in range(300)]
        answers = await asyncio.gather(*(ask(session, server, body) for body in bodies))
    assert all(b'"number%d"' % k in answer for k, (_, answer) in enumerate(answers))
    assert len({record.request_id for record in server.requests}) == 300


async def test_the_fields_of_known_vendors_are_taken(server):
    """Any other is refused, until it is allowed; or nothing is checked."""
    question = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
    async with server.client() as client:
        create = client.chat.completions.create
        await create(**question, extra_body={"top_k": 5, "thinking": {"type": "enabled"}})
        with pytest.raises(BadRequestError, match="Unrecognized request argument supplied: frobnicate"):
            await create(**question, extra_body={"frobnicate": 1})
        server.allow("frobnicate", "other")
        await create(**question, extra_body={"frobnicate": 1})
        server.validate = False
        await create(**question, extra_body={"anything": 1})
        server.validate = True
        with pytest.raises(BadRequestError):
            await create(**question, extra_body={"anything": 1})
