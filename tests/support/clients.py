"""Clients whose surroundings are in the test's hand."""

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

from opeai_async import AsyncOpeAI
from opeai_async.testing.transport import ScriptedTransport

KEY = "sk-canary-0123456789abcdef"


def scripted(**options: Any) -> tuple[AsyncOpeAI, ScriptedTransport, list[float]]:
    """A client of a scripted transport, and the list of the seconds that it sleeps before retries (jitter is 1)."""
    transport = ScriptedTransport()
    client = AsyncOpeAI(KEY, base_url="http://localhost/v1", transport=transport, **options)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    rewire(client, sleep=sleep, jitter=lambda: 1.0)
    return client, transport, slept


def rewire(client: AsyncOpeAI, **parts: Callable[..., float] | Callable[[float], Awaitable[None]]) -> None:
    """Replace what the calls of *client* share."""
    client._wiring = dataclasses.replace(client._wiring, **parts)


def texts(chunks: list) -> list[str]:
    """The content of the chunks that have some."""
    return [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.delta.content]
