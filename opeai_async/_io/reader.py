"""A reader of one response under the clocks: no wait is without its limit, and no wait has a timer of its own.

There is one timer per response::

    disarmed --a read waits--> armed --it fires--> nobody waits: disarmed
        ^                        ^                 another time is due: armed for that
        |                        |                 the time is over: a few turns of the loop, then abort
        +-- content or the finish begins another clock

Mostly it is armed again, because bytes have arrived meanwhile. The alternative, a timer per read, would cost 12 to
24 us each.
"""

from __future__ import annotations

import asyncio
import math

from opeai_async._core.call.clocks import Expiry, StreamClocks
from opeai_async._core.call.http import ResponseHead
from opeai_async._core.call.timeouts import Limits
from opeai_async._io.loops import on_loop
from opeai_async._io.patience import TURNS
from opeai_async._io.transport import BodyError, Response

# A compressed body, asked for or not, unpacks without end from bytes that have arrived, and no read of it waits.
MAX_BYTES_AT_ONCE = 256 * 1024
MAX_ERROR_BODY_BYTES = 64 * 1024
ERROR_BODY_S = 10.0


class ReadExpired(Exception):
    """A clock ran out while a read waited; the response was aborted."""

    def __init__(self, expiry: Expiry) -> None:
        super().__init__(expiry.phase)
        self.expiry = expiry


