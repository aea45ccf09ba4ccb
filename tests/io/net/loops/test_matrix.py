"""All loops, secured or not, all framings of a body, all readers, all ends of a connection: the same text and outcome.

Each test is a field of a matrix of 3 readers, 4 ends and 2 sizes, 24 conversations at once. The server sends all of an
answer as fast as it is taken, and ends the connection in the moment in which all has reached the client's machine. So
the end comes while a slow reader has most of the answer before it, in the buffers of its process and of its kernel.
"""

import asyncio
import ssl
from typing import NamedTuple

import pytest

from opeai_async import AsyncOpeAI, Outcome
from opeai_async._io.net import transport
from opeai_async._io.net.diagnosis import peers
from tests.support.clients import KEY
from tests.support.loops.event_loops import LOOPS, run_on
from tests.support.reading.chunks import BODY, COMPLETION, DONE, FINISH, event
from tests.support.servers.raw_server import chunked, plain
from tests.support.servers.thread_server import ThreadServer, tls_contexts

SECURITIES = {"http": None, "TLS 1.2": ssl.TLSVersion.TLSv1_2, "TLS 1.3": ssl.TLSVersion.TLSv1_3}

# More than the client's 64 KiB, what a loop reads at once, and what TLS holds back, taken together.
BIG = [f"<{number:05d}{'x' * 4000}>" for number in range(500)]
SMALL = [f"<{number}>" for number in range(8)]
SIZES = {"small": SMALL, "big": BIG}

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


class Framing(NamedTuple):
    """How the end of a body is told.

    Attributes:
        head: Lines of the response's head.
        is_chunked: Whether the body is.
        is_reusable: Whether the connection can serve another request, as long as the server leaves it open.
    """

    head: bytes
    is_chunked: bool
    is_reusable: bool


FRAMINGS = {
    "keep-alive": Framing(
        b"Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nTransfer-Encoding: chunked\r\n", True, True
    ),
    "close": Framing(b"Connection: close\r\nTransfer-Encoding: chunked\r\n", True, False),
    "chunked": Framing(b"Transfer-Encoding: chunked\r\n", True, True),
    "length": Framing(b"Content-Length: %d\r\n", False, True),
    "until-close": Framing(b"", False, False),
}


def answered_with(framing, words):
    """The response as it is on the wire."""
    parts = [*map(event, words), FINISH + DONE]
    body = chunked(*parts) + b"0\r\n\r\n" if framing.is_chunked else b"".join(parts)
    head = HEAD + framing.head
    return (head % len(body) if b"%d" in head else head) + b"\r\n" + body


# --- readers ---------------------------------------------------------------------------------------------------------


async def read_fast(client):
    stream = client.chat.completions.stream(**BODY)
    text = "".join([text async for text in stream.text()])
    return text, stream.outcome


async def read_slowly(client):
    stream = client.chat.completions.stream(**BODY)
    text = ""
    async for batch in stream.batches():
        text += "".join(choice.delta.content or "" for chunk in batch for choice in chunk.choices)
        await asyncio.sleep(0.004)
    return text, stream.outcome


async def relay(client):
    """With holds between its frames, and a receiver that is no faster than the slow reader."""

    async def send(message):
        await asyncio.sleep(0.002)

    result = await client.chat.completions.stream(**BODY).relay(send)
    text = result.completion.choices[0].message.content if result.completion else None
    return text, Outcome.COMPLETE if result.reason == "completed" else result.reason


READERS = {"fast": read_fast, "slow": read_slowly, "relay": relay}


# --- ends ------------------------------------------------------------------------------------------------------------


def fin(line):
    """Without the farewell of TLS, as many servers do it."""
    line.sock.close()


def rst(line):
    line.wait_until_received()
    line.reset()


def close_notify(line):
    line.say_goodbye()


def none(line):
    """The connection stays open."""


ENDS = {"FIN": fin, "RST": rst, "close_notify": close_notify, "none": none}


# --- the matrix ------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """A busy machine takes its time for a handshake and for the last bytes of a body; neither is asked about here."""
    monkeypatch.setattr(peers, "SILENCE_S", 30.0)
    monkeypatch.setattr(transport, "DRAIN_S", 10.0)


@pytest.fixture(scope="module", params=SECURITIES.values(), ids=SECURITIES)
def contexts(request, tmp_path_factory):
    """Of the server and of the client; Nones for http."""
    if request.param is None:
        return None, None
    return tls_contexts(tmp_path_factory.mktemp("tls"), request.param)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)
def test_all_that_was_sent_is_read(loop, contexts, framing):
    """Whatever ends the connection, and however slow the reader; and the next request finds a connection that works."""
    accepts, trusts = contexts
    cases = {
        (size, reader, end): (SIZES[size], READERS[reader], ENDS[end])
        for size in SIZES
        for reader in READERS
        for end in ENDS
    }

    async def converse(words, reads, ends):
        answer = answered_with(framing, words)

        def serve(line):
            # Not the first connection: a test elsewhere may have looked if this port is in use.
            if sum(len(one.requests) for one in server.lines) == 1:
                line.send(answer)
                ends(line)
            else:
                line.send(plain(COMPLETION, kind=b"application/json"))

        with ThreadServer(serve, tls=accepts) as server:
            async with AsyncOpeAI(KEY, base_url=server.base_url, ssl_context=trusts, max_retries=0) as client:
                text, outcome = await reads(client)
                await client.chat.completions.create(**BODY)
                used = [line for line in server.lines if line.requests]
            assert text == "".join(words)
            assert outcome is Outcome.COMPLETE
            assert len(used) == (1 if framing.is_reusable and ends is none else 2)
            await asyncio.to_thread(used[0].gone.wait, 5)

    async def all_at_once():
        async with asyncio.timeout(60):
            results = await asyncio.gather(*(converse(*case) for case in cases.values()), return_exceptions=True)
        await asyncio.get_running_loop().shutdown_default_executor()
        return {case: result for case, result in zip(cases, results, strict=True) if result is not None}

    assert run_on(loop, all_at_once()) == {}
