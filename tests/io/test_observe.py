"""What the client logs: a line per attempt, per retry and per answer's end, and nothing that is nobody's business."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from opeai_async import AsyncOpeAI, ConfigurationError, InternalServerError, RetryPolicy, StreamTruncatedError
from opeai_async._io.observe import log
from opeai_async.testing import OpeAIServer

BODY = {"model": "m", "messages": [{"role": "user", "content": "the prompt"}]}
AT_ONCE = RetryPolicy(base_delay_s=0.001)


class Lines:
    """What was logged so far, as ``(what, {name: value})``."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    def __iter__(self) -> Iterator[tuple[str, dict[str, str]]]:
        for record in self._caplog.records:
            if record.name == "opeai_async":
                what, _, rest = record.getMessage().partition(": ")
                yield what, dict(re.findall(r"(\w+)=(\S+)", rest))

    def of(self, what: str) -> list[dict[str, str]]:
        return [fields for kind, fields in self if kind == what]


@pytest.fixture
async def server() -> AsyncIterator[OpeAIServer]:
    async with OpeAIServer() as running:
        yield running


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    caplog.set_level(logging.DEBUG)
    return Lines(caplog)


async def test_an_awaited_answer(server: OpeAIServer, lines: Lines) -> None:
    """A line for the attempt, and one for the answer."""
    async with server.client() as client:
        await client.chat.completions.create(**BODY)
    host = server.base_url.split("/")[2]
    [attempt] = lines.of("attempt")
    assert {**attempt, "elapsed_s": ""} == {
        "number": "1", "method": "POST", "host": host, "status": "200", "request_id": server.requests[0].request_id,
        "error": "-", "elapsed_s": "",
    }  # fmt: skip
    [end] = lines.of("completion")
    assert end["outcome"] == "complete"
    assert end["request_id"] == server.requests[0].request_id
    assert int(end["bytes"]) > 100
    assert float(end["total_s"]) >= float(end["first_byte_s"]) > 0


async def test_a_stream(server: OpeAIServer, lines: Lines) -> None:
    """Its end is a line with what it brought."""
    server.reply("Hello there")
    async with server.client() as client, client.chat.completions.stream(**BODY) as stream:
        events = [chunk async for chunk in stream]
    [end] = lines.of("stream")
    assert (end["outcome"], end["status"], end["attempts"], end["error"]) == ("complete", "200", "1", "-")
    assert int(end["events"]) == len(events)
    assert float(end["total_s"]) >= float(end["first_content_s"]) >= float(end["first_byte_s"])


async def test_attempts_that_fail(server: OpeAIServer, lines: Lines) -> None:
    """Each has its line, and so has each wait."""
    server.fail(503, times=2)
    async with server.client(retry=AT_ONCE) as client:
        await client.chat.completions.create(**BODY)
    assert [(line["number"], line["status"], line["error"]) for line in lines.of("attempt")] == [
        ("1", "503", "InternalServerError"), ("2", "503", "InternalServerError"), ("3", "200", "-"),
    ]  # fmt: skip
    assert [(line["number"], line["after"]) for line in lines.of("retry")] == [
        ("2", "InternalServerError"), ("3", "InternalServerError"),
    ]  # fmt: skip
    assert [line["attempts"] for line in lines.of("completion")] == ["3"]


async def test_a_pause(server: OpeAIServer, lines: Lines) -> None:
    """One line says that no call goes, however many were refused."""
    server.fail(429, headers={"retry-after-ms": "50"}, delay_s=0.05, times=3)
    async with server.client() as client:
        await asyncio.gather(*(client.chat.completions.create(**BODY) for _ in range(3)))
    [pause] = lines.of("pause")
    host = server.base_url.split("/")[2]
    assert {**pause, "wait_s": ""} == {"host": host, "after": "RateLimitError", "wait_s": ""}
    assert 0.05 <= float(pause["wait_s"]) <= 0.06
    assert len(lines.of("retry")) == 3


async def test_a_call_that_fails(server: OpeAIServer, lines: Lines) -> None:
    """The end says so, also where no answer came."""
    server.fail(500, times=2)
    async with server.client(max_retries=0) as client:
        with pytest.raises(InternalServerError):
            await client.chat.completions.create(**BODY)
        with pytest.raises(InternalServerError):
            await client.chat.completions.create(**BODY, stream=True)
    for kind in ("completion", "stream"):
        [end] = lines.of(kind)
        assert (end["outcome"], end["error"], end["status"]) == ("failed", "InternalServerError", "-")


async def test_a_stream_that_was_cut(server: OpeAIServer, lines: Lines) -> None:
    """The outcome and the error are there."""
    server.cut("Hello there", after=1, how="clean")
    async with server.client() as client:
        stream = await client.chat.completions.create(**BODY, stream=True)
        with pytest.raises(StreamTruncatedError):
            await stream.completion()
    [end] = lines.of("stream")
    assert (end["outcome"], end["error"], end["events"]) == ("truncated", "StreamTruncatedError", "1")


