"""Which faults of a first server does a user never see, because a second one is well?

``python -m benchmarks.crowds.masked [--faults NAME ...] [--all] [--json]`` prints a table: for each fault, before the
first content and after three words, what each client made of it. The streams are read by a user who wants the text.

- *masked*: all of the text, without an error, and once;
- *wrong*: no error, and not the text: cut, doubled, or another one;
- *hangs*: no end after eight seconds, though every clock of the client is set to one second;
- otherwise the error that the user gets.

Beside this package's endpoints, litellm's Router and pydantic-ai's FallbackModel are asked, where they are installed.
They need a venv of their own, ``pip install litellm 'pydantic-ai-slim[openai]'``, since they bring other versions of
what this package's tests use.
"""

import argparse
import asyncio
import importlib.util
import json
import logging
import os
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

from opeai_async import AsyncOpeAI, Capabilities, Endpoint, Endpoints, OpeAIError, Timeouts
from opeai_async.testing import FAULTS, OpeAIServer, Reply
from opeai_async.testing.server.record import RecordedRequest

WORDS = "one two three four five six"
MESSAGES: list[dict[str, Any]] = [{"role": "user", "content": "Count."}]
PLACES = {"before content": 1, "after three words": 4}
# One or two of each kind: the connection, the head, the body, the events, the clocks.
USUAL = (
    "drop_rst", "head_stall", "status_503", "page_200", "fin_in_chunk", "rst_in_chunk", "fin_after_chunk", "end_early",
    "stall", "json_malformed", "error_event", "error_event_quota", "gzip_corrupt", "comments",
)  # fmt: skip
BEFORE_ANY_CONTENT = frozenset({"drop_rst", "head_stall", "status_503", "page_200"})
PATIENCE_S = 8.0
CLOCKS = Timeouts(total_s=6, first_content_s=1, idle_content_s=1, response_headers_s=1)

Reader = Callable[[OpeAIServer, OpeAIServer], AsyncIterator[str]]


async def by_endpoints(first: OpeAIServer, second: OpeAIServer, *, prefix: bool = True) -> AsyncIterator[str]:
    """Read with this package; the second endpoint is known to go on by prefix, or nothing is known of it."""
    known = Capabilities(prefix=True) if prefix else Capabilities()
    made = [
        Endpoint(base_url=server.base_url, api_key=server.api_key, tier=tier, capabilities=known)
        for tier, server in enumerate((first, second))
    ]
    async with (
        AsyncOpeAI(endpoints=Endpoints(made), timeouts=CLOCKS) as client,
        client.chat.completions.stream(model="m", messages=MESSAGES) as stream,
    ):
        async for piece in stream.text():
            yield piece


async def by_endpoints_anew(first: OpeAIServer, second: OpeAIServer) -> AsyncIterator[str]:
    """Read with this package, where no endpoint is known to go on with an answer."""
    async for piece in by_endpoints(first, second, prefix=False):
        yield piece


async def by_litellm(first: OpeAIServer, second: OpeAIServer) -> AsyncIterator[str]:
    """Read with litellm's Router."""
    from litellm import Router

    def model(name: str, server: OpeAIServer) -> dict[str, Any]:
        params = {"model": "openai/m", "api_base": server.base_url, "api_key": server.api_key, "max_retries": 0}
        return {"model_name": name, "litellm_params": {**params, "timeout": 1.0, "stream_timeout": 1.0}}

    router = Router(
        model_list=[model("first", first), model("second", second)],
        fallbacks=[{"first": ["second"]}],
        num_retries=0,
        timeout=1.0,
        stream_timeout=1.0,
    )
    async for chunk in await router.acompletion(model="first", messages=MESSAGES, stream=True):
        yield (chunk.choices and chunk.choices[0].delta.content) or ""


async def by_pydantic_ai(first: OpeAIServer, second: OpeAIServer) -> AsyncIterator[str]:
    """Read with pydantic-ai's FallbackModel, which goes on after any exception."""
    from openai import AsyncOpenAI
    from pydantic_ai import Agent
    from pydantic_ai.models.fallback import FallbackModel
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    def model(server: OpeAIServer) -> Any:
        client = AsyncOpenAI(api_key=server.api_key, base_url=server.base_url, max_retries=0, timeout=1.0)
        return OpenAIChatModel("m", provider=OpenAIProvider(openai_client=client))

    agent = Agent(FallbackModel(model(first), model(second), fallback_on=(Exception,)))
    async with agent.run_stream("Count.") as stream:
        async for piece in stream.stream_text(delta=True, debounce_by=None):
            yield piece


def readers() -> dict[str, Reader]:
    """Return who is asked, by name."""
    found: dict[str, Reader] = {"endpoints": by_endpoints, "endpoints, asked anew": by_endpoints_anew}
    if importlib.util.find_spec("litellm"):
        os.environ.update(LITELLM_LOG="CRITICAL", LITELLM_LOCAL_MODEL_COST_MAP="True")
        found["litellm Router"] = by_litellm
    if importlib.util.find_spec("pydantic_ai"):
        found["pydantic-ai FallbackModel"] = by_pydantic_ai
    return found


async def trial(fault: str, after: int, reader: Reader) -> str:
    """Return what a user gets whose first server has *fault* after so many chunks, and whose second one is well."""

    async def goes_on(request: RecordedRequest) -> Reply:
        last = request.json["messages"][-1]
        return Reply(WORDS[len(last["content"]) :] if last["role"] == "assistant" else WORDS)

    got = ""
    async with OpeAIServer() as first, OpeAIServer() as second:
        first.fault(fault, WORDS, after=after)
        second.handle(goes_on)
        try:
            async with asyncio.timeout(PATIENCE_S):
                async for piece in reader(first, second):
                    got += piece
        except TimeoutError:
            return "hangs"
        except OpeAIError as exc:
            return type(exc).__name__
        except Exception as exc:  # noqa: BLE001 - of another package
            return type(exc).__name__
    return "masked" if got == WORDS else "wrong"


def print_table(results: dict[str, dict[str, dict[str, str]]]) -> None:
    """Print how many of the faults were masked by whom, and what came of the others."""
    for place, by_reader in results.items():
        print(f"\n{place}")
        for name, by_fault in by_reader.items():
            counts = Counter(by_fault.values())
            masked = counts.pop("masked", 0)
            rest = ", ".join(f"{count} {what}" for what, count in counts.most_common())
            print(f"    {name:26} {masked:3} of {len(by_fault):3} masked   {rest}")


async def measure(faults: list[str]) -> dict[str, dict[str, dict[str, str]]]:
    """Return what came of each fault, by place and reader."""
    results: dict[str, dict[str, dict[str, str]]] = {}
    for place, after in PLACES.items():
        meant = [fault for fault in faults if after == 1 or fault not in BEFORE_ANY_CONTENT]
        results[place] = {
            name: {fault: await trial(fault, after, reader) for fault in meant} for name, reader in readers().items()
        }
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", nargs="+", default=USUAL, choices=FAULTS, metavar="NAME")
    parser.add_argument("--all", action="store_true", help="every fault that the testing server has")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # other packages leave connections open
    logging.disable(logging.CRITICAL)
    results = asyncio.run(measure(list(FAULTS) if options.all else list(options.faults)))
    if options.json:
        print(json.dumps(results))
    else:
        print_table(results)


if __name__ == "__main__":
    main()
