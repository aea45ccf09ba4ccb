"""What observers are told of real calls, and that they cannot touch them."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from opeai_async import (
    AsyncOpeAI,
    AttemptStarted,
    CallStarted,
    ConfigurationError,
    InternalServerError,
    JSONSchema,
    JSONSchemaFormat,
    Observer,
    Outcome,
    Prompt,
    RetryPolicy,
    StreamTruncatedError,
    ToolRecord,
    ToolStarted,
)
from opeai_async.testing import OpeAIServer
from tests.support.telemetry.listener import Listener

BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "the question"}]}
AT_ONCE = RetryPolicy(base_delay_s=0.001)


@pytest.fixture
async def server() -> AsyncIterator[OpeAIServer]:
    """A server."""
    async with OpeAIServer() as running:
        yield running


async def test_a_completion_is_told_from_its_beginning_to_its_end(server: OpeAIServer) -> None:
    """Each step once, with the same call."""
    listener = Listener()
    server.reply("the answer")
    async with server.client(observers=[listener]) as client:
        answer = await client.chat.completions.create(**BODY, temperature=0.5, conversation_id="conv")
    assert listener.names == ["call_started", "attempt_started", "attempt_ended", "call_ended"]
    (call,) = listener.of("call_started")
    assert (call.model, call.stream, call.host, call.choices) == ("m", False, "127.0.0.1", 1)
    assert (call.params, call.conversation_id, call.prompt) == ({"temperature": 0.5}, "conv", None)
    assert call.url == f"{server.base_url}/chat/completions"
    record = listener.record
    assert record.call == call
    assert (record.outcome, record.error, record.status_code) == ("complete", None, 200)
    assert (record.response_id, record.response_model) == (answer.id, answer.model)
    assert record.finish_reasons == ("stop",)
    assert record.usage == answer.usage
    assert record.attempts == answer.meta.attempts
    assert record.request_id == server.requests[0].request_id
    assert record.completion is None
    assert record.duration_s >= record.timing.first_byte_s > 0
    assert server.requests[0].headers["idempotency-key"] == call.call_id
    assert "conversation_id" not in server.requests[0].json


async def test_a_stream_is_told_with_its_first_content(server: OpeAIServer) -> None:
    """When the first content comes, and when the end is handed out."""
    listener = Listener()
    server.reply("one two three")
    async with server.client(observers=[listener]) as client, client.chat.completions.stream(**BODY) as stream:
        async for _ in stream:
            assert listener.names[-1] == "first_content"
    assert listener.names.count("first_content") == 1
    (first,) = listener.of("first_content")
    record = listener.record
    assert record.outcome == stream.outcome
    assert record.timing == stream.timing
    assert first.elapsed_s == stream.timing.first_content_s
    assert record.chunks > 3
    assert record.first_chunk_s is not None
    assert record.usage == stream.usage


async def test_retries_are_told(server: OpeAIServer) -> None:
    """Each try, and what it follows."""
    listener = Listener()
    server.fail(503, times=2)
    async with server.client(retry=AT_ONCE, observers=[listener]) as client:
        await client.chat.completions.create(**BODY)
    tried = ["attempt_started", "attempt_ended"]
    assert listener.names == [
        "call_started",
        *tried,
        "retry_scheduled",
        *tried,
        "retry_scheduled",
        *tried,
        "call_ended",
    ]
    assert [ended.attempt.status_code for ended in listener.of("attempt_ended")] == [503, 503, 200]
    assert [(retry.number, retry.status_code) for retry in listener.of("retry_scheduled")] == [(2, 503), (3, 503)]
    assert len(listener.record.attempts) == 3
    assert listener.record.waits.retry_s > 0


async def test_a_pause_is_told(server: OpeAIServer) -> None:
    """A server that names a wait makes all calls wait."""
    listener = Listener()
    server.fail(429, headers={"retry-after-ms": "5"})
    async with server.client(observers=[listener]) as client:
        await client.chat.completions.create(**BODY)
    (pause,) = listener.of("pause_begun")
    assert pause.error == "RateLimitError"


async def test_an_error_is_told_by_its_name(server: OpeAIServer) -> None:
    """Where the call fails, and where the answer is cut."""
    listener = Listener()
    server.fail(500)
    server.fault("end_early", "one two three four", after=2)
    server.fault("end_early", "one two three four", after=2)
    async with server.client(max_retries=0, observers=[listener]) as client:
        with pytest.raises(InternalServerError):
            await client.chat.completions.create(**BODY)
        with pytest.raises(StreamTruncatedError):
            await client.chat.completions.stream(**BODY).completion()
        kept = client.chat.completions.stream(**BODY, on_truncated="return")
        await kept.completion()
    failed, cut, returned = listener.of("call_ended")
    assert (failed.outcome, failed.error, failed.finish_reasons) == ("failed", "InternalServerError", ())
    for record in (cut, returned):  # it is one, even where it is not raised
        assert (record.outcome, record.error, record.finish_reasons) == (
            "truncated",
            "StreamTruncatedError",
            ("error",),
        )
    assert kept.outcome is Outcome.TRUNCATED


async def test_each_choice_has_its_reason(server: OpeAIServer) -> None:
    """A choice that was cut has `error`, and those that never began too."""
    listener = Listener()
    server.reply("one two three four")
    async with server.client(observers=[listener]) as client:
        async with client.chat.completions.stream(**BODY, n=3) as stream:
            async for _ in stream:
                break
    assert listener.record.call.choices == 3
    assert listener.record.finish_reasons == ("error",) * 3
    assert (listener.record.outcome, listener.record.error) == ("cancelled", None)


async def test_content_is_for_those_that_ask_for_it(server: OpeAIServer) -> None:
    """Both are told of one call; one of them sees what was said. An iterator of messages is no trap."""
    curious, discreet = Listener(wants_content=True), Listener()
    server.reply("the answer")
    server.reply("the answer")
    async with server.client(observers=[curious, discreet]) as client:
        await client.chat.completions.create(model="m", messages=iter(BODY["messages"]))
        await client.chat.completions.stream(**BODY).completion()
    for started, record in zip(curious.of("call_started"), curious.of("call_ended"), strict=True):
        assert started.prompt.messages == BODY["messages"]
        assert record.completion.choices[0].message.content == "the answer"
        assert record.call.prompt is None  # it is not kept for as long as the answer takes
    assert all(started.prompt is None for started in discreet.of("call_started"))
    assert all(record.completion is None for record in discreet.of("call_ended"))
    assert "the question" not in repr(curious.heard)


async def test_a_call_may_have_observers_of_its_own(server: OpeAIServer) -> None:
    """Beside the client's; one that is among these is told once."""
    all_calls, one_call = Listener(), Listener()
    async with server.client(observers=[all_calls]) as client:
        await client.chat.completions.create(**BODY, observers=[one_call, all_calls])
        await client.chat.completions.create(**BODY)
    assert len(all_calls.of("call_ended")) == 2
    assert len(one_call.of("call_ended")) == 1


