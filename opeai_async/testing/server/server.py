"""A real OpenAI-compatible server on loopback; one line of a test says what it answers.

Requests are checked as the real API checks them (`validate`). One that passes takes the next answer of the `queue`,
else asks the handler given to `handle`, else gets the default answer (`answers`); `player` sends it. Everything that
is received is recorded.

The server lives on the event loop that started it. With ``async with`` that is the caller's; with a plain ``with`` it
is a loop in a thread of its own, so that it answers even while the caller blocks. The scripting methods may be called
from any thread, the waiting methods awaited on any asyncio loop.

Closing never waits for clients: the sockets go first, then the handlers, which aiohttp cancels when their connection is
lost, and nothing is left when `aclose` returns.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar

from aiohttp import web

from opeai_async._io.loops import LoopThread, running_loop
from opeai_async.testing.script.compose import Envelope
from opeai_async.testing.script.queue import AnswerQueue
from opeai_async.testing.script.reply import Answer, error_body
from opeai_async.testing.server import answers, validate
from opeai_async.testing.server.connections import ConnectionLedger
from opeai_async.testing.server.listening import stop_accepting
from opeai_async.testing.server.player import Player
from opeai_async.testing.server.record import Headers, RecordedRequest
from opeai_async.vendors import PARAMETERS

if TYPE_CHECKING:
    from opeai_async import AsyncOpeAI

T = TypeVar("T")

Handler: TypeAlias = Callable[[RecordedRequest], Awaitable[Answer | None]]
"""A coroutine function that decides what to answer to a request; None asks for the default answer."""

DEFAULT_API_KEY = "sk-test"

_MAX_BODY_BYTES = 64 * 1024 * 1024
_BACKLOG = 4096


class OpeAIServer(AnswerQueue):
    """The server; ``async with OpeAIServer() as server`` runs it here, ``with`` in a thread of its own.

    Args:
        host: Address to listen on.
        port: TCP port; 0 lets the system choose, see `base_url`.
        api_key: The one key that is accepted; None accepts any key, but wants one.
        token_delay_s: Seconds between two chunks of a stream, for replies that do not say.
        validate: True to check the fields of a request as the real API does; False accepts any JSON object.

    Attributes:
        requests: The requests that were received, in order.
        validate: The argument of that name; it may be set at any time.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str | None = DEFAULT_API_KEY,
        token_delay_s: float = 0.0,
        validate: bool = True,
    ) -> None:
        super().__init__()
        self.requests: list[RecordedRequest] = []
        self._host = host
        self._port = port
        self._api_key = api_key
        self._token_delay_s = token_delay_s
        self.validate: bool = validate
        # Fields and types of content parts that are accepted beside the API's own.
        self._allowed: set[str] = set(PARAMETERS)
        # Decides when the queue is empty; None for the default answers.
        self._handler: Handler | None = None
        # Kept after the end, so that a client can be shown what it is like when nobody answers any more.
        self._address: tuple[str, int] | None = None
        # The loop that it lives on; None before the start.
        self._loop: asyncio.AbstractEventLoop | None = None
        # None before the start and after the end.
        self._listener: asyncio.Server | None = None
        self._ledger: ConnectionLedger | None = None
        # Set, and replaced, at each change: a request, a connection, an end.
        self._change = asyncio.Event()
        # Ends the server and the thread that it runs in, if ``with`` started them.
        self._thread = ExitStack()

    def allow(self, *names: str) -> None:
        """Accept fields of a request, or types of content parts, that the API does not have.

        Those of known vendors are always accepted, see ``opeai_async.vendors``.
        """
        self._allowed.update(names)

    # --- lifetime ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen on the running event loop; do nothing if it listens already."""
        if self._listener is not None:
            return
        self._loop = running_loop()
        self._ledger = ConnectionLedger(self._serve, self._notify)
        self._listener = await self._loop.create_server(self._ledger, self._host, self._port, backlog=_BACKLOG)
        self._address = self._listener.sockets[0].getsockname()[:2]

    async def aclose(self) -> None:
        """Stop listening, close every connection and cancel what is being answered. May be called again."""
        listener, self._listener = self._listener, None
        if listener is not None and self._ledger is not None:
            await self._at_home(self._shut(listener, self._ledger))

    async def _shut(self, listener: asyncio.Server, ledger: ConnectionLedger) -> None:
        try:
            await stop_accepting(listener)
        finally:
            await ledger.abort_all()
            self._notify()

    async def serve_forever(self) -> None:
        """Listen until cancelled, or until `aclose` is called elsewhere."""
        async with self:
            while self._listener is not None:
                await self._change.wait()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            portal = stack.enter_context(LoopThread("opeai_async testing server"))
            portal.call(self.start)
            stack.callback(portal.call, self.aclose)
            self._thread = stack.pop_all()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._thread.close()

    # --- what clients need to know ------------------------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        """The address, ``http://127.0.0.1:PORT/v1``; after `aclose`, nobody answers there.

        Raises:
            RuntimeError: If the server was never started.
        """
        if self._address is None:
            raise RuntimeError("the server has no address yet; start it with `async with OpeAIServer() as server`")
        host, port = self._address
        return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"

    @property
    def api_key(self) -> str:
        """A key that is accepted."""
        return DEFAULT_API_KEY if self._api_key is None else self._api_key

    def client(self, **options: Any) -> AsyncOpeAI:
        """Return a client of this server; *options* go to `AsyncOpeAI`. The caller closes it."""
        from opeai_async import AsyncOpeAI

        defaults: dict[str, Any] = {"api_key": self.api_key, "base_url": self.base_url}
        return AsyncOpeAI(**(defaults | options))

    def handle(self, handler: Handler | None) -> None:
        """Let *handler* decide about every request that finds the queue empty; None restores the default answers.

        It is awaited on the server's loop. An error that it raises becomes a 500, and the request's ``error``.
        """
        self._handler = handler

    # --- what tests want to know --------------------------------------------------------------------------------------

    @property
    def connections_open(self) -> int:
        """The number of TCP connections that are open now."""
        return 0 if self._ledger is None else self._ledger.open_count

    @property
    def connections_total(self) -> int:
        """The number of TCP connections that were accepted since the start."""
        return 0 if self._ledger is None else self._ledger.total

    async def wait_received(self, count: int = 1, *, timeout_s: float = 5.0) -> RecordedRequest:
        """Wait for the request number *count*, from 1, and return it.

        Raises:
            TimeoutError: After *timeout_s* seconds.
        """
        await self._wait_until(lambda: len(self.requests) >= count, f"request number {count}", timeout_s)
        return self.requests[count - 1]

    async def wait_closed(self, request: RecordedRequest | int = -1, *, timeout_s: float = 5.0) -> RecordedRequest:
        """Wait until the exchange of a request is over, and return it; see its ``outcome`` and ``ended_s``.

        Args:
            request: The request, or its place in `requests`; by default the last one received so far.
            timeout_s: Seconds to wait, also for the request to arrive.

        Raises:
            TimeoutError: After *timeout_s* seconds.
        """

        def found() -> RecordedRequest | None:
            if isinstance(request, RecordedRequest):
                return request
            is_there = -len(self.requests) <= request < len(self.requests)
            return self.requests[request] if is_there else None

        def is_over() -> bool:
            record = found()
            return record is not None and record.is_over

        await self._wait_until(is_over, f"the end of request {request}", timeout_s)
        record = found()
        assert record is not None
        return record

    async def wait_disconnected(self, *, timeout_s: float = 5.0) -> None:
        """Wait until no connection is open.

        Raises:
            TimeoutError: After *timeout_s* seconds.
        """
        await self._wait_until(lambda: self.connections_open == 0, "the last connection to close", timeout_s)

    def __repr__(self) -> str:
        where = "not started" if self._address is None else self.base_url
        return f"<OpeAIServer {where}: {len(self.requests)} requests, {self.connections_open} connections open>"

    async def _wait_until(self, is_so: Callable[[], bool], what: str, timeout_s: float) -> None:
        async def wait() -> None:
            async with asyncio.timeout(timeout_s):
                while not is_so():
                    await self._change.wait()

        if is_so():
            return
        try:
            await self._at_home(wait())
        except TimeoutError:
            raise TimeoutError(f"waited {timeout_s} s in vain for {what}: {self!r}") from None

    async def _at_home(self, work: Coroutine[Any, Any, T]) -> T:
        """Run *work* on the server's own loop, wherever the caller is."""
        if self._loop is None or self._loop is running_loop():
            return await work
        if self._loop.is_closed():
            work.close()
            raise RuntimeError("the event loop that the server lived on has ended")
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    def _notify(self) -> None:
        """Wake all that wait for a change."""
        # A new event each time, so that one change wakes each waiter once and need not be cleared.
        self._change.set()
        self._change = asyncio.Event()

    # --- serving ------------------------------------------------------------------------------------------------------

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; the handler that aiohttp calls."""
        record = self._record(request, await _read_body(request))
        player = Player(request, record, token_delay_s=self._token_delay_s)
        try:
            return await self._respond(record, player)
        except (asyncio.CancelledError, ConnectionError):
            # Cancelled by aiohttp, because the connection was lost: by us, if the server has stopped listening.
            record.end("client_gone" if self._listener else "server_closed")
            raise
        finally:
            self._notify()

    def _record(self, request: web.BaseRequest, body: bytes) -> RecordedRequest:
        record = RecordedRequest(
            index=len(self.requests),
            method=request.method,
            path=request.path,
            query=request.query_string,
            headers=Headers(iter(request.headers.items())),
            body=body,
            connection=0 if self._ledger is None else self._ledger.number_of(request.protocol),
        )
        self.requests.append(record)
        self._notify()
        return record

    async def _respond(self, record: RecordedRequest, player: Player) -> web.StreamResponse:
        try:
            self._check(record)
            if record.path == validate.MODELS_PATH:
                return await player.send_json(200, answers.models_body())
            envelope = Envelope(
                id=f"chatcmpl-{record.index + 1:08d}",
                created=int(time.time()),
                model=str(record.json.get("model") or answers.MODELS[-1]),
            )
            return await player.play(await self._decide(record), envelope)
        except validate.Refusal as refusal:
            return await player.send_json(refusal.status, refusal.body, refusal.headers)
        except ConnectionError:
            raise
        except Exception as exc:  # of the handler, or of an answer that cannot be encoded
            record.error = exc
            if record.status is not None:
                record.end("cut")
                raise ConnectionAbortedError("the answer failed after its head had been sent") from exc
            message = f"The testing server could not answer: {type(exc).__name__}: {exc}"
            return await player.send_json(500, error_body(message, type="server_error"))

    def _check(self, record: RecordedRequest) -> None:
        """Check the request as the real API does.

        Raises:
            validate.Refusal: If it is refused; it has the status and the body of the answer.
        """
        validate.check_route(record.method, record.path)
        validate.check_key(record.headers.get("authorization"), self._api_key)
        if record.method == "POST":
            body = validate.check_json(record.headers.get("content-type"), record.body)
            if self.validate:
                validate.check_request(body, self._allowed)

    async def _decide(self, record: RecordedRequest) -> Answer:
        answer = self.next_answer()
        if answer is None and self._handler is not None:
            answer = await self._handler(record)
        return answer or answers.default_reply(record.json)


async def _read_body(request: web.BaseRequest) -> bytes:
    """Return the whole body, or its first 64 MiB, which will not parse."""
    parts: list[bytes] = []
    size = 0
    async for data in request.content.iter_any():
        parts.append(data)
        size += len(data)
        if size > _MAX_BODY_BYTES:
            break
    return b"".join(parts)[:_MAX_BODY_BYTES]
