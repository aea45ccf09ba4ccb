"""How many calls to have open at once, learnt from how a server answers.

**What is sought.** Let ``X(n)`` be the work that a server does per second for ``n`` calls at once. It grows with ``n``
while the server has room, is flat where calls only queue, and falls where they push each other out (a GPU whose cache
thrashes). Above some ``n`` many servers refuse. We want the smallest ``n`` whose ``X(n)`` is about the greatest.

**Why throughput, not latency.** TCP Vegas, and Netflix's gradient limits, compare the time of a call with the least
ever seen. A server of language models batches: the second call makes the first one slower, and is still nearly free.
Measured against its floor, such a server looks overloaded from ``n = 2`` on, so a gradient on latency settles far too
low (that was tried and rejected). What is counted here is the work done per second, which cannot be mistaken.

**How it is measured.** Time is cut into epochs of one level each. The first calls that begin in an epoch still meet
the load of the one before; so counting starts when one of them ends, and goes on until about as many calls have ended
as are open, or twice as many where a small difference is looked for::

    limit set     first call of this epoch ends         enough have ended
    |--- warm up ---|------------- counted ----------------|

An epoch in which the level was not used (the input was slow, or another limit held calls back) says nothing.

**The moves**::

    CLIMB  double while X grows by GAIN, and once more where it does not, since the curve may have a valley (vLLM
           with 32, 64, 128, 256 at once took 1020, 1487, 737, 1064 s); then, or if the server refuses, take the
           best level
    HOLD   stay, and look up and down in turn; rarely where nothing is found, soon where X has changed by itself
    UP     a little more: stay there if X grew by GAIN. Each success makes the next step larger
    DOWN   a little less: stay there if X lost less than LOSS

An epoch of CLIMB that takes SLOW times as long as it would at the best level is over: calls that thrash may take
minutes.

**Refusals** (429, 503, 529, time-outs) end an epoch at once: back to the level that was last seen to be clean, or to
``BACK_OFF`` of this one, and the refused level is not tried again for a while, twice as long each time. A call is only
known to be refused when it ends, after its retries, so a few refusals also spoil a level that is no better; and by
Little's law, calls that end per second times the seconds they took are the calls that move: where these are far fewer
than the open ones, the others are stuck in retries, because new calls take every place that becomes free. Calls that
began before a cut do not count against the new level. Where the client holds calls in a line because the server has
named a wait, the pace is learnt there (`throttle`); the level then only has to keep that line from running dry.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from opeai_async.errors import ConfigurationError

GAIN = 1.05
"""More work than this for a higher level, or it is not worth it."""
LOSS = 0.98
"""At least so much of the work must remain at a lower level."""
CLOSE = 0.96
"""Levels that do so much of the best one's work are as good."""
VALLEY_MOST = 128
"""Above this level the first fall in CLIMB is taken for the end: to look further costs minutes."""
STEPS = (1.25, 1.5, 2.0)
"""How far a look up goes, by how many before it were worth it."""
BACK_OFF = 0.75
TRIM = 0.94
REFUSED_SHARE = 0.04
"""Up to so many of the calls may be refused, once or more, before that counts."""
LEAST_REFUSED = 3
STUCK_SHARE = 0.65
"""At least so much of the open calls must be moving."""
HELD_SHARE = 0.5
"""A level is high enough where calls stand in the client's line for so much of their time."""
LEAST_HEADROOM = 0.05
"""Do not grow where a server's ``x-ratelimit-*`` say that less is left."""
USED_SHARE = 0.8
CHANGED = 0.2
CLIMB_CALLS, LOOK_CALLS = 8, 24
QUIET_EPOCHS = (1, 2, 4)
SLOW = 2.5
"""How many times as long as at the best level an epoch of CLIMB may take."""
PENALTY_S, MAX_PENALTY_S = 15.0, 240.0


class Sample(NamedTuple):
    """How one call went.

    Attributes:
        began_at: When it began, on the clock of ``now``.
        work: What it brought, in any unit; 0 for an error.
        is_refused: Whether the server turned it away, or let it time out, at least once.
        held_s: How long it stood in the client's line before it was sent at all.
        headroom: The share of the server's own limit that is left, 0 to 1; None if it does not say.
    """

    began_at: float
    work: float = 1.0
    is_refused: bool = False
    held_s: float = 0.0
    headroom: float | None = None


