"""When calls may go to a server that has said "not now": a pause for all of them, then a pace that is learnt.

A server that limits its callers refuses with a wait: ``Retry-After: 1``. If each refused call waited for itself, all
would come back at once, most would be refused again, and the calls that begin meanwhile would be refused, too. So the
first refusal stops every call to that endpoint with that key, and they go again one by one::

    free --refused--> paused --its end--> one probe --not refused--> ramp or pace --refused--> paused ...
                                                                          |
                                                     nobody there for FORGET_S: free

**What is known.** Most limits are buckets of tokens, or windows of time; neither says how large it is. But between the
moments of two refusals such a server has let through what it allows for that time, so *calls accepted / seconds* from
one pause's begin to the next one's is its rate. It is exact for a bucket that was never full meanwhile and for a whole
window, and otherwise too low, which the growth below corrects. A call counts as accepted when it was let go and not
refused; its answer, which may take minutes, is not waited for. Time in which the way was open and nobody came says
nothing about the server and is left out.

**Ramp** (no rate is known yet). A refusal comes back after ``reply_s``, so of the calls let go in that time one cannot
know yet: these are the ones that an overshoot costs. The pace begins so that those in line are spread over one more
wait, or over ``RAMP_SHARE`` replies if that is longer, and doubles each ``RAMP_REPLIES`` replies: at the next refusal,
calls of the last 1/25 of the ramp are unknown.

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
"""How near a pace comes soon to the one that was refused last; 0.95 made more refusals, and was hardly faster."""
FORGET_S = 10.0
"""The way is free again when nobody has come for that long, or for two waits if that is longer."""
MAX_BACKOFF_S = 8.0
RAMP_REPLIES = 25
RAMP_SHARE = 5
MIN_DOUBLING_S = 0.25
MIN_REPLY_S, MAX_REPLY_S = 0.002, 1.0
CATCH_UP_S = 0.05
"""So much of a delay of the event loop is made up for, by calls that go close together."""
CROWD_WAIT_S = 0.25
"""The least wait where refusals follow each other closely: servers name milliseconds until one call may go."""
INSTANT_S = 1e-6
"""Less than this is no time: two sums of floats that should be equal differ by less."""
MIN_UNIT_S = 1.0
MEMORY_S = 1.0


class _Interval(NamedTuple):
    """What was seen from one pause's begin to the next one's.

    Attributes:
        accepted: Calls let go and not refused.
        busy_s: Its length, without the time in which nobody wanted to go.
        pause_s: How much of that was the pause.
        pace: Calls per second at its end.
    """

    accepted: int
    busy_s: float
    pause_s: float
    pace: float


class Throttle:
    """Says when the next call may go to one endpoint with one key.

    Attributes:
        epoch: How many pauses have begun. A call notes it when it goes, so that its refusal is taken for the begin of
            the next pause, or for one of those that were under way when the last one began.
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
        self.epoch = 0
        self.rate: float | None = None
        self._begun_at = -math.inf  # when the last pause began
        self._paused_at = -math.inf  # when its length was set last ...
        self._wait_s = 0.0  # ... to so much from then
        self._paused_s = 0.0  # the length of all pauses, this one's rest included
        self._jitter = 1.0
        self._spaced_at = -math.inf  # when a call went last, or should have gone ...
        self._spacing_s = 0.0  # ... and how long after it the next one may go
        self._is_probing = False  # nobody has gone since the pause began
        self._sent = 0  # since then
        self._idle_s = 0.0  # how long the way was open since then, with nobody there
        self._interval: _Interval | None = None  # not evaluated: calls that are under way may still be refused
        self._reply_s = MIN_REPLY_S  # how fast the server refuses
        self._refused_pace = 0.0  # calls per second when the server refused last; 0 after a probe
        self._ramp_from = 1.0  # calls per second at the begin of a ramp
        self._unit_s = MIN_UNIT_S  # of the growth of a pace

    # --- what the server says --------------------------------------------------------------------------------------

    def refuse(self, now: float, wait_s: float, *, epoch: int, reply_s: float, jitter: float) -> bool:
        """Take note of a refusal that names a wait; return whether a pause begins by it.

        Args:
            now: When it came.
            wait_s: What it asks to wait from now, above 0.
            epoch: ``self.epoch`` as it was when the refused call went; 0 if it went before there was this object.
            reply_s: Seconds from sending to the refusal.
            jitter: A random number from 0 to 1.
        """
        reply_s = min(max(reply_s, MIN_REPLY_S), MAX_REPLY_S)
        if epoch >= self.epoch:  # above it: the call went before all was forgotten, and this object is new
            self._begin(now, wait_s * (1 + SPREAD * jitter), reply_s)
            self._jitter = 1 + SPREAD * jitter
            return True
        self._reply_s = min(self._reply_s, reply_s)  # the fastest: those of a crowd wait for each other
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

    # --- who may go ------------------------------------------------------------------------------------------------

    def paused_for_s(self, now: float) -> float:
        """Return how many seconds of the pause are left; 0 if there is none."""
        left_s = self._wait_s - (now - self._paused_at)
        return left_s if left_s > INSTANT_S else 0.0

    def paused_s(self, now: float) -> float:
        """Return how many seconds there was a pause until *now*: of two moments, it tells the pauses between."""
        return self._paused_s - self.paused_for_s(now)

    def due_in_s(self, now: float) -> float:
        """Return in how many seconds the next call may go; 0 if it may go now."""
        left_s = max(self.paused_for_s(now), self._spacing_s - (now - self._spaced_at))
        return left_s if left_s > INSTANT_S else 0.0

    def let_go(self, now: float, waiting: int) -> int:
        """Take note that a call goes; return the epoch, which comes back with its refusal.

        Args:
            now: When; not before ``due_in_s`` allows it.
            waiting: How many are in line, this one included.
        """
        self._sent += 1
        if self._is_probing:
            self._is_probing = False
            self._evaluate(waiting)
            self._idle_s += max(0.0, now - self._paused_at - self._wait_s - CATCH_UP_S)
            # The reply to the probe is waited for, and a server that answers one call a second gets no second one.
            self._spaced_at, self._spacing_s = now, max(2 * self._reply_s, 1 / self.pace(now))
        else:
            open_since = max(self._paused_at + self._wait_s, self._spaced_at + self._spacing_s)
            self._idle_s += max(0.0, now - open_since - CATCH_UP_S)
            self._spaced_at, self._spacing_s = max(open_since, now - CATCH_UP_S), 1 / self.pace(now)
        return self.epoch

    def take_back(self, epoch: int) -> None:
        """Count a call that was let go before the pause, in *epoch*, as not accepted: it was refused, or did not go."""
        if self._interval is not None and epoch == self.epoch - 1:
            self._interval = self._interval._replace(accepted=self._interval.accepted - 1)

    def is_forgotten(self, now: float) -> bool:
        """Tell whether nobody has wanted to go for so long that nothing is known any more."""
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
        """Choose the pace after a pause; by now, most of the calls that were under way at its begin are refused."""
        interval, self._interval = self._interval, None
        slowest = 1 / max(self._wait_s, MIN_REPLY_S)  # what the server has promised, after all
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
