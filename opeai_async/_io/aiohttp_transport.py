"""HTTP over aiohttp: the one module that knows it, its exceptions and its traps.

Every cure below names the trap; the facts were seen on aiohttp 3.14.5. aiohttp's own clocks are off (``total`` kills
long streams; ``sock_read`` counts while a slow reader is not reading), its redirects are off (307 would carry the
prompt to another origin), its cookies are off (they would be echoed), its pool is unlimited (it would queue in
silence).
"""

from __future__ import annotations

import asyncio
import errno
import math
import ssl
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import aiohttp
from aiohttp.client_reqrep import ClientRequest
from multidict import CIMultiDict
from yarl import URL

from opeai_async._core.http import Request, ResponseHead
from opeai_async._core.redact import redact
from opeai_async._core.retry import Cause
from opeai_async._io.transport import BodyError, SendError
from opeai_async.errors import (
    APIConnectionError,
    APITimeoutError,
    ClientClosedError,
    ConfigurationError,
    InvalidResponseError,
    LocalResourceError,
    OpeAIError,
    PoolTimeoutError,
    TLSError,
)

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection

# A read of 64 KiB is decoded while it is in the processor's cache; the default keeps 512 KiB per slow stream.
READ_BUFFER_BYTES = 64 * 1024
DRAIN_S = 0.1
DRAIN_BYTES = 64 * 1024
SWEEP_S = 0.5
MAX_CONCURRENT_CONNECTS = 128

_LOCAL_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL})


class AiohttpTransport:
    """Sends requests over pooled connections. Needs no event loop until the first request.

    Args:
        max_connections: Bound on responses open at once; None for no bound.
        ssl_context: Trust and client certificates; None for the system's trust.
        proxy: URL of an HTTP proxy; the environment's proxies are not used.
        keepalive_s: How long an idle connection is kept.
    """

    def __init__(
        self,
        *,
        max_connections: int | None = None,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        keepalive_s: float = 15.0,
    ) -> None:
        self._max_connections = max_connections
        self._ssl_context = ssl_context
        self._proxy = proxy
        self._keepalive_s = keepalive_s
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session: aiohttp.ClientSession | None = None
        self._slots: asyncio.Semaphore | None = None
        self._open: set[AiohttpResponse] = set()
        self._drains: set[asyncio.Task[None]] = set()
        self._sweep: asyncio.TimerHandle | None = None

    @property
    def open_responses(self) -> int:
        """How many responses are neither released nor aborted."""
        return len(self._open)

    async def send(self, request: Request, *, connect_s: float, pool_s: float) -> AiohttpResponse:
        """Send *request* and wait for the head of the response."""
        session = self._session_of_this_loop()
        await self._take_slot(pool_s)
        try:
            response = await self._send_on_good_connection(session, request, connect_s)
        except BaseException:
            self._free_slot()
            raise
        self._open.add(response)
        self._start_sweeping()
        return response

    async def aclose(self) -> None:
        """Abort every open response, then close every connection."""
        self._closed = True
        # Responses first: session.close() would strand a reader for ever (trap 2).
        for response in list(self._open):
            response.abort()
        for drain in list(self._drains):
            drain.cancel()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    # --- sending ---------------------------------------------------------------------------------------------------

    async def _send_on_good_connection(
        self, session: aiohttp.ClientSession, request: Request, connect_s: float
    ) -> AiohttpResponse:
        sending = _Sending()
        while True:
            try:
                return AiohttpResponse(await self._post(session, request, connect_s, sending), self)
            except _StaleConnection:
                continue  # it is closed now, so this ends with a fresh connection at the latest
            except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as exc:
                failure = self._failure_of(exc, request, sending)
            # Raised out here, because aiohttp's frames hold the headers, and with them the key: nothing of them may
            # hang on an error as its cause, its context or its traceback.
            if failure is not None:
                raise failure

    def _failure_of(self, exc: Exception, request: Request, sending: _Sending) -> SendError | None:
        """What the user is told; None if the request shall go out again on a fresh connection."""
        if self._closed:
            return SendError(_client_closed(), Cause.FINAL)
        broke = isinstance(exc, (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError))
        if broke and sending.reused and not sending.fresh_only and not isinstance(exc, aiohttp.ClientConnectorError):
            # The server closed an idle connection while we were sending on it: not the fault of the request.
            sending.fresh_only = True
            return None
        return SendError(*_error_and_cause(exc, URL(request.url, encoded=True).host or "the server"))

    async def _post(
        self, session: aiohttp.ClientSession, request: Request, connect_s: float, sending: _Sending
    ) -> aiohttp.ClientResponse:
        connect = None if math.isinf(connect_s) else connect_s
        token = _sending.set(sending)
        try:
            return await session.request(
                request.method,
                URL(request.url, encoded=True),
                data=request.body,
                headers=CIMultiDict(request.headers),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=connect, sock_read=None),
                proxy=self._proxy,
            )
        finally:
            _sending.reset(token)

    def _session_of_this_loop(self) -> aiohttp.ClientSession:
        if self._closed:
            raise SendError(_client_closed(), Cause.FINAL)
        loop = asyncio.get_running_loop()
        if self._session is not None and self._loop is loop:
            return self._session
        if self._loop is not None and self._loop is not loop and not self._loop.is_closed():
            error = ConfigurationError(
                "this client is in use by another event loop that still runs",
                hint="make one client per event loop",
            )
            raise SendError(error, Cause.FINAL)
        # The first request, or the first of a new loop after the old one was closed with everything on it.
        self._loop = loop
        self._open.clear()
        self._drains.clear()
        self._sweep = None
        self._slots = None if self._max_connections is None else asyncio.Semaphore(self._max_connections)
        self._session = self._new_session()
        return self._session

    def _new_session(self) -> aiohttp.ClientSession:
        trust = True if self._ssl_context is None else self._ssl_context
        connector = _Connector(keepalive_timeout=self._keepalive_s, ssl=trust)
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            request_class=_CheckedRequest,
            read_bufsize=READ_BUFFER_BYTES,
            trust_env=False,
        )

    # --- slots -----------------------------------------------------------------------------------------------------

    async def _take_slot(self, pool_s: float) -> None:
        if self._slots is None:
            return
        try:
            async with asyncio.timeout(None if math.isinf(pool_s) else pool_s):
                await self._slots.acquire()
        except TimeoutError:
            error = PoolTimeoutError(
                f"no connection became free within {pool_s:g} s: {len(self._open)} responses are open, "
                f"max_connections={self._max_connections}",
                phase="pool",
                timeout_s=pool_s,
            )
            raise SendError(error, Cause.FINAL) from None

    def _free_slot(self) -> None:
        if self._slots is not None:
            self._slots.release()

    # --- ends of responses -----------------------------------------------------------------------------------------

    def forget(self, response: AiohttpResponse) -> None:
        """Free the slot of a response that has ended."""
        if response in self._open:
            self._open.remove(response)
            self._free_slot()
        if not self._open and self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    def drain(self, response: AiohttpResponse) -> None:
        """Read what little may be left of *response* in the background, so that its connection is reused (trap 17)."""
        if self._closed or self._loop is None or self._loop.is_closed():
            response.abort()
            return
        task = self._loop.create_task(response.drain(), name="opeai_async drain")
        self._drains.add(task)
        task.add_done_callback(self._drains.discard)

    def _start_sweeping(self) -> None:
        if self._sweep is None and self._loop is not None:
            self._sweep = self._loop.call_later(SWEEP_S, self._sweep_stranded)

    def _sweep_stranded(self) -> None:
        """Wake readers whom aiohttp forgot: a bad chunk size closes the connection, but tells nobody (trap 1)."""
        self._sweep = None
        for response in self._open:
            response.wake_if_stranded()
        if self._open:
            self._start_sweeping()


