"""The relay: sends an answer to a client at a websocket as it comes, and stops reading it when the client has gone.

One task, the *pump*, reads all frames that are there, sends them, and then sleeps until ``window`` after they came
without reading. What arrives meanwhile waits in the operating system, and one wake-up brings all of it as one frame. So
the first token goes out at once, as does any after a silence; a burst costs one frame per window; and a client that
reads slowly slows down the model's server instead of filling memory, because nothing is read while a send waits.

Another task, the *watcher*, waits for what the client says, from before the request is sent. The caller's own task
looks after both::

    pump       read -> send each frame -> sleep -> read ...    ends with the last frame, or with the client
    watcher    receive -> stop the source, or keep it          ends with the client, or with a full inbox
    caller     sleeps until one ends, a heartbeat is due, or a send takes too long

So no frame costs a timer. Whatever happens, the caller's task closes the upstream first, and returns when both tasks
have ended.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypedDict, TypeGuard

from opeai_async._core.frames.encoders import FrameEncoder, Message, encode_json, encode_text
from opeai_async._core.frames.inbound import is_gone, is_stop, size_of
from opeai_async._core.policy.checks import checked_flag, checked_function, checked_number
from opeai_async._io.loops import running_loop
from opeai_async._io.observe.observers import Observers
from opeai_async._io.stream.stream import ChunkStream
from opeai_async._public import claim
from opeai_async._relay import draining
from opeai_async._relay.frames import Framed, FrameSource, StreamFrames, frames_of, is_last
from opeai_async.errors import ConfigurationError
from opeai_async.types.common import CompletionUsage
from opeai_async.types.completion import ChatCompletion
from opeai_async.types.frames import DoneFrame, Frame, PingFrame, StartFrame
from opeai_async.types.meta import StreamTiming
from opeai_async.types.records import RelayRecord

Send: TypeAlias = Callable[[Any], Awaitable[object]]
Receive: TypeAlias = Callable[[], Awaitable[Any]]
RelayReason = Literal["completed", "stopped", "disconnected", "slow", "error", "truncated", "cancelled"]
OnDisconnect = Literal["abort", "drain"]
_Task: TypeAlias = "asyncio.Task[RelayReason | None]"

# Twenty frames a second read as a flow. benchmarks/relay/relay.py says what a shorter window costs.
WINDOW_S = 0.05
SEND_TIMEOUT_S = 20.0
HEARTBEAT_S = 15.0
DRAIN_TIMEOUT_S = 30.0

# A client may send much that nobody asked for. Beyond this, nothing more is received, so it has to wait.
MAX_INBOX_SIZE = 1024 * 1024
_SIZE_OF_ANY_MESSAGE = 256
# After so much in one read, the next read finds more, so a pause would gather nothing.
_GATHERED_BYTES = 16 * 1024
_WATCHER = "opeai_async relay watcher"

# These mean that a function was called wrongly, and never that a client has gone. Exactly these classes: aiohttp
# reports a closed socket by a subclass of TypeError.
_MISTAKES = frozenset(
    {TypeError, AttributeError, NameError, UnboundLocalError, NotImplementedError, ConfigurationError}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayTiming:
    """The times of a relay, in seconds from the call of ``relay``.

    Attributes:
        first_frame_s: The time at which the first frame was sent; None if none was.
        total_s: The time at which the relay ended.
        sending_s: The part of it that was spent in ``send``.
        stream: The times of the stream itself; None if the frames came from elsewhere.
    """

    first_frame_s: float | None
    total_s: float
    sending_s: float
    stream: StreamTiming | None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RelayResult:
    """The result of a relay: how it ended, and the answer as far as it is known.

    Attributes:
        reason: ``"completed"``, ``"truncated"`` or ``"cancelled"`` (by ``stream.cancel()``): all was handed to
            ``send``, and the answer ended so. ``"stopped"``: the client asked for it. ``"disconnected"``: the client
            left before it was sent the end. ``"slow"``: one send took longer than ``send_timeout``. ``"error"``: an
            error ended the answer, and the client was sent it.
        completion: The message, whole or as far as it was read; None if nothing came.
        usage: Token counts; None if they did not come.
        frames: The number of frames that were sent, without pings.
        chunks: The number of chunks of the stream that were read.
        bytes: The number of bytes that were sent, as text or bytes, with pings.
        inbox: The messages of the client, except ``stop``, in order and as they were received.
        error: The error that ended the answer, or the one by which ``send`` or ``receive`` said that the client has
            gone; None if there was none.
        timing: The times of the relay.
    """

    reason: RelayReason
    completion: ChatCompletion | None
    usage: CompletionUsage | None
    frames: int
    chunks: int
    bytes: int
    inbox: list[Any]
    error: Exception | None
    timing: RelayTiming

    def __repr__(self) -> str:
        error = "" if self.error is None else f", {type(self.error).__name__}"
        return (
            f"<RelayResult {self.reason}: {self.chunks} chunks as {self.frames} frames, {self.bytes} bytes, "
            f"{len(self.inbox)} in the inbox{error}>"
        )


class RelayOptions(TypedDict, total=False):
    """The options of a relay, as keyword arguments; `relay` says more of each.

    Attributes:
        window: Seconds in which tokens are gathered into one frame; the first is sent at once.
        send_timeout: Seconds that one send may take; None for no limit.
        heartbeat: Seconds of silence after which a ``ping`` frame is sent; None for none.
        on_disconnect: What becomes of the stream when the client has left: ``"abort"`` or ``"drain"``.
        drain_timeout: Seconds that a drain may take.
        is_stop: A function that tells whether a message of the client says stop.
        encode: A function that makes messages of a frame, such as ``UIMessageEncoder()``.
        text_only: True to send only the text of choice 0.
    """

    window: float
    send_timeout: float | None
    heartbeat: float | None
    on_disconnect: OnDisconnect
    drain_timeout: float
    is_stop: Callable[[Any], bool]
    encode: FrameEncoder
    text_only: bool


async def relay(
    source: FrameSource | ChunkStream[Any] | Framed,
    send: Send,
    receive: Receive | None = None,
    *,
    window: float = WINDOW_S,
    send_timeout: float | None = SEND_TIMEOUT_S,
    heartbeat: float | None = HEARTBEAT_S,
    on_disconnect: OnDisconnect = "abort",
    drain_timeout: float = DRAIN_TIMEOUT_S,
    is_stop: Callable[[Any], bool] = is_stop,
    encode: FrameEncoder = encode_json,
    text_only: bool = False,
) -> RelayResult:
    """Send an answer to a client, until its end or until the client has gone, and return how it went.

    Frames are sent as JSON (see `opeai_async.types.frames`); the last one is ``done`` or ``error``. Afterwards the
    stream is at its end or closed, no send or receive is pending, and the socket is open unless the client closed it.

    Args:
        source: A stream, open or not; a run; or any ``FrameSource``, such as a subscription to a session.
        send: Coroutine function that sends one message, such as ``ws.send_text`` or ``ws.send_str``. An error of it
            means that the client has gone.
        receive: Coroutine function that waits for one message, such as ``ws.receive_text`` or ``ws.receive``. An error
            of it means that the client has gone; so do None, the ``websocket.disconnect`` of ASGI, and the CLOSE of
            aiohttp. If it is cancelled, it must lose no message (``asyncio.Queue.get`` is an example). Nobody else may
            receive meanwhile. Without it, only a send can find out that the client has gone.
        window: Seconds between two frames in which tokens are gathered; the first token, and any after a silence,
            goes out at once.
        send_timeout: Seconds that one send may take; None for no limit.
        heartbeat: Seconds without a frame after which a ``ping`` is sent; None for never.
        on_disconnect: ``"abort"`` closes the stream when the client has gone or is too slow. ``"drain"`` reads on
            without sending, to get the whole answer and its usage.
        drain_timeout: Seconds for which ``"drain"`` reads on.
        is_stop: Function that tells whether a message, as it was received, asks to stop. By default: the text ``stop``,
            or a JSON object whose ``type`` is ``"stop"``, as text, bytes or dict.
        encode: Function that makes the messages of a frame: one, a list of them, or None.
        text_only: True to send only the text of choice 0, without JSON, start, end and pings.

    Raises:
        ConfigurationError: If an argument cannot be used.
        ConcurrentReadError: If another task reads the stream.
        Exception: A ``TypeError``, ``AttributeError`` or ``NameError`` of ``send`` or ``receive``, and whatever
            ``encode`` or ``is_stop`` raises; the stream is closed then.
    """
    if checked_flag("text_only", text_only):
        if encode is not encode_json:
            raise ConfigurationError("text_only and encode were both given, expected one of them")
        encode = encode_text
    if on_disconnect not in ("abort", "drain"):
        raise ConfigurationError(f"on_disconnect is {on_disconnect!r}, expected 'abort' or 'drain'")
    checked_number("window", window, unit="seconds", or_zero=True)
    checked_number("send_timeout", send_timeout, unit="seconds", or_none=True)
    checked_number("heartbeat", heartbeat, unit="seconds", or_none=True)
    checked_number("drain_timeout", drain_timeout, unit="seconds", or_zero=True)
    checked_function("is_stop", is_stop)
    checked_function("encode", encode)
    return await _Relay(
        frames_of(source),
        send,
        receive,
        _Options(
            window=window,
            send_timeout=math.inf if send_timeout is None else send_timeout,
            heartbeat=math.inf if heartbeat is None else heartbeat,
            drain_timeout=drain_timeout if on_disconnect == "drain" else 0.0,
            is_stop=is_stop,
            encode=encode,
        ),
    ).run()


class _Gone(Exception):
    """The client has gone.

    Attributes:
        error: The exception of ``send`` or ``receive`` that said so; None if a message did.
    """

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__(error)
        # Its traceback leads back to the stream, which would live for as long as the result does.
        self.error = None if error is None else error.with_traceback(None)


@dataclass(slots=True)
class _Tally:
    """Counts of what was sent, for the result.

    Attributes:
        frames: Frames, without pings.
        bytes: Bytes, with pings.
        first_frame_at: The loop time at which the first frame was sent; None until then.
        sending_s: Seconds that were spent in ``send``.
    """

    frames: int = 0
    bytes: int = 0
    first_frame_at: float | None = None
    sending_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    """The options of ``relay``, with every limit as a number of seconds: ``math.inf`` for none, 0 to drain nothing."""

    window: float
    send_timeout: float
    heartbeat: float
    drain_timeout: float
    is_stop: Callable[[Any], bool]
    encode: FrameEncoder


class _Relay:
    """One answer on its way to one client."""

    def __init__(self, source: FrameSource, send: Send, receive: Receive | None, options: _Options) -> None:
        # As `relay` was given them; ``_receive`` is None where only a send can find out that the client has gone.
        self._source = source
        self._send = send
        self._receive = receive
        self._options = options
        # ``loop`` is for `draining`, which counts the senders of a loop.
        self.loop = self._loop = running_loop()
        # The pump, the watcher and perhaps a ping.
        self._running: set[_Task] = set()
        # A ping must not go out between two messages of one frame.
        self._one_at_a_time = asyncio.Lock()
        # Loop times: of the call, of the end of the last send, and of the beginning of the present one (None: no send).
        self._started_at = self._sent_at = self._loop.time()
        self._sending_since: float | None = None
        # The offset of the last frame that was sent, which a ping repeats.
        self._offset = source.offset
        # True once the last frame was read from the source: then there is nothing to drain.
        self._is_read = False
        # How the answer ended, once the last frame is being sent; None until then, and again if that send fails.
        self._told: RelayReason | None = None
        # True once the end has begun: a watcher that is just between two messages takes no more.
        self._is_over = False
        # What was sent so far.
        self._tally = _Tally()
        # What the client said, except stop, and its estimated size in bytes.
        self._inbox: list[Any] = []
        self._inbox_size = 0
        # The exception by which the client has gone; None if a message said so, or it is there.
        self._error: Exception | None = None

    async def run(self) -> RelayResult:
        """Relay to the end, and return how it went."""
        draining.began(self)
        reason: RelayReason | None = None
        try:
            reason = ended = await self._until_end()
            if reason in ("disconnected", "slow") and self._options.drain_timeout > 0 and not self._is_read:
                await self._drain()
        finally:
            draining.ended(self)
            try:
                await self._end()
            finally:
                self._tell_end(reason)
        return self._result(ended)

    def _tell_end(self, reason: RelayReason | None) -> None:
        """Tell the observers of the answer's call how the relay went."""
        observed: tuple[Observers, str] | None = getattr(self._source, "observed", None)
        if observed is None or not observed[0]:
            return
        observers, call_id = observed
        tally = self._tally
        record = RelayRecord(
            call_id=call_id,
            reason=reason or "failed",
            frames=tally.frames,
            bytes=tally.bytes,
            duration_s=self._loop.time() - self._started_at,
            sending_s=tally.sending_s,
        )
        observers.tell("relay_ended", record)

    # --- the caller's task -------------------------------------------------------------------------------------------

    async def _until_end(self) -> RelayReason:
        """Look after the tasks until one of them knows how the relay ended, or a send takes too long."""
        if self._receive is not None:
            self._begin(self._watch(self._receive), _WATCHER)
        self._begin(self._pump(), "opeai_async relay pump")
        while True:
            done, self._running = await asyncio.wait(
                self._running, timeout=self._patience(), return_when=asyncio.FIRST_COMPLETED
            )
            if reason := self._reason_of(done):
                return reason
            now = self._loop.time()
            if self._sending_since is None:
                if now - self._sent_at >= self._options.heartbeat:
                    self._sent_at = now
                    self._begin(self._ping(), "opeai_async relay ping")
            elif now - self._sending_since >= self._options.send_timeout:
                return "slow"

    def _begin(self, work: Coroutine[Any, Any, RelayReason | None], name: str) -> None:
        self._running.add(self._loop.create_task(work, name=name))

    def _patience(self) -> float | None:
        """Return the seconds until a heartbeat or the limit of a send may be due; None if neither will be."""
        options, now = self._options, self._loop.time()
        if self._sending_since is not None:
            seconds = self._sending_since + options.send_timeout - now
        else:
            # A send that begins while this sleeps must be looked at within its limit.
            seconds = min(self._sent_at + options.heartbeat - now, options.send_timeout)
        return None if seconds == math.inf else max(seconds, 0.0)

    def _reason_of(self, done: set[_Task]) -> RelayReason | None:
        """Return how the relay ended, if one of the *done* tasks knows; else None."""
        gone: list[_Gone] = []
        for task, error in [(task, _error_of(task)) for task in done]:
            if isinstance(error, _Gone):
                gone.append(error)
            elif error is not None:
                raise error
            elif reason := task.result():
                return reason
        if not gone:
            return None
        if self._told is not None:  # a client that leaves after the last frame has missed nothing
            return self._told
        self._error = gone[0].error
        return "disconnected"

    async def _drain(self) -> None:
        """Read the rest without sending it. The watcher keeps running: a slow client may yet want to stop."""
        await _ended({task for task in self._running if task.get_name() != _WATCHER})
        with suppress(TimeoutError):
            async with asyncio.timeout(self._options.drain_timeout):
                while True:
                    frames = await self._source.read()
                    if not frames or is_last(frames[-1]):
                        return
                    await asyncio.sleep(self._options.window)

    async def _end(self) -> None:
        """Close the upstream, if it is not at its end, and then end all tasks."""
        self._is_over = True
        for task in self._running:
            task.cancel()
        try:
            await self._source.aclose()
        finally:
            running, self._running = self._running, set()  # what they ended with leads back here
            await _ended(running)

    def _result(self, reason: RelayReason) -> RelayResult:
        source, tally, start = self._source, self._tally, self._started_at
        return RelayResult(
            reason=reason,
            completion=source.completion,
            usage=source.usage,
            frames=tally.frames,
            chunks=source.chunks,
            bytes=tally.bytes,
            inbox=self._inbox,
            error=self._error or source.error,
            timing=RelayTiming(
                first_frame_s=None if tally.first_frame_at is None else tally.first_frame_at - start,
                total_s=self._loop.time() - start,
                sending_s=tally.sending_s,
                stream=source.timing if isinstance(source, StreamFrames) else None,
            ),
        )

    # --- the pump ----------------------------------------------------------------------------------------------------

    async def _pump(self) -> RelayReason:
        """Send all frames, those of one window at a time; return how the answer ended."""
        while frames := await self._read():
            read_at, sent_before = self._loop.time(), self._tally.bytes
            async with self._one_at_a_time:
                for frame in frames:
                    await self._send_frame(frame)
            if self._told is not None:
                return self._told
            # A start has no text yet, so the first token must not wait behind it.
            if not isinstance(frames[-1], StartFrame) and self._tally.bytes - sent_before < _GATHERED_BYTES:
                pause = read_at + self._options.window - self._loop.time()
                if pause > 0:
                    self._source.hold()  # or each token of the window would wake the process
                    await asyncio.sleep(pause)
        return "completed" if self._source.error is None else "error"

    async def _read(self) -> list[Frame]:
        frames = await self._source.read()
        self._is_read = not frames or is_last(frames[-1])
        return frames

    async def _send_frame(self, frame: Frame) -> None:
        messages = self._options.encode(frame)
        if messages is None:
            messages = []
        elif not isinstance(messages, list):
            messages = [messages]
        if is_last(frame):
            self._told = frame.reason if isinstance(frame, DoneFrame) else "error"
        for message in messages:
            await self._hand_over(message)
        self._offset = frame.offset
        if messages and not isinstance(frame, PingFrame):
            self._tally.frames += 1
            if self._tally.first_frame_at is None:
                self._tally.first_frame_at = self._sent_at

    async def _hand_over(self, message: Message) -> None:
        """Send one message.

        Raises:
            _Gone: If that failed.
        """
        self._sending_since = began = self._loop.time()
        try:
            await _awaitable(self._send(message), "send")
        except BaseException as exc:
            self._told = None
            if _is_departure(exc):
                raise _Gone(exc) from None
            raise
        finally:
            self._sending_since, self._sent_at = None, self._loop.time()
            self._tally.sending_s += self._sent_at - began
        self._tally.bytes += _bytes_of(message)

    async def _ping(self) -> None:
        """Send a ping, which shows the client that the line is open, and fails if it is not."""
        async with self._one_at_a_time:
            await self._send_frame(PingFrame(offset=self._offset))

    # --- the watcher -------------------------------------------------------------------------------------------------

    async def _watch(self, receive: Receive) -> None:
        """Take the messages of the client, until the end or until the inbox is full.

        Raises:
            _Gone: If the client has gone.
        """
        while not self._is_over and self._inbox_size < MAX_INBOX_SIZE:
            try:
                message = await _awaitable(receive(), "receive")
            except Exception as exc:
                if _is_departure(exc):
                    raise _Gone(exc) from None
                raise
            if is_gone(message):
                raise _Gone
            if self._options.is_stop(message):
                self._source.stop()
            else:
                self._inbox.append(message)
                self._inbox_size += _SIZE_OF_ANY_MESSAGE + size_of(message)
            await asyncio.sleep(0)  # where many have come already, the others have their turn too


def _is_departure(exc: BaseException) -> TypeGuard[Exception]:
    """Tell whether *exc*, of ``send`` or ``receive``, means that the client has gone."""
    return isinstance(exc, Exception) and type(exc) not in _MISTAKES


def _awaitable(returned: Awaitable[Any] | None, name: str) -> Awaitable[Any]:
    if returned is None:
        raise ConfigurationError(
            f"{name} returned None, expected something to await", hint=f"give a coroutine function as {name}"
        )
    return returned


def _bytes_of(message: Message) -> int:
    if isinstance(message, str):
        return len(message) if message.isascii() else len(message.encode(errors="replace"))
    return len(message) if isinstance(message, bytes) else 0


def _error_of(task: _Task) -> BaseException | None:
    """Return the error that ended *task*; None if it ended well.

    A ``send`` or ``receive`` that cancels itself counts as a client that has gone.
    """
    return _Gone() if task.cancelled() else task.exception()


async def _ended(tasks: set[_Task]) -> None:
    """Cancel *tasks*, and wait until they have ended."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    for task in tasks:
        _error_of(task)  # or asyncio would say that nobody has looked at it


claim(__name__)