class BodyReader:
    """The body of *response*, read by one task at a time.

    Args:
        response: The response, which this reader ends, by ``release`` or ``abort``.
        limits: Every limit as a number of seconds.
        started_at: The loop time at which the call began.

    Attributes:
        bytes_read: The number of bytes that were read so far.
        first_byte_at: The loop time at which the first of them were read; None until then.
    """

    __slots__ = (
        "_bytes_at_once",
        "_clocks",
        "_expired",
        "_loop",
        "_response",
        "_seen_content",
        "_timer",
        "_total",
        "_waited_for_content_s",
        "bytes_read",
        "first_byte_at",
        "opened_at",
    )

    def __init__(self, response: Response, limits: Limits, started_at: float) -> None:
        self._response = response
        self._clocks = StreamClocks(limits, started_at)
        # When the limit of the whole call is over; None without such a limit.
        self._total: Expiry | None = None
        if limits.total_s < math.inf:
            self._total = Expiry(started_at + limits.total_s, "total", limits.total_s)
        self._loop = asyncio.get_running_loop()
        # None while disarmed.
        self._timer: asyncio.Handle | None = None
        # The clock that ran out; set before the response is aborted, so that the read can say why.
        self._expired: Expiry | None = None
        # True once there was content, which begins another clock.
        self._seen_content = False
        self.bytes_read = 0
        # Bytes that were read since a read last waited.
        self._bytes_at_once = 0
        self.first_byte_at: float | None = None
        self.opened_at: float = self._loop.time()
        self._waited_for_content_s: float | None = None

    @property
    def head(self) -> ResponseHead:
        """Status and headers."""
        return self._response.head

    async def read(self) -> bytes:
        """Wait for bytes, and return all that have arrived; ``b""`` at the end. A cancelled read loses nothing.

        Raises:
            ReadExpired: If a clock ran out.
            BodyError: If the body broke off, or was aborted.
        """
        if self._total is not None:
            self._check_total(self._total)
        try:
            data, response = None, self._response
            while data is None:
                waiting = response.wait()
                if waiting is not None:
                    self._bytes_at_once = 0
                    self._clocks.begin_wait(self._loop.time())
                    if self._timer is None:
                        self._arm()
                    try:
                        await waiting
                    except BaseException:
                        self._clocks.end_wait(self._loop.time())
                        raise
                    self._clocks.end_wait_with_bytes(self._loop.time())
                else:
                    self._clocks.saw_bytes()
                    if self._bytes_at_once > MAX_BYTES_AT_ONCE:
                        self._bytes_at_once = 0
                        await asyncio.sleep(0)  # others are served, and the timer; nothing was taken yet
                data = response.read_nowait()
        except BodyError:
            if self._expired is not None:
                raise ReadExpired(self._expired) from None
            raise
        if data:
            size = len(data)
            self.bytes_read += size
            self._bytes_at_once += size
            if self.first_byte_at is None:
                self.first_byte_at = self._loop.time()
        return data

    @property
    def slot_s(self) -> float:
        """Seconds that its request waited for a slot; 0 if the transport does not say."""
        return getattr(self._response, "slot_s", 0.0)

    def hold(self) -> None:
        """Let what arrives wait, without a wake-up, until the next read returns it all."""
        self._response.hold()

    def _check_total(self, total: Expiry) -> None:
        """Abort if the time for the whole call is over, for reads that do not wait."""
        # The timer looks only at waiting reads; where the server is faster than the consumer, none waits.
        if self._expired is None and self._loop.time() >= total.at:
            self._expired = total
            self.abort()

    def saw_content(self) -> None:
        """Note that chunks were decoded, and that content has come by now: another clock counts from here on."""
        if not self._seen_content:
            self._seen_content = True
            self._waited_for_content_s = self._clocks.waited_s(0.0)  # no read waits, so that it is no matter when
            self._disarm()  # another clock counts from now on, perhaps a shorter one than the timer was armed for
        self._clocks.saw_content()

    def waited_s(self, now: float) -> tuple[float, float]:
        """Return how many seconds reads have waited for the server until its first content, and since then."""
        waited_s = self._clocks.waited_s(now)
        before_s = waited_s if self._waited_for_content_s is None else self._waited_for_content_s
        return before_s, waited_s - before_s

    def saw_finish(self, graces: int) -> None:
        """Note that every choice has ended; the clock for ``[DONE]`` runs for so many times ``finish_grace_s``."""
        self._disarm()
        self._clocks.saw_finish(graces)

    def _arm(self) -> None:
        expiry = self._clocks.expiry()
        if expiry is not None and expiry.at < math.inf:
            self._timer = self._loop.call_at(expiry.at, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        expiry = self._clocks.expiry()
        if expiry is None:
            return  # nobody waits; the next wait arms it again
        if expiry.at > self._loop.time():
            self._arm()
        else:
            # Perhaps it is the loop or the process that is late, and not the server: a reader whose bytes have come is
            # woken first.
            self._timer = self._loop.call_soon(self._expire_if_still_waiting, TURNS)

    def _expire_if_still_waiting(self, turns: int) -> None:
        self._timer = None
        expiry = self._clocks.expiry()
        if expiry is None:
            return
        if expiry.at > self._loop.time():
            self._arm()
        elif turns:
            self._timer = self._loop.call_soon(self._expire_if_still_waiting, turns - 1)
        else:
            self._expired = expiry
            self._response.abort()

    def release(self) -> None:
        """End the response and keep its connection, if the body ends soon."""
        self._disarm()
        self._response.release()

    def abort(self) -> None:
        """Close the connection now, and wake a waiting read; nothing is left to close after the loop's end."""
        self._disarm()
        try:
            self._response.abort()
        except RuntimeError:  # "Event loop is closed", from waking what waited on it
            if not self._loop.is_closed():
                raise

    def abandon(self) -> None:
        """Abort from wherever a finalizer may run: any thread, and also after the loop's end."""
        on_loop(self._loop, self.abort)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


async def error_body(reader: BodyReader) -> bytes:
    """The beginning of an error's body, within bounds of size and time; what arrived, if it broke off.

    The connection is kept only if it was the API that answered, not something in between.
    """
    body, keeps = bytearray(), False
    try:
        async with asyncio.timeout(ERROR_BODY_S):
            while len(body) < MAX_ERROR_BODY_BYTES and (data := await reader.read()):
                body += data
        keeps = "json" in (reader.head.content_type or "")
    except (TimeoutError, BodyError, ReadExpired):
        pass
    finally:
        if keeps:
            reader.release()
        else:
            reader.abort()
    return bytes(body[:MAX_ERROR_BODY_BYTES])