async def test_headers_can_be_added_but_not_replaced(server: OpeAIServer) -> None:
    """What the request has already stays: no observer can send another key."""

    class Adds:
        def attempt_started(self, attempt: Any) -> dict[str, str]:
            return {"X-Added": str(attempt.number), "authorization": "Bearer other", "X-Mine": "theirs"}

    async with server.client(observers=[Adds()], default_headers={"x-mine": "mine"}) as client:
        await client.chat.completions.create(**BODY)
    headers = server.requests[0].headers
    assert (headers["x-added"], headers["x-mine"]) == ("1", "mine")
    assert headers["authorization"] == f"Bearer {server.api_key}"


@pytest.mark.parametrize("hook", ["call_started", "attempt_started", "attempt_ended", "first_content", "call_ended"])
@pytest.mark.parametrize("error", [ValueError("the question"), asyncio.CancelledError()])
async def test_an_observer_that_raises_is_logged_once(
    server: OpeAIServer, caplog: pytest.LogCaptureFixture, hook: str, error: BaseException
) -> None:
    """Its class and its line, not its text; calls and other observers are as without it."""

    def fails(self: object, record: object) -> None:
        raise error

    other = Listener()
    server.reply("one two", times=None)
    async with server.client(observers=[type("Fails", (), {hook: fails})(), other]) as client:
        for _ in range(3):
            completion = await client.chat.completions.stream(**BODY).completion()
            assert completion.choices[0].message.content == "one two"
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(said) == 1
    assert said[0].startswith(f"observer: method=Fails.{hook} error={type(error).__name__} at={__file__}:")
    assert "the question" not in said[0]
    assert len(other.of("call_ended")) == 3


