"""Reads one response under the clocks: nothing waits without a limit, and a wait costs no timer of its own.

There is one timer per response. It is armed by the first read that waits, and when it fires it looks at what the
clocks say now: mostly it goes to sleep again, because bytes have arrived meanwhile. A timer per read would cost 12 to
24 us.
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


class ReadExpired(Exception):
    """A clock ran out while a read waited; the response was aborted."""

    def __init__(self, expiry: Expiry) -> None:
        super().__init__(expiry.phase)
        self.expiry = expiry


class BodyReader:
    """The body of *response*, read by one task at a time.

    Args:
        response: Ended by this reader, in ``release`` or ``abort``.
        limits: Every limit as a number.
        started_at: When the call began, in loop time.
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
        self._total: Expiry | None = None
        if limits.total_s < math.inf:
            self._total = Expiry(started_at + limits.total_s, "total", limits.total_s)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = None
        self._expired: Expiry | None = None
        self._seen_content = False
        self.bytes_read = 0
        self._bytes_at_once = 0
        self.first_byte_at: float | None = None
        self.opened_at: float = self._loop.time()
        self._waited_for_content_s: float | None = None

    @property
    def head(self) -> ResponseHead:
        """Status and headers."""
        return self._response.head

    async def read(self) -> bytes:
        """All that has arrived, at least one byte; ``b""`` at the end of the body. Cancelling it loses nothing.

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
        """How many seconds its request waited for a slot; 0 for a transport that does not tell."""
        return getattr(self._response, "slot_s", 0.0)

    def hold(self) -> None:
        """Wake nobody for what arrives before the next read, which then brings it all."""
        self._response.hold()

    def _check_total(self, total: Expiry) -> None:
        """The timer looks only at waiting reads, and where the server is faster than the consumer, none waits."""
        if self._expired is None and self._loop.time() >= total.at:
            self._expired = total
            self.abort()

    def saw_content(self) -> None:
        """Chunks were decoded, and there has been content."""
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

    def saw_finish(self, *, is_sure: bool) -> None:
        """Every choice has ended, which starts the clock for ``[DONE]``; a longer one if that is not sure."""
        self._disarm()
        self._clocks.saw_finish(is_sure=is_sure)

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
        """Close the connection now, waking a waiting read; after the loop's end, only let go of it."""
        self._disarm()
        try:
            self._response.abort()
        except RuntimeError:  # "Event loop is closed", from waking what waited on it
            if not self._loop.is_closed():
                raise

    def abandon(self) -> None:
        """``abort`` from wherever a finalizer may run: any thread, and also after the loop's end."""
        on_loop(self._loop, self.abort)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
