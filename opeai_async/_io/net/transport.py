"""The transport over aiohttp: sends a request once, and gives its response to one reader.

A request passes ``send`` in this order, each wait with its own limit::

    _begin: loop, pool, self-test -> slot -> connection -> write -> head -> AiohttpResponse
                                              ^                |
                                              +-- once more, if a used connection broke without a byte of answer

A response is open until ``release`` (its connection is kept) or ``abort`` (closed). Most of aiohttp's own features are
off: its clocks (``total`` kills long streams; ``sock_read`` counts while a slow reader is not reading), redirects (307
would carry the prompt to another origin), cookies (they would be echoed), the limit of its pool (it would queue in
silence). ``opeai_async/_io/net/__init__.py`` lists the private names that are used.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from urllib.parse import urlsplit

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from opeai_async._core.call.http import Request
from opeai_async._core.call.retry import Cause
from opeai_async._io.loops import running_loop
from opeai_async._io.net import connections
from opeai_async._io.net.connections import Slots
from opeai_async._io.net.diagnosis.errors import (
    BODY_ERRORS,
    error_and_cause,
    is_silent_break,
    spoke_first,
    untrusted_certificate,
    untrusted_error,
    why_broken,
)
from opeai_async._io.net.diagnosis.peers import certificate_of
from opeai_async._io.net.lifetime import Lifetime, Origin
from opeai_async._io.net.parts.body import Body
from opeai_async._io.net.parts.post import Posted, Poster, can_post
from opeai_async._io.net.parts.self_test import learn
from opeai_async._io.net.sending import Sending
from opeai_async._io.net.session import SessionPoster
from opeai_async._io.net.socket_facts import closed_with_loop
from opeai_async._io.net.trust import default_context
from opeai_async._io.patience import Patience
from opeai_async._io.transport import BodyError, HeldError, SendError, has_ambiguous_length, headers_timeout
from opeai_async.errors import ClientClosedError, ConfigurationError

DRAIN_S = 0.1
DRAIN_BYTES = 64 * 1024


class AiohttpTransport:
    """A transport over pooled connections. It needs an event loop only from the first request on.

    Attributes:
        keeps_limits: True.

    Args:
        max_connections: Bound on responses open at once; None for no bound.
        ssl_context: Trust and client certificates; None for the system's trust.
        proxy: URL of an HTTP proxy; the environment's proxies are not used.
        keepalive_s: Seconds for which an idle connection is kept.
        origin: The name and place of the client, for the warning if nobody closes it.
    """

    keeps_limits: bool = True

    def __init__(
        self,
        *,
        max_connections: int | None = None,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        keepalive_s: float = 15.0,
        origin: Origin | None = None,
    ) -> None:
        if ssl_context is not None and not isinstance(ssl_context, ssl.SSLContext):  # pyright: ignore[reportUnnecessaryIsInstance]
            # Whatever else aiohttp takes here switches a check off: False all, a Fingerprint chain and name.
            raise ConfigurationError(f"ssl_context is a {type(ssl_context).__name__}, expected an ssl.SSLContext")
        self._max_connections = max_connections
        self._ssl_context = ssl_context
        self._proxy = proxy
        self._keepalive_s = keepalive_s
        self._origin = origin or Origin(f"<{type(self).__name__}>")
        # Set by ``aclose``, for good.
        self._closed = False
        # The rest belongs to one event loop: ``_begin_on`` makes it anew if that was closed and another one comes.
        self._loop: asyncio.AbstractEventLoop | None = None
        # Pool of connections.
        self._connector: connections.Connector
        # The short way, and the long one: ``_poster_of`` chooses for each request.
        self._poster: Poster
        self._session_poster: SessionPoster
        # A generator that closes all with the loop; and what closes all when nothing holds the client any more.
        self._keeper: AsyncGenerator[None, None] | None = None
        self._lifetime: Lifetime | None = None
        # The kinds of connection (True with TLS) on which the loop was tested, and the tests that are running.
        self._learned: set[bool]
        self._learning: dict[bool, asyncio.Task[None]]
        # None without ``max_connections``.
        self._slots: Slots | None = None
        # Requests without a head yet, which ``aclose`` ends, and responses that are neither released nor aborted.
        self._sends: set[Patience] = set()
        self._open: set[AiohttpResponse] = set()
        # Tasks in the background: drains of responses, and self-tests.
        self._drains: set[asyncio.Task[None]] = set()

    @property
    def open_responses(self) -> int:
        """The number of responses that are neither released nor aborted."""
        return len(self._open)

    async def send(self, request: Request, *, connect_s: float, pool_s: float) -> AiohttpResponse:
        """Send *request* and wait for the head of the response."""
        await self._begin(request.url)
        patience = Patience()
        self._sends.add(patience)
        try:
            with patience:
                slot_s = 0.0
                if self._slots is not None:
                    slot_s = await self._slots.take(pool_s, lambda: len(self._open))
                    if request.is_held():
                        self._slots.free()
                        raise HeldError
                response = await self._send_in_slot(request, connect_s, patience)
                response.slot_s = slot_s
                return response
        except TimeoutError:  # aclose() has ended it, if it was not the limit
            failure = headers_timeout(request.head_s) if patience.is_over else SendError(_client_closed(), Cause.FINAL)
            raise failure from None
        finally:
            self._sends.discard(patience)

    async def aclose(self) -> None:
        """Abort every open response, then close every connection."""
        self._check_loop(running_loop())
        self._closed = True
        for sending in list(self._sends):
            sending.now()
        # Responses first: closing the connector would strand a reader for ever.
        for response in list(self._open):
            response.abort(BodyError("the client was closed", Cause.FINAL))
        drains = list(self._drains)
        for drain in drains:
            drain.cancel()
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            await keeper.aclose()
        if self._lifetime is not None:
            self._lifetime.end()
            self._session_poster.detach()
        if drains:
            await asyncio.wait(drains)

    # --- sending ---------------------------------------------------------------------------------------------------

    async def _send_in_slot(self, request: Request, connect_s: float, patience: Patience) -> AiohttpResponse:
        try:
            response = await self._response(request, connect_s, lambda: patience.begin(request.head_s))
        except BaseException:
            if self._slots is not None:
                self._slots.free()
            raise
        self._open.add(response)
        if self._closed:  # by aclose(), in the very moment in which the head arrived
            response.abort(BodyError("the client was closed", Cause.FINAL))
        return response

    async def _response(self, request: Request, connect_s: float, on_connected: Callable[[], None]) -> AiohttpResponse:
        sending = Sending(request.url, connect_s, on_connected, proxy=self._proxy)
        poster = self._poster_of(request)
        token = connections.SENDING.set(sending)
        try:
            while True:
                distrust = None
                try:
                    response = AiohttpResponse(await poster.post(request, sending), self, sending)
                    if not sending.spoiled or (not sending.reused and response.head.status >= 400):
                        sending.settle()
                        if has_ambiguous_length(response.head):
                            sending.abort()  # aiohttp may have pooled it already; its Python parser does not ask
                        return response
                    response.abort()  # it answers no request, at least not this one
                    failure = None if sending.reused else SendError(spoke_first(sending), Cause.FINAL)
                except (aiohttp.ClientError, HttpProcessingError, OSError, ValueError, RuntimeError) as exc:
                    failure, distrust = self._failure_of(exc, sending), untrusted_certificate(exc)
                # Raised out here, because aiohttp's frames hold the headers, and with them the key: nothing of them may
                # hang on an error as its cause, its context or its traceback.
                if failure is not None:
                    if distrust is not None:
                        shown = await certificate_of(sending, self._proxy)
                        failure = SendError(untrusted_error(distrust, shown, sending), Cause.FINAL)
                    raise failure
                sending.fresh_only = True
        finally:
            connections.SENDING.reset(token)

    def _poster_of(self, request: Request) -> Poster | SessionPoster:
        return self._poster if self._proxy is None and can_post(request) else self._session_poster

    def _failure_of(self, exc: Exception, sending: Sending) -> SendError | None:
        """Return the error for the user; None if the request shall go out again on a fresh connection."""
        if self._closed:
            return SendError(_client_closed(), Cause.FINAL)
        if sending.reused and not sending.fresh_only and (sending.spoiled or is_silent_break(exc, sending)):
            # The server closed an idle connection while we were sending on it: not the fault of the request.
            return None
        return SendError(*error_and_cause(exc, sending, self._proxy))

    async def _begin(self, url: str) -> None:
        """Make what the running loop needs: at the first request, and again after the loop before was closed."""
        if self._closed:
            raise SendError(_client_closed(), Cause.FINAL)
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            await self._begin_on(loop, url)
        is_secure = url.startswith("https:")
        if is_secure not in self._learned:
            await self._learn(is_secure=is_secure)

    async def _learn(self, *, is_secure: bool) -> None:
        """Wait until the loop was tested, by one task for all requests that wait for it."""
        if is_secure not in self._learning:
            self._learning[is_secure] = task = asyncio.create_task(learn(tls=is_secure), name="opeai_async self-test")
            self._drains.add(task)
            task.add_done_callback(self._drains.discard)
        await asyncio.wait([self._learning[is_secure]])
        if self._closed:
            raise SendError(_client_closed(), Cause.FINAL)
        self._learned.add(is_secure)

    async def _begin_on(self, loop: asyncio.AbstractEventLoop, url: str) -> None:
        try:
            self._check_loop(loop)
        except ConfigurationError as exc:
            raise SendError(exc, Cause.FINAL) from None
        self._loop = loop
        self._sends, self._open, self._drains = set(), set(), set()
        self._learned, self._learning = set(), {}
        self._slots = None if self._max_connections is None else Slots(self._max_connections)
        trust = self._ssl_context
        if trust is None and "https" in (urlsplit(url).scheme, urlsplit(self._proxy or "").scheme):
            trust = default_context()
        if self._lifetime is not None:  # of a loop that was closed without its generators
            self._lifetime.end()
            self._connector.discard()
        self._connector = connector = connections.Connector(keepalive_timeout=self._keepalive_s, ssl=trust or True)
        self._poster, self._session_poster = Poster(connector), SessionPoster(connector, self._proxy)
        self._lifetime = Lifetime(self, connector, self._origin, self._session_poster.detach)
        self._keeper = closed_with_loop(connector, self._open)
        await anext(self._keeper)

    def _check_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not None and self._loop is not loop and not self._loop.is_closed():
            hint = "make one client per event loop"
            raise ConfigurationError("this client is in use by another event loop, which is not closed", hint=hint)

    # --- ends of responses -----------------------------------------------------------------------------------------

    def forget(self, response: AiohttpResponse) -> None:
        """Free the slot of a response that has ended."""
        if response in self._open:
            self._open.remove(response)
            if self._slots is not None:
                self._slots.free()

    def drain(self, response: AiohttpResponse) -> None:
        """Read what little may be left of *response* in the background, so that its connection is reused."""
        task = asyncio.get_running_loop().create_task(response.drain(), name="opeai_async drain")
        self._drains.add(task)
        task.add_done_callback(self._drains.discard)


class AiohttpResponse:
    """A response: open until it is released or aborted.

    Attributes:
        head: Status and headers.
        slot_s: Seconds that its request waited for a slot.
    """

    __slots__ = (
        "_ahead",
        "_content",
        "_ended",
        "_error",
        "_held",
        "_is_held",
        "_sending",
        "_transport",
        "head",
        "slot_s",
    )

    def __init__(self, posted: Posted, transport: AiohttpTransport, sending: Sending) -> None:
        # The body, and what holds the connection while it is read.
        self.head, self._content, self._held = posted
        self._transport = transport
        self._sending = sending
        # Bytes that ``wait`` had to read from aiohttp's own reader; the next ``read_nowait`` returns them.
        self._ahead = b""
        # Why the body broke off, once it did; raised when all that had arrived is read.
        self._error: BodyError | None = None
        # True after ``release`` or ``abort``: the connection is no longer ours.
        self._ended = False
        # True between ``hold`` and the next ``wait``: the transport is paused.
        self._is_held = False
        self.slot_s = 0.0

    def read_nowait(self) -> bytes | None:
        """Return all that has arrived since the last read; ``b""`` at the end, None if there is nothing yet."""
        if self._ahead:
            data, self._ahead = self._ahead, b""
            return data
        if self._error is not None:
            raise self._error
        try:
            data = self._content.read_nowait()
        except BODY_ERRORS as exc:
            return self._rescued(exc)
        return data or (b"" if self._content.at_eof() else None)

    def wait(self) -> Awaitable[object] | None:
        """Return what to await until ``read_nowait`` returns bytes, the end or an error; None if it would at once."""
        if self._is_held:
            self._let_go()
        content = self._content
        if isinstance(content, Body):
            return content.arrival()
        if not self._ahead and self._error is None:
            # aiohttp's own reader can be waited for only by reading.
            with suppress(BodyError):  # which read_nowait raises
                self._ahead = self.read_nowait() or b""
        return None if self._ahead or self._error is not None or content.at_eof() else self._read_ahead()

    async def _read_ahead(self) -> None:
        try:
            self._ahead = await self._content.readany()
        except BODY_ERRORS as exc:
            with suppress(BodyError):
                self._ahead = self._rescued(exc)

    def _rescued(self, exc: Exception) -> bytes:
        """Return the bytes that had arrived when the body broke off; the next read raises the error.

        aiohttp 3.14.5 keeps them in its buffer and never hands them out.
        """
        if self._error is None:
            self._error = BodyError(why_broken(exc))
        self._content.set_exception(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        rescued = b"" if self._ended else self._content.read_nowait()
        self._content.set_exception(self._error)
        if not rescued:
            raise self._error from exc
        return rescued

    def hold(self) -> None:
        """Leave what arrives to the operating system until the next ``wait``."""
        transport = self._sending.transport
        if transport is not None and not self._ended and not self._content.is_eof():
            transport.pause_reading()
            self._is_held = True

    def _let_go(self) -> None:
        """End a hold."""
        self._is_held = False
        # At the end of a body, aiohttp gives the connection back; a body that is held cannot come to its end.
        if self._sending.transport is not None and not self._ended:
            self._sending.transport.resume_reading()

    def release(self) -> None:
        """End the response, keeping its connection for reuse if the rest of the body arrives soon."""
        if self._ended:
            return
        if self._content.is_eof():
            self._ended = True
            self._held.release()
            self._transport.forget(self)
        else:
            self._transport.drain(self)

    def abort(self, error: BodyError | None = None) -> None:
        """Close the connection now, waking a waiting read, which raises *error*."""
        if self._ended:
            return
        self._ended = True
        self._error = self._error or error
        if self._content.exception() is None and not self._content.is_eof():
            # aiohttp has one exception for all responses, on which the tracebacks of all readers would gather.
            self._content.set_exception(aiohttp.ClientConnectionError("Connection closed"))
        self._transport.forget(self)
        self._held.close()
        # It only closes: that waits for unsent bytes to be taken, and with TLS for the peer's farewell. And aiohttp's
        # own responses give the connection back at the end of a body, for others to use, whatever we think of the body.
        self._sending.abort()

    async def drain(self) -> None:
        """Read to the end of the body within ``DRAIN_S`` and ``DRAIN_BYTES``, then release; else abort."""
        left = DRAIN_BYTES
        try:
            async with asyncio.timeout(DRAIN_S):
                while left > 0 and not self._content.is_eof():
                    if (waiting := self.wait()) is not None:  # which also ends a hold
                        await waiting
                    left -= len(self.read_nowait() or b"")
            if self._content.is_eof():
                self.release()
        except (TimeoutError, BodyError):
            pass
        finally:
            self.abort()


def _client_closed() -> ClientClosedError:
    return ClientClosedError("the client is closed", hint="make a new client, or keep this one open for longer")