async def test_headers_that_cannot_be_sent_are_the_observer_s_fault(
    server: OpeAIServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The request goes out without them."""

    class Adds:
        def attempt_started(self, attempt: Any) -> dict[str, str]:
            return {"X-Bad": "two\nlines"}

    async with server.client(observers=[Adds()]) as client:
        await client.chat.completions.create(**BODY)
    assert "x-bad" not in server.requests[0].headers
    assert "method=Adds.attempt_started error=ConfigurationError" in caplog.text


@pytest.mark.parametrize(
    ("observer", "message"),
    [
        (object(), "observers has an object of type object, expected"),
        (Observer(), "observers has an object of type Observer, expected"),
        ("zipkin", "observers has 'zipkin'"),
        (type("Odd", (), {"call_ended": 3})(), "Odd.call_ended is a int"),
    ],
)
def test_what_is_no_observer_is_refused(observer: object, message: str) -> None:
    """At once, and not when something happens."""
    with pytest.raises(ConfigurationError, match=message):
        AsyncOpeAI("key", observers=[observer])


def test_a_coroutine_function_is_refused() -> None:
    """Nobody would await it."""

    class Waits:
        async def call_ended(self, record: Any) -> None: ...

    with pytest.raises(ConfigurationError, match=r"Waits.call_ended is a coroutine function"):
        AsyncOpeAI("key", observers=[Waits()])


async def test_the_time_of_a_call_is_told_apart(server: OpeAIServer) -> None:
    """A consumer that is slow is not taken for a server that pauses, nor the other way round."""
    listener = Listener()
    server.reply("one two three", delay_s=0.05, token_delay_s=0.02)
    server.reply("one two three")
    async with server.client(observers=[listener]) as client:
        await client.chat.completions.stream(**BODY).completion()
        async with client.chat.completions.stream(**BODY) as stream:
            async for _ in stream:
                await asyncio.sleep(0.02)
    slow_server, slow_consumer = (record.waits for record in listener.of("call_ended"))
    assert slow_server.head_s + slow_server.first_content_s >= 0.05
    assert slow_server.server_s >= 0.04
    assert slow_server.consumer_s < slow_server.server_s
    assert slow_consumer.consumer_s >= 0.06
    assert slow_consumer.server_s < slow_consumer.consumer_s


async def test_waiting_for_a_slot_is_told(server: OpeAIServer) -> None:
    """Where `max_connections` answers are open, that is not the server's slowness."""
    listener = Listener()
    server.reply("one two three", token_delay_s=0.02)
    async with server.client(observers=[listener], max_connections=1) as client:
        await asyncio.gather(*(client.chat.completions.stream(**BODY).completion() for _ in range(2)))
    first, second = (record.waits for record in listener.of("call_ended"))
    assert second.slot_s > first.slot_s
    assert second.slot_s >= 0.04


@pytest.mark.parametrize(
    ("params", "output_type"),
    [
        ({}, None),
        ({"response_format": {"type": "json_object"}}, "json"),
        ({"response_format": JSONSchemaFormat(json_schema=JSONSchema(name="n", schema={}))}, "json"),
        ({"response_format": {"type": "text"}}, "text"),
        ({"modalities": ["text", "audio"], "audio": {"voice": "v", "format": "wav"}}, "speech"),
        ({"extra_body": {"response_format": {"type": "json_object"}}}, "json"),
    ],
)
async def test_the_kind_of_output_that_is_asked_for(
    server: OpeAIServer, params: dict[str, Any], output_type: str | None
) -> None:
    """Where the request says which."""
    listener = Listener()
    async with server.client(observers=[listener]) as client:
        await client.chat.completions.create(**BODY, **params)
    assert listener.record.call.output_type == output_type


def test_records_show_no_content() -> None:
    """Their reprs end up in logs and in the tracebacks of others."""
    tool = ToolStarted(run_id="r", number=1, tool_call_id="t", name="n", arguments="secret")
    shown = repr([Prompt(messages=["secret"]), tool, ToolRecord(tool=tool, duration_s=1.0, result="secret")])
    assert "secret" not in shown


def test_what_the_base_does() -> None:
    """Nothing, and it adds no headers."""
    call = CallStarted(call_id="c", model="m", url="http://h/", host="h", port=80, stream=False)
    assert Observer().attempt_started(AttemptStarted(call=call, number=1)) is None
