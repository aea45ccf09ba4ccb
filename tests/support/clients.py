"""Clients whose surroundings are in the test's hand."""

import pickle
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from opeai_async import AsyncOpeAI
from opeai_async._io.exchange import Wiring
from opeai_async._io.net.lazy import LazyTransport
from opeai_async.testing.transport import ScriptedTransport
from tests.support.reading.chunks import BODY

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
    wiring = msgspec.structs.replace(client._wiring, **parts)
    client._wiring = client.chat.completions._wiring = client.models._wiring = wiring


def wiring_of(client: AsyncOpeAI) -> Wiring:
    """What the calls of *client* share: the one place where tests look into a client."""
    return client._wiring


def transport_of(client: AsyncOpeAI) -> Any:
    """What *client* sends with: the aiohttp transport once there is one, else None."""
    transport = wiring_of(client).transport
    return transport._made if isinstance(transport, LazyTransport) else transport


def open_responses(client: AsyncOpeAI) -> int:
    """How many responses *client* holds; 0 before its first request."""
    transport = transport_of(client)
    return 0 if transport is None else transport.open_responses


def texts(chunks: list) -> list[str]:
    """The content of the chunks that have some."""
    return [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.delta.content]


def stream_of(*steps, **options):
    """A stream that opens at its first read, and its transport."""
    client, transport, _ = scripted(**options)
    transport.respond(*steps)
    return client.chat.completions.stream(**BODY), transport


async def drain(stream):
    return texts([chunk async for chunk in stream])


async def failure_of(stream, error_type):
    """The error of reading *stream*, which comes again at each further read, and what came before it."""
    seen = []

    async def read_all():
        async for chunk in stream:
            seen.append(chunk)  # noqa: PERF401 - what came before the error is wanted

    with pytest.raises(error_type) as caught:
        await read_all()
    for read in (lambda: anext(stream), stream.completion, lambda: anext(stream.text())):
        with pytest.raises(error_type) as again:
            await read()
        assert str(again.value) == str(caught.value)
    assert caught.value.__cause__ is None
    assert KEY not in str(pickle.loads(pickle.dumps(caught.value)).__dict__)
    return caught.value, texts(seen)
