"""A gateway in front of each dialect: its clients, on real sockets, see the API and nothing else."""

import importlib.util
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from benchmarks.relay.services import listener
from opeai_async import APIStatusError, AsyncOpeAI, OpeAIError, StreamServerError
from opeai_async.testing import QUIRKS, OpeAIServer
from tests.support.leaks import no_leaks
from tests.support.reading.chunks import BODY
from tests.testing.test_quirks import REPLIES

EXAMPLE = Path(__file__).parents[2] / "examples" / "gateway.py"
_NUMBER = r"\d{8}"  # of the request, which the testing server puts into ids
ASKED = {**BODY, "stream_options": {"include_usage": True}}


@pytest.fixture
async def upstream() -> AsyncIterator[OpeAIServer]:
    async with no_leaks(), OpeAIServer() as server:
        yield server


@pytest.fixture
async def base_url(upstream: OpeAIServer) -> AsyncIterator[str]:
    """The example's own handler, in front of the upstream."""
    spec = importlib.util.spec_from_file_location("gateway_example", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", example.completions)
    async with upstream.client(max_retries=0) as client:
        app[example.CLIENT] = client
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        with listener() as sock:
            await web.SockSite(runner, sock).start()
            try:
                yield f"http://127.0.0.1:{sock.getsockname()[1]}/v1"
            finally:
                await runner.cleanup()


async def outcome_of(client: AsyncOpeAI):
    """What a client gets, and what it had to repair."""
    try:
        async with client.chat.completions.stream(**ASKED) as stream:
            completion = await stream.completion()
    except OpeAIError as exc:
        return exc, ()
    choices = [
        (
            choice.index,
            choice.message.content,
            choice.message.reasoning_content,
            choice.message.refusal,
            [
                (re.sub(_NUMBER, "#", call.id), call.type, call.function, call.custom)
                for call in choice.message.tool_calls or ()
            ],
            choice.message.function_call,
        )
        for choice in completion.choices
    ]
    return (choices, completion.usage), stream.quirks


# A count that is not known cannot be told in the API's own form, and is not made up.
@pytest.mark.parametrize("name", sorted(set(QUIRKS) - {"usage_null_count"}))
async def test_no_quirk_is_seen_behind_a_gateway(upstream: OpeAIServer, base_url: str, name: str) -> None:
    """What a direct client repairs, one behind it gets repaired; what fails for the one fails for the other."""
    upstream.answer(replace(REPLIES["everything"], quirks=[name]), times=2)
    async with upstream.client(max_retries=0) as direct:
        wanted, _ = await outcome_of(direct)
    async with AsyncOpeAI("sk-any", base_url=base_url, dialect="strict", max_retries=0) as client:
        got, quirks = await outcome_of(client)
    assert quirks == ()
    if isinstance(wanted, OpeAIError):
        assert isinstance(got, (APIStatusError, StreamServerError)), got
    else:
        assert got == wanted


async def test_the_openai_package_can_talk_to_a_gateway(upstream: OpeAIServer, base_url: str) -> None:
    """Content, tool calls, usage and the end, by its own objects."""
    openai = pytest.importorskip("openai", reason="the openai package is not installed")
    upstream.answer(replace(REPLIES["everything"], quirks=["reasoning_alias", "tool_index_missing", "role_null"]))
    async with openai.AsyncOpenAI(api_key="sk-any", base_url=base_url, max_retries=0) as client:
        stream = await client.chat.completions.create(**ASKED, stream=True)
        chunks = [chunk async for chunk in stream]
    reply = REPLIES["everything"]
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == reply.content
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == reply.reasoning
    calls: dict[int, list] = {}
    for piece in [piece for delta in deltas for piece in delta.tool_calls or ()]:
        calls.setdefault(piece.index, ["", ""])
        calls[piece.index][0] += piece.function.name or ""
        calls[piece.index][1] += piece.function.arguments or ""
    assert [(name, json.loads(arguments)) for name, arguments in calls.values()] == list(reply.tool_calls)
    assert (chunks[-1].choices, chunks[-1].usage.total_tokens > 0) == ([], True)
    assert chunks[-2].choices[0].finish_reason == "tool_calls"
    assert {(chunk.id, chunk.object, chunk.created) for chunk in chunks} == {
        (chunks[0].id, "chat.completion.chunk", chunks[0].created)
    }


async def test_an_answer_that_breaks_off_has_no_done(upstream: OpeAIServer, base_url: str) -> None:
    """Seen as bytes: an error object is the last thing that is said."""
    upstream.cut("Hello there", after=2, how="rst")
    async with ClientSession() as session, session.post(f"{base_url}/chat/completions", json=BODY) as response:
        body = await response.text()
    *_, last, rest = body.split("\n\n")
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "interrupted"
    assert rest == ""
    assert "[DONE]" not in body


async def test_a_client_that_did_not_ask_gets_no_usage(upstream: OpeAIServer, base_url: str) -> None:
    """Every event has a choice then."""
    upstream.reply("Hello there")
    async with ClientSession() as session, session.post(f"{base_url}/chat/completions", json=BODY) as response:
        events = [json.loads(event[6:]) for event in (await response.text()).split("\n\n")[:-2]]
    assert all(event["choices"] and "usage" not in event for event in events)
