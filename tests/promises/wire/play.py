"""Plays texts and pauses as a server sends them, and compares all that a client can make of one answer.

A case is the body as a list of parts, bytes or seconds of silence. It is read by the parser at every cut, and over a
real socket by the client, in each of its ways: chunks, `text()`, `events()`, `completion()`, frames, `sse_chunks`, and
what goes back in the next request.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from opeai_async import AsyncOpeAI, Timeouts, sse_chunks
from opeai_async._core.answer.accumulator import Accumulator
from opeai_async._core.frames.framer import Framer
from opeai_async.types.completion import ChatCompletion
from tests.support.reading import reassembled, rebuilt
from tests.testing.reading import Reading, read_stream, read_whole

Part = bytes | float
DONE = b"data: [DONE]\n\n"
ENVELOPE = {"id": "c1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "m"}
ASKED: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def event(delta: dict[str, Any] | None = None, finish: str | None = None, *, index: int = 0, **beside: Any) -> bytes:
    """One chunk as an event; *beside* goes next to the delta."""
    choice = {"index": index, "delta": delta or {}, "finish_reason": finish, **beside}
    return b"data: " + json.dumps({**ENVELOPE, "choices": [choice]}).encode() + b"\n\n"


def data(body: object) -> bytes:
    """Any JSON as an event."""
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def whole(message: dict[str, Any], finish: str | None = "stop", **beside: Any) -> bytes:
    """A completion as JSON; *beside* goes into the envelope."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return json.dumps({**ENVELOPE, "object": "chat.completion", "choices": [choice], **beside}).encode()


def read(*parts: bytes, mode: Any = "repair") -> Reading:
    """Read a stream whole, as sent, byte by byte and at each single cut; all must come to the same."""
    body = b"".join(parts)
    reading = read_stream([body], mode)
    cuts = [list(parts), [body[at : at + 1] for at in range(len(body))]]
    cuts += [[body[:at], body[at:]] for at in range(1, len(body), max(1, len(body) // 200))]
    for cut in cuts:
        other = read_stream(cut, mode)
        assert (other.completion, other.outcome, type(other.error), set(other.quirks)) == (
            reading.completion,
            reading.outcome,
            type(reading.error),
            set(reading.quirks),
        )
    return reading


def message_of(reading: Reading) -> Any:
    """The message of the first choice; the reading must have ended well."""
    assert reading.error is None, reading.error
    assert reading.completion is not None
    return reading.completion.choices[0].message


def read_json(body: bytes) -> Reading:
    """Read the answer to a call that does not stream."""
    return read_whole(body)


@dataclass
class Playing:
    """A server on loopback that sends *parts* to whoever asks, and keeps what it was asked."""

    parts: Sequence[Part]
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    held_open: bool = False

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                size = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
                self.requests.append(json.loads(await reader.readexactly(size)))
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                )
                for part in self.parts:
                    if isinstance(part, bytes):
                        writer.write(b"%x\r\n%b\r\n" % (len(part), part))
                        await writer.drain()
                    else:
                        await asyncio.sleep(part)
                if self.held_open:
                    await reader.read(1)
                writer.write(b"0\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def playing(*parts: Part, held_open: bool = False, **options: Any) -> AsyncIterator[tuple[AsyncOpeAI, Playing]]:
    """A client, and the server that it talks to."""
    play = Playing(parts, held_open=held_open)
    server = await asyncio.start_server(play.answer, "127.0.0.1", 0)
    play.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    options = {"max_retries": 0, "timeouts": Timeouts(finish_grace_s=0.1), **options}
    try:
        async with AsyncOpeAI(api_key="sk-test", base_url=play.url, **options) as client:
            yield client, play
    finally:
        server.close()
        await server.wait_closed()


async def every_way(*parts: Part, **asked: Any) -> ChatCompletion:
    """Read the same answer in all ways over HTTP; returns it, once all have come to the same."""
    async with playing(*parts) as (client, play):
        asked = {**ASKED, **asked}
        async with client.chat.completions.stream(**asked) as stream:
            accumulator = Accumulator()
            async for chunk in stream:
                accumulator.add(chunk)
            accumulator.settle()
            snapshot = stream.snapshot
        completion = await client.chat.completions.stream(**asked).completion()
        assert _plain(snapshot) == _plain(completion) == _plain(accumulator.completion())
        stream = client.chat.completions.stream(**asked)
        text = "".join([piece async for piece in stream.text()])
        assert text == (completion.choices[0].message.content or "")
        events = [one async for one in client.chat.completions.stream(**asked).events()]
        assert rebuilt.by_events(events) == rebuilt.by_completion(completion)
        framer, frames = Framer(), []
        async for batch in client.chat.completions.stream(**asked).batches():
            frames += framer.add(batch)
        frames += framer.rest()
        assert reassembled.by_frames(frames) == reassembled.by_completion(completion)
        gateway = b"".join([piece async for piece in sse_chunks(client.chat.completions.stream(**asked))])
        behind = read_stream([gateway], "strict")
        assert behind.error is None, behind.error
        assert behind.completion is not None
        assert reassembled.by_completion(behind.completion) == reassembled.by_completion(completion)
        said = completion.choices[0].message
        await client.chat.completions.stream(model="m", messages=[*asked["messages"], said]).completion()
        play.requests[-1]["messages"][-1]["role"] = "assistant"
        completion.choices[0].message.extra = {**said.extra, "sent_back": play.requests[-1]["messages"][-1]}
        return completion


def _plain(completion: ChatCompletion) -> Any:
    return msgspec.to_builtins(msgspec.structs.replace(completion, meta=ChatCompletion().meta))