async def test_a_cancelled_call(server: OpeAIServer, lines: Lines) -> None:
    """It was not forgotten: the attempt and the answer have their ends."""
    server.stall(after=0)
    async with server.client() as client:
        task = asyncio.create_task(client.chat.completions.create(**BODY))
        await server.wait_received()
        task.cancel()
        await asyncio.wait([task])
    assert [line["outcome"] for line in lines.of("completion")] == ["cancelled"]


async def test_a_cancelled_attempt(server: OpeAIServer, lines: Lines) -> None:
    """No head had come."""
    server.reply("late", delay_s=60)
    async with server.client() as client:
        task = asyncio.create_task(client.chat.completions.create(**BODY))
        await server.wait_received()
        task.cancel()
        await asyncio.wait([task])
    assert [(line["status"], line["error"]) for line in lines.of("attempt")] == [("-", "CancelledError")]


async def test_quirks_are_named(server: OpeAIServer, lines: Lines) -> None:
    """On the level of debugging only."""
    server.reply("Hello", quirks=["choices_null", "role_missing"])
    async with server.client() as client:
        stream = await client.chat.completions.create(**BODY, stream=True)
        await stream.completion()
    [line] = lines.of("quirks")
    assert line["names"] == ",".join(stream.quirks)


async def test_nothing_private_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Not the key, though the server repeats it; not the prompt, the answer, a header or the query."""
    caplog.set_level(logging.DEBUG, logger="opeai_async")
    key = "canary-8d5f21c7"
    async with OpeAIServer(api_key=key) as own:
        own.reply("the answer", headers={"x-request-id": f"for-{key}", "x-more": "a-header"})
        own.fail(400, message=f"bad key {key}", headers={"x-request-id": key})
        query = {"token": "secret-token"}
        async with own.client(default_query=query, default_headers={"X-Mine": "my-header"}) as client:
            stream = await client.chat.completions.create(**BODY, stream=True)
            await stream.completion()
            with pytest.raises(Exception, match="bad key"):
                await client.chat.completions.create(**BODY)
    text = "\n".join(record.getMessage() for record in caplog.records if record.name == "opeai_async")
    assert "for-[redacted]" in text
    for secret in (key, "secret-token", "my-header", "a-header", "the prompt", "the answer", "bad key"):
        assert secret not in text


SCRIPT = """
import asyncio, logging, sys
from opeai_async.testing import OpeAIServer
{before}
async def main():
    async with OpeAIServer() as server, server.client() as client, server.client() as another:
        await client.chat.completions.create(model="m", messages=[{{"role": "user", "content": "Hi"}}])
asyncio.run(main())
"""


def stderr_of(before: str = "", **environment: str) -> str:
    variables = {name: value for name, value in os.environ.items() if name != log.LOG_VARIABLE} | environment
    script = SCRIPT.format(before=before)
    done = subprocess.run([sys.executable, "-c", script], env=variables, capture_output=True, text=True, check=True)
    return done.stderr


def test_the_environment_turns_it_on() -> None:
    """Each line once, however many clients there are."""
    written = stderr_of(OPEAI_LOG="info").splitlines()
    assert [line.split(" opeai_async ")[1].split(":")[0] for line in written] == ["attempt", "completion"]


def test_it_is_silent_else() -> None:
    """A library writes nothing unasked."""
    assert stderr_of() == ""


def test_the_applications_handler_is_enough() -> None:
    """Where the application has set up logging, the variable only chooses the level."""
    written = stderr_of("logging.basicConfig(format='mine %(message)s')", OPEAI_LOG="DEBUG")
    assert written.count("attempt: number=1") == written.count("mine attempt: number=1") == 1


def test_another_word_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variable, and what it may be."""
    monkeypatch.setenv("OPEAI_LOG", "verbose")
    with pytest.raises(ConfigurationError, match="OPEAI_LOG is 'verbose', expected 'debug' or 'info'"):
        AsyncOpeAI(api_key="k")


async def test_lines_have_fields(server: OpeAIServer, caplog: pytest.LogCaptureFixture) -> None:
    """A formatter that makes JSON has the facts as values, and one call's lines by its id."""
    caplog.set_level(logging.INFO)
    server.fail(503)
    server.reply("Hello there")
    async with server.client(retry=AT_ONCE) as client, client.chat.completions.stream(**BODY) as stream:
        await stream.completion()
    refused, retry, attempt, end = [vars(record) for record in caplog.records if record.name == "opeai_async"]
    assert {fields["call_id"] for fields in (refused, retry, attempt, end)} == {
        server.requests[0].headers["idempotency-key"]
    }
    assert {fields["endpoint"] for fields in (refused, end)} == {f"{server.base_url}/chat/completions"}
    assert (refused["attempt"], refused["status"], refused["error"]) == (1, 503, "InternalServerError")
    assert (retry["attempt"], attempt["attempt"], attempt["status"]) == (2, 2, 200)
    assert (end["model"], end["outcome"], end["error"], end["attempts"]) == ("m", "complete", None, 2)
    assert stream.usage is not None
    assert (end["input_tokens"], end["output_tokens"]) == (stream.usage.prompt_tokens, stream.usage.completion_tokens)
    assert end["first_content_s"] == stream.timing.first_content_s
    assert set(end["waits"]) >= {"slot_s", "head_s", "server_s", "consumer_s"}
    assert "the prompt" not in str(end)
