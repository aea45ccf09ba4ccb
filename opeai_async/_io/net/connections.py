"""The pool of connections, made to give each request its own answer and never another's.

=============  ==========================================================================================
`Connector`    hands out connections: from the pool if nothing was said on them, else new ones
`Handler`      is one connection: it counts bytes, bounds the framing, and reads on behind a hang-up
`has_spoken`   looks at a connection in the step in which the request is written
`Slots`        bounds how many answers are open at once
=============  ==========================================================================================

The bugs were seen on aiohttp 3.14.5; tests/io/net/test_traps.py has a table of bugs, cures and tests.
"""

from __future__ import annotations

import asyncio
import functools
import math
import socket
import ssl
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

from opeai_async._core.call.retry import Cause
from opeai_async._io.net.diagnosis.lookups import Lookups
from opeai_async._io.net.diagnosis.peers import Suspicion
from opeai_async._io.net.parts.body import take_over
from opeai_async._io.net.parts.leftovers import acknowledge_at_once, keep_socket, read_leftovers, write_at_once
from opeai_async._io.net.sending import Address, Sending, Wait
from opeai_async._io.net.socket_facts import has_input
from opeai_async._io.net.sockets import discard, new_socket
from opeai_async._io.patience import Patience
from opeai_async._io.transport import SendError
from opeai_async.errors import PoolTimeoutError

if TYPE_CHECKING:
    from aiohttp.connector import Connection
    from aiohttp.http_parser import RawResponseMessage


MAX_CONCURRENT_CONNECTS = 128
MAX_FRAMING_BYTES = 256 * 1024
ENDLESS = "framing without end"
BEGINNING_BYTES = 16
# Of the head, for aiohttp's parsers; its own limits (8,190 bytes and 128 lines) refuse what gateways and their cookies
# make of an ordinary answer. All lines together have MAX_FRAMING_BYTES.
MAX_LINE_BYTES = 32 * 1024
MAX_HEAD_LINES = 256
# What is smaller goes out in one piece, so no answer to it is early.
KEPT_FROM_BYTES = 64 * 1024

# False where the self-test of the loop failed: then nothing is concluded from the state of an unused connection.
is_known = True

SENDING: ContextVar[Sending] = ContextVar("opeai_asyncSENDING")


