"""One response, cut after any number of its bytes: the whole message, or the right error with the right beginning."""

import asyncio
import socket
import struct

import pytest

from opeai_async import (
    APIConnectionError,
    AsyncOpeAI,
    OpeAIError,
    Outcome,
    StreamInterruptedError,
    StreamTruncatedError,
)
from tests.support.clients import KEY
from tests.support.leaks import no_leaks
from tests.support.reading.chunks import BODY, COMPLETION, DONE, FINISH, event
from tests.support.servers.raw_server import RawServer

WORDS = "abcde"
EVENTS = [*map(event, WORDS), FINISH, DONE]
HEADS = {
    "chunked": b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n",
    "length": b"HTTP/1.1 200 OK\r\nContent-Type: %%b\r\nContent-Length: %d\r\n\r\n",
    "none": b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n\r\n",
}


@pytest.fixture(autouse=True)
async def nothing_left():
    """No task, timer or descriptor outlives its client."""
    async with no_leaks():
        yield


def framed(framing, kind, parts):
    """Head and body of the whole response."""
    if framing == "chunked":
        body = b"".join(b"%x;a=b\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\nX-Trailer: y\r\n\r\n"
    else:
        body = b"".join(parts)
    head = HEADS[framing] % len(body) if framing == "length" else HEADS[framing]
    return head % kind, body


class Cutter:
    """A server that sends the first *size* bytes of *data*, in two packets, and hangs up."""

    def __init__(self, data, how):
        self.data = data
        self.how = how
        self.size = 0
        self.server = RawServer(self.answer)

    async def answer(self, call):
        half = self.size // 2
        await call.send(self.data[:half])
        await asyncio.sleep(0)
        await call.send(self.data[half : self.size])
        if self.how == "fin":
            call.hang_up()
        else:
            await asyncio.sleep(0.002)  # a reset overtakes what was not read yet
            sock = call._peer.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            call._peer.writer.transport.abort()


def words_in(sent, framing):
    """The words whose events have arrived; without framing, the end of the body ends an event too."""
    return "".join(
        word
        for word, data in zip(WORDS, EVENTS, strict=False)
        if (data.rstrip() if framing == "none" else data) in sent
    )


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("framing", list(HEADS))
async def test_a_stream_that_is_cut_anywhere(framing, how):
    """Before the body an error of connection; then what arrived, and an error; complete from the finish_reason on."""
    head, body = framed(framing, b"text/event-stream", EVENTS)
    cutter = Cutter(head + body, how)
    broken = StreamTruncatedError if framing == "none" else StreamInterruptedError
    async with cutter.server as server, AsyncOpeAI(KEY, base_url=server.base_url, max_retries=0) as client:
        for size in range(0, len(head + body) + 1, 3 if framing == "chunked" and how == "fin" else 7):
            cutter.size, sent = size, cutter.data[:size]
            stream = client.chat.completions.stream(**BODY)
            try:
                content = (await stream.completion()).choices[0].message.content
            except broken as exc:
                partial = exc.partial.choices[0].message.content if exc.partial else ""
                assert (size >= len(head), partial) == (True, words_in(sent, framing)), size
            except APIConnectionError:
                assert size < len(head)
            else:
                assert (stream.outcome, content, FINISH.rstrip() in sent) == (Outcome.COMPLETE, WORDS, True), size


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("framing", list(HEADS))
async def test_an_answer_that_is_cut_anywhere(framing, how):
    """The whole answer, or an error: never a part of it."""
    head, body = framed(framing, b"application/json", [COMPLETION[:50], COMPLETION[50:]])
    cutter = Cutter(head + body, how)
    async with cutter.server as server, AsyncOpeAI(KEY, base_url=server.base_url, max_retries=0) as client:
        for cutter.size in range(0, len(head + body) + 1, 3):
            try:
                content = (await client.chat.completions.create(**BODY)).choices[0].message.content
            except OpeAIError:
                assert cutter.size < len(head + body)
            else:
                assert (content, COMPLETION[50:] in cutter.data[: cutter.size]) == ("abc", True)
