"""One answer, many readers: each may come late, go, and come back, here or in another process.

A *producer* reads the stream into the session's log, and outlives every reader: that a reader leaves only ends its
subscription. The upstream is closed before its end by ``stop``, by ``aclose``, by a log that is full, and by ``grace``
seconds without any reader. However it ends, the log ends with one ``done`` or ``error``; readers read from the log.
"""

from __future__ import annotations

import copy
import secrets
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, Unpack

from opeai_async._core.answer.outcome import Outcome
from opeai_async._io.loops import hold, on_loop
from opeai_async._io.observe.observers import Observers
from opeai_async._io.stream.stream import ChunkStream
from opeai_async._names.async_only import async_only
from opeai_async._public import claim
from opeai_async._relay.frames import Framed, FrameReader, FrameSource, frames_of, is_last
from opeai_async._relay.producer import Producer
from opeai_async._relay.session_log import MAX_BYTES, SessionLog
from opeai_async._relay.stores import MemoryStore, SessionStore
from opeai_async._relay.websocket import Receive, RelayOptions, RelayResult, Send, relay
from opeai_async.errors import (
    APIConnectionError,
    ConfigurationError,
    OpeAIError,
)
from opeai_async.types.common import CompletionUsage
from opeai_async.types.completion import ChatCompletion
from opeai_async.types.frames import DoneFrame, DoneReason, ErrorFrame, Frame

_OUTCOMES: dict[DoneReason, Outcome] = {
    "completed": Outcome.COMPLETE,
    "truncated": Outcome.TRUNCATED,
    "stopped": Outcome.CANCELLED,
    "cancelled": Outcome.CANCELLED,
}

_UNKNOWN = ErrorFrame(code="unknown", message="This answer is not here, or not any more.", offset=1)

_store_of_process = MemoryStore()