class Handler(ResponseHandler):
    """A connection that knows how many requests it has served, counts what it reads, and says when a body is lost.

    aiohttp does not tell half a head from none: its Python parser forgets it, and so do both after a RST. Of a head
    and a malformed body in one read, it loses the head too, so it gets them one after the other. What comes behind a
    body in the same read, it takes for the next answer's beginning, and says nothing. When a body's framing turns out
    malformed, it closes the connection, but the reader of the body sleeps on; and it never wakes for framing without
    end, such as a chunk extension.

    At the connection's end it drops what its parser has not parsed yet, because the reader is slow, and the loop drops
    what it has not handed out (``leftovers``). So here the end is put off until the reader has come to it:

        connection_lost -> _end is set -> (reader resumes, rest is handed out)* -> aiohttp's connection_lost

    The rest is parsed as the reader takes it, as before the end: to parse it at once was tried, and a compressed body
    of a MiB became a GiB.

    Attributes:
        beginning: The first bytes that came for the present request, empty until then. Those that come unasked when
            it is made count for its first request.
        served: How many requests it was given to.
        bytes_read: How many bytes it has brought, to all of them.
    """

    # Not in the instance's dict, which aiohttp has filled up to where it would double.
    __slots__ = (
        "_body_bytes",
        "_end",
        "_grew_at",
        "_head_ends_at",
        "_is_after_head",
        "_kept",
        "_last",
        "_message",
        "beginning",
        "bytes_read",
        "served",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.served = self.bytes_read = 0
        # Decoded bytes of the body.
        self._body_bytes: int = 0
        # What bytes_read was when those last grew (the difference is framing), and at the end of the final head.
        self._grew_at = self._head_ends_at = 0
        # True once the final head of this request's answer has come.
        self._is_after_head = False
        # The last four bytes that came: they tell whether a chunked body was the last thing.
        self._last = self.beginning = b""
        # The head of the answer; None until it has been parsed.
        self._message: RawResponseMessage | None = None
        # The end that was put off, with its error; None while the connection is open or once aiohttp was told.
        self._end: tuple[BaseException | None] | None = None
        # A second descriptor of the socket while an answer may come early; None otherwise.
        self._kept: socket.socket | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to use *transport*; called by the event loop."""
        super().connection_made(transport)
        write_at_once(transport)

    def begin(self) -> None:
        """Get ready for another request."""
        self.served += 1
        self._is_after_head = False
        self._message = None
        self._grew_at = self.bytes_read
        if self.served > 1:
            self.beginning = b""

    def has_rest(self) -> bool:
        """Tell whether more has come than the last answer."""
        if self._message is None:
            return False
        # aiohttp does not say that something followed the body in the same read; our own count shows it.
        if self._message.chunked:
            return not self._last.endswith(b"\r\n\r\n")
        length = self._message.headers.get("Content-Length", "")
        return length.isdecimal() and self.bytes_read - self._head_ends_at != int(length)

    @property
    def is_at_end(self) -> bool:
        """True if the server has closed it, or broken its framing; always False when it was just made."""
        return super().should_close

    @property
    def should_close(self) -> bool:
        """True if it must not serve another request, also because part of this one is unsent; asked by aiohttp."""
        transport = self.transport
        return self.is_at_end or (transport is not None and transport.get_write_buffer_size() > 0)

    def feed_data(self, data: tuple[RawResponseMessage, Any], *args: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take a head that was parsed; called by aiohttp."""
        self._message = message = data[0]
        self._is_after_head = not 100 <= message.code < 200  # after an interim response comes another one
        if self._kept is not None and message.code < 400 and self._is_after_head:
            self._let_go_of_socket()  # the server reads on
        take_over(*data)
        super().feed_data(data, *args)

    def data_received(self, data: bytes) -> None:
        """Take bytes from the event loop; aiohttp calls it with none to continue decompressing."""
        self.bytes_read += len(data)
        # A chunked body ends with these four bytes, which may be cut anywhere.
        self._last = data[-4:] if len(data) > 3 else (self._last + data)[-4:]
        if not self._is_after_head:
            self.beginning = self.beginning or data[:BEGINNING_BYTES]
            data = self._after_heads(data)
        ResponseHandler.data_received(self, data)
        if (body := self._payload) is None:
            if not self._is_after_head and self.bytes_read - self._grew_at > MAX_FRAMING_BYTES:
                self._fail(ENDLESS)
            elif self._parser is not None and self.exception() is None and not self._begins_as_http():
                self._fail("Bad status line")  # aiohttp's Python parser waits for the end of the head
            return
        if body.total_bytes != self._body_bytes:
            self._body_bytes, self._grew_at = body.total_bytes, self.bytes_read
        elif self.bytes_read - self._grew_at > MAX_FRAMING_BYTES:
            self._fail(ENDLESS)

    def _begins_as_http(self) -> bool:
        return b"HTTP/".startswith(self.beginning.lstrip(b"\r\n")[:5])

    def _fail(self, message: str) -> None:
        if self.transport is not None:
            self.transport.close()
            self.set_exception(HttpProcessingError(message=message))

    def _after_heads(self, data: bytes) -> bytes:
        """Pass on the heads in *data*; return what follows them, or the head itself if *data* ends with it."""
        while not self._is_after_head and (end := data.find(b"\r\n\r\n") + 4) > 3:
            self._is_after_head = True
            self._head_ends_at = self.bytes_read - len(data) + end
            if end == len(data):
                break
            ResponseHandler.data_received(self, data[:end])
            data = data[end:]
        return data

    def keep_what_comes(self, body_bytes: int) -> None:
        """Keep the socket readable if the server may answer, and hang up, before *body_bytes* have gone out."""
        if body_bytes >= KEPT_FROM_BYTES and self._kept is None and self.transport is not None:
            self._kept = keep_socket(self.transport)
            if self._kept is not None:
                acknowledge_at_once(self._kept)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Put the end off until all that has come is read, or pass it on at once; called by the event loop."""
        body = self._payload
        if self.transport is None or self._parser is None or (body is not None and body.is_eof()):
            self._let_go_of_socket()
            super().connection_lost(exc)
            return
        self._end = (exc,)
        self.force_close()  # at the end of its body, nobody shall pool it
        self._go_on_to_end()

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Read on, because the reader has taken what there was; aiohttp says if its parser shall stay still."""
        super().resume_reading(resume_parser)
        if not resume_parser:
            self._let_go_of_socket()  # it is the end of a body
        elif self._end is not None:
            self._go_on_to_end()

    def close(self) -> None:
        """Close the connection; called by aiohttp."""
        self._forget_end()
        super().close()

    def abort(self) -> None:
        """Close the connection without a farewell; called by aiohttp."""
        self._forget_end()
        super().abort()

    def _go_on_to_end(self) -> None:
        """Hand out what is left after the end until the reader pauses; once nothing is left, pass the end on."""
        while self._end is not None and not self._reading_paused:
            rest = read_leftovers(self.transport, self._kept) if self.transport is not None else b""
            if not rest:
                (exc,), self._end = self._end, None
                self._let_go_of_socket()
                super().connection_lost(exc)
            else:
                self.data_received(rest)

    def _forget_end(self) -> None:
        """Drop what is left after the end, because nobody will read it."""
        self._let_go_of_socket()
        if self._end is not None:
            (exc,), self._end = self._end, None
            self._payload = None
            super().connection_lost(exc)

    def _take_early_answer(self) -> None:
        """Read what the server said before a write failed: it may be the reason."""
        # The loop reports the failed write before the end, so the answer is still in the socket.
        while not self._is_after_head and self.transport is not None and self._parser is not None:
            rest = read_leftovers(self.transport, self._kept)
            if not rest:
                break
            self.data_received(rest)

    def _let_go_of_socket(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def set_exception(self, exc: BaseException, *cause: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Note that the connection has failed, and wake the reader of the body; called by aiohttp."""
        if self._kept is not None and self._end is None and isinstance(exc, OSError):
            self._take_early_answer()
        super().set_exception(exc, *cause)
        body = self._payload
        if isinstance(exc, HttpProcessingError) and body is not None and not body.is_eof() and not body.exception():
            body.set_exception(HttpProcessingError(message=exc.message))
            self._payload = None  # else the end of the connection, which follows, would take the place of the reason


class Connector(aiohttp.TCPConnector):
    """A pool that drops connections on which the server has spoken out of turn, and limits concurrent connects.

    aiohttp would give such an answer to the next request, of another user perhaps (aiohttp#13656; seen on
    3.14.5; when its connector looks into the socket itself, the tests of `never another's answer` pass without this,
    ``has_spoken`` and ``Handler``). At most ``MAX_CONCURRENT_CONNECTS`` at a time halve the time to first byte at 5,000
    streams; the clock of one starts when it is its turn, and covers names, proxy and TLS.
    """

    def __init__(self, *, keepalive_timeout: float, ssl: ssl.SSLContext | bool) -> None:
        self._lookups = Lookups()
        super().__init__(  # pyright: ignore[reportUnknownMemberType]
            limit=0, keepalive_timeout=keepalive_timeout, ssl=ssl, resolver=self._lookups, socket_factory=_new_socket
        )
        # Not public: a later aiohttp that does not use it would make connections of its own class.
        self._factory = functools.partial(Handler, loop=asyncio.get_running_loop())  # type: ignore[assignment]
        self._connects = asyncio.Semaphore(MAX_CONCURRENT_CONNECTS)
        self._spoke_tls: set[str] = set()

    def __del__(self, *_: Any) -> None:
        """Do nothing: `Lifetime` warns of a client that was dropped unclosed, in this package's words."""

    async def close(self, *, abort_ssl: bool = False) -> None:
        """Close every connection, and end the lookups of names."""
        await super().close(abort_ssl=abort_ssl)
        await self._lookups.close()

    async def connect(self, *args: Any, **kwargs: Any) -> Connection:
        """Return a connection, from the pool or new; called by aiohttp."""
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

    def discard(self) -> None:
        """Close every connection without the event loop, which was closed before it could."""
        if self.closed:
            return
        for protocol in [*self._acquired, *(protocol for idle in self._conns.values() for protocol, _ in idle)]:
            if protocol.transport is not None:
                discard(protocol.transport)
        self._close()

    async def _create_connection(self, *args: Any, **kwargs: Any) -> ResponseHandler:
        sending = SENDING.get()
        async with self._connects:
            try:
                with Patience(sending.connect_s) as patience:
                    return await self._connected(sending, patience, *args, **kwargs)
            except TimeoutError:
                if sending.address is None:
                    sending.waits_for = Wait.LOOKUP if self._lookups.has_begun() else Wait.EXECUTOR
                raise
            except (AttributeError, NotImplementedError) as exc:
                if isinstance(exc, AttributeError) and exc.obj is not self._loop:
                    raise
                if sending.socket is not None:  # aiohttp forgets it where a loop can connect, but not without TLS
                    sending.socket.close()
                raise NotImplementedError(str(exc)) from None

    async def _connected(self, sending: Sending, patience: Patience, *args: Any, **kwargs: Any) -> ResponseHandler:
        place = sending.place
        if sending.via_proxy or not sending.url.startswith("https:") or place in self._spoke_tls:
            return await super()._create_connection(*args, **kwargs)

        def found() -> None:
            sending.is_plain = True
            patience.now()

        # Once for each place: where many connections are made at once, handshakes are slow.
        self._spoke_tls.add(place)
        with Suspicion(sending, found):
            return await super()._create_connection(*args, **kwargs)


def _new_socket(address: Address) -> socket.socket:
    sending = SENDING.get()
    sending.address, sending.socket = address, new_socket(address)
    return sending.socket


def _is_spoiled(protocol: ResponseHandler) -> bool:
    """Tell whether a used connection has ended, or has brought more than the answers that were asked for."""
    return protocol.should_close or (isinstance(protocol, Handler) and protocol.has_rest())


def has_spoken(protocol: ResponseHandler | None, sending: Sending) -> bool:
    """Tell whether the connection of *sending* has ended or brought anything, even if the loop has not read it yet."""
    transport = None if protocol is None else protocol.transport
    if protocol is None or transport is None or sending.has_answer():
        return True
    if sending.reused:
        if _is_spoiled(protocol):
            return True
    # Not should_close: on uvloop the last bytes of the TLS handshake may still be unsent, which is harmless here.
    elif is_known and isinstance(protocol, Handler) and protocol.is_at_end:
        return True
    if transport.get_extra_info("ssl_object") is not None and (not sending.reused or _is_encrypted_rest(transport)):
        return sending.reused or _brings_leftovers(protocol, transport)
    return has_input(transport.get_extra_info("socket"))


def _is_encrypted_rest(transport: Any) -> bool:
    """Tell whether TLS holds what it has not decrypted yet."""
    return bool(transport.get_read_buffer_size())


def _brings_leftovers(protocol: ResponseHandler, transport: asyncio.Transport) -> bool:
    """Tell whether something came with the end of the handshake; uvloop hands that out a turn after the connection.

    The socket is not asked, because what is in it may be session tickets.
    """
    data = read_leftovers(transport, None)
    if data:
        protocol.data_received(data)
    return bool(data)


class Slots:
    """A bound on open answers: at most *size* at once."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free = asyncio.Semaphore(size)

    async def take(self, pool_s: float, count_open: Callable[[], int]) -> float:
        """Wait for a slot, at most *pool_s* seconds; return how many it took.

        Raises:
            SendError: If none became free; the message says how many answers *count_open* found.
        """
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        try:
            async with asyncio.timeout(None if math.isinf(pool_s) else pool_s):
                await self._free.acquire()
            return loop.time() - asked_at
        except TimeoutError:
            is_open = count_open()
            message = (
                f"no connection became free within {pool_s:g} s (pool_s=None waits without a limit): "
                f"{self._size - is_open} requests are in flight and {is_open} responses are open, "
                f"max_connections={self._size}"
            )
            raise SendError(PoolTimeoutError(message, phase="pool", timeout_s=pool_s), Cause.FINAL) from None

    def free(self) -> None:
        """Give a slot back."""
        self._free.release()
