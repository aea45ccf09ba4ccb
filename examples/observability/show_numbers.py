"""Shows the numbers of ``dashboard.json`` without any service: ``python examples/observability/show_numbers.py``.

It asks an embedded server, which is slow, refuses and breaks off now and then, and prints what Prometheus would scrape.
``--serve PORT`` goes on asking and offers ``/metrics`` there, for a Prometheus and a Grafana of yours.

Needs ``pip install 'opeai_async[prometheus]'``.
"""

import argparse
import asyncio
import random
from typing import Any

from prometheus_client import REGISTRY, generate_latest, start_http_server

from opeai_async import AsyncOpeAI, OpeAIError
from opeai_async.testing import OpeAIServer

BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "Tell me something."}]}
MODELS = ("small", "large")


def prepare(server: OpeAIServer) -> None:
    """Have the server answer as servers do: mostly well."""
    chance = random.random()
    if chance < 0.1:
        server.fail(503)
    elif chance < 0.2:
        server.fault("end_early", "one two three four", after=2)
    server.reply("one two three four five six", delay_s=0.01, token_delay_s=0.005)


async def ask(client: AsyncOpeAI) -> None:
    """Read an answer, or the beginning of one."""
    leaves = random.random() < 0.2
    try:
        async with client.chat.completions.stream(model=random.choice(MODELS), **BODY) as stream:
            async for _ in stream:
                if leaves:
                    break
    except OpeAIError as exc:
        print(f"  {type(exc).__name__}")


async def main(calls: int, port: int | None) -> None:
    """Ask *calls* times, or for ever where there is a port."""
    if port is not None:
        start_http_server(port, "127.0.0.1")
        print(f"http://127.0.0.1:{port}/metrics")
    async with OpeAIServer() as server, server.client(observers="prometheus", max_retries=1) as client:
        made = 0
        while made < calls or port is not None:
            prepare(server)
            await ask(client)
            made += 1
    print(shown())


def shown() -> str:
    """Return the metrics of ours, without the buckets."""
    lines = generate_latest(REGISTRY).decode().splitlines()
    return "\n".join(
        line for line in lines if line.startswith("opeai_") and "_bucket" not in line and "_created" not in line
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--serve", type=int, metavar="PORT")
    options = parser.parse_args()
    asyncio.run(main(options.calls, options.serve))
