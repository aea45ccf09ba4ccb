"""Decide when calls may go to a server that limits its callers: pause all of them, then learn the pace it allows.

A server that limits its callers refuses with a wait: ``Retry-After: 1``. If each refused call waited for itself, all
would come back at once, most would be refused again, and the calls that begin meanwhile would be refused, too. So the
first refusal stops every call to that endpoint with that key, and they go again one by one::

    free --refused--> paused --its end--> one probe --not refused--> ramp or pace --refused--> paused ...
                                                                          |
                                                      no call for FORGET_S: free

**What is known.** Most limits are buckets of tokens, or windows of time; neither says how large it is. But between the
moments of two refusals such a server has let through what it allows for that time, so *calls accepted / seconds* from
one pause's begin to the next one's is its rate. It is exact for a bucket that was never full meanwhile and for a whole
window, and otherwise too low, which the growth below corrects. A call counts as accepted if it was sent and not
refused; its answer, which may take minutes, is not waited for. Time in which a call could go but none was waiting says
nothing about the server and is left out.

**Ramp** (no rate is known yet). A refusal comes back after ``reply_s``. So the fate of the calls sent in that time is
not known yet: these are the ones that an overshoot costs. The pace begins so that those in line are spread over one
more wait, or over ``RAMP_SHARE`` replies if that is longer, and doubles each ``RAMP_REPLIES`` replies: at the next
refusal, calls of the last 1/25 of the ramp are unknown.

**Pace** (a rate is known). It begins a little below the rate and grows as ``0.97 + 0.03 x + 0.04 x**3``, where ``x`` is
the time since the pause in units of the time between the last two refusals: at first it hardly grows, so that a limit
which has not changed is met rarely (its bucket must run empty first), and later fast, so that one that was raised is
found. Each refusal brings a better rate, and a longer unit.

Where the server saves nothing up in a pause, the rate so learnt is far too low: what was accepted is divided by a time
that was mostly pause. But the pace at which it refused then says more, since a bucket without a burst is overrun at
once. So the pace comes near to that one within the first unit, fast at first and then slower (as in RFC 9438, CUBIC)::

    refused at  - - - - - - - - - - - - - - - - /      a pace that was refused after its bucket had run empty is
    0.9 of it              __________.......--''       hardly above the rate, and changes little
                     _.--''
    0.97 of the rate /
                     0                 1      x

A server with no burst at all also refuses calls of the right pace that the network has pushed together. No pace cures
that; there a job takes about twice the time that the limit allows, and longer where the calls of a pace are closer to
each other than the network is precise.

Right after a ramp it is not known whether the calls accepted so far came out of a full bucket; the pause counts half
then, which is between the two cases.

**A probe that is refused** shows that the named wait was not enough; the next pause is at least twice as long, up to
``MAX_BACKOFF_S``. So a server that always names a millisecond is asked a dozen times, not a thousand times.

The textbook's additive increase and multiplicative decrease was tried and rejected: the saw teeth cost a quarter of
what the server allows, since each refusal costs a pause, however short the overshoot was.

``now`` is an argument everywhere, so tests simulate hours without waiting.
"""

from __future__ import annotations

import math
from typing import NamedTuple

SPREAD = 0.1
"""A pause is up to this share longer, by chance, so that several processes do not come back as one."""
NEAR_REFUSED = 0.9
"""Share of the pace that was refused last which a pace soon comes near to; 0.95 made more refusals for little speed."""
FORGET_S = 10.0
"""Seconds without a call, or two waits if that is longer, after which all is forgotten and calls go freely again."""
MAX_BACKOFF_S = 8.0
RAMP_REPLIES = 25
RAMP_SHARE = 5
MIN_DOUBLING_S = 0.25
MIN_REPLY_S, MAX_REPLY_S = 0.002, 1.0
CATCH_UP_S = 0.05
"""Delay of the event loop, at most, that is made up for by calls that go close together."""
CROWD_WAIT_S = 0.25
"""The least wait where refusals follow each other closely: servers name milliseconds until one call may go."""
INSTANT_S = 1e-6
"""Times closer than this are equal: sums of floats that should be equal differ by less."""
MIN_UNIT_S = 1.0
MEMORY_S = 1.0


