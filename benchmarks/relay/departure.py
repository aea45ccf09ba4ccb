"""How long after a client has left is its upstream closed, while the upstream is silent?

``python -m benchmarks.relay.departure [--clients 200] [--services NAME ...]`` prints a table. The model's server, the
service with the relay, and the clients are three processes. All clients are connected and have their first token when
the first one leaves; then one leaves every few milliseconds, by a close frame or by RST. Time goes from just before the
close frame or the RST is sent to when the model's server sees its connection close. Both are `time.monotonic`, which is
one clock for all processes of a machine.

Measured so on two cores that had more to do, for each service and way with 200 clients: half of them within 2 ms, 99 %
within 4 to 13 ms.
"""

import argparse
import asyncio
import importlib.util
import time
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.lab.process import Peer
from benchmarks.relay.services import NEEDS, SERVICES, Receive, Send
from benchmarks.relay.visitor import Visitor
from opeai_async import AsyncOpeAI, RelayResult
from opeai_async.testing import OpeAIServer

PAUSE_S = 0.005
WAYS = ("close frame", "RST")
BODY = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.relay.departure", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--clients", type=int, default=200, help="how many leave in each way (default: %(default)s)")
    parser.add_argument("--services", nargs="+", choices=SERVICES, default=list(SERVICES), metavar="NAME")
    options = parser.parse_args()
    print(f"{'service':<20}{'way':<14}{'p50':>9}{'p99':>9}{'most':>9}")
    for name in options.services:
        if not importlib.util.find_spec(NEEDS[name]):
            print(f"{name:<20}{NEEDS[name]} is not installed")
            continue
        for way in WAYS:
            delays = sorted(measure(name, way, options.clients))
            p50, p99 = (delays[min(len(delays) - 1, len(delays) * percent // 100)] for percent in (50, 99))
            print(f"{name:<20}{way:<14}" + "".join(f"{delay * 1e3:>6.1f} ms" for delay in (p50, p99, delays[-1])))


def measure(name: str, way: str, clients: int) -> list[float]:
    """The delay for each client, in seconds."""
    with Peer(_run_model) as model:
        base_url, key = model.ask()
        with Peer(_run_service, name, base_url, key) as service:
            host, port = service.ask()
            left = asyncio.run(leave_all(host, port, way, clients))
            closed = model.ask(clients)
    return [then - now for now, then in zip(left, closed, strict=True)]


async def leave_all(host: str, port: int, way: str, clients: int) -> list[float]:
    """When each client left, in the order in which they came."""
    visitors = []
    for _ in range(clients):
        visitors.append(await Visitor.connect(host, port))
        await visitors[-1].receive_until("content")  # so that requests reach the model's server in the same order
    left = []
    async with asyncio.TaskGroup() as leaving:
        for visitor in visitors:
            await asyncio.sleep(PAUSE_S)
            left.append(time.monotonic())
            if way == "RST":
                visitor.abort()
            else:
                leaving.create_task(visitor.close())
    return left


async def _next_question(pipe: Connection) -> Any:
    """What is asked next, without keeping the event loop from its work; None at the end."""
    return await asyncio.to_thread(pipe.recv)


async def _run_model(pipe: Connection) -> None:
    """The model's server, which says its address, and then when each of so many requests was closed."""
    async with OpeAIServer() as server:
        server.stall("One two three", after=2, times=None)
        while (question := await _next_question(pipe)) is not None:
            if question == "address":
                pipe.send((server.base_url, server.api_key))
            else:
                requests = [await server.wait_closed(k, timeout_s=30) for k in range(question)]
                assert all(request.outcome == "client_gone" for request in requests)
                pipe.send([request.ended_s for request in requests])


async def _run_service(pipe: Connection, name: str, base_url: str, key: str) -> None:
    """The service, which says its address."""
    async with AsyncOpeAI(key, base_url=base_url) as client:

        async def endpoint(send: Send, receive: Receive) -> RelayResult:
            return await client.chat.completions.stream(**BODY).relay(send, receive)

        async with SERVICES[name](endpoint) as service:
            while await _next_question(pipe) is not None:
                pipe.send((service.host, service.port))


if __name__ == "__main__":
    main()
