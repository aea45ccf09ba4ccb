"""Requests written by hand on aiohttp's connections: the short way, for nearly all of them.

aiohttp resolves, connects, secures, pools and parses. But its own way from a call to the bytes of a request, over a
session, a request, a writer, a task that writes, and a response, costs more than all else of a short stream (260,000
of 987,000 instructions, seen on 3.14.5), and leaves twenty objects per open stream. Here the head is one join, which
is written with the body in the very step in which the connection was looked at, so that nothing can come in between.

Not all that is used of a connection here is public. So a self-test looks once whether this aiohttp works as supposed.
If it does not, and for what is not written here (``can_post``), ``session`` sends the request as aiohttp does.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import aiohttp

from opeai_async._core.call.http import Request, ResponseHead
from opeai_async._core.call.redact import HiddenStr
from opeai_async._io.net.connections import MAX_HEAD_LINES, MAX_LINE_BYTES, Connector, Handler, has_spoken
from opeai_async._io.net.sending import Sending

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler

# A read of 64 KiB is decoded while it is in the processor's cache; the default keeps 512 KiB per slow stream.
READ_BUFFER_BYTES = 64 * 1024
NO_CLOCKS = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)

BIG_BODY_BYTES = 1024 * 1024

_MAX_TARGETS = 16
_SWITCHING_PROTOCOLS = 101
_URL = type(aiohttp.ClientRequest.url)  # aiohttp depends on the library that this is from, and this package does not


class Held(Protocol):
    """The hold on a connection while its answer is read."""

    def release(self) -> object:
        """Give the connection back, for other requests."""
        ...

    def close(self) -> object:
        """Close it."""
        ...


class Posted(NamedTuple):
    """An answer that has begun.

    Attributes:
        head: Its status and headers.
        content: Its body.
        held: The hold on its connection, which must be ended with it.
    """

    head: ResponseHead
    content: aiohttp.StreamReader
    held: Held


class Poster:
    """A sender of requests over the connections of *connector*."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        # A service has one URL or a few.
        self._target_of = functools.lru_cache(_MAX_TARGETS)(functools.partial(_Target, asyncio.get_running_loop()))

    async def post(self, request: Request, sending: Sending) -> Posted:
        """Send *request*, wait for the head of the answer, and return both head and body."""
        target = self._target_of(request.url)
        try:
            connection = await self._connector.connect(target.address, [], NO_CLOCKS)
        except TimeoutError as exc:
            raise aiohttp.ConnectionTimeoutError from exc
        try:
            protocol = connection.protocol
            sending.spoiled = has_spoken(protocol, sending)
            if protocol is None or protocol.transport is None or (sending.spoiled and sending.reused):
                raise aiohttp.ServerDisconnectedError
            _expect_answer(protocol)
            # What is written has no name here: traceback printers show locals.
            protocol.transport.write(b"".join((target.begin, _rest_of_head(request), request.body)))
            if isinstance(protocol, Handler):
                protocol.keep_what_comes(len(request.body))
            message, content = await protocol.read()
            while 100 <= message.code < 200 and message.code != _SWITCHING_PROTOCOLS:
                message, content = await protocol.read()
        except BaseException:
            connection.close()
            sending.abort()  # a close waits until the server has taken what is left of the request
            raise
        return Posted(ResponseHead(message.code, target.host, by_name(message.headers)), content, connection)


def can_post(request: Request) -> bool:
    """Tell whether a ``Poster`` knows how to send *request*."""
    return is_known and request.method == "POST" and len(request.body) < BIG_BODY_BYTES


class _Target:
    """The parts that are the same in all requests to one URL.

    Attributes:
        address: A request by which aiohttp finds or makes a connection; it is never sent.
        begin: The first bytes of the head.
        host: The host of the URL.
    """

    __slots__ = ("address", "begin", "host")

    def __init__(self, loop: asyncio.AbstractEventLoop, url: str) -> None:
        self.address = aiohttp.ClientRequest("POST", _URL(url), loop=loop)
        path, host = self.address.url.raw_path_qs, self.address.headers["Host"]
        self.begin = f"POST {path} HTTP/1.1\r\nHost: {host}\r\n".encode()
        self.host = self.address.url.host or ""


def _rest_of_head(request: Request) -> bytes:
    return f"{_lines(request.headers)}Content-Length: {len(request.body)}\r\n\r\n".encode()


def _lines(headers: Mapping[str, str]) -> str:
    lines = HiddenStr("\r\n".join((*map(": ".join, headers.items()), "")))
    if lines.count("\r") != len(headers) or lines.count("\n") != len(headers):
        raise ValueError("a header holds a line break")  # RFC 9110 5.5; they were checked when they were given
    return lines


def _expect_answer(protocol: ResponseHandler) -> None:
    """Let *protocol* parse what comes next as the answer to a request."""
    protocol.set_response_params(
        read_until_eof=True,
        read_bufsize=READ_BUFFER_BYTES,
        max_line_size=MAX_LINE_BYTES,
        max_field_size=MAX_LINE_BYTES,
        max_headers=MAX_HEAD_LINES,
    )


def by_name(headers: Mapping[str, str]) -> dict[str, str]:
    """Return *headers* by name in lower case; repeated ones are joined (RFC 9110 5.3)."""
    found: dict[str, str] = {}
    for name, value in headers.items():
        key = name.lower()
        found[key] = f"{found[key]}, {value}" if key in found else value
    return found


class _Loop:
    """A stand-in for an event loop, in the self-test."""

    def get_debug(self) -> bool:
        return False


def _works() -> bool:
    """Tell whether this aiohttp's connections can be asked for, and parse what they are given."""
    try:
        return _finds(_Loop()) and _parses(_Loop())
    except Exception:  # noqa: BLE001 - whatever another version may do
        return False


def _finds(loop: Any) -> bool:
    arguments = aiohttp.TCPConnector.connect.__code__.co_varnames[1:4]
    return arguments == ("req", "traces", "timeout") and _Target(loop, "http://host/v1").begin.startswith(b"POST /v1 ")


def _parses(loop: Any) -> bool:
    protocol = Handler(loop)
    _expect_answer(protocol)
    protocol.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab")
    try:
        protocol.read().send(None)
    except StopIteration as found:
        message, content = found.value
        return (message.code, content.read_nowait(), content.is_eof()) == (200, b"ab", True)
    return False


is_known = _works()