class AiohttpResponse:
    """An open response."""

    __slots__ = ("_content", "_ended", "_error", "_head", "_raw", "_transport")

    def __init__(self, raw: aiohttp.ClientResponse, transport: AiohttpTransport) -> None:
        self._raw = raw
        self._content = raw.content
        self._transport = transport
        self._head = ResponseHead(raw.status, raw.url.host or "", _headers_of(raw))
        self._error: BodyError | None = None
        self._ended = False

    @property
    def head(self) -> ResponseHead:
        """Status and headers."""
        return self._head

    def read_nowait(self) -> bytes:
        """All that has arrived and was not read yet; ``b""`` if that is nothing."""
        if self._error is not None:
            raise self._error
        try:
            return self._content.read_nowait()
        except (aiohttp.ClientError, OSError, RuntimeError) as exc:
            return self._rescued(exc)

    async def read(self) -> bytes:
        """All that has arrived and was not read yet, at least one byte; ``b""`` at the end of the body."""
        if self._error is not None:
            raise self._error
        try:
            return await self._content.readany()
        except (aiohttp.ClientError, OSError, RuntimeError) as exc:
            return self._rescued(exc)

    def _rescued(self, exc: Exception) -> bytes:
        """The bytes that had arrived when the body broke off; the error comes with the next read (trap 5)."""
        if self._error is None:
            self._error = BodyError(_why_broken(exc))
        self._content.set_exception(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        rescued = b"" if self._ended else self._content.read_nowait()
        self._content.set_exception(self._error)
        if not rescued:
            raise self._error from exc
        return rescued

    def release(self) -> None:
        """End the response, keeping its connection for reuse if the rest of the body arrives soon."""
        if self._ended:
            return
        if self._content.is_eof():
            self._ended = True
            self._raw.release()
            self._transport.forget(self)
        else:
            self._transport.drain(self)

    def abort(self) -> None:
        """Close the connection now, waking a waiting read."""
        if self._ended:
            return
        self._ended = True
        self._raw.close()
        self._transport.forget(self)

    async def drain(self) -> None:
        """Read to the end of the body within ``DRAIN_S`` and ``DRAIN_BYTES``, then release; else abort."""
        left = DRAIN_BYTES
        try:
            async with asyncio.timeout(DRAIN_S):
                while left > 0 and not self._content.is_eof():
                    left -= len(await self.read())
            if self._content.is_eof():
                self.release()
        except (TimeoutError, BodyError):
            pass
        finally:
            self.abort()

    def wake_if_stranded(self) -> None:
        """Tell a waiting read that its connection is gone, if aiohttp did not (trap 1; C parser of 3.14.5)."""
        connection = self._raw.connection
        if connection is None or self._content.is_eof() or self._content.exception() is not None:
            return
        protocol = connection.protocol
        if protocol is None or not protocol.is_connected():
            self._content.set_exception(aiohttp.ClientPayloadError("the chunked framing of the body is malformed"))


class _Sending:
    """What is learned about one request while aiohttp sends it."""

    __slots__ = ("fresh_only", "reused")

    def __init__(self) -> None:
        self.reused = False
        self.fresh_only = False


_sending: ContextVar[_Sending] = ContextVar("opeai_async_sending")
_used_before: WeakSet[ResponseHandler] = WeakSet()


class _StaleConnection(Exception):
    """A pooled connection that must not be used."""


class _CheckedRequest(ClientRequest):
    """Refuses a pooled connection on which the server has spoken out of turn.

    aiohttp would give that answer to the next request, of another user perhaps (trap 4, aiohttp#13656; seen on
    3.14.5, to be dropped when the connector checks ``should_close`` as it hands a connection out).
    """

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        protocol, sending = conn.protocol, _sending.get()
        sending.reused = protocol in _used_before
        if protocol is None or (sending.reused and (protocol.should_close or sending.fresh_only)):
            raise _StaleConnection
        _used_before.add(protocol)
        return await super().send(conn)


class _Connector(aiohttp.TCPConnector):
    """Makes at most ``MAX_CONCURRENT_CONNECTS`` connections at a time.

    At 5,000 streams this halves the time to first byte.

    ``_create_connection`` is no public method; if a later aiohttp stops calling it, only the bound is gone.
    """

    def __init__(self, *, keepalive_timeout: float, ssl: ssl.SSLContext | bool) -> None:
        super().__init__(limit=0, limit_per_host=0, keepalive_timeout=keepalive_timeout, ssl=ssl)
        self._connects = asyncio.Semaphore(MAX_CONCURRENT_CONNECTS)

    async def _create_connection(self, *args: Any, **kwargs: Any) -> ResponseHandler:
        async with self._connects:
            return await super()._create_connection(*args, **kwargs)


def _headers_of(raw: aiohttp.ClientResponse) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in raw.headers.items():
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


def _client_closed() -> ClientClosedError:
    return ClientClosedError("the client is closed", hint="make a new client, or keep this one open for longer")


def _why_broken(exc: Exception) -> str:
    if isinstance(exc, aiohttp.ClientPayloadError):
        return f"the body was cut before its end ({exc})"
    if isinstance(exc, aiohttp.ServerDisconnectedError):
        return "the server closed the connection"
    return f"the connection broke ({exc})" if str(exc) else f"the connection broke ({type(exc).__name__})"


def _error_and_cause(exc: Exception, host: str) -> tuple[OpeAIError, Cause]:
    number = getattr(exc, "errno", None)
    if isinstance(exc, (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError, ssl.SSLError)):
        return TLSError(f"no trusted TLS connection to {host}: {_reason(exc)}"), Cause.FINAL
    if isinstance(exc, aiohttp.ServerTimeoutError):
        return APITimeoutError(f"no connection to {host} in time", phase="connect"), Cause.NOT_SENT
    if number in _LOCAL_ERRNOS:
        return LocalResourceError(f"no connection to {host}: {_reason(exc)}"), Cause.FINAL
    if isinstance(exc, aiohttp.ClientConnectorError):
        return APIConnectionError(f"no connection to {host}: {_reason(exc)}"), Cause.NOT_SENT
    if isinstance(exc, aiohttp.ClientHttpProxyError):
        return APIConnectionError(f"the proxy refused to connect to {host}: HTTP {exc.status}"), Cause.FINAL
    if isinstance(exc, aiohttp.ClientResponseError):
        return InvalidResponseError(f"{host} answered with malformed HTTP: {_first_line(exc.message)}"), Cause.FINAL
    if isinstance(exc, (aiohttp.InvalidURL, ValueError)):
        return ConfigurationError(f"the request to {host} cannot be sent: {type(exc).__name__}"), Cause.FINAL
    if isinstance(exc, aiohttp.ServerDisconnectedError):
        return APIConnectionError(f"{host} closed the connection before it answered"), Cause.AMBIGUOUS
    return APIConnectionError(f"the connection to {host} broke before it answered: {_reason(exc)}"), Cause.AMBIGUOUS


def _reason(exc: Exception) -> str:
    inner = getattr(exc, "os_error", None) or getattr(exc, "certificate_error", None) or exc
    return _first_line(getattr(inner, "strerror", None) or str(inner) or type(inner).__name__)


def _first_line(text: str) -> str:
    return redact(text.partition("\n")[0][:300])