class _Interval(NamedTuple):
    """Measurements from the beginning of one pause to the beginning of the next.

    Attributes:
        accepted: Calls that were sent and not refused.
        busy_s: Length in seconds, without the time in which no call was waiting.
        pause_s: Seconds of it that were the pause.
        pace: Calls per second at its end.
    """

    accepted: int
    busy_s: float
    pause_s: float
    pace: float


class Throttle:
    """Throttle of the calls to one endpoint with one key: tells when the next one may go.

    Attributes:
        epoch: Number of pauses so far. A call keeps it from when it is sent: that tells whether its refusal begins the
            next pause, or whether the call was already under way when the last pause began.
        rate: Calls per second that the server seems to allow; None while that is unknown.
    """

    __slots__ = (
        "_begun_at",
        "_idle_s",
        "_interval",
        "_is_probing",
        "_jitter",
        "_paused_at",
        "_paused_s",
        "_ramp_from",
        "_refused_pace",
        "_reply_s",
        "_sent",
        "_spaced_at",
        "_spacing_s",
        "_unit_s",
        "_wait_s",
        "epoch",
        "rate",
    )

    def __init__(self) -> None:
        self.epoch: int = 0
        self.rate: float | None = None
        # The last pause: when it began; when its end was set last, and how long it lasts from then.
        self._begun_at = -math.inf
        self._paused_at = -math.inf
        self._wait_s = 0.0
        # Length of all pauses, the rest of this one included.
        self._paused_s = 0.0
        # Factor of this pause's length, by chance.
        self._jitter = 1.0
        # When a call went last, or should have gone; and how long after it the next one may go.
        self._spaced_at = -math.inf
        self._spacing_s = 0.0
        # Since the pause began: no call was sent; calls sent; seconds in which one could go but none was waiting.
        self._is_probing = False
        self._sent = 0
        self._idle_s = 0.0
        # The interval before the pause, until the probe is sent: calls under way may still be refused.
        self._interval: _Interval | None = None
        # Seconds in which the server refuses a call.
        self._reply_s = MIN_REPLY_S
        # Calls per second when the server refused last; 0 if it refused a probe.
        self._refused_pace = 0.0
        # Calls per second at the beginning of a ramp.
        self._ramp_from = 1.0
        # Unit of time of the growth of a pace, ``x`` in the header.
        self._unit_s = MIN_UNIT_S

    # --- what the server says --------------------------------------------------------------------------------------

    def refuse(self, now: float, wait_s: float, *, epoch: int, reply_s: float, jitter: float) -> bool:
        """Take note of a refusal that names a wait; return True if a pause begins with it.

        Args:
            now: Time of the refusal, in seconds.
            wait_s: Seconds to wait from now, above 0.
            epoch: ``self.epoch`` as it was when the refused call was sent; 0 if this object did not exist then.
            reply_s: Seconds from sending to the refusal.
            jitter: A random number from 0 to 1.
        """
        reply_s = min(max(reply_s, MIN_REPLY_S), MAX_REPLY_S)
        # Above ``self.epoch``: the call was sent under an earlier object, which was forgotten meanwhile.
        if epoch >= self.epoch:
            self._begin(now, wait_s * (1 + SPREAD * jitter), reply_s)
            self._jitter = 1 + SPREAD * jitter
            return True
        # The fastest reply counts: refusals of a crowd wait for each other.
        self._reply_s = min(self._reply_s, reply_s)
        self.take_back(epoch)
        self._pause(now, max(self.paused_for_s(now), wait_s * self._jitter))
        return False

    def _begin(self, now: float, wait_s: float, reply_s: float) -> None:
        if self.epoch:
            accepted = self._sent - 1
            busy_s = max(now - self._begun_at - self._idle_s, reply_s)
            pause_s = min(self._paused_at + self._wait_s - self._begun_at, busy_s)
            self._interval = _Interval(accepted, busy_s, pause_s, self.pace(now))
            if accepted <= 0:  # the probe
                wait_s = max(wait_s, min(2 * self._wait_s, MAX_BACKOFF_S))
            elif self._interval.busy_s < MIN_UNIT_S:
                wait_s = max(wait_s, CROWD_WAIT_S)
        self.epoch += 1
        self._begun_at, self._sent, self._idle_s, self._is_probing = now, 0, 0.0, True
        self._spacing_s = 0.0
        self._reply_s = reply_s
        self._pause(now, max(self.paused_for_s(now), wait_s))

    def _pause(self, now: float, wait_s: float) -> None:
        self._paused_s += wait_s - self.paused_for_s(now)
        self._paused_at, self._wait_s = now, wait_s

    # --- when to go ------------------------------------------------------------------------------------------------

    def paused_for_s(self, now: float) -> float:
        """Return how many seconds of the pause are left; 0 if there is none."""
        left_s = self._wait_s - (now - self._paused_at)
        return left_s if left_s > INSTANT_S else 0.0

    def paused_s(self, now: float) -> float:
        """Return the seconds of all pauses until *now*; the difference of two moments is the pauses between them."""
        return self._paused_s - self.paused_for_s(now)

    def due_in_s(self, now: float) -> float:
        """Return in how many seconds the next call may go; 0 if it may go now."""
        left_s = max(self.paused_for_s(now), self._spacing_s - (now - self._spaced_at))
        return left_s if left_s > INSTANT_S else 0.0

    def let_go(self, now: float, waiting: int) -> int:
        """Take note that a call is sent; return the epoch, to be passed to ``refuse`` if it is refused.

        Args:
            now: Time of sending, in seconds; not before ``due_in_s`` allows it.
            waiting: Number of calls in line, this one included.
        """
        self._sent += 1
        if self._is_probing:
            self._is_probing = False
            self._evaluate(waiting)
            self._idle_s += max(0.0, now - self._paused_at - self._wait_s - CATCH_UP_S)
            # The next call waits for the reply to the probe, and never less than the pace asks for.
            self._spaced_at, self._spacing_s = now, max(2 * self._reply_s, 1 / self.pace(now))
        else:
            open_since = max(self._paused_at + self._wait_s, self._spaced_at + self._spacing_s)
            self._idle_s += max(0.0, now - open_since - CATCH_UP_S)
            self._spaced_at, self._spacing_s = max(open_since, now - CATCH_UP_S), 1 / self.pace(now)
        return self.epoch

    def take_back(self, epoch: int) -> None:
        """Count a call that left before the pause, in *epoch*, as not accepted: it was refused, or was not sent."""
        if self._interval is not None and epoch == self.epoch - 1:
            self._interval = self._interval._replace(accepted=self._interval.accepted - 1)

    def is_forgotten(self, now: float) -> bool:
        """Tell whether no call has come for so long that what was learnt is out of date."""
        open_since = max(self._paused_at + self._wait_s, self._spaced_at + self._spacing_s)
        return now - open_since > max(FORGET_S, 2 * self._wait_s)

    # --- how fast --------------------------------------------------------------------------------------------------

    def pace(self, now: float) -> float:
        """Return the calls per second that may go now, if there is no pause."""
        gone_s = max(0.0, now - self._paused_at - self._wait_s - self._idle_s)
        if self.rate is None:
            doubling_s = max(MIN_DOUBLING_S, RAMP_REPLIES * self._reply_s)
            return self._ramp_from * 2 ** min(gone_s / doubling_s, 40.0)
        x = min(gone_s / self._unit_s, 100.0)
        begin = 0.97 * self.rate
        near = begin + (NEAR_REFUSED * self._refused_pace - begin) * (1 - (1 - min(x, 1.0)) ** 3)
        return max(near, self.rate * (0.97 + 0.03 * x + 0.04 * x**3))

    def _evaluate(self, waiting: int) -> None:
        """Choose the pace after a pause; most calls that were under way at its beginning have been refused by now."""
        interval, self._interval = self._interval, None
        # The server itself has promised one call after each wait.
        slowest = 1 / max(self._wait_s, MIN_REPLY_S)
        in_one_wait = waiting / max(self._wait_s, RAMP_SHARE * self._reply_s)
        self._ramp_from = max(slowest, 0.25 / self._reply_s, in_one_wait)
        if interval is None:
            return
        accepted, busy_s, _, pace = interval
        self._unit_s = max(MIN_UNIT_S, busy_s)
        self._refused_pace = pace if accepted > 0 else 0.0
        if accepted <= 0:
            self.rate = None if self.rate is None else max(slowest, self.rate / 2)
        else:
            unsure_s = interval.pause_s / 2 if busy_s < 3 * interval.pause_s else 0.0
            memory_s = 0.0 if self.rate is None else MEMORY_S * math.exp(-busy_s / MEMORY_S)
            seen = ((self.rate or 0.0) * memory_s + accepted) / (memory_s + busy_s - unsure_s)
            self.rate = max(slowest, min(seen, 0.95 * pace))