class Phase(Enum):
    """What the present epoch is for; see the top of this file."""

    CLIMB = "climb"
    HOLD = "hold"
    UP = "up"
    DOWN = "down"


class _Epoch:
    """What was seen at one level.

    Attributes:
        begun_at: When the level was set.
        counted_at: When counting began; None during the warm-up.
        seen: Calls that began in it and have ended.
        refused: Calls that ended in it and were refused.
        all_work: What all calls that ended in it have brought.
        ended, work, held_s, spent_s: Of the calls that ended since *counted_at*: their number (of those that began in
            it), what they brought, their seconds in the client's line, and their seconds in all.
        area: Open calls times seconds since *counted_at*.
        headroom: What the server said last.
    """

    __slots__ = (
        "all_work",
        "area",
        "begun_at",
        "counted_at",
        "ended",
        "headroom",
        "held_s",
        "refused",
        "seen",
        "spent_s",
        "work",
    )

    def __init__(self, now: float) -> None:
        self.begun_at = now
        self.counted_at: float | None = None
        self.seen = self.ended = self.refused = 0
        self.work = self.all_work = self.area = self.held_s = self.spent_s = 0.0
        self.headroom = 1.0


class AdaptiveConcurrency:
    """Says how many calls to have open at once.

    Args:
        start: The first level.
        least, most: Bounds of the level.

    Attributes:
        limit: Calls to have open now. ``ended`` changes it.
        phase: What is being found out.

    Raises:
        ConfigurationError: If not 1 <= least <= start <= most.
    """

    __slots__ = (
        "_base",
        "_base_x",
        "_best",
        "_ceiling",
        "_ceiling_until",
        "_clean",
        "_epoch",
        "_looks_up",
        "_lowered_at",
        "_misses",
        "_open",
        "_open_at",
        "_penalty_s",
        "_quiet",
        "_quiet_step",
        "_step",
        "least",
        "limit",
        "most",
        "phase",
    )

    def __init__(self, *, start: int = 8, least: int = 1, most: int = 1024) -> None:
        if not 1 <= least <= start <= most:
            raise ConfigurationError(
                f"least is {least}, start {start} and most {most}, expected 1 <= least <= start <= most"
            )
        self.limit: int = start
        self.least: int = least
        self.most: int = most
        self.phase: Phase = Phase.CLIMB
        self._open = 0  # calls open ...
        self._open_at = 0.0  # ... since when
        self._best: list[tuple[float, int]] = []  # what CLIMB has seen: work per second, level; at most 64
        self._misses = 0  # levels in CLIMB that were not better than the best, in a row
        self._base, self._base_x = start, 0.0  # the level that is held, and its work per second
        self._clean = 0  # the highest level that was used without refusals; 0 for none
        self._ceiling, self._ceiling_until, self._penalty_s = most + 1, 0.0, PENALTY_S
        self._step = 0  # index into STEPS
        self._looks_up = True  # the next look of HOLD
        self._quiet, self._quiet_step = 0, 0  # epochs to hold before the next look; index into QUIET_EPOCHS
        self._lowered_at = 0.0  # calls that began before met a higher level
        self._epoch = _Epoch(0.0)

    # --- what happens ----------------------------------------------------------------------------------------------

    def began(self, now: float) -> None:
        """Take note that a call begins."""
        self._tally(now)
        self._open += 1

    def ended(self, now: float, sample: Sample) -> None:
        """Take note of how a call went; this may change ``limit``."""
        self._tally(now)
        self._open -= 1
        self._epoch.all_work += sample.work
        if sample.is_refused and not sample.held_s and sample.began_at >= self._lowered_at:
            self._epoch.refused += 1
        if sample.began_at < self._epoch.begun_at:  # it met another level
            if self._epoch.counted_at is not None:
                self._epoch.work += sample.work
                self._epoch.spent_s += now - sample.began_at
            self._decide(now)
            return
        self._epoch.seen += 1
        if sample.headroom is not None:
            self._epoch.headroom = sample.headroom
        if self._epoch.counted_at is None:
            self._epoch.counted_at, self._epoch.area = now, 0.0
        else:
            self._epoch.ended += 1
            self._epoch.work += sample.work
            self._epoch.held_s += sample.held_s
            self._epoch.spent_s += now - sample.began_at
        self._decide(now)

    def _decide(self, now: float) -> None:
        if self._is_refused():
            self._cut(now)
        elif self._is_enough(now):
            self._conclude(now)
        elif self._is_slow(now):
            self._climb(now, self._epoch.all_work / (now - self._epoch.begun_at), is_used=True, is_held=False)

    def _tally(self, now: float) -> None:
        self._epoch.area += self._open * max(0.0, now - self._open_at)
        self._open_at = now

    # --- epochs ----------------------------------------------------------------------------------------------------

    def _begin_epoch(self, now: float, level: int | None = None) -> None:
        if level is not None:
            if level < self.limit:
                self._lowered_at = now
            self.limit = level
        self._epoch = _Epoch(now)

    def _is_refused(self) -> bool:
        # Half a level, so that the first three calls of a thousand do not decide.
        return self._epoch.refused >= max(LEAST_REFUSED, REFUSED_SHARE * max(self._epoch.seen, self.limit // 2))

    def _is_enough(self, now: float) -> bool:
        if self._epoch.counted_at is None or now <= self._epoch.counted_at:
            return False
        climbs = self.phase is Phase.CLIMB
        return self._epoch.ended >= (max(CLIMB_CALLS, self.limit) if climbs else max(LOOK_CALLS, 2 * self.limit))

    def _is_slow(self, now: float) -> bool:
        if self.phase is not Phase.CLIMB or not self._best:
            return False
        best = max(self._best)[0]
        return best * (now - self._epoch.begun_at) > SLOW * (self.limit + CLIMB_CALLS)

    def _conclude(self, now: float) -> None:
        seconds = now - (self._epoch.counted_at or 0.0)
        is_used = self._epoch.area >= USED_SHARE * self.limit * seconds
        moving = self._epoch.spent_s / seconds
        if moving < STUCK_SHARE * self.limit and is_used and self._lowered_at < self._epoch.begun_at:
            self._cut(now, max(self.least, int(moving)))
            return
        is_held = self._epoch.held_s > HELD_SHARE * self._epoch.spent_s
        x = self._epoch.work / seconds
        if is_used and not self._epoch.refused:
            self._clean = max(self._clean, self.limit)
        elif self._epoch.refused and self.limit <= self._clean:
            self._clean = max(self.least, int(TRIM * self.limit))
        if self.phase is Phase.CLIMB:
            self._climb(now, x, is_used=is_used, is_held=is_held)
        elif self.phase is Phase.HOLD:
            self._hold(now, x, is_used=is_used, is_held=is_held)
        else:
            self._compare(now, x, is_used=is_used)

    # --- moves -----------------------------------------------------------------------------------------------------

    def _climb(self, now: float, x: float, *, is_used: bool, is_held: bool) -> None:
        if not is_used or self._epoch.headroom < LEAST_HEADROOM:
            self._begin_epoch(now)
            return
        is_better = not self._best or x > GAIN * max(self._best)[0]
        self._misses = 0 if is_better else self._misses + 1
        self._best.append((x, self.limit))
        is_spoilt = self._epoch.refused > 0 and not is_better
        if is_spoilt:
            self._forbid(now)
        if (
            is_held
            or is_spoilt
            or self._misses == 2
            or (self.limit > VALLEY_MOST and not is_better)
            or self.limit == self.most
        ):
            self._settle_at_best(now)
        else:
            self._begin_epoch(now, min(2 * self.limit, self.most))

    def _settle_at_best(self, now: float) -> None:
        best = max(self._best)[0]
        self._settle(now, min((level, x) for x, level in self._best if x >= CLOSE * best))

    def _settle(self, now: float, level_x: tuple[int, float]) -> None:
        """Hold that level, and look around it soon."""
        self._best.clear()
        self._misses = self._step = self._quiet = self._quiet_step = 0
        self._looks_up = True
        self._base, self._base_x = level_x
        self.phase = Phase.HOLD
        self._begin_epoch(now, self._base)

    def _hold(self, now: float, x: float, *, is_used: bool, is_held: bool) -> None:
        if not is_used:
            self._begin_epoch(now)
            return
        if abs(x - self._base_x) > CHANGED * self._base_x:  # the server has changed, or others on it
            self._quiet = self._quiet_step = 0
        self._base_x = x
        if self._quiet > 0:
            self._quiet -= 1
            self._begin_epoch(now)
            return
        looks_up, self._looks_up = self._looks_up, not self._looks_up
        up = self._target_up(now)
        # A level that is refused now and then is hardly too high.
        down = max(self.least, int(self._base * (TRIM if self._epoch.refused else 1 / STEPS[0])))
        if (
            looks_up
            and not self._epoch.refused
            and not is_held
            and self._epoch.headroom >= LEAST_HEADROOM
            and up > self._base
        ):
            self.phase = Phase.UP
            self._begin_epoch(now, up)
        elif down < self._base:
            self._looks_up = True
            self.phase = Phase.DOWN
            self._begin_epoch(now, down)
        else:
            self._rest(now)

    def _target_up(self, now: float) -> int:
        target = min(self.most, max(self.limit + 1, round(self.limit * STEPS[self._step])))
        return min(target, int(0.97 * self._ceiling)) if now < self._ceiling_until else target

    def _compare(self, now: float, x: float, *, is_used: bool) -> None:
        """Decide whether the level that was looked at is the better one."""
        if is_used and self.phase is Phase.UP and x > GAIN * self._base_x:
            self._step = min(self._step + 1, len(STEPS) - 1)
            self._take(now, x)
        elif is_used and self.phase is Phase.DOWN and x >= LOSS * self._base_x:
            self._take(now, x)
        else:
            if self.phase is Phase.UP:
                self._step = 0
                if self._epoch.refused:
                    self._forbid(now)
            self._rest(now)

    def _take(self, now: float, x: float) -> None:
        self._base, self._base_x = self.limit, x
        self._quiet = self._quiet_step = 0
        up = self._target_up(now)
        if self.phase is Phase.UP and up > self.limit:  # where the last step was worth it, the next one may be
            self._begin_epoch(now, up)
        else:
            self.phase, self._looks_up = Phase.HOLD, False
            self._begin_epoch(now)

    def _rest(self, now: float) -> None:
        """Hold for a while, longer each time that nothing better was found."""
        self._quiet = QUIET_EPOCHS[self._quiet_step]
        self._quiet_step = min(self._quiet_step + 1, len(QUIET_EPOCHS) - 1)
        self.phase = Phase.HOLD
        self._begin_epoch(now, self._base)

    def _cut(self, now: float, moving: int = 0) -> None:
        """Go back from a level at which the server refuses; to *moving*, if that is known."""
        refused = self.limit
        self._forbid(now)
        # What was clean before is so no more, if it is as high as what is refused now.
        self._clean = self._clean if self._clean < 0.95 * refused else int(BACK_OFF * refused)
        if moving:
            self._clean = min(self._clean, moving)
        level = max(self.least, self._clean or int(BACK_OFF * refused))
        self._settle(now, (level, self._base_x if level == self._base else 0.0))

    def _forbid(self, now: float) -> None:
        """Do not try the present level again for a while."""
        refused = self.limit
        if self._ceiling_until > now - self._penalty_s and refused <= 1.1 * self._ceiling:
            self._penalty_s = min(2 * self._penalty_s, MAX_PENALTY_S)
        else:
            self._penalty_s = PENALTY_S
        self._ceiling, self._ceiling_until = refused, now + self._penalty_s


# --- what the headers say --------------------------------------------------------------------------------------------

_KINDS = ("requests", "tokens")


def headroom(headers: Mapping[str, str]) -> float | None:
    """Return the share of the server's own limits that is left, 0 to 1; None if it does not say.

    Args:
        headers: Of a response, names in lower case. Read are ``x-ratelimit-remaining-requests`` and
            ``x-ratelimit-limit-requests``, and the same for tokens; whichever is scarcer counts.
    """
    shares = [share for kind in _KINDS if (share := _share(headers, kind)) is not None]
    return min(shares, default=None)


def _share(headers: Mapping[str, str], kind: str) -> float | None:
    remaining = headers.get(f"x-ratelimit-remaining-{kind}")
    if remaining is None:
        return None
    try:
        left, limit = float(remaining), float(headers.get(f"x-ratelimit-limit-{kind}", ""))
    except ValueError:
        return None
    return min(max(left / limit, 0.0), 1.0) if limit > 0 else None