@async_only
class StreamSession:
    """One answer, many readers. Made by ``StreamSession.start`` and ``StreamSession.attach``.

    Attributes:
        id: The id to attach to. Anybody who knows it can read the answer, and stop it.
    """

    def __init__(self, id: str, log: SessionLog, store: SessionStore, producer: Producer | None = None) -> None:
        self.id = id
        self._log = log
        self._store = store
        self._producer = producer

    @classmethod
    def start(
        cls,
        stream: ChunkStream[Any] | FrameSource | Framed,
        *,
        id: str | None = None,
        store: SessionStore | None = None,
        grace: float | None = 30.0,
        keep: float = 300.0,
        max_bytes: int = MAX_BYTES,
    ) -> Self:
        """Start a session: a task in this event loop reads *stream* from now on, and nobody else may read it.

        You need not close it: it ends with the stream, and the store drops it *keep* seconds later.

        Args:
            stream: A stream, open or not; a run; or another source of frames.
            id: At least one character; hard to guess by default.
            store: The store in which others find it; by default a ``MemoryStore`` of this process.
            grace: Seconds without any reader, from the start on, after which the upstream is closed; None for never.
            keep: Seconds for which it can be read after its end.
            max_bytes: Limit on the size of the answer: UTF-8 bytes of text, and 128 for each piece that is kept apart.
                An answer that does not fit is closed, and ends with the error ``too_large``.

        Raises:
            ConfigurationError: If *id* is taken by a session that has not ended.
            LocalResourceError: If the store has too many sessions. Nothing was read then, and *stream* stays yours.
        """
        if id == "":
            raise ConfigurationError("the id of a session is empty")
        id = id or secrets.token_urlsafe(16)
        store = _store_of_process if store is None else store
        log = SessionLog(max_bytes=max_bytes)
        source = frames_of(stream)
        producer = Producer(source, log, grace)
        store.add(id, log, keep=keep)
        producer.start()
        return cls(id, log, store, producer)

    @classmethod
    def attach(cls, id: str, *, store: SessionStore | None = None) -> Self:
        """Attach to a session. Closing the view does not stop the session; an unknown id yields one ``error`` frame.

        Args:
            id: The id of a session that was started here, or in another process with the same store.
            store: The store it was started with; by default the ``MemoryStore`` of this process.
        """
        store = _store_of_process if store is None else store
        log = store.get(id)
        if log is None:
            log = SessionLog()
            log.append([_UNKNOWN])
        return cls(id, log, store)

    # --- reading ---------------------------------------------------------------------------------------------------

    def subscribe(self, after: int = 0) -> Subscription:
        """Add a reader: it gets all frames beyond the offset *after*, first those that are here, then each new one.

        Args:
            after: The ``offset`` of the last frame that it has seen. It may lie anywhere, also inside of what is one
                frame here: nothing is lost and nothing comes twice, except the last frame, which always comes.
        """
        return Subscription(self._log, self._request_stop, after)

    async def relay(
        self, send: Send, receive: Receive | None = None, *, after: int = 0, **options: Unpack[RelayOptions]
    ) -> RelayResult:
        """Send the answer from *after* on to a client, such as a browser at a websocket, and return how it went.

        A client that asks to stop ends the session; one that leaves ends only its own subscription. See
        `opeai_async.relay` for the options and the errors.

        Args:
            send: Such as ``ws.send_text`` or ``ws.send_str``.
            receive: Such as ``ws.receive_text`` or ``ws.receive``.
            after: The ``offset`` of the last frame that the client has seen.
        """
        return await relay(self.subscribe(after), send, receive, **options)

    async def completion(self) -> ChatCompletion:
        """Wait for the end, and return the whole message with its usage. This does not count as a reader.

        Raises:
            OpeAIError: The error that ended the answer.
            ConfigurationError: If the answer is read in another process.
        """
        origin = self._log.origin
        if origin is None:
            raise ConfigurationError("the message is not known here", hint="ask where the session was started")
        await self._log.ended()
        if origin.error is not None:
            raise copy.copy(origin.error)
        if origin.completion is None:
            raise ConfigurationError("the source of this session knows no message")
        return origin.completion

    # --- ending ----------------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """End the answer, with what there is and ``done``/``stopped``; do nothing if it has ended.

        In the process that reads the answer, this returns when it has ended; elsewhere, when the wish is passed on.
        """
        origin = self._log.origin
        if origin is None:
            if self._log.last is None:
                await self._store.stop(self.id)
            return
        origin.stop()
        await self._log.ended()

    def _request_stop(self) -> None:
        origin = self._log.origin
        if origin is not None:
            origin.stop()
        elif self._log.last is None:
            hold(self._log.loop.create_task(self._stop_elsewhere()))

    async def _stop_elsewhere(self) -> None:
        try:
            await self._store.stop(self.id)
        except APIConnectionError:
            pass  # the answer continues, as its readers see

    async def aclose(self) -> None:
        """End the answer if it was started by this object, with ``done``/``cancelled``; what was read stays readable.

        It waits until other processes know that too, or until it is clear that they cannot soon. May be called again.
        """
        if self._producer is not None:
            await self._producer.aclose()
            await self._store.settle(self.id)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    # --- what is known ---------------------------------------------------------------------------------------------

    @property
    def offset(self) -> int:
        """The position in the answer after all frames that are here."""
        return self._log.offset

    @property
    def last(self) -> DoneFrame | ErrorFrame | None:
        """The frame that ended the answer; None until then."""
        return self._log.last

    @property
    def outcome(self) -> Outcome:
        """The way the answer ended; ``Outcome.OPEN`` until then."""
        last = self._log.last
        if last is None:
            return Outcome.OPEN
        return _OUTCOMES[last.reason] if isinstance(last, DoneFrame) else Outcome.FAILED

    @property
    def store_error(self) -> APIConnectionError | None:
        """The reason why the store fails: other processes do not see this answer, or theirs does not come here.

        None while the store works, as a ``MemoryStore`` always does. The answer itself is not touched: readers in the
        process that reads it miss nothing. The message and the hint are in our own words, without a password, a URL or
        the text of an answer.
        """
        return self._log.store_error

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.outcome.value}, offset {self.offset}>"


@async_only
class Subscription(FrameReader):
    """The frames of a session for one reader, from an offset on; a ``FrameSource``.

    It counts as a reader until it is closed, has given the last frame, or is dropped.
    """

    # For ``__del__``, where ``__init__`` has failed.
    _is_reader = False

    def __init__(self, log: SessionLog, request_stop: Callable[[], None], after: int) -> None:
        self._log = log
        self._request_stop = request_stop
        self._offset = max(after, 0)
        self._is_reader = True
        log.enter()

    async def read(self) -> list[Frame]:
        """Wait for a frame, and return all that are there; empty after the last, and after ``aclose``.

        Raises:
            ConfigurationError: If the session belongs to another event loop.
        """
        if not self._is_reader:
            return []
        frames = await self._log.read(self._offset)
        self._offset = max(self._offset, frames[-1].offset)
        if is_last(frames[-1]):
            self._leave()
        return frames

    def stop(self) -> None:
        """Stop the session, for all its readers; it ends soon, with what there is and ``done``."""
        self._request_stop()

    async def aclose(self) -> None:
        """End this subscription; the session continues. May be called again."""
        self._leave()

    def _leave(self) -> None:
        if self._is_reader:
            self._is_reader = False
            on_loop(self._log.loop, self._log.leave)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        self._leave()

    @property
    def completion(self) -> ChatCompletion | None:
        """The message so far, which may be more than was read here; None if the answer is read in another process."""
        return self._log.origin.completion if self._log.origin is not None else None

    @property
    def usage(self) -> CompletionUsage | None:
        """Token counts, once they are known."""
        last = self._log.last
        if isinstance(last, DoneFrame):
            return last.usage
        return self._log.origin.usage if self._log.origin is not None else None

    @property
    def observed(self) -> tuple[Observers, str] | None:
        """The observers of the answer's call, and its name; None if that is in another process."""
        return getattr(self._log.origin, "observed", None)

    @property
    def error(self) -> OpeAIError | None:
        """The error that ended the answer; None if there was none, or it is not known here."""
        return self._log.origin.error if self._log.origin is not None else None

    @property
    def chunks(self) -> int:
        """The number of chunks that were read for the session; 0 if another process reads them."""
        return self._log.origin.chunks if self._log.origin is not None else 0

    @property
    def offset(self) -> int:
        """The position in the answer after what was read."""
        return self._offset


claim(__name__)
