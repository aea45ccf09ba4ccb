"""The table of faults, and how the server plays them: what goes over the wire, and what is recorded."""

import asyncio
import zlib

import pytest

import opeai_async
from opeai_async.testing import FAULTS, Faulty, OpeAIServer, Reply
from opeai_async.types.common import CompletionUsage
from tests.testing.wire import BODY, STREAM, exchange

DONE = b"data: [DONE]"


def test_the_table() -> None:
    """Every name stands for itself; a sentence says what happens; the errors and the clocks exist."""
    clocks = {*opeai_async.Timeouts.__struct_fields__, None}
    for name, fault in FAULTS.items():
        assert fault.name == name
        assert fault.meaning[0].isupper()
        assert fault.meaning.endswith(".")
        assert (fault.play is None) == (fault.stage == "connect")
        for verdict in (fault.verdict(stream=True), fault.verdict(stream=False)):
            assert verdict.clock in clocks
            assert verdict.is_delivered or issubclass(getattr(opeai_async, verdict.result), opeai_async.OpeAIError)
            assert verdict.retried != "before_content" or verdict is fault.stream


def test_a_fault_that_cannot_be_queued() -> None:
    """A misspelt name, a fault of connecting, a reply that breaks off by itself: refused where they are written."""
    server = OpeAIServer()
    with pytest.raises(ValueError, match="there is no fault named 'rst_in_chunks'; did you mean 'rst_in_chunk'"):
        server.fault("rst_in_chunks")
    with pytest.raises(ValueError, match="there is no fault named 'zzz'; see opeai_async"):
        server.fault("zzz")
    with pytest.raises(ValueError, match=r"strikes before there is a request; use Endpoint\('tls_stall'\)"):
        server.fault("tls_stall")
    with pytest.raises(ValueError, match="the reply ends by 'rst' already"):
        Faulty("stall", Reply("one", ending="rst"))
    with pytest.raises(ValueError, match="times is 0"):
        server.fault("stall", times=0)
    assert server.next_answer() is None


@pytest.mark.parametrize("after", [None, 0, 2, 99])
async def test_what_comes_before_the_fault(server: OpeAIServer, after: int | None) -> None:
    """So many chunks arrive whole, and at most those before the finish_reason; then half of the next one."""
    server.fault("rst_in_chunk", "one two three", after=after)
    received, error = await exchange(server, STREAM)
    assert error is ConnectionResetError
    record = server.requests[0]
    whole = 4 if after in (None, 99) else after
    assert record.chunks_sent == received.count(b"}\n\n") == whole
    assert received.count(b"data: ") == whole + 1
    assert DONE not in received
    assert record.outcome == "cut"
    assert record.status == 200


@pytest.mark.parametrize(("after", "share"), [(None, 0.5), (1, 0.5), (0, 0.0)])
async def test_how_much_of_a_whole_body_comes_before_the_fault(
    server: OpeAIServer, after: int | None, share: float
) -> None:
    """Half of it, or nothing."""
    server.fault("length_too_big", "one two three", after=after)
    received, error = await exchange(server, BODY)
    assert error is None
    head, _, body = received.partition(b"\r\n\r\n")
    announced = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
    assert len(body) == int(announced * share)


async def test_a_fault_takes_what_a_reply_takes(server: OpeAIServer) -> None:
    """Headers do not matter here; quirks, usage and finish_reason do; so does the number of times."""
    server.fault("fin_after_finish", "one", finish_reason="length", quirks=["crlf"], delay_s=0.01, times=2)
    for _ in range(2):
        received, _ = await exchange(server, STREAM)
        assert b'"finish_reason":"length"' in received
        assert DONE not in received
        assert b"\r\n\r\n" in received.partition(b"\r\n\r\n")[2]
    received = await first_bytes(server)
    assert b"You said: Hi" in received


async def test_a_handler_may_answer_with_a_fault(server: OpeAIServer) -> None:
    """It is an answer like any other."""

    async def handler(request: object) -> Faulty:
        return Faulty("drop_fin")

    server.handle(handler)
    assert await exchange(server, STREAM) == (b"", None)
    assert server.requests[0].outcome == "dropped"
    assert server.requests[0].status is None


async def test_the_client_leaves_a_fault_that_has_no_end(server: OpeAIServer) -> None:
    """Writing without end stops when the client is gone, and blocks while it takes nothing."""
    server.fault("flood")
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.base_url.split(":")[2][:-3]))
    from tests.testing.wire import raw_request

    writer.write(raw_request(server, b'{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi"}]}'))
    await reader.readexactly(100_000)
    sent = -1
    while sent != server.requests[0].chunks_sent:  # until nothing fits in between
        sent = server.requests[0].chunks_sent
        await asyncio.sleep(0.1)
    writer.transport.abort()
    assert (await server.wait_closed()).outcome == "client_gone"
    assert server.requests[0].chunks_sent <= sent + 1


async def test_a_packed_answer_is_the_whole_answer(server: OpeAIServer) -> None:
    """gzip and deflate, piece by piece, and the connection serves another request afterwards."""
    import aiohttp

    from tests.testing.wire import chat_url, key_of

    server.fault("gzip_unrequested", "one two")
    server.fault("deflate_unrequested", "one two")
    bodies = []
    async with aiohttp.ClientSession(headers=key_of(server), auto_decompress=False) as session:
        for window_bits in (31, 15):
            async with session.post(chat_url(server), json=STREAM) as response:
                bodies.append(zlib.decompress(await response.read(), window_bits))
    assert all(body.endswith(DONE + b"\n\n") and b'" two"' in body for body in bodies)
    assert server.connections_total == 1
    assert [record.outcome for record in server.requests] == ["completed", "completed"]


async def first_bytes(server: OpeAIServer) -> bytes:
    import aiohttp

    from tests.testing.wire import ask, key_of

    async with aiohttp.ClientSession(headers=key_of(server)) as session:
        return (await ask(session, server))[1]


def test_usage_is_part_of_what_a_fault_spoils() -> None:
    """The reply's own fields are kept as given."""
    answer = Faulty("stall", Reply("one", usage=CompletionUsage(total_tokens=3), delay_s=2.0))
    assert answer.delay_s == 2.0
