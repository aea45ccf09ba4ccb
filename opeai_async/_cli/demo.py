"""``demo``: what the package does, shown in a few seconds against a testing server, and measured."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import sys
import time
from collections.abc import Mapping

import msgspec

from opeai_async import AsyncOpeAI
from opeai_async._cli.answer import AnswerWriter
from opeai_async._cli.terminal import EXIT_FAILED, EXIT_OK, Terminal, show_error, standard_streams
from opeai_async._core.json import is_object
from opeai_async._version import __version__
from opeai_async.errors import OpeAIError
from opeai_async.testing.server.server import OpeAIServer
from opeai_async.types.common import CompletionUsage
from opeai_async.types.completion import ChatCompletion, ChatCompletionMessage
from opeai_async.types.meta import AttemptRecord, StreamTiming
from opeai_async.types.request import MessageParam

MODEL = "deepseek-v4-flash"
TOKEN_DELAY_S = 0.02

_WEATHER_TOOL: Mapping[str, object] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city now.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Measurement(msgspec.Struct, kw_only=True, frozen=True):
    """One call of the demo: what came, and when, in seconds from the call; None for what was not there."""

    name: str
    message: ChatCompletionMessage
    finish_reason: str | None
    attempts: tuple[AttemptRecord, ...]
    first_token_s: float | None
    total_s: float | None
    tokens_per_s: float | None
    usage: CompletionUsage | None


class Report(msgspec.Struct, kw_only=True, frozen=True):
    """All of the demo, as ``--json`` prints it."""

    version: str
    base_url: str
    model: str
    calls: list[Measurement]


def run(options: argparse.Namespace) -> int:
    """Show the demo, or only its report as JSON; returns the exit code."""
    out, aside = standard_streams()
    try:
        report = asyncio.run(_demo(Terminal(io.StringIO()) if options.json else out))
    except OpeAIError as exc:
        show_error(aside, exc)
        return EXIT_FAILED
    if options.json:
        # Not msgspec, whose JSON holds characters that the terminal's encoding may lack.
        out.line(json.dumps(msgspec.to_builtins(report), indent=2))
    else:
        _show_table(out, report)
    return EXIT_OK


async def _demo(out: Terminal) -> Report:
    async with OpeAIServer(token_delay_s=TOKEN_DELAY_S) as server, server.client() as client:
        out.line(f"opeai_async {__version__} on Python {sys.version.split()[0]}", "bold")
        out.line(f"Everything here comes over real sockets from a testing server at {server.base_url}.")
        demo = Demo(server, client, out)
        await demo.await_completion()
        await demo.stream()
        await demo.call_tool()
        await demo.retry()
        return Report(version=__version__, base_url=server.base_url, model=MODEL, calls=demo.calls)


class Demo:
    """The scenes; each tells the server what to answer, then asks as any program would.

    Attributes:
        calls: What was measured so far.
    """

    def __init__(self, server: OpeAIServer, client: AsyncOpeAI, out: Terminal) -> None:
        self.calls: list[Measurement] = []
        self._server = server
        self._client = client
        self._out = out

    async def await_completion(self) -> None:
        """A completion, awaited whole."""
        self._title("1. Await a completion", "await client.chat.completions.create(...)")
        self._server.reply("Hello! I was sent as one JSON body, and decoded straight into typed Structs.")
        completion = await self._create("awaited", [_user("Say hello.")])
        self._out.line(completion.choices[0].message.content or "")

    async def stream(self) -> None:
        """A stream with reasoning and content."""
        self._title("2. Stream an answer", "async for chunk in stream: ...")
        self._server.reply(
            "Each of these words was an event of its own, and you read it while the next one was on its way.",
            reasoning="The user wants to see a stream. A sentence that describes itself will do.",
        )
        await self._stream("streamed", [_user("What does a stream look like?")])

    async def call_tool(self) -> None:
        """A tool call; its result goes back, and the model answers."""
        self._title("3. Call a tool", "messages += [message, {'role': 'tool', ...}]")
        self._server.reply(tool_calls=[("get_weather", {"city": "Paris"})])
        self._server.reply("It is 21 degrees and sunny in Paris.")
        question = _user("How is the weather in Paris?")
        message = (await self._create("tool call", [question], with_tool=True)).choices[0].message
        results: list[MessageParam] = []
        for call in message.tool_calls or []:
            result = _get_weather(call.function.arguments)
            self._out.line(f"The model calls {call.function.name}({call.function.arguments}); it gets {result}.")
            results.append({"role": "tool", "tool_call_id": call.id, "content": result})
        await self._stream("tool answer", [question, message, *results], with_tool=True)

    async def retry(self) -> None:
        """A connection that is dropped, and a second attempt."""
        self._title("4. Survive a dropped connection", "RetryPolicy(max_retries=2)")
        self._server.drop(times=2)  # a reused connection that breaks is replaced once, without counting as an attempt
        self._server.reply("The first attempt got no answer. You did not have to notice.")
        await self._stream("retried", [_user("Are you still there?")])
        for attempt in self.calls[-1].attempts:
            waited = f"after a pause of {_seconds(attempt.delay_s)}, " if attempt.delay_s else ""
            how = attempt.error or f"status {attempt.status_code}"
            self._out.line(f"Attempt {attempt.number}: {waited}{how} within {_seconds(attempt.elapsed_s)}", "dim")

    def _title(self, text: str, code: str) -> None:
        self._out.line()
        self._out.write(text, "bold")
        self._out.line(f"   {code}", "dim")

    async def _create(self, name: str, messages: list[MessageParam], *, with_tool: bool = False) -> ChatCompletion:
        started_s = time.perf_counter()
        completion = await self._client.chat.completions.create(
            model=MODEL, messages=messages, tools=[_WEATHER_TOOL] if with_tool else None
        )
        total_s = time.perf_counter() - started_s
        self.calls.append(_measured(name, completion, StreamTiming(total_s=total_s)))
        return completion

    async def _stream(self, name: str, messages: list[MessageParam], *, with_tool: bool = False) -> None:
        stream = self._client.chat.completions.stream(
            model=MODEL, messages=messages, tools=[_WEATHER_TOOL] if with_tool else None
        )
        writer = AnswerWriter(self._out, self._out)
        await writer.show(stream)
        writer.end()
        self.calls.append(_measured(name, await stream.completion(), stream.timing))


def _user(text: str) -> MessageParam:
    return {"role": "user", "content": text}


def _get_weather(arguments: str) -> str:
    """The tool: JSON arguments in, text out."""
    decoded: object = json.loads(arguments)
    city = decoded["city"] if is_object(decoded) else "nowhere"
    return f"21 degrees, sunny in {city}"


def _measured(name: str, completion: ChatCompletion, timing: StreamTiming) -> Measurement:
    return Measurement(
        name=name,
        message=completion.choices[0].message,
        finish_reason=completion.choices[0].finish_reason,
        attempts=completion.meta.attempts,
        first_token_s=timing.first_content_s,
        total_s=timing.total_s,
        tokens_per_s=timing.tokens_per_s,
        usage=completion.usage,
    )


# --- the table --------------------------------------------------------------------------------------------------------

_HEADER = ("call", "attempts", "first token", "total", "tokens/s", "prompt", "completion", "sum")


def _show_table(out: Terminal, report: Report) -> None:
    out.line()
    out.table(_HEADER, [_row(call) for call in report.calls])
    out.line()
    out.line('Next: export OPEAI_API_KEY=..., then python -m opeai_async chat "Hello"')


def _row(call: Measurement) -> list[str]:
    usage = call.usage or CompletionUsage()
    return [
        call.name,
        str(len(call.attempts)),
        _seconds(call.first_token_s),
        _seconds(call.total_s),
        "-" if call.tokens_per_s is None else f"{call.tokens_per_s:.0f}",
        str(usage.prompt_tokens),
        str(usage.completion_tokens),
        str(usage.total_tokens),
    ]


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value * 1000:.0f} ms"
