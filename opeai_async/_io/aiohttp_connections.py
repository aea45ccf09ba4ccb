"""aiohttp's connections, made to give each request the answer to itself and to no other.

The bugs were seen on aiohttp 3.14.5; tests/_io/test_traps.py has a table of bugs, cures and tests.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

from opeai_async._io.aiohttp_body import take_over
from opeai_async._io.patience import Patience
from opeai_async._io.sending import Sending, has_input

if TYPE_CHECKING:
    from aiohttp.connector import Connection
    from aiohttp.http_parser import RawResponseMessage

MAX_CONCURRENT_CONNECTS = 128
MAX_FRAMING_BYTES = 256 * 1024

SENDING: ContextVar[Sending] = ContextVar("opeai_asyncSENDING")


class Handler(ResponseHandler):
    """A connection that knows how many requests it has served, counts what it reads, and says when a body is lost.

    aiohttp does not tell half a head from none: its Python parser forgets it, and so do both after a RST. Of a head
    and a malformed body in one read, it loses the head too, so it gets them one after the other. What comes behind a
    body in the same read, it takes for the next answer's beginning, and says nothing. When a body's framing turns out
    malformed, it closes the connection, but the reader of the body sleeps on; and it never wakes for framing without
    end, such as a chunk extension.

    Attributes:
        served: How many requests it was given to.
        bytes_read: How many bytes it has brought.
    """

    # Not in the instance's dict, which aiohttp has filled up to where it would double.
    __slots__ = (
        "_body_bytes",
        "_grew_at",
        "_head_ends_at",
        "_is_after_head",
        "_last",
        "_message",
        "bytes_read",
        "served",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.served = self.bytes_read = 0
        self._body_bytes = self._grew_at = self._head_ends_at = 0
        self._is_after_head = False
        self._last = b""
        self._message: RawResponseMessage | None = None

    def begin(self) -> None:
        """Another request gets this connection."""
        self.served += 1
        self._is_after_head = False
        self._message = None
        self._grew_at = self.bytes_read

    def has_rest(self) -> bool:
        """Whether more has come than the last answer."""
        if self._message is None:
            return False
        if self._message.chunked:
            return not self._last.endswith(b"\r\n\r\n")
        length = self._message.headers.get("Content-Length", "")
        return length.isdecimal() and self.bytes_read - self._head_ends_at != int(length)

    @property
    def is_at_end(self) -> bool:
        """Whether the server has closed it, or broken its framing; true of no connection that was just made."""
        return super().should_close

    @property
    def should_close(self) -> bool:
        """Whether it can serve no other request, having not even sent all of this one perhaps; asked by aiohttp."""
        transport = self.transport
        return self.is_at_end or (transport is not None and transport.get_write_buffer_size() > 0)

    def feed_data(self, data: tuple[RawResponseMessage, Any], *args: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """A head was read; called by aiohttp."""
        self._message = message = data[0]
        self._is_after_head = not 100 <= message.code < 200  # after an interim response comes another one
        take_over(*data)
        super().feed_data(data, *args)

    def data_received(self, data: bytes) -> None:
        """Bytes came; called by the event loop, and by aiohttp without any when it goes on decompressing."""
        self.bytes_read += len(data)
        self._last = data[-4:] if len(data) > 3 else (self._last + data)[-4:]
        if not self._is_after_head:
            data = self._after_heads(data)
        ResponseHandler.data_received(self, data)
        if (body := self._payload) is None:
            return
        if body.total_bytes != self._body_bytes:
            self._body_bytes, self._grew_at = body.total_bytes, self.bytes_read
        elif self.bytes_read - self._grew_at > MAX_FRAMING_BYTES and self.transport is not None:
            self.transport.close()
            self.set_exception(HttpProcessingError(message="framing without end"))

    def _after_heads(self, data: bytes) -> bytes:
        """What follows the heads in *data*, which are passed on; a head that ends *data* is not."""
        while not self._is_after_head and (end := data.find(b"\r\n\r\n") + 4) > 3:
            self._is_after_head = True
            self._head_ends_at = self.bytes_read - len(data) + end
            if end == len(data):
                break
            ResponseHandler.data_received(self, data[:end])
            data = data[end:]
        return data

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection has ended; called by the event loop. What came before that is handed out before its end."""
        # While reading is paused, aiohttp's parser holds bytes back, and drops them at the connection's end.
        while self._payload is not None and self._reading_paused and self._parser is not None:
            if self._payload.is_eof():
                break
            self._reading_paused = False
            ResponseHandler.data_received(self, b"")
        super().connection_lost(exc)

    def set_exception(self, exc: BaseException, *cause: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The connection has failed; called by aiohttp. Tells whoever reads a body, where aiohttp does not."""
        super().set_exception(exc, *cause)
        body = self._payload
        if isinstance(exc, HttpProcessingError) and body is not None and not body.is_eof() and not body.exception():
            body.set_exception(HttpProcessingError(message=exc.message))
            self._payload = None  # else the end of the connection, which follows, would take the place of the reason


class Connector(aiohttp.TCPConnector):
    """Hands out no connection on which the server has spoken out of turn, and limits concurrent connects.

    aiohttp would give such an answer to the next request, of another user perhaps (aiohttp#13656; seen on
    3.14.5; when its connector looks into the socket itself, the tests of `never another's answer` pass without this,
    ``has_spoken`` and ``Handler``). At most ``MAX_CONCURRENT_CONNECTS`` at a time halve the time to first byte at 5,000
    streams; the clock of one starts when it is its turn, and covers names, proxy and TLS. ``_create_connection`` and
    ``_factory`` are not public; a later aiohttp that does not use them loses these limits and the view of half a head.
    """

    def __init__(self, *, keepalive_timeout: float, ssl: ssl.SSLContext | bool) -> None:
        super().__init__(limit=0, keepalive_timeout=keepalive_timeout, ssl=ssl)  # pyright: ignore[reportUnknownMemberType]
        self._factory = functools.partial(Handler, loop=asyncio.get_running_loop())  # type: ignore[assignment]
        self._connects = asyncio.Semaphore(MAX_CONCURRENT_CONNECTS)

    async def connect(self, *args: Any, **kwargs: Any) -> Connection:
        """A connection, from the pool or new; called by aiohttp."""
        sending = SENDING.get()
        sending.start()
        set_aside: list[Connection] = []
        try:
            while True:
                connection = await super().connect(*args, **kwargs)
                protocol = connection.protocol
                reused = getattr(protocol, "served", 0) > 0
                if protocol is None or (reused and _is_spoiled(protocol)):
                    connection.close()
                elif reused and sending.fresh_only:
                    set_aside.append(connection)
                else:
                    break
        finally:
            for unused in set_aside:
                unused.release()
        if isinstance(protocol, Handler):
            protocol.begin()
            sending.begin(protocol, reused=reused)
        return connection

    async def _create_connection(self, *args: Any, **kwargs: Any) -> ResponseHandler:
        limit_s = SENDING.get().connect_s
        async with self._connects:
            with Patience(limit_s):
                return await super()._create_connection(*args, **kwargs)


def _is_spoiled(protocol: ResponseHandler) -> bool:
    """Whether a connection that was used is at its end, or the loop has read more of it than was asked for."""
    return protocol.should_close or (isinstance(protocol, Handler) and protocol.has_rest())


def has_spoken(protocol: ResponseHandler | None, sending: Sending) -> bool:
    """Whether the connection of *sending* is at its end, or has brought anything; the loop may not have read it yet."""
    transport = None if protocol is None else protocol.transport
    if protocol is None or transport is None or sending.has_answer():
        return True
    if sending.reused:
        if _is_spoiled(protocol):
            return True
    # Not should_close: on uvloop the last bytes of the TLS handshake may be unsent still, which is no harm here.
    elif protocol.is_at_end if isinstance(protocol, Handler) else protocol.should_close:
        return True
    if not sending.reused and transport.get_extra_info("ssl_object") is not None:
        return False  # what is in the socket may be the session tickets of the handshake
    return has_input(transport.get_extra_info("socket"))
