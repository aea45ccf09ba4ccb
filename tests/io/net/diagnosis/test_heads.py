"""Heads as they are behind gateways: large ones are read, larger ones are refused without showing what they hold."""

import pytest

from opeai_async import AsyncOpeAI, InvalidResponseError
from opeai_async._io.net.parts import post as aiohttp_post
from tests.support.clients import KEY
from tests.support.loops.both_loops import anyio_backend, no_descriptor_left  # noqa: F401
from tests.support.reading.chunks import BODY, COMPLETION
from tests.support.servers.raw_server import RawServer, plain

COOKIE = "session-0123456789"


@pytest.fixture(params=["by hand", "session"], autouse=True)
def way(request, monkeypatch):
    """Both ways to send a request."""
    if request.param == "session":
        monkeypatch.setattr(aiohttp_post, "is_known", False)


async def asked(head_lines=b"", response=None):
    """What comes of an answer with *head_lines* among its headers."""

    async def answer(call):
        await call.send(response or plain(COMPLETION, kind=b"application/json", more=head_lines))

    async with RawServer(answer) as server:
        async with AsyncOpeAI(KEY, base_url=server.base_url, max_retries=0) as client:
            return (await client.chat.completions.create(**BODY)).choices[0].message.content


@pytest.mark.parametrize(
    "lines",
    [
        b"set-cookie: a=" + b"b" * 9_000 + b"\r\n",
        b"x-big: " + b"a" * 32_000 + b"\r\n",
        b"".join(b"x-%d: y\r\n" % i for i in range(140)),
        b"".join(b"x-%d: y\r\n" % i for i in range(250)),
        b"".join(b"set-cookie: %d=" % i + b"b" * 4_000 + b"\r\n" for i in range(16)),
        b"".join(b"x-%d: " % i + b"b" * 1_000 + b"\r\n" for i in range(200)),
    ],
    ids=["a cookie of 9,000", "a line of 32,000", "140 lines", "250 lines", "64 KiB", "200 KB"],
)
async def test_large_heads(lines):
    assert await asked(lines) == "abc"


async def test_a_long_reason():
    body = plain(COMPLETION, kind=b"application/json")
    assert await asked(response=body.replace(b"200 OK", b"200 " + b"O" * 9_000)) == "abc"


SECRET_LINE = b"set-cookie: " + COOKIE.encode() + b"=" + b"b" * 100_000 + b"\r\n"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (SECRET_LINE, "a longer line in its head"),
        (b"".join(b"x-%d: %b\r\n" % (i, COOKIE.encode()) for i in range(400)), "more lines in its head"),
        (b"x-bad: " + COOKIE.encode() + b"\0x\r\n", "malformed HTTP"),
        (COOKIE.encode() + b" no colon\r\n", "malformed HTTP"),
    ],
    ids=["line", "lines", "control character", "no header"],
)
async def test_heads_that_are_too_large_or_wrong(lines, says):
    """The error says which limit, and shows nothing of the head."""
    with pytest.raises(InvalidResponseError, match=says) as caught:
        await asked(lines)
    assert COOKIE not in str(caught.value) + repr(vars(caught.value))
    assert "bbbb" not in str(caught.value)
    if "head" in says:
        assert "base_url" not in caught.value.hint
        assert "256 lines of 32768 bytes" in str(caught.value)


async def test_a_head_without_end():
    """Many interim heads, each within the limits, are too much together."""
    interim = b"HTTP/1.1 103 Early Hints\r\n" + b"".join(b"link: %b\r\n" % (b"x" * 30_000) for _ in range(8)) + b"\r\n"
    with pytest.raises(InvalidResponseError, match="more bytes in its head"):
        await asked(response=interim * 3)
