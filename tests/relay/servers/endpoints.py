"""What the services do with a socket."""

from collections import deque
from typing import Any

from aiohttp import WSMsgType

from benchmarks.relay.services import Endpoint, Receive, Send
from opeai_async import AsyncOpeAI, RelayResult, Timeouts
from tests.support.reading.chunks import BODY

# What the frameworks raise when the visitor has left, by name: not all of them need to be installed.
GONE = {"WebSocketDisconnect", "ConnectionClosedOK", "ConnectionClosedError"}


def answering(client: AsyncOpeAI, *, timeouts: Timeouts | None = None, **options: Any) -> Endpoint:
    """One answer, to a question that nobody asked; returns the result of the relay, to which *options* go."""

    async def endpoint(send: Send, receive: Receive) -> RelayResult:
        stream = client.chat.completions.stream(**BODY, timeouts=timeouts)
        return await stream.relay(send, receive, **options)

    return endpoint


def conversing(client: AsyncOpeAI, **options: Any) -> Endpoint:
    """An answer to each question, until the visitor leaves; returns the results of the relays."""

    async def endpoint(send: Send, receive: Receive) -> list[RelayResult]:
        results: list[RelayResult] = []
        waiting: deque[Any] = deque()
        while (question := waiting.popleft() if waiting else await next_message(receive)) is not None:
            messages = [{"role": "user", "content": text_of(question)}]
            stream = client.chat.completions.stream(model="m", messages=messages)
            results.append(await stream.relay(send, receive, **options))
            waiting += results[-1].inbox
            if results[-1].reason == "disconnected":
                break
        return results

    return endpoint


async def next_message(receive: Receive) -> Any:
    """The next message as the framework gives it; None if there is none, because the visitor has left."""
    try:
        message = await receive()
    except Exception as exc:
        if type(exc).__name__ not in GONE:
            raise
        return None
    is_text = isinstance(message, str) or getattr(message, "type", None) is WSMsgType.TEXT or "text" in message
    return message if is_text else None


def text_of(message: Any) -> str:
    """The text of a message as one of the frameworks gives it."""
    if isinstance(message, str):
        return message
    return message["text"] if isinstance(message, dict) else message.data
